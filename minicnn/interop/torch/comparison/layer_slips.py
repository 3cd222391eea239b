"""Slips in the layers themselves: other arguments, another kind, one more or one less."""

from __future__ import annotations

import copy
from collections.abc import Iterator

from minicnn import nn
from minicnn.inspection import Step
from minicnn.interop.torch.comparison.candidates import Candidate, Sides
from minicnn.interop.torch.layers import ARGUMENTS

OTHER_KIND = "another kind of layer"
LONE = "a layer on one side only"
PLAIN = ("padding", "mode", "value")  # the arguments of a Pad2d
# Those that go with the input, and one that has a slip of its own.
LEFT_OUT = ("in_channels", "in_features", "num_features", "num_channels", "bias")
PLACES = {
    **dict.fromkeys(
        ("padding", "padding_mode", "mode", "value", "count_include_pad"),
        "padding on the wrong side or of another kind",
    ),
    **dict.fromkeys(("eps", "momentum"), "different epsilon or momentum"),
}


def other_arguments(sides: Sides) -> Iterator[Candidate]:
    """Layers of one kind and place, built with different arguments."""
    found: dict[str, list[dict]] = {}
    layers: dict[str, dict] = {}
    known = dict(sides.model.named_modules())
    for ours, theirs in sides.pairs:
        if ours.kind != theirs.kind or ours.name not in known:
            continue
        for attribute in ARGUMENTS.get(ours.kind, PLAIN):
            values = [getattr(step.module, attribute, None) for step in (ours, theirs)]
            if attribute in LEFT_OUT or values[0] == values[1]:
                continue
            slip = PLACES.get(attribute, f"different {attribute}")
            if attribute in ("stride", "dilation") and values[0] == values[1][::-1]:
                slip = "stride or dilation swapped between H and W"
            change = {(ours.name, attribute): values[1]} | with_argument(ours, theirs, attribute)
            found.setdefault(slip, []).append(change)
            layers.setdefault(ours.name, {}).update(change)
    for slip, changes in found.items():
        yield from sides.each_and_all(slip, changes)
    for name, change in layers.items():
        names = [key for _, key in change if key in ARGUMENTS.get(type(known[name]).__name__, PLAIN)]
        if len(names) > 1:
            yield sides.changed(f"different {' and '.join(names)}", name, change)
    if len(layers) > 1:
        together = {key: value for change in layers.values() for key, value in change.items()}
        yield sides.changed("different arguments", " ".join(layers), together)


def with_argument(ours: Step, theirs: Step, attribute: str) -> dict:
    """Return the change that gives our batch norm what torch's has by this argument, and ours has not."""
    keys = {"affine": ("weight", "bias"), "track_running_stats": ("running_mean", "running_var")}
    return {
        (ours.name, key): copy.deepcopy(getattr(theirs.module, key))
        for key in keys.get(attribute, ())
        if getattr(ours.module, key) is None
    }


def other_softmax(sides: Sides) -> Iterator[Candidate]:
    """A softmax that the loss brings already, or one that is not there."""
    slip, heads = "softmax twice or missing", (nn.Softmax, nn.LogSoftmax)
    if sides.pairs[-1][0].input.ndim == 2:
        for head in heads:
            yield Candidate(
                slip, "output", nn.Sequential(copy.deepcopy(sides.model), head(dim=1)), sides.batch
            )
    for name, module in sides.model.named_modules():
        if isinstance(module, heads) and name:
            yield sides.changed(slip, name, {(name, None): nn.Identity()})


def other_kind(sides: Sides) -> Iterator[Candidate]:
    """Another activation or pooling in the same place: torch's is taken."""
    known = dict(sides.model.named_modules())
    changes = {
        ours.name: theirs.module
        for ours, theirs in sides.pairs
        if ours.kind != theirs.kind and ours.name in known and is_bare(ours) and is_bare(theirs)
    }
    yield from sides.each_and_all(OTHER_KIND, in_place(changes))


def lone_layers(sides: Sides) -> Iterator[Candidate]:
    """A layer without parameters, such as an activation, that only one side has: ours goes, or torch's comes."""
    known = dict(sides.model.named_modules())
    mine = {id(ours) for ours, _ in sides.pairs}
    extra = {
        step.name: nn.Identity()
        for step in sides.calls
        if id(step) not in mine and step.name in known and is_bare(step)
    }
    yield from sides.each_and_all(LONE, in_place(extra))
    partners, before, missing = {id(other): ours for ours, other in sides.pairs}, None, {}
    for step in sides.torch_calls:
        if id(step) in partners or not is_bare(step):
            before = partners.get(id(step))
        elif before is not None and before.name in known:
            missing[before.name] = nn.Sequential(missing.get(before.name, known[before.name]), step.module)
    yield from sides.each_and_all(LONE, in_place(missing))


def is_bare(step: Step) -> bool:
    """Say whether a step is a layer that has one input and no parameters.

    >>> is_bare(Step("0", "ReLU", nn.ReLU(), None, None)), is_bare(Step("0", "Add", nn.Add(), None, None))
    (True, False)
    """
    layer = step.module
    return isinstance(layer, nn.Module) and not getattr(layer, "joins", False) and not layer.state_dict()


def in_place(layers: dict[str, nn.Module]) -> list[dict]:
    """Return the changes that put layers in the places of others, by name, for `Sides.each_and_all`.

    >>> in_place({"0": nn.ReLU()})
    [{('0', None): ReLU()}]
    """
    return [{(name, None): layer} for name, layer in layers.items()]
