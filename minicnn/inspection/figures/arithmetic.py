"""How one number comes about: a convolution as patch × kernel = product, any other sum as bars."""

from __future__ import annotations

import numpy as np

from minicnn.inspection.explanation import SHOWN, Explanation, describe
from minicnn.inspection.figures.canvas import (
    as_axes,
    as_figure,
    heat_map,
    scale_of,
    settle,
    write_numbers,
)
from minicnn.inspection.figures.values import draw_bars
from minicnn.labels import short_name

PANELS = ("input", "weight", "product")
MOST_CHANNELS = 4  # rows of the picture of a convolution; the other channels are summed in one line


def plot_convolution(explanation: Explanation, *, figure=None):
    """Draw one output of a convolution as input patch × kernel = product map, and their sum.

    A row for each input channel, those first that weigh most; beyond four channels the others are summed
    in one line below. Cells of the patch that lie in the padding are hatched.

    Parameters
    ----------
    explanation : Explanation
        Of a convolution's output: ``t.explain("0", (0, 3, 5, 7))``.
    figure : matplotlib Figure or SubFigure, optional
        By default a new one, which pyplot does not know of.

    Returns
    -------
    matplotlib Figure or SubFigure

    Raises
    ------
    TypeError
        If `explanation` is none.
    ValueError
        If it is not that of a convolution's output.

    Examples
    --------
    >>> from minicnn import nn
    >>> from minicnn.inspection import trace
    >>> layer = nn.Conv2d(1, 1, kernel_size=(1, 2), rng=0)
    >>> layer.weight.data[...], layer.bias.data[...] = [[[[10, 1]]]], [0.5]
    >>> t = trace(nn.Sequential(layer), np.float32([[[[1, 2, 3]]]]))
    >>> figure = plot_convolution(t.explain("0", (0, 0, 0, 1)))
    >>> figure.axes[2].images[0].get_array().tolist()           # 2·10 and 3·1
    [[20.0, 3.0]]
    >>> figure.get_supxlabel()
    'sum of products 23 + bias 0.5 = 23.5   (computed 23.5: equal)'
    """
    who = "plot_convolution"
    check_explanation(who, explanation)
    if explanation.window is None:
        raise ValueError(
            f"{who}: explanation must be of a convolution's output. Got {explanation.title}. "
            "Explain an output of a Conv2d, or use plot_terms."
        )
    _, height, width = explanation.window
    cells = explanation.terms[: np.prod(explanation.window)].reshape(explanation.window)
    order = np.argsort(-np.abs(cells["product"]).sum(axis=(1, 2)), kind="stable")
    shown, rest = order[:MOST_CHANNELS], order[MOST_CHANNELS:]
    side = float(np.clip(0.6 * width, 1.8, 3.0))
    tall = float(np.clip(side * height / width, 0.6, 6.0))
    figure = as_figure(who, figure, (3 * side + 2.4, len(shown) * (tall + 0.9) + 1.2))
    axes = figure.subplots(len(shown), 3, squeeze=False)
    scales = {name: scale_of(cells[name], name != "input" or None) for name in PANELS}
    pictures = []
    for line, channel in zip(axes, shown, strict=True):
        part = cells[channel]  # (K_h, K_w)
        for ax, name in zip(line, PANELS, strict=True):
            pictures.append(heat_map(ax, part[name], scales[name]))
            ax.set(xlabel="column", ylabel="row")
        line[0].set_title(f"input, channel {part['channel'][0, 0]}", fontsize="medium")
        line[1].set_title("× kernel", fontsize="medium")
        line[2].set_title(f"= product, sum {part['product'].sum():.6g}", fontsize="medium")
        name_places(line[0], part)
    figure.suptitle(f"{explanation.title} = {explanation.value:.6g}", fontsize="medium")
    figure.supxlabel(sum_line(explanation, cells["product"][rest]), fontsize="medium")
    settle(figure)
    write_numbers(pictures)
    return figure


def name_places(ax, part: np.ndarray) -> None:
    """Give the cells of a patch the rows and columns that they have in the image; hatch the padding."""
    from matplotlib.patches import Rectangle

    rows, columns = part["row"][:, 0], part["column"][0]
    ax.set_yticks(*evenly(rows))
    ax.set_xticks(*evenly(columns))
    for row, column in np.argwhere(part["note"] == "padding"):
        ax.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, hatch="///", ec="#999999", lw=0))


def evenly(places: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return at most 8 positions along an axis, and the names of the places there.

    >>> evenly(np.array([4, 6, 8]))
    (array([0, 1, 2]), ['4', '6', '8'])
    """
    positions = np.arange(0, len(places), -(-len(places) // 8))
    return positions, [str(places[position]) for position in positions]


def sum_line(explanation: Explanation, rest: np.ndarray) -> str:
    """Return how the products add up to the number; `rest` are those of the channels not drawn."""
    count = int(np.prod(explanation.window))
    products, bias = explanation.terms["product"][:count], explanation.terms["product"][count:]
    text = (
        f"sum of all products {products.sum():.6g}" if len(rest) else f"sum of products {products.sum():.6g}"
    )
    if len(rest):
        text = f"{len(rest)} more channel{'s' * (len(rest) > 1)} add {rest.sum():.6g}\n{text}"
    if len(bias):
        text += f" {'-' if bias[0] < 0 else '+'} bias {abs(bias[0]):.6g}"
    verdict = "equal" if explanation.difference == 0 else "within rounding" if explanation.ok else "differs"
    return f"{text} = {explanation.value:.6g}   (computed {explanation.actual:.6g}: {verdict})"


def plot_terms(explanation: Explanation, *, ax=None):
    """Draw the terms of a number as bars, the largest first: red adds, blue takes away.

    Those beyond twelve are one bar.

    Parameters
    ----------
    explanation : Explanation
    ax : matplotlib Axes, optional
        By default those of a new figure, which pyplot does not know of.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError
        If `explanation` is none.

    Examples
    --------
    >>> from minicnn.inspection.explanation import as_terms
    >>> terms = as_terms({"column": [0, 1]}, [20, -300], input=[10, 100], weight=[2, -3])
    >>> ax = plot_terms(Explanation('Linear "7": output[0, 4]', "Σ input·weight", terms, -280.0, 1.2e-7))
    >>> [label.get_text() for label in ax.get_yticklabels()], [float(bar.get_width()) for bar in ax.patches]
    (['column 1', 'column 0'], [-300.0, 20.0])
    """
    check_explanation("plot_terms", explanation)
    products = explanation.terms["product"]
    order = np.argsort(-np.abs(products), kind="stable")
    shown, rest = order[:SHOWN], order[SHOWN:]
    names, values = [short_name(describe(explanation.terms[i]), 50) for i in shown], products[shown]
    if len(rest):
        names, values = [*names, f"{len(rest)} more"], np.append(values, products[rest].sum())
    ax = as_axes("plot_terms", ax, (8, 0.32 * len(names) + 1.5))
    draw_bars(ax, values, names)
    ax.set_xlabel("term" if explanation.ok else f"term\nbut {explanation.actual:.6g} was computed")
    ax.set_title(f"{explanation.title}\n= {explanation.value:.6g}", fontsize="medium")
    return ax


def check_explanation(who: str, explanation) -> None:
    """Raise TypeError unless `explanation` is one.

    >>> check_explanation("plot_terms", 3.0)
    Traceback (most recent call last):
    TypeError: plot_terms: explanation must be an Explanation. Got float. Pass what t.explain(name, index) \
    returns.
    """
    if not isinstance(explanation, Explanation):
        raise TypeError(
            f"{who}: explanation must be an Explanation. Got {type(explanation).__name__}. "
            "Pass what t.explain(name, index) returns."
        )
