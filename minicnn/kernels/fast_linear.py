"""The linear layer as a convolution: a batch of rows is an image of one line.

    forward        y[n, o]  = Σ_i x[n, i] · w[o, i]       the weight gradient's walk: products along rows
    input          gx[n, i] = Σ_o gy[n, o] · w[o, i]      a 1x1 convolution of w, with gy as its filters
    weight         gw[o, i] = Σ_n gy[n, o] · x[n, i]      a 1x1 convolution of x, with gy as its filters

So the tiles serve here too, and with them their promises: the same bits for any number of threads, and
for a row alone or in a batch. A matrix product of NumPy promises neither, and its threads and ours would
wait for each other.
"""

from __future__ import annotations

import numpy as np

from minicnn.kernels.fast_conv import blocks_of_four, conv2d_grad_weight, walk_all
from minicnn.kernels.plans import plan

ONE = (1, 1), (0, 0), (1, 1), 1  # stride, padding, dilation, groups


def linear(input, weight, bias):
    """Return ``input @ weight.T + bias``, (N, O), for rows (N, I).

    >>> linear(np.array([[10.0, 100.0]]), np.array([[2.0, 3.0]]), np.array([1.0]))
    array([[321.]])
    """
    rows, features = input.shape
    outputs = len(weight)
    if not rows:
        return np.empty((0, outputs), input.dtype)
    products = conv2d_grad_weight(
        weight.reshape(1, outputs, 1, features),
        input.reshape(1, rows, 1, features),
        (outputs, rows, 1, 1),
        *ONE,
    )
    output = np.ascontiguousarray(products.reshape(outputs, rows).T)  # (N, O)
    return output if bias is None else output + bias


def product(filters, lines):
    """Return ``filters @ lines``, (A, I), for (A, B) and (B, I).

    >>> product(np.array([[1.0, 10.0]]), np.array([[2.0, 3.0], [4.0, 5.0]]))
    array([[42., 53.]])
    """
    count, features = lines.shape
    weights = blocks_of_four(filters[:, :, None, None], 1, np.arange(1), backward=False)
    if weights is None:  # the tile is filled up with zeros, and 0 · inf is NaN
        return filters @ lines
    target = np.zeros((1, len(filters), 1, features), lines.dtype)
    if len(filters) and count:
        made = plan((1, features), (1, 1), (0, 0), (1, features), (0, 0), (1, 1), [(0, 0)], count)
        no_bias = np.zeros(len(filters), lines.dtype)
        walk_all(lines.reshape(1, count, 1, features), weights, no_bias, target, made, 1)
    return target.reshape(len(filters), features)


def linear_grad_input(grad_output, weight):
    """Return ``grad_output @ weight``, (N, I).

    >>> linear_grad_input(np.array([[5.0]]), np.array([[2.0, 3.0]]))
    array([[10., 15.]])
    """
    return product(grad_output, weight)


def linear_grad_weight(grad_output, input):
    """Return ``grad_output.T @ input``, (O, I).

    >>> linear_grad_weight(np.array([[5.0]]), np.array([[10.0, 100.0]]))
    array([[ 50., 500.]])
    """
    return product(grad_output.T, input)
