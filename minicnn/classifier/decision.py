"""How logits become labels: one rule, used by `predict` and shown by `explain`.

several logits    p = softmax(z)              index = argmax z (the first of equals)
one logit         p = sigmoid(z) of class 1   index = 1 if p > threshold else 0
then              label = classes[index], unless p[index] < abstain_below
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from minicnn.functional import sigmoid, softmax
from minicnn.labels import ABSTAINS, check_one_a_logit


@dataclass(frozen=True, eq=False)
class Decision:
    """The rule from logits (N, C) to labels (N,).

    Attributes
    ----------
    classes : ndarray of shape (C,)
        The name of class 0, 1, ...; two names for one logit.
    threshold : float
        One logit only: what the probability of class 1 must exceed.
    abstain_below : float or None
        Where the probability of the chosen class is smaller than this, or NaN, the label is `ABSTAINS`.
    who : str
        Who decides, for messages.

    Raises
    ------
    TypeError, ValueError
        If `threshold` or `abstain_below` is no number from 0 to 1.

    Examples
    --------
    >>> decision = Decision(np.array(["cat", "dog"]), abstain_below=0.6)
    >>> logits = np.log([[1.0, 3.0], [1.0, 1.0]])
    >>> decision.probabilities(logits)                       # 1/4, 3/4; 1/2, 1/2
    array([[0.25, 0.75],
           [0.5 , 0.5 ]])
    >>> decision.labels(logits)
    array(['dog', '(abstains)'], dtype='<U10')
    """

    classes: np.ndarray
    threshold: float = 0.5
    abstain_below: float | None = None
    who: str = "Classifier"

    def __post_init__(self) -> None:
        _check_share(self.who, "threshold", self.threshold)
        if self.abstain_below is not None:
            _check_share(self.who, "abstain_below", self.abstain_below)

    def check(self, logits: np.ndarray) -> None:
        """Raise ValueError unless there is a name for each logit (or two for one), and the threshold fits.

        >>> Decision(np.array(["cat", "dog"])).check(np.zeros((4, 3)))
        Traceback (most recent call last):
        ValueError: Classifier: each logit needs one class name, or a single logit two. Got 2 names for 3 \
logits. Pass the classes the model was trained with.
        """
        check_one_a_logit(self.who, self.classes, logits)
        count = logits.shape[1]
        if count > 1 and self.threshold != 0.5:
            raise ValueError(
                f"{self.who}: a threshold needs a model with one logit. Got threshold={self.threshold} and "
                f"{count} logits. Leave it at 0.5: the largest logit wins."
            )

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Return a row of probabilities for each row of logits: (N, C), or (N, 2) for one logit.

        >>> Decision(np.array(["cat", "dog"])).probabilities(np.log([[3.0]]))      # 1/(1+3), 3/(1+3)
        array([[0.25, 0.75]])
        """
        self.check(logits)
        if logits.shape[1] == 1:
            return np.concatenate([sigmoid(-logits), sigmoid(logits)], axis=1)  # (N, 2)
        return softmax(logits, axis=1)

    def indexes(self, logits: np.ndarray) -> np.ndarray:
        """Return the index of the class that wins, (N,).

        The larger logit wins even where both probabilities round to the same number; of equal logits the
        first wins.

        >>> Decision(np.array(["cat", "dog"])).indexes(np.array([[1.0, 2.0], [3.0, 3.0]]))
        array([1, 0])
        """
        self.check(logits)
        if logits.shape[1] == 1:
            return (sigmoid(logits[:, 0]) > self.threshold).astype(np.int64)
        return logits.argmax(axis=1)  # (N,)

    def abstains(self, logits: np.ndarray) -> np.ndarray:
        """Return where the probability of the winner is below `abstain_below`, or NaN: (N,), bool.

        >>> Decision(np.array(["cat", "dog"]), abstain_below=0.9).abstains(np.array([[1.0, 2.0], [0.0, 9.0]]))
        array([ True, False])
        """
        if self.abstain_below is None:
            return np.zeros(len(logits), bool)
        rows = np.arange(len(logits))
        return ~(self.probabilities(logits)[rows, self.indexes(logits)] >= self.abstain_below)

    def labels(self, logits: np.ndarray) -> np.ndarray:
        """Return the label of each row, (N,), and warn of those whose probabilities are NaN.

        >>> Decision(np.array([10, 30])).labels(np.array([[1.0, 2.0]]))
        array([30])
        """
        labels = self.classes[self.indexes(logits)]
        if self.abstain_below is not None:
            if labels.dtype.kind != "U":
                labels = labels.astype(object)
            return np.where(self.abstains(logits), ABSTAINS, labels)
        lost = int(np.isnan(self.probabilities(logits)).any(axis=1).sum())
        if lost:
            warnings.warn(
                f"{self.who}: a label needs finite logits. Got NaN or infinite ones for {lost} of "
                f"{len(logits)} images, whose labels mean nothing. Look at explain(images).",
                RuntimeWarning,
                stacklevel=3,
            )
        return labels


def as_labels(y) -> np.ndarray:
    """Return `y` as an array of shape (N,) of text or integers; whole floats and bools become int64.

    >>> as_labels([1.0, 0.0]), as_labels([True, False])
    (array([1, 0]), array([1, 0]))
    >>> as_labels([0.5, 1.5])
    Traceback (most recent call last):
    ValueError: Classifier: y must be labels of shape (N,), text or whole numbers. Got float64 of shape (2,). \
For numbers that are measured use Regressor.
    """
    y = np.asarray(y)
    for kind in (str, int):
        if y.dtype == object and all(isinstance(label, kind) for label in y.ravel()):
            y = y.astype(kind)
    if y.ndim == 1 and y.dtype.kind in "fb":
        lost = np.flatnonzero(~np.isfinite(y))
        if lost.size:
            raise ValueError(
                f"Classifier: y must have a label for each image. Got {y[lost[0]]} at index {lost[0]}. "
                "Leave out the images without a label."
            )
        with np.errstate(invalid="ignore"):  # what int64 cannot hold becomes another number
            whole = y.astype(np.int64)
        if (whole == y).all():
            return whole
    if y.ndim != 1 or y.dtype.kind not in "Uiu":
        raise ValueError(
            f"Classifier: y must be labels of shape (N,), text or whole numbers. Got {y.dtype} of shape "
            f"{y.shape}. For numbers that are measured use Regressor."
        )
    return y


def _check_share(who: str, what: str, value) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(
            f"{who}: {what} must be a number from 0 to 1. Got {value!r} ({type(value).__name__}). "
            "Pass a float."
        )
    if not 0 <= value <= 1:
        raise ValueError(f"{who}: {what} must be a number from 0 to 1. Got {value}. Pass a probability.")
