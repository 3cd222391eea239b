"""Trace.plot and Explanation.plot: the right picture for the kind of step."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from minicnn import nn
from minicnn.inspection import trace
from tests.helpers import raises
from tests.inspection.figures.pictures import cells, names, tour, widths


def test_a_convolution_is_filters_above_feature_maps():
    t = tour()
    upper, lower = t.plot("0", image=2).subfigs
    np.testing.assert_array_equal(cells(upper.axes[3]), t["0"].parameters["weight"][3, 0])
    np.testing.assert_array_equal(cells(lower.axes[3]), t["0"].output[2, 3])


def test_max_pooling_is_its_winners_in_the_strongest_channel():
    t = tour()
    channel = int(t["2"].output[1].max(axis=(1, 2)).argmax())
    ax = t.plot("2", image=1).axes[0]
    np.testing.assert_array_equal(cells(ax), t["2"].input[1, channel])
    assert ax.get_title() == f'MaxPool2d "2", image 1, channel {channel}\nframed cells win'


def test_softmax_and_label_are_bars_in_four_steps():
    t = tour()
    for name in ("softmax", "label"):
        figure = t.plot(name, image=1)
        assert len(figure.axes) == 4
        np.testing.assert_allclose(widths(figure.axes[0]), t["softmax"].input[1])


def test_the_loss_is_the_gradient_of_the_logits():
    t = tour()
    ax = t.plot("loss", image=1).axes[0]
    np.testing.assert_allclose(widths(ax), t["loss"].grad_input[1])
    assert (names(ax), ax.get_xlabel()) == (list("0123456789"), "gradient of the logit")


def test_other_steps_are_maps_bars_or_a_histogram():
    t = tour()
    np.testing.assert_array_equal(cells(t.plot("1").axes[5]), t["1"].output[0, 5])
    np.testing.assert_allclose(widths(t.plot("7", image=2).axes[0]), t["7"].output[2])
    assert t.plot("6").axes[0].get_ylabel() == "numbers"


def test_every_step_of_odd_models_has_a_picture():
    block = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1, rng=0), nn.BatchNorm2d(2))
    model = nn.Sequential(nn.Residual(block), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(8, 3, rng=0))
    t = trace(model, np.random.default_rng(0).normal(size=(2, 2, 4, 4)).astype(np.float32), np.array([0, 1]))
    for step in t:
        assert t.plot(step.name).axes
    t = trace(nn.Sequential(nn.Conv2d(1, 1, 1, rng=0), nn.MaxPool2d(2)), np.ones((1, 2, 2), np.float32))
    for step in t:  # without the batch axis
        assert t.plot(step.name).axes


def test_explanations():
    t = tour()
    assert len(t.explain("0", (0, 3, 5, 7)).plot().axes) == 3  # patch, kernel, product
    figure = t.explain("0", (0, 3, 5, 7)).plot(figure=Figure())
    assert len(figure.axes) == 3
    assert len(t.explain("3", (0, 3, 0, 1), of="weight.grad").plot().axes) == 1
    figure = Figure()
    assert t.explain("7", (0, 1)).plot(figure=figure) is figure
    assert len(figure.axes) == 1
    ax = Figure().subplots()
    assert t.explain("0", (0, 3, 5, 7)).plot(ax) is ax
    assert len(ax.patches) == 10  # nine products and the bias


def test_errors():
    t = tour()
    with raises(ValueError, "Trace.plot: image must be an int from 0 to 2. Got 3. Choose one of the 3."):
        t.plot("2", image=3)
    with raises(ValueError, "Trace.plot: image must be an int from 0 to 2. Got 1.5. Choose one of the 3."):
        t.plot("7", image=1.5)
