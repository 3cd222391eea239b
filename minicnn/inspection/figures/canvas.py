"""What all pictures share: a figure of one's own, scales, and numbers in cells where they fit.

Every picture is drawn on the figure or the axes that the caller passes; without one, on a new
`matplotlib.figure.Figure` that pyplot does not know of, so that nothing is shown or kept by surprise.
"""

from __future__ import annotations

import functools
import io
import operator

import numpy as np

from minicnn.metrics.figures import readable_on

# Both maps remain in order for colour-blind eyes and in grey: one for signs, white at zero; one for sizes.
SIGNED, SIZES = "RdBu_r", "viridis"
MISSING = "#cc79a7"  # what is not finite: a colour that neither map has
BLUE, RED, ORANGE, GREY = "#0072b2", "#d55e00", "#e69f00", "#bbbbbb"  # Okabe and Ito, 2008

MOST_NUMBERS = 1024  # cells of one picture; in more, numbers are too small to read
FONT_SIZES = (9, 8, 7, 6)  # points; numbers are written in the largest that fits
WIDE, HIGH = 0.62, 1.2  # a digit's width and a line's height, as shares of the font size


def as_figure(who: str, figure, size: tuple[float, float]):
    """Return `figure`, or a new one of `size` inches if it is None.

    >>> as_figure("plot_filters", None, (4, 3)).get_size_inches().tolist()
    [4.0, 3.0]
    >>> as_figure("plot_filters", "a.png", (4, 3))
    Traceback (most recent call last):
    TypeError: plot_filters: figure must be a matplotlib Figure or SubFigure. Got str. Leave it out for a \
new figure.
    """
    from matplotlib.figure import FigureBase

    if figure is None:
        return self_showing()(figsize=size, layout="constrained")
    if not isinstance(figure, FigureBase):
        raise TypeError(
            f"{who}: figure must be a matplotlib Figure or SubFigure. Got {type(figure).__name__}. "
            "Leave it out for a new figure."
        )
    return figure


@functools.cache
def self_showing() -> type:
    """Return a kind of Figure that a notebook shows, whether or not pyplot has drawn anything before.

    matplotlib tells notebooks how to show a Figure only when pyplot makes its first one.

    >>> self_showing()(figsize=(1, 1))._repr_png_()[1:4]
    b'PNG'
    """
    from matplotlib.figure import Figure

    class Picture(Figure):
        def _repr_png_(self) -> bytes:
            drawn = io.BytesIO()
            self.savefig(drawn, format="png", bbox_inches="tight")
            return drawn.getvalue()

    return Picture


def as_axes(who: str, ax, size: tuple[float, float]):
    """Return `ax`, or the axes of a new figure of `size` inches if it is None.

    >>> as_axes("plot_pool_winners", None, (4, 3)).figure.get_size_inches().tolist()
    [4.0, 3.0]
    >>> as_axes("plot_pool_winners", [], (4, 3))
    Traceback (most recent call last):
    TypeError: plot_pool_winners: ax must be matplotlib Axes. Got list. Leave it out for a new figure.
    """
    from matplotlib.axes import Axes

    if ax is None:
        return as_figure(who, None, size).subplots()
    if not isinstance(ax, Axes):
        raise TypeError(
            f"{who}: ax must be matplotlib Axes. Got {type(ax).__name__}. Leave it out for a new figure."
        )
    return ax


def as_place(who: str, what: str, value, count: int) -> int:
    """Return which of `count` images or channels is meant; negative numbers count from the end.

    >>> as_place("plot_softmax", "image", -1, 4)
    3
    >>> as_place("plot_softmax", "image", 4, 4)
    Traceback (most recent call last):
    ValueError: plot_softmax: image must be an int from 0 to 3. Got 4. Choose one of the 4.
    >>> as_place("plot_softmax", "image", 0, 0)
    Traceback (most recent call last):
    ValueError: plot_softmax: image must be an int below their number. Got 0 of none. Pass an array with \
at least one image.
    """
    if not count:
        raise ValueError(
            f"{who}: {what} must be an int below their number. Got {value!r} of none. "
            f"Pass an array with at least one {what}."
        )
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or not -count <= number < count:
        raise ValueError(
            f"{who}: {what} must be an int from 0 to {count - 1}. Got {value!r}. Choose one of the {count}."
        )
    return number % count


def as_places(who: str, what: str, values, count: int, most: int) -> list[int]:
    """Return the chosen channels or filters; None stands for the first ones, `most` at the most.

    >>> as_places("plot_filters", "filter", None, 32, most=3), as_places("plot_filters", "filter", 5, 32, 3)
    ([0, 1, 2], [5])
    """
    if values is None:
        as_place(who, what, 0, count)
        return list(range(min(count, most)))
    chosen = [as_place(who, what, value, count) for value in np.atleast_1d(np.asarray(values)).tolist()]
    if not chosen:
        raise ValueError(
            f"{who}: {what}s must name at least one. Got none. Leave them out for the first {most}."
        )
    return chosen


def scale_of(array: np.ndarray, signed: bool | None = None) -> dict:
    """Return the colour map and its limits: centred on zero where there are signs, else from 0 upwards.

    >>> scale_of(np.array([0.0, 2.0]))
    {'cmap': 'viridis', 'vmin': 0.0, 'vmax': 2.0}
    >>> scale_of(np.array([-3.0, np.nan, 2.0]))
    {'cmap': 'RdBu_r', 'vmin': -3.0, 'vmax': 3.0}
    """
    finite = np.asarray(array)[np.isfinite(array)]
    largest = float(np.abs(finite).max(initial=0)) or 1.0
    signed = bool((finite < 0).any()) if signed is None else signed
    return {"cmap": SIGNED if signed else SIZES, "vmin": -largest if signed else 0.0, "vmax": largest}


def heat_map(ax, values: np.ndarray, scale: dict):
    """Draw a matrix, a cell for each number, and return the picture.

    >>> ax = as_axes("", None, (3, 3))
    >>> picture = heat_map(ax, np.array([[1.0, -2.5]]), scale_of(np.array([-2.5])))
    >>> picture.get_clim()
    (-2.5, 2.5)
    """
    import matplotlib

    cmap = matplotlib.colormaps[scale["cmap"]].with_extremes(bad=MISSING)
    picture = ax.imshow(values, cmap=cmap, vmin=scale["vmin"], vmax=scale["vmax"])
    for axis, size in ((ax.yaxis, values.shape[0]), (ax.xaxis, values.shape[1])):
        if size <= 6:
            axis.set_ticks(range(size))
        else:
            axis.get_major_locator().set_params(integer=True)
    return picture


def settle(figure) -> None:
    """Let the layout engine put all axes of a figure in their places, so that cells can be measured.

    >>> settle(as_figure("", None, (4, 3)))
    """
    figure.figure.draw_without_rendering()


def write_numbers(pictures, share: float = 0.94) -> None:
    """Write its numbers into the cells of each heat map, in one size and only where all of them fit.

    Called last: only when the axes are in their places (`settle`) is it known how large a cell is. A
    number takes at most this `share` of a cell's width; axes of the caller's may yet become smaller when
    others are drawn beside them.

    >>> ax = as_axes("", None, (3, 3))
    >>> write_numbers([heat_map(ax, np.array([[1.0, -2.5]]), scale_of(np.array([-2.5])))])
    >>> [text.get_text() for text in ax.texts]
    ['1', '-2.5']
    """
    pictures = [picture for picture in pictures if 0 < picture.get_array().size <= MOST_NUMBERS]
    if not pictures:
        return
    written, sizes = [], []
    for picture in pictures:
        values, box = np.ma.getdata(picture.get_array()), picture.get_window_extent()
        points = 72 / picture.axes.figure.figure.dpi
        largest = max(map(abs, picture.get_clim()))
        height = box.height * points / values.shape[0]
        if height < HIGH * FONT_SIZES[-1]:
            return
        texts = [(place, short(value, largest)) for place, value in np.ndenumerate(values)]
        longest = max(len(text) for _, text in texts)
        width = box.width * points / values.shape[1]
        sizes.append(min(share * width / (longest * WIDE), height / HIGH))
        written.append((picture, values, texts))
    fitting = [size for size in FONT_SIZES if size <= min(sizes)]
    for picture, values, texts in written if fitting else ():
        for (row, column), text in texts:
            value = values[row, column] if np.isfinite(values[row, column]) else np.nan
            colour = readable_on(picture.to_rgba(value))
            picture.axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=fitting[0])


def short(value: float, largest: float) -> str:
    """Return a number as it stands in a cell, with as many decimals as give `largest` two digits.

    >>> [short(value, 0.39) for value in (0.39, -0.123456, 0.001, 0.0)]
    ['0.39', '-0.12', '0.00', '0']
    >>> [short(value, 300.0) for value in (300.0, -2.0, 0.25, float("nan"))]
    ['300', '-2', '0', 'nan']
    >>> short(2.0, 4.5), short(0.00001234, 0.00002)
    ('2', '1e-05')
    """
    if not np.isfinite(value):
        return str(value)
    decimals = max(0, 1 - int(np.floor(np.log10(largest)))) if 0 < largest < np.inf else 0
    if value == int(value) and abs(value) < 1e5:
        return str(int(value))
    if decimals > 4 or abs(value) >= 1e5:
        return f"{value:.0e}"
    return f"{round(float(value), decimals) + 0.0:.{decimals}f}"


def draw_image(ax, image: np.ndarray, title: str = "") -> None:
    """Draw an image (C, H, W) as a reader knows it: grey, or in colours if it has three channels.

    Floats are stretched from the smallest to the largest, because a normalised image has no black of
    its own.

    >>> ax = as_axes("", None, (3, 3))
    >>> draw_image(ax, np.zeros((1, 2, 3)), "the image")
    >>> ax.get_xlabel(), ax.get_ylabel(), ax.get_title()
    ('column', 'row', 'the image')
    """
    image = np.asarray(image, np.float64)
    low, high = np.nanmin(image), np.nanmax(image)
    shown = (image - low) / ((high - low) or 1.0)  # (C, H, W)
    shown = shown.transpose(1, 2, 0) if len(shown) == 3 else shown.mean(axis=0)
    ax.imshow(shown, cmap="gray", vmin=0, vmax=1)
    ax.set(xlabel="column", ylabel="row", title=title)
