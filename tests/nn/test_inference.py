"""Inputs of a kind that has passed the checks: the same bits without them, and they come back when they must."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from minicnn import kernels, nn
from minicnn.benchmark.nets import NETS
from minicnn.models import deeper_cnn
from minicnn.nn.fusion import stages_of
from minicnn.nn.stages import KINDS, Stage
from tests.helpers import raises
from tests.nn import passes
from tests.nn.passes import draw, predict, predict_one_by_one

pytestmark = pytest.mark.skipif(not kernels.FUSES, reason="without the compiler nothing is remembered")


@pytest.fixture
def checked(monkeypatch):
    """Collect the inputs that a stage remembers."""
    kinds = []
    remember = Stage.remember

    def watch(stage, kind, what):
        kinds.append((type(stage).__name__, kind))
        remember(stage, kind, what)

    monkeypatch.setattr(Stage, "remember", watch)
    return kinds


@pytest.mark.parametrize("net", NETS)
def test_the_same_bits_as_layer_by_layer_and_as_with_gradients(net, checked):
    make, shape = NETS[net].build, NETS[net].image_shape
    model = make(rng=0)
    for seed, count in enumerate((1, 1, 5, 1, 5)):
        images = draw(count, *shape, seed=seed)
        found = predict(model, images)
        np.testing.assert_array_equal(found, predict_one_by_one(model, images))
        np.testing.assert_array_equal(found, model(images))
    assert {kind[0][0] for _, kind in checked} == {1, 5}
    assert len(checked) == len(set(checked))  # nothing is looked at twice


ODD = [
    nn.Conv2d(2, 3, (3, 2), stride=(1, 2), padding=1, padding_mode="reflect", rng=0),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(3, 6, 1, groups=3, bias=False, rng=1),
    nn.ReLU(),
    nn.BatchNorm2d(6),
    nn.Conv2d(6, 4, 2, padding="same", rng=2),
    nn.Sequential(nn.Conv2d(4, 2, 1, rng=3), nn.ReLU()),
    nn.GroupNorm(1, 2),
    nn.Residual(nn.Tanh()),
    nn.Flatten(2),
    nn.Linear(4, 3, bias=False, rng=4),
    nn.ReLU(),
]


def test_layers_that_have_no_step_and_those_behind_them(checked):
    model = nn.Sequential(*ODD).eval()
    for seed in range(3):
        images = draw(2, 2, 5, 9, seed=seed)
        np.testing.assert_array_equal(predict(model, images), predict_one_by_one(model, images))
    assert len(checked) == len(set(checked)) == 4  # a convolution, one within, Flatten and ReLU


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
    np.testing.assert_array_equal(predict(model, images), predict_one_by_one(model, images))


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
    weight = model[0].weight.data
    model[0].weight.data = weight.astype(np.float64)
    with raises(
        TypeError,
        'Conv2d "0": input must be float64, as the layer\'s parameters are. Got float32. Convert the input with '
        ".astype(np.float64), or the model with model.astype(np.float32).",
    ):
        predict(model, images)
    model[0].weight.data = weight
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


def test_no_more_kinds_are_kept_than_may():
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Flatten())
    for length in range(1, 3 * KINDS):
        assert predict(model, draw(2, 1, 1, length)).shape == (2, length)
    for stage in stages_of(model):
        assert 0 < len(stage.known) <= KINDS


def test_gradients_are_as_they_were_before():
    model = nn.Sequential(nn.Conv2d(1, 2, 3, rng=0), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3, rng=0))
    images, grad = draw(2, 1, 4, 4), draw(2, 3, seed=1)
    expected = passes.together(model, images, grad)
    model.zero_grad()
    output = model(images)
    saved = [module.saved for module in model.modules()]
    for seed in (2, 3):
        predict(model, draw(2, 1, 4, 4, seed=seed))
    assert all(module.saved is kept for module, kept in zip(model.modules(), saved, strict=True))
    found = [output, model.backward(grad), *(parameter.grad for parameter in model.parameters())]
    passes.assert_same_bits(found, expected)


def test_threads_with_inputs_of_many_shapes():
    model = deeper_cnn(rng=0)
    images = [draw(count % 3 + 1, 3, 32, 32, seed=count) for count in range(8)]
    expected = [predict_one_by_one(model, batch) for batch in images]

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


LAYERS = [  # layers, and inputs that are to come one after another
    (lambda: [nn.Conv2d(2, 4, 3, padding=1, rng=0)], [(3, 2, 5, 6), (2, 5, 6), (1, 2, 5, 6)]),
    (lambda: [nn.Conv2d(2, 4, 3, padding=1, bias=False, rng=0), nn.ReLU()], [(3, 2, 5, 6), (2, 5, 6)]),
    (lambda: [nn.Conv2d(2, 4, 2, padding="same", rng=0), nn.ReLU()], [(3, 2, 5, 6), (2, 5, 6)]),
    (lambda: [nn.Conv2d(2, 4, 1, rng=0), nn.ReLU(), nn.MaxPool2d(2)], [(3, 2, 5, 6), (2, 5, 6)]),
    (lambda: [nn.Linear(3, 2, rng=0)], [(4, 3), (3,), (2, 4, 3)]),
    (lambda: [nn.Flatten(), nn.Linear(6, 2, bias=False, rng=0), nn.ReLU()], [(4, 2, 3), (4, 6), (1, 6, 1)]),
    (lambda: [nn.Flatten(2)], [(4, 2, 3), (4, 2, 3, 2)]),
]


@pytest.mark.parametrize(("make", "shapes"), LAYERS)
def test_on_the_way_back_the_same_bits_too(make, shapes):
    model = nn.Sequential(*make())
    for seed, shape in enumerate([*shapes, *shapes, *reversed(shapes)]):
        images = draw(*shape, seed=seed)
        grad = draw(*predict(model, images).shape, seed=seed + 100)
        expected = passes.one_by_one(model, images, grad)
        passes.assert_same_bits(passes.together(model, images, grad), expected)
        found = passes.together(model, images, grad, parameters_only=True)
        passes.assert_same_bits([found[0], *found[2:]], [expected[0], *expected[2:]])


@pytest.mark.parametrize(("make", "shapes"), LAYERS)
def test_gradients_that_do_not_fit_are_the_last_layers_to_refuse(make, shapes):
    model = nn.Sequential(*make())
    images = draw(*shapes[0])
    for _ in range(2):
        output = model(images)
        who = f'{type(model[-1]).__name__} "{len(model) - 1}"'
        for method in (model.backward, model.backward_parameters):
            with raises(
                ValueError,
                f"{who}: grad_output must have the output's shape {output.shape}. Got (1, 7). "
                "Pass the gradient of the last forward's output.",
            ):
                method(np.ones((1, 7), np.float32))
            with raises(
                TypeError,
                f"{who}: grad_output must be float32, as the output is. Got float64. "
                "Convert it with .astype(np.float32).",
            ):
                method(output.astype(np.float64))
            with raises(
                TypeError, f"{who}: grad_output must be a NumPy array. Got list. Convert it with np.asarray."
            ):
                method(output.tolist())


def test_backward_needs_a_forward():
    for layers in ([nn.Conv2d(1, 1, 1), nn.ReLU()], [nn.Conv2d(1, 1, 1)], [nn.Linear(1, 1)], [nn.Flatten()]):
        model = nn.Sequential(*layers)
        for method in (model.backward, model.backward_parameters):
            with raises(
                RuntimeError,
                f'{type(model[-1]).__name__} "{len(model) - 1}": backward needs a forward first. '
                "Call model(x), then the loss, then backward.",
            ):
                method(np.ones((1, 1), np.float32))


def test_what_an_earlier_forward_saved_can_be_put_back():
    """As `Graph` does for a module that is called twice."""
    model, grad = deeper_cnn(rng=0), draw(2, 10)
    first, second = draw(2, 3, 32, 32, seed=1), draw(2, 3, 32, 32, seed=2)
    expected = passes.one_by_one(model, first, grad)
    for _ in range(2):
        output = model(first)
        saved = [(module, module.saved) for module in model.modules()]
        model(second)
        for module, kept in saved:
            module.saved = kept
        model.zero_grad()
        found = [output, model.backward(grad), *(parameter.grad for parameter in model.parameters())]
        passes.assert_same_bits(found, expected)


def test_a_copy_goes_back_by_itself():
    model, images, grad = deeper_cnn(rng=0), draw(2, 3, 32, 32), draw(2, 10)
    expected = passes.together(model, images, grad)
    passes.together(model, images, grad)
    model.zero_grad()
    output = model(images)
    twin = copy.deepcopy(model)
    for layer in (model[0], model[-1]):
        layer.weight.data[...] = 0
    found = [output, twin.backward(grad), *(parameter.grad for parameter in twin.parameters())]
    passes.assert_same_bits(found, expected)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_layer_that_is_edited_between_forward_and_backward():
    model, images, grad = deeper_cnn(rng=0), draw(2, 3, 32, 32), draw(2, 10)
    expected = passes.together(model, images, grad)
    model.zero_grad()
    output = model(images)
    nn.ReLU().train()  # any module at all
    found = [output, model.backward(grad), *(parameter.grad for parameter in model.parameters())]
    passes.assert_same_bits(found, expected)


def test_a_layer_that_was_used_alone_since_goes_back_from_there():
    layers = [nn.Conv2d(1, 2, 3, rng=0), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    model, images, grad = nn.Sequential(*layers), draw(2, 1, 6, 6), draw(2, 8, seed=1)
    sums = array = layers[0](images)
    for layer in layers[1:]:
        array = layer(array)
    layers[1](-sums)
    expected = grad
    for layer in reversed(layers):
        expected = layer.backward(expected)
    for _ in range(2):
        model(images)
        layers[1](-sums)
        np.testing.assert_array_equal(model.backward(grad), expected)
