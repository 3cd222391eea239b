"""A page: titles, tables and lines that read the same in the terminal and in a notebook."""

from __future__ import annotations

import html
from dataclasses import dataclass, field

import numpy as np

from minicnn.checks import cast

AXES = {1: ("feature",), 2: ("row", "column"), 3: ("channel", "row", "column")}


@dataclass
class Section:
    """One part of a page: a title, then lines, then a table, then more lines.

    Attributes
    ----------
    title : str
    above, below : list of str
        Lines before and after the table.
    header : list of str, or None
        None makes no table.
    rows : list of list of str
    left : int
        So many columns are set to the left; the rest are numbers.

    Examples
    --------
    >>> print(Section("logits", header=["class", "logit"], rows=[["cat", "2"], ["dog", "-1.5"]]))
    logits
      class  logit
      cat        2
      dog     -1.5
    """

    title: str
    above: list[str] = field(default_factory=list)
    header: list[str] | None = None
    rows: list[list[str]] = field(default_factory=list)
    below: list[str] = field(default_factory=list)
    left: int = 1

    def __str__(self) -> str:
        return "\n".join([self.title, *(f"  {line}" for line in [*self.above, *self._table(), *self.below])])

    def _table(self) -> list[str]:
        if self.header is None:
            return []
        cells = [self.header, *self.rows]
        widths = [max(len(row[i]) for row in cells) for i in range(len(self.header))]
        return [
            "  ".join(
                cell.ljust(width) if i < self.left else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in cells
        ]

    def _repr_html_(self) -> str:
        parts = [f"<h4>{html.escape(self.title)}</h4>", preformatted(self.above)]
        if self.header is not None:
            rows = [tagged("th", self.header), *(tagged("td", row) for row in self.rows)]
            parts.append(f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>")
        return "".join([*parts, preformatted(self.below)])


class Page:
    """Something that is shown as a title and sections; `sections()` says what stands in them.

    >>> class Greeting(Page):
    ...     title = "a page"
    ...     def sections(self):
    ...         return [Section("first", above=["hello"])]
    >>> Greeting()
    a page
    <BLANKLINE>
    first
      hello
    """

    title = ""

    def sections(self) -> list[Section]:
        """Return the parts of the page, top to bottom."""
        return []

    def __str__(self) -> str:
        return "\n\n".join([self.title, *map(str, self.sections())])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        body = "".join(section._repr_html_() for section in self.sections())
        return f"<h3>{html.escape(self.title)}</h3>{body}"


def preformatted(lines: list[str]) -> str:
    """Return lines as HTML that keeps their columns; nothing for no lines.

    >>> preformatted(["1 < 2"]), preformatted([])
    ('<pre>1 &lt; 2</pre>', '')
    """
    return f"<pre>{html.escape(chr(10).join(lines))}</pre>" if lines else ""


def tagged(tag: str, cells: list[str]) -> str:
    """Return the cells of one row of an HTML table.

    >>> tagged("td", ["a", "b"])
    '<td>a</td><td>b</td>'
    """
    return "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)


def position(index: tuple[int, ...]) -> str:
    """Return a place within one image in words.

    >>> position((3, 5, 7)), position((4,)), position(())
    ('channel 3, row 5, column 7', 'feature 4', '')
    """
    names = AXES.get(len(index)) or tuple(f"axis {axis}" for axis in range(len(index)))
    return ", ".join(f"{name} {int(i)}" for name, i in zip(names, index, strict=True))


def short(value: float) -> str:
    """Return a number in four digits.

    >>> short(0.123456), short(-0.0), short(12345678.0), short(float("nan"))
    ('0.1235', '0', '1.235e+07', 'nan')
    """
    return f"{float(value) + 0.0:.4g}"


def largest(array: np.ndarray) -> tuple[int, ...]:
    """Return the place of the largest magnitude; NaN counts as the largest of all.

    >>> largest(np.array([[1.0, -5.0], [3.0, 2.0]]))
    (0, 1)
    """
    size = np.abs(cast(array))
    place = np.where(np.isnan(size), np.inf, size).argmax()
    return tuple(int(i) for i in np.unravel_index(place, array.shape))
