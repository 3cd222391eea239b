"""Hardtanh and Clamp between torch and here: every way to write them, and what is refused."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minicnn import nn
from minicnn.interop.torch import compare, from_torch, to_torch
from tests.helpers import assert_matches_torch, draws, raises
from tests.interop.test_from_torch_details import Says

ROWS = draws((5, 4), np.float32)


class Hardtanhs(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = torch.nn.Linear(4, 4)
        self.bounds = torch.nn.Hardtanh(-0.5, 2)

    def forward(self, rows):
        rows = self.bounds(self.fc(rows)) + F.hardtanh(rows, max_val=0.3)
        return F.hardtanh_(F.hardtanh(rows, -0.8, 3, inplace=True))


class Clamps(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = torch.nn.Linear(4, 4)

    def forward(self, rows):
        rows = torch.clamp(self.fc(rows), -1, 1) + torch.clip(rows, max=0.5) * rows.clip(min=0, max=2)
        rows = rows.clamp(-1.5) + torch.clamp_min(rows, -0.2) * rows.clamp_max(0.1)
        return rows.clamp_(max=3).clamp_min_(-2)


@pytest.mark.parametrize(
    ("kind", "build", "layers"),
    [
        (
            nn.Hardtanh,
            Hardtanhs,
            [
                "Hardtanh(min_val=-0.5, max_val=2.0)",
                "Hardtanh(min_val=-1.0, max_val=0.3)",
                "Hardtanh(min_val=-0.8, max_val=3.0)",
                "Hardtanh(min_val=-1.0, max_val=1.0)",
            ],
        ),
        (
            nn.Clamp,
            Clamps,
            [
                "Clamp(min=-1.0, max=1.0)",
                "Clamp(min=None, max=0.5)",
                "Clamp(min=0.0, max=2.0)",
                "Clamp(min=-1.5, max=None)",
                "Clamp(min=-0.2, max=None)",
                "Clamp(min=None, max=0.1)",
                "Clamp(min=None, max=3.0)",
                "Clamp(min=-2.0, max=None)",
            ],
        ),
    ],
)
def test_from_torch_and_back(kind, build, layers):
    module = build()
    model = from_torch(module, ROWS)
    assert [repr(child) for child in model.children().values() if isinstance(child, kind)] == layers
    assert_matches_torch(model, module, ROWS)
    assert repr(from_torch(to_torch(model), ROWS)) == repr(model)
    assert compare(model, module, ROWS, np.array([0, 1, 2, 3, 0])).ok


@pytest.mark.parametrize("bounds", [(0, math.inf), (-math.inf, 0)])
def test_a_layer_without_a_bound(bounds):
    message = (
        "from_torch: every operation must be one that minicnn has. Got torch.nn.Hardtanh "
        '"0" with a bound that is not finite in Sequential. '
        "Write it with layers and functions that minicnn.nn has."
    )
    with raises(ValueError, message):
        from_torch(torch.nn.Sequential(torch.nn.Hardtanh(*bounds)), ROWS)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (
            lambda net, x: F.hardtanh(x, 0, math.inf),
            "F.hardtanh (Hardtanh: max_val must be finite. Got inf. Pass a number)",
        ),
        (lambda net, x: x.clamp(x.mean(1, keepdim=True), x), "x.clamp with bounds that are tensors"),
        (
            lambda net, x: x.clamp(2, 1),
            "x.clamp (Clamp: max must be at least min. Got 1 and 2. Pass the lower bound first)",
        ),
        (lambda net, x: x.clip(0, math.inf), "x.clip (Clamp: max must be finite. Got inf. Pass a number)"),
    ],
)
def test_refused(function, reason):
    message = f"from_torch: every operation must be one that minicnn has. Got {reason} in "
    place = r'.*, line \d+: ".*"\. Write it with layers and functions that minicnn\.nn has\.$'
    with pytest.raises(ValueError, match="^" + re.escape(message) + place):
        from_torch(Says(function), ROWS)
