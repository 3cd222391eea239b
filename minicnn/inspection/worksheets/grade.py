"""grade: say what is right on a worksheet, and name the slip behind what is wrong."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from minicnn.checks import cast
from minicnn.inspection.page import Page, Section
from minicnn.inspection.worksheets.draw import on_blanks
from minicnn.inspection.worksheets.sheet import Worksheet, as_rows

WHO = "grade"
SAME = 0.0051  # a third is written as 0.33, an eighth as 0.12 or 0.13; float32 adds its own rounding
ADVICE = {
    "kernel flipped": "a convolution layer lays the kernel on as it stands; no axis is turned round",
    "bias forgotten": "the bias is added to every sum, once",
    "padding forgotten": "zeros stand around the image first; the first window begins there",
    "stride ignored": "the window moves on by the stride, not by one",
    "mean for sum": "the terms are added up; nothing is divided",
    "sum for mean": "the sum is divided by the number of terms",
    "mean for maximum": "max pooling keeps one number of the window, and no other counts",
    "wrong pool winner (a zero": "padding is no number of the image, so it never wins",
    "wrong pool winner": "the winner is the largest number, with its sign; the gradient goes there alone",
    "winner ignored": "only the winner of a window moves its output, so only it gets the gradient",
    "gradient sign": "the sign is turned round; the gradient points to where the loss grows",
    "softmax over the wrong axis": "the probabilities of one image, one row, sum to one",
    "sum forgotten": "each exponential is divided by the sum of its row",
    "sum over all rows": "each row has a sum of its own",
    "only the largest counts": "softmax gives every class its share; choosing the largest is argmax",
    "not counted in": "the sheet counts in parts of one: 1/2 is 30 in 60ths, and 60 in 120ths",
    "truth forgotten": "at the true class 1 is subtracted from the probability",
    "sign dropped": "a negative number becomes 0, not positive",
    "negative numbers kept": "a negative number becomes 0",
    "positive numbers cut off": "positive numbers stay as they are; negative ones become 0",
    "input ignored": "where the input is negative, no gradient passes",
    "sign of the gradient for that of the input": "the input decides what passes, whatever the gradient's sign",
    "negative inputs pass": "gradients pass where the input is positive",
    "weight transposed": "each row of the weight belongs to one output, each column to one input",
    "only the first image": "the gradients of all images are added up",
}


@dataclass(frozen=True)
class Mark:
    """One blank: what was written, what is right, and which slips would give what was written.

    Attributes
    ----------
    index : tuple of int
    given : float
        NaN where nothing was written.
    expected : int
    slips : tuple of str
        Empty for a right answer, and for a wrong one that no slip explains.

    Examples
    --------
    >>> Mark((0, 1), 3.0, 3, ()).right, Mark((0, 1), -3.0, 3, ("gradient sign",)).line
    (True, 'row 0, column 1: -3 is wrong, it is 3 (gradient sign)')
    """

    index: tuple[int, ...]
    given: float
    expected: int
    slips: tuple[str, ...]

    @property
    def right(self) -> bool:
        """Whether the answer is right, to two decimals: float32 makes 18.000002 of 18."""
        return abs(self.given - self.expected) <= SAME

    @property
    def line(self) -> str:
        """The mark as a sentence."""
        names = ("row", "column")[-len(self.index) :]
        place = ", ".join(f"{name} {i}" for name, i in zip(names, self.index, strict=True))
        if np.isnan(self.given):
            return f"{place}: left blank, it is {self.expected}"
        if self.right:
            return f"{place}: {self.given + 0.0:g} is right"
        slips = f" ({' or '.join(self.slips)})" if self.slips else ""
        return f"{place}: {self.given + 0.0:g} is wrong, it is {self.expected}{slips}"


class Grade(Page):
    """What `grade` returns.

    Attributes
    ----------
    marks : list of Mark
        One for each blank, in reading order.
    score : int
        How many are right.
    slip : str or None
        The slip that explains the most wrong answers; None if none explains any.
    explained : int
        How many wrong answers it explains.

    Examples
    --------
    >>> grading = Grade([Mark((0,), 2.0, 2, ()), Mark((1,), -5.0, 5, ("gradient sign",))], "gradient sign")
    >>> print(grading)
    1 of 2 right
    <BLANKLINE>
    wrong
      column 1: -5 is wrong, it is 5 (gradient sign)
    <BLANKLINE>
    the slip: gradient sign
      it explains 1 of 1 wrong answers
      the sign is turned round; the gradient points to where the loss grows
    """

    def __init__(self, marks: list[Mark], slip: str | None) -> None:
        self.marks, self.slip = marks, slip
        self.score = sum(mark.right for mark in marks)
        self.explained = sum(slip in mark.slips for mark in marks)
        self.title = f"{self.score} of {len(marks)} right"

    @property
    def right(self) -> bool:
        """Whether everything is right."""
        return self.score == len(self.marks)

    def sections(self) -> list[Section]:
        """Return the wrong answers, and the slip behind them."""
        wrong = [mark for mark in self.marks if not mark.right]
        likely = [replace(mark, slips=(self.slip,)) if self.slip in mark.slips else mark for mark in wrong]
        parts = [Section("wrong", above=[mark.line for mark in likely])] if wrong else []
        if self.slip is not None:
            written = sum(not np.isnan(mark.given) for mark in wrong)
            known = (text for name, text in ADVICE.items() if self.slip.startswith(name))
            lines = [f"it explains {self.explained} of {written} wrong answers", *list(known)[:1]]
            parts.append(Section(f"the slip: {self.slip}", above=lines))
        return parts


def as_answer(value) -> float:
    """Return what was written into a blank as a number: "3/8", "-2", 0.33; NaN for nothing.

    >>> as_answer("3/8"), as_answer(-2), as_answer(" ")
    (0.375, -2.0, nan)
    """
    if value is None or (isinstance(value, str) and not value.strip("_ \t")):
        return float("nan")
    try:
        if isinstance(value, str):
            return float(Fraction(value.strip().replace("−", "-")))
        if isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_):
            return float(value)
    except (ValueError, ArithmeticError):
        pass
    raise ValueError(
        f"{WHO}: an answer must be a number. Got {value!r}. Write for example 3, -2 or '3/8', or None for nothing."
    )


def as_grid(sheet: Worksheet, answers) -> np.ndarray:
    """Return the answers as an array, in the answer's shape or, if written so, in another with the same axes.

    >>> sheet = Worksheet("relu", "output", "", {}, np.array([1, 2, 3]), blanks=np.array([True, False, True]))
    >>> as_grid(sheet, [1, 3]), as_grid(sheet, {2: 3}), as_grid(sheet, [1, 2, 3])
    (array([ 1., nan,  3.]), array([nan, nan,  3.]), array([1., 2., 3.]))
    """
    shape = sheet.answer.shape
    places = np.argwhere(sheet.blanks)
    grid = np.full(shape, np.nan)
    if isinstance(answers, Mapping):
        asked = {tuple(map(int, place)) for place in places}
        for key, value in answers.items():
            index = tuple(key) if isinstance(key, tuple | list) else (key,)
            if index not in asked:
                raise ValueError(
                    f"{WHO}: an answer must belong to a blank. Got {key!r}. Count rows and columns from 0."
                )
            grid[tuple(map(int, index))] = as_answer(value)
        return grid
    written = np.asarray(answers, dtype=object)
    rule = f"{WHO}: answers must fill the {len(places)} blanks, or have the shape {shape}."
    if any(isinstance(row, list | tuple | np.ndarray) for row in written.ravel()):
        raise ValueError(f"{rule} Got rows of unequal lengths. Write None where nothing is known.")
    values = np.array([as_answer(value) for value in written.ravel()], np.float64).reshape(written.shape)
    if values.shape == (len(places),) and values.shape != shape:
        grid[sheet.blanks] = values
        return grid
    if as_rows(grid).shape == as_rows(values).shape:
        return values.reshape(shape)
    if values.ndim != len(shape) or not any(values.shape == slip.shape for slip in sheet.slips.values()):
        raise ValueError(f"{rule} Got shape {values.shape}. Write None where nothing is known.")
    return values


def grade(sheet: Worksheet, answers) -> Grade:
    """Say which answers are right, and which slip lies behind the wrong ones.

    For each slip its whole outcome is known, because the layer was run in that wrong way; the slip that
    explains the most wrong answers is named.

    Parameters
    ----------
    sheet : Worksheet
    answers : nested list or array, list, or dict
        In the shape of the answer; or one for each blank in reading order; or by place, such as
        ``{(0, 1): 3}``. Numbers to two decimals at least, or text such as "3/8"; None for nothing. An answer
        in the shape that a slip leads to (too few rows without padding) is taken as well.

    Returns
    -------
    Grade

    Raises
    ------
    TypeError
        If `sheet` is no Worksheet.
    ValueError
        If an answer is no number, or does not belong to a blank.

    Examples
    --------
    >>> from minicnn.inspection import worksheet
    >>> sheet = worksheet("conv2d", 4, rng=0)
    >>> grade(sheet, sheet.answer).right
    True
    >>> grade(sheet, sheet.slips["kernel flipped"]).slip
    'kernel flipped'
    >>> print(grade(sheet, sheet.answer - sheet.given["bias"]).title)
    0 of 9 right
    """
    if not isinstance(sheet, Worksheet):
        raise TypeError(
            f"{WHO}: sheet must be a Worksheet. Got {type(sheet).__name__}. Pass what worksheet(...) returned."
        )
    grid = as_grid(sheet, answers)
    given, expected = on_blanks(sheet, grid), sheet.answer[sheet.blanks]
    outcomes = {name: on_blanks(sheet, cast(slip)) for name, slip in sheet.slips.items()}
    marks = []
    for place, (index, value) in enumerate(zip(np.argwhere(sheet.blanks), given, strict=True)):
        mark = Mark(tuple(map(int, index)), float(value), int(expected[place]), ())
        found = [name for name, slip in outcomes.items() if abs(slip[place] - value) <= SAME]
        marks.append(mark if mark.right else replace(mark, slips=tuple(found)))
    return Grade(marks, likeliest(sheet, grid, outcomes, given, marks))


def likeliest(sheet: Worksheet, grid: np.ndarray, outcomes: dict, given: np.ndarray, marks: list[Mark]):
    """Return the slip that explains the most wrong answers; of equals the one that fits the whole sheet best.

    >>> sheet = Worksheet("relu", "output", "", {}, np.array([1, 2]), {"a": np.array([1, 5]), "b": np.array([3, 5])})
    >>> marks = [Mark((0,), 1.0, 1, ()), Mark((1,), 5.0, 2, ("a", "b"))]
    >>> likeliest(sheet, np.array([1.0, 5]), sheet.slips, np.array([1.0, 5]), marks)
    'a'
    """

    def support(name: str) -> tuple:
        explained = sum(name in mark.slips for mark in marks)
        fits = int((np.abs(outcomes[name] - given) <= SAME).sum())
        shape = grid.shape != sheet.answer.shape and sheet.slips[name].shape == grid.shape
        return (shape, explained, fits) if explained or shape else (False, 0, 0)

    best = max(outcomes, key=support, default=None)
    return best if best is not None and support(best) > (False, 0, 0) else None
