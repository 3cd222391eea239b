"""Hooks see the real arrays, may replace the result, come off again, and survive copies."""

import copy
import pickle

import numpy as np

from minicnn import nn
from minicnn.nn.hooks import Watched


def double(module, first, second):
    """Return twice the result of either pass: the output is what comes second, the input's gradient first."""
    return 2 * (second if isinstance(module, nn.Tanh) else first)


def test_hooks_get_the_real_arrays_in_torchs_order():
    layer, seen = nn.ReLU(), []
    layer.register_forward_hook(lambda *arguments: seen.append(arguments))
    layer.register_full_backward_hook(lambda *arguments: seen.append(arguments))
    input, grad_output = np.float32([3, -4]), np.float32([10, 20])
    output = layer(input)
    grad_input = layer.backward(grad_output)
    assert all(a is b for a, b in zip(seen[0], (layer, input, output), strict=True))
    assert all(a is b for a, b in zip(seen[1], (layer, grad_input, grad_output), strict=True))
    np.testing.assert_array_equal(output, [3, 0])
    np.testing.assert_array_equal(grad_input, [10, 0])


def test_hooks_inside_a_model_run_in_order():
    model, seen = nn.Sequential(nn.Flatten(), nn.Sequential(nn.ReLU())), []
    for name, module in model.named_modules():
        module.register_forward_hook(lambda module, input, output, name=name: seen.append(name))
        module.register_full_backward_hook(
            lambda module, first, second, name=name: seen.append(f"back {name}")
        )
    model.backward(model(np.ones((1, 2))))
    assert seen == ["0", "1.0", "1", "", "back 1.0", "back 1", "back 0", "back "]


def test_what_a_hook_returns_takes_the_place_of_the_result():
    layer = nn.Tanh()
    layer.register_forward_hook(double)
    layer.register_forward_hook(double)
    np.testing.assert_array_equal(layer(np.array([0, np.inf])), [0, 4])
    layer = nn.ReLU()
    layer.register_full_backward_hook(double)
    layer(np.ones(2))
    np.testing.assert_array_equal(layer.backward(np.array([1.0, 5])), [2, 10])


def test_a_hook_comes_off():
    layer, seen = nn.ReLU(), []
    assert "forward" not in vars(layer)
    first = layer.register_forward_hook(lambda *_: seen.append("first"))
    second = layer.register_forward_hook(lambda *_: seen.append("second"))
    assert "forward" in vars(layer)
    layer(np.ones(1))
    first.remove()
    first.remove()
    layer(np.ones(1))
    second.remove()
    layer(np.ones(1))
    assert seen == ["first", "second", "second"]
    assert "forward" not in vars(layer)


def test_with_block_takes_it_off_after_an_error():
    layer = nn.ReLU()
    try:
        with layer.register_forward_hook(lambda *_: 1 / 0):
            layer(np.ones(1))
    except ZeroDivisionError:
        pass
    np.testing.assert_array_equal(layer(np.ones(1)), [1])


def test_a_hook_may_take_itself_off():
    layer, seen = nn.ReLU(), []

    def once(module, input, output):
        seen.append("once")
        handle.remove()

    handle = layer.register_forward_hook(once)
    layer.register_forward_hook(lambda *_: seen.append("always"))
    layer(np.ones(1)), layer(np.ones(1))
    assert seen == ["once", "always", "always"]


def test_what_stood_there_before_stays():
    layer, seen = nn.ReLU(), []
    original = layer.forward
    layer.forward = lambda input: (seen.append("before"), original(input))[1]
    before = vars(layer)["forward"]
    with layer.register_forward_hook(lambda *_: seen.append("hook")):
        layer(np.ones(1))
    assert vars(layer)["forward"] is before
    layer(np.ones(1))
    assert seen == ["before", "hook", "before"]


def test_copies_keep_their_own_hooks():
    model = nn.Sequential(nn.Tanh())
    handle = model[0].register_forward_hook(double)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert isinstance(vars(twin[0])["forward"], Watched)
        assert vars(twin[0])["forward"].module is twin[0]
        np.testing.assert_array_equal(twin(np.array([[np.inf]])), [[2]])
    handle.remove()
    np.testing.assert_array_equal(twin(np.array([[np.inf]])), [[2]])
    np.testing.assert_array_equal(model(np.array([[np.inf]])), [[1]])


def test_state_is_not_touched():
    layer = nn.Linear(2, 1)
    layer.register_forward_hook(double)
    assert sorted(layer.state_dict()) == ["bias", "weight"]
    assert layer.children() == {}
    assert repr(layer) == "Linear(2, 1, bias=True)"
