"""Linear and Flatten: by hand, against loops, gradients by differences, against torch, errors."""

import itertools

import numpy as np
import pytest
import torch

from minicnn import nn
from tests.helpers import assert_gradients, assert_matches_torch, assert_same_sum, draws, raises

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
SHAPES = [(5,), (4, 5), (1, 5), (2, 3, 5), (0, 5), (2, 0, 5)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
with_and_without_bias = pytest.mark.parametrize("bias", [True, False])


# Linear


@both_dtypes
def test_linear_by_hand(dtype):
    layer = nn.Linear(3, 2, dtype=dtype)
    layer.weight.data[...], layer.bias.data[...] = [[1, 2, 3], [4, 5, 6]], [100, 200]
    # 1·1 + 0·2 - 1·3 + 100 = 98, 4 - 6 + 200 = 198; 2·2 + 100, 2·5 + 200
    np.testing.assert_array_equal(layer(np.array([[1, 0, -1], [0, 2, 0]], dtype)), [[98, 198], [104, 210]])
    # rows of G W: 1·(1, 2, 3) + 10·(4, 5, 6); 2·(1, 2, 3)
    grad_input = layer.backward(np.array([[1, 10], [2, 0]], dtype))
    np.testing.assert_array_equal(grad_input, [[41, 52, 63], [2, 4, 6]])
    # Gᵀ x: 1·(1, 0, -1) + 2·(0, 2, 0); 10·(1, 0, -1)
    np.testing.assert_array_equal(layer.weight.grad, [[1, 4, -1], [10, 0, -10]])
    np.testing.assert_array_equal(layer.bias.grad, [3, 10])
    assert grad_input.dtype == layer.weight.grad.dtype == layer.bias.grad.dtype == dtype


@every_shape
def test_linear_is_the_loop(shape):
    layer = nn.Linear(5, 3, dtype=np.float64, rng=0)
    input, grad_output = draws(shape), draws((*shape[:-1], 3), seed=1)
    output, grad_input = np.zeros(grad_output.shape), np.zeros(shape)
    grad_weight, grad_bias = np.zeros((3, 5)), np.zeros(3)
    for row in np.ndindex(shape[:-1]):
        for i in range(3):
            output[row][i] = layer.bias.data[i]
            grad_bias[i] += grad_output[row][i]
        for i, j in itertools.product(range(3), range(5)):
            output[row][i] += input[row][j] * layer.weight.data[i, j]
            grad_input[row][j] += grad_output[row][i] * layer.weight.data[i, j]
            grad_weight[i, j] += grad_output[row][i] * input[row][j]
    assert_same_sum(layer(input), output)
    assert_same_sum(layer.backward(grad_output), grad_input)
    assert_same_sum(layer.weight.grad, grad_weight)
    assert_same_sum(layer.bias.grad, grad_bias)


@every_shape
@with_and_without_bias
def test_linear_gradients(shape, bias):
    assert_gradients(nn.Linear(5, 3, bias=bias, dtype=np.float64, rng=0), draws(shape))


@every_shape
@both_dtypes
@with_and_without_bias
def test_linear_matches_torch(shape, dtype, bias):
    layer = nn.Linear(5, 3, bias, dtype, rng=0)
    assert_matches_torch(layer, torch.nn.Linear(5, 3, bias), draws(shape, dtype))


@both_dtypes
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 1e4, 0])
def test_linear_special_values_as_torch(dtype, odd):
    layer = nn.Linear(5, 3, dtype=dtype, rng=0)
    layer.weight.data[0, 1] = 0  # 0·∞ is NaN
    input = draws((4, 5), dtype)
    input[2, 1] = odd
    assert_matches_torch(layer, torch.nn.Linear(5, 3), input)
    layer.weight.data[2, 2] = odd
    assert_matches_torch(layer, torch.nn.Linear(5, 3), input)


def test_linear_takes_any_strides_and_read_only():
    array = draws((8, 10))
    array.setflags(write=False)
    for view in (array[::-1, ::2], array[:, :5][::3], array.T[:, :5], np.broadcast_to(array[:1, :5], (4, 5))):
        layer = nn.Linear(5, 3, dtype=np.float64, rng=0)
        assert_matches_torch(layer, torch.nn.Linear(5, 3), view)
        grad_output = draws((3, len(view))).T
        expected = layer.backward(grad_output.copy())
        np.testing.assert_array_equal(layer.backward(grad_output), expected)


def test_linear_same_seed_same_numbers():
    first, second = nn.Linear(3, 2, rng=1), nn.Linear(3, 2, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(first.weight.data, second.weight.data)
    np.testing.assert_array_equal(first.bias.data, second.bias.data)


def test_linear_errors():
    layer = nn.Sequential(nn.Flatten(), nn.Linear(5, 3))[1]
    with raises(
        ValueError,
        'Linear "1": input must have 5 features (last axis). Got shape (2, 4). '
        "Build the layer with in_features=4.",
    ):
        layer(np.zeros((2, 4), np.float32))
    with raises(
        ValueError,
        'Linear "1": input must have 5 features (last axis). Got shape (). '
        "Build the layer with in_features=1.",
    ):
        layer(np.zeros((), np.float32))
    model = nn.Sequential(nn.Conv2d(1, 3, 2), nn.Flatten(), nn.Linear(48, 2))
    with raises(
        ValueError,
        'Linear "2": input must have 48 features (last axis). Got shape (3, 16). '
        "Pass a single image as image[None], or build the layer with in_features=16.",
    ):
        model(np.zeros((1, 5, 5), np.float32))
    with raises(
        ValueError,  # one more axis would help nothing
        "Linear: input must have 48 features (last axis). Got shape (1, 3, 4, 4). Build the layer with in_features=4.",
    ):
        nn.Linear(48, 2)(np.zeros((1, 3, 4, 4), np.float32))
    with raises(
        TypeError,
        'Linear "1": input must be float32, as the layer\'s parameters are. Got float64. Convert the input '
        "with .astype(np.float32), or the model with model.astype(np.float64).",
    ):
        layer(np.zeros((2, 5)))
    with raises(
        TypeError,
        'Linear "1": input must be float32 or float64. Got uint8. Convert it with .astype(np.float32).',
    ):
        layer(np.zeros((2, 5), np.uint8))
    with raises(ValueError, "Linear: in_features must be at least 1. Got 0. Pass a larger number."):
        nn.Linear(0, 3)
    with raises(TypeError, "Linear: out_features must be an integer. Got 3.0 (float). Pass an int."):
        nn.Linear(5, 3.0)
    with raises(
        TypeError, "Linear: dtype must be float32 or float64. Got int64. Pass np.float32 or np.float64."
    ):
        nn.Linear(5, 3, dtype=int)
    assert repr(layer) == "Linear(5, 3, bias=True)"


# Flatten


def test_flatten_by_hand():
    layer = nn.Flatten()
    input = np.arange(24.0).reshape(2, 3, 2, 2)
    output = layer(input)
    assert output.shape == (2, 12)
    assert output[1, (2 * 2 + 1) * 2 + 0] == input[1, 2, 1, 0]  # column (c·H + row)·W + column
    np.testing.assert_array_equal(layer.backward(output), input)


@both_dtypes
@pytest.mark.parametrize("dims", [(), (0,), (2,), (1, 2), (-3, -2), (0, 0), (3, 3)], ids=str)
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (0, 3, 4, 5), (2, 1, 0, 3)], ids=str)
def test_flatten_matches_torch(dims, shape, dtype):
    assert_matches_torch(nn.Flatten(*dims), torch.nn.Flatten(*dims), draws(shape, dtype))


def test_flatten_takes_any_strides():
    assert_matches_torch(nn.Flatten(), torch.nn.Flatten(), draws((3, 4, 5)).transpose(2, 0, 1)[::-2])


def test_flatten_gradients():
    assert_gradients(nn.Flatten(), draws((2, 3, 2)))


def test_flatten_errors():
    with raises(
        ValueError,
        "Flatten: input must have the axes 1 to -1, in this order. Got shape (3,). "
        "Pass a batch, or build the layer with another start_dim.",
    ):
        nn.Flatten()(np.zeros(3))
    with raises(
        ValueError,
        "Flatten: input must have the axes 2 to 1, in this order. Got shape (3, 4, 5). "
        "Pass a batch, or build the layer with another start_dim.",
    ):
        nn.Flatten(2, 1)(np.zeros((3, 4, 5)))
    with raises(TypeError, "Flatten: start_dim must be an integer. Got '1' (str). Pass an int."):
        nn.Flatten("1")
    assert repr(nn.Flatten(0, 2)) == "Flatten(start_dim=0, end_dim=2)"
