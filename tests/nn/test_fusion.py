"""Layers computed together: the same bits as one by one, and nobody who looks can tell."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from minicnn import kernels, nn
from minicnn.benchmark.nets import NETS
from minicnn.inspection import trace
from minicnn.models import mnist_cnn
from minicnn.nn.fusion import ConvStage, stages_of
from minicnn.nn.stages import Stage
from tests.helpers import draws, raises
from tests.nn.passes import assert_same_bits, one_by_one, together

pytestmark = pytest.mark.skipif(not kernels.FUSES, reason="nothing is fused without the compiler")

ODD = nn.Sequential(
    nn.Conv2d(2, 3, (3, 2), stride=(1, 2), padding=1, padding_mode="reflect", rng=0),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(3, 6, 3, groups=3, bias=False, rng=1),
    nn.ReLU(),
    nn.MaxPool2d(3, stride=1),
)


def kinds(model):
    """Return what the stages of the last forward are made of."""
    return [" ".join(type(layer).__name__ for layer in stage.layers) for stage in model.saved["stages"]]


def test_by_hand():
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.MaxPool2d(2))
    model[0].weight.data[...], model[0].bias.data[...] = 10, -15
    output = model(np.float32([[[[1, 2], [4, 3]]]]))  # -5 5 25 15, of which 25
    assert output.tolist() == [[[[25]]]]
    grad_input = model.backward(np.float32([[[[7]]]]))
    assert grad_input.tolist() == [[[[0, 0], [70, 0]]]]
    assert (model[0].weight.grad.item(), model[0].bias.grad.item()) == (28, 7)  # 7·4, 7


@pytest.mark.parametrize("batch", [0, 1, 5])
@pytest.mark.parametrize("name", NETS)
def test_the_nets_give_the_same_bits(name, batch):
    build, shape = NETS[name].build, NETS[name].image_shape
    model, images = build(rng=0), draws((batch, *shape), np.float32)
    grad = draws(model(images).shape, np.float32, seed=1)
    assert any(len(stage.layers) > 1 for stage in model.saved["stages"])
    assert_same_bits(together(model, images, grad), one_by_one(model, images, grad))


def test_any_convolution_gives_the_same_bits():
    images = draws((3, 2, 13, 25), np.float32)
    grad = draws(ODD(images).shape, np.float32, seed=1)
    assert kinds(ODD) == ["Conv2d ReLU MaxPool2d", "Conv2d ReLU", "MaxPool2d"]
    assert_same_bits(together(ODD, images, grad), one_by_one(ODD, images, grad))
    assert_same_bits([ODD(images[0])], [ODD(images)[0]])  # a single image runs layer by layer


def test_what_is_fused():
    def parts(*layers):
        stages = stages_of(nn.Sequential(*layers))
        return [" ".join(type(layer).__name__ for layer in stage.layers) for stage in stages]

    conv, relu, pool = nn.Conv2d(1, 1, 3), nn.ReLU(), nn.MaxPool2d(2)
    assert parts(conv, relu, pool) == ["Conv2d ReLU MaxPool2d"]
    assert parts(conv, relu, nn.Flatten()) == ["Conv2d ReLU", "Flatten"]
    assert parts(conv, pool, relu) == ["Conv2d", "MaxPool2d", "ReLU"]
    for other in (nn.MaxPool2d(3), nn.MaxPool2d(2, padding=1), nn.MaxPool2d(2, ceil_mode=True)):
        assert parts(conv, relu, other) == ["Conv2d ReLU", "MaxPool2d"]

    class Mine(nn.Conv2d):
        """Somebody's own convolution may do anything."""

    assert parts(Mine(1, 1, 3), relu, pool) == ["Mine", "ReLU", "MaxPool2d"]
    assert [type(stage) for stage in stages_of(nn.Sequential(Mine(1, 1, 3), conv))] == [Stage, ConvStage]
    with relu.register_forward_hook(lambda *arrays: None):
        assert parts(conv, relu, pool) == ["Conv2d", "ReLU", "MaxPool2d"]
    with pool.register_forward_hook(lambda *arrays: None):
        assert parts(conv, relu, pool) == ["Conv2d ReLU", "MaxPool2d"]
    assert parts(conv, relu, pool, nn.MaxPool2d(2), nn.ReLU()) == [
        "Conv2d ReLU MaxPool2d",
        "MaxPool2d",
        "ReLU",
    ]


def test_layers_replaced_and_edited_after_a_forward_are_seen():
    model, images = mnist_cnn(rng=0), draws((2, 1, 28, 28), np.float32)
    model(images)
    model[2].stride = (1, 1)
    model.add_module("5", nn.Identity())
    model.add_module("7", nn.Linear(32 * 27 * 27, 10, rng=1))
    grad = draws(model(images).shape, np.float32, seed=1)
    assert kinds(model)[:4] == ["Conv2d ReLU", "MaxPool2d", "Conv2d ReLU", "Identity"]
    assert_same_bits(together(model, images, grad), one_by_one(model, images, grad))


def test_a_hook_sees_every_layer_and_changes_nothing():
    model, images = mnist_cnn(rng=0), draws((2, 1, 28, 28), np.float32)
    expected, seen = model(images), []
    handles = [layer.register_forward_hook(lambda *arrays: seen.append(arrays)) for layer in model]
    np.testing.assert_array_equal(model(images), expected)
    assert [layer for layer, _, _ in seen] == list(model)
    for (_, _, output), (_, input, _) in pairwise(seen):
        assert output is input
    for handle in handles:
        handle.remove()


def test_a_hook_between_forward_and_backward_is_called():
    model, images = mnist_cnn(rng=0), draws((2, 1, 28, 28), np.float32)
    grad, seen = draws((2, 10), np.float32), []
    expected = one_by_one(model, images, grad)
    model.zero_grad()
    output = model(images)
    with model[1].register_full_backward_hook(lambda *arrays: seen.append(arrays)):
        found = [output, model.backward(grad), *(parameter.grad for parameter in model.parameters())]
    assert len(seen) == 1
    assert_same_bits(found, expected)


def test_layers_that_ran_together_can_go_back_alone():
    model, images = mnist_cnn(rng=0), draws((2, 1, 28, 28), np.float32)
    grad = draws((2, 10), np.float32)
    expected = one_by_one(model, images, grad)
    model.zero_grad()
    output, back = model(images), grad
    for layer in reversed(list(model)):
        back = layer.backward(back)
    assert_same_bits([output, back, *(parameter.grad for parameter in model.parameters())], expected)


def test_layers_used_alone_after_a_whole_run_go_back_from_there():
    model, grad = mnist_cnn(rng=0), draws((2, 10), np.float32)
    first, second = draws((2, 1, 28, 28), np.float32), draws((2, 1, 28, 28), np.float32, seed=5)
    expected = one_by_one(model, second, grad)
    model(first)
    output = second
    for layer in model:
        output = layer(output)
    model.zero_grad()
    found = [output, model.backward(grad), *(parameter.grad for parameter in model.parameters())]
    assert_same_bits(found, expected)


def test_the_trace_sees_the_true_arrays():
    model, images = mnist_cnn(rng=0), draws((2, 1, 28, 28), np.float32)
    t = trace(model, images, targets=np.array([1, 2]))
    np.testing.assert_array_equal(t["2"].input, t["1"].output)
    np.testing.assert_array_equal(t["label"].saved["logits"], model(images))


def test_what_is_fused_follows_every_change():
    """The stages are kept from one forward to the next, until any layer has been changed."""
    model = nn.Sequential(nn.Conv2d(1, 1, 3, rng=0), nn.ReLU(), nn.MaxPool2d(2))

    def parts():
        model(np.ones((1, 1, 8, 8), np.float32))
        return kinds(model)

    assert parts() == parts() == ["Conv2d ReLU MaxPool2d"]
    handle = model[1].register_forward_hook(lambda *_: None)
    assert parts() == ["Conv2d", "ReLU", "MaxPool2d"]
    handle.remove()
    assert parts() == ["Conv2d ReLU MaxPool2d"]
    model[2].stride = (1, 1)
    assert parts() == ["Conv2d ReLU", "MaxPool2d"]
    model.add_module("1", nn.Tanh())
    assert parts() == ["Conv2d", "Tanh", "MaxPool2d"]
    delattr(model, "1")
    assert parts() == ["Conv2d", "MaxPool2d"]
    model.add_module("3", nn.ReLU())
    assert parts() == ["Conv2d", "MaxPool2d", "ReLU"]


def test_a_window_that_does_not_fit_is_the_pooling_layers_to_refuse():
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU(), nn.MaxPool2d(2))
    with pytest.raises(ValueError, match='MaxPool2d "2": '):
        model(np.zeros((1, 1, 3, 5), np.float32))


def test_errors_name_the_layers():
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU(), nn.MaxPool2d(2))
    with raises(
        ValueError,
        'Conv2d "0": input must have 1 channel (axis 1). Got 2 in shape (1, 2, 8, 8). '
        "Build the layer with in_channels=2.",
    ):
        model(np.zeros((1, 2, 8, 8), np.float32))
    model(np.zeros((1, 1, 8, 8), np.float32))
    with raises(
        ValueError,
        'MaxPool2d "2": grad_output must have the output\'s shape (1, 1, 3, 3). Got (1, 1, 2, 2). '
        "Pass the gradient of the last forward's output.",
    ):
        model.backward(np.zeros((1, 1, 2, 2), np.float32))


@pytest.mark.parametrize("name", NETS)
def test_parameters_alone_get_the_same_gradients(name):
    build, shape = NETS[name].build, NETS[name].image_shape
    model, images = build(rng=0), draws((3, *shape), np.float32)
    grad = draws(model(images).shape, np.float32, seed=1)
    expected = together(model, images, grad)[2:]
    model.zero_grad()
    model(images)
    assert model.backward_parameters(grad) is None
    assert_same_bits([parameter.grad for parameter in model.parameters()], expected)


def test_parameters_alone_skip_what_no_parameter_needs():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, rng=0), nn.ReLU())
    calls = []
    flatten_backward = nn.Flatten.backward
    model(np.ones((1, 2, 2), np.float32))
    handle = model[0].register_full_backward_hook(lambda *arrays: calls.append(arrays))
    model.backward_parameters(np.ones((1, 2), np.float32))
    assert calls == []
    assert nn.Flatten.backward is flatten_backward
    handle.remove()
    with model[1].register_full_backward_hook(lambda *arrays: calls.append(arrays)):
        model.backward_parameters(np.ones((1, 2), np.float32))
    assert len(calls) == 1  # who watches sees the gradient of the input
