"""Schedules that bring the learning rate down, epoch by epoch."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable

from minicnn import checks
from minicnn.optim.lr_scheduler.base import LRScheduler


class StepLR(LRScheduler):
    """Multiply the learning rate by `gamma` every `step_size` epochs.

    Parameters
    ----------
    optimizer : Optimizer
    step_size : int
    gamma : float

    Examples
    --------
    See `LRScheduler`.

    >>> StepLR.__mro__[1].__name__
    'LRScheduler'
    """

    def __init__(self, optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size = checks.as_int(self.who, "step_size", step_size, minimum=1)
        self.gamma = checks.as_number(self.who, "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def rates(self) -> list[float]:
        """Return the rates, multiplied by gamma if a step begins."""
        begins = self.last_epoch and self.last_epoch % self.step_size == 0
        return [lr * self.gamma if begins else lr for lr in self.get_last_lr()]


class MultiStepLR(LRScheduler):
    """Multiply the learning rate by `gamma` at every milestone.

    Parameters
    ----------
    optimizer : Optimizer
    milestones : list of int
        Epochs; one that stands twice counts twice, and 0 counts at once.
    gamma : float

    Examples
    --------
    >>> import numpy as np
    >>> from minicnn import nn, optim
    >>> scheduler = MultiStepLR(optim.SGD([nn.Parameter(np.ones(1))], lr=1.0), [1, 3], gamma=0.5)
    >>> for _ in range(3):
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [0.25]
    """

    def __init__(self, optimizer, milestones, gamma: float = 0.1, last_epoch: int = -1) -> None:
        if not isinstance(milestones, Iterable):
            raise TypeError(
                f"{self.who}: milestones must be a list of ints. Got {milestones!r}. Pass such as [30, 60]."
            )
        self.milestones = sorted(checks.as_int(self.who, "milestones", m, minimum=0) for m in milestones)
        self.gamma = checks.as_number(self.who, "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def rates(self) -> list[float]:
        """Return the rates, multiplied by gamma for every milestone that is reached now."""
        reached = bisect.bisect_right(self.milestones, self.last_epoch) - bisect.bisect_left(
            self.milestones, self.last_epoch
        )
        return [lr * self.gamma**reached for lr in self.get_last_lr()]


class ExponentialLR(LRScheduler):
    """Multiply the learning rate by `gamma` every epoch.

    Parameters
    ----------
    optimizer : Optimizer
    gamma : float

    Examples
    --------
    >>> import numpy as np
    >>> from minicnn import nn, optim
    >>> scheduler = ExponentialLR(optim.SGD([nn.Parameter(np.ones(1))], lr=1.0), gamma=0.5)
    >>> scheduler.step(); scheduler.step()
    >>> scheduler.get_last_lr()
    [0.25]
    """

    def __init__(self, optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = checks.as_number(self.who, "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def rates(self) -> list[float]:
        """Return the rates, multiplied by gamma from epoch 1 on."""
        return [lr * self.gamma if self.last_epoch else lr for lr in self.get_last_lr()]


class CosineAnnealingLR(LRScheduler):
    """Let the learning rate fall along half a cosine: ``eta_min + (lr - eta_min)(1 + cos(π t / T_max)) / 2``.

    Parameters
    ----------
    optimizer : Optimizer
    T_max : int
        Epochs down to `eta_min`; after that the rate rises again.
    eta_min : float

    Notes
    -----
    Source: Loshchilov and Hutter, "SGDR" (2017).

    Examples
    --------
    >>> import numpy as np
    >>> from minicnn import nn, optim
    >>> scheduler = CosineAnnealingLR(optim.SGD([nn.Parameter(np.ones(1))], lr=1.0), T_max=2)
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max = checks.as_int(self.who, "T_max", T_max, minimum=1)
        self.eta_min = checks.as_number(self.who, "eta_min", eta_min)
        super().__init__(optimizer, last_epoch)

    def rates(self) -> list[float]:
        """Return the rates at this place of the cosine."""
        height = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (lr - self.eta_min) * height for lr in self.base_lrs]
