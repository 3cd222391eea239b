"""ToFloat and OneHot, from numbers of one kind to another, and Compose, which puts transforms in a row."""

from __future__ import annotations

import numpy as np

from minicnn import checks, functional
from minicnn.data.transforms.base import Transform, apply


class Compose(Transform):
    """Apply transforms one after another.

    Parameters
    ----------
    transforms : sequence of callables
        A Compose among them is replaced by its parts. No transform at all leaves images as they are.

    Examples
    --------
    >>> from minicnn.data.transforms import Normalize
    >>> transform = Compose([ToFloat(), Normalize(mean=0.5, std=0.5)])
    >>> transform(np.array([[[0, 255]]], dtype=np.uint8))          # (0 - 0.5)/0.5, (1 - 0.5)/0.5
    array([[[[-1.,  1.]]]], dtype=float32)
    """

    fields = ("transforms",)

    def __init__(self, transforms) -> None:
        self.transforms = []
        for transform in transforms:
            if not callable(transform) or isinstance(transform, type):
                got = transform.__name__ if isinstance(transform, type) else type(transform).__name__
                raise TypeError(
                    f"Compose: every transform must be callable on a batch. Got {got}. "
                    "Pass for example [ToFloat(), Normalize(0.13, 0.31)]."
                )
            self.transforms += transform.transforms if isinstance(transform, Compose) else [transform]

    def __call__(self, images: np.ndarray, rng=None) -> np.ndarray:
        """Return what the last transform gives."""
        rng = None if rng is None else checks.as_rng("Compose", rng)  # one stream of draws for all of them
        for transform in self.transforms:
            images = apply(transform, images, rng)
        return images

    def config(self) -> dict:
        """Return all transforms as plain data.

        >>> Compose([ToFloat()]).config()
        {'kind': 'Compose', 'transforms': [{'kind': 'ToFloat', 'dtype': 'float32'}]}
        """
        for transform in self.transforms:
            if not isinstance(transform, Transform):
                name = getattr(transform, "__name__", type(transform).__name__)
                raise TypeError(
                    f"Compose: only minicnn.data.transforms can be written down. Got {name}. "
                    "Leave it out, and apply it yourself."
                )
        return super().config()

    def __repr__(self) -> str:
        return "Compose([" + "".join(f"\n  {transform!r}," for transform in self.transforms) + "\n])"


class ToFloat(Transform):
    """Turn bytes into numbers from 0 to 1, channels first: ``y = x / 255``.

    `(N, H, W)` becomes `(N, 1, H, W)`; `(N, H, W, C)` becomes `(N, C, H, W)`; a single grey image `(H, W)`
    becomes `(1, H, W)`. Three axes are always a batch of grey images: pass a single colour image as
    ``image[np.newaxis]``.

    Parameters
    ----------
    dtype : float32 or float64
        For a model in float64, float64.

    Raises
    ------
    TypeError
        If images are not uint8.
    ValueError
        If they have another number of axes, or channels stand first.

    Examples
    --------
    >>> ToFloat()(np.array([[[0, 51, 255]]], dtype=np.uint8))      # 0/255, 51/255, 255/255
    array([[[[0. , 0.2, 1. ]]]], dtype=float32)
    >>> ToFloat(np.float64)(np.zeros((8, 32, 30, 3), np.uint8)).shape
    (8, 3, 32, 30)
    """

    fields = ("dtype",)

    def __init__(self, dtype=np.float32) -> None:
        self.dtype = checks.as_float_dtype("ToFloat", dtype)

    def __call__(self, images: np.ndarray, rng=None) -> np.ndarray:
        """Return floats with the channels before height and width."""
        if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
            got = images.dtype if isinstance(images, np.ndarray) else type(images).__name__
            raise TypeError(
                f"ToFloat: images must be a uint8 array. Got {got}. "
                "Leave ToFloat out for images that are floats."
            )
        if images.ndim not in (2, 3, 4):
            raise ValueError(
                "ToFloat: images must be (N, H, W), (N, H, W, C) or one grey image (H, W). Got shape "
                f"{images.shape}. Pass a batch."
            )
        if images.ndim == 4:
            if images.shape[1] in (1, 3, 4) and images.shape[3] > 4:
                raise ValueError(
                    f"ToFloat: images must be (N, H, W, C), the channels last. Got shape {images.shape}. "
                    "Pass images.transpose(0, 2, 3, 1)."
                )
            planes = images.transpose(0, 3, 1, 2)  # (N, C, H, W)
        else:
            planes = images[..., np.newaxis, :, :]  # (N, 1, H, W) or (1, H, W)
        return np.divide(planes, 255, dtype=self.dtype, order="C")


class OneHot(Transform):
    """Turn class indexes into rows of zeros with a single 1; for targets, not for images.

    Parameters
    ----------
    num_classes : int
    dtype : float32 or float64

    Raises
    ------
    TypeError, ValueError
        As `functional.one_hot`: if targets are no integers, or out of range.

    Examples
    --------
    >>> OneHot(3)(np.array([2, 0]))
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """

    fields = ("num_classes", "dtype")

    def __init__(self, num_classes: int, dtype=np.float32) -> None:
        self.num_classes = checks.as_int("OneHot", "num_classes", num_classes, minimum=1)
        self.dtype = checks.as_float_dtype("OneHot", dtype)

    def __call__(self, targets: np.ndarray, rng=None) -> np.ndarray:
        """Return `(N, num_classes)` for targets `(N,)`."""
        return functional.one_hot(targets, self.num_classes, self.dtype)
