"""A vector as bars, or as a histogram where it is too long for bars."""

from __future__ import annotations

import numpy as np

from minicnn.checks import cast
from minicnn.inspection.figures.canvas import BLUE, RED, as_figure
from minicnn.labels import short_name

MOST_BARS = 40


def draw_bars(ax, values: np.ndarray, names, texts=None, colours=None) -> None:
    """Draw numbers as bars with their texts; what is not finite has no length, but keeps its text.

    Parameters
    ----------
    ax : matplotlib Axes
    values : ndarray of shape (F,)
    names : sequence
        One for each bar, from the top down.
    texts : sequence of str, optional
        By default the numbers.
    colours : sequence, optional
        By default red above zero and blue below, as in heat maps.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = Figure().subplots()
    >>> draw_bars(ax, np.array([2.0, -np.inf]), ["a", "b"])
    >>> [float(bar.get_width()) for bar in ax.patches], [text.get_text() for text in ax.texts]
    ([2.0, 0.0], ['2', '-inf'])
    """
    colours = np.where(values < 0, BLUE, RED) if colours is None else colours
    texts = [f"{value + 0.0:.4g}" for value in values] if texts is None else texts
    bars = ax.barh(range(len(values)), np.where(np.isfinite(values), values, 0), color=colours)
    ax.bar_label(bars, labels=texts, padding=3, fontsize="small")
    ax.set_yticks(range(len(values)), names, parse_math=False)  # a name may hold $
    ax.set_ylim(len(values) - 0.5, -0.5)
    ax.use_sticky_edges = False  # room for the numbers on both sides of zero
    ax.margins(x=0.3)
    ax.axvline(0, color="black", linewidth=0.8)


def plot_values(values: np.ndarray, title: str, label: str, *, names=None, figure=None):
    """Draw up to 40 numbers as bars, red above zero and blue below; of more, their histogram.

    Parameters
    ----------
    values : ndarray of shape (F,)
    title, label : str
        Of the figure, and what the numbers are.
    names : sequence of str, optional
        A name for each number; by default 0 to F - 1.
    figure : matplotlib Figure or SubFigure, optional
        By default a new one, which pyplot does not know of.

    Returns
    -------
    matplotlib Figure or SubFigure

    Examples
    --------
    >>> figure = plot_values(np.array([1.5, -2.0]), "two numbers", "output")
    >>> [float(bar.get_width()) for bar in figure.axes[0].patches], figure.axes[0].get_xlabel()
    ([1.5, -2.0], 'output')
    >>> plot_values(np.arange(100.0), "many", "output").axes[0].get_ylabel()
    'numbers'
    """
    values = cast(values).ravel()
    if len(values) > MOST_BARS:
        figure = as_figure("plot_values", figure, (6.5, 4))
        ax = figure.subplots()
        finite = values[np.isfinite(values)]
        ax.hist(finite, bins=MOST_BARS, color=BLUE)
        ax.axvline(0, color="black", linewidth=0.8)
        lost = len(values) - len(finite)
        note = f", {lost} not finite" if lost else ""
        ax.set(xlabel=label, ylabel="numbers")
        ax.set_title(f"{len(values)} numbers, {np.mean(values == 0):.0%} are zero{note}", fontsize="medium")
    else:
        figure = as_figure("plot_values", figure, (6.5, 0.26 * len(values) + 1.4))
        ax = figure.subplots()
        draw_bars(ax, values, [short_name(name) for name in (range(len(values)) if names is None else names)])
        ax.set(xlabel=label, ylabel="index" if names is None else "class")
    figure.suptitle(title, fontsize="medium")
    return figure
