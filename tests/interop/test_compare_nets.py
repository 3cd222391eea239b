"""compare on nets as people write them: nothing but rounding, whatever they are made of."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from minicnn import nn
from minicnn.interop.torch import compare, from_torch
from tests.helpers import draws
from tests.interop.nets import NETS
from tests.interop.test_from_torch import built

SEEN_BY_HOOKS = {"traditional", "LeNet-5", "small VGG", "regression"}  # but for a view


CASES = [
    *(pytest.param(name, False, marks=[pytest.mark.slow] * (name == "ResNet-18")) for name in NETS),
    *((name, True) for name in ("softmax head", "Inception", "shared", "functions", "in place")),
]


@pytest.mark.parametrize(("name", "single_step"), CASES)
def test_nets_as_people_write_them_agree(name, single_step):
    module, images = built(name)
    model = from_torch(module, images)
    with torch.no_grad():
        shape = module(torch.from_numpy(images.copy())).shape
    comparison = compare(
        model, module, images, draws(tuple(shape), np.float32, seed=1), nn.MSELoss(), single_step=single_step
    )
    comparison.assert_close()
    if name in SEEN_BY_HOOKS:
        assert all(step.startswith("Flatten") for step in comparison.only_ours)
    assert comparison.only_torch == []
