"""Linear and Flatten: from feature maps to logits."""

from __future__ import annotations

import math

import numpy as np

from minicnn import checks, kernels
from minicnn.nn import init
from minicnn.nn.module import Module, Parameter


class Linear(Module):
    """Multiply by a matrix and add a bias: ``y = x Wᵀ + b``.

    Backward: ``∂L/∂x = G W``, ``∂L/∂W = Gᵀ x``, ``∂L/∂b = Σ G`` over all rows, where ``G = ∂L/∂y``.

    Parameters
    ----------
    in_features, out_features : int
        Length of a row of the input and of the output.
    bias : bool
        Whether `b` is added.
    dtype : float32 or float64
        Of the parameters; the input must have the same.
    rng : numpy.random.Generator, int or None
        Where the initial values come from: both parameters uniform in ±1/√in_features, as in
        ``torch.nn.Linear.reset_parameters``.

    Attributes
    ----------
    weight : Parameter of shape (out_features, in_features)
    bias : Parameter of shape (out_features,), or None

    Notes
    -----
    Input `(..., in_features)`, output `(..., out_features)`.

    Raises
    ------
    ValueError
        If the last axis of the input has not `in_features` entries.
    TypeError
        If the input's dtype is not the parameters'.

    Examples
    --------
    >>> layer = Linear(2, 1, rng=0)
    >>> layer.weight.data[...], layer.bias.data[...] = [[2, 3]], [1]
    >>> layer(np.float32([[10, 100]]))          # 2·10 + 3·100 + 1
    array([[321.]], dtype=float32)
    >>> layer.backward(np.float32([[5]]))       # 5·2, 5·3
    array([[10., 15.]], dtype=float32)
    >>> layer.weight.grad                       # 5·10, 5·100
    array([[ 50., 500.]], dtype=float32)
    """

    def __init__(self, in_features, out_features, bias=True, dtype=np.float32, *, rng=None) -> None:
        super().__init__()
        self.in_features = checks.as_int(self.who, "in_features", in_features, minimum=1)
        self.out_features = checks.as_int(self.who, "out_features", out_features, minimum=1)
        rng, dtype = checks.as_rng(self.who, rng), checks.as_float_dtype(self.who, dtype)
        self.weight = Parameter(np.empty((self.out_features, self.in_features), dtype))
        self.bias = Parameter(np.empty(self.out_features, dtype)) if bias else None
        init.default_(self.weight, self.bias, rng)

    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return `(..., out_features)` for an input `(..., in_features)`."""
        checks.as_float_array(self.who, "input", input)
        if input.ndim == 0 or input.shape[-1] != self.in_features:
            flat = input.ndim == 2 and input.size == self.in_features  # one image behind Flatten(start_dim=1)
            advice = "Pass a single image as image[None], or build" if flat else "Build"
            raise ValueError(
                f"{self.who}: input must have {self.in_features} features (last axis). Got shape "
                f"{input.shape}. {advice} the layer with in_features={input.shape[-1] if input.ndim else 1}."
            )
        dtype, shape = self.weight.data.dtype, (self.out_features, self.in_features)
        checks.check_same_dtype(self.who, "input", input, dtype)
        checks.check_own_array(self.who, "weight", self.weight.data, shape, dtype)
        if self.bias is not None:
            checks.check_own_array(self.who, "bias", self.bias.data, shape[:1], dtype)
        rows = input.reshape(-1, self.in_features)  # (N, in_features)
        bias = None if self.bias is None else self.bias.data
        output = kernels.linear(rows, self.weight.data, bias)
        output = output.reshape(*input.shape[:-1], self.out_features)
        self.save(output, input=input, weight=self.weight.data)
        return output

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return `(..., in_features)`; add to `weight.grad` and `bias.grad`."""
        self._backward_parameters(grad_output)
        rows = grad_output.reshape(-1, self.out_features)  # (N, out_features)
        return kernels.linear_grad_input(rows, self.saved["weight"]).reshape(self.saved["input"].shape)

    def _backward_parameters(self, grad_output: np.ndarray) -> None:
        input = self.recall(grad_output)["input"]
        rows = grad_output.reshape(-1, self.out_features)  # (N, out_features)
        self.weight.accumulate(kernels.linear_grad_weight(rows, input.reshape(-1, self.in_features)))
        if self.bias is not None:
            self.bias.accumulate(kernels.conv2d_grad_bias(rows))

    def arguments(self) -> str:
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"


class Flatten(Module):
    """Lay the axes `start_dim` to `end_dim` end to end: `(N, C, H, W)` becomes `(N, C·H·W)`.

    Column ``(c·H + row)·W + column`` of the output is channel `c`, that row and that column.

    Examples
    --------
    >>> layer = Flatten()
    >>> layer(np.zeros((8, 32, 7, 7))).shape
    (8, 1568)
    >>> layer.backward(np.zeros((8, 1568))).shape
    (8, 32, 7, 7)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = checks.as_int(self.who, "start_dim", start_dim)
        self.end_dim = checks.as_int(self.who, "end_dim", end_dim)

    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return the input with the axes from `start_dim` to `end_dim` made one."""
        checks.as_float_array(self.who, "input", input)
        shape, axes = input.shape, input.ndim
        first = self.start_dim if self.start_dim >= 0 else self.start_dim + axes
        last = self.end_dim if self.end_dim >= 0 else self.end_dim + axes
        if not 0 <= first <= last < axes:
            raise ValueError(
                f"{self.who}: input must have the axes {self.start_dim} to {self.end_dim}, in this order. "
                f"Got shape {input.shape}. Pass a batch, or build the layer with another start_dim."
            )
        joined = math.prod(shape[first : last + 1])
        output = input.reshape((*shape[:first], joined, *shape[last + 1 :]))
        self.save(output, input_shape=shape)
        return output

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return the gradient in the input's shape."""
        shape = self.recall(grad_output)["input_shape"]
        return grad_output.reshape(shape)

    def arguments(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"
