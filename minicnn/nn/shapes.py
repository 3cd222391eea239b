"""Operations that move numbers and compute none: another shape, axes of length 1 gone, cells around an image."""

from __future__ import annotations

import math

import numpy as np

from minicnn import checks
from minicnn.nn.arithmetic import as_constant, as_dims, axes_of
from minicnn.nn.module import Module
from minicnn.nn.padding import check_pads, pad2d, pad2d_backward


class Reshape(Module):
    """Give the numbers another shape, in the same order.

    Parameters
    ----------
    shape : sequence of int
        0 keeps the input's length of that axis (so that the batch may have any size), and one -1 takes
        what is left.

    Raises
    ------
    ValueError
        If the numbers do not fit into the shape.

    Examples
    --------
    >>> layer = Reshape((0, 2, -1))
    >>> layer(np.zeros((8, 12))).shape
    (8, 2, 6)
    >>> layer.backward(np.zeros((8, 2, 6))).shape
    (8, 12)
    """

    def __init__(self, shape) -> None:
        super().__init__()
        self.shape = tuple(checks.as_int(self.who, "shape", size, minimum=-1) for size in shape)
        if self.shape.count(-1) > 1:
            raise ValueError(f"{self.who}: shape may hold one -1. Got {self.shape}. Write the others out.")

    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return the input in the new shape."""
        checks.as_float_array(self.who, "input", input)
        output = input.reshape(self._sizes(input))
        self.save(output, input_shape=input.shape)
        return output

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return the gradient in the input's shape."""
        shape = self.recall(grad_output)["input_shape"]
        return grad_output.reshape(shape)

    def _sizes(self, input: np.ndarray) -> tuple[int, ...]:
        """Return the shape with lengths in place of 0 and -1."""
        kept = {axis for axis, size in enumerate(self.shape) if size == 0}
        if max(kept, default=-1) < input.ndim:  # axes that are kept count on neither side: they may be empty
            left = math.prod(size for axis, size in enumerate(input.shape) if axis not in kept)
            known = math.prod(size for size in self.shape if size > 0)
            if left % known == 0 if -1 in self.shape else left == known:
                lengths = {-1: left // known}
                return tuple(lengths.get(s, s) or input.shape[axis] for axis, s in enumerate(self.shape))
        raise ValueError(
            f"{self.who}: the numbers must fit into shape {self.shape}. Got shape {input.shape}. "
            "Choose another shape."
        )

    def arguments(self) -> str:
        return f"{self.shape}"


class Squeeze(Module):
    """Drop axes of length 1.

    Parameters
    ----------
    dim : int, sequence of int, or None
        The axes to drop where they have length 1; others stay. None stands for all axes, that of a batch
        of one image included, as in torch.

    Raises
    ------
    ValueError
        If the input has no such axis.

    Examples
    --------
    >>> layer = Squeeze((2, 3))
    >>> layer(np.zeros((8, 5, 1, 1))).shape
    (8, 5)
    >>> layer.backward(np.zeros((8, 5))).shape
    (8, 5, 1, 1)
    """

    def __init__(self, dim=None) -> None:
        super().__init__()
        self.dim = None if dim is None else as_dims(self.who, dim)

    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return the input without those axes."""
        checks.as_float_array(self.who, "input", input)
        chosen = range(input.ndim) if self.dim is None else axes_of(self.who, input, self.dim)
        output = input.squeeze(axis=tuple(axis for axis in chosen if input.shape[axis] == 1))
        self.save(output, input_shape=input.shape)
        return output

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return the gradient in the input's shape."""
        shape = self.recall(grad_output)["input_shape"]
        return grad_output.reshape(shape)

    def arguments(self) -> str:
        return f"dim={self.dim}"


class Pad2d(Module):
    """Put cells around an image.

    Backward: every cell outside gives its gradient to the pixel that it was copied from.

    Parameters
    ----------
    padding : int, or four ints (left, right, top, bottom)
        Cells on each side.
    mode : "zeros", "reflect", "replicate" or "circular"
        What the cells hold, as in `Conv2d`.
    value : float
        What stands in place of zeros.

    Notes
    -----
    Input `(N, C, H, W)` or `(C, H, W)`, any float dtype.

    Raises
    ------
    ValueError
        If the image is too small to take its padding from itself.

    Examples
    --------
    >>> layer = Pad2d((1, 0, 0, 0), "reflect")
    >>> layer(np.float32([[[[1, 2, 3]]]]))
    array([[[[2., 1., 2., 3.]]]], dtype=float32)
    >>> layer.backward(np.float32([[[[10, 1, 1, 1]]]]))     # the 10 goes back to the 2
    array([[[[ 1., 11.,  1.]]]], dtype=float32)
    """

    def __init__(self, padding, mode: str = "zeros", value: float = 0.0) -> None:
        super().__init__()
        sides = tuple(padding) if isinstance(padding, tuple | list) else (padding,) * 4
        if mode not in ("zeros", "reflect", "replicate", "circular"):
            raise ValueError(
                f"{self.who}: mode must be zeros, reflect, replicate or circular. Got {mode!r}. "
                "Choose one of the four."
            )
        self.padding = tuple(checks.as_int(self.who, "padding", side, minimum=0) for side in sides)
        if len(self.padding) != 4:
            raise ValueError(
                f"{self.who}: padding must be an int or (left, right, top, bottom). Got {padding!r}. "
                "Pass one or four ints."
            )
        self.mode, self.value = mode, as_constant(self.who, "value", value)

    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return the images with cells around them."""
        checks.as_float_array(self.who, "input", input)
        if input.ndim not in (3, 4):
            raise ValueError(
                f"{self.who}: input must be (N, C, H, W) or (C, H, W). Got shape {input.shape}. "
                "Put the layer before Flatten."
            )
        pads = self._pads()
        check_pads(self.who, pads, self.mode, input.shape[-2:])
        images = input if input.ndim == 4 else input[None]  # (N, C, H, W)
        if self.mode == "zeros":
            output = np.pad(images, ((0, 0), (0, 0), *pads), constant_values=self.value)
        else:
            output = pad2d(images, pads, self.mode)
        output = output if input.ndim == 4 else output[0]
        self.save(output)
        return output

    @checks.without_warnings
    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return the gradient of the images."""
        self.recall(grad_output)
        images = grad_output if grad_output.ndim == 4 else grad_output[None]  # (N, C, H, W)
        grad_input = pad2d_backward(images, self._pads(), self.mode)
        return grad_input if grad_output.ndim == 4 else grad_input[0]

    def _pads(self) -> tuple:
        left, right, top, bottom = self.padding
        return (top, bottom), (left, right)

    def arguments(self) -> str:
        value = f", value={self.value}" if self.value else ""
        return f"{self.padding}, mode={self.mode!r}{value}"
