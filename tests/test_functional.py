"""Softmax and its relatives: by hand, against plain loops, against torch, and where exp overflows."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minicnn import functional
from tests.helpers import assert_same_sum, draws, raises

DTYPES = [np.float32, np.float64]
ALONG_AN_AXIS = ["softmax", "log_softmax", "logsumexp"]
SHAPES_AND_AXES = [
    *[((5,), 0), ((5,), -1), ((4, 3), 0), ((4, 3), 1), ((2, 3, 4), 1), ((2, 3, 4, 5), -3)],
    *[((0, 3), 1), ((3, 0), 1)],
]
INF, NAN = math.inf, math.nan
FEW_ROUNDINGS = 1e-14  # exp, one sum of up to five, one quotient: each 2.2e-16 at most, relatively
SPECIAL_ROWS = [
    [NAN, 1, 2],
    [INF, 1, 2],
    [INF, INF, 0],
    [-INF, -INF, -INF],
    [-INF, 1, 2],
    [INF, -INF, 0],
    [NAN, INF, 0],
    [1e4, -1e4, 0],
    [1e4, 1e4, 1e4],
    [3e38, -3e38, 0],  # farther apart than float32 goes
    [0, 0, 0],
]


def loop_softmax(row: list[float]) -> list[float]:
    """Softmax of one row in plain Python: the definition, with exact sums."""
    largest = max(row)
    exponentials = [math.exp(z - largest) for z in row]
    return [e / math.fsum(exponentials) for e in exponentials]


# By hand


def test_softmax_by_hand():
    # exp(0) = 1 and exp(-inf) = 0: rows (1, 1, 1, 1)/4 and (1, 0, 1, 0)/2
    logits = np.array([[7.0, 7, 7, 7], [3, -INF, 3, -INF]])
    np.testing.assert_array_equal(functional.softmax(logits), [[0.25] * 4, [0.5, 0, 0.5, 0]])


def test_log_softmax_by_hand():
    # exp(-10000) is 0 in float64, so log p = (0, -10000) - log(1 + 0)
    np.testing.assert_array_equal(functional.log_softmax(np.array([0.0, -1e4])), [0, -1e4])


def test_logsumexp_by_hand():
    # 5 + log(1 + exp(-10000)) = 5; log of nothing is -inf
    np.testing.assert_array_equal(functional.logsumexp(np.array([[5.0, 5 - 1e4]]), axis=1), [5])
    np.testing.assert_array_equal(functional.logsumexp(np.zeros((2, 0)), axis=1), [-INF, -INF])


def test_sigmoid_by_hand():
    # 1/(1 + 1), 1/(1 + 0), 0/(1 + 0)
    values = functional.sigmoid(np.array([0.0, 1e4, -1e4, INF, -INF, NAN]))
    np.testing.assert_array_equal(values, [0.5, 1, 0, 1, 0, NAN])


def test_one_hot_by_hand():
    rows = functional.one_hot(np.array([[2, 0]], np.uint8), num_classes=3, dtype=np.float64)
    np.testing.assert_array_equal(rows, [[[0, 0, 1], [1, 0, 0]]])
    assert rows.dtype == np.float64
    assert functional.one_hot(np.array(1), 2).tolist() == [0, 1]
    assert functional.one_hot(np.zeros(0, int), 2).shape == (0, 2)
    assert functional.one_hot(np.array([1]), 2).dtype == np.float32


# Where the naive softmax fails


def test_naive_softmax_overflows_and_says_so():
    logits = np.array([1000.0, 999, 800])
    with pytest.warns(RuntimeWarning, match="overflow"), np.errstate(invalid="ignore"):
        naive = functional.naive_softmax(logits)
    assert np.isnan(naive).all()
    # 1/(1 + 1/e) and the rest; exp(-200) is not lost either
    e1, e200 = math.exp(-1), math.exp(-200)
    expected = [1 / (1 + e1), e1 / (1 + e1), e200 / (1 + e1)]
    np.testing.assert_allclose(functional.softmax(logits), expected, rtol=FEW_ROUNDINGS)


def test_naive_softmax_is_right_for_small_logits():
    logits = draws((4, 5))
    assert_same_sum(functional.naive_softmax(logits, axis=0), functional.softmax(logits, axis=0))


def test_every_row_has_its_own_maximum():
    # With one maximum for the whole batch the first row would be exp(-10000)/exp(-10000) = 0/0.
    logits = np.array([[0.0, 0], [1e4, 1e4]])
    np.testing.assert_array_equal(functional.softmax(logits), np.full((2, 2), 0.5))
    np.testing.assert_array_equal(functional.log_softmax(logits), np.full((2, 2), -math.log(2)))
    np.testing.assert_array_equal(functional.logsumexp(logits, 1), [math.log(2), 1e4 + math.log(2)])


# Against loops and torch


def test_softmax_is_the_loop_over_rows():
    logits = draws((3, 4, 5), seed=1) * 10
    expected = np.apply_along_axis(lambda row: loop_softmax(row.tolist()), 1, logits)
    np.testing.assert_allclose(functional.softmax(logits, axis=1), expected, rtol=FEW_ROUNDINGS)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "axis"), SHAPES_AND_AXES)
@pytest.mark.parametrize("name", ALONG_AN_AXIS)
def test_matches_torch(name, shape, axis, dtype):
    x = 5 * draws(shape, dtype)
    ours = getattr(functional, name)(x, axis)
    assert isinstance(ours, np.ndarray)
    assert_same_sum(ours, getattr(torch, name)(torch.from_numpy(x), axis).numpy(), name)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("row", SPECIAL_ROWS, ids=str)
@pytest.mark.parametrize("name", ALONG_AN_AXIS)
def test_special_values_as_torch(name, row, dtype):
    x = np.array([row, [0, 1, 2]], dtype)
    ours, theirs = getattr(functional, name)(x, 1), getattr(torch, name)(torch.from_numpy(x), 1).numpy()
    assert_same_sum(ours[0], theirs[0], name)
    assert_same_sum(ours[1], theirs[1], "the row beside it")


def test_logsumexp_keeps_the_axis_if_told():
    x = draws((2, 3))
    kept = functional.logsumexp(x, axis=0, keepdims=True)
    assert kept.shape == (1, 3)
    np.testing.assert_array_equal(kept[0], functional.logsumexp(x, axis=0))


@pytest.mark.parametrize("dtype", DTYPES)
def test_sigmoid_matches_torch(dtype):
    x = np.concatenate([np.linspace(-100, 100, 401), [1e4, -1e4, INF, -INF, NAN]]).astype(dtype)
    assert_same_sum(functional.sigmoid(x), torch.sigmoid(torch.from_numpy(x)).numpy())
    assert isinstance(functional.sigmoid(np.array(0.0)), np.ndarray)


@pytest.mark.parametrize("name", ALONG_AN_AXIS)
def test_any_strides_and_read_only(name):
    x = draws((6, 8))
    x.setflags(write=False)
    for view in (x[::-1, ::2], x.T, np.broadcast_to(x[:1], (3, 8)), np.asfortranarray(x)):
        function = getattr(functional, name)
        assert_same_sum(function(view, 1), function(np.ascontiguousarray(view), 1))


logits_of_any_kind = hnp.arrays(
    st.sampled_from(DTYPES),
    hnp.array_shapes(min_dims=1, max_dims=4, max_side=5),
    elements=st.floats(-1e6, 1e6, width=32),
)


@given(logits_of_any_kind, st.data())
def test_probabilities_and_shifts(logits, data):
    axis = data.draw(st.integers(-logits.ndim, logits.ndim - 1))
    probabilities = functional.softmax(logits, axis)
    assert probabilities.dtype == logits.dtype
    assert (probabilities >= 0).all()
    total = probabilities.sum(axis, keepdims=True)
    assert_same_sum(total, np.ones_like(total))
    # The same number added to all logits changes nothing; powers of two keep the sums exact.
    whole = np.round(logits.astype(np.float64))
    np.testing.assert_array_equal(functional.softmax(whole + 2.0**20, axis), functional.softmax(whole, axis))
    # log p + logsumexp(z) = z
    log_total = functional.logsumexp(logits, axis, keepdims=True)
    assert_same_sum(functional.log_softmax(logits, axis) + log_total, logits)


@given(hnp.arrays(np.int64, hnp.array_shapes(max_dims=3, max_side=5), elements=st.integers(0, 6)))
def test_one_hot_and_argmax_are_inverse(targets):
    rows = functional.one_hot(targets, 7)
    np.testing.assert_array_equal(rows.argmax(axis=-1), targets)
    np.testing.assert_array_equal(rows.sum(axis=-1), np.ones(targets.shape))


# Errors


@pytest.mark.parametrize("name", [*ALONG_AN_AXIS, "naive_softmax"])
def test_errors_along_an_axis(name):
    function, what = getattr(functional, name), "x" if name == "logsumexp" else "logits"
    must = f"{name}: {what} must"
    with raises(
        TypeError, f"{must} be float32 or float64. Got float16. Convert it with .astype(np.float32)."
    ):
        function(np.zeros(3, np.float16), 0)
    with raises(ValueError, f"{must} have an axis 2. Got shape (3, 4). Pass an axis from -2 to 1."):
        function(np.zeros((3, 4)), 2)
    with raises(ValueError, f"{must} have an axis 0. Got shape (). Pass an array with axes."):
        function(np.array(1.0), 0)
    with raises(TypeError, f"{name}: axis must be an integer. Got 0.5 (float). Pass an int."):
        function(np.zeros(3), 0.5)


def test_sigmoid_error():
    with raises(TypeError, "sigmoid: x must be a NumPy array. Got float. Convert it with np.asarray."):
        functional.sigmoid(0.5)


WRONG_TARGETS = [(np.zeros(2), "float64"), (np.ones(2, bool), "bool"), ([1], "list")]


@pytest.mark.parametrize(("targets", "got"), WRONG_TARGETS)
def test_one_hot_type_errors(targets, got):
    with raises(
        TypeError,
        f"one_hot: targets must be an array of integer class indexes. Got {got}. "
        "Convert them with np.asarray(targets, dtype=np.int64).",
    ):
        functional.one_hot(targets, 3)


@pytest.mark.parametrize("wrong", [-1, 3])
def test_one_hot_value_errors(wrong):
    with raises(
        ValueError,
        f"one_hot: targets must lie in 0 to 2. Got {wrong}. "
        "Pass a larger num_classes, or number the classes from 0.",
    ):
        functional.one_hot(np.array([0, wrong]), 3)
    with raises(ValueError, "one_hot: num_classes must be at least 1. Got 0. Pass a larger number."):
        functional.one_hot(np.array([0]), 0)
