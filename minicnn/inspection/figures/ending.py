"""The end of an image's way: logits and probabilities as bars, and the label."""

from __future__ import annotations

import textwrap
from functools import partial

import numpy as np

from minicnn.checks import cast
from minicnn.inspection.figures.canvas import BLUE, GREY, RED
from minicnn.inspection.figures.softmax import percent
from minicnn.inspection.figures.strip import FAINT, SMALL, Panel, Strip, width_of
from minicnn.inspection.figures.values import draw_bars
from minicnn.inspection.record import Step
from minicnn.labels import short_name

MOST_CLASSES = 10
BARS, TALL, ROW = 1.35, 3.4, 0.33  # inches: width of bars, all of them together, and one of them


def class_panels(ending: dict[str, Step], title: str, between: str, image: int, classes) -> list[Panel]:
    """Return the panels of the logits, the probabilities and the label.

    Parameters
    ----------
    ending : dict of str to Step
        With "softmax" and "label"; with "loss" where the truth is known.
    title, between : str
        What gave the logits, and the layers before it that are not drawn.
    image : int
    classes : sequence of str, or None
    """
    logits, probabilities = ending["softmax"].input[image], ending["softmax"].output[image]  # (C,)
    best, count = int(ending["label"].output[image]), len(logits)
    names = [str(name) for name in (range(count) if classes is None else classes)]
    order = np.arange(count)
    if count > MOST_CLASSES:
        order = np.argsort(-probabilities, kind="stable")[: MOST_CLASSES - 1]
    left = count - len(order)
    rest = probabilities.sum() - probabilities[order].sum()
    colours = [BLUE if index == best else GREY for index in order]
    shown = [short_name(names[index]) for index in order]
    lead = max(width_of(name, SMALL) for name in shown) + 0.14
    numbers = [f"{value:.2f}" for value in logits[order]]
    shares = [percent(value) for value in probabilities[order]]
    rows = len(order) + bool(left)
    height = min(TALL, ROW * rows)
    bars = partial(draw_numbers, height=height, rows=rows, colours=colours)
    more = f"and {left} more" if left else ""
    draw_logits = partial(bars, values=logits[order], names=shown, texts=numbers, lead=lead, more=more)
    more = percent(max(rest, 0.0)) if left else ""
    draw_shares = partial(bars, values=probabilities[order], texts=shares, most=1.0, more=more)
    return [
        Panel(BARS + lead, height, draw_logits, title, f"{count} logits", between, lead),
        Panel(BARS, height, draw_shares, "softmax", "probabilities"),
        label_panel(names[best], best, probabilities[best], truth_of(ending.get("loss"), image, names)),
    ]


def label_panel(name: str, index: int, share: float, truth: str | None) -> Panel:
    """Return the panel of the label: blue, or red where the truth is known to be another.

    >>> label_panel("dog", 1, 0.9, None).title
    'argmax'
    """
    label = "\n".join(textwrap.wrap(name, 12)[:3])
    lines = [f"index {index}", percent(share), *([] if truth is None else truth_lines(short_name(truth)))]
    points = 28 if len(name) <= 3 else 13
    colour = BLUE if truth in (None, name) else RED
    width = max(1.1 * width_of(label, points), width_of("\n".join(lines)))  # bold letters are wider

    def draw(strip: Strip, x: float) -> None:
        middle = x + width / 2
        strip.text(middle, strip.middle + 0.08, label, points, va="bottom", color=colour, weight="bold")
        strip.text(middle, strip.middle - 0.08, "\n".join(lines), va="top")

    return Panel(width, 1.5, draw, "argmax", "label")


def truth_lines(name: str) -> list[str]:
    """Return what says the truth: one line, or two for a long name.

    >>> truth_lines("dog"), truth_lines("automobile")
    (['truth: dog'], ['truth:', 'automobile'])
    """
    return [f"truth: {name}"] if len(name) <= 6 else ["truth:", name]


def truth_of(loss: Step | None, image: int, names: list[str]) -> str | None:
    """Return the name of the true class, where the loss knows one for each image.

    >>> loss = Step("loss", "CrossEntropyLoss", None, None, None, saved={"targets": np.array([1])})
    >>> truth_of(loss, 0, ["cat", "dog"]), truth_of(None, 0, ["cat", "dog"])
    ('dog', None)
    """
    targets = None if loss is None else np.asarray(loss.saved.get("targets"))
    if targets is None or targets.ndim != 1 or targets.dtype.kind not in "iu":
        return None
    return names[targets[image]] if 0 <= targets[image] < len(names) else None


def output_panel(step: Step, title: str, between: str, image: int) -> Panel:
    """Return the panel of a model that ends in one number."""
    values = np.atleast_1d(step.output)[image].reshape(-1)[:MOST_CLASSES]  # (1,)
    texts, height = [f"{value:.4g}" for value in values], ROW * max(len(values), 1)
    draw = partial(draw_numbers, values=values, texts=texts, height=height, rows=max(len(values), 1))
    return Panel(BARS, height, draw, title, "output", between)


def draw_numbers(
    strip, x, *, values, texts, height, rows, names=None, lead=0.0, colours=None, most=None, more=""
) -> None:
    """Draw bars with their texts, `rows` of them in `height`; the last row may be a text, `more`."""
    thick = height / rows
    bottom = strip.middle - height / 2 + thick * (rows - len(values))
    ax = strip.axes(x + lead, bottom, BARS, thick * len(values))
    draw_bars(ax, cast(values), [""] * len(values) if names is None else names, texts, colours)
    for text in [*ax.texts, *ax.get_yticklabels()]:
        text.set(fontsize=SMALL * min(strip.scale, 1.0))
    ax.tick_params(left=False, pad=2)
    ax.set_xlim(*limits_of(values, [width_of(text, SMALL) + 0.08 for text in texts], most))
    ax.set(xticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)
    strip.text(x + lead + 0.05, bottom - thick / 2, more, SMALL, ha="left", color=FAINT)


def limits_of(values: np.ndarray, beside: list[float], most: float | None = None) -> tuple[float, float]:
    """Return where an axis of bars begins and ends, with room for texts of so many inches at their ends.

    >>> limits_of(np.array([3.0, 1.0]), [BARS / 4, 0]), limits_of(np.array([-3.0, 3.0]), [BARS / 4, BARS / 4])
    ((0.0, 4.0), (-6.0, 6.0))
    """
    finite = np.where(np.isfinite(values), values, 0.0)
    low, high = float(finite.min(initial=0)), float(finite.max(initial=0) if most is None else most)
    left = max((width for width, value in zip(beside, finite, strict=True) if value < 0), default=0) / BARS
    right = max((width for width, value in zip(beside, finite, strict=True) if value >= 0), default=0) / BARS
    span = (high - low or 1.0) / max(1 - left - right, 0.1)
    return low - left * span, high + right * span
