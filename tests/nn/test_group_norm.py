"""Group norm: by hand, against loops, gradients by differences, against torch, what it refuses."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
import torch

import minicnn
from minicnn import nn
from minicnn.kernels import norm
from tests.helpers import assert_gradients, assert_matches_torch, assert_same_sum, distinct, draws, raises

DTYPES = [np.float32, np.float64]
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)
SHAPES = [
    ((3, 6), 2),
    ((1, 6), 1),
    ((2, 6, 5), 3),
    ((4, 6, 5, 2), 1),
    ((4, 6, 5, 2), 2),
    ((4, 6, 2, 5), 6),
    ((2, 6, 1, 1), 3),
    ((2, 6, 2, 3, 2), 3),
]
every_shape = pytest.mark.parametrize(("shape", "groups"), SHAPES, ids=str)
OPTIONS = [{}, {"eps": 0.5}, {"affine": False}]
every_option = pytest.mark.parametrize("options", OPTIONS, ids=str)


def build(groups: int, dtype=np.float64, **options):
    """Return our layer with 6 channels and uneven weights, and torch's."""
    ours, theirs = (kind(groups, 6, **options) for kind in (nn.GroupNorm, torch.nn.GroupNorm))
    if ours.affine:
        ours.weight.data[...], ours.bias.data[...] = [0.5, -2, 3, 1, 0, -0.25], [1, 0, -1, 2, 5, 0.5]
    return ours.astype(dtype), theirs


# By hand


@both_dtypes
def test_two_channels_in_one_group_by_hand(dtype):
    layer = nn.GroupNorm(1, 2, eps=7.0, dtype=dtype)
    layer.weight.data[...], layer.bias.data[...] = [4, 8], [1, 2]
    images = np.array([[[[1, 1]], [[1, 9]]], [[[0, 6]], [[6, 0]]]], dtype)  # (2, 2, 1, 2)
    # Of the first image mean 12/4 = 3, variance (3·2² + 6²)/4 = 12: not a root to write down; see the second.
    # Its mean is 3, its variance 9, 1/√(9 + 7) = 1/4: normalised ∓3/4, times 4 and 8, plus 1 and 2.
    output = layer(images)
    np.testing.assert_array_equal(output[1], np.array([[[-2, 4]], [[8, -4]]], dtype))
    np.testing.assert_array_equal(layer.saved["mean"], np.array([[3], [3]], dtype))
    np.testing.assert_array_equal(layer.saved["variance"], np.array([[12], [9]], dtype))
    # g = 4·(16, 0), 8·(0, 4) = 64, 0, 0, 32; mean of g 24; of g·normalised (-48 - 24)/4 = -18
    # (64 - 24 - 3/4·18)/4 = 6.625, (0 - 24 + 13.5)/4 = -2.625, the same, (32 - 24 - 13.5)/4 = -1.375
    grad_output = np.array([[[[0, 0]], [[0, 0]]], [[[16, 0]], [[0, 4]]]], dtype)
    grad_input = layer.backward(grad_output)
    np.testing.assert_array_equal(
        grad_input, np.array([[[[0, 0]], [[0, 0]]], [[[6.625, -2.625]], [[-2.625, -1.375]]]], dtype)
    )
    np.testing.assert_array_equal(layer.weight.grad, np.array([-12, -3], dtype))  # 16·(-3/4), 4·(-3/4)
    np.testing.assert_array_equal(layer.bias.grad, np.array([16, 4], dtype))
    assert output.dtype == grad_input.dtype == layer.weight.grad.dtype == layer.bias.grad.dtype == dtype


def test_evaluation_is_training():
    layer, images = build(2)[0], draws((2, 6, 3, 3))
    np.testing.assert_array_equal(layer.eval()(images), layer.train()(images))


def test_an_image_does_not_see_the_others():
    layer, images = build(3)[0], draws((5, 6, 3, 4))
    np.testing.assert_array_equal(layer(images)[2:3], layer(images[2:3]))


# Against loops


@every_shape
def test_is_the_loop_over_groups(shape, groups):
    layer, size = build(groups)[0], 6 // groups
    input = draws(shape)
    output, expected = layer(input), np.empty(shape)
    for image in range(shape[0]):
        for group in range(groups):
            channels = slice(group * size, (group + 1) * size)
            numbers = [float(x) for x in input[image, channels].ravel()]
            mean, variance = statistics.fmean(numbers), statistics.pvariance(numbers)
            expected[image, channels] = (input[image, channels] - mean) / math.sqrt(variance + 1e-5)
            assert_same_sum(layer.saved["mean"][image, group], np.float64(mean))
            assert_same_sum(layer.saved["variance"][image, group], np.float64(variance))
    for channel in range(6):
        own = expected[:, channel] * layer.weight.data[channel] + layer.bias.data[channel]
        assert_same_sum(output[:, channel], own)


# Gradients by differences


@every_shape
@every_option
def test_gradients(shape, groups, options):
    assert_gradients(build(groups, **options)[0], 10 * distinct(shape))


# Against torch


@every_shape
@both_dtypes
@every_option
def test_matches_torch(shape, groups, dtype, options):
    ours, theirs = build(groups, dtype, **options)
    assert_matches_torch(ours, theirs, 2 * draws(shape, dtype) + 1)
    assert_matches_torch(ours.eval(), theirs.eval(), 2 * draws(shape, dtype, seed=3) + 1)


@both_dtypes
@pytest.mark.parametrize("affine", [True, False])
def test_a_group_for_every_channel_is_torchs_instance_norm(dtype, affine):
    ours, theirs = nn.GroupNorm(6, 6, affine=affine, dtype=dtype), torch.nn.InstanceNorm2d(6, affine=affine)
    for parameter in ours.parameters():
        parameter.data += np.arange(6, dtype=dtype)
    assert_matches_torch(ours, theirs, draws((2, 6, 3, 4), dtype))


@both_dtypes
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 1e4, -1e4, 0])
def test_special_values_as_torch(dtype, odd):
    ours, theirs = build(2, dtype)
    input = draws((2, 6, 4, 5), dtype)
    input[1, 2, 3, 4] = odd
    if abs(odd) != 1e4:  # of a constant group, torch computes x·a - b, and loses all digits that are left
        input[0, :3] = odd
    assert_matches_torch(ours, theirs, input)


@both_dtypes
def test_constant_groups(dtype):
    layer, _ = build(2, dtype)
    output = layer(np.full((2, 6, 4, 5), 7, dtype))
    np.testing.assert_array_equal(output, np.zeros_like(output) + layer.bias.data.reshape(6, 1, 1))


@both_dtypes
@pytest.mark.parametrize("shape", [(0, 6), (0, 6, 4, 5)], ids=str)
def test_empty_batches(dtype, shape):
    assert_matches_torch(*build(2, dtype), np.zeros(shape, dtype))


@pytest.mark.parametrize("shape", [(0, 6), (0, 6, 4, 5), (2, 6, 0)], ids=str)
def test_nothing_goes_in_and_nothing_comes_out(shape):
    layer = build(2)[0]
    output = layer(np.zeros(shape))
    assert output.shape == layer.backward(output).shape == shape
    np.testing.assert_array_equal(layer.weight.grad, np.zeros(6))


def test_a_large_mean_does_not_swallow_the_spread():
    # E[x²] - E[x]² would lose all digits of a variance of 1 beside a mean of 10000 in float32.
    input = (1e4 + draws((3, 6, 32, 32))).astype(np.float32)
    output = nn.GroupNorm(2, 6)(input)
    np.testing.assert_allclose(output.reshape(3, 2, -1).std(axis=2), 1, rtol=1e-3)


def test_any_strides_and_read_only():
    array = draws((6, 6, 6, 5))
    array.setflags(write=False)
    for view in (array[::-1, ::-1], array.transpose(2, 1, 3, 0), np.broadcast_to(array[:1], (4, 6, 6, 5))):
        assert_matches_torch(*build(3), view)


@pytest.mark.parametrize("shape", [(2, 6, 300, 200), (0, 6, 3, 3)], ids=str)
def test_any_number_of_threads_and_numpy_alone(shape, monkeypatch):
    def numbers():
        layer = build(3, np.float32)[0]
        output = layer(draws(shape, np.float32))
        return [output, layer.backward(output[::-1]), layer.weight.grad, layer.bias.grad]

    before, found = minicnn.get_num_threads(), []
    for threads in (1, 2):
        minicnn.set_num_threads(threads)
        found.append(numbers())
    minicnn.set_num_threads(before)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
    for name in ("batch_norm", "batch_norm_backward"):
        monkeypatch.setattr(nn.group_norm.kernels, name, getattr(norm, name))
    for one, other in zip(numbers(), found[0], strict=True):
        assert_same_sum(one, other)


def test_gradients_add_up():
    layer = nn.GroupNorm(1, 2, eps=3.0)
    for _ in range(2):
        layer(np.float32([[1, 3]]))  # normalised ∓1/2
        layer.backward(np.float32([[8, 4]]))
    np.testing.assert_array_equal(layer.weight.grad, np.float32([-8, 4]))
    np.testing.assert_array_equal(layer.bias.grad, np.float32([16, 8]))


# What is saved, printed, refused


def test_nothing_is_saved_without_gradients():
    layer = nn.GroupNorm(1, 2)
    with nn.no_grad():
        layer(np.ones((1, 2), np.float32))
    assert layer.saved == {}


def test_state_and_repr():
    assert list(nn.GroupNorm(1, 2).state_dict()) == list(torch.nn.GroupNorm(1, 2).state_dict())
    assert nn.GroupNorm(1, 2, affine=False).state_dict() == {}
    assert repr(nn.GroupNorm(2, 4)) == "GroupNorm(2, 4, eps=1e-05, affine=True)"


def test_wrong_arguments():
    with raises(ValueError, "GroupNorm: num_groups must be at least 1. Got 0. Pass a larger number."):
        nn.GroupNorm(0, 4)
    with raises(TypeError, "GroupNorm: num_channels must be an integer. Got 4.0 (float). Pass an int."):
        nn.GroupNorm(2, 4.0)
    message = (
        "num_channels must be divisible by num_groups. Got 4 and 3. Choose a number of groups that divides the "
        "channels."
    )
    with raises(ValueError, f"GroupNorm: {message}"):
        nn.GroupNorm(3, 4)
    with raises(
        ValueError, "GroupNorm: eps must be greater than 0. Got 0. Pass a small number such as 1e-5."
    ):
        nn.GroupNorm(2, 4, eps=0)
    layer = nn.Sequential(nn.GroupNorm(2, 4))[0]
    layer.num_groups = 3
    with raises(ValueError, f'GroupNorm "0": {message}'):
        layer(np.zeros((2, 4, 3, 3), np.float32))


def test_wrong_inputs():
    layer = nn.Sequential(nn.GroupNorm(4, 4))[0]
    with raises(
        ValueError,
        'GroupNorm "0": input must be (N, C, ...). Got shape (4,). '
        "Put the layer where its input has these axes.",
    ):
        layer(np.zeros(4, np.float32))
    with raises(
        ValueError,
        'GroupNorm "0": input must have 4 channels (axis 1). Got 6 in shape (2, 6, 3, 3). '
        "Build the layer with num_channels=6.",
    ):
        layer(np.zeros((2, 6, 3, 3), np.float32))
    with raises(
        ValueError,
        'GroupNorm "0": a group must have more than one value, for one alone is its own mean. Got shape '
        "(3, 4, 1, 1) in 4 groups. Choose fewer groups, or a place before the pooling.",
    ):
        layer(np.zeros((3, 4, 1, 1), np.float32))
    with pytest.raises(TypeError, match='GroupNorm "0": input must be float32, as the layer'):
        layer(np.zeros((2, 4, 3, 3)))
    with pytest.raises(TypeError, match=r'GroupNorm "0": input must be float32 or float64\. Got int64'):
        layer(np.zeros((2, 4, 3, 3), int))
    layer.bias.data = np.zeros(4)
    with pytest.raises(TypeError, match='GroupNorm "0": bias must be float32'):
        layer(np.zeros((2, 4, 3, 3), np.float32))
