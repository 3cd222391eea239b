"""likely_cause: the known slips, tried one at a time on our side in float64."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np

from minicnn import nn
from minicnn.checks import cast
from minicnn.inspection import Step, Trace
from minicnn.inspection.page import Page, Section
from minicnn.interop.torch.comparison.candidates import Sides
from minicnn.interop.torch.comparison.measures import measures
from minicnn.interop.torch.comparison.pairing import both, buffers_of, in_float64, terms_of
from minicnn.interop.torch.comparison.rows import ROUNDING_IN_FLOAT64
from minicnn.interop.torch.comparison.sides import Batch, run_torch
from minicnn.interop.torch.comparison.slips import OTHER_MODE, SLIPS

DRAWS = "dropout draws numbers of its own on either side"
HIDDEN = "torch draws random numbers after eval(), too"
ADVICE = {
    DRAWS: "call eval() on both models, or give dropout p = 0; on the command line pass --eval",
    HIDDEN: "F.dropout goes on dropping unless it is given training=self.training",
}


@dataclass(eq=False, repr=False)
class LikelyCause(Page):
    """The slip that brings both sides together, or that none does.

    Attributes
    ----------
    slip : str or None
        Its name; None if none of the known slips fits, or if output, loss and the images' gradient agree in
        float64 as they are, such as with ReLU and max pooling in the other order. What draws random numbers is
        named before any slip is tried.
    where : str
        The layer, or what else it was made in.
    before, after : dict of str to float
        The largest relative differences in float64: of the output, the loss, the gradients of the output and of the
        first layer's input, and batch norm's statistics. After: with the slip made on our side, too, or, where
        dropout drew, with both models in evaluation mode.
    tried : list of str
        The slips that were tried, up to the one that fits; none where both sides end in the same numbers.

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
        if self.slip is None and are_together(self.before):
            return "likely cause: no known slip, for output, loss and the images' gradient agree in float64 as they are"
        if self.slip is None:
            return f"likely cause: none of the {len(self.tried)} known slips brings both sides together"
        return f"likely cause: {self.slip} ({self.where})"

    def sections(self) -> list[Section]:
        """Return what was before, what is after, and what to do where that is known."""
        names = dict.fromkeys((*self.before, *self.after))
        header = ["", "before", "after"]
        rows = [[n, *(f"{d[n]:.2g}" if n in d else "-" for d in (self.before, self.after))] for n in names]
        below = [ADVICE[self.slip]] if self.slip in ADVICE else []
        return [Section("relative differences in float64", header=header, rows=rows, below=below)]


def find_cause(model: nn.Module, module, mine: Batch, theirs: Batch) -> LikelyCause:
    """Try the known slips on copies of our side; return the first that leaves nothing but rounding.

    A slip that is tried while dropout draws brings nothing together, so dropout is looked for first.
    """
    model, module = in_float64(model, module)
    mine, theirs = mine.as_float64(), theirs.as_float64()
    ours, other, pairs = both(model, module, mine, theirs, single_step=False)
    kept = buffers_of(module, theirs)
    before = distances(ours, other, pairs, buffers_of(model, mine), kept)
    if not (module.training or any(map(draws, other))):
        unsteady = first_apart(other, run_torch(module, theirs))
        if unsteady is not None:
            return LikelyCause(HIDDEN, unsteady, before, {}, [HIDDEN])
    slip, where = chance_of(ours, other, pairs, (model.training, module.training))
    if slip is not None:
        quiet = [copy.deepcopy(one).eval() for one in (model, module)]
        after = distances(*both(*quiet, mine, theirs, single_step=False), {}, {})
        if are_together(after) or any(map(draws, [*ours, *other])):
            return LikelyCause(slip, where, before, after, [slip])
    if are_together(before):  # whatever changes nothing, as a slip may here, would seem to have helped
        return LikelyCause(None, "", before, {}, [])
    sides, tried = Sides(model, module, mine, theirs, pairs, ours.steps, other.steps), []
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


def chance_of(ours: Trace, theirs: Trace, pairs: list, modes: tuple[bool, bool]) -> tuple[str | None, str]:
    """Return what dropout that draws makes the likely cause, and in which layers; (None, "") if none draws.

    Parameters
    ----------
    ours, theirs : Trace
    pairs : list of (our Step, torch's Step)
    modes : (bool, bool)
        Whether our model and torch's are in training. A dropout without a partner is taken to have one that follows
        its model, as ``F.dropout(x, training=self.training)`` does, which makes no step.

    Examples
    --------
    >>> steps = [Step("2", "Dropout", nn.Dropout(0.5), None, None, training=mode) for mode in (True, False)]
    >>> chance_of(Trace(steps[:1]), Trace(steps[1:]), [tuple(steps)], (True, False))
    ('train mode against eval mode', '2')
    """
    paired = {id(step) for pair in pairs for step in pair}
    for side, trace in enumerate((ours, theirs)):
        for step in trace:
            if step.kind.startswith("Dropout") and id(step) not in paired:
                partner = replace(step, training=modes[1 - side])
                pairs = [*pairs, (partner, step) if side else (step, partner)]
    drawn = [pair for pair in pairs if any(map(draws, pair))]
    apart = [pair for pair in drawn if pair[0].training != pair[1].training]
    slip = None if not drawn else OTHER_MODE if apart else DRAWS
    return slip, ", ".join(dict.fromkeys(mine.name for mine, _ in apart or drawn))


def first_apart(once: Trace, again: Trace) -> str | None:
    """Return the first step that gives other numbers the second time, or None.

    >>> steps = [Step("fc", "Linear", None, None, np.ones(1)), Step("fc", "Linear", None, None, np.zeros(1))]
    >>> first_apart(Trace(steps[:1]), Trace(steps[1:])), first_apart(Trace(steps), Trace(steps))
    ('fc', None)
    """
    for one, other in zip(once, again, strict=False):
        if relative(one.output, other.output) > ROUNDING_IN_FLOAT64:
            return one.name
    return None


def draws(step: Step) -> bool:
    """Say whether a step is a dropout that draws random numbers which matter.

    >>> [draws(Step("2", "Dropout", nn.Dropout(p), None, None)) for p in (0.0, 0.5, 1.0)]
    [False, True, False]
    """
    return step.kind.startswith("Dropout") and step.training and 0 < step.module.p < 1


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
    arrays |= {
        name: (array, their_buffers[name]) for name, array in our_buffers.items() if name in their_buffers
    }
    return {
        name: relative(*pair, terms_of(name, our_buffers))
        for name, pair in arrays.items()
        if all(a is not None for a in pair)
    }


def relative(ours: np.ndarray, theirs: np.ndarray, terms: float = 0.0) -> float:
    """Return the largest difference beside the largest number, or beside the terms if those are larger.

    >>> relative(np.array([2.0, 4.0]), np.array([1.0, 4.0]))
    0.25
    """
    if ours.shape != theirs.shape:
        return float("inf")
    absolute = measures(cast(ours), cast(theirs)).absolute
    if absolute == 0 or not np.isfinite(absolute):
        return absolute
    return absolute / float(max(np.abs(ours).max(), np.abs(theirs).max(), terms))
