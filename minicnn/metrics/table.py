"""The per-class table."""

from __future__ import annotations

import numpy as np

from minicnn.metrics.arrays import as_pair
from minicnn.metrics.counts import accuracy, balanced_accuracy, confusion_matrix, f1, precision, recall


def classification_table(targets, predictions, classes=None) -> str:
    """Return a table to print: precision, recall, F1 and number of images for each class.

    Below it stand the means over the classes ("macro"), accuracy, balanced accuracy, the confusions that
    occur most often, and the classes that were never predicted.

    Parameters
    ----------
    targets, predictions : array of shape (N,), labels or class indexes
    classes : sequence of str or of int, optional
        The order of the rows; by default all values that occur, sorted.

    Raises
    ------
    TypeError, ValueError
        As `accuracy`.

    Examples
    --------
    >>> print(classification_table([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 1, 1], ["cat", "dog", "owl"]))
    class              precision  recall      F1  images
    cat                    1.000   0.667   0.800       3
    dog                    0.500   1.000   0.667       2
    owl                    0.000   0.000   0.000       1
    <BLANKLINE>
    macro                  0.500   0.556   0.489       6
    accuracy               0.667
    balanced accuracy      0.556
    most often: cat taken for dog (1), owl taken for dog (1)
    never predicted: owl
    """
    targets, predictions, classes = as_pair("classification_table", targets, predictions, classes)
    names = [str(name) for name in classes.tolist()]
    indexes = np.arange(len(names))
    width = max(17, *(len(name) for name in names))
    columns = [measure(targets, predictions, indexes) for measure in (precision, recall, f1)]
    lines = [f"{'class':<{width}}  precision  recall      F1  images"]
    for name, *numbers, count in zip(
        names, *columns, np.bincount(targets, minlength=len(names)), strict=True
    ):
        lines.append(_row(name, numbers, count, width))
    lines += ["", _row("macro", [column.mean() for column in columns], len(targets), width)]
    lines.append(f"{'accuracy':<{width}}  {accuracy(targets, predictions):9.3f}")
    lines.append(f"{'balanced accuracy':<{width}}  {balanced_accuracy(targets, predictions):9.3f}")
    matrix = confusion_matrix(targets, predictions, indexes)
    return "\n".join(lines + _worst_confusions(matrix, names) + _never_predicted(matrix, names))


def _row(name: str, numbers, count: int, width: int) -> str:
    precision, recall, f1 = numbers
    return f"{name:<{width}}  {precision:9.3f}  {recall:6.3f}  {f1:6.3f}  {count:6d}"


def _worst_confusions(matrix: np.ndarray, names: list[str], at_most: int = 3) -> list[str]:
    wrong = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-wrong, axis=None, kind="stable")[:at_most]
    pairs = [(int(i), int(j)) for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True)]
    found = [f"{names[i]} taken for {names[j]} ({wrong[i, j]})" for i, j in pairs if wrong[i, j]]
    return ["most often: " + ", ".join(found)] if found else []


def _never_predicted(matrix: np.ndarray, names: list[str]) -> list[str]:
    missing = [names[i] for i in np.flatnonzero((matrix.sum(axis=0) == 0) & (matrix.sum(axis=1) > 0))]
    return ["never predicted: " + ", ".join(missing)] if missing else []
