"""Layers that take a part of the numbers or turn their axes: slices, another order of axes, an axis of length 1."""

from __future__ import annotations

import numpy as np

from minicnn import checks
from minicnn.nn.module import Module


class _Moves(Module):
    """What all have in common; each defines `moved(array)`, a view of the numbers where the layer takes them."""

    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return the numbers, moved."""
        checks.as_float_array(self.who, "input", input)
        output = self.moved(input)
        self.save(output, input_shape=input.shape)
        return output

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return every gradient at the place that its number came from, and 0 elsewhere."""
        grad_input = np.zeros(self.recall(grad_output)["input_shape"], grad_output.dtype)
        self.moved(grad_input)[...] = grad_output
        return grad_input


class Slice(_Moves):
    """Take a part of one axis, such as half of the channels: ``y = x[:, start:stop:step]`` for axis 1.

    Backward: the gradient of what was not taken is 0.

    Parameters
    ----------
    dim : int
        The axis.
    start, stop : int or None
        As in Python: `stop` itself is not taken, and a negative number counts from the end.
    step : int
        At least 1.

    Raises
    ------
    ValueError
        If the input has no such axis.

    Examples
    --------
    >>> layer = Slice(1, 1)
    >>> layer(np.float32([[3, 4, 5]]))
    array([[4., 5.]], dtype=float32)
    >>> layer.backward(np.float32([[10, 20]]))
    array([[ 0., 10., 20.]], dtype=float32)
    """

    def __init__(self, dim: int, start: int | None = None, stop: int | None = None, step: int = 1) -> None:
        super().__init__()
        self.dim = checks.as_int(self.who, "dim", dim)
        self.start = None if start is None else checks.as_int(self.who, "start", start)
        self.stop = None if stop is None else checks.as_int(self.who, "stop", stop)
        self.step = checks.as_int(self.who, "step", step, minimum=1)

    def moved(self, array: np.ndarray) -> np.ndarray:
        """Return the part of the array.

        >>> Slice(-1, None, None, 2).moved(np.arange(5)).tolist()
        [0, 2, 4]
        """
        axis = checks.as_axis(self.who, "input", array, self.dim)
        return array[(*(slice(None),) * axis, slice(self.start, self.stop, self.step))]

    def arguments(self) -> str:
        step = "" if self.step == 1 else f", step={self.step}"
        return f"dim={self.dim}, start={self.start}, stop={self.stop}{step}"


class Permute(_Moves):
    """Put the axes into another order, as a shuffle of channels does between two `Reshape`.

    Parameters
    ----------
    dims : sequence of int
        For each axis of the output, which axis of the input it is.

    Raises
    ------
    ValueError
        If `dims` does not name each of the input's axes once.

    Examples
    --------
    >>> layer = Permute((0, 2, 1))
    >>> layer(np.float32([[[1, 2, 3], [4, 5, 6]]]))
    array([[[1., 4.],
            [2., 5.],
            [3., 6.]]], dtype=float32)
    >>> layer.backward(np.float32([[[10, 40], [20, 50], [30, 60]]]))
    array([[[10., 20., 30.],
            [40., 50., 60.]]], dtype=float32)
    """

    def __init__(self, dims) -> None:
        super().__init__()
        self.dims = tuple(checks.as_int(self.who, "dims", dim) for dim in dims)

    def moved(self, array: np.ndarray) -> np.ndarray:
        """Return the array with its axes in the new order.

        >>> Permute((1, 0)).moved(np.zeros((2, 3))).shape
        (3, 2)
        """
        named = [dim + array.ndim if dim < 0 else dim for dim in self.dims]
        if sorted(named) != list(range(array.ndim)):
            raise ValueError(
                f"{self.who}: dims must name each axis of the input once. Got {self.dims} for shape {array.shape}. "
                f"Pass {array.ndim} axes."
            )
        return array.transpose(self.dims)

    def arguments(self) -> str:
        return f"{self.dims}"


class Unsqueeze(_Moves):
    """Put in an axis of length 1, as a gate of (N, C) needs two of to be multiplied with images.

    Parameters
    ----------
    dim : int
        Where it stands in the output.

    Raises
    ------
    ValueError
        If the output would have no such axis.

    Examples
    --------
    >>> layer = Unsqueeze(2)
    >>> layer(np.zeros((8, 5))).shape
    (8, 5, 1)
    >>> layer.backward(np.zeros((8, 5, 1))).shape
    (8, 5)
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = checks.as_int(self.who, "dim", dim)

    def moved(self, array: np.ndarray) -> np.ndarray:
        """Return the array with one axis more.

        >>> Unsqueeze(-1).moved(np.zeros((2, 3))).shape
        (2, 3, 1)
        """
        if not -array.ndim - 1 <= self.dim <= array.ndim:
            raise ValueError(
                f"{self.who}: dim must be an axis of the output. Got {self.dim} for shape {array.shape}. "
                f"Pass one from {-array.ndim - 1} to {array.ndim}."
            )
        return np.expand_dims(array, self.dim)

    def arguments(self) -> str:
        return f"dim={self.dim}"
