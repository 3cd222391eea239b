"""The way of one image from logits to a label, as an object that prints as a page."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterator

import numpy as np

from minicnn.classifier.decision import Decision
from minicnn.labels import ABSTAINS

WIDTH = 79


class Chain:
    """What both chains share: the decision about one image, and how it is shown.

    Both give the numbers of their table (`_table`), what stands between it and the conclusion (`_between`),
    how ties read (`_ties`) and by what classes are ranked (`_ranked_by`).

    >>> from minicnn.classifier import SoftmaxChain
    >>> chain = SoftmaxChain(np.zeros(2), Decision(np.array(["cat", "dog"])), 1, "image 0")
    >>> isinstance(chain, Chain), chain.label, chain.top
    (True, 'cat', [('cat', 0.5)])
    """

    def __init__(self, logits: np.ndarray, decision: Decision, top_k: int, title: str) -> None:
        self.logits, self.classes, self.title = logits, decision.classes, title
        rows = logits[np.newaxis]  # (1, C)
        self.probabilities = decision.probabilities(rows)[0]  # (C,), or (2,) for one logit
        self.index = int(decision.indexes(rows)[0])
        self.abstains = bool(decision.abstains(rows)[0])
        self.label = ABSTAINS if self.abstains else self.classes.tolist()[self.index]
        ranking = np.argsort(-self._ranked_by(), kind="stable")[:top_k]
        self.ranking = ranking if np.isfinite(self.probabilities).all() else ranking[:0]  # NaN has no rank
        self.top = [(self.classes.tolist()[i], float(self.probabilities[i])) for i in self.ranking]
        self.notes = list(self._notes(decision))

    def _notes(self, decision: Decision) -> Iterator[str]:
        lost = np.isnan(self.probabilities).any()
        for index in np.flatnonzero(~np.isfinite(self.logits)):
            name = repr(self.classes.tolist()[index if len(self.logits) > 1 else 1])
            yield f"The logit of {name} is not finite: it is {self.logits[index]}."
        if lost:
            yield "The probabilities are NaN, so that the label means nothing: find where the model makes it."
        else:
            yield from self._ties(decision)
        if self.abstains:
            yield (
                f"The probability of {self.classes.tolist()[self.index]!r}, "
                f"{as_number(self.probabilities[self.index])}, is not at least abstain_below="
                f"{decision.abstain_below}: the label is {ABSTAINS}."
            )

    def _conclusion(self) -> list[str]:
        winner = self.classes.tolist()[self.index]
        lines = [f"{self._rule}: index {self.index} -> class {winner!r} -> label {self.label!r}"]
        if self.top:
            top = ", ".join(f"{name!r} {as_number(probability)}" for name, probability in self.top)
            lines.append(f"top {len(self.top)}: {top}")
        return lines + [f"! {note}" for note in self.notes]

    def __repr__(self) -> str:
        header, rows = self._table()
        cells = [header, *rows]
        widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
        lines = [self.title]
        for row in cells:
            padded = [
                text.ljust(width) if column == self._text_column else text.rjust(width)
                for column, (text, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append(("  " + "  ".join(padded)).rstrip())
        below = self._between() + self._conclusion()
        lines += [textwrap.fill(t, WIDTH, initial_indent="  ", subsequent_indent="    ") for t in below]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        header, rows = self._table()
        body = [f"<tr>{''.join(f'<th>{html.escape(text)}</th>' for text in header)}</tr>"]
        body += [f"<tr>{''.join(f'<td>{html.escape(text)}</td>' for text in row)}</tr>" for row in rows]
        below = "<br>".join(html.escape(line) for line in self._between() + self._conclusion())
        return f"<p><b>{html.escape(self.title)}</b></p><table>{''.join(body)}</table><p>{below}</p>"


class Chains(tuple):
    """The chains of several images: a tuple that prints as a page, in a notebook as tables.

    >>> print(Chains(["first", "second"]))
    first
    <BLANKLINE>
    second
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "\n\n".join(str(chain) for chain in self)

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return "".join(chain._repr_html_() for chain in self)


def as_logit(value) -> str:
    """Return a logit as text of a width that lines up.

    >>> as_logit(-2.5), as_logit(6.02e23), as_logit(np.float32(np.inf))
    ('-2.5000', '6.0200e+23', 'inf')
    """
    return f"{value:.4f}" if not np.isfinite(value) or abs(value) < 1e5 else f"{value:.4e}"


def as_number(value) -> str:
    """Return a probability or an exponential as text; an exact 0 is told from what only looks like it.

    >>> as_number(0.25), as_number(1e-9), as_number(0.0)
    ('0.250000', '1.000e-09', '0')
    """
    if value == 0:
        return "0"
    return f"{value:.3e}" if abs(value) < 1e-4 else f"{value:.6f}"
