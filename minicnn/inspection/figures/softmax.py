"""From logits to probabilities in four steps of bars."""

from __future__ import annotations

import numpy as np

from minicnn.checks import cast
from minicnn.inspection.figures.canvas import BLUE, GREY, as_figure, as_place
from minicnn.inspection.figures.values import draw_bars
from minicnn.inspection.record import Step
from minicnn.labels import short_name

MOST_CLASSES = 20


def plot_softmax(step, *, image=0, classes=None, figure=None):
    """Draw one image's softmax as bars: logits, minus the maximum, exp, divided by the sum.

    Parameters
    ----------
    step : Step, or ndarray of shape (N, C) or (C,)
        ``t["softmax"]`` or ``t["label"]`` of a trace t, or the logits themselves.
    image : int
    classes : sequence of str, optional
        By default those of the trace, and without any 0 to C - 1. Beyond 20 classes the most probable
        are drawn.
    figure : matplotlib Figure or SubFigure, optional
        By default a new one, which pyplot does not know of.

    Returns
    -------
    matplotlib Figure or SubFigure

    Raises
    ------
    TypeError
        If `step` holds no logits.
    ValueError
        If the image does not exist, or the names do not fit the logits.

    Examples
    --------
    >>> figure = plot_softmax(np.log([[1.0, 3.0]]), classes=["cat", "dog"])
    >>> [round(float(bar.get_width()), 4) for bar in figure.axes[2].patches]     # exp(z - max): 1/3, 1
    [0.3333, 1.0]
    >>> [text.get_text() for text in figure.axes[3].texts]                   # divided by 4/3
    ['25.0%', '75.0%']
    """
    who = "plot_softmax"
    logits, names = logits_of(who, step, classes)
    row = cast(logits[as_place(who, "image", image, len(logits))])  # (C,)
    with np.errstate(invalid="ignore"):  # an infinite logit gives NaN, as the softmax itself does
        shifted = row - row.max()
        exponentials = np.exp(shifted)
        probabilities = exponentials / exponentials.sum()
    stages = (
        ("logit z", row, plain),
        (f"z - max,  max {row.max():.4g}", shifted, plain),
        (f"exp(z - max),  sum {exponentials.sum():.5g}", exponentials, "{:.2g}".format),
        ("divided by the sum", probabilities, percent),
    )
    best = int(np.argmax(row))
    order = np.arange(len(row))
    if len(row) > MOST_CLASSES:
        order = np.argsort(-row, kind="stable")[:MOST_CLASSES]
    colours = [BLUE if index == best else GREY for index in order]
    figure = as_figure(who, figure, (11, 0.24 * len(order) + 1.2))
    axes = figure.subplots(1, 4)
    for ax, (title, values, form) in zip(axes, stages, strict=True):
        texts = [form(value) for value in values[order]]
        draw_bars(ax, values[order], [short_name(names[index]) for index in order], texts, colours)
        ax.set_title(title, fontsize="medium")
    axes[0].set_ylabel("class")
    for ax in axes[:2]:
        ax.margins(x=0.6)
        ax.locator_params(axis="x", nbins=4)
        ax.ticklabel_format(axis="x", scilimits=(-3, 4))
    for ax in axes[1:]:
        ax.tick_params(labelleft=False)
    for ax in axes[2:]:
        ax.set_xlim(0, 1.3)
        ax.set_xticks([0, 0.5, 1])
    left_out = f", {len(order)} of {len(row)} classes" if len(order) < len(row) else ""
    finding = (
        f"{short_name(names[best], 60)} is the largest" if np.isfinite(row).all() else "a logit is not finite"
    )
    figure.suptitle(f"softmax of image {image}{left_out}: {finding}", fontsize="medium", parse_math=False)
    return figure


def plain(value: float) -> str:
    """Return a logit in at most eight letters.

    >>> plain(-3.14159), plain(-45762.3), plain(-457619.12)
    ('-3.14', '-45762', '-4.6e+05')
    """
    size = abs(value)
    return f"{value:.2f}" if size < 1e3 else f"{value:.0f}" if size < 1e5 else f"{value:.1e}"


def percent(share: float) -> str:
    """Return a share in words that do not call a small one nothing.

    >>> percent(0.25), percent(0.0001), percent(0.0)
    ('25.0%', '<0.1%', '0.0%')
    """
    if np.isnan(share):
        return "nan"
    return "<0.1%" if 0 < share < 0.0005 else f"{share:.1%}"


def logits_of(who: str, step, classes) -> tuple[np.ndarray, list[str]]:
    """Return the logits (N, C) and a name for each column.

    >>> logits_of("plot_softmax", np.zeros((1, 2)), "abc")
    Traceback (most recent call last):
    ValueError: plot_softmax: classes must have a name for each logit. Got 3 names for 2 logits. Pass the \
classes the model was trained with.
    """
    logits = step
    if isinstance(step, Step):
        logits = step.saved.get("logits", step.input) if step.kind in ("Label", "Softmax") else None
        classes = step.saved.get("classes") if classes is None else classes
    logits = np.atleast_2d(logits) if isinstance(logits, np.ndarray) else None
    if logits is None or logits.ndim != 2 or logits.dtype.kind != "f" or not logits.shape[1]:
        got = step.who if isinstance(step, Step) else type(step).__name__
        raise TypeError(
            f"{who}: step must hold float logits of shape (N, C). Got {got}. "
            "Pass t['softmax'] of a trace, or the logits."
        )
    names = [str(name) for name in (range(logits.shape[1]) if classes is None else classes)]
    if len(names) != logits.shape[1]:
        raise ValueError(
            f"{who}: classes must have a name for each logit. Got {len(names)} names for "
            f"{logits.shape[1]} logits. Pass the classes the model was trained with."
        )
    return logits, names
