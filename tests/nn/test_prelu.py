"""PReLU: by hand, gradients by differences, against torch with every special value, errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from minicnn import nn
from tests.helpers import assert_gradients, assert_matches_torch, distinct, draws, raises

DTYPES = [np.float32, np.float64]
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)
SHAPES = [
    ((), 1),
    ((7,), 1),
    ((3, 5), 1),
    ((3, 5), 5),
    ((2, 3, 4, 5), 1),
    ((2, 3, 4, 5), 3),
    ((0, 3, 2, 2), 3),
]


def both(count: int, dtype):
    """Return the layer of ours and of torch with the same slopes, some of them below 0."""
    ours = nn.PReLU(count, dtype=dtype)
    ours.weight.data[...] = np.linspace(-0.5, 0.75, count)
    theirs = torch.nn.PReLU(count).to(torch.from_numpy(np.empty(0, dtype)).dtype)
    theirs.load_state_dict({"weight": torch.from_numpy(ours.weight.data.copy())})
    return ours, theirs


# By hand


@both_dtypes
def test_one_slope_by_hand(dtype):
    layer = nn.PReLU(dtype=dtype)
    output = layer(np.array([3, -4, 0], dtype))
    np.testing.assert_array_equal(output, np.array([3, -1, 0], dtype))  # -4/4
    grad_input = layer.backward(np.array([10, 20, 40], dtype))
    np.testing.assert_array_equal(grad_input, np.array([10, 5, 10], dtype))  # 20/4, and at 0 40/4
    np.testing.assert_array_equal(layer.weight.grad, np.array([-80], dtype))  # 20·(-4) + 40·0
    assert output.dtype == grad_input.dtype == layer.weight.grad.dtype == dtype


@both_dtypes
def test_a_slope_for_each_channel_by_hand(dtype):
    layer = nn.PReLU(2, dtype=dtype)
    layer.weight.data[...] = [0.5, 2]
    images = np.array([[[[1, -2]], [[-3, -4]]]], dtype)  # (1, 2, 1, 2)
    np.testing.assert_array_equal(layer(images), np.array([[[[1, -1]], [[-6, -8]]]], dtype))
    grad_input = layer.backward(np.array([[[[5, 6]], [[7, 8]]]], dtype))
    np.testing.assert_array_equal(grad_input, np.array([[[[5, 3]], [[14, 16]]]], dtype))
    np.testing.assert_array_equal(layer.weight.grad, np.array([-12, -53], dtype))  # 6·(-2), 7·(-3) + 8·(-4)


# Gradients by differences


@pytest.mark.parametrize("count", [1, 3])
def test_gradients(count):
    assert_gradients(nn.PReLU(count, dtype=np.float64), 3 * distinct((4, 3, 5)))


# Against torch


@both_dtypes
@pytest.mark.parametrize(("shape", "count"), SHAPES, ids=str)
def test_matches_torch(shape, count, dtype):
    ours, theirs = both(count, dtype)
    assert_matches_torch(ours, theirs, np.asarray(draws(shape)).astype(dtype))


@both_dtypes
@pytest.mark.parametrize("count", [1, 6])
def test_any_strides_and_read_only(count, dtype):
    array = 2 * draws((4, 6, 5), dtype)
    for view in (array[::-1], array.transpose(2, 1, 0), np.broadcast_to(array[:1], (3, 6, 5))):
        view.setflags(write=False)
        before = view.copy()
        assert_matches_torch(*both(count, dtype), view)
        np.testing.assert_array_equal(view, before)


@pytest.mark.parametrize("value", [0.0, -0.0, 1e30, -1e30, math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("grad", [1.0, 0.0, math.inf, math.nan])
def test_special_values_as_torch(value, grad):
    for count in (1, 40):
        ours, theirs = nn.PReLU(), torch.nn.PReLU()
        input = torch.full((count,), value, requires_grad=True)
        output = theirs(input)
        output.backward(torch.full_like(output, grad))
        np.testing.assert_array_equal(ours(input.detach().numpy()), output.detach().numpy())
        np.testing.assert_array_equal(ours.backward(np.full(count, grad, np.float32)), input.grad.numpy())
        np.testing.assert_allclose(ours.weight.grad, theirs.weight.grad.numpy(), rtol=1e-6)


def test_gradients_add_up():
    layer = nn.PReLU()
    for _ in range(2):
        layer(np.float32([-4, 2]))
        layer.backward(np.float32([3, 5]))
    assert layer.weight.grad == [-24]  # 2 · 3·(-4)


# What is saved, printed, refused


def test_nothing_is_saved_without_gradients():
    layer = nn.PReLU()
    with nn.no_grad():
        layer(np.ones(3, np.float32))
    assert layer.saved == {}


def test_repr_is_torchs():
    assert repr(nn.PReLU()) == repr(torch.nn.PReLU())
    assert repr(nn.PReLU(3, 0.5)) == repr(torch.nn.PReLU(3, 0.5))


def test_wrong_arguments():
    with raises(ValueError, "PReLU: num_parameters must be at least 1. Got 0. Pass a larger number."):
        nn.PReLU(0)
    with raises(TypeError, "PReLU: init must be a number. Got '0.1' (str). Pass a float."):
        nn.PReLU(init="0.1")


def test_wrong_inputs():
    layer = nn.Sequential(nn.PReLU(3))[0]
    advice = "Build the layer with num_parameters=1, or with the number of channels."
    with raises(
        ValueError,
        f'PReLU "0": input must have 3 channels (axis 1). Got 4 in shape (2, 4). {advice}',
    ):
        layer(np.zeros((2, 4), np.float32))
    with raises(ValueError, f'PReLU "0": input must have 3 channels (axis 1). Got shape (3,). {advice}'):
        layer(np.zeros(3, np.float32))
    with pytest.raises(TypeError, match='PReLU "0": input must be float32'):
        layer(np.zeros((2, 3)))
    with pytest.raises(TypeError, match='PReLU "0": input must be float32 or float64'):
        layer(np.zeros((2, 3), int))
