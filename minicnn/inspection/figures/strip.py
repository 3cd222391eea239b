"""A strip of panels from left to right, placed in inches, with arrows between them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from minicnn.inspection.figures.canvas import GREY

FAINT = "#666666"
POINTS, SMALL = 10, 8  # of titles and what stands below; of all else
ARROW, BESIDE = 0.24, 0.07  # the least length of an arrow, and what is free on both sides of it


@functools.lru_cache(maxsize=1024)
def width_of(text: str, points: float = POINTS) -> float:
    """Return the inches that the widest line of a text takes.

    >>> width_of("wide") == width_of("wide\\ni") > width_of("i")
    True
    """
    from matplotlib.textpath import TextPath

    lines = [line.replace("$", r"\$") for line in text.split("\n") if line]  # no formulas
    return (
        float(max((TextPath((0, 0), line, size=points).get_extents().x1 for line in lines), default=0)) / 72
    )


@dataclass(frozen=True)
class Panel:
    """One part of a strip: how large it is, who draws it, and what stands above and below.

    Attributes
    ----------
    width, height : float
        Inches of what is drawn.
    draw : callable
        ``draw(strip, x)`` draws with its left edge at x, around the strip's middle.
    title, below : str
    between : str
        What stands below the arrow that leads here: the layers that are not drawn.
    lead : float
        Inches at the left that hold names; the texts are centred on the rest.

    Examples
    --------
    >>> panel = Panel(2.0, 1.0, print, "wide", "", lead=0.5)
    >>> panel.room, panel.centre, round(panel.gap, 2)
    (2.0, 1.25, 0.38)
    """

    width: float
    height: float
    draw: Callable
    title: str
    below: str
    between: str = ""
    lead: float = 0.0

    @property
    def side(self) -> float:
        """Inches from the middle of the texts to the right edge."""
        return max(self.width - self.lead, width_of(self.title), width_of(self.below)) / 2

    @property
    def centre(self) -> float:
        """Inches from the left edge to the middle of the texts."""
        return max(self.lead + (self.width - self.lead) / 2, self.side)

    @property
    def room(self) -> float:
        """Inches with the texts."""
        return self.centre + self.side

    @property
    def gap(self) -> float:
        """Inches of the arrow that leads here."""
        return max(ARROW, width_of(self.between, SMALL)) + 2 * BESIDE


class Strip:
    """Places in inches on a figure, from its lower left corner; on a smaller figure all becomes smaller.

    Parameters
    ----------
    figure : matplotlib Figure or SubFigure
    width, height : float
        Inches of the whole strip.
    middle : float
        Inches from below to the line that the panels are centred on.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> strip = Strip(Figure(figsize=(4, 4)), 8, 2, 1)          # half as large, in the middle
    >>> strip.axes(0, 0, 8, 2).get_position().bounds == (0, 0.375, 1, 0.25)
    True
    """

    def __init__(self, figure, width: float, height: float, middle: float) -> None:
        if figure is figure.figure and not figure.axes:
            figure.set_layout_engine("none")  # it would warn that nothing is left for it to do
        wide, high = figure.bbox.width / figure.figure.dpi, figure.bbox.height / figure.figure.dpi
        self.figure, self.height, self.middle = figure, height, middle
        self.scale = min(wide / width, high / height)
        self.size = (wide, high)
        self.corner = ((wide - self.scale * width) / 2, (high - self.scale * height) / 2)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return a place in inches as shares of the figure."""
        return tuple(
            (corner + self.scale * value) / size
            for corner, value, size in zip(self.corner, (x, y), self.size, strict=True)
        )

    def axes(self, x: float, y: float, width: float, height: float):
        """Return new axes with their lower left corner at (x, y)."""
        (left, bottom), (right, top) = self.place(x, y), self.place(x + width, y + height)
        return self.figure.add_axes((left, bottom, right - left, top - bottom))

    def text(self, x: float, y: float, text: str, points: float = POINTS, **more) -> None:
        """Write a text, centred at (x, y) unless `more` says otherwise."""
        more = {"ha": "center", "va": "center", "parse_math": False, **more}
        self.figure.text(*self.place(x, y), text, fontsize=points * min(self.scale, 1.0), **more)

    def arrow(self, x: float, panel: Panel) -> None:
        """Draw the arrow that leads to a panel, beginning at x."""
        from matplotlib.patches import FancyArrowPatch

        arrow = FancyArrowPatch(
            self.place(x + BESIDE, self.middle),
            self.place(x + panel.gap - BESIDE, self.middle),
            transform=self.figure.transSubfigure,
            arrowstyle="-|>",
            mutation_scale=10 * min(self.scale, 1.0),
            color=FAINT,
            shrinkA=0,
            shrinkB=0,
        )
        self.figure.add_artist(arrow)
        self.text(x + panel.gap / 2, self.middle - 0.1, panel.between, SMALL, va="top", color=FAINT)


def frame(ax) -> None:
    """Leave axes no ticks, no names and a thin grey frame.

    >>> from matplotlib.figure import Figure
    >>> ax = Figure().subplots()
    >>> frame(ax)
    >>> ax.get_xticks().tolist()
    []
    """
    ax.set(xticks=[], yticks=[], xlabel="", ylabel="", title="")
    for spine in ax.spines.values():
        spine.set(color=GREY, linewidth=0.6)
