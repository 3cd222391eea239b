"""The linear layer on the fast rung: the convolution's tiles, on rows that lie ready in memory.

    forward        y[n, o]  = Σ_i x[n, i] · w[o, i] + b[o]     products along rows: the weight gradient's tile
    input          gx[n, i] = Σ_o gy[n, o] · w[o, i]           sums of rows of w, with gy as the filters' weights
    weight         gw[o, i] = Σ_n gy[n, o] · x[n, i]           sums of rows of x, likewise

With the tiles come their promises: the same bits for any number of threads, and for a row alone or in a
batch. A matrix product of NumPy promises neither, and its threads and ours would wait for each other.

The rows of a large layer lie a power of two apart, and a cache keeps what lies so in the same few places. So
what several blocks read is copied into a panel first, and the sums of a single row need no tile: they grow
in the target, which is read and written from one end to the other. Rows that fill more than the third cache come
from memory whenever they are read: a few at a time, so that they do all their work before they have to go.

What does not fill a tile is done twice rather than by other code: the last tile of a row is laid so that
it ends where the row ends.
"""

from __future__ import annotations

import numpy as np

from minicnn.kernels.board import handed_out
from minicnn.kernels.compiling import compact, compiled
from minicnn.kernels.fast_conv import as_it_lies, one_walk, turned
from minicnn.kernels.gathering import gather_tiles
from minicnn.kernels.memory import empty, nothing, zeros
from minicnn.kernels.planes import ready
from minicnn.kernels.plans import even_table
from minicnn.kernels.registers import lanes_of
from minicnn.kernels.room import room
from minicnn.kernels.rows import add_lanes, copy_rows
from minicnn.kernels.threads import FETCH, share
from minicnn.kernels.threes import BLOCKS, VECTORS
from minicnn.kernels.tiles import CACHED, FILTERS, end_to_end, walk_tiles
from minicnn.kernels.vector import add, broadcast, load, multiply_add, read, spread, store, write

PANEL = 6144  # numbers of a panel of lines: more would not leave room in the first cache
WIDEST = 4  # tiles of a panel: they are whole lines of the cache
PANELS = 32  # are to be shared, or the threads would not get equal parts
NEAR = 2**20  # bytes of weights: more do not stay in the second cache from one strip of rows to the next
STRIP = 2**18  # bytes of rows that stay there until they have met all weights
RANGES = 16  # of rows for each thread, at most
FAR = 2**23  # bytes of lines: more come from memory, however often they have been read
FEW = 16  # rows of a product: as many sums as stay near while line after line is added
CHUNK = 16  # lines: as many as a cache keeps that are a power of two apart
FIVE = 5  # outputs that a single row makes at once: ten, the most usual number of classes, are two blocks
RUN = 128  # vectors of a line that are added up before the next run


@compiled
def _linear(input, weight, bias, output, features, by_rows, together, lanes, board, start, stop):
    """Fill the blocks start .. stop - 1 of four columns of output (N, O), or so many times three of its rows.

    `input` and `weight` are flat. So many rows `together` meet all weights before the next ones do, and those
    are prefetched meanwhile.
    """
    compact()
    if handed_out(board, start, stop):
        return
    rows, outputs = output.shape
    first, behind, left, right = 0, rows, 4 * start, min(4 * stop, outputs)
    if by_rows:
        first, behind, left, right = 3 * start, min(3 * stop, rows), 0, outputs
    whole = features // lanes * lanes
    least = 4 if outputs >= 4 else 1
    apart = features if outputs >= 4 else 0  # a single row of weights stands in for four
    together = max(1, min(together, behind - first))
    places, vectors = np.empty((together + 2) // 3 * 3, np.int64), end_to_end(whole // lanes, lanes)
    four = 4 * len(places)  # vectors of sums
    sums = room((BLOCKS * four + lanes - 1) // lanes * lanes * lanes, input)
    zero, nothing = np.int64(0), input.dtype.type(0)
    for top in range(first, behind, together):
        for n in range(len(places)):
            places[n] = min(top + n, rows - 1) * features  # in threes: the last one again
        ahead, until = (top + together) * features, min(top + 2 * together, behind) * features
        column = left
        while column < right:
            o = max(min(column, outputs - least), 0)
            more = min(column + 4, outputs - 4) - o if BLOCKS > 1 and column + 4 < right else 0
            for i in range(len(sums)):
                write(sums, i, nothing)
            own = input, weight, o * features, apart, more * features, zero, whole, places, sums, zero, lanes
            gather_tiles(*own, input, input, ahead, until, vectors)
            blocks = 2 if more > 0 else 1
            ahead += blocks * len(places) // 3 * whole
            add_lanes(sums, lanes)
            for block in range(blocks):
                for n in range(min(together, behind - top)):
                    row = top + n
                    for u in range(least):
                        f = o + block * more + u
                        number = read(sums, block * four + n // 3 * 12 + u * 3 + n % 3)
                        for i in range(whole, features):
                            number += read(input, row * features + i) * read(weight, f * features + i)
                        output[row, f] = number + read(bias, f)
            column += blocks * least


@compiled
def _linear_row(input, weight, bias, output, lanes, board, start, stop):
    """Fill the blocks start .. stop - 1 of five numbers of the output of a single row; all arrays are flat.

    The tile of `_linear` would do every product three times. Here a vector of the row meets five filters: while the
    last is added, the first sum gets ready for the next vector. The last block ends with the last output.
    """
    if handed_out(board, start, stop):
        return
    features = len(input)
    whole = features // lanes * lanes
    sums = np.empty((FIVE + lanes - 1) // lanes * lanes * lanes, input.dtype)
    for block in range(start, stop):
        o = min(FIVE * block, len(output) - FIVE)
        a = b = c = d = e = spread(input, 0)
        p, at = 0, o * features
        while p < whole:
            x = load(input, p)
            a, b = multiply_add(x, load(weight, at), a), multiply_add(x, load(weight, at + features), b)
            c = multiply_add(x, load(weight, at + 2 * features), c)
            d = multiply_add(x, load(weight, at + 3 * features), d)
            e = multiply_add(x, load(weight, at + 4 * features), e)
            p, at = p + lanes, at + lanes
        to = 0
        for v in (a, b, c, d, e):
            store(sums, to, v)
            to += lanes
        add_lanes(sums, lanes)
        for u in range(FIVE):
            number = read(sums, u)
            for i in range(whole, features):
                number += read(input, i) * read(weight, (o + u) * features + i)
            write(output, o + u, number + read(bias, o + u))


def linear(input, weight, bias):
    """Return ``input @ weight.T + bias``, (N, O), for rows (N, I).

    >>> linear(np.array([[10.0, 100.0]]), np.array([[2.0, 3.0]]), np.array([1.0]))
    array([[321.]])
    """
    rows, features = input.shape
    outputs = len(weight)
    output = empty((rows, outputs), input.dtype)
    bias = nothing(outputs, input.dtype) if bias is None else ready(bias)
    flat, lanes = (ready(input).ravel(), ready(weight).ravel(), bias), lanes_of(input.dtype)
    work = (rows + FETCH) * weight.size
    if rows == 1 and outputs >= FIVE:
        share(_linear_row, (*flat, output.ravel(), lanes), -(-outputs // FIVE), work)
        return output
    blocks, threes = -(-outputs // 4), -(-rows // 3)
    by_rows = threes > blocks
    size, ranges = (threes, RANGES) if by_rows else (blocks, 1)
    in_strips = by_rows and 0 < weight.nbytes <= NEAR
    together = 3 * max(1, STRIP // (3 * features * input.itemsize)) if in_strips else rows
    share(_linear, (*flat, output, features, by_rows, together, lanes), size, work, ranges)
    return output


@compiled
def _product(filters, form, table, lines, count, chunk, target, features, width, lanes, board, start, stop):
    """Fill the panels start .. stop - 1 of `width` columns of target (A, I), for `count` flat lines of I numbers.

    Where the filters and the lines of a panel lie, `form` and `table` tell `walk_tiles`; the third number of
    `form` is how far the weights of two lines are apart. If several blocks read the lines, the columns of a panel
    are copied side by side first: where the lines are a power of two apart, they would push each other out of the
    cache. Or else there are fewer lines in a `chunk` than `count`: its sums are added to those of the chunks
    before, and the lines are read as they lie in memory. `table` ends with that of the last, shorter chunk.
    """
    compact()
    if handed_out(board, start, stop):
        return
    rows, zero = len(target) // features, np.int64(0)  # for a plain 0 Numba would compile the tile once more
    blocks = (rows + FILTERS - 1) // FILTERS
    size = blocks * FILTERS * width  # the last block may have fewer than four rows
    copies = blocks > 1 and chunk == count
    panel = room(count * width if copies else 0, lines)
    sums, more = room(size, target), room(size if chunk < count else 0, target)
    rest, places = len(table) - 2 * (count % chunk) - 1, end_to_end(width // lanes, lanes)
    for number in range(start, stop):
        begin = min(number * width, features - width)
        cells = panel if copies else lines[begin:]
        if copies:
            copy_rows(lines, begin, panel, zero, count, width, features, width, lanes)
        for line in range(0, count, chunk):
            tap, wide = (zero if line + chunk <= count else rest), (sums if line == 0 else more)
            own = cells[line * features :], table, tap, filters, line * form[2], form[:2]
            walk_tiles(*own, zero, blocks, lanes, wide, width, places, zero, target, zero, zero)
            for i in range(0, size if line > 0 else 0, lanes):
                store(sums, i, add(load(sums, i), load(more, i)))
        copy_rows(sums, zero, target, begin, rows, width, width, features, lanes)


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
        room = min(WIDEST, PANEL // count // tile, CACHED // rows // tile) if chunk == count else features
        width = tile * max(1, min(room, features // tile // PANELS))
        copied = rows > FILTERS and chunk == count
        tables = [
            even_table(number, width if copied else features, apart) for number in (chunk, count % chunk)
        ]
        given = weights, (*form, apart), np.concatenate(tables), flat, count, chunk
        share(_product, (*given, target, features, width, lanes), -(-features // width), work)
    return target.reshape(rows, features)


def linear_grad_input(grad_output, weight):
    """Return ``grad_output @ weight``, (N, I).

    >>> linear_grad_input(np.array([[5.0]]), np.array([[2.0, 3.0]]))
    array([[10., 15.]])
    """
    return product(grad_output, weight)


def linear_grad_weight(grad_output, input):
    """Return ``grad_output.T @ input``, (O, I).

    >>> linear_grad_weight(np.array([[5.0]]), np.array([[10.0, 100.0]]))
    array([[ 50., 500.]])
    """
    return product(grad_output.T, input, chunked=True)
