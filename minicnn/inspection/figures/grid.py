"""Many small maps on one figure: shared scale, shared axes, one colour bar."""

from __future__ import annotations

import numpy as np

from minicnn.inspection.figures.canvas import heat_map, write_numbers

MOST_COLUMNS = 8


def columns_for(count: int) -> int:
    """Return how many maps stand side by side: all up to 8, else rows that come out even if they can.

    >>> [columns_for(count) for count in (1, 6, 10, 16, 20, 64)]
    [1, 6, 5, 8, 7, 8]
    """
    if count <= MOST_COLUMNS:
        return max(count, 1)
    rows = -(-count // MOST_COLUMNS)
    return -(-count // rows)


def grid_size(count: int, columns: int, shape: tuple[int, int], between=0.35) -> tuple[float, float]:
    """Return the inches that `count` maps of a shape (rows, columns) take, with titles and colour bar.

    >>> grid_size(16, 8, (28, 28))
    (10.0, 3.9)
    """
    rows = -(-count // columns)
    tall = float(np.clip(shape[0] / shape[1], 0.4, 2.5)) if all(shape) else 1.0
    side = 4.0 if count == 1 else float(np.clip(8 / columns, 1.1, 2.4))
    return round(columns * side + 1.2, 1), round(rows * (side * tall + between) + 1.0, 1)


def draw_grid(figure, maps, titles, scale, *, columns: int, title: str, label: str, rows=()) -> None:
    """Draw matrices of one shape in a grid, row by row, with one scale for all.

    Parameters
    ----------
    figure : matplotlib Figure or SubFigure
    maps : sequence of ndarray of shape (H, W)
    titles : sequence of str
    scale : dict
        As `scale_of` returns it.
    columns : int
    title, label : str
        Of the figure and of the colour bar.
    rows : sequence of str
        Names of the rows, where they have some; then the titles name the columns.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from minicnn.inspection.figures.canvas import scale_of
    >>> figure = Figure(layout="constrained")
    >>> maps = np.arange(12.0).reshape(3, 2, 2)
    >>> draw_grid(figure, maps, "abc", scale_of(maps), columns=2, title="three", label="value")
    >>> [ax.get_title() for ax in figure.axes]             # three maps, a free place, the colour bar
    ['a', 'b', 'c', '', '']
    """
    height = -(-len(maps) // columns)
    axes = figure.subplots(height, columns, squeeze=False)
    pictures = []
    for number, ax in enumerate(axes.flat):
        if number >= len(maps):
            ax.set_axis_off()
            continue
        pictures.append(heat_map(ax, maps[number], scale))
        if number < len(titles):
            ax.set_title(titles[number], fontsize="small")
        if rows and number % columns == 0:
            ax.set_ylabel(rows[number // columns], fontsize="small")
        ax.tick_params(labelsize="x-small")
        ax.tick_params(labelbottom=number + columns >= len(maps), labelleft=number % columns == 0)
    figure.colorbar(pictures[0], ax=axes, label=label, shrink=0.9, pad=0.02, aspect=8 + 12 * height)
    figure.supxlabel("column", fontsize="medium")
    figure.supylabel("row", fontsize="medium")
    figure.suptitle(title, fontsize="medium")
    write_numbers(figure, pictures)
