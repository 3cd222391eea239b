"""ReLU and what the fast rung does together with it: the bits are those of the steps one after another."""

from __future__ import annotations

import numpy as np
import pytest
from numba import config

from minicnn.kernels import elementwise
from tests.helpers import draws
from tests.kernels.rungs import EDGES, GRID, Conv, conv2d_relu, conv2d_relu_max_pool2d, special, whole

if config.DISABLE_JIT:
    pytest.skip("vectors need the compiler", allow_module_level=True)

from minicnn.kernels import fast, fast_relu, loops
from minicnn.kernels.registers import lanes_of
from minicnn.kernels.team import NOBODY

DTYPES = [np.float32, np.float64]
WINDOW = (2, 2), (2, 2), (0, 0), (1, 1), False
POOLED = [case for case in GRID + EDGES if min(case.output[2:]) >= 2]
WIDE = [
    Conv((9, 1, 28, 28), (16, 1, 3, 3), padding=(1, 1)),
    Conv((2, 3, 33, 35), (5, 3, 3, 3), padding=(1, 1)),  # odd: the last row and column are in no window
    Conv((2, 3, 14, 14), (4, 3, 3, 3), padding=(1, 1)),  # seven windows in a row
]


def few(shape, dtype=np.float64, seed: int = 0) -> np.ndarray:
    """Return -1, 0 and 1: many ties, also at 0."""
    return np.random.default_rng(seed).integers(-1, 2, shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_by_hand(dtype):
    image = np.array([[[[1, 2, -1, 0], [4, 3, -5, -9], [5, 5, -1, 6]]]], dtype)
    kernel, bias = np.array([[[[10]]]], dtype), np.array([1], dtype)
    found = conv2d_relu(image, kernel, bias, (1, 1), (0, 0), (1, 1), 1)
    assert found.tolist() == [[[[11, 21, 0, 1], [41, 31, 0, 0], [51, 51, 0, 61]]]]  # 10·x + 1, or 0
    output, winners = conv2d_relu_max_pool2d(image, kernel, bias, (1, 1), (0, 0), (1, 1), 1)
    assert output.tolist() == [[[[41, 1]]]]  # of 11 21 41 31, and of 0 1 0 0; the third row is in no window
    assert winners.tolist() == [[[[2, 1]]]]
    grad = np.array([[[[7, 8]]]], dtype)
    grad_input = fast_relu.relu_max_pool2d_backward(grad, winners, (1, 1, 3, 4))
    assert grad_input.tolist() == [[[[0, 0, 0, 8], [7, 0, 0, 0], [0, 0, 0, 0]]]]
    assert grad_input.dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_window_of_zeros_gets_no_gradient(dtype):
    image, kernel = -np.ones((1, 1, 2, 2), dtype), np.ones((1, 1, 1, 1), dtype)
    output, winners = conv2d_relu_max_pool2d(image, kernel, None, (1, 1), (0, 0), (1, 1), 1)
    assert (output.item(), winners.item()) == (0, 4)
    assert not fast_relu.relu_max_pool2d_backward(np.ones_like(output), winners, image.shape).any()


@pytest.mark.parametrize("case", WIDE, ids=str)
def test_winners_that_nobody_wants_are_not_kept(case):
    convolution = (draws(case.input), draws(case.weight, seed=1), None, *case.geometry)
    output, winners = conv2d_relu_max_pool2d(*convolution, keep=False)
    assert winners.size == 0
    np.testing.assert_array_equal(output, conv2d_relu_max_pool2d(*convolution)[0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make", [whole, few, draws, special])
@pytest.mark.parametrize("case", GRID[::5] + EDGES + WIDE, ids=str)
def test_as_one_after_another(case, make, dtype):
    """`special` has NaN and infinity, also in the weights: there the readable rung computes."""
    x, w, b, _ = case.arrays(make, dtype)
    sums = fast.conv2d(x, w, b, *case.geometry)
    rectified = elementwise.relu(sums)
    np.testing.assert_array_equal(fast_relu.relu(sums), rectified)
    np.testing.assert_array_equal(conv2d_relu(x, w, b, *case.geometry), rectified)
    if min(case.output[2:]) < 2:
        return
    pooled, indices = fast.max_pool2d(rectified, *WINDOW)
    output, winners = conv2d_relu_max_pool2d(x, w, b, *case.geometry)
    np.testing.assert_array_equal(output, pooled)
    grad = make(output.shape, dtype, seed=9)
    back = fast.max_pool2d_backward(grad, indices, sums.shape)
    expected = elementwise.relu_backward(back, rectified)
    np.testing.assert_array_equal(fast_relu.relu_max_pool2d_backward(grad, winners, sums.shape), expected)
    np.testing.assert_array_equal(fast_relu.relu_backward(back, rectified), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_against_the_loops(dtype):
    case = Conv((2, 2, 6, 5), (3, 2, 3, 3), padding=(1, 1))
    x, w, b, _ = case.arrays(few, dtype)
    rectified = np.maximum(loops.conv2d(x, w, b, *case.geometry), 0)
    pooled, indices = loops.max_pool2d(rectified, *WINDOW)
    output, winners = conv2d_relu_max_pool2d(x, w, b, *case.geometry)
    np.testing.assert_array_equal(output, pooled)
    first = indices // 5 % 2 * 2 + indices % 5 % 2  # row and column within the window
    np.testing.assert_array_equal(winners, np.where(output > 0, first, 4))


@pytest.mark.parametrize("dtype", DTYPES)
def test_relu_of_odd_arrays(dtype):
    strange = np.array([np.nan, -np.inf, np.inf, -0.0, 0, -3, 4], dtype)
    for array in (strange, strange[::-1], np.broadcast_to(strange, (3, 7)), strange[:0], strange[0]):
        found = fast_relu.relu(array)
        np.testing.assert_array_equal(found, elementwise.relu(array))
        assert (found.shape, found.dtype) == (array.shape, dtype)
        grad = np.ones_like(array)
        expected = elementwise.relu_backward(grad, found)
        np.testing.assert_array_equal(fast_relu.relu_backward(grad, found), expected)


@pytest.mark.parametrize("case", [case for case in POOLED if case.groups == 1][:3] + WIDE, ids=str)
def test_nothing_beside_the_arrays_is_written(case):
    x, w, b, _ = case.arrays(draws, np.float32)
    output, winners = conv2d_relu_max_pool2d(x, w, b, *case.geometry)
    size = case.output[2:]
    planes, lanes = case.output[0] * case.output[1], lanes_of(output.dtype)
    whole = fast_relu.relu_max_pool2d_backward(output, winners, case.output).reshape(planes, -1)
    for start, stop in ((0, planes), (planes // 3, planes // 2), (planes - 1, planes)):
        room = np.full((planes + 2, whole.shape[1]), np.nan, np.float32)
        flat = output.ravel(), winners.ravel(), room.ravel()[whole.shape[1] :]
        fast_relu._relu_max_pool2d_backward(*flat, size, lanes, NOBODY, start, stop)
        np.testing.assert_array_equal(room[1 + start : 1 + stop], whole[start:stop])
        assert np.isnan(room[: start + 1]).all()
        assert np.isnan(room[stop + 1 :]).all()
