"""likely_cause: layers that are put together in another way than torch's, with the same values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minicnn import nn
from minicnn.interop.torch import compare, from_torch, to_torch
from tests.helpers import draws

TARGETS = np.array([0, 1, 2, 1, 0])
RESIDUAL = "a residual connection on one side only"


def images() -> np.ndarray:
    """Return a batch for all nets here."""
    return draws((5, 3, 8, 8), np.float32)


class Block(torch.nn.Module):
    """Two convolutions and what goes around them; `change` is what is wrong in it."""

    def __init__(self, inputs: int, outputs: int, change: str) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(outputs)
        self.conv2 = torch.nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = torch.nn.BatchNorm2d(outputs)
        if inputs != outputs and change != "no shortcut":
            self.shortcut = torch.nn.Sequential(torch.nn.Conv2d(inputs, outputs, 1))
        self.change = change

    def forward(self, images):
        if self.change == "norm behind":
            hidden = self.bn1(F.relu(self.conv1(images)))
        else:
            hidden = F.relu(self.bn1(self.conv1(images)))
        hidden = self.bn2(self.conv2(hidden))
        if self.change in ("no sum", "no shortcut"):
            return F.relu(hidden)
        if self.change == "sum behind":
            return F.relu(hidden) + self.around(images)
        if self.change == "twice":
            return F.relu(hidden + self.around(images) + hidden)
        return F.relu(hidden + self.around(images))

    def around(self, images):
        """Return what goes around the two convolutions."""
        passed = F.relu(images) if self.change == "other values" else images
        return self.shortcut(passed) if hasattr(self, "shortcut") else passed


class Small(torch.nn.Module):
    """A convolution, two blocks, a mean and a Linear layer."""

    def __init__(self, change: str = "", later: str | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = torch.nn.Conv2d(3, 4, 3, padding=1)
        self.block1 = Block(4, 4, change)
        self.block2 = Block(4, 6, change if later is None else later)
        self.fc = torch.nn.Linear(6, 3)

    def forward(self, images):
        maps = self.block2(self.block1(self.first(images)))
        return self.fc(F.adaptive_avg_pool2d(maps, 1).flatten(1))


class Around(torch.nn.Module):
    """A sum that takes what it adds from before or from behind an activation."""

    def __init__(self, early: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv1, self.conv2 = torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.Conv2d(4, 4, 3, padding=1)
        self.fc, self.early = torch.nn.Linear(256, 3), early

    def forward(self, images):
        before = self.conv1(images)
        after = F.relu(before)
        return self.fc((self.conv2(after) + (before if self.early else after)).flatten(1))


def plain(*middle: nn.Module) -> nn.Sequential:
    """Return a net of ours with some layers in its middle."""
    ends = nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3, rng=1)
    return nn.Sequential(nn.Conv2d(3, 4, 3, rng=0), *middle, *ends)


def normed() -> nn.BatchNorm2d:
    """Return a batch norm that changes what it is given in evaluation, too."""
    layer = nn.BatchNorm2d(4)
    layer.weight.data[...] = [0.5, 1, 2, 3]
    return layer


def cause_of(ours: torch.nn.Module, theirs: torch.nn.Module, side: str):
    """Return the likely cause for two torch nets with the same values, of which one is converted to ours."""
    theirs.load_state_dict(ours.state_dict(), strict=False)
    if side == "torch":
        ours, theirs = theirs, ours
    return compare(from_torch(ours, images()), theirs, images(), TARGETS).likely_cause


@pytest.mark.parametrize("side", ["ours", "torch"])
@pytest.mark.parametrize(
    ("wrong", "slip", "where"),
    [
        (Small("no sum", ""), RESIDUAL, "{right}: the sum behind block1.bn2"),
        (
            Small("no sum"),
            RESIDUAL,
            "{right}: the sum behind block1.bn2, block2.shortcut.0, the sum behind block2.bn2",
        ),
        (Small("", "no shortcut"), RESIDUAL, "{right}: block2.shortcut.0, the sum behind block2.bn2"),
        (Small("norm behind"), "batch norm on the other side of the activation", "block1.bn1, block2.bn1"),
        (Small("", "norm behind"), "batch norm on the other side of the activation", "block2.bn1"),
    ],
)
def test_a_net_put_together_in_another_way(wrong, slip, where, side):
    cause = cause_of(wrong, Small(), side)
    assert (cause.slip, cause.where) == (slip, where.format(right="in torch" if side == "ours" else "here"))
    assert max(cause.before.values()) > 1e-9 >= max(cause.after.values())


def test_a_long_list_of_places_is_cut():
    layers = [nn.Linear(3, 3, rng=number) for number in range(8)]
    ours = nn.Sequential(nn.Flatten(), nn.Linear(192, 3, rng=9), *(nn.Residual(layer) for layer in layers))
    theirs = nn.Sequential(nn.Flatten(), nn.Linear(192, 3, rng=9), *layers)
    cause = compare(ours, to_torch(theirs), images(), TARGETS).likely_cause
    places = ", ".join(f"the sum behind {number}.body" for number in range(2, 8))
    assert (cause.slip, cause.where) == (RESIDUAL, f"here: {places} and 2 more")


@pytest.mark.parametrize("side", ["ours", "torch"])
def test_a_sum_of_other_values(side):
    """The sum stands behind the same layer: only what is added differs."""
    cause = cause_of(Small("other values"), Small(), side)
    assert cause.slip == "a layer on one side only"  # the activation on the way around
    cause = cause_of(Small("twice"), Small("sum behind"), side)
    assert cause.slip == "several layers differ"


@pytest.mark.parametrize("side", ["ours", "torch"])
def test_the_same_layers_joined_in_another_way(side):
    cause = cause_of(Around(early=True), Around(early=False), side)
    assert (cause.slip, cause.where) == ("the same layers, joined in another way", "add")


@pytest.mark.parametrize("side", ["ours", "torch"])
def test_a_residual_of_ours(side):
    """A Residual is a sum; without it the layers have other names."""
    body = nn.Conv2d(4, 4, 3, padding=1, rng=1), nn.Tanh()
    sides = plain(nn.Residual(nn.Sequential(*body))), plain(nn.Sequential(*body))
    ours, theirs = sides if side == "ours" else sides[::-1]
    cause = compare(ours, to_torch(theirs), images(), TARGETS).likely_cause
    where = "here: the sum behind 1.body.1" if side == "ours" else "in torch: the sum behind 1.body.1"
    assert (cause.slip, cause.where) == (RESIDUAL, where)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("one", "other", "slip"),
    [
        ([nn.Tanh(), nn.AvgPool2d(2)], [nn.AvgPool2d(2), nn.Tanh()], "the same layers in another order"),
        ([nn.AvgPool2d(2)], [nn.AvgPool2d(2), normed()], "a layer on one side only"),
        ([nn.Tanh(), nn.AvgPool2d(2)], [normed(), nn.AvgPool2d(3, 2)], "several layers differ"),
    ],
)
def test_other_chains(one, other, slip, turned):
    one, other = (other, one) if turned else (one, other)
    cause = compare(plain(*one), to_torch(plain(*other)), images(), TARGETS).likely_cause
    assert cause.slip == slip


def test_values_that_differ_as_well_are_not_passed_over():
    wrong = Small("no sum")
    wrong.fc.weight.data += 0.125
    assert compare(from_torch(wrong, images()), Small(), images(), TARGETS).likely_cause.slip is None


def test_a_layer_of_the_users_own_is_not_taken_for_a_join():
    """Its kind and arguments are torch's, and its numbers are not: the order of the layers is not to blame."""

    class Tanh(nn.Tanh):
        def forward(self, input):
            return super().forward(input) / 2

    cause = compare(plain(Tanh()), to_torch(plain(nn.Tanh())), images(), TARGETS).likely_cause
    assert cause.slip is None


class Gated(torch.nn.Module):
    """A gate that torch's model has, and ours may have not; or has as a sum."""

    def __init__(self, how) -> None:
        super().__init__()
        self.fc, self.gate, self.how = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4), how

    def forward(self, rows):
        hidden = self.fc(rows)
        return self.how(hidden, torch.sigmoid(self.gate(hidden)))


@pytest.mark.parametrize(
    ("theirs", "ours", "slip", "where"),
    [
        (
            lambda hidden, gates: hidden + hidden * gates,
            lambda hidden, gates: hidden + gates,
            "a layer on one side only",
            "in torch: the product behind fc",
        ),
        (
            lambda hidden, gates: hidden * gates,
            lambda hidden, gates: hidden + gates,
            "several layers differ",
            "here: the sum behind fc; in torch: the product behind fc",
        ),
        (lambda h, g: h + h * g, lambda h, g: h * g, RESIDUAL, "in torch: the sum behind fc"),
    ],
)
def test_products_are_named(theirs, ours, slip, where):
    rows, targets = draws((5, 4), np.float32), np.array([0, 1, 2, 3, 0])
    theirs, ours = Gated(theirs), Gated(ours)
    ours.load_state_dict(theirs.state_dict())
    cause = compare(from_torch(ours, rows), theirs, rows, targets).likely_cause
    assert (cause.slip, cause.where) == (slip, where)
