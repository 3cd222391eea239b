"""Affine and Mean: a number times a constant, and the mean over some axes."""

from __future__ import annotations

import math

import numpy as np

from minicnn import checks
from minicnn.nn.module import Module


class Affine(Module):
    """Multiply by a constant and add another: ``y = factor · x + shift``; nothing is learned.

    Backward: ``∂L/∂x = factor · ∂L/∂y``.

    Parameters
    ----------
    factor, shift : float
        The factor is applied first. 1 and 0 leave every bit as it is.

    Notes
    -----
    Input and output of any shape, float32 or float64.

    Examples
    --------
    >>> layer = Affine(2, shift=0.5)
    >>> layer(np.float32([1, -3]))              # 2·1 + 0.5, 2·(-3) + 0.5
    array([ 2.5, -5.5], dtype=float32)
    >>> layer.backward(np.float32([10, 20]))
    array([20., 40.], dtype=float32)
    """

    def __init__(self, factor: float = 1.0, shift: float = 0.0) -> None:
        super().__init__()
        self.factor = as_constant(self.who, "factor", factor)
        self.shift = as_constant(self.who, "shift", shift)

    @checks.without_warnings
    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return ``factor · input + shift``."""
        checks.as_float_array(self.who, "input", input)
        output = input if self.factor == 1 else np.asarray(input * self.factor)
        output = output if self.shift == 0 else np.asarray(output + self.shift)
        self.save(output)
        return output

    @checks.without_warnings
    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return ``factor · grad_output``."""
        self.recall(grad_output)
        return grad_output if self.factor == 1 else np.asarray(grad_output * self.factor)

    def arguments(self) -> str:
        return f"factor={self.factor}, shift={self.shift}"

    def written(self, input: str) -> str:
        """Return the line that stands for this operation in a printed `Graph`.

        >>> Affine(2).written("x1"), Affine(1, -0.5).written("x1"), Affine(-1, 1).written("x1")
        ('2.0 * x1', 'x1 - 0.5', '-1.0 * x1 + 1.0')
        """
        product = input if self.factor == 1 else f"{self.factor} * {input}"
        if self.shift == 0:
            return product
        return f"{product} {'-' if self.shift < 0 else '+'} {abs(self.shift)}"


def as_constant(who: str, what: str, value) -> float:
    """Return `value` as a float that is a number; infinity and NaN are no constants.

    >>> as_constant("Affine", "factor", math.inf)
    Traceback (most recent call last):
    ValueError: Affine: factor must be finite. Got inf. Pass a number.
    """
    number = checks.as_number(who, what, value)
    if not math.isfinite(number):
        raise ValueError(f"{who}: {what} must be finite. Got {number}. Pass a number.")
    return number


class Mean(Module):
    """Take the mean over some axes: ``y = Σ x / n``; over (2, 3) it is global average pooling.

    Backward: every number gets ``∂L/∂y / n``.

    Parameters
    ----------
    dim : int or sequence of int
        The axes; n is the product of their lengths.
    keepdim : bool
        Whether they stay, with length 1.

    Raises
    ------
    ValueError
        If the input has no such axis.

    Examples
    --------
    >>> layer = Mean((2, 3))
    >>> layer(np.float32([[[[1, 2], [3, 6]]]]))         # (1 + 2 + 3 + 6) / 4
    array([[3.]], dtype=float32)
    >>> layer.backward(np.float32([[8]]))
    array([[[[2., 2.],
             [2., 2.]]]], dtype=float32)
    """

    def __init__(self, dim, keepdim: bool = False) -> None:
        super().__init__()
        self.dim = as_dims(self.who, dim)
        self.keepdim = bool(keepdim)

    @checks.without_warnings
    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return the means over the axes `dim`."""
        checks.as_float_array(self.who, "input", input)
        axes = axes_of(self.who, input, self.dim)
        count = math.prod(input.shape[axis] for axis in axes)
        total = input.sum(axis=axes, keepdims=self.keepdim)
        output = np.asarray(np.divide(total, count, dtype=input.dtype))
        self.save(output, input_shape=input.shape, axes=axes, count=count)
        return output

    @checks.without_warnings
    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return ``grad_output / n`` for every number that the mean was taken of."""
        saved = self.recall(grad_output)
        share = np.divide(grad_output, saved["count"], dtype=grad_output.dtype)
        share = share.reshape(with_ones(saved["input_shape"], saved["axes"]))
        return np.broadcast_to(share, saved["input_shape"]).copy()

    def arguments(self) -> str:
        return f"dim={self.dim}, keepdim={self.keepdim}"


def as_dims(who: str, dim) -> tuple[int, ...]:
    """Return an axis, or a sequence of axes, as a tuple of ints.

    >>> as_dims("Mean", -1), as_dims("Mean", [2, 3])
    ((-1,), (2, 3))
    """
    return tuple(checks.as_int(who, "dim", one) for one in (dim if isinstance(dim, tuple | list) else (dim,)))


def with_ones(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape in which some axes have length 1.

    >>> with_ones((8, 5, 4, 4), (2, 3))
    (8, 5, 1, 1)
    """
    return tuple(1 if axis in axes else size for axis, size in enumerate(shape))


def axes_of(who: str, input: np.ndarray, dims: tuple[int, ...]) -> tuple[int, ...]:
    """Return axes counted from the front, each once.

    >>> axes_of("Mean", np.zeros((1, 2, 3)), (-1, 1))
    (2, 1)
    >>> axes_of("Mean", np.zeros((1, 2, 3)), (2, -1))
    Traceback (most recent call last):
    ValueError: Mean: dim must name every axis once. Got (2, -1) for shape (1, 2, 3). Leave one out.
    """
    axes = tuple(checks.as_axis(who, "input", input, dim) for dim in dims)
    if len(set(axes)) < len(axes):
        raise ValueError(
            f"{who}: dim must name every axis once. Got {dims} for shape {input.shape}. Leave one out."
        )
    return axes
