"""Tiles that go from one image into the next: the same bits as in a walk, image by image."""

from __future__ import annotations

import numpy as np
import pytest
from numba import config

from minicnn import set_num_threads
from minicnn.kernels import jitted, loops, relu
from minicnn.kernels.registers import lanes_of
from tests.kernels.rungs import Conv, Walls, conv2d_relu, conv2d_relu_max_pool2d, normal, special, whole

if config.DISABLE_JIT:
    pytest.skip("vectors need the compiler", allow_module_level=True)

from minicnn.kernels import fast, fast_pointwise
from minicnn.kernels.calls import backward_call, forward_call
from minicnn.kernels.panels import walk_panels
from minicnn.kernels.tiles import walk

DTYPES = [np.float32, np.float64]
SHORT_ROWS = [
    Conv((64, 64, 7, 7), (64, 64, 3, 3), padding=(1, 1)),
    Conv((23, 65, 9, 8), (66, 65, 3, 3), padding=(1, 1)),
    Conv((150, 67, 3, 1), (64, 67, 2, 2), padding=(1, 1)),
    Conv((33, 64, 5, 6), (67, 64, 5, 4), padding=(3, 2)),
    Conv((97, 66, 7, 3), (65, 66, 3, 2), padding=(2, 1), dilation=(2, 1)),
]
STRIDED = [  # panels forward only
    Conv((64, 3, 13, 14), (64, 3, 3, 3), stride=(2, 2), padding=(1, 1)),
    Conv((64, 64, 7, 8), (64, 64, 3, 3), stride=(2, 2), padding=(1, 1)),
]
UP_TO_A_VECTOR = [  # panels where a vector has 16 numbers
    Conv((9, 48, 14, 14), (49, 48, 3, 3), padding=(1, 1)),
    Conv((11, 50, 9, 15), (48, 50, 2, 4), padding=(1, 3)),
]
PRODUCTS = [
    Conv((64, 5, 2, 3), (7, 5, 1, 1)),  # many images in a tile
    Conv((9, 16, 7, 7), (12, 16, 1, 1)),
    Conv((3, 4, 14, 14), (16, 4, 1, 1)),
    Conv((2, 3, 16, 16), (5, 3, 1, 1)),
    Conv((1, 8, 6, 8), (4, 8, 1, 1)),  # one tile of 16 lanes
    Conv((1, 3, 37, 9), (4, 3, 1, 1)),
]
CASES = SHORT_ROWS + STRIDED + UP_TO_A_VECTOR + PRODUCTS


def both_ways(rung, case: Conv, make, dtype, images=slice(None)):
    """Return the outputs of some images, with and without ReLU, and their input gradients."""
    x, w, b, g = case.arrays(make, dtype)
    x, g = x[images], g[images]
    output, back = rung.conv2d(x, w, b, *case.geometry), rung.conv2d_grad_input
    rectified = conv2d_relu(x, w, b, *case.geometry) if rung is fast else relu(output)
    return output, rectified, back(g, w, x.shape, *case.geometry)


def calls_of(case: Conv, dtype=np.float32):
    """Return the Calls of both ways."""
    dtype, geometry = np.dtype(dtype), case.geometry
    return (
        forward_call(case.input, case.weight, dtype, *geometry, pooled=False),
        backward_call(case.output, case.weight, case.input, dtype, *geometry),
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_who_gets_a_panel(dtype):
    for case in SHORT_ROWS:
        assert [call.kernel for call in calls_of(case, dtype)] == [walk_panels] * 2, case
    for case in STRIDED:
        assert [call.kernel for call in calls_of(case, dtype)] == [walk_panels, walk], case
    for case in PRODUCTS:
        assert fast_pointwise.serves(case.input, case.weight, case.stride, case.padding, case.groups)
    case, longest = SHORT_ROWS[0], max(8, lanes_of(np.dtype(dtype)) - 1)
    fits = case._replace(input=(64, 64, 7, longest))
    assert [call.kernel for call in calls_of(fits, dtype)] == [walk_panels] * 2
    for other in (
        case._replace(input=(1, 64, 3, 3)),  # few tiles
        case._replace(input=(64, 47, 7, 7), weight=(47, 47, 3, 3)),  # few filters
        case._replace(input=(64, 64, 7, longest + 1)),
        case._replace(input=(64, 128, 7, 7), weight=(128, 64, 3, 3), groups=2),
    ):
        assert [call.kernel for call in calls_of(other, dtype)] == [walk] * 2, other


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_whole_numbers_exactly(case, dtype):
    expected = both_ways(jitted, case, whole, np.float64)
    for found, wanted in zip(both_ways(fast, case, whole, dtype), expected, strict=True):
        np.testing.assert_array_equal(found, wanted.astype(dtype))


def test_against_the_loops():
    case = PRODUCTS[1]
    for found, wanted in zip(
        both_ways(fast, case, whole, np.float32), both_ways(loops, case, whole, np.float64), strict=True
    ):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_image_alone_has_the_same_bits(case, dtype):
    together = both_ways(fast, case, normal, dtype)
    last = case.input[0] - 1
    for n in {0, min(1, last), last // 2, last}:
        for found, wanted in zip(
            both_ways(fast, case, normal, dtype, slice(n, n + 1)), together, strict=True
        ):
            np.testing.assert_array_equal(found[0], wanted[n])


@pytest.mark.parametrize("case", [SHORT_ROWS[0], STRIDED[0]], ids=str)
def test_pooled_at_once_or_afterwards(case):
    x, w, b, _ = case.arrays(normal, np.float32)
    output, _ = conv2d_relu_max_pool2d(x, w, b, *case.geometry)
    rectified = conv2d_relu(x, w, b, *case.geometry)
    np.testing.assert_array_equal(
        output, fast.max_pool2d(rectified, (2, 2), (2, 2), (0, 0), (1, 1), False)[0]
    )


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.usefixtures("all_work_is_shared")
def test_the_same_bits_for_any_number_of_threads(case):
    set_num_threads(1)
    expected = both_ways(fast, case, normal, np.float32)
    for count in (2, 3, 8):
        set_num_threads(count)
        for found, wanted in zip(both_ways(fast, case, normal, np.float32), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES[:2] + PRODUCTS, ids=str)
def test_nan_and_infinity_as_the_readable_rung(case, dtype):
    with np.errstate(invalid="ignore"):
        expected = both_ways(jitted, case, special, np.float64)
        for found, wanted in zip(both_ways(fast, case, special, dtype), expected, strict=True):
            np.testing.assert_array_equal(found, wanted.astype(dtype))


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_one_weight_that_is_not_finite_is_seen_wherever_it_stands(value):
    """Padding would make NaN of it, and ReLU hides -inf."""
    case = SHORT_ROWS[0]
    x, weight, _, g = case.arrays(whole, np.float32)
    x, g = x[:9], g[:9]
    for place in (0, 4, 8, weight.size // 2, weight.size - 1):
        w = weight.copy()
        w.ravel()[place] = value
        expected = jitted.conv2d(x, w, None, *case.geometry)
        np.testing.assert_array_equal(fast.conv2d(x, w, None, *case.geometry), expected)
        np.testing.assert_array_equal(conv2d_relu(x, w, None, *case.geometry), relu(expected))
        expected = jitted.conv2d_grad_input(g, w, x.shape, *case.geometry)
        np.testing.assert_array_equal(fast.conv2d_grad_input(g, w, x.shape, *case.geometry), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", SHORT_ROWS + STRIDED + UP_TO_A_VECTOR, ids=str)
def test_the_buffers_have_room_for_all_that_is_read(case, dtype):
    for call in calls_of(case, dtype):
        if call.kernel is not walk_panels:
            continue
        spots, table, offsets, layout, (channels, _, rows, columns, lanes) = call.where
        _, plane, width, _, _, _ = layout
        room, panel = channels * plane + width + lanes, len(offsets) * 3 * lanes
        assert lanes == lanes_of(np.dtype(dtype))
        assert offsets.min() >= 0
        assert offsets.max() + (rows - 1) * width + columns - 1 + lanes <= room
        assert table[:-1:2].tolist() == list(range(0, panel, 3 * lanes))
        for count, length, _, place in spots.reshape(-1, 4).tolist():
            assert place >= 0
            assert (channels - 1) * plane + place + (count - 1) * width + length <= room


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_beside_the_arrays_is_read_or_written(case, dtype):
    """Every array lies between walls of NaN: one read of them shows in the sums."""
    walls = Walls()
    for found in both_ways(fast, case, walls.within, dtype):
        assert np.isfinite(found).all()
    walls.assert_whole()
