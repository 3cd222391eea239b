"""What the metrics are given, turned into class indexes and checked."""

from __future__ import annotations

import numpy as np

from minicnn import labels

# A row of probabilities that was summed in float32 may miss 1 by some eps for each class.
SUM_TOLERANCE = 1e-3


def as_pair(who: str, targets, predictions, classes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return targets and predictions as class indexes, and the classes.

    Without `classes` they are all values that occur, sorted; after integers `labels.ABSTAINS`.

    >>> as_pair("accuracy", ["dog", "cat"], ["dog", "dog"], None)
    (array([1, 0]), array([1, 1]), array(['cat', 'dog'], dtype='<U3'))
    >>> as_pair("accuracy", [1, 0], ["dog", "dog"], ["cat", "dog"])           # indexes beside names
    (array([1, 0]), array([1, 1]), array(['cat', 'dog'], dtype='<U3'))
    """
    targets, predictions = as_labels(who, "targets", targets), as_labels(who, "predictions", predictions)
    if len(targets) != len(predictions):
        raise ValueError(
            f"{who}: targets and predictions must have the same length. Got {len(targets)} and "
            f"{len(predictions)}. Pass one prediction for each target."
        )
    if len(targets) == 0:
        raise ValueError(f"{who}: at least one target is needed. Got none. Pass arrays that are not empty.")
    if classes is None:
        if (targets.dtype.kind == "U") != (predictions.dtype.kind == "U"):
            raise TypeError(
                f"{who}: names and numbers can only be compared by way of classes. Got targets of "
                f"{targets.dtype} and predictions of {predictions.dtype}. Pass classes=."
            )
        occurring = np.concatenate([targets, predictions])
        if occurring.dtype == object:  # integers and text have no order
            occurring = sorted(set(occurring.tolist()), key=lambda label: (label == labels.ABSTAINS, label))
            classes = np.array(occurring, dtype=object)
        else:
            classes = np.unique(occurring)
    else:
        classes = as_classes(who, classes)
    return (
        as_indexes(who, "targets", targets, classes),
        as_indexes(who, "predictions", predictions, classes),
        classes,
    )


def as_classes(who: str, classes) -> np.ndarray:
    """Return class names as an array of one kind; `labels.ABSTAINS` may stand among integers, too.

    >>> as_classes("accuracy", [10, 20, labels.ABSTAINS])
    array([10, 20, '(abstains)'], dtype=object)
    """
    named = np.asarray(classes, dtype=object).ravel()
    own = named.tolist()
    if labels.ABSTAINS not in own or all(isinstance(name, str) for name in own):
        return labels.as_classes(who, classes)
    own.remove(labels.ABSTAINS)
    labels.as_classes(who, own)
    return named


def as_labels(who: str, what: str, values) -> np.ndarray:
    """Return labels or class indexes as an array of shape (N,) of text or integers.

    Integers among which `labels.ABSTAINS` stands, as `predict` gives them, remain objects.

    >>> as_labels("accuracy", "predictions", np.zeros((8, 10), np.float32))
    Traceback (most recent call last):
    TypeError: accuracy: predictions must be labels or class indexes of shape (N,). Got float32 of shape \
(8, 10). From logits or probabilities take .argmax(axis=1).
    """
    values = np.asarray(values)
    if values.size == 0 and values.ndim == 1:
        return values.astype(np.int64)
    whole = False
    if values.dtype == object:
        own = [v for v in values.ravel() if not (isinstance(v, str) and v == labels.ABSTAINS)]
        whole = all(isinstance(value, int | np.integer) for value in own)
        if all(isinstance(value, str) for value in own):
            values = values.astype(str)
        elif whole and len(own) == values.size:
            values = values.astype(np.int64)
    if values.ndim != 1 or not (whole or values.dtype.kind in "Uiub"):
        raise TypeError(
            f"{who}: {what} must be labels or class indexes of shape (N,). Got {values.dtype} of shape "
            f"{values.shape}. From logits or probabilities take .argmax(axis=1)."
        )
    return values


def as_indexes(who: str, what: str, values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return labels as class indexes; integers beside classes of text are indexes already.

    >>> as_indexes("accuracy", "targets", np.array([2]), np.array(["cat", "dog"]))
    Traceback (most recent call last):
    ValueError: accuracy: targets must lie in 0 to 1, as there are 2 classes. Got 2. Pass all classes.
    """
    if values.dtype.kind in "UO" or classes.dtype.kind != "U":
        return labels.indexes_of(values, classes, who, what)
    wrong = values[(values < 0) | (values >= len(classes))]
    if wrong.size:
        raise ValueError(
            f"{who}: {what} must lie in 0 to {len(classes) - 1}, as there are {len(classes)} classes. "
            f"Got {wrong[0]}. Pass all classes."
        )
    return values.astype(np.int64)


def as_probabilities(who: str, targets, probabilities, classes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return targets as class indexes, probabilities (N, C) as float64, and the classes.

    >>> as_probabilities("expected_calibration_error", [0], np.array([[3.0, -1.0]]), None)
    Traceback (most recent call last):
    ValueError: expected_calibration_error: probabilities must lie in 0 to 1, and each row must sum to 1. \
Got row 0 with sum 2.0. From logits take functional.softmax(logits).
    """
    probabilities = np.asarray(probabilities)
    if probabilities.ndim != 2 or probabilities.dtype.kind != "f":
        raise TypeError(
            f"{who}: probabilities must be floats of shape (N, C). Got {probabilities.dtype} of shape "
            f"{probabilities.shape}. Pass what predict_proba returns."
        )
    probabilities = probabilities.astype(np.float64)
    outside = ~((probabilities >= 0) & (probabilities <= 1)).all(axis=1)
    wrong = np.flatnonzero(outside | ~(np.abs(probabilities.sum(axis=1) - 1) <= SUM_TOLERANCE))
    if wrong.size:
        raise ValueError(
            f"{who}: probabilities must lie in 0 to 1, and each row must sum to 1. Got row {wrong[0]} with "
            f"sum {probabilities[wrong[0]].sum():.4}. From logits take functional.softmax(logits)."
        )
    classes = np.arange(probabilities.shape[1]) if classes is None else labels.as_classes(who, classes)
    if len(classes) != probabilities.shape[1]:
        raise ValueError(
            f"{who}: there must be one name for each column of probabilities. Got {len(classes)} classes "
            f"and {probabilities.shape[1]} columns. Pass the classes of the classifier."
        )
    targets = as_labels(who, "targets", targets)
    if len(targets) != len(probabilities) or len(targets) == 0:
        raise ValueError(
            f"{who}: targets and probabilities must have the same length, at least 1. Got {len(targets)} "
            f"and {len(probabilities)}. Pass one row for each target."
        )
    return as_indexes(who, "targets", targets, classes), probabilities, classes
