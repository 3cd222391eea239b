"""Three vectors side by side: one filter's row of a tile of sums, in registers (see `tiles`).

    x = loaded(array, p, q, r)      the vectors that begin at array[p], array[q] and array[r]
    a = held(array, i, lanes)       three vectors that lie one behind the other from array[i] on
    a = added(a, x, w)              a + x · w, vector by vector, with the same vector w for all three
    put(array, i, a, lanes)         write them, one behind the other

A tuple costs nothing here: LLVM takes it apart, and what is in it stays in registers.
"""

from __future__ import annotations

from minicnn.kernels.compiling import inner
from minicnn.kernels.registers import REGISTERS
from minicnn.kernels.vector import load, multiply_add, store

VECTORS = 3
EIGHT = REGISTERS >= 32  # rows at once: 24 sums, 3 cells and a weight; with 16 registers it is four
BLOCKS = 2 if EIGHT else 1  # of four rows


@inner
def loaded(array, p, q, r):
    """Return three vectors of a flat array."""
    return load(array, p), load(array, q), load(array, r)


@inner
def held(array, i, lanes):
    """Return three vectors of a flat array, one behind the other: what `put` wrote."""
    return loaded(array, i, i + lanes, i + 2 * lanes)


@inner
def added(sums, x, w):
    """Return three vectors of sums, with their products added."""
    return multiply_add(x[0], w, sums[0]), multiply_add(x[1], w, sums[1]), multiply_add(x[2], w, sums[2])


@inner
def put(array, i, sums, lanes):
    """Write three vectors into a flat array, one behind the other."""
    store(array, i, sums[0])
    store(array, i + lanes, sums[1])
    store(array, i + 2 * lanes, sums[2])
