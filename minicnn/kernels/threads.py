"""The one owner of threads: kernels that release Python's lock, run on equal parts of their work.

Who computes a part never changes its bits: a part is a range of images, of filters or of rows, and each
number is made by one part from beginning to end. So any number of threads gives the same result.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import operator
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from minicnn.kernels.board import new_board
from minicnn.kernels.memory import empty
from minicnn.kernels.score import Score, listening
from minicnn.kernels.team import NOBODY, Team

# Handing over takes a microsecond; but then what one thread has written the other fetches from its cache.
WORTH_A_THREAD = 1_000_000  # multiply-adds, some 25 µs: less is done by the caller alone
AWAKE = 0.3  # of it is enough while the others look at the board anyway
WORTH_WAKING = 8  # times as much, some 0.2 ms, is done alone before a sleeping thread is woken for it
FETCH = 2  # multiply-adds that a convolution does while one number is fetched or put away
EXPONENTIAL = 16  # and while e^x is computed
RANGES = 4  # for each thread, where to begin one costs little

_in_use = threading.Lock()  # the team serves one caller at a time; who comes second works alone
_team: Team | None = None


def share_of_container(folder: Path = Path("/sys/fs/cgroup")) -> float:
    """Return how many cores a container may keep busy; infinity if nobody has said so.

    Linux tells how many microseconds of each period, in one file or, as it did first, in two.

    >>> share_of_container() > 0, share_of_container(Path("nowhere"))
    (True, inf)
    """
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        with contextlib.suppress(OSError, ValueError):  # no such file; or "max", which is no number
            busy, period = map(float, " ".join((folder / name).read_text() for name in names).split())
            if busy > 0:
                return busy / period
    return math.inf


def cores() -> int:
    """Return how many cores this process may use; more threads than that would wait for each other.

    >>> 1 <= cores() <= os.cpu_count()
    True
    """
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return math.ceil(min(found, share_of_container()))


def default_threads() -> int:
    """Return MINICNN_NUM_THREADS if it is set, else what joblib or OpenMP allow, else the cores we may use.

    A worker process of multiprocessing gets one thread, because its siblings use the other cores.

    >>> default_threads() >= 1
    True
    """
    for name in ("MINICNN_NUM_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name, "")
        if value.isdecimal() and int(value) > 0:
            return int(value)
        if value and name == "MINICNN_NUM_THREADS":
            raise ValueError(
                "MINICNN_NUM_THREADS: the number of threads must be an integer of at least 1. "
                f"Got {value!r}. Set it to the number of cores to use."
            )
    if multiprocessing.parent_process() is not None:
        return 1
    return cores()


try:
    _threads = default_threads()
except ValueError:  # told to who asks or computes: the command could not catch what its import raises
    _threads = 0


def get_num_threads() -> int:
    """Return how many threads the kernels use.

    Raises
    ------
    ValueError
        If MINICNN_NUM_THREADS is no integer of at least 1, and `set_num_threads` was not called. The first
        layer that computes says the same.

    Examples
    --------
    >>> get_num_threads() >= 1
    True
    """
    global _threads
    _threads = _threads or default_threads()
    return _threads


def set_num_threads(count: int) -> None:
    """Let the kernels use so many threads; results keep the same bits.

    >>> before = get_num_threads()
    >>> set_num_threads(3)
    >>> get_num_threads()
    3
    >>> set_num_threads(before)
    """
    global _threads, _team
    try:
        if isinstance(count, bool):
            raise TypeError
        count = operator.index(count)
    except TypeError:
        raise TypeError(
            f"set_num_threads: count must be an integer. Got {count!r} ({type(count).__name__}). Pass an int."
        ) from None
    if count < 1:
        raise ValueError(f"set_num_threads: count must be at least 1. Got {count}. Pass a larger number.")
    with _in_use:
        if _team is not None:
            _team.dismiss()
        _threads, _team = count, None


def share(kernel: Callable, arguments: tuple, size: int, work: int, ranges: int = 1) -> None:
    """Call ``kernel(*arguments, board, start, stop)`` on ranges that together are 0 .. size - 1.

    Parameters
    ----------
    kernel : compiled function
        Works on one range, and begins with `board.handed_out`; releases Python's lock.
    arguments : tuple
        What it is called with, the same for every range.
    size : int
        How many items there are.
    work : int
        Multiply-adds of all items together, as many as a convolution does in the same time; little work
        stays in the calling thread.
    ranges : int
        How many ranges there are for each thread, if there is work for them: RANGES let a quick core help
        a slow one. A single one where to begin a range costs much, or the items are numbers: the ranges then
        are equal, and begin with a line of the cache more often than not.

    Examples
    --------
    >>> import numpy as np
    >>> from minicnn.kernels.fast_relu import _relu
    >>> output = np.empty(3)
    >>> share(_relu, (np.array([1.0, -2.0, 3.0]), output), size=3, work=10**9)
    >>> output
    array([1., 0., 3.])
    """
    if size == 0:
        return
    if not _threads:
        get_num_threads()  # says what is wrong with it
    pieces, team, each = 1, _team, ranges if work >= 4 * WORTH_A_THREAD else 1
    if listening and threading.get_ident() in listening:
        worth = each if work >= AWAKE * WORTH_A_THREAD else 0
        listening[threading.get_ident()].hear_call(kernel, arguments, size, worth, work)
    part = AWAKE if team is not None and team.is_awake() else 1
    if _threads > 1 and work >= part * WORTH_A_THREAD:
        pieces = min(_threads * each, size)
    if pieces <= 1 or not _in_use.acquire(blocking=False):  # a busy team belongs to another thread
        kernel(*arguments, NOBODY, 0, size)
        return
    try:
        _current_team().share(kernel, arguments, size, pieces, work, WORTH_WAKING * WORTH_A_THREAD)
    finally:
        _in_use.release()


def perform(score: Score, input, other=None, before=None) -> np.ndarray | None:
    """Play a score for an input of its kind; return what it made, all in one, or None if it cannot be trusted.

    `other` and `before` are given if the score was written for such.

    >>> import numpy as np
    >>> from minicnn.kernels.fast_relu import relu
    >>> from minicnn.kernels.score import Recorder
    >>> numbers = np.array([3.0, -4.0])
    >>> with Recorder() as recorder:
    ...     output = relu(numbers)
    >>> score = recorder.score(numbers, [output], weights=[])
    >>> score.arrays_in(perform(score, np.array([-5.0, 6.0])))
    [array([0., 6.])]
    """
    places, made = (empty((room,), np.int64) for room in score.rooms)
    arrays = input, places, made, input if other is None else other, made if before is None else before
    if _threads > 1 and score.work and _in_use.acquire(blocking=False):
        try:
            team = _current_team()
            threads = _threads if team.summon(score.work, WORTH_WAKING * WORTH_A_THREAD) else 1
            fine = score.play(*arrays, threads, team.board)
        finally:
            _in_use.release()
    else:
        fine = score.play(*arrays, 1, new_board())
    return made if fine else None


def _current_team() -> Team:
    global _team
    if _team is None:
        _team = Team(_threads)
    return _team


def _forget_team() -> None:
    """A forked child has none of its parent's threads, and perhaps its lock in a locked state."""
    global _team, _in_use
    _team, _in_use = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_team)
