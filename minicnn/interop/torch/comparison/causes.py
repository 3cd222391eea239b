"""likely_cause: the known slips, tried one at a time on our side in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minicnn import nn
from minicnn.checks import cast
from minicnn.inspection import Trace
from minicnn.inspection.page import Page, Section
from minicnn.interop.torch.comparison.candidates import Sides
from minicnn.interop.torch.comparison.measures import measures
from minicnn.interop.torch.comparison.pairing import both, buffers_of, in_float64
from minicnn.interop.torch.comparison.rows import ROUNDING_IN_FLOAT64
from minicnn.interop.torch.comparison.sides import Batch
from minicnn.interop.torch.comparison.slips import SLIPS


@dataclass(eq=False, repr=False)
class LikelyCause(Page):
    """The slip that brings both sides together, or that none does.

    Attributes
    ----------
    slip : str or None
        Its name; None if none of the known slips fits.
    where : str
        The layer, or what else it was made in.
    before, after : dict of str to float
        The largest relative differences in float64: of the output, the loss, the gradients of the output and of the
        first layer's input, and batch norm's statistics.
    tried : list of str
        The slips that were tried, up to the one that fits.

    Examples
    --------
    >>> LikelyCause("flipped kernel", "conv1", {"output": 0.5}, {"output": 1e-16}, ["flipped kernel"])
    likely cause: flipped kernel (conv1)
    <BLANKLINE>
    relative differences in float64
              before  after
      output     0.5  1e-16
    """

    slip: str | None
    where: str
    before: dict[str, float]
    after: dict[str, float]
    tried: list[str]

    @property
    def title(self) -> str:
        """The answer in a line."""
        if self.slip is None:
            return f"likely cause: none of the {len(self.tried)} known slips brings both sides together"
        return f"likely cause: {self.slip} ({self.where})"

    def sections(self) -> list[Section]:
        """Return what was before, and what is after the slip is made on our side, too."""
        names = dict.fromkeys((*self.before, *self.after))
        header = ["", "before", "after"]
        rows = [[n, *(f"{d[n]:.2g}" if n in d else "-" for d in (self.before, self.after))] for n in names]
        return [Section("relative differences in float64", header=header, rows=rows)]


def find_cause(model: nn.Module, module, mine: Batch, theirs: Batch) -> LikelyCause:
    """Try the known slips on copies of our side; return the first that leaves nothing but rounding."""
    model, module = in_float64(model, module)
    mine, theirs = mine.as_float64(), theirs.as_float64()
    ours, other, pairs = both(model, module, mine, theirs, single_step=False)
    kept = buffers_of(module, theirs)
    before = distances(ours, other, pairs, buffers_of(model, mine), kept)
    sides, tried = Sides(model, mine, theirs, pairs, ours.steps), []
    for find in SLIPS:
        for candidate in find(sides):
            if candidate.slip not in tried:
                tried.append(candidate.slip)
            try:
                found = both(
                    candidate.model, module, candidate.batch, theirs, single_step=False, recorded=other
                )
            except (ValueError, TypeError, RuntimeError):  # a change that does not fit this model
                continue
            if not are_together(distances(*found, {}, {})):
                continue
            after = distances(*found, buffers_of(candidate.model, candidate.batch), kept)
            if are_together(after):
                return LikelyCause(candidate.slip, candidate.where, before, after, tried)
    return LikelyCause(None, "", before, {}, tried)


def are_together(found: dict[str, float]) -> bool:
    """Say whether nothing but rounding is left.

    >>> are_together({"gradient of the output": 1e-16}), are_together({"gradient of the output": 0.5})
    (True, False)
    """
    return "gradient of the output" in found and max(found.values()) <= ROUNDING_IN_FLOAT64


def distances(
    ours: Trace, theirs: Trace, pairs: list, our_buffers: dict, their_buffers: dict
) -> dict[str, float]:
    """Return the relative differences of what the two models give in the end."""
    first = pairs[0]
    arrays = {
        "output": (ours["loss"].input, theirs["loss"].input),
        "loss": (ours["loss"].output, theirs["loss"].output),
        "gradient of the output": (ours["loss"].grad_input, theirs["loss"].grad_input),
        "gradient of the first layer's input": (first[0].grad_input, first[1].grad_input),
    }
    for name in our_buffers.keys() & their_buffers.keys():
        arrays[name] = (our_buffers[name], their_buffers[name])
    return {name: relative(*pair) for name, pair in arrays.items() if all(a is not None for a in pair)}


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the largest difference beside the largest number.

    >>> relative(np.array([2.0, 4.0]), np.array([1.0, 4.0]))
    0.25
    """
    if ours.shape != theirs.shape:
        return float("inf")
    absolute = measures(cast(ours), cast(theirs)).absolute
    if absolute == 0 or not np.isfinite(absolute):
        return absolute
    return absolute / float(max(np.abs(ours).max(), np.abs(theirs).max()))
