"""Max: the largest number over some axes."""

from __future__ import annotations

import math

import numpy as np

from minicnn import checks
from minicnn.nn.arithmetic import as_dims, axes_of, with_ones
from minicnn.nn.module import Module


class Max(Module):
    """Keep the largest number over some axes: ``y = max x``; over (2, 3) it is global max pooling.

    Backward: ``∂L/∂y`` goes to the largest number: to the first of equals, or to all of them in equal shares. A
    number that is not the largest gets 0.

    Parameters
    ----------
    dim : int or sequence of int
        The axes.
    keepdim : bool
        Whether they stay, with length 1.
    ties : "first" or "shared"
        Who of equals gets the gradient: the first, as ``torch.max`` and ``AdaptiveMaxPool2d(1)`` have it, or all of
        them, as ``torch.amax``.

    Notes
    -----
    NaN counts as the largest. As in torch, nobody's share is known where equals share and the largest is NaN: there,
    all gradients are NaN.

    Raises
    ------
    ValueError
        If the input has no such axis, or no numbers along the axes.

    Examples
    --------
    >>> layer = Max((2, 3))
    >>> layer(np.float32([[[[1, 7], [7, 6]]]]))
    array([[7.]], dtype=float32)
    >>> layer.backward(np.float32([[8]]))               # to the first 7
    array([[[[0., 8.],
             [0., 0.]]]], dtype=float32)
    >>> layer.ties = "shared"
    >>> layer(np.float32([[[[1, 7], [7, 6]]]])), layer.backward(np.float32([[8]]))[0, 0, 0]
    (array([[7.]], dtype=float32), array([0., 4.], dtype=float32))
    """

    def __init__(self, dim, keepdim: bool = False, ties: str = "first") -> None:
        super().__init__()
        self.dim = as_dims(self.who, dim)
        self.keepdim = bool(keepdim)
        if ties not in ("first", "shared"):
            raise ValueError(
                f"{self.who}: ties must be first or shared. Got {ties!r}. Choose one of the two."
            )
        self.ties = ties

    @checks.without_warnings
    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return the largest numbers over the axes `dim`."""
        checks.as_float_array(self.who, "input", input)
        axes = axes_of(self.who, input, self.dim)
        if any(input.shape[axis] == 0 for axis in axes):
            raise ValueError(
                f"{self.who}: input must have numbers along {self.dim}. Got shape {input.shape}. "
                "Pass an input that has."
            )
        output = np.asarray(input.max(axis=axes, keepdims=self.keepdim))
        self.save(output, input=input)
        return output

    @checks.without_warnings
    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return the gradient's share for every number."""
        input = self.recall(grad_output)["input"]
        shares = self.shares(input)
        grads = grad_output.reshape(with_ones(input.shape, axes_of(self.who, input, self.dim)))
        return np.where(shares == 0, 0, grads * shares)

    def shares(self, input: np.ndarray) -> np.ndarray:
        """Return which share of its maximum's gradient each number gets, 0 to 1.

        >>> Max(1).shares(np.array([[3.0, 5, 5]])), Max(1, ties="shared").shares(np.array([[3.0, 5, 5]]))
        (array([[0., 1., 0.]]), array([[0. , 0.5, 0.5]]))
        """
        axes = axes_of(self.who, input, self.dim)
        if self.ties == "shared":
            largest = (input == input.max(axis=axes, keepdims=True)).astype(input.dtype)
            return largest / largest.sum(axis=axes, keepdims=True)
        order = (*(a for a in range(input.ndim) if a not in axes), *sorted(axes))
        shares = np.zeros(input.shape, input.dtype)
        turned = input.transpose(order)
        front = turned.shape[: input.ndim - len(axes)]
        rows = turned.reshape(*front, math.prod(turned.shape[len(front) :]))  # one row a maximum
        first = np.zeros(rows.shape, input.dtype)
        np.put_along_axis(first, rows.argmax(axis=-1)[..., None], 1, axis=-1)
        shares.transpose(order)[...] = first.reshape(turned.shape)
        return shares

    def arguments(self) -> str:
        return f"dim={self.dim}, keepdim={self.keepdim}, ties={self.ties!r}"
