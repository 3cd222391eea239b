"""Flips, crops and rotations: what each draw does, by hand and beside torch; how often it comes."""

import itertools

import numpy as np
import pytest
import torch

from minicnn.data.transforms import RandomCrop, RandomHorizontalFlip, RandomRotation
from minicnn.data.transforms.random import rotate
from tests.helpers import SAME_SUM, draws, raises

RANDOM = [RandomHorizontalFlip(0.5), RandomCrop((5, 4), padding=(1, 2)), RandomRotation(40)]

# By hand


def test_flip_by_hand():
    images = np.float32([[[[1, 2, 3], [4, 5, 6]]]])
    assert RandomHorizontalFlip(1)(images).tolist() == [[[[3, 2, 1], [6, 5, 4]]]]
    assert RandomHorizontalFlip(0)(images).tolist() == images.tolist()


def test_crop_by_hand():
    """All places where a 2x2 window fits into 1 2 / 3 4 with a border of zeros, and no other."""
    images = np.tile(np.float32([[[[1, 2], [3, 4]]]]), (2000, 1, 1, 1))
    padded = [[0, 0, 0, 0], [0, 1, 2, 0], [0, 3, 4, 0], [0, 0, 0, 0]]
    windows = {
        (padded[r][c], padded[r][c + 1], padded[r + 1][c], padded[r + 1][c + 1])
        for r, c in itertools.product(range(3), range(3))
    }
    found = RandomCrop(2, padding=1)(images, rng=0).reshape(-1, 4)
    distinct, counts = np.unique(found, axis=0, return_counts=True)
    assert {tuple(row) for row in distinct.astype(int).tolist()} == windows
    assert np.abs(counts - 2000 / 9).max() < 5 * np.sqrt(2000 / 9)  # equally likely


def test_crop_finds_every_row_and_column():
    H, W = 3, 7
    images = np.tile(np.arange(H * W, dtype=np.float64).reshape(1, 1, H, W), (1000, 1, 1, 1))
    found = RandomCrop((2, 3))(images, rng=0)
    assert set(found[:, 0, 0, 0]) == {row * W + column for row in range(2) for column in range(5)}


def test_shift_by_up_to_two_pixels():
    images = np.zeros((500, 1, 28, 28), np.float32)
    images[:, :, 10, 20] = 1
    _, _, rows, columns = np.nonzero(RandomCrop(28, padding=2)(images, rng=0))
    assert len(rows) == 500
    assert set(rows - 10) == set(columns - 20) == {-2, -1, 0, 1, 2}


def test_crop_without_room_is_the_image():
    images = draws((3, 2, 4, 5), np.float32)
    np.testing.assert_array_equal(RandomCrop((4, 5))(images), images)
    assert RandomCrop((6, 5), padding=(1, 0))(images).shape == (3, 2, 6, 5)  # it fits exactly


def test_rotation_by_hand():
    images = np.float32([[[[1, 2, 3], [4, 5, 6]]]])
    np.testing.assert_allclose(rotate(images, np.array([np.pi])), [[[[6, 5, 4], [3, 2, 1]]]], atol=1e-5)
    np.testing.assert_array_equal(rotate(images, np.array([0.0])), images)
    square = np.float32([[[[1, 2], [3, 4]]]])
    # counter-clockwise: what was right is on top
    np.testing.assert_allclose(rotate(square, np.array([np.pi / 2])), [[[[2, 4], [1, 3]]]], atol=1e-5)
    np.testing.assert_allclose(rotate(square, np.array([-np.pi / 2])), [[[[3, 1], [4, 2]]]], atol=1e-5)


def test_rotation_by_45_degrees_by_hand():
    """The corner of a 3x3 image comes from √2 above the centre: 0.41 outside, so 1 - 0.41 of the top pixel."""
    image = np.zeros((1, 1, 3, 3))
    image[0, 0, 0, 1] = 1
    turned = rotate(image, np.array([np.pi / 4]))  # the top centre moves to the left upper corner
    assert turned[0, 0, 0, 0] == pytest.approx(2 - np.sqrt(2))
    assert turned[0, 0, 1, 1] == 0


# Beside torch


@pytest.mark.parametrize("shape", [(3, 2, 7, 5), (2, 1, 28, 28), (1, 3, 1, 4), (2, 2, 6, 6)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rotation_is_grid_sample(shape, dtype):
    N, _, H, W = shape
    images, angles = draws(shape, dtype), draws(N, seed=1) * 2
    dy, dx = np.meshgrid(np.arange(H) - (H - 1) / 2, np.arange(W) - (W - 1) / 2, indexing="ij")
    sine, cosine = np.sin(angles)[:, None, None], np.cos(angles)[:, None, None]
    x, y = dx * cosine - dy * sine, dx * sine + dy * cosine
    grid = np.stack([2 * x / W, 2 * y / H], axis=-1).astype(dtype)  # (N, H, W, 2), edges at -1 and 1
    theirs = torch.nn.functional.grid_sample(
        torch.from_numpy(images), torch.from_numpy(grid), align_corners=False
    )
    # its grid is rounded to float32, so a place is off by some 1e-7 of the width
    np.testing.assert_allclose(rotate(images, angles), theirs, rtol=0, atol=10 * SAME_SUM[np.dtype(dtype)])


# All of them


@pytest.mark.parametrize("transform", RANDOM, ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_seed_dtype_and_strides(transform, dtype):
    images = draws((30, 3, 6, 5), dtype)
    kept = images.copy()
    result = transform(images, rng=4)
    np.testing.assert_array_equal(images, kept)
    assert result.dtype == dtype
    assert not np.shares_memory(result, images)
    np.testing.assert_array_equal(transform(images, rng=4), result)
    np.testing.assert_array_equal(transform(images, np.random.default_rng(4)), result)
    assert not np.array_equal(transform(images, rng=5), result)
    backwards = images[::-1, :, ::-1].copy()[::-1, :, ::-1]
    backwards.flags.writeable = False
    np.testing.assert_array_equal(transform(backwards, rng=4), result)


@pytest.mark.parametrize("transform", RANDOM, ids=repr)
def test_images_of_a_batch_draw_on_their_own(transform):
    images = np.repeat(draws((1, 1, 6, 5)), 30, axis=0)
    assert len(np.unique(transform(images, rng=0).reshape(30, -1), axis=0)) > 1


@pytest.mark.parametrize("transform", RANDOM, ids=repr)
def test_channels_of_an_image_move_together(transform):
    images = np.repeat(draws((10, 1, 6, 5)), 3, axis=1)
    result = transform(images, rng=0)
    np.testing.assert_array_equal(result[:, 0], result[:, 1])
    np.testing.assert_array_equal(result[:, 0], result[:, 2])


@pytest.mark.parametrize("transform", RANDOM, ids=repr)
def test_empty_batch_and_nan(transform):
    assert transform(np.zeros((0, 3, 6, 5), np.float32)).shape[:2] == (0, 3)
    special = np.full((4, 1, 6, 5), np.nan, np.float32)
    special[..., 0] = np.inf
    assert np.isnan(transform(special, rng=0)).any()


def test_how_often_a_flip_comes():
    images = np.tile(np.float32([[[[0, 1]]]]), (10000, 1, 1, 1))
    share = RandomHorizontalFlip(0.3)(images, rng=0)[:, 0, 0, 0].mean()
    assert abs(share - 0.3) < 5 * np.sqrt(0.3 * 0.7 / 10000)


def test_angles_are_drawn_evenly_from_the_range():
    """A gradient image tells its angle: the slope to the right and down after the turn."""
    columns = np.arange(9.0) - 4
    images = np.tile(columns, (9, 1))[None, None].repeat(4000, axis=0)  # the brightness is x
    turned = RandomRotation((-20, 40))(images, rng=0)[:, 0]
    right, down = turned[:, 4, 5] - turned[:, 4, 4], turned[:, 5, 4] - turned[:, 4, 4]
    angles = np.rad2deg(np.arctan2(-down, right))  # x·cos a - y·sin a
    assert angles.min() >= -20 - 1e-9
    assert angles.max() <= 40 + 1e-9
    assert abs(angles.mean() - 10) < 5 * 60 / np.sqrt(12 * 4000)
    np.testing.assert_allclose(np.histogram(angles, bins=6)[0], 4000 / 6, atol=5 * np.sqrt(4000 / 6))


# Errors


@pytest.mark.parametrize("transform", RANDOM, ids=repr)
def test_wrong_images(transform):
    who = type(transform).__name__
    with raises(TypeError, f"{who}: images must be float32 or float64. Got uint8. Put ToFloat before it."):
        transform(np.zeros((2, 6, 5), np.uint8))
    with raises(
        ValueError,
        f"{who}: images must be a batch (N, C, H, W). Got shape (2, 6, 5). Put ToFloat before it.",
    ):
        transform(np.zeros((2, 6, 5)))
    with raises(TypeError, f"{who}: images must be a NumPy array. Got list. Convert it with np.asarray."):
        transform([[1.0]])


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (
            lambda: RandomHorizontalFlip(1.5),
            ValueError,
            "RandomHorizontalFlip: p must lie between 0 and 1. Got 1.5. Pass a number in this range.",
        ),
        (
            lambda: RandomCrop(0),
            ValueError,
            "RandomCrop: size must be at least 1. Got 0. Pass a larger number.",
        ),
        (
            lambda: RandomCrop(3, padding=-1),
            ValueError,
            "RandomCrop: padding must be at least 0. Got -1. Pass a larger number.",
        ),
        (
            lambda: RandomCrop(9, padding=(1, 0))(np.zeros((2, 1, 6, 8))),
            ValueError,
            "RandomCrop: images of 6x8 with padding (1, 0) must hold a window of 9x9. Got shape (2, 1, 6, 8). "
            "Pass a smaller size or more padding.",
        ),
        (
            lambda: RandomRotation(-10),
            ValueError,
            "RandomRotation: degrees must be finite, the lowest first. Got (10.0, -10.0). "
            "Pass for example 10 or (-10, 10).",
        ),
        (
            lambda: RandomRotation(np.inf),
            ValueError,
            "RandomRotation: degrees must be finite, the lowest first. Got (-inf, inf). "
            "Pass for example 10 or (-10, 10).",
        ),
        (
            lambda: RandomRotation((1, 2, 3)),
            ValueError,
            "RandomRotation: degrees must be a number or a pair (lowest, highest). Got (1, 2, 3). "
            "Pass for example 10.",
        ),
        (
            lambda: RandomRotation("10"),
            TypeError,
            "RandomRotation: degrees must be a number. Got '10' (str). Pass a float.",
        ),
    ],
)
def test_wrong_arguments(build, error, message):
    with raises(error, message):
        build()
