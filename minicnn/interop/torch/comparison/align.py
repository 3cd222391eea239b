"""Which step of ours stands beside which of torch's: by name, and by order of execution."""

from __future__ import annotations

from minicnn.inspection import Step
from minicnn.inspection.explainers import activations
from minicnn.interop.torch.layers import ARGUMENTS
from minicnn.interop.torch.namesakes import FIELDS

SAME_BOTH, SAME_KIND, SAME_NAME, SAME_FAMILY = 5, 3, 1, 1
SAME_ARGUMENTS = 2.0**-20  # it only decides which of several pairs that are equally like
NORMS = {"BatchNorm1d": "batch norm", "BatchNorm2d": "batch norm", "GroupNorm": "group norm"}
FAMILIES = (  # one stands where the other should: a difference worth a row
    activations.KINDS,
    {"MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d", "Max", "Mean"},
    NORMS.keys(),
    {"Softmax", "LogSoftmax"},
    {"Flatten", "Reshape", "Squeeze", "Unsqueeze"},
)


def likeness(ours: Step, theirs: Step) -> float:
    """Return how well two steps go together; 0 if not at all.

    >>> from minicnn.inspection import Step
    >>> round(likeness(Step("0", "ReLU", None, None, None), Step("relu", "ReLU", None, None, None)))
    3
    """
    name, kind = ours.name == theirs.name, ours.kind == theirs.kind
    if name and kind:
        return SAME_BOTH
    if kind:
        return SAME_KIND + SAME_ARGUMENTS * (arguments(ours) == arguments(theirs))
    related = any({ours.kind, theirs.kind} <= family for family in FAMILIES)
    return SAME_NAME * name or SAME_FAMILY * related


def arguments(step: Step) -> list:
    """Return the arguments of a step's layer, such as the constants of two sums in a row, to tell it from others.

    >>> from minicnn import nn
    >>> arguments(Step("sub", "Affine", nn.Affine(1, -2), None, None))
    [1.0, -2.0]
    """
    names = (ARGUMENTS | FIELDS).get(step.kind, ())
    return [getattr(step.module, name, None) for name in names if name != "bias"]


def aligned(ours: list[Step], theirs: list[Step]) -> list[tuple[Step, Step]]:
    """Return the pairs that go together best and keep both orders.

    >>> from minicnn.inspection import Step
    >>> steps = [Step(name, kind, None, None, None) for name, kind in
    ...          [("conv", "Conv2d"), ("relu", "ReLU"), ("fc", "Linear")]]
    >>> [(a.name, b.name) for a, b in aligned(steps, [steps[0], steps[2]])]
    [('conv', 'conv'), ('fc', 'fc')]
    """
    rows, columns = len(ours), len(theirs)
    best = [[0] * (columns + 1) for _ in range(rows + 1)]  # of the steps from (i, j) on
    for i in reversed(range(rows)):
        for j in reversed(range(columns)):
            together = likeness(ours[i], theirs[j])
            best[i][j] = max(best[i + 1][j], best[i][j + 1], together and together + best[i + 1][j + 1])
    pairs, i, j = [], 0, 0
    while i < rows and j < columns:
        together = likeness(ours[i], theirs[j])
        if together and best[i][j] == together + best[i + 1][j + 1]:
            pairs.append((ours[i], theirs[j]))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs
