"""Groups of one filter have a walk of their own; its numbers are those of the walk for all others, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from minicnn import set_num_threads
from minicnn.kernels import fast, jitted, loops, relu
from minicnn.kernels.calls import backward_call, forward_call
from minicnn.kernels.fast_pooling import pool_two_by_two
from minicnn.kernels.narrow import walk_narrow
from minicnn.kernels.tiles import walk
from tests.kernels.rungs import Conv, Walls, conv2d_relu, conv2d_relu_max_pool2d, normal, special, whole

DTYPES = [np.float32, np.float64]


def drawn(count: int) -> list[Conv]:
    """Return so many convolutions of all kinds, with one filter a group."""
    rng, cases = np.random.default_rng(0), []
    while len(cases) < count:
        images, groups, channels = rng.integers(1, 6), rng.integers(1, 4), rng.choice([1, 1, 2, 5])
        size, kernel = rng.choice([1, 2, 5, 7, 14, 23, 40], 2), rng.integers(1, 5, 2)
        stride, padding, dilation = (
            rng.choice([1, 1, 2, 3], 2),
            rng.integers(0, 4, 2),
            rng.choice([1, 1, 2], 2),
        )
        if (size + 2 * padding > dilation * (kernel - 1)).all():
            geometry = (tuple(pair.tolist()) for pair in (stride, padding, dilation))
            shapes = (images, groups * channels, *size), (groups, channels, *kernel)
            shapes = (tuple(int(number) for number in shape) for shape in shapes)
            cases.append(Conv(*shapes, *geometry, int(groups)))
    return cases


CASES = [
    Conv((8, 6, 14, 14), (6, 1, 3, 3), padding=(1, 1), groups=6),  # two images share their tiles
    Conv((5, 3, 7, 7), (3, 1, 3, 3), padding=(1, 1), groups=3),
    Conv((3, 2, 29, 31), (2, 1, 5, 5), padding=(2, 2), groups=2),  # several tiles
    Conv((2, 4, 9, 8), (1, 4, 3, 2), stride=(2, 3), padding=(2, 1), dilation=(2, 1)),
    *drawn(40),
]


def turned(case: Conv) -> Conv:
    """Return a convolution whose input gradient is narrow: as many filters a group as `case` has channels."""
    groups, channels = case.groups, case.weight[1]
    narrow = case.input[0], groups, *case.input[2:]
    return case._replace(input=narrow, weight=(groups * channels, 1, *case.weight[2:]))


def in_pairs(case: Conv, weight):
    """Return the weight with a second filter in every group, of other numbers: no more a narrow one."""
    pairs = np.stack([weight, normal(weight.shape, weight.dtype, 9)], axis=1)
    return pairs.reshape(-1, *weight.shape[1:])


def both_ways(rung, case: Conv, make, dtype):
    """Return the output of `case`, and the input gradient of what it is `turned` to."""
    x, w, b, _ = case.arrays(make, dtype)
    back = turned(case)
    _, v, _, g = back.arrays(make, dtype)
    return rung.conv2d(x, w, b, *case.geometry), rung.conv2d_grad_input(g, v, back.input, *back.geometry)


def pooled(x, w, b, *geometry):
    """Return what a stage of convolution, ReLU and pooling returns, without the winners."""
    return conv2d_relu_max_pool2d(x, w, b, *geometry)[0]


def calls_of(case: Conv, dtype=np.float32):
    """Return the Calls of both; None where no tile serves."""
    back, dtype = turned(case), np.dtype(dtype)
    return (
        forward_call(case.input, case.weight, dtype, *case.geometry, pooled=False),
        backward_call(back.output, back.weight, back.input, dtype, *back.geometry),
    )


def test_groups_of_one_filter_are_narrow():
    case = CASES[0]
    assert [call.kernel for call in calls_of(case)] == [walk_narrow] * 2
    two = case._replace(weight=(12, *case.weight[1:]))
    assert forward_call(two.input, two.weight, np.dtype("f"), *two.geometry, False).kernel is walk
    together = [call.where[-1][6] for case in CASES for call in calls_of(case) if call]
    assert {1} < set(together) <= {1, 2, 3}
    assert sum(None in calls_of(case) for case in CASES) < len(CASES) / 4


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_whole_numbers_as_the_loops_exactly(case, dtype):
    expected = both_ways(jitted, case, whole, np.float64)
    for found, wanted in zip(both_ways(fast, case, whole, dtype), expected, strict=True):
        np.testing.assert_array_equal(found, wanted.astype(dtype))


def test_the_loops_themselves():
    case = CASES[3]
    expected = both_ways(loops, case, whole, np.float64)
    for found, wanted in zip(both_ways(fast, case, whole, np.float32), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_bits_are_those_of_the_walk_for_several_filters(case, dtype):
    x, w, b, _ = case.arrays(normal, dtype)
    for compute in (fast.conv2d, conv2d_relu, pooled):
        wide = compute(x, in_pairs(case, w), np.repeat(b, 2), *case.geometry)
        np.testing.assert_array_equal(compute(x, w, b, *case.geometry), wide[:, ::2])
    back = turned(case)
    _, v, _, g = back.arrays(normal, dtype)
    two = np.concatenate([v, normal(v.shape, dtype, 9)], axis=1)
    size = back.input[0], 2 * back.input[1], *back.input[2:]
    wide = fast.conv2d_grad_input(g, two, size, *back.geometry)
    found = fast.conv2d_grad_input(g, v, back.input, *back.geometry)
    np.testing.assert_array_equal(found, wide[:, ::2])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES[:12], ids=str)
def test_fused_ends_are_the_layers_one_after_another(case, dtype):
    x, w, b, _ = case.arrays(normal, dtype)
    rectified = relu(fast.conv2d(x, w, b, *case.geometry))
    np.testing.assert_array_equal(conv2d_relu(x, w, b, *case.geometry), rectified)
    if min(case.output[2:]) > 1:
        for found, wanted in zip(
            conv2d_relu_max_pool2d(x, w, b, *case.geometry), pool_two_by_two(rectified, True), strict=True
        ):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("case", CASES[:12], ids=str)
@pytest.mark.usefixtures("all_work_is_shared")
def test_the_same_bits_for_any_number_of_threads(case):
    set_num_threads(1)
    expected = both_ways(fast, case, normal, np.float32)
    for count in (2, 3, 8):
        set_num_threads(count)
        for found, wanted in zip(both_ways(fast, case, normal, np.float32), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_nan_and_infinity_as_the_loops(case, dtype):
    with np.errstate(invalid="ignore"):
        expected = both_ways(jitted, case, special, np.float64)
        for found, wanted in zip(both_ways(fast, case, special, dtype), expected, strict=True):
            np.testing.assert_array_equal(found, wanted.astype(dtype))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_one_weight_that_is_not_finite_is_seen_wherever_it_stands(value, stride):
    """Padding would make NaN of it; ReLU hides -inf, and a walk of the input gradient meets a few taps only."""
    case = Conv((3, 4, 5, 6), (4, 1, 3, 3), stride=(stride, stride), padding=(1, 1), groups=4)
    x, weight, _, g = case.arrays(whole, np.float32)
    for place in range(weight.size):
        w = weight.copy()
        w.ravel()[place] = value
        expected = jitted.conv2d(x, w, None, *case.geometry)
        np.testing.assert_array_equal(fast.conv2d(x, w, None, *case.geometry), expected)
        np.testing.assert_array_equal(conv2d_relu(x, w, None, *case.geometry), relu(expected))
        expected = jitted.conv2d_grad_input(g, w, x.shape, *case.geometry)
        np.testing.assert_array_equal(fast.conv2d_grad_input(g, w, x.shape, *case.geometry), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_buffers_have_room_for_all_that_is_read_and_written(case, dtype):
    for call in calls_of(case, dtype):
        if call is None:
            continue
        spots, table, walks, layout, sizes = call.where
        _, plane, width, _, _, drop = layout
        channels, together, longest, room, lanes = (sizes[number] for number in (2, 6, 7, 8, 9))
        for begin, rows, columns, _ in walks.reshape(-1, 4).tolist():
            own = table[begin : begin + table[begin:].tolist().index(-1)]
            cells = (together - 1) * drop + (rows - 1) * width + columns
            length = -(-cells // (12 * lanes)) * 12 * lanes
            assert length <= longest
            assert own[::2].min() >= 0
            assert own[::2].max() + length <= room
        for rows, columns, _, place in spots.reshape(-1, 4).tolist():
            if rows and columns:
                last = (channels - 1) * plane + (together - 1) * drop + place + (rows - 1) * width + columns
                assert 0 <= place < last <= room


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES[:12], ids=str)
def test_nothing_beside_the_arrays_is_read_or_written(case, dtype):
    """Every array lies between walls of NaN: one read of them shows in the sums."""
    walls = Walls()
    for found in both_ways(fast, case, walls.within, dtype):
        assert np.isfinite(found).all()
    walls.assert_whole()
