"""Models and losses of the other library, and classes for instances: each entry says so before it works."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from minicnn import checkpoint, checks, nn
from minicnn.inspection import check_gradients, occlusion, saliency, trace, what_if
from minicnn.interop.onnx import to_onnx
from minicnn.interop.torch import compare, to_torch, torch_output, watch
from tests.helpers import draws, raises

IMAGES, TARGETS = draws((2, 3, 4, 4)), np.array([0, 1])


class Net(torch.nn.Module):
    """A user's own."""


def net() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 2, rng=0, dtype=np.float64))


def watched(module):
    with watch(module):
        pass


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (torch.nn.ReLU(), "torch's ReLU"),
        (Net(), "torch's Net"),
        (torch.zeros(1), "torch's Tensor"),
        (nn.MSELoss(), "minicnn's MSELoss"),
        (nn.ReLU, "type"),
        (torch.nn.ReLU, "type"),
        (np.zeros(1), "ndarray"),
        (None, "NoneType"),
    ],
)
def test_what_a_value_is_called(value, name):
    assert checks.called(value) == name


FROM_TORCH = "Bring it over first with from_torch."
LAYERS = "Pass layers such as nn.ReLU() (with the brackets)."
MODELS = {
    "trace": lambda model, path: trace(model, IMAGES),
    "what_if": lambda model, path: what_if(model, IMAGES[:1], {}),
    "check_gradients": lambda model, path: check_gradients(model, IMAGES, TARGETS),
    "saliency": lambda model, path: saliency(model, IMAGES),
    "occlusion": lambda model, path: occlusion(model, IMAGES[0]),
    "compare": lambda model, path: compare(model, torch.nn.ReLU(), IMAGES, TARGETS),
    "to_torch": lambda model, path: to_torch(model),
    "torch_output": lambda model, path: torch_output(model, IMAGES),
    "to_onnx": lambda model, path: to_onnx(model, path, IMAGES),
}


@pytest.mark.parametrize("who", MODELS)
@pytest.mark.parametrize(
    ("model", "got", "advice"),
    [
        (torch.nn.ReLU(), "torch's ReLU", FROM_TORCH),
        (Net(), "torch's Net", FROM_TORCH),
        (nn.ReLU, "type", LAYERS),
        (IMAGES, "ndarray", LAYERS),
    ],
)
def test_models(who, model, got, advice, tmp_path):
    with raises(TypeError, f"{who}: model must be a minicnn module. Got {got}. {advice}"):
        MODELS[who](model, tmp_path / "m.onnx")


def test_a_model_that_is_to_be_saved(tmp_path):
    with raises(
        TypeError,
        "checkpoint.save: model must be a minicnn module. Got torch's ReLU. Pass for example nn.Sequential(...).",
    ):
        checkpoint.save(tmp_path / "m.safetensors", torch.nn.ReLU())


LOSSES = {
    "trace": lambda criterion: trace(net(), IMAGES, TARGETS, criterion),
    "check_gradients": lambda criterion: check_gradients(net(), IMAGES, TARGETS, criterion),
}


@pytest.mark.parametrize("who", LOSSES)
@pytest.mark.parametrize(
    ("criterion", "got"),
    [
        (torch.nn.CrossEntropyLoss(), "torch's CrossEntropyLoss"),
        (nn.MSELoss, "type"),
        (nn.Softmax(dim=1), "minicnn's Softmax"),
        (torch.nn.functional.cross_entropy, "function"),
    ],
)
def test_losses(who, criterion, got):
    with raises(
        TypeError,
        f"{who}: criterion must be a loss of minicnn. Got {got}. "
        "Pass one such as nn.CrossEntropyLoss() (with the brackets).",
    ):
        LOSSES[who](criterion)


@pytest.mark.parametrize(
    ("who", "what", "call"),
    [
        ("watch", "module", watched),
        ("compare", "torch_module", lambda module: compare(net(), module, IMAGES, TARGETS)),
    ],
)
@pytest.mark.parametrize(
    ("module", "got"),
    [(nn.Linear(2, 1), "minicnn's Linear"), (torch.nn.Linear, "type"), ({}, "dict")],
)
def test_modules_of_torch(who, what, call, module, got):
    with raises(TypeError, f"{who}: {what} must be a torch.nn.Module. Got {got}. Pass torch's model itself."):
        call(module)


def test_a_function_is_no_transform_for_a_file(tmp_path):
    with raises(
        TypeError,
        "to_onnx: transform must be one of minicnn.data.transforms. Got function. "
        "Compose it of those, or save with transform=None.",
    ):
        to_onnx(net(), tmp_path / "m.onnx", IMAGES, transform=lambda images: images)
    assert not list(tmp_path.iterdir())
