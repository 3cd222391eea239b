"""Pooling: one number for each window of a channel, the largest or the mean."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from minicnn import checks, kernels
from minicnn.kernels.geometry import pool_output_size
from minicnn.nn.module import Module


class Pool(Module):
    """What the pooling layers share: input with or without the batch axis, and windows that fit.

    A layer with windows names its `pairs`, and the least that they may be.
    """

    pairs: ClassVar[dict[str, int]] = {}

    def images_of(self, input: np.ndarray) -> np.ndarray:
        """Return the checked input as (N, C, H, W)."""
        checks.as_float_array(self.who, "input", input)
        if input.ndim not in (3, 4):
            raise ValueError(
                f"{self.who}: input must be (N, C, H, W) or (C, H, W). Got shape {input.shape}. "
                "Put the layer before Flatten."
            )
        return input if input.ndim == 4 else input[None]

    def check_windows(self) -> None:
        """Raise unless the windows make sense, and none can lie in the padding alone."""
        if self.stride is None:
            self.stride = self.kernel_size
        checks.set_pairs(self, **self.pairs)
        if any(p > k // 2 for p, k in zip(self.padding, self.kernel_size, strict=True)):
            raise ValueError(
                f"{self.who}: padding must be at most half the kernel size. Got padding {self.padding} for "
                f"kernel {self.kernel_size}. Use less padding."
            )

    def cells_of(self, size, dilation=(1, 1)) -> tuple[int, int]:
        """Return rows and columns of the output; ValueError if there are none."""
        cells = tuple(
            pool_output_size(
                size[a], self.kernel_size[a], self.stride[a], self.padding[a], dilation[a], self.ceil_mode
            )
            for a in range(2)
        )
        if min(cells) < 1:
            raise ValueError(
                f"{self.who}: the window must fit into the padded input. Got window {self.kernel_size} with "
                f"dilation {dilation} and padding {self.padding} for {size[0]}x{size[1]} cells. "
                "Use a smaller window."
            )
        return cells


class MaxPool2d(Pool):
    """Keep the largest number of each window: ``y = max x`` over the window.

    Backward: the window's gradient goes to its winner (the first of equals), and adds up where a cell
    wins several windows. NaN counts as the largest.

    Parameters
    ----------
    kernel_size : int or pair (height, width)
    stride : int, pair or None
        None stands for the kernel size.
    padding, dilation : int or pair
        Padding never wins; it is at most half the kernel size.
    return_indices : bool
        Whether forward returns ``(output, indices)``; indices count ``row·W + column`` in the input plane.
    ceil_mode : bool
        Whether a last window that is cut off at the edge is kept.

    Notes
    -----
    Input `(N, C, H, W)` or `(C, H, W)`, any float dtype.

    Raises
    ------
    ValueError
        If the window does not fit, or the padding is too large.

    Examples
    --------
    >>> layer = MaxPool2d(2)
    >>> layer(np.float32([[[[1, 5, 2, 0], [4, 3, 9, 8]]]]))
    array([[[[5., 9.]]]], dtype=float32)
    >>> layer.backward(np.float32([[[[10, 20]]]]))          # 10 to the 5, 20 to the 9
    array([[[[ 0., 10.,  0.,  0.],
             [ 0.,  0., 20.,  0.]]]], dtype=float32)
    """

    pairs: ClassVar[dict[str, int]] = {"kernel_size": 1, "stride": 1, "padding": 0, "dilation": 1}

    def __init__(
        self, kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding, self.dilation = kernel_size, stride, padding, dilation
        self.return_indices, self.ceil_mode = bool(return_indices), bool(ceil_mode)
        self.check_windows()

    def forward(self, input: np.ndarray):
        """Return the maxima, and with `return_indices` where they stand."""
        self.check_windows()  # somebody may have set other ones
        images = self.images_of(input)
        self.cells_of(images.shape[2:], self.dilation)
        output, indices = kernels.max_pool2d(
            images, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode
        )
        if input.ndim == 3:
            output, indices = output[0], indices[0]
        self.save(output, indices=indices, input_shape=images.shape)
        return (output, indices) if self.return_indices else output

    @checks.without_warnings
    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return the gradient of the input."""
        saved = self.recall(grad_output)
        if grad_output.ndim == 4:
            return kernels.max_pool2d_backward(grad_output, saved["indices"], saved["input_shape"])
        return kernels.max_pool2d_backward(grad_output[None], saved["indices"][None], saved["input_shape"])[0]

    def arguments(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )
