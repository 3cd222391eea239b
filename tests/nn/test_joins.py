"""Add, Multiply, Concatenate: by hand, differences, torch, explained, errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from minicnn import nn
from minicnn.inspection import trace
from tests.helpers import assert_same_sum, draws, raises

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


JOINS = [
    (nn.Add, [(2, 3), (2, 3)], lambda *inputs: inputs[0] + inputs[1]),
    (nn.Add, [(2, 3)] * 3, lambda *inputs: inputs[0] + inputs[1] + inputs[2]),
    (nn.Multiply, [(2, 3), (2, 3)], lambda *inputs: inputs[0] * inputs[1]),
    (nn.Multiply, [(2, 3, 4, 5), (2, 3, 1, 1)], lambda *inputs: inputs[0] * inputs[1]),
    (nn.Multiply, [(2, 1, 4, 5), (2, 3, 4, 5)], lambda *inputs: inputs[0] * inputs[1]),
    (nn.Multiply, [(2, 1, 4, 5), (2, 3, 1, 1)], lambda *inputs: inputs[0] * inputs[1]),
    (nn.Multiply, [(0, 3, 4, 5), (0, 3, 1, 1)], lambda *inputs: inputs[0] * inputs[1]),
    (nn.Multiply, [(), ()], lambda *inputs: inputs[0] * inputs[1]),
    (lambda: nn.Concatenate(1), [(2, 3, 2), (2, 1, 2), (2, 2, 2)], lambda *inputs: torch.cat(inputs, 1)),
    (lambda: nn.Concatenate(-1), [(2, 3), (2, 1)], lambda *inputs: torch.cat(inputs, dim=-1)),
    (nn.Concatenate, [(2, 3), (0, 3)], lambda *inputs: torch.vstack(inputs)),
]


def as_tensors(arrays):
    """Return copies for torch that ask for gradients."""
    return [torch.from_numpy(array.copy()).requires_grad_() for array in arrays]


@both_dtypes
@pytest.mark.parametrize(("build", "shapes", "theirs"), JOINS)
def test_joins_match_torch(build, shapes, theirs, dtype):
    layer, inputs = build(), tuple(draws(shape, dtype, seed) for seed, shape in enumerate(shapes))
    tensors = as_tensors(inputs)
    expected = theirs(*tensors)
    output = layer(inputs)
    assert_same_sum(output, expected.detach().numpy())
    grad_output = draws(output.shape, dtype, seed=9)
    expected.backward(torch.from_numpy(grad_output))
    for grad, tensor in zip(layer.backward(grad_output), tensors, strict=True):
        assert_same_sum(grad, tensor.grad.numpy())


def test_concatenate_is_explained():
    nodes = [("a", "double", "x"), ("y", "cat", "x", "a")]
    model = nn.Graph(nodes, double=nn.Affine(2), cat=nn.Concatenate(1))
    t = trace(model, np.array([[1.0, 2]]), np.ones((1, 4)), nn.MSELoss())
    assert str(t.explain("cat", (0, 3))).splitlines()[0] == 'Concatenate "cat": output[0, 3] = input 1[0, 1]'
    assert all(t.explain("cat", (0, column)).ok for column in range(4))
    assert all(t.explain("cat", (0, column), of="grad_input").ok for column in range(2))
    second = t.explain("cat", (0, 1), of="grad_input 1")
    assert str(second).splitlines()[0] == 'Concatenate "cat": grad_input 1[0, 1] = grad_output[0, 3]'
    assert second.ok


@pytest.mark.parametrize(("build", "shapes", "theirs"), JOINS)
def test_every_gradient_of_a_join(build, shapes, theirs):
    layer, inputs = build(), tuple(draws(shape, seed=seed) for seed, shape in enumerate(shapes))
    output = layer(inputs)
    grad_output = draws(output.shape, seed=9)
    for array, grad in zip(inputs, layer.backward(grad_output), strict=True):
        assert grad.shape == array.shape
        for index in np.ndindex(array.shape):
            step, before = 1e-6, array[index]
            sums = []
            for moved in (before + step, before - step):
                array[index] = moved
                sums.append((layer(inputs) * grad_output).sum())
            array[index] = before
            assert abs((sums[0] - sums[1]) / (2 * step) - grad[index]) < 1e-6


def gated(*shapes: tuple[int, ...], dtype=np.float64):
    """Return the trace of a graph that multiplies means over some axes by means over others."""
    maps = np.arange(1, 13, dtype=dtype).reshape(1, 2, 2, 3)
    ways = [
        nn.Mean(tuple(a for a, size in enumerate(shape) if size == 1 and a), keepdim=True) for shape in shapes
    ]
    children = {f"way{i}": way if way.dim else nn.Identity() for i, way in enumerate(ways)}
    nodes = [*((f"x{i}", f"way{i}", "x") for i in range(2)), ("y", "mul", "x0", "x1")]
    model = nn.Graph(nodes, mul=nn.Multiply(), **children)
    return trace(model, maps, np.zeros_like(model(maps)), nn.MSELoss("sum"))


def test_multiply_is_explained_by_hand():
    t = gated((1, 2, 2, 3), (1, 2, 1, 1))
    # channel 0 holds 1 to 6, its mean is 3.5; the gradient of a square is 2 · output
    assert str(t.explain("mul", (0, 0, 1, 2))).split("\n")[0] == (
        'Multiply "mul": output[0, 0, 1, 2] = input 0[0, 0, 1, 2] · input 1[0, 0, 0, 0]'
    )
    assert t.explain("mul", (0, 0, 1, 2)).terms[["first", "second", "product"]].tolist() == [(6, 3.5, 21)]
    passed = t.explain("mul", (0, 0, 0, 1), of="grad_input")
    assert passed.rule == "grad_output[0, 0, 0, 1] · input 1[0, 0, 0, 0]"
    assert passed.terms[["grad_output", "factor", "product"]].tolist() == [(14, 3.5, 49)]
    gate = t.explain("mul", (0, 0, 0, 0), of="grad_input 1")
    assert gate.title == 'Multiply "mul": grad_input 1[0, 0, 0, 0]'
    assert gate.rule == "Σ grad_output·input 0 over each row and column"
    assert gate.terms[["row", "column", "grad_output", "factor", "product"]].tolist() == [
        (0, 0, 7, 1, 7), (0, 1, 14, 2, 28), (0, 2, 21, 3, 63),
        (1, 0, 28, 4, 112), (1, 1, 35, 5, 175), (1, 2, 42, 6, 252),
    ]  # fmt: skip
    assert gate.actual == gate.value == 637


@both_dtypes
@pytest.mark.parametrize("first", [(1, 2, 2, 3), (1, 1, 2, 3)])
@pytest.mark.parametrize("second", [(1, 2, 2, 3), (1, 2, 1, 1)])
def test_every_number_of_a_product_is_explained(first, second, dtype):
    t = gated(first, second, dtype=dtype)
    shapes = {"output": (1, 2, 2, 3), "grad_input": first, "grad_input 0": first, "grad_input 1": second}
    for of, shape in shapes.items():
        assert t["mul"].array(of).shape == shape
        for index in np.ndindex(shape):
            explanation = t.explain("mul", index, of)
            assert explanation.ok, str(explanation)
    with raises(
        ValueError,
        "Multiply \"mul\": of must name an array of this step. Got 'grad_input 2'. "
        "Choose one of output, grad_input, grad_input 1; gradients need targets when tracing.",
    ):
        t.explain("mul", 0, "grad_input 2")


def test_a_product_with_nan_and_infinity_is_torchs():
    maps = np.float32([[np.nan, np.inf, -np.inf, np.inf, 0.0, 1e30]])
    gates = np.float32([[1, 0, 2, -1, np.nan, 1e30]])
    layer, tensors = nn.Multiply(), as_tensors([maps, gates])
    expected = tensors[0] * tensors[1]
    np.testing.assert_array_equal(layer((maps, gates)), expected.detach().numpy())
    grad_output = np.float32([[1, 1, 0, 1, 1, 1e30]])
    expected.backward(torch.from_numpy(grad_output))
    for grad, tensor in zip(layer.backward(grad_output), tensors, strict=True):
        np.testing.assert_array_equal(grad, tensor.grad.numpy())


@pytest.mark.parametrize("kind", [nn.Add, nn.Multiply, nn.Concatenate])
def test_joins_take_tuples(kind):
    name = kind.__name__
    with raises(TypeError, f"{name}: input must be a tuple of arrays. Got ndarray. Pass (first, second)."):
        kind()(np.zeros(2))
    with raises(
        TypeError, f"{name}: input must be a tuple of arrays. Got an empty one. Pass (first, second)."
    ):
        kind()(())
    message = f"{name}: all inputs must have one dtype. Got float32 and float64. Convert them with .astype(np.float32)."
    with raises(TypeError, message):
        kind()((np.zeros(2, np.float32), np.zeros(2)))


def test_add_does_not_broadcast():
    message = (
        "Add: all inputs must have one shape. Got (2, 3) and (2, 1). Let every path end in the same shape."
    )
    with raises(ValueError, message):
        nn.Add()((np.zeros((2, 3)), np.zeros((2, 1))))


@pytest.mark.parametrize("shapes", [((2, 3, 4, 4), (2, 3)), ((2, 3), (2, 2)), ((2, 3), (3,))])
def test_multiply_wants_shapes_that_go_together(shapes):
    message = (
        "Multiply: both inputs must have equally many axes, of one length or of length 1. "
        f"Got {shapes[0]} and {shapes[1]}. Reshape a gate of (N, C) to (N, C, 1, 1)."
    )
    with raises(ValueError, message):
        nn.Multiply()(tuple(map(np.zeros, shapes)))


@pytest.mark.parametrize("count", [1, 3])
def test_multiply_takes_two(count):
    message = f"Multiply: input must be two arrays. Got {count}. Multiply two at a time."
    with raises(ValueError, message):
        nn.Multiply()((np.zeros(2),) * count)


def test_concatenate_wants_other_axes_equal():
    message = (
        "Concatenate: all inputs must have one shape but for axis 1. Got (1, 2, 3) and (1, 2, 4). "
        "Let every path end in the same height and width."
    )
    with raises(ValueError, message):
        nn.Concatenate(1)((np.zeros((1, 2, 3)), np.zeros((1, 2, 4))))
