"""Average pooling: the mean of each window, or of each of a given number of parts."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from minicnn import checks, kernels
from minicnn.nn.pooling import Pool


class _AveragePool(Pool):
    """What both average poolings share; each defines `windows_of(images)`."""

    @checks.without_warnings
    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return the means of the windows."""
        images = self.images_of(input)
        windows = self.windows_of(images)
        output = kernels.average(images, *windows)
        output = output if input.ndim == 4 else output[0]
        self.save(output, input_shape=images.shape, windows=windows)
        return output

    @checks.without_warnings
    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return the gradient of the input."""
        saved = self.recall(grad_output)
        grads = grad_output if grad_output.ndim == 4 else grad_output[None]  # (N, C, H_out, W_out)
        grad_input = kernels.average_backward(grads, *saved["windows"], saved["input_shape"])
        return grad_input if grad_output.ndim == 4 else grad_input[0]


class AvgPool2d(_AveragePool):
    """Take the mean of each window: ``y = Σ x / divisor`` over the window.

    Backward: ``∂L/∂x = Σ G / divisor`` over the windows that the pixel is in.

    Parameters
    ----------
    kernel_size : int or pair (height, width)
    stride : int, pair or None
        None stands for the kernel size.
    padding : int or pair
        Zeros around the image, at most half the kernel size.
    ceil_mode : bool
        Whether a last window that is cut off at the edge is kept.
    count_include_pad : bool
        Whether the divisor counts the padding in the window.
    divisor_override : int or None
        A divisor for all windows.

    Notes
    -----
    Input `(N, C, H, W)` or `(C, H, W)`, any float dtype.

    Raises
    ------
    ValueError
        If the window does not fit, the padding is too large, or the divisor is 0.

    Examples
    --------
    >>> layer = AvgPool2d(2)
    >>> layer(np.float32([[[[1, 5, 2, 0], [4, 2, 9, 9]]]]))     # 12/4, 20/4
    array([[[[3., 5.]]]], dtype=float32)
    >>> layer.backward(np.float32([[[[4, 8]]]]))                # 4/4, 8/4
    array([[[[1., 1., 2., 2.],
             [1., 1., 2., 2.]]]], dtype=float32)
    """

    pairs: ClassVar[dict[str, int]] = {"kernel_size": 1, "stride": 1, "padding": 0}

    def __init__(
        self,
        kernel_size,
        stride=None,
        padding=0,
        ceil_mode=False,
        count_include_pad=True,
        divisor_override=None,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.ceil_mode, self.count_include_pad = bool(ceil_mode), bool(count_include_pad)
        self.divisor_override = divisor_override
        if divisor_override is not None:
            self.divisor_override = checks.as_int(self.who, "divisor_override", divisor_override)
            if self.divisor_override == 0:
                raise ValueError(
                    f"{self.who}: divisor_override must not be 0. Got 0. Pass another number, or None."
                )
        self.check_windows()

    def windows_of(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the rows and the columns of the windows, (H_out, 2) and (W_out, 2), and their divisors.

        >>> rows, columns, divisors = AvgPool2d((1, 2), padding=(0, 1)).windows_of(np.zeros((1, 1, 1, 3)))
        >>> rows.tolist(), columns.tolist(), divisors.tolist()
        ([[0, 1]], [[0, 1], [1, 3]], [[2.0, 2.0]])
        """
        self.check_windows()  # somebody may have set other ones
        size = images.shape[2:]
        pixels, counts = [], []
        for a, cells in enumerate(self.cells_of(size)):
            start = np.arange(cells) * self.stride[a] - self.padding[a]
            stop = np.minimum(start + self.kernel_size[a], size[a] + self.padding[a])
            inside = np.stack([start, stop], axis=1).clip(0, size[a])  # (cells, 2)
            pixels.append(inside)
            counted = stop - start if self.count_include_pad else inside[:, 1] - inside[:, 0]
            counts.append(counted.astype(float))
        divisors = np.outer(*counts).astype(images.dtype)
        if self.divisor_override is not None:
            divisors[...] = self.divisor_override
        return *pixels, divisors

    def arguments(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AdaptiveAvgPool2d(_AveragePool):
    """Cut the image into a given number of parts, and take the mean of each.

    Row y of the output is the mean of rows ``⌊y·H / H_out⌋`` to ``⌈(y + 1)·H / H_out⌉ - 1``; likewise for
    columns. Backward: ``∂L/∂x = Σ G / size`` over the parts that the pixel is in (neighbours may overlap).

    Parameters
    ----------
    output_size : int or pair of int or None
        Rows and columns of the output; None keeps the input's.

    Notes
    -----
    Input `(N, C, H, W)` or `(C, H, W)`, any float dtype.

    Examples
    --------
    >>> layer = AdaptiveAvgPool2d((1, 2))
    >>> layer(np.float32([[[[1, 5, 9]]]]))              # (1 + 5)/2, (5 + 9)/2
    array([[[[3., 7.]]]], dtype=float32)
    >>> layer.backward(np.float32([[[[2, 4]]]]))        # 2/2, 2/2 + 4/2, 4/2
    array([[[[1., 3., 2.]]]], dtype=float32)
    """

    def __init__(self, output_size) -> None:
        super().__init__()
        pair = output_size if isinstance(output_size, tuple | list) else (output_size, output_size)
        if len(pair) != 2:
            checks.as_pair(self.who, "output_size", output_size, minimum=1)
        self.output_size = tuple(
            None if size is None else checks.as_int(self.who, "output_size", size, minimum=1) for size in pair
        )

    def windows_of(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the rows and the columns of the parts, (H_out, 2) and (W_out, 2), and their sizes.

        >>> rows, columns, sizes = AdaptiveAvgPool2d((1, 2)).windows_of(np.zeros((1, 1, 1, 3)))
        >>> rows.tolist(), columns.tolist(), sizes.tolist()
        ([[0, 1]], [[0, 2], [1, 3]], [[2.0, 2.0]])
        """
        size = images.shape[2:]
        if min(size) < 1:
            raise ValueError(
                f"{self.who}: input must have pixels. Got {size[0]}x{size[1]} cells. Pass images with pixels."
            )
        parts = []
        for cells, pixels in zip(self.output_size, size, strict=True):
            cells = pixels if cells is None else cells
            first = np.arange(cells)
            parts.append(np.stack([first * pixels // cells, -(-(first + 1) * pixels // cells)], axis=1))
        divisors = np.outer(*(part[:, 1] - part[:, 0] for part in parts)).astype(images.dtype)
        return *parts, divisors

    def arguments(self) -> str:
        return f"output_size={self.output_size}"
