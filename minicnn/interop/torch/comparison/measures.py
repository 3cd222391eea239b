"""How far two arrays are apart: absolutely, relatively, in units of the last place, and where most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minicnn.checks import cast


@dataclass(frozen=True)
class Measures:
    """How far two arrays of one shape are apart.

    Attributes
    ----------
    absolute : float
        The largest |a - b|; infinite where one is NaN or another infinity.
    relative : float
        The largest |a - b| / max(|a|, |b|).
    ulps : float
        |a - b| at the worst place, in spacings of the floats there.
    share : float
        Which part of the elements differs, 0 to 1.
    where : tuple of int, or None
        The place of the largest |a - b|; None where nothing differs.

    Examples
    --------
    >>> measures(np.float32([1, 2, 4]), np.float32([1, 2, 5]))
    Measures(absolute=1.0, relative=0.2, ulps=2097152.0, share=0.3333333333333333, where=(2,))
    """

    absolute: float = 0.0
    relative: float = 0.0
    ulps: float = 0.0
    share: float = 0.0
    where: tuple[int, ...] | None = None


def measures(ours: np.ndarray, theirs: np.ndarray) -> Measures:
    """Measure two arrays of one shape; NaN is equal to NaN.

    >>> measures(np.float32([np.nan]), np.float32([np.nan])).where is None
    True
    >>> measures(np.float32([np.nan, 1]), np.float32([0, 2])).where
    (0,)
    """
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    if same.all():
        return Measures()
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.abs(cast(ours) - cast(theirs))
        distance = np.where(same, 0, np.where(np.isnan(distance), np.inf, distance))
        size = np.maximum(np.abs(cast(ours)), np.abs(cast(theirs)))
        relative = np.where(np.isfinite(distance), distance / np.where(size > 0, size, 1), distance)
    where = tuple(int(i) for i in np.unravel_index(distance.argmax(), distance.shape))
    absolute, ulps = float(distance[where]), np.inf
    if np.isfinite(absolute):
        ulps = absolute / float(np.spacing(ours.dtype.type(size[where])))
    return Measures(absolute, float(relative.max()), float(ulps), float((~same).mean()), where)
