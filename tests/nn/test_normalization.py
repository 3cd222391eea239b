"""Batch norm: by hand, against loops, gradients by differences, against torch, its state."""

import copy
import math
import statistics

import numpy as np
import pytest
import torch

from minicnn import nn
from tests.helpers import assert_gradients, assert_matches_torch, assert_same_sum, distinct, draws

DTYPES = [np.float32, np.float64]
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)
KINDS = {1: (nn.BatchNorm1d, torch.nn.BatchNorm1d), 2: (nn.BatchNorm2d, torch.nn.BatchNorm2d)}
SHAPES = [
    (1, (5, 3)),
    (1, (4, 3, 7)),
    (1, (1, 3, 5)),
    (2, (4, 3, 5, 2)),
    (2, (1, 3, 4, 5)),
    (2, (2, 3, 1, 1)),
]
every_shape = pytest.mark.parametrize(("kind", "shape"), SHAPES)
OPTIONS = [
    {},
    {"eps": 0.5, "momentum": 0.3},
    {"momentum": None},
    {"affine": False},
    {"track_running_stats": False},
    {"affine": False, "track_running_stats": False},
]
every_option = pytest.mark.parametrize("options", OPTIONS, ids=str)


def build(kind: int, dtype=np.float64, **options):
    """Return our layer with 3 channels, uneven weights and statistics, and torch's."""
    ours, theirs = KINDS[kind][0](3, dtype=dtype, **options), KINDS[kind][1](3, **options)
    if ours.affine:
        ours.weight.data[...], ours.bias.data[...] = [0.5, -2, 3], [1, 0, -1]
    if ours.track_running_stats:
        ours.running_mean[...], ours.running_var[...] = [1, -1, 0.5], [0.25, 4, 2]
    return ours, theirs


# By hand


def test_training_by_hand():
    layer = nn.BatchNorm1d(1, eps=5.0, momentum=0.5, dtype=np.float64)
    layer.weight.data[...], layer.bias.data[...] = 6, 1
    # mean 4, variance ((-2)² + 2²)/2 = 4, 1/√(4 + 5) = 1/3: normalised -2/3 and 2/3, times 6 plus 1
    np.testing.assert_array_equal(layer(np.array([[2.0], [6]])), [[-3], [5]])
    # running mean 0.5·0 + 0.5·4; variance 0.5·1 + 0.5·(8/(2 - 1))
    assert (layer.running_mean.item(), layer.running_var.item(), layer.num_batches_tracked.item()) == (
        2,
        4.5,
        1,
    )
    # g = 6·(9, 0) = (54, 0); mean of g 27; mean of g·normalised = 54·(-2/3)/2 = -18
    # (54 - 27 + 2/3·(-18))/3 = (27 - 12)/3 = 5, (0 - 27 - 2/3·(-18))/3 = -5
    np.testing.assert_allclose(layer.backward(np.array([[9.0], [0]])), [[5], [-5]], rtol=1e-15)
    assert (layer.weight.grad.item(), layer.bias.grad.item()) == (-6, 9)  # 9·(-2/3); 9 + 0


def test_evaluation_by_hand():
    layer = nn.BatchNorm2d(1, eps=5.0).eval()
    layer.weight.data[...], layer.bias.data[...] = 6, 1
    layer.running_mean[...], layer.running_var[...] = 2, 4
    # (x - 2)/√(4 + 5)·6 + 1 = 2x - 3
    np.testing.assert_array_equal(layer(np.float32([[[[2, 5]]]])), np.float32([[[[1, 7]]]]))
    # only the direct path: G·6/3; normalised (0, 1)
    np.testing.assert_array_equal(layer.backward(np.float32([[[[10, 20]]]])), np.float32([[[[20, 40]]]]))
    assert (layer.weight.grad.item(), layer.bias.grad.item()) == (20, 30)
    assert layer.num_batches_tracked == 0


def test_cumulative_average_by_hand():
    layer = nn.BatchNorm1d(1, momentum=None, dtype=np.float64)
    for mean in (1.0, 2.0, 6.0):
        layer(np.array([[mean - 1], [mean + 1]]))  # unbiased variance (1 + 1)/(2 - 1) = 2
    np.testing.assert_allclose([layer.running_mean.item(), layer.running_var.item()], [3, 2], rtol=1e-15)


# Against loops


@every_shape
def test_is_the_loop_over_channels(kind, shape):
    layer, _ = build(kind)
    input = draws(shape)
    output = layer(input)
    for channel in range(3):
        numbers = [float(x) for x in input[:, channel].ravel()]
        mean, variance = statistics.fmean(numbers), statistics.pvariance(numbers)
        weight, bias = layer.weight.data[channel], layer.bias.data[channel]
        expected = [(x - mean) / math.sqrt(variance + 1e-5) * weight + bias for x in numbers]
        assert_same_sum(output[:, channel].ravel(), np.array(expected))
        assert_same_sum(layer.saved["mean"][channel], np.float64(mean))
        assert_same_sum(layer.saved["variance"][channel], np.float64(variance))


# Gradients by differences


@every_shape
@every_option
@pytest.mark.parametrize("training", [True, False])
def test_gradients(kind, shape, options, training):
    layer = build(kind, **options)[0].train(training)
    assert_gradients(layer, 10 * distinct(shape))


# Against torch


@every_shape
@both_dtypes
@every_option
def test_matches_torch(kind, shape, dtype, options):
    ours, theirs = build(kind, dtype, **options)
    for seed in range(3):  # the running statistics as well, batch after batch
        assert_matches_torch(ours, theirs, 2 * draws(shape, dtype, seed) + 1)
    assert_matches_torch(ours.eval(), theirs.eval(), 2 * draws(shape, dtype, seed=3) + 1)


@every_shape
@both_dtypes
def test_statistics_follow_torch_without_being_copied(kind, shape, dtype):
    ours, theirs = KINDS[kind][0](3, dtype=dtype), KINDS[kind][1](3, dtype=getattr(torch, dtype.__name__))
    for seed in range(5):
        input = draws(shape, dtype, seed)
        ours(input), theirs(torch.from_numpy(input))
    for name, array in ours.state_dict().items():
        assert_same_sum(array.astype(dtype), theirs.state_dict()[name].numpy().astype(dtype), name)
    assert ours.num_batches_tracked.dtype == np.int64
    assert ours.num_batches_tracked.shape == ()


@both_dtypes
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 1e4, -1e4, 0])
@pytest.mark.parametrize("training", [True, False])
def test_special_values_as_torch(dtype, odd, training):
    ours, theirs = build(2, dtype)
    input = draws((2, 3, 4, 5), dtype)
    input[1, 2, 3, 4] = odd
    input[0, 1] = odd
    assert_matches_torch(ours.train(training), theirs.train(training), input)


@both_dtypes
def test_constant_channels(dtype):
    ours, theirs = build(2, dtype)
    input = np.full((2, 3, 4, 5), 7, dtype)
    # variance 0, so all that is left is the bias; torch's float32 is 6e-5 off, because it computes x·a - b
    np.testing.assert_array_equal(ours(input), np.zeros_like(input) + ours.bias.data.reshape(1, 3, 1, 1))
    if dtype is np.float64:
        assert_matches_torch(ours, theirs, input)


@both_dtypes
@pytest.mark.parametrize(("kind", "shape"), [(1, (0, 3)), (1, (2, 3, 0)), (2, (0, 3, 4, 5))])
@pytest.mark.parametrize("training", [True, False])
def test_empty_batches(dtype, kind, shape, training):
    ours, theirs = build(kind, dtype)
    assert_matches_torch(ours.train(training), theirs.train(training), np.zeros(shape, dtype))


def test_a_large_mean_does_not_swallow_the_spread():
    # E[x²] - E[x]² would lose all digits of a variance of 1 beside a mean of 10000 in float32.
    input = (1e4 + draws((64, 3, 8, 8))).astype(np.float32)
    output = nn.BatchNorm2d(3)(input)
    np.testing.assert_allclose(output.std(axis=(0, 2, 3)), 1, rtol=1e-3)


@pytest.mark.parametrize("training", [True, False])
def test_any_strides_and_read_only(training):
    array = draws((6, 6, 6, 5))
    array.setflags(write=False)
    for view in (
        array[::-1, ::2],
        array.transpose(0, 3, 1, 2)[:, :3],
        np.broadcast_to(array[:1, :3], (4, 3, 6, 5)),
    ):
        ours, theirs = build(2)
        assert_matches_torch(ours.train(training), theirs.train(training), view)


# State


def test_evaluation_leaves_the_module_as_it_is():
    layer = build(2)[0].eval()
    before = copy.deepcopy(layer.state_dict())
    with nn.no_grad():
        layer(draws((2, 3, 4, 5)))
    assert layer.saved == {}
    for name, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_later_training_batch_does_not_change_an_earlier_backward():
    layer = build(1)[0].eval()
    layer(draws((4, 3)))
    saved = copy.deepcopy(layer.saved)
    with nn.no_grad():
        layer.train()(draws((4, 3), seed=1))
    for name, value in layer.saved.items():
        np.testing.assert_array_equal(value, saved[name])


def test_buffers_keep_their_place():
    layer = build(2)[0]
    buffers = dict(layer.named_buffers())
    layer(draws((2, 3, 4, 5)))
    assert all(array is buffers[name] for name, array in layer.named_buffers())


def test_what_is_left_out_is_not_in_the_state():
    assert list(nn.BatchNorm1d(2).state_dict()) == list(torch.nn.BatchNorm1d(2).state_dict())
    assert list(nn.BatchNorm1d(2, affine=False).state_dict()) == list(
        torch.nn.BatchNorm1d(2, affine=False).state_dict()
    )
    assert nn.BatchNorm1d(2, affine=False, track_running_stats=False).state_dict() == {}


def test_astype():
    layer = nn.BatchNorm1d(2).astype(np.float64)
    assert layer(np.ones((3, 2))).dtype == np.float64
    assert {name: str(array.dtype) for name, array in layer.state_dict().items()} == {
        "weight": "float64",
        "bias": "float64",
        "running_mean": "float64",
        "running_var": "float64",
        "num_batches_tracked": "int64",
    }
