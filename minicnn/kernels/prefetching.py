"""Lines of the cache that come from memory while others are multiplied.

A core waits some 100 ns for a number that is in no cache, also for one that it will only write. By itself it fetches
what lies behind that which was read last, but only up to the end of a page of memory (4096 bytes, a plane of 32x32
float32), and not before the first lines of the next page have been missed. So a loop that reads a plane and then
multiplies it first waits, then works:

    plane 1 comes    multiply plane 1                       plane 2 comes    multiply plane 2
    plane 1 comes    multiply plane 1 and prefetch plane 2                   multiply plane 2 and prefetch plane 3

    prefetch(array, i)      let array[i], and what shares its line, come to the second cache; nobody waits
    claim(array, i)         let them come to the first cache, and to no other core's, because they will be written

Nothing is read or written, so `i` may be any number. Where the caches have everything anyway, it costs next to nothing
in a loop that is limited by its arithmetic.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from minicnn.kernels.vector import element_address

READ, WRITE, SECOND_CACHE, FIRST_CACHE, DATA = 0, 1, 2, 3, 1  # arguments of LLVM's prefetch


def _prefetch(why: int, where: int):
    """Return the intrinsic that fetches a line of the cache."""

    def intrinsic_of(typing, array, index):
        def generate(context, builder, signature, arguments):
            line, number = ir.IntType(8).as_pointer(), ir.IntType(32)
            address = builder.bitcast(element_address(context, builder, signature, arguments), line)
            kind = ir.FunctionType(ir.VoidType(), [line, number, number, number])
            function = builder.module.declare_intrinsic("llvm.prefetch", (line,), kind)
            builder.call(function, [address, number(why), number(where), number(DATA)])
            return context.get_dummy_value()

        return types.void(array, types.intp), generate

    return intrinsic(intrinsic_of)


prefetch, claim = _prefetch(READ, SECOND_CACHE), _prefetch(WRITE, FIRST_CACHE)
