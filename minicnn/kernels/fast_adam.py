"""Adam's step in one pass: every number is read once, in place of once for each operation."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from minicnn.kernels import elementwise
from minicnn.kernels.board import handed_out
from minicnn.kernels.compiling import compiled
from minicnn.kernels.loops import silent
from minicnn.kernels.threads import FETCH, share
from minicnn.kernels.vector import read, write


@compiled(error_model="numpy")
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
    arrays, dtype = (data, grad, mean, square), data.dtype
    alike = grad.dtype == dtype and mean.dtype == dtype and square.dtype == dtype
    in_order = data.flags.carray and grad.flags.carray and mean.flags.carray and square.flags.carray
    if largest is not None or not (alike and in_order):
        elementwise.adam(*arrays, largest, lr, betas, eps, step)
        return
    flat = data.ravel(), grad.ravel(), mean.ravel(), square.ravel()
    work = 8 * FETCH * data.size  # seven numbers to fetch or to put away, a root and a division
    share(_adam, (*flat, _factors(float(lr), *map(float, betas), eps, step, dtype)), data.size, work)


@lru_cache(maxsize=8)  # all parameters of a step have the same
@silent
def _factors(lr, beta1, beta2, eps, step, dtype):
    return np.array(elementwise.adam_factors(lr, (beta1, beta2), eps, step), dtype)
