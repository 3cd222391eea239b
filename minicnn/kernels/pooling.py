"""Max pooling compiled by Numba: the maximum of long shifted rows, and which tap it came from.

`planes` lays the input out so that one tap of all windows at once is one long row. The rows are compared
cell by cell, without a jump in the innermost loop, so the compiler works on several cells at once:

    best    5 3 1 NaN        tap 3   4 7 1 9        best    5 7 1 NaN
    winner  0 2 1 0                             ->  winner  0 3 1 0           the first 1 stays, and NaN
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from minicnn.kernels.compiling import compiled
from minicnn.kernels.geometry import pool_output_size
from minicnn.kernels.planes import layout, ready, spread

__all__ = ["max_pool2d", "max_pool2d_backward"]


@compiled
def _max_pool2d(planes, offsets, first_tap, corners, places, width, output, indices):
    """Fill output and indices (P, H_out, W_out) from planes (P, cells)."""
    H_out, W_out = corners.shape
    length = (H_out - 1) * width + W_out
    best, winner = np.empty(length, planes.dtype), np.empty(length, np.int32)
    for p in range(len(planes)):
        for x in range(length):
            best[x], winner[x] = -np.inf, first_tap[x]
        for t in range(len(offsets)):
            row, tap = planes[p, offsets[t] : offsets[t] + length], np.int32(t)
            for x in range(length):
                wins = (row[x] > best[x]) | (row[x] != row[x])
                best[x] = row[x] if wins else best[x]
                winner[x] = tap if wins else winner[x]
        for y in range(H_out):
            for x in range(W_out):
                tap = winner[y * width + x]
                output[p, y, x] = best[y * width + x]
                indices[p, y, x] = corners[y, x] + places[tap] if tap >= 0 else -1


@compiled
def _max_pool2d_by_window(input, output, indices, kernel_size, stride, padding, dilation):
    """Fill output and indices (P, H_out, W_out) from input (P, H, W), window by window."""
    _, H, W = input.shape
    for p in range(len(input)):
        for y in range(output.shape[1]):
            top = y * stride[0] - padding[0]
            first_k = max(0, -(top // dilation[0]))
            last_k = min(kernel_size[0], (H - 1 - top) // dilation[0] + 1)
            for x in range(output.shape[2]):
                left = x * stride[1] - padding[1]
                first_m = max(0, -(left // dilation[1]))
                last_m = min(kernel_size[1], (W - 1 - left) // dilation[1] + 1)
                output[p, y, x], indices[p, y, x] = -np.inf, -1
                for k in range(first_k, last_k):
                    for m in range(first_m, last_m):
                        i, j = top + k * dilation[0], left + m * dilation[1]
                        value = input[p, i, j]
                        if indices[p, y, x] < 0 or value > output[p, y, x] or np.isnan(value):
                            output[p, y, x], indices[p, y, x] = value, i * W + j


@compiled
def _max_pool2d_backward(grad_output, indices, grad_input):
    """Add grad_output (P, cells out) to grad_input (P, cells in) at the winners."""
    for p in range(len(grad_input)):
        for cell in range(grad_output.shape[1]):
            if 0 <= indices[p, cell] < grad_input.shape[1]:
                grad_input[p, indices[p, cell]] += grad_output[p, cell]


@lru_cache
def plan(input_size, kernel_size, output_size, stride, padding, dilation):
    """Return where planes take their cells, and what `_max_pool2d` needs to know of the windows.

    That is the offset of every tap; for every window the first tap that meets a pixel (-1 if none does)
    and the index of its corner; and for every tap what it adds to that index. None if the planes would
    hold far more cells than the input and the output, as with a huge window and its padding.

    >>> _, offsets, first_tap, corners, places = plan((2, 4), (2, 2), (1, 3), (1, 1), (0, 1), (1, 2))
    >>> offsets, first_tap                      # columns -1 and 1, 0 and 2, 1 and 3, then two of no window
    (array([0, 2, 5, 7]), array([1, 0, 0, 0, 0], dtype=int32))
    >>> corners, places
    (array([[-1,  0,  1]]), array([0, 2, 4, 6]))
    """
    cells = [
        min(kernel_size[a], stride[a]) * (output_size[a] + dilation[a] * (kernel_size[a] - 1) // stride[a])
        for a in range(2)
    ]
    if cells[0] * cells[1] > 4 * (input_size[0] * input_size[1] + output_size[0] * output_size[1]):
        return None
    phases, size, offsets = layout(kernel_size, output_size, stride, dilation)
    starts, taps, first = [], [], []
    for a in range(2):
        starts.append(np.arange(output_size[a]) * stride[a] - padding[a])
        taps.append(np.arange(kernel_size[a]) * dilation[a])
        tap = -(np.minimum(starts[a], 0) // dilation[a])  # the first whose cell is not below 0
        missed = (tap >= kernel_size[a]) | (starts[a] + tap * dilation[a] >= input_size[a])
        first.append(np.where(missed, -1, tap))
    first_tap = np.zeros((output_size[0], size[1]), np.int32)
    none = (first[0][:, None] < 0) | (first[1] < 0)
    first_tap[:, : output_size[1]] = np.where(none, -1, first[0][:, None] * kernel_size[1] + first[1])
    corners = starts[0][:, None] * input_size[1] + starts[1]  # (H_out, W_out)
    places = (taps[0][:, None] * input_size[1] + taps[1]).ravel()  # (K_h · K_w,)
    return (phases, size, stride, padding), offsets, first_tap.ravel(), corners, places


def max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode):
    """Return what `loops.max_pool2d` returns.

    >>> output, indices = max_pool2d(np.array([[[[1.0, 5], [5, 2]]]]), (2, 2), (2, 2), (0, 0), (1, 1), False)
    >>> output.item(), indices.item()
    (5.0, 1)
    """
    batch, channels, *input_size = input.shape
    size = tuple(
        pool_output_size(input_size[a], kernel_size[a], stride[a], padding[a], dilation[a], ceil_mode)
        for a in range(2)
    )
    output = np.empty((batch * channels, *size), input.dtype)
    indices = np.empty(output.shape, np.int64)
    found = plan(tuple(input_size), kernel_size, size, stride, padding, dilation)
    if found is None:
        flat = ready(input).reshape(batch * channels, *input_size)  # (N · C, H, W)
        _max_pool2d_by_window(flat, output, indices, kernel_size, stride, padding, dilation)
    else:
        place, *windows = found
        planes = spread(input, *place, fill=-np.inf)
        cells = planes.reshape(batch * channels, math.prod(planes.shape[2:]))  # (N · C, cells)
        _max_pool2d(cells, *windows, planes.shape[-1], output, indices)
    return output.reshape(batch, channels, *size), indices.reshape(batch, channels, *size)


def max_pool2d_backward(grad_output, indices, input_shape):
    """Return what `loops.max_pool2d_backward` returns.

    >>> grad_input = max_pool2d_backward(np.array([[[[7.0]]]]), np.array([[[[1]]]]), (1, 1, 2, 2))
    >>> grad_input.tolist()
    [[[[0.0, 7.0], [0.0, 0.0]]]]
    """
    batch, channels, H, W = input_shape
    grad_input = np.zeros((batch * channels, H * W), grad_output.dtype)
    flat = (batch * channels, grad_output.shape[2] * grad_output.shape[3])
    _max_pool2d_backward(ready(grad_output).reshape(flat), ready(indices).reshape(flat), grad_input)
    return grad_input.reshape(input_shape)
