"""Does 0.9 mean nine in ten? Confidence beside the share that is right."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minicnn import checks
from minicnn.metrics.arrays import as_probabilities


class Bins(NamedTuple):
    """Predictions sorted into equal intervals of confidence; NaN stands where an interval is empty.

    >>> calibration_bins([0], np.array([[0.7, 0.3]]), bins=2).count
    array([0, 1])
    """

    edges: np.ndarray  # (B + 1,)
    count: np.ndarray  # (B,)
    confidence: np.ndarray  # (B,) mean of the largest probability
    accuracy: np.ndarray  # (B,) share that is right


def calibration_bins(targets, probabilities, classes=None, *, bins: int = 15) -> Bins:
    """Sort predictions by their confidence, ``max_c p_c``, into `bins` equal intervals of (0, 1].

    Parameters
    ----------
    targets : array of shape (N,), labels or class indexes
    probabilities : ndarray of shape (N, C), floats
        Rows sum to 1, as `predict_proba` returns them.
    classes : sequence of str or of int, optional
        The name of each column; by default 0 to C - 1.
    bins : int
        How many intervals B. A confidence on an edge belongs to the interval below it.

    Returns
    -------
    Bins
        ``edges`` (B + 1,), ``count``, ``confidence`` and ``accuracy`` (B,).

    Raises
    ------
    TypeError
        If `probabilities` are no floats of shape (N, C).
    ValueError
        If a row does not sum to 1, or lengths differ.

    Examples
    --------
    >>> probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6]])
    >>> found = calibration_bins([0, 1, 1], probabilities, bins=4)
    >>> found.count, found.accuracy                 # 0.6 lies in (0.5, 0.75], 0.8 and 0.9 above
    (array([0, 0, 1, 2]), array([nan, nan, 1. , 0.5]))
    """
    return _sorted_into_bins("calibration_bins", targets, probabilities, classes, bins)


def expected_calibration_error(targets, probabilities, classes=None, *, bins: int = 15) -> float:
    """Return by how much confidence and accuracy part, on average: ``Σ_b n_b/N · |acc_b - conf_b|``.

    For each interval b of confidence, n_b predictions lie in it, acc_b of them are right, and conf_b is
    their mean confidence. 0 is best; a model that says 0.99 and is right in 80 of 100 cases has 0.19.

    Parameters and errors are those of `calibration_bins`.

    Notes
    -----
    Source: Naeini et al., "Obtaining well calibrated probabilities using Bayesian binning" (2015); 15
    intervals as in Guo et al., "On calibration of modern neural networks" (2017).

    Examples
    --------
    >>> probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6]])
    >>> error = expected_calibration_error([0, 1, 1], probabilities, bins=4)
    >>> round(error, 4)                             # 1/3·|1 - 0.6| + 2/3·|1/2 - 0.85|
    0.3667
    """
    found = _sorted_into_bins("expected_calibration_error", targets, probabilities, classes, bins)
    filled = found.count > 0
    gaps = np.abs(found.accuracy[filled] - found.confidence[filled])
    return float((found.count[filled] * gaps).sum() / found.count.sum())


def _sorted_into_bins(who: str, targets, probabilities, classes, bins: int) -> Bins:
    targets, probabilities, _ = as_probabilities(who, targets, probabilities, classes)
    bins = checks.as_int(who, "bins", bins, minimum=1)
    edges = np.linspace(0, 1, bins + 1)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    position = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    count = np.bincount(position, minlength=bins)
    with np.errstate(invalid="ignore"):  # 0 / 0 where an interval is empty
        return Bins(
            edges,
            count,
            np.bincount(position, confidence, bins) / count,
            np.bincount(position, right, bins) / count,
        )
