"""A large batch goes through a net in slices: the same bits as whole, and nobody who looks can tell."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from minicnn import kernels, models, nn
from minicnn.benchmark.nets import NETS
from minicnn.nn import slices
from minicnn.nn.fusion import ConvStage, stages_of
from minicnn.nn.slices import Stages, images_of_a_slice
from minicnn.nn.stages import KINDS, FlattenStage, LinearStage
from tests.helpers import draws, raises
from tests.nn.passes import draw, predict, predict_one_by_one

pytestmark = pytest.mark.skipif(not kernels.FUSES, reason="without the compiler nothing goes in slices")


def conv_relu_linear():
    """Return a net for images (1, 4, 4) in which 256 bytes an image go from stage to stage."""
    return nn.Sequential(nn.Conv2d(1, 4, 1, rng=0), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3, rng=1))


@pytest.fixture
def small(monkeypatch):
    """Let slices pay for small batches too: of 1 KiB between two stages, however much there is to compute."""
    for name, value in {"LARGE": 0, "CACHED": 2**10, "WORK": 2**20}.items():
        monkeypatch.setattr(slices, name, value)


@pytest.fixture
def lengths(monkeypatch):
    """Collect how many images each call of a convolution gets, and how many rows a linear layer."""
    monkeypatch.setattr(slices.Stages, "repeats", False)  # else the third input would need no call of a stage
    found = {"conv": [], "linear": []}

    def watch(kind, name):
        call = kind.__call__

        def watched(stage, input, keep=True):
            found[name].append(len(input))
            return call(stage, input, keep)

        monkeypatch.setattr(kind, "__call__", watched)

    watch(ConvStage, "conv")
    watch(LinearStage, "linear")
    return found


def lengths_of(lengths, model, images):
    """Return the lengths of one forward without gradients, which must give the bits of layer by layer."""
    expected = predict_one_by_one(model, images)
    for found in lengths.values():
        found.clear()
    np.testing.assert_array_equal(predict(model, images), expected)
    return lengths["conv"], lengths["linear"]


# The same bits


@pytest.mark.parametrize("net", NETS)
def test_the_nets_give_the_same_bits(net, small, lengths, monkeypatch):
    model, shape = NETS[net].build(rng=0), NETS[net].image_shape
    monkeypatch.setattr(slices, "CACHED", 2**17)
    for count in (1, 2, 13, 29):
        images = draw(count, *shape, seed=count)
        whole = predict(model, images)
        for _ in range(2):
            lengths_of(lengths, model, images)
        np.testing.assert_array_equal(predict(model, images), whole)
        np.testing.assert_array_equal(model(images), whole)
    known = stages_of(model).known
    assert 0 < known[(29, *shape), images.dtype][0] < 29
    assert len(known) == 4


def test_slices_are_alike_but_for_the_last_one(small, lengths):
    model = conv_relu_linear()
    for count, expected in {4: [4], 5: [3, 2], 8: [4, 4], 10: [4, 4, 2], 13: [4, 4, 4, 1]}.items():
        images = draw(count, 1, 4, 4)
        assert lengths_of(lengths, model, images) == ([count], [count])  # the first of its kind
        for _ in range(2):
            assert lengths_of(lengths, model, images) == (expected, expected)


def test_arrays_in_another_order(small, lengths):
    model = conv_relu_linear()
    images = draw(10, 1, 4, 4)
    for other in (np.asfortranarray(images), images[::-1], images.transpose(0, 1, 3, 2), images[:, :, ::-1]):
        for _ in range(2):
            lengths_of(lengths, model, other)
    assert lengths_of(lengths, model, images[::-1])[0] == [4, 4, 2]


ODD = [
    nn.Conv2d(2, 6, (3, 2), stride=(1, 2), padding=1, padding_mode="reflect", rng=0),
    nn.ReLU(),
    nn.Conv2d(6, 12, 3, groups=3, bias=False, rng=1),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(12, 2, 2, padding="same", rng=2),
    nn.Flatten(-3),
    nn.Linear(4, 5, bias=False, rng=3),
    nn.Linear(5, 3, rng=4),
]


def test_any_layers_that_treat_images_one_by_one(small, lengths):
    model, images = nn.Sequential(*ODD), draw(11, 2, 7, 9)
    predict(model, images)
    convs, linears = lengths_of(lengths, model, images)
    assert len(linears) == 2 * len(convs) / 3 > 2


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_weights_that_are_not_finite(number, small, lengths):
    model, images = conv_relu_linear(), draw(10, 1, 4, 4)
    predict(model, images)
    model[0].weight.data[2] = number
    assert lengths_of(lengths, model, images)[0] == [4, 4, 2]


# Where slices pay


def test_when_slices_pay():
    large, cached = slices.LARGE, slices.CACHED
    assert images_of_a_slice(1000, 4 * cached, 0, 0) == 250
    assert images_of_a_slice(1001, 4 * cached, 0, 0) == 251
    assert images_of_a_slice(3, 9 * cached, 0, 0) == 1
    assert images_of_a_slice(1000, large, 0, 0) == 0
    assert images_of_a_slice(1000, large + 1, 0, 0) == 334
    assert images_of_a_slice(1000, 4 * cached, cached, 0) == 250
    assert images_of_a_slice(1000, 4 * cached, cached + 1, 0) == 0
    assert images_of_a_slice(1000, 4 * cached, 0, 4 * cached * slices.WORK) == 250
    assert images_of_a_slice(1000, 4 * cached, 0, 4 * cached * slices.WORK + 1) == 0


@pytest.mark.parametrize(("dtype", "length"), [(np.float32, 64), (np.float64, 32)])
def test_a_net_of_few_multiply_adds_goes_in_slices(dtype, length, lengths):
    model = models.shallow_cnn(dtype=dtype, rng=0)
    for count in (128 * length // 64, 256):
        images = draws((count, 3, 32, 32), dtype)
        whole = predict(model, images)
        for found in lengths.values():
            found.clear()
        np.testing.assert_array_equal(predict(model, images), whole)
        expected = [count] if count < 256 else [length] * (256 // length)
        assert lengths == {"conv": expected, "linear": expected}


@pytest.mark.parametrize("make", [models.mnist_cnn, models.simple_cnn, models.deeper_cnn])
def test_a_net_of_many_multiply_adds_does_not(make, monkeypatch, lengths):
    for name, value in {"LARGE": 0, "CACHED": 2**16}.items():
        monkeypatch.setattr(slices, name, value)
    model, size = make(rng=0), 32 if make is models.deeper_cnn else 28
    for work, in_slices in [(slices.WORK, False), (2**10, True)]:
        monkeypatch.setattr(slices, "WORK", work)
        images = draw(8 + in_slices, model[0].in_channels, size, size)
        predict(model, images)
        assert (lengths_of(lengths, model, images)[0] != [len(images)] * 2) == in_slices


def test_multiply_adds_by_hand():
    images, conv, relu, pool = draw(5, 2, 6, 8), nn.Conv2d(2, 3, (3, 1), rng=0), nn.ReLU(), nn.MaxPool2d(2)
    for layers in ([conv], [conv, relu], [conv, relu, pool]):
        stage = ConvStage(layers)
        assert stage.work(images, stage(images)) == 5 * 3 * (4 * 8) * (2 * 3)
    stage = LinearStage([nn.Linear(6, 4)])
    assert stage.work(draw(5, 6), draw(5, 4)) == 5 * 6 * 4
    assert FlattenStage([nn.Flatten()]).work(images, images.reshape(5, -1)) == 0


def test_a_large_output_is_not_copied_together(small, lengths):
    model, images = (
        nn.Sequential(nn.Conv2d(1, 4, 1, rng=0), nn.ReLU(), nn.Conv2d(4, 2, 1, rng=1)),
        draw(20, 1, 4, 4),
    )
    for _ in range(2):
        assert lengths_of(lengths, model, images)[0] == [20, 20]
    model.add_module("2", nn.Conv2d(4, 1, 1, rng=1))
    predict(model, images)
    assert lengths_of(lengths, model, images)[0] == [4] * 10


def test_what_is_only_read_by_one_stage_needs_no_slices(small, lengths):
    model, images = nn.Sequential(nn.Flatten(), nn.Linear(64, 3, rng=0)), draw(20, 4, 4, 4)
    for _ in range(2):
        assert lengths_of(lengths, model, images)[1] == [20]


# Who must see the whole batch


def test_gradients_need_the_whole_batch(small, lengths):
    model, images, grad = conv_relu_linear(), draw(10, 1, 4, 4), draw(10, 3)
    gradients = []
    for _ in range(2):
        model.zero_grad()
        output = model(images)
        assert lengths["conv"][-1] == lengths["linear"][-1] == 10
        np.testing.assert_array_equal(predict(model, images), output)
        gradients.append([model.backward(grad), *(parameter.grad for parameter in model.parameters())])
    assert lengths["conv"] == [10, 10, 10, 4, 4, 2]
    for first, second in zip(*gradients, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("watched", range(4))
def test_hooks_see_the_whole_batch(watched, small, lengths):
    model, images, seen = conv_relu_linear(), draw(10, 1, 4, 4), []
    for _ in range(2):
        expected = predict(model, images)
    with model[watched].register_forward_hook(lambda module, input, output: seen.append(len(output))):
        for _ in range(3):
            np.testing.assert_array_equal(predict(model, images), expected)
    assert seen == [10] * 3
    predict(model, images)
    assert lengths_of(lengths, model, images)[0] == [4, 4, 2]


def test_the_slices_end_before_a_layer_that_may_look_at_several_images(small, lengths):
    class MinusMean(nn.Module):
        def forward(self, input):
            return input - input.mean(axis=0)

    layers = [
        nn.Conv2d(1, 4, 1, rng=0),
        nn.Conv2d(4, 1, 1, rng=1),
        MinusMean(),
        nn.Flatten(),
        nn.Linear(16, 2),
    ]
    model, images = nn.Sequential(*layers), draw(10, 1, 4, 4)
    predict(model, images)
    assert lengths_of(lengths, model, images) == ([4, 4, 4, 4, 2, 2], [10])


OTHERS = {
    "images end to end": (
        [nn.Conv2d(1, 4, 1, rng=0), nn.Flatten(0, 2), nn.Linear(4, 1, rng=0)],
        (10, 1, 4, 4),
    ),
    "one image": ([nn.Conv2d(10, 40, 1, rng=0), nn.Conv2d(40, 10, 1, rng=0)], (10, 4, 4)),
    "one row": ([nn.Linear(10, 400, rng=0), nn.Linear(400, 10, rng=0)], (10,)),
    "rows of rows": ([nn.Linear(10, 40, rng=0), nn.Linear(40, 10, rng=0)], (10, 4, 10)),
    "no image": ([nn.Conv2d(1, 4, 1, rng=0), nn.Flatten(), nn.Linear(64, 1, rng=0)], (0, 1, 4, 4)),
    "no layer": ([], (10, 4)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_batch_of_images_all_the_way(name, small, lengths):
    layers, shape = OTHERS[name]
    model, images = nn.Sequential(*layers), draw(*shape)
    for _ in range(3):
        convs, linears = lengths_of(lengths, model, images)
        assert len(convs + linears) == len([layer for layer in layers if not isinstance(layer, nn.Flatten)])
    assert stages_of(model).known[shape, images.dtype][0] == 0


def test_a_net_within_a_net(small, lengths):
    model, images = nn.Sequential(conv_relu_linear(), nn.Tanh()), draw(10, 1, 4, 4)
    predict(model, images)
    np.testing.assert_array_equal(predict(model, images), np.tanh(predict(model[0], images)))
    assert lengths["conv"] == [10, 4, 4, 2, 4, 4, 2]


# Every question is asked again when its answer may have changed


def test_errors_are_about_the_whole_input(small):
    model, images = conv_relu_linear(), draw(10, 1, 4, 4)
    for _ in range(2):
        expected = predict(model, images)
    with raises(
        ValueError,
        'Conv2d "0": input must have 1 channel (axis 1). Got 2 in shape (10, 2, 4, 4). '
        "Build the layer with in_channels=2.",
    ):
        predict(model, draw(10, 2, 4, 4))
    with raises(
        ValueError,
        'Linear "3": input must have 64 features (last axis). Got shape (10, 80). '
        "Build the layer with in_features=80.",
    ):
        predict(model, draw(10, 1, 4, 5))
    with raises(
        TypeError,
        'Conv2d "0": input must be float32, as the layer\'s parameters are. Got float64. Convert the input with '
        ".astype(np.float32), or the model with model.astype(np.float64).",
    ):
        predict(model, images.astype(np.float64))
    with raises(TypeError, 'Conv2d "0": input must be a NumPy array. Got list. Convert it with np.asarray.'):
        predict(model, images.tolist())
    np.testing.assert_array_equal(predict(model, images), expected)


@pytest.mark.parametrize("before", [1, 2])
@pytest.mark.parametrize("place", [0, 3])
def test_a_weight_of_another_dtype(place, before, small):
    """After the first pass the slices are of a kind that no stage has seen yet, after the second they are known."""
    model, images = conv_relu_linear(), draw(10, 1, 4, 4)
    for _ in range(before):
        expected = predict(model, images)
    weight = model[place].weight.data
    model[place].weight.data = weight.astype(np.float64)
    for _ in range(2):
        with raises(
            TypeError,
            f'{type(model[place]).__name__} "{place}": input must be float64, as the layer\'s parameters are. Got '
            "float32. Convert the input with .astype(np.float64), or the model with model.astype(np.float32).",
        ):
            predict(model, images)
    model[place].weight.data = weight
    np.testing.assert_array_equal(predict(model, images), expected)


def test_weights_that_change_in_place_or_are_others(small, lengths):
    other, model, images = nn.Linear(64, 3, rng=2), conv_relu_linear(), draw(10, 1, 4, 4)
    predict(model, images)
    model[0].weight.data[...] *= 2
    assert lengths_of(lengths, model, images)[0] == [4, 4, 2]
    model[3].weight.data = draw(3, 64)
    assert lengths_of(lengths, model, images)[0] == [4, 4, 2]
    model[3].load_state_dict(other.state_dict())
    assert lengths_of(lengths, model, images)[0] == [4, 4, 2]


def test_a_model_that_is_edited(small, lengths):
    model, images = conv_relu_linear(), draw(10, 1, 4, 4)
    for _ in range(2):
        predict(model, images)
    model[0].padding = (1, 1)
    with raises(
        ValueError,
        'Linear "3": input must have 64 features (last axis). Got shape (10, 144). '
        "Build the layer with in_features=144.",
    ):
        predict(model, images)
    model.add_module("3", nn.Linear(144, 2, rng=0))
    assert lengths_of(lengths, model, images)[0] == [10]
    assert lengths_of(lengths, model, images)[0] == [2] * 5  # 576 bytes an image
    model.append(nn.Tanh())
    model.append(nn.BatchNorm1d(2))
    for _ in range(2):
        lengths_of(lengths, model.eval(), images)


def test_no_more_kinds_are_kept_than_may(small):
    model = conv_relu_linear()
    for count in [*range(1, 3 * KINDS)] * 2:
        assert predict(model, draw(count, 1, 4, 4)).shape == (count, 3)
    for keeper in (stages_of(model), *stages_of(model)):
        assert 0 < len(keeper.known) <= KINDS


def test_threads_with_batches_of_many_lengths(small):
    model = conv_relu_linear()
    batches = [draw(count % 5 + 9, 1, 4, 4, seed=count) for count in range(8)]
    expected = [predict_one_by_one(model, batch) for batch in batches]

    def compute(number):
        return all((predict(model, batches[number]) == expected[number]).all() for _ in range(50))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(compute, range(8)))


def test_stages_by_hand(small):
    layers = nn.Flatten(), nn.Linear(2, 4), nn.Linear(4, 1, bias=False)
    layers[1].weight.data[...], layers[1].bias.data[...] = [[1, 0], [0, 1], [1, 1], [0, 0]], [0, 0, 0, 7]
    layers[2].weight.data[...] = [[1, 10, 100, 1000]]
    stages = Stages([FlattenStage([layers[0]]), *(LinearStage([layer]) for layer in layers[1:])])
    images = np.float32([[[1], [2]]] * 100)  # 1 + 20 + 300 + 7000
    assert [stages.infer(images).tolist() for _ in range(2)] == [[[7321]] * 100] * 2
    assert stages.known == {((100, 2, 1), np.dtype(np.float32)): (50, 3)}
