"""likely_cause where dropout draws: it is named before any slip, and what draws nothing hides no slip."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from minicnn import nn
from minicnn.interop.torch import compare, from_torch
from tests.helpers import draws


class Functional(torch.nn.Module):
    """The head drops by a function, of which torch's hooks see nothing."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.fc1, self.fc2 = torch.nn.Linear(12, 8), torch.nn.Linear(8, 3)

    def forward(self, rows):
        dropped = torch.nn.functional.dropout(self.fc1(rows), self.p, training=self.training)
        return self.fc2(dropped)


def dropping(kind: str, p: float) -> torch.nn.Module:
    """Return a net that drops by a layer or by a function."""
    torch.manual_seed(0)
    if kind == "function":
        return Functional(p)
    return torch.nn.Sequential(torch.nn.Linear(12, 8), torch.nn.Dropout(p), torch.nn.Linear(8, 3))


ROWS = draws((4, 12), np.float32)
DRAWS = "dropout draws numbers of its own on either side"


@pytest.mark.parametrize(
    ("here", "there", "slip"),
    [
        (True, True, DRAWS),
        (True, False, "train mode against eval mode"),
        (False, True, "train mode against eval mode"),
    ],
)
@pytest.mark.parametrize(("kind", "where"), [("layer", "1"), ("function", "dropout")])
def test_dropout_is_named_before_slips_are_tried(kind, where, here, there, slip):
    module = dropping(kind, 0.5)
    model = from_torch(module, ROWS)
    model.train(here)
    module.train(there)
    cause = compare(model, module, ROWS, np.array([0, 1, 2, 0])).likely_cause
    assert (cause.slip, cause.where, cause.tried) == (slip, where, [slip])
    assert max(cause.before.values()) > 1e-3
    assert max(cause.after.values()) < 1e-12
    advice = "call eval() on both models, or give dropout p = 0; on the command line pass --eval"
    assert (advice in str(cause)) == (slip == DRAWS)
    assert str(cause).startswith(f"likely cause: {slip} ({where})")


@pytest.mark.parametrize("kind", ["layer", "function"])
def test_what_dropout_hides_is_found_without_it(kind):
    """A wrong bias shows in evaluation mode, too: the numbers after say so."""
    module = dropping(kind, 0.5)
    model = from_torch(module, ROWS)
    last = list(model.parameters())[-1]
    last.data *= 2
    cause = compare(model, module, ROWS, np.array([0, 1, 2, 0])).likely_cause
    assert cause.slip == DRAWS
    assert cause.after["output"] > 1e-3
    cause = compare(model.eval(), module.eval(), ROWS, np.array([0, 1, 2, 0])).likely_cause
    assert cause.slip == "bias missing or added twice"


@pytest.mark.parametrize("p", [0.0, 1.0])
@pytest.mark.parametrize("here", [True, False])
def test_dropout_that_draws_nothing_is_no_cause(p, here):
    module = dropping("layer", p)
    model = from_torch(module, ROWS).train(here)
    module.train(here)
    model[2].bias.data *= 2
    cause = compare(model, module, ROWS, np.array([0, 1, 2, 0])).likely_cause
    assert cause.slip == "bias missing or added twice"


def test_dropout_of_one_side_alone_hides_no_slip():
    module = torch.nn.Sequential(torch.nn.Linear(12, 8), torch.nn.Linear(8, 3))
    model = nn.Sequential(nn.Linear(12, 8), nn.Dropout(0.5), nn.Linear(8, 3)).eval()
    for place, other in ((0, 0), (2, 1)):
        for name in ("weight", "bias"):
            getattr(model[place], name).data[...] = getattr(module[other], name).detach().numpy()
    model[2].bias.data *= 2
    cause = compare(model, module, ROWS, np.array([0, 1, 2, 0])).likely_cause
    assert cause.slip == "bias missing or added twice"


class Forgotten(Functional):
    """The function is not told when training ends: its default is ``training=True``."""

    def forward(self, rows):
        return self.fc2(torch.nn.functional.dropout(self.fc1(rows), self.p))


@pytest.mark.parametrize("converted_in_training", [True, False])
def test_a_function_that_drops_in_evaluation_mode_too_is_named(converted_in_training):
    torch.manual_seed(0)
    module = Forgotten(0.5).train(converted_in_training)
    model = from_torch(module, ROWS)
    if converted_in_training:  # then ours stops, as a layer does
        model.eval()
    cause = compare(model, module.eval(), ROWS, np.array([0, 1, 2, 0])).likely_cause
    slip = "torch draws random numbers after eval(), too"
    assert (cause.slip, cause.where, cause.tried) == (slip, "fc2", [slip])
    assert "F.dropout goes on dropping unless it is given training=self.training" in str(cause)
