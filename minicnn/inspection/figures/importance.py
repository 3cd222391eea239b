"""Drawn on the image: what a unit sees, and what speaks for a class."""

from __future__ import annotations

import numpy as np

from minicnn.inspection.attribution import as_single_image, chosen_classes, occlusion, saliency
from minicnn.inspection.figures.canvas import (
    ORANGE,
    as_axes,
    as_figure,
    draw_image,
    heat_map,
    scale_of,
    settle,
    write_numbers,
)
from minicnn.inspection.receptive import as_trace, receptive_field
from minicnn.inspection.record import unchanged
from minicnn.inspection.trace import as_index
from minicnn.labels import short_name
from minicnn.nn import no_grad


def plot_receptive_field(trace, name: str, index, *, ax=None):
    """Draw the image, and a frame around the part that one number of a layer can depend on.

    Parameters
    ----------
    trace : Trace
    name : str
        The step, such as "3".
    index : tuple of int
        Which number of its output: (image, channel, row, column).
    ax : matplotlib Axes, optional
        By default those of a new figure, which pyplot does not know of.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError, KeyError, ValueError
        As `receptive_field`.

    Examples
    --------
    >>> from minicnn import nn
    >>> from minicnn.inspection import trace
    >>> t = trace(nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2)), np.zeros((1, 1, 8, 8), np.float32))
    >>> ax = plot_receptive_field(t, "1", (0, 0, 1, 2))         # rows 2 to 3 + 2, columns 4 to 5 + 2
    >>> ax.get_title()
    'MaxPool2d "1": output[0, 0, 1, 2]\\nsees rows 2 to 5, columns 4 to 7'
    """
    from matplotlib.patches import Rectangle

    who = "plot_receptive_field"
    t = as_trace(who, trace, None)
    rows, columns = receptive_field(t, name, index)
    step, image = t[name], t.steps[0].input
    place = as_index(step.who, "output", index, np.shape(step.output))
    number = place[0] if image.ndim == 4 else 0
    images = image if image.ndim == 4 else image[None]
    ax = as_axes(who, ax, (5, 5))
    height, width = rows.stop - rows.start, columns.stop - columns.start
    sees = f"sees rows {rows.start} to {rows.stop - 1}, columns {columns.start} to {columns.stop - 1}"
    where = ", ".join(map(str, place))
    draw_image(ax, images[number], f"{step.who}: output[{where}]\n{sees if height else 'sees padding only'}")
    corner = (columns.start - 0.5, rows.start - 0.5)
    for colour, thick in (("black", 4), (ORANGE, 2)) if height else ():
        frame = Rectangle(corner, width, height, fill=False, edgecolor=colour, linewidth=thick)
        frame.set_clip_on(False)  # at the edge of the image, too, it is drawn in full
        ax.add_patch(frame)
    ax.title.set_fontsize("medium")
    return ax


def plot_saliency(model, image: np.ndarray, index: int | None = None, *, classes=None, figure=None):
    """Draw an image beside its gradient × input: red pixels speak for the class, blue ones against it.

    Parameters
    ----------
    model : Module
    image : ndarray of shape (C, H, W) or (1, C, H, W)
        As the model takes it. Its channels are summed in the map.
    index : int, optional
        The class; by default that of the largest logit.
    classes : sequence of str, optional
        The name of each class.
    figure : matplotlib Figure or SubFigure, optional
        By default a new one, which pyplot does not know of.

    Returns
    -------
    matplotlib Figure or SubFigure

    Raises
    ------
    TypeError, ValueError
        As `saliency`.

    Examples
    --------
    >>> from minicnn import nn
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, rng=0))
    >>> model[1].weight.data[...] = [[2, -3], [0, 1]]
    >>> figure = plot_saliency(model, np.float32([[[10, 100]]]), index=0, classes=["cat", "dog"])
    >>> figure.axes[1].images[0].get_array().tolist(), figure.axes[1].get_title()     # 2·10, -3·100
    ([[20.0, -300.0]], 'gradient × input for cat')
    """
    who = "plot_saliency"
    image = as_single_image(who, model, image)
    name = class_name(who, model, image, index, classes)
    found = saliency(model, image, index)[0].sum(axis=0)  # (H, W)
    return beside(who, image[0], found, f"gradient × input for {name}", "share in the logit", figure)


def plot_occlusion(
    model, image: np.ndarray, index: int | None = None, *, classes=None, figure=None, **options
):
    """Draw an image beside its occlusion map: red where covering it lowers the class's logit.

    Parameters
    ----------
    model, image, index, classes, figure
        As for `plot_saliency`.
    **options
        `size`, `stride`, `value`, `batch_size` and `progress`, as for `occlusion`.

    Returns
    -------
    matplotlib Figure or SubFigure

    Raises
    ------
    TypeError, ValueError
        As `occlusion`.

    Examples
    --------
    >>> from minicnn import nn
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
    >>> model[1].weight.data[...] = [[2, -3], [0, 1]]
    >>> figure = plot_occlusion(model, np.float32([[[10, 100]]]), index=0, size=1, stride=1, value=0)
    >>> figure.axes[1].images[0].get_array().tolist(), figure.axes[1].get_title()
    ([[20.0, -300.0]], 'occlusion for class 0')
    """
    who = "plot_occlusion"
    image = as_single_image(who, model, image)
    name = class_name(who, model, image, index, classes)
    found = occlusion(model, image, index, **options)
    return beside(who, image[0], found, f"occlusion for {name}", "fall of the logit when covered", figure)


def beside(who: str, image: np.ndarray, found: np.ndarray, title: str, label: str, figure):
    """Draw an image, and on its right a map of the same size with a scale centred on zero."""
    figure = as_figure(who, figure, (9.5, 4.4))
    left, right = figure.subplots(1, 2)
    draw_image(left, image, "the image, as the model gets it")
    picture = heat_map(right, found, scale_of(found, signed=True))
    right.set(xlabel="column", ylabel="row")
    right.set_title(title, parse_math=False)  # a name may hold $
    figure.colorbar(picture, ax=right, label=label, shrink=0.85)
    for ax in (left, right):
        ax.title.set_fontsize("medium")
    if found.size <= 100:
        settle(figure)
        write_numbers([picture])
    return figure


def class_name(who: str, model, image: np.ndarray, index: int | None, classes) -> str:
    """Return what the class in question is called.

    >>> from minicnn import nn
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, rng=0))
    >>> class_name("plot_saliency", model, np.zeros((1, 1, 1, 2), np.float32), 1, ["cat"])
    Traceback (most recent call last):
    ValueError: plot_saliency: classes must have a name for each logit. Got 1 names for 2 logits. Pass the \
classes the model was trained with.
    """
    with no_grad(), unchanged(model):
        logits = model.eval()(image)
    chosen = int(chosen_classes(who, logits, index)[0])
    if classes is None:
        return f"class {chosen}"
    if len(classes) != logits.shape[1]:
        raise ValueError(
            f"{who}: classes must have a name for each logit. Got {len(classes)} names for "
            f"{logits.shape[1]} logits. Pass the classes the model was trained with."
        )
    return short_name(classes[chosen])
