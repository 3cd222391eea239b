"""Products of matrices on the fast rung: sums of rows, which the gradients of a linear layer are.

    filters (A, B) @ lines (B, I)       each row of the target is a sum of lines, each times a number

To `tiles.walk_tiles` the lines are cells, and the rows of `filters` are filters. The lines of a large layer lie a
power of two apart, and a cache keeps what lies so in the same few places. So what several blocks read is copied
into a panel first, and the sums of a single row need no tile: they grow in the target, which is read and written
from one end to the other. Lines that fill more than the third cache come from memory whenever they are read: a few
at a time, so that they do all their work before they have to go. And where there are many rows, a panel serves some
of them after the other, so that their sums stay near until they are written:

                  panel 0   panel 1   panel 2  ...
    rows 0 - 63      0         1         2             in this order: rows that lie side by side in memory are written
    rows 64 - 127    3         4         5             soon after each other
"""

from __future__ import annotations

import numpy as np

from minicnn.kernels.board import handed_out
from minicnn.kernels.compiling import compact, compiled
from minicnn.kernels.fast_conv import as_it_lies, one_walk, turned
from minicnn.kernels.memory import empty, zeros
from minicnn.kernels.planes import ready
from minicnn.kernels.plans import even_table
from minicnn.kernels.registers import lanes_of
from minicnn.kernels.room import room
from minicnn.kernels.rows import copy_rows
from minicnn.kernels.streaming import can_stream, stream_rows
from minicnn.kernels.threads import FETCH, RANGES, share
from minicnn.kernels.threes import VECTORS
from minicnn.kernels.tiles import CACHED, FILTERS, end_to_end, walk_tiles
from minicnn.kernels.vector import add, broadcast, load, multiply_add, read, spread, store, write

PANEL = 6144  # numbers of a panel of lines: more would not leave room in the first cache
WIDEST = 4  # tiles of a panel: they are whole lines of the cache
PANELS = 32  # are to be shared, or the threads would not get equal parts
FAR = 2**23  # bytes of lines: more come from memory, however often they have been read
FEW = 16  # rows of a product: as many sums as stay near while line after line is added
STRIP = 16  # blocks of rows that a panel serves at a time, or one for each line: to copy them is work
CHUNK = 16  # lines: as many as a cache keeps that are a power of two apart
RUN = 128  # vectors of a line that are added up before the next run


@compiled
def _product(filters, form, table, lines, count, chunk, target, shape, streamed, lanes, board, start, stop):
    """Fill the panels start .. stop - 1 of target (A, I), for `count` flat lines of I numbers.

    `shape` are I, the columns of a panel and its blocks of four rows; `streamed` is whether they go past the caches.

    Where the filters and the lines of a panel lie, `form` and `table` tell `walk_tiles`; the third number of
    `form` is how far the weights of two lines are apart. If several blocks read the lines, the columns of a panel
    are copied side by side first: where the lines are a power of two apart, they would push each other out of the
    cache. Or else there are fewer lines in a `chunk` than `count`: its sums are added to those of the chunks
    before, and the lines are read as they lie in memory. `table` ends with that of the last, shorter chunk.
    """
    compact()
    if handed_out(board, start, stop):
        return
    features, width, strip = shape
    rows, zero = len(target) // features, np.int64(0)  # for a plain 0 Numba would compile the tile once more
    blocks, across = (rows + FILTERS - 1) // FILTERS, (features + width - 1) // width
    size = strip * FILTERS * width
    copies = blocks > 1 and chunk == count
    panel = room(count * width if copies else 0, lines)
    sums, more = room(size, target), room(size if chunk < count else 0, target)
    rest, places = len(table) - 2 * (count % chunk) - 1, end_to_end(width // lanes, lanes)
    for number in range(start, stop):
        first, begin = number // across * strip, min(number % across * width, features - width)
        last = min(first + strip, blocks)
        cells = panel if copies else lines[begin:]
        if copies:
            copy_rows(lines, begin, panel, zero, count, width, features, width, lanes)
        for line in range(0, count, chunk):
            tap, wide = (zero if line + chunk <= count else rest), (sums if line == 0 else more)
            own = cells[line * features :], table, tap, filters, line * form[2], form[:2]
            walk_tiles(*own, first, last, lanes, wide, width, places, zero, target, zero, zero)
            for i in range(0, size if line > 0 else 0, lanes):
                store(sums, i, add(load(sums, i), load(more, i)))
        row, behind = first * FILTERS, min(last * FILTERS, rows)
        at = max(0, row + FILTERS - form[0]) * width  # the last block may begin with rows of the one before
        to, here = row * features + begin, behind - row
        if streamed:
            stream_rows(sums, at, target, to, here, width, features, lanes)
        else:
            copy_rows(sums, at, target, to, here, width, width, features, lanes)


@compiled
def _thin_product(filters, lines, count, target, features, lanes, board, start, stop):
    """Do what `_product` does for a single filter or line: fill the vectors start .. stop - 1.

    A tile would compute filters that do not exist, or put away every product twice. Here lines and target are read
    and written from one end to the other, a run at a time that stays in the first cache.
    """
    compact()
    if handed_out(board, start, stop):
        return
    rows, behind = len(target) // features, features if stop == features // lanes else stop * lanes
    for begin in range(start * lanes, behind, RUN * lanes):
        end = min(begin + RUN * lanes, behind)
        whole = begin + (end - begin) // lanes * lanes
        for row in range(rows):
            for line in range(count):
                w, at, to = broadcast(filters, row * count + line), line * features, row * features
                for x in range(begin, whole, lanes):
                    total = spread(lines, 0) if line == 0 else load(target, to + x)
                    store(target, to + x, multiply_add(load(lines, at + x), w, total))
            if whole < end:  # one more vector, that ends where the row ends
                total = spread(lines, 0)
                for line in range(count):
                    w = broadcast(filters, row * count + line)
                    total = multiply_add(load(lines, line * features + end - lanes), w, total)
                store(target, row * features + end - lanes, total)


@compiled
def _resize(lines, features, target, width, board, start, stop):
    """Fill the rows start .. stop - 1 of flat target, of so much `width`, with the lines; then with zeros."""
    if handed_out(board, start, stop):
        return
    for row in range(start, stop):
        for x in range(min(features, width)):
            write(target, row * width + x, read(lines, row * features + x))
        for x in range(features, width):
            write(target, row * width + x, target.dtype.type(0))


def resized(lines, width: int):
    """Return a copy of lines (B, I) with another number of columns: cut, or filled up with zeros.

    >>> resized(np.array([[1.0, 2], [3, 4]]), 3), resized(np.array([[1.0, 2], [3, 4]]), 1)
    (array([[1., 2., 0.],
           [3., 4., 0.]]), array([[1.],
           [3.]]))
    """
    count, features = lines.shape
    target = empty((count, width), lines.dtype)
    share(_resize, (ready(lines).ravel(), features, target.ravel(), width), count, FETCH * target.size)
    return target


def product(filters, lines, chunked: bool = False):
    """Return ``filters @ lines``, (A, I), for (A, B) and (B, I).

    If it is `chunked`, many lines may be added up in another order than few.

    >>> product(np.array([[1.0, 10.0]]), np.array([[2.0, 3.0], [4.0, 5.0]]))
    array([[42., 53.]])
    """
    rows, (count, features), lanes = len(filters), lines.shape, lanes_of(lines.dtype)
    tile = VECTORS * lanes
    if 0 < features < tile:  # a row is shorter than a tile
        return resized(product(filters, resized(lines, tile)), features)
    target = (empty if count else zeros)((rows * features,), lines.dtype)
    flat, work = ready(lines).ravel(), filters.size * features + 2 * FETCH * (lines.size + target.size)
    if rows <= 1 or count <= 1:
        fixed = ready(filters).ravel(), flat, count, target, features, lanes
        share(_thin_product, fixed, features // lanes, work)
    else:
        by_lines = rows >= FILTERS and not filters.flags.c_contiguous
        if by_lines:
            weights, form = ready(filters.T).ravel(), (rows, 1)
        elif filters.flags.c_contiguous:
            weights, form = as_it_lies(filters, groups=1)
        else:
            weights, form = turned(filters.T[:, :, None, None], 1, one_walk(1), FILTERS)
        far = chunked and rows <= FEW and lines.nbytes > FAR
        apart, chunk = rows if by_lines else 1, CHUNK if far else count
        strip = min(-(-rows // FILTERS), max(STRIP, count))
        room = features if far else min(WIDEST, PANEL // count // tile, CACHED // (strip * FILTERS) // tile)
        width = tile * max(1, min(room, features // tile // PANELS))
        copied = rows > FILTERS and chunk == count
        tables = [
            even_table(number, width if copied else features, apart) for number in (chunk, count % chunk)
        ]
        given = weights, (*form, apart), np.concatenate(tables), flat, count, chunk
        to = target, (features, width, strip), can_stream(target, features, lanes), lanes
        share(_product, (*given, *to), -(-features // width) * -(-rows // (strip * FILTERS)), work, RANGES)
    return target.reshape(rows, features)
