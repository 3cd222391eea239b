"""Convolution and pooling in NumPy: every window becomes a column, and one matrix product does the rest.

    input  1 2 3     columns  1 2 4 5     weight  a b     output  (a b c d) @ columns
           4 5 6              2 3 5 6             c d
           7 8 9              4 5 7 8
                              5 6 8 9

The columns take K_h·K_w times the memory of the input: the price of a fast product. Padding adds nothing
(see `loops`), but in the columns it is a zero, and 0·inf is NaN. So where padding would meet a factor
that is not finite, the sum is made tap by tap and padding is left out.
"""

from __future__ import annotations

import numpy as np

from minicnn.kernels.geometry import conv_output_sizes, inside, pool_output_size
from minicnn.kernels.loops import silent
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


def windows(input, kernel_size, output_size, stride, padding, dilation, fill=0):
    """Return all windows, padding filled with `fill`, as (N, C, K_h, K_w, H_out, W_out).

    >>> found = windows(np.array([[[[1, 2, 3]]]]), (1, 2), (1, 2), (1, 1), (0, 0), (1, 1))
    >>> found[0, 0, 0, :, 0]                            # tap 0 of both windows, tap 1 of both windows
    array([[1, 2],
           [2, 3]])
    """
    height, width = input.shape[2:]
    found = np.full((*input.shape[:2], *kernel_size, *output_size), fill, input.dtype)
    for k, m in np.ndindex(*kernel_size):
        ys, rows = inside(height, k, stride[0], padding[0], dilation[0], output_size[0])
        xs, columns = inside(width, m, stride[1], padding[1], dilation[1], output_size[1])
        found[:, :, k, m, ys, xs] = input[:, :, rows, columns]
    return found


def as_columns(input, weight_shape, output_size, stride, padding, dilation, groups):
    """Return the windows as (N, groups, taps, H_out·W_out), and which of their cells lie inside the input."""
    shape = (groups, int(np.prod(weight_shape[1:])), output_size[0] * output_size[1])
    geometry = (weight_shape[2:], output_size, stride, padding, dilation)
    found = windows(input, *geometry)
    covered = windows(np.ones((1, *input.shape[1:]), bool), *geometry)
    return found.reshape(len(input), *shape), covered.reshape(1, *shape)


@silent
def conv2d(input, weight, bias, stride, padding, dilation, groups):
    """Return ``weight @ columns + bias``: the sums of `minicnn.kernels.loops.conv2d` at once.

    >>> image, kernel = np.array([[[[1.0, 2, 3]]]]), np.array([[[[10.0, 1]]]])
    >>> conv2d(image, kernel, None, (1, 1), (0, 0), (1, 1), 1)      # 1·10 + 2·1, 2·10 + 3·1
    array([[[[12., 23.]]]])
    """
    size = conv_output_sizes(input.shape[2:], weight.shape[2:], stride, padding, dilation)
    columns, covered = as_columns(input, weight.shape, size, stride, padding, dilation, groups)
    filters = weight.reshape(groups, len(weight) // groups, columns.shape[2])
    if np.isfinite(weight).all():
        output = filters @ columns  # (N, groups, C_out / groups, H_out·W_out)
    else:
        output = np.zeros((len(input), *filters.shape[:2], columns.shape[3]), input.dtype)
        for t in range(columns.shape[2]):
            products = filters[:, :, t, None] * columns[:, :, None, t]
            output += np.where(covered[:, :, None, t], products, 0)
    output = output.reshape(len(input), len(weight), *size)
    return output if bias is None else output + bias[:, None, None]


@silent
def conv2d_grad_input(grad_output, weight, input_shape, stride, padding, dilation, groups):
    """Return ``weightᵀ @ grad_output``, every column added back to the pixels that it was copied from.

    >>> grad, kernel = np.array([[[[1.0, 2]]]]), np.array([[[[10.0, 1]]]])
    >>> conv2d_grad_input(grad, kernel, (1, 1, 1, 3), (1, 1), (0, 0), (1, 1), 1)    # 1·10, 1·1 + 2·10, 2·1
    array([[[[10., 21.,  2.]]]])
    """
    batch, filters, *size = grad_output.shape
    grads = grad_output.reshape(batch, groups, filters // groups, size[0] * size[1])
    columns = weight.reshape(groups, filters // groups, -1).swapaxes(1, 2) @ grads  # (N, groups, taps, cells)
    columns = columns.reshape(*input_shape[:2], *weight.shape[2:], *size)  # (N, C, K_h, K_w, H_out, W_out)
    grad_input = np.zeros(input_shape, grad_output.dtype)
    for k, m in np.ndindex(*weight.shape[2:]):
        ys, rows = inside(input_shape[2], k, stride[0], padding[0], dilation[0], size[0])
        xs, cells = inside(input_shape[3], m, stride[1], padding[1], dilation[1], size[1])
        grad_input[:, :, rows, cells] += columns[:, :, k, m, ys, xs]
    return grad_input


@silent
def conv2d_grad_weight(grad_output, input, weight_shape, stride, padding, dilation, groups):
    """Return ``grad_output @ columnsᵀ``, summed over the images.

    >>> grad, image = np.array([[[[1.0, 2]]]]), np.array([[[[1.0, 2, 3]]]])
    >>> conv2d_grad_weight(grad, image, (1, 1, 1, 2), (1, 1), (0, 0), (1, 1), 1)    # 1·1 + 2·2, 1·2 + 2·3
    array([[[[5., 8.]]]])
    """
    batch, filters, *size = grad_output.shape
    columns, covered = as_columns(input, weight_shape, size, stride, padding, dilation, groups)
    grads = grad_output.reshape(batch, groups, filters // groups, columns.shape[3])
    if np.isfinite(grads).all():
        grad_weight = (grads @ columns.swapaxes(2, 3)).sum(axis=0)  # (groups, C_out / groups, taps)
    else:
        grad_weight = np.zeros((*grads.shape[1:3], columns.shape[2]), grads.dtype)
        for t in range(columns.shape[2]):
            products = grads * columns[:, :, None, t]
            grad_weight[:, :, t] = np.where(covered[:, :, None, t], products, 0).sum(axis=(0, 3))
    return grad_weight.reshape(weight_shape)


@silent
def conv2d_grad_bias(grad_output):
    """Return the sum over images, rows and columns.

    >>> conv2d_grad_bias(np.array([[[[1.0, 2]]], [[[3.0, 4]]]]))
    array([10.])
    """
    others = 0, *range(2, grad_output.ndim)
    return grad_output.sum(axis=others, dtype=np.float64).astype(grad_output.dtype)  # (C_out,)


@silent
def max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode):
    """Return the largest cell of every column, and where it stands; ties and NaN as in the loops.

    >>> output, indices = max_pool2d(np.array([[[[1.0, 5], [5, 2]]]]), (2, 2), (2, 2), (0, 0), (1, 1), False)
    >>> output.item(), indices.item()       # the first 5 in reading order, at row 0, column 1
    (5.0, 1)
    """
    batch, channels, height, width = input.shape
    size = [
        pool_output_size(input.shape[2 + a], kernel_size[a], stride[a], padding[a], dilation[a], ceil_mode)
        for a in range(2)
    ]
    geometry = (kernel_size, size, stride, padding, dilation)
    taps = kernel_size[0] * kernel_size[1]
    found = windows(input, *geometry, fill=-np.inf).reshape(batch, channels, taps, *size)
    cells = np.arange(height * width).reshape(1, 1, height, width)
    cells = windows(cells, *geometry, fill=-1).reshape(1, 1, taps, *size)
    winner = found.argmax(axis=2, keepdims=True)  # (N, C, 1, H_out, W_out)
    output = np.take_along_axis(found, winner, axis=2)
    first_inside = (cells >= 0).argmax(axis=2, keepdims=True)
    last_nan = taps - 1 - np.isnan(found)[:, :, ::-1].argmax(axis=2, keepdims=True)
    winner = np.where(output == -np.inf, first_inside, winner)
    winner = np.where(np.isnan(output), last_nan, winner)
    indices = np.take_along_axis(np.broadcast_to(cells, found.shape), winner, axis=2)
    return output[:, :, 0], indices[:, :, 0]  # (N, C, H_out, W_out)


@silent
def max_pool2d_backward(grad_output, indices, input_shape):
    """Return the gradients counted up at their winners; one whose window lies in the padding goes nowhere.

    >>> grad_input = max_pool2d_backward(np.array([[[[7.0]]]]), np.array([[[[1]]]]), (1, 1, 2, 2))
    >>> grad_input.tolist()
    [[[[0.0, 7.0], [0.0, 0.0]]]]
    """
    batch, channels, height, width = input_shape
    planes = np.arange(batch * channels).reshape(batch, channels, 1, 1)
    kept = (indices >= 0) & (indices < height * width)
    cells = (planes * (height * width) + indices)[kept]
    grad_input = np.bincount(cells, weights=grad_output[kept], minlength=planes.size * height * width)
    return grad_input.reshape(input_shape).astype(grad_output.dtype)
