"""Rows that go to memory past the caches.

Who writes a number to a line that is in no cache has the line fetched first, for the sake of what else lies in it;
later it is put back. If the whole line is written, nobody needed what was fetched, and if there are more lines than
the caches hold, those that the next kernel wants to read first are gone anyway, pushed out by the last:

    written into the cache     line comes  ── written ── line goes      twice to memory and back
    written past it                           written ── line goes      once

Fewer lines stay in the cache until they are read, and had better go there.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from minicnn.kernels.compiling import inner
from minicnn.kernels.registers import REGISTER_BYTES
from minicnn.kernels.vector import element_address, load

LARGE = 2**25  # bytes: a third cache is as large, at least that part of it which a process has for itself


def can_stream(target, features: int, lanes: int) -> bool:
    """Return whether rows of so many numbers of flat `target` are to be written past the caches, and can be.

    Each of their vectors must begin at a multiple of its size.

    >>> import numpy as np
    >>> can_stream(np.empty(64, np.float32), 16, 16)
    False
    """
    whole = features % lanes == 0 and target.ctypes.data % REGISTER_BYTES == 0
    return target.nbytes > LARGE and whole


@intrinsic
def stream(typing, array, index, value):
    """Do what `vector.store` does, past the caches: array[index] must begin at a multiple of the vector's size."""

    def generate(context, builder, signature, arguments):
        address = element_address(context, builder, signature, arguments)
        place = builder.bitcast(address, context.get_value_type(value).as_pointer())
        told = builder.store(arguments[2], place, align=REGISTER_BYTES)
        told.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
        return context.get_dummy_value()

    return types.void(array, types.intp, value), generate


@intrinsic
def arrived(typing):
    """Wait until everything is in memory that was sent there: other threads are told afterwards that it is."""

    def generate(context, builder, signature, arguments):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


@inner
def stream_rows(source, begin, target, place, rows, width, down, lanes):
    """Copy `rows` rows of `width` numbers, whole vectors, that follow each other, to rows that are `down` apart."""
    for _ in range(rows):
        for x in range(0, width, lanes):
            stream(target, place + x, load(source, begin + x))
        begin, place = begin + width, place + down
    arrived()
