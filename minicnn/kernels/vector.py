"""Vectors in Numba: a handful of numbers in one register of the CPU, and what can be done with them.

Numba compiles loops, and LLVM decides whether to keep their sums in registers; for a tile of twelve sums
it usually decides to go through memory. With these functions the tile is written down instead of hoped
for. A vector has as many lanes as the machine's registers hold (8 float32 with AVX2, 16 with AVX-512,
4 with Arm's NEON), and half as many float64.

    v = load(array, i)              array[i], array[i + 1], ... of a flat array
    store(array, i, v)
    v = load_bytes(array, i, like)  small whole numbers of a flat array of bytes, as floats of another's dtype
    v = broadcast(array, i)         array[i] in every lane
    v = spread(array, n)            the whole number n in every lane, of the array's dtype
    v = multiply_add(a, b, c)       a · b + c, rounded once where the CPU can
    v = relu(a, b)                  a + b, with 0 in place of what is 0 or less; NaN stays
    v = evens(a, b), odds(a, b)     every second lane of the two laid end to end, from the first or second on
    v = lower_pairs(a, b)           a0 b0 a1 b1 ..., half of both; upper_pairs(a, b) is the other half
    v = where_equal(a, b, c)        c where a = b, else 0
    v = winner(a, b, c, d)          c where a > b or a is NaN, else d
    v = unless_zero(a, c, d)        c where a > 0 or a is NaN, else d
    v = add(a, b), subtract(a, b)   a + b, a - b
    v = multiply(a, b), divide(a, b)   a · b, a / b
    v = exp(a)                      e to the a, where a is 0 or less, or NaN (see `exponential`)
    v = expm1(a)                    the same less one, with all digits where a is near 0
    v = larger(a, b)                a where a > b, else b, also if one is NaN
    v = smaller(a, b)               b where a > b, else a, also if one is NaN
    v = total(a)                    the sum of all lanes, in every lane
    v = largest(a)                  the largest of all lanes, in every lane, if none is NaN
    x = first(a)                    one number: that of the first lane
    n = lanes_in(array)             how many lanes, of the array's dtype; the compiler knows it, and can put
                                    multiples of it into the addresses of loads

    x = read(array, i)              one number: array[i] without asking whether i is negative,
    write(array, i, x)              a question that keeps LLVM from making vectors of a plain loop

None of them looks at bounds: who calls them makes sure that i .. i + lanes - 1 lie in the flat array.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minicnn.kernels import exponential
from minicnn.kernels.registers import VectorType


def element_address(context, builder, signature, arguments):
    """Return the address of array[index]: the first two arguments of the intrinsics here."""
    array_type = signature.args[0]
    data = cgutils.create_struct_proxy(array_type)(context, builder, arguments[0]).data
    return builder.gep(data, [arguments[1]])


@intrinsic
def lanes_in(typing, array):
    def generate(context, builder, signature, arguments):
        return context.get_constant(types.intp, VectorType(array.dtype).lanes)

    return types.intp(array), generate


@intrinsic
def load(typing, array, index):
    vector = VectorType(array.dtype)

    def generate(context, builder, signature, arguments):
        address = element_address(context, builder, signature, arguments)
        lanes = context.get_value_type(vector)
        result = builder.load(builder.bitcast(address, lanes.as_pointer()))
        result.align = array.dtype.bitwidth // 8
        return result

    return vector(array, types.intp), generate


@intrinsic
def load_bytes(typing, array, index, like):
    vector = VectorType(like.dtype)

    def generate(context, builder, signature, arguments):
        lanes = context.get_value_type(vector)
        address = element_address(context, builder, signature, arguments)
        small = builder.load(
            builder.bitcast(address, ir.VectorType(ir.IntType(8), vector.lanes).as_pointer())
        )
        small.align = 1
        return builder.uitofp(small, lanes)

    return vector(array, types.intp, like), generate


@intrinsic
def store(typing, array, index, value):
    def generate(context, builder, signature, arguments):
        address = element_address(context, builder, signature, arguments)
        place = builder.bitcast(address, context.get_value_type(value).as_pointer())
        builder.store(arguments[2], place, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), generate


def spread_number(builder, number, vector_type):
    """Return a vector with `number` in every lane."""
    empty, first = ir.Constant(vector_type, ir.Undefined), ir.Constant(ir.IntType(32), 0)
    one = builder.insert_element(empty, number, first)
    mask = ir.Constant(ir.VectorType(ir.IntType(32), vector_type.count), None)
    return builder.shuffle_vector(one, empty, mask)


@intrinsic
def broadcast(typing, array, index):
    vector = VectorType(array.dtype)

    def generate(context, builder, signature, arguments):
        number = builder.load(element_address(context, builder, signature, arguments))
        return spread_number(builder, number, context.get_value_type(vector))

    return vector(array, types.intp), generate


@intrinsic
def spread(typing, array, number):
    vector = VectorType(array.dtype)

    def generate(context, builder, signature, arguments):
        lanes = context.get_value_type(vector)
        return spread_number(builder, builder.sitofp(arguments[1], lanes.element), lanes)

    return vector(array, types.int64), generate


@intrinsic
def multiply_add(typing, a, b, c):
    def generate(context, builder, signature, arguments):
        return exponential.multiply_add(builder, *arguments)

    return a(a, a, a), generate


@intrinsic
def relu(typing, a, b):
    def generate(context, builder, signature, arguments):
        total, nothing = builder.fadd(*arguments), ir.Constant(context.get_value_type(a), None)
        return builder.select(builder.fcmp_ordered("<=", total, nothing), nothing, total)

    return a(a, a), generate


def _every_second(first: int):
    """Return the intrinsic that takes lane `first` and every second one after it."""

    def intrinsic_of(typing, a, b):
        def generate(context, builder, signature, arguments):
            lanes = ir.VectorType(ir.IntType(32), a.lanes)
            return builder.shuffle_vector(*arguments, ir.Constant(lanes, list(range(first, 2 * a.lanes, 2))))

        return a(a, a), generate

    return intrinsic(intrinsic_of)


evens, odds = _every_second(0), _every_second(1)


def _pairs(first: int):
    """Return the intrinsic that lays lane after lane of two vectors in turns, half of them, from `first` on."""

    def intrinsic_of(typing, a, b):
        def generate(context, builder, signature, arguments):
            numbers, half = ir.VectorType(ir.IntType(32), a.lanes), first * a.lanes // 2
            order = [half + lane // 2 + lane % 2 * a.lanes for lane in range(a.lanes)]
            return builder.shuffle_vector(*arguments, ir.Constant(numbers, order))

        return a(a, a), generate

    return intrinsic(intrinsic_of)


lower_pairs, upper_pairs = _pairs(0), _pairs(1)


@intrinsic
def winner(typing, a, b, c, d):
    def generate(context, builder, signature, arguments):
        a_value, b_value, c_value, d_value = arguments
        larger = builder.fcmp_ordered(">", a_value, b_value)
        nan = builder.fcmp_unordered("uno", a_value, a_value)
        return builder.select(builder.or_(larger, nan), c_value, d_value)

    return a(a, a, a, a), generate


@intrinsic
def where_equal(typing, a, b, c):
    def generate(context, builder, signature, arguments):
        a_value, b_value, c_value = arguments
        nothing = ir.Constant(context.get_value_type(a), None)
        return builder.select(builder.fcmp_ordered("==", a_value, b_value), c_value, nothing)

    return a(a, a, a), generate


@intrinsic
def unless_zero(typing, a, c, d):
    def generate(context, builder, signature, arguments):
        nothing = ir.Constant(context.get_value_type(a), None)
        return builder.select(builder.fcmp_ordered("<=", arguments[0], nothing), arguments[2], arguments[1])

    return a(a, a, a), generate


def _lane_by_lane(combine):
    """Return the intrinsic that combines two vectors."""

    def intrinsic_of(typing, a, b):
        def generate(context, builder, signature, arguments):
            return combine(builder, *arguments)

        return a(a, a), generate

    return intrinsic(intrinsic_of)


def _larger(builder, a, b):
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


add, subtract = _lane_by_lane(ir.IRBuilder.fadd), _lane_by_lane(ir.IRBuilder.fsub)
multiply, divide = _lane_by_lane(ir.IRBuilder.fmul), _lane_by_lane(ir.IRBuilder.fdiv)
larger = _lane_by_lane(_larger)
smaller = _lane_by_lane(lambda builder, a, b: builder.select(builder.fcmp_ordered(">", a, b), b, a))


def _all_lanes(combine):
    """Return the intrinsic that combines all lanes: neighbours first, then pairs, then fours, ..."""

    def intrinsic_of(typing, a):
        def generate(context, builder, signature, arguments):
            (value,) = arguments
            numbers, apart = ir.VectorType(ir.IntType(32), a.lanes), 1
            while apart < a.lanes:
                turned = ir.Constant(numbers, [(lane + apart) % a.lanes for lane in range(a.lanes)])
                value, apart = (
                    combine(builder, value, builder.shuffle_vector(value, value, turned)),
                    2 * apart,
                )
            return value

        return a(a), generate

    return intrinsic(intrinsic_of)


total, largest = _all_lanes(ir.IRBuilder.fadd), _all_lanes(_larger)


@intrinsic
def first(typing, a):
    def generate(context, builder, signature, arguments):
        return builder.extract_element(arguments[0], ir.Constant(ir.IntType(32), 0))

    return a.dtype(a), generate


def _exponential(less_one: bool):
    """Return the intrinsic of e^x, or of e^x - 1."""

    def intrinsic_of(typing, a):
        def generate(context, builder, signature, arguments):
            return exponential.exponential(builder, arguments[0], a, less_one)

        return a(a), generate

    return intrinsic(intrinsic_of)


exp, expm1 = _exponential(less_one=False), _exponential(less_one=True)


@intrinsic
def read(typing, array, index):
    def generate(context, builder, signature, arguments):
        return builder.load(element_address(context, builder, signature, arguments))

    return array.dtype(array, types.intp), generate


@intrinsic
def write(typing, array, index, value):
    def generate(context, builder, signature, arguments):
        builder.store(arguments[2], element_address(context, builder, signature, arguments))
        return context.get_dummy_value()

    return types.void(array, types.intp, array.dtype), generate
