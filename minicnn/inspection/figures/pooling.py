"""Max pooling, drawn on its input: which cell of every window won."""

from __future__ import annotations

import itertools

import numpy as np

from minicnn.inspection.explainers.conv import batched
from minicnn.inspection.explainers.pooling import window
from minicnn.inspection.figures.canvas import (
    ORANGE,
    as_axes,
    as_place,
    heat_map,
    scale_of,
    settle,
    write_numbers,
)
from minicnn.inspection.record import Step


def plot_pool_winners(step, *, image=0, channel=0, ax=None):
    """Draw the input of a max pooling, a frame around each window's winner, and lines between windows.

    Parameters
    ----------
    step : Step
        Of a MaxPool2d: ``t["2"]`` of a trace t.
    image, channel : int
    ax : matplotlib Axes, optional
        By default those of a new figure, which pyplot does not know of.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError
        If `step` is not that of a MaxPool2d.
    ValueError
        If the image or the channel does not exist.

    Examples
    --------
    >>> from minicnn import nn
    >>> from minicnn.inspection import trace
    >>> t = trace(nn.Sequential(nn.MaxPool2d(2)), np.float32([[[[1, 5, 2, 0], [4, 3, 9, 8]]]]))
    >>> ax = plot_pool_winners(t["0"])
    >>> winners(t["0"], 0, 0).tolist()                          # the 5 and the 9
    [[0, 1], [1, 2]]
    >>> [text.get_text() for text in ax.texts]
    ['1', '5', '2', '0', '4', '3', '9', '8']
    """
    from matplotlib.patches import Rectangle

    who = "plot_pool_winners"
    if not isinstance(step, Step) or step.kind != "MaxPool2d":
        got = step.who if isinstance(step, Step) else type(step).__name__
        raise TypeError(
            f"{who}: step must be that of a MaxPool2d. Got {got}. Pass one of a trace, such as t['2']."
        )
    images = batched(step.input)  # (N, C, H, W)
    image = as_place(who, "image", image, len(images))
    channel = as_place(who, "channel", channel, images.shape[1])
    plane = images[image, channel]  # (H, W)
    share = 0.94 if ax is None else 0.7
    ax = as_axes(who, ax, figure_size(plane.shape))
    picture = heat_map(ax, plane, scale_of(images[image]))
    ax.figure.colorbar(picture, ax=ax, label="input", shrink=0.8)
    for row, column in winners(step, image, channel):
        for colour, width in (("black", 2.6), (ORANGE, 1.4)):  # seen on dark and on bright cells
            square = (column - 0.42, row - 0.42)
            ax.add_patch(Rectangle(square, 0.84, 0.84, fill=False, edgecolor=colour, linewidth=width))
    rows, columns = edges(step)
    ax.hlines(rows, -0.5, plane.shape[1] - 0.5, color="white", linewidth=1)
    ax.vlines(columns, -0.5, plane.shape[0] - 0.5, color="white", linewidth=1)
    ax.set(xlabel="column", ylabel="row")
    ax.set_title(f"{step.who}, image {image}, channel {channel}\nframed cells win", fontsize="medium")
    settle(ax.figure)
    write_numbers([picture], share)
    return ax


def winners(step, image: int, channel: int) -> np.ndarray:
    """Return the row and column of each window's winner, (windows, 2), in reading order.

    >>> from minicnn import nn
    >>> step = Step("0", "MaxPool2d", None, np.zeros((1, 1, 2, 3)), None, saved={"indices": [[[[4]]]]})
    >>> winners(step, 0, 0)                                     # 4 = 1·3 + 1
    array([[1, 1]])
    """
    indices = batched(np.asarray(step.saved["indices"]))[image, channel]  # (H_out, W_out)
    return np.stack(np.divmod(indices.ravel(), step.input.shape[-1]), axis=1)


def edges(step) -> tuple[list[float], list[float]]:
    """Return where lines part the windows: between rows and between columns; none where they overlap.

    >>> from minicnn import nn
    >>> array = np.zeros((1, 1, 4, 6))
    >>> edges(Step("0", "MaxPool2d", nn.MaxPool2d(2), array, array[:, :, :2, :3]))
    ([1.5], [1.5, 3.5])
    >>> edges(Step("0", "MaxPool2d", nn.MaxPool2d(3, stride=1), array, array[:, :, :2, :4]))
    ([], [])
    """
    found = []
    for axis in range(2):
        spans = [window(step, (cell, cell))[axis] for cell in range(step.output.shape[axis - 2])]
        pairs = [(int(a.max()), int(b.min())) for a, b in itertools.pairwise(spans) if len(a) and len(b)]
        apart = all(before < after for before, after in pairs)
        found.append([(before + after) / 2 for before, after in pairs] if apart else [])
    return found[0], found[1]


def figure_size(shape: tuple[int, int]) -> tuple[float, float]:
    """Return inches that leave a cell room for a number, within what fits on a page.

    >>> figure_size((4, 4)), figure_size((28, 28)), figure_size((200, 100))
    ((4.5, 3.6), (10.0, 9.1), (6.0, 9.1))
    """
    scale = min(0.5, 8 / max(shape))
    height, width = (max(scale * size, 2.5) for size in shape)
    return round(width + 2, 1), round(height + 1.1, 1)
