"""The weight gradient of small planes, with weights in the lanes: against the loops, and bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from numba import config

from minicnn import set_num_threads
from minicnn.kernels import loops
from tests.helpers import draws
from tests.kernels.rungs import Conv, special, whole

if config.DISABLE_JIT:
    pytest.skip("vectors need the compiler", allow_module_level=True)

from minicnn.kernels import fast_grad, fast_positions, jitted

CASES = [
    Conv((1, 20, 7, 7), (32, 20, 3, 3), padding=(1, 1)),
    Conv((3, 20, 7, 6), (33, 20, 3, 3), padding=(1, 1)),
    Conv((23, 17, 9, 8), (34, 17, 3, 3), stride=(2, 2)),  # images of two parts and a rest
    Conv((2, 17, 12, 10), (35, 17, 3, 3), padding=(2, 1), dilation=(2, 3)),
    Conv((1, 13, 14, 6), (32, 13, 5, 3), stride=(2, 1), padding=(0, 1)),
    Conv((2, 150, 5, 5), (32, 150, 1, 1)),
]


def arrays(case, make, dtype):
    """Return gradient and image of a case, and what else the kernels take."""
    x, _, _, g = case.arrays(make, dtype)
    return g, x, case.weight, *case.geometry


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_small_whole_numbers_are_exact(case, dtype):
    given = arrays(case, whole, dtype)
    assert fast_positions.serves(given[0].shape, case.weight, case.groups)
    found = fast_grad.conv2d_grad_weight(*given)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, jitted.conv2d_grad_weight(*given))


def test_against_the_loops():
    case = Conv((2, 48, 4, 5), (32, 48, 3, 3), padding=(1, 1))
    given = arrays(case, draws, np.float64)
    np.testing.assert_allclose(
        fast_grad.conv2d_grad_weight(*given), loops.conv2d_grad_weight(*given), rtol=1e-12
    )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_close_to_float64(case):
    """Every sum of n products is within n·2^-24 of the sum of their sizes, at the very worst."""
    given = arrays(case, draws, np.float32)
    wide = [array.astype(np.float64) for array in given[:2]]
    exact, sizes = (jitted.conv2d_grad_weight(*pair, *given[2:]) for pair in (wide, map(np.abs, wide)))
    n = given[0].size // given[0].shape[1]
    assert (np.abs(fast_grad.conv2d_grad_weight(*given) - exact) <= n * 2.0**-24 * sizes).all()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_nan_and_infinity_pass(case):
    given = arrays(case, special, np.float32)
    np.testing.assert_array_equal(
        np.isnan(fast_grad.conv2d_grad_weight(*given)), np.isnan(jitted.conv2d_grad_weight(*given))
    )


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.usefixtures("all_work_is_shared")
def test_the_same_bits_for_any_number_of_threads(case):
    given = arrays(case, draws, np.float32)
    set_num_threads(1)
    expected = fast_grad.conv2d_grad_weight(*given)
    for count in (2, 3, 8):
        set_num_threads(count)
        np.testing.assert_array_equal(fast_grad.conv2d_grad_weight(*given), expected)


@pytest.mark.usefixtures("all_work_is_shared")
def test_threads_that_share_columns_do_not_add_them_twice():
    """The last tile ends with the row of weights: here it shares columns with the tile before, of another thread."""
    case = Conv((64, 17, 7, 7), (32, 17, 3, 3), padding=(1, 1))
    given = arrays(case, draws, np.float32)
    set_num_threads(1)
    alone = fast_grad.conv2d_grad_weight(*given)
    for count in (2, 4, 8):
        set_num_threads(count)
        for _ in range(20):
            np.testing.assert_array_equal(fast_grad.conv2d_grad_weight(*given), alone)
    np.testing.assert_allclose(alone, jitted.conv2d_grad_weight(*given), rtol=0, atol=1e-3)


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_is_computed_in_order(odd):
    given = arrays(CASES[1], draws, np.float32)
    given[0][1, 32, 3, 3] = odd
    found = fast_grad.conv2d_grad_weight(*given)
    np.testing.assert_array_equal(found, jitted.conv2d_grad_weight(*given))
    assert not np.isfinite(found[32]).all()
    assert np.isfinite(found[:32]).all()


@pytest.mark.parametrize("size", [7, 14])
def test_no_image_gives_no_gradient(size):
    given = arrays(Conv((0, 20, size, size), (32, 20, 3, 3), padding=(1, 1)), draws, np.float32)
    assert not fast_grad.conv2d_grad_weight(*given).any()
