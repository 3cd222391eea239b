"""Pictures and bars made of letters, for pages that are read in a terminal."""

from __future__ import annotations

import numpy as np

from minicnn.checks import cast
from minicnn.inspection.page import short

SHADES = " .:-=+*#%@"  # from the darkest to the brightest
WIDEST = 32  # cells of a picture in text; larger images are shrunk to this
MOST_NUMBERS = 12  # features that are written out where an image is a row of numbers
BAR = 20  # letters of the longest bar


def strength(value: float, most: float) -> str:
    """Return a bar whose length says how large `value` is beside `most`.

    >>> strength(1.0, 2.0), strength(0.0, 2.0)
    ('##########', '')
    """
    if not np.isfinite(value):
        return "not finite"
    return "#" * round(BAR * value / most) if most > 0 else ""


def numbers(row: np.ndarray) -> str:
    """Return the first numbers of an array.

    >>> numbers(np.array([0.5, -0.25]))
    '0.5, -0.25'
    """
    flat = np.ravel(row)
    shown = ", ".join(short(value) for value in flat[:MOST_NUMBERS])
    return shown if len(flat) <= MOST_NUMBERS else f"{shown}, ... ({len(flat)} in all)"


def picture(pixels: np.ndarray) -> list[str]:
    """Return an image as lines of letters, two letters a cell, the mean of its channels.

    From `` `` for the smallest number to ``@@`` for the largest; NaN and infinity are ``??``. An image with
    more than 32 rows or columns is shrunk by means over blocks; a row of features is written as numbers.

    >>> picture(np.array([[[0.0, 0.5], [1.0, np.nan]]]))
    ['|  ==|', '|@@??|']
    >>> picture(np.array([1.0, 2.0]))
    ['1, 2']
    """
    if pixels.ndim not in (2, 3) or not pixels.size:
        return [numbers(pixels)]
    grey = cast(pixels) if pixels.ndim == 2 else cast(pixels).mean(axis=0)  # (H, W)
    block = -(-max(grey.shape) // WIDEST)
    rows, columns = (np.arange(0, size, block) for size in grey.shape)
    counts = np.add.reduceat(np.add.reduceat(np.ones(grey.shape), rows, axis=0), columns, axis=1)
    with np.errstate(invalid="ignore"):
        grey = np.add.reduceat(np.add.reduceat(grey, rows, axis=0), columns, axis=1) / counts
    finite = np.isfinite(grey)
    low = grey[finite].min() if finite.any() else 0.0
    reach = (grey[finite].max() if finite.any() else 0.0) - low or 1.0
    level = np.where(finite, grey - low, 0) / reach * (len(SHADES) - 1)
    letters = np.where(finite, np.array(list(SHADES))[level.astype(int)], "?")
    return [f"|{''.join(2 * letter for letter in row)}|" for row in letters]
