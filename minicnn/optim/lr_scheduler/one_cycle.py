"""OneCycleLR: up, and then down much further, batch by batch."""

from __future__ import annotations

import math
from typing import NamedTuple

from minicnn import checks
from minicnn.optim.lr_scheduler.base import LRScheduler


class Phase(NamedTuple):
    """A stretch of steps over which rate and momentum move from one value to another.

    >>> Phase(10, "initial_lr", "max_lr", "max_momentum", "base_momentum").end
    10
    """

    end: float
    lr_from: str
    lr_to: str
    momentum_from: str
    momentum_to: str


class OneCycleLR(LRScheduler):
    """Raise the learning rate from a small value to `max_lr`, then let it fall to almost nothing.

    It rises from ``max_lr / div_factor`` over the first `pct_start` of all steps, and falls to
    ``max_lr / div_factor / final_div_factor`` over the rest (with `three_phase` first back to where it
    began). Momentum, or Adam's first beta, goes the other way. Call `step` after every batch.

    Parameters
    ----------
    optimizer : Optimizer
    max_lr : float, or list with one for each group
    total_steps : int, or None if `epochs` and `steps_per_epoch` are given
    epochs, steps_per_epoch : int or None
    pct_start : float
        The share of steps that go up.
    anneal_strategy : "cos" or "linear"
    cycle_momentum : bool
    base_momentum, max_momentum : float
    div_factor, final_div_factor : float
    three_phase : bool

    Notes
    -----
    Source: Smith and Topin, "Super-convergence" (2018); the phases' ends are those of
    ``torch.optim.lr_scheduler.OneCycleLR``.

    Raises
    ------
    ValueError
        If the number of steps is not given, an argument lies outside its range, the optimizer has no
        momentum to cycle, or `step` is called more often than `total_steps` allows.

    Examples
    --------
    >>> import numpy as np
    >>> from minicnn import nn, optim
    >>> optimizer = optim.SGD([nn.Parameter(np.ones(1))], momentum=0.9)
    >>> scheduler = OneCycleLR(optimizer, 1.0, total_steps=5, pct_start=0.6, anneal_strategy="linear")
    >>> for _ in range(5):
    ...     print(round(scheduler.get_last_lr()[0], 6), round(optimizer.param_groups[0]["momentum"], 3))
    ...     scheduler.step() if scheduler.last_epoch < 4 else None
    0.04 0.95
    0.52 0.9
    1.0 0.85
    0.500002 0.9
    4e-06 0.95
    """

    interval = "batch"

    def __init__(
        self,
        optimizer,
        max_lr,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        self.check_optimizer(optimizer)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError(
                    "OneCycleLR: the number of steps must be known. Got neither total_steps nor both of "
                    "epochs and steps_per_epoch. Pass total_steps=epochs * len(loader)."
                )
            epochs = checks.as_int(self.who, "epochs", epochs, minimum=1)
            total_steps = epochs * checks.as_int(self.who, "steps_per_epoch", steps_per_epoch, minimum=1)
        self.total_steps = checks.as_int(self.who, "total_steps", total_steps, minimum=1)
        self.pct_start = checks.as_number(self.who, "pct_start", pct_start, low=0, high=1)
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f'OneCycleLR: anneal_strategy must be "cos" or "linear". Got {anneal_strategy!r}. Choose one.'
            )
        self.anneal_strategy, self.cycle_momentum = anneal_strategy, bool(cycle_momentum)
        self.three_phase = bool(three_phase)
        groups = optimizer.param_groups
        rates = list(max_lr) if isinstance(max_lr, list | tuple) else [max_lr] * len(groups)
        if len(rates) != len(groups):
            raise ValueError(
                f"OneCycleLR: max_lr must be one number, or one for each group. Got {len(rates)} for "
                f"{len(groups)} groups. Pass a list of {len(groups)}."
            )
        rates = [checks.as_number(self.who, "max_lr", rate, low=0) for rate in rates]
        for group, rate in zip(groups, rates, strict=True):
            group["max_lr"] = rate
            group["initial_lr"] = group["max_lr"] / div_factor
            group["min_lr"] = group["initial_lr"] / final_div_factor
            if self.cycle_momentum:
                if "betas" not in group and "momentum" not in group:
                    raise ValueError(
                        "OneCycleLR: cycle_momentum needs an optimizer with momentum or betas. Got "
                        f"{optimizer.who}. Pass cycle_momentum=False."
                    )
                group["max_momentum"], group["base_momentum"] = max_momentum, base_momentum
        super().__init__(optimizer, last_epoch)

    def phases(self) -> list[Phase]:
        """Return the phases with the step at which each ends."""
        top, last = self.pct_start * self.total_steps - 1, self.total_steps - 1
        up = Phase(top, "initial_lr", "max_lr", "max_momentum", "base_momentum")
        if not self.three_phase:
            return [up, Phase(last, "max_lr", "min_lr", "base_momentum", "max_momentum")]
        back = Phase(2 * top, "max_lr", "initial_lr", "base_momentum", "max_momentum")
        return [up, back, Phase(last, "initial_lr", "min_lr", "max_momentum", "max_momentum")]

    def between(self, start: float, end: float, share: float) -> float:
        """Return the value at `share` of the way from `start` to `end`."""
        if self.anneal_strategy == "linear":
            return start + (end - start) * share
        return end + (start - end) / 2 * (1 + math.cos(math.pi * share))

    def rates(self) -> list[float]:
        """Return the rates for this step, and set the momentum."""
        if self.last_epoch > self.total_steps:
            raise ValueError(
                f"OneCycleLR: step may be called {self.total_steps} times at the most. "
                f"Got call {self.last_epoch}. Raise total_steps."
            )
        self.check_groups(len(self.base_lrs))
        begin, phases = 0.0, self.phases()
        for phase in phases:
            if self.last_epoch <= phase.end or phase is phases[-1]:
                break
            begin = phase.end
        length = phase.end - begin
        share = (self.last_epoch - begin) / length if length else 1.0
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self.between(group[phase.lr_from], group[phase.lr_to], share))
            if self.cycle_momentum:
                momentum = self.between(group[phase.momentum_from], group[phase.momentum_to], share)
                if "betas" in group:
                    group["betas"] = (momentum, *group["betas"][1:])
                else:
                    group["momentum"] = momentum
        return rates
