"""Sizes as torch computes them, and which cells a tap finds inside the input."""

from __future__ import annotations

import itertools

import pytest
import torch

from minicnn.kernels.geometry import conv_output_size, inside, pool_output_size

SIZES = list(itertools.product(range(1, 10), range(1, 5), range(1, 5), range(4), range(1, 4)))


def test_by_hand():
    assert conv_output_size(28, kernel=3, stride=1, padding=1, dilation=1) == 28
    assert conv_output_size(7, kernel=3, stride=2, padding=0, dilation=2) == 2  # cells 0 2 4, 2 4 6
    assert pool_output_size(5, 2, 2, 0, 1, ceil_mode=True) == 3  # cells 0 1, 2 3, 4
    # padding 1 on both sides of 3 cells: windows at -1, 1 and 3; the last begins behind the input
    assert pool_output_size(3, 2, 2, 1, 1, ceil_mode=True) == 2


def test_convolution_as_torch():
    tried = 0
    for size, kernel, stride, padding, dilation in SIZES:
        ours = conv_output_size(size, kernel, stride, padding, dilation)
        if ours >= 1:
            input, weight = (torch.empty(1, 1, cells, device="meta") for cells in (size, kernel))
            output = torch.nn.functional.conv1d(input, weight, None, stride, padding, dilation)
            assert output.shape[2] == ours, (size, kernel, stride, padding, dilation)
            tried += 1
    assert tried > 1000


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_pooling_as_torch(ceil_mode):
    tried = 0
    for size, kernel, stride, padding, dilation in SIZES:
        ours = pool_output_size(size, kernel, stride, padding, dilation, ceil_mode)
        if ours >= 1 and padding <= kernel // 2:
            output = torch.nn.functional.max_pool1d(
                torch.empty(1, 1, size), kernel, stride, padding, dilation, ceil_mode
            )
            assert output.shape[2] == ours, (size, kernel, stride, padding, dilation)
            tried += 1
    assert tried > 400


def test_inside_finds_every_pair_and_no_other():
    for size, kernel, stride, padding, dilation in SIZES:
        cells = conv_output_size(size, kernel, stride, padding, dilation)
        if cells < 1:
            continue
        for tap in range(kernel):
            outputs, inputs = inside(size, tap, stride, padding, dilation, cells)
            found = list(zip(range(cells)[outputs], range(size)[inputs], strict=True))
            read = [(o, o * stride + tap * dilation - padding) for o in range(cells)]
            assert found == [(o, i) for o, i in read if 0 <= i < size]
