"""Central differences: by hand, on curves, on kinks, along directions, and the array put back."""

from __future__ import annotations

import numpy as np
import pytest

from minicnn.inspection.differences import EACH, Slopes, Value


def slopes_of(function, x: np.ndarray, gradient, strict: bool = True, branch=None) -> Slopes:
    """Return the slopes of a function of `x`; `branch` tells which branch a point is on."""

    def value() -> Value:
        branches = [] if branch is None else [("branch", branch(x))]
        return Value(float(function(x)), 1.0, branches)

    return Slopes(value, x, np.asarray(gradient, np.float64), strict)


def test_by_hand():
    # x² + 3y at (2, 5): slopes 4 and 3
    x = np.array([2.0, 5.0])
    slopes = slopes_of(lambda x: x[0] ** 2 + 3 * x[1], x, [4, 3.001])
    assert [slopes.at(0).verdict, slopes.at(1).verdict] == ["right", "wrong"]
    assert slopes.along(np.array([1.0, 0])).verdict == "right"
    assert slopes.along(np.array([1.0, 1])).verdict == "wrong"
    assert abs(slopes.along(np.array([1.0, 1])).numeric - 7) < 1e-8
    assert x.tolist() == [2, 5]


def test_the_array_is_put_back_after_an_error():
    x = np.array([2.0])
    slopes = slopes_of(lambda x: 1 / 0, x, [1])
    with pytest.raises(ZeroDivisionError):
        slopes.at(0)
    assert x.tolist() == [2]


@pytest.mark.parametrize(
    ("gradient", "strict", "verdict"),
    [
        (0, True, "kink"),
        (0.5, True, "right"),
        (1, True, "kink"),
        (2, True, "wrong"),
        (2, False, "kink"),
        (-1, True, "wrong"),
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_on_a_kink_the_two_sides_decide(gradient, strict, verdict, known):
    slopes = slopes_of(lambda x: max(x[0], 0), np.zeros(1), [gradient], strict, np.sign if known else None)
    finding = slopes.at(0)
    if not known and not strict:  # nobody says that several kinks meet here
        verdict = "wrong"
    assert finding.verdict == verdict
    assert finding.who == ("branch" if known and verdict != "right" else None)
    if verdict != "right":
        np.testing.assert_allclose(finding.sides, [0, 1], atol=1e-6)


def test_close_to_a_kink_a_smaller_step_helps():
    # at 3e-7 the steps 1e-5 and 1e-6 cross the kink, 1e-7 does not
    assert slopes_of(lambda x: max(x[0], 0), np.array([3e-7]), [1], True, np.sign).at(0).verdict == "right"
    assert slopes_of(lambda x: max(x[0], 0), np.array([3e-7]), [0], True, np.sign).at(0).verdict == "wrong"


@pytest.mark.parametrize("size", [EACH, EACH + 1, 1000])
def test_every_number_or_directions(size):
    weights = np.random.default_rng(0).normal(size=size)
    x = np.zeros(size)
    good = slopes_of(lambda x: weights @ x, x, weights).check(np.zeros(size, bool), np.random.default_rng(1))
    assert {finding.verdict for finding in good} == {"right"}
    assert len(good) == (size if size <= EACH else 4)
    spoiled = weights.copy()
    spoiled[size // 2] += 1e-3
    bad = slopes_of(lambda x: weights @ x, x, spoiled).check(np.zeros(size, bool), np.random.default_rng(1))
    (single,) = [finding for finding in bad if finding.verdict == "wrong" and finding.index is not None]
    assert single.index == (size // 2,)


def test_nothing_to_check():
    slopes = slopes_of(lambda x: 0, np.zeros((0, 3)), np.zeros((0, 3)))
    assert slopes.check(np.zeros((0, 3), bool), np.random.default_rng(0)) == []


def test_curves_are_no_mistake():
    # (f(x+h) - f(x-h)) / 2h of a curve that changes within 1e-5: only a smaller step sees the slope
    x = np.array([1e-5])
    slopes = Slopes(lambda: Value(float(np.sin(3e4 * x[0])), 1.0, []), x, np.array([3e4 * np.cos(0.3)]))
    assert slopes.at(0).verdict == "right"
    slopes = Slopes(lambda: Value(float(np.sin(3e4 * x[0])), 1.0, []), x, np.array([2.9e4 * np.cos(0.3)]))
    assert slopes.at(0).verdict == "wrong"
