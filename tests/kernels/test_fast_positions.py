"""The weight gradient with channels in the lanes: against the loops, and bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from numba import config

from minicnn import set_num_threads
from minicnn.kernels import loops
from tests.helpers import draws
from tests.kernels.rungs import Conv, Walls, special, whole

if config.DISABLE_JIT:
    pytest.skip("vectors need the compiler", allow_module_level=True)

from minicnn.kernels import fast_grad, jitted
from minicnn.kernels.fast_positions import TOGETHER, positions_call
from minicnn.kernels.registers import lanes_of

CASES = [
    Conv((1, 64, 7, 7), (12, 64, 3, 3), padding=(1, 1)),
    Conv((3, 32, 7, 6), (33, 32, 3, 3), padding=(1, 1)),
    Conv((1, 16, 9, 9), (51, 16, 3, 3), padding=(1, 1)),  # strips of filters, the last in part
    # parts of two and three images, and channels that are met twice
    Conv((45, 31, 9, 8), (34, 31, 3, 3), stride=(2, 2)),
    Conv((4, 16, 12, 10), (35, 16, 3, 3), padding=(2, 1), dilation=(2, 3)),
    # more taps than a vector has numbers
    Conv((3, 30, 14, 6), (13, 30, 5, 5), stride=(2, 1), padding=(0, 2)),
    # more positions than are summed up at once
    Conv((5, 16, 30, 29), (14, 16, 3, 1), padding=(1, 0)),
    # pixels behind the last that is read
    Conv((4, 48, 3, 3), (12, 48, 2, 2), stride=(3, 3), padding=(1, 1)),
    Conv((4, 46, 5, 5), (32, 46, 1, 1)),
    Conv((19, 96, 6, 5), (16, 96, 1, 1), stride=(2, 2)),
]


def arrays(case, make, dtype):
    """Return gradient and image of a case, and what else the kernels take."""
    x, _, _, g = case.arrays(make, dtype)
    return g, x, case.weight, *case.geometry


def call_of(case, dtype):
    """Return the GatherCall of a case, if it has one."""
    return positions_call(case.output, case.input, case.weight, np.dtype(dtype), *case.geometry)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_who_has_channels_in_the_lanes(dtype):
    case = Conv((64, 64, 14, 14), (64, 64, 3, 3), padding=(1, 1))
    assert call_of(case, dtype) is not None
    lanes = lanes_of(np.dtype(dtype))
    for other in (
        case._replace(input=(64, lanes - 1, 14, 14), weight=(64, lanes - 1, 3, 3)),  # few channels
        case._replace(
            input=(64, lanes + 1, 14, 14), weight=(64, lanes + 1, 3, 3)
        ),  # the second vector is empty
        case._replace(
            input=(64, lanes, 14, 14), weight=(64, lanes, 1, 1)
        ),  # two of a tile's three vectors are
        case._replace(weight=(11, 64, 3, 3)),  # few filters
        case._replace(input=(1, lanes, 14, 14), weight=(13, lanes, 3, 3)),  # a single piece
        case._replace(input=(64, 64, 14, 14), weight=(64, 32, 3, 3), groups=2),
        case._replace(padding=(99, 99), dilation=(99, 99)),
    ):
        assert call_of(other, dtype) is None, other


def test_images_are_summed_up_together():
    small, large = (call_of(Conv((64, 16, size, size), (16, 16, 1, 3)), np.float32) for size in (7, 30))
    assert small.where[2][-2] == min(64 // small.parts, TOGETHER // (7 * 5)) > 1
    assert large.where[2][-2] == 1
    assert TOGETHER < 30 * 28


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_small_whole_numbers_are_exact(case, dtype):
    given = arrays(case, whole, dtype)
    assert call_of(case, dtype) is not None
    grads = given[0]
    found, bias = fast_grad.conv2d_grad_parameters(grads, None, grads.shape, *given[1:])
    assert found.dtype == bias.dtype == dtype
    np.testing.assert_array_equal(found, jitted.conv2d_grad_weight(*given))
    np.testing.assert_array_equal(bias, grads.sum(axis=(0, 2, 3)))


def test_against_the_loops():
    case = Conv((4, 32, 4, 5), (12, 32, 3, 3), padding=(1, 1))
    given = arrays(case, whole, np.float64)
    np.testing.assert_array_equal(fast_grad.conv2d_grad_weight(*given), loops.conv2d_grad_weight(*given))


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
def test_threads_that_share_channels_do_not_add_them_twice():
    """The last walk ends with the last channel: here it shares channels with the one before, of another thread."""
    case = Conv((64, 31, 7, 7), (32, 31, 3, 3), padding=(1, 1))
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
    given[0][1, 32, 3, 3] = odd  # of the second image the last filter
    found = fast_grad.conv2d_grad_weight(*given)
    np.testing.assert_array_equal(found, jitted.conv2d_grad_weight(*given))
    assert not np.isfinite(found[32]).all()
    assert np.isfinite(found[:32]).all()


@pytest.mark.parametrize("size", [7, 14])
def test_no_image_gives_no_gradient(size):
    given = arrays(Conv((0, 16, size, size), (32, 16, 3, 3), padding=(1, 1)), draws, np.float32)
    assert not fast_grad.conv2d_grad_weight(*given).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_beside_the_arrays_is_read_or_written(case, dtype):
    """Every array lies between walls of NaN: one read of them shows in the sums."""
    walls = Walls()
    given = arrays(case, walls.within, dtype)
    kept = given[0], None, given[0].shape, given[1]
    for found in fast_grad.conv2d_grad_parameters(*kept, *given[2:]):
        assert np.isfinite(found).all()
    walls.assert_whole()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_buffers_have_room_for_all_that_is_read(case, dtype):
    places, (plane, width, corner, lanes), counts, (down, along, taps) = call_of(case, dtype).where
    _, channels, _, rows, columns, size, source_columns, walks, _, _, beside = counts
    assert (size, source_columns) == (np.prod(case.input[2:]), case.input[3])
    assert lanes == lanes_of(np.dtype(dtype))
    assert walks * beside * lanes >= channels
    assert len(places) % 3 == 0
    assert len(places) >= beside * taps
    assert places.min() >= 0
    assert places.max() + (rows - 1) * down + (columns - 1) * along + lanes <= beside * plane
    last_row, last_column = (length - 1 for length in case.input[2:])
    assert corner + (last_row * width + last_column) * lanes + lanes <= plane
