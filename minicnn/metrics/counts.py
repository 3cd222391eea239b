"""Right and wrong, counted: accuracy, the confusion matrix, and what follows from it by class.

                 predicted
                 cat  dog
truth   cat        3    1         recall of cat      3 / (3 + 1)     of the row
        dog        2    4         precision of cat   3 / (3 + 2)     of the column
"""

from __future__ import annotations

import numpy as np

from minicnn.metrics.arrays import as_pair


def accuracy(targets, predictions, classes=None) -> float:
    """Return the share of predictions that are right: ``Σ [prediction = target] / N``.

    Parameters
    ----------
    targets, predictions : array of shape (N,), labels or class indexes
    classes : sequence of str or of int, optional
        The name of class 0, 1, 2, ...; needed where one of the two holds names and the other indexes.

    Raises
    ------
    TypeError
        If an array holds floats (logits or probabilities), or names meet numbers without `classes`.
    ValueError
        If the lengths differ or are 0, or a label is not among the classes.

    Examples
    --------
    >>> accuracy(["cat", "dog", "dog"], ["cat", "cat", "dog"])            # 2 of 3
    0.6666666666666666
    >>> accuracy([0, 1, 1], ["cat", "cat", "dog"], classes=["cat", "dog"])
    0.6666666666666666
    """
    targets, predictions, _ = as_pair("accuracy", targets, predictions, classes)
    return float((targets == predictions).mean())


def confusion_matrix(targets, predictions, classes=None) -> np.ndarray:
    """Return how often truth i was taken for j: ``M[i, j] = Σ [target = i and prediction = j]``.

    Parameters
    ----------
    targets, predictions : array of shape (N,), labels or class indexes
    classes : sequence of str or of int, optional
        The order of rows and columns; by default all values that occur, sorted. Where `predict` may
        abstain, pass ``[*classes, labels.ABSTAINS]``.

    Returns
    -------
    ndarray of shape (C, C), int64
        A row for each true class, a column for each predicted one.

    Raises
    ------
    TypeError, ValueError
        As `accuracy`.

    Examples
    --------
    >>> confusion_matrix([0, 0, 1, 1, 1], [0, 1, 1, 1, 0], classes=["cat", "dog"])
    array([[1, 1],
           [1, 2]])
    """
    targets, predictions, classes = as_pair("confusion_matrix", targets, predictions, classes)
    count = len(classes)
    return np.bincount(targets * count + predictions, minlength=count * count).reshape(count, count)


def precision(targets, predictions, classes=None, average: str | None = None) -> np.ndarray | float:
    """Return, of those called by a class's name, the share that deserved it: ``M[c, c] / Σ_i M[i, c]``.

    Parameters
    ----------
    targets, predictions : array of shape (N,), labels or class indexes
    classes : sequence of str or of int, optional
        The order of the result; by default all values that occur, sorted.
    average : None or "macro"
        None gives one number for each class; "macro" their mean, every class counting alike.

    Returns
    -------
    ndarray of shape (C,), float64, or float
        0 for a class that was never predicted (0 / 0). Computed by scikit-learn.

    Raises
    ------
    TypeError, ValueError
        As `accuracy`; ValueError for another `average`.

    Examples
    --------
    >>> precision([0, 0, 1, 1, 1], [0, 1, 1, 1, 0])            # 1/2 called 0, 2/3 called 1
    array([0.5       , 0.66666667])
    >>> precision([0, 0, 1, 1, 1], [0, 1, 1, 1, 0], average="macro")
    0.5833333333333333
    """
    return _by_class("precision", targets, predictions, classes, average)


def recall(targets, predictions, classes=None, average: str | None = None) -> np.ndarray | float:
    """Return, of those that belong to a class, the share that was found: ``M[c, c] / Σ_j M[c, j]``.

    Parameters, results and errors are those of `precision`; 0 for a class without targets.

    Examples
    --------
    >>> recall([0, 0, 0, 0, 1], [0, 0, 0, 1, 1])               # 3/4 of class 0, 1/1 of class 1
    array([0.75, 1.  ])
    >>> recall([0, 0, 0, 0, 1], [0, 0, 0, 1, 1], average="macro")
    0.875
    """
    return _by_class("recall", targets, predictions, classes, average)


def f1(targets, predictions, classes=None, average: str | None = None) -> np.ndarray | float:
    """Return the harmonic mean of precision P and recall R: ``2 P R / (P + R)``.

    Parameters, results and errors are those of `precision`; "macro" is the mean of the classes' F1.

    Examples
    --------
    >>> f1([0, 0, 0, 1], [0, 0, 1, 1])                         # P = 1, R = 2/3; P = 1/2, R = 1
    array([0.8       , 0.66666667])
    """
    return _by_class("f1", targets, predictions, classes, average)


def balanced_accuracy(targets, predictions, classes=None) -> float:
    """Return the mean recall over the classes that occur among the targets.

    A model that always names the most frequent class gets 1 / C here, however frequent that class is.

    Parameters and errors are those of `accuracy`.

    Examples
    --------
    >>> always_dog = ["dog"] * 10
    >>> targets = ["dog"] * 9 + ["cat"]
    >>> accuracy(targets, always_dog), balanced_accuracy(targets, always_dog)
    (0.9, 0.5)
    """
    from sklearn import metrics

    targets, predictions, _ = as_pair("balanced_accuracy", targets, predictions, classes)
    return float(
        metrics.recall_score(
            targets, predictions, labels=np.unique(targets), average="macro", zero_division=0
        )
    )


def _by_class(who: str, targets, predictions, classes, average) -> np.ndarray | float:
    from sklearn import metrics

    if average not in (None, "macro"):
        raise ValueError(f'{who}: average must be None or "macro". Got {average!r}. Pass one of the two.')
    targets, predictions, classes = as_pair(who, targets, predictions, classes)
    scores = {"precision": metrics.precision_score, "recall": metrics.recall_score, "f1": metrics.f1_score}
    score = scores[who](
        targets, predictions, labels=np.arange(len(classes)), average=average, zero_division=0
    )
    return score if average is None else float(score)
