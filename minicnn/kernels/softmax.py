"""Cross-entropy of rows of logits in NumPy: one class index a row, no weights, nothing ignored."""

from __future__ import annotations

import numpy as np


def cross_entropy(logits, targets, probabilities):
    """Return each row's ``log Σ_j exp(z_j) - z_t``; write its softmax to `probabilities`, if not None.

    >>> beliefs = np.zeros((1, 2))
    >>> cross_entropy(np.log([[1.0, 3.0]]), np.array([1]), beliefs).round(6)       # -log(3/4)
    array([0.287682])
    >>> beliefs.round(6)
    array([[0.25, 0.75]])
    """
    with np.errstate(invalid="ignore", divide="ignore"):  # NaN and infinity pass, as in the other rung
        shifted = logits - logits.max(axis=1, keepdims=True, initial=-np.inf)
        exponentials = np.exp(shifted)
        sums = exponentials.sum(axis=1)
        if probabilities is not None:
            np.divide(exponentials, sums[:, None], out=probabilities)
        return np.log(sums) - shifted[np.arange(len(targets)), targets]


def cross_entropy_backward(probabilities, targets, factors):
    """Return ``(p - onehot)·factor``, with one factor for all rows or one for each.

    >>> cross_entropy_backward(np.array([[0.25, 0.75]]), np.array([1]), np.array([8.0]))
    array([[ 2., -2.]])
    """
    grad = probabilities.copy()
    grad[np.arange(len(targets)), targets] -= 1
    return grad * factors[:, None]


def are_classes(indexes, classes):
    """Return whether all indexes lie from 0 to classes - 1.

    >>> are_classes(np.array([0, 2]), 3), are_classes(np.array([0, 3]), 3)
    (True, False)
    """
    return not indexes.size or bool(indexes.min() >= 0 and indexes.max() < classes)
