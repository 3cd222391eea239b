"""Rows that are whole vectors: each vector begins with a row, and the images lie one below the other."""

from __future__ import annotations

import numpy as np
import pytest
from numba import config

from minicnn import set_num_threads
from minicnn.kernels import jitted, relu
from minicnn.kernels.registers import lanes_of
from tests.kernels.rungs import Conv, Walls, conv2d_relu, conv2d_relu_max_pool2d, normal, special, whole

if config.DISABLE_JIT:
    pytest.skip("vectors need the compiler", allow_module_level=True)

from minicnn.kernels import fast
from minicnn.kernels.calls import backward_call, forward_call, gather_call
from minicnn.kernels.lines import lines_of, sharing_tiles
from minicnn.kernels.plans import forward_plan
from minicnn.kernels.tiles import WALK, walk

DTYPES = [np.float32, np.float64]
CASES = [
    Conv((images, 5, rows, columns), (6, 5, *size), padding=padding)
    for images, rows, columns, size, padding in (
        (1, 16, 16, (3, 3), (1, 1)),
        (2, 16, 16, (3, 3), (1, 1)),
        (7, 16, 16, (3, 3), (1, 1)),
        (8, 6, 8, (5, 5), (2, 2)),
        (5, 7, 32, (3, 3), (1, 1)),
        (4, 3, 48, (1, 3), (0, 1)),
        (11, 4, 31, (3, 3), (1, 1)),  # nearly two vectors of 16
        (17, 5, 18, (3, 3), (1, 0)),  # rows of 16 sums, with two cells between them
    )
]
CASES += [
    Conv((7, 4, 32, 32), (5, 4, 3, 3), stride=(2, 2), padding=(1, 1)),  # back in four walks, written in pairs
    Conv((5, 4, 9, 33), (6, 4, 3, 3), stride=(2, 2), padding=(1, 1)),  # of 17 columns and of 16
    Conv((3, 4, 6, 70), (8, 2, 2, 5), stride=(1, 2), padding=(0, 1), groups=2),
    Conv((9, 4, 8, 16), (8, 2, 3, 3), padding=(2, 2), dilation=(2, 2), groups=2),
]


def all_ways(case: Conv, make, dtype, images=slice(None)):
    """Return outputs, plain, with ReLU and pooled, and the gradients of input and weight."""
    x, w, b, g = case.arrays(make, dtype)
    x, g = x[images], g[images]
    return (
        fast.conv2d(x, w, b, *case.geometry),
        conv2d_relu(x, w, b, *case.geometry),
        conv2d_relu_max_pool2d(x, w, b, *case.geometry)[0],
        fast.conv2d_grad_input(g, w, x.shape, *case.geometry),
        fast.conv2d_grad_weight(g, x, w.shape, *case.geometry),
    )


def wanted_of(case: Conv, make):
    """Return the same from the readable rung, in float64."""
    x, w, b, g = case.arrays(make, np.float64)
    output = jitted.conv2d(x, w, b, *case.geometry)
    return (
        output,
        relu(output),
        jitted.max_pool2d(relu(output), (2, 2), (2, 2), (0, 0), (1, 1), False)[0],
        jitted.conv2d_grad_input(g, w, x.shape, *case.geometry),
        jitted.conv2d_grad_weight(g, x, w.shape, *case.geometry),
    )


@pytest.mark.parametrize(("lanes", "together", "vectors"), [(16, 3, 48), (8, 3, 96), (4, 2, 129)])
def test_who_is_read_row_by_row(lanes, together, vectors):
    geometry = (16, 16), 1, (3, 3), (1, 1), (1, 1), (1, 1)
    made = forward_plan(*geometry)
    assert sharing_tiles(made, 64, False, lanes) == together
    places, across, beyond = lines_of(made.layout, together, 16, 16, lanes)
    assert len(places) == vectors
    assert sharing_tiles(made, 1, False, lanes) == 1
    assert (across, beyond) == (16, 256)
    assert places[16 // lanes] == 17  # the second row begins behind a zero


@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("images", [1, 2, 3])
@pytest.mark.parametrize("case", CASES[:8], ids=str)
def test_every_sum_is_read_at_its_cell(case, images, lanes):
    rows, columns = case.output[2:]
    made = forward_plan(
        case.input[2:], 1, case.weight[2:], case.stride, case.padding, case.dilation, together=images
    )
    _, _, width, _, _, drop = made.layout
    places, across, beyond = lines_of(made.layout, images, rows, columns, lanes)
    for image, row, column in np.ndindex(images, rows, columns):
        number = image * beyond + row * across + column
        assert places[number // lanes] + number % lanes == image * drop + row * width + column


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_whole_numbers_exactly(case, dtype):
    for found, wanted in zip(all_ways(case, whole, dtype), wanted_of(case, whole), strict=True):
        np.testing.assert_array_equal(found, wanted.astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_image_alone_has_the_same_bits(case, dtype):
    together = all_ways(case, normal, dtype)[:-1]
    for n in {0, case.input[0] // 2, case.input[0] - 1}:
        alone = all_ways(case, normal, dtype, slice(n, n + 1))[:-1]
        for found, wanted in zip(alone, together, strict=True):
            np.testing.assert_array_equal(found[0], wanted[n])


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.usefixtures("all_work_is_shared")
def test_the_same_bits_for_any_number_of_threads(case):
    set_num_threads(1)
    expected = all_ways(case, normal, np.float32)
    for count in (2, 3, 8):
        set_num_threads(count)
        for found, wanted in zip(all_ways(case, normal, np.float32), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_nan_and_infinity_as_the_readable_rung(case, dtype):
    with np.errstate(invalid="ignore"):
        for found, wanted in zip(all_ways(case, special, dtype), wanted_of(case, special), strict=True):
            np.testing.assert_array_equal(found, wanted.astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_buffers_have_room_for_all_that_is_read(case, dtype):
    dtype = np.dtype(dtype)
    lanes = lanes_of(dtype)
    calls = (
        forward_call(case.input, case.weight, dtype, *case.geometry, pooled=False),
        backward_call(case.output, case.weight, case.input, dtype, *case.geometry),
    )
    for call, source in zip(calls, (case.input, case.output), strict=True):
        assert call.kernel is walk
        _, table, walks, places, (_, plane, width, _, _, _), sizes, _ = call.where
        room = source[1] // case.groups * plane + 4 * lanes + width
        walks = walks.reshape(-1, WALK).copy()
        if sizes[9]:  # of a pair the second has the target's columns
            walks[1::2, 2] = walks[::2, 2]
        for begin, rows, columns, _, place, across, beyond in walks.tolist():
            own = table[begin : begin + table[begin:].tolist().index(-1) : 2]
            sums = (sizes[7] - 1) * beyond + (rows - 1) * across + columns
            vectors = -(-sums // (3 * lanes)) * 3
            assert vectors * lanes <= sizes[8]
            assert own.max() + places[place : place + vectors].max() + lanes <= room
    made = gather_call(case.output, case.input, case.weight, dtype, *case.geometry)
    _, offsets, places, (_, plane, width, _, _, _), _, _ = made.where
    assert offsets.max() + places.max() + lanes <= case.weight[1] * plane + lanes + width


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_beside_the_arrays_is_read_or_written(case, dtype):
    """Every array lies between walls of NaN: one read of them shows in the sums."""
    walls = Walls()
    for found in all_ways(case, walls.within, dtype):
        assert np.isfinite(found).all()
    walls.assert_whole()
