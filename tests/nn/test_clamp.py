"""Clamp: by hand, against a loop, against torch.clamp at bounds and with special values, errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from minicnn import nn
from minicnn.interop.torch.namesakes import namesakes
from tests.helpers import assert_gradients, assert_matches_torch, distinct, draws, raises

INF, NAN = math.inf, math.nan
BOUNDS = [{"min": -0.3, "max": 0.7}, {"min": 0}, {"max": 0}, {"max": -0.1}, {"min": 0.3, "max": 0.3}]
every_bound = pytest.mark.parametrize("bounds", BOUNDS, ids=str)
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def pair(bounds: dict) -> tuple[nn.Module, torch.nn.Module]:
    """Return our layer, and torch's function as a layer."""
    return nn.Clamp(**bounds), namesakes()["Clamp"](**{"min": None, "max": None} | bounds)


@both_dtypes
def test_by_hand(dtype):
    layer = nn.Clamp(-1, 2)
    np.testing.assert_array_equal(layer(np.array([-4, -1, 0.5, 2, 8], dtype)), np.array([-1, -1, 0.5, 2, 2]))
    # both bounds let the gradient pass, what lies outside does not
    grad_input = layer.backward(np.array([10, 20, 30, 40, 50], dtype))
    np.testing.assert_array_equal(grad_input, np.array([0, 20, 30, 40, 0], dtype))
    assert grad_input.dtype == dtype


def test_at_its_bound_relu_is_another():
    grads = [
        layer.backward(layer(np.zeros(1)) + 5) for layer in (nn.Clamp(min=0), nn.ReLU(), nn.Hardtanh(0, 1))
    ]
    np.testing.assert_array_equal(grads, [[5], [0], [0]])


@every_bound
def test_is_the_loop_over_numbers(bounds):
    low, high = bounds.get("min", -INF), bounds.get("max", INF)
    input, grads = draws((3, 4)), draws((3, 4), seed=1)
    layer = nn.Clamp(**bounds)
    output, grad_input = layer(input), layer.backward(grads)
    for index, x in np.ndenumerate(input):
        assert output[index] == (low if x < low else high if x > high else x)
        assert grad_input[index] == (grads[index] if low <= x <= high else 0)


@every_bound
def test_gradients(bounds):
    assert_gradients(nn.Clamp(**bounds), distinct((4, 3, 5)) + 0.001)


@every_bound
@both_dtypes
@pytest.mark.parametrize("shape", [(7,), (2, 3, 4, 5), (0, 3), ()], ids=str)
def test_matches_torch(bounds, dtype, shape):
    assert_matches_torch(*pair(bounds), np.asarray(draws(shape)).astype(dtype))


@every_bound
@both_dtypes
@pytest.mark.parametrize("value", [0.0, -0.0, 1e4, -1e4, INF, -INF, NAN, *(0.3, 0.7, -0.3, -0.1)])
@pytest.mark.parametrize("count", [1, 40])
def test_special_values_and_bounds_as_torch(bounds, dtype, value, count):
    assert_matches_torch(*pair(bounds), np.full(count, value, dtype))


def test_no_infinite_gradient_passes_outside():
    layer = nn.Clamp(max=1)
    layer(np.array([2.0, 1.0]))
    np.testing.assert_array_equal(layer.backward(np.array([INF, INF])), [0, INF])


def test_wrong_arguments():
    with raises(ValueError, "Clamp: there must be a bound. Got None and None. Pass min, max, or both."):
        nn.Clamp()
    with raises(ValueError, "Clamp: max must be at least min. Got 1 and 2. Pass the lower bound first."):
        nn.Clamp(2, 1)
    with raises(TypeError, "Clamp: min must be a number. Got '0' (str). Pass a float."):
        nn.Clamp("0")
    with raises(ValueError, "Clamp: max must be finite. Got inf. Pass a number."):
        nn.Clamp(0, INF)
    assert repr(nn.Clamp(max=6)) == "Clamp(min=None, max=6.0)"
