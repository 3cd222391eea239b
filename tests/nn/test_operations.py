"""Add, Concatenate, Affine, Mean, Reshape, Squeeze, Pad2d: by hand, differences, torch, explained, errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from minicnn import nn
from minicnn.inspection import trace
from tests.helpers import assert_gradients, assert_same_sum, draws, raises

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])

# Module, shape of the input, and what torch calls it.
SINGLE = [
    (lambda: nn.Affine(0.3), (2, 3), lambda x: x * 0.3),
    (lambda: nn.Affine(1, 0.3), (2, 3), lambda x: x + 0.3),
    (lambda: nn.Affine(-1.5, -2), (2, 3), lambda x: x * -1.5 - 2),
    (lambda: nn.Mean((2, 3)), (2, 3, 4, 5), lambda x: x.mean((2, 3))),
    (lambda: nn.Mean((-1, 0), keepdim=True), (2, 3, 4), lambda x: x.mean((-1, 0), keepdim=True)),
    (lambda: nn.Mean(1), (2, 3), lambda x: x.mean(1)),
    (lambda: nn.Reshape((0, 2, -1)), (2, 12), lambda x: x.view(x.size(0), 2, -1)),
    (lambda: nn.Reshape((-1, 4)), (2, 12), lambda x: x.reshape(-1, 4)),
    (lambda: nn.Squeeze(), (3, 1, 1), lambda x: x.squeeze()),
    (lambda: nn.Squeeze((-1, 0)), (3, 1, 1), lambda x: x.squeeze((-1, 0))),
    (lambda: nn.Pad2d((1, 2, 0, 3)), (2, 3, 4, 5), lambda x: torch.nn.functional.pad(x, (1, 2, 0, 3))),
    (lambda: nn.Pad2d(1, value=2.5), (3, 4, 5), lambda x: torch.nn.functional.pad(x, (1,) * 4, value=2.5)),
    *(
        (
            lambda mode=mode: nn.Pad2d((1, 2, 0, 3), mode),
            (2, 3, 4, 5),
            lambda x, mode=mode: torch.nn.functional.pad(x, (1, 2, 0, 3), mode),
        )
        for mode in ("reflect", "replicate", "circular")
    ),
]
JOINS = [
    (nn.Add, [(2, 3), (2, 3)], lambda *inputs: inputs[0] + inputs[1]),
    (nn.Add, [(2, 3)] * 3, lambda *inputs: inputs[0] + inputs[1] + inputs[2]),
    (lambda: nn.Concatenate(1), [(2, 3, 2), (2, 1, 2), (2, 2, 2)], lambda *inputs: torch.cat(inputs, 1)),
    (lambda: nn.Concatenate(-1), [(2, 3), (2, 1)], lambda *inputs: torch.cat(inputs, dim=-1)),
    (nn.Concatenate, [(2, 3), (0, 3)], lambda *inputs: torch.vstack(inputs)),
]


def as_tensors(arrays):
    """Return copies for torch that ask for gradients."""
    return [torch.from_numpy(array.copy()).requires_grad_() for array in arrays]


# By hand


def test_by_hand():
    np.testing.assert_array_equal(nn.Mean(0)(np.array([[1.0, 2], [3, 6]])), [2, 4])
    np.testing.assert_array_equal(
        nn.Reshape((3, 2))(np.array([[1.0, 2, 3], [4, 5, 6]])), [[1, 2], [3, 4], [5, 6]]
    )
    np.testing.assert_array_equal(
        nn.Pad2d((1, 0, 0, 1), value=9)(np.array([[[[5.0]]]])), [[[[9, 5], [9, 9]]]]
    )
    np.testing.assert_array_equal(nn.Affine(3, 1)(np.array([-0.0, 2])), [1, 7])


def test_one_and_zero_leave_every_bit():
    input = np.float32([-0.0, np.nan, np.inf, 1e-40])
    assert nn.Affine()(input) is input


@pytest.mark.parametrize(
    ("build", "shape"),
    [(lambda: nn.Reshape((0, 3, -1)), (0, 12)), (nn.Squeeze, (0, 1)), (lambda: nn.Mean(1), (0, 3))],
)
def test_no_images(build, shape):
    layer = build()
    output = layer(np.zeros(shape))
    assert output.shape[0] == 0
    assert layer.backward(output).shape == shape


# Against torch, and explained


@both_dtypes
@pytest.mark.parametrize(("build", "shape", "theirs"), SINGLE)
def test_matches_torch(build, shape, theirs, dtype):
    layer, input = build(), draws(shape, dtype)
    (tensor,) = as_tensors([input])
    expected = theirs(tensor)
    output = layer(input[::-1][::-1])
    assert_same_sum(output, expected.detach().numpy())
    grad_output = draws(output.shape, dtype, seed=1)
    expected.backward(torch.from_numpy(grad_output))
    assert_same_sum(layer.backward(grad_output), tensor.grad.numpy())


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


@pytest.mark.parametrize(("build", "shape", "theirs"), SINGLE)
def test_gradients(build, shape, theirs):
    assert_gradients(build(), draws(shape))


@both_dtypes
@pytest.mark.parametrize(("build", "shape", "theirs"), SINGLE)
def test_every_number_is_explained(build, shape, theirs, dtype):
    model, input = nn.Sequential(build()), draws(shape, dtype)
    t = trace(model, input, draws(model(input).shape, dtype, seed=1), nn.MSELoss())
    for of in ("output", "grad_input"):
        for index in np.ndindex(t["0"].array(of).shape):
            explanation = t.explain("0", index, of)
            assert explanation.ok, str(explanation)


def test_concatenate_is_explained():
    nodes = [("a", "double", "x"), ("y", "cat", "x", "a")]
    model = nn.Graph(nodes, double=nn.Affine(2), cat=nn.Concatenate(1))
    t = trace(model, np.array([[1.0, 2]]), np.ones((1, 4)), nn.MSELoss())
    assert str(t.explain("cat", (0, 3))).splitlines()[0] == 'Concatenate "cat": output[0, 3] = input 1[0, 1]'
    assert all(t.explain("cat", (0, column)).ok for column in range(4))
    assert all(t.explain("cat", (0, column), of="grad_input").ok for column in range(2))


# Errors


@pytest.mark.parametrize("kind", [nn.Add, nn.Concatenate])
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


def test_concatenate_wants_other_axes_equal():
    message = (
        "Concatenate: all inputs must have one shape but for axis 1. Got (1, 2, 3) and (1, 2, 4). "
        "Let every path end in the same height and width."
    )
    with raises(ValueError, message):
        nn.Concatenate(1)((np.zeros((1, 2, 3)), np.zeros((1, 2, 4))))


@pytest.mark.parametrize(
    ("shape", "given"), [((0, 5, -1), (2, 12)), ((0, 5, -1), (0, 12)), ((5, 2), (2, 3)), ((1, 1, 0), (2, 3))]
)
def test_reshape_needs_as_many_numbers(shape, given):
    message = f"Reshape: the numbers must fit into shape {shape}. Got shape {given}. Choose another shape."
    with raises(ValueError, message):
        nn.Reshape(shape)(np.zeros(given))


def test_reshape_takes_one_unknown():
    with raises(ValueError, "Reshape: shape may hold one -1. Got (-1, -1). Write the others out."):
        nn.Reshape((-1, -1))


def test_an_axis_once():
    message = "Mean: dim must name every axis once. Got (1, -1) for shape (2, 3). Leave one out."
    with raises(ValueError, message):
        nn.Mean((1, -1))(np.zeros((2, 3)))


def test_padding_arguments():
    message = "Pad2d: mode must be zeros, reflect, replicate or circular. Got 'same'. Choose one of the four."
    with raises(ValueError, message):
        nn.Pad2d(1, "same")
    message = (
        "Pad2d: padding must be an int or (left, right, top, bottom). Got (1, 2). Pass one or four ints."
    )
    with raises(ValueError, message):
        nn.Pad2d((1, 2))
    message = (
        "Pad2d: input must be (N, C, H, W) or (C, H, W). Got shape (2, 3). Put the layer before Flatten."
    )
    with raises(ValueError, message):
        nn.Pad2d(1)(np.zeros((2, 3)))


def test_constants_are_finite():
    with raises(ValueError, "Affine: shift must be finite. Got inf. Pass a number."):
        nn.Affine(1, np.inf)
