"""Row: one array of both sides, how far apart the two are, and what float64 says to that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minicnn.inspection import REGISTRY, Explanation, Trace
from minicnn.inspection.explainers.common import reach
from minicnn.interop.torch.comparison.measures import Measures, measures

# In float64 rounding is 2^-29 times as large as in float32. What stays above this part of the numbers, or of the
# terms that they are sums of, is no rounding, however much the layers in between have made of it.
ROUNDING_IN_FLOAT64 = 2.0**-30


@dataclass(frozen=True, eq=False)
class Row:
    """One array: of ours, and of torch's.

    Attributes
    ----------
    name, torch_name, kind : str
        What the layer is called on both sides, and its class.
    of : str
        "output", "grad_input", or a parameter's gradient such as "weight.grad".
    ours, theirs : ndarray, or None
        None for a parameter that this side has not.
    measured : Measures
        Differences and the worst place.
    bound : float or None
        n · eps · Σ|terms| of the number at the worst place; None where nothing differs, or nobody can explain it.
    verdict : "equal", "rounding" or "differs"
    explanation, torch_explanation : Explanation or None
        Of the number at the worst place, each from what this side computed with.

    Examples
    --------
    >>> row = Row("0", "0", "ReLU", "output", np.zeros(2), np.zeros(2), Measures(), None, "equal")
    >>> row.shape, row.verdict, row.where
    ((2,), 'equal', None)
    """

    name: str
    torch_name: str
    kind: str
    of: str
    ours: np.ndarray | None
    theirs: np.ndarray | None
    measured: Measures
    bound: float | None
    verdict: str
    explanation: Explanation | None = None
    torch_explanation: Explanation | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of our array; of torch's, where we have none."""
        return np.shape(self.theirs if self.ours is None else self.ours)

    @property
    def absolute(self) -> float:
        """The largest |ours - torch's|."""
        return self.measured.absolute

    @property
    def relative(self) -> float:
        """The largest |ours - torch's| over the larger of the two."""
        return self.measured.relative

    @property
    def ulps(self) -> float:
        """The difference at the worst place, in spacings of the floats there."""
        return self.measured.ulps

    @property
    def share(self) -> float:
        """Which part of the elements differs, 0 to 1."""
        return self.measured.share

    @property
    def where(self) -> tuple[int, ...] | None:
        """The place of the largest difference; None where nothing differs."""
        return self.measured.where

    @property
    def cells(self) -> list[str]:
        """The row as cells of a table."""
        name = self.name if self.name == self.torch_name else f"{self.name} | {self.torch_name}"
        front = [name, self.kind, self.of]
        if self.ours is None or self.theirs is None:
            side = "torch" if self.ours is None else "ours"
            return [*front, self.verdict, *("-",) * 6, f"only {side} has it"]
        if self.ours.shape != self.theirs.shape:
            return [*front, self.verdict, *("-",) * 6, f"{self.ours.shape} | {self.theirs.shape}"]
        if self.where is None:
            return [*front, self.verdict, "0", "0", "0", "0%", "-", "-", str(self.shape)]
        bound = "-" if self.bound is None else f"{self.bound:.1e}"
        place = "[" + ", ".join(map(str, self.where)) + "]"
        numbers = [f"{self.absolute:.1e}", f"{self.relative:.1e}", f"{self.ulps:.3g}", f"{self.share:.0%}"]
        return [*front, self.verdict, *numbers, place, bound, str(self.shape)]


HEADER = ["layer", "kind", "of", "verdict", "max abs", "max rel", "ULPs", "differ", "worst", "bound", "shape"]


def agree_in_float64(ours: np.ndarray, theirs: np.ndarray, terms: float = 0.0) -> bool:
    """Say whether two float64 arrays are the same but for rounding; numbers that cancel are measured by their `terms`.

    >>> agree_in_float64(np.array([1.0]), np.array([1.0 + 1e-15]))
    True
    >>> agree_in_float64(np.array([1.0]), np.array([1.0 + 1e-6]))
    False
    """
    if ours.shape != theirs.shape:
        return False
    measured = measures(ours, theirs)
    if measured.where is None or not np.isfinite(measured.absolute):
        return measured.where is None
    return measured.absolute <= ROUNDING_IN_FLOAT64 * max(reach(ours), reach(theirs), terms)


def explained(trace: Trace, name: str, index, of: str) -> Explanation | None:
    """Return an explanation, or None for a number that belongs to no step.

    >>> explained(Trace([]), "0", (0,), "output") is None
    True
    """
    known = any(step.name == name and step.array(of) is not None and step.kind in REGISTRY for step in trace)
    if not known:
        return None
    return trace.explain(name, index, of)


def row_of(names, of: str, arrays, traces, exact_arrays, exact_trace, terms: float = 0.0) -> Row:
    """Return the Row of one pair of arrays.

    Parameters
    ----------
    names : (name, torch's name, kind)
    of : str
    arrays : (ndarray or None, ndarray or None)
        Ours, and torch's.
    traces : (Trace, Trace)
        Where the two are explained.
    exact_arrays : (ndarray, ndarray), or None
        The same pair when both models run in float64; None if they could not.
    exact_trace : Trace or None
        Ours in float64.
    terms : float
        How large the numbers are that were added up, where no step explains them.
    """
    name, torch_name, _ = names
    ours, theirs = arrays
    missing = ours is None or theirs is None
    if missing or ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return Row(
            *names, of, ours, theirs, Measures(np.inf, np.inf, np.inf, 1.0, None), None, "differs",
            first_of(traces[0], name, ours, of), first_of(traces[1], torch_name, theirs, of),
        )  # fmt: skip
    measured = measures(ours, theirs)
    if measured.where is None:
        return Row(*names, of, ours, theirs, measured, None, "equal")
    mine = explained(traces[0], name, measured.where, of)
    other = explained(traces[1], torch_name, measured.where, of)
    known = [one for one in (mine, other) if one is not None]
    verdict = "rounding" if all(one.ok for one in known) and np.isfinite(measured.absolute) else "differs"
    if exact_arrays is None:
        if not known or measured.absolute > sum(one.bound for one in known):
            verdict = "differs"
    else:
        place = measures(*exact_arrays).where if exact_arrays[0].shape == exact_arrays[1].shape else None
        precise = None if place is None else explained(exact_trace, name, place, of)
        if precise is not None:
            terms = precise.bound / precise.eps
        if not agree_in_float64(*exact_arrays, terms):
            verdict = "differs"
    bound = known[0].bound if known else None
    return Row(*names, of, ours, theirs, measured, bound, verdict, mine, other)


def first_of(trace: Trace, name: str, array: np.ndarray | None, of: str) -> Explanation | None:
    """Return the explanation of an array's first number, or None where there is none."""
    if array is None or array.size == 0:
        return None
    return explained(trace, name, (0,) * array.ndim, of)
