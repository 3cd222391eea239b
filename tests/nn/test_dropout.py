"""Dropout: by hand with a known mask, how many numbers fall, evaluation, against torch, errors."""

import copy

import numpy as np
import pytest
import torch

from minicnn import nn
from tests.helpers import assert_gradients, draws, raises

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
both_kinds = pytest.mark.parametrize("kind", [nn.Dropout, nn.Dropout2d])
IMAGES = (3, 4, 5, 2)


class Draws(np.random.Generator):
    """A generator whose `random` gives the numbers that a test wrote down."""

    def __init__(self, numbers) -> None:
        super().__init__(np.random.PCG64(0))
        self.numbers = np.array(numbers, float)

    def random(self, size=None):
        return self.numbers.reshape(size)


# By hand


@both_dtypes
def test_dropout_by_hand(dtype):
    layer = nn.Dropout(0.75, rng=Draws([[0.7499, 0.75], [0, 0.9]]))
    # dropped below 0.75; the rest times 1/(1 - 0.75) = 4
    np.testing.assert_array_equal(
        layer(np.array([[1, 2], [3, 5]], dtype)), np.array([[0, 8], [0, 20]], dtype)
    )
    grad_input = layer.backward(np.array([[10, 20], [30, 40]], dtype))
    np.testing.assert_array_equal(grad_input, np.array([[0, 80], [0, 160]], dtype))
    np.testing.assert_array_equal(layer.saved["mask"], np.array([[0, 4], [0, 4]], dtype))
    assert grad_input.dtype == layer.saved["mask"].dtype == dtype


@both_dtypes
def test_dropout2d_by_hand(dtype):
    layer = nn.Dropout2d(0.5, rng=Draws([0.2, 0.7, 0.5]))
    output = layer(np.array([[[1, 2]], [[3, 4]], [[5, 6]]], dtype))  # (C, H, W)
    np.testing.assert_array_equal(output, np.array([[[0, 0]], [[6, 8]], [[10, 12]]], dtype))
    layer = nn.Dropout2d(0.5, rng=Draws([0.2, 0.7]))
    output = layer(np.array([[[[1, 2]]], [[[3, 4]]]], dtype))  # (N, 1, H, W)
    np.testing.assert_array_equal(output, np.array([[[[0, 0]]], [[[6, 8]]]], dtype))
    np.testing.assert_array_equal(layer.backward(output), np.array([[[[0, 0]]], [[[12, 16]]]], dtype))


# How many fall


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_share_of_zeros_and_mean(p):
    output = nn.Dropout(p, rng=0)(np.ones(100_000))
    # five standard deviations of a share and of a mean of 100,000 draws
    assert abs((output == 0).mean() - p) < 5 * np.sqrt(p * (1 - p) / 1e5)
    assert abs(output.mean() - 1) < 5 * np.sqrt(p / (1 - p) / 1e5)
    assert set(output) == {0, 1 / (1 - p)}


def test_channels_fall_as_a_whole():
    output = nn.Dropout2d(0.5, rng=0)(np.ones((40, 50, 3, 2)))
    assert np.ptp(output, axis=(2, 3)).max() == 0
    assert 0.4 < (output[:, :, 0, 0] == 0).mean() < 0.6
    assert 0 < (output[0, :, 0, 0] == 0).mean() < 1  # every image has its own channels ...
    assert 0 < (output[:, 0, 0, 0] == 0).mean() < 1  # ... and every channel its own images


@both_kinds
def test_all_and_nothing(kind):
    input = draws(IMAGES)
    np.testing.assert_array_equal(kind(1.0)(input), np.zeros(IMAGES))
    np.testing.assert_array_equal(kind(0)(input), input)


# Gradients by differences


@both_kinds
@pytest.mark.parametrize("training", [True, False])
def test_gradients(kind, training):
    assert_gradients(kind(0.4, rng=1).train(training), draws(IMAGES))


# Against torch


@both_kinds
@both_dtypes
@pytest.mark.parametrize("p", [0, 0.3, 1])
def test_values_that_torch_also_gives(kind, dtype, p):
    """The masks differ, but a kept number and a dropped one become what they become in torch."""
    input = np.array([0.5, -2, 0, 1e4, np.inf, -np.inf, np.nan], dtype).repeat(400).reshape(7, 20, 20, 1)
    layer, theirs = kind(p, rng=0), getattr(torch.nn, kind.__name__)(p)
    grad_output = np.array([1, -1, np.inf, np.nan] * 700, dtype).reshape(7, 20, 20, 1)
    torch_input = torch.from_numpy(input.copy()).requires_grad_()
    torch_output = theirs(torch_input)
    torch_output.backward(torch.from_numpy(grad_output))
    output = layer(input)
    for value in range(7):
        np.testing.assert_array_equal(np.unique(output[value]), np.unique(torch_output[value].detach()))
    found = np.unique(layer.backward(grad_output))
    np.testing.assert_array_equal(found, np.unique(torch_input.grad))


@both_kinds
def test_evaluation_passes_everything(kind):
    layer = kind(0.9, rng=0).eval()
    state = copy.deepcopy(layer.rng.bit_generator.state)
    input = np.array([np.nan, np.inf, -1, 0]).reshape(1, 1, 2, 2)
    np.testing.assert_array_equal(layer(input), input)
    np.testing.assert_array_equal(layer.backward(input), input)
    assert layer.rng.bit_generator.state == state


# Chance


@both_kinds
def test_same_seed_same_masks(kind):
    first, second = kind(rng=3), kind(rng=np.random.default_rng(3))
    float32 = kind(rng=3)
    for _ in range(3):
        expected = first(np.ones(IMAGES))
        np.testing.assert_array_equal(second(np.ones(IMAGES)), expected)
        np.testing.assert_array_equal(float32(np.ones(IMAGES, np.float32)), expected)
    assert (first(np.ones(IMAGES)) != expected).any()
    assert (kind(rng=None)(np.ones(IMAGES)) != kind(rng=None)(np.ones(IMAGES))).any()


def test_generators_are_found_by_name():
    shared = np.random.default_rng(0)
    model = nn.Sequential(nn.Dropout(rng=shared), nn.Sequential(nn.Dropout2d(rng=shared), nn.Dropout()))
    assert dict(model.named_generators()) == {"0.rng": shared, "1.1.rng": model[1][1].rng}


@both_kinds
def test_any_strides_empty_and_read_only(kind):
    array = draws((4, 6, 5, 3))
    array.setflags(write=False)
    for view in (
        array[::-1, ::2],
        array.transpose(2, 0, 1, 3),
        np.broadcast_to(array[:1], (3, 6, 5, 3)),
        array[:0],
    ):
        output = kind(0.5, rng=0)(view)
        np.testing.assert_array_equal(output, kind(0.5, rng=0)(view.copy()))
        assert output.shape == view.shape
    if kind is nn.Dropout:
        assert isinstance(nn.Dropout(0.5)(np.array(1.0)), np.ndarray)


# Errors


@both_kinds
def test_errors(kind):
    who = kind.__name__
    for p in (-0.1, 1.1):
        with raises(ValueError, f"{who}: p must lie between 0 and 1. Got {p}. Pass a number in this range."):
            kind(p)
    with raises(
        TypeError, f"{who}: input must be float32 or float64. Got int64. Convert it with .astype(np.float32)."
    ):
        kind()(np.ones(IMAGES, int))
    with raises(
        RuntimeError, f"{who}: backward needs a forward first. Call model(x), then the loss, then backward."
    ):
        kind().backward(np.ones(IMAGES))
    assert repr(kind(0.25)) == f"{who}(p=0.25)"


@pytest.mark.parametrize("training", [True, False])
def test_dropout2d_is_for_images(training):
    with raises(
        ValueError,
        "Dropout2d: input must be (N, C, H, W) or (C, H, W). Got shape (3, 4). "
        "Use Dropout for inputs that are no images.",
    ):
        nn.Dropout2d().train(training)(np.ones((3, 4)))
