"""Batch norm channel by channel: its numbers are fetched from memory once, and stay in the cache for the rest.

    forward      mean  →  variance, from the distances to the mean  →  output
    backward     Σ G and Σ G·x̂  →  gradient of the input;  x̂ is made anew, cheaper than read from memory

NumPy would go through the whole batch for each of these steps, and once more for each operation in them.
Sums are made in float64, in vectors (`reassoc` lets the compiler add up every eighth number, say, by
itself). One thread makes all of a channel, so the number of threads changes no bit.
"""

from __future__ import annotations

import math

import numpy as np

from minicnn.kernels.board import handed_out
from minicnn.kernels.compiling import compiled
from minicnn.kernels.memory import empty
from minicnn.kernels.planes import ready
from minicnn.kernels.threads import FETCH, RANGES, share
from minicnn.kernels.vector import read, write

SUMS = {"reassoc"}  # NaN and infinity stay what they are


@compiled(fastmath=SUMS)
def _sum(input, c, size):
    """Return the sum of channel c of a flat array of `size` (N, C, S)."""
    N, C, S = size
    total = 0.0
    for n in range(N):
        row = (n * C + c) * S
        for i in range(S):
            total += np.float64(read(input, row + i))
    return total


@compiled(fastmath=SUMS)
def _squares(input, c, size, mean):
    """Return the sum of the squared distances from the mean."""
    N, C, S = size
    total = 0.0
    for n in range(N):
        row = (n * C + c) * S
        for i in range(S):
            distance = read(input, row + i) - mean
            total += np.float64(distance * distance)
    return total


@compiled(fastmath=SUMS)
def _products(grad_output, input, c, size, mean, inv_std):
    """Return the sum of the gradients times the normalised numbers."""
    N, C, S = size
    total = 0.0
    for n in range(N):
        row = (n * C + c) * S
        for i in range(S):
            normalised = (read(input, row + i) - mean) * inv_std
            total += np.float64(read(grad_output, row + i) * normalised)
    return total


@compiled(error_model="numpy")
def _batch_norm(input, output, size, means, variances, inv_stds, weight, bias, eps, own, board, start, stop):
    """Fill output, and statistics if they are the input's `own`, for the channels start .. stop - 1."""
    if handed_out(board, start, stop):
        return
    N, C, S = size
    kind = input.dtype.type
    m = max(N * S, 1)
    for c in range(start, stop):
        if own:
            means[c] = kind(_sum(input, c, size) / m)
            variances[c] = kind(_squares(input, c, size, means[c]) / m)
        inv_stds[c] = kind(1) / np.sqrt(variances[c] + eps)
        mean, inv_std, scale, shift = means[c], inv_stds[c], weight[c], bias[c]
        for n in range(N):
            row = (n * C + c) * S
            for i in range(row, row + S):
                write(output, i, (read(input, i) - mean) * inv_std * scale + shift)


@compiled(error_model="numpy")
def _backward(grad_output, input, grad_input, size, means, inv_stds, weight, grads, own, board, start, stop):
    """Fill grad_input and grads, those of weight and bias (2, C), for the channels start .. stop - 1."""
    if handed_out(board, start, stop):
        return
    N, C, S = size
    kind = input.dtype.type
    m = max(N * S, 1)
    for c in range(start, stop):
        mean, inv_std, scale = means[c], inv_stds[c], weight[c] * inv_stds[c]
        grad_weight = _products(grad_output, input, c, size, mean, inv_std)
        grad_bias = _sum(grad_output, c, size)
        grads[0, c], grads[1, c] = kind(grad_weight), kind(grad_bias)
        # A number also moves the mean, by 1/m, and thereby all m numbers of its channel, the other way ...
        push = kind(grad_bias / m)
        # ... and the variance, by 2/m of its distance from the mean, which draws all of them together.
        pull = kind(grad_weight / m)
        for n in range(N):
            row = (n * C + c) * S
            if own:
                for i in range(row, row + S):
                    normalised = (read(input, i) - mean) * inv_std
                    write(grad_input, i, (read(grad_output, i) - push - normalised * pull) * scale)
            else:
                for i in range(row, row + S):
                    write(grad_input, i, read(grad_output, i) * scale)


def _laid_out(array):
    """Return the array flat, and its size (N, C, S): S numbers of a channel lie side by side, N times.

    Where they would all lie alone, as in (N, C), the channels are turned to lie in one piece each.

    >>> _laid_out(np.array([[1, 10], [2, 20]]))
    (array([ 1,  2, 10, 20]), (1, 2, 2))
    """
    N, C, S = *array.shape[:2], math.prod(array.shape[2:])
    if S == 1:
        return ready(array.reshape(N, C).T).ravel(), (1, C, N)
    return ready(array).ravel(), (N, C, S)


def _put_back(flat, size, shape):
    """Return a result that is laid out like that in the shape of the input."""
    if math.prod(shape[2:]) == 1:
        flat = np.ascontiguousarray(flat.reshape(size[1:]).T)
    return flat.reshape(shape)


def batch_norm(input, given, weight, bias, eps):
    """Do what `norm.batch_norm` does, with sums in another order.

    >>> output, *_ = batch_norm(np.array([[1.0], [3.0]]), None, np.ones(1), np.zeros(1), 3.0)
    >>> output.ravel()                                  # (1 - 2) / √(1 + 3), (3 - 2) / √(1 + 3)
    array([-0.5,  0.5])
    """
    flat, size = _laid_out(input)
    output, channels = empty(flat.shape, flat.dtype), size[1]
    mean, variance = np.empty((2, channels), flat.dtype) if given is None else map(ready, given)
    inv_std = np.empty(channels, flat.dtype)
    statistics = mean, variance, inv_std, ready(weight), ready(bias), flat.dtype.type(eps), given is None
    share(_batch_norm, (flat, output, size, *statistics), channels, 4 * FETCH * flat.size, RANGES)
    return _put_back(output, size, input.shape), mean, variance, inv_std


def batch_norm_backward(grad_output, input, mean, inv_std, weight, own):
    """Do what `norm.batch_norm_backward` does, with sums in another order.

    >>> channel = np.array([2.0]), np.array([0.5]), np.ones(1)
    >>> grads = batch_norm_backward(np.array([[8.0], [0.0]]), np.array([[1.0], [3.0]]), *channel, True)
    >>> [grad.ravel().tolist() for grad in grads]   # 1/2·(8 - 4 - 0.5·2), 1/2·(0 - 4 + 0.5·2); 8·(-0.5); 8 + 0
    [[1.5, -1.5], [-4.0], [8.0]]
    """
    (grad, size), (flat, _) = _laid_out(grad_output), _laid_out(input)
    grad_input, grads = empty(flat.shape, flat.dtype), np.empty((2, size[1]), flat.dtype)
    fixed = grad, flat, grad_input, size, ready(mean), ready(inv_std), ready(weight), grads, own
    share(_backward, fixed, size[1], 6 * FETCH * flat.size, RANGES)
    return _put_back(grad_input, size, input.shape), *grads
