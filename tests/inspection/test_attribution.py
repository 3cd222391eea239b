"""Saliency and occlusion: by hand, against central differences, and nothing in the model changed."""

from __future__ import annotations

import numpy as np
import pytest

from minicnn import nn
from minicnn.inspection import (
    attribution,
    occlusion,
    plot_occlusion,
    plot_receptive_field,
    plot_saliency,
    saliency,
    trace,
)
from tests.helpers import raises
from tests.inspection.figures.pictures import assert_readable, cells


def linear(weight) -> nn.Sequential:
    """Return logits that are linear in the pixels."""
    weight = np.float64(weight)
    model = nn.Sequential(nn.Flatten(), nn.Linear(weight.shape[1], len(weight), bias=False, dtype=np.float64))
    model[1].weight.data[...] = weight
    return model


def small(rng=0) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, dtype=np.float64, rng=rng),
        nn.BatchNorm2d(3, dtype=np.float64),
        nn.Tanh(),
        nn.Dropout(0.5, rng=0),
        nn.Flatten(),
        nn.Linear(3 * 4 * 3, 4, dtype=np.float64, rng=rng),
    )


def test_saliency_by_hand():
    model = linear([[2, -3, 0], [1, 1, 5]])
    image = np.array([[[[10.0, 100.0, 7.0]]]])
    assert saliency(model, image, 0).tolist() == [[[[20.0, -300.0, 0.0]]]]
    assert saliency(model, image).tolist() == [[[[10.0, 100.0, 35.0]]]]  # logits -280 and 145


def test_saliency_is_the_slope_times_the_pixel():
    model, rng = small().eval(), np.random.default_rng(0)
    images, step = rng.normal(size=(2, 2, 6, 5)), 1e-5
    found = saliency(model, images, 3)
    for place in [(0, 0, 2, 2), (1, 1, 5, 4), (1, 0, 3, 1)]:
        moved = np.zeros_like(images)
        moved[place] = step
        slope = (model(images + moved)[place[0], 3] - model(images - moved)[place[0], 3]) / (2 * step)
        np.testing.assert_allclose(found[place], slope * images[place], atol=1e-7)


def test_occlusion_by_hand():
    # logit = 1·a + 2·b + 4·c + 8·d; a patch of 1x2 would be size 2, so rows are doubled: both rows alike
    model = linear([[1, 2, 4, 8, 0, 0, 0, 0], [0] * 8])
    image = np.array([[[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]])
    # patches at columns 0, 1, 2 take 3, 6, 12; a pixel's number is the mean over the patches that cover it
    expected = [3, (3 + 6) / 2, (6 + 12) / 2, 12]
    assert occlusion(model, image, 0, size=2, stride=1, value=0.0).tolist() == [expected, expected]
    assert occlusion(model, image, 0, size=2, stride=1).tolist() == [[0.0] * 4] * 2  # the median is 1


def test_occlusion_does_not_depend_on_the_batches():
    model, image = small().eval(), np.random.default_rng(0).normal(size=(2, 6, 5))
    whole = occlusion(model, image, size=3)
    for batch_size in (1, 2, 5):
        np.testing.assert_allclose(occlusion(model, image[None], size=3, batch_size=batch_size), whole)


@pytest.mark.parametrize("function", [saliency, occlusion])
def test_the_model_is_left_as_it_was(function):
    model, image = small().train(), np.random.default_rng(0).normal(size=(1, 2, 6, 5))
    model.backward(np.ones_like(model(image)))
    before = model.state_dict() | {f"{n}.grad": p.grad.copy() for n, p in model.named_parameters()}
    state, saved = model[3].rng.bit_generator.state, [module.saved for module in model.modules()]
    function(model, image)
    after = model.state_dict() | {f"{n}.grad": p.grad for n, p in model.named_parameters()}
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array, err_msg=name)
    assert model[3].rng.bit_generator.state == state
    assert [module.saved for module in model.modules()] == saved
    assert all(module.training for module in model.modules())


def test_pictures_show_these_numbers():
    model, image = small(), np.random.default_rng(0).normal(size=(2, 6, 5))
    names = ["a", "b", "c", "d"]
    figure = plot_saliency(model, image, 2, classes=names)
    np.testing.assert_allclose(cells(figure.axes[1]), saliency(model, image[None], 2)[0].sum(axis=0))
    assert figure.axes[1].get_title() == "gradient × input for c"
    assert_readable(figure)
    low, high = figure.axes[1].images[0].get_clim()
    assert low == -high
    figure = plot_occlusion(model, image, 1, classes=names, size=2, stride=1)
    np.testing.assert_allclose(cells(figure.axes[1]), occlusion(model, image, 1, size=2, stride=1))
    assert figure.axes[1].get_title() == "occlusion for b"
    assert [ax.get_xlabel() for ax in figure.axes[:2]] == ["column", "column"]


def test_the_receptive_field_is_framed_on_its_image():
    images = np.stack([np.arange(64.0)[::-1], np.arange(64.0)]).reshape(2, 1, 8, 8)
    t = trace(nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, dtype=np.float64, rng=0)), images)
    ax = plot_receptive_field(t, "0", (1, 0, 0, 4))  # rows 0 to 1, columns 3 to 5
    frame = ax.patches[-1]
    assert (frame.get_xy(), frame.get_width(), frame.get_height()) == ((2.5, -0.5), 3, 2)
    assert ax.get_title() == 'Conv2d "0": output[1, 0, 0, 4]\nsees rows 0 to 1, columns 3 to 5'
    assert cells(ax)[7][7] == 1.0  # the brightest pixel of its own image
    t = trace(nn.Sequential(nn.Conv2d(1, 1, 1, padding=2, rng=0)), np.ones((1, 1, 3, 3), np.float32))
    ax = plot_receptive_field(t, "0", (0, 0, 0, 0))
    assert ax.get_title().endswith("sees padding only")
    assert not ax.patches


def test_the_bar_is_for_terminals_only(monkeypatch, capsys):
    model, image = small(), np.zeros((2, 6, 5))
    occlusion(model, image)
    assert capsys.readouterr().err == ""
    seen = []

    class Bar:
        def __init__(self, **options):
            seen.append(options["disable"])

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

        def update(self, count):
            seen.append(count)

    monkeypatch.setattr(attribution, "tqdm", Bar)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    occlusion(model, image, batch_size=4)  # rows 0 and 1, column 0
    occlusion(model, image, progress=False)
    assert seen == [False, 2, True, 2]


def test_errors():
    model, image = small(), np.zeros((1, 2, 6, 5))
    with raises(
        TypeError,
        "saliency: model must be a minicnn module. Got str. Pass layers such as nn.ReLU() (with the brackets).",
    ):
        saliency("model", image)
    with raises(TypeError, "saliency: images must be a NumPy array. Got list. Convert it with np.asarray."):
        saliency(model, [1])
    with raises(
        ValueError,
        "saliency: images must be (N, C, H, W), at least one. Got shape (2, 6, 5). Add the missing axes.",
    ):
        saliency(model, image[0])
    with raises(ValueError, "saliency: index must be a class from 0 to 3. Got 4. Choose one of the 4."):
        saliency(model, image, 4)
    with raises(
        ValueError,
        "saliency: the model must give logits (N, classes). Got shape (1, 2, 6, 5). "
        "Pass a model that classifies.",
    ):
        saliency(nn.ReLU(), image)
    with raises(
        ValueError,
        "plot_occlusion: image must be a single one, (C, H, W). Got shape (2, 2, 6, 5). Pass images[0].",
    ):
        plot_occlusion(model, np.zeros((2, 2, 6, 5)))
    with raises(
        ValueError,
        "occlusion: patches must fit into the image and leave no gaps. Got size 6 and stride 2 for 6x5 "
        "pixels. Choose stride <= size <= 5.",
    ):
        occlusion(model, image, size=6)
    with raises(ValueError, "occlusion: batch_size must be at least 1. Got 0. Pass a larger number."):
        occlusion(model, image, batch_size=0)
