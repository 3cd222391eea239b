"""Filters and feature maps: the numbers drawn are those of the layer."""

from __future__ import annotations

import numpy as np

from minicnn import nn
from minicnn.inspection import plot_feature_maps, plot_filters, plot_gradients, plot_values, trace
from tests.helpers import raises
from tests.inspection.figures.pictures import cells, conv, names, tour, traced, widths, written


def titles(figure) -> list[str]:
    return [ax.get_title() for ax in figure.axes if ax.get_title()]


def test_filters_by_hand():
    figure = plot_filters(conv([[[[1, -4]]], [[[2, 3]]]], bias=(0, 0)))
    assert [cells(ax) for ax in figure.axes[:2]] == [[[1.0, -4.0]], [[2.0, 3.0]]]
    assert [written(ax) for ax in figure.axes[:2]] == [["1", "-4"], ["2", "3"]]
    assert [ax.images[0].get_clim() for ax in figure.axes[:2]] == [(-4.0, 4.0), (-4.0, 4.0)]  # one scale
    assert titles(figure) == ["filter 0", "filter 1"]


def test_filters_of_several_channels_are_rows():
    weight = np.arange(12.0).reshape(2, 3, 1, 2)
    figure = plot_filters(weight, filters=[1], channels=[0, 2])
    assert [cells(ax) for ax in figure.axes[:2]] == [[[6.0, 7.0]], [[10.0, 11.0]]]
    assert titles(figure) == ["channel 0", "channel 2"]
    assert figure.axes[0].get_ylabel() == "filter 1"
    assert figure.get_suptitle() == "1 of 2 filters, 2 of 3 channels"


def test_a_layer_its_step_and_its_array_give_the_same_filters():
    t = tour()
    step = t["3"]
    for layer in (step, step.module, step.parameters["weight"]):
        figure = plot_filters(layer)
        assert len(figure.axes) == 8 * 8 + 1
        np.testing.assert_array_equal(cells(figure.axes[9]), step.parameters["weight"][1, 1])


def test_feature_maps_are_the_trace_s():
    t = tour()
    figure = plot_feature_maps(t["4"], image=-1)
    assert len(figure.axes) == 32 + 1
    for channel in range(32):
        np.testing.assert_array_equal(cells(figure.axes[channel]), t["4"].output[2, channel])
    limits = {ax.images[0].get_clim() for ax in figure.axes[:32]}
    assert limits == {(0.0, float(t["4"].output[2].max()))}
    assert figure.get_suptitle() == 'ReLU "4", image -1: 32 channels'


def test_chosen_channels_keep_the_scale_of_all():
    figure = plot_feature_maps(np.arange(12.0).reshape(1, 3, 2, 2), channels=1)
    assert cells(figure.axes[0]) == [[4.0, 5.0], [6.0, 7.0]]
    assert figure.axes[0].images[0].get_clim() == (0.0, 11.0)
    figure = plot_filters(np.float64([[[[1]]], [[[-5]]]]), filters=0)
    assert figure.axes[0].images[0].get_clim() == (-5.0, 5.0)


def test_what_is_not_finite_is_marked():
    figure = plot_feature_maps(np.array([[[[np.nan, 1.0, -np.inf]]]]))
    ax = figure.axes[0]
    assert written(ax) == ["nan", "1", "-inf"]
    assert np.ma.getmaskarray(ax.images[0].get_array()).tolist() == [[True, False, True]]


def test_gradients_are_the_trace_s_on_a_scale_around_zero():
    t = tour()
    figure = plot_gradients(t["3"], image=1)
    limit = float(np.abs(t["3"].grad_input[1]).max())
    for channel in range(16):
        np.testing.assert_array_equal(cells(figure.axes[channel]), t["3"].grad_input[1, channel])
        assert figure.axes[channel].images[0].get_clim() == (-limit, limit)
    ax = plot_gradients(t["7"], "bias.grad").axes[0]
    np.testing.assert_allclose(widths(ax), t["7"].grads["bias"])
    np.testing.assert_array_equal(
        cells(plot_gradients(t["7"], "weight.grad").axes[0]), t["7"].grads["weight"]
    )
    np.testing.assert_allclose(widths(plot_gradients(t["7"], "grad_output").axes[0]), t["7"].grad_output[0])


def test_gradients_of_filters_by_hand():
    # y = 1·10 + 2·1, and with MSE and target 10: G = 2·(12 - 10) = 4, weight.grad = G·x
    t = traced(conv([[[[10, 1]]]]), [[[[1, 2]]]], np.float32([[[[10]]]]))
    ax = plot_gradients(t["0"], "weight.grad").axes[0]
    assert (cells(ax), written(ax), ax.images[0].get_clim()) == ([[4.0, 8.0]], ["4", "8"], (-8.0, 8.0))


def test_gradients_of_one_sign_keep_a_scale_around_zero():
    t = traced(conv([[[[3]]]]), [[[[2]]]], np.float32([[[[5]]]]))  # 2·(6 - 5) = 2, times 3
    ax = plot_gradients(t["0"]).axes[0]
    assert (cells(ax), ax.images[0].get_clim(), ax.images[0].get_cmap().name) == (
        [[6.0]],
        (-6.0, 6.0),
        "RdBu_r",
    )


def test_maps_fill_their_figure():
    figure = plot_filters(np.ones((16, 1, 3, 3)))
    width, height = figure.get_size_inches()
    boxes = [ax.get_position() for ax in figure.axes[:16]]
    np.testing.assert_allclose([box.width * width for box in boxes], 1.1, atol=0.02)
    np.testing.assert_allclose([box.height * height for box in boxes], 1.1, atol=0.02)
    assert boxes[1].x0 > boxes[0].x1
    assert boxes[8].y1 < boxes[0].y0


def test_bars_and_histogram():
    ax = plot_values(np.array([3.0, -1.0, np.nan]), "title", "output", names=["a", "b", "c"]).axes[0]
    assert (widths(ax), names(ax), written(ax)) == ([3.0, -1.0, 0.0], ["a", "b", "c"], ["3", "-1", "nan"])
    ax = plot_values(np.r_[np.zeros(50), np.arange(50.0), np.nan], "title", "output").axes[0]
    assert sum(bar.get_height() for bar in ax.patches) == 100
    assert ax.get_title() == "101 numbers, 50% are zero, 1 not finite"


def test_errors():
    t = tour()
    with raises(
        TypeError,
        'plot_filters: layer must have a weight of shape (C_out, C_in, K_h, K_w). Got Linear "7" of shape '
        "(10, 1568). Pass a Conv2d, its step of a trace, or the array.",
    ):
        plot_filters(t["7"])
    with raises(
        ValueError,
        "plot_feature_maps: the array must be (N, C, H, W) or (C, H, W). Got shape (3, 10). "
        "Choose a step before Flatten.",
    ):
        plot_feature_maps(t["7"])
    with raises(
        ValueError,
        "plot_feature_maps: the array must be (N, C, H, W) or (C, H, W). Got list. "
        "Choose a step before Flatten.",
    ):
        plot_feature_maps([1, 2])
    with raises(
        TypeError, "plot_gradients: step must be one of a trace. Got Trace. Pass for example t['0']."
    ):
        plot_gradients(t)
    with raises(
        ValueError,
        "plot_gradients: of must name a gradient of ReLU \"0\". Got 'weight.grad'. Choose one of grad_input, "
        "grad_output; gradients need targets when tracing.",
    ):
        plot_gradients(trace(nn.Sequential(nn.ReLU()), np.ones((1, 2)))["0"], "weight.grad")
    with raises(
        ValueError,
        "plot_gradients: of must name a gradient of ReLU \"0\". Got 'grad_input'. Choose one of grad_input, "
        "grad_output; gradients need targets when tracing.",
    ):
        plot_gradients(trace(nn.Sequential(nn.ReLU()), np.ones((1, 2)))["0"])
