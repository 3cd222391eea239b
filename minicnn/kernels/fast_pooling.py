"""Max pooling of the fast rung: the readable rung's long rows, images shared among the threads."""

from __future__ import annotations

import numpy as np
from numba import njit

from minicnn.kernels import pooling
from minicnn.kernels.geometry import pool_output_size
from minicnn.kernels.planes import ready
from minicnn.kernels.threads import share


@njit(cache=True, nogil=True)
def _max_pool2d_backward(grad_output, indices, grad_input, first, last):
    """Give every window's gradient to its winner, in the planes first .. last - 1."""
    for p in range(first, last):
        target = grad_input[p]
        for cell in range(grad_output.shape[1]):
            if 0 <= indices[p, cell] < len(target):
                target[indices[p, cell]] += grad_output[p, cell]


def max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode):
    """Return what `loops.max_pool2d` returns.

    >>> output, indices = max_pool2d(np.array([[[[1.0, 5], [5, 2]]]]), (2, 2), (2, 2), (0, 0), (1, 1), False)
    >>> output.item(), indices.item()
    (5.0, 1)
    """
    geometry = (kernel_size, stride, padding, dilation, ceil_mode)
    size = [
        pool_output_size(input.shape[2 + a], *(pair[a] for pair in geometry[:4]), ceil_mode) for a in (0, 1)
    ]
    output = np.empty((*input.shape[:2], *size), input.dtype)
    indices = np.empty(output.shape, np.int64)

    def fill(start: int, stop: int) -> None:
        output[start:stop], indices[start:stop] = pooling.max_pool2d(input[start:stop], *geometry)

    share(fill, len(input), 2 * output.size * kernel_size[0] * kernel_size[1])
    return output, indices


def max_pool2d_backward(grad_output, indices, input_shape):
    """Return what `loops.max_pool2d_backward` returns.

    >>> grad_input = max_pool2d_backward(np.array([[[[7.0]]]]), np.array([[[[1]]]]), (1, 1, 2, 2))
    >>> grad_input.tolist()
    [[[[0.0, 7.0], [0.0, 0.0]]]]
    """
    N, C, H, W = input_shape
    grad_input = np.zeros((N * C, H * W), grad_output.dtype)
    cells = grad_output.shape[2] * grad_output.shape[3]
    grads, winners = (ready(array).reshape(N * C, cells) for array in (grad_output, indices))
    share(
        lambda start, stop: _max_pool2d_backward(grads, winners, grad_input, start, stop),
        N * C,
        8 * grads.size,
    )
    return grad_input.reshape(input_shape)
