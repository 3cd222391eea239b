"""to_onnx: onnxruntime computes what we compute, for any number of images; names and metadata come along."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime
import pytest

from minicnn import nn
from minicnn.data import transforms
from minicnn.interop.onnx import export, to_onnx
from minicnn.interop.torch import from_torch
from tests.helpers import assert_same_sum, draws, raises
from tests.interop.nets import NETS
from tests.interop.test_from_torch import built


def run(path, input: np.ndarray) -> np.ndarray:
    """Return what onnxruntime computes with a file."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["output"], {"input": input})[0]


def check(model: nn.Module, input: np.ndarray, tmp_path) -> onnx.ModelProto:
    """Write the model, and assert that onnxruntime agrees, for other batches too."""
    modes = [part.training for part in model.modules()]
    path = tmp_path / "model.onnx"
    to_onnx(model, path, input)
    assert [part.training for part in model.modules()] == modes
    model.eval()
    for images in (input, input[:1], np.concatenate([input, -input])):
        assert_same_sum(run(path, images), model(images))
    return onnx.load(path)


@pytest.mark.parametrize("name", NETS)
def test_nets(name, tmp_path):
    module, input = built(name)
    model = from_torch(module, input)
    for buffer in (array for key, array in model.named_buffers() if "running" in key):
        buffer[...] = np.random.default_rng(0).uniform(0.5, 2, buffer.shape)
    made = check(model, input, tmp_path)
    names = {tensor.name for tensor in made.graph.initializer}
    assert {key for key, _ in model.named_parameters()} <= names


MAPS = (2, 2, 9, 7)
LAYERS = [
    (nn.Conv2d(2, 4, (3, 2), (2, 1), (1, 0), (1, 2), 2, False, rng=0), MAPS),
    *(
        (nn.Conv2d(2, 3, 3, padding=(2, 1), padding_mode=m, rng=0), MAPS)
        for m in ("reflect", "replicate", "circular")
    ),
    (nn.Conv2d(2, 3, (2, 4), padding="same", rng=0), MAPS),
    (nn.MaxPool2d((2, 3), (2, 1), (1, 1), (1, 2)), MAPS),
    (nn.MaxPool2d(2, ceil_mode=True), MAPS),
    (nn.MaxPool2d(3, 2, 1, ceil_mode=True), (2, 2, 8, 8)),
    (nn.AvgPool2d((2, 3), (2, 1), (1, 1)), MAPS),
    (nn.AvgPool2d(3, 2, 1, count_include_pad=False), MAPS),
    (nn.AvgPool2d(3, 2, 1, ceil_mode=True), (2, 2, 8, 8)),
    (nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), (2, 2, 8, 8)),
    (nn.AvgPool2d(2, divisor_override=3), MAPS),
    (nn.AdaptiveAvgPool2d(1), MAPS),
    (nn.AdaptiveAvgPool2d((4, None)), MAPS),
    *((nn.Pad2d((1, 2, 0, 3), mode, 0.5), MAPS) for mode in ("zeros", "reflect", "replicate", "circular")),
    (nn.BatchNorm2d(2, affine=False), MAPS),
    (nn.BatchNorm1d(5, eps=0.1), (3, 5)),
    (nn.GroupNorm(2, 2, eps=0.1), MAPS),
    (nn.GroupNorm(1, 2, affine=False), MAPS),
    (nn.GroupNorm(3, 6), (3, 6)),
    (nn.GroupNorm(1, 1), (3, 1, 4)),
    (nn.Linear(7, 3, rng=0), MAPS),
    (nn.Linear(7, 3, bias=False, rng=0), (2, 7)),
    (nn.Flatten(0, 1), MAPS),
    (nn.Flatten(2), MAPS),
    (nn.Reshape((0, -1, 3)), (2, 12)),
    (nn.Squeeze((-1, 1)), (2, 1, 4, 1)),
    (nn.Max((-1, 2)), MAPS),
    (nn.Max(1, True), MAPS),
    (nn.Unsqueeze(-2), (2, 3)),
    (nn.Slice(-2, -7, None, 3), MAPS),
    (nn.Permute((0, 3, -3, 2)), MAPS),
    (nn.Mean((2, -1), True), MAPS),
    (nn.Affine(-2, 0.5), (2, 3)),
    (nn.ELU(0.5), (2, 9)),
    (nn.GELU(), (2, 9)),
    (nn.GELU("tanh"), (2, 9)),
    (nn.SiLU(), (2, 9)),
    (nn.Sequential(nn.Affine(4), nn.ReLU6()), (2, 9)),
    (nn.Sequential(nn.Affine(4), nn.Hardsigmoid()), (2, 9)),
    (nn.Sequential(nn.Affine(4), nn.Hardtanh(-0.5)), (2, 9)),
    (nn.Clamp(-0.5, 0.25), (2, 9)),
    (nn.Clamp(min=-0.5), (2, 9)),
    (nn.Clamp(max=0.25), (2, 9)),
    (nn.Sequential(nn.Affine(4), nn.Hardswish()), (2, 9)),
    (nn.PReLU(1, 0.3), MAPS),
    (nn.PReLU(2, 0.3), MAPS),
    (nn.PReLU(9, 0.3), (2, 9)),
    (nn.LeakyReLU(0.3), (2, 9)),
    (nn.Softmax(-1), (2, 9)),
    (nn.LogSoftmax(1), MAPS),
    (nn.Dropout(0.5), (2, 9)),
    (nn.Residual(nn.Linear(3, 3, rng=0)), (2, 3)),
    (nn.Residual(nn.Linear(3, 2, rng=0), nn.Linear(3, 2, rng=1)), (2, 3)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda value: repr(value).replace("\n", ""))
def test_layers(layer, shape, tmp_path):
    check(nn.Sequential(layer), draws(shape, np.float32), tmp_path)


def test_every_layer_has_an_operator():
    containers = {"Sequential", "Graph", "Residual"}
    public = {name: getattr(nn, name) for name in nn.__all__}
    layers = {n for n, kind in public.items() if isinstance(kind, type) and issubclass(kind, nn.Module)}
    assert layers - containers - {"Module"} == export.OPERATORS.keys()


def test_float64_passes_the_checker_and_runs(tmp_path):
    model = nn.Sequential(nn.Linear(3, 4, dtype=np.float64, rng=0), nn.Tanh(), nn.Softmax(1))
    check(model, draws((2, 3)), tmp_path)


def test_metadata(tmp_path):
    transform = transforms.Compose([transforms.ToFloat(), transforms.Normalize([0.25], [0.5])])
    path = tmp_path / "model.onnx"
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, rng=0))
    to_onnx(model, path, np.zeros((1, 1, 2, 2), np.float32), classes=["cat", "dög"], transform=transform)
    facts = onnxruntime.InferenceSession(path).get_modelmeta()
    assert facts.producer_name == "minicnn"
    found = facts.custom_metadata_map
    assert json.loads(found["classes"]) == ["cat", "dög"]
    assert transforms.from_config(json.loads(found["transform"])).config() == transform.config()
    assert json.loads(found["transform"])["transforms"][1] == {
        "kind": "Normalize",
        "mean": [0.25],
        "std": [0.5],
    }


def test_a_parameter_used_twice_stands_there_once(tmp_path):
    module, input = built("shared")
    to_onnx(from_torch(module, input), tmp_path / "model.onnx", input)
    tensors = [tensor.name for tensor in onnx.load(tmp_path / "model.onnx").graph.initializer]
    assert sorted(name for name in tensors if "conv" in name) == ["conv.bias", "conv.weight"]


@pytest.mark.parametrize(
    ("layer", "shape", "what", "advice"),
    [
        (nn.MaxPool2d(2, return_indices=True), MAPS, "return_indices=True", "Build it without."),
        (nn.Slice(0, 1), (2, 3), "dim=0", "Take a part of another axis than that of the batch."),
        (nn.Squeeze(), (1, 3), "dim=None", "Name the axes to drop, without that of the batch."),
        (
            nn.AvgPool2d(2),
            (2, 4, 4),
            "an input of shape (2, 4, 4)",
            "Pass a batch of images as example_input.",
        ),
        (
            nn.BatchNorm2d(2, track_running_stats=False),
            MAPS,
            "track_running_stats=False",
            "Build it with running statistics.",
        ),
    ],
)
def test_refused(layer, shape, what, advice, tmp_path):
    message = f"to_onnx: every layer must have a form in ONNX. Got {layer.who} with {what}. {advice}"
    with raises(ValueError, message):
        to_onnx(layer, tmp_path / "model.onnx", draws(shape, np.float32))
    assert not (tmp_path / "model.onnx").exists()


def test_a_foreign_layer_is_refused(tmp_path):
    class Cube(nn.Module):
        def forward(self, input):
            return input**3

    message = (
        'to_onnx: every layer must be one of minicnn.nn. Got Cube "0". '
        "Build the model from the layers of minicnn.nn."
    )
    with raises(TypeError, message):
        to_onnx(nn.Sequential(Cube()), tmp_path / "model.onnx", np.zeros((1, 2)))


def test_without_onnx(monkeypatch, tmp_path):
    monkeypatch.setattr(export, "is_installed", lambda: False)
    message = (
        "to_onnx: onnx is needed here. Got no installed onnx. Install it with pip install 'minicnn[onnx]'."
    )
    with raises(RuntimeError, message):
        to_onnx(nn.ReLU(), tmp_path / "model.onnx", np.zeros((1, 2)))
