"""evaluate: loss and accuracy of a model on a dataset; and the sums behind every such number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minicnn import checks, data, nn
from minicnn.training.arguments import check_object


def evaluate(model: nn.Module, dataset, *, batch_size: int = 256, criterion=None) -> dict[str, float]:
    """Return the mean loss and the accuracy of `model` on `dataset`.

    Parameters
    ----------
    model : nn.Module
        Evaluated in evaluation mode and without saving anything for backward; afterwards every module is
        in the mode in which it was.
    dataset : data.ArrayDataset or data.DataLoader
        With the `transform` that belongs to it. A loader's own batch size is used.
    batch_size : int
        Images a forward pass. It does not change the result, except for rounding.
    criterion : loss, optional
        By default ``nn.CrossEntropyLoss()``.

    Returns
    -------
    dict with "loss" and "accuracy"
        Both NaN for a dataset without images.

    Notes
    -----
    The loss is the criterion's mean over all samples, as if they were one batch. With class weights (or
    `ignore_index`) that is ``Σ w_t L / Σ w_t`` over all samples, with L the loss of one of class t.
    With ``reduction="sum"`` it is the sum divided by the number of samples.

    The accuracy counts, with integer targets, where the largest number along axis 1 is at the target
    (targets equal to `ignore_index` are left out); with class probabilities as targets of a cross-entropy,
    where both have their largest number at the same class; with `BCEWithLogitsLoss`, where the logit is
    positive exactly if the target exceeds 0.5 (`BCELoss`: the probability exceeds 0.5). Anything else is
    no classification, and the accuracy is NaN.

    A criterion of your own is any callable that returns the mean over the batch; `fit` also calls its
    `backward()`.

    Raises
    ------
    TypeError
        If `model` is no module, or `criterion` a class.
    ValueError
        If the criterion has ``reduction="none"``.

    Examples
    --------
    >>> dataset = data.ArrayDataset(np.log(np.float32([[1, 3], [1, 1], [3, 1]])), np.array([1, 0, 1]))
    >>> numbers = evaluate(nn.Flatten(), dataset)       # right, right (the first of equals), wrong
    >>> round(numbers["accuracy"], 4)
    0.6667
    >>> round(numbers["loss"], 4)                       # -(log 3/4 + log 1/2 + log 1/4) / 3
    0.789
    """
    nn.tree.check_module("evaluate", "model", model)
    checks.as_int("evaluate", "batch_size", batch_size, minimum=1)
    criterion = nn.CrossEntropyLoss() if criterion is None else criterion
    check_object("evaluate", "criterion", criterion, ("__call__",), "nn.CrossEntropyLoss()")
    check_reduction("evaluate", criterion)
    return run(model, as_loader(dataset, batch_size), criterion)


def as_loader(dataset, batch_size: int):
    """Return batches of `dataset` in order; a loader as it is.

    >>> dataset = data.ArrayDataset(np.zeros((5, 2), np.float32), np.arange(5))
    >>> [targets.tolist() for images, targets in as_loader(dataset, 2)]
    [[0, 1], [2, 3], [4]]
    """
    if isinstance(dataset, data.DataLoader):
        return dataset
    return data.DataLoader(dataset, batch_size=batch_size, rng=0)


def run(model: nn.Module, loader, criterion, between: Callable[[], None] = lambda: None) -> dict[str, float]:
    """Evaluate on checked arguments; `between` is called after each batch.

    >>> batches = [(np.float32([[2, 1]]), np.array([0])), (np.float32([[2, 1]]), np.array([1]))]
    >>> run(nn.Flatten(), batches, nn.CrossEntropyLoss())["accuracy"]
    0.5
    """
    modes = [(module, module.training) for module in model.modules()]
    tally = Tally(criterion)
    model.eval()
    try:
        with nn.no_grad():
            for images, targets in loader:
                logits = model(images)
                tally.add(criterion(logits, targets), logits, targets)
                between()
    finally:
        for module, training in modes:
            module.training = training
    return {"loss": tally.loss, "accuracy": tally.accuracy}


def check_reduction(who: str, criterion) -> None:
    """Raise ValueError for a criterion that returns no single number.

    >>> check_reduction("fit", nn.CrossEntropyLoss(reduction="none"))
    Traceback (most recent call last):
    ValueError: fit: the criterion must give one number a batch. Got CrossEntropyLoss with reduction='none'. \
Use reduction='mean'.
    """
    if getattr(criterion, "reduction", "mean") == "none":
        raise ValueError(
            f"{who}: the criterion must give one number a batch. Got {type(criterion).__name__} with "
            "reduction='none'. Use reduction='mean'."
        )


class Tally:
    """Sums over batches, so that means are those of all samples whatever the batches were.

    Examples
    --------
    >>> tally = Tally(nn.CrossEntropyLoss())
    >>> tally.add(0.5, np.float32([[2, 1], [1, 2], [2, 1]]), np.array([0, 1, 1]))
    >>> tally.add(0.1, np.float32([[2, 1]]), np.array([0]))
    >>> tally.loss, tally.accuracy                      # (0.5·3 + 0.1·1) / 4, 3 of 4
    (0.4, 0.75)
    """

    def __init__(self, criterion) -> None:
        self.criterion = criterion
        self.loss_sum, self.weight_sum = 0.0, 0.0
        self.correct, self.counted = 0, 0

    def add(self, loss: float, logits: np.ndarray, targets: np.ndarray) -> None:
        """Add one batch."""
        if getattr(self.criterion, "reduction", "mean") == "sum":
            self.loss_sum += loss
            self.weight_sum += len(targets)
        else:
            weight = mean_weight(self.criterion, targets)
            if weight:  # the mean of nothing is NaN, and would stain all others
                self.loss_sum += loss * weight
                self.weight_sum += weight
        right = correct(self.criterion, logits, targets)
        self.correct += int(np.count_nonzero(right))
        self.counted += right.size

    @property
    def loss(self) -> float:
        """The mean loss so far."""
        return self.loss_sum / self.weight_sum if self.weight_sum else float("nan")

    @property
    def accuracy(self) -> float:
        """The share of correct answers so far."""
        return self.correct / self.counted if self.counted else float("nan")


def mean_weight(criterion, targets: np.ndarray) -> float:
    """Return what the criterion's mean over a batch was divided by.

    >>> mean_weight(nn.CrossEntropyLoss(weight=np.float32([1, 3]), ignore_index=2), np.array([0, 1, 1, 2]))
    7.0
    """
    if isinstance(criterion, nn.CrossEntropyLoss | nn.NLLLoss) and targets.dtype.kind in "iu":
        kept = targets[targets != criterion.ignore_index]
        return float(kept.size if criterion.weight is None else criterion.weight[kept].sum(dtype=np.float64))
    return float(len(targets))


def correct(criterion, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return, for each answer that counts, whether it is right.

    >>> correct(nn.CrossEntropyLoss(), np.float32([[2, 1], [1, 2]]), np.array([0, 0])).tolist()
    [True, False]
    >>> correct(nn.BCEWithLogitsLoss(), np.float32([[2], [-1]]), np.float32([[1], [1]])).ravel().tolist()
    [True, False]
    >>> correct(nn.MSELoss(), np.float32([[2]]), np.float32([[2]])).size
    0
    """
    if isinstance(criterion, nn.BCEWithLogitsLoss):
        return (logits > 0) == (targets > 0.5)
    if isinstance(criterion, nn.BCELoss):
        return (logits > 0.5) == (targets > 0.5)
    nothing = np.zeros(0, bool)
    if logits.ndim < 2 or not logits.size:
        return nothing
    if targets.dtype.kind in "iu":
        return (logits.argmax(axis=1) == targets)[targets != getattr(criterion, "ignore_index", None)]
    if isinstance(criterion, nn.CrossEntropyLoss):
        return logits.argmax(axis=1) == targets.argmax(axis=1)
    return nothing
