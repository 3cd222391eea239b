"""Affine, Mean, Reshape, Squeeze, Pad2d: by hand, differences, torch, explained, errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from minicnn import nn
from minicnn.inspection import trace
from tests.helpers import assert_gradients, assert_same_sum, draws, raises

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


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
    (lambda: nn.Max(1), (3, 4, 5), lambda x: x.max(1)[0]),
    (lambda: nn.Max((-2, -1), True), (2, 3, 4, 5), lambda x: torch.nn.functional.adaptive_max_pool2d(x, 1)),
    (lambda: nn.Max((3, 1), ties="shared"), (2, 3, 4, 5), lambda x: x.amax((3, 1))),
    (lambda: nn.Unsqueeze(2), (3, 4, 5), lambda x: x.unsqueeze(2)),
    (lambda: nn.Unsqueeze(-1), (3, 4), lambda x: x[..., None]),
    (lambda: nn.Slice(1, 1, -1), (3, 5, 2), lambda x: x[:, 1:-1]),
    (lambda: nn.Slice(-1, None, 9, 2), (3, 5), lambda x: x[:, :9:2]),
    (lambda: nn.Slice(1, 4, 2), (3, 5), lambda x: x[:, 4:2]),
    (lambda: nn.Permute((0, 2, 3, 1)), (2, 3, 4, 5), lambda x: x.permute(0, 2, 3, 1)),
    (lambda: nn.Permute((-1, 0, 1)), (2, 3, 4), lambda x: x.permute(-1, 0, 1)),
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


def as_tensors(arrays):
    """Return copies for torch that ask for gradients."""
    return [torch.from_numpy(array.copy()).requires_grad_() for array in arrays]


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
