"""The compiled walk of the weight gradient: the rows of `tiles`, and its tile the other way round.

    gw[o, c, k] = Σ_p gy[o, p] · x[c, window p, tap k]

                      3 taps: of each a vector of sums along the row
    4 filters   [ a0  a1  a2 ]      for every vector of the row: 3 loads of cells, 4 of gradients, and 12
                [ b0  b1  b2 ]      multiply-adds. A filter's row of gradients is laid out as the cells are, with
                [ c0  c1  c2 ]      zeros where `tiles` has dots. What the lanes have summed up is added in the
                [ d0  d1  d2 ]      end.

As there, two blocks of four filters share their cells where there are 32 registers.

Between two rows the sums wait in the second cache. So small images lie end to end in one long row; as in `tiles`,
each vector begins with a row where that takes fewer. A row of gradients must stay in the first cache, so that of a
large plane is taken in parts.

Behind ReLU, two planes come from memory for each filter, gradients and outputs: those of the next filters are
prefetched while these are multiplied.
"""

from __future__ import annotations

import numpy as np

from minicnn.kernels.board import handed_out
from minicnn.kernels.compiling import compact, compiled, inner, separate
from minicnn.kernels.prefetching import prefetch
from minicnn.kernels.room import room
from minicnn.kernels.rows import add_lanes, copy_rows, lay_out, spread_plane, total_of, where_positive
from minicnn.kernels.threes import BLOCKS, EIGHT, VECTORS, added, held, loaded, put
from minicnn.kernels.vector import load, read, write

TOGETHER = 4 * BLOCKS  # filters whose gradients meet the cells together


@inner
def gather_tiles(
    cells,
    grads,
    begin,
    apart,
    more,
    start,
    stop,
    offsets,
    sums,
    at,
    lanes,
    ahead,
    beside,
    to,
    until,
    places,
):
    """Add the products of 4 or 8 rows of gradients with cells read from `offsets` to vectors of sums.

    Four rows begin at `begin`, and `apart`; another four begin so much `more` behind them, if that is not 0. Of all
    rows whole vectors are read, from number `start` up to `stop`. The cells of each vector are read from its place,
    one of `places`, counted from the offset. Every three offsets have 12 vectors of `sums`, from number `at` on; those
    of the other four rows follow behind all of these. Meanwhile what will be needed next is fetched from two arrays,
    `ahead` and `beside`, from number `to` up to `until`.
    """
    separate()
    row, eight, behind = 3 * lanes, EIGHT and more > 0, at + 4 * len(offsets) * lanes
    for tile in range(0, len(offsets), VECTORS):
        place0, place1, place2 = read(offsets, tile), read(offsets, tile + 1), read(offsets, tile + 2)
        a, b = held(sums, at, lanes), held(sums, at + row, lanes)
        c, d = held(sums, at + 2 * row, lanes), held(sums, at + 3 * row, lanes)
        e = f = g = h = a
        if eight:
            e, f = held(sums, behind, lanes), held(sums, behind + row, lanes)
            g, h = held(sums, behind + 2 * row, lanes), held(sums, behind + 3 * row, lanes)
        p, vector = start, start // lanes
        while p < stop:
            if to < until:
                prefetch(ahead, to)
                prefetch(beside, to)
                if eight:
                    to += lanes
                    prefetch(ahead, to)
                    prefetch(beside, to)
                to += lanes
            q = read(places, vector)
            x = loaded(cells, place0 + q, place1 + q, place2 + q)
            number = begin + p
            a = added(a, x, load(grads, number))
            b = added(b, x, load(grads, number + apart))
            c = added(c, x, load(grads, number + 2 * apart))
            d = added(d, x, load(grads, number + 3 * apart))
            if eight:
                number += more
                e = added(e, x, load(grads, number))
                f = added(f, x, load(grads, number + apart))
                g = added(g, x, load(grads, number + 2 * apart))
                h = added(h, x, load(grads, number + 3 * apart))
            p, vector = p + lanes, vector + 1
        for three in (a, b, c, d):
            put(sums, at, three, lanes)
            at += row
        if eight:
            for three in (e, f, g, h):
                put(sums, behind, three, lanes)
                behind += row


@compiled
def gather(
    grad_output,
    output,
    winners,
    input,
    grad_weight,
    totals,
    spots,
    offsets,
    places,
    layout,
    sizes,
    parts,
    board,
    start,
    stop,
):
    """Compute the blocks start .. stop - 1 of four filters of the weight gradient, over all images in order.

    With several `parts` of the images, compute the parts start .. stop - 1 for all filters: then each image is
    laid out by one thread only. `grad_output` and `input` are flat. `grad_weight` is flat, (parts, C_out,
    channels · taps); there are as many `offsets` as taps, and up to two more that make their number a
    multiple of three, and `places` for all vectors of cells. `sizes` are the images, channels, filters, rows and
    columns of the gradient, how far apart rows and images are in the buffer that it is copied to, the groups, how
    many images are laid out together, and the lanes; for `layout` and `spots` see `plans.Plan`.

    If there is an `output`, `grad_output` is that of ReLU; if there are `winners`, that of pooling behind it.
    `totals`, if there are any, get the sum of each plane's gradients, for the bias.
    """
    compact()
    if handed_out(board, start, stop):
        return
    images, all_channels, all_filters, rows, columns, across, beyond, groups, together, chunk, lanes = sizes
    source_size, plane, width, down, along, drop = layout
    channels, filters, nothing = all_channels // groups, all_filters // groups, input.dtype.type(0)
    last_cell = (rows - 1) * across + columns + lanes - 1  # of the last vector
    apart = ((together - 1) * beyond + last_cell) // lanes * lanes
    size, pools, rectifies = rows * columns, len(winners) > 0, len(output) > 0
    cells, grads = np.empty(channels * plane + lanes + width, input.dtype), room(TOGETHER * apart, input)
    passed_on = np.empty(size if pools or rectifies else 0, input.dtype)
    for i in range(len(cells)):
        write(cells, i, nothing)
    for i in range(len(grads)):
        write(grads, i, nothing)
    per_group = (filters + 3) // 4
    vectors, taps = 4 * len(offsets), len(grad_weight) // (parts * all_filters)
    first, behind, blocks = start, stop, (0, per_group * groups)
    if parts == 1:
        first, behind, blocks = 0, 1, (start, stop)
    strip = max(1, blocks[1] - blocks[0])
    if images <= together:
        strip = BLOCKS  # all are laid out once anyway
    sums = room((strip * vectors + lanes - 1) // lanes * lanes * lanes, input)
    laid_out = -1
    zero = np.int64(0)  # for a plain 0 Numba would compile the tile once more
    for part in range(first, behind):
        for front in range(blocks[0], blocks[1], strip):
            after = min(front + strip, blocks[1])
            for i in range(len(sums)):
                write(sums, i, nothing)
            last = images * (part + 1) // parts
            for n in range(images * part // parts, last, together):
                here = min(together, last - n)
                length = ((here - 1) * beyond + last_cell) // lanes * lanes
                for i in range(len(grads) if here < together else 0):
                    write(grads, i, nothing)  # of the images before; what lies between two rows stays zero
                block = front
                while block < after:
                    group, begin = block // per_group, block % per_group * 4
                    count = min(BLOCKS, min(after, (group + 1) * per_group) - block)
                    if n * groups + group != laid_out:
                        laid_out = n * groups + group
                        for m in range(here):
                            for c in range(channels):
                                at = ((n + m) * all_channels + group * channels + c) * source_size
                                to = c * plane + m * drop
                                lay_out(input, at, cells, to, spots, down, along, width, lanes)
                    for row in range(min(4 * count, filters - begin) * here):
                        u, m = row // here, row % here
                        p = (n + m) * all_filters + group * filters + begin + u
                        own, at = (passed_on, zero) if pools or rectifies else (grad_output, p * size)
                        if pools:
                            windows = p * (rows // 2) * (columns // 2)
                            spread_plane(grad_output, winners, windows, passed_on, zero, rows, columns, lanes)
                        elif rectifies:
                            where_positive(grad_output, output, p * size, passed_on, zero, size)
                        if len(totals) > 0:
                            write(totals, p, total_of(own, at, size))
                        copy_rows(
                            own, at, grads, u * apart + m * beyond, rows, columns, columns, across, lanes
                        )
                    # in the other rows, if any, stays what was there: nobody reads its sums
                    at = (block - front) * vectors * lanes
                    own = cells, grads, zero, apart, (count - 1) * 4 * apart
                    following = (n * all_filters + group * filters + begin + 4 * count) * size
                    cell = 0
                    while cell < length:
                        part_of = cell, min(cell + chunk, length), offsets, sums, at, lanes
                        to = following + 4 * count * cell
                        until = following + 4 * count * min(cell + chunk, size) if rectifies else to
                        gather_tiles(*own, *part_of, grad_output, output, to, until, places)
                        cell += chunk
                    block += count
            add_lanes(sums, lanes)
            for block in range(front, after):
                begin = block % per_group * 4
                for u in range(min(4, filters - begin)):
                    to = (part * all_filters + block // per_group * filters + begin + u) * taps
                    at = (block - front) * vectors + u * VECTORS
                    for tap in range(taps):
                        number = read(sums, at + tap // VECTORS * 4 * VECTORS + tap % VECTORS)
                        write(grad_weight, to + tap, number)
