"""Precision and recall while the threshold moves: what a classifier could do with another one than 0.5."""

from __future__ import annotations

import numpy as np

from minicnn.metrics.arrays import as_labels


def precision_recall_curve(targets, scores, positive=1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return precision and recall of one class for every threshold on its score.

    At threshold t those with ``score >= t`` are called positive.

    Parameters
    ----------
    targets : array of shape (N,), labels or class indexes
    scores : array of shape (N,), floats
        The probability of the class `positive`, one column of `predict_proba`; logits rank alike.
    positive : label
        The class that is looked for; all others are negative.

    Returns
    -------
    precision, recall : ndarray of shape (T + 1,), float64
        The last entries are 1 and 0, for a threshold above all scores.
    thresholds : ndarray of shape (T,)
        Rising. Computed by ``sklearn.metrics.precision_recall_curve``.

    Raises
    ------
    TypeError
        If `scores` are no floats of shape (N,).
    ValueError
        If the lengths differ, a score is NaN or infinite, or no target is `positive`.

    Examples
    --------
    >>> precision, recall, thresholds = precision_recall_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> precision                                      # 2/4, 2/3, 1/2, 1/1 called positive rightly
    array([0.5       , 0.66666667, 0.5       , 1.        , 1.        ])
    >>> recall, thresholds
    (array([1. , 1. , 0.5, 0.5, 0. ]), array([0.1 , 0.35, 0.4 , 0.8 ]))
    """
    from sklearn import metrics

    return metrics.precision_recall_curve(*_checked("precision_recall_curve", targets, scores, positive))


def average_precision(targets, scores, positive=1) -> float:
    """Return the area under the steps of the precision-recall curve: ``Σ (R_t - R_{t-1}) P_t``.

    Parameters and errors are those of `precision_recall_curve`.

    Examples
    --------
    >>> average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])     # (1/2 - 0)·1/1 + (1 - 1/2)·2/3
    0.8333333333333333
    """
    from sklearn import metrics

    return float(metrics.average_precision_score(*_checked("average_precision", targets, scores, positive)))


def _checked(who: str, targets, scores, positive) -> tuple[np.ndarray, np.ndarray]:
    targets, scores = as_labels(who, "targets", targets), np.asarray(scores)
    if scores.ndim != 1 or scores.dtype.kind != "f":
        raise TypeError(
            f"{who}: scores must be floats of shape (N,), those of one class. Got {scores.dtype} of shape "
            f"{scores.shape}. Pass one column, such as probabilities[:, 1]."
        )
    if len(targets) != len(scores):
        raise ValueError(
            f"{who}: targets and scores must have the same length. Got {len(targets)} and {len(scores)}. "
            "Pass one score for each target."
        )
    finite = np.isfinite(scores)
    if not finite.all():
        position = finite.argmin()
        raise ValueError(
            f"{who}: scores must be finite. Got {scores[position]} at position {position}. "
            "Find out where the model makes it."
        )
    hits = targets == positive
    if not np.any(hits):
        raise ValueError(
            f"{who}: at least one target must be the positive class {positive!r}. Got none among "
            f"{len(targets)}. Pass another positive=, or more data."
        )
    return hits, scores
