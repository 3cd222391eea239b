"""Trace.plot() and plot_way: an image's whole way to its label on one strip."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from minicnn import nn
from minicnn.inspection import plot_way, trace
from minicnn.inspection.figures.canvas import BLUE, GREY, RED
from minicnn.inspection.figures.stages import choose_stages, most_telling
from minicnn.inspection.figures.strip import Panel
from minicnn.models import deeper_cnn
from tests.helpers import raises
from tests.inspection.figures.pictures import assert_readable, cells, names, tour, widths, written


def batch(*shape) -> np.ndarray:
    """Return random images."""
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def texts(figure) -> list[str]:
    """Return all that stands on the figure outside of axes."""
    return [text.get_text() for text in figure.texts]


def head(classes: int, features: int = 8) -> nn.Sequential:
    """Return a model with one convolution and so many classes."""
    return nn.Sequential(nn.Conv2d(1, 2, 3, rng=0), nn.Flatten(), nn.Linear(features, classes, rng=0))


def residual() -> nn.Sequential:
    """Return a net of 12 convolutions in blocks, from 32 pixels down to 1."""
    rng = np.random.default_rng(0)

    def block(before: int, after: int) -> nn.Residual:
        body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride=2, padding=1, rng=rng),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, padding=1, rng=rng),
        )
        return nn.Residual(body, nn.Conv2d(before, after, 1, stride=2, rng=rng))

    blocks = [block(3, 4), nn.ReLU(), block(4, 8), nn.ReLU(), block(8, 8), nn.ReLU(), block(8, 8)]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 1000, rng=rng))


def long_names(count: int) -> list[str]:
    """Return names that do not fit beside a bar."""
    return [f"{index} Wild Western Mammoth" for index in range(count)]


PICTURES = {
    "the tour's net": lambda: tour().plot(),
    "a deeper net on colours": lambda: trace(deeper_cnn(rng=0), batch(2, 3, 32, 32)).plot(image=1),
    "a residual net, 1000 classes": lambda: trace(
        residual(), batch(1, 3, 32, 32), np.array([3]), classes=long_names(1000)
    ).plot(),
    "two classes": lambda: trace(head(2), batch(1, 1, 4, 4), classes=long_names(2)).plot(),
    "eleven classes": lambda: trace(head(11), batch(1, 1, 4, 4)).plot(),
    "one number": lambda: trace(head(1), batch(1, 1, 4, 4)).plot(),
    "maps at the end": lambda: trace(nn.Conv2d(1, 2, 3, rng=0), batch(2, 1, 9, 30)).plot(),
    "no maps": lambda: trace(nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), batch(1, 1, 4, 4)).plot(),
    "vectors": lambda: trace(nn.Sequential(nn.Linear(30, 3, rng=0)), batch(2, 30)).plot(),
    "two channels, tall": lambda: trace(nn.Sequential(nn.MaxPool2d(2)), batch(1, 2, 40, 8)).plot(),
    "no batch axis": lambda: trace(nn.Sequential(nn.MaxPool2d(2)), batch(1, 8, 8)).plot(),
    "NaN and infinity": lambda: trace(
        nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(4, 3, rng=0)),
        np.float32([[[[np.nan, np.inf], [1, -np.inf]]]]),
    ).plot(),
    "nothing finite": lambda: trace(nn.Sequential(nn.ReLU()), np.full((1, 1, 2, 2), np.nan)).plot(),
}


def assert_names_are_free(figure) -> None:
    """Raise unless the names beside the bars lie on no other text; the figure has been drawn before."""
    renderer = figure.canvas.get_renderer()
    others = [text for text in figure.texts if text.get_text()]
    for ax in figure.axes:
        labels = [label for label in ax.get_yticklabels() if label.get_text()]
        for label in labels:
            box = label.get_window_extent(renderer)
            for other in others + ax.texts:
                assert not box.overlaps(other.get_window_extent(renderer)), (
                    f"{label.get_text()!r} lies on {other.get_text()!r}"
                )


@pytest.mark.parametrize("name", PICTURES)
def test_every_way_is_readable(name):
    figure = PICTURES[name]()
    assert_readable(figure)
    assert_names_are_free(figure)


def test_the_helper_rejects_names_on_texts():
    figure = tour().plot()
    ax = next(ax for ax in figure.axes if "9" in names(ax))
    box = ax.get_position()
    figure.text(box.x0 - 0.01, box.y0, "something else", ha="center")
    FigureCanvasAgg(figure).draw()
    with pytest.raises(AssertionError, match="lies on 'something else'"):
        assert_names_are_free(figure)


def test_the_numbers_are_the_traces_own():
    t, figure = tour(), tour().plot(image=1)
    image, first, *_, last, logits, shares = figure.axes
    pixels = t["0"].input[1, 0]
    np.testing.assert_allclose(cells(image), (pixels - pixels.min()) / np.ptp(pixels), atol=1e-6)
    assert len(figure.axes) == 1 + 6 * 4 + 2
    numbers = [int(text) for text in texts(figure) if text.isdigit()][:8]  # four and four channels
    np.testing.assert_array_equal(cells(first), t["0"].output[1, numbers[0]])
    np.testing.assert_array_equal(cells(last), t["5"].output[1, numbers[7]])
    np.testing.assert_array_equal(cells(figure.axes[6]), t["1"].output[1, numbers[1]])  # its row goes on
    np.testing.assert_allclose(widths(logits), t["7"].output[1])
    np.testing.assert_allclose(widths(shares), t["softmax"].output[1])
    assert names(logits) == list("0123456789")
    assert written(logits) == [f"{value:.2f}" for value in t["7"].output[1]]


def test_titles_sizes_and_what_lies_between():
    found = texts(tour().plot(image=2))
    assert found.count("16 × 28 × 28") == 2
    assert {'Conv2d\n"0"', "16 × 14 × 14", 'MaxPool2d\n"5"', "32 × 7 × 7", "Flatten"} < set(found)
    assert {"image 2", "softmax", "argmax", "10 logits", "probabilities", "label"} < set(found)
    assert "1 × 28 × 28 pixels\nfrom -0.425 to 2.82" in found
    assert "Flatten\nLinear\nReLU" in texts(PICTURES["a deeper net on colours"]())


def test_the_label_is_red_where_it_is_wrong():
    model, images = head(2), batch(1, 1, 4, 4)
    model[2].bias.data[...] = [9, 0]
    for targets, colour, truth in ((None, BLUE, None), ([0], BLUE, "truth: cat"), ([1], RED, "truth: dog")):
        targets = None if targets is None else np.array(targets)
        figure = trace(model, images, targets, classes=("cat", "dog")).plot()
        label = next(text for text in figure.texts if text.get_text() == "cat")
        assert label.get_color() == colour
        lines = next(text for text in texts(figure) if text.startswith("index"))
        assert (lines.split("\n")[2:] or [None]) == [truth]
        assert [bar.get_facecolor()[:3] == bar_colour(BLUE) for bar in figure.axes[-1].patches] == [
            True,
            False,
        ]
        assert figure.axes[-1].patches[1].get_facecolor()[:3] == bar_colour(GREY)


def test_a_wrong_label_is_red_however_alike_the_names_are():
    model = head(2)
    model[2].bias.data[...] = [9, 0]
    classes = ("American Staffordshire terrier", "American Staffordshire bulldog")
    figure = trace(model, batch(1, 1, 4, 4), np.array([1]), classes=classes).plot()
    label = next(text for text in figure.texts if text.get_weight() == "bold")
    assert label.get_color() == RED


def bar_colour(name: str) -> tuple:
    """Return a colour as matplotlib keeps it."""
    from matplotlib.colors import to_rgb

    return to_rgb(name)


def test_of_many_classes_the_most_probable():
    t = trace(head(1000), batch(1, 1, 4, 4))
    figure = t.plot()
    logits, shares = figure.axes[-2:]
    best = np.argsort(-t["softmax"].output[0])[:9]
    assert names(logits) == [str(index) for index in best]
    np.testing.assert_allclose(widths(shares), t["softmax"].output[0, best])
    assert "and 991 more" in texts(figure)
    assert f"{1 - t['softmax'].output[0, best].sum():.1%}" in texts(figure)
    assert len(names(trace(head(10), batch(1, 1, 4, 4)).plot().axes[-2])) == 10


def test_of_many_layers_the_turning_points():
    t = trace(residual(), batch(1, 3, 32, 32))
    layers = [step for step in t if step.name not in ("softmax", "label")]
    assert [layers[place].name for place in choose_stages(layers)] == ["0", "2", "4", "6", "7"]
    rng = np.random.default_rng(0)
    deep = [nn.Conv2d(2, 2, 3, padding=1, rng=rng) for _ in range(20)]
    steps = trace(nn.Sequential(*deep, nn.MaxPool2d(2)), batch(1, 2, 8, 8)).steps
    chosen = choose_stages(steps)
    assert len(chosen) == 6
    assert {0, 19, 20} < set(chosen)


def test_channels_that_show_something_else():
    one, other, weak = np.eye(9).reshape(9, 3, 3)[:3]
    assert most_telling(np.stack([5 * one, 4 * one, weak / 10, other]), most=3) == [0, 2, 3]
    assert most_telling(np.stack([one, one, one]), most=2) == [0, 1]
    assert most_telling(np.zeros((6, 2, 2))) == [0, 1, 2, 3]
    assert most_telling(np.float32([[[1]], [[-3]], [[2]]]), most=2) == [1, 2]
    assert most_telling(np.stack([one + np.nan, other + np.inf, one * 1e300]), most=1) == [2]


def test_drawn_where_it_is_asked_to():
    figure = Figure(figsize=(20, 10), layout="constrained")
    left, right = figure.subfigures(1, 2)
    assert tour().plot(figure=left) is left
    plot_way(tour(), image=1, figure=right)
    assert_readable(figure)
    left, right = (
        [figure.transFigure.inverted().transform(corner)[0] for corner in part.bbox.get_points()]
        for part in (left, right)
    )
    assert left[1] <= right[0]


def test_panels_centre_their_texts_on_what_is_drawn():
    narrow = Panel(0.5, 1.0, print, "a very long title", "", lead=0.2)
    assert narrow.room == pytest.approx(2 * narrow.centre)  # wider than the drawing on both sides
    wide = Panel(3.0, 1.0, print, "", "", lead=1.0)
    assert (wide.room, wide.centre) == (3.0, 2.0)


def test_errors():
    with raises(ValueError, "plot_way: image must be an int from 0 to 2. Got 3. Choose one of the 3."):
        tour().plot(image=3)
    with raises(
        TypeError,
        "plot_way: figure must be a matplotlib Figure or SubFigure. Got str. Leave it out for a new figure.",
    ):
        tour().plot(figure="way.png")
