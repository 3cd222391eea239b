"""Activations with bounds: ReLU6, Hardsigmoid and Hardswish, as nets for phones have them, Hardtanh and Clamp.

Arguments are torch's, but for `inplace`; in all formulas ``G = ∂L/∂y``. Input and output have any shape,
float32 or float64; another dtype raises TypeError. NaN and infinity go through as in torch.
"""

from __future__ import annotations

import numpy as np

from minicnn import checks
from minicnn.nn.arithmetic import as_constant
from minicnn.nn.module import Module


class ReLU6(Module):
    """Let numbers between 0 and 6 pass: ``y = min(max(x, 0), 6)``.

    Backward: ``∂L/∂x = G · [0 < x < 6]``; NaN lets it pass.

    Notes
    -----
    At NaN torch 2.13 gives 0 where its loop runs over vectors, and G in the rest.

    Source: Howard et al., "MobileNets" (2017); ``torch/nn/modules/activation.py``, ReLU6.

    Examples
    --------
    >>> layer = ReLU6()
    >>> layer(np.float32([3, -4, 8]))
    array([3., 0., 6.], dtype=float32)
    >>> layer.backward(np.float32([10, 20, 30]))        # 10·1, 20·0, 30·0
    array([10.,  0.,  0.], dtype=float32)
    """

    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return ``min(max(input, 0), 6)``."""
        checks.as_float_array(self.who, "input", input)
        output = np.asarray(np.minimum(np.maximum(input, 0), 6))
        self.save(output, output=output)
        return output

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return `grad_output` where the output is neither 0 nor 6, else 0."""
        output = self.recall(grad_output)["output"]
        return np.where((output == 0) | (output == 6), 0, grad_output)


class Hardsigmoid(Module):
    """A sigmoid made of straight lines: ``y = min(max(x + 3, 0), 6) / 6``.

    Backward: ``∂L/∂x = G / 6 if -3 < x < 3, else 0``.

    Notes
    -----
    At NaN the gradient is 0, as in torch. In float64, torch 2.13 multiplies by the sixth that float32 has, so that
    its gradients are right to 8 digits only.

    Source: Howard et al., "Searching for MobileNetV3" (2019).

    Examples
    --------
    >>> layer = Hardsigmoid()
    >>> layer(np.array([1.5, -1.5, 4.0]))               # 4.5/6, 1.5/6, 6/6
    array([0.75, 0.25, 1.  ])
    >>> layer.backward(np.array([12.0, 24.0, 36.0]))    # 12/6, 24/6, 0
    array([2., 4., 0.])
    """

    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return ``min(max(input + 3, 0), 6) / 6``."""
        checks.as_float_array(self.who, "input", input)
        output = np.asarray(np.minimum(np.maximum(input + 3, 0), 6) / 6)
        self.save(output, input=input)
        return output

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return ``grad_output / 6`` between -3 and 3, else 0."""
        input = self.recall(grad_output)["input"]
        return np.where((input > -3) & (input < 3), grad_output / 6, 0)


class Hardswish(Module):
    """Weigh each number by a sigmoid made of straight lines: ``y = x · min(max(x + 3, 0), 6) / 6``.

    Backward: ``∂L/∂x = 0 if x ≤ -3, G · (x/3 + 1/2) if x < 3, else G``.

    Notes
    -----
    At NaN the gradient is NaN. (torch 2.13 gives NaN where its loop runs over vectors, and G in the rest.)

    Source: Howard et al., "Searching for MobileNetV3" (2019).

    Examples
    --------
    >>> layer = Hardswish()
    >>> layer(np.array([1.5, -1.5, 4.0]))               # 1.5·4.5/6, -1.5·1.5/6, 4·6/6
    array([ 1.125, -0.375,  4.   ])
    >>> layer.backward(np.array([8.0, 8.0, 8.0]))       # 8·(1/2 + 1/2), 8·(-1/2 + 1/2), 8
    array([8., 0., 8.])
    """

    @checks.without_warnings
    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return ``input · min(max(input + 3, 0), 6) / 6``."""
        checks.as_float_array(self.who, "input", input)
        output = np.asarray(input * np.minimum(np.maximum(input + 3, 0), 6) / 6)
        self.save(output, input=input)
        return output

    @checks.without_warnings
    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return 0 up to -3, ``grad_output · (input/3 + 1/2)`` up to 3, and `grad_output` from there on."""
        input = self.recall(grad_output)["input"]
        slope = np.where(input >= 3, 1, input / 3 + 0.5)
        return np.where(input <= -3, 0, grad_output * slope)


class Hardtanh(Module):
    """Let numbers between two bounds pass, and no others: ``y = min(max(x, min_val), max_val)``.

    Backward: ``∂L/∂x = G · [min_val < x < max_val]``: nothing passes at a bound; NaN lets it pass.

    Parameters
    ----------
    min_val, max_val : float
        The bounds.

    Notes
    -----
    At NaN torch 2.13 gives 0 where its loop runs over vectors, and G in the rest.

    Source: ``torch/nn/modules/activation.py``, Hardtanh.

    Raises
    ------
    ValueError
        If a bound is not finite, or `max_val` is not greater than `min_val`.

    Examples
    --------
    >>> layer = Hardtanh(-1, 2)
    >>> layer(np.float32([0.5, -4, 8, 2]))              # 0.5, -1, 2, 2
    array([ 0.5, -1. ,  2. ,  2. ], dtype=float32)
    >>> layer.backward(np.float32([10, 20, 30, 40]))    # 10·1, 20·0, 30·0, and 40·0 at the bound
    array([10.,  0.,  0.,  0.], dtype=float32)
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        super().__init__()
        self.min_val = as_constant(self.who, "min_val", min_val)
        self.max_val = as_constant(self.who, "max_val", max_val)
        if not self.max_val > self.min_val:
            raise ValueError(
                f"{self.who}: max_val must be greater than min_val. Got {max_val} and {min_val}. "
                "Pass the lower bound first."
            )

    @checks.without_warnings
    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return ``min(max(input, min_val), max_val)``."""
        checks.as_float_array(self.who, "input", input)
        output = np.asarray(np.minimum(np.maximum(input, self.min_val), self.max_val))
        self.save(output, input=input)
        return output

    @checks.without_warnings
    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return `grad_output` between the bounds, else 0."""
        input = self.recall(grad_output)["input"]
        return np.where((input <= self.min_val) | (input >= self.max_val), 0, grad_output)

    def arguments(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}"


class Clamp(Module):
    """Keep numbers within bounds, as ``torch.clamp`` does: ``y = min(max(x, low), high)``.

    Backward: ``∂L/∂x = G · [low ≤ x ≤ high]``: at a bound the gradient passes, unlike that of `Hardtanh`, and
    of `ReLU` at 0.

    Parameters
    ----------
    min, max : float or None
        The bounds low and high; None is no bound.

    Notes
    -----
    At NaN the gradient is 0, as in torch. Torch takes a `min` greater than `max`, too, and gives `max` everywhere.

    Source: ``torch.clamp``, for which torch has no layer.

    Raises
    ------
    ValueError
        If there is no bound, one is not finite, or `min` is greater than `max`.

    Examples
    --------
    >>> layer = Clamp(min=-1, max=2)
    >>> layer(np.float32([0.5, -4, 8, 2]))              # 0.5, -1, 2, 2
    array([ 0.5, -1. ,  2. ,  2. ], dtype=float32)
    >>> layer.backward(np.float32([10, 20, 30, 40]))    # 10·1, 20·0, 30·0, and 40·1 at the bound
    array([10.,  0.,  0., 40.], dtype=float32)
    """

    def __init__(self, min: float | None = None, max: float | None = None) -> None:
        super().__init__()
        self.min = None if min is None else as_constant(self.who, "min", min)
        self.max = None if max is None else as_constant(self.who, "max", max)
        if min is None and max is None:
            raise ValueError(f"{self.who}: there must be a bound. Got None and None. Pass min, max, or both.")
        if self.low > self.high:
            raise ValueError(
                f"{self.who}: max must be at least min. Got {max} and {min}. Pass the lower bound first."
            )

    @property
    def low(self) -> float:
        """The lower bound, or -∞."""
        return -np.inf if self.min is None else self.min

    @property
    def high(self) -> float:
        """The upper bound, or ∞."""
        return np.inf if self.max is None else self.max

    @checks.without_warnings
    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return ``min(max(input, low), high)``."""
        checks.as_float_array(self.who, "input", input)
        output = np.asarray(np.minimum(np.maximum(input, self.low), self.high))
        self.save(output, input=input)
        return output

    @checks.without_warnings
    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return `grad_output` from bound to bound, both included, else 0."""
        input = self.recall(grad_output)["input"]
        return np.where((input >= self.low) & (input <= self.high), grad_output, 0)

    def arguments(self) -> str:
        return f"min={self.min}, max={self.max}"
