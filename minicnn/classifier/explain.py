"""The chains from logits to a label, every step written out: through softmax, or through one sigmoid."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minicnn import checks
from minicnn.classifier.chain import Chain, Chains, as_logit, as_number
from minicnn.classifier.decision import Decision
from minicnn.labels import short_name

# With more classes than this, only the most probable ones are listed.
MOST_ROWS = 20
MOST_LETTERS = 14


class SoftmaxChain(Chain):
    """Logits, minus max, exp, sum, probabilities, argmax, index, label.

    Attributes
    ----------
    logits, shifted, exponentials, probabilities : ndarray of shape (C,)
    maximum, total : scalar
        The largest logit, and the sum of the exponentials.
    index : int
    label : str or int
    top : list of (label, probability), the most probable first
    notes : list of str
        What is remarkable: ties, logits that are not finite, abstention.

    Examples
    --------
    >>> SoftmaxChain(np.log([1.0, 3.0, 4.0]), Decision(np.array(["ant", "bee", "cat"])), 2, "image 0")
    image 0
      index  class  logit z  z - max  exp(z - max)  probability  rank
          0  ant     0.0000  -1.3863      0.250000     0.125000
          1  bee     1.0986  -0.2877      0.750000     0.375000     2
          2  cat     1.3863   0.0000      1.000000     0.500000     1
      max 1.3863, sum of exp 2.000000, probability = exp / sum
      argmax: index 2 -> class 'cat' -> label 'cat'
      top 2: 'cat' 0.500000, 'bee' 0.375000
    """

    _text_column = 1
    _rule = "argmax"

    def __init__(self, logits: np.ndarray, decision: Decision, top_k: int, title: str) -> None:
        super().__init__(logits, decision, top_k, title)
        self.maximum = logits.max()
        with np.errstate(invalid="ignore"):  # ∞ - ∞ is NaN and shall be shown as NaN
            self.shifted = logits - self.maximum
            self.exponentials = np.exp(self.shifted)
            self.total = self.exponentials.sum()

    def _ranked_by(self) -> np.ndarray:
        return self.logits  # they still differ where probabilities have become 0

    def _ties(self, decision: Decision) -> Iterator[str]:
        tied = np.flatnonzero(self.probabilities == self.probabilities.max())
        if len(tied) > 1:
            names = " and ".join(repr(self.classes.tolist()[i]) for i in tied)
            equal = len(set(self.logits[tied].tolist())) == 1
            rule = "argmax takes the first" if equal else "the larger logit wins"
            yield f"{names} tie at probability {as_number(self.probabilities[tied[0]])}: {rule}."

    def _table(self) -> tuple[list[str], list[list[str]]]:
        names = [short_name(name, MOST_LETTERS) for name in self.classes.tolist()]
        shown = range(len(names)) if len(names) <= MOST_ROWS else self.ranking
        rank = {int(index): str(place) for place, index in enumerate(self.ranking, start=1)}
        rows = [
            [
                str(i),
                names[i],
                as_logit(self.logits[i]),
                as_logit(self.shifted[i]),
                as_number(self.exponentials[i]),
                as_number(self.probabilities[i]),
                rank.get(i, ""),
            ]
            for i in map(int, shown)
        ]
        return ["index", "class", "logit z", "z - max", "exp(z - max)", "probability", "rank"], rows

    def _between(self) -> list[str]:
        lines = []
        if len(self.classes) > MOST_ROWS:
            rest = np.delete(self.probabilities, self.ranking)
            lines.append(f"... and {len(rest)} more classes, probability {as_number(rest.sum())} together")
        lines.append(
            f"max {as_logit(self.maximum)}, sum of exp {as_number(self.total)}, probability = exp / sum"
        )
        return lines


class SigmoidChain(Chain):
    """One logit, exp, probability of class 1, threshold, index, label.

    Attributes
    ----------
    logits : ndarray of shape (1,)
    exponential : scalar
        ``e = exp(-|z|)``, which cannot overflow.
    probabilities : ndarray of shape (2,)
    index, label, top, notes
        As in `SoftmaxChain`.

    Examples
    --------
    >>> SigmoidChain(np.log([3.0]), Decision(np.array(["cat", "dog"])), 2, "image 0")
    image 0
      step                           value
      logit z                       1.0986
      e = exp(-|z|)               0.333333
      1 + e                       1.333333
      p = 1 / (1 + e)             0.750000
      p > threshold 0.5                yes
      p is the probability of 'dog' (index 1); 'cat' (index 0) has 1 - p
      threshold: index 1 -> class 'dog' -> label 'dog'
      top 2: 'dog' 0.750000, 'cat' 0.250000
    """

    _text_column = 0
    _rule = "threshold"

    def __init__(self, logits: np.ndarray, decision: Decision, top_k: int, title: str) -> None:
        super().__init__(logits, decision, top_k, title)
        self.threshold = decision.threshold
        self.exponential = np.exp(-np.abs(logits[0]))

    def _ranked_by(self) -> np.ndarray:
        return self.probabilities

    def _ties(self, decision: Decision) -> Iterator[str]:
        if self.probabilities[1] == decision.threshold:
            yield f"p is exactly the threshold: it must exceed it, so that {self.classes.tolist()[0]!r} wins."

    def _table(self) -> tuple[list[str], list[list[str]]]:
        formula = "p = 1 / (1 + e)" if self.logits[0] >= 0 else "p = e / (1 + e)"
        return ["step", "value"], [
            ["logit z", as_logit(self.logits[0])],
            ["e = exp(-|z|)", as_number(self.exponential)],
            ["1 + e", as_number(1 + self.exponential)],
            [formula, as_number(self.probabilities[1])],
            [f"p > threshold {self.threshold}", "yes" if self.index else "no"],
        ]

    def _between(self) -> list[str]:
        zero, one = self.classes.tolist()
        return [f"p is the probability of {one!r} (index 1); {zero!r} (index 0) has 1 - p"]


def explain_logits(logits: np.ndarray, decision: Decision, top_k: int = 3) -> Chains:
    """Return the chain of each row of `logits`.

    Parameters
    ----------
    logits : ndarray of shape (N, C), float32 or float64
    decision : Decision
        Class names, threshold and when to abstain.
    top_k : int
        How many of the most probable classes are ranked.

    Returns
    -------
    Chains
        A tuple of N chains, `SoftmaxChain` or, for one logit, `SigmoidChain`.

    Raises
    ------
    ValueError
        If the number of names does not fit the number of logits, or `top_k` is below 1.

    Examples
    --------
    >>> chains = explain_logits(np.array([[2.0, 2.0]]), Decision(np.array(["cat", "dog"])))
    >>> chains[0].label, chains[0].notes
    ('cat', ["'cat' and 'dog' tie at probability 0.500000: argmax takes the first."])
    """
    top_k = checks.as_int("explain", "top_k", top_k, minimum=1)
    decision.check(logits)
    count = logits.shape[1]
    way = "sigmoid -> threshold" if count == 1 else "softmax -> argmax"
    kind = SigmoidChain if count == 1 else SoftmaxChain
    return Chains(
        kind(row, decision, top_k, f"image {n}: {count} logit{'s' * (count != 1)} -> {way} -> label")
        for n, row in enumerate(logits)
    )
