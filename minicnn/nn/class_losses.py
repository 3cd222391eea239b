"""What losses of classes share, and the one that takes log-probabilities as they are."""

from __future__ import annotations

import numpy as np

from minicnn import checks
from minicnn.nn.losses import Loss


class ClassLoss(Loss):
    """What NLLLoss and CrossEntropyLoss share: class weights, ignored targets, classes along axis 1."""

    def __init__(self, weight=None, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.weight = None if weight is None else checks.as_float_array(self.who, "weight", weight)
        self.ignore_index = checks.as_int(self.who, "ignore_index", ignore_index)

    def check_scores(self, scores, what: str) -> None:
        """Raise unless the scores are floats of shape (C,), (N, C) or (N, C, d1, ...), C > 0."""
        checks.as_float_array(self.who, what, scores)
        if scores.ndim < 1 or scores.shape[class_axis(scores)] == 0:
            raise ValueError(
                f"{self.who}: {what} must have shape (C,), (N, C) or (N, C, d1, ...), C at least 1. "
                f"Got {scores.shape}. Pass one number for each class."
            )
        if self.weight is None:
            return
        classes = scores.shape[class_axis(scores)]
        if self.weight.shape != (classes,):
            raise ValueError(
                f"{self.who}: weight must hold one number for each of the {classes} classes. "
                f"Got shape {self.weight.shape}. Pass {classes} numbers."
            )
        if self.weight.dtype != scores.dtype:
            raise TypeError(
                f"{self.who}: weight must be {scores.dtype}, as the {what} are. Got {self.weight.dtype}. "
                f"Convert it with .astype(np.{scores.dtype})."
            )

    def check_indexes(self, scores: np.ndarray, targets) -> None:
        """Raise unless `targets` are class indexes that fit the scores."""
        axis = class_axis(scores)
        classes, expected = scores.shape[axis], scores.shape[:axis] + scores.shape[axis + 1 :]
        words = {0: "()", 1: "(N,)"}.get(len(expected), "(N, d1, ...)")
        if not isinstance(targets, np.ndarray | np.generic) or targets.dtype.kind not in "iu":
            dtype = getattr(targets, "dtype", type(targets).__name__)
            advice = "Convert them with np.asarray(targets, dtype=np.int64)."
            if np.shape(targets)[:1] == scores.shape[:1] and np.ndim(targets) == scores.ndim >= 2:
                advice = "For one-hot rows use targets.argmax(axis=1)."
            raise TypeError(
                f"{self.who}: targets must be integer class indexes of shape {words}. Got {dtype} of shape "
                f"{np.shape(targets)}. {advice}"
            )
        if targets.shape != expected:
            raise ValueError(
                f"{self.who}: targets must have shape {expected}, one index for each row of scores. "
                f"Got {targets.shape} for scores {scores.shape}. Pass images and targets of one batch."
            )
        wrong = (targets != self.ignore_index) & ((targets < 0) | (targets >= classes))
        if wrong.any():
            place = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise ValueError(
                f"{self.who}: targets must lie between 0 and {classes - 1} for {classes} classes. "
                f"Got {targets[place]} at {place}. Number the classes from 0, or give the model more outputs."
            )

    def weights_of(self, scores: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return, row by row, the target's weight (0 if ignored), and the index used (0 if ignored)."""
        if self.weight is None and targets.size and targets.min() >= 0 > self.ignore_index:
            return np.ones(targets.shape, scores.dtype), targets.astype(np.intp, copy=False)
        kept = targets != self.ignore_index
        index = np.where(kept, targets, 0).astype(np.intp)
        weights = np.ones(index.shape, scores.dtype) if self.weight is None else self.weight[index]
        return np.where(kept, weights, 0).astype(scores.dtype), index


def class_axis(scores: np.ndarray) -> int:
    """Return the axis along which the classes lie: 1, or 0 for a single row.

    >>> class_axis(np.zeros((8, 10))), class_axis(np.zeros(10))
    (1, 0)
    """
    return min(1, scores.ndim - 1)


class NLLLoss(ClassLoss):
    """The negative log-probability of the right class: ``l_n = -w[t_n] · x[n, t_n]``.

    The mean is weighted: ``Σ l_n / Σ w[t_n]``. The gradient is ``-w[t_n] / Σ w`` at the right class, and 0
    elsewhere. Behind `LogSoftmax` this is the cross-entropy.

    Parameters
    ----------
    weight : ndarray of shape (C,), or None
        How much each class counts.
    ignore_index : int
        Targets with this value count nothing.
    reduction : "mean", "sum" or "none"

    Notes
    -----
    Log-probabilities `(C,)`, `(N, C)` or `(N, C, d1, ...)`; targets: integer indexes `()`, `(N,)` or
    `(N, d1, ...)`. The mean over nothing is NaN, as in torch.

    Examples
    --------
    >>> criterion = NLLLoss()
    >>> criterion(np.array([[-1.0, -2.0], [-3.0, -4.0]]), np.array([1, 0]))       # (2 + 3) / 2
    2.5
    >>> criterion.backward()
    array([[ 0. , -0.5],
           [-0.5,  0. ]])
    """

    @checks.without_warnings
    def forward(self, log_probabilities: np.ndarray, targets: np.ndarray):
        """Return the reduced losses."""
        self.check_scores(log_probabilities, "log-probabilities")
        self.check_indexes(log_probabilities, targets)
        weights, index = self.weights_of(log_probabilities, targets)
        axis = class_axis(log_probabilities)
        score = np.take_along_axis(log_probabilities, np.expand_dims(index, axis), axis).squeeze(axis)
        losses = np.asarray(np.where(weights == 0, 0, -weights * score))
        weight_sum = float(weights.sum(dtype=np.float64))
        self.save(
            scores=log_probabilities, targets=targets, weights=weights, index=index, weight_sum=weight_sum
        )
        return self.reduce(losses, weight_sum)

    @checks.without_warnings
    def backward(self, grad_output=None) -> np.ndarray:
        """Return the gradient of the log-probabilities."""
        scores = self.saved.get("scores", np.zeros(0, np.float32))
        weights = self.saved.get("weights", scores)
        factor = self.factor(grad_output, weights.shape, scores.dtype, self.saved.get("weight_sum"))
        axis, grad = class_axis(scores), np.zeros_like(scores)
        share = np.where(weights == 0, 0, -weights * factor).astype(scores.dtype)
        index = self.saved["index"]
        np.put_along_axis(grad, np.expand_dims(index, axis), np.expand_dims(share, axis), axis)
        return grad
