"""Where paths meet: several inputs added up, two multiplied, or several joined along an axis.

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


class Multiply(Module):
    """Multiply two inputs, number by number: ``y = a · b``, as a gate or a map of attention does.

    An axis of length 1 is spread over the other input's axis. Backward: ``∂L/∂a = b · ∂L/∂y``, and for b likewise;
    a number that was spread gets the sum over all the places where it stood.

    Notes
    -----
    Input a tuple of two arrays of one dtype with equally many axes, such as (N, C, H, W) and (N, C, 1, 1).

    Raises
    ------
    ValueError
        If there are not two inputs, or their shapes do not go together.
    TypeError
        If the input is no tuple, or dtypes differ.

    Examples
    --------
    One image with two channels of two pixels, and one gate a channel:

    >>> layer = Multiply()
    >>> maps, gates = np.float32([[[[1, 2]], [[3, 4]]]]), np.float32([[[[10]], [[-1]]]])
    >>> layer((maps, gates))                            # 1·10, 2·10 and 3·(-1), 4·(-1)
    array([[[[10., 20.]],
    <BLANKLINE>
            [[-3., -4.]]]], dtype=float32)
    >>> grad_maps, grad_gates = layer.backward(np.float32([[[[5, 6]], [[7, 8]]]]))
    >>> grad_maps.ravel()                               # 5·10, 6·10, 7·(-1), 8·(-1)
    array([50., 60., -7., -8.], dtype=float32)
    >>> grad_gates.ravel()                              # 5·1 + 6·2 and 7·3 + 8·4
    array([17., 53.], dtype=float32)
    """

    joins = True

    @checks.without_warnings
    def forward(self, inputs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Return the product of the two inputs."""
        check_several(self.who, inputs)
        if len(inputs) != 2:
            raise ValueError(
                f"{self.who}: input must be two arrays. Got {len(inputs)}. Multiply two at a time."
            )
        first, second = inputs
        pairs = zip(first.shape, second.shape, strict=False)
        if first.ndim != second.ndim or any(a != b and 1 not in (a, b) for a, b in pairs):
            raise ValueError(
                f"{self.who}: both inputs must have equally many axes, of one length or of length 1. "
                f"Got {first.shape} and {second.shape}. Reshape a gate of (N, C) to (N, C, 1, 1)."
            )
        output = np.asarray(first * second)
        self.save(output, first=first, second=second)
        return output

    @checks.without_warnings
    def backward(self, grad_output: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ``grad_output`` times the other input for each, summed where the input was spread."""
        saved = self.recall(grad_output)
        first, second = saved["first"], saved["second"]
        return gathered(grad_output * second, first.shape), gathered(grad_output * first, second.shape)

    def written(self, *inputs: str) -> str:
        """Return the line that stands for this operation in a printed `Graph`.

        >>> Multiply().written("x1", "x2")
        'x1 * x2'
        """
        return " * ".join(inputs)


def spread_axes(shape: tuple[int, ...], output_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the axes along which an input of this shape is spread to that of the output.

    >>> spread_axes((2, 3, 1, 1), (2, 3, 4, 1))
    (2,)
    """
    return tuple(axis for axis, size in enumerate(shape) if size != output_shape[axis])


def gathered(grads: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the sums over the axes along which an input of this shape was spread.

    >>> gathered(np.float32([[1, 2], [3, 4]]), (2, 1))
    array([[3.],
           [7.]], dtype=float32)
    """
    axes = spread_axes(shape, grads.shape)
    return grads.sum(axis=axes, keepdims=True) if axes else np.asarray(grads)


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
