"""Sums on their way out of the buffers of the fast rung: with bias and ReLU, to the target's rows, or pooled."""

from __future__ import annotations

import numpy as np

from minicnn.kernels.compiling import inner
from minicnn.kernels.masks import load_some, store_some
from minicnn.kernels.vector import (
    add,
    broadcast,
    evens,
    load,
    lower_pairs,
    odds,
    read,
    relu,
    spread,
    store,
    unless_zero,
    upper_pairs,
    winner,
    write,
)


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
def finish_both(sums, left, right, width, bias, f, target, place, rows, columns, down, lanes):
    """Write rows whose columns 0, 2, 4 ... are ``sums + bias[f]`` from `left` on, and 1, 3, 5 ... from `right` on.

    The sums' rows are `width` apart, and those of `target` `down`.
    """
    b, x = broadcast(bias, f), 0
    while x < columns:
        at, more, to, count = left + x // 2, right + x // 2, place + x, columns - x
        for _ in range(rows):
            u, v = add(load(sums, at), b), add(load(sums, more), b)
            if count >= 2 * lanes:
                store(target, to, lower_pairs(u, v))
                store(target, to + lanes, upper_pairs(u, v))
            else:
                store_some(target, to, lower_pairs(u, v), count)
                store_some(target, to + lanes, upper_pairs(u, v), count - lanes)
            at, more, to = at + width, more + width, to + down
        x += 2 * lanes


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
