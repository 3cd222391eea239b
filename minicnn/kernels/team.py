"""A team of threads that stay awake between two pieces of work, so that sharing pays for small ones too.

To wake a sleeping thread takes the operating system 50 to 100 µs; a convolution of one image takes 50. So
a helper that has done its part looks for the next one for about half a millisecond before it goes to sleep:

    caller   ── post ── own part ──────────── look ── post ── own part ──
                  │                            ↑        │
    helper   look ┴─ its part ── done ─────────┴─ look ─┴─ its part ── ...  no work: asleep until woken

Looking is compiled code that has let go of Python's lock, reading one number of the board until it
changes. The numbers of two helpers lie in cache lines of their own.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import threading
from collections import deque
from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from minicnn.kernels.vector import element_address

LOOKS = 20_000  # at some 30 ns each
HEAD_START = 100  # looks by which the caller is ahead; see report_and_await
APART = 16  # numbers of 8 bytes: two cache lines


@intrinsic
def look(typing, board, index):
    """Return board[index] as it is in memory now, and let the core rest for a moment."""

    def generate(context, builder, signature, arguments):
        if platform.machine().lower() in ("x86_64", "amd64", "i686"):
            nothing = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, nothing, "llvm.x86.sse2.pause"), [])
        return builder.load_atomic(element_address(context, builder, signature, arguments), "acquire", 8)

    return types.int64(board, types.intp), generate


@intrinsic
def post(typing, board, index, value):
    """Write board[index] so that all that was written before is seen by who sees it."""

    def generate(context, builder, signature, arguments):
        address = element_address(context, builder, signature, arguments)
        builder.store_atomic(arguments[2], address, "release", 8)
        return context.get_dummy_value()

    return types.void(board, types.intp, types.int64), generate


@njit(cache=True, nogil=True)
def await_change(board, index, seen, looks):
    """Look up to `looks` times at board[index], and return it as soon as it is not `seen` any more."""
    for _ in range(looks):
        number = look(board, index)
        if number != seen:
            return number
    return seen


@njit(cache=True, nogil=True)
def report_and_await(board, done, looks, head_start):
    """Write board[APART], now that Python's lock is free for the caller, and await more than `done`.

    Whoever gives work holds Python's lock until its own part has begun. To ask for the lock before that is
    to be put to sleep by the system, and woken up 50 µs later: so look on for a few µs more.
    """
    post(board, APART, done)
    given = await_change(board, 0, done, looks)
    await_change(board, 0, given, head_start if given != done else 0)
    return given


try:
    current_core = ctypes.CDLL(None).sched_getcpu
except (AttributeError, OSError, TypeError):  # only Linux tells, and lets a thread choose
    current_core = None


def keep_off_this_core(thread_id: int) -> None:
    """Let a thread run on any core that this process may use, except the one that the caller is on.

    The system likes to wake a thread on the core of whoever wakes it. There the two would take turns, for
    some milliseconds, until it sees that another core has nothing to do.

    >>> helper = Helper()
    >>> keep_off_this_core(helper.thread.native_id)     # does nothing if there is no other core
    >>> helper.give(None)
    """
    if current_core is None:
        return
    others = os.sched_getaffinity(0) - {current_core()}
    if others:
        with contextlib.suppress(OSError):  # the thread has ended, or may not be told
            os.sched_setaffinity(thread_id, others)


class Work:
    """One function to call on some ranges; whoever comes takes the next range.

    >>> taken = []
    >>> work = Work(lambda start, stop: taken.append((start, stop)), [(0, 2), (2, 5)])
    >>> work.do()
    >>> taken
    [(0, 2), (2, 5)]
    """

    def __init__(self, function: Callable[[int, int], None], ranges: list[tuple[int, int]]) -> None:
        self.function, self.ranges = function, deque(ranges)

    def do(self) -> None:
        """Take ranges until none is left."""
        while self.ranges:
            try:
                start, stop = self.ranges.popleft()
            except IndexError:  # another thread was quicker
                return
            self.function(start, stop)


class Helper:
    """One thread of a team; its board tells which work was given, begun and done last, by number.

    >>> helper, done = Helper(), []
    >>> helper.give(Work(lambda start, stop: done.append((start, stop)), [(0, 3)]))
    >>> while not done:
    ...     helper.join()
    >>> done
    [(0, 3)]
    >>> helper.give(None)                               # the thread ends
    """

    def __init__(self) -> None:
        self.board = np.zeros(2 * APART, np.int64)  # given at 0, done at APART
        self.given = self.begun = 0
        self.work: Work | None = None
        self.error: BaseException | None = None
        self.asleep = False
        self.bell = threading.Semaphore(0)
        self.thread = threading.Thread(target=self._run, name="minicnn", daemon=True)
        self.thread.start()

    def give(self, work: Work | None) -> None:
        """Let the thread take part in some work; None ends the thread."""
        self.given += 1
        self.work = work
        self.board[0] = self.given
        if self.asleep:
            keep_off_this_core(self.thread.native_id)
            self.bell.release()

    def join(self) -> BaseException | None:
        """Wait for what the thread has begun, if anything, and return what went wrong there."""
        done = self.board[APART]
        while done < self.begun:
            done = await_change(self.board, APART, done, LOOKS)
        error, self.error = self.error, None
        return error

    def _run(self) -> None:
        seen = 0
        while True:
            while (given := report_and_await(self.board, seen, LOOKS, HEAD_START)) == seen:
                self.asleep = True  # from here on `give` rings; it may have given just before
                if self.board[0] == seen:
                    self.bell.acquire()
                self.asleep = False
            self.begun = seen = given  # before it looks for a range: who finds none left need not wait
            work = self.work
            if work is None:
                return
            try:
                work.do()
            except BaseException as error:  # for the caller, who joins
                self.error = error
            del work


class Team:
    """The caller and some helpers, who share the ranges of one piece of work.

    A helper that did not wake up in time costs nothing: the caller does its part too. But to wake it costs
    the caller up to 100 µs, so the caller does its work alone until there has been enough of it.

    >>> squares, team = [0] * 5, Team(2)
    >>> def fill(start, stop):
    ...     for i in range(start, stop):
    ...         squares[i] = i * i
    >>> team.share(fill, [(0, 2), (2, 5)])
    >>> squares
    [0, 1, 4, 9, 16]
    >>> team.dismiss()
    """

    def __init__(self, size: int) -> None:
        self.helpers = [Helper() for _ in range(size - 1)]
        self.missed = 0  # how much work was done while somebody slept

    def share(
        self, function: Callable, ranges: list[tuple[int, int]], size: int = 0, enough: int = 0
    ) -> None:
        """Call function(start, stop) on every range, each in the thread that takes it.

        Those who sleep are left alone until the sizes of the work that they missed add up to `enough`.
        """
        helpers = self.helpers[: len(ranges) - 1]
        if any(helper.asleep for helper in helpers):
            self.missed += size
            if self.missed < enough:
                helpers = [helper for helper in helpers if not helper.asleep]
            else:
                self.missed = 0
        if not helpers:
            function(ranges[0][0], ranges[-1][1])
            return
        work = Work(function, ranges)
        for helper in helpers:
            helper.give(work)
        try:
            work.do()
        finally:
            work.ranges.clear()
            errors = [helper.join() for helper in self.helpers]  # all of them, before anything is raised
        for error in errors:
            if error is not None:
                raise error

    def dismiss(self) -> None:
        """Let all threads end."""
        for helper in self.helpers:
            helper.give(None)
