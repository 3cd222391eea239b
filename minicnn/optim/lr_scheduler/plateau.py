"""ReduceLROnPlateau: smaller steps once nothing gets better."""

from __future__ import annotations

import math

from minicnn import checks
from minicnn.optim.lr_scheduler.base import LRScheduler


class ReduceLROnPlateau(LRScheduler):
    """Multiply the learning rate by `factor` when a figure has not become better for `patience` epochs.

    Better means smaller (mode "min") or larger ("max") than the best so far by `threshold`: relative to
    it ("rel"), or in its own units ("abs"). After a reduction, `cooldown` epochs do not count.

    Parameters
    ----------
    optimizer : Optimizer
    mode : "min" or "max"
    factor : float below 1
    patience : int
        Epochs that may pass without anything better; the next one reduces.
    threshold : float
    threshold_mode : "rel" or "abs"
    cooldown : int
    min_lr : float, or list with one for each group
    eps : float
        Smaller changes of the rate are left out.

    Examples
    --------
    >>> import numpy as np
    >>> from minicnn import nn, optim
    >>> optimizer = optim.SGD([nn.Parameter(np.ones(1))], lr=1.0)
    >>> scheduler = ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> for loss in (3.0, 3.0, 3.0, 2.0):
    ...     scheduler.step(loss)
    ...     print(scheduler.get_last_lr())
    [1.0]
    [1.0]
    [0.5]
    [0.5]
    """

    def __init__(
        self,
        optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr=0,
        eps: float = 1e-8,
    ) -> None:
        self.check_optimizer(optimizer)
        if mode not in ("min", "max"):
            raise ValueError(f'{self.who}: mode must be "min" or "max". Got {mode!r}. Choose one.')
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(
                f'{self.who}: threshold_mode must be "rel" or "abs". Got {threshold_mode!r}. Choose one.'
            )
        self.mode, self.threshold_mode = mode, threshold_mode
        self.factor = checks.as_number(self.who, "factor", factor)
        if self.factor >= 1:
            raise ValueError(f"{self.who}: factor must be less than 1. Got {factor}. Pass such as 0.1.")
        self.patience = checks.as_int(self.who, "patience", patience, minimum=0)
        self.cooldown = checks.as_int(self.who, "cooldown", cooldown, minimum=0)
        self.threshold, self.eps = threshold, eps
        groups = len(optimizer.param_groups)
        self.min_lrs = list(min_lr) if isinstance(min_lr, list | tuple) else [min_lr] * groups
        if len(self.min_lrs) != groups:
            raise ValueError(
                f"{self.who}: min_lr must be one number, or one for each group. Got {len(self.min_lrs)} for "
                f"{groups} groups. Pass a list of {groups}."
            )
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = 0
        self.started = False
        super().__init__(optimizer)
        self.started = True

    def step(self, metrics: float | None = None) -> None:
        """Take note of this epoch's figure, and reduce the rates if it is time.

        >>> import numpy as np
        >>> from minicnn import nn, optim
        >>> ReduceLROnPlateau(optim.SGD([nn.Parameter(np.ones(1))])).step()
        Traceback (most recent call last):
        TypeError: ReduceLROnPlateau: step needs the figure to watch. Got none. Call step(validation_loss).
        """
        self.last_epoch += 1
        if not self.started:  # the base class's call
            return
        if metrics is None:
            raise TypeError(
                f"{self.who}: step needs the figure to watch. Got none. Call step(validation_loss)."
            )
        self.check_groups(len(self.min_lrs))
        figure = float(metrics)
        if self.is_better(figure):
            self.best, self.num_bad_epochs = figure, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group, lowest in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                rate = max(group["lr"] * self.factor, lowest)
                if group["lr"] - rate > self.eps:
                    group["lr"] = rate
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def is_better(self, figure: float) -> bool:
        """Say whether a figure is better than the best by more than the threshold."""
        sign = 1 if self.mode == "max" else -1
        if self.threshold_mode == "rel":
            return sign * figure > sign * self.best * (1 + sign * self.threshold)
        return sign * figure > sign * self.best + self.threshold
