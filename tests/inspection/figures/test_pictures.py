"""The helper that looks for clipped and overlapping texts; what all pictures have in common."""

from __future__ import annotations

import functools
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from minicnn import inspection, nn
from minicnn.inspection.figures.canvas import readable_on, scale_of, short
from tests.helpers import raises
from tests.inspection.figures.pictures import assert_readable, tour, traced


def test_the_helper_rejects_what_sticks_out():
    figure = Figure()
    figure.text(0.9, 0.5, "much too long for its place at the edge")
    with pytest.raises(AssertionError, match="sticks out"):
        assert_readable(figure)


def test_the_helper_rejects_texts_on_texts():
    figure = Figure()
    figure.text(0.5, 0.5, "one")
    figure.text(0.51, 0.5, "other")
    with pytest.raises(AssertionError, match="'one' lies on 'other'"):
        assert_readable(figure)


@functools.cache
def every_picture() -> dict:
    """Return a call for each picture, with the name of the argument that says where to draw."""
    t = tour()
    model, image = nn.Sequential(nn.Flatten(), nn.Linear(784, 10, rng=0)), t["0"].input[:1]
    histogram = inspection.ActivationHistogram(image)
    histogram.record(model)
    one = t.explain("0", (0, 3, 5, 7))
    return {
        "filters": (lambda **where: inspection.plot_filters(t["0"], **where), "figure"),
        "filters of several channels": (
            lambda **where: inspection.plot_filters(t["3"], filters=range(3), **where),
            "figure",
        ),
        "feature maps": (
            lambda **where: inspection.plot_feature_maps(t["4"], channels=range(12), **where),
            "figure",
        ),
        "convolution": (lambda **where: inspection.plot_convolution(one, **where), "figure"),
        "convolution of 16": (
            lambda **where: inspection.plot_convolution(t.explain("3", (0, 0, 5, 5)), **where),
            "figure",
        ),
        "winners": (lambda **where: inspection.plot_pool_winners(t["5"], **where), "ax"),
        "softmax": (lambda **where: inspection.plot_softmax(t["softmax"], **where), "figure"),
        "gradients": (
            lambda **where: inspection.plot_gradients(t["3"], channels=range(9), **where),
            "figure",
        ),
        "weight gradients": (
            lambda **where: inspection.plot_gradients(t["0"], "weight.grad", **where),
            "figure",
        ),
        "matrix gradients": (
            lambda **where: inspection.plot_gradients(t["7"], "weight.grad", **where),
            "figure",
        ),
        "bias gradients": (lambda **where: inspection.plot_gradients(t["7"], "bias.grad", **where), "figure"),
        "receptive field": (
            lambda **where: inspection.plot_receptive_field(t, "5", (0, 3, 2, 2), **where),
            "ax",
        ),
        "saliency": (lambda **where: inspection.plot_saliency(model, image, **where), "figure"),
        "occlusion": (lambda **where: inspection.plot_occlusion(model, image, stride=5, **where), "figure"),
        "terms": (lambda **where: inspection.plot_terms(t.explain("7", (0, 3)), **where), "ax"),
        "values": (
            lambda **where: inspection.plot_values(t["7"].output[0], "logits", "output", **where),
            "figure",
        ),
        "histogram": (lambda **where: histogram.plot(**where), "figure"),
        "a trace's whole way": (lambda **where: t.plot(**where), "figure"),
        "a trace's convolution": (lambda **where: t.plot("0", **where), "figure"),
        "a trace's pooling": (lambda **where: t.plot("5", **where), "figure"),
        "a trace's loss": (lambda **where: t.plot("loss", **where), "figure"),
        "a trace's vector": (lambda **where: t.plot("6", **where), "figure"),
        "an explanation": (lambda **where: t.explain("2", (0, 3, 5, 7)).plot(**where), "figure"),
        "an explained convolution as bars": (lambda **where: one.plot(**where), "ax"),
    }


PICTURES = list(every_picture())


@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_is_readable_and_unknown_to_pyplot(name):
    from matplotlib import pyplot

    known = pyplot.get_fignums()  # others may have left some open
    draw, _ = every_picture()[name]
    assert_readable(draw())
    assert pyplot.get_fignums() == known


@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_is_drawn_where_it_is_asked_to(name):
    draw, argument = every_picture()[name]
    subfigure = Figure(figsize=(12, 12), layout="constrained").subfigures(1, 2)[0]
    place = subfigure.subplots() if argument == "ax" else subfigure
    assert draw(**{argument: place}) is place
    assert subfigure.figure.axes


@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_refuses_another_place(name):
    draw, argument = every_picture()[name]
    with pytest.raises(TypeError, match=f"{argument} must be (a )?matplotlib .* Got str. Leave it out"):
        draw(**{argument: "picture.png"})


def pictures_of(classes) -> list:
    """Return a drawing function for every picture with class names."""
    model, image = (
        nn.Sequential(nn.Flatten(), nn.Linear(4, len(classes), rng=0)),
        np.ones((1, 1, 2, 2), np.float32),
    )
    t = inspection.trace(model, image, np.array([0]), classes=classes)
    return [
        *(functools.partial(t.plot, name) for name in (None, "loss", "softmax", "label")),
        t.explain("label", 0).plot,
        functools.partial(inspection.plot_saliency, model, image, 0, classes=classes),
        functools.partial(inspection.plot_occlusion, model, image, 0, size=1, stride=1, classes=classes),
    ]


@pytest.mark.parametrize("draw", pictures_of(["$\\frac$ off", "$5 to $10", "a_b^c"]))
def test_class_names_are_no_formulas(draw):
    figure = draw()
    assert_readable(figure)
    texts = [text for text in figure.findobj(Text) if "$" in text.get_text()]
    assert texts
    assert not any(text.get_parse_math() for text in texts)


@pytest.mark.parametrize("draw", pictures_of(["class name " * 12, "Ü" * 80, "short"]))
def test_long_class_names_leave_room(draw):
    figure = draw()
    assert_readable(figure)
    for ax in figure.axes:
        if ax.patches:
            assert ax.get_window_extent().width > 80  # pixels


@pytest.mark.parametrize("scale", [1.0, 4e3, 4e5, 1e30])
def test_large_logits_leave_names_and_ticks_free(scale):
    figure = inspection.plot_softmax(scale * np.array([0.1, -1.1, -0.7]), classes=["a", "b", "c"])
    assert_readable(figure)
    for ax in figure.axes:
        texts = [*ax.texts, *(label for axis in (ax.xaxis, ax.yaxis) for label in axis.get_ticklabels())]
        boxes = [text.get_window_extent() for text in texts if text.get_text() and text.get_visible()]
        for position, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:position])


def test_axes_have_names():
    t = tour()
    for figure in (inspection.plot_filters(t["0"]), inspection.plot_feature_maps(t["1"])):
        assert (figure.get_supxlabel(), figure.get_supylabel()) == ("column", "row")
    for ax in (inspection.plot_pool_winners(t["2"]), inspection.plot_receptive_field(t, "0", (0, 0, 0, 0))):
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("column", "row")


def test_numbers_are_left_out_where_they_do_not_fit():
    small = Figure(figsize=(2, 2)).subplots()
    assert not inspection.plot_pool_winners(tour()["2"], ax=small).texts
    assert len(inspection.plot_pool_winners(tour()["2"]).texts) == 28 * 28


def test_pictures_beside_each_other_remain_readable():
    t, figure = tour(), Figure(figsize=(12, 4), layout="constrained")
    axes = figure.subplots(1, 3)
    inspection.plot_pool_winners(t["5"], ax=axes[0])
    inspection.plot_receptive_field(t, "5", (0, 3, 2, 4), ax=axes[1])
    inspection.plot_terms(t.explain("7", (0, 3)), ax=axes[2])
    assert_readable(figure)


def test_numbers_stand_out_from_their_cells():
    ax = inspection.plot_pool_winners(traced(nn.MaxPool2d(1), [[[[0, 9]]]])["0"])
    assert [text.get_color() for text in ax.texts] == ["white", "black"]  # viridis: dark at 0, bright at 9
    assert [readable_on((0.2, 0.2, 0.2, 1)), readable_on((0.9, 0.9, 0.9, 1))] == ["white", "black"]


def test_scales():
    assert scale_of(np.array([-1.0, 4.0])) == {"cmap": "RdBu_r", "vmin": -4.0, "vmax": 4.0}
    assert scale_of(np.array([0.0, 4.0]), signed=True) == {"cmap": "RdBu_r", "vmin": -4.0, "vmax": 4.0}
    assert scale_of(np.array([np.nan, np.inf, 2.0])) == {"cmap": "viridis", "vmin": 0.0, "vmax": 2.0}
    assert scale_of(np.zeros(3)) == {"cmap": "viridis", "vmin": 0.0, "vmax": 1.0}


def test_short_numbers():
    assert [short(value, 2.5) for value in (2.5, -0.04, 0.04, -0.0)] == ["2.5", "0.0", "0.0", "0"]
    assert [short(value, np.inf) for value in (-np.inf, 12345678.5)] == ["-inf", "1e+07"]


def test_places_that_do_not_exist():
    t = tour()
    with raises(
        ValueError,
        "plot_feature_maps: image must be an int from 0 to 2. Got 3. Choose one of the 3.",
    ):
        inspection.plot_feature_maps(t["0"], image=3)
    with raises(
        ValueError, "plot_filters: filter must be an int from 0 to 15. Got 16. Choose one of the 16."
    ):
        inspection.plot_filters(t["0"], filters=[0, 16])
    with raises(
        ValueError, "plot_filters: filters must name at least one. Got none. Leave them out for the first 64."
    ):
        inspection.plot_filters(t["0"], filters=[])
    with raises(
        ValueError,
        "plot_feature_maps: image must be an int below their number. Got 0 of none. "
        "Pass an array with at least one image.",
    ):
        inspection.plot_feature_maps(np.zeros((0, 2, 3, 3)))


def test_importing_loads_no_matplotlib():
    code = "import sys, minicnn.inspection; print('matplotlib' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
