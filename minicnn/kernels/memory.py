"""Where the fast rung's large outputs lie: in memory that earlier outputs have left, if there is any.

New memory comes from the operating system, which hands it out page by page, each filled with zeros when it is
first written to: for a large output that takes longer than to compute it, and two threads wait for each other
meanwhile. A training step needs arrays of the same sizes as the step before. So when nobody uses an output any
more, its memory is kept for the next one of its size:

    step 1      output A  ──── model.saved ────┐ nobody has A
    step 2                                     └─ output B in A's memory ──── ...
"""

from __future__ import annotations

import math
import os
import threading
from functools import lru_cache

import numpy as np

from minicnn.kernels.registers import LINE
from minicnn.kernels.score import listening

WORTH_KEEPING = 2**15  # numbers: for 128 KiB and more the C library asks the system, and gives back at once
KEPT = 2**28  # bytes that may wait for their next use; what was used longest ago goes first


class Memory(np.ndarray):
    """Bytes that have an owner for as long as they are lent, and wait in the pool else."""


class Lease(np.ndarray):
    """A view of lent memory, in which all arrays that lie there have their base; when the last is gone, it goes back.

    >>> memory = np.zeros(2**17, np.uint8).view(Memory)
    >>> array = memory.view(Lease).view(np.float32, np.ndarray)
    >>> type(array), type(array[1:].base.base)
    (<class 'numpy.ndarray'>, <class 'minicnn.kernels.memory.Lease'>)
    """

    def __del__(self) -> None:
        if type(self.base) is Memory:  # else NumPy has made this one, out of a lease
            _pool.take_back(self.base)


class Pool:
    """Memory that waits to be used again, by its size in bytes.

    Nobody ever waits for the pool: who finds it busy takes new memory, or lets the old go.

    >>> pool = Pool()
    >>> memory = pool.lend(2**17)
    >>> pool.take_back(memory)
    >>> pool.lend(2**17) is memory, pool.lend(2**17) is memory
    (True, False)
    """

    def __init__(self) -> None:
        self.waiting: dict[int, list[Memory]] = {}  # the size that has waited longest comes first
        self.size = 0
        self.busy = threading.Lock()

    def lend(self, size: int) -> Memory:
        """Return so many bytes, in which anything may stand."""
        if self.busy.acquire(blocking=False):
            try:
                if size in self.waiting:
                    return self._take(size)
            finally:
                self.busy.release()
        room = np.empty(size + LINE, np.uint8)
        begin = -room.__array_interface__["data"][0] % LINE
        return room[begin : begin + size].view(Memory)

    def take_back(self, memory: Memory) -> None:
        """Keep the memory until it is lent again, or until there is too much of it."""
        if self.busy.acquire(blocking=False):
            try:
                self.waiting.setdefault(memory.size, []).append(memory)
                self.size += memory.size
                while self.size > KEPT:
                    self._take(next(iter(self.waiting)))
            finally:
                self.busy.release()

    def _take(self, size: int) -> Memory:
        alike = self.waiting[size]
        memory = alike.pop()
        if not alike:
            del self.waiting[size]
        self.size -= size
        return memory


_pool = Pool()


def empty(shape, dtype) -> np.ndarray:
    """Return an array in which anything may stand, as np.empty does.

    >>> output = empty((2, 3, 256, 256), np.float32)
    >>> output.shape, output.dtype, output.flags.carray
    ((2, 3, 256, 256), dtype('float32'), True)
    >>> place = output.ctypes.data
    >>> del output
    >>> empty((6, 2**16), np.float32).ctypes.data == place
    True
    """
    numbers = math.prod(shape)
    if numbers < WORTH_KEEPING:
        array = np.empty(shape, dtype)
    else:
        memory = _pool.lend(numbers * np.dtype(dtype).itemsize)
        array = memory.view(Lease).view(dtype, np.ndarray).reshape(shape)
    if listening:
        _tell("given", array)
    return array


def flag(dtype) -> np.ndarray:
    """Return a single zero, for a kernel to raise if something is not as it should be.

    >>> flag(np.float32)
    array([0.], dtype=float32)
    """
    array = np.zeros(1, dtype)
    if listening:
        _tell("flags", array)
    return array


def nothing(count: int, dtype) -> np.ndarray:
    """Return zeros that are only read, such as the bias of a layer that has none: the same array for all.

    >>> nothing(2, np.dtype(np.float32))
    array([0., 0.], dtype=float32)
    """
    array = _zeros_for_all(count, dtype)
    if listening:
        _tell("constants", array)
    return array


@lru_cache(maxsize=64)
def _zeros_for_all(count: int, dtype) -> np.ndarray:
    return np.zeros(count, dtype)


def _tell(what: str, array: np.ndarray) -> None:
    """Let whoever hears this thread know of an array."""
    recorder = listening.get(threading.get_ident())
    if recorder is not None:
        recorder.hear_array(what, array)


def _forget(array: np.ndarray) -> None:
    recorder = listening.get(threading.get_ident())
    if recorder is not None:
        recorder.given = [one for one in recorder.given if one is not array]


def zeros(shape, dtype) -> np.ndarray:
    """Return an array of zeros, as np.zeros does.

    >>> zeros((2, 2), np.float64)
    array([[0., 0.],
           [0., 0.]])
    """
    array = empty(shape, dtype)
    if listening:
        _forget(array)  # for nobody hears that NumPy fills it
    array[...] = 0
    return array


def _forget_pool() -> None:
    """A forked child may find its parent's pool busy for ever, and has none of its other threads."""
    global _pool
    _pool = Pool()
    listening.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
