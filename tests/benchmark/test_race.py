"""The race itself, on a clock that the tests wind: who runs when, and what is counted."""

from __future__ import annotations

import gc
import itertools
import time

import pytest

from minicnn.benchmark import Racer, Times, race
from minicnn.benchmark.race import FEWEST, geometric_mean, rest
from minicnn.benchmark.result import as_text, outcome


class Clock:
    """Time that passes only when a racer runs."""

    def __init__(self):
        self.now, self.log = 0.0, []

    def __call__(self):
        return self.now

    def racer(self, name, *seconds, before=None):
        """Return a racer whose runs take these seconds in turn, the last one for ever."""
        left = list(seconds)

        def run():
            self.log.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return Racer(name, run, before)


def test_racers_take_turns_and_who_begins_changes():
    clock = Clock()
    racers = [clock.racer(name, 1.0) for name in "abc"]
    race(racers, runs=3, warm_up=1, patience=1e9, clock=clock)
    assert clock.log[:3] == ["a", "b", "c"]  # warm-up
    assert "".join(clock.log[3:]) == "abc" + "bca" + "cab"


def test_the_warm_up_is_not_counted():
    clock = Clock()
    times = race([clock.racer("a", 100.0, 50.0, 1.0)], runs=4, warm_up=2, patience=1e9, clock=clock)
    assert times["a"].seconds == [1.0] * 4


def test_a_very_quick_racer_runs_ten_milliseconds_untimed_and_two_timed():
    clock = Clock()
    times = race([clock.racer("a", 0.0001)], runs=2, warm_up=1, patience=1e9, clock=clock)
    assert len(clock.log) == 1 + 2 * (100 + 20)  # 20 · 0.1 ms are two milliseconds
    assert times["a"].median == pytest.approx(0.0001)


def test_the_untimed_runs_of_a_turn_are_not_counted():
    clock = Clock()
    seconds = [0.001, 0.005, 0.005, 0.001]  # warm-up, two that are slow after the rest, all others
    times = race([clock.racer("a", *seconds)], runs=1, warm_up=1, patience=1e9, clock=clock)
    assert times["a"].seconds == [pytest.approx(0.001)]


@pytest.mark.parametrize(("seconds", "runs"), [(0.01, 1 + 1), (0.03, 1)])
def test_a_racer_of_some_milliseconds_runs_once_untimed_and_a_slow_one_at_once(seconds, runs):
    clock = Clock()
    race([clock.racer("a", seconds)], runs=1, warm_up=1, patience=1e9, clock=clock)
    assert len(clock.log) == 1 + runs


def test_a_slow_racer_leaves_but_not_before_five_runs():
    clock = Clock()
    times = race([clock.racer("slow", 10.0), clock.racer("quick", 1.0)], 30, patience=35.0, clock=clock)
    assert len(times["slow"].seconds) == FEWEST
    assert len(times["quick"].seconds) == 30


def test_a_warm_up_ends_when_patience_does():
    clock = Clock()
    race([clock.racer("a", 9.0)], runs=1, warm_up=3, patience=8.0, clock=clock)
    assert len(clock.log) == 1 + 1


def test_rest_waits_for_threads_that_still_compute(monkeypatch):
    computed, slept = (
        iter([0.0, 0.005, 0.005, 0.009, 0.009, 0.0091]),
        [],
    )  # 5 ms, 4 ms, 0.1 ms in three windows
    monkeypatch.setattr(time, "process_time", lambda: next(computed))
    monkeypatch.setattr(time, "sleep", slept.append)
    rest(longest=1e9)
    assert len(slept) == 3


def test_rest_has_an_end(monkeypatch):
    seconds, slept = itertools.count(), []
    monkeypatch.setattr(time, "process_time", lambda: float(next(seconds)))
    monkeypatch.setattr(time, "sleep", slept.append)
    rest(longest=0.0)
    assert not slept


def test_what_comes_before_a_turn_is_not_timed():
    clock = Clock()

    def before():
        clock.now += 1000.0

    times = race([clock.racer("a", 2.0, before=before)], runs=3, patience=1e9, clock=clock)
    assert times["a"].seconds == [2.0] * 3


@pytest.mark.parametrize("collecting", [True, False])
def test_garbage_collection_is_put_back_even_after_an_error(collecting):
    calls = []

    def fail():
        calls.append(gc.isenabled())
        if len(calls) > 3:
            raise RuntimeError("broken")

    was = gc.isenabled()
    try:
        (gc.enable if collecting else gc.disable)()
        with pytest.raises(RuntimeError, match="broken"):
            race([Racer("a", fail)], runs=5)
        assert gc.isenabled() is collecting
        assert calls[-1] is False
    finally:
        (gc.enable if was else gc.disable)()


def test_medians_and_spread_by_hand():
    times = Times([5.0, 1.0, 2.0, 4.0, 3.0])
    assert times.as_dict() == {"median": 3.0, "minimum": 1.0, "quartiles": [2.0, 4.0], "runs": 5}


def test_ratios_are_to_ours_and_the_best_torch_is_the_quickest():
    planted = {
        "ours": 2.0,
        "torch eager": 6.0,
        "torch channels_last": 5.0,
        "torch.compile": 4.0,
        "jax jit": 1.0,
    }
    found = outcome({name: Times([seconds]) for name, seconds in planted.items()}, {})
    assert (found["best_torch"], found["ratio"]) == ("torch.compile", 2.0)
    assert found["ratios"]["jax jit"] == 0.5


def test_without_ours_or_without_torch_there_is_no_ratio():
    assert outcome({"torch eager": Times([1.0])}, {"ours": "wrong"})["ratio"] is None
    alone = outcome({"ours": Times([1.0])}, {})
    assert (alone["best_torch"], alone["ratio"], alone["ratios"]) == (None, None, {})


def test_geometric_mean_by_hand():
    assert geometric_mean([4.0, 1.0]) == pytest.approx(2.0)
    assert geometric_mean([8.0, 0.125, 1.0]) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(12.34, "12.3 s"), (1.0, "1.00 s"), (0.25, "250 ms"), (0.0019, "1.90 ms"), (42e-6, "42.0 us")],
)
def test_times_in_three_digits(seconds, text):
    assert as_text(seconds) == text
