"""Softmax and LogSoftmax as layers; the functions under them have their own tests."""

import math

import numpy as np
import pytest
import torch

from minicnn import nn
from tests.helpers import assert_gradients, assert_matches_torch, draws, raises

INF, NAN = math.inf, math.nan
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
both_layers = pytest.mark.parametrize("name", ["Softmax", "LogSoftmax"])


def test_softmax_by_hand():
    layer = nn.Softmax(dim=0)
    # equal logits: p = 1/4 each
    np.testing.assert_array_equal(layer(np.full(4, 9.0)), [0.25] * 4)
    # Σ g p = (16 + 0 + 0 + 0)/4 = 4; p·(g - 4) = (12, -4, -4, -4)/4
    np.testing.assert_array_equal(layer.backward(np.array([16.0, 0, 0, 0])), [3, -1, -1, -1])


def test_log_softmax_by_hand():
    layer = nn.LogSoftmax(dim=1)
    # exp(-10000) = 0: log p = z - 0, p = (1, 0)
    np.testing.assert_array_equal(layer(np.array([[0.0, -1e4]])), [[0, -1e4]])
    # g - p·Σ g = (3 - 10, 7 - 0)
    np.testing.assert_array_equal(layer.backward(np.array([[3.0, 7]])), [[-7, 7]])


@both_layers
@pytest.mark.parametrize(("shape", "dim"), [((6,), 0), ((3, 4), 1), ((3, 4), 0), ((2, 3, 4, 2), 1)])
def test_gradients(name, shape, dim):
    assert_gradients(getattr(nn, name)(dim), draws(shape))


@both_layers
@both_dtypes
@pytest.mark.parametrize(
    ("shape", "dim"), [((6,), -1), ((3, 4), 1), ((3, 4), 0), ((2, 3, 4, 2), -3), ((0, 3), 1), ((3, 0), 1)]
)
def test_matches_torch(name, dtype, shape, dim):
    assert_matches_torch(getattr(nn, name)(dim), getattr(torch.nn, name)(dim), 4 * draws(shape, dtype))


@both_layers
@both_dtypes
@pytest.mark.parametrize("odd", [NAN, INF, -INF, 1e4, -1e4, 0])
def test_special_values_as_torch(name, dtype, odd):
    input = draws((3, 4), dtype)
    input[1, 2] = odd
    input[2] = odd
    assert_matches_torch(getattr(nn, name)(1), getattr(torch.nn, name)(1), input)


@both_layers
def test_any_strides(name):
    array = draws((4, 6, 5))
    for view in (array[::-1, ::2], array.transpose(2, 0, 1), np.broadcast_to(array[:1], (3, 6, 5))):
        assert_matches_torch(getattr(nn, name)(1), getattr(torch.nn, name)(1), view)


@both_layers
def test_errors(name):
    with raises(TypeError, f"{name}: dim must be an integer. Got None (NoneType). Pass an int."):
        getattr(nn, name)(None)
    layer = getattr(nn, name)(1)
    with raises(ValueError, f"{name}: input must have an axis 1. Got shape (3,). Pass an axis from -1 to 0."):
        layer(np.zeros(3))
    with raises(
        TypeError,
        f"{name}: input must be float32 or float64. Got int64. Convert it with .astype(np.float32).",
    ):
        layer(np.zeros((3, 4), int))
    assert repr(layer) == f"{name}(dim=1)"
