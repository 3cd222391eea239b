"""from_torch and compare on the families of nets that torchvision has: every number is torch's."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minicnn.interop.torch import compare, from_torch, to_torch
from tests.helpers import assert_matches_torch, draws
from tests.interop.families import FAMILIES

every_family = pytest.mark.parametrize("name", FAMILIES)


def built(name: str, dtype=np.float32):
    """Return a net with weights that are the same in every run, and images for it."""
    build, shape = FAMILIES[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build().to(torch.from_numpy(np.empty(0, dtype)).dtype), draws(shape, dtype)


def precise(monkeypatch) -> None:
    """In float64, torch's gradient of hardsigmoid takes 1/6 from float32 (torch 2.13); here it is another formula's."""
    torchs = F.hardsigmoid

    def hardsigmoid(input, inplace=False):
        if input.dtype == torch.float32:
            return torchs(input)
        return torch.where(input.abs() < 3, (input + 3) / 6, torchs(input).detach())

    monkeypatch.setattr(F, "hardsigmoid", hardsigmoid)


@every_family
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("training", [True, False])
def test_agrees_with_torch(name, dtype, training, monkeypatch):
    module, images = built(name, dtype)
    if not training:
        module.eval()
    model = from_torch(module, images)
    again = from_torch(to_torch(model), images)
    np.testing.assert_array_equal(copy.deepcopy(model)(images), again(images))
    precise(monkeypatch)
    assert_matches_torch(model, module, images)


@every_family
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("single_step", [True, False])
def test_compare_finds_rounding_and_nothing_else(name, training, single_step):
    module, images = built(name)
    if not training:
        module.eval()
    targets = np.arange(len(images))
    comparison = compare(from_torch(module, images), module, images, targets, single_step=single_step)
    comparison.assert_close()
    assert comparison.only_torch == []
