"""What a layer has and what it makes: its filters, and its feature maps."""

from __future__ import annotations

import numpy as np

from minicnn import nn
from minicnn.inspection.figures.canvas import as_figure, as_place, as_places, scale_of
from minicnn.inspection.figures.grid import columns_for, draw_grid, grid_size
from minicnn.inspection.record import Step

MOST_MAPS = 64  # maps on one figure, unless others are asked for
MOST_FILTERS = 8  # rows and columns where a filter has several channels


def plot_filters(layer, *, filters=None, channels=None, figure=None):
    """Draw the filters of a convolution on one scale, red for what adds, blue for what takes away.

    A filter with one channel is one map; one with several is a row, and each channel a column.

    Parameters
    ----------
    layer : Conv2d, Step of one, or ndarray of shape (C_out, C_in, K_h, K_w)
    filters, channels : int or sequence of int, optional
        Which to draw; by default the first 64 filters, and the first 8 times 8 if there are several
        channels.
    figure : matplotlib Figure or SubFigure, optional
        By default a new one, which pyplot does not know of.

    Returns
    -------
    matplotlib Figure or SubFigure

    Raises
    ------
    TypeError
        If `layer` has no such weight.
    ValueError
        If a chosen filter or channel does not exist.

    Examples
    --------
    >>> figure = plot_filters(nn.Conv2d(1, 6, kernel_size=3, rng=0))
    >>> [ax.get_title() for ax in figure.axes[:2]], len(figure.axes)      # six filters and the colour bar
    (['filter 0', 'filter 1'], 7)
    """
    weight = as_weight("plot_filters", layer)
    name = f"{layer.who}: " if hasattr(layer, "who") else ""
    return plot_weight("plot_filters", weight, name, "weight", filters, channels, figure)


def plot_weight(who, weight, title, label, filters, channels, figure):
    """Draw an array (C_out, C_in, K_h, K_w), weights or their gradients; `title` is what stands in front.

    >>> plot_weight("plot", np.ones((2, 3, 1, 1)), "", "weight", None, 2, None).get_suptitle()
    '2 filters, 1 of 3 channels'
    """
    single = weight.shape[1] == 1
    rows = as_places(who, "filter", filters, len(weight), MOST_MAPS if single else MOST_FILTERS)
    columns = as_places(who, "channel", channels, weight.shape[1], MOST_FILTERS)
    title += f"{how_many(rows, len(weight), 'filter')}"
    if single:
        maps, titles, names = weight[rows, 0], [f"filter {o}" for o in rows], []
        wide = columns_for(len(maps))
    else:
        maps = weight[rows][:, columns].reshape(-1, *weight.shape[2:])  # (rows · columns, K_h, K_w)
        titles, names = [f"channel {c}" for c in columns], [f"filter {o}" for o in rows]
        wide = len(columns)
        title += f", {how_many(columns, weight.shape[1], 'channel')}"
    figure = as_figure(who, figure, grid_size(len(maps), wide, maps.shape[1:], named=not single))
    scale = scale_of(weight, signed=True)
    draw_grid(figure, maps, titles, scale, columns=wide, title=title, label=label, rows=names)
    return figure


def plot_feature_maps(step, *, image=0, channels=None, figure=None):
    """Draw what a layer made of one image: a map for each channel, all on one scale.

    Parameters
    ----------
    step : Step, or ndarray of shape (N, C, H, W) or (C, H, W)
        ``t["1"]`` of a trace t.
    image : int
        Which of the batch.
    channels : int or sequence of int, optional
        By default the first 64.
    figure : matplotlib Figure or SubFigure, optional

    Returns
    -------
    matplotlib Figure or SubFigure

    Raises
    ------
    ValueError
        If the output has no rows and columns, or the image or a channel does not exist.

    Examples
    --------
    >>> figure = plot_feature_maps(np.arange(8.0).reshape(1, 2, 2, 2))
    >>> figure.axes[1].images[0].get_array().tolist(), figure.axes[1].get_title()
    ([[4.0, 5.0], [6.0, 7.0]], 'channel 1')
    """
    who = "plot_feature_maps"
    array = step.output if isinstance(step, Step) else step
    name = step.who if isinstance(step, Step) else "feature maps"
    return plot_maps(who, array, f"{name}, image {image}", "output", image, channels, figure)


def plot_maps(who, array, title, label, image, channels, figure, signed=None):
    """Draw the channels of one image of an array (N, C, H, W) or (C, H, W).

    >>> plot_maps("plot", np.zeros((2, 5)), "", "", 0, None, None)
    Traceback (most recent call last):
    ValueError: plot: the array must be (N, C, H, W) or (C, H, W). Got shape (2, 5). Choose a step before \
Flatten.
    """
    if not isinstance(array, np.ndarray) or array.ndim not in (3, 4):
        got = f"shape {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ValueError(
            f"{who}: the array must be (N, C, H, W) or (C, H, W). Got {got}. Choose a step before Flatten."
        )
    images = array if array.ndim == 4 else array[None]
    maps = images[as_place(who, "image", image, len(images))]  # (C, H, W)
    chosen = as_places(who, "channel", channels, len(maps), MOST_MAPS)
    columns = columns_for(len(chosen))
    figure = as_figure(who, figure, grid_size(len(chosen), columns, maps.shape[1:]))
    title = f"{title}: {how_many(chosen, len(maps), 'channel')}"
    titles = [f"channel {c}" for c in chosen]
    draw_grid(figure, maps[chosen], titles, scale_of(maps, signed), columns=columns, title=title, label=label)
    return figure


def how_many(chosen, count: int, what: str) -> str:
    """Return how many of how many are drawn.

    >>> how_many([0], 1, "filter"), how_many(range(8), 32, "channel")
    ('1 filter', '8 of 32 channels')
    """
    plural = "" if count == 1 else "s"
    return f"{count} {what}{plural}" if len(chosen) == count else f"{len(chosen)} of {count} {what}{plural}"


def as_weight(who: str, layer) -> np.ndarray:
    """Return the weight (C_out, C_in, K_h, K_w) of a convolution, of its step, or as it is given.

    >>> as_weight("plot_filters", nn.Conv2d(1, 2, (3, 5))).shape
    (2, 1, 3, 5)
    >>> as_weight("plot_filters", nn.ReLU())
    Traceback (most recent call last):
    TypeError: plot_filters: layer must have a weight of shape (C_out, C_in, K_h, K_w). Got ReLU. Pass a \
Conv2d, its step of a trace, or the array.
    """
    weight, got = layer, type(layer).__name__
    if isinstance(layer, Step):
        weight, got = layer.parameters.get("weight"), layer.who
    elif isinstance(layer, nn.Module):
        weight, got = getattr(getattr(layer, "weight", None), "data", None), layer.who
    if not isinstance(weight, np.ndarray) or weight.ndim != 4:
        shape = f" of shape {weight.shape}" if isinstance(weight, np.ndarray) else ""
        raise TypeError(
            f"{who}: layer must have a weight of shape (C_out, C_in, K_h, K_w). Got {got}{shape}. "
            "Pass a Conv2d, its step of a trace, or the array."
        )
    return weight
