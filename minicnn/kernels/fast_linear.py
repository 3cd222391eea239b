"""The linear layer on the fast rung: the convolution's tiles, on rows that lie ready in memory.

    forward        y[n, o]  = Σ_i x[n, i] · w[o, i] + b[o]     products along rows: the weight gradient's tile
    input          gx[n, i] = Σ_o gy[n, o] · w[o, i]           sums of rows of w, with gy as the filters' weights
    weight         gw[o, i] = Σ_n gy[n, o] · x[n, i]           sums of rows of x, likewise: see `fast_product`

With the tiles come their promises: the same bits for any number of threads, and for a row alone or in a
batch. A matrix product of NumPy promises neither, and its threads and ours would wait for each other.

Where many rows meet the weights, a stretch of eight rows of these is copied into a panel that stays in the first
cache: rows that are a power of two apart would push each other out of it.

What does not fill a tile is done twice rather than by other code: the last tile of a row is laid so that
it ends where the row ends.
"""

from __future__ import annotations

import numpy as np

from minicnn.kernels.board import handed_out
from minicnn.kernels.compiling import compact, compiled
from minicnn.kernels.fast_product import product
from minicnn.kernels.gathering import gather_tiles
from minicnn.kernels.memory import empty, nothing
from minicnn.kernels.planes import ready
from minicnn.kernels.registers import lanes_of
from minicnn.kernels.room import room
from minicnn.kernels.rows import add_lanes, copy_rows
from minicnn.kernels.threads import FETCH, RANGES, share
from minicnn.kernels.threes import BLOCKS
from minicnn.kernels.tiles import end_to_end
from minicnn.kernels.vector import load, multiply_add, read, spread, store, write

NEAR = 2**20  # bytes of weights: more do not stay in the second cache from one strip of rows to the next
STRIP = 2**18  # bytes of rows that stay there with all weights until they have met them; alone, twice as many
BY_ROWS = 16  # ranges of rows for each thread, at most
FIVE = 5  # outputs that a single row makes at once: ten, the most usual number of classes, are two blocks
STRETCH = 48  # vectors of eight rows of weights: they stay in the first cache while ...
SEVERAL = 24  # ... so many rows of the input, or more, meet them


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
    chunk = STRETCH * lanes if len(places) >= SEVERAL else whole
    panel = room(4 * BLOCKS * chunk if chunk < whole else 0, input)
    zero, four_rows, nothing = np.int64(0), np.int64(4), input.dtype.type(0)  # see `_product`
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
            blocks = 2 if more > 0 else 1
            begin = 0
            while begin < whole:
                end = min(begin + chunk, whole)
                own = weight, o * features, apart, more * features
                if len(panel) > 0:
                    for block in range(blocks):
                        at, to = (o + block * more) * features + begin, block * 4 * chunk
                        copy_rows(weight, at, panel, to, four_rows, end - begin, apart, chunk, lanes)
                    own = panel, -begin, chunk, 4 * (blocks - 1) * chunk
                part = begin, end, places, sums, zero, lanes, input, input, ahead, until, vectors
                gather_tiles(input, *own, *part)
                ahead += blocks * len(places) // 3 * (end - begin)
                begin = end
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
    stays = weight.nbytes <= NEAR
    size, ranges = (threes, BY_ROWS if stays else 1) if by_rows else (blocks, RANGES)
    strip = (STRIP if stays else 2 * STRIP) // max(1, 3 * features * input.itemsize)
    together = 3 * max(1, strip) if by_rows else rows
    share(_linear, (*flat, output, features, by_rows, together, lanes), size, work, ranges)
    return output


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
