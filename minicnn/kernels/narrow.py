"""The compiled walk for groups of one filter: depthwise convolution, or the way back to a single channel.

The tile of `tiles.walk` has four filters. Where a group has but one, three quarters of it would be zeros. So
here the tile has one filter, and is as much longer:

                       96 cells of the row (12 vectors of 8 with AVX2)
    1 filter    [ s0  s1  s2  s3  s4  s5  s6  s7  s8  s9  s10 s11 ]

For every channel and tap one weight is spread over a vector, and 12 multiply-adds take their cells straight
from the buffer. A core begins two multiply-adds at once, and each takes four cycles: eight sums at least must
be under way, and 12 with a weight and a cell fit into 16 registers. Two loads at once would keep up with that,
if the cells did not begin anywhere: every second vector lies across the end of a cache line, and counts twice.
So a core does two thirds of the multiply-adds that it does with four filters; but all are of use, in place of
a quarter. With two filters in a group both would take the same time, with three the other walk is faster.

Rows, cells and table are those of `tiles.walk`, and so is the order of every sum: the bits are the same.
"""

from __future__ import annotations

import numpy as np

from minicnn.kernels.board import handed_out
from minicnn.kernels.compiling import compact, compiled, separate
from minicnn.kernels.finishing import finish, finish_pooled
from minicnn.kernels.rows import lay_out
from minicnn.kernels.tiles import POOLED, RELU
from minicnn.kernels.vector import broadcast, lanes_in, load, multiply_add, read, spread, store, write

LONG = 12  # vectors of a tile


@compiled
def long_tiles(cells, table, tap, weights, origin, wide, length):
    """Write the first `length` sums of the filter whose weights begin at `origin` to `wide`, whole tiles of them.

    `table` is read from number `tap` on; see `tiles.walk_tiles`.

    >>> from minicnn.kernels.registers import lanes_of
    >>> lanes = lanes_of(np.dtype("d"))
    >>> wide, table = np.empty(12 * lanes), np.array([0, 0, 2, 1, -1])              # 10·cell + 1·next but one
    >>> long_tiles(np.arange(12.0 * lanes + 2), table, 0, np.array([10.0, 1]), 0, wide, 12 * lanes)
    >>> wide[:4]
    array([ 2., 13., 24., 35.])
    """
    separate()
    lanes = lanes_in(cells)
    for start in range(0, length, LONG * lanes):
        s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = s8 = s9 = s10 = s11 = spread(cells, 0)
        pair, offset = tap, read(table, tap)
        while offset >= 0:
            place, w = start + offset, broadcast(weights, origin + read(table, pair + 1))
            s0 = multiply_add(load(cells, place), w, s0)
            s1 = multiply_add(load(cells, place + lanes), w, s1)
            s2 = multiply_add(load(cells, place + 2 * lanes), w, s2)
            s3 = multiply_add(load(cells, place + 3 * lanes), w, s3)
            s4 = multiply_add(load(cells, place + 4 * lanes), w, s4)
            s5 = multiply_add(load(cells, place + 5 * lanes), w, s5)
            s6 = multiply_add(load(cells, place + 6 * lanes), w, s6)
            s7 = multiply_add(load(cells, place + 7 * lanes), w, s7)
            s8 = multiply_add(load(cells, place + 8 * lanes), w, s8)
            s9 = multiply_add(load(cells, place + 9 * lanes), w, s9)
            s10 = multiply_add(load(cells, place + 10 * lanes), w, s10)
            s11 = multiply_add(load(cells, place + 11 * lanes), w, s11)
            pair += 2
            offset = read(table, pair)
        place = start
        for v in (s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11):
            store(wide, place, v)
            place += lanes


@compiled
def walk_narrow(
    source,
    weights,
    form,
    bias,
    end,
    target,
    winners,
    odd,
    spots,
    table,
    walks,
    layout,
    sizes,
    board,
    start,
    stop,
):
    """Compute the units start .. stop - 1: a unit is one group of the images that are laid out together.

    All arguments are those of `tiles.walk`, but for `sizes`: the images, the groups and the channels of each,
    the numbers of a target's plane, how far apart the rows and columns are that a walk writes, how many images
    are laid out together, the longest row of sums, up to where the cells are read, and the lanes.

    >>> from minicnn.kernels.calls import forward_call
    >>> call = forward_call((1, 2, 1, 3), (2, 1, 1, 2), np.dtype("d"), (1, 1), (0, 0), (1, 1), 2, False)
    >>> image, weights, target = np.array([1.0, 2, 3, 4, 5, 6]), np.array([10.0, 1, 1, 10]), np.empty(4)
    >>> arrays = image, weights, (1, 2), np.zeros(2), 0, target, np.empty(0, np.uint8), np.zeros(1)
    >>> walk_narrow(*arrays, *call.where, np.zeros(1, np.int64), 0, 2)
    >>> target                                                  # 1·10 + 2·1, ..., 4·1 + 5·10, ...
    array([12., 23., 54., 65.])
    """
    compact()
    if handed_out(board, start, stop):
        return
    images, groups, channels, target_size, row_step, column_step, together, longest, room, lanes = sizes
    source_size, plane, width, down, along, drop = layout
    tile, step, nothing = LONG * lanes, (row_step, column_step), source.dtype.type(0)
    cells, wide = np.empty(room, source.dtype), np.empty(longest + width + 2 * lanes, source.dtype)
    line = np.empty(width + 2 * lanes, source.dtype)
    for i in range(room):
        write(cells, i, nothing)
    for unit in range(start, stop):
        n, group = unit // groups * together, unit % groups
        here = min(together, images - n)
        for m in range(here):
            for c in range(channels):
                at = (((n + m) * groups + group) * channels + c) * source_size
                lay_out(source, at, cells, c * plane + m * drop, spots, down, along, width, lanes)
        for w in range(0, len(walks), 4):
            begin, rows, columns, corner = walks[w], walks[w + 1], walks[w + 2], walks[w + 3]
            length = ((here - 1) * drop + (rows - 1) * width + columns + tile - 1) // tile * tile
            long_tiles(cells, table, begin, weights, group * form[1], wide, length)
            first_sum = read(wide, 0)
            if n == 0 and first_sum - first_sum != 0:
                write(odd, 0, first_sum)
            for m in range(here):
                to = ((n + m) * groups + group) * target_size
                if end == POOLED:
                    how = (True, line, target, winners, to, rows, columns, lanes)
                    finish_pooled(wide, m * drop, width, bias, group, *how)
                else:
                    how = (end == RELU, target, to + corner, rows, columns, step, lanes)
                    finish(wide, m * drop, width, bias, group, *how)
