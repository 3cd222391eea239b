"""The loops again, compiled by Numba: the same sums, row by row, in the order that a CPU likes.

Two things make these quick without hiding what they do. The innermost loop runs along a row, where
neighbouring numbers lie side by side in memory, so the compiler works on 8 of them at once. And the
first and last cell of a row that meet a pixel are worked out beforehand, so padding costs no question
in the innermost loop:

    row of the input            0 1 2 3 4 5
    tap m = 0, padding 1    . 0 1 2 3 4          cells 1..5 of the output meet a pixel
    tap m = 2                 1 2 3 4 5 .        cells 0..4

The flags let the compiler reorder a sum and fuse a product into it, but not assume that numbers are
finite: NaN and infinity go through.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from minicnn.kernels.geometry import conv_output_size, pool_output_size
from minicnn.kernels.products import linear, linear_grad_input, linear_grad_weight

__all__ = [
    "conv2d",
    "conv2d_grad_bias",
    "conv2d_grad_input",
    "conv2d_grad_weight",
    "linear",
    "linear_grad_input",
    "linear_grad_weight",
    "max_pool2d",
    "max_pool2d_backward",
]

FLAGS = {"contract", "reassoc", "nsz", "arcp"}


def ready(array: np.ndarray) -> np.ndarray:
    """Return the array as the kernels take it: C-contiguous and writeable, copied only if it is not.

    One layout means one compiled version of every kernel.

    >>> ready(np.arange(4.0)[::-1]).flags.c_contiguous
    True
    """
    return np.require(array, requirements=("C", "W"))


@njit(cache=True, nogil=True)
def meeting_cells(size, cells, tap, stride, padding):
    """Return the range of output cells whose tap at offset `tap` meets a pixel: padding is left out.

    Cell ``o`` reads ``o·stride + tap - padding``, which must lie in 0 .. size - 1.

    >>> meeting_cells(6, 6, 0, 1, 1), meeting_cells(6, 6, 2, 1, 1)
    ((1, 6), (0, 5))
    """
    first = max(0, -((tap - padding) // stride))
    last = min(cells, (size - 1 + padding - tap) // stride + 1)
    return first, max(first, last)


@njit(cache=True, nogil=True, fastmath=FLAGS)
def _conv2d(input, weight, output, stride, padding, dilation, groups):
    N, _, H, W = input.shape
    C_out, channels, K_h, K_w = weight.shape
    _, _, H_out, W_out = output.shape
    filters = C_out // groups
    for n in range(N):
        for o in range(C_out):
            for c in range(channels):
                plane = input[n, o // filters * channels + c]
                for k in range(K_h):
                    top, bottom = meeting_cells(H, H_out, k * dilation[0], stride[0], padding[0])
                    for m in range(K_w):
                        left, right = meeting_cells(W, W_out, m * dilation[1], stride[1], padding[1])
                        w, shift = weight[o, c, k, m], m * dilation[1] - padding[1]
                        for y in range(top, bottom):
                            source = plane[y * stride[0] + k * dilation[0] - padding[0]]
                            target = output[n, o, y]
                            for x in range(left, right):
                                target[x] += w * source[x * stride[1] + shift]


@njit(cache=True, nogil=True, fastmath=FLAGS)
def _conv2d_grad_input(grad_output, weight, grad_input, stride, padding, dilation, groups):
    N, _, H, W = grad_input.shape
    C_out, channels, K_h, K_w = weight.shape
    _, _, H_out, W_out = grad_output.shape
    filters = C_out // groups
    for n in range(N):
        for o in range(C_out):
            for c in range(channels):
                plane = grad_input[n, o // filters * channels + c]
                for k in range(K_h):
                    top, bottom = meeting_cells(H, H_out, k * dilation[0], stride[0], padding[0])
                    for m in range(K_w):
                        left, right = meeting_cells(W, W_out, m * dilation[1], stride[1], padding[1])
                        w, shift = weight[o, c, k, m], m * dilation[1] - padding[1]
                        for y in range(top, bottom):
                            target = plane[y * stride[0] + k * dilation[0] - padding[0]]
                            source = grad_output[n, o, y]
                            for x in range(left, right):
                                target[x * stride[1] + shift] += w * source[x]


@njit(cache=True, nogil=True, fastmath=FLAGS)
def _conv2d_grad_weight(grad_output, input, grad_weight, stride, padding, dilation, groups):
    N, _, H, W = input.shape
    C_out, channels, K_h, K_w = grad_weight.shape
    _, _, H_out, W_out = grad_output.shape
    filters = C_out // groups
    for n in range(N):
        for o in range(C_out):
            for c in range(channels):
                plane = input[n, o // filters * channels + c]
                for k in range(K_h):
                    top, bottom = meeting_cells(H, H_out, k * dilation[0], stride[0], padding[0])
                    for m in range(K_w):
                        left, right = meeting_cells(W, W_out, m * dilation[1], stride[1], padding[1])
                        shift = m * dilation[1] - padding[1]
                        total = grad_weight[o, c, k, m]
                        for y in range(top, bottom):
                            source = plane[y * stride[0] + k * dilation[0] - padding[0]]
                            grad = grad_output[n, o, y]
                            for x in range(left, right):
                                total += grad[x] * source[x * stride[1] + shift]
                        grad_weight[o, c, k, m] = total


@njit(cache=True, nogil=True)
def _max_pool2d(input, output, indices, kernel_size, stride, padding, dilation):
    N, C, H, W = input.shape
    _, _, H_out, W_out = output.shape
    for n in range(N):
        for c in range(C):
            for y in range(H_out):
                for x in range(W_out):
                    best, place = -np.inf, -1
                    for k in range(kernel_size[0]):
                        i = y * stride[0] + k * dilation[0] - padding[0]
                        for m in range(kernel_size[1]):
                            j = x * stride[1] + m * dilation[1] - padding[1]
                            if 0 <= i < H and 0 <= j < W:
                                value = input[n, c, i, j]
                                if place < 0 or value > best or np.isnan(value):
                                    best, place = value, i * W + j
                    output[n, c, y, x], indices[n, c, y, x] = best, place


@njit(cache=True, nogil=True)
def _max_pool2d_backward(grad_output, indices, grad_input):
    N, C, H_out, W_out = grad_output.shape
    W = grad_input.shape[3]
    for n in range(N):
        for c in range(C):
            for y in range(H_out):
                for x in range(W_out):
                    place = indices[n, c, y, x]
                    if place >= 0:
                        grad_input[n, c, place // W, place % W] += grad_output[n, c, y, x]


def conv2d(input, weight, bias, stride, padding, dilation, groups):
    """Return what `loops.conv2d` returns.

    >>> image, kernel = np.array([[[[1.0, 2, 3]]]]), np.array([[[[10.0, 1]]]])
    >>> conv2d(image, kernel, None, (1, 1), (0, 0), (1, 1), 1)
    array([[[[12., 23.]]]])
    """
    size = [
        conv_output_size(input.shape[2 + a], weight.shape[2 + a], stride[a], padding[a], dilation[a])
        for a in range(2)
    ]
    output = np.zeros((len(input), len(weight), *size), input.dtype)
    if bias is not None:
        output += bias[:, None, None]
    _conv2d(ready(input), ready(weight), output, stride, padding, dilation, groups)
    return output


def conv2d_grad_input(grad_output, weight, input_shape, stride, padding, dilation, groups):
    """Return what `loops.conv2d_grad_input` returns.

    >>> grad, kernel = np.array([[[[1.0, 2]]]]), np.array([[[[10.0, 1]]]])
    >>> conv2d_grad_input(grad, kernel, (1, 1, 1, 3), (1, 1), (0, 0), (1, 1), 1)
    array([[[[10., 21.,  2.]]]])
    """
    grad_input = np.zeros(input_shape, grad_output.dtype)
    _conv2d_grad_input(ready(grad_output), ready(weight), grad_input, stride, padding, dilation, groups)
    return grad_input


def conv2d_grad_weight(grad_output, input, weight_shape, stride, padding, dilation, groups):
    """Return what `loops.conv2d_grad_weight` returns.

    >>> grad, image = np.array([[[[1.0, 2]]]]), np.array([[[[1.0, 2, 3]]]])
    >>> conv2d_grad_weight(grad, image, (1, 1, 1, 2), (1, 1), (0, 0), (1, 1), 1)
    array([[[[5., 8.]]]])
    """
    grad_weight = np.zeros(weight_shape, grad_output.dtype)
    _conv2d_grad_weight(ready(grad_output), ready(input), grad_weight, stride, padding, dilation, groups)
    return grad_weight


def conv2d_grad_bias(grad_output):
    """Return what `loops.conv2d_grad_bias` returns; summed in float64.

    >>> conv2d_grad_bias(np.array([[[[1.0, 2]]], [[[3.0, 4]]]]))
    array([10.])
    """
    return grad_output.sum(axis=(0, 2, 3), dtype=np.float64).astype(grad_output.dtype)


def max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode):
    """Return what `loops.max_pool2d` returns.

    >>> output, indices = max_pool2d(np.array([[[[1.0, 5], [5, 2]]]]), (2, 2), (2, 2), (0, 0), (1, 1), False)
    >>> output.item(), indices.item()
    (5.0, 1)
    """
    size = [
        pool_output_size(input.shape[2 + a], kernel_size[a], stride[a], padding[a], dilation[a], ceil_mode)
        for a in range(2)
    ]
    output = np.empty((*input.shape[:2], *size), input.dtype)
    indices = np.empty(output.shape, np.int64)
    _max_pool2d(ready(input), output, indices, kernel_size, stride, padding, dilation)
    return output, indices


def max_pool2d_backward(grad_output, indices, input_shape):
    """Return what `loops.max_pool2d_backward` returns.

    >>> grad_input = max_pool2d_backward(np.array([[[[7.0]]]]), np.array([[[[1]]]]), (1, 1, 2, 2))
    >>> grad_input.tolist()
    [[[[0.0, 7.0], [0.0, 0.0]]]]
    """
    grad_input = np.zeros(input_shape, grad_output.dtype)
    _max_pool2d_backward(ready(grad_output), ready(indices), grad_input)
    return grad_input
