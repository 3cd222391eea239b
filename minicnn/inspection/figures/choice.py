"""Which picture fits which step of a trace."""

from __future__ import annotations

import numpy as np

from minicnn.inspection.explainers.conv import batched
from minicnn.inspection.figures.arithmetic import plot_convolution, plot_terms
from minicnn.inspection.figures.canvas import as_figure, as_place
from minicnn.inspection.figures.gradients import plot_gradients
from minicnn.inspection.figures.grid import columns_for, grid_size
from minicnn.inspection.figures.layers import MOST_FILTERS, plot_feature_maps, plot_filters
from minicnn.inspection.figures.pooling import plot_pool_winners
from minicnn.inspection.figures.softmax import plot_softmax
from minicnn.inspection.figures.values import plot_values
from minicnn.inspection.record import Step

MOST_MAPS = 32  # filters, and maps, of one convolution; `plot_filters` and `plot_feature_maps` draw more


def plot_step(step: Step, *, image=0, classes=None, figure=None):
    """Draw the picture that fits a step, as `Trace.plot` says.

    Parameters
    ----------
    step : Step
    image : int
    classes : sequence of str, optional
    figure : matplotlib Figure or SubFigure, optional

    Returns
    -------
    matplotlib Figure or SubFigure

    Examples
    --------
    >>> figure = plot_step(Step("6", "Flatten", None, None, np.float32([[1, -2]])))
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['1', '-2']
    """
    who = "Trace.plot"
    if step.name == "loss":
        return plot_loss(who, step, image, classes, figure)
    if step.kind == "Label" or step.name == "softmax":
        return plot_softmax(step, image=image, classes=classes, figure=figure)
    if step.kind == "MaxPool2d":
        planes = batched(step.output)
        image = as_place(who, "image", image, len(planes))
        channel = int(np.nan_to_num(planes[image]).max(axis=(1, 2)).argmax())
        if figure is None:
            return plot_pool_winners(step, image=image, channel=channel).figure
        plot_pool_winners(step, image=image, channel=channel, ax=as_figure(who, figure, (5, 5)).subplots())
        return figure
    if step.output.ndim in (3, 4):
        if step.kind == "Conv2d":
            return plot_layer(who, step, image, figure)
        return plot_feature_maps(step, image=image, figure=figure)
    rows = np.atleast_2d(step.output)
    image = as_place(who, "image", image, len(rows))
    return plot_values(rows[image], f"{step.who}, image {image}", "output", figure=figure)


def plot_explanation(explanation, *, ax=None, figure=None):
    """Draw where a number comes from, as `Explanation.plot` says.

    >>> from minicnn.inspection.explanation import Explanation, as_terms
    >>> plot_explanation(Explanation("a", "b", as_terms({"row": [0]}, [3.0]), 3.0, 1e-7)).axes[0].get_title()
    'a\\n= 3'
    """
    if ax is not None:
        return plot_terms(explanation, ax=ax)
    if explanation.window is not None:
        return plot_convolution(explanation, figure=figure)
    if figure is None:
        return plot_terms(explanation).figure
    plot_terms(explanation, ax=as_figure("Explanation.plot", figure, (8, 5)).subplots())
    return figure


def plot_layer(who: str, step: Step, image, figure):
    """Draw the filters of a convolution above what they made of one image."""
    weight, maps = step.parameters["weight"], batched(step.output)
    count, single = min(maps.shape[1], MOST_MAPS), weight.shape[1] == 1
    columns = columns_for(min(len(weight), MOST_MAPS)) if single else min(weight.shape[1], MOST_FILTERS)
    filters = min(len(weight), MOST_MAPS) if single else min(len(weight), MOST_FILTERS) * columns
    sizes = [
        grid_size(filters, columns, weight.shape[2:], named=not single),
        grid_size(count, columns_for(count), maps.shape[2:]),
    ]
    widths, heights = zip(*sizes, strict=True)
    figure = as_figure(who, figure, (max(widths), sum(heights)))
    upper, lower = figure.subfigures(2, 1, height_ratios=heights)
    plot_filters(step, filters=range(min(len(weight), MOST_MAPS)) if single else None, figure=upper)
    plot_feature_maps(step, image=image, channels=range(count), figure=lower)
    return figure


def plot_loss(who: str, step: Step, image, classes, figure):
    """Draw the gradient of the loss for each logit of one image."""
    if step.grad_input.ndim == 2 and classes is not None and step.grad_input.shape[1] == len(classes):
        image = as_place(who, "image", image, len(step.grad_input))
        title = f"{step.who}, grad_input, image {image}"
        row = step.grad_input[image]
        return plot_values(row, title, "gradient of the logit", names=classes, figure=figure)
    return plot_gradients(step, image=image, figure=figure)
