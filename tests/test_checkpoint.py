"""Models in files: every layer comes back as it was, and what cannot be rebuilt is not saved."""

from __future__ import annotations

import copy
import json
from collections import OrderedDict

import numpy as np
import pytest
import safetensors

from minicnn import checkpoint, nn
from minicnn.checkpoint import architecture, files
from minicnn.data import transforms
from tests.helpers import draws

# One example of every layer at least, with no argument at its default.
LAYERS = [
    nn.AdaptiveAvgPool2d((2, None)),
    nn.Affine(0.5, -2),
    nn.AvgPool2d((2, 3), (1, 2), (1, 0), True, False, 5),
    nn.BatchNorm1d(3, 1e-3, None, False, False),
    nn.BatchNorm1d(3, affine=False, dtype=np.float64),
    nn.BatchNorm2d(3, 1e-4, 0.3, dtype=np.float64),
    nn.BatchNorm2d(2, affine=False, track_running_stats=False),
    nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 2), 2, False, "reflect", np.float64),
    nn.Conv2d(4, 6, 3, padding="same"),
    nn.Dropout(0.25),
    nn.Dropout2d(0.25),
    nn.ELU(0.5),
    nn.Flatten(0, 2),
    nn.GELU("tanh"),
    nn.Graph(
        [("a", "net.0", "x"), ("b", "add", "a", "x"), ("m", "mul", "b", "x"), ("c", "cat", "m", "a")],
        net=nn.Sequential(nn.Linear(3, 3)),
        add=nn.Add(),
        mul=nn.Multiply(),
        cat=nn.Concatenate(1),
    ),
    nn.GroupNorm(2, 4, 1e-3, dtype=np.float64),
    nn.GroupNorm(2, 4, affine=False),
    nn.Hardsigmoid(),
    nn.Hardswish(),
    nn.Hardtanh(-0.5, 2),
    nn.Clamp(-0.5, 2),
    nn.Clamp(max=3),
    nn.Identity(),
    nn.LeakyReLU(0.2),
    nn.Linear(3, 2, False, np.float64),
    nn.LogSoftmax(-1),
    nn.MaxPool2d((2, 3), (1, 2), (1, 0), (2, 1), True, True),
    nn.Mean((2, 3), True),
    nn.PReLU(3, 0.5, np.float64),
    nn.Pad2d((1, 2, 0, 3), "reflect", 2.5),
    nn.ReLU(),
    nn.ReLU6(),
    nn.Reshape((0, 2, -1)),
    nn.Residual(nn.Linear(3, 3)),
    nn.Residual(nn.Conv2d(2, 3, 1), nn.Conv2d(2, 3, 1, bias=False)),
    nn.Sequential(),
    nn.Sequential(OrderedDict([("first", nn.Linear(2, 3)), ("act", nn.Sequential(nn.ReLU(), nn.Tanh()))])),
    nn.SiLU(),
    nn.Sigmoid(),
    nn.Softmax(1),
    nn.Max((2, 3), True, "shared"),
    nn.Slice(1, 2, -2, 3),
    nn.Permute((0, 2, 1)),
    nn.Unsqueeze(-1),
    nn.Squeeze((2, 3)),
    nn.Tanh(),
]


def small_model(rng=0) -> nn.Sequential:
    return nn.Sequential(
        nn.Residual(nn.Sequential(nn.Linear(3, 3, rng=rng), nn.BatchNorm1d(3), nn.Dropout(0.5))),
        nn.Linear(3, 2, rng=rng),
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


# Round trip


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: repr(layer).replace("\n", ""))
def test_every_layer_comes_back(layer, path):
    layer = copy.deepcopy(layer)
    for name, array in layer.state_dict().items():
        array[...] = draws(array.shape, seed=len(name)) * 10
        layer.load_state_dict(layer.state_dict() | {name: array})
    checkpoint.save(path, layer)
    loaded = checkpoint.load(path).model
    assert type(loaded) is type(layer)
    assert repr(loaded) == repr(layer)
    assert architecture.describe(loaded) == architecture.describe(layer)
    assert not loaded.training
    state = layer.state_dict()
    assert loaded.state_dict().keys() == state.keys()
    for name, array in loaded.state_dict().items():
        assert array.dtype == state[name].dtype
        np.testing.assert_array_equal(array, state[name])


def test_the_examples_above_hold_every_layer_and_every_argument():
    modules = [module for layer in LAYERS for module in layer.modules()]
    assert {type(module).__name__ for module in modules} == architecture.kinds().keys()
    for name, kind in architecture.kinds().items():
        ours = [architecture.describe(module)["arguments"] for module in modules if type(module) is kind]
        for argument, default in architecture.arguments_of(kind).items():
            if kind is not nn.Residual:
                assert any(arguments[argument] != default for arguments in ours), f"{name}: {argument}"


def test_the_loaded_model_computes_the_same(path):
    model = small_model()
    model(draws((5, 3), np.float32))  # moves the running statistics
    checkpoint.save(path, model)
    input = draws((4, 3), np.float32, seed=1)
    np.testing.assert_array_equal(checkpoint.load(path).model(input), model.eval()(input))


def test_classes_transform_and_extra_come_back(path):
    transform = transforms.Compose([transforms.ToFloat(), transforms.Normalize([0.5], [0.25])])
    extra = {
        "threshold": 0.1,
        "names": ("é", 'a "quote"', '"sha256":"' + 64 * "0"),
        "none": None,
        "yes": True,
    }
    checkpoint.save(path, small_model(), classes=np.array(["cat", "dög"]), transform=transform, extra=extra)
    model, classes, loaded, found = checkpoint.load(path)
    assert isinstance(model, nn.Sequential)
    assert classes == ["cat", "dög"]
    assert found == extra | {"names": list(extra["names"])}
    images = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    np.testing.assert_array_equal(loaded(images), transform(images))
    assert loaded.config() == transform.config()


def test_integer_classes_stay_integers(path):
    checkpoint.save(path, small_model(), classes=np.array([3, 7]))
    assert checkpoint.load(path).classes == [3, 7]


def test_shared_parameters_stay_shared(path):
    model = nn.Sequential(nn.Linear(3, 3, rng=0), nn.ReLU(), nn.Linear(3, 3, rng=1))
    model[2].weight = model[0].weight
    checkpoint.save(path, model)
    loaded = checkpoint.load(path).model
    assert loaded[2].weight is loaded[0].weight
    assert loaded[2].bias is not loaded[0].bias
    assert len(list(loaded.parameters())) == 3


def test_any_strides_are_saved_by_value(path):
    numbers = draws((4, 6))
    for name, array in {
        "transposed": numbers.T,
        "backwards": numbers[::-1, ::-2],
        "repeated": np.broadcast_to(numbers[0], (3, 6)),
        "empty": numbers[:, :0],
        "single": np.float32(3),
    }.items():
        files.write(path, "test", {name: array}, {})
        found = files.read(path, "test", "test", "test")[1][name]
        assert found.shape == np.shape(array)
        np.testing.assert_array_equal(found, array)


def test_the_file_is_safetensors_and_the_same_every_time(path, tmp_path):
    model = small_model()
    checkpoint.save(path, model, classes=["cat", "dog"])
    other = tmp_path / "other"
    checkpoint.save(other, model, classes=["cat", "dog"])
    assert path.read_bytes() == other.read_bytes()
    with safetensors.safe_open(path, framework="np") as file:
        assert set(file.keys()) == model.state_dict().keys()
        content = json.loads(file.metadata()["minicnn"])["content"]
    assert content["classes"] == ["cat", "dog"]
    assert content["architecture"]["children"]["1"] == {
        "kind": "Linear",
        "arguments": {"in_features": 3, "out_features": 2, "bias": True, "dtype": "float32"},
    }
