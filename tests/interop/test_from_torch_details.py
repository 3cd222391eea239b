"""from_torch in particular: modes, shapes, dropout, shared and unused layers; the model itself stays as it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minicnn import checkpoint, nn
from minicnn.inspection import trace
from minicnn.interop.torch import from_torch
from tests.helpers import assert_matches_torch, draws
from tests.interop.test_from_torch import built


class Says(torch.nn.Module):
    """A net that does what a function says."""

    def __init__(self, function, **layers) -> None:
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x):
        return self.function(self, x)


def converted(function, shape, **layers) -> nn.Module:
    """Return the model for a function, once it agrees with torch."""
    module = Says(function, **layers).double()
    model = from_torch(module, np.zeros(shape))
    assert_matches_torch(model, module, draws(shape))
    return model


# Shapes


@pytest.mark.parametrize(
    "view",
    [
        lambda self, x: x.view(x.size(0), -1),
        lambda self, x: x.view(x.shape[0], 12),
        lambda self, x: x.view(-1, 12),
        lambda self, x: x.reshape((x.size(dim=0), 12)),
        lambda self, x: x.reshape(x.dim() - 4 + x.size(0), -1),
        lambda self, x: torch.flatten(x, start_dim=1),
        lambda self, x: x.flatten(1),
        lambda self, x: x.view(-1, x.size(1) * x.size(2) * x.size(3)),
    ],
)
def test_every_way_to_flatten_is_a_flatten(view):
    model = converted(view, (2, 3, 2, 2))
    assert isinstance(model, nn.Sequential)
    assert isinstance(model[0], nn.Flatten)


def test_sizes_by_unpacking():
    def function(self, x):
        n, c, h, w = x.shape
        return x.view(n * c, h, w).reshape(n, c, h * w)

    model = converted(function, (2, 3, 2, 2))
    assert [layer.shape for layer in model] == [(-1, 2, 2), (-1, 3, 4)]
    assert model(np.zeros((5, 3, 2, 2))).shape == (5, 3, 4)


@pytest.mark.parametrize("part", [slice(-2, None), slice(2, None), slice(2, 4)])
def test_height_and_width_are_not_the_batch(part):
    def function(self, x):
        height, width = x.shape[part]
        return x.reshape(x.shape[:2][0], x.shape[:2][1] * height, width)

    model = converted(function, (2, 3, 2, 2))
    assert model[0].shape == (0, 6, 2)


def test_a_view_that_mixes_images_stays_one():
    model = converted(
        lambda self, x: x.view(-1, 6), (2, 3, 2, 2)
    )  # 12 numbers an image: a slip of its writer
    assert model(np.zeros((2, 3, 2, 2))).shape == (4, 6)


def test_softmax_without_an_axis_takes_torchs():
    model = converted(lambda self, x: self.last(F.softmax(x, dim=1)), (2, 3), last=torch.nn.LogSoftmax(dim=1))
    assert [layer.dim for layer in model] == [1, 1]
    module = torch.nn.Sequential(torch.nn.Softmax())
    assert [from_torch(module, np.zeros(shape))[0].dim for shape in ((2, 3), (2, 3, 4))] == [1, 0]


# Arguments of forward


class Chooses(torch.nn.Module):
    """A forward whose second argument is left to its default."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 2, 3)

    def forward(self, x=None, features=False, *, scale=2, end=None):
        maps = F.relu(self.conv(x)) * scale
        if features:
            return maps
        return maps.flatten(1, -1 if end is None else end)


def test_an_argument_with_a_default_is_a_constant():
    module = Chooses().double()
    model = from_torch(module, np.zeros((2, 3, 4, 4)))
    assert_matches_torch(model, module, draws((2, 3, 4, 4)))
    assert [type(layer) for layer in model] == [nn.Conv2d, nn.ReLU, nn.Affine, nn.Flatten]


# Modes


def test_functional_dropout_follows_the_model():
    def function(self, x):
        return F.dropout(x, 0.3, training=self.training)

    module = Says(function)
    model = from_torch(module, np.zeros((2, 3)))
    assert isinstance(model[0], nn.Dropout)
    assert (model[0].p, model[0].training) == (0.3, True)
    model = from_torch(module.eval(), np.zeros((2, 3)))
    assert (model[0].training, model.train()[0].training) == (False, True)


def test_dropout_that_is_always_on():
    model = from_torch(Says(lambda self, x: F.dropout(x)).eval(), np.zeros((2, 3)))
    assert (model.training, model[0].training) == (False, True)


def test_layers_keep_modes_of_their_own():
    module, input = built("small VGG")
    module.train()
    module.features[1].eval()
    model = from_torch(module, input)
    theirs = {name: layer.training for name, layer in module.named_modules()}
    ours = {name: layer.training for name, layer in model.named_modules()}
    assert {name: ours[name] for name in theirs} == theirs


# Layers


def test_a_layer_under_two_names():
    layer = torch.nn.Linear(3, 3)
    model = converted(lambda self, x: self.b(torch.tanh(self.a(x))), (2, 3), a=layer, b=layer)
    assert sorted(model.state_dict()) == ["a.bias", "a.weight", "b.bias", "b.weight"]
    assert len(list(model.parameters())) == 2


def num_flat_features(x):
    """As the tutorial of many a LeNet has it."""
    count = 1
    for size in x.size()[1:]:
        count *= size
    return count


def asserted(self, x):
    assert x.dim() == len(x.shape) == 4
    assert x.shape[1:] == (2, 3, 5), "images of another size"
    x = self.norm(x)
    if x.shape[-1] % 2:
        x = F.pad(x, (0, 1, 0, 0))
    return torch.tanh(x)


@pytest.mark.parametrize(
    ("forward", "last"),
    [
        (lambda self, x: x.view(-1, num_flat_features(x)), nn.Flatten),
        (lambda self, x: torch.tanh(x).reshape(*x.shape[:2], -1), nn.Reshape),
        (lambda self, x: torch.tanh(x.flatten(1)).reshape(*x.shape), nn.Reshape),
        (lambda self, x: x.reshape(x.size(x.dim() - 4), -1), nn.Flatten),
        (lambda self, x: x.reshape(x.shape[x.dim() - 4], 6, -1), nn.Reshape),
        (asserted, nn.Tanh),
        (lambda self, x: torch.tanh(x) if x.shape[x.dim() - 1] == x.size(x.dim() - 1) else x, nn.Tanh),
        (lambda self, x: torch.tanh(x) if x.shape[x.dim() - 2 :] == (3, 5) else x, nn.Tanh),
    ],
)
def test_decisions_on_the_shape_of_an_image_are_those_of_the_example(forward, last):
    layers = {"norm": torch.nn.BatchNorm2d(2)} if forward is asserted else {}
    model = converted(forward, (2, 2, 3, 5), **layers)
    assert type(list(model.children().values() or [model])[-1]) is last
    for count in (1, 7):
        assert_matches_torch(model, Says(forward, **layers).double(), draws((count, 2, 3, 5)))


def test_layers_may_be_given_their_input_by_name():
    body = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Tanh())
    model = converted(
        lambda self, x: self.fc(input=self.body(input=x)), (2, 3), body=body, fc=torch.nn.Linear(3, 2)
    )
    assert sorted(model.state_dict()) == ["body.0.bias", "body.0.weight", "fc.bias", "fc.weight"]


def test_tied_weights_stay_tied():
    first, second = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
    second.weight = first.weight
    model = converted(lambda self, x: self.b(self.a(x)), (2, 3), a=first, b=second)
    assert model.a.weight is model.b.weight


def test_layers_that_are_not_called_come_along():
    spare = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    module = Says(lambda self, x: torch.relu(x), spare=spare)
    model = from_torch(module, np.zeros((2, 3), np.float32))
    assert model.state_dict().keys() == module.state_dict().keys()
    np.testing.assert_array_equal(model(np.float32([[-1, 2, 3]])), [[0, 2, 3]])


def test_a_forward_that_returns_its_input():
    model = from_torch(Says(lambda self, x: x), np.zeros((2, 3)))
    assert isinstance(model, nn.Identity)


def test_calls_without_effect_are_left_out():
    model = converted(lambda self, x: torch.tanh(x).contiguous().to(torch.float64).clone(), (2, 3))
    assert [type(layer) for layer in model] == [nn.Tanh]


def test_what_the_output_does_not_need_is_left_out():
    def function(self, x):
        torch.sigmoid(x)
        return torch.tanh(x)

    assert [type(layer) for layer in converted(function, (2, 3))] == [nn.Tanh]


def test_a_function_called_as_a_layer_is_gets_another_name():
    model = converted(lambda self, x: self.relu(F.relu(x)), (2, 3), relu=torch.nn.ReLU())
    assert set(model.children()) >= {"relu"}
    assert len(model) == 2


def test_padding_layers():
    for kind, mode in (("ZeroPad2d", "zeros"), ("ReflectionPad2d", "reflect"), ("CircularPad2d", "circular")):
        layer = getattr(torch.nn, kind)((1, 0, 0, 1))
        model = converted(lambda self, x: self.pad(x), (2, 1, 3, 3), pad=layer)
        assert (model[0].mode, model[0].padding) == (mode, (1, 0, 0, 1))
    model = converted(lambda self, x: self.pad(x), (2, 1, 3, 3), pad=torch.nn.ConstantPad2d(1, 2.5))
    assert model[0].value == 2.5


# The model stays as it is, and what comes of it is whole


@pytest.mark.parametrize("training", [True, False])
def test_the_torch_model_stays_as_it_is(training):
    module, input = built("small VGG")
    module.train(training)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    state = torch.get_rng_state()
    model = from_torch(module, torch.from_numpy(input))
    model.state_dict()
    for parameter in model.parameters():
        parameter.data += 1
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert module.training is training
    assert all(parameter.grad is None for parameter in module.parameters())


@pytest.mark.parametrize("name", ["ResNet-18", "Inception", "shared"])
def test_it_is_traced_explained_and_saved(name, tmp_path):
    module, input = built(name)
    model = from_torch(module, input)
    rng = np.random.default_rng(0)
    t = trace(model, input, rng.integers(3, size=len(input)))
    for step in t.steps[::5]:
        index = tuple(int(rng.integers(n)) for n in np.shape(step.output))
        assert t.explain(step.name, index).ok
    checkpoint.save(tmp_path / "model.safetensors", model)
    loaded = checkpoint.load(tmp_path / "model.safetensors").model
    np.testing.assert_array_equal(loaded(input), model.eval()(input))
