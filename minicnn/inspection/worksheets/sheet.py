"""Worksheet: an exercise with blanks, as text and as HTML, with its answer and the slips it can tell apart."""

from __future__ import annotations

import html
from dataclasses import dataclass, field

import numpy as np

BLANK = "__"
CELL = "border: 1px solid #777; padding: 0.2em 0.6em; text-align: right; min-width: 2em; height: 1.4em"
OPEN_CELL = f"{CELL}; background: #fff6d6"


@dataclass(frozen=True, eq=False)
class Worksheet:
    """An exercise in whole numbers.

    Attributes
    ----------
    layer : str
        "conv2d", "max_pool2d", "avg_pool2d", "relu", "linear", "softmax" or "cross_entropy".
    of : str
        What is asked: "output", "grad_input", or a parameter's gradient such as "weight.grad".
    task : str
        What to do, in words.
    given : dict of str to ndarray of int
        The numbers to work with, under their names; where `logarithms` names one, its natural logarithms.
    answer : ndarray of int
        What is to be found.
    slips : dict of str to ndarray
        What comes out if a slip is made, by the slip's name; it may have another shape.
    blanks : ndarray of bool
        Which numbers of the answer are asked for; the others stand on the sheet.
    logarithms : tuple of str
        Names in `given` whose numbers are shown as ``ln 3``.

    Examples
    --------
    >>> sheet = Worksheet("relu", "output", "Compute max(x, 0).", {"x": np.array([[3, -4]])}, np.array([[3, 0]]))
    >>> print(sheet)
    relu: output
      Compute max(x, 0).
    <BLANKLINE>
      x
         3  -4
      output
        __  __
    >>> print(sheet.solution().split("output\\n")[-1])
      3  0
    """

    layer: str
    of: str
    task: str
    given: dict[str, np.ndarray]
    answer: np.ndarray
    slips: dict[str, np.ndarray] = field(default_factory=dict)
    blanks: np.ndarray | None = None
    logarithms: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.blanks is None:
            object.__setattr__(self, "blanks", np.ones(self.answer.shape, bool))

    def tables(self, solved: bool = False) -> list[tuple[str, list[list[str]], list[list[bool]]]]:
        """Return name, cells and which of them are open, of every table on the sheet.

        >>> sheet = Worksheet("relu", "output", "", {"x": np.array([2])}, np.array([2]))
        >>> sheet.tables()
        [('x', [['2']], [[False]]), ('output', [['__']], [[True]])]
        """
        found = []
        for name, array in self.given.items():
            mark = "ln " if name in self.logarithms else ""
            cells = [[f"{mark}{value}" for value in row] for row in as_rows(array)]
            found.append((name, cells, [[False] * len(row) for row in cells]))
        asked = as_rows(self.blanks & (not solved)).tolist()
        values = as_rows(self.answer).tolist()
        cells = [
            [BLANK if open_ else str(value) for open_, value in zip(*pair, strict=True)]
            for pair in zip(asked, values, strict=True)
        ]
        return [*found, (self.of, cells, asked)]

    def _text(self, solved: bool) -> str:
        lines = [f"{self.layer}: {self.of}", *(f"  {line}" for line in self.task.split("\n")), ""]
        for name, cells, _ in self.tables(solved):
            width = max((len(cell) for row in cells for cell in row), default=0)
            lines.append(f"  {name}")
            lines += ["    " + "  ".join(cell.rjust(width) for cell in row) for row in cells]
        return "\n".join(lines)

    def __str__(self) -> str:
        return self._text(solved=False)

    def __repr__(self) -> str:
        return str(self)

    def solution(self) -> str:
        """Return the sheet as text with its blanks filled in."""
        return self._text(solved=True)

    def to_html(self, solved: bool = False) -> str:
        """Return the sheet as HTML tables, to be printed or shown.

        >>> sheet = Worksheet("relu", "output", "", {"x": np.array([2])}, np.array([2]))
        >>> sheet.to_html().count("<td"), "&nbsp;" in sheet.to_html(), "&nbsp;" in sheet.to_html(solved=True)
        (2, True, False)
        """
        parts = [f"<h4>{html.escape(f'{self.layer}: {self.of}')}</h4>"]
        parts += [f"<p>{html.escape(line)}</p>" for line in self.task.split("\n")]
        for name, cells, asked in self.tables(solved):
            body = "".join(
                "<tr>"
                + "".join(
                    f'<td style="{OPEN_CELL if open_ else CELL}">{"&nbsp;" if open_ else cell}</td>'
                    for cell, open_ in zip(row, opens, strict=True)
                )
                + "</tr>"
                for row, opens in zip(cells, asked, strict=True)
            )
            parts.append(f"<p>{html.escape(name)}</p>")
            parts.append(f'<table style="border-collapse: collapse">{body}</table>')
        return "".join(parts)

    def _repr_html_(self) -> str:
        return self.to_html()


def as_rows(array: np.ndarray) -> np.ndarray:
    """Return an array as rows and columns: a single row for one axis.

    >>> as_rows(np.array([1, 2])).shape, as_rows(np.array(3)).shape
    ((1, 2), (1, 1))
    """
    return np.atleast_2d(array)
