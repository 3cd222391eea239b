"""split: no image lost, none twice, every class in proportion."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minicnn.data import ArrayDataset, load, split
from tests.helpers import raises


def numbered(targets) -> ArrayDataset:
    """Return a dataset whose image i is the number i."""
    targets = np.asarray(targets)
    return ArrayDataset(np.arange(len(targets), dtype=np.float32)[:, None], targets)


def test_by_hand():
    parts = split(numbered([0, 1] * 10), [0.5, 0.3, 0.2])
    assert [len(part) for part in parts] == [10, 6, 4]
    assert [np.bincount(part.targets).tolist() for part in parts] == [[5, 5], [3, 3], [2, 2]]
    assert sorted(np.concatenate([part.images for part in parts]).ravel()) == list(range(20))
    for part in parts:
        assert (np.diff(part.images.ravel()) > 0).all()  # the order they had


def test_unequal_classes_keep_their_shares():
    counts = [900, 90, 10]
    parts = split(numbered(np.repeat([0, 1, 2], counts)), [0.7, 0.2, 0.1])
    assert [np.bincount(part.targets).tolist() for part in parts] == [[630, 63, 7], [180, 18, 2], [90, 9, 1]]


def test_sizes_are_the_same_as_fractions():
    fractions, sizes = split(numbered([0, 1, 2] * 8), [0.75, 0.25]), split(numbered([0, 1, 2] * 8), [18, 6])
    for one, other in zip(fractions, sizes, strict=True):
        np.testing.assert_array_equal(one.images, other.images)


def test_the_real_digits_split_again_exactly():
    train, _ = load("mnist-5k")
    smaller, validation = split(train, [0.9, 0.1])
    assert np.bincount(smaller.targets).tolist() == [360] * 10
    assert np.bincount(validation.targets).tolist() == [40] * 10
    assert validation.classes == train.classes
    assert validation.transform is train.transform


def test_seeds():
    dataset = numbered([0, 1] * 50)
    first, again, other = (split(dataset, [50, 50], rng=rng)[0].images for rng in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(split(dataset, [50, 50])[0].images, split(dataset, [50, 50])[0].images)


def test_images_of_a_class_are_shuffled():
    first, _ = split(numbered([0] * 100), [50, 50])
    assert first.images.max() > 60  # not the first 50
    assert 35 < first.images.mean() < 65


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 5), max_size=200),
    st.lists(st.integers(0, 9), min_size=1, max_size=5),
    st.booleans(),
)
def test_any_split(targets, weights, stratified):
    total = sum(weights) or 1
    fractions = [weight / total for weight in weights] if sum(weights) else [1.0]
    parts = split(numbered(np.array(targets, np.int64)), fractions, stratified=stratified)
    together = np.concatenate([part.images for part in parts]).ravel()
    assert sorted(together) == list(range(len(targets)))
    for part, fraction in zip(parts, fractions, strict=True):
        assert abs(len(part) - fraction * len(targets)) <= 1
        if stratified:
            share = fraction * np.bincount(targets, minlength=6) if targets else np.zeros(6)
            assert np.abs(np.bincount(part.targets, minlength=6) - share).max() <= 3


def test_not_stratified_ignores_targets():
    dataset = ArrayDataset(np.zeros((10, 2), np.float32), np.zeros((10, 3), np.float32))
    assert [len(part) for part in split(dataset, [7, 3], stratified=False)] == [7, 3]


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        (
            [3, 3],
            ValueError,
            "sizes must add up to the 4 images. Got [3, 3], together 6. Make the last one the rest.",
        ),
        (
            [0.5, 0.4],
            ValueError,
            "fractions must add up to 1. Got [0.5, 0.4], together 0.9. Make the last one the rest.",
        ),
        ([5, -1], ValueError, "a part must be at least 0. Got -1. Pass a larger number."),
        ([1.5, -0.5], ValueError, "a part must lie between 0 and 1. Got 1.5. Pass a number in this range."),
        (0.5, ValueError, "fractions must add up to 1. Got [0.5], together 0.5. Make the last one the rest."),
        (
            [],
            TypeError,
            "parts must be fractions, or numbers of images. Got []. Pass for example [0.9, 0.1].",
        ),
        (
            ["half", "half"],
            TypeError,
            "parts must be fractions, or numbers of images. Got ['half', 'half']. Pass for example [0.9, 0.1].",
        ),
    ],
)
def test_parts_that_do_not_fit(parts, error, message):
    with raises(error, f"split: {message}"):
        split(numbered([0, 0, 1, 1]), parts)


def test_stratified_needs_classes():
    dataset = ArrayDataset(np.zeros((4, 2), np.float32), np.zeros(4, np.float32))
    with raises(
        TypeError,
        "split: a stratified split needs integer class indexes (N,). Got float32 of shape (4,). "
        "Pass stratified=False.",
    ):
        split(dataset, [2, 2])


def test_dataset_only():
    with raises(
        TypeError,
        "split: dataset must be an ArrayDataset. Got ndarray. "
        "Wrap arrays as data.ArrayDataset(images, targets).",
    ):
        split(np.zeros(4), [2, 2])
