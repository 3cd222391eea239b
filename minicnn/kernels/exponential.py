"""e to the x for a whole vector, as LLVM instructions: the compiler has it for single numbers only.

    x = k · log 2 + r        k the nearest whole number, so |r| ≤ 0.35
    e^x = 2^k · e^r          2^k is a float with nothing but an exponent; e^r = 1 + r + r²/2 + ... + rⁿ/n!

`k` is rounded by adding a number so large that no digit behind the point has room beside it; its last bits
are then k itself. `log 2` is cut in two, the first so short that k times it is exact.

For x of 0 or less, as softmax and the sigmoid have it, and NaN, which stays. Off by 1 unit in the last place at
most (by 1.2 on a CPU that rounds between multiplication and addition); what is too small for full precision is 0.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import NamedTuple

from llvmlite import ir
from numba.core import cgutils

LOG_2 = Decimal("0.693147180559945309417232121458176568")


class Float(NamedTuple):
    """What `exponential` must know of a float: its bits, and where e^x ends."""

    bits: int
    fraction: int  # bits of the fraction
    bias: int  # of the exponent
    degree: int  # of the series: 0.35ⁿ⁺¹ / (n + 1)! is less than half a unit in the last place
    low: float  # below it, e^x is so small that it is taken for 0


FLOATS = {
    32: Float(32, 23, 127, 7, -126 * math.log(2)),
    64: Float(64, 52, 1023, 13, -1022 * math.log(2)),
}


def split_log_2(fraction: int) -> tuple[float, float]:
    """Return log 2 as a number of few bits, and the rest.

    >>> high, low = split_log_2(23)
    >>> high * 2**12 == int(high * 2**12), abs(high + low - math.log(2)) < 1e-16
    (True, True)
    """
    step = 2 ** (fraction // 2 + 1)
    high = round(LOG_2 * step) / step
    return high, float(LOG_2 - Decimal(high))


def multiply_add(builder, a, b, c):
    """Add the instruction for a · b + c to `builder`, rounded once where the CPU can, and return the result."""
    bits = 32 if isinstance(a.type.element, ir.FloatType) else 64
    function = ir.FunctionType(a.type, [a.type] * 3)
    name = f"llvm.fmuladd.v{a.type.count}f{bits}"
    return builder.call(cgutils.get_or_insert_function(builder.module, function, name), [a, b, c])


def exponential(builder, x, vector_type, less_one: bool):
    """Add the instructions for e^x, or e^x - 1, to `builder`, and return the result.

    ``e^x - 1 = 2^k · (e^r - 1) + (2^k - 1)``: near 0, where k is 0, no digits are lost.

    >>> import numpy as np
    >>> from numba import njit
    >>> from minicnn.kernels.vector import exp, load, store
    >>> numbers = np.log(np.arange(1.0, 17))
    >>> njit(lambda array: store(array, 0, exp(load(array, 0))))(numbers)
    >>> numbers[:2].round(12)
    array([1., 2.])
    """
    form = FLOATS[vector_type.dtype.bitwidth]
    floats, integers = x.type, ir.VectorType(ir.IntType(form.bits), vector_type.lanes)

    def same(number, kind=floats):
        return ir.Constant(kind, [number] * vector_type.lanes)

    large = 1.5 * 2**form.fraction
    shifted = multiply_add(builder, x, same(1 / math.log(2)), same(large))
    k = builder.fsub(shifted, same(large))
    high, low = split_log_2(form.fraction)
    r = multiply_add(builder, k, same(-low), multiply_add(builder, k, same(-high), x))
    total = same(1 / math.factorial(form.degree))
    for power in reversed(range(1, form.degree)):
        total = multiply_add(builder, total, r, same(1 / math.factorial(power)))
    total = multiply_add(builder, total, r, same(0.0 if less_one else 1.0))
    bits = builder.bitcast(shifted, integers)  # all but the last are shifted out
    exponent = builder.shl(builder.add(bits, same(form.bias, integers)), same(form.fraction, integers))
    scale = builder.bitcast(exponent, floats)
    if less_one:
        total = multiply_add(builder, total, scale, builder.fsub(scale, same(1.0)))
    else:
        total = builder.fmul(total, scale)
    nothing = same(-1.0 if less_one else 0.0)
    return builder.select(builder.fcmp_ordered("<", x, same(form.low)), nothing, total)
