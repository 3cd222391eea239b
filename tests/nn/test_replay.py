"""Forwards played from a score: the same bits as layer by layer, and left to the layers if anything differs."""

from __future__ import annotations

import copy
import pickle
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numba import config

if config.DISABLE_JIT:
    pytest.skip("nothing is compiled, so nothing is recorded", allow_module_level=True)

from minicnn import kernels, nn, no_grad
from minicnn.benchmark.nets import NETS
from minicnn.kernels.threads import get_num_threads, set_num_threads
from minicnn.nn import replay, stages, tree
from minicnn.nn.fusion import stages_of
from tests.helpers import draws


def predict(model, images):
    with no_grad():
        return model(images)


def one_by_one(model, images):
    """Return what the layers give, each called by itself."""
    with no_grad():
        for layer in model:
            images = layer(images)
    return images


def small_net(bias=True, dtype=np.float32):
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=bias, dtype=dtype, rng=0),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 5, 3, bias=bias, dtype=dtype, rng=1),
        nn.Flatten(),
        nn.Linear(20, 6, bias=bias, dtype=dtype, rng=2),
        nn.ReLU(),
        nn.Linear(6, 4, bias=bias, dtype=dtype, rng=3),
    )


def images_of(count, dtype=np.float32, seed=0):
    return draws((count, 2, 8, 8), dtype, seed)


@pytest.fixture
def played(monkeypatch):
    """Collect what scores have made, None for what could not be trusted."""
    found = []

    def perform(*arguments):
        found.append(perform_itself(*arguments))
        return found[-1]

    perform_itself = kernels.perform
    monkeypatch.setattr(kernels, "perform", perform)
    return found


@pytest.fixture
def net(played):
    """Return a net that plays inputs of three images from now on."""
    model = small_net()
    for seed in range(3):
        predict(model, images_of(3, seed=seed))
    assert len(played) == 1
    played.clear()
    return model


# The same bits


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("count", [1, 2, 5, 32])
def test_the_nets(name, count, played):
    model = NETS[name].build(rng=0)
    for seed in range(5):
        images = draws((count, *NETS[name].image_shape), np.float32, seed)
        np.testing.assert_array_equal(predict(model, images), one_by_one(model, images))
    assert len(played) == 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bias", [True, False])
def test_dtypes_and_layers_without_bias(dtype, bias, played):
    model = small_net(bias, dtype)
    for seed in range(4):
        images = images_of(3, dtype, seed)
        np.testing.assert_array_equal(predict(model, images), one_by_one(model, images))
        assert predict(model, images).dtype == dtype
    assert len(played) == 6


def test_no_images(played):
    model = small_net()
    for count in (0, 0, 0, 3, 3, 3, 0):
        images = images_of(count)
        np.testing.assert_array_equal(predict(model, images), one_by_one(model, images))
    assert len(played) == 3


def test_any_number_of_threads(played):
    model, images = NETS["DeeperCNN"].build(rng=0), draws((16, 3, 32, 32), np.float32)
    expected, before = one_by_one(model, images), get_num_threads()
    try:
        for threads in (1, 2, 3, 8):
            set_num_threads(threads)
            for _ in range(3):
                np.testing.assert_array_equal(predict(model, images), expected)
    finally:
        set_num_threads(before)
    assert len(played) == 10


def test_an_image_gets_the_same_bits_in_any_batch(net):
    images = images_of(3)
    whole = predict(net, images)
    for _ in range(3):
        for n in range(3):
            np.testing.assert_array_equal(predict(net, images[n : n + 1])[0], whole[n])


def test_kinds_in_turns(played):
    model = small_net()
    for seed in range(4):
        for count in (1, 2, 3):
            images = images_of(count, seed=seed)
            np.testing.assert_array_equal(predict(model, images), one_by_one(model, images))
    assert len(played) == 3 * 2


def test_several_threads_share_a_model(net, played):
    batches = [images_of(3, seed=seed) for seed in range(40)]
    expected = [one_by_one(net, images) for images in batches]
    with ThreadPoolExecutor(8) as pool:
        for found, right in zip(
            pool.map(lambda images: predict(net, images), batches), expected, strict=True
        ):
            np.testing.assert_array_equal(found, right)
    assert len(played) == 40


def test_threads_that_record_at_once():
    for _ in range(5):
        model, batches = small_net(), [images_of(3, seed=seed) for seed in range(24)]
        expected = [one_by_one(model, images) for images in batches]
        with ThreadPoolExecutor(8) as pool:
            for found, right in zip(
                pool.map(lambda x, m=model: predict(m, x), batches), expected, strict=True
            ):
                np.testing.assert_array_equal(found, right)


# The output is the caller's, and nothing else is kept


def test_outputs_are_new_arrays(net):
    first = predict(net, images_of(3, seed=1))
    before = first.copy()
    second = predict(net, images_of(3, seed=2))
    assert not np.may_share_memory(first, second)
    np.testing.assert_array_equal(first, before)


def test_nothing_is_saved_for_backward(net):
    assert all(not layer.saved for layer in net)
    output = net(images_of(3))
    saved = [layer.saved for layer in net]
    predict(net, images_of(3, seed=1))
    assert all(layer.saved is before for layer, before in zip(net, saved, strict=True))
    net.backward(np.ones_like(output))


def test_what_the_recorded_forward_handed_on_is_not_kept(monkeypatch):
    given = []

    class Remembers(kernels.Recorder):
        def __exit__(self, *error):
            super().__exit__(*error)
            given.extend(map(weakref.ref, self.given))

    monkeypatch.setattr(kernels, "Recorder", Remembers)
    model, images = small_net(), images_of(3)
    for _ in range(2):
        predict(model, images)
    assert stages_of(model).replays[images.shape, images.dtype] is not None
    assert [array() for array in given] == [None] * 5  # one of each stage but Flatten


def test_large_batches_are_not_recorded(monkeypatch, played):
    monkeypatch.setattr(replay, "LARGE", 2**10)
    model, images = small_net(), images_of(3)
    for _ in range(3):
        np.testing.assert_array_equal(predict(model, images), one_by_one(model, images))
    assert not played


def test_a_recorder_lets_go_of_what_is_too_large():
    with kernels.Recorder(2**10) as recorder:
        predict(small_net(), images_of(30))
    assert recorder.given == recorder.calls == []
    assert recorder.score(images_of(1), [images_of(1)], []) is None


def test_copies_and_pickles_record_anew(net, played):
    images = images_of(3)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        other[0].weight.data *= 2
        np.testing.assert_array_equal(predict(other, images), one_by_one(other, images))
    assert not played


# Whatever differs


def test_weights_changed_in_place(net, played):
    net[0].weight.data *= -3
    net[5].bias.data[...] = 7
    net.load_state_dict({name: 2 * array for name, array in net.state_dict().items()})
    np.testing.assert_array_equal(predict(net, images_of(3)), one_by_one(net, images_of(3)))
    assert len(played) == 1


@pytest.mark.parametrize("layer", [0, 3, 5, 7])
@pytest.mark.parametrize("name", ["weight", "bias"])
def test_weights_that_are_other_arrays(layer, name, net, played):
    parameter = getattr(net[layer], name)
    parameter.data = -2 * parameter.data
    np.testing.assert_array_equal(predict(net, images_of(3)), one_by_one(net, images_of(3)))
    assert not played
    np.testing.assert_array_equal(predict(net, images_of(3)), one_by_one(net, images_of(3)))
    assert len(played) == 1  # it was recorded anew


def test_a_weight_that_another_thread_replaces_meanwhile(monkeypatch):
    """At the worst moment: when the score has been written."""
    score_itself = kernels.Recorder.score

    def score(recorder, *arguments):
        written = score_itself(recorder, *arguments)
        model[0].weight.data = -model[0].weight.data
        return written

    monkeypatch.setattr(kernels.Recorder, "score", score)
    model = small_net()
    for seed in range(4):
        predict(model, images_of(3, seed=seed))
    monkeypatch.undo()
    np.testing.assert_array_equal(predict(model, images_of(3)), one_by_one(model, images_of(3)))


def test_an_input_that_lies_otherwise_comes_second(played):
    model = small_net()
    for images in (images_of(3), np.asfortranarray(images_of(3)), images_of(3), images_of(3)):
        np.testing.assert_array_equal(predict(model, images), one_by_one(model, images))
    assert len(played) == 1


def test_an_edit_is_seen_by_whoever_sees_its_number(monkeypatch):
    """Another thread may call the model between the new value and the new number."""
    seen = []

    class Numbers:
        def __next__(self):
            seen.append(model[0].bias)
            return next(numbers)

    model, numbers = small_net(), tree._numbers
    monkeypatch.setattr(tree, "_numbers", Numbers())
    model[0].bias = None
    assert seen == [None]


EDITS = {
    "a layer": lambda net: net.add_module("1", nn.Identity()),
    "a parameter": lambda net: setattr(net[0], "weight", nn.Conv2d(2, 4, 3, rng=9).weight),
    "how it is padded": lambda net: setattr(net[0], "padding_mode", "circular"),
    "no bias": lambda net: setattr(net[3], "bias", None),
    "a hook": lambda net: net[1].register_forward_hook(lambda module, input, output: None),
}


@pytest.mark.parametrize("name", EDITS)
def test_edits(name, net, played):
    EDITS[name](net)
    images = images_of(3)
    np.testing.assert_array_equal(predict(net, images), one_by_one(net, images))
    assert not played


def test_a_hook_sees_every_forward(net):
    seen = []
    net[1].register_forward_hook(lambda module, input, output: seen.append(output))
    for seed in range(4):
        predict(net, images_of(3, seed=seed))
    assert len(seen) == 4


@pytest.mark.parametrize(
    "view",
    [
        lambda images: images[::-1],
        lambda images: np.asfortranarray(images),
        lambda images: np.broadcast_to(images[:1], images.shape),
        lambda images: np.frombuffer(images.tobytes(), images.dtype).reshape(images.shape),
    ],
)
def test_inputs_that_lie_otherwise(view, net, played):
    images = view(images_of(3))
    np.testing.assert_array_equal(predict(net, images), one_by_one(net, images))
    assert not played


def test_another_dtype_is_refused_as_before(net):
    with pytest.raises(TypeError) as played:
        predict(net, images_of(3, np.float64))
    with pytest.raises(TypeError) as alone:
        one_by_one(net, images_of(3, np.float64))
    assert str(played.value) == str(alone.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("layer", [0, 3, 5, 7])
def test_weights_that_are_not_finite(value, layer, net, played):
    net[layer].weight.data.flat[1] = value
    np.testing.assert_array_equal(predict(net, images_of(3)), one_by_one(net, images_of(3)))
    assert len(played) == 1
    if layer in (0, 3):  # a padding cell that is multiplied by it would be NaN
        assert played[0] is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.0, 1e-45, 3e38])
def test_inputs_of_odd_values(value, net):
    images = images_of(3)
    images[1, 0, 2, 3] = value
    np.testing.assert_array_equal(predict(net, images), one_by_one(net, images))


def test_an_input_that_is_a_weight():
    model = nn.Sequential(nn.Linear(4, 4, rng=0), nn.Linear(4, 4, rng=1))
    weight = model[0].weight.data
    for images in (weight, weight, weight, draws((4, 4), np.float32)):
        np.testing.assert_array_equal(predict(model, images), one_by_one(model, images))


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Conv2d(2, 3, 3, rng=0), nn.ReLU()],  # fewer filters than a tile has: their weights are copied
        [nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect", rng=0)],  # NumPy lays the border out
        [nn.Conv2d(2, 4, 3, padding=1, groups=2, rng=0)],
        [nn.Conv2d(2, 4, 3, stride=2, dilation=2, rng=0), nn.ReLU()],
        [nn.Conv2d(2, 24, 1, rng=0), nn.ReLU(), nn.Conv2d(24, 4, 1, rng=1)],
        [nn.Flatten()],
        [nn.ReLU()],
        [nn.ReLU(), nn.Dropout(), nn.ReLU()],
        [nn.Conv2d(2, 4, 3, rng=0), nn.BatchNorm2d(4), nn.ReLU()],
        [nn.Conv2d(2, 4, 3, rng=0), nn.MaxPool2d(3), nn.Flatten()],
        [
            nn.Sequential(nn.Conv2d(2, 4, 3, rng=0), nn.ReLU()),
            nn.Flatten(),
            nn.Linear(144, 4, rng=0),
            nn.Softmax(1),
        ],
        [],
    ],
    ids=lambda layers: " ".join(type(layer).__name__ for layer in layers) or "none",
)
def test_layers_that_are_heard_or_not(layers):
    model = nn.Sequential(*layers).eval()
    for seed in range(4):
        images = images_of(3, seed=seed)
        np.testing.assert_array_equal(predict(model, images), one_by_one(model, images))


def test_a_call_that_fails_is_left_to_the_layers(net, monkeypatch, played):
    monkeypatch.setattr(replay.kernels, "perform", lambda score, input: None)
    np.testing.assert_array_equal(predict(net, images_of(3)), one_by_one(net, images_of(3)))


def test_only_so_many_kinds_are_remembered():
    model = small_net()
    for count in range(1, 40):
        for _ in range(2):
            predict(model, images_of(count))
    assert len(stages_of(model).replays) <= stages.KINDS
