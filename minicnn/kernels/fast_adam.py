"""Adam's step in one pass: every number is read once, in place of once for each operation."""

from __future__ import annotations

import numpy as np
from numba import njit

from minicnn.kernels import elementwise
from minicnn.kernels.board import handed_out
from minicnn.kernels.threads import FETCH, share
from minicnn.kernels.vector import read, write


@njit(cache=True, nogil=True, error_model="numpy")
def _adam(data, grad, mean, square, factors, board, start, stop):
    if handed_out(board, start, stop):
        return
    new_mean, keep, new_square = factors[0], factors[1], factors[2]
    growth, eps, rate = factors[3], factors[4], factors[5]
    for i in range(start, stop):
        g = read(grad, i)
        m = read(mean, i) + new_mean * (g - read(mean, i))
        v = read(square, i) * keep + new_square * g * g
        write(mean, i, m)
        write(square, i, v)
        write(data, i, read(data, i) - m / (np.sqrt(v) * growth + eps) * rate)


def adam(data, grad, mean, square, largest, lr, betas, eps, step):
    """Do what `elementwise.adam` does, to the same bits.

    >>> weight, mean, square = np.array([1.0]), np.zeros(1), np.zeros(1)
    >>> adam(weight, np.array([5.0]), mean, square, None, 0.1, (0.9, 0.999), 1e-8, 1)
    >>> weight.round(6)
    array([0.9])
    """
    arrays = (data, grad, mean, square)
    if largest is not None or not all(a.flags.carray and a.dtype == data.dtype for a in arrays):
        elementwise.adam(*arrays, largest, lr, betas, eps, step)
        return
    factors = np.array(elementwise.adam_factors(lr, betas, eps, step), data.dtype)
    flat = [array.reshape(-1) for array in arrays]
    work = 8 * FETCH * data.size  # seven numbers to fetch or to put away, a root and a division
    share(_adam, (*flat, factors), data.size, work)
