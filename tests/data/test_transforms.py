"""Transforms without chance."""

import numpy as np
import pytest
import torch

from minicnn.data import ArrayDataset, load
from minicnn.data.transforms import (
    Compose,
    Normalize,
    OneHot,
    RandomCrop,
    ToFloat,
    Transform,
)
from tests.helpers import draws, raises

BYTES = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), dtype=np.uint8)

# ToFloat


def test_to_float_by_hand():
    grey = np.array([[[0, 51], [102, 255]]], dtype=np.uint8)  # (1, 2, 2)
    np.testing.assert_array_equal(ToFloat()(grey), np.float32([[[[0, 0.2], [0.4, 1]]]]))
    colour = np.array([[[[255, 0, 51]]]], dtype=np.uint8)  # one pixel: red, green, blue
    np.testing.assert_array_equal(ToFloat()(colour), np.float32([[[[1]], [[0]], [[0.2]]]]))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((4, 5, 6), (4, 1, 5, 6)),
        ((4, 5, 6, 3), (4, 3, 5, 6)),
        ((4, 5, 6, 1), (4, 1, 5, 6)),
        ((5, 6), (1, 5, 6)),
        ((0, 5, 6), (0, 1, 5, 6)),
        ((0, 5, 6, 3), (0, 3, 5, 6)),
    ],
)
def test_to_float_shapes(shape, expected):
    images = np.zeros(shape, np.uint8)
    images.flags.writeable = False
    result = ToFloat()(images)
    assert result.shape == expected
    assert result.dtype == np.float32
    assert result.flags.c_contiguous


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_to_float_is_that_of_torch(dtype):
    theirs = torch.from_numpy(BYTES).permute(0, 3, 1, 2).to(torch.from_numpy(np.empty(0, dtype)).dtype) / 255
    for images in (BYTES, np.asfortranarray(BYTES), BYTES[:, ::-1, ::-1][:, ::-1, ::-1]):
        ours = ToFloat(dtype)(images)
        np.testing.assert_array_equal(ours, theirs.numpy())
        assert ours.dtype == dtype


def test_to_float_errors():
    with raises(
        TypeError,
        "ToFloat: images must be a uint8 array. Got float32. Leave ToFloat out for images that are floats.",
    ):
        ToFloat()(np.zeros((1, 2, 2), np.float32))
    with raises(
        ValueError,
        "ToFloat: images must be (N, H, W), (N, H, W, C) or one grey image (H, W). Got shape (4,). Pass a batch.",
    ):
        ToFloat()(np.zeros(4, np.uint8))
    with raises(
        ValueError,
        "ToFloat: images must be (N, H, W, C), the channels last. Got shape (8, 3, 32, 32). "
        "Pass images.transpose(0, 2, 3, 1).",
    ):
        ToFloat()(np.zeros((8, 3, 32, 32), np.uint8))
    with raises(
        TypeError, "ToFloat: dtype must be float32 or float64. Got float16. Pass np.float32 or np.float64."
    ):
        ToFloat(np.float16)


# Normalize


def test_normalize_by_hand():
    images = np.float64([[[[3, 5]], [[0, 20]]]])  # (1, 2, 1, 2)
    expected = [[[[1, 2]], [[-2, 2]]]]  # (3-1)/2, (5-1)/2; (0-10)/5, (20-10)/5
    assert Normalize([1, 10], [2, 5])(images).tolist() == expected
    assert Normalize([1, 10], [2, 5])(images[0]).tolist() == expected[0]  # one image
    assert images[0, 0, 0, 0] == 3  # the caller's array stays
    assert Normalize(1, 2)(images).tolist() == [[[[1, 2]], [[-0.5, 9.5]]]]  # one number for both channels


def test_normalize_keeps_the_dtype_and_nan():
    for dtype in (np.float32, np.float64):
        assert Normalize(0.5, 0.25)(np.ones((2, 1, 3, 3), dtype)).dtype == dtype
    result = Normalize(0.5, 0.25)(np.float32([[[[np.nan, np.inf, -np.inf]]]]))
    np.testing.assert_array_equal(result, np.float32([[[[np.nan, np.inf, -np.inf]]]]))


@pytest.mark.parametrize("images", [BYTES, BYTES[..., 0], BYTES[..., ::-1]])
def test_fit_is_mean_and_deviation_of_the_pixels(images):
    found = Normalize.fit(ArrayDataset(images, np.zeros(4, np.int64)))
    pixels = images.reshape(-1, images.shape[-1] if images.ndim == 4 else 1) / 255
    np.testing.assert_allclose(found.mean, pixels.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.std, pixels.std(axis=0), rtol=1e-12)


def test_fit_on_floats():
    images = draws((4, 2, 5, 6), np.float32)
    found = Normalize.fit(ArrayDataset(images, np.zeros(4, np.int64)))
    np.testing.assert_allclose(found.mean, images.mean(axis=(0, 2, 3), dtype=np.float64), rtol=1e-9)
    np.testing.assert_allclose(found.std, images.std(axis=(0, 2, 3), dtype=np.float64), rtol=1e-9)


def test_after_fit_the_pixels_have_mean_0_and_deviation_1():
    train, _ = load("mnist-5k")
    prepared = Compose([ToFloat(np.float64), Normalize.fit(train)])(train.images)
    assert abs(prepared.mean()) < 1e-12
    assert abs(prepared.std() - 1) < 1e-12


def test_fit_on_a_constant_channel():
    assert Normalize.fit(ArrayDataset(np.full((2, 3, 3), 51, np.uint8), np.zeros(2, np.int64))).std == (1.0,)


def test_normalize_errors():
    with raises(
        ValueError,
        "Normalize: images must have 3 channels, one for each mean. Got 1 in shape (2, 1, 4, 4). "
        "Use Normalize.fit(dataset) to measure them.",
    ):
        Normalize([0, 0, 0], [1, 1, 1])(np.zeros((2, 1, 4, 4)))
    with raises(
        ValueError,
        "Normalize: images must be (N, C, H, W) or (C, H, W). Got shape (4, 4). Put ToFloat before it.",
    ):
        Normalize(0, 1)(np.zeros((4, 4)))
    with raises(
        TypeError,
        "Normalize: images must be float32 or float64. Got uint8. Convert it with .astype(np.float32).",
    ):
        Normalize(0, 1)(np.zeros((1, 1, 4, 4), np.uint8))
    with raises(
        ValueError,
        "Normalize: mean and std must be equal in number. Got 3 and 1. Pass one of each a channel.",
    ):
        Normalize([0, 0, 0], 1)
    with raises(
        ValueError,
        "Normalize: std must be positive. Got 0.0. Use Normalize.fit(dataset) to measure it.",
    ):
        Normalize([0, 0], [1, 0])
    with raises(
        ValueError,
        "Normalize: mean must be one or more finite numbers. Got [inf]. Pass one a channel.",
    ):
        Normalize(np.inf, 1)
    with raises(ValueError, "Normalize: std must be one or more finite numbers. Got []. Pass one a channel."):
        Normalize(0, [])
    with raises(TypeError, "Normalize: mean must be a number. Got 'a' (str). Pass a float."):
        Normalize("a", 1)


def test_fit_errors():
    with raises(
        TypeError,
        "Normalize.fit: dataset must be an ArrayDataset. Got ndarray. "
        "Wrap arrays as data.ArrayDataset(images, targets).",
    ):
        Normalize.fit(BYTES)
    with raises(
        ValueError,
        "Normalize.fit: images must be (N, H, W[, C]) in uint8 or (N, C, H, W) in floats, at least one. "
        "Got uint8 of shape (0, 2, 2). Pass a dataset of images.",
    ):
        Normalize.fit(ArrayDataset(np.zeros((0, 2, 2), np.uint8), np.zeros(0, np.int64)))


# OneHot


def test_one_hot():
    np.testing.assert_array_equal(OneHot(3)(np.array([2, 0])), np.float32([[0, 0, 1], [1, 0, 0]]))
    assert OneHot(3, np.float64)(np.array([1])).dtype == np.float64
    with raises(ValueError, "OneHot: num_classes must be at least 1. Got 0. Pass a larger number."):
        OneHot(0)


# Compose


def test_compose_applies_in_order_and_flattens():
    inner = Compose([ToFloat(), Normalize(0.5, 0.5)])
    outer = Compose([inner, lambda images: images + 1])
    assert len(outer.transforms) == 3
    images = np.array([[[0, 255]]], np.uint8)
    assert outer(images).tolist() == [[[[0, 2]]]]
    assert Compose([])(images) is images


def test_compose_hands_the_generator_on():
    """An int seeds one stream for all transforms: two crops in a row do not draw the same numbers."""
    images = np.arange(64, dtype=np.float32).reshape(1, 1, 8, 8)
    crop = RandomCrop(4)
    together = [Compose([RandomCrop(6), crop])(images, rng=seed)[0, 0, 0, 0] for seed in range(20)]
    rngs = [np.random.default_rng(seed) for seed in range(20)]
    by_hand = [crop(RandomCrop(6)(images, rng), rng)[0, 0, 0, 0] for rng in rngs]
    assert together == by_hand


def test_compose_errors():
    with raises(
        TypeError,
        "Compose: every transform must be callable on a batch. Got ToFloat. "
        "Pass for example [ToFloat(), Normalize(0.13, 0.31)].",
    ):
        Compose([ToFloat])  # without brackets
    with raises(
        TypeError,
        "Compose: every transform must be callable on a batch. Got int. "
        "Pass for example [ToFloat(), Normalize(0.13, 0.31)].",
    ):
        Compose([3])
    with raises(
        TypeError,
        "Compose: only minicnn.data.transforms can be written down. Got negative. "
        "Leave it out, and apply it yourself.",
    ):
        Compose([np.negative]).config()


def test_a_transform_without_call():
    with raises(
        TypeError,
        "Transform: __call__ is missing. Got a transform without one. Define __call__(images, rng=None).",
    ):
        Transform()(BYTES)
