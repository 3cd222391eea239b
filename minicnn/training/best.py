"""The best epoch so far: its weights, and how long ago it was."""

from __future__ import annotations

import math

from minicnn import nn


class Best:
    """Watches the validation loss from epoch to epoch.

    Parameters
    ----------
    patience : int or None
        After so many epochs in a row without a new lowest loss training should stop.
    keep : bool
        Whether to keep a copy of the weights of the best epoch.

    Attributes
    ----------
    loss : float
        The lowest validation loss so far; NaN is never the lowest.
    waited : int
        Epochs since then.
    weights : dict or None
        The model's `state_dict` at that time.

    Examples
    --------
    >>> best = Best(patience=2, keep=False)
    >>> [best.update(loss, nn.ReLU()) for loss in (0.5, 0.4, 0.4, 0.6)]       # True: stop
    [False, False, False, True]
    >>> best.loss, best.waited
    (0.4, 2)
    """

    def __init__(self, patience: int | None, keep: bool) -> None:
        self.patience, self.keep = patience, keep
        self.loss, self.waited, self.weights = math.inf, 0, None

    def update(self, loss: float, model: nn.Module) -> bool:
        """Take note of an epoch's loss, and say whether it is time to stop."""
        if loss < self.loss:
            self.loss, self.waited = loss, 0
            self.weights = model.state_dict() if self.keep else None
        else:
            self.waited += 1
        return self.patience is not None and self.waited >= self.patience

    def restore(self, model: nn.Module) -> None:
        """Give the model its best weights back, if they were kept."""
        if self.weights is not None:
            model.load_state_dict(self.weights)

    def state_dict(self) -> dict:
        """Return what a checkpoint must keep.

        >>> Best(patience=2, keep=False).state_dict()
        {'loss': inf, 'waited': 0, 'weights': None}
        """
        return {"loss": self.loss, "waited": self.waited, "weights": self.weights}

    def load_state_dict(self, state: dict) -> None:
        """Go on from what `state_dict` returned."""
        self.loss, self.waited, self.weights = state["loss"], state["waited"], state["weights"]
