"""Index and label: the last step of a classifier, and the way back.

    index    3        1       2        0
    classes  forest   urban   water    field        (position 0, 1, 2, 3)
    label    field    urban   water    forest

A network knows positions only. Whoever holds the list in another order than the one it was trained
with gets names that are wrong without any error, so the list is checked wherever it enters.
"""

from __future__ import annotations

import warnings

import numpy as np

# What `predict` says in place of a label when the probability is too small to say anything.
ABSTAINS = "(abstains)"


def short_name(name, most: int = 19) -> str:
    """Return a name, cut where it is too long for a table or a picture.

    >>> short_name("dog"), short_name("American Staffordshire terrier"), short_name(7)
    ('dog', 'American Staffords…', '7')
    """
    name = str(name)
    return name if len(name) <= most else name[: most - 1] + "…"


def as_classes(who: str, classes) -> np.ndarray:
    """Return class names as an array of one kind: all text, or all integers.

    Parameters
    ----------
    who : str
        Who asks, for the message.
    classes : sequence of str or of int
        The name of class 0, 1, 2, ...

    Returns
    -------
    ndarray of shape (C,), text or integers

    Raises
    ------
    TypeError
        If `classes` is one string or one number, or a name is neither text nor integer, or both occur.
    ValueError
        If there is no name, or one comes twice.

    Examples
    --------
    >>> as_classes("Classifier", ["cat", "dog"])
    array(['cat', 'dog'], dtype='<U3')
    >>> as_classes("Classifier", ["cat", "dog", "cat"])
    Traceback (most recent call last):
    ValueError: Classifier: every class needs a name of its own. Got 'cat' more than once. \
Rename or remove it.
    """
    listed = np.asarray(classes, dtype=object)
    names = listed.ravel().tolist()
    text = all(isinstance(name, str) for name in names)
    whole = all(isinstance(name, int | np.integer) and not isinstance(name, bool) for name in names)
    if not listed.ndim or not (text or whole):
        raise TypeError(
            f"{who}: classes must be a list of names, all text or all integers. Got {_shortened(classes)}. "
            "Pass for example ['cat', 'dog']."
        )
    if not names:
        raise ValueError(f"{who}: classes must hold at least one name. Got none. Pass a name for each class.")
    seen = set()
    for name in names:
        if name in seen:
            raise ValueError(
                f"{who}: every class needs a name of its own. Got {name!r} more than once. "
                "Rename or remove it."
            )
        seen.add(name)
    return np.array(names)


def as_shown(who: str, classes) -> tuple[str, ...] | None:
    """Return class names as the text that is shown; None for none.

    Here one name may stand for two classes, as some lists of a thousand classes have it.

    >>> as_shown("trace", np.array([10, 20]))
    ('10', '20')
    >>> as_shown("trace", 5)
    Traceback (most recent call last):
    TypeError: trace: classes must be a list of names. Got 5. Pass for example ['cat', 'dog'].
    """
    try:
        return None if classes is None else tuple(map(str, classes))
    except TypeError:
        raise TypeError(
            f"{who}: classes must be a list of names. Got {_shortened(classes)}. "
            "Pass for example ['cat', 'dog']."
        ) from None


def check_one_a_logit(who: str, classes, output: np.ndarray) -> None:
    """Raise ValueError unless there is a name for each logit, or two for one, where `output` is rows of logits.

    >>> check_one_a_logit("trace", ("cat", "dog"), np.zeros((4, 3)))
    Traceback (most recent call last):
    ValueError: trace: each logit needs one class name, or a single logit two. Got 2 names for 3 logits. \
Pass the classes the model was trained with.
    """
    if classes is None or output.ndim != 2:
        return
    count, names = output.shape[1], len(classes)
    if names != (count if count > 1 else 2):
        raise ValueError(
            f"{who}: each logit needs one class name, or a single logit two. Got {names} name"
            f"{'s' * (names != 1)} for {count} logit{'s' * (count != 1)}. Pass the classes the model was "
            "trained with."
        )


def warn_if_sorted_as_text(who: str, classes: np.ndarray, stacklevel: int = 2) -> None:
    """Warn if names that are numbers stand in alphabetical order: "10" before "2".

    That order comes from sorting file or folder names. Targets that were counted 0, 1, 2, ... then get
    the name of another class.

    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn_if_sorted_as_text("Classifier", np.array(["0", "1", "10", "2"]))
    >>> print(caught[0].message)
    Classifier: class names that are numbers should stand in the order of the numbers. Got '10' before '2', \
the order of text: class 2 is called '10'. If the targets are counted 0, 1, 2, ..., pass \
sorted(classes, key=int).
    """
    names = classes.tolist()
    if not all(isinstance(name, str) and name.isdecimal() for name in names):
        return
    by_number = sorted(names, key=int)
    if names == sorted(names) and names != by_number:
        position = next(i for i, name in enumerate(names) if name != by_number[i])
        warnings.warn(
            f"{who}: class names that are numbers should stand in the order of the numbers. Got "
            f"{names[position]!r} before {by_number[position]!r}, the order of text: class {position} is "
            f"called {names[position]!r}. If the targets are counted 0, 1, 2, ..., pass "
            "sorted(classes, key=int).",
            UserWarning,
            stacklevel=stacklevel + 1,
        )


def labels_of(indexes, classes) -> np.ndarray:
    """Return the name of each class index: ``label = classes[index]``, checked.

    Parameters
    ----------
    indexes : array of int, any shape
        Class indexes, from 0 to C - 1. Negative ones do not count from the end.
    classes : sequence of str or of int, length C
        The name of class 0, 1, 2, ...

    Returns
    -------
    ndarray of the shape of `indexes`, text or integers

    Raises
    ------
    TypeError
        If `indexes` are no integers: logits and probabilities need ``argmax(axis=1)`` first.
    ValueError
        If an index is out of range.

    Examples
    --------
    >>> labels_of([3, 1, 2, 0, 3], ["forest", "urban", "water", "field"])
    array(['field', 'urban', 'water', 'forest', 'field'], dtype='<U6')
    >>> labels_of([4], ["forest", "urban", "water", "field"])
    Traceback (most recent call last):
    ValueError: labels_of: indexes must lie in 0 to 3, as there are 4 classes. Got 4. Pass the classes the \
model was trained with.
    """
    names, indexes = as_classes("labels_of", classes), np.asarray(indexes)
    if indexes.size == 0 and indexes.dtype == np.float64:  # what np.asarray([]) gives
        indexes = indexes.astype(np.int64)
    if indexes.dtype.kind not in "iu":
        raise TypeError(
            f"labels_of: indexes must be integers. Got {indexes.dtype} of shape {indexes.shape}. "
            "From logits or probabilities take .argmax(axis=1) first."
        )
    wrong = indexes[(indexes < 0) | (indexes >= len(names))]
    if wrong.size:
        raise ValueError(
            f"labels_of: indexes must lie in 0 to {len(names) - 1}, as there are {len(names)} classes. "
            f"Got {wrong.flat[0]}. Pass the classes the model was trained with."
        )
    return names[indexes]


def indexes_of(labels, classes, who: str = "indexes_of", what: str = "labels") -> np.ndarray:
    """Return the position of each label in `classes`: the way back from `labels_of`.

    Parameters
    ----------
    labels : array of str or of int, shape (N,)
    classes : sequence of str or of int
    who, what : str
        For the message.

    Returns
    -------
    ndarray of shape (N,), int64

    Raises
    ------
    TypeError
        If labels are numbers and classes are text, or the other way round.
    ValueError
        If a label is not among the classes.

    Examples
    --------
    >>> indexes_of(["water", "forest"], ["forest", "urban", "water", "field"])
    array([2, 0])
    >>> indexes_of(["lake"], ["forest", "urban", "water", "field"])
    Traceback (most recent call last):
    ValueError: indexes_of: labels must be among the 4 classes ['forest', 'urban', 'water', 'field']. \
Got 'lake'. Correct the label, or add it to classes.
    """
    names, labels = np.asarray(classes), np.asarray(labels)
    if (labels.dtype.kind in "US") != (names.dtype.kind in "US") and "O" not in (labels.dtype, names.dtype):
        raise TypeError(
            f"{who}: {what} must be of the kind of the classes, such as {names.tolist()[0]!r}. "
            f"Got {labels.dtype}. For class indexes take labels_of(indexes, classes)."
        )
    position = {name: index for index, name in enumerate(names.tolist())}
    found = [position.get(label, -1) for label in labels.ravel().tolist()]
    if -1 in found:
        unknown = labels.ravel().tolist()[found.index(-1)]
        raise ValueError(
            f"{who}: {what} must be among the {len(names)} classes {_shortened(names.tolist())}. "
            f"Got {unknown!r}. Correct the label, or add it to classes."
        )
    return np.array(found, dtype=np.int64).reshape(labels.shape)


def _shortened(value, length: int = 120) -> str:
    text = repr(value)
    return text if len(text) <= length else text[: length - 3] + "..."
