"""Pictures of the measures, with the names of the classes on the axes; none is shown, all return the axes."""

from __future__ import annotations

import itertools

import numpy as np

from minicnn.labels import short_name
from minicnn.metrics.arrays import as_pair, as_probabilities
from minicnn.metrics.calibration import calibration_bins, expected_calibration_error
from minicnn.metrics.counts import accuracy, confusion_matrix
from minicnn.metrics.curves import average_precision, precision_recall_curve

# Eight colours that remain apart for colour-blind eyes (Okabe and Ito, "Color universal design", 2008),
# their yellow darkened to be seen on white; further curves take the next line style.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000", "#B8A800")
LINES = ("-", "--", ":", "-.")
# Above so many classes the cells are too small for numbers.
MOST_NUMBERS = 25


def plot_confusion_matrix(targets, predictions, classes=None, *, normalize: bool = False, ax=None):
    """Draw the confusion matrix: a row for each true class, a column for each predicted one.

    The colour is the share of the row, so that rare classes are as readable as frequent ones.

    Parameters
    ----------
    targets, predictions : array of shape (N,), labels or class indexes
    classes : sequence of str or of int, optional
        The order of rows and columns; by default all values that occur, sorted.
    normalize : bool
        Write shares of the row into the cells instead of counts.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> ax = plot_confusion_matrix([0, 0, 1], [0, 1, 1], ["cat", "dog"])
    >>> [text.get_text() for text in ax.get_yticklabels()], ax.get_xlabel()
    (['cat', 'dog'], 'predicted')
    """
    from matplotlib.colors import PowerNorm

    targets, predictions, classes = as_pair("plot_confusion_matrix", targets, predictions, classes)
    names = [short_name(name) for name in classes.tolist()]
    counts = confusion_matrix(targets, predictions, np.arange(len(names)))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)  # (C, C)
    side = float(np.clip(1.6 + 0.5 * len(names), 4, 16))
    ax = _new_axes((side + 1, side)) if ax is None else ax
    image = ax.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1))  # lifts the small errors
    ax.figure.colorbar(image, ax=ax, label="share of the true class", shrink=0.8)
    upright = max(len(name) for name in names) <= 3
    turn = {"rotation": 0} if upright else {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    ax.set_xticks(np.arange(len(names)), names, parse_math=False, **turn)  # a name may hold $
    ax.set_yticks(np.arange(len(names)), names, parse_math=False)
    ax.set(
        xlabel="predicted",
        ylabel="true class",
        title=f"{len(targets)} images, {accuracy(targets, predictions):.1%} right",
    )
    if len(names) <= MOST_NUMBERS:
        for i, j in np.ndindex(counts.shape):
            text = f"{shares[i, j]:.2f}" if normalize else str(counts[i, j])
            colour = readable_on(image.to_rgba(shares[i, j])) if counts[i, j] else "#888888"
            size = 9 if len(names) <= 12 and len(text) <= 4 else 6
            ax.text(j, i, text, ha="center", va="center", color=colour, fontsize=size)
    return ax


def plot_precision_recall(targets, probabilities, classes=None, *, ax=None):
    """Draw precision over recall, one curve a class, with the average precision in the legend.

    Parameters
    ----------
    targets : array of shape (N,), labels or class indexes
    probabilities : ndarray of shape (N, C), floats
        Rows sum to 1, as `predict_proba` returns them.
    classes : sequence of str or of int, optional
        The name of each column; by default 0 to C - 1. A class without targets has no curve.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> ax = plot_precision_recall([0, 1], np.array([[0.9, 0.1], [0.4, 0.6]]), ["cat", "dog"])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['cat  1.000', 'dog  1.000']
    """
    targets, probabilities, classes = as_probabilities(
        "plot_precision_recall", targets, probabilities, classes
    )
    ax = _new_axes((6.5, 4.5)) if ax is None else ax
    styles = itertools.cycle(itertools.product(LINES, COLOURS))
    for index in np.unique(targets):
        precision, recall, _ = precision_recall_curve(targets, probabilities[:, index], positive=index)
        area = average_precision(targets, probabilities[:, index], positive=index)
        line, colour = next(styles)
        ax.step(
            recall,
            precision,
            where="post",
            label=f"{short_name(classes[index])}  {area:.3f}",
            ls=line,
            c=colour,
        )
    ax.set(xlabel="recall", ylabel="precision", xlim=(-0.02, 1.02), ylim=(-0.02, 1.05))
    ax.set_title("Precision and recall while the threshold moves")
    legend = ax.legend(title="average precision", loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
    ax.grid(alpha=0.3)
    return ax


def plot_reliability(targets, probabilities, classes=None, *, bins: int = 15, ax=None):
    """Draw the share that is right over the confidence: on the diagonal, 0.9 means nine in ten.

    Bars below the diagonal belong to a model that is too sure of itself. The number over a bar says how
    many predictions it stands for.

    Parameters
    ----------
    targets, probabilities, classes, bins
        As for `calibration_bins`.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> ax = plot_reliability([0, 1], np.array([[0.9, 0.1], [0.4, 0.6]]), bins=5)
    >>> ax.get_title()                              # 1/2·|1 - 0.6| + 1/2·|1 - 0.9|
    'Expected calibration error 0.250'
    """
    found = calibration_bins(targets, probabilities, classes, bins=bins)
    error = expected_calibration_error(targets, probabilities, classes, bins=bins)
    ax = _new_axes((5.5, 4.5)) if ax is None else ax
    filled = np.flatnonzero(found.count)
    left, width = found.edges[:-1], np.diff(found.edges)
    ax.bar(left[filled], found.accuracy[filled], width[filled], align="edge", color="#56B4E9", ec="white")
    ax.plot([0, 1], [0, 1], color="black", ls="--", lw=1, label="confidence = accuracy")
    ax.plot(found.confidence[filled], found.accuracy[filled], "o", color="#D55E00", label="mean of the bin")
    for b in filled:
        ax.annotate(
            str(found.count[b]),
            (left[b] + width[b] / 2, found.accuracy[b]),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    ax.set(xlabel="confidence: the largest probability", ylabel="share that is right")
    ax.set(xlim=(0, 1), ylim=(0, 1.1), title=f"Expected calibration error {error:.3f}")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, frameon=False)  # never over a bar
    return ax


def readable_on(rgba) -> str:
    """Return the colour of text, black or white, that stands out against a background.

    >>> readable_on((1, 1, 0, 1)), readable_on((0, 0, 1, 1))
    ('black', 'white')
    """
    red, green, blue, _ = rgba
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.55 else "white"


def _new_axes(size: tuple[float, float]):
    from matplotlib import pyplot

    return pyplot.subplots(figsize=size, layout="constrained")[1]
