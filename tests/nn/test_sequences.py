"""What happens to a model between forward and backward: copied, changed, watched. Backward goes by the forward."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from minicnn import nn, no_grad
from tests.helpers import draws, raises


def small_net():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, rng=0),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, rng=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16, 4, rng=2),
    )


def images_of(seed=0):
    return draws((3, 1, 8, 8), np.float32, seed)


def gradients(model, grad_output):
    """Return the gradients of input and parameters, from the last forward."""
    model.zero_grad()
    return [model.backward(grad_output), *(parameter.grad for parameter in model.parameters())]


def same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


# Copies


@pytest.mark.parametrize("twin_of", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_net_is_copied_between_forward_and_backward(twin_of):
    model, images, grad = small_net(), images_of(), draws((3, 4), np.float32, 1)
    for _ in range(3):
        with no_grad():
            model(images)
    output = model(images)
    twin = twin_of(model)
    same(gradients(twin, grad), gradients(model, grad))
    for _ in range(3):
        same([twin(images)], [output])
        with no_grad():
            same([twin(images)], [output])


# What has changed since the forward


LAYERS = {
    "alone": lambda: nn.Conv2d(2, 4, 3, padding=1, rng=0),
    "reflected": lambda: nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect", rng=0),
    "in a net": lambda: nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, rng=0), nn.ReLU()),
}
EDITS = {
    "stride": (5, 5),
    "padding": (0, 0),
    "dilation": (1000, 1000),
    "groups": 2,
    "padding_mode": "circular",
}


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("place", LAYERS)
def test_backward_has_the_geometry_of_the_forward(place, name):
    model, images, grad = LAYERS[place](), draws((2, 2, 9, 9), np.float32), draws((2, 4, 9, 9), np.float32, 1)
    model(images)
    expected = gradients(model, grad)
    model(images)
    conv = model if isinstance(model, nn.Conv2d) else model[0]
    setattr(conv, name, EDITS[name])
    same(gradients(model, grad), expected)


@pytest.mark.parametrize("layer", [nn.Conv2d(2, 3, 3, rng=0), nn.Linear(5, 4, rng=0)])
def test_backward_has_the_weight_of_the_forward(layer):
    """A kernel that took another weight's shape for this one's would read what is not there."""
    images = draws((2, 2, 5, 5), np.float32)
    output = layer(images)
    expected = layer.backward(np.ones_like(output))
    layer(images)
    layer.weight = nn.Linear(70, 90).weight
    np.testing.assert_array_equal(layer.backward(np.ones_like(output)), expected)
    assert layer.weight.grad.shape != layer.weight.data.shape  # an optimizer will say so


def two_layers(pools):
    layers = [nn.Conv2d(1, 1, 1, bias=False), nn.ReLU(), *(nn.MaxPool2d(2) for _ in range(pools))]
    layers[0].weight.data[...] = 1
    return nn.Sequential(*layers)


def watch(layer):
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: None)


WATCHES = {
    "nobody": lambda net: None,
    "ReLU": lambda net: watch(net[1]),
    "all": lambda net: [*map(watch, net)],
}


@pytest.mark.parametrize("who", WATCHES)
@pytest.mark.parametrize("change", ["weight", "image"])
def test_relu_lets_through_what_it_let_through(who, change):
    """By hand: 3 passes, -4 does not, whatever has become of weight and image since."""
    net, image = two_layers(pools=0), np.float32([[[[3, -4]]]])
    net(image)
    (net[0].weight.data if change == "weight" else image)[...] *= -1
    WATCHES[who](net)
    sign = -1 if change == "weight" else 1
    np.testing.assert_array_equal(net.backward(np.float32([[[[10, 20]]]])), [[[[sign * 10, 0]]]])


def test_relu_by_itself():
    net = two_layers(pools=0)
    net(np.float32([[[[3, -4]]]]))
    net[0].weight.data *= -1
    np.testing.assert_array_equal(net[1].backward(np.float32([[[[10, 20]]]])), [[[[10, 0]]]])


def test_pooling_by_itself_as_it_was():
    net = two_layers(pools=1)
    net(np.float32([[[[3, -4], [5, 1]]]]))
    net[2].stride, net[2].kernel_size = (1, 1), (1, 1)
    np.testing.assert_array_equal(net[2].backward(np.float32([[[[10]]]])), [[[[0, 0], [10, 0]]]])
    np.testing.assert_array_equal(net[1].saved["output"], [[[[3, 0], [5, 1]]]])


@pytest.mark.parametrize("place", [1, 2])
def test_what_cannot_be_told_any_more(place):
    """Before pooling only winners are kept; ReLU's output is computed again, from what is there."""
    net, image = two_layers(pools=1), np.float32([[[[3, -4], [5, 1]]]])
    net(image)
    net[0].weight.data *= -1
    grad = np.ones((1, 1, 2, 2) if place == 1 else (1, 1, 1, 1), np.float32)
    name = ["ReLU", "MaxPool2d"][place - 1]
    with raises(
        RuntimeError,
        f'{name} "{place}": backward by itself needs the numbers of the last forward, computed once more. Got other '
        'ones, for the image, the output or a parameter of Conv2d "0" has changed since. Call model(x) again.',
    ):
        net[place].backward(grad)
    np.testing.assert_array_equal(net.backward(np.float32([[[[10]]]])), [[[[0, 0], [-10, 0]]]])


# Attributes that are set by hand


def test_attributes_as_in_the_constructor():
    images = draws((2, 2, 9, 9), np.float32)
    for layer, settings in [
        (nn.Conv2d(2, 4, 3, rng=0), {"stride": 2, "padding": 1, "dilation": [2, 1]}),
        (nn.MaxPool2d(3), {"kernel_size": 2, "stride": None, "padding": [1, 0], "dilation": np.int64(2)}),
        (nn.AvgPool2d(3), {"kernel_size": [2, 3], "stride": 1, "padding": 1}),
    ]:
        layer(images)
        for name, value in settings.items():
            setattr(layer, name, value)
        more = (2, 4, 3) if isinstance(layer, nn.Conv2d) else ()
        built = type(layer)(*more, **settings)
        if more:
            built.load_state_dict(layer.state_dict())
        np.testing.assert_array_equal(layer(images), built(images))
        assert repr(layer) == repr(built)
        np.testing.assert_array_equal(nn.Sequential(layer)(images), built(images))


REFUSED = {
    "stride (0, 0)": (
        nn.Conv2d,
        "stride",
        (0, 0),
        ValueError,
        "stride must be at least 1. Got 0. Pass a larger number.",
    ),
    "padding by a name": (
        nn.Conv2d,
        "padding",
        "sam",
        ValueError,
        'padding must be an int, a pair, "same" or "valid". Got \'sam\'. Choose one of these.',
    ),
    "negative padding": (
        nn.Conv2d,
        "padding",
        (-1, -1),
        ValueError,
        "padding must be at least 0. Got -1. Pass a larger number.",
    ),
    "a mode": (
        nn.Conv2d,
        "padding_mode",
        "wrap",
        ValueError,
        "padding_mode must be one of zeros, reflect, replicate, circular. Got 'wrap'. Choose one of these.",
    ),
    "padding of a maximum": (
        nn.MaxPool2d,
        "padding",
        (7, 7),
        ValueError,
        "padding must be at most half the kernel size. Got padding (7, 7) for kernel (2, 2). Use less padding.",
    ),
    "an empty window": (
        nn.AvgPool2d,
        "kernel_size",
        (0, 0),
        ValueError,
        "kernel_size must be at least 1. Got 0. Pass a larger number.",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_attributes_that_mean_nothing(name):
    kind, attribute, value, error, message = REFUSED[name]
    layer, images = kind(1, 1, 3) if kind is nn.Conv2d else kind(2), draws((2, 1, 9, 9), np.float32)
    net = nn.Sequential(layer)
    for model in (layer, net):
        model(images)
    setattr(layer, attribute, value)
    for model in (layer, net):
        with raises(error, f'{kind.__name__} "0": {message}'):
            model(images)


@pytest.mark.parametrize("value", [np.zeros((4, 2, 3, 3), np.float32), 3])
def test_only_parameters_take_the_place_of_parameters(value):
    layer = nn.Conv2d(2, 4, 3)
    with raises(
        TypeError,
        f"Conv2d: weight must be a Parameter or None. Got {type(value).__name__}. "
        "Set weight.data to give it other numbers.",
    ):
        layer.weight = value


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(2, 4, 3), (1, 2, 5, 5)),
        (nn.Conv2d(2, 4, 1), (1, 2, 9, 9)),
        (nn.Conv2d(4, 4, 3, groups=4), (1, 4, 5, 5)),
        (nn.Linear(5, 4), (2, 5)),
        (nn.BatchNorm1d(5), (2, 5)),
    ],
)
@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_bias_of_another_dtype(layer, shape, before):
    """float64 is what NumPy gives whoever does not ask; the kernels are compiled for one dtype."""
    model, input = nn.Sequential(copy.deepcopy(layer)), draws(shape, np.float32)
    for _ in range(before):
        model(input)
        with no_grad():
            model(input)
    model[0].bias.data = np.zeros(len(model[0].bias.data))
    message = (
        f'{type(layer).__name__} "0": bias must be float32, as the layer\'s other arrays are. Got float64. '
        "Convert it with .astype(np.float32)."
    )
    with raises(TypeError, message):
        model(input)
    with raises(TypeError, message), no_grad():
        model(input)


# Places


def test_append_after_a_layer_was_removed():
    model = nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Linear(2, 2))
    del model.__dict__["1"]
    assert list(model.append(nn.Tanh()).children()) == ["0", "2", "3"]
    assert list(model[1:].append(nn.ReLU()).children()) == ["2", "3", "4"]


def same_layer_twice():
    """Return models in which a layer stands twice, and where."""
    tanh, inner = nn.Tanh(), nn.Sequential(nn.Linear(2, 2))
    outer = nn.Sequential(inner, tanh)
    inner.append(tanh)
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    model.other = model[1]
    return [(outer, "Tanh", "0.1", "1"), (model, "ReLU", "1", "other")]


@pytest.mark.parametrize("number", range(2))
def test_a_layer_in_two_places(number):
    model, kind, first, second = same_layer_twice()[number]
    with raises(
        ValueError,
        f"Sequential: every place needs a module of its own. Got the same {kind} at {first!r} and {second!r}. "
        "Build a second one, and give it the first one's Parameters.",
    ):
        model(np.ones((1, 2), np.float32))


def test_a_graph_may_call_a_layer_by_two_names():
    """Each call of a Graph keeps what its own backward needs."""
    relu = nn.ReLU()
    graph = nn.Graph([("a", "first", "x"), ("b", "second", "a")], first=relu, second=relu)
    model = nn.Sequential(nn.Linear(2, 2, rng=0), graph)
    output = model(np.float32([[1, -2]]))
    np.testing.assert_array_equal(output, graph(model[0](np.float32([[1, -2]]))))
    model.backward(np.ones_like(output))
    with raises(
        ValueError,
        "Sequential: every place needs a module of its own. Got the same ReLU at '1.first' and '2'. "
        "Build a second one, and give it the first one's Parameters.",
    ):
        model.append(relu)


def test_a_layer_on_both_ways_of_a_residual():
    tanh = nn.Tanh()
    with raises(
        ValueError,
        "Residual: every place needs a module of its own. Got the same Tanh at 'body.1' and 'shortcut'. "
        "Build a second one, and give it the first one's Parameters.",
    ):
        nn.Residual(nn.Sequential(nn.Linear(2, 2), tanh), tanh)


# States


def test_a_state_of_the_models_own_arrays():
    model = nn.Sequential(nn.Linear(2, 2, rng=0), nn.Linear(2, 2, rng=1))
    first, second = (layer.weight.data.copy() for layer in model)
    own = {name: parameter.data for name, parameter in model.named_parameters()}
    model.load_state_dict(own | {"0.weight": own["1.weight"], "1.weight": own["0.weight"]})
    np.testing.assert_array_equal(model[0].weight.data, second)
    np.testing.assert_array_equal(model[1].weight.data, first)


def test_all_of_a_state_or_nothing():
    model = nn.Sequential(nn.Linear(2, 2, rng=0), nn.Linear(2, 2, rng=1))
    before, state = (
        model.state_dict(),
        nn.Sequential(nn.Linear(2, 2, rng=2), nn.Linear(2, 2, rng=3)).state_dict(),
    )
    model[1].weight.data.flags.writeable = False
    with raises(
        ValueError,
        "Sequential: load_state_dict needs arrays that can be written. Got 1.weight, which is read-only. "
        "Replace it by a copy of itself.",
    ):
        model.load_state_dict(state)
    same(model.state_dict().values(), before.values())
