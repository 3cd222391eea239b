"""The team of threads: everything is done once, errors come back, and nobody waits for who sleeps."""

from __future__ import annotations

import os
import threading
import time

import pytest
from numba import config

if config.DISABLE_JIT:
    pytest.skip("looking without Python's lock needs the compiler", allow_module_level=True)

from minicnn.kernels import threads
from minicnn.kernels.team import Helper, Team, Work, current_core, keep_off_this_core


@pytest.fixture
def team():
    made = Team(4)
    yield made
    made.dismiss()


def test_every_range_is_done_once(team):
    for count in (1, 2, 4, 9):
        done = []
        team.share(
            lambda start, stop, done=done: done.append((start, stop)), [(n, n + 1) for n in range(count)]
        )
        assert sorted(done) == [(n, n + 1) for n in range(count)]


def test_ranges_are_done_side_by_side(team):
    """Each of two ranges waits for the other to begin: one thread alone would never end."""
    meeting = threading.Barrier(2, timeout=30)
    team.share(lambda start, stop: meeting.wait(), [(0, 1), (1, 2)])
    assert not meeting.broken


def test_the_caller_returns_when_all_is_done(team):
    done = []

    def work(start, stop):
        if threading.current_thread() is not threading.main_thread():
            time.sleep(0.05)
        done.append(start)

    for _ in range(5):
        done.clear()
        team.share(work, [(0, 1), (1, 2), (2, 3)])
        assert sorted(done) == [0, 1, 2]


@pytest.mark.parametrize("place", [0, 3])
def test_an_error_comes_back_to_the_caller(team, place):
    def work(start, stop):
        if start == place:
            raise KeyError(place)

    with pytest.raises(KeyError):
        team.share(work, [(n, n + 1) for n in range(4)])
    done = []
    team.share(lambda start, stop: done.append(start), [(0, 1), (1, 2)])
    assert sorted(done) == [0, 1]


def test_an_error_waits_until_nobody_works_any_more(team):
    ended = []

    def work(start, stop):
        if start == 0:
            raise KeyError(start)
        time.sleep(0.05)
        ended.append(start)

    for _ in range(5):
        ended.clear()
        with pytest.raises(KeyError):
            team.share(work, [(n, n + 1) for n in range(4)])
        count = len(ended)
        time.sleep(0.1)
        assert len(ended) == count


def test_helpers_sleep_when_there_is_nothing_to_do(team):
    team.share(lambda start, stop: None, [(0, 1), (1, 2)])
    deadline = time.monotonic() + 30
    while not all(helper.asleep for helper in team.helpers):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    done = []
    team.share(lambda start, stop: done.append(start), [(0, 1), (1, 2)])  # and wake, or the caller does it
    assert sorted(done) == [0, 1]


def test_little_work_wakes_nobody_until_there_has_been_enough_of_it(team):
    deadline = time.monotonic() + 30
    while not all(helper.asleep for helper in team.helpers):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    given, done = [helper.given for helper in team.helpers], []
    for _ in range(3):
        team.share(lambda start, stop: done.append((start, stop)), [(0, 1), (1, 2)], size=3, enough=12)
    assert done == [(0, 2)] * 3  # as one range, in the caller
    assert [helper.given for helper in team.helpers] == given
    team.share(lambda start, stop: done.append((start, stop)), [(0, 1), (1, 2)], size=3, enough=12)
    assert sorted(done[3:]) == [(0, 1), (1, 2)]
    assert [helper.given for helper in team.helpers] == [given[0] + 1, *given[1:]]


@pytest.mark.skipif(current_core is None, reason="only Linux lets a thread choose its core")
def test_a_helper_that_is_woken_keeps_off_its_callers_core():
    allowed = os.sched_getaffinity(0)
    helper = Helper()
    core = current_core()
    try:
        os.sched_setaffinity(0, {core})  # this thread stays where it is, and may tell the helper all cores
        keep_off_this_core(helper.thread.native_id)
        assert os.sched_getaffinity(helper.thread.native_id) == allowed  # no other core to go to
        os.sched_setaffinity(0, allowed)
        if len(allowed) > 1:
            before, _ = current_core(), keep_off_this_core(helper.thread.native_id)
            left_out = allowed - os.sched_getaffinity(helper.thread.native_id)
            assert left_out in ({before}, {current_core()})  # the system may move this thread in between
    finally:
        os.sched_setaffinity(0, allowed)
        helper.give(None)


def test_dismissed_helpers_end():
    team = Team(3)
    assert [helper.thread.is_alive() for helper in team.helpers] == [True, True]
    team.dismiss()
    for helper in team.helpers:
        helper.thread.join(30)
    assert [helper.thread.is_alive() for helper in team.helpers] == [False, False]


def test_a_range_is_taken_by_one_thread_only():
    work = Work(lambda start, stop: None, [(0, 1)])
    work.ranges.popleft()
    work.do()  # nothing is left, and nothing happens


def test_a_second_caller_works_alone(monkeypatch):
    """Inside a piece of shared work, sharing again must not wait for the team."""
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 0)
    before, done = threads.get_num_threads(), []
    threads.set_num_threads(2)
    try:
        threads.share(lambda *_: threads.share(lambda *part: done.append(part), 4, 10), 2, 10)
    finally:
        threads.set_num_threads(before)
    assert done == [(0, 4), (0, 4)]
