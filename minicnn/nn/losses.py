"""Losses: one number that says how far predictions are from their targets, and its gradient.

A loss has the shape of a layer, forward above backward, but takes two arrays and gives a float:

    loss = criterion(predictions, targets)
    grad = criterion.backward()                   with respect to the predictions

With ``reduction="none"`` the loss is an array, and `backward` takes the gradient of that array.
"""

from __future__ import annotations

import math

import numpy as np

from minicnn import checks
from minicnn.nn.grad_mode import is_grad_enabled

REDUCTIONS = ("none", "mean", "sum")


class Loss:
    """What all losses share: reduction, what forward keeps for backward, and their messages.

    Attributes
    ----------
    reduction : "mean", "sum" or "none"
    saved : dict
        What the last forward kept for backward, by name.

    Examples
    --------
    >>> criterion = MSELoss(reduction="none")
    >>> criterion(np.float32([3, 5]), np.float32([1, 1]))           # 2², 4²
    array([ 4., 16.], dtype=float32)
    >>> criterion.backward(np.float32([1, 10]))                     # 1·2·2, 10·2·4
    array([ 4., 80.], dtype=float32)
    """

    def __init__(self, reduction: str = "mean") -> None:
        if reduction not in REDUCTIONS:
            raise ValueError(
                f"{self.who}: reduction must be one of {', '.join(REDUCTIONS)}. Got {reduction!r}. "
                "Choose one of these."
            )
        self.reduction = reduction
        self.saved: dict = {}

    @property
    def who(self) -> str:
        """How messages call this loss."""
        return type(self).__name__

    def __call__(self, predictions: np.ndarray, targets: np.ndarray):
        return self.forward(predictions, targets)

    def save(self, **needed) -> None:
        """Keep what backward needs, under its name, unless `no_grad` is on."""
        if is_grad_enabled():
            self.saved = needed

    def reduce(self, losses: np.ndarray, weight_sum: float | None = None):
        """Return the losses as they are, their sum, or their mean; sums are made in float64.

        `weight_sum` takes the place of the number of losses in a weighted mean; over nothing it is NaN.

        >>> Loss("sum").reduce(np.float32([1, 2]))
        3.0
        """
        if self.reduction == "none":
            return losses
        total = float(np.add.reduce(losses, None, np.float64))
        if self.reduction == "sum":
            return total
        return float(np.float64(total) / (losses.size if weight_sum is None else weight_sum))

    def factor(self, grad_output, shape: tuple, dtype, weight_sum: float | None = None):
        """Return by what each single loss's gradient is multiplied: the reduction's own gradient."""
        if not self.saved:
            raise RuntimeError(
                f"{self.who}: backward needs a forward first. Call criterion(predictions, targets) first."
            )
        if self.reduction == "none":
            if grad_output is None:
                raise TypeError(
                    f'{self.who}: backward needs the gradient of the losses. Got none, with reduction="none". '
                    "Call backward(grad_output)."
                )
            checks.as_float_array(self.who, "grad_output", grad_output)
            if grad_output.shape != shape:
                raise ValueError(
                    f"{self.who}: grad_output must have the losses' shape {shape}. Got {grad_output.shape}. "
                    "Pass one number for each loss."
                )
            return grad_output.astype(dtype, copy=False)
        count = 1.0
        if self.reduction == "mean":
            count = float(math.prod(shape)) if weight_sum is None else weight_sum
        if grad_output is None and count >= 1:  # the usual case, in which nothing can overflow
            return dtype.type(1 / count)
        return self._scale(1.0 if grad_output is None else float(grad_output), count, dtype)

    @checks.without_warnings
    def _scale(self, grad_output: float, count: float, dtype):
        return dtype.type(np.float64(grad_output) / np.float64(count))

    def check_pair(self, predictions, targets) -> None:
        """Raise unless both are float arrays of the same shape and dtype: nothing is broadcast.

        >>> MSELoss().check_pair(np.zeros((64, 10)), np.zeros(64))
        Traceback (most recent call last):
        ValueError: MSELoss: predictions and targets must have the same shape. Got (64, 10) and (64,). \
For class indexes use CrossEntropyLoss, or functional.one_hot(targets, 10).
        """
        checks.as_float_array(self.who, "predictions", predictions)
        if not isinstance(targets, np.ndarray) or targets.shape != predictions.shape:
            advice = "Reshape one of them."
            if predictions.ndim == 2 and np.shape(targets) == predictions.shape[:1]:
                classes = predictions.shape[1]
                advice = f"For class indexes use CrossEntropyLoss, or functional.one_hot(targets, {classes})."
                if classes == 1:
                    advice = "Use targets[:, None]."
            raise ValueError(
                f"{self.who}: predictions and targets must have the same shape. Got {predictions.shape} and "
                f"{np.shape(targets)}. {advice}"
            )
        checks.as_float_array(self.who, "targets", targets)
        if targets.dtype != predictions.dtype:
            raise TypeError(
                f"{self.who}: targets must be {predictions.dtype}, as the predictions are. Got "
                f"{targets.dtype}. Convert them with .astype(np.{predictions.dtype})."
            )

    def __repr__(self) -> str:
        return f"{self.who}(reduction={self.reduction!r})"


def check_loss(who: str, value) -> None:
    """Raise TypeError unless `value` is a loss.

    >>> check_loss("trace", MSELoss)
    Traceback (most recent call last):
    TypeError: trace: criterion must be a loss of minicnn. Got type. Pass one such as nn.CrossEntropyLoss() \
(with the brackets).
    """
    if not isinstance(value, Loss):
        raise TypeError(
            f"{who}: criterion must be a loss of minicnn. Got {checks.called(value)}. "
            "Pass one such as nn.CrossEntropyLoss() (with the brackets)."
        )


class MSELoss(Loss):
    """The squared distance: ``l = (x - t)²``; its gradient is ``2 (x - t)``, over the count for the mean.

    Parameters
    ----------
    reduction : "mean", "sum" or "none"

    Notes
    -----
    Predictions and targets of the same shape and dtype; nothing is broadcast.

    Examples
    --------
    >>> criterion = MSELoss()
    >>> criterion(np.float32([3, 5]), np.float32([1, 1]))           # (2² + 4²) / 2
    10.0
    >>> criterion.backward()                                        # 2·2/2, 2·4/2
    array([2., 4.], dtype=float32)
    """

    @checks.without_warnings
    def forward(self, predictions: np.ndarray, targets: np.ndarray):
        """Return the reduced squares."""
        self.check_pair(predictions, targets)
        difference = predictions - targets
        self.save(difference=difference, targets=targets)
        return self.reduce(difference * difference)

    @checks.without_warnings
    def backward(self, grad_output=None) -> np.ndarray:
        """Return the gradient of the predictions."""
        difference = self.saved.get("difference", np.zeros(0, np.float32))
        return 2 * difference * self.factor(grad_output, difference.shape, difference.dtype)


class L1Loss(Loss):
    """The distance: ``l = |x - t|``; its gradient is the sign of ``x - t``, 0 where they are equal.

    Parameters
    ----------
    reduction : "mean", "sum" or "none"

    Notes
    -----
    Predictions and targets of the same shape and dtype; nothing is broadcast.

    Examples
    --------
    >>> criterion = L1Loss()
    >>> criterion(np.float32([3, 0]), np.float32([1, 1]))           # (2 + 1) / 2
    1.5
    >>> criterion.backward()
    array([ 0.5, -0.5], dtype=float32)
    """

    @checks.without_warnings
    def forward(self, predictions: np.ndarray, targets: np.ndarray):
        """Return the reduced distances."""
        self.check_pair(predictions, targets)
        difference = predictions - targets
        self.save(difference=difference, targets=targets)
        return self.reduce(np.abs(difference))

    @checks.without_warnings
    def backward(self, grad_output=None) -> np.ndarray:
        """Return the gradient of the predictions."""
        difference = self.saved.get("difference", np.zeros(0, np.float32))
        return np.sign(difference) * self.factor(grad_output, difference.shape, difference.dtype)
