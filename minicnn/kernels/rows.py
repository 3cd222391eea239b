"""Rows of numbers on their way into the buffers of the fast rung, and sums on their way out.

Arrays are flat and read by `read` and `write`, so that LLVM makes vectors of the loops. A function handles a
whole plane: for each array that a function is handed, Numba counts one more user, and one less when it
returns, and at a row of 14 numbers that would take longer than the row.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from minicnn.kernels.board import handed_out
from minicnn.kernels.vector import (
    add,
    broadcast,
    evens,
    load,
    odds,
    read,
    relu,
    store,
    unless_zero,
    winner,
    write,
)


@njit(cache=True, nogil=True)
def copy_rows(source, begin, target, place, rows, columns, width):
    """Copy `rows` rows of `columns` numbers, end to end in `source`, to rows `width` apart in `target`."""
    for y in range(rows):
        for x in range(columns):
            write(target, place + y * width + x, read(source, begin + y * columns + x))


@njit(cache=True, nogil=True)
def finish(sums, begin, width, bias, f, relu, target, place, rows, columns, step):
    """Write ``sums + bias[f]``, rows `width` apart, to the cells that are `step` apart in `target`.

    With `relu` a number of 0 or less becomes 0; NaN stays.
    """
    b, nothing = read(bias, f), target.dtype.type(0)
    for y in range(rows):
        at, to = begin + y * width, place + y * step[0]
        if relu:
            for x in range(columns):
                number = read(sums, at + x) + b
                write(target, to + x, nothing if number <= 0 else number)
        elif step[1] == 1:
            for x in range(columns):
                write(target, to + x, read(sums, at + x) + b)
        else:
            for x in range(columns):
                write(target, to + x * step[1], read(sums, at + x) + b)


@njit(cache=True, nogil=True)
def lay_out(source, plane, size, target, place, phases, stride, padding, height, width, lanes):
    """Copy plane number `plane` of `source`, of `size` (H, W), to target[place:]: both are flat.

    For each pair of remainders (a, b) in `phases`, `height` rows of `width` cells: cell (r, q) is row
    ``r·stride + a - padding`` and column ``q·stride + b - padding`` of the plane. Cells outside are not
    written: they are zero from the beginning.
    """
    (H, W), (down, along) = size, stride
    for phase in range(0, len(phases), 2):
        a, b = phases[phase] - padding[0], phases[phase + 1] - padding[1]
        top, first = max(0, -(a // down)), max(0, -(b // along))
        rows = min(height, (H - 1 - a) // down + 1) - top
        count = min(width, (W - 1 - b) // along + 1) - first
        begin, to = (plane * H + top * down + a) * W + first * along + b, place + top * width + first
        for _ in range(rows):
            if along == 1:
                for x in range(count):
                    write(target, to + x, read(source, begin + x))
            elif along == 2 and count >= lanes and begin + 2 * count <= len(source):
                x = 0
                while x < count:
                    last = min(x, count - lanes)  # the last vector ends where the row ends
                    left, right = load(source, begin + 2 * last), load(source, begin + 2 * last + lanes)
                    store(target, to + last, evens(left, right))
                    x += lanes
            else:
                for x in range(count):
                    write(target, to + x, read(source, begin + x * along))
            begin, to = begin + down * W, to + width
        place += height * width


@njit(cache=True, nogil=True)
def finish_pooled(
    sums, begin, width, bias, f, rectify, numbers, line, target, winners, place, rows, columns, lanes
):
    """Write the largest of every 2x2 cells of ``relu(sums + bias[f])`` to `target`, and which won to `winners`.

    The winner is 0 to 3 in reading order, as in `loops.max_pool2d`, or 4 where the largest is 0: there ReLU
    stops the gradient, whoever won. Unless `rectify`, there is neither bias nor ReLU, and no 4. A whole row
    of windows is computed in vectors; the last may reach beyond the row, so they go to `line` first.
    `numbers` holds 0 to 4.
    """
    b = broadcast(bias, f)
    k0, k1, k2, k3, k4 = (
        broadcast(numbers, 0),
        broadcast(numbers, 1),
        broadcast(numbers, 2),
        broadcast(numbers, 3),
        broadcast(numbers, 4),
    )
    count = columns // 2
    half = len(line) // 2
    for y in range(rows // 2):
        top = begin + 2 * y * width
        low = top + width
        x = 0
        while x < count:
            left, right = load(sums, top + 2 * x), load(sums, top + 2 * x + lanes)
            if rectify:
                left, right = relu(left, b), relu(right, b)
            best, second = evens(left, right), odds(left, right)
            left, right = load(sums, low + 2 * x), load(sums, low + 2 * x + lanes)
            if rectify:
                left, right = relu(left, b), relu(right, b)
            third, fourth = evens(left, right), odds(left, right)
            number = winner(second, best, k1, k0)
            best = winner(second, best, second, best)
            number = winner(third, best, k2, number)
            best = winner(third, best, third, best)
            number = winner(fourth, best, k3, number)
            best = winner(fourth, best, fourth, best)
            store(line, x, best)
            store(line, half + x, unless_zero(best, number, k4) if rectify else number)
            x += lanes
        to = place + y * count
        for x in range(count):
            write(target, to + x, read(line, x))
            write(winners, to + x, np.uint8(read(line, half + x)))


@njit(cache=True, nogil=True)
def room_for(vectors, lanes, like):
    """Return zeros for so many vectors of sums, and up to a multiple of `lanes`, as `add_lanes` takes them."""
    return np.zeros((vectors + lanes - 1) // lanes * lanes * lanes, like.dtype)


@njit(cache=True, nogil=True)
def add_lanes(sums, lanes):
    """Let number i of `sums` be the total of vector i: neighbours are added, of two vectors at once.

    a0 a1 a2 a3 | b0 b1 b2 b3 | c0 ...      four vectors of four lanes
    a01 a23 b01 b23 | c01 c23 d01 d23       two
    a0123 b0123 c0123 d0123                 one: the four totals
    """
    vectors, width = len(sums) // lanes, lanes
    while width > 1:
        vectors, width = vectors // 2, width // 2
        for i in range(0, vectors * lanes, lanes):
            left, right = load(sums, 2 * i), load(sums, 2 * i + lanes)
            store(sums, i, add(evens(left, right), odds(left, right)))


@njit(cache=True, nogil=True)
def line_of(numbers, columns, lanes):
    """Return room for two rows of pooling windows, in whole vectors."""
    return np.empty(2 * (columns // 2 + lanes), numbers.dtype)


@njit(cache=True, nogil=True)
def spread_pooled(grad_output, winners, grad_input, size, board, start, stop):
    """Give each window's gradient to its winner, in the planes start .. stop - 1 of `size` (H, W).

    Which cell wins cannot be foreseen, so nothing here depends on it but an address: `choices` holds the
    gradient for the winners 0 to 3, and 0 for 4, nobody.
    """
    if handed_out(board, start, stop):
        return
    H, W = size
    nothing = grad_input.dtype.type(0)
    offsets, choices = np.array([0, 1, W, W + 1, 0]), np.zeros(5, grad_input.dtype)
    for p in range(start, stop):
        for i in range(p * H * W, (p + 1) * H * W):
            write(grad_input, i, nothing)
        for y in range(H // 2):
            at, to = (p * (H // 2) + y) * (W // 2), (p * H + 2 * y) * W
            for x in range(W // 2):
                grad, number = read(grad_output, at + x), read(winners, at + x)
                for choice in range(4):
                    write(choices, choice, grad)
                write(grad_input, to + 2 * x + read(offsets, number), read(choices, number))
