"""Cross-entropy: how surprised the model is by the right class."""

from __future__ import annotations

import numpy as np

from minicnn import checks, functional, kernels
from minicnn.nn.class_losses import ClassLoss, class_axis
from minicnn.nn.grad_mode import is_grad_enabled


class CrossEntropyLoss(ClassLoss):
    """The surprise at the right class, from logits: ``l_n = w[t_n] · (log Σ_j exp(z_nj) - z[n, t_n])``.

    Computed by log-sum-exp, never as the logarithm of a softmax, so it is exact for any logits. The mean is
    weighted: ``Σ l_n / Σ w[t_n]``. The gradient has the simplest of all forms: what the model believes minus
    the truth, ``(p - onehot) · w[t_n] / Σ w``.

    With label smoothing ε the truth is ``(1 - ε)`` at the right class plus ``ε / C`` everywhere. With targets
    that are probabilities q: ``l_n = Σ_j w_j q_nj (log Σ exp(z) - z_nj)``, and the mean is over N.

    Parameters
    ----------
    weight : ndarray of shape (C,), or None
        How much each class counts.
    ignore_index : int
        Index targets with this value count nothing.
    reduction : "mean", "sum" or "none"
    label_smoothing : float from 0 to 1

    Notes
    -----
    Logits `(C,)`, `(N, C)` or `(N, C, d1, ...)`; targets: integer indexes `()`, `(N,)` or `(N, d1, ...)`, or
    probabilities in the logits' shape and dtype. The mean over nothing is NaN, as in torch.

    Source: ``torch.nn.CrossEntropyLoss`` for the weighted means; Szegedy et al., "Rethinking the Inception
    architecture" (2015) for label smoothing.

    Raises
    ------
    TypeError
        If targets are neither integer indexes nor probabilities in the logits' shape.
    ValueError
        If a shape or an index does not fit.

    Examples
    --------
    >>> criterion = CrossEntropyLoss()
    >>> logits = np.log(np.array([[1.0, 3.0], [1.0, 1.0]]))        # p = 1/4, 3/4 and 1/2, 1/2
    >>> round(criterion(logits, np.array([0, 1])), 6)               # (log 4 + log 2) / 2
    1.039721
    >>> criterion.backward().round(6) + 0                           # (1/4 - 1)/2, 3/4/2; 1/2/2, (1/2 - 1)/2
    array([[-0.375,  0.375],
           [ 0.25 , -0.25 ]])
    """

    def __init__(
        self, weight=None, ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0
    ) -> None:
        super().__init__(weight, ignore_index, reduction)
        self.label_smoothing = checks.as_number(self.who, "label_smoothing", label_smoothing, low=0, high=1)

    def forward(self, logits: np.ndarray, targets: np.ndarray):
        """Return the reduced losses."""
        indexes = self._plain_indexes(logits, targets)
        if indexes is None:
            self.check_scores(logits, "logits")
            return self._forward_any(logits, targets)
        probabilities = np.empty(logits.shape, logits.dtype) if is_grad_enabled() else None
        losses, rows = kernels.cross_entropy(logits, indexes, probabilities), float(len(logits))
        self.save(probabilities=probabilities, targets=indexes, weight_sum=rows)
        return self.reduce(losses, rows)

    @checks.without_warnings
    def _forward_any(self, logits: np.ndarray, targets):
        """Do so for all that has no kernel: weights, smoothing, ignored rows, probabilities, more axes."""
        probable = (
            isinstance(targets, np.ndarray) and targets.dtype.kind == "f" and targets.shape == logits.shape
        )
        if probable:
            self._check_probabilities(logits, targets)
        else:
            self.check_indexes(logits, targets)
        axis = class_axis(logits)
        log_probabilities = functional.log_softmax(logits, axis)
        truth, weight_sum = self._truth(logits, targets, probable)
        surprise = np.where(truth == 0, 0, -truth * log_probabilities)  # 0 · log 0 is 0 here
        losses = surprise.sum(axis=axis)
        if not probable:  # a NaN among the logits must show, also where its class is not the target
            losses = np.where(self._counted(targets), losses + 0 * log_probabilities.max(axis=axis), 0)
        known = {"logits": logits, "targets": targets, "truth": truth, "weight_sum": weight_sum}
        self.save(log_probabilities=log_probabilities, **known)
        return self.reduce(np.asarray(losses.astype(logits.dtype, copy=False)), weight_sum)

    def backward(self, grad_output=None) -> np.ndarray:
        """Return the gradient of the logits: ``(p · Σ_j truth_j - truth)`` times the reduction's factor."""
        probabilities = self.saved.get("probabilities")
        if probabilities is None:
            return self._backward_any(grad_output)
        targets, rows = self.saved["targets"], self.saved["weight_sum"]
        factor = self.factor(grad_output, targets.shape, probabilities.dtype, rows)
        return kernels.cross_entropy_backward(probabilities, targets, factor.reshape(-1))

    @checks.without_warnings
    def _backward_any(self, grad_output) -> np.ndarray:
        """Do so for all that has no kernel."""
        logits = self.saved.get("logits", np.zeros(1, np.float32))
        axis = class_axis(logits)
        shape = logits.shape[:axis] + logits.shape[axis + 1 :]
        factor = self.factor(grad_output, shape, logits.dtype, self.saved.get("weight_sum"))
        truth = self.saved["truth"]
        grad = np.exp(self.saved["log_probabilities"])
        grad *= truth.sum(axis=axis, keepdims=True)
        grad -= truth
        grad *= np.expand_dims(factor, axis) if np.ndim(factor) else factor
        counted = self._counted(self.saved["targets"])
        return grad if counted is True else np.where(np.expand_dims(counted, axis), grad, 0)

    def _plain_indexes(self, logits: np.ndarray, targets) -> np.ndarray | None:
        """Return the targets as int64 if there is a kernel for them: classes of (N, C), and all count alike."""
        if self.weight is not None or self.label_smoothing:
            return None
        if type(logits) is not np.ndarray or logits.dtype not in checks.FLOATS or logits.ndim != 2:
            return None
        if not isinstance(targets, np.ndarray) or targets.dtype.kind not in "iu" or targets.ndim != 1:
            return None
        rows, classes = logits.shape
        if not 0 < rows == len(targets) or 0 <= self.ignore_index < classes:
            return None
        indexes = targets.astype(np.int64)  # a copy: who changes the targets now leaves backward as it is
        return indexes if kernels.are_classes(indexes, classes) else None

    def _counted(self, targets: np.ndarray):
        """Return which rows count: all of them, or those whose index is not the ignored one."""
        if targets.dtype.kind == "f" or not (targets == self.ignore_index).any():
            return True
        return targets != self.ignore_index

    def _truth(self, logits: np.ndarray, targets: np.ndarray, probable: bool) -> tuple[np.ndarray, float]:
        """Return what each class ought to have, times its weight, and what the mean divides by."""
        axis, epsilon = class_axis(logits), self.label_smoothing
        classes, dtype = logits.shape[axis], logits.dtype
        weight = np.ones(classes, dtype) if self.weight is None else self.weight
        along = weight.reshape(-1, *[1] * (logits.ndim - 1 - axis))  # (C, 1, ...)
        if probable:
            truth = targets * dtype.type(1 - epsilon) + dtype.type(epsilon / classes)
            rows = logits.size // classes
            return truth * along, float(rows)
        weights, index = self.weights_of(logits, targets)
        truth = np.zeros(logits.shape, dtype)
        share = np.expand_dims(weights * dtype.type(1 - epsilon), axis)
        np.put_along_axis(truth, np.expand_dims(index, axis), share, axis)
        if epsilon:
            kept = np.expand_dims(targets != self.ignore_index, axis)
            truth += np.where(kept, along * dtype.type(epsilon / classes), 0).astype(dtype)
        return truth, float(weights.sum(dtype=np.float64))

    def _check_probabilities(self, logits: np.ndarray, targets: np.ndarray) -> None:
        if targets.dtype != logits.dtype:
            raise TypeError(
                f"{self.who}: probabilities as targets must be {logits.dtype}, as the logits are. Got "
                f"{targets.dtype}. Convert them with .astype(np.{logits.dtype})."
            )

    def __repr__(self) -> str:
        words = [f"reduction={self.reduction!r}"]
        if self.weight is not None:
            words.insert(0, f"weight={self.weight.tolist()}")
        if self.label_smoothing:
            words.append(f"label_smoothing={self.label_smoothing}")
        return f"{self.who}({', '.join(words)})"
