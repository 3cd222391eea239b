"""The linear layer on the fast rung: the convolution's tiles, on rows that lie ready in memory.

    forward        y[n, o]  = Σ_i x[n, i] · w[o, i] + b[o]     products along rows: the weight gradient's tile
    input          gx[n, i] = Σ_o gy[n, o] · w[o, i]           sums of rows of w, with gy as the filters' weights
    weight         gw[o, i] = Σ_n gy[n, o] · x[n, i]           sums of rows of x, likewise

With the tiles come their promises: the same bits for any number of threads, and for a row alone or in a
batch. A matrix product of NumPy promises neither, and its threads and ours would wait for each other.

The rows of a large layer lie a power of two apart, and a cache keeps what lies so in the same few places. So
what several blocks read is copied into a panel first, and the sums of a single row need no tile: they grow
in the target, which is read and written from one end to the other.

What does not fill a tile is done twice rather than by other code: the last tile of a row is laid so that
it ends where the row ends.
"""

from __future__ import annotations

import numpy as np

from minicnn.kernels.board import handed_out
from minicnn.kernels.compiling import compact, compiled
from minicnn.kernels.fast_conv import as_it_lies
from minicnn.kernels.gathering import gather_tiles
from minicnn.kernels.memory import empty, nothing, zeros
from minicnn.kernels.planes import ready
from minicnn.kernels.plans import even_table
from minicnn.kernels.registers import lanes_of
from minicnn.kernels.rows import add_lanes, copy_rows
from minicnn.kernels.threads import FETCH, share
from minicnn.kernels.tiles import CACHED, FILTERS, VECTORS, walk_tiles
from minicnn.kernels.vector import broadcast, load, multiply_add, read, spread, store, write

PANEL = 6144  # numbers of a panel of lines: more would not leave room in the first cache
WIDEST = 4  # tiles of a panel: they are whole lines of the cache
PANELS = 32  # are to be shared, or the threads would not get equal parts
RANGES = 16  # of rows for each thread: a short one stays in the second cache until it has met all weights
FIVE = 5  # outputs that a single row makes at once: ten, the most usual number of classes, are two blocks
RUN = 128  # vectors of a line that are added up before the next run


@compiled
def _linear(input, weight, bias, output, features, by_rows, lanes, board, start, stop):
    """Fill the blocks start .. stop - 1 of four columns of output (N, O), or so many times three of its rows.

    `input` and `weight` are flat.
    """
    compact()
    if handed_out(board, start, stop):
        return
    rows, outputs = output.shape
    first, behind, left, right = 0, rows, 4 * start, min(4 * stop, outputs)
    if by_rows:
        first, behind, left, right = 3 * start, min(3 * stop, rows), 0, outputs
    whole = features // lanes * lanes
    step = 4 if outputs >= 4 else 1
    apart = features if outputs >= 4 else 0  # a single row of weights stands in for four
    places = np.empty((behind - first + 2) // 3 * 3, np.int64)
    zero, nothing = np.int64(0), input.dtype.type(0)
    for n in range(len(places)):
        places[n] = min(first + n, rows - 1) * features  # in threes: the last one again
    sums = np.empty((4 * len(places) + lanes - 1) // lanes * lanes * lanes, input.dtype)
    for column in range(left, right, step):
        o = max(min(column, outputs - step), 0)
        for i in range(len(sums)):
            write(sums, i, nothing)
        gather_tiles(input, weight, o * features, apart, whole, places, sums, zero, lanes)
        add_lanes(sums, lanes)
        for n in range(behind - first):
            for u in range(step):
                number = read(sums, n // 3 * 12 + 3 * u + n % 3)
                for i in range(whole, features):
                    number += read(input, (first + n) * features + i) * read(weight, (o + u) * features + i)
                output[first + n, o + u] = number + read(bias, o + u)


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
    share(_linear, (*flat, output, features, by_rows, lanes), size, work, ranges)
    return output


@compiled
def _product(filters, form, table, lines, count, target, features, width, lanes, board, start, stop):
    """Fill the panels start .. stop - 1 of `width` columns of target (A, I), for `count` flat lines of I numbers.

    Where the filters and the lines of a panel lie, `form` and `table` tell `walk_tiles`. If several blocks read
    the lines, the columns of a panel are copied side by side first: where the lines are a power of two apart,
    they would push each other out of the cache.
    """
    compact()
    if handed_out(board, start, stop):
        return
    rows, zero = len(target) // features, np.int64(0)  # for a plain 0 Numba would compile the tile once more
    blocks = (rows + FILTERS - 1) // FILTERS
    panel = np.empty(count * width, lines.dtype)
    sums = np.empty(blocks * FILTERS * width, target.dtype)  # the last block may have fewer than four rows
    for number in range(start, stop):
        begin = min(number * width, features - width)
        cells = lines[begin:] if blocks == 1 else panel
        if blocks > 1:
            copy_rows(lines, begin, panel, zero, count, width, features, width, lanes)
        walk_tiles(cells, table, zero, filters, zero, form, zero, blocks, lanes, sums, width)
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


def product(filters, lines):
    """Return ``filters @ lines``, (A, I), for (A, B) and (B, I).

    >>> product(np.array([[1.0, 10.0]]), np.array([[2.0, 3.0], [4.0, 5.0]]))
    array([[42., 53.]])
    """
    rows, (count, features), lanes = len(filters), lines.shape, lanes_of(lines.dtype)
    tile = VECTORS * lanes
    if 0 < features < tile:  # a row is shorter than a tile
        wider = np.zeros((count, tile), lines.dtype)
        wider[:, :features] = lines
        return np.ascontiguousarray(product(filters, wider)[:, :features])
    target = (empty if count else zeros)((rows * features,), lines.dtype)
    flat, work = ready(lines).ravel(), filters.size * features + 2 * FETCH * (lines.size + target.size)
    if rows <= 1 or count <= 1:
        fixed = ready(filters).ravel(), flat, count, target, features, lanes
        share(_thin_product, fixed, features // lanes, work)
    else:
        turned = rows >= FILTERS and not filters.flags.c_contiguous
        weights = (ready(filters.T).ravel(), (rows, 1)) if turned else as_it_lies(filters, groups=1)
        room = min(PANEL // count, CACHED // rows) // tile
        width = tile * max(1, min(WIDEST, room, features // tile // PANELS))
        table = even_table(count, width if rows > FILTERS else features, rows if turned else 1)
        fixed = *weights, table, flat, count, target, features, width, lanes
        share(_product, fixed, -(-features // width), work)
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
    return product(grad_output.T, input)
