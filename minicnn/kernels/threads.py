"""The one owner of threads: kernels that release Python's lock, run on equal parts of their work.

Who computes a part never changes its bits: a part is a range of images, of filters or of rows, and each
number is made by one part from beginning to end. So any number of threads gives the same result.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

# Waking a second thread costs some 20 µs; work of fewer multiply-adds than this is done by then.
WORTH_A_THREAD = 500_000

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_in_worker = threading.local()


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
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_threads = default_threads()


def get_num_threads() -> int:
    """Return how many threads the kernels use.

    >>> get_num_threads() >= 1
    True
    """
    return _threads


def set_num_threads(count: int) -> None:
    """Let the kernels use so many threads; results keep the same bits.

    >>> before = get_num_threads()
    >>> set_num_threads(3)
    >>> get_num_threads()
    3
    >>> set_num_threads(before)
    """
    global _threads, _pool
    if isinstance(count, bool) or not isinstance(count, int):
        raise TypeError(
            f"set_num_threads: count must be an integer. Got {count!r} ({type(count).__name__}). Pass an int."
        )
    if count < 1:
        raise ValueError(f"set_num_threads: count must be at least 1. Got {count}. Pass a larger number.")
    with _lock:
        _threads, _pool = count, None  # threads of the old pool end when their work is done


def share(function: Callable[[int, int], None], size: int, work: int) -> None:
    """Call ``function(start, stop)`` on ranges that together are 0 .. size - 1.

    Parameters
    ----------
    function : callable
        Works on one range; releases Python's lock while it does.
    size : int
        How many pieces there are.
    work : int
        Multiply-adds of all pieces together; little work stays in the calling thread.

    Examples
    --------
    >>> squares = [0] * 5
    >>> def fill(start, stop):
    ...     for i in range(start, stop):
    ...         squares[i] = i * i
    >>> share(fill, 5, work=10**9)
    >>> squares
    [0, 1, 4, 9, 16]
    """
    parts = min(_threads, size) if work >= WORTH_A_THREAD and not getattr(_in_worker, "yes", False) else 1
    if parts <= 1:
        function(0, size)
        return
    edges = [size * part // parts for part in range(parts + 1)]
    others = [_workers().submit(function, *edges[part : part + 2]) for part in range(1, parts)]
    try:
        function(*edges[:2])
    finally:
        for other in others:
            other.result()


def _workers() -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max(_threads - 1, 1), "minicnn", initializer=_mark_worker)
        return _pool


def _mark_worker() -> None:
    _in_worker.yes = True  # a worker that called `share` would wait for itself


def _forget_pool() -> None:
    """A forked child has none of its parent's threads, and perhaps its lock in a locked state."""
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
