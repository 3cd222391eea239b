"""The team of threads: everything is done once, errors come back, and nobody waits for who sleeps."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from itertools import pairwise

import numpy as np
import pytest
from numba import config

if config.DISABLE_JIT:
    pytest.skip("looking without Python's lock needs the compiler", allow_module_level=True)

from numba import njit

from minicnn.kernels import board as boards
from minicnn.kernels import threads
from minicnn.kernels.board import (
    ARGUMENTS,
    INSIDE,
    LEFT,
    MEMBERS,
    NUMBERS,
    PIECES,
    SIZE,
    UNDER_WAY,
    count,
    edge,
    handed_out,
    help_out,
    look,
)
from minicnn.kernels.team import Helper, Team, current_core, keep_off_this_core


@njit(nogil=True)
def count_up(done, step, board, start, stop):
    """Add `step` to done[start:stop]."""
    if handed_out(board, start, stop):
        return
    for i in range(start, stop):
        done[i] += step


@njit(nogil=True)
def meet(place, looks, board, start, stop):
    """Count those who are here; wait until there are two, but not for ever."""
    if handed_out(board, start, stop):
        return
    count(place, 0, 1)
    for _ in range(looks):
        if look(place, 0) >= 2:
            place[1] = 1
            return


@njit(nogil=True)
def stumble(done, place, board, start, stop):
    """Fill done[start:stop] with 1, and raise an error at one place."""
    if handed_out(board, start, stop):
        return
    for i in range(start, stop):
        if i == place:
            raise KeyError("stumbled")
        done[i] = 1


@njit(nogil=True)
def take_all_kinds(small, large, flag, pairs, whole, result, board, start, stop):
    """Write what came of arguments of many kinds."""
    if handed_out(board, start, stop):
        return
    (a, b), c = pairs
    for i in range(start, stop):
        result[i] = small[i] + large[0, i] + (100 if flag else 0) + a + b + c + whole


@pytest.fixture
def team():
    made = Team(4)
    yield made
    made.dismiss()


def wait_until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("pieces", [1, 2, 3, 4, 9, 100])
def test_every_item_is_done_once(team, pieces):
    done = np.zeros(100)
    for step in range(1, 50):
        team.share(count_up, (done, 1.0), len(done), pieces)
        assert (done == step).all()


def edges(size: int, pieces: int, members: int) -> list[int]:
    """Return where pieces begin, from the last one taken to the first, and where that ends."""
    board = boards.new_board()
    board[SIZE], board[PIECES], board[MEMBERS] = size, pieces, members
    return [edge.py_func(board, left) for left in range(pieces + 1)]


def test_more_pieces_than_members_get_smaller_and_smaller():
    assert edges(72, 8, 2) == [0, 2, 6, 12, 20, 30, 42, 56, 72]
    assert edges(72, 8, 8) == [0, 9, 18, 27, 36, 45, 54, 63, 72]
    assert edges(8, 8, 2) == [0, 0, 1, 1, 2, 3, 5, 6, 8]  # nobody is called for an empty piece


@pytest.mark.parametrize("size", [8, 32, 64, 128, 256, 1024])
def test_two_who_are_equally_quick_get_halves_to_one_percent(size):
    done = [0, 0]
    for begin, end in pairwise(reversed(edges(size, 8, 2))):
        done[done.index(min(done))] += begin - end
    assert max(done) < 1.01 * size / 2


@pytest.mark.parametrize("members", [1, 2, 3, 64])
def test_pieces_lie_side_by_side(members):
    for size in (1, 2, 5, 63, 2**40):
        for pieces in (1, 2, 3, 7, 64, 512):
            found = edges(size, pieces, members)
            assert (found[0], found[-1]) == (0, size)
            assert sorted(found) == found


def test_pieces_are_done_side_by_side(team):
    """Each of two pieces waits for the other to begin: one thread alone would wait in vain."""
    met = np.zeros(2, np.int64)
    for _ in range(100):  # helpers may be asleep at first
        met[:] = 0
        team.share(meet, (met, 1_000_000), 2, 2)
        if met[1]:
            break
    assert met[1]


def test_arguments_of_all_kinds_reach_the_helpers(team):
    small, large = np.arange(8, dtype=np.uint8), np.arange(8.0).reshape(1, 8)
    result = np.zeros(8)
    for _ in range(50):
        result[:] = 0
        team.share(take_all_kinds, (small, large, True, ((1000, 2000.5), 3), 7, result), 8, 8)
        assert result.tolist() == [2 * i + 100 + 1000 + 2000.5 + 3 + 7 for i in range(8)]


def test_arrays_are_not_kept(team):
    """Pieces have arrays without an owner: when all is done, nobody but the caller holds them."""
    done = np.zeros(100)
    before = sys.getrefcount(done)
    for _ in range(20):
        team.share(count_up, (done, 1.0), 100, 4)
    assert sys.getrefcount(done) == before


@pytest.mark.parametrize("place", [0, 3, 99])
def test_an_error_comes_back_to_the_caller(team, place):
    done = np.zeros(100)
    with pytest.raises(KeyError, match="stumbled"):
        team.share(stumble, (done, place), 100, 4)
    assert team.board[LEFT] == team.board[INSIDE] == team.board[UNDER_WAY] == 0  # nobody works any more
    team.share(stumble, (done, -1), 100, 4)
    assert (done == 1).all()


def test_more_arguments_than_fit_on_a_board(monkeypatch):
    monkeypatch.setattr(boards, "NUMBERS", ARGUMENTS + 3)
    kernel = njit(nogil=True)(count_up.py_func)
    with pytest.raises(NotImplementedError, match="more arguments than fit on a board"):
        kernel(np.zeros(2), 1.0, np.zeros(NUMBERS, np.int64), 0, 2)


def test_helpers_sleep_when_there_is_nothing_to_do(team):
    done = np.zeros(4)
    team.share(count_up, (done, 1.0), 4, 2)
    wait_until(lambda: all(helper.asleep for helper in team.helpers))
    team.share(count_up, (done, 1.0), 4, 2)  # and wake, or the caller does it
    assert (done == 2).all()
    wait_until(lambda: all(helper.asleep for helper in team.helpers))


def test_a_helper_stays_until_the_call_is_over():
    """Its caller may have the last piece, on a slow core: the next call would find the helper asleep."""
    board = boards.new_board()
    board[UNDER_WAY] = 1
    helper = threading.Thread(target=help_out, args=(board, 3), daemon=True)
    helper.start()
    helper.join(0.2)
    assert helper.is_alive()
    board[UNDER_WAY] = 0
    helper.join(30)
    assert not helper.is_alive()


def test_little_work_wakes_nobody_until_there_has_been_enough_of_it(team, monkeypatch):
    wait_until(lambda: all(helper.asleep for helper in team.helpers))
    woken, done = [], np.zeros(4)
    monkeypatch.setattr(Helper, "wake", lambda helper: woken.append(helper))
    for _ in range(3):
        team.share(count_up, (done, 1.0), 4, 2, work=3, enough=12)
    assert not woken
    team.share(count_up, (done, 1.0), 4, 2, work=3, enough=12)
    assert woken == team.helpers
    assert (done == 4).all()


@pytest.mark.skipif(current_core is None, reason="only Linux lets a thread choose its core")
def test_a_helper_that_is_woken_keeps_off_its_callers_core():
    allowed = os.sched_getaffinity(0)
    helper = Helper(boards.new_board())
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
        helper.go_home()


def test_dismissed_helpers_end():
    team = Team(3)
    assert [helper.thread.is_alive() for helper in team.helpers] == [True, True]
    team.dismiss()
    for helper in team.helpers:
        helper.thread.join(30)
    assert [helper.thread.is_alive() for helper in team.helpers] == [False, False]


def test_two_python_threads_never_share_a_board(monkeypatch, threads_restored):
    """While one has the team, the other works alone: each does all of its own work, once."""
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 0)
    threads.set_num_threads(2)
    arrays = [np.zeros(1000) for _ in range(4)]

    def work(array):
        for _ in range(2000):
            threads.share(count_up, (array, 1.0), len(array), 10)

    callers = [threading.Thread(target=work, args=(array,)) for array in arrays]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert all((array == 2000).all() for array in arrays)


@pytest.mark.parametrize(("awake", "shared"), [(True, [0.3, 0.99, 1.0]), (False, [1.0])])
def test_less_work_is_shared_with_those_who_are_awake(awake, shared, monkeypatch, threads_restored):
    seen = []

    class Planted:
        def is_awake(self):
            return awake

        def share(self, kernel, arguments, size, pieces, work, enough):
            seen.append(work / threads.WORTH_A_THREAD)

        def dismiss(self):
            pass

    threads.set_num_threads(2)
    monkeypatch.setattr(threads, "_team", Planted())
    for part in (0.1, 0.29, 0.3, 0.99, 1.0):
        threads.share(lambda *given: None, (), size=8, work=int(part * threads.WORTH_A_THREAD))
    assert seen == shared


def test_a_team_is_awake_until_one_sleeps(team):
    wait_until(lambda: any(helper.asleep for helper in team.helpers))
    assert not team.is_awake()
    for helper in team.helpers:
        helper.asleep = False
    assert team.is_awake()


@pytest.mark.parametrize(
    ("files", "share"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, math.inf),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, math.inf),
        ({"cpu.max": "nonsense\n"}, math.inf),
        ({}, math.inf),
    ],
)
def test_a_container_says_how_many_cores_it_may_keep_busy(files, share, tmp_path, monkeypatch):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = threads.share_of_container(tmp_path)
    assert found == share
    monkeypatch.setattr(threads, "share_of_container", lambda: found)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)), raising=False)
    assert threads.cores() == {0.5: 1, 1.5: 2, math.inf: 64}[share]
    for name in ("MINICNN_NUM_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    assert threads.default_threads() == threads.cores()
