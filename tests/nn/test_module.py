"""Module and Parameter: layers of one's own, parameters and their gradients, messages for wrong use."""

import copy

import numpy as np
import pytest
import torch

from minicnn import nn
from minicnn.nn import Parameter
from tests.helpers import assert_gradients, assert_same_sum, draws, raises


class Scale(nn.Module):
    """A layer of one's own: multiply each feature by a learned factor."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.factor = Parameter(np.arange(1.0, features + 1))

    def forward(self, input):
        output = input * self.factor.data
        self.save(output, input=input)
        return output

    def backward(self, grad_output):
        input = self.recall(grad_output)["input"]
        self.factor.accumulate((grad_output * input).sum(axis=0))
        return grad_output * self.factor.data


class TwoHeads(nn.Module):
    """A model of one's own, with two paths."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = Scale(3)
        self.left, self.right = nn.Tanh(), nn.Sequential(nn.SiLU())

    def forward(self, input):
        scaled = self.scale(input)
        return self.left(scaled) + self.right(scaled)

    def backward(self, grad_output):
        return self.scale.backward(self.left.backward(grad_output) + self.right.backward(grad_output))


# Layers and models of one's own


def test_own_layer_by_hand():
    layer = Scale(2)
    np.testing.assert_array_equal(layer(np.array([[3.0, 4], [5, 6]])), [[3, 8], [5, 12]])
    np.testing.assert_array_equal(layer.backward(np.array([[1.0, 10], [2, 0]])), [[1, 20], [2, 0]])
    np.testing.assert_array_equal(layer.factor.grad, [13, 40])  # 1·3 + 2·5, 10·4


def test_own_model():
    model = TwoHeads()
    assert_gradients(model, draws((4, 3)))
    assert [name for name, _ in model.named_modules()] == ["", "scale", "left", "right", "right.0"]
    assert [name for name, _ in nn.Sequential(model).named_parameters()] == ["0.scale.factor"]
    assert model.right[0].who == 'SiLU "0.right.0"'


def test_only_the_base_class_lacks_forward_and_backward():
    with raises(TypeError, "Module: forward is missing. Got a module without one. Define forward(input)."):
        nn.Module()(np.ones(1))
    with raises(
        TypeError, "Module: backward is missing. Got a module without one. Define backward(grad_output)."
    ):
        nn.Module().backward(np.ones(1))


@pytest.mark.parametrize("part", [nn.ReLU, lambda: Parameter(np.ones(1))])
def test_forgotten_super_init(part):
    class Forgetful(nn.Module):
        def __init__(self):
            self.inner = part()

    with raises(
        RuntimeError,
        "Forgetful: a module needs its base before its parts. Got 'inner' first. "
        "Call super().__init__() at the top of __init__.",
    ):
        Forgetful()


def test_add_module():
    model = nn.Module()
    model.add_module("left", nn.ReLU())
    assert model.left.who == 'ReLU "left"'
    with raises(
        ValueError, "Module: a child needs a free name without a dot. Got 'train'. Choose another name."
    ):
        model.add_module("train", nn.ReLU())
    with raises(
        TypeError,
        "Module: child 'right' must be a minicnn module. Got int. "
        "Pass layers such as nn.ReLU() (with the brackets).",
    ):
        model.add_module("right", 3)


# Parameters


def test_parameter():
    data = np.ones((2, 3), np.float32)
    parameter = Parameter(data)
    assert parameter.data is data
    assert parameter.grad is None
    assert repr(parameter) == "Parameter(shape=(2, 3), dtype=float32)"
    with raises(
        TypeError,
        "Parameter: data must be float32 or float64. Got int64. Convert it with .astype(np.float32).",
    ):
        Parameter(np.ones(2, int))
    with raises(
        ValueError,
        "Parameter: data must keep its shape (2, 3). Got (3, 2). Build a layer of the other size.",
    ):
        parameter.data = parameter.data.T
    assert parameter.data is data
    parameter.data = data + 1
    assert parameter.data is not data


BUILT_FOR = [
    (nn.Linear(2, 3), (1, 2), "weight", "Linear", (3, 2)),
    (nn.Linear(2, 3), (1, 2), "bias", "Linear", (3,)),
    (nn.Conv2d(2, 4, (3, 1), groups=2), (1, 2, 4, 4), "weight", "Conv2d", (4, 1, 3, 1)),
    (nn.Conv2d(2, 4, 1), (1, 2, 4, 4), "bias", "Conv2d", (4,)),
    (nn.BatchNorm2d(2), (1, 2, 4, 4), "weight", "BatchNorm2d", (2,)),
    (nn.BatchNorm1d(2), (4, 2), "bias", "BatchNorm1d", (2,)),
    (nn.GroupNorm(1, 2), (4, 2), "weight", "GroupNorm", (2,)),
    (nn.GroupNorm(1, 2), (4, 2), "bias", "GroupNorm", (2,)),
]


@pytest.mark.parametrize(
    ("layer", "input_shape", "name", "who"),
    [*(case[:4] for case in BUILT_FOR if "Norm" in case[3]), (nn.PReLU(2), (4, 2), "weight", "PReLU")],
)
def test_a_parameter_that_was_taken_away_is_missed_in_a_sentence(layer, input_shape, name, who):
    layer, images = copy.deepcopy(layer), np.ones(input_shape, np.float32)
    setattr(layer, name, None)
    message = f"{name} must be a Parameter. Got None. Set it to one, such as that of a new layer."
    with raises(TypeError, f"{who}: {message}"):
        layer(images)
    with raises(TypeError, f'{who} "0": {message}'):
        nn.Sequential(layer)(images)


@pytest.mark.parametrize(("layer", "input_shape", "name", "who", "shape"), BUILT_FOR)
def test_a_parameter_of_another_shape_is_refused_before_any_kernel_reads_it(
    layer, input_shape, name, who, shape
):
    layer, images = copy.deepcopy(layer), np.ones(input_shape, np.float32)
    setattr(layer, name, Parameter(np.ones((1, 1), np.float32)))
    message = f"{name} must have shape {shape}, as the layer was built. Got (1, 1). Build a layer of the other size."
    with raises(ValueError, f"{who}: {message}"):
        layer(images)
    with raises(ValueError, f'{who} "0": {message}'):
        nn.Sequential(layer)(images)


def test_statistics_of_another_shape_are_refused():
    layer = nn.BatchNorm1d(2).eval()
    layer.running_var = np.ones(1, np.float32)
    with raises(
        ValueError,
        "BatchNorm1d: running_var must have shape (2,), as the layer was built. Got (1,). "
        "Build a layer of the other size.",
    ):
        layer(np.ones((4, 2), np.float32))


def test_two_rounds_accumulate_as_in_torch():
    layer, theirs = nn.Linear(4, 3, dtype=np.float64, rng=0), torch.nn.Linear(4, 3).double()
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in layer.state_dict().items()})
    for seed in range(2):
        input, grad_output = draws((5, 4), seed=seed), draws((5, 3), seed=seed + 10)
        layer(input)
        layer.backward(grad_output)
        theirs(torch.from_numpy(input)).backward(torch.from_numpy(grad_output))
    assert_same_sum(layer.weight.grad, theirs.weight.grad.numpy())
    assert_same_sum(layer.bias.grad, theirs.bias.grad.numpy())
    layer.zero_grad()
    assert layer.weight.grad is None
    assert layer.bias.grad is None


def test_a_kept_gradient_does_not_grow():
    layer = nn.Linear(2, 1, rng=0)
    layer.backward(layer(np.ones((1, 2), np.float32)))
    kept, before = layer.weight.grad, layer.weight.grad.copy()
    layer.backward(layer(np.ones((1, 2), np.float32)))
    np.testing.assert_array_equal(kept, before)
    assert (layer.weight.grad != before).all()


def test_a_shared_parameter_gets_both_gradients():
    model = nn.Sequential(nn.Linear(3, 3, bias=False, rng=0), nn.Tanh(), nn.Linear(3, 3, bias=False, rng=1))
    model.astype(np.float64)
    model[2].weight = model[0].weight
    assert [name for name, _ in model.named_parameters()] == ["0.weight"]
    assert_gradients(model, draws((4, 3)))


def test_shared_state_has_torchs_names():
    def build(library):
        model = library.Sequential(library.Linear(3, 3, bias=False), library.Linear(3, 3, bias=False))
        model[1].weight = model[0].weight
        return model

    ours, theirs = build(nn), build(torch.nn)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    np.testing.assert_array_equal(ours[1].weight.data, theirs[0].weight.detach().numpy())


def test_a_module_under_two_names_is_walked_once():
    model = nn.Module()
    model.first = model.second = nn.Linear(2, 1)
    assert [name for name, _ in model.named_modules()] == ["", "first"]
    assert len(list(model.parameters())) == 2
    assert list(model.state_dict()) == ["first.weight", "first.bias", "second.weight", "second.bias"]


# Order and form of backward


def test_backward_errors_name_the_module():
    model = nn.Sequential(nn.Sequential(nn.Tanh()))
    who = 'Tanh "0.0"'
    with raises(
        RuntimeError, f"{who}: backward needs a forward first. Call model(x), then the loss, then backward."
    ):
        model.backward(np.ones(2))
    model(np.ones((2, 3)))
    with raises(
        ValueError,
        f"{who}: grad_output must have the output's shape (2, 3). Got (3, 2). "
        "Pass the gradient of the last forward's output.",
    ):
        model.backward(np.ones((3, 2)))
    with raises(
        TypeError,
        f"{who}: grad_output must be float64, as the output is. Got float32. "
        "Convert it with .astype(np.float64).",
    ):
        model.backward(np.ones((2, 3), np.float32))
    with raises(
        TypeError, f"{who}: grad_output must be a NumPy array. Got float. Convert it with np.asarray."
    ):
        model.backward(1.0)


def test_a_replaced_child_learns_its_name():
    model = nn.Sequential(nn.Sequential(nn.ReLU(), nn.ReLU()))
    setattr(model[0], "1", nn.Sequential(nn.Tanh()))
    assert model[0][1][0].who == 'Tanh "0.1.0"'


@pytest.mark.parametrize("layer", [nn.Flatten(), nn.Reshape((1, 6)), nn.Squeeze()], ids=repr)
def test_what_is_no_array_is_refused_on_the_way_back_too(layer):
    layer = copy.deepcopy(layer)
    output = layer(np.ones((1, 2, 3), np.float32))
    with raises(
        TypeError,
        f"{type(layer).__name__}: grad_output must be a NumPy array. Got list. Convert it with np.asarray.",
    ):
        layer.backward(output.tolist())
