"""DataLoader: a dataset as batches, transformed a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minicnn import checks
from minicnn.data.dataset import ArrayDataset, check_dataset
from minicnn.data.transforms import apply
from minicnn.data.transforms.base import check_transform


class DataLoader:
    """Iterate over a dataset in batches (images, targets).

    Parameters
    ----------
    dataset : ArrayDataset
    batch_size : int
    shuffle : bool
        Whether each epoch has a new random order.
    sampler : iterable of int with a length, optional
        Gives the order in place of `shuffle`, such as `WeightedRandomSampler`; asked anew each epoch.
    drop_last : bool
        Whether a last batch that is not full is left out.
    transform : callable, optional
        Applied to each batch of ``dataset.images``. None takes the dataset's own; ``Compose([])`` leaves
        images as they are.
    target_transform : callable, optional
        Applied to each batch of targets, for example ``OneHot(10)``.
    rng : numpy.random.Generator, int or None
        Where the order and the transforms' draws come from.

    Attributes
    ----------
    rng : numpy.random.Generator
        Its state before an epoch decides all of the epoch; save and restore it to repeat one.
    seed : int or None
        `rng` if it was an int, so that a checkpoint can tell another seed.
    transform : callable or None
        The one in use.

    Raises
    ------
    TypeError
        If `dataset` is no ArrayDataset, or the sampler gives no integers.
    ValueError
        If both `shuffle` and `sampler` are given, or the sampler gives an index that does not exist.

    Notes
    -----
    With `ToFloat` in the transform, images are `(N, C, H, W)` float32; targets are `(N,)` int64. The arrays
    are new in each batch. Everything happens in this process: there are no workers.

    Examples
    --------
    >>> from minicnn.data import transforms
    >>> images = np.arange(5, dtype=np.uint8).reshape(5, 1, 1)
    >>> dataset = ArrayDataset(images, np.array([0, 1, 0, 1, 0]), transform=transforms.ToFloat())
    >>> for images, targets in DataLoader(dataset, batch_size=2, shuffle=True, rng=0):
    ...     print((images * 255).ravel(), targets, images.shape)
    [2. 4.] [0 0] (2, 1, 1, 1)
    [3. 0.] [1 0] (2, 1, 1, 1)
    [1.] [1] (1, 1, 1, 1)
    """

    def __init__(
        self,
        dataset: ArrayDataset,
        batch_size: int = 1,
        shuffle: bool = False,
        sampler=None,
        drop_last: bool = False,
        *,
        transform=None,
        target_transform=None,
        rng=None,
    ) -> None:
        check_dataset("DataLoader", dataset)
        if sampler is not None and shuffle:
            raise ValueError(
                "DataLoader: shuffle and sampler exclude each other. Got both. "
                "Leave shuffle out: the sampler gives the order."
            )
        if sampler is not None and not (hasattr(sampler, "__iter__") and hasattr(sampler, "__len__")):
            raise TypeError(
                f"DataLoader: sampler must be iterable and have a length. Got {type(sampler).__name__}. "
                "Pass for example WeightedRandomSampler(...)."
            )
        for name, function in (("transform", transform), ("target_transform", target_transform)):
            if function is not None:
                check_transform("DataLoader", name, function)
        self.dataset = dataset
        self.batch_size = checks.as_int("DataLoader", "batch_size", batch_size, minimum=1)
        self.shuffle = bool(shuffle)
        self.sampler = sampler
        self.drop_last = bool(drop_last)
        self.transform = dataset.transform if transform is None else transform
        self.target_transform = target_transform
        self.rng = checks.as_rng("DataLoader", rng)
        self.seed = int(rng) if isinstance(rng, int | np.integer) else None

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        count = len(self.dataset) if self.sampler is None else len(self.sampler)
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        order = self._order()
        stop = len(order) - len(order) % self.batch_size if self.drop_last else len(order)
        for start in range(0, stop, self.batch_size):
            indexes = order[start : start + self.batch_size]
            images, targets = self.dataset.images[indexes], self.dataset.targets[indexes]
            if self.transform is not None:
                images = apply(self.transform, images, self.rng)
            if self.target_transform is not None:
                targets = apply(self.target_transform, targets, self.rng)
            yield images, targets

    def _order(self) -> np.ndarray:
        """Return the indexes of one epoch."""
        count = len(self.dataset)
        if self.sampler is None:
            return self.rng.permutation(count) if self.shuffle else np.arange(count)
        order = np.array(list(self.sampler))
        if order.size == 0:
            order = order.astype(np.int64)
        if order.ndim != 1 or order.dtype.kind not in "iu":
            raise TypeError(
                f"DataLoader: the sampler must give integers. Got {order.dtype} of shape {order.shape}. "
                "Yield one index at a time."
            )
        wrong = order[(order < 0) | (order >= count)]
        if wrong.size:
            raise ValueError(
                f"DataLoader: the sampler must give indexes from 0 to {count - 1}. Got {wrong[0]}. "
                "Build it for this dataset."
            )
        return order

    def __repr__(self) -> str:
        order = f"sampler={self.sampler!r}" if self.sampler is not None else f"shuffle={self.shuffle}"
        return f"DataLoader({self.dataset!r}, batch_size={self.batch_size}, {order})"
