"""The compiled walk of the weight gradient: the rows of `tiles`, and its tile the other way round.

    gw[o, c, k] = Σ_p gy[o, p] · x[c, window p, tap k]

                      3 taps: of each a vector of sums along the row
    4 filters   [ a0  a1  a2 ]      for every vector of the row: 3 loads of cells, 4 of gradients, and 12
                [ b0  b1  b2 ]      multiply-adds. A filter's row of gradients is laid out as the cells are, with
                [ c0  c1  c2 ]      zeros where `tiles` has dots. What the lanes have summed up is added in the
                [ d0  d1  d2 ]      end.

Between two rows the sums wait in the second cache. So small images lie end to end in one long row; as in `tiles`,
each vector begins with a row where that takes fewer.

Behind ReLU, two planes come from memory for each filter, gradients and outputs: those of the next four filters are
prefetched while these four are multiplied.
"""

from __future__ import annotations

import numpy as np

from minicnn.kernels.board import handed_out
from minicnn.kernels.compiling import compact, compiled, separate
from minicnn.kernels.prefetching import prefetch
from minicnn.kernels.rows import add_lanes, copy_rows, lay_out, spread_plane, total_of, where_positive
from minicnn.kernels.tiles import VECTORS
from minicnn.kernels.vector import load, multiply_add, read, store, write


@compiled
def gather_tiles(
    cells, grads, begin, apart, length, offsets, sums, at, lanes, ahead, beside, to, until, places=None
):
    """Add the products of 4 rows of gradients with cells read from `offsets` to vectors of sums.

    The rows begin at `begin` and are `apart`; of all rows whole vectors are read, up to `length` numbers. The cells
    of each vector are read from its place, counted from the offset: from one of `places`, or all end to end.
    Every three offsets have 12 vectors of `sums`, from number `at` on. Meanwhile what will be needed next is
    fetched from two arrays, `ahead` and `beside`, from number `to` up to `until`.
    """
    separate()
    for tile in range(0, len(offsets), VECTORS):
        place0, place1, place2 = read(offsets, tile), read(offsets, tile + 1), read(offsets, tile + 2)
        a0, a1, a2 = load(sums, at), load(sums, at + lanes), load(sums, at + 2 * lanes)
        b0, b1, b2 = load(sums, at + 3 * lanes), load(sums, at + 4 * lanes), load(sums, at + 5 * lanes)
        c0, c1, c2 = load(sums, at + 6 * lanes), load(sums, at + 7 * lanes), load(sums, at + 8 * lanes)
        d0, d1, d2 = load(sums, at + 9 * lanes), load(sums, at + 10 * lanes), load(sums, at + 11 * lanes)
        p, vector = 0, 0
        while p < length:
            if ahead is not None and to < until:
                prefetch(ahead, to)
                prefetch(beside, to)
                to += lanes
            q = p if places is None else read(places, vector)
            x0, x1, x2 = load(cells, place0 + q), load(cells, place1 + q), load(cells, place2 + q)
            g = load(grads, begin + p)
            a0, a1, a2 = multiply_add(x0, g, a0), multiply_add(x1, g, a1), multiply_add(x2, g, a2)
            g = load(grads, begin + apart + p)
            b0, b1, b2 = multiply_add(x0, g, b0), multiply_add(x1, g, b1), multiply_add(x2, g, b2)
            g = load(grads, begin + 2 * apart + p)
            c0, c1, c2 = multiply_add(x0, g, c0), multiply_add(x1, g, c1), multiply_add(x2, g, c2)
            g = load(grads, begin + 3 * apart + p)
            d0, d1, d2 = multiply_add(x0, g, d0), multiply_add(x1, g, d1), multiply_add(x2, g, d2)
            p, vector = p + lanes, vector + 1
        for v0, v1, v2 in ((a0, a1, a2), (b0, b1, b2), (c0, c1, c2), (d0, d1, d2)):
            store(sums, at, v0)
            store(sums, at + lanes, v1)
            store(sums, at + 2 * lanes, v2)
            at += 3 * lanes


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
    images, all_channels, all_filters, rows, columns, across, beyond, groups, together, lanes = sizes
    source_size, plane, width, down, along, drop = layout
    channels, filters, nothing = all_channels // groups, all_filters // groups, input.dtype.type(0)
    last_cell = (rows - 1) * across + columns + lanes - 1  # of the last vector
    apart = ((together - 1) * beyond + last_cell) // lanes * lanes
    size, pools, rectifies = rows * columns, len(winners) > 0, len(output) > 0
    cells, grads = np.empty(channels * plane + lanes + width, input.dtype), np.empty(4 * apart, input.dtype)
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
    strip = 1 if images <= together else max(1, blocks[1] - blocks[0])  # then all are laid out once anyway
    sums = np.empty((strip * vectors + lanes - 1) // lanes * lanes * lanes, input.dtype)
    laid_out = -1
    zero = np.int64(0)  # for a plain 0 Numba would compile the tile once more
    for part in range(first, behind):
        for front in range(blocks[0], blocks[1], strip):
            for i in range(len(sums)):
                write(sums, i, nothing)
            last = images * (part + 1) // parts
            for n in range(images * part // parts, last, together):
                here = min(together, last - n)
                length = ((here - 1) * beyond + last_cell) // lanes * lanes
                for i in range(len(grads) if here < together else 0):
                    write(grads, i, nothing)  # of the images before; what lies between two rows stays zero
                for block in range(front, front + strip):
                    group, begin = block // per_group, block % per_group * 4
                    if n * groups + group != laid_out:
                        laid_out = n * groups + group
                        for m in range(here):
                            for c in range(channels):
                                at = ((n + m) * all_channels + group * channels + c) * source_size
                                to = c * plane + m * drop
                                lay_out(input, at, cells, to, spots, down, along, width, lanes)
                    for row in range(min(4, filters - begin) * here):
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
                    own = cells, grads, zero, apart, length, offsets, sums, at, lanes
                    following = (n * all_filters + group * filters + begin + 4) * size
                    if rectifies:
                        gather_tiles(*own, grad_output, output, following, following + 4 * size, places)
                    else:
                        gather_tiles(*own, None, None, zero, zero, places)
            add_lanes(sums, lanes)
            for block in range(front, front + strip):
                begin = block % per_group * 4
                for u in range(min(4, filters - begin)):
                    to = (part * all_filters + block // per_group * filters + begin + u) * taps
                    at = (block - front) * vectors + u * VECTORS
                    for tap in range(taps):
                        number = read(sums, at + tap // VECTORS * 4 * VECTORS + tap % VECTORS)
                        write(grad_weight, to + tap, number)
