"""An image's way to its label, on one strip: pixels, feature maps, logits, probabilities, a name."""

from __future__ import annotations

import textwrap
from functools import partial

import numpy as np

from minicnn.inspection.explainers.conv import batched
from minicnn.inspection.figures.canvas import as_figure, as_place, draw_image, heat_map, scale_of
from minicnn.inspection.figures.ending import TALL, class_panels, output_panel
from minicnn.inspection.figures.grid import height_of
from minicnn.inspection.figures.stages import Stage, choose_channels, choose_stages
from minicnn.inspection.figures.strip import FAINT, SMALL, Panel, Strip, frame, width_of
from minicnn.inspection.record import Step

# Inches: a map, from one map to the next, the number on its left, the image; texts above and below; a line.
MAP, PITCH, NUMBER, IMAGE = 0.79, 0.87, 0.2, 1.6
TITLE, BELOW, LINE, EDGE = 0.5, 0.46, 0.13, 0.12
NOTES = (
    "Of each layer up to 4 channels, strong ones that are unlike each other; maps without a number belong to "
    "the channel on their left. White is zero, red above, blue below; where nothing is below zero: from dark "
    "(zero) to yellow."
)


def plot_way(trace, *, image=0, figure=None):
    """Draw one image's way to its label: pixels, feature maps, logits, probabilities, the label.

    Of the layers that give maps at most 6 are drawn, and of each at most 4 channels, strong ones that are
    unlike each other; below the arrows stand the layers between. As long as layers work channel by channel,
    a row keeps its channel. Of more than 10 classes the most probable are drawn. A model that ends in one
    number, or in maps, ends with these.

    Parameters
    ----------
    trace : Trace
    image : int
        Which of the batch.
    figure : matplotlib Figure or SubFigure, optional
        By default a new one, which pyplot does not know of.

    Returns
    -------
    matplotlib Figure or SubFigure

    Raises
    ------
    ValueError
        If there is no such image.

    Examples
    --------
    >>> from minicnn import nn
    >>> from minicnn.inspection import trace
    >>> model = nn.Sequential(nn.Conv2d(1, 2, 3, rng=0), nn.Flatten(), nn.Linear(8, 2, rng=0))
    >>> figure = plot_way(trace(model, np.ones((1, 1, 4, 4), np.float32), classes=("cat", "dog")))
    >>> len(figure.axes)                                        # the image, two maps, logits, probabilities
    5
    >>> [text.get_text() for text in figure.texts if "Linear" in text.get_text()]
    ['Linear\\n"2"']
    """
    who = "plot_way"
    layers, ending = trace.layers, trace.ending
    pixels = layers[0].input if layers[0].input.ndim != 3 else batched(layers[0].input)
    image = as_place(who, "image", image, len(pixels))
    places = choose_stages(layers)
    stages = choose_channels(layers, places, image)
    panels = [image_panel(pixels[image], image), *map(stage_panel, stages)]
    chooses = "label" in ending
    if chooses and len(layers) > 1 and layers[-1].output is ending["softmax"].output:
        layers = layers[:-1]  # the model's own softmax
    passed = between(layers[places[-1] + 1 if places else 0 : -1])
    if chooses:
        panels += class_panels(ending, title_of(layers[-1]), passed, image, trace.classes)
    elif np.ndim(layers[-1].output) < 3:
        panels.append(output_panel(layers[-1], title_of(layers[-1]), passed, image))
    return draw_strip(who, panels, NOTES if stages else "", figure)


def draw_strip(who: str, panels: list[Panel], notes: str, figure):
    """Draw panels from left to right with arrows between them, and notes below."""
    width = 2 * EDGE + sum(panel.room for panel in panels) + sum(panel.gap for panel in panels[1:])
    lines = (
        textwrap.wrap(notes, int((width - 4 * EDGE) * len(notes) / width_of(notes, SMALL))) if notes else []
    )
    floor = EDGE / 2 + LINE * len(lines) + BELOW
    tall = max(panel.height for panel in panels)
    height = floor + tall + TITLE
    strip = Strip(as_figure(who, figure, (width, height)), width, height, floor + tall / 2)
    x = EDGE
    for panel in panels:
        if panel is not panels[0]:
            strip.arrow(x, panel)
            x += panel.gap
        middle = x + panel.centre
        panel.draw(strip, middle - panel.lead - (panel.width - panel.lead) / 2)
        strip.text(middle, height - 0.07, panel.title, va="top")
        strip.text(middle, floor - 0.07, panel.below, va="top")
        x += panel.room
    strip.text(width / 2, EDGE / 2, "\n".join(lines), SMALL, va="bottom", color=FAINT)
    return strip.figure


def title_of(step: Step) -> str:
    """Return a layer's kind, and below it its name, of which the end counts.

    >>> title_of(Step("features.layer1.0.conv1", "Conv2d", None, None, None))
    'Conv2d\\n"…er1.0.conv1"'
    """
    name = step.name if len(step.name) <= 12 else "…" + step.name[-11:]
    return f'{step.kind}\n"{name}"' if name else step.kind


def between(layers: list[Step]) -> str:
    """Return how the layers that are not drawn are called, or how many they are.

    >>> between([Step("6", "Flatten", None, None, None)]), between([Step("", "ReLU", None, None, None)] * 5)
    ('Flatten', '5 layers')
    """
    return f"{len(layers)} layers" if len(layers) > 3 else "\n".join(layer.kind for layer in layers)


def image_panel(pixels: np.ndarray, image: int) -> Panel:
    """Return the panel of what the model is given: an image (C, H, W), or a vector as a column of cells.

    >>> print(image_panel(np.array([[[0.0, 0.5, 1.0]]]), 7).below)
    1 × 1 × 3 pixels
    from 0 to 1
    """
    finite = pixels[np.isfinite(pixels)]
    limits = f"from {finite.min():.3g} to {finite.max():.3g}" if finite.size else "none finite"
    some = ", some not finite" if 0 < finite.size < pixels.size else ""
    flat = pixels.ndim != 3
    below = f"{sizes_of(pixels.shape)} {'numbers' if flat else 'pixels'}\n{limits}{some}"
    width, height = (0.3, TALL) if flat else box_of(pixels.shape[1:], IMAGE)

    def draw(strip: Strip, x: float) -> None:
        ax = strip.axes(x, strip.middle - height / 2, width, height)
        if flat:
            heat_map(ax, pixels.reshape(-1, 1), scale_of(pixels))
        else:
            draw_image(ax, np.where(np.isfinite(pixels), pixels, finite.min(initial=0)))
        ax.set_aspect("auto")
        frame(ax)

    return Panel(width, height, draw, f"image {image}", below)


def sizes_of(shape: tuple[int, ...]) -> str:
    """Return the sizes of an array as they are spoken.

    >>> sizes_of((16, 28, 28))
    '16 × 28 × 28'
    """
    return " × ".join(map(str, shape))


def box_of(shape: tuple[int, int], side: float) -> tuple[float, float]:
    """Return the width and height of a map of (rows, columns) in a square of `side` inches.

    >>> box_of((10, 20), 1.0), box_of((20, 10), 1.0)
    ((1.0, 0.5), (0.5, 1.0))
    """
    tall = height_of(shape)
    return side * min(1.0, 1 / tall), side * min(1.0, tall)


def stage_panel(stage: Stage) -> Panel:
    """Return the panel of a layer's feature maps."""
    width, height = box_of(stage.maps.shape[1:], MAP)
    lead = 0.0 if stage.follows else NUMBER
    tall = (len(stage.channels) - 1) * PITCH + height
    draw = partial(draw_maps, stage=stage, width=width, height=height, lead=lead)
    title, below = title_of(stage.step), sizes_of(stage.maps.shape)
    return Panel(width + lead, tall, draw, title, below, between(stage.passed), lead)


def draw_maps(strip: Strip, x: float, *, stage: Stage, width: float, height: float, lead: float) -> None:
    """Draw channels below each other, with their numbers on the left unless a row goes on."""
    scale, count = scale_of(stage.maps), len(stage.channels)
    for row, channel in enumerate(stage.channels):
        middle = strip.middle + ((count - 1) / 2 - row) * PITCH
        ax = strip.axes(x + lead, middle - height / 2, width, height)
        heat_map(ax, stage.maps[channel], scale)
        ax.set_aspect("auto")
        frame(ax)
        if not stage.follows:
            strip.text(x + lead - 0.04, middle, str(channel), SMALL, ha="right", color=FAINT)
