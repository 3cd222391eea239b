"""Explanation: one number, taken apart into the terms that it is the sum of.

Every number of a CNN is a sum of terms: a convolution's output is Σ input·weight + bias, a maximum is
its winner times one and the others times zero, a softmax is one share among all. So one class holds
them all: the terms, their exact sum, the number that the layer computed, and how far rounding alone
may have taken the two apart.
"""

from __future__ import annotations

import html
import math
import re
from dataclasses import dataclass, field

import numpy as np

from minicnn import checks

SHOWN = 12  # terms printed one by one; the rest are summed in one line
NOWHERE = np.iinfo(np.int64).min  # a place that does not apply to this term (the bias has no row)


def as_terms(places: dict, product, note=None, **operands) -> np.ndarray:
    """Return the structured array of terms: where each comes from, its operands, and its product.

    Parameters
    ----------
    places : dict of str to ints
        What the operands' positions are called, such as "channel", "row" and "column".
    product : array of float
        The terms themselves.
    note : str or sequence of str, or None
        A remark on each term, such as "padding" or "bias".
    **operands : array of float
        What is multiplied.

    >>> as_terms({"row": [0, 1]}, [6, 20], input=[2, 4], weight=[3, 5])[["row", "product"]].tolist()
    [(0, 6.0), (1, 20.0)]
    """
    product = np.asarray(product, np.float64)
    note = np.asarray("" if note is None else note)
    fields = [(name, np.int64) for name in places]
    fields += [("note", f"U{max(note.dtype.itemsize // 4, 1)}")]
    fields += [(name, np.float64) for name in (*operands, "product")]
    terms = np.empty(product.size, fields)
    for name, values in {**places, **operands, "note": note, "product": product}.items():
        terms[name] = np.broadcast_to(values, product.shape).ravel()
    return terms


def describe(term: np.void) -> str:
    """Return where a term comes from, in words.

    >>> describe(as_terms({"row": [2], "column": [-1]}, [0.0], "padding")[0])
    'row 2, column -1 (padding)'
    >>> describe(as_terms({"row": [NOWHERE]}, [0.5], "bias")[0])
    'bias'
    """
    names = [name for name in term.dtype.names if np.issubdtype(term.dtype[name], np.integer)]
    place = ", ".join(f"{name} {term[name]}" for name in names if term[name] != NOWHERE)
    note = str(term["note"])
    return f"{place} ({note})" if place and note else place or note


@dataclass(frozen=True, eq=False)
class Explanation:
    """Where one number comes from.

    Attributes
    ----------
    title : str
        Which number: ``Conv2d "0": output[0, 3, 5, 7]``.
    rule : str
        The formula in symbols.
    terms : structured ndarray
        One record a term: integer fields for its place, `note`, a float64 field for each operand, and
        `product`.
    actual : float
        The number that the layer computed.
    eps : float
        The spacing of the layer's floats at 1: 1.2e-7 for float32, 2.2e-16 for float64.
    operations : int
        How many roundings one term passes through besides the summation.
    magnitude : float or None
        What takes the place of Σ|terms| in the bound where operands are themselves rounded sums.
    expression : str
        The formula in code over the operands' names; `xp` stands for numpy or torch.
    steps : list of str
        Lines that come before the sum: a maximum, a mean, a log-sum-exp.
    constants : dict
        Further names in `expression`, with their values.
    torch_lines : str or None
        torch's own code for the number, where it has a layer for it.
    window : tuple of int, or None
        The shape (channels, K_h, K_w) of the window whose cells the first terms are, in reading order.

    Examples
    --------
    >>> terms = as_terms({"column": [0, 1]}, [20, 300], input=[10, 100], weight=[2, 3])
    >>> explanation = Explanation('Linear "7": output[0, 4]', "Σ input·weight", terms, 320.0, 1.2e-7,
    ...                           expression="(input * weight).sum()")
    >>> explanation.value, explanation.ok
    (320.0, True)
    >>> print(explanation)
    Linear "7": output[0, 4] = Σ input·weight
                 input   weight   product
      column 1     100        3       300
      column 0      10        2        20
      sum                             320
      computed                        320   equal
    >>> print(explanation.as_numpy())
    import numpy as np
    input = np.array([10.0, 100.0])
    weight = np.array([2.0, 3.0])
    print(float((input * weight).sum()))
    """

    title: str
    rule: str
    terms: np.ndarray
    actual: float
    eps: float
    operations: int = 1
    magnitude: float | None = None
    expression: str = "product.sum()"
    steps: list[str] = field(default_factory=list)
    constants: dict = field(default_factory=dict)
    torch_lines: str | None = None
    window: tuple[int, int, int] | None = None

    @property
    def operands(self) -> list[str]:
        """The names of the columns of numbers, the product last."""
        return [name for name in self.terms.dtype.names if self.terms.dtype[name] == np.float64]

    @property
    def value(self) -> float:
        """The sum of the terms, exact to float64."""
        return total(self.terms["product"])

    @property
    def magnitudes(self) -> float:
        """Σ|terms|, or what takes its place."""
        return total(np.abs(self.terms["product"])) if self.magnitude is None else self.magnitude

    @property
    def floats(self) -> np.finfo:
        """What is known of the layer's floats."""
        return np.finfo(np.float32 if self.eps > 1e-10 else np.float64)

    @property
    def bound(self) -> float:
        """How much rounding may explain: n · eps · Σ|terms|, n counting terms and operations."""
        rounded = len(self.terms) + self.operations
        return rounded * (self.eps * self.magnitudes + float(self.floats.smallest_subnormal))

    @property
    def difference(self) -> float:
        """|value - actual|; 0 where both are NaN or the same infinity."""
        if self.value == self.actual or (math.isnan(self.value) and math.isnan(self.actual)):
            return 0.0
        return abs(self.value - self.actual)

    @property
    def ok(self) -> bool:
        """Whether rounding, or an overflow, explains the difference."""
        return self.difference == 0 or self.difference <= self.bound < math.inf or self.overflow

    @property
    def overflow(self) -> bool:
        """Whether the terms are larger than the layer's floats can be, so that the sum left them."""
        return not math.isfinite(self.actual) and float(self.floats.max) < self.magnitudes < math.inf

    @property
    def verdict(self) -> str:
        """The comparison in words: equal, rounding, overflow, or differs."""
        if self.difference == 0:
            return "equal"
        if self.overflow:
            ends = f"{self.floats.dtype} ends at {self.floats.max:.2g}"
            return f"overflow: terms of {self.magnitudes:.2g} in all, and {ends}"
        reason = "within rounding" if self.ok else "more than rounding can explain"
        return f"differs by {self.difference:.2g}, {reason} ({self.bound:.2g})"

    @property
    def formula(self) -> str:
        """The arithmetic with the actual numbers, the largest terms first."""
        return "\n".join([f"{self.title} = {self.rule}", *self.steps, *self._table()])

    def _table(self) -> list[str]:
        order = np.argsort(-np.abs(self.terms["product"]), kind="stable")
        shown, rest = order[:SHOWN], order[SHOWN:]
        names = self.operands
        rows = [["", *names]]
        rows += [[describe(self.terms[i]), *(number(self.terms[n][i]) for n in names)] for i in shown]
        blank = [""] * (len(names) - 1)
        if len(rest):
            rows.append([f"{len(rest)} more", *blank, number(total(self.terms["product"][rest]))])
        rows.append(["sum", *blank, number(self.value)])
        rows.append(["computed", *blank, number(self.actual)])
        widths = [max(len(row[column]) for row in rows) for column in range(len(names) + 1)]
        lines = [
            "  "
            + row[0].ljust(widths[0])
            + "".join("   " + c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))
            for row in rows
        ]
        lines[-1] += f"   {self.verdict}"
        return lines

    def as_numpy(self) -> str:
        """Return lines of NumPy that print the number."""
        return self._code("import numpy as np", "np.array({})", "np")

    def as_torch(self) -> str:
        """Return lines of torch that print the number."""
        if self.torch_lines is not None:
            return self.torch_lines
        return self._code("import torch", "torch.tensor({}, dtype=torch.float64)", "torch")

    def _code(self, header: str, array: str, library: str) -> str:
        used = [name for name in self.operands if re.search(rf"\b{name}\b", self.expression)]
        lines = [f"{name} = " + array.format(literal(self.terms[name], library)) for name in used]
        lines += [f"{name} = {literal(value, library)}" for name, value in self.constants.items()]
        expression = re.sub(r"\bxp\.", f"{library}.", self.expression)  # not the "xp." in "exp."
        header = f"import math\n{header}" if "math." in expression else header
        return "\n".join([header, *lines, f"print(float({expression}))"])

    def plot(self, ax=None, *, figure=None):
        """Draw a convolution's output as patch × kernel = product, any other number as bars of its terms.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw bars, of a convolution too, and what is then returned.
        figure : matplotlib Figure or SubFigure, optional
            By default a new one, which pyplot does not know of.

        Returns
        -------
        matplotlib Figure or SubFigure, or the Axes that were passed

        Examples
        --------
        >>> terms = as_terms({"column": [0, 1]}, [20, 300], input=[10, 100], weight=[2, 3])
        >>> figure = Explanation('Linear "7": output[0, 4]', "Σ input·weight", terms, 320.0, 1.2e-7).plot()
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['column 1', 'column 0']
        """
        from minicnn.inspection.figures.choice import plot_explanation

        return plot_explanation(self, ax=ax, figure=figure)

    def __str__(self) -> str:
        return self.formula

    def __repr__(self) -> str:
        return self.formula

    def _repr_html_(self) -> str:
        colour = "#00724f" if self.ok else "#b33c00"
        style = f"border-left: 4px solid {colour}; padding-left: 1em"
        return f'<pre style="{style}">{html.escape(self.formula)}</pre>'


@checks.without_warnings
def total(numbers: np.ndarray) -> float:
    """Return the sum, exact to float64; what NumPy gives where there is infinity or an overflow.

    >>> total(np.array([1e16, 1.0, -1e16])), total(np.array([np.inf, 1.0]))
    (1.0, inf)
    """
    try:
        return math.fsum(numbers)
    except (OverflowError, ValueError):  # a sum beyond the largest float, or infinities of both signs
        return float(numbers.sum())


def number(value: float) -> str:
    """Return a number as it is shown: eight significant digits, no needless zeros.

    >>> number(0.1), number(1 / 3), number(-0.0)
    ('0.1', '0.33333333', '0')
    """
    return f"{float(value) + 0.0:.8g}"


def literal(value, library: str) -> str:
    """Return a number or a list of numbers as code that gives the same bits back.

    >>> literal(np.array([1.5, np.nan]), "np")
    '[1.5, np.nan]'
    """
    if np.ndim(value):
        return "[" + ", ".join(literal(item, library) for item in np.asarray(value)) + "]"
    if math.isfinite(value):
        return repr(float(value))
    return f"{library}.nan" if math.isnan(value) else ("-" if value < 0 else "") + f"{library}.inf"
