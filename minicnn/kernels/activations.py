"""LeakyReLU, ELU, the sigmoid, SiLU and GELU in NumPy, forward and back: formulas to be read.

They compute on all numbers and choose afterwards; what overflows meanwhile is not chosen, so nobody is warned.
"""

from __future__ import annotations

import math

import numpy as np

from minicnn.kernels.erf import erfc
from minicnn.kernels.loops import silent


@silent
def leaky_relu(input, slope):
    """Return the input, with numbers that are not positive multiplied by the slope.

    >>> leaky_relu(np.array([3.0, -4.0]), 0.5)
    array([ 3., -2.])
    """
    return np.where(input > 0, input, slope * input)


@silent
def leaky_relu_backward(grad_output, input, slope):
    """Return `grad_output`, multiplied by the slope where the input is not positive.

    >>> leaky_relu_backward(np.array([10.0, 20.0]), np.array([3.0, -4.0]), 0.5)
    array([10., 10.])
    """
    return np.where(input > 0, grad_output, slope * grad_output)


@silent
def elu(input, alpha):
    """Return the input where it is positive, else ``alpha · (exp(input) - 1)``.

    expm1 keeps the digits that exp(x) - 1 loses near 0.

    >>> elu(np.array([3.0, np.log(0.25)]), 1.0)
    array([ 3.  , -0.75])
    """
    return np.where(input > 0, input, alpha * np.expm1(np.minimum(input, 0)))


@silent
def elu_backward(grad_output, input, alpha):
    """Return `grad_output` where the input is positive, else times ``alpha · exp(input)``.

    >>> elu_backward(np.array([10.0, 20.0]), np.array([3.0, np.log(0.25)]), 1.0)
    array([10.,  5.])
    """
    return np.asarray(grad_output * np.where(input > 0, 1, alpha * np.exp(np.minimum(input, 0))))


@silent
def sigmoid(input):
    """Return ``1 / (1 + exp(-input))``, without overflow on either side.

    >>> sigmoid(np.array([0.0, np.log(3), -1e4, np.inf]))
    array([0.5 , 0.75, 0.  , 1.  ])
    """
    return np.asarray(np.exp(np.minimum(input, 0)) / (1 + np.exp(-np.abs(input))))


@silent
def sigmoid_backward(grad_output, output):
    """Return ``grad_output · output · (1 - output)``.

    >>> sigmoid_backward(np.array([10.0, 16.0]), np.array([0.5, 0.75]))
    array([2.5, 3. ])
    """
    return np.asarray(grad_output * (output * (1 - output)))


@silent
def silu(input):
    """Return ``input · gate``, and the gate: the sigmoid of the input.

    >>> silu(np.array([0.0, np.log(3)]))
    (array([0.        , 0.82395922]), array([0.5 , 0.75]))
    """
    gate = sigmoid(input)
    return np.asarray(input * gate), gate


@silent
def silu_backward(grad_output, input, gate):
    """Return ``grad_output · gate · (1 + input · (1 - gate))``.

    >>> silu_backward(np.array([10.0, 10.0]), np.array([0.0, 4.0]), np.array([0.5, 0.75]))
    array([ 5., 15.])
    """
    return np.asarray(grad_output * (gate * (1 + input * (1 - gate))))


@silent
def gelu(input):
    """Return ``input · Φ(input)``, and ``Φ(input) = erfc(-input / √2) / 2``.

    >>> gelu(np.array([1.0, -1.0]))[0].round(4)         # 1·0.8413, -1·0.1587
    array([ 0.8413, -0.1587])
    """
    below = np.asarray(erfc(input * -math.sqrt(0.5)) / 2)
    return np.asarray(input * below), below


@silent
def gelu_backward(grad_output, input, below):
    """Return ``grad_output · (Φ + input · φ)``, with ``φ = exp(-input²/2) / √(2π)``.

    >>> gelu_backward(np.array([1.0]), np.array([0.0]), np.array([0.5]))
    array([0.5])
    """
    density = np.exp(-input * input / 2) / math.sqrt(2 * math.pi)
    return np.asarray(grad_output * (below + input * density))
