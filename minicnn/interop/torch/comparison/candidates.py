"""What a slip changes: a candidate is our side with one change, `Sides` is what slips look at and make it from."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from minicnn import nn
from minicnn.inspection import Step
from minicnn.interop.torch.comparison.sides import Batch


@dataclass(eq=False)
class Candidate:
    """A change of our side.

    >>> Candidate("flipped kernel", "0", nn.ReLU(), None).where
    '0'
    """

    slip: str
    where: str
    model: nn.Module
    batch: Batch | None


@dataclass(frozen=True, eq=False)
class Sides:
    """What the slips look at: both sides in float64, which steps go together, and all steps of either side."""

    model: nn.Module
    module: object
    batch: Batch
    theirs: Batch
    pairs: list[tuple[Step, Step]]
    calls: list[Step]
    torch_calls: list[Step]

    def layers(self, *kinds: str) -> list[tuple[Step, Step]]:
        """Return the pairs of some kinds that are the first call of their layer."""
        known = {name for name, _ in self.model.named_modules()}
        return [pair for pair in self.pairs if pair[0].kind in kinds and pair[0].name in known]

    def changed(self, slip: str, where: str, changes: dict) -> Candidate:
        """Return a candidate whose layers have other attributes: ``{(layer, attribute): value}``.

        For the attribute None the value takes the layer's own place.
        """
        model = copy.deepcopy(self.model)
        modules = dict(model.named_modules())
        for (name, attribute), value in changes.items():
            if attribute is None:
                name, _, attribute = name.rpartition(".")
                value = copy.deepcopy(value)
            held = getattr(modules[name], attribute)
            if isinstance(held, nn.Parameter) and isinstance(value, np.ndarray):
                value = nn.Parameter(np.array(value, np.float64))
            setattr(modules[name], attribute, value)
        return Candidate(slip, where, model, self.batch)

    def each_and_all(self, slip: str, changes: list[dict]) -> Iterator[Candidate]:
        """Yield the changes one by one, then all together."""
        for change in changes:
            yield self.changed(slip, " ".join(dict.fromkeys(name for name, _ in change)), change)
        if len(changes) > 1:
            together = {key: value for change in changes for key, value in change.items()}
            yield self.changed(slip, "all such layers", together)
