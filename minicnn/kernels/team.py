"""A team of threads that stay awake between two pieces of work, so that sharing pays for small ones too.

To wake a sleeping thread takes the operating system 50 to 100 µs; a convolution of one image takes 50. So
a helper that has nothing to do looks at the `board` for a few milliseconds before it goes to sleep:

    caller   ── hand out, own pieces ─ all done ── Python ── hand out, own pieces ─ all done ──
                     ↓                                          ↓
    helper   ── look ┴─ pieces ─ look ───────────────────── look ┴─ pieces ─ look ── ...   asleep until woken
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable

from minicnn.kernels.board import FAILED, LEFT, MEMBERS, PIECES, SIZE, help_out, new_board

LOOKS = 100_000  # at some 20 to 50 ns each
NOBODY = new_board()  # for who works alone

try:
    current_core = ctypes.CDLL(None).sched_getcpu
except (AttributeError, OSError, TypeError):  # only Linux tells, and lets a thread choose
    current_core = None


def keep_off_this_core(thread_id: int) -> None:
    """Let a thread run on any core that this process may use, except the one that the caller is on.

    The system likes to wake a thread on the core of whoever wakes it. There the two would take turns, for
    some milliseconds, until it sees that another core has nothing to do.

    >>> helper = Helper(new_board())
    >>> keep_off_this_core(helper.thread.native_id)     # does nothing if there is no other core
    >>> helper.go_home()
    """
    if current_core is None:
        return
    others = os.sched_getaffinity(0) - {current_core()}
    if others:
        with contextlib.suppress(OSError):  # the thread has ended, or may not be told
            os.sched_setaffinity(thread_id, others)


class Helper:
    """One thread of a team, which looks at its board, or sleeps.

    >>> helper = Helper(new_board())
    >>> helper.thread.is_alive()
    True
    >>> helper.go_home()                                # the thread ends
    >>> helper.thread.join()
    """

    def __init__(self, board) -> None:
        self.board = board
        self.asleep = False
        self.bell = threading.Semaphore(0)
        self.thread = threading.Thread(target=self._run, name="minicnn", daemon=True)
        self.thread.start()

    def wake(self) -> None:
        """Let a sleeping thread look at the board again, on a core of its own if there is one."""
        keep_off_this_core(self.thread.native_id)
        self.bell.release()

    def go_home(self) -> None:
        """Let the thread end, and all others at this board."""
        self.board[LEFT] = -1
        self.bell.release()

    def _run(self) -> None:
        while help_out(self.board, LOOKS) >= 0:
            self.asleep = True
            if self.board[LEFT] == 0:  # else it was given something, or sent home, just before
                self.bell.acquire()
            self.asleep = False


class Team:
    """The caller and some helpers, who share the pieces of one kernel's work.

    A helper that did not wake up in time costs nothing: the caller does its part too. But to wake it costs
    the caller up to 100 µs, so the caller does its work alone until there has been enough of it.

    >>> from numba import njit
    >>> from minicnn.kernels.board import handed_out
    >>> @njit(nogil=True)
    ... def fill_squares(squares, board, start, stop):
    ...     if handed_out(board, start, stop):
    ...         return
    ...     for i in range(start, stop):
    ...         squares[i] = i * i
    >>> import numpy as np
    >>> squares, team = np.zeros(5), Team(2)
    >>> team.share(fill_squares, (squares,), size=5, pieces=2)
    >>> squares
    array([ 0.,  1.,  4.,  9., 16.])
    >>> team.dismiss()
    """

    def __init__(self, size: int) -> None:
        self.board = new_board()
        self.board[MEMBERS] = size
        self.helpers = [Helper(self.board) for _ in range(size - 1)]
        self.missed = 0  # how much work was done while somebody slept

    def share(
        self, kernel: Callable, arguments: tuple, size: int, pieces: int, work: int = 0, enough: int = 0
    ) -> None:
        """Call ``kernel(*arguments, board, start, stop)`` on ranges that together are 0 .. size - 1.

        For `work` and `enough` see `summon`. If a piece fails, whoever did it, the caller does the whole range
        again alone, and meets the error itself.
        """
        if not self.summon(work, enough):
            kernel(*arguments, NOBODY, 0, size)
            return
        self.board[SIZE], self.board[PIECES] = size, pieces
        kernel(*arguments, self.board, 0, 0)
        if self.board[FAILED]:
            self.board[FAILED] = 0
            kernel(*arguments, NOBODY, 0, size)

    def summon(self, work: int, enough: int) -> bool:
        """Return whether anybody but the caller is there for so much work.

        Those who sleep are left alone until what they missed adds up to `enough`; then they are woken.
        """
        asleep = [helper for helper in self.helpers if helper.asleep]
        if not asleep:
            return True
        self.missed += work
        if self.missed >= enough:
            self.missed = 0
            for helper in asleep:
                helper.wake()
            return True
        return len(asleep) < len(self.helpers)

    def is_awake(self) -> bool:
        """Return whether all helpers look at the board."""
        return not any(helper.asleep for helper in self.helpers)

    def dismiss(self) -> None:
        """Let all threads end."""
        for helper in self.helpers:
            helper.go_home()
