"""Where paths meet: several inputs added up, or joined along an axis.

These modules take a tuple of arrays in place of one array, and their backward returns a tuple.
"""

from __future__ import annotations

import numpy as np

from minicnn import checks
from minicnn.nn.module import Module


def check_several(who: str, inputs) -> None:
    """Raise TypeError unless `inputs` is a tuple of float arrays of one dtype.

    >>> check_several("Add", np.zeros(2))
    Traceback (most recent call last):
    TypeError: Add: input must be a tuple of arrays. Got ndarray. Pass (first, second).
    """
    if not isinstance(inputs, tuple | list) or not inputs:
        got = "an empty one" if isinstance(inputs, tuple | list) else type(inputs).__name__
        raise TypeError(f"{who}: input must be a tuple of arrays. Got {got}. Pass (first, second).")
    for array in inputs:
        checks.as_float_array(who, "input", array)
    dtypes = [str(array.dtype) for array in inputs]
    if len(set(dtypes)) > 1:
        raise TypeError(
            f"{who}: all inputs must have one dtype. Got {' and '.join(dtypes)}. "
            f"Convert them with .astype(np.{dtypes[0]})."
        )


class Add(Module):
    """Add several inputs of one shape: ``y = x₁ + x₂ + ...``, where paths of a `Graph` meet.

    Backward: every input gets the whole ``∂L/∂y``.

    Notes
    -----
    Input a tuple of arrays of one shape and dtype, output of this shape.

    Raises
    ------
    ValueError
        If the shapes differ; nothing is broadcast.
    TypeError
        If the input is no tuple, or dtypes differ.

    Examples
    --------
    >>> layer = Add()
    >>> layer((np.float32([1, 2]), np.float32([10, 20])))
    array([11., 22.], dtype=float32)
    >>> layer.backward(np.float32([5, 6]))
    (array([5., 6.], dtype=float32), array([5., 6.], dtype=float32))
    """

    joins = True

    @checks.without_warnings
    def forward(self, inputs: tuple[np.ndarray, ...]) -> np.ndarray:
        """Return the sum of the inputs, from the first to the last."""
        check_several(self.who, inputs)
        shapes = [array.shape for array in inputs]
        if len(set(shapes)) > 1:
            raise ValueError(
                f"{self.who}: all inputs must have one shape. Got {' and '.join(map(str, shapes))}. "
                "Let every path end in the same shape."
            )
        output = inputs[0]
        for other in inputs[1:]:
            output = output + other
        self.save(output, count=len(inputs))
        return output

    def backward(self, grad_output: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return `grad_output` for every input."""
        return (grad_output,) * self.recall(grad_output)["count"]

    def written(self, *inputs: str) -> str:
        """Return the line that stands for this operation in a printed `Graph`.

        >>> Add().written("x1", "x2")
        'x1 + x2'
        """
        return " + ".join(inputs)


class Concatenate(Module):
    """Join several inputs along one axis, such as the channels of parallel paths.

    Backward: every input gets its own part of ``∂L/∂y``.

    Parameters
    ----------
    dim : int

    Notes
    -----
    Input a tuple of arrays that differ along `dim` only.

    Raises
    ------
    ValueError
        If the shapes differ along another axis, or there is no axis `dim`.
    TypeError
        If the input is no tuple, or dtypes differ.

    Examples
    --------
    >>> layer = Concatenate(dim=1)
    >>> layer((np.float32([[1, 2]]), np.float32([[3]])))
    array([[1., 2., 3.]], dtype=float32)
    >>> layer.backward(np.float32([[10, 20, 30]]))
    (array([[10., 20.]], dtype=float32), array([[30.]], dtype=float32))
    """

    joins = True

    def __init__(self, dim: int = 0) -> None:
        super().__init__()
        self.dim = checks.as_int(self.who, "dim", dim)

    def forward(self, inputs: tuple[np.ndarray, ...]) -> np.ndarray:
        """Return the inputs, one after another along `dim`."""
        check_several(self.who, inputs)
        axis = checks.as_axis(self.who, "input", inputs[0], self.dim)
        others = {array.shape[:axis] + array.shape[axis + 1 :] for array in inputs}
        if len(others) > 1 or len({array.ndim for array in inputs}) > 1:
            shapes = " and ".join(str(array.shape) for array in inputs)
            raise ValueError(
                f"{self.who}: all inputs must have one shape but for axis {axis}. Got {shapes}. "
                "Let every path end in the same height and width."
            )
        output = np.concatenate(inputs, axis=axis)
        ends = np.cumsum([array.shape[axis] for array in inputs])
        self.save(output, axis=axis, cuts=ends[:-1])
        return output

    def backward(self, grad_output: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the part of `grad_output` that belongs to each input."""
        saved = self.recall(grad_output)
        return tuple(np.split(grad_output, saved["cuts"], axis=saved["axis"]))

    def arguments(self) -> str:
        return f"dim={self.dim}"

    def written(self, *inputs: str) -> str:
        """Return the line that stands for this operation in a printed `Graph`.

        >>> Concatenate(1).written("x1", "x2")
        'cat(x1, x2, dim=1)'
        """
        return f"cat({', '.join(inputs)}, dim={self.dim})"
