"""Batch norm in NumPy: axis 1 holds the channels, and every channel has statistics of its own."""

from __future__ import annotations

import numpy as np


def along(channels, array):
    """Return one number a channel in a shape that lies along axis 1 of `array`.

    >>> along(np.array([1.0, 2.0]), np.zeros((5, 2, 3))).shape
    (1, 2, 1)
    """
    return channels.reshape(1, -1, *[1] * (array.ndim - 2))  # (1, C, 1, ...)


def sums(array):
    """Return the sum of every channel, added up in float64 as torch does.

    >>> sums(np.float32([[1, 10], [2, 20]]))
    array([ 3., 30.])
    """
    return array.sum(axis=(0, *range(2, array.ndim)), dtype=np.float64)  # (C,)


def statistics(input):
    """Return mean and biased variance of every channel; 0 if there are no numbers.

    >>> statistics(np.array([[1.0], [3.0]]))
    (array([2.]), array([1.]))
    """
    m = max(input.size // input.shape[1], 1)
    mean = (sums(input) / m).astype(input.dtype)
    return mean, (sums(np.square(input - along(mean, input))) / m).astype(input.dtype)


def batch_norm(input, given, weight, bias, eps):
    """Return ``(input - mean) · inv_std · weight + bias``, and mean, variance, inv_std of every channel.

    `given` is a pair (mean, variance), or None: then they are the input's own.

    >>> output, mean, variance, inv_std = batch_norm(np.array([[1.0], [3.0]]), None, np.ones(1), np.zeros(1), 3.0)
    >>> output.ravel(), mean, variance, inv_std         # (1 - 2) / √(1 + 3), (3 - 2) / √(1 + 3)
    (array([-0.5,  0.5]), array([2.]), array([1.]), array([0.5]))
    """
    mean, variance = statistics(input) if given is None else given
    inv_std = 1 / np.sqrt(variance + input.dtype.type(eps))
    normalised = (input - along(mean, input)) * along(inv_std, input)
    return normalised * along(weight, input) + along(bias, input), mean, variance, inv_std


def batch_norm_backward(grad_output, input, mean, inv_std, weight, own):
    """Return the gradients of input, weight and bias; `own` says whether the statistics are the input's.

    >>> channel = np.array([2.0]), np.array([0.5]), np.ones(1)
    >>> grads = batch_norm_backward(np.array([[8.0], [0.0]]), np.array([[1.0], [3.0]]), *channel, True)
    >>> [grad.ravel().tolist() for grad in grads]   # 1/2·(8 - 4 - 0.5·2), 1/2·(0 - 4 + 0.5·2); 8·(-0.5); 8 + 0
    [[1.5, -1.5], [-4.0], [8.0]]
    """
    dtype, m = input.dtype, max(input.size // input.shape[1], 1)
    normalised = (input - along(mean, input)) * along(inv_std, input)
    grad_weight, grad_bias = sums(grad_output * normalised), sums(grad_output)
    grad = grad_output
    if own:
        # A number also moves the mean, by 1/m, and thereby all m numbers of its channel, the other way ...
        push = along((grad_bias / m).astype(dtype), input)
        # ... and the variance, by 2/m of its distance from the mean, which draws all of them together.
        pull = along((grad_weight / m).astype(dtype), input)
        grad = grad_output - push - normalised * pull
    return grad * along(weight * inv_std, input), grad_weight.astype(dtype), grad_bias.astype(dtype)
