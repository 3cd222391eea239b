"""The physical limits, measured in the same run: how fast this machine multiplies and copies, what cores it has."""

from __future__ import annotations

import numpy as np
from numba import njit

from minicnn import get_num_threads
from minicnn.benchmark.race import Racer, race
from minicnn.kernels.board import handed_out
from minicnn.kernels.threads import RANGES, share


@njit(nogil=True)
def _copy(source, target, board, start, stop):
    if handed_out(board, start, stop):
        return
    target[start:stop] = source[start:stop]


@njit(nogil=True)
def _compute(numbers, board, start, stop):
    """Change a row that fits the first cache again and again."""
    if handed_out(board, start, stop):
        return
    for row in range(start, stop):
        for _ in range(1000):
            for i in range(numbers.shape[1]):
                numbers[row, i] = numbers[row, i] * np.float32(0.5) + np.float32(1)


def compute(rows: int = 100) -> None:
    """Compute for a few milliseconds, without waiting for memory: shared, as long as the cores are there.

    Two virtual cores may be one that takes turns, or belong to somebody else for a while: then nothing takes half as
    long on two threads.

    >>> compute(rows=1)
    """
    share(_compute, (np.ones((rows, 2048), np.float32),), rows, rows * 2_048_000, RANGES)


def sgemm_racers(size: int) -> list[Racer]:
    """Return the product of two float32 matrices in NumPy's BLAS, and in torch's if it is installed.

    >>> sgemm_racers(8)[0].name
    'NumPy'
    """
    from minicnn.benchmark.entrants import is_installed

    rng = np.random.default_rng(0)
    left, right = rng.random((2, size, size), dtype=np.float32)
    product = np.empty_like(left)
    racers = [Racer("NumPy", lambda: np.matmul(left, right, out=product))]
    if is_installed("torch"):
        import torch

        tensors = [torch.from_numpy(array) for array in (left, right, product)]
        racers.append(Racer("torch", lambda: torch.mm(tensors[0], tensors[1], out=tensors[2])))
    return racers


def product_racer(by: str, size: int) -> tuple[Racer, float]:
    """Return the product that takes turns with what is held against it, under the name "sgemm", and its GFLOP.

    >>> racer, work = product_racer("NumPy", 1000)
    >>> racer.name, work
    ('sgemm', 2.0)
    """
    run = next(racer.run for racer in sgemm_racers(size) if racer.name == by)
    return Racer("sgemm", run), 2 * size**3 / 1e9


def measure(size: int = 1536, megabytes: int = 128, runs: int = 15) -> dict:
    """Return the rate of the fastest `sgemm` and the bandwidth of a copy by all threads.

    Parameters
    ----------
    size : int
        Rows and columns of the matrices; 2 · size³ operations.
    megabytes : int
        Size of the array that is copied: far more than the caches hold.
    runs : int

    Returns
    -------
    dict
        ``sgemm_gflops``, ``sgemm_by``, ``copy_gbytes_per_second`` (read and written bytes both count) and
        ``threads``.

    Examples
    --------
    >>> measure(size=16, megabytes=1, runs=2)["sgemm_by"] in ("NumPy", "torch")
    True
    """
    times = race(sgemm_racers(size), runs)
    fastest = min(times, key=lambda name: times[name].median)
    source = np.ones(megabytes * 2**20, np.uint8)
    target = np.empty_like(source)

    copy = Racer("copy", lambda: share(_copy, (source, target), len(source), len(source)))
    copied = race([copy], runs)["copy"]
    return {
        "sgemm_gflops": 2 * size**3 / times[fastest].median / 1e9,
        "sgemm_by": fastest,
        "copy_gbytes_per_second": 2 * len(source) / copied.median / 1e9,
        "threads": get_num_threads(),
    }
