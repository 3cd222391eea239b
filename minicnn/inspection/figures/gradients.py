"""Gradients as heat maps, on a scale centred on zero."""

from __future__ import annotations

import numpy as np

from minicnn.inspection.figures.canvas import as_figure, as_place, heat_map, scale_of, settle, write_numbers
from minicnn.inspection.figures.layers import plot_maps, plot_weight
from minicnn.inspection.figures.values import plot_values
from minicnn.inspection.record import Step


def plot_gradients(step, of: str = "grad_input", *, image=0, channels=None, figure=None):
    """Draw a gradient of a step: red where the number should fall for a smaller loss, blue where it should rise.

    Gradients of images are a map for each channel, those of filters a map for each filter and channel,
    those of matrices one map, and those of vectors bars.

    Parameters
    ----------
    step : Step
        ``t["0"]`` of a trace t that was given targets.
    of : str
        "grad_input", "grad_output", or a parameter's gradient such as "weight.grad".
    image : int
        Which of the batch; parameters' gradients are summed over it.
    channels : int or sequence of int, optional
        Of images, which to draw; by default the first 64.
    figure : matplotlib Figure or SubFigure, optional
        By default a new one, which pyplot does not know of.

    Returns
    -------
    matplotlib Figure or SubFigure

    Raises
    ------
    TypeError
        If `step` is none.
    ValueError
        If the step has no such gradient, or the image or a channel does not exist.

    Examples
    --------
    >>> from minicnn import nn
    >>> from minicnn.inspection import trace
    >>> model = nn.Sequential(nn.Conv2d(1, 2, 2, rng=0), nn.Flatten())
    >>> t = trace(model, np.ones((1, 1, 2, 2), np.float32), targets=np.array([0]))
    >>> figure = plot_gradients(t["0"], "weight.grad")
    >>> low, high = figure.axes[0].images[0].get_clim()
    >>> low == -high, [ax.get_title() for ax in figure.axes[:2]]
    (True, ['filter 0', 'filter 1'])
    """
    who = "plot_gradients"
    if not isinstance(step, Step):
        raise TypeError(
            f"{who}: step must be one of a trace. Got {type(step).__name__}. Pass for example t['0']."
        )
    known = ["grad_input", "grad_output", *(f"{key}.grad" for key in step.parameters)]
    array = None
    if of in known:
        array = step.grad_output if of == "grad_output" else step.array(of)
    if array is None:
        raise ValueError(
            f"{who}: of must name a gradient of {step.who}. Got {of!r}. Choose one of {', '.join(known)}; "
            "gradients need targets when tracing."
        )
    if of.endswith(".grad"):
        if array.ndim == 4:
            return plot_weight(who, array, f"{step.who}, {of}: ", of, None, channels, figure)
        if array.ndim == 2:
            return plot_matrix(who, array, f"{step.who}: {of}", of, figure)
        return plot_values(array, f"{step.who}: {of}", of, figure=figure)
    if array.ndim >= 3:
        title = f"{step.who}, {of}, image {image}"
        return plot_maps(who, array, title, of, image, channels, figure, signed=True)
    row = np.atleast_2d(array)[as_place(who, "image", image, len(np.atleast_2d(array)))]
    return plot_values(row, f"{step.who}, {of}, image {image}", of, figure=figure)


def plot_matrix(who: str, array: np.ndarray, title: str, label: str, figure=None):
    """Draw a matrix as one heat map: a row for each output, a column for each input.

    >>> plot_matrix("plot", np.eye(2), "a matrix", "value").axes[0].get_ylabel()
    'output'
    """
    figure = as_figure(who, figure, (8, 4.5))
    ax = figure.subplots()
    picture = heat_map(ax, array, scale_of(array, signed=True))
    ax.set_aspect("auto")
    ax.set(xlabel="input", ylabel="output")
    figure.colorbar(picture, ax=ax, label=label)
    figure.suptitle(title, fontsize="medium")
    settle(figure)
    write_numbers([picture])
    return figure
