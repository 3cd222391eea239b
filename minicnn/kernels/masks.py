"""Vectors in part, for rows that are shorter than a vector: the other lanes touch no memory.

    v = load_some(array, i, count)      array[i], ..., array[i + count - 1], and 0 in the other lanes
    store_some(array, i, v, count)      the first `count` lanes of v

A `count` of 0 or less is none, one larger than a vector all of it. AVX-512 has such instructions, and AVX2 has
them, slower; elsewhere LLVM asks lane by lane. Bounds are looked at by who calls, as in `vector`.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minicnn.kernels.registers import VectorType
from minicnn.kernels.vector import element_address, spread_number


def _first_lanes(builder, count, lanes: int):
    """Return a mask of the first `count` lanes: a vector of truths."""
    numbers = ir.VectorType(ir.IntType(64), lanes)
    return builder.icmp_signed(
        "<", ir.Constant(numbers, list(range(lanes))), spread_number(builder, count, numbers)
    )


def _alignment(array):
    """Return how many bytes the numbers of an array lie apart: a vector may begin at any of them."""
    return ir.IntType(32)(array.dtype.bitwidth // 8)


def _masked(builder, verb: str, result, vector_type, arguments):
    """Call LLVM's masked load or store of a vector; an old LLVM, whose addresses have types, corrects the name."""
    bits = 32 if isinstance(vector_type.element, ir.FloatType) else 64
    form = ir.FunctionType(result, [argument.type for argument in arguments])
    name = f"llvm.masked.{verb}.v{vector_type.count}f{bits}.p0"
    return builder.call(cgutils.get_or_insert_function(builder.module, form, name), arguments)


@intrinsic
def load_some(typing, array, index, count):
    vector = VectorType(array.dtype)

    def generate(context, builder, signature, arguments):
        lanes = context.get_value_type(vector)
        address = builder.bitcast(element_address(context, builder, signature, arguments), lanes.as_pointer())
        mask, zeros = _first_lanes(builder, arguments[2], lanes.count), ir.Constant(lanes, None)
        return _masked(builder, "load", lanes, lanes, [address, _alignment(array), mask, zeros])

    return vector(array, types.intp, types.intp), generate


@intrinsic
def store_some(typing, array, index, value, count):
    def generate(context, builder, signature, arguments):
        lanes = context.get_value_type(value)
        address = builder.bitcast(element_address(context, builder, signature, arguments), lanes.as_pointer())
        mask = _first_lanes(builder, arguments[3], lanes.count)
        _masked(builder, "store", ir.VoidType(), lanes, [arguments[2], address, _alignment(array), mask])
        return context.get_dummy_value()

    return types.void(array, types.intp, value, types.intp), generate
