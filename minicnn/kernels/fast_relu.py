"""ReLU on the fast rung: alone, and at the end of a convolution, with or without 2x2 pooling behind it.

A convolution's output is the largest array of most nets. Where ReLU (and pooling) follow, the sums of four
filters go through both while they are in the cache, and what reaches the memory is the pooled quarter, with
one byte a window for the way back:

    conv2d + bias      relu             largest, first in reading order    winner
    -3  2 | 1  1       0 2 | 1 1                   2 | 1                     1 | 0
    -1  0 | 0 -4       0 0 | 0 0

The numbers are those of the three operations one after another, bit for bit.
"""

from __future__ import annotations

from minicnn.kernels import fast_conv, jitted
from minicnn.kernels.board import handed_out
from minicnn.kernels.compiling import compiled
from minicnn.kernels.fast_activations import filled
from minicnn.kernels.fast_pooling import pool_two_by_two
from minicnn.kernels.memory import empty
from minicnn.kernels.planes import ready
from minicnn.kernels.registers import lanes_of
from minicnn.kernels.rows import spread_plane, where_positive
from minicnn.kernels.threads import FETCH, RANGES, share
from minicnn.kernels.tiles import PLAIN, POOLED, RELU
from minicnn.kernels.vector import read, write


@compiled
def _relu(input, output, board, start, stop):
    if handed_out(board, start, stop):
        return
    nothing = output.dtype.type(0)
    for i in range(start, stop):
        number = read(input, i)
        write(output, i, nothing if number <= 0 else number)


@compiled
def _relu_backward(grad_output, output, grad_input, board, start, stop):
    if handed_out(board, start, stop):
        return
    where_positive(grad_output, output, start, grad_input, start, stop - start)


@compiled
def _relu_max_pool2d_backward(grad_output, winners, grad_input, size, lanes, board, start, stop):
    """Fill the planes start .. stop - 1 of `size` (H, W); all arrays are flat."""
    if handed_out(board, start, stop):
        return
    H, W = size
    for p in range(start, stop):
        at, place = p * (H // 2) * (W // 2), p * H * W
        spread_plane(grad_output, winners, at, grad_input, place, H, W, lanes)


def relu(input):
    """Return the input with 0 for all that is 0 or less; NaN stays.

    >>> import numpy as np
    >>> relu(np.array([3.0, -4.0]))
    array([3., 0.])
    """
    return filled(_relu, (input,), (), 2 * FETCH)


def relu_backward(grad_output, output):
    """Return `grad_output`, with 0 where the output is 0.

    >>> import numpy as np
    >>> relu_backward(np.array([10.0, 20.0]), np.array([3.0, 0.0]))
    array([10.,  0.])
    """
    return filled(_relu_backward, (grad_output, output), (), 3 * FETCH)


def prepared_conv2d(layers: int, keep: bool, input_shape, weight_shape, dtype, *geometry):
    """Return a function of input, weight and bias that does the first `layers` of conv2d, ReLU and 2x2 pooling.

    It returns the output; and of pooling, to `keep`, which cell won each window.

    >>> import numpy as np
    >>> compute = prepared_conv2d(2, False, (1, 1, 1, 3), (1, 1, 1, 2), np.dtype("d"), (1, 1), (0, 0), (1, 1), 1)
    >>> compute(np.array([[[[1.0, 2, -3]]]]), np.array([[[[10.0, 1]]]]), None)[0]  # 1·10 + 2·1, 2·10 - 3·1
    array([[[[12., 17.]]]])
    """
    end = (PLAIN, RELU, POOLED)[layers - 1]
    run = fast_conv.prepared(input_shape, weight_shape, dtype, *geometry, end, keep)

    def compute(input, weight, bias):
        found = None if run is None else run(input, weight, bias)
        if found is not None:
            return found
        sums = jitted.conv2d(input, weight, bias, *geometry)
        if end == POOLED:
            return pool_two_by_two(sums, rectify=True)
        return relu(sums) if end == RELU else sums, fast_conv.NO_WINNERS

    return compute


def relu_max_pool2d_backward(grad_output, winners, input_shape):
    """Return the gradient of what went into ReLU and pooling: each window's goes to its winner.

    >>> import numpy as np
    >>> relu_max_pool2d_backward(np.array([[[[7.0]]]]), np.uint8([[[[2]]]]), (1, 1, 2, 2)).tolist()
    [[[[0.0, 0.0], [7.0, 0.0]]]]
    """
    grad_input = empty(input_shape, grad_output.dtype)
    flat = ready(grad_output).ravel(), winners.ravel(), grad_input.ravel()
    planes = input_shape[0] * input_shape[1]
    how = tuple(input_shape[2:]), lanes_of(grad_output.dtype)
    share(_relu_max_pool2d_backward, (*flat, *how), planes, 4 * FETCH * grad_input.size, RANGES)
    return grad_input
