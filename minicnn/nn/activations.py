"""Activations: each number by itself (ReLU to Tanh), or along one axis (Softmax, LogSoftmax).

Arguments, order and defaults are torch's, but for `inplace`: a layer never changes its input here.
"""

from __future__ import annotations

import numpy as np

from minicnn import checks
from minicnn.nn.module import Module


class ReLU(Module):
    """Let positive numbers pass: ``y = max(x, 0)``.

    Backward: ``∂L/∂x = G · [x > 0]``, where ``G = ∂L/∂y``; at 0 the gradient is 0, as in torch.

    Notes
    -----
    Input and output of any shape, float32 or float64. NaN gives NaN, and lets the gradient pass.

    Raises
    ------
    TypeError
        If the input is not a float32 or float64 array.

    Examples
    --------
    >>> layer = ReLU()
    >>> layer(np.float32([3, -4, 0]))
    array([3., 0., 0.], dtype=float32)
    >>> layer.backward(np.float32([10, 20, 30]))        # 10·1, 20·0, 30·0
    array([10.,  0.,  0.], dtype=float32)
    """

    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return ``max(input, 0)``."""
        checks.as_float_array(self.who, "input", input)
        output = np.asarray(np.maximum(input, 0))
        self.save(output, output=output)
        return output

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return `grad_output` where the output is positive (or NaN), else 0."""
        output = self.recall(grad_output)["output"]
        return np.where(output <= 0, 0, grad_output)


class Tanh(Module):
    """Squeeze into -1 to 1: ``y = tanh(x)``.

    Backward: ``∂L/∂x = G · (1 - y²)``, where ``G = ∂L/∂y``.

    Notes
    -----
    Input and output of any shape, float32 or float64.

    Raises
    ------
    TypeError
        If the input is not a float32 or float64 array.

    Examples
    --------
    >>> layer = Tanh()
    >>> layer(np.array([0.0, np.log(2)]))               # (2 - 1/2) / (2 + 1/2)
    array([0. , 0.6])
    >>> layer.backward(np.array([10.0, 100.0]))         # 10·1, 100·(1 - 0.36)
    array([10., 64.])
    """

    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return ``tanh(input)``."""
        checks.as_float_array(self.who, "input", input)
        output = np.asarray(np.tanh(input))
        self.save(output, output=output)
        return output

    @checks.without_warnings
    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return ``grad_output · (1 - output²)``."""
        output = self.recall(grad_output)["output"]
        return grad_output * (1 - output * output)
