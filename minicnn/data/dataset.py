"""ArrayDataset: images and targets, and what belongs to them: names of the classes, transform."""

from __future__ import annotations

import operator

import numpy as np

from minicnn import checks, labels
from minicnn.data.transforms import apply
from minicnn.data.transforms.base import check_transform

IMAGE_DTYPES = (np.dtype(np.uint8), *checks.FLOATS)


class ArrayDataset:
    """Images and targets, side by side.

    Parameters
    ----------
    images : ndarray of shape (N, ...), uint8, float32 or float64
        Raw images as they were read, uint8 `(N, H, W)` or `(N, H, W, C)`; or anything that a model takes
        as it is, such as float32 `(N, C, H, W)` or `(N, features)`.
    targets : ndarray of shape (N, ...)
        Integer class indexes `(N,)`, kept as int64; or float32 or float64, for example one number an image
        in a regression.
    classes : sequence of str or of int, optional
        The name of class 0, 1, 2, ...
    transform : callable, optional
        From a batch of `images` to the model's input: ``transform(images)``, or ``transform(images,
        rng=rng)`` if it has an argument `rng`. None leaves images as they are.

    Attributes
    ----------
    images, targets : ndarray
        Untransformed.
    classes : tuple of str or of int, or None
    transform : callable or None

    Raises
    ------
    TypeError
        If images or targets are no arrays, or of another dtype; if `transform` cannot be called.
    ValueError
        If there are not as many targets as images, or a target has no name.

    Notes
    -----
    ``dataset[i]`` is a pair (image, target): the transformed image, `(C, H, W)`, and its class index as an
    int. A transform with chance in it draws anew each time. ``dataset[2:5]``, ``dataset[[7, 1]]`` and
    ``dataset[mask]`` are smaller datasets.

    Examples
    --------
    >>> from minicnn.data import transforms
    >>> images = np.array([[[0, 51]], [[255, 102]], [[0, 0]]], dtype=np.uint8)
    >>> dataset = ArrayDataset(images, np.array([1, 0, 1]), ["cat", "dog"], transforms.ToFloat())
    >>> dataset
    ArrayDataset(3 images (1, 2) uint8, 2 classes)
    >>> image, target = dataset[0]
    >>> image, dataset.classes[target]                    # 0/255, 51/255
    (array([[[0. , 0.2]]], dtype=float32), 'dog')
    >>> dataset[1:].targets
    array([0, 1])
    >>> dataset[dataset.targets == 1]
    ArrayDataset(2 images (1, 2) uint8, 2 classes)
    """

    def __init__(self, images, targets, classes=None, transform=None) -> None:
        self.images = _as_images(images)
        self.targets = _as_targets(targets)
        if len(images) != len(targets):
            raise ValueError(
                "ArrayDataset: there must be one target for each image. Got "
                f"{len(images)} images and {len(targets)} targets. Pass arrays of equal length."
            )
        self.classes = None
        if classes is not None:
            self.classes = tuple(labels.as_classes("ArrayDataset", classes).tolist())
            self._check_targets_have_names()
        if transform is not None:
            check_transform("ArrayDataset", "transform", transform)
        self.transform = transform

    def _check_targets_have_names(self) -> None:
        if self.targets.dtype != np.int64:
            return
        wrong = self.targets[(self.targets < 0) | (self.targets >= len(self.classes))]
        if wrong.size:
            raise ValueError(
                f"ArrayDataset: targets must lie in 0 to {len(self.classes) - 1}, as there are "
                f"{len(self.classes)} classes. Got {wrong.flat[0]}. "
                "Number the classes from 0, or name them all."
            )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index):
        """Return (image, target) for an int, a smaller dataset for a slice, a mask or an array of ints."""
        if isinstance(index, slice):
            return self._part(index)
        if isinstance(index, np.ndarray | list):
            return self._part(self._as_indexes(np.asarray(index)))
        try:
            position = operator.index(index)
        except TypeError:
            raise _wrong_index(type(index).__name__) from None
        if not -len(self) <= position < len(self):  # IndexError, because it ends a `for` over the dataset
            raise IndexError(
                f"ArrayDataset: index must be smaller than the length {len(self)}. Got {position}. "
                "Pass a smaller number."
            )
        position %= len(self)
        batch, target = self.images[position : position + 1], self.targets[position]
        image = batch[0] if self.transform is None else apply(self.transform, batch)[0]
        return image, target.item() if target.ndim == 0 else target

    def _as_indexes(self, array: np.ndarray) -> np.ndarray:
        if array.size == 0 and array.dtype == np.float64:  # what np.asarray([]) gives
            array = array.astype(np.int64)
        if array.ndim != 1 or array.dtype.kind not in "biu":
            raise _wrong_index(f"{array.dtype} of shape {array.shape}")
        if array.dtype.kind == "b":
            if len(array) != len(self):
                raise ValueError(
                    f"ArrayDataset: a mask must be as long as the dataset, {len(self)}. Got {len(array)}. "
                    "Compute the mask from this dataset's own arrays."
                )
            return np.flatnonzero(array)
        wrong = array[(array < -len(self)) | (array >= len(self))]
        if wrong.size:
            raise IndexError(
                f"ArrayDataset: indexes must be smaller than the length {len(self)}. Got {wrong[0]}. "
                "Pass smaller numbers."
            )
        return array

    def _part(self, index) -> ArrayDataset:
        part = object.__new__(ArrayDataset)  # what was checked need not be checked again
        part.images, part.targets = self.images[index], self.targets[index]
        part.classes, part.transform = self.classes, self.transform
        return part

    def __repr__(self) -> str:
        names = "" if self.classes is None else f", {len(self.classes)} classes"
        shape = self.images.shape[1:]
        return f"{type(self).__name__}({len(self)} images {shape} {self.images.dtype}{names})"


def check_dataset(who: str, dataset) -> None:
    """Raise TypeError unless `dataset` is an ArrayDataset.

    >>> check_dataset("split", np.zeros(3))
    Traceback (most recent call last):
    TypeError: split: dataset must be an ArrayDataset. Got ndarray. Wrap arrays as data.ArrayDataset(images, \
targets).
    """
    if not isinstance(dataset, ArrayDataset):
        raise TypeError(
            f"{who}: dataset must be an ArrayDataset. Got {type(dataset).__name__}. "
            "Wrap arrays as data.ArrayDataset(images, targets)."
        )


def _wrong_index(got: str) -> TypeError:
    return TypeError(
        f"ArrayDataset: index must be an int, a slice, a mask or a row of ints. Got {got}. "
        "Pass for example dataset[0] or dataset[[3, 1]]."
    )


def _check_array(what: str, value) -> None:
    if type(value) not in checks.ARRAYS or value.ndim == 0:
        got = "no axis" if type(value) in checks.ARRAYS else type(value).__name__
        masked = isinstance(value, np.ma.MaskedArray)  # np.asarray would let the mask fall without a word
        advice = (
            f"Pass {what}.filled(...), which hides nothing." if masked else "Convert them with np.asarray."
        )
        raise TypeError(f"ArrayDataset: {what} must be a NumPy array (N, ...). Got {got}. {advice}")


def _as_images(images) -> np.ndarray:
    _check_array("images", images)
    if images.dtype not in IMAGE_DTYPES:
        raise TypeError(
            f"ArrayDataset: images must be uint8, float32 or float64. Got {images.dtype}. "
            "Convert them with .astype(np.uint8) or .astype(np.float32)."
        )
    return images


def _as_targets(targets) -> np.ndarray:
    _check_array("targets", targets)
    if targets.dtype.kind in "iu":
        return targets.astype(np.int64, copy=False)
    if targets.dtype not in checks.FLOATS:
        raise TypeError(
            f"ArrayDataset: targets must be integer class indexes, float32 or float64. Got {targets.dtype}. "
            "Turn labels into indexes with labels.indexes_of(targets, classes)."
        )
    return targets
