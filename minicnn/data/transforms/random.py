"""Transforms that draw: each image of a batch is flipped, shifted or turned on its own, all at once."""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minicnn import checks
from minicnn.data.transforms.base import Transform, check_batch


class RandomHorizontalFlip(Transform):
    """Mirror each image left to right with probability `p`.

    Parameters
    ----------
    p : float
        From 0 to 1.

    Notes
    -----
    Input and output `(N, C, H, W)`, float32 or float64.

    Examples
    --------
    >>> RandomHorizontalFlip(p=1)(np.float32([[[[1, 2, 3]]]]))
    array([[[[3., 2., 1.]]]], dtype=float32)
    """

    fields = ("p",)

    def __init__(self, p: float = 0.5) -> None:
        self.p = checks.as_number("RandomHorizontalFlip", "p", p, low=0, high=1)

    def __call__(self, images: np.ndarray, rng=None) -> np.ndarray:
        """Return the batch with some images mirrored."""
        check_batch("RandomHorizontalFlip", images)
        flipped = checks.as_rng("RandomHorizontalFlip", rng).random(len(images)) < self.p
        return np.where(flipped[:, None, None, None], images[..., ::-1], images)


class RandomCrop(Transform):
    """Put a border of zeros around each image and cut a window out of it at a random place.

    ``RandomCrop(28, padding=2)`` shifts images of 28x28 by up to two pixels in each direction.

    Parameters
    ----------
    size : int or pair (height, width)
    padding : int or pair (height, width)
        Zeros on each side: black, if this stands before Normalize.

    Notes
    -----
    Input `(N, C, H, W)`, output `(N, C, height, width)`, float32 or float64. Every place where the window
    fits is equally likely.

    Raises
    ------
    ValueError
        If the window is larger than the padded image.

    Examples
    --------
    >>> RandomCrop(size=(1, 2), padding=(0, 1))(np.float32([[[[1, 2, 3]]]]), rng=0)    # of 0 1 2 3 0
    array([[[[3., 0.]]]], dtype=float32)
    """

    fields = ("size", "padding")

    def __init__(self, size, padding=0) -> None:
        self.size = checks.as_pair("RandomCrop", "size", size, minimum=1)
        self.padding = checks.as_pair("RandomCrop", "padding", padding, minimum=0)

    def __call__(self, images: np.ndarray, rng=None) -> np.ndarray:
        """Return one window of each image."""
        check_batch("RandomCrop", images)
        N, C, H, W = images.shape
        (height, width), (above, left) = self.size, self.padding
        rows, columns = H + 2 * above - height + 1, W + 2 * left - width + 1  # places where the window fits
        if rows < 1 or columns < 1:
            raise ValueError(
                f"RandomCrop: images of {H}x{W} with padding {self.padding} must hold a window of "
                f"{height}x{width}. Got shape {images.shape}. Pass a smaller size or more padding."
            )
        rng = checks.as_rng("RandomCrop", rng)
        row, column = rng.integers(rows, size=N), rng.integers(columns, size=N)
        padded = np.zeros((N, C, H + 2 * above, W + 2 * left), images.dtype)
        padded[:, :, above : above + H, left : left + W] = images
        windows = sliding_window_view(padded, self.size, axis=(2, 3))  # (N, C, rows, columns, height, width)
        return windows[np.arange(N), :, row, column]  # (N, C, height, width)


class RandomRotation(Transform):
    """Turn each image about its centre by an angle drawn evenly from a range.

    Each output pixel looks up where it came from and mixes the four input pixels around that place
    (bilinear); outside the image there is 0, which is black before Normalize.

    Parameters
    ----------
    degrees : float or pair (lowest, highest)
        Counter-clockwise; a number d stands for (-d, d).

    Notes
    -----
    Input and output `(N, C, H, W)`, float32 or float64. With dx, dy counted from the centre, the output at
    (dx, dy) comes from ``(dx·cos a - dy·sin a, dx·sin a + dy·cos a)``; y points down.

    Raises
    ------
    ValueError
        If the range is not finite, or its ends are in the wrong order.

    Examples
    --------
    >>> RandomRotation((90, 90))(np.float32([[[[1, 2], [3, 4]]]])).round(3)
    array([[[[2., 4.],
             [1., 3.]]]], dtype=float32)
    """

    fields = ("degrees",)

    def __init__(self, degrees) -> None:
        pair = degrees if isinstance(degrees, list | tuple) else None
        if pair is not None and len(pair) != 2:
            raise ValueError(
                f"RandomRotation: degrees must be a number or a pair (lowest, highest). Got {degrees}. "
                "Pass for example 10."
            )
        low, high = (checks.as_number("RandomRotation", "degrees", d) for d in pair or (degrees, degrees))
        self.degrees = (low, high) if pair is not None else (-high, high)
        if not (self.degrees[0] <= self.degrees[1] and math.isfinite(high - low)):
            raise ValueError(
                "RandomRotation: degrees must be finite, the lowest first. "
                f"Got {self.degrees}. Pass for example 10 or (-10, 10)."
            )

    def __call__(self, images: np.ndarray, rng=None) -> np.ndarray:
        """Return the batch with each image turned."""
        check_batch("RandomRotation", images)
        angles = np.deg2rad(checks.as_rng("RandomRotation", rng).uniform(*self.degrees, size=len(images)))
        return rotate(images, angles)


@checks.without_warnings
def rotate(images: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Return images `(N, C, H, W)` turned counter-clockwise by `angles` (N,) in radians.

    >>> rotate(np.float32([[[[1, 0, 0]]]]), np.array([np.pi])).round(3)
    array([[[[0., 0., 1.]]]], dtype=float32)
    """
    N, C, H, W = images.shape
    dy, dx = np.mgrid[:H, :W].reshape(2, 1, -1) - np.array([(H - 1) / 2, (W - 1) / 2])[:, None, None]
    sine, cosine = np.sin(angles)[:, None], np.cos(angles)[:, None]
    # The border of zeros is one pixel wide; what comes from farther out may as well come from there.
    y = np.clip(dx * sine + dy * cosine + (H + 1) / 2, 0, H + 1)  # (N, H·W), in the padded image
    x = np.clip(dx * cosine - dy * sine + (W + 1) / 2, 0, W + 1)
    top, left = np.minimum(y.astype(np.intp), H), np.minimum(x.astype(np.intp), W)
    down, right = (y - top).astype(images.dtype)[:, None], (x - left).astype(images.dtype)[:, None]
    padded = np.zeros((N, C, H + 2, W + 2), images.dtype)
    padded[:, :, 1:-1, 1:-1] = images
    padded = padded.reshape(N, C, (H + 2) * (W + 2))
    corner = (top * (W + 2) + left)[:, None]  # (N, 1, H·W)

    def pixel(offset):
        return np.take_along_axis(padded, corner + offset, axis=2)  # (N, C, H·W)

    upper = pixel(0) * (1 - right) + pixel(1) * right
    lower = pixel(W + 2) * (1 - right) + pixel(W + 3) * right
    return (upper * (1 - down) + lower * down).reshape(images.shape)
