"""ReLU and Adam's step in NumPy: the lower rungs share them."""

from __future__ import annotations

import math

import numpy as np

from minicnn.kernels.loops import silent


def relu(input):
    """Return the input with 0 for all that is 0 or less; NaN stays.

    >>> relu(np.array([3.0, -4.0]))
    array([3., 0.])
    """
    return np.where(input <= 0, input.dtype.type(0), input)


def relu_backward(grad_output, output):
    """Return `grad_output`, with 0 where the output is 0.

    >>> relu_backward(np.array([10.0, 20.0]), np.array([3.0, 0.0]))
    array([10.,  0.])
    """
    return np.where(output <= 0, output.dtype.type(0), grad_output)


def adam_factors(lr, betas, eps, step):
    """Return what Adam multiplies by, and adds: 1 - β₁, β₂, 1 - β₂, 1 / √(1 - β₂ᵗ), eps, lr / (1 - β₁ᵗ).

    >>> adam_factors(0.5, (0.5, 0.75), 1e-8, 1)
    (0.5, 0.75, 0.25, 2.0, 1e-08, 1.0)
    """
    beta1, beta2 = betas
    return 1 - beta1, beta2, 1 - beta2, 1 / math.sqrt(1 - beta2**step), eps, lr / (1 - beta1**step)


@silent
def adam(data, grad, mean, square, largest, lr, betas, eps, step):
    """Take step number `step`, from 1 on: change `data`, the running `mean` and `square` in place.

    With `largest`, the largest square so far, that stands in place of `square` (amsgrad).

    ``m ← m + (1 - β₁)(g - m)``, ``v ← β₂ v + (1 - β₂) g²``,
    ``w ← w - lr / (1 - β₁ᵗ) · m / (√v · 1 / √(1 - β₂ᵗ) + eps)``; a division takes the CPU
    as long as four products.

    >>> weight, mean, square = np.array([1.0]), np.zeros(1), np.zeros(1)
    >>> adam(weight, np.array([5.0]), mean, square, None, 0.1, (0.9, 0.999), 1e-8, 1)
    >>> weight.round(6), mean.round(6), square.round(6)         # 0.1·5 and 0.001·25
    (array([0.9]), array([0.5]), array([0.025]))
    """
    new_mean, keep, new_square, growth, eps, rate = adam_factors(lr, betas, eps, step)
    mean += new_mean * (grad - mean)
    square *= keep
    square += new_square * grad * grad
    if largest is not None:
        square = np.maximum(largest, square, out=largest)
    size = np.sqrt(square, out=np.empty_like(square))
    size *= growth
    size += eps
    np.divide(mean, size, out=size)
    size *= rate
    data -= size
