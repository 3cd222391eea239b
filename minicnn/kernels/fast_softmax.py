"""Cross-entropy in one pass over the logits, a row at a time, in vectors.

A row is copied to a line that is filled up with -∞ to whole vectors: it is never the largest, and its
exponential is 0. Everything else happens in that line, which is small enough for the nearest cache. NaN
may get lost on the way to the largest number, but not on the way to the sum:

    logits           2  1  4        target: the first
    line             2  1  4 -∞     largest 4
    e^(z - 4)      .14 .05  1  0    sum 1.19
    probabilities  .11 .04 .84      loss: log 1.19 - (2 - 4)

A row's numbers depend on that row alone, so neither the threads nor the other rows change them.
"""

from __future__ import annotations

import numpy as np

from minicnn.kernels.board import handed_out
from minicnn.kernels.compiling import compact, compiled
from minicnn.kernels.memory import empty
from minicnn.kernels.planes import ready
from minicnn.kernels.registers import lanes_of
from minicnn.kernels.rows import copy_rows
from minicnn.kernels.threads import EXPONENTIAL, FETCH, share
from minicnn.kernels.vector import (
    add,
    broadcast,
    exp,
    first,
    larger,
    largest,
    load,
    multiply,
    read,
    spread,
    store,
    subtract,
    total,
    write,
)

BLOCK = 512  # numbers that are laid out before the first row of them is read


@compiled(error_model="numpy")
def _cross_entropy(logits, targets, losses, probabilities, keep, columns, lanes, board, start, stop):
    """Fill losses, and probabilities if `keep`, for the rows start .. stop - 1; all four are flat."""
    compact()
    if handed_out(board, start, stop):
        return
    wide = (columns + lanes - 1) // lanes * lanes
    one, zero = logits.dtype.type(1), np.int64(0)  # for a plain 0 Numba would compile the copies once more
    together = max(1, BLOCK // wide)
    lines, part = np.empty(together * wide, logits.dtype), np.empty(1, logits.dtype)
    for j in range(together * wide):
        write(lines, j, -np.inf)
    for begin in range(start, stop, together):
        rows = min(together, stop - begin)
        copy_rows(logits, begin * columns, lines, zero, rows, columns, columns, wide, lanes)
        for n in range(begin, begin + rows):
            line = (n - begin) * wide
            behind = line + wide
            top = load(lines, line)
            for j in range(line + lanes, behind, lanes):
                top = larger(load(lines, j), top)
            top = largest(top)
            sums = spread(lines, 0)
            for j in range(line, behind, lanes):
                numbers = exp(subtract(load(lines, j), top))
                sums = add(sums, numbers)
                if keep:
                    store(lines, j, numbers)
            whole = first(total(sums))
            wanted = read(logits, n * columns + targets[n]) - first(top)
            write(losses, n, np.log(whole) - wanted)
            if keep:
                write(part, 0, one / whole)
                share_of = broadcast(part, 0)
                for j in range(line, behind, lanes):
                    store(lines, j, multiply(load(lines, j), share_of))
        if keep:
            copy_rows(lines, zero, probabilities, begin * columns, rows, columns, wide, columns, lanes)
            for n in range(rows):
                for j in range(n * wide + columns, (n + 1) * wide):
                    write(lines, j, -np.inf)


@compiled
def _cross_entropy_backward(probabilities, targets, factors, grad, columns, board, start, stop):
    """Fill grad for the rows start .. stop - 1."""
    if handed_out(board, start, stop):
        return
    one = grad.dtype.type(1)
    for n in range(start, stop):
        factor = factors[n if len(factors) > 1 else 0]
        row = n * columns
        for j in range(columns):
            write(grad, row + j, read(probabilities, row + j) * factor)
        right = row + targets[n]
        write(grad, right, (read(probabilities, right) - one) * factor)


def cross_entropy(logits, targets, probabilities):
    """Do what `softmax.cross_entropy` does, with sums in another order.

    >>> cross_entropy(np.log([[1.0, 3.0]]), np.array([1]), None).round(6)
    array([0.287682])
    """
    rows, columns = logits.shape
    losses = np.empty(rows, logits.dtype)
    keep = probabilities is not None
    flat = ready(logits).ravel(), ready(targets), losses, probabilities.ravel() if keep else losses
    fixed = *flat, keep, columns, lanes_of(logits.dtype)
    share(_cross_entropy, fixed, rows, EXPONENTIAL * logits.size)
    return losses


def cross_entropy_backward(probabilities, targets, factors):
    """Do what `softmax.cross_entropy_backward` does.

    >>> cross_entropy_backward(np.array([[0.25, 0.75]]), np.array([1]), np.array([8.0]))
    array([[ 2., -2.]])
    """
    grad = empty(probabilities.shape, probabilities.dtype)
    rows, columns = grad.shape
    fixed = probabilities.ravel(), ready(targets), ready(factors), grad.ravel(), columns
    share(_cross_entropy_backward, fixed, rows, 2 * FETCH * grad.size)
    return grad


@compiled
def _are_classes(indexes, classes):
    found = True
    for i in range(len(indexes)):
        found &= 0 <= indexes[i] < classes
    return found


def are_classes(indexes, classes):
    """Return whether all indexes, int64, lie from 0 to classes - 1.

    >>> are_classes(np.array([0, 2]), 3), are_classes(np.array([0, 3]), 3)
    (True, False)
    """
    return _are_classes(ready(indexes), classes)
