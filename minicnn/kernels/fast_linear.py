"""The linear layer on the fast rung: the convolution's tiles, on rows that lie ready in memory.

    forward        y[n, o]  = Σ_i x[n, i] · w[o, i] + b[o]     products along rows: the weight gradient's tile
    input          gx[n, i] = Σ_o gy[n, o] · w[o, i]           sums of rows of w, with gy as the filters' weights
    weight         gw[o, i] = Σ_n gy[n, o] · x[n, i]           sums of rows of x, likewise

With the tiles come their promises: the same bits for any number of threads, and for a row alone or in a
batch. A matrix product of NumPy promises neither, and its threads and ours would wait for each other.

What does not fill a tile is done twice rather than by other code: the last tile of a row is laid so that
it ends where the row ends.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from minicnn.kernels.board import handed_out
from minicnn.kernels.fast_conv import as_it_lies
from minicnn.kernels.memory import empty, zeros
from minicnn.kernels.planes import ready
from minicnn.kernels.plans import even_table
from minicnn.kernels.rows import add_lanes
from minicnn.kernels.threads import FETCH, share
from minicnn.kernels.tiles import FILTERS, VECTORS, gather_tiles, walk_tiles
from minicnn.kernels.vector import lanes_of, load, read, store, write


@njit(cache=True, nogil=True)
def _linear(input, weight, bias, output, features, lanes, board, start, stop):
    """Fill the blocks start .. stop - 1 of four columns of output (N, O) from flat rows of input and weight."""
    if handed_out(board, start, stop):
        return
    rows, outputs = output.shape
    whole = features // lanes * lanes
    step = 4 if outputs >= 4 else 1
    apart = features if outputs >= 4 else 0  # a single row of weights stands in for four
    places, zero, nothing = np.empty((rows + 2) // 3 * 3, np.int64), np.int64(0), input.dtype.type(0)
    for n in range(len(places)):
        places[n] = min(n, rows - 1) * features  # in threes: the last one again
    sums = np.empty((4 * len(places) + lanes - 1) // lanes * lanes * lanes, input.dtype)
    for column in range(4 * start, min(4 * stop, outputs), step):
        o = max(min(column, outputs - step), 0)
        for i in range(len(sums)):
            write(sums, i, nothing)
        gather_tiles(input, weight, o * features, apart, whole, places, sums, zero, lanes)
        add_lanes(sums, lanes)
        for n in range(rows):
            for u in range(step):
                number = read(sums, n // 3 * 12 + 3 * u + n % 3)
                for i in range(whole, features):
                    number += read(input, n * features + i) * read(weight, (o + u) * features + i)
                output[n, o + u] = number + read(bias, o + u)


def linear(input, weight, bias):
    """Return ``input @ weight.T + bias``, (N, O), for rows (N, I).

    >>> linear(np.array([[10.0, 100.0]]), np.array([[2.0, 3.0]]), np.array([1.0]))
    array([[321.]])
    """
    rows, features = input.shape
    outputs = len(weight)
    output = empty((rows, outputs), input.dtype)
    bias = np.zeros(outputs, input.dtype) if bias is None else ready(bias)
    fixed = ready(input).reshape(-1), ready(weight).reshape(-1), bias, output, features, lanes_of(input.dtype)
    blocks = -(-outputs // 4)  # whole blocks of four, whoever computes them
    share(_linear, fixed, blocks, (rows + FETCH) * weight.size)
    return output


@njit(cache=True, nogil=True)
def _product(filters, form, table, lines, count, target, features, lanes, board, start, stop):
    """Fill the tiles start .. stop - 1 of columns of target (A, I), for `count` flat lines of I numbers.

    Where the filters and the lines of a tile lie, `form` and `table` tell `walk_tiles`. If several blocks read
    the lines, the columns of a tile are copied side by side first: where the lines are a power of two apart,
    they would push each other out of the cache.
    """
    if handed_out(board, start, stop):
        return
    rows, tile = len(target) // features, VECTORS * lanes
    zero = np.int64(0)  # for a plain 0 Numba would compile the tile once more
    blocks, once = (rows + FILTERS - 1) // FILTERS, rows <= FILTERS
    panel = np.empty(count * tile, lines.dtype)
    sums = np.empty(blocks * FILTERS * tile, target.dtype)  # the last block may have fewer than four rows
    for number in range(start, stop):
        begin = min(number * tile, features - tile)
        if once:
            walk_tiles(lines[begin:], table, zero, filters, zero, form, zero, blocks, lanes, sums, tile)
        else:
            for line in range(count):
                for x in range(0, tile, lanes):
                    store(panel, line * tile + x, load(lines, line * features + begin + x))
            walk_tiles(panel, table, zero, filters, zero, form, zero, blocks, lanes, sums, tile)
        for row in range(rows):
            for x in range(0, tile, lanes):
                store(target, row * features + begin + x, load(sums, row * tile + x))


def product(filters, lines):
    """Return ``filters @ lines``, (A, I), for (A, B) and (B, I).

    >>> product(np.array([[1.0, 10.0]]), np.array([[2.0, 3.0], [4.0, 5.0]]))
    array([[42., 53.]])
    """
    (count, features), lanes = lines.shape, lanes_of(lines.dtype)
    tile = VECTORS * lanes
    if 0 < features < tile:  # a row is shorter than a tile
        wider = np.zeros((count, tile), lines.dtype)
        wider[:, :features] = lines
        return np.ascontiguousarray(product(filters, wider)[:, :features])
    target = (empty if count else zeros)((len(filters) * features,), lines.dtype)
    if count and target.size:
        turned = len(filters) >= FILTERS and not filters.flags.c_contiguous
        along = len(filters) if turned else 1
        weights = (ready(filters.T).reshape(-1), (along, 1)) if turned else as_it_lies(filters, groups=1)
        table = even_table(count, features if len(filters) <= FILTERS else tile, along)
        fixed = *weights, table, ready(lines).reshape(-1), count, target, features, lanes
        tiles = -(-features // tile)
        work = filters.size * features + 2 * FETCH * (lines.size + target.size)
        share(_product, fixed, tiles, work)
    return target.reshape(len(filters), features)


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
