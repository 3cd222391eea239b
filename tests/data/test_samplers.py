"""WeightedRandomSampler."""

import numpy as np
import pytest
import torch

from minicnn.data import WeightedRandomSampler
from tests.helpers import raises


def test_only_positive_weights_are_drawn():
    assert list(WeightedRandomSampler([0, 1, 0], 4, rng=0)) == [1, 1, 1, 1]
    assert sorted(WeightedRandomSampler([1, 0, 5], 2, replacement=False, rng=0)) == [0, 2]
    assert all(type(index) is int for index in WeightedRandomSampler([1.0, 2.0], 3))


def test_frequencies_are_the_weights():
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    drawn = np.bincount(list(WeightedRandomSampler(weights, 20000, rng=0)), minlength=4) / 20000
    torch.manual_seed(0)
    theirs = np.bincount(list(torch.utils.data.WeightedRandomSampler(weights, 20000)), minlength=4) / 20000
    deviation = np.sqrt(0.25 / 20000)  # of a share, at most
    assert np.abs(drawn - weights / 10).max() < 5 * deviation
    assert np.abs(drawn - theirs).max() < 7 * deviation


def test_seeds_and_epochs():
    one, same = (WeightedRandomSampler(np.ones(50), 50, rng=3) for _ in range(2))
    first, second = list(one), list(one)
    assert first == list(same)
    assert first != second
    assert len(one) == 50


def test_huge_and_tiny_weights():
    assert set(WeightedRandomSampler([1e308, 1e308, 1e-300], 100, rng=0)) == {0, 1}
    assert set(WeightedRandomSampler([1e-320, 1e-320], 100, rng=0)) == {0, 1}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            ([1, -1], 2),
            ValueError,
            "weights must be finite, not negative and not all zero. Got -1.0 to 1.0. Pass positive weights.",
        ),
        (
            ([0, 0], 2),
            ValueError,
            "weights must be finite, not negative and not all zero. Got 0.0 to 0.0. Pass positive weights.",
        ),
        (
            ([1, np.nan], 2),
            ValueError,
            "weights must be finite, not negative and not all zero. Got nan to nan. Pass positive weights.",
        ),
        (
            ([[1, 2]], 2),
            TypeError,
            "weights must be a row of numbers, one an image. Got int64 of shape (1, 2). "
            "Pass for example 1 / np.bincount(targets)[targets].",
        ),
        (
            (["a"], 2),
            TypeError,
            "weights must be a row of numbers, one an image. Got <U1 of shape (1,). "
            "Pass for example 1 / np.bincount(targets)[targets].",
        ),
        (([1, 2], 0), ValueError, "num_samples must be at least 1. Got 0. Pass a larger number."),
        (
            ([1, 0, 2], 3, False),
            ValueError,
            "without replacement num_samples may be 2 at most, the number of positive weights. Got 3. "
            "Pass replacement=True, or a smaller number.",
        ),
    ],
)
def test_wrong_arguments(arguments, error, message):
    with raises(error, f"WeightedRandomSampler: {message}"):
        WeightedRandomSampler(*arguments)


def test_repr():
    assert repr(WeightedRandomSampler([1, 2], 5)) == (
        "WeightedRandomSampler(2 weights, num_samples=5, replacement=True)"
    )
