"""Training steps played from scores: the same bits as layer by layer, and left to the layers if anything differs."""

from __future__ import annotations

import contextlib
import copy
import gc
import pickle
import threading
import weakref

import numpy as np
import pytest
from numba import config

if config.DISABLE_JIT:
    pytest.skip("nothing is compiled, so nothing is recorded", allow_module_level=True)

from minicnn import kernels, nn, no_grad
from minicnn.benchmark.nets import NETS
from minicnn.kernels.threads import get_num_threads, set_num_threads
from minicnn.nn import lessons, stages
from minicnn.nn.fusion import stages_of
from tests.helpers import draws
from tests.nn.test_replay import images_of, small_net

WHOLE = [True, False]


class Step:
    """Everything that a forward and a backward leave."""

    def __init__(self, model, images, seed=0, whole=True, alone=False, grad=None):
        """`alone` calls every layer by itself."""
        model.zero_grad()
        self.output = images
        for part in model if alone else [model]:
            self.output = part(self.output)
        grad = draws(self.output.shape, self.output.dtype, 100 + seed) if grad is None else grad
        self.grad_input = None
        if whole:
            self.grad_input = grad
            for part in reversed(list(model)) if alone else [model]:
                self.grad_input = part.backward(self.grad_input)
        else:
            model.backward_parameters(grad)
        self.grads = [parameter.grad for parameter in model.parameters()]


def check(model, images, seed=0, whole=True, grad=None):
    """Take a step, and compare it with that of the layers one by one; return it."""
    other = copy.deepcopy(model)
    found = Step(model, images, seed, whole, grad=grad)
    wanted = Step(other, images, seed, True, alone=True, grad=grad)
    np.testing.assert_array_equal(found.output, wanted.output)
    for grad_found, grad_wanted in zip(found.grads, wanted.grads, strict=True):
        assert grad_found.dtype == grad_wanted.dtype
        np.testing.assert_array_equal(grad_found, grad_wanted)
    if whole:
        np.testing.assert_array_equal(found.grad_input, wanted.grad_input)
    return found


@pytest.fixture
def played(monkeypatch):
    """Collect what scores have made: True, or False for what could not be trusted."""
    found = []

    def perform(*arguments):
        made = perform_itself(*arguments)
        found.append(made is not None)
        return made

    perform_itself = kernels.perform
    monkeypatch.setattr(kernels, "perform", perform)
    return found


@pytest.fixture(params=WHOLE, ids=["whole", "parameters"])
def net(request, played):
    """Return a net that plays steps of three images from now on, both ways, and how the way back is gone."""
    model = small_net()
    for seed in range(4):
        Step(model, images_of(3, seed=seed), whole=request.param)
    assert played == [True, True, True]  # the third forward, and both of the fourth step
    played.clear()
    return model, request.param


# The same bits


@pytest.mark.parametrize("whole", WHOLE)
@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("count", [1, 5, 32])
def test_the_nets(name, count, whole, played):
    model = NETS[name].build(rng=0)
    for seed in range(5):
        check(model, draws((count, *NETS[name].image_shape), np.float32, seed), seed, whole)
    assert played == [True] * 5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bias", [True, False])
def test_dtypes_and_layers_without_bias(dtype, bias, played):
    model = small_net(bias, dtype)
    for seed in range(5):
        check(model, images_of(4, dtype, seed), seed)
    assert played == [True] * 5


def test_no_images(played):
    model = small_net()
    for count in (0, 0, 0, 0, 3, 3, 3, 3, 0):
        check(model, images_of(count))


def test_any_number_of_threads(played):
    model, images = NETS["DeeperCNN"].build(rng=0), draws((16, 3, 32, 32), np.float32)
    expected, before = Step(model, images, alone=True), get_num_threads()
    try:
        for threads in (1, 2, 3, 8):
            set_num_threads(threads)
            for _ in range(4):
                found = Step(model, images)
                np.testing.assert_array_equal(found.grad_input, expected.grad_input)
                for grad, wanted in zip(found.grads, expected.grads, strict=True):
                    np.testing.assert_array_equal(grad, wanted)
    finally:
        set_num_threads(before)
    assert played == [True] * (3 + 3 * 8)


def test_kinds_and_ways_in_turns(played):
    model = small_net()
    for seed in range(6):
        for count in (1, 2, 3):
            for whole in WHOLE:
                check(model, images_of(count, seed=seed), seed, whole)
    assert all(played)


def test_what_the_layers_save(net):
    model, whole = net
    other, images = copy.deepcopy(model), images_of(3, seed=7)
    assert isinstance(model.saved["step"], lessons.Step)
    Step(model, images, whole=whole)
    Step(other, images, whole=whole)
    for layer, like in zip(model, other, strict=True):
        assert layer.saved.keys() == like.saved.keys()
        for key in set(layer.saved) - {"run", "fused", "input", "output", "weight"}:
            assert layer.saved[key] == like.saved[key]
        for key in {"input", "output", "weight"} & set(layer.saved):
            np.testing.assert_array_equal(layer.saved[key], like.saved[key])
    for layer, like, alone in zip(model, other, copy.deepcopy(model), strict=True):  # each by itself
        images = alone(images)
        grad = draws(images.shape, np.float32)
        np.testing.assert_array_equal(layer.backward(grad), like.backward(grad))


def test_gradients_are_added_up(net, played):
    model, whole = net
    images = [images_of(3, seed=seed) for seed in (8, 9)]
    first, second = (Step(model, part, whole=whole).grads for part in images)
    grad = draws((3, 4), np.float32, 100)
    model.zero_grad()
    for part in images:
        model(part)
        (model.backward if whole else model.backward_parameters)(grad)
    for parameter, one, other in zip(model.parameters(), first, second, strict=True):
        np.testing.assert_array_equal(parameter.grad, one + other)
    assert played == [True] * 8


def test_back_twice(net, played):
    model, whole = net
    step = Step(model, images_of(3), whole=whole)
    (model.backward if whole else model.backward_parameters)(draws((3, 4), np.float32, 100))
    for parameter, grad in zip(model.parameters(), step.grads, strict=True):
        np.testing.assert_array_equal(parameter.grad, 2 * grad)
    assert played == [True] * 3


def test_a_parameter_in_two_layers(played):
    model = nn.Sequential(nn.Linear(4, 4, rng=0), nn.ReLU(), nn.Linear(4, 4, rng=1))
    model[2].weight = model[0].weight
    for seed in range(5):
        check(model, draws((6, 4), np.float32, seed), seed)
    assert played == [True] * 3  # the way back adds two gradients up, which nobody hears


def test_training_without_a_zero_grad_is_not_recorded(played):
    model, images = small_net(), images_of(3)
    once = Step(model, images, alone=True).grads
    model.zero_grad()
    for _ in range(5):
        model(images)
        model.backward(draws((3, 4), np.float32, 100))
    for parameter, grad in zip(model.parameters(), once, strict=True):
        np.testing.assert_array_equal(parameter.grad, grad + grad + grad + grad + grad)
    assert played == [True] * 3
    for seed in range(2):  # now it is
        check(model, images_of(3, seed=seed), seed)
    assert played == [True] * 6


# What was made belongs to the caller, and nothing else is kept


def test_what_was_made_stays_as_it_is(net):
    model, whole = net
    first = Step(model, images_of(3, seed=1), whole=whole)
    arrays = [first.output, *first.grads, *([first.grad_input] if whole else [])]
    before = [array.copy() for array in arrays]
    Step(model, images_of(3, seed=2), seed=2, whole=whole)
    for array, wanted in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, wanted)


def test_a_net_leaves_nothing_behind(played):
    model = nn.Sequential(nn.Linear(200, 300, rng=0), nn.Linear(300, 4, rng=1))
    gc.disable()
    try:
        for seed in range(5):
            Step(model, draws((200, 200), np.float32, seed))
        made = weakref.ref(model.saved["step"].made)
        del model
        assert made() is None
    finally:
        gc.enable()


def test_large_batches_are_not_recorded(monkeypatch, played):
    monkeypatch.setattr(lessons, "LARGE", 2**10)
    model = small_net()
    for seed in range(4):
        check(model, images_of(3, seed=seed), seed)
    assert not played


def test_only_so_many_kinds_are_remembered():
    model = small_net()
    for _ in range(2):
        for count in range(1, 40):
            for _ in range(3):
                Step(model, images_of(count))
    assert len(stages_of(model).lessons) <= stages.KINDS
    for count in range(1, 40):
        check(model, images_of(count))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_go_back_by_themselves(copied, net, played):
    model, _ = net
    grad = draws((3, 4), np.float32)
    model(images_of(3, seed=5))
    other = copied(model)
    assert other.saved["step"] is None
    model[0].weight.data *= 2  # a copy has its own
    played.clear()
    found = [part.backward(grad) for part in (other, copied(other))]
    assert not played
    np.testing.assert_array_equal(*found)
    other(images_of(3, seed=5))
    np.testing.assert_array_equal(other.backward(grad), found[0])


# Written down anew, or not at all


def test_weights_that_are_refused_are_refused_again(net):
    """They are seen to be other ones, but what they do has not been written down."""
    model, _ = net
    model[7].weight.data = model[7].weight.data.astype(np.float64)
    for _ in range(3):
        with pytest.raises(TypeError, match='Linear "7": input must be float64'):
            model(images_of(3))


def test_an_error_in_between(net, monkeypatch):
    model, whole = net
    model[0].weight.data = -2 * model[0].weight.data
    model(images_of(3))  # now they are seen to stay
    with monkeypatch.context() as patch:
        patch.setattr(kernels, "linear", stop)
        with pytest.raises(KeyboardInterrupt):
            model(images_of(3))
    for seed in range(4):
        check(model, images_of(3, seed=seed), seed, whole)


def stop(*arguments):
    raise KeyboardInterrupt


def test_a_step_that_is_put_away_keeps_its_own_weights(net):
    """Others are tried meanwhile, and learn to be played."""
    model, _ = net
    wanted = Step(copy.deepcopy(model), images_of(3), alone=True)
    model.zero_grad()
    model(images_of(3))
    kept = [(module, module.saved) for module in model.modules()]
    before, model[0].weight.data = model[0].weight.data, -2 * model[0].weight.data
    for seed in range(4):
        Step(model, images_of(3, seed=seed))
    model[0].weight.data = before
    for module, saved in kept:
        module.saved = saved
    model.zero_grad()
    np.testing.assert_array_equal(model.backward(draws((3, 4), np.float32, 100)), wanted.grad_input)


def test_two_threads_listen_to_one_net(monkeypatch):
    """Each writes down what it hears itself."""
    model, images = small_net(), images_of(3)
    wanted = model(images)
    pause, linear = threading.Barrier(2), kernels.linear

    def linear_after_the_other(*arguments):
        with contextlib.suppress(threading.BrokenBarrierError):
            pause.wait(timeout=1)
        return linear(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(kernels, "linear", linear_after_the_other)
        threads = [threading.Thread(target=model, args=(images,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for _ in range(2):
        np.testing.assert_array_equal(model(images), wanted)


# Whatever differs


def test_weights_changed_in_place(net, played):
    model, whole = net
    model[0].weight.data *= -3
    model[5].bias.data[...] = 7
    model.load_state_dict({name: 2 * array for name, array in model.state_dict().items()})
    check(model, images_of(3), whole=whole)
    assert played == [True, True]


@pytest.mark.parametrize("layer", [0, 3, 5, 7])
def test_weights_that_are_other_arrays(layer, net, played):
    model, whole = net
    model[layer].weight.data = -2 * model[layer].weight.data
    for seed in range(5):
        check(model, images_of(3), seed, whole)
    assert played == [True] * 5


def test_weights_that_are_other_arrays_at_every_step_are_not_recorded(net, played, monkeypatch):
    """To write down costs more than is ever won back."""
    model, whole = net
    monkeypatch.setattr(kernels, "Recorder", None)
    for seed in range(4):
        for parameter in model.parameters():
            parameter.data = 0.5 * parameter.data
        check(model, images_of(3, seed=seed), seed, whole)
    assert not played


@pytest.mark.parametrize("layer", [0, 3, 5, 7])
def test_weights_that_are_other_arrays_on_the_way_back(layer, net):
    """As layer by layer: the way back is that of the weights on the way there."""
    model, _ = net
    output, other = model(images_of(3)), copy.deepcopy(model)
    other(images_of(3))
    for changed in (model, other):
        changed[layer].weight.data = -2 * changed[layer].weight.data
    grad = draws(output.shape, np.float32)
    np.testing.assert_array_equal(model.backward(grad), other.backward(grad))


BETWEEN = {
    "a hook": lambda model: model[1].register_full_backward_hook(lambda *arguments: None),
    "a layer called by itself": lambda model: model[5](images_of(3).reshape(3, -1)[:, :20].copy()),
    "a layer's own backward": lambda model: model[7].backward(draws((3, 4), np.float32)),
    "what a fused layer would have saved": lambda model: model[1].backward(draws((3, 4, 8, 8), np.float32)),
    "a forward without gradients": lambda model: predict(model),
    "another attribute": lambda model: model.train(),
    "the numbers of an image": lambda model: model[0].saved["input"].fill(3),
    "the images that a layer has saved": lambda model: model[7].saved.update(
        input=draws((3, 6), np.float32, 9)
    ),
    "the output that a layer has saved": lambda model: model[6].saved.update(
        output=draws((3, 6), np.float32, 9)
    ),
    "a parameter": lambda model: setattr(model[3], "bias", nn.Conv2d(4, 5, 3, rng=9).bias),
}


def predict(model):
    with no_grad():
        model(images_of(3, seed=3))


@pytest.mark.parametrize("name", BETWEEN)
def test_what_happens_between_there_and_back(name, net):
    model, _ = net
    other, grad = copy.deepcopy(model), draws((3, 4), np.float32)
    found = []
    for each in (model, other):  # the second one has not learned to play
        each.zero_grad()
        each(images_of(3, seed=6))
        BETWEEN[name](each)
        each.zero_grad()
        found.append((each.backward(grad), [parameter.grad for parameter in each.parameters()]))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    for one, wanted in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_array_equal(one, wanted)


def test_a_hook_sees_the_way_back(net):
    model, whole = net
    seen = []
    model[4].register_full_backward_hook(lambda *arguments: seen.append(arguments))
    for seed in range(4):
        Step(model, images_of(3, seed=seed), whole=whole)
    assert len(seen) == 4


def test_back_from_the_latest_forward(net):
    model, _ = net
    wanted = Step(copy.deepcopy(model), images_of(3, seed=5), alone=True)
    model(images_of(2))
    model(images_of(3))
    model(images_of(3, seed=5))
    np.testing.assert_array_equal(model.backward(draws((3, 4), np.float32, 100)), wanted.grad_input)


def square_net():
    return nn.Sequential(nn.Linear(4, 6, rng=0), nn.ReLU(), nn.Linear(6, 4, rng=1))


GRADS = {
    "turned round": lambda grad, images, output: grad[::-1],
    "by columns": lambda grad, images, output: np.asfortranarray(grad),
    "read only": lambda grad, images, output: np.broadcast_to(grad[:1], grad.shape),
    "the output": lambda grad, images, output: output,
    "the images": lambda grad, images, output: images,
}


@pytest.mark.parametrize("steps", [2, 4])
@pytest.mark.parametrize("name", GRADS)
def test_gradients_that_lie_otherwise(name, steps, played):
    """After so many steps the way back would be recorded, or played."""
    model = square_net()
    for seed in range(steps):
        Step(model, draws((3, 4), np.float32, seed))
    for seed in range(5):
        images = draws((3, 4), np.float32, seed)
        other, output = copy.deepcopy(model), model(images)
        grad = draws(output.shape, np.float32, 50 + seed)
        grad = GRADS[name](grad, images, output) if seed < 3 else grad
        model.zero_grad()
        before = len(played)
        found = model.backward(grad)
        assert grad.flags.carray or len(played) == before
        wanted = Step(other, images, alone=True, grad=grad.copy())
        np.testing.assert_array_equal(found, wanted.grad_input)
        for parameter, right in zip(model.parameters(), wanted.grads, strict=True):
            np.testing.assert_array_equal(parameter.grad, right)


@pytest.mark.parametrize(
    "view",
    [
        lambda images: images[::-1],
        lambda images: np.asfortranarray(images),
        lambda images: np.broadcast_to(images[:1], images.shape),
    ],
)
def test_images_that_lie_otherwise(view, net, played):
    model, whole = net
    check(model, view(images_of(3)), whole=whole)
    assert not played


def test_inputs_without_an_axis_for_the_batch():
    model = nn.Sequential(nn.Conv2d(2, 4, 3, rng=0), nn.ReLU(), nn.Linear(6, 5, rng=1), nn.ReLU())
    for seed in range(5):
        check(model, draws((2, 8, 8), np.float32, seed), seed)


@pytest.mark.parametrize("grad", [np.ones((3, 5), np.float32), np.ones((3, 4)), [[1.0] * 4] * 3])
def test_gradients_that_do_not_fit_are_refused_as_before(grad, net):
    model, _ = net
    model(images_of(3))
    with pytest.raises((TypeError, ValueError)) as found:
        model.backward(grad)
    with pytest.raises((TypeError, ValueError)) as wanted:
        model[-1].backward(grad)
    assert str(found.value) == str(wanted.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("layer", [0, 3, 5, 7])
def test_weights_that_are_not_finite(value, layer, net):
    model, whole = net
    model[layer].weight.data.flat[1] = value
    check(model, images_of(3), whole=whole)


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_numbers_that_are_not_finite(value, net, played):
    model, whole = net
    images, grad = images_of(3), draws((3, 4), np.float32)
    images[1, 0, 2, 3] = value
    check(model, images, whole=whole)
    check(model, images_of(3), whole=whole)
    grad[2, 1] = value
    check(model, images_of(3), whole=whole, grad=grad)
    check(model, images_of(3), whole=whole)
    assert played[-2:] == [True, True]


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Conv2d(2, 3, 3, rng=0), nn.ReLU()],  # fewer filters than a tile has: their weights are copied
        [nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect", rng=0)],  # NumPy lays the border out
        [nn.Conv2d(2, 4, 3, padding=1, groups=2, rng=0)],
        [nn.Conv2d(2, 4, 3, stride=2, dilation=2, rng=0), nn.ReLU()],
        [nn.Conv2d(2, 24, 1, rng=0), nn.ReLU(), nn.Conv2d(24, 4, 1, rng=1)],
        [nn.Conv2d(2, 4, 2, stride=3, rng=0), nn.ReLU(), nn.MaxPool2d(2)],
        [nn.Flatten()],
        [nn.ReLU()],
        [nn.ReLU(), nn.Flatten(), nn.ReLU()],
        [nn.Conv2d(2, 4, 3, rng=0), nn.BatchNorm2d(4), nn.ReLU()],
        [nn.Conv2d(2, 4, 3, rng=0), nn.MaxPool2d(3), nn.Flatten()],
        [nn.Sequential(nn.Conv2d(2, 4, 3, rng=0), nn.ReLU()), nn.Flatten(), nn.Linear(144, 4, rng=0)],
        [nn.Residual(nn.Sequential(nn.Conv2d(2, 2, 3, padding=1, rng=0), nn.ReLU()))],
        [nn.Flatten(), nn.Linear(128, 2, rng=0), nn.Linear(2, 1, rng=1)],
        [nn.Flatten(), nn.Linear(128, 4, rng=0), nn.ReLU(), nn.Linear(4, 1, rng=1)],
    ],
    ids=lambda layers: " ".join(type(layer).__name__ for layer in layers),
)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_layers_that_are_heard_or_not(layers, count):
    model = nn.Sequential(*copy.deepcopy(layers))
    for seed in range(5):
        for whole in WHOLE:
            check(model, images_of(count, seed=seed), seed, whole)
