"""Max pooling of the fast rung: all windows of a row at once in vectors, tap by tap; the planes are shared.

The plane is copied into a wider one with -∞ around it, so that no window hangs over an edge. With a stride
of 2, a tap's cells are every second one of two vectors; with a larger one the columns are dealt into piles:

    stride 2     a b c d e f g h    tap 0: a c e g    tap 1: b d f h
    stride 3     a b c d e f g h    piles  a d g | b e h | c f

What is kept beside the largest number is not which tap it came from, but how far that lies behind the
window's corner: a whole number, exact in a float, and the index is the corner's plus this.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from minicnn.kernels import pooling
from minicnn.kernels.board import handed_out
from minicnn.kernels.compiling import compiled
from minicnn.kernels.finishing import finish_pooled
from minicnn.kernels.geometry import pool_output_size
from minicnn.kernels.memory import empty
from minicnn.kernels.planes import ready
from minicnn.kernels.registers import lanes_of
from minicnn.kernels.rows import copy_rows
from minicnn.kernels.threads import FETCH, RANGES, share
from minicnn.kernels.vector import broadcast, evens, load, read, store, winner, write

EXACT = 2**24  # whole numbers up to here are exact in float32, too


@compiled
def _max_pool2d_backward(grad_output, indices, grad_input, cells, pixels, board, start, stop):
    """Give every window's gradient to its winner, in the planes start .. stop - 1; all three are flat."""
    if handed_out(board, start, stop):
        return
    nothing = grad_input.dtype.type(0)
    for p in range(start, stop):
        for i in range(p * pixels, (p + 1) * pixels):
            write(grad_input, i, nothing)
        for cell in range(p * cells, (p + 1) * cells):
            index = read(indices, cell)
            if 0 <= index < pixels:
                place = p * pixels + index
                write(grad_input, place, read(grad_input, place) + read(grad_output, cell))


@compiled
def _deal_rows(input, begin, plane, place, rows, columns, W, width, left, piles):
    """Copy rows so that the columns of a pile lie side by side; `left` columns of padding come before."""
    length = width // piles
    for y in range(rows):
        at, to = begin + y * W, place + y * width
        for pile in range(piles):
            x, card = (pile - left) % piles, pile * length + (left + (pile - left) % piles) // piles
            while x < columns:
                write(plane, to + card, read(input, at + x))
                x, card = x + piles, card + 1


@compiled
def _max_pool2d(input, output, indices, offsets, places, starts, corners, shape, lanes, board, start, stop):
    """Fill output and indices for the planes start .. stop - 1; all arrays are flat.

    A tap lies at `offsets` behind its window's corner in the padded plane, at `places` in the input;
    `starts` has the place of each window's first tap that meets a pixel.

    The vector behind a row's last window runs into the next row, which is computed later.
    """
    if handed_out(board, start, stop):
        return
    (H, W), (rows, columns), (top, left), (down, right), (height, width), (H_out, W_out), piles = shape
    taps, cells = len(offsets), H_out * W_out
    outside = height * width
    plane = np.full(outside + 2 * lanes, -np.inf, input.dtype)
    best, behind = np.empty(cells + lanes, input.dtype), np.empty(cells + lanes, input.dtype)
    for p in range(start, stop):
        if piles > 1:
            _deal_rows(input, p * H * W, plane, top * width, rows, columns, W, width, left, piles)
        else:
            copy_rows(input, p * H * W, plane, top * width + left, rows, columns, W, width, lanes)
        for y in range(H_out):
            for x in range(0, W_out, lanes):
                corner = y * down * width + x * right
                most, place = broadcast(plane, outside), load(starts, y * W_out + x)
                for t in range(taps):
                    at = corner + offsets[t]
                    numbers = load(plane, at)
                    if right == 2:
                        numbers = evens(numbers, load(plane, at + lanes))
                    place = winner(numbers, most, broadcast(places, t), place)
                    most = winner(numbers, most, numbers, most)
                store(best, y * W_out + x, most)
                store(behind, y * W_out + x, place)
        for i in range(cells):
            write(output, p * cells + i, read(best, i))
            write(indices, p * cells + i, read(corners, i) + np.int64(read(behind, i)))


@compiled
def _two_by_two(planes, output, winners, size, rectify, lanes, board, start, stop):
    """Fill output and winners for the planes start .. stop - 1 of `size` (H, W); all three are flat."""
    if handed_out(board, start, stop):
        return
    H, W = size
    line, bias = np.empty(W + 2 * lanes, planes.dtype), np.zeros(1, planes.dtype)
    plane = np.zeros(H * W + 2 * lanes, planes.dtype)  # the last vector may reach beyond the plane
    for p in range(start, stop):
        for x in range(H * W):
            write(plane, x, read(planes, p * H * W + x))
        place = p * (H // 2) * (W // 2)
        how = (rectify, line, output, winners, place, H, W, lanes)
        finish_pooled(plane, 0, W, bias, 0, *how)


@compiled
def _two_by_two_indices(planes, output, indices, corners, size, lanes, board, start, stop):
    """Fill output and indices for the planes start .. stop - 1; each plane's winners stay in the cache."""
    if handed_out(board, start, stop):
        return
    H, W = size
    cells = len(corners)
    line, bias = np.empty(W + 2 * lanes, planes.dtype), np.zeros(1, planes.dtype)
    plane = np.zeros(H * W + 2 * lanes, planes.dtype)
    best, winners = np.empty(cells, planes.dtype), np.empty(cells, np.uint8)
    for p in range(start, stop):
        for x in range(H * W):
            write(plane, x, read(planes, p * H * W + x))
        finish_pooled(plane, 0, W, bias, 0, False, line, best, winners, 0, H, W, lanes)
        for i in range(cells):
            number = np.int64(read(winners, i))
            write(output, p * cells + i, read(best, i))
            write(indices, p * cells + i, read(corners, i) + (number >> 1) * W + (number & 1))


def pool_two_by_two(input, rectify: bool):
    """Return the largest of every 2x2 cells, of ReLU's output if `rectify`, and which cell won each.

    >>> pool_two_by_two(np.array([[[[1.0, 5], [5, 2]]]]), rectify=False)
    (array([[[[5.]]]]), array([[[[1]]]], dtype=uint8))
    """
    size = input.shape[2:]
    output = empty((*input.shape[:2], size[0] // 2, size[1] // 2), input.dtype)
    winners = empty(output.shape, np.uint8)
    flat = (array.ravel() for array in (ready(input), output, winners))
    how = tuple(size), rectify, lanes_of(input.dtype)
    planes = input.shape[0] * input.shape[1]
    share(_two_by_two, (*flat, *how), planes, 2 * FETCH * input.size, RANGES)
    return output, winners


def max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode):
    """Return what `loops.max_pool2d` returns.

    >>> output, indices = max_pool2d(np.array([[[[1.0, 5], [5, 2]]]]), (2, 2), (2, 2), (0, 0), (1, 1), False)
    >>> output.item(), indices.item()
    (5.0, 1)
    """
    geometry = (kernel_size, stride, padding, dilation, ceil_mode)
    size = tuple(
        pool_output_size(input.shape[2 + a], *(pair[a] for pair in geometry[:4]), ceil_mode) for a in (0, 1)
    )
    output = empty((*input.shape[:2], *size), input.dtype)
    indices = empty(output.shape, np.int64)
    work = 2 * FETCH * output.size * kernel_size[0] * kernel_size[1]
    lanes, planes = lanes_of(input.dtype), input.shape[0] * input.shape[1]
    flat = tuple(array.ravel() for array in (ready(input), output, indices))
    if geometry == ((2, 2), (2, 2), (0, 0), (1, 1), False):
        corners = two_by_two_corners(*size, input.shape[3])
        share(_two_by_two_indices, (*flat, corners, input.shape[2:], lanes), planes, work, RANGES)
        return output, indices
    found = plan(input.shape[2:], kernel_size, size, stride, padding, dilation, input.dtype.type, lanes)
    if found is None:
        return pooling.max_pool2d(input, *geometry)
    share(_max_pool2d, (*flat, *found, lanes), planes, work, RANGES)
    return output, indices


@lru_cache
def two_by_two_corners(rows, columns, width):
    """Return the index of the first pixel of every 2x2 window.

    >>> two_by_two_corners(2, 2, 5)
    array([ 0,  2, 10, 12])
    """
    return (np.arange(rows)[:, None] * 2 * width + np.arange(columns) * 2).ravel()


@lru_cache
def plan(input_size, kernel_size, output_size, stride, padding, dilation, kind, lanes):
    """Return what `_max_pool2d` must know of the windows; None if one meets no pixel, or for huge ones.

    >>> geometry = (2, 2), (1, 3), (1, 1), (0, 1), (1, 1)
    >>> offsets, places, starts, corners, shape = plan((2, 2), *geometry, np.float32, 4)
    >>> offsets, places                 # taps in the plane, 4 cells wide, and in the input
    (array([0, 1, 4, 5]), array([0., 1., 2., 3.], dtype=float32))
    >>> starts[:3], corners             # the first window's first tap meets padding, its second the first pixel
    (array([1., 0., 0.], dtype=float32), array([-1,  0,  1]))
    """
    found = pooling.plan(input_size, kernel_size, output_size, stride, padding, dilation)
    if found is None or input_size[0] * input_size[1] >= EXACT:
        return None
    _, _, first_tap, corners, places = found
    first_tap = first_tap.reshape(output_size[0], -1)[:, : output_size[1]].ravel()
    if first_tap.min() < 0:
        return None
    plane, reach = [], []
    for a in range(2):
        plane.append((output_size[a] - 1) * stride[a] + (kernel_size[a] - 1) * dilation[a] + 1)
        reach.append(max(0, min(input_size[a], plane[a] - padding[a])))
    piles = stride[1] if stride[1] > 2 else 1  # vectors can leave out every second number themselves
    length = -(-plane[1] // piles)
    plane[1] = length * piles
    if plane[0] * plane[1] > 4 * (input_size[0] * input_size[1] + output_size[0] * output_size[1]):
        return None
    rows, columns = (np.arange(kernel_size[a]) * dilation[a] for a in range(2))
    taps = rows[:, None] * plane[1] + columns % piles * length + columns // piles  # (K_h, K_w)
    step = 1 if piles > 1 else stride[1]
    starts = np.zeros(first_tap.size + lanes, kind)
    starts[: first_tap.size] = places[first_tap]
    shape = input_size, tuple(reach), padding, (stride[0], step), tuple(plane), output_size, piles
    return taps.ravel(), places.astype(kind), starts, corners.ravel(), shape


def max_pool2d_backward(grad_output, indices, input_shape):
    """Return what `loops.max_pool2d_backward` returns.

    >>> grad_input = max_pool2d_backward(np.array([[[[7.0]]]]), np.array([[[[1]]]]), (1, 1, 2, 2))
    >>> grad_input.tolist()
    [[[[0.0, 7.0], [0.0, 0.0]]]]
    """
    N, C, H, W = input_shape
    grad_input = empty(input_shape, grad_output.dtype)
    flat = (array.ravel() for array in (ready(grad_output), ready(indices), grad_input))
    cells = grad_output.shape[2] * grad_output.shape[3]
    share(_max_pool2d_backward, (*flat, cells, H * W), N * C, 8 * FETCH * grad_output.size, RANGES)
    return grad_input
