"""Many small maps on one figure: shared scale, shared axes, one colour bar.

The places are computed here and not by matplotlib's layout engine, which takes seconds for 64 maps.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import numpy as np

from minicnn.inspection.figures.canvas import heat_map, write_numbers

MOST_COLUMNS = 8
# Inches that are kept free for names, numbers and the colour bar.
LEFT, RIGHT, TOP, BOTTOM = 0.7, 1.15, 0.34, 0.62
ROW_NAME, TITLE, LINE, GAP = 0.2, 0.24, 0.18, 0.1
LETTER = 0.095  # width of a letter in a title


def columns_for(count: int) -> int:
    """Return how many maps stand side by side: all up to 8, else rows that come out even if they can.

    >>> [columns_for(count) for count in (1, 6, 10, 16, 20, 64)]
    [1, 6, 5, 8, 7, 8]
    """
    if count <= MOST_COLUMNS:
        return max(count, 1)
    rows = -(-count // MOST_COLUMNS)
    return -(-count // rows)


def height_of(shape: tuple[int, int]) -> float:
    """Return how tall a map of (rows, columns) is drawn for its width; strips are widened to be seen.

    >>> height_of((4, 8)), height_of((1, 100))
    (0.5, 0.2)
    """
    return float(np.clip(shape[0] / shape[1], 0.2, 5)) if all(shape) else 1.0


def grid_size(count: int, columns: int, shape: tuple[int, int], named: bool = False) -> tuple[float, float]:
    """Return the inches that `count` maps of a shape (rows, columns) take; `named` if rows have names.

    >>> grid_size(16, 8, (28, 28))
    (11.5, 3.8)
    """
    rows = -(-count // columns)
    side = 4.0 if count == 1 else float(np.clip(8 / max(columns, rows * height_of(shape)), 1.1, 2.4))
    width = LEFT + RIGHT + ROW_NAME * named + columns * (side + GAP)
    titles = TITLE if named else rows * TITLE
    height = TOP + BOTTOM + titles + rows * (side * height_of(shape) + GAP)
    return round(width, 1), round(height, 1)


@dataclass(frozen=True)
class Places:
    """Where the maps of a grid stand, in inches from the lower left corner of the figure.

    Attributes
    ----------
    figure : tuple of float
        Width and height of the figure.
    left, top : float
        Of the first map.
    map : tuple of float
        Width and height of a map.
    pitch : tuple of float
        From one map to the next, to the right and down.

    Examples
    --------
    >>> places = Places((10, 5), left=1, top=4, map=(2, 1), pitch=(2.5, 1.5))
    >>> places.box(row=1, column=2)                             # x, y, width, height as shares of the figure
    (0.6, 0.3, 0.2, 0.2)
    """

    figure: tuple[float, float]
    left: float
    top: float
    map: tuple[float, float]
    pitch: tuple[float, float]

    def box(self, row: int, column: int, rows: int = 1) -> tuple[float, float, float, float]:
        """Return the place of a map, or of something as high as several rows."""
        width, height = self.map[0], self.map[1] + (rows - 1) * self.pitch[1]
        x = self.left + column * self.pitch[0]
        y = self.top - row * self.pitch[1] - height
        return (x / self.figure[0], y / self.figure[1], width / self.figure[0], height / self.figure[1])


def places_in(figure, rows: int, columns: int, shape, named: bool, title_lines: int) -> Places:
    """Return places for rows × columns maps, as large as the figure allows, in its middle."""
    wide, high = figure.bbox.width / figure.figure.dpi, figure.bbox.height / figure.figure.dpi
    left, top = LEFT + ROW_NAME * named, TOP + LINE * (title_lines - 1) + TITLE
    between = GAP if named else GAP + TITLE
    free_width = max(wide - left - RIGHT - (columns - 1) * GAP, 0.2)
    free_height = max(high - top - BOTTOM - (rows - 1) * between, 0.2)
    tall = height_of(shape)
    width = min(free_width / columns, free_height / rows / tall)
    spare = free_width - columns * width
    pitch = (width + GAP, width * tall + between)
    return Places((wide, high), left + spare / 2, high - top, (width, width * tall), pitch)


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
    >>> figure, maps = Figure(), np.arange(12.0).reshape(3, 2, 2)
    >>> draw_grid(figure, maps, "abc", scale_of(maps), columns=2, title="three", label="value")
    >>> [ax.get_title() for ax in figure.axes]                  # three maps and the colour bar
    ['a', 'b', 'c', '']
    """
    if figure is figure.figure and not figure.axes:
        figure.set_layout_engine("none")  # it would warn that nothing is left for it to do
    height, named = -(-len(maps) // columns), bool(rows)
    lines = textwrap.wrap(title, max(int(figure.bbox.width / figure.figure.dpi / LETTER), 10)) or [""]
    places = places_in(figure, height, columns, np.shape(maps[0]), named, len(lines))
    pictures = []
    for number, values in enumerate(maps):
        row, column = divmod(number, columns)
        ax = figure.add_axes(places.box(row, column))
        pictures.append(heat_map(ax, values, scale))
        ax.set_aspect("auto")
        ax.tick_params(labelsize="x-small", labelleft=column == 0, labelbottom=number + columns >= len(maps))
        if number < len(titles):
            ax.set_title(titles[number], fontsize="small", pad=4)
        if named and column == 0:
            ax.set_ylabel(rows[row], fontsize="small")
    x, y, width, tall = places.box(0, columns - 1, rows=height)
    bar = figure.add_axes((x + width + 0.15 / places.figure[0], y, 0.14 / places.figure[0], tall))
    figure.colorbar(pictures[0], cax=bar, label=label)
    left, middle = places.left / places.figure[0], y + tall / 2
    away = (0.38 + ROW_NAME * named) / places.figure[0]
    figure.supxlabel(
        "column", fontsize="medium", x=(left + x + width) / 2, y=y - 0.3 / places.figure[1], va="top"
    )
    figure.supylabel("row", fontsize="medium", x=left - away, y=middle, ha="right", va="center")
    figure.suptitle("\n".join(lines), fontsize="medium", y=1 - 0.08 / places.figure[1], va="top")
    write_numbers(pictures)
