"""Average pooling in Numba: a row of windows at a time, through a line as long as the image is wide.

The rows that the windows have in common are added up in the line, many numbers at once; then each window adds
up its part of it; windows two wide and two apart, the usual ones, in vectors. The way back goes the other way: all
gradients of a row of windows are spread over the line, and then the line over the rows.

    image    1 2 3 4      line    3 4  8 9      means           7/4  17/4
             2 2 5 5
    image    7 7 11 11    line    7 7 11 11     gradients / 4   7    11
             7 7 11 11
"""

from __future__ import annotations

import numpy as np

from minicnn.kernels.board import handed_out
from minicnn.kernels.compiling import compiled
from minicnn.kernels.masks import load_some, store_some
from minicnn.kernels.memory import empty
from minicnn.kernels.planes import ready
from minicnn.kernels.registers import lanes_of
from minicnn.kernels.threads import RANGES, share
from minicnn.kernels.vector import (
    add,
    divide,
    evens,
    load,
    lower_pairs,
    odds,
    read,
    spread,
    store,
    upper_pairs,
    write,
)


@compiled
def are_pairs(columns):
    """Return whether windows lie side by side, each of two columns.

    >>> are_pairs(np.array([[0, 2], [2, 4]])), are_pairs(np.array([[0, 2], [1, 3]]))
    (True, False)
    """
    pairs = True
    for x in range(len(columns)):
        pairs &= columns[x, 0] == 2 * x and columns[x, 1] == 2 * x + 2
    return pairs


@compiled(error_model="numpy")
def _average(input, output, rows, columns, divisors, size, lanes, board, start, stop):
    """Fill output for the planes start .. stop - 1 of `size` (H, W); both are flat."""
    if handed_out(board, start, stop):
        return
    (H, W), W_out, pairs = size, len(columns), are_pairs(columns)
    line, nothing = np.empty(W + 2 * lanes, input.dtype), input.dtype.type(0)
    for p in range(start, stop):
        for y in range(len(rows)):
            x = 0
            while x < W:
                sums = spread(input, 0)
                for row in range(rows[y, 0], rows[y, 1]):
                    sums = add(sums, load_some(input, (p * H + row) * W + x, W - x))
                store(line, x, sums)
                x += lanes
            place, x = (p * len(rows) + y) * W_out, 0
            while pairs and x < W_out:
                left, right = load(line, 2 * x), load(line, 2 * x + lanes)
                sums = add(evens(left, right), odds(left, right))
                means = divide(sums, load_some(divisors, y * W_out + x, W_out - x))
                store_some(output, place + x, means, W_out - x)
                x += lanes
            while x < W_out:
                total = nothing
                for column in range(columns[x, 0], columns[x, 1]):
                    total += read(line, column)
                write(output, place + x, total / read(divisors, y * W_out + x))
                x += 1


@compiled(error_model="numpy")
def _average_backward(grad_output, grad_input, rows, columns, divisors, size, lanes, board, start, stop):
    """Fill grad_input for the planes start .. stop - 1."""
    if handed_out(board, start, stop):
        return
    (H, W), W_out, pairs = size, len(columns), are_pairs(columns)
    line, nothing = np.empty(W + 2 * lanes, grad_input.dtype), grad_input.dtype.type(0)
    for p in range(start, stop):
        filled, behind = p * H * W, (p + 1) * H * W  # up to where windows have been
        for y in range(len(rows)):
            place, x = (p * len(rows) + y) * W_out, 0
            while pairs and x < W_out:
                grads = load_some(grad_output, place + x, W_out - x)
                parts = divide(grads, load_some(divisors, y * W_out + x, W_out - x))
                parts = add(parts, spread(line, 0))  # -0 becomes 0, as in a sum
                store(line, 2 * x, lower_pairs(parts, parts))
                store(line, 2 * x + lanes, upper_pairs(parts, parts))
                x += lanes
            for column in range(2 * W_out if pairs else 0, W):
                write(line, column, nothing)
            while x < W_out:
                part = read(grad_output, place + x) / read(divisors, y * W_out + x)
                for column in range(columns[x, 0], columns[x, 1]):
                    write(line, column, read(line, column) + part)
                x += 1
            while filled < (p * H + rows[y, 0]) * W:
                write(grad_input, filled, nothing)
                filled += 1
            for row in range(p * H + rows[y, 0], p * H + rows[y, 1]):
                if row * W < filled:
                    for x in range(W):
                        write(grad_input, row * W + x, read(grad_input, row * W + x) + read(line, x))
                else:
                    for x in range(W):
                        write(grad_input, row * W + x, read(line, x))
                    filled += W
        while filled < behind:
            write(grad_input, filled, nothing)
            filled += 1


def average(input, rows, columns, divisors):
    """Do what `averaging.average` does, with sums in another order.

    >>> rows, columns = np.array([[0, 2]]), np.array([[0, 1], [1, 3]])
    >>> average(np.array([[[[1.0, 2, 3], [4, 5, 6]]]]), rows, columns, np.array([[2.0, 4]]))   # 5/2, 16/4
    array([[[[2.5, 4. ]]]])
    """
    planes, size = input.shape[0] * input.shape[1], input.shape[2:]
    output = empty((*input.shape[:2], len(rows), len(columns)), input.dtype)
    windows = rows, columns, np.asarray(divisors, input.dtype).ravel(), size, lanes_of(input.dtype)
    fixed = ready(input).ravel(), output.ravel(), *windows
    share(_average, fixed, planes, 4 * input.size, RANGES)
    return output


def average_backward(grad_output, rows, columns, divisors, input_shape):
    """Do what `averaging.average_backward` does.

    >>> rows, columns = np.array([[0, 1]]), np.array([[0, 1], [0, 2]])
    >>> average_backward(np.array([[[[6.0, 8]]]]), rows, columns, np.array([[1.0, 2]]), (1, 1, 1, 2))
    array([[[[10.,  4.]]]])
    """
    planes, size = input_shape[0] * input_shape[1], tuple(input_shape[2:])
    grad_input = empty(input_shape, grad_output.dtype)
    windows = rows, columns, np.asarray(divisors, grad_input.dtype).ravel(), size, lanes_of(grad_input.dtype)
    fixed = ready(grad_output).ravel(), grad_input.ravel(), *windows
    share(_average_backward, fixed, planes, 4 * grad_input.size, RANGES)
    return grad_input
