"""Binary cross-entropy: yes or no, from a probability or from a logit."""

from __future__ import annotations

import numpy as np

from minicnn import checks, functional
from minicnn.nn.losses import Loss


class BCELoss(Loss):
    """Binary cross-entropy of probabilities: ``l = -w (t log p + (1 - t) log(1 - p))``.

    Its gradient is ``w (p - t) / (p (1 - p))``. Logarithms are kept at -100 or above, and the divisor at
    1e-12 or above, as in torch, so that p = 0 or 1 gives finite numbers. Where logits are at hand,
    `BCEWithLogitsLoss` is exact.

    Parameters
    ----------
    weight : ndarray or None
        w, of a shape that broadcasts to the targets'.
    reduction : "mean", "sum" or "none"

    Notes
    -----
    Probabilities and targets of the same shape and dtype, both in [0, 1].

    Raises
    ------
    ValueError
        If a prediction lies outside [0, 1] or the shapes differ.

    Examples
    --------
    >>> criterion = BCELoss()
    >>> round(criterion(np.array([0.5, 0.8]), np.array([1.0, 0.0])), 6)     # -(log 0.5 + log 0.2) / 2
    1.151293
    >>> criterion.backward()                            # (0.5 - 1)/0.25/2, (0.8 - 0)/0.16/2
    array([-1. ,  2.5])
    """

    def __init__(self, weight: np.ndarray | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.weight = None if weight is None else checks.as_float_array(self.who, "weight", weight)

    @checks.without_warnings
    def forward(self, predictions: np.ndarray, targets: np.ndarray):
        """Return the reduced losses."""
        self.check_pair(predictions, targets)
        if predictions.size and (predictions.min() < 0 or predictions.max() > 1):
            raise ValueError(
                f"{self.who}: predictions must be probabilities between 0 and 1. Got {predictions.min():.6g} "
                f"to {predictions.max():.6g}. For logits use BCEWithLogitsLoss."
            )
        likely = np.maximum(np.log(predictions), -100)
        unlikely = np.maximum(np.log1p(-predictions), -100)
        weight = weights_for(self, predictions)
        self.save(probabilities=predictions, targets=targets, weight=weight)
        losses = ((targets - 1) * unlikely - targets * likely) * weight
        return self.reduce(losses.astype(predictions.dtype, copy=False))

    @checks.without_warnings
    def backward(self, grad_output=None) -> np.ndarray:
        """Return the gradient of the probabilities."""
        p = self.saved.get("probabilities", np.zeros(0, np.float32))
        factor = self.factor(grad_output, p.shape, p.dtype)
        slope = (p - self.saved["targets"]) / np.maximum((1 - p) * p, p.dtype.type(1e-12))
        return slope * self.saved["weight"] * factor


class BCEWithLogitsLoss(Loss):
    """Binary cross-entropy from logits: ``l = -w (v t log σ(z) + (1 - t) log σ(-z))``.

    Computed as ``(1 - t) z + (1 + (v - 1) t) (log(1 + exp(-|z|)) + max(-z, 0))``, which no logit overflows.
    Its gradient is ``w ((1 - t) σ(z) - v t σ(-z))``; without weights that is ``σ(z) - t``.

    Parameters
    ----------
    weight : ndarray or None
        w, of a shape that broadcasts to the targets'.
    reduction : "mean", "sum" or "none"
    pos_weight : ndarray or None
        v, how much more a positive counts; of a shape that broadcasts to the targets'.

    Notes
    -----
    Logits and targets of the same shape and dtype, targets in [0, 1].

    Examples
    --------
    >>> criterion = BCEWithLogitsLoss()
    >>> round(criterion(np.array([0.0, 1e4]), np.array([1.0, 1.0])), 6)     # (log 2 + 0) / 2
    0.346574
    >>> criterion.backward()                            # (0.5 - 1)/2, (1 - 1)/2
    array([-0.25,  0.  ])
    """

    def __init__(
        self,
        weight: np.ndarray | None = None,
        reduction: str = "mean",
        pos_weight: np.ndarray | None = None,
    ) -> None:
        super().__init__(reduction)
        self.weight = None if weight is None else checks.as_float_array(self.who, "weight", weight)
        self.pos_weight = (
            None if pos_weight is None else checks.as_float_array(self.who, "pos_weight", pos_weight)
        )

    @checks.without_warnings
    def forward(self, predictions: np.ndarray, targets: np.ndarray):
        """Return the reduced losses."""
        self.check_pair(predictions, targets)
        weight = weights_for(self, predictions)
        positive = weights_for(self, predictions, "pos_weight")
        self.save(logits=predictions, targets=targets, weight=weight, pos_weight=positive)
        log_term = np.log1p(np.exp(-np.abs(predictions))) + np.maximum(-predictions, 0)
        losses = ((1 - targets) * predictions + (1 + (positive - 1) * targets) * log_term) * weight
        return self.reduce(losses.astype(predictions.dtype, copy=False))

    @checks.without_warnings
    def backward(self, grad_output=None) -> np.ndarray:
        """Return the gradient of the logits."""
        logits = self.saved.get("logits", np.zeros(0, np.float32))
        factor = self.factor(grad_output, logits.shape, logits.dtype)
        targets = self.saved["targets"]
        slope = (1 - targets) * functional.sigmoid(logits)
        slope = slope - self.saved["pos_weight"] * targets * functional.sigmoid(-logits)
        return slope * self.saved["weight"] * factor


def weights_for(loss: Loss, predictions: np.ndarray, name: str = "weight") -> np.ndarray:
    """Return a loss's `weight` (or `pos_weight`) in the predictions' dtype, ones if there is none.

    >>> weights_for(BCELoss(), np.float32([0.5]))
    array(1., dtype=float32)
    """
    weight = getattr(loss, name)
    if weight is None:
        return np.ones((), predictions.dtype)
    try:
        fits = np.broadcast_shapes(weight.shape, predictions.shape) == predictions.shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"{loss.who}: {name} must broadcast to the predictions' shape {predictions.shape}. "
            f"Got {weight.shape}. Pass one number for each column."
        )
    if weight.dtype != predictions.dtype:
        raise TypeError(
            f"{loss.who}: {name} must be {predictions.dtype}, as the predictions are. Got {weight.dtype}. "
            f"Convert it with .astype(np.{predictions.dtype})."
        )
    return weight
