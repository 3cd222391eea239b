"""Planes: every tap of every window is found where its offset says, and folding is the way back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from minicnn.kernels.geometry import conv_output_size
from minicnn.kernels.planes import by_group, fold, layout, ready, spread, widen
from tests.kernels.rungs import EDGES, GRID, whole

CASES = [case for case in GRID + EDGES if case.groups == 1]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_tap_stands_where_its_offset_says(case):
    stride, padding, dilation, _ = case.geometry
    input, (rows, columns) = whole(case.input), case.output[2:]
    phases, size, offsets = layout(case.weight[2:], (rows, columns), stride, dilation)
    planes = spread(input, phases, size, stride, padding)
    flat = planes.reshape(*planes.shape[:2], planes[0, 0].size)
    padded = np.pad(input, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    for t, (k, m) in enumerate(itertools.product(range(case.weight[2]), range(case.weight[3]))):
        for y, x in itertools.product(range(rows), range(columns)):
            read = padded[:, :, y * stride[0] + k * dilation[0], x * stride[1] + m * dilation[1]]
            np.testing.assert_array_equal(flat[:, :, offsets[t] + y * size[1] + x], read)
    # the row of the last tap ends inside the planes
    assert offsets.max() + (rows - 1) * size[1] + columns <= flat.shape[2]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_fold_brings_back_every_cell_that_a_window_reads(case):
    stride, padding, dilation, _ = case.geometry
    input = whole(case.input) + 10  # no zero among them
    phases, size, _ = layout(case.weight[2:], case.output[2:], stride, dilation)
    back = fold(spread(input, phases, size, stride, padding), input.shape[2:], phases, size, stride, padding)
    read = np.zeros(input.shape, bool)
    for tap in itertools.product(range(case.weight[2]), range(case.weight[3])):
        cells = [
            np.arange(case.output[2 + a]) * stride[a] + tap[a] * dilation[a] - padding[a] for a in range(2)
        ]
        kept = [c[(c >= 0) & (c < input.shape[2 + a])] for a, c in enumerate(cells)]
        read[:, :, kept[0][:, None], kept[1]] = True
    np.testing.assert_array_equal(back[read], input[read])
    assert np.isin(back[~read], [0, *input[~read]]).all()


def test_widen_and_by_group():
    grad = whole((2, 3, 2, 2))
    wide, length = widen(grad, 5)
    assert (wide.shape, length) == ((2, 3, 10), 7)
    np.testing.assert_array_equal(wide.reshape(2, 3, 2, 5)[..., :2], grad)
    assert not wide.reshape(2, 3, 2, 5)[..., 2:].any()
    assert by_group(np.zeros((0, 4, 1, 1, 3, 3)), 2).shape == (0, 2, 18)


def test_ready_copies_only_what_it_must():
    array = whole((2, 3))
    assert ready(array) is array
    frozen = array.copy()
    frozen.flags.writeable = False
    for other in (array[::-1], array.T, frozen, np.broadcast_to(array[0], (2, 3))):
        made = ready(other)
        np.testing.assert_array_equal(made, other)
        assert made.flags.c_contiguous
        assert made.flags.writeable
        assert not np.shares_memory(made, other)


def test_sizes_agree_with_the_geometry():
    for case in CASES:
        _, size, _ = layout(case.weight[2:], case.output[2:], case.stride, case.dilation)
        padded = [case.input[2 + a] + 2 * case.padding[a] for a in range(2)]
        for a in range(2):
            cells = conv_output_size(padded[a], case.weight[2 + a], case.stride[a], 0, case.dilation[a])
            assert cells == case.output[2 + a]
            assert size[a] * case.stride[a] <= padded[a] + case.stride[a] - 1
