"""Normalize: each channel with mean 0 and deviation 1, and how to measure both."""

from __future__ import annotations

import math

import numpy as np

from minicnn import checks
from minicnn.data.transforms.base import Transform


class Normalize(Transform):
    """Shift and scale each channel: ``y = (x - mean) / std``.

    Parameters
    ----------
    mean, std : float or sequence of float
        One number a channel, or one for all channels.

    Attributes
    ----------
    mean, std : tuple of float

    Notes
    -----
    Input and output `(N, C, H, W)` or `(C, H, W)`, float32 or float64; the numbers are rounded to the dtype
    of the images first.

    Raises
    ------
    ValueError
        If a number is not finite, a `std` is not positive, or their number is not that of the channels.

    Examples
    --------
    >>> Normalize(mean=[1, 10], std=[2, 5])(np.float32([[[3]], [[0]]]))      # (3 - 1)/2, (0 - 10)/5
    array([[[ 1.]],
           [[-2.]]], dtype=float32)
    """

    fields = ("mean", "std")

    def __init__(self, mean, std) -> None:
        self.mean, self.std = _as_numbers("mean", mean), _as_numbers("std", std)
        if len(self.mean) != len(self.std):
            raise ValueError(
                f"Normalize: mean and std must be equal in number. Got {len(self.mean)} and {len(self.std)}. "
                "Pass one of each a channel."
            )
        if min(self.std) <= 0:
            raise ValueError(
                f"Normalize: std must be positive. Got {min(self.std)}. "
                "Use Normalize.fit(dataset) to measure it."
            )

    @checks.without_warnings
    def __call__(self, images: np.ndarray, rng=None) -> np.ndarray:
        """Return the images with each channel shifted and scaled."""
        checks.as_float_array("Normalize", "images", images)
        if images.ndim not in (3, 4):
            raise ValueError(
                f"Normalize: images must be (N, C, H, W) or (C, H, W). Got shape {images.shape}. "
                "Put ToFloat before it."
            )
        if len(self.mean) not in (1, images.shape[-3]):
            raise ValueError(
                f"Normalize: images must have {len(self.mean)} channels, one for each mean. Got "
                f"{images.shape[-3]} in shape {images.shape}. Use Normalize.fit(dataset) to measure them."
            )
        mean, std = (np.array(pair, images.dtype).reshape(-1, 1, 1) for pair in (self.mean, self.std))
        output = images - mean
        output /= std
        return output

    @classmethod
    def fit(cls, dataset) -> Normalize:
        """Measure mean and standard deviation of each channel over all pixels of a dataset.

        Parameters
        ----------
        dataset : ArrayDataset
            Of raw images, uint8, measured as ToFloat gives them; or of floats `(N, C, H, W)`. Its own
            transform is not applied. Measure the training part only.

        Raises
        ------
        TypeError
            If `dataset` has no images.
        ValueError
            If there is no pixel, or images have another number of axes.

        Notes
        -----
        A channel that is the same everywhere gets ``std = 1``. Bytes are counted, so their mean and
        deviation have no rounding error to speak of.

        Examples
        --------
        >>> from minicnn.data import ArrayDataset
        >>> images = np.array([[[0, 0], [255, 255]]], dtype=np.uint8)
        >>> Normalize.fit(ArrayDataset(images, np.array([0])))
        Normalize(mean=(0.5,), std=(0.5,))
        """
        images = getattr(dataset, "images", None)
        if not isinstance(images, np.ndarray):
            raise TypeError(
                f"Normalize.fit: dataset must be an ArrayDataset. Got {type(dataset).__name__}. "
                "Wrap arrays as data.ArrayDataset(images, targets)."
            )
        raw = images.dtype == np.uint8
        if images.size == 0 or images.ndim not in ((3, 4) if raw else (4,)):
            raise ValueError(
                "Normalize.fit: images must be (N, H, W[, C]) in uint8 or (N, C, H, W) in floats, at least "
                f"one. Got {images.dtype} of shape {images.shape}. Pass a dataset of images."
            )
        if raw:
            channels = [images] if images.ndim == 3 else np.moveaxis(images, -1, 0)
            pairs = [_moments_of_bytes(channel) for channel in channels]
        else:
            channels = np.moveaxis(images, 1, 0)
            pairs = [(channel.mean(dtype=np.float64), channel.std(dtype=np.float64)) for channel in channels]
        return cls([float(mean) for mean, _ in pairs], [float(std) or 1.0 for _, std in pairs])


def _as_numbers(what: str, value) -> tuple[float, ...]:
    values = value if isinstance(value, list | tuple | np.ndarray) else [value]
    found = tuple(checks.as_number("Normalize", what, number) for number in values)
    if not found or not all(math.isfinite(number) for number in found):
        raise ValueError(
            f"Normalize: {what} must be one or more finite numbers. Got {list(found)}. Pass one a channel."
        )
    return found


def _moments_of_bytes(channel: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation of ``channel / 255``, from how often each byte occurs."""
    counts = np.zeros(256, np.int64)
    for image in channel:  # one at a time: bincount makes int64 of its input
        counts += np.bincount(image.ravel(), minlength=256)
    values = np.arange(256) / 255
    mean = (counts * values).sum() / counts.sum()
    return mean, math.sqrt((counts * (values - mean) ** 2).sum() / counts.sum())
