"""LRScheduler: what all schedules share."""

from __future__ import annotations

from minicnn import checks
from minicnn.optim.optimizer import Optimizer


class LRScheduler:
    """Sets the learning rate of every group at the start and at every `step`.

    A subclass writes `rates`. Learning rates that the optimizer had at first are kept in each group as
    "initial_lr".

    Examples
    --------
    >>> import numpy as np
    >>> from minicnn import nn, optim
    >>> optimizer = optim.SGD([nn.Parameter(np.ones(1))], lr=0.8)
    >>> scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> for epoch in range(4):
    ...     print(scheduler.get_last_lr())
    ...     optimizer.step(); scheduler.step()
    [0.8]
    [0.8]
    [0.4]
    [0.4]
    """

    interval = "epoch"  # how often `step` wants to be called, as `training.fit` reads it: "epoch" or "batch"

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.check_optimizer(optimizer)
        self.optimizer = optimizer
        self.last_epoch = checks.as_int(self.who, "last_epoch", last_epoch, minimum=-1)
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.step()

    @property
    def who(self) -> str:
        """How messages call this scheduler."""
        return type(self).__name__

    def check_optimizer(self, optimizer) -> None:
        """Raise TypeError unless `optimizer` is one; a scheduler that reads its groups asks before that."""
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"{self.who}: optimizer must be an optimizer of minicnn.optim. Got "
                f"{type(optimizer).__name__}. Pass the optimizer, then the schedule."
            )

    def check_groups(self, known: int) -> None:
        """Raise ValueError unless the optimizer has as many groups as the scheduler knows.

        >>> import numpy as np
        >>> from minicnn import nn, optim
        >>> optimizer = optim.SGD([nn.Parameter(np.ones(1))])
        >>> scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=9)
        >>> optimizer.add_param_group({"params": [nn.Parameter(np.ones(1))]})
        >>> scheduler.step()
        Traceback (most recent call last):
        ValueError: CosineAnnealingLR: the scheduler must know every group of the optimizer. Got 2 groups, \
of which it knows 1. Build the scheduler after add_param_group.
        """
        count = len(self.optimizer.param_groups)
        if count != known:
            raise ValueError(
                f"{self.who}: the scheduler must know every group of the optimizer. Got {count} groups, of "
                f"which it knows {known}. Build the scheduler after add_param_group."
            )

    def rates(self) -> list[float]:
        """Return the learning rate of every group for `last_epoch`."""
        raise TypeError(f"{self.who}: rates is missing. Got a scheduler without one. Define rates().")

    def step(self) -> None:
        """Go to the next epoch (or batch), and set the learning rates."""
        self.last_epoch += 1
        rates = list(self.rates())
        self.check_groups(len(rates))
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate

    def get_last_lr(self) -> list[float]:
        """Return the learning rate of every group, as it is now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict:
        """Return all that the scheduler knows, but for the optimizer."""
        return {key: value for key, value in vars(self).items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict) -> None:
        """Go on from what `state_dict` returned."""
        vars(self).update(state_dict)
