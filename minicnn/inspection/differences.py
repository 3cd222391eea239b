"""Central differences of one array, number by number or along random directions, with their doubts.

A difference counts as wrong only if it stays so at each of three steps, and if no branch changes between
the two points; on a kink, a slope between the two one-sided ones is right.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# Error of a central difference: h²·f'''/6 from the curve, eps·|f|/h from rounding. The first step suits most
# curves; the others are for sharp ones, and for points close to a kink.
STEPS = (1e-5, 1e-6, 1e-7)
SAME_SLOPE = 1e-5  # relative to the slope itself
SAME_PROJECTION = 1e-6  # relative to the length of the gradient: one wrong number among many is small
BESIDE_LARGEST = 1e-8  # relative to the largest number of the gradient
ROUNDINGS = 100  # how many roundings of the function's terms one value may hold
SAME_SIDE = 1e-4  # a one-sided difference is less exact: its error is h·f''/2

EACH = 64  # arrays up to this size are checked number by number
DIRECTIONS = 4  # larger ones along so many random directions
SAMPLES = 16  # and, where they lie on kinks, at so many single numbers


@dataclass(frozen=True)
class Value:
    """What a function gave at one point: its value, the size of its terms, the branches taken.

    >>> Value(3.0, 5.0, [("ReLU", np.array([1.0]))]).parting(Value(3.0, 5.0, [("ReLU", np.array([-1.0]))]))
    'ReLU'
    """

    value: float
    terms: float
    branches: list[tuple[str, np.ndarray]]

    def parting(self, other: Value) -> str | None:
        """Return the first layer that took another branch at the other point; None if none did."""
        for (who, ours), (_, theirs) in zip(self.branches, other.branches, strict=True):
            if not np.array_equal(ours, theirs, equal_nan=True):
                return who
        return None


@dataclass(frozen=True)
class Finding:
    """One comparison: the number that backward gave, the numeric one, and what is made of it.

    `verdict` is "right", "kink", "wrong" or "not finite"; `index` is None for a direction; `sides` are the
    one-sided slopes on a kink, and `who` the layer that has it.

    >>> Finding("wrong", 2.0, 1.0, (0,)).difference
    1.0
    """

    verdict: str
    analytic: float
    numeric: float
    index: tuple[int, ...] | None = None
    who: str | None = None
    sides: tuple[float, float] | None = None

    @property
    def difference(self) -> float:
        """|analytic - numeric|."""
        return abs(self.analytic - self.numeric)


class Slopes:
    """Numeric slopes of a function of one array, beside the gradient that backward gave.

    Parameters
    ----------
    function : function without arguments that returns a Value
        It reads `array`, which is moved in place and put back.
    array : ndarray, float64, writable
    gradient : ndarray of the same shape
    strict : bool
        Whether each number meets one kink at most: then the gradient must lie between both sides of it.
        (Where several meet, each may take a side of its own.)

    Examples
    --------
    >>> x = np.array([3.0, 4.0])
    >>> slopes = Slopes(lambda: Value(float(x @ x), float(x @ x), []), x, np.array([6.0, 9.0]))
    >>> slopes.at(0).verdict, slopes.at(1).verdict, round(slopes.at(1).numeric, 6)
    ('right', 'wrong', 8.0)
    >>> x
    array([3., 4.])
    """

    def __init__(
        self, function: Callable[[], Value], array: np.ndarray, gradient: np.ndarray, strict=True
    ) -> None:
        self.function, self.array, self.gradient = function, array, gradient.ravel()
        self.strict = strict
        self.unit = max(1.0, float(np.sqrt(np.mean(np.square(array))))) if array.size else 1.0
        self.largest = float(np.abs(gradient).max(initial=0))

    def moved(self, distance: float, direction: np.ndarray) -> Value:
        """Return the function's value with the array moved along a direction (flat, one entry a number)."""
        kept = self.array.copy()
        try:
            self.array[...] = kept + distance * direction.reshape(kept.shape)
            return self.function()
        finally:
            self.array[...] = kept

    def along(self, direction: np.ndarray, index: tuple | None = None) -> Finding:
        """Compare the slope along a direction with what the gradient says."""
        analytic = float(self.gradient @ direction)
        length = float(np.linalg.norm(self.gradient * (direction != 0)))
        same = SAME_SLOPE * abs(analytic) if index is not None else SAME_PROJECTION * length
        found, who = None, None
        for step in STEPS:
            distance = step * self.unit
            above, below = self.moved(distance, direction), self.moved(-distance, direction)
            numeric = (above.value - below.value) / (2 * distance)
            if not np.isfinite([analytic, numeric]).all():
                return Finding("not finite", analytic, numeric, index)
            noise = ROUNDINGS * np.finfo(np.float64).eps * max(above.terms, below.terms) / distance
            near = same if index is None else max(same, SAME_SLOPE * abs(numeric))
            if abs(analytic - numeric) <= near + noise + BESIDE_LARGEST * self.largest:
                return Finding("right", analytic, numeric, index)
            who = above.parting(below)
            if who is None:
                found = found or Finding("wrong", analytic, numeric, index)
        return found or Finding("kink", analytic, numeric, index, who)

    def at(self, position: int) -> Finding:
        """Compare one number, counted through the flat array; on a kink, with both one-sided slopes."""
        direction = np.zeros(self.array.size)
        direction[position] = 1
        index = tuple(int(i) for i in np.unravel_index(position, self.array.shape))
        finding = self.along(direction, index)
        if finding.verdict not in ("kink", "wrong"):
            return finding
        distance = STEPS[-1] * self.unit
        here, above, below = (self.moved(d, direction) for d in (0.0, distance, -distance))
        sides = ((here.value - below.value) / distance, (above.value - here.value) / distance)
        noise = 2 * ROUNDINGS * np.finfo(np.float64).eps * here.terms / distance
        room = noise + SAME_SIDE * max(map(abs, sides)) + BESIDE_LARGEST * self.largest
        if finding.verdict == "wrong" and abs(sides[1] - sides[0]) <= 10 * room:
            return finding  # no kink, not even one of a layer that nobody knows
        between = min(sides) - room <= finding.analytic <= max(sides) + room
        verdict = "kink" if between or (finding.who and not self.strict) else "wrong"
        return Finding(verdict, finding.analytic, finding.numeric, index, finding.who, sides)

    def check(self, kinks: np.ndarray, rng: np.random.Generator, each: int = EACH) -> list[Finding]:
        """Compare the whole array: every number of up to `each`, random directions of more.

        `kinks` says which numbers lie on a kink of the function itself: directions leave them out.
        """
        if self.array.size <= each:
            return [self.at(position) for position in range(self.array.size)]
        smooth = ~kinks.ravel()
        found = []
        for _ in range(DIRECTIONS if smooth.any() else 0):
            finding = self.along(rng.normal(size=self.array.size) * smooth)
            found.append(finding)
            if finding.verdict == "wrong":
                single = self.narrowed(smooth, rng)
                if single.verdict != "kink":
                    return [*found, single]
                found[-1:] = [dataclasses.replace(finding, verdict="kink", who=single.who), single]
                break
        places = np.flatnonzero(~smooth)
        if any(finding.verdict == "kink" for finding in found):
            places = np.arange(self.array.size)
        chosen = rng.choice(places, min(SAMPLES, len(places)), replace=False) if len(places) else []
        return found + [self.at(int(position)) for position in chosen]

    def narrowed(self, smooth: np.ndarray, rng: np.random.Generator) -> Finding:
        """Return one wrong number, found by halving the array towards the larger difference."""
        direction, places = rng.normal(size=self.array.size), np.flatnonzero(smooth)
        while len(places) > 1:
            halves = []
            for part in (places[: len(places) // 2], places[len(places) // 2 :]):
                only = np.zeros(self.array.size)
                only[part] = direction[part]
                halves.append((self.along(only).difference, part))
            places = max(halves, key=lambda half: half[0])[1]
        return self.at(int(places[0]))
