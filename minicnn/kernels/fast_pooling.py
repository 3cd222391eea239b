"""Max pooling of the fast rung: 2x2 windows in vectors, others in the readable rung's long rows, both shared."""

from __future__ import annotations

import numpy as np
from numba import njit

from minicnn.kernels import pooling
from minicnn.kernels.geometry import pool_output_size
from minicnn.kernels.planes import ready
from minicnn.kernels.rows import finish_pooled, line_of
from minicnn.kernels.threads import share
from minicnn.kernels.vector import lanes_of, read, write


@njit(cache=True, nogil=True)
def _max_pool2d_backward(grad_output, indices, grad_input, first, last):
    """Give every window's gradient to its winner, in the planes first .. last - 1."""
    for p in range(first, last):
        target = grad_input[p]
        for cell in range(grad_output.shape[1]):
            if 0 <= indices[p, cell] < len(target):
                target[indices[p, cell]] += grad_output[p, cell]


@njit(cache=True, nogil=True)
def _two_by_two(planes, output, winners, size, rectify, lanes, first, last):
    """Fill output and winners for the planes first .. last - 1 of `size` (H, W); all three are flat."""
    H, W = size
    numbers, bias = np.arange(5).astype(planes.dtype), np.zeros(1, planes.dtype)
    line = line_of(numbers, W, lanes)
    plane = np.zeros(H * W + 2 * lanes, planes.dtype)  # the last vector may reach beyond the plane
    for p in range(first, last):
        for x in range(H * W):
            write(plane, x, read(planes, p * H * W + x))
        place = p * (H // 2) * (W // 2)
        how = (rectify, numbers, line, output, winners, place, H, W, lanes)
        finish_pooled(plane, 0, W, bias, 0, *how)


@njit(cache=True, nogil=True)
def _places(winners, indices, width, first, last):
    """Turn winners (P, H_out, W_out) into places in their planes of rows of `width`."""
    for p in range(first, last):
        for y in range(indices.shape[1]):
            for x in range(indices.shape[2]):
                number = np.int64(winners[p, y, x])
                indices[p, y, x] = (2 * y + (number >> 1)) * width + 2 * x + (number & 1)


def pool_two_by_two(input, rectify: bool):
    """Return the largest of every 2x2 cells, of ReLU's output if `rectify`, and which cell won each.

    >>> pool_two_by_two(np.array([[[[1.0, 5], [5, 2]]]]), rectify=False)
    (array([[[[5.]]]]), array([[[[1]]]], dtype=uint8))
    """
    size = input.shape[2:]
    output = np.empty((*input.shape[:2], size[0] // 2, size[1] // 2), input.dtype)
    winners = np.empty(output.shape, np.uint8)
    flat = [array.reshape(-1) for array in (ready(input), output, winners)]
    how = (tuple(size), rectify, lanes_of(input.dtype))
    planes = input.shape[0] * input.shape[1]
    share(lambda start, stop: _two_by_two(*flat, *how, start, stop), planes, input.size)
    return output, winners


def max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode):
    """Return what `loops.max_pool2d` returns.

    >>> output, indices = max_pool2d(np.array([[[[1.0, 5], [5, 2]]]]), (2, 2), (2, 2), (0, 0), (1, 1), False)
    >>> output.item(), indices.item()
    (5.0, 1)
    """
    geometry = (kernel_size, stride, padding, dilation, ceil_mode)
    if geometry == ((2, 2), (2, 2), (0, 0), (1, 1), False):
        output, winners = pool_two_by_two(input, rectify=False)
        indices = np.empty(output.shape, np.int64)
        planes = output.shape[0] * output.shape[1]
        flat = [array.reshape(planes, *output.shape[2:]) for array in (winners, indices)]
        share(lambda start, stop: _places(*flat, input.shape[3], start, stop), planes, output.size)
        return output, indices
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
