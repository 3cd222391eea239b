"""Rows of numbers on their way into the buffers of the fast rung, and sums on their way out.

A row of a vector or more is handled in vectors; the last ends where the row ends, and what it shares with the
one before is done twice. A shorter row is a vector in part. A function handles a whole plane: for each
array that a function is handed, Numba counts one more user, and one less when it returns, and at a row of 14
numbers that would take longer than the row.
"""

from __future__ import annotations

import numpy as np

from minicnn.kernels.compiling import compact, compiled, inner, separate
from minicnn.kernels.jitted import FLAGS
from minicnn.kernels.masks import load_some, store_some
from minicnn.kernels.vector import (
    add,
    broadcast,
    evens,
    first,
    load,
    load_bytes,
    lower_pairs,
    odds,
    read,
    relu,
    spread,
    store,
    subtract,
    total,
    unless_zero,
    upper_pairs,
    where_equal,
    winner,
    write,
)


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
def finish(sums, begin, width, bias, f, rectify, target, place, rows, columns, step, lanes):
    """Write ``sums + bias[f]``, rows `width` apart, to the cells that are `step` apart in `target`.

    With `rectify` a number of 0 or less becomes 0; NaN stays. What lies between two cells stays as it is.
    """
    (down, along), b, nothing = step, broadcast(bias, f), target.dtype.type(0)
    x = 0
    while along == 1 and columns <= 4 * lanes and x < columns:  # a vector of each row, then the next of each
        last = max(0, min(x, columns - lanes))
        at, to = begin + last, place + last
        for _ in range(rows):
            v = relu(load(sums, at), b) if rectify else add(load(sums, at), b)
            if columns < lanes:
                store_some(target, to, v, columns)
            else:
                store(target, to, v)
            at, to = at + width, to + down
        x += lanes
    while along == 2 and x < columns:
        count = 2 * (columns - x) - 1  # up to the last, not to what lies behind it
        at, to, more = begin + x, place + 2 * x, count - lanes
        for _ in range(rows):
            v = relu(load(sums, at), b) if rectify else add(load(sums, at), b)
            between = odds(load_some(target, to, count), load_some(target, to + lanes, more))
            store_some(target, to, lower_pairs(v, between), count)
            store_some(target, to + lanes, upper_pairs(v, between), more)
            at, to = at + width, to + down
        x += lanes
    for row in range(0 if x > 0 else rows):
        at, to, x = begin + row * width, place + row * down, 0
        while along == 1 and x < columns:
            last = min(x, columns - lanes)
            v = load(sums, at + last)
            store(target, to + last, relu(v, b) if rectify else add(v, b))
            x += lanes
        while x < columns:
            number = read(sums, at + x) + read(bias, f)
            write(target, to + x * along, nothing if rectify and number <= 0 else number)
            x += 1


@inner
def finish_tile(sums, tile, begin, bias, rectify, target, pixels, filters, lanes):
    """Write ``sums + bias`` of so many pixels, from `begin` on, to planes of `target`, image after image.

    The sums of a filter lie side by side, and so do its pixels in an image, of which it has so many. There must
    be room for a vector behind the last sum. With `rectify` a number of 0 or less becomes 0; NaN stays.
    """
    x = 0
    while x < tile:
        n, pixel = (begin + x) // pixels, (begin + x) % pixels
        count = min(tile - x, pixels - pixel)
        for f in range(filters):
            place, b = (n * filters + f) * pixels + pixel, broadcast(bias, f)
            i = 0
            while i < count:  # a range would divide by its step
                v = load(sums, f * tile + x + i)
                v = relu(v, b) if rectify else add(v, b)
                if i + lanes <= count:
                    store(target, place + i, v)
                else:
                    store_some(target, place + i, v, count - i)
                i += lanes
        x += count


@inner
def lay_out(source, begin, target, place, spots, down, along, width, lanes):
    """Copy the plane at source[begin:] to target[place:], with rows `width` apart: both are flat.

    `spots` holds for each phase how many rows and columns it has, and where its first cell is read and
    written. In the source its rows are `down` apart, and its columns `along`. What is not written stays zero.
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
def finish_pooled(sums, begin, width, bias, f, rectify, line, target, winners, place, rows, columns, lanes):
    """Write the largest of every 2x2 cells of ``relu(sums + bias[f])`` to `target`, and which won to `winners`.

    If `winners` is empty, nobody wants to know.

    The winner is 0 to 3 in reading order, as in `loops.max_pool2d`, or 4 where the largest is 0: there ReLU
    stops the gradient, whoever won. Unless `rectify`, there is neither bias nor ReLU, and no 4. A whole row
    of windows is computed in vectors; the last may reach beyond the row, so they go to `line` first, which has
    room for two rows of them.
    """
    b, count, half = broadcast(bias, f), columns // 2, len(line) // 2
    k0, k1, k2, k3, k4 = spread(sums, 0), spread(sums, 1), spread(sums, 2), spread(sums, 3), spread(sums, 4)
    for y in range(rows // 2):
        top = begin + 2 * y * width
        low = top + width
        x = 0
        while x < count:
            left, right = load(sums, top + 2 * x), load(sums, top + 2 * x + lanes)
            if rectify:
                left, right = relu(left, b), relu(right, b)
            best, second = evens(left, right), odds(left, right)
            left, right = load(sums, low + 2 * x), load(sums, low + 2 * x + lanes)
            if rectify:
                left, right = relu(left, b), relu(right, b)
            third, fourth = evens(left, right), odds(left, right)
            number = winner(second, best, k1, k0)
            best = winner(second, best, second, best)
            number = winner(third, best, k2, number)
            best = winner(third, best, third, best)
            number = winner(fourth, best, k3, number)
            best = winner(fourth, best, fourth, best)
            store(line, x, best)
            store(line, half + x, unless_zero(best, number, k4) if rectify else number)
            x += lanes
        to = place + y * count
        for x in range(count):
            write(target, to + x, read(line, x))
        for x in range(count if len(winners) > 0 else 0):
            write(winners, to + x, np.uint8(read(line, half + x)))


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
