"""Softmax and LogSoftmax: from logits to probabilities, along one axis.

In all formulas ``G`` is the gradient of the loss with respect to the output. Input and output have any
shape with that axis, float32 or float64; another dtype raises TypeError, a missing axis ValueError. NaN
and infinity go through as in torch.
"""

from __future__ import annotations

import numpy as np

from minicnn import checks, functional
from minicnn.nn.module import Module


class Softmax(Module):
    """Turn the logits along one axis into probabilities: ``p_i = exp(z_i) / Σ_j exp(z_j)``.

    Computed from ``z - max z``, so that nothing overflows. Backward: ``∂L/∂z = p · (G - Σ_j G_j p_j)``.

    Parameters
    ----------
    dim : int
        The axis of the classes. (torch lets it be left out and then guesses it, with a warning.)

    Notes
    -----
    Not in front of `CrossEntropyLoss`, which wants logits.

    Examples
    --------
    >>> layer = Softmax(dim=1)
    >>> layer(np.log([[1.0, 3.0]]))                     # 1/(1 + 3), 3/(1 + 3)
    array([[0.25, 0.75]])
    >>> layer.backward(np.array([[16.0, 0.0]]))         # 1/4·(16 - 4), 3/4·(0 - 4)
    array([[ 3., -3.]])
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = checks.as_int(self.who, "dim", dim)

    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return probabilities that sum to 1 along `dim`."""
        checks.as_float_array(self.who, "input", input)
        checks.as_axis(self.who, "input", input, self.dim)
        probabilities = functional.softmax(input, self.dim)
        self.save(probabilities, probabilities=probabilities)
        return probabilities

    @checks.without_warnings
    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return ``p · (grad_output - Σ grad_output · p)``."""
        probabilities = self.recall(grad_output)["probabilities"]
        mean_grad = (grad_output * probabilities).sum(axis=self.dim, keepdims=True)
        return probabilities * (grad_output - mean_grad)

    def arguments(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """Turn the logits along one axis into log-probabilities: ``log p_i = z_i - log Σ_j exp(z_j)``.

    Computed from ``z - max z``, so that nothing overflows and no logarithm sees a probability that has
    rounded to 0. Backward: ``∂L/∂z = G - p Σ_j G_j``.

    Parameters
    ----------
    dim : int
        The axis of the classes. (torch lets it be left out and then guesses it, with a warning.)

    Examples
    --------
    >>> layer = LogSoftmax(dim=1)
    >>> np.exp(layer(np.log([[1.0, 3.0]]))).round(4)
    array([[0.25, 0.75]])
    >>> layer.backward(np.array([[16.0, 4.0]])).round(4)        # 16 - 1/4·20, 4 - 3/4·20
    array([[ 11., -11.]])
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = checks.as_int(self.who, "dim", dim)

    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return log-probabilities, whose `exp` sums to 1 along `dim`."""
        checks.as_float_array(self.who, "input", input)
        checks.as_axis(self.who, "input", input, self.dim)
        log_probabilities = functional.log_softmax(input, self.dim)
        self.save(log_probabilities, log_probabilities=log_probabilities)
        return log_probabilities

    @checks.without_warnings
    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return ``grad_output - p · Σ grad_output``."""
        probabilities = np.exp(self.recall(grad_output)["log_probabilities"])
        return grad_output - probabilities * grad_output.sum(axis=self.dim, keepdims=True)

    def arguments(self) -> str:
        return f"dim={self.dim}"
