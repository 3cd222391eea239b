"""Module and Parameter: state, sharing, accumulation, modes, copies, and messages for wrong use."""

import copy
import pickle
import threading

import numpy as np
import pytest
import torch

import minicnn
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


def build(dtype=np.float32) -> nn.Sequential:
    """Return a model with parameters, buffers, a generator, and two levels."""
    features = nn.Sequential(
        nn.Linear(4, 3, dtype=dtype, rng=0), nn.BatchNorm1d(3, dtype=dtype), nn.Dropout(rng=1)
    )
    return nn.Sequential(features, nn.ReLU(), nn.Linear(3, 2, dtype=dtype, rng=2))


def assert_same_state(first: nn.Module, second: nn.Module) -> None:
    """Raise unless both hold the same bits under the same names."""
    state, other = first.state_dict(), second.state_dict()
    assert state.keys() == other.keys(), "names"
    for name, array in state.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name, strict=True)


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


# State


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_state_dict_round_trip(dtype):
    model, other = build(dtype), build(dtype)
    model(draws((5, 4), dtype))  # moves the running statistics
    for parameter in other.parameters():
        parameter.data += 1
    arrays = [parameter.data for parameter in other.parameters()]
    other.load_state_dict(model.state_dict())
    assert_same_state(model, other)
    for parameter, array in zip(other.parameters(), arrays, strict=True):
        assert parameter.data is array  # in place: optimizers keep their hold


def test_state_dict_is_a_copy():
    model = build()
    state = model.state_dict()
    for array in state.values():
        array += 1
    assert_same_state(model, build())


def test_load_state_dict_takes_all_or_nothing():
    model, good = build(), build().state_dict()
    good["0.0.weight"] = good["0.0.weight"] + 1
    bad_states = []
    for name, value in [("2.bias", np.zeros(3, np.float32)), ("2.bias", np.zeros(2)), ("2.bias", None)]:
        state = {**good, name: value}
        if value is None:
            del state[name]
        bad_states.append(state)
    for state in bad_states:
        with pytest.raises((ValueError, TypeError)):
            model.load_state_dict(state)
        assert_same_state(model, build())


def test_load_state_dict_errors():
    model = nn.Sequential(nn.Linear(2, 1))
    weight, bias = np.zeros((1, 2), np.float32), np.zeros(1, np.float32)
    with raises(
        ValueError,
        "Sequential: load_state_dict needs the model's own names. Got missing ['0.bias'], unknown ['0.bais', "
        "'1.weight']. Build the model as it was when it was saved.",
    ):
        model.load_state_dict({"0.weight": weight, "0.bais": bias, "1.weight": weight})
    with raises(
        ValueError,
        "Sequential: load_state_dict needs 0.weight of shape (1, 2). Got (2, 1). "
        "Build the model as it was when it was saved.",
    ):
        model.load_state_dict({"0.weight": weight.T, "0.bias": bias})
    with raises(
        TypeError,
        "Sequential: load_state_dict needs 0.bias as float32. Got float64. "
        "Convert the model first with model.astype(np.float64).",
    ):
        model.load_state_dict({"0.weight": weight, "0.bias": np.zeros(1)})
    with raises(
        TypeError,
        "Sequential: load_state_dict needs a dict of arrays. Got list. Pass what state_dict() returned.",
    ):
        model.load_state_dict([weight, bias])


def test_astype():
    model = build()
    model.backward(model(draws((5, 4), np.float32)))
    before = model.state_dict()
    assert model.astype(np.float64) is model
    for name, array in model.state_dict().items():
        assert array.dtype == (np.int64 if name.endswith("tracked") else np.float64)
        np.testing.assert_array_equal(array, before[name].astype(array.dtype))
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(module.saved == {} for module in model.modules())
    assert model(draws((5, 4))).dtype == np.float64
    assert_same_state(model.astype("float32").astype(np.float32), model)
    with raises(
        TypeError, "Sequential: dtype must be float32 or float64. Got float16. Pass np.float32 or np.float64."
    ):
        model.astype(np.float16)


# Modes


def test_train_and_eval_reach_every_module():
    model = build()
    assert model.eval() is model
    assert not any(module.training for module in model.modules())
    assert model.train() is model
    assert all(module.training for module in model.modules())
    assert not model.train(False)[0].training


def test_no_grad_saves_nothing_and_keeps_the_old():
    layer = nn.ReLU()
    with minicnn.no_grad():
        assert not nn.is_grad_enabled()
        layer(np.ones(3))
    assert nn.is_grad_enabled()
    assert layer.saved == {}
    layer(np.array([1.0, -1]))
    with nn.no_grad():
        layer(np.array([-1.0, 1]))
    np.testing.assert_array_equal(layer.backward(np.array([10.0, 20])), [10, 0])


def test_no_grad_ends_with_an_error_and_nests():
    with pytest.raises(ZeroDivisionError), nn.no_grad(), nn.no_grad():
        raise ZeroDivisionError
    assert nn.is_grad_enabled()
    with nn.no_grad():
        with nn.no_grad():
            pass
        assert not nn.is_grad_enabled()


def test_enable_grad_inside_no_grad():
    layer = nn.ReLU()
    with nn.no_grad():
        with nn.enable_grad():
            layer(np.ones(3))
        assert not nn.is_grad_enabled()
    np.testing.assert_array_equal(layer.backward(np.ones(3)), np.ones(3))


def test_no_grad_holds_for_its_thread_only():
    inside, done, seen = threading.Event(), threading.Event(), []

    def infer():
        with nn.no_grad():
            inside.set()
            done.wait(10)
            seen.append(nn.is_grad_enabled())

    thread = threading.Thread(target=infer)
    thread.start()
    assert inside.wait(10)
    layer = nn.ReLU()
    layer(np.ones(3))
    done.set()
    thread.join()
    assert seen == [False]
    assert "output" in layer.saved


def test_inference_changes_nothing():
    model = build().eval()
    before = {name: dict(vars(module)) for name, module in model.named_modules()}
    with nn.no_grad():
        model(draws((5, 4), np.float32))
    for name, module in model.named_modules():
        assert vars(module).keys() == before[name].keys()
        assert all(vars(module)[key] is value for key, value in before[name].items())
    assert_same_state(model, build())


def test_threads_may_share_a_model_for_inference():
    model, inputs = build().eval(), [draws((50, 4), np.float32, seed) for seed in range(8)]
    with nn.no_grad():
        expected = [model(input) for input in inputs]
    wrong = []

    def infer(place):
        with nn.no_grad():
            outputs = [model(inputs[place]) for _ in range(50)]
        wrong.extend(place for output in outputs if not np.array_equal(output, expected[place]))

    threads = [threading.Thread(target=infer, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


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


# Copies


@pytest.mark.parametrize("twin_of", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_stand_alone(twin_of):
    model = build()
    model(draws((5, 4), np.float32))
    twin = twin_of(model)
    assert_same_state(model, twin)
    assert [module.name for module in twin.modules()] == [module.name for module in model.modules()]
    input = draws((5, 4), np.float32, seed=1)
    np.testing.assert_array_equal(model(input), twin(input))  # the same dropout, too
    model.backward(np.ones((5, 2), np.float32))
    assert all(parameter.grad is None for parameter in twin.parameters())
    next(twin.parameters()).data += 1
    assert (model[0][0].weight.data != twin[0][0].weight.data).all()


def test_copies_keep_sharing():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    twin = copy.deepcopy(model)
    assert twin[1].weight is twin[0].weight
    assert twin[0].weight is not model[0].weight
