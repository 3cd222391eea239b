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
        'ones, for the image or a parameter of Conv2d "0" has changed since. Call model(x) again.',
    ):
        net[place].backward(grad)
    np.testing.assert_array_equal(net.backward(np.float32([[[[10]]]])), [[[[0, 0], [-10, 0]]]])
