"""WeightedRandomSampler: some images more often than others, for classes that are rare."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minicnn import checks


class WeightedRandomSampler:
    """Draw indexes with given weights: index i with probability ``w_i / Σ w``.

    Parameters
    ----------
    weights : sequence of float, length N
        One an image, none negative; they need not add up to 1.
    num_samples : int
        How many indexes make an epoch.
    replacement : bool
        Whether an index may come twice in an epoch.
    rng : numpy.random.Generator, int or None
        Goes on from epoch to epoch.

    Raises
    ------
    ValueError
        If weights are negative, not finite or all zero; without replacement, if fewer than `num_samples`
        are positive.

    Notes
    -----
    Arguments as in ``torch.utils.data.WeightedRandomSampler``; the draws are NumPy's.

    Examples
    --------
    Two classes, one with three times as many images; weights that make both equally frequent:

    >>> targets = np.array([0, 0, 0, 1])
    >>> weights = 1 / np.bincount(targets)[targets]           # 1/3, 1/3, 1/3, 1
    >>> drawn = list(WeightedRandomSampler(weights, num_samples=1000, rng=0))
    >>> np.bincount(targets[drawn])
    array([473, 527])
    """

    def __init__(self, weights, num_samples: int, replacement: bool = True, rng=None) -> None:
        who = type(self).__name__
        self.weights = np.asarray(weights)
        if self.weights.ndim != 1 or self.weights.dtype.kind not in "iuf" or not self.weights.size:
            raise TypeError(
                f"{who}: weights must be a row of numbers, one an image. Got {self.weights.dtype} of shape "
                f"{self.weights.shape}. Pass for example 1 / np.bincount(targets)[targets]."
            )
        self.weights = self.weights.astype(np.float64)
        if not np.isfinite(self.weights).all() or self.weights.min() < 0 or self.weights.max() == 0:
            raise ValueError(
                f"{who}: weights must be finite, not negative and not all zero. Got "
                f"{self.weights.min()} to {self.weights.max()}. Pass positive weights."
            )
        self.num_samples = checks.as_int(who, "num_samples", num_samples, minimum=1)
        self.replacement = bool(replacement)
        positive = np.count_nonzero(self.weights)
        if not replacement and self.num_samples > positive:
            raise ValueError(
                f"{who}: without replacement num_samples may be {positive} at most, the number of positive "
                f"weights. Got {self.num_samples}. Pass replacement=True, or a smaller number."
            )
        self.rng = checks.as_rng(who, rng)

    def __iter__(self) -> Iterator[int]:
        scaled = self.weights / self.weights.max()  # so that the sum cannot overflow
        drawn = self.rng.choice(len(scaled), self.num_samples, self.replacement, scaled / scaled.sum())
        return iter(drawn.tolist())

    def __len__(self) -> int:
        return self.num_samples

    def __repr__(self) -> str:
        count = f"{len(self.weights)} weights, num_samples={self.num_samples}"
        return f"WeightedRandomSampler({count}, replacement={self.replacement})"
