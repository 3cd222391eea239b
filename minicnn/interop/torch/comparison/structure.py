"""The slip of another structure: the same values in torch's own layers, order and joins bring both sides together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from minicnn import nn
from minicnn.inspection import Step, trace
from minicnn.inspection.explainers import activations
from minicnn.interop.torch.comparison.align import NORMS, aligned
from minicnn.interop.torch.comparison.candidates import Candidate, Sides
from minicnn.interop.torch.comparison.layer_slips import LONE, OTHER_KIND
from minicnn.interop.torch.comparison.weight_slips import values_of
from minicnn.interop.torch.convert import from_torch

SUM = "Add"
NOUNS = {SUM: "sum", "Multiply": "product"}
MOST_PLACES = 6
RESIDUAL = "a residual connection on one side only"


def other_structure(sides: Sides) -> Iterator[Candidate]:
    """Layers that are put together in another way: torch's model as `from_torch` takes it, with our values."""
    try:
        model = from_torch(sides.module, sides.theirs.images)
        steps = trace(model, sides.theirs.images).steps
    except (ValueError, TypeError, RuntimeError):  # it has something that we have not
        return
    ours, theirs = plain_steps(sides.calls), plain_steps(steps)
    learned = aligned(*([step for step in side if values_of(step.module)] for side in (ours, theirs)))
    slip, where = named(ours, theirs, learned)
    if slip and take_values(learned):
        yield Candidate(slip, where, model, sides.batch)


def plain_steps(steps: list[Step]) -> list[Step]:
    """Return the layers' steps without those that change nothing; a Residual is the sum that it ends with.

    >>> x = np.ones(1)
    >>> steps = [Step("0", "Identity", nn.Identity(), x, x), Step("1", "Residual", nn.Residual(nn.ReLU()), x, 2 * x)]
    >>> [step.kind for step in plain_steps(steps)]
    ['Add']
    """
    return [
        replace(step, kind=SUM) if step.kind == "Residual" else step
        for step in steps
        if isinstance(step.module, nn.Module) and not np.array_equal(step.input, step.output)
    ]


def take_values(learned: list[tuple[Step, Step]]) -> bool:
    """Give the second layer of each pair the values of the first; say whether all of them fit.

    >>> ours, theirs = nn.Linear(2, 1, rng=0), nn.Linear(2, 1, rng=1)
    >>> take_values([(Step("fc", "Linear", ours, None, None), Step("fc", "Linear", theirs, None, None))])
    True
    >>> np.array_equal(ours.weight.data, theirs.weight.data)
    True
    """
    for mine, other in learned:
        held = values_of(mine.module)
        for key, value in values_of(other.module).items():
            if key in held and held[key].shape != value.shape:
                return False
            value[...] = held.get(key, value)
    return True


def named(ours: list[Step], theirs: list[Step], learned: list[tuple[Step, Step]]) -> tuple[str, str]:
    """Return what differs between two lists of steps, and where; ("", "") if nothing does.

    >>> x, y = np.zeros(1), np.ones(1)
    >>> one, two = (Step(name, "Tanh", nn.Tanh(), x, y) for name in "ab")
    >>> named([one], [one, two], [])
    ('a layer on one side only', 'in torch: b')
    """
    pairs = aligned(ours, theirs)
    paired = {id(step) for pair in pairs for step in pair}
    here, there = ([step for step in side if id(step) not in paired] for side in (ours, theirs))
    changed = [mine.name for mine, other in pairs if not alike(mine, other)]
    if not (here or there or changed):
        joins = [step.name for step in ours if step.parts]
        own = all(type(step.module).__module__.startswith("minicnn.") for step in ours)
        return ("the same layers, joined in another way", listed(joins)) if joins and own else ("", "")
    where = "; ".join(
        f"{side}: {listed([called(step, steps) for step in lone])}"
        for side, lone, steps in (("here", here, ours), ("in torch", there, theirs))
        if lone
    )
    if (
        changed
        and not where
        and all(mine.kind != other.kind for mine, other in pairs if mine.name in changed)
    ):
        return OTHER_KIND, listed(changed)
    if changed or (here and there and Counter(s.kind for s in here) != Counter(s.kind for s in there)):
        return "several layers differ", "; ".join(part for part in (listed(changed), where) if part)
    if not (here and there):
        return (RESIDUAL if any(step.kind == SUM for step in (*here, *there)) else LONE), where
    moved = [
        mine
        for mine, other in learned
        if mine.kind in NORMS and is_behind(mine, ours) != is_behind(other, theirs)
    ]
    turned = all(step.kind in activations.KINDS | NORMS.keys() for step in (*here, *there))
    if moved and turned:
        slip = f"{NORMS[moved[0].kind]} on the other side of the activation"
        return slip, listed([step.name for step in moved])
    return "the same layers in another order", where


def listed(places: list[str]) -> str:
    """Return some places in a line; of many, the first ones.

    >>> listed(["conv1", "conv2"]), listed(list("abcdefgh"))
    ('conv1, conv2', 'a, b, c, d, e, f and 2 more')
    """
    more = len(places) - MOST_PLACES
    return ", ".join(places[:MOST_PLACES]) + (f" and {more} more" if more > 0 else "")


def alike(mine: Step, other: Step) -> bool:
    """Say whether two layers are of one kind, with the same arguments and, where it matters, in the same mode.

    >>> alike(Step("0", "Dropout", nn.Dropout(), None, None), Step("1", "Dropout", nn.Dropout(), None, None))
    True
    """
    if mine.kind == other.kind == SUM:
        return True
    moded = mine.kind.startswith(("BatchNorm", "Dropout"))
    return repr(mine.module) == repr(other.module) and (mine.training == other.training or not moded)


def called(step: Step, steps: list[Step]) -> str:
    """Return a step's name; a sum's or a product's, of which torch knows nothing, says behind which layer it stands.

    >>> conv = Step("conv", "Conv2d", None, None, np.ones(1))
    >>> called(Step("add", "Add", None, None, None, parts={"input 0": conv.output}), [conv])
    'the sum behind conv'
    """
    if step.kind not in NOUNS:
        return step.name
    first = next(iter(step.parts.values()))
    before = [other.name for other in steps if other.output is first]
    return f"the {NOUNS[step.kind]}" + (f" behind {before[-1]}" if before else "")


def is_behind(step: Step, steps: list[Step]) -> bool:
    """Say whether the step before this one is an activation.

    >>> steps = [Step(kind, kind, None, None, None) for kind in ("ReLU", "BatchNorm2d")]
    >>> is_behind(steps[1], steps), is_behind(steps[0], steps)
    (True, False)
    """
    place = steps.index(step)
    return place > 0 and steps[place - 1].kind in activations.KINDS
