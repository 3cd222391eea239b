"""Comparison: two models beside each other, number by number, and the first place where they part."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

from minicnn.inspection import Trace
from minicnn.inspection.page import Page, Section
from minicnn.interop.torch.comparison.causes import LikelyCause, find_cause
from minicnn.interop.torch.comparison.lockstep import Drift
from minicnn.interop.torch.comparison.rows import HEADER, Row


class Difference(Page):
    """The first number that differs by more than rounding, explained on both sides.

    Attributes
    ----------
    row : Row
    index : tuple of int, or None
        The place in the array; None where the arrays have no place in common.
    ours, torch : Explanation or None
        Each side's own terms; None for a number that no layer made which both libraries know.

    Examples
    --------
    >>> import numpy as np
    >>> from minicnn.interop.torch.comparison.rows import row_of
    >>> numbers = np.float32([1, 2]), np.float32([1, 3])
    >>> exact = tuple(map(np.float64, numbers))
    >>> print(Difference(row_of(("0", "0", "ReLU"), "output", numbers, (Trace([]), Trace([])), exact, Trace([]))))
    ReLU "0": output[1] is 2 here, and 3 in torch
    """

    def __init__(self, row: Row) -> None:
        self.row, self.index = row, row.where
        self.ours, self.torch = row.explanation, row.torch_explanation
        who = f'{row.kind} "{row.name}": {row.of}'
        if row.ours is None or row.theirs is None:
            self.title = f"{who} is only {'in torch' if row.ours is None else 'here'}"
        elif row.ours.shape != row.theirs.shape:
            self.title = f"{who} has shape {row.ours.shape} here, and {row.theirs.shape} in torch"
        elif row.where is None:
            self.title = f"{who} is {row.ours.dtype} here, and {row.theirs.dtype} in torch"
        else:
            place = f"[{', '.join(map(str, row.where))}]" if row.where else ""
            values = float(row.ours[row.where]), float(row.theirs[row.where])
            self.title = f"{who}{place} is {values[0]:.8g} here, and {values[1]:.8g} in torch"

    def sections(self) -> list[Section]:
        """Return the explanation on either side."""
        sides = (("here", self.ours), ("in torch", self.torch))
        return [Section(side, above=one.formula.split("\n")) for side, one in sides if one is not None]


@dataclass(eq=False, repr=False)
class Comparison(Page):
    """What `compare` returns.

    Attributes
    ----------
    rows : list of Row
        Outputs in the order of execution, the loss, then gradients in the order of the backward pass.
    ours, torch : Trace
        All numbers of both sides, ready to be explained.
    only_ours, only_torch : list of str
        Steps without a partner on the other side, such as functions that torch's hooks do not see.
    single_step : bool
        Whether each of our layers was given torch's own input.
    drift : Drift or None
        How the parameters part in training, if both were trained.
    sides : tuple
        Our model and torch's, and what either was given, for `likely_cause`.

    Examples
    --------
    >>> comparison = Comparison([], Trace([]), Trace([]))
    >>> comparison.ok, comparison.first_difference
    (True, None)
    """

    rows: list[Row]
    ours: Trace
    torch: Trace
    only_ours: list[str] = field(default_factory=list)
    only_torch: list[str] = field(default_factory=list)
    single_step: bool = False
    drift: Drift | None = None
    sides: tuple = ()

    @functools.cached_property
    def likely_cause(self) -> LikelyCause | None:
        """The known slip that brings both sides together, from trying each alone; None if nothing differs."""
        return find_cause(*self.sides) if self.sides and not self.ok else None

    def __getitem__(self, key: tuple[str, str]) -> Row:
        """Return the row of a name and an array: ``comparison["0", "weight.grad"]``."""
        for row in self.rows:
            if (row.name, row.of) == tuple(key):
                return row
        names = ", ".join(f"{(row.name, row.of)}" for row in self.rows)
        raise KeyError(f"Comparison: a row must have been compared. Got {key!r}. Choose one of {names}.")

    @property
    def ok(self) -> bool:
        """Whether every row is equal or differs by rounding only, and drift stays within rounding's growth."""
        return all(row.verdict != "differs" for row in self.rows) and (self.drift is None or self.drift.ok)

    @property
    def first_difference(self) -> Difference | None:
        """The first row that differs, with the explanation of its worst number on both sides; None if none does."""
        for row in self.rows:
            if row.verdict == "differs":
                return Difference(row)
        return None

    def assert_close(self) -> None:
        """Raise AssertionError with the first difference and its explanation, unless `ok`."""
        first = self.first_difference
        if first is not None:
            count = sum(row.verdict == "differs" for row in self.rows)
            raise AssertionError(
                f"compare: both models must give the same numbers but for rounding. Got {count} of "
                f"{len(self.rows)} rows that differ. Begin at the first one, explained here:\n{first}"
            )
        if not self.ok:
            raise AssertionError(
                "compare: both models must stay together in training but for rounding. Got a larger drift. "
                f"See where it begins:\n{self.drift}"
            )

    @property
    def title(self) -> str:
        """How many rows have which verdict."""
        counts = dict.fromkeys(("equal", "rounding", "differs"), 0)
        for row in self.rows:
            counts[row.verdict] += 1
        parts = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        fed = "; each layer fed with torch's input" if self.single_step else ""
        return f"beside torch: {parts}{fed}"

    def sections(self) -> list[Section]:
        """Return the table, and the first difference."""
        below = []
        if self.only_ours:
            below.append(f"only here: {', '.join(self.only_ours)}")
        if self.only_torch:
            below.append(f"only in torch: {', '.join(self.only_torch)}")
        table = Section(
            "row by row", header=HEADER, rows=[row.cells for row in self.rows], below=below, left=4
        )
        trained = [] if self.drift is None else [Section(self.drift.title), *self.drift.sections()]
        first = self.first_difference
        if first is None:
            return [table, *trained]
        return [
            table,
            Section("first difference (likely_cause tries the known slips)", above=[first.title]),
            *first.sections(),
            *trained,
        ]
