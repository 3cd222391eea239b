"""Rows of numbers on their way into the buffers of the fast rung; how sums come out of them, `finishing` has.

A row of a vector or more is handled in vectors; the last ends where the row ends, and what it shares with the
one before is done twice. A shorter row is a vector in part. A function handles a whole plane: for each
array that a function is handed, Numba counts one more user, and one less when it returns, and at a row of 14
numbers that would take longer than the row.
"""

from __future__ import annotations

from minicnn.kernels.compiling import compact, compiled, inner, separate
from minicnn.kernels.jitted import FLAGS
from minicnn.kernels.masks import load_some, store_some
from minicnn.kernels.prefetching import prefetch
from minicnn.kernels.vector import (
    add,
    evens,
    first,
    load,
    load_bytes,
    lower_pairs,
    odds,
    read,
    spread,
    store,
    subtract,
    total,
    upper_pairs,
    where_equal,
    write,
)

AHEAD = 2048  # numbers: those of two planes of 32x32


@inner
def copy_rows(source, begin, target, place, rows, columns, down, width, lanes):
    """Copy `rows` rows of `columns` numbers, which are `down` apart, to rows that are `width` apart."""
    if columns == down == width:
        rows, columns = 1, rows * columns
    for _ in range(rows):
        x = 0
        while columns >= lanes and x < columns:
            last = min(x, columns - lanes)
            store(target, place + last, load(source, begin + last))
            x += lanes
        if columns < lanes:
            store_some(target, place, load_some(source, begin, columns), columns)
        begin, place = begin + down, place + width


@inner
def lay_out(source, begin, target, place, spots, down, along, width, lanes):
    """Copy the plane at source[begin:] to target[place:], with rows `width` apart: both are flat.

    `spots` holds for each phase how many rows and columns it has, and where its first cell is read and
    written. In the source its rows are `down` apart, and its columns `along`. What is not written stays zero.
    With a stride of two a plane is four times the output's, and what lies `AHEAD` comes from memory meanwhile.
    """
    compact()
    for spot in range(0, len(spots), 4):
        columns, at, to = spots[spot + 1], begin + spots[spot + 2], place + spots[spot + 3]
        for _ in range(spots[spot]):
            x = 0
            while along == 1 and columns >= lanes and x < columns:
                last = min(x, columns - lanes)
                store(target, to + last, load(source, at + last))
                x += lanes
            while along == 2 and x < columns:
                last = max(0, min(x, columns - lanes))
                left, count = at + 2 * last, 2 * (columns - last) - 1
                prefetch(source, left + AHEAD)
                prefetch(source, left + AHEAD + lanes)
                if columns >= lanes and at + 2 * columns <= len(source):
                    store(target, to + last, evens(load(source, left), load(source, left + lanes)))
                else:
                    v = evens(load_some(source, left, count), load_some(source, left + lanes, count - lanes))
                    store_some(target, to + last, v, columns - last)
                x += lanes
            if along == 1 and columns < lanes:
                store_some(target, to, load_some(source, at, columns), columns)
                x = columns
            while x < columns:
                write(target, to + x, read(source, at + x * along))
                x += 1
            at, to = at + down, to + width


@inner
def add_lanes(sums, lanes):
    """Let number i of `sums` be the total of vector i: neighbours are added, of two vectors at once.

    There must be room for a multiple of `lanes` vectors.

    a0 a1 a2 a3 | b0 b1 b2 b3 | c0 ...      four vectors of four lanes
    a01 a23 b01 b23 | c01 c23 d01 d23       two
    a0123 b0123 c0123 d0123                 one: the four totals
    """
    compact()
    vectors, width = len(sums) // lanes, lanes
    while width > 1:
        vectors, width = vectors // 2, width // 2
        for i in range(0, vectors * lanes, lanes):
            left, right = load(sums, 2 * i), load(sums, 2 * i + lanes)
            store(sums, i, add(evens(left, right), odds(left, right)))


@inner
def is_finite(numbers, begin, end, lanes):
    """Return whether none of numbers[begin:end] is NaN or infinite."""
    differences, i = spread(numbers, 0), begin
    differences = subtract(differences, differences)
    finite = True
    while i + lanes <= end:
        v = load(numbers, i)
        differences = add(differences, subtract(v, v))  # 0, or NaN if v is NaN or infinite
        i += lanes
    while i < end:
        finite &= read(numbers, i) - read(numbers, i) == 0
        i += 1
    return finite and first(total(differences)) == 0


@inner
def spread_plane(grads, winners, at, target, place, H, W, lanes):
    """Give each 2x2 window's gradient to its winner, in a plane (H, W) of `target` that begins at `place`.

    Which cell wins cannot be foreseen, so every cell asks whether it has won, a vector of windows at once:

    gradients  g h    winners  1 2    upper row  0 g 0 0    lower row  0 0 h 0

    A row's last vector may reach beyond it; what it has too much, the next rows write over. Where the plane has
    none any more, the windows are done one by one.
    """
    compact()
    count, nothing = W // 2, target.dtype.type(0)
    whole, behind, to = (count + lanes - 1) // lanes * lanes, at + H // 2 * count, place
    for _ in range(H // 2):
        fits = at + whole <= behind  # then so many cells follow, too
        for half in range(2):
            left, right = spread(grads, 2 * half), spread(grads, 2 * half + 1)
            x = 0
            while fits and x < count:  # a range would divide by its step
                own, numbers = load(grads, at + x), load_bytes(winners, at + x, grads)
                evens, odds = where_equal(numbers, left, own), where_equal(numbers, right, own)
                store(target, to + 2 * x, lower_pairs(evens, odds))
                store(target, to + 2 * x + lanes, upper_pairs(evens, odds))
                x += lanes
            while x < count:
                grad, number = read(grads, at + x), read(winners, at + x)
                write(target, to + 2 * x, grad if number == 2 * half else nothing)
                write(target, to + 2 * x + 1, grad if number == 2 * half + 1 else nothing)
                x += 1
            if 2 * count < W:
                write(target, to + W - 1, nothing)
            to += W
        at += count
    while to < place + H * W:
        write(target, to, nothing)
        to += 1


@inner
def where_positive(grads, outputs, begin, target, place, count):
    """Copy `count` gradients, with 0 where ReLU's output is 0; NaN lets them pass."""
    nothing = target.dtype.type(0)
    for i in range(count):
        number, grad = read(outputs, begin + i), read(grads, begin + i)
        write(target, place + i, nothing if number <= 0 else grad)


@compiled(fastmath=FLAGS)
def total_of(numbers, begin, count):
    """Return the sum of `count` numbers in float64; the same bits, whoever asks."""
    separate()
    total = 0.0
    for x in range(begin, begin + count):
        total += read(numbers, x)
    return total
