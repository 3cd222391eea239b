"""What check_gradients found: a row for each gradient, and the first that is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field

from minicnn.inspection.differences import Finding
from minicnn.inspection.explanation import Explanation
from minicnn.inspection.page import Page, Section, short


@dataclass(eq=False)
class GradientRow:
    """What the comparison of one gradient gave.

    Attributes
    ----------
    who : str
        The layer with its name; "the whole model" for gradients of the loss through all layers.
    of : str
        "grad_input" or a parameter's gradient such as "weight.grad".
    size : int
        How many numbers it has.
    findings : list of Finding
    explanation : Explanation or None
        Of the number that is wrong, where the layer has an explanation.

    Examples
    --------
    >>> row = GradientRow('ReLU "1"', "grad_input", 1, [Finding("right", 2.0, 2.0, (0,))])
    >>> row.verdict, row.way
    ('right', 'each number')
    """

    who: str
    of: str
    size: int
    findings: list[Finding]
    explanation: Explanation | None = field(default=None, repr=False)

    @property
    def verdict(self) -> str:
        """ "right", "wrong", "not finite", "kink" (nothing but kinks was met) or "empty"."""
        met = [finding.verdict for finding in self.findings]
        order = ("not finite", "wrong", "right", "kink")
        return next((verdict for verdict in order if verdict in met), "empty")

    @property
    def worst(self) -> Finding | None:
        """The finding behind the verdict with the largest difference; single numbers before directions."""
        same = [finding for finding in self.findings if finding.verdict == self.verdict]
        return max(same, key=lambda f: (f.index is not None, f.difference), default=None)

    @property
    def kink(self) -> Finding | None:
        """The first number that lies on a kink or a tie; None if none was met."""
        return next((finding for finding in self.findings if finding.verdict == "kink"), None)

    @property
    def way(self) -> str:
        """How the numbers were checked."""
        singles = {finding.index for finding in self.findings} - {None}
        return "each number" if len(singles) == self.size else "random directions"


class GradientCheck(Page):
    """What `check_gradients` returns.

    Attributes
    ----------
    rows : list of GradientRow
        On the way back: the loss, the last layer, ..., the first layer, then the whole model.
    ok : bool
        Whether no gradient is wrong.
    first_wrong : GradientRow or None
        The first on the way back: all that come after this layer are right.

    Examples
    --------
    >>> rows = [GradientRow("MSELoss", "grad_input", 1, [Finding("right", 2.0, 2.0, (0,))])]
    >>> result = GradientCheck(rows)
    >>> result.ok, result.first_wrong
    (True, None)
    """

    def __init__(self, rows: list[GradientRow]) -> None:
        self.rows = rows
        wrong = [row for row in rows if row.verdict in ("wrong", "not finite")]
        self.ok, self.first_wrong = not wrong, wrong[0] if wrong else None
        self.title = f"check_gradients: all {len(rows)} gradients are right"
        if wrong:
            first = wrong[0]
            self.title = (
                f"check_gradients: {len(wrong)} of {len(rows)} gradients are {first.verdict}; "
                f"the first on the way back is {first.of} of {first.who}"
            )

    def sections(self) -> list[Section]:
        """Return the table, the first wrong number with its explanation, and the kinks."""
        header = ["layer", "gradient", "verdict", "numbers", "checked", "largest difference"]
        rows = []
        for row in self.rows:
            worst = "-" if row.worst is None else short(row.worst.difference)
            rows.append([row.who, row.of, row.verdict, f"{row.size:,}", row.way, worst])
        parts = [Section("backward beside central differences", header=header, rows=rows, left=3)]
        if self.first_wrong is not None:
            parts.append(self._wrong())
        lines = [kink_line(row) for row in self.rows if row.kink is not None]
        if lines:
            lines.append("on a kink the slope jumps, and backward gives one of its sides: that is no mistake")
            parts.append(Section("kinks and ties", above=lines))
        return parts

    def _wrong(self) -> Section:
        row = self.first_wrong
        worst = row.worst
        place = "along a random direction" if worst.index is None else str(list(worst.index))
        lines = [
            f"analytic {short(worst.analytic)} (what backward gave)",
            f"numeric  {short(worst.numeric)} (central difference of what forward computes)",
        ]
        if worst.sides is not None:
            lines.append(f"one-sided slopes {short(worst.sides[0])} and {short(worst.sides[1])}")
        if row.explanation is not None:
            lines += str(row.explanation).split("\n")
        elif row.who == "the whole model":
            lines.append("every layer by itself is right: what passes the gradients on between them is not")
        return Section(
            f"{row.who}: {row.of}{place if worst.index is not None else ', ' + place}", above=lines
        )


def kink_line(row: GradientRow) -> str:
    """Return what is said of a number that lies on a kink.

    >>> finding = Finding("kink", 0.0, 0.5, (0, 3), 'ReLU "1"', (0.0, 1.0))
    >>> kink_line(GradientRow('ReLU "1"', "grad_input", 4, [finding]))
    'ReLU "1": grad_input[0, 3]: analytic 0, numeric 0.5: ReLU "1" takes another branch on each side (slopes 0, 1)'
    """
    finding = row.kink
    place = "along a random direction" if finding.index is None else str(list(finding.index))
    sides = "" if finding.sides is None else f" (slopes {short(finding.sides[0])}, {short(finding.sides[1])})"
    jump = "the slope jumps" if finding.who is None else f"{finding.who} takes another branch on each side"
    return (
        f"{row.who}: {row.of}{'' if finding.index is not None else ' '}{place}: analytic "
        f"{short(finding.analytic)}, numeric {short(finding.numeric)}: {jump}{sides}"
    )
