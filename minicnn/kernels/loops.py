"""Convolution, pooling and the linear layer as plain loops: the definition that every other rung is judged by.

    output[n, o, y, x] = bias[o] + Σ_{c, k, l} input[n, c, i, j] · weight[o, c, k, l]
    with  i = y·stride + k·dilation - padding   and   j = x·stride + l·dilation - padding

A cell (i, j) outside the input is padding: it adds nothing, whatever the weight is. (It shows where a
weight is infinite or NaN. torch 2.13 has two ways: oneDNN, which takes most float32 convolutions, leaves
padding out, as here; its own float64 loops multiply by an explicit zero, and 0·inf is NaN.) With
`groups`, the filters and the channels fall into so many equal blocks, and a filter sees its own block
only. Sums are made in Python's floats (float64) and rounded once, to the input's dtype.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minicnn.kernels.geometry import conv_output_sizes, pool_output_size

# Infinity and NaN pass through sums: no accident to warn of.
silent = np.errstate(over="ignore", invalid="ignore")


def windows(input_shape, weight_shape, output_shape, stride, padding, dilation, groups) -> Iterator[tuple]:
    """Yield every meeting of a pixel and a weight: (n, o, y, x) of the output, (n, c, i, j), (o, c, k, l).

    >>> meetings = windows((1, 1, 2, 2), (1, 1, 1, 2), (1, 1, 2, 1), (1, 1), (0, 0), (1, 1), 1)
    >>> for output_index, input_index, weight_index in meetings:
    ...     print(output_index, input_index, weight_index)
    (0, 0, 0, 0) (0, 0, 0, 0) (0, 0, 0, 0)
    (0, 0, 0, 0) (0, 0, 0, 1) (0, 0, 0, 1)
    (0, 0, 1, 0) (0, 0, 1, 0) (0, 0, 0, 0)
    (0, 0, 1, 0) (0, 0, 1, 1) (0, 0, 0, 1)
    """
    _, _, height, width = input_shape
    channels, filters = weight_shape[1], weight_shape[0] // groups  # in one group
    for n, o, y, x in np.ndindex(output_shape):
        for c, k, m in np.ndindex(weight_shape[1:]):
            i = y * stride[0] + k * dilation[0] - padding[0]
            j = x * stride[1] + m * dilation[1] - padding[1]
            if 0 <= i < height and 0 <= j < width:
                yield (n, o, y, x), (n, o // filters * channels + c, i, j), (o, c, k, m)


@silent
def conv2d(input, weight, bias, stride, padding, dilation, groups):
    """Return ``output[n, o, y, x] = bias[o] + Σ input · weight`` over the window of (y, x).

    Parameters
    ----------
    input : ndarray of shape (N, C_in, H, W)
    weight : ndarray of shape (C_out, C_in / groups, K_h, K_w)
    bias : ndarray of shape (C_out,), or None
    stride, padding, dilation : pair of int
    groups : int

    Returns
    -------
    ndarray of shape (N, C_out, H_out, W_out), dtype of the input

    Examples
    --------
    >>> image, kernel = np.array([[[[1.0, 2, 3]]]]), np.array([[[[10.0, 1]]]])
    >>> conv2d(image, kernel, None, (1, 1), (0, 0), (1, 1), 1)      # 1·10 + 2·1, 2·10 + 3·1
    array([[[[12., 23.]]]])
    """
    size = conv_output_sizes(input.shape[2:], weight.shape[2:], stride, padding, dilation)
    output = np.zeros((len(input), len(weight), *size))
    if bias is not None:
        output += bias[:, None, None]
    geometry = (input.shape, weight.shape, output.shape, stride, padding, dilation, groups)
    for output_index, input_index, weight_index in windows(*geometry):
        output[output_index] += float(input[input_index]) * float(weight[weight_index])
    return output.astype(input.dtype)


@silent
def conv2d_grad_input(grad_output, weight, input_shape, stride, padding, dilation, groups):
    """Return ``grad_input[n, c, i, j] = Σ grad_output · weight`` over all windows that hold (i, j).

    >>> grad, kernel = np.array([[[[1.0, 2]]]]), np.array([[[[10.0, 1]]]])
    >>> conv2d_grad_input(grad, kernel, (1, 1, 1, 3), (1, 1), (0, 0), (1, 1), 1)    # 1·10, 1·1 + 2·10, 2·1
    array([[[[10., 21.,  2.]]]])
    """
    grad_input = np.zeros(input_shape)
    geometry = (input_shape, weight.shape, grad_output.shape, stride, padding, dilation, groups)
    for output_index, input_index, weight_index in windows(*geometry):
        grad_input[input_index] += float(grad_output[output_index]) * float(weight[weight_index])
    return grad_input.astype(grad_output.dtype)


@silent
def conv2d_grad_weight(grad_output, input, weight_shape, stride, padding, dilation, groups):
    """Return ``grad_weight[o, c, k, l] = Σ grad_output · input`` over all images and positions.

    >>> grad, image = np.array([[[[1.0, 2]]]]), np.array([[[[1.0, 2, 3]]]])
    >>> conv2d_grad_weight(grad, image, (1, 1, 1, 2), (1, 1), (0, 0), (1, 1), 1)    # 1·1 + 2·2, 1·2 + 2·3
    array([[[[5., 8.]]]])
    """
    grad_weight = np.zeros(weight_shape)
    geometry = (input.shape, weight_shape, grad_output.shape, stride, padding, dilation, groups)
    for output_index, input_index, weight_index in windows(*geometry):
        grad_weight[weight_index] += float(grad_output[output_index]) * float(input[input_index])
    return grad_weight.astype(grad_output.dtype)


@silent
def conv2d_grad_bias(grad_output):
    """Return ``grad_bias[o] = Σ grad_output`` over all images and positions; a linear layer has no positions.

    >>> conv2d_grad_bias(np.array([[[[1.0, 2]]], [[[3.0, 4]]]])), conv2d_grad_bias(np.array([[1.0, 2], [3.0, 4]]))
    (array([10.]), array([4., 6.]))
    """
    grad_bias = np.zeros(grad_output.shape[1])
    for n, o, *place in np.ndindex(grad_output.shape):
        grad_bias[o] += float(grad_output[n, o, *place])
    return grad_bias.astype(grad_output.dtype)


def max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode):
    """Return the largest number of every window, and where it stands.

    The first of equal numbers wins; NaN counts as the largest, and the last NaN of a window wins, as in
    torch (``aten/src/ATen/native/cpu/MaxPoolKernel.cpp``). Padding never wins: a window that holds
    nothing else (a dilated one can step over a small input) gives -inf, and -1 for the place.

    Returns
    -------
    output : ndarray of shape (N, C, H_out, W_out), dtype of the input
    indices : ndarray of the same shape, int64
        ``row · W + column`` of the winner in its plane.

    Examples
    --------
    >>> output, indices = max_pool2d(np.array([[[[1.0, 5], [5, 2]]]]), (2, 2), (2, 2), (0, 0), (1, 1), False)
    >>> output.item(), indices.item()       # the first 5 in reading order, at row 0, column 1
    (5.0, 1)
    """
    _, _, height, width = input.shape
    size = [
        pool_output_size(input.shape[2 + a], kernel_size[a], stride[a], padding[a], dilation[a], ceil_mode)
        for a in range(2)
    ]
    output = np.full((*input.shape[:2], *size), -np.inf, input.dtype)
    indices = np.full(output.shape, -1)
    for n, c, y, x in np.ndindex(output.shape):
        for k, m in np.ndindex(*kernel_size):
            i = y * stride[0] + k * dilation[0] - padding[0]
            j = x * stride[1] + m * dilation[1] - padding[1]
            if 0 <= i < height and 0 <= j < width:
                value, best = input[n, c, i, j], output[n, c, y, x]
                if indices[n, c, y, x] < 0 or value > best or np.isnan(value):
                    output[n, c, y, x], indices[n, c, y, x] = value, i * width + j
    return output, indices


@silent
def max_pool2d_backward(grad_output, indices, input_shape):
    """Return the gradient of the input: each window's gradient goes to its winner, and sums up there.

    A window that holds nothing but padding has no winner (index -1); its gradient goes nowhere.

    >>> grad_input = max_pool2d_backward(np.array([[[[7.0]]]]), np.array([[[[1]]]]), (1, 1, 2, 2))
    >>> grad_input.tolist()
    [[[[0.0, 7.0], [0.0, 0.0]]]]
    """
    grad_input = np.zeros(input_shape)
    height, width = input_shape[2:]
    for n, c, y, x in np.ndindex(grad_output.shape):
        if 0 <= indices[n, c, y, x] < height * width:
            i, j = divmod(indices[n, c, y, x], width)
            grad_input[n, c, i, j] += float(grad_output[n, c, y, x])
    return grad_input.astype(grad_output.dtype)


@silent
def linear(input, weight, bias):
    """Return ``output[n, o] = bias[o] + Σ_i input[n, i] · weight[o, i]``.

    >>> linear(np.array([[10.0, 100.0]]), np.array([[2.0, 3.0]]), np.array([1.0]))      # 10·2 + 100·3 + 1
    array([[321.]])
    """
    output = np.zeros((len(input), len(weight)))
    for n, o in np.ndindex(output.shape):
        output[n, o] = 0 if bias is None else bias[o]
        for i in range(input.shape[1]):
            output[n, o] += float(input[n, i]) * float(weight[o, i])
    return output.astype(input.dtype)


def linear_grad_input(grad_output, weight):
    """Return ``grad_input[n, i] = Σ_o grad_output[n, o] · weight[o, i]``.

    >>> linear_grad_input(np.array([[5.0]]), np.array([[2.0, 3.0]]))                    # 5·2, 5·3
    array([[10., 15.]])
    """
    return linear(grad_output, weight.T, None)


def linear_grad_weight(grad_output, input):
    """Return ``grad_weight[o, i] = Σ_n grad_output[n, o] · input[n, i]``.

    >>> linear_grad_weight(np.array([[5.0]]), np.array([[10.0, 100.0]]))                # 5·10, 5·100
    array([[ 50., 500.]])
    """
    return linear(grad_output.T, input.T, None)
