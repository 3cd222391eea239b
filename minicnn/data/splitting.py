"""split: parts of a dataset that share no image."""

from __future__ import annotations

import numbers

import numpy as np

from minicnn import checks
from minicnn.data.dataset import ArrayDataset, check_dataset


def split(dataset: ArrayDataset, parts, *, stratified: bool = True, rng=0) -> tuple[ArrayDataset, ...]:
    """Deal a dataset out into parts.

    Parameters
    ----------
    dataset : ArrayDataset
    parts : sequence of float or of int
        Fractions that add up to 1, or numbers of images that add up to ``len(dataset)``.
    stratified : bool
        Whether every part gets its share of every class (up to one image or two, where the shares are no
        whole numbers). It needs integer targets.
    rng : numpy.random.Generator, int or None
        Which images go where. By default always the same.

    Returns
    -------
    tuple of ArrayDataset
        In each part the images stand in the order that they had.

    Raises
    ------
    TypeError
        If `parts` are neither fractions nor whole numbers, or targets are no class indexes.
    ValueError
        If they do not add up.

    Notes
    -----
    With n images of a class in random order, image k gets the position ``(k + u) / n``, where u is one draw
    a class; the dataset sorted by position has the classes evenly mixed, and is cut where the parts end.

    Examples
    --------
    >>> targets = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1])            # 6 of one class, 3 of the other
    >>> dataset = ArrayDataset(np.zeros((9, 2, 2), np.uint8), targets)
    >>> train, validation = split(dataset, [2 / 3, 1 / 3])
    >>> train.targets, validation.targets
    (array([0, 0, 0, 0, 1, 1]), array([0, 0, 1]))
    """
    check_dataset("split", dataset)
    ends = np.cumsum(_sizes(parts, len(dataset)))
    rng = checks.as_rng("split", rng)
    order = _evenly_mixed(dataset.targets, rng) if stratified else rng.permutation(len(dataset))
    return tuple(dataset[np.sort(indexes)] for indexes in np.split(order, ends[:-1]))


def _sizes(parts, total: int) -> list[int]:
    parts = list(parts) if isinstance(parts, list | tuple | np.ndarray) else [parts]
    whole = all(isinstance(part, int | np.integer) and not isinstance(part, bool) for part in parts)
    if whole and parts:
        sizes = [checks.as_int("split", "a part", part, minimum=0) for part in parts]
        if sum(sizes) != total:
            raise ValueError(
                f"split: sizes must add up to the {total} images. Got {sizes}, together {sum(sizes)}. "
                "Make the last one the rest."
            )
        return sizes
    if not parts or not all(isinstance(part, numbers.Real) and not isinstance(part, bool) for part in parts):
        raise TypeError(
            f"split: parts must be fractions, or numbers of images. Got {parts}. Pass for example [0.9, 0.1]."
        )
    fractions = np.array([checks.as_number("split", "a part", part, low=0, high=1) for part in parts])
    if abs(fractions.sum() - 1) > 1e-9:
        raise ValueError(
            f"split: fractions must add up to 1. Got {[float(f) for f in fractions]}, together "
            f"{fractions.sum():.6g}. Make the last one the rest."
        )
    ends = np.rint(np.cumsum(fractions) * total).astype(int)
    return np.diff(ends, prepend=0).tolist()


def _evenly_mixed(targets: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return an order of the indexes in which every stretch has about the share of each class."""
    if targets.dtype.kind not in "iu" or targets.ndim != 1:
        raise TypeError(
            f"split: a stratified split needs integer class indexes (N,). Got {targets.dtype} of shape "
            f"{targets.shape}. Pass stratified=False."
        )
    position = np.empty(len(targets))
    for label in np.unique(targets):
        members = rng.permutation(np.flatnonzero(targets == label))
        position[members] = (np.arange(len(members)) + rng.random()) / len(members)
    return np.argsort(position, kind="stable")
