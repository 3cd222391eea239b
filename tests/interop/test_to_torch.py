"""to_torch: the way there and back loses nothing, and what is there can be scripted, exported and trained."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch

from minicnn import nn
from minicnn.interop.torch import from_torch, to_torch
from tests.helpers import assert_matches_torch, draws, raises
from tests.interop.nets import NETS
from tests.interop.test_from_torch import both_dtypes, built

OPERATIONS = {
    "affine": (lambda: nn.Affine(2, -0.5), (2, 3)),
    "clamp": (lambda: nn.Clamp(-0.5, 0.25), (2, 3)),
    "clamp, no bound below": (lambda: nn.Clamp(max=0.25), (2, 3)),
    "clamp, no bound above": (lambda: nn.Clamp(min=0.25), (2, 3)),
    "mean": (lambda: nn.Mean((2, 3), keepdim=True), (2, 3, 4, 5)),
    "reshape": (lambda: nn.Reshape((0, 2, -1)), (2, 12)),
    "reshape, all": (lambda: nn.Reshape((3, -1)), (2, 12)),
    "max": (lambda: nn.Max((3, 1)), (2, 3, 4, 5)),
    "max of a channel": (lambda: nn.Max((-2, -1), True), (2, 3, 4, 5)),
    "max, shared": (lambda: nn.Max((2, 1), True, "shared"), (2, 3, 4, 5)),
    "unsqueeze": (lambda: nn.Unsqueeze(-1), (2, 3)),
    "slice": (lambda: nn.Slice(1, -2, None, 2), (2, 7)),
    "slice, all": (lambda: nn.Slice(2), (2, 3, 4)),
    "permute": (lambda: nn.Permute((0, 2, 1)), (2, 3, 4)),
    "squeeze": (lambda: nn.Squeeze((2, 3)), (2, 3, 1, 1)),
    "squeeze, all": (nn.Squeeze, (1, 3, 1)),
    "pad": (lambda: nn.Pad2d((1, 2, 0, 3), value=1.5), (2, 3, 4, 5)),
    "reflect": (lambda: nn.Pad2d((1, 2, 0, 3), "reflect"), (2, 3, 4, 5)),
    "replicate": (lambda: nn.Pad2d(1, "replicate"), (2, 3, 4, 5)),
    "circular": (lambda: nn.Pad2d(1, "circular"), (2, 3, 4, 5)),
    "residual": (lambda: nn.Residual(nn.Tanh()), (2, 3)),
    "shortcut": (
        lambda: nn.Residual(nn.Linear(3, 2, dtype=np.float64), nn.Linear(3, 2, dtype=np.float64)),
        (4, 3),
    ),
}


def own_models() -> dict:
    """Return models of ours and inputs: the nets carried over, and every operation by itself in a row."""
    found = {name: lambda name=name: (from_torch(*built(name)), built(name)[1]) for name in NETS}
    for name, (build, shape) in OPERATIONS.items():
        found[name] = lambda build=build, shape=shape: (nn.Sequential(nn.Identity(), build()), draws(shape))
    return found


MODELS = own_models()


@pytest.mark.parametrize("name", MODELS)
def test_there_and_back(name):
    model, input = MODELS[name]()
    module = to_torch(model)
    again = from_torch(module, input)
    assert repr(again) == repr(model)
    state = model.state_dict()
    assert module.state_dict().keys() == state.keys()
    for key, value in again.state_dict().items():
        np.testing.assert_array_equal(value, state[key])
    modes = {key: part.training for key, part in model.named_modules()}
    assert {key: part.training for key, part in again.named_modules()} == modes
    assert_matches_torch(model, module, input)


@pytest.mark.filterwarnings("ignore:.torch.jit.*:DeprecationWarning")  # it still works, and people use it
@pytest.mark.filterwarnings("ignore:The TorchScript type system:UserWarning")  # of every fx.GraphModule
@pytest.mark.parametrize("name", MODELS)
def test_can_be_scripted(name):
    model, input = MODELS[name]()
    module, tensor = to_torch(model).eval(), torch.from_numpy(input)
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(module), buffer)
    buffer.seek(0)
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.load(buffer)(tensor), module(tensor))


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_can_be_exported(name):
    model, input = MODELS[name]()
    module, tensor = to_torch(model).eval(), torch.from_numpy(input)
    torch.testing.assert_close(torch.export.export(module, (tensor,)).module()(tensor), module(tensor))


@both_dtypes
def test_a_graph_is_a_graph_module(dtype):
    module, input = built("Inception", dtype)
    converted = to_torch(from_torch(module, input))
    assert type(converted).__mro__[1] is torch.fx.GraphModule
    assert "torch.cat" in converted.code
    assert next(converted.parameters()).dtype == next(module.parameters()).dtype


def test_layers_that_are_never_called_come_along():
    children = {"act": nn.ReLU(), "spare": nn.Sequential(nn.Linear(2, 2, rng=0))}
    model = nn.Graph([("x1", "act", "x")], **children)
    module = to_torch(model)
    assert list(module.state_dict()) == ["spare.0.weight", "spare.0.bias"]
    again = from_torch(module, np.zeros((1, 2), np.float32))
    assert again.state_dict().keys() == model.state_dict().keys()


def test_one_parameter_in_two_layers_stays_one():
    model = nn.Sequential(nn.Linear(3, 3, rng=0), nn.Linear(3, 3, rng=1))
    model[1].weight = model[0].weight
    module = to_torch(model)
    assert module[1].weight is module[0].weight
    again = from_torch(module, np.zeros((1, 3), np.float32))
    assert again[1].weight is again[0].weight


def test_a_foreign_layer_is_refused():
    class Cube(nn.Module):
        def forward(self, input):
            return input**3

    message = (
        'to_torch: every layer must have a counterpart in torch. Got Cube "0". '
        "Build the model from the layers of minicnn.nn."
    )
    with raises(TypeError, message):
        to_torch(nn.Sequential(Cube()))


def test_each_layer_keeps_its_own_mode():
    """Such as a batch norm that is held in evaluation while the rest is trained."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Residual(nn.Sequential(nn.BatchNorm1d(2), nn.Dropout())))
    model[1].body[0].eval()
    module = to_torch(model)
    assert {name: m.training for name, m in module.named_modules()} == {
        name: m.training for name, m in model.named_modules()
    }
