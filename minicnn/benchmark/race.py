"""race: functions that do the same work take turns, run by run, and each run is timed.

    turn 1   ours  torch  jax      What slows the machine for a moment (another program, heat) then slows
    turn 2   torch jax    ours     all of them, and medians over many turns compare what is to be compared.
    turn 3   jax   ours   torch    Who begins changes, because the first finds the caches as the last left them.

Before a turn all rest until no thread computes any more: torch's second thread spins for some 10 ms after
its work is done, OpenBLAS's for 30 to 70, and whoever came next would have to share the core with it. Then come
runs that are not timed, because a racer's data have left the caches, and its threads and the cores sleep: the first
milliseconds are up to a fifth slower than those that follow. So a racer is run for ten milliseconds before it is
timed, and for two at the least on the clock: as in a training loop, where one step follows the other.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

AWAKE = 10e-3  # seconds of runs before the clock starts
SHORTEST = 2e-3  # and until it stops
SETTLE = 20e-3  # a racer quicker than this makes untimed runs first; for a slower one it changes nothing
WINDOW, IDLE = 5e-3, 3e-4  # the system counts a running thread's time every 4 ms or more often
FEWEST = 5  # runs that even a very slow racer makes


@dataclass(frozen=True)
class Racer:
    """A name, the function that is timed, and what is to be done before each turn.

    Examples
    --------
    >>> Racer("ours", lambda: None).name
    'ours'
    """

    name: str
    run: Callable[[], object]
    before: Callable[[], object] | None = None


@dataclass(frozen=True)
class Times:
    """The seconds of every timed run of one racer.

    Examples
    --------
    >>> times = Times([0.004, 0.001, 0.002, 0.003, 0.010])
    >>> times.median, times.minimum, times.quartiles
    (0.003, 0.001, (0.002, 0.004))
    """

    seconds: Sequence[float]

    @property
    def median(self) -> float:
        """Half of the runs took longer."""
        return float(np.median(self.seconds))

    @property
    def minimum(self) -> float:
        """The quickest run."""
        return float(np.min(self.seconds))

    @property
    def quartiles(self) -> tuple[float, float]:
        """Half of the runs lie between these two."""
        low, high = np.quantile(self.seconds, [0.25, 0.75])
        return float(low), float(high)

    def as_dict(self) -> dict:
        """Return what `bench.json` keeps.

        >>> Times([0.5, 0.5]).as_dict()
        {'median': 0.5, 'minimum': 0.5, 'quartiles': [0.5, 0.5], 'runs': 2}
        """
        return {
            "median": self.median,
            "minimum": self.minimum,
            "quartiles": list(self.quartiles),
            "runs": len(self.seconds),
        }


def race(
    racers: Sequence[Racer],
    runs: int = 30,
    *,
    warm_up: int = 3,
    patience: float = 20.0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Times]:
    """Let all racers take turns and return the times of each, by name.

    Parameters
    ----------
    racers : sequence of Racer
    runs : int
        Timed runs of each.
    warm_up : int
        Runs before, which are not counted.
    patience : float
        A racer that has used so many seconds leaves with the runs it has, five at the least; its warm-up ends
        then, too.
    clock : callable
        Returns seconds; the tests plant their own.

    Examples
    --------
    >>> times = race([Racer("add", lambda: 1 + 1), Racer("sort", lambda: sorted(range(1000)))], runs=5)
    >>> times["add"].median < times["sort"].median
    True
    >>> len(times["add"].seconds)
    5
    """
    estimates = {racer.name: _warm(racer, warm_up, patience, clock) for racer in racers}
    seconds: dict[str, list[float]] = {racer.name: [] for racer in racers}
    used = dict.fromkeys(seconds, 0.0)
    collecting = gc.isenabled()
    gc.disable()  # a collection in the middle of one run would be charged to it
    try:
        for turn in range(runs):
            first = turn % len(racers)
            for racer in [*racers[first:], *racers[:first]]:
                if used[racer.name] > patience and len(seconds[racer.name]) >= FEWEST:
                    continue
                began = clock()
                seconds[racer.name].append(_turn(racer, estimates[racer.name], clock))
                used[racer.name] += clock() - began
            gc.collect(0)
    finally:
        if collecting:
            gc.enable()
    return {name: Times(found) for name, found in seconds.items()}


def _warm(racer: Racer, count: int, patience: float, clock: Callable[[], float]) -> float:
    """Run a few times and return the quickest, a first guess of the seconds that one run takes."""
    found: list[float] = []
    while len(found) < max(count, 1) and not sum(found) > patience:
        if racer.before is not None:
            racer.before()
        began = clock()
        racer.run()
        found.append(clock() - began)
    return min(found)


def _turn(racer: Racer, estimate: float, clock: Callable[[], float]) -> float:
    """Return the seconds of one run: the mean of several, if one is very short."""
    if racer.before is not None:
        racer.before()
    rest()
    estimate = max(estimate, 1e-7)
    count = max(1, math.ceil(SHORTEST / estimate))
    for _ in range(math.ceil(AWAKE / estimate) if estimate < SETTLE else 0):
        racer.run()
    began = clock()
    for _ in range(count):
        racer.run()
    return (clock() - began) / count


def rest(longest: float = 0.25) -> float:
    """Wait until no thread of this process computes, `longest` seconds at most; return the seconds waited.

    >>> rest(longest=0.0) >= 0
    True
    """
    began, computing = time.perf_counter(), np.inf
    while computing > IDLE and time.perf_counter() - began < longest:
        used = time.process_time()
        time.sleep(WINDOW)
        computing = time.process_time() - used
    return time.perf_counter() - began


def geometric_mean(ratios: Sequence[float]) -> float:
    """Return the root of the product: twice as fast and half as fast make 1.

    >>> geometric_mean([2.0, 0.5, 1.0])
    1.0
    """
    return float(np.exp(np.mean(np.log(ratios)))) if len(ratios) else math.nan
