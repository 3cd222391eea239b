"""Inference again, without the questions: the same bits, and the questions come back when they must."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from minicnn import kernels, nn
from minicnn.benchmark.nets import NETS
from minicnn.models import deeper_cnn
from minicnn.nn import inference
from minicnn.nn.fusion import known_of
from tests.helpers import draws, raises

pytestmark = pytest.mark.skipif(not kernels.FUSES, reason="nothing is prepared without the compiler")


def draw(*shape, seed=0):
    return draws(shape, np.float32, seed)


def predict(model, images):
    with nn.no_grad():
        return model(images)


def one_by_one(model, images):
    with nn.no_grad():
        for layer in model:
            images = layer(images)
    return images


@pytest.fixture
def prepared(monkeypatch):
    """Count how often a model is prepared."""
    calls = []
    prepare = inference.prepare
    monkeypatch.setattr(inference, "prepare", lambda *given: calls.append(given) or prepare(*given))
    return calls


@pytest.mark.parametrize("net", NETS)
def test_the_same_bits_as_layer_by_layer_and_as_with_gradients(net, prepared):
    make, shape = NETS[net].build, NETS[net].image_shape
    model = make(rng=0)
    for seed, count in enumerate((1, 1, 5, 1, 5)):
        images = draw(count, *shape, seed=seed)
        found = predict(model, images)
        np.testing.assert_array_equal(found, one_by_one(model, images))
        np.testing.assert_array_equal(found, model(images))
    assert len(prepared) == 2  # for one image, and for five


ODD = [
    nn.Conv2d(2, 3, (3, 2), stride=(1, 2), padding=1, padding_mode="reflect", rng=0),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(3, 6, 1, groups=3, bias=False, rng=1),
    nn.ReLU(),
    nn.BatchNorm2d(6),
    nn.Conv2d(6, 4, 2, padding="same", rng=2),
    nn.Sequential(nn.Conv2d(4, 2, 1, rng=3), nn.ReLU()),
    nn.Residual(nn.Tanh()),
    nn.Flatten(2),
    nn.Linear(4, 3, bias=False, rng=4),
    nn.ReLU(),
]


def test_layers_that_have_no_step_and_those_behind_them(prepared):
    model = nn.Sequential(*ODD).eval()
    for seed in range(3):
        images = draw(2, 2, 5, 9, seed=seed)
        np.testing.assert_array_equal(predict(model, images), one_by_one(model, images))
    assert len(prepared) == 2  # the model, and the one within


def test_an_image_alone_and_an_array_in_another_order():
    model = nn.Sequential(nn.Conv2d(2, 4, 3, rng=0), nn.ReLU())
    image = draw(2, 6, 6)
    expected = predict(model, image[None])
    for _ in range(2):
        np.testing.assert_array_equal(predict(model, image), expected[0])
        np.testing.assert_array_equal(predict(model, np.asfortranarray(image[None])), expected)


def test_weights_that_change_in_place_or_are_others():
    model, images = (
        nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.Flatten(), nn.Linear(1, 1)),
        np.ones((1, 1, 1, 1)),
    )
    model.astype(np.float64)
    model[2].weight.data[...], model[2].bias.data[...] = 10, 0.5
    for weight in (2.0, 3.0):
        model[0].weight.data[...] = weight
        assert predict(model, images).item() == 10 * weight + 0.5
    model[0].weight.data = np.full((1, 1, 1, 1), 4.0)
    assert predict(model, images).item() == 40.5
    model[2].weight = nn.Parameter(np.full((1, 1), 100.0))
    assert predict(model, images).item() == 400.5
    model[2].bias = None
    assert predict(model, images).item() == 400


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_weights_that_are_not_finite(number):
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, rng=0), nn.ReLU(), nn.Conv2d(4, 4, 1, rng=1))
    images = draw(1, 1, 5, 5)
    predict(model, images)
    model[0].weight.data[2, 0, 1, 2] = number
    np.testing.assert_array_equal(predict(model, images), one_by_one(model, images))


def test_every_question_is_asked_again_when_its_answer_may_have_changed():
    model = nn.Sequential(nn.Conv2d(1, 2, 3, rng=0), nn.ReLU(), nn.Flatten(), nn.Linear(8, 1, rng=0))
    images = draw(1, 1, 4, 4)
    predict(model, images)
    with raises(
        TypeError,
        'Conv2d "0": input must be float32, as the layer\'s parameters are. Got float64. Convert the input with '
        ".astype(np.float32), or the model with model.astype(np.float64).",
    ):
        predict(model, images.astype(np.float64))
    with raises(TypeError, 'Conv2d "0": input must be a NumPy array. Got list. Convert it with np.asarray.'):
        predict(model, images.tolist())
    model[3].weight.data = np.zeros((1, 8))
    with raises(
        TypeError,
        'Linear "3": input must be float64, as the layer\'s parameters are. Got float32. Convert the input with '
        ".astype(np.float64), or the model with model.astype(np.float32).",
    ):
        predict(model, images)
    model[3].weight.data = np.zeros((1, 8), np.float32)
    assert predict(model, images) == model[3].bias.data
    model[0].stride = (2, 2)
    with raises(
        ValueError,
        'Linear "3": input must have 8 features (last axis). Got shape (1, 2). Build the layer with in_features=2.',
    ):
        predict(model, images)


def test_hooks_and_modes_are_seen():
    model = nn.Sequential(nn.Conv2d(1, 2, 3, rng=0), nn.ReLU(), nn.Dropout(1.0), nn.Flatten()).eval()
    images, seen = draw(1, 1, 4, 4), []
    expected = predict(model, images)
    handle = model[1].register_forward_hook(lambda module, input, output: seen.append((input, output)))
    for _ in range(2):
        np.testing.assert_array_equal(predict(model, images), expected)
    (before, after), _ = seen
    assert before.min() < 0
    np.testing.assert_array_equal(after, np.maximum(before, 0))
    handle.remove()
    predict(model, images)
    assert len(seen) == 2
    assert not predict(model.train(), images).any()
    np.testing.assert_array_equal(predict(model.eval(), images), expected)


class Moody(nn.Module):
    """Gives every second input back without its last column."""

    turn = 0

    def forward(self, input):
        Moody.turn += 1
        return input[..., : input.shape[-1] - Moody.turn % 2]


def test_a_layer_whose_output_has_another_shape_every_time():
    model = nn.Sequential(Moody(), nn.ReLU(), nn.Conv2d(1, 1, 2, rng=0), nn.Flatten())
    for width in (4, 5, 4, 5):
        assert predict(model, draw(1, 1, 3, 5)).shape == (1, 2 * (width - 1))


def test_no_more_shapes_are_kept_than_may():
    model = nn.Sequential(nn.ReLU(), nn.Flatten())
    for length in range(1, 3 * inference.SHAPES):
        assert predict(model, draw(2, length)).shape == (2, length)
    assert len(known_of(model)["steps"]) <= inference.SHAPES


def test_gradients_are_as_they_were_before():
    model = nn.Sequential(nn.Conv2d(1, 2, 3, rng=0), nn.ReLU(), nn.Flatten())
    images, grad = draw(2, 1, 4, 4), draw(2, 8, seed=1)
    model(images)
    expected = model.backward(grad)
    model(images)
    predict(model, draw(2, 1, 4, 4, seed=2))
    np.testing.assert_array_equal(model.backward(grad), expected)


def test_threads_with_inputs_of_many_shapes():
    model = deeper_cnn(rng=0)
    images = [draw(count % 3 + 1, 3, 32, 32, seed=count) for count in range(8)]
    expected = [one_by_one(model, batch) for batch in images]

    def compute(number):
        return all((predict(model, images[number]) == expected[number]).all() for _ in range(10))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(compute, range(8)))


def test_a_decorated_function_and_a_block_within_a_block():
    @nn.no_grad()
    def inside(depth):
        return nn.is_grad_enabled() if depth == 0 else inside(depth - 1)

    assert not inside(2)
    mode = nn.no_grad()
    with mode, mode:
        assert not nn.is_grad_enabled()
    assert nn.is_grad_enabled()


def test_what_only_looks_like_an_array_is_refused_after_an_array_too():
    class Odd:
        shape, dtype = [1, 2], np.dtype(np.float32)  # a list is no key

    model = nn.Sequential(nn.ReLU())
    predict(model, draw(1, 2))
    with raises(TypeError, 'ReLU "0": input must be a NumPy array. Got Odd. Convert it with np.asarray.'):
        predict(model, Odd())
