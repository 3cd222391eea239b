"""Average pooling: the mean of each window, or of each of a given number of parts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from minicnn import checks
from minicnn.kernels.geometry import inside
from minicnn.nn.pooling import Pool


class AvgPool2d(Pool):
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
        self.kernel_size = checks.as_pair(self.who, "kernel_size", kernel_size, minimum=1)
        stride = kernel_size if stride is None else stride
        self.stride = checks.as_pair(self.who, "stride", stride, minimum=1)
        self.padding = checks.as_pair(self.who, "padding", padding, minimum=0)
        self.ceil_mode, self.count_include_pad = bool(ceil_mode), bool(count_include_pad)
        self.divisor_override = divisor_override
        if divisor_override is not None:
            self.divisor_override = checks.as_int(self.who, "divisor_override", divisor_override)
            if self.divisor_override == 0:
                raise ValueError(
                    f"{self.who}: divisor_override must not be 0. Got 0. Pass another number, or None."
                )
        self.check_padding()

    @checks.without_warnings
    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return the means of the windows."""
        images = self.images_of(input)
        size = self.cells_of(images.shape[2:])
        output = np.zeros((*images.shape[:2], *size), images.dtype)
        for cells, pixels in self._taps(images.shape[2:], size):
            output[:, :, *cells] += images[:, :, *pixels]
        output /= self._divisors(images.shape[2:], size).astype(output.dtype)
        output = output if input.ndim == 4 else output[0]
        self.save(output, input_shape=images.shape)
        return output

    @checks.without_warnings
    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return the gradient of the input."""
        shape = self.recall(grad_output)["input_shape"]
        size = grad_output.shape[-2:]
        shares = grad_output / self._divisors(shape[2:], size).astype(grad_output.dtype)
        shares = shares if grad_output.ndim == 4 else shares[None]  # (N, C, H_out, W_out)
        grad_input = np.zeros(shape, grad_output.dtype)
        for cells, pixels in self._taps(shape[2:], size):
            grad_input[:, :, *pixels] += shares[:, :, *cells]
        return grad_input if grad_output.ndim == 4 else grad_input[0]

    def _taps(self, size, output_size) -> Iterator[tuple]:
        """Yield, for each cell of the window, the output cells that meet a pixel there, and the pixels.

        Cells that lie on padding in every window are left out: a window may be far larger than its image.
        """
        axes = []
        for a in range(2):
            kernel, stride, padding = self.kernel_size[a], self.stride[a], self.padding[a]
            firsts = [padding - o * stride for o in range(output_size[a])]  # the tap on pixel 0, by window
            taps = {tap for first in firsts for tap in range(max(0, first), min(kernel, first + size[a]))}
            axes.append([inside(size[a], tap, stride, padding, 1, output_size[a]) for tap in sorted(taps)])
        for (cell_rows, rows), (cell_columns, columns) in itertools.product(*axes):
            yield (cell_rows, cell_columns), (rows, columns)

    def _divisors(self, size, output_size) -> np.ndarray:
        """Return what each window's sum is divided by, (H_out, W_out)."""
        if self.divisor_override is not None:
            return np.full(output_size, float(self.divisor_override))
        counts = []
        for a in range(2):
            start = np.arange(output_size[a]) * self.stride[a] - self.padding[a]
            stop = np.minimum(start + self.kernel_size[a], size[a] + self.padding[a])
            if not self.count_include_pad:
                start, stop = np.maximum(start, 0), np.minimum(stop, size[a])
            counts.append((stop - start).astype(float))
        return np.outer(*counts)

    def arguments(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AdaptiveAvgPool2d(Pool):
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

    @checks.without_warnings
    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return the means of the parts."""
        images = self.images_of(input)
        rows, columns = self._parts(images.shape[2:])
        output = np.empty((*images.shape[:2], len(rows), len(columns)), images.dtype)
        for y, row in enumerate(rows):
            for x, column in enumerate(columns):
                output[:, :, y, x] = images[:, :, row, column].mean(axis=(2, 3))
        output = output if input.ndim == 4 else output[0]
        self.save(output, input_shape=images.shape)
        return output

    @checks.without_warnings
    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return the gradient of the input."""
        shape = self.recall(grad_output)["input_shape"]
        grads = grad_output if grad_output.ndim == 4 else grad_output[None]  # (N, C, H_out, W_out)
        grad_input = np.zeros(shape, grad_output.dtype)
        rows, columns = self._parts(shape[2:])
        for y, row in enumerate(rows):
            for x, column in enumerate(columns):
                cells = (row.stop - row.start) * (column.stop - column.start)
                grad_input[:, :, row, column] += grads[:, :, y, x, None, None] / cells
        return grad_input if grad_output.ndim == 4 else grad_input[0]

    def _parts(self, size) -> tuple[list[slice], list[slice]]:
        """Return the rows and the columns of every part."""
        if min(size) < 1:
            raise ValueError(
                f"{self.who}: input must have pixels. Got {size[0]}x{size[1]} cells. Pass images with pixels."
            )
        parts = []
        for cells, pixels in zip(self.output_size, size, strict=True):
            cells = pixels if cells is None else cells
            parts.append([slice(o * pixels // cells, -(-(o + 1) * pixels // cells)) for o in range(cells)])
        return parts[0], parts[1]

    def arguments(self) -> str:
        return f"output_size={self.output_size}"
