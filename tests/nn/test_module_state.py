"""The state of a module: names and arrays, all or nothing, modes, inference by threads, copies."""

import copy
import pickle
import threading

import numpy as np
import pytest

from minicnn import nn
from tests.helpers import draws, raises


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


# Modes and inference


def test_train_and_eval_reach_every_module():
    model = build()
    assert model.eval() is model
    assert not any(module.training for module in model.modules())
    assert model.train() is model
    assert all(module.training for module in model.modules())
    assert not model.train(False)[0].training


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
