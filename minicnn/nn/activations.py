"""Activations: ReLU to Tanh, each number by itself. (With bounds: hard_activations.py; with a slope
that is learned: prelu.py; Softmax, which looks along an axis: softmax.py.)

Arguments, order and defaults are torch's, but for `inplace`, which is left out: no layer here changes
its input. In all formulas ``G = ∂L/∂y``. Input and output have any shape, float32 or float64; another
dtype raises TypeError. NaN and infinity go through as in torch. `np.asarray` stands where NumPy would
turn an array without axes into a scalar.
"""

from __future__ import annotations

import math

import numpy as np

from minicnn import checks, kernels
from minicnn.nn.module import Module


class ReLU(Module):
    """Let positive numbers pass: ``y = max(x, 0)``.

    Backward: ``∂L/∂x = G · [x > 0]``; at 0 the gradient is 0, as in torch, and NaN lets it pass.

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
        output = kernels.relu(input)
        self.save(output, output=output)
        return output

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return `grad_output` where the output is positive (or NaN), else 0."""
        output = self.recall(grad_output)["output"]
        return kernels.relu_backward(grad_output, output)


class LeakyReLU(Module):
    """Let positive numbers pass and make negative ones small: ``y = x if x > 0 else slope · x``.

    Backward: ``∂L/∂x = G if x > 0 else slope · G``.

    Parameters
    ----------
    negative_slope : float

    Notes
    -----
    Source: Maas et al., "Rectifier nonlinearities improve neural network acoustic models" (2013).

    Examples
    --------
    >>> layer = LeakyReLU(0.5)
    >>> layer(np.float32([3, -4]))                      # 3, 0.5·(-4)
    array([ 3., -2.], dtype=float32)
    >>> layer.backward(np.float32([10, 20]))            # 10, 0.5·20
    array([10., 10.], dtype=float32)
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = checks.as_number(self.who, "negative_slope", negative_slope)

    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return the input, with negative numbers multiplied by the slope."""
        checks.as_float_array(self.who, "input", input)
        output = kernels.leaky_relu(input, self.negative_slope)
        self.save(output, input=input)
        return output

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return `grad_output`, multiplied by the slope where the input is not positive."""
        input = self.recall(grad_output)["input"]
        return kernels.leaky_relu_backward(grad_output, input, self.negative_slope)

    def arguments(self) -> str:
        return f"negative_slope={self.negative_slope}"


class ELU(Module):
    """Let negative numbers saturate at -alpha: ``y = x if x > 0 else alpha · (exp(x) - 1)``.

    Backward: ``∂L/∂x = G if x > 0 else G · alpha · exp(x)``.

    Parameters
    ----------
    alpha : float

    Notes
    -----
    At NaN the gradient is NaN. (torch 2.13 gives NaN where its loop runs over vectors, and G in the rest.)

    Source: Clevert et al., "Fast and accurate deep network learning by exponential linear units" (2015).

    Examples
    --------
    >>> layer = ELU()
    >>> layer(np.array([3.0, np.log(0.25)]))            # 3, 1/4 - 1
    array([ 3.  , -0.75])
    >>> layer.backward(np.array([10.0, 20.0]))          # 10, 20·1/4
    array([10.,  5.])
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = checks.as_number(self.who, "alpha", alpha)

    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return the input where it is positive, else ``alpha · (exp(input) - 1)``."""
        checks.as_float_array(self.who, "input", input)
        output = kernels.elu(input, self.alpha)
        self.save(output, input=input)
        return output

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return `grad_output` where the input is positive, else times ``alpha · exp(input)``."""
        input = self.recall(grad_output)["input"]
        return kernels.elu_backward(grad_output, input, self.alpha)

    def arguments(self) -> str:
        return f"alpha={self.alpha}"


class GELU(Module):
    """Weigh each number by how likely a standard normal draw lies below it: ``y = x · Φ(x)``.

    - "none": ``Φ(x) = erfc(-x/√2) / 2``.
      Backward: ``∂L/∂x = G · (Φ(x) + x φ(x))`` with ``φ(x) = exp(-x²/2) / √(2π)``.
    - "tanh": ``Φ(x) ≈ (1 + t) / 2`` with ``t = tanh(u)``, ``u = √(2/π) (x + 0.044715 x³)``.
      Backward: ``∂L/∂x = G · ((1 + t) / 2 + x (1 - t²) u' / 2)`` with ``u' = √(2/π) (1 + 0.134145 x²)``.

    Parameters
    ----------
    approximate : "none" or "tanh"

    Notes
    -----
    Source: Hendrycks and Gimpel, "Gaussian error linear units" (2016).

    Examples
    --------
    >>> layer = GELU()
    >>> layer(np.array([1.0, -1.0])).round(4)           # 1·0.8413, -1·0.1587
    array([ 0.8413, -0.1587])
    >>> layer.backward(np.array([1.0, 1.0])).round(4)   # 0.8413 + 0.2420, 0.1587 - 0.2420
    array([ 1.0833, -0.0833])
    """

    CUBIC = 0.044715

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ValueError(
                f'{self.who}: approximate must be "none" or "tanh". Got {approximate!r}. Pass one of them.'
            )
        self.approximate = approximate

    @checks.without_warnings
    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return ``input · Φ(input)``."""
        checks.as_float_array(self.who, "input", input)
        if self.approximate == "tanh":
            u = math.sqrt(2 / math.pi) * (input + self.CUBIC * input * input * input)
            below = (1 + np.tanh(u)) / 2
            output = np.asarray(input * below)
        else:
            output, below = kernels.gelu(input)
        self.save(output, input=input, below=below)
        return output

    @checks.without_warnings
    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return ``grad_output · (Φ + input · Φ')``."""
        saved = self.recall(grad_output)
        input, below = saved["input"], saved["below"]
        if self.approximate == "none":
            return kernels.gelu_backward(grad_output, input, below)
        u_slope = math.sqrt(2 / math.pi) * (1 + 3 * self.CUBIC * input * input)
        density = 2 * below * (1 - below) * u_slope  # (1 - t²) / 2 = 2 · below · (1 - below)
        return np.asarray(grad_output * (below + input * density))

    def arguments(self) -> str:
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """Weigh each number by its sigmoid: ``y = x · s``, with ``s = 1 / (1 + exp(-x))``.

    Backward: ``∂L/∂x = G · s · (1 + x (1 - s))``.

    Notes
    -----
    Source: Elfwing et al., "Sigmoid-weighted linear units" (2017); also known as swish.

    Examples
    --------
    >>> layer = SiLU()
    >>> layer(np.array([0.0, np.log(3)])).round(4)      # 0, 1.0986·0.75
    array([0.   , 0.824])
    >>> layer.backward(np.array([10.0, 10.0])).round(4) # 10·0.5, 10·0.75·(1 + 1.0986·0.25)
    array([5.    , 9.5599])
    """

    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return ``input · sigmoid(input)``."""
        checks.as_float_array(self.who, "input", input)
        output, gate = kernels.silu(input)
        self.save(output, input=input, gate=gate)
        return output

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return ``grad_output · gate · (1 + input · (1 - gate))``."""
        saved = self.recall(grad_output)
        return kernels.silu_backward(grad_output, saved["input"], saved["gate"])


class Sigmoid(Module):
    """Squeeze into 0 to 1: ``y = 1 / (1 + exp(-x))``, without overflow on either side.

    Backward: ``∂L/∂x = G · y (1 - y)``.

    Examples
    --------
    >>> layer = Sigmoid()
    >>> layer(np.array([0.0, np.log(3)]))               # 1/2, 1/(1 + 1/3)
    array([0.5 , 0.75])
    >>> layer.backward(np.array([10.0, 16.0]))          # 10·0.25, 16·0.75·0.25
    array([2.5, 3. ])
    """

    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return ``1 / (1 + exp(-input))``."""
        checks.as_float_array(self.who, "input", input)
        output = kernels.sigmoid(input)
        self.save(output, output=output)
        return output

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return ``grad_output · output · (1 - output)``."""
        output = self.recall(grad_output)["output"]
        return kernels.sigmoid_backward(grad_output, output)


class Tanh(Module):
    """Squeeze into -1 to 1: ``y = tanh(x)``.

    Backward: ``∂L/∂x = G · (1 - y²)``.

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
        return np.asarray(grad_output * (1 - output * output))
