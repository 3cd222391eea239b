"""What the tests of pictures share: a trace to draw, and a look at where the texts are."""

from __future__ import annotations

import functools

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from minicnn import data, nn
from minicnn.inspection import trace
from minicnn.models import mnist_cnn


@functools.cache
def tour():
    """Return a trace of the tour's net on three digits."""
    _, test = data.load("mnist-5k")
    return trace(mnist_cnn(rng=0), test.transform(test.images[:3]), test.targets[:3], classes=test.classes)


def traced(layer: nn.Module, images, targets=None):
    """Return the trace of one layer on images."""
    return trace(nn.Sequential(layer), np.asarray(images, np.float32), targets, nn.MSELoss())


def conv(weight, bias=(0.0,), **options) -> nn.Conv2d:
    """Return a convolution with these weights."""
    weight = np.float32(weight)
    channels = weight.shape[1] * options.get("groups", 1)
    layer = nn.Conv2d(channels, len(weight), weight.shape[2:], **options)
    layer.weight.data[...], layer.bias.data[...] = weight, bias
    return layer


def cells(ax) -> list:
    """Return the numbers of an axes' heat map."""
    return np.ma.getdata(ax.images[0].get_array()).tolist()


def written(ax) -> list[str]:
    """Return the texts inside the axes, in order."""
    return [text.get_text() for text in ax.texts]


def widths(ax) -> list[float]:
    """Return the lengths of the bars."""
    return [float(bar.get_width()) for bar in ax.patches]


def names(ax) -> list[str]:
    """Return what stands beside the bars."""
    return [label.get_text() for label in ax.get_yticklabels()]


def assert_readable(figure) -> None:
    """Raise unless everything lies inside the figure and no text lies on another."""
    figure = figure.figure
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    box, (width, height) = figure.get_tightbbox(renderer), figure.get_size_inches()
    slack = 1.5 / figure.dpi  # a text's extent is rounded up to whole pixels
    inside = box.x0 >= -slack and box.y0 >= -slack and box.x1 <= width + slack and box.y1 <= height + slack
    assert inside, f"something sticks out of the figure of {width}x{height}: {box}"
    texts = [text for part in (figure, *figure.subfigs) for text in part.texts]
    for ax in figure.axes:
        texts += [ax.title, ax.xaxis.label, ax.yaxis.label, *ax.texts]
    texts = [text for text in texts if text.get_text() and text.get_visible()]
    corners = np.array([text.get_window_extent(renderer).extents for text in texts])  # (texts, 4)
    low, high = corners[:, :2] + 1, corners[:, 2:] - 1
    overlap = (low[:, None] < high).all(axis=2) & (high[:, None] > low).all(axis=2)
    for one, other in np.argwhere(np.triu(overlap, 1)):
        raise AssertionError(f"{texts[one].get_text()!r} lies on {texts[other].get_text()!r}")
