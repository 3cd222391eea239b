"""Average pooling in NumPy, window by window; each covers some rows and some columns of the image."""

from __future__ import annotations

import numpy as np


def average(input, rows, columns, divisors):
    """Return each window's sum, divided; `rows` and `columns` hold where windows begin and end, (H_out, 2).

    >>> rows, columns = np.array([[0, 2]]), np.array([[0, 1], [1, 3]])
    >>> average(np.array([[[[1.0, 2, 3], [4, 5, 6]]]]), rows, columns, np.array([[2.0, 4]]))   # 5/2, 16/4
    array([[[[2.5, 4. ]]]])
    """
    output = np.empty((*input.shape[:2], len(rows), len(columns)), input.dtype)
    for y, (top, bottom) in enumerate(rows):
        for x, (left, right) in enumerate(columns):
            window = input[:, :, top:bottom, left:right]  # (N, C, K_h, K_w)
            output[:, :, y, x] = window.sum(axis=(2, 3)) / divisors[y, x]
    return output


def average_backward(grad_output, rows, columns, divisors, input_shape):
    """Give every pixel of a window the window's gradient, divided.

    >>> rows, columns = np.array([[0, 1]]), np.array([[0, 1], [0, 2]])
    >>> average_backward(np.array([[[[6.0, 8]]]]), rows, columns, np.array([[1.0, 2]]), (1, 1, 1, 2))
    array([[[[10.,  4.]]]])
    """
    grad_input = np.zeros(input_shape, grad_output.dtype)
    for y, (top, bottom) in enumerate(rows):
        for x, (left, right) in enumerate(columns):
            part = grad_output[:, :, y, x] / divisors[y, x]  # (N, C)
            grad_input[:, :, top:bottom, left:right] += part[:, :, None, None]
    return grad_input
