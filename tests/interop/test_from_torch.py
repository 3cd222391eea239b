"""from_torch: nets as people write them agree with torch in every number, and come with names and modes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from minicnn import nn
from minicnn.interop.torch import from_torch
from tests.helpers import assert_matches_torch, draws
from tests.interop.nets import CHAINS, GRAPHS, NETS

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def built(name: str, dtype=np.float32):
    """Return a net with weights that are the same in every run, and an input for it."""
    build, shape = NETS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = build().to(torch.from_numpy(np.empty(0, dtype)).dtype)
    return module, draws(shape, dtype)


@both_dtypes
@pytest.mark.parametrize("name", NETS)
def test_agrees_with_torch(name, dtype):
    module, input = built(name, dtype)
    model = from_torch(module, input)
    assert_matches_torch(model, module, input)


@pytest.mark.parametrize("name", NETS)
def test_agrees_in_evaluation(name):
    module, input = built(name, np.float64)
    module.eval()
    model = from_torch(module, input)
    assert not any(part.training for part in model.modules())
    assert_matches_torch(model, module, input)


@pytest.mark.parametrize("name", NETS)
def test_names_and_values_are_torchs_and_a_chain_is_a_sequential(name):
    module, input = built(name)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    model = from_torch(module, input)
    assert (name in CHAINS) != (name in GRAPHS)
    assert type(model) is (nn.Sequential if name in CHAINS else nn.Graph)
    state = model.state_dict()
    assert state.keys() == before.keys()
    for key, value in module.state_dict().items():
        np.testing.assert_array_equal(state[key], before[key].numpy())
        np.testing.assert_array_equal(value.numpy(), before[key].numpy())
