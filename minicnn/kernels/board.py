"""The board of a team of threads: one call of one kernel, and how much of it is left to do.

A kernel that is shared takes three arguments at the end, and begins with one question:

    @compiled
    def kernel(input, output, board, start, stop):
        if handed_out(board, start, stop):
            return
        for i in range(start, stop): ...

The caller asks for no range, ``kernel(input, output, board, 0, 0)``. Then `handed_out` writes the address of
the kernel and its arguments on the board, and calls the kernel again for one piece after another; whoever of
the team looks at the board meanwhile does the same, until no piece is left:

    caller   kernel(.., 0, 0)   LEFT = 3   kernel(.., 4, 6)   kernel(.., 0, 2)   nobody inside: return
    helper   look  look  look  look  inside   kernel(.., 2, 4)   none left: outside   look  look  look

Where there are more pieces than members of the team, each is smaller than the one taken before it. So nobody waits
long for one whose core is slower, or has another program to run as well. Eight pieces, and a helper half as fast:

    equal     caller  [.......][.......][.......][.......][.......]
              helper  [................][................][................]
    as here   caller  [..............][..........][........][....][..]
              helper  [..........................][..............][..]

All of this is compiled code that has let go of Python's lock: nobody waits for an interpreter, and to hand
over takes less than a microsecond. Numbers that are written while others look at them lie in cache lines of
their own. All reads and writes of LEFT and INSIDE are in one order that all threads agree on (LLVM's
seq_cst). So whoever has gone inside and still sees something left is seen by a caller who sees nothing
left; and the board is written anew only when nobody is inside.
"""

from __future__ import annotations

import platform
from itertools import pairwise

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from minicnn.kernels.compiling import compiled, inner
from minicnn.kernels.vector import element_address

LEFT = 0  # pieces that nobody has taken yet; below 0 the helpers are to go home
UNDER_WAY = 1  # calls and scores that the caller is in: the helpers stay
INSIDE = 16  # helpers who may be reading what follows
ENTRY, SIZE, PIECES, FAILED = 32, 33, 34, 35  # code to call, what it works on, how many pieces, any error
COUNT = 36  # how many arguments the call has
MEMBERS = 37  # of the team; as many pieces, or fewer, are equal
ARGUMENTS = 48  # of the kernel, 8 bytes each
NUMBERS = 512  # of the whole board


def new_board() -> np.ndarray:
    """Return a board with nothing to do.

    >>> new_board().any()
    np.False_
    """
    return np.zeros(NUMBERS, np.int64)


@intrinsic
def look(typing, board, index):
    """Return board[index] as it is in memory now, and let the core rest for a moment."""

    def generate(context, builder, signature, arguments):
        if platform.machine().lower() in ("x86_64", "amd64", "i686"):
            nothing = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, nothing, "llvm.x86.sse2.pause"), [])
        return builder.load_atomic(element_address(context, builder, signature, arguments), "seq_cst", 8)

    return types.int64(board, types.intp), generate


@intrinsic
def post(typing, board, index, value):
    """Write board[index] so that all that was written before is seen by who sees it."""

    def generate(context, builder, signature, arguments):
        address = element_address(context, builder, signature, arguments)
        builder.store_atomic(arguments[2], address, "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(board, types.intp, types.int64), generate


@intrinsic
def count(typing, board, index, value):
    """Add a number to board[index]; two who do so at once are both counted."""

    def generate(context, builder, signature, arguments):
        address = element_address(context, builder, signature, arguments)
        return builder.atomic_rmw("add", address, arguments[2], "seq_cst")

    return types.int64(board, types.intp, types.int64), generate


@intrinsic
def swap(typing, board, index, old, new):
    """Write board[index] if it is still `old`, and return whether it was."""

    def generate(context, builder, signature, arguments):
        address = element_address(context, builder, signature, arguments)
        found = builder.cmpxchg(address, *arguments[2:], "seq_cst")
        return builder.zext(builder.extract_value(found, 1), ir.IntType(8))

    return types.uint8(board, types.intp, types.int64, types.int64), generate


WORD = ir.IntType(64)
PIECE = ir.FunctionType(
    ir.IntType(32), [WORD.as_pointer(), WORD, WORD]
)  # of (board, start, stop): 0, or an error


def number_at(builder, data, index, kind):
    """Return the address of a board's number as that of something else; `data` is that of the first one."""
    return builder.bitcast(builder.gep(data, [ir.Constant(WORD, index)]), kind.as_pointer())


@intrinsic
def write_call(typing, board):
    """Write on the board how the function that this stands in has been called.

    Its arguments go there as they came, and beside them the address of a few instructions that fetch them
    and call the function with another start and stop: its last two arguments. An array comes as a pointer to
    its owner, one to its Python object, then its size and data. The owner counts its users, whenever one
    function hands the array to another; threads that count at the same place wait for each other, so a
    piece gets the array without its owner, and Numba counts nothing.
    """

    def generate(context, builder, signature, arguments):
        function = builder.function
        result, error, *given = function.args
        if len(given) > NUMBERS - ARGUMENTS:
            raise NotImplementedError(f"{function.name} has more arguments than fit on a board")
        data = cgutils.create_struct_proxy(board)(context, builder, arguments[0]).data
        for number, argument in enumerate(given):
            builder.store(argument, number_at(builder, data, ARGUMENTS + number, argument.type))
        builder.store(ir.Constant(WORD, len(given)), number_at(builder, data, COUNT, WORD))

        entry = ir.Function(builder.module, PIECE, builder.module.get_unique_name(function.name + ".piece"))
        entry.linkage = "internal"
        inner = ir.IRBuilder(entry.append_basic_block())
        fetched = []
        for number, (argument, after) in enumerate(pairwise(given[:-1])):
            if argument.type == after.type == ir.IntType(8).as_pointer():
                fetched.append(ir.Constant(argument.type, None))  # an array's owner
            else:
                place = number_at(inner, entry.args[0], ARGUMENTS + number, argument.type)
                fetched.append(inner.load(place))
        nowhere = [inner.alloca(argument.type.pointee) for argument in (result, error)]
        inner.ret(inner.call(function, [*nowhere, *fetched, *entry.args[1:]]))
        builder.store(entry, number_at(builder, data, ENTRY, entry.type))
        return context.get_dummy_value()

    return types.void(board), generate


@intrinsic
def call(typing, board, start, stop):
    """Call what stands on the board for one piece; return 0 unless it raised an error."""

    def generate(context, builder, signature, arguments):
        data = cgutils.create_struct_proxy(board)(context, builder, arguments[0]).data
        entry = builder.load(number_at(builder, data, ENTRY, PIECE.as_pointer()))
        return builder.call(entry, [data, *arguments[1:]])

    return types.int32(board, types.int64, types.int64), generate


@inner
def edge(board, left):
    """Return where the piece begins after whose taking so many are left; with all, where the last one ends.

    The first piece takes the end of the range. The k-th from the last is k times as large as the last one,
    to the nearest whole number: edges that are rounded down make the last pieces small and the first ones large.
    """
    size, pieces = board[SIZE], board[PIECES]
    if pieces <= board[MEMBERS]:
        return left * size // pieces
    whole = pieces * (pieces + 1)
    return (left * (left + 1) * size + whole // 2) // whole


@compiled
def do_pieces(board):
    """Take pieces until none is left."""
    while True:
        left = look(board, LEFT)
        if left <= 0:
            return
        if swap(board, LEFT, left, left - 1):
            start, stop = edge(board, left - 1), edge(board, left)
            if start < stop and call(board, start, stop) != 0:
                post(board, FAILED, 1)


@compiled
def lead(board):
    """Do what has been written on the board, together with whoever comes, until all is done."""
    count(board, UNDER_WAY, 1)
    post(board, LEFT, board[PIECES])
    do_pieces(board)
    while look(board, INSIDE) > 0:
        pass
    count(board, UNDER_WAY, -1)


@compiled
def help_out(board, looks):
    """Look at the board, and help, until there was nothing to do for so many looks; return what was LEFT.

    A helper who finds nothing left stays while the call is under way: the next one is near.
    """
    idle, left = 0, 0
    while idle < looks and left >= 0:
        idle += 1
        left = look(board, LEFT)
        if left > 0:
            count(board, INSIDE, 1)
            do_pieces(board)
            count(board, INSIDE, -1)
            idle = 0
        elif idle == looks and look(board, UNDER_WAY) > 0:
            idle = 0
    return left


@njit(inline="always")
def handed_out(board, start, stop):
    """Let the whole team do the kernel that this stands in, if it was called for no range; return whether."""
    if start == stop:
        write_call(board)
        lead(board)
    return start == stop
