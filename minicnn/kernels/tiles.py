"""The compiled walks of the fast rung: a tile of sums that stays in registers, fed from one long row.

Every plane is copied once into a buffer, with its padding, so that its rows lie end to end. Then tap
(k, m) of all windows of the plane together is the same long row, read from another place:

    padded 4x4 plane, 3x3 window        a b c d | e f g h | i j k l | m n o p
    tap (0, 0) reads from offset 0      a b . . | e f . .                       cells 0 1 . . 4 5 . .
    tap (0, 1) from offset 1              b c . . | f g . .
    tap (1, 0) from offset 4                      e f . . | i j . .

The dots are cells between two rows of the output: they are computed as well and thrown away. (Zeros to
the right of a row and to the left of the next serve both: such rows overlap in the buffer.) With stride
s the plane is copied as up to s·s planes, one for each remainder of row and column that a tap reads, and is
again read in steps of one. Two images that are small lie one below the other, and share their tiles. The
input gradient is the same over grad_output, with the taps in reverse; with a stride it takes several walks
over one copy, because pixels s apart share their taps. So one kernel, `walk`, makes both:

                      24 cells of the row (3 vectors of 8 with AVX2)
    4 filters   [ a0  a1  a2 ]      for every channel and tap: 3 loads of cells, 4 weights spread over
                [ b0  b1  b2 ]      a vector each, 2 numbers that tell where, 12 multiply-adds. A core that
                [ c0  c1  c2 ]      does 2 loads and 2 multiply-adds at once is limited by its arithmetic, not by
                [ d0  d1  d2 ]      memory. 12 sums + 3 cells + 1 weight are the 16 registers of AVX2.

The weight gradient, `gather`, has the same tile the other way round: 4 filters x 3 taps, 12 sums of
vectors along the row, 4 loads of gradients and 3 of cells for 12 multiply-adds.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from minicnn.kernels.board import handed_out
from minicnn.kernels.compiling import compact, separate
from minicnn.kernels.rows import (
    add_lanes,
    copy_rows,
    finish,
    finish_pooled,
    lay_out,
    spread_plane,
    total_of,
    where_positive,
)
from minicnn.kernels.vector import broadcast, load, multiply_add, read, spread, store, write

FILTERS, VECTORS = 4, 3  # the tile
CACHED = 2**15  # sums that are kept in the cache until they are finished
PLAIN, RELU, POOLED = 0, 1, 2  # what follows the sums: nothing, ReLU, or ReLU and 2x2 pooling


@njit(cache=True, nogil=True)
def walk_tiles(cells, table, tap, weights, origin, form, first, last, lanes, wide, length):
    """Write the sums of the blocks first .. last - 1 of 4 filters into rows of `length` numbers of `wide`.

    From number `tap` on, `table` holds pairs: where a tap is read, counted from the cell, and where its weight
    stands, counted from the filter's first; -1 ends them. `form` holds how many filters there are and how far
    apart they are, from `origin` on. The last block ends with the last filter: some are computed twice.

    A tile's cells are read for all filters before the next tile's: they stay in the first cache, and the
    weights, a sixth as many, come from the second.
    """
    separate()
    filters, apart = form
    top = min(4 * first, filters - 4)
    for start in range(0, length, VECTORS * lanes):
        for block in range(first, last):
            begin = min(4 * block, filters - 4)
            a0 = a1 = a2 = b0 = b1 = b2 = c0 = c1 = c2 = d0 = d1 = d2 = spread(cells, 0)
            pair, offset = tap, read(table, tap)
            while offset >= 0:  # LLVM cannot count this, or it would unroll it, and run out of registers
                place, weight = start + offset, origin + begin * apart + read(table, pair + 1)
                x0, x1, x2 = load(cells, place), load(cells, place + lanes), load(cells, place + 2 * lanes)
                w = broadcast(weights, weight)
                a0, a1, a2 = multiply_add(x0, w, a0), multiply_add(x1, w, a1), multiply_add(x2, w, a2)
                w = broadcast(weights, weight + apart)
                b0, b1, b2 = multiply_add(x0, w, b0), multiply_add(x1, w, b1), multiply_add(x2, w, b2)
                w = broadcast(weights, weight + 2 * apart)
                c0, c1, c2 = multiply_add(x0, w, c0), multiply_add(x1, w, c1), multiply_add(x2, w, c2)
                w = broadcast(weights, weight + 3 * apart)
                d0, d1, d2 = multiply_add(x0, w, d0), multiply_add(x1, w, d1), multiply_add(x2, w, d2)
                pair += 2
                offset = read(table, pair)
            row = (begin - top) * length + start
            for v0, v1, v2 in ((a0, a1, a2), (b0, b1, b2), (c0, c1, c2), (d0, d1, d2)):
                store(wide, row, v0)
                store(wide, row + lanes, v1)
                store(wide, row + 2 * lanes, v2)
                row += length


@njit(cache=True, nogil=True)
def walk(
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
    by_image,
    board,
    start,
    stop,
):
    """Compute the images start .. stop - 1, or so many blocks of four filters of all: forward, or back to the input.

    `source` and `target` are flat. `sizes` are the images, the source's channels, the target's filters and the
    numbers of its planes, how far apart the rows and columns are that a walk writes, the groups, how many images
    are laid out together, the longest row of sums, and the lanes. `weights` is flat, group after group; `form`
    is that of a group, and `table` that of all walks, as `walk_tiles` takes them. For `layout` and `spots` see
    `plans.Plan`; `walks` are flat: of each where its table begins, its rows and columns, and where it begins in
    the target's planes. Blocks count over all groups. What becomes of the sums is told by `end`: PLAIN, RELU or
    POOLED. `odd` gets a first sum of a walk and filter that is not finite: if there is none, all weights are.
    """
    compact()
    if handed_out(board, start, stop):
        return
    (
        images,
        all_channels,
        all_filters,
        target_size,
        row_step,
        column_step,
        groups,
        together,
        longest,
        lanes,
    ) = sizes
    source_size, plane, width, down, along, drop = layout
    channels, filters, nothing = all_channels // groups, all_filters // groups, source.dtype.type(0)
    cells = np.empty(channels * plane + (VECTORS + 1) * lanes + width, source.dtype)
    for i in range(len(cells)):  # compiled in a third of the time that np.zeros takes
        write(cells, i, nothing)
    per_group = (filters + 3) // 4
    first, behind, blocks = (start, stop, (0, per_group * groups)) if by_image else (0, images, (start, stop))
    tile, step = VECTORS * lanes, (row_step, column_step)
    strip = min(max(1, CACHED // (4 * longest)), per_group)  # blocks whose sums fit in the second cache
    wide = np.empty(strip * 4 * longest + width + 2 * lanes, source.dtype)
    line = np.empty(width + 2 * lanes, source.dtype)
    for n in range(first, behind, together):
        here, block = min(together, behind - n), blocks[0]
        while block < blocks[1]:
            group = block // per_group
            after = min(blocks[1], (group + 1) * per_group)
            for m in range(here):
                for c in range(channels):
                    at = ((n + m) * all_channels + group * channels + c) * source_size
                    lay_out(source, at, cells, c * plane + m * drop, spots, down, along, width, lanes)
            for w in range(0, len(walks), 4):
                begin, rows, columns, corner = walks[w], walks[w + 1], walks[w + 2], walks[w + 3]
                length = ((here - 1) * drop + (rows - 1) * width + columns + tile - 1) // tile * tile
                own = table, begin, weights, group * len(weights) // groups, form
                for b in range(block, after, strip):
                    local = b - group * per_group, min(b + strip, after) - group * per_group
                    walk_tiles(cells, *own, *local, lanes, wide, length)
                    front = min(local[0] * 4, form[0] - 4)
                    for u in range(local[0] * 4 - front, min(local[1] * 4, filters) - front):
                        f = group * filters + front + u
                        first_sum = read(wide, u * length)
                        if n == 0 and first_sum - first_sum != 0:
                            write(odd, 0, first_sum)
                        for m in range(here):
                            at, to = u * length + m * drop, ((n + m) * all_filters + f) * target_size
                            if end == POOLED:
                                how = (True, line, target, winners, to, rows, columns, lanes)
                                finish_pooled(wide, at, width, bias, f, *how)
                            else:
                                how = (end == RELU, target, to + corner, rows, columns, step, lanes)
                                finish(wide, at, width, bias, f, *how)
            block = after


@njit(cache=True, nogil=True)
def gather_tiles(cells, grads, begin, apart, length, offsets, sums, at, lanes):
    """Add the products of 4 rows of gradients with cells read from `offsets` to vectors of sums.

    The rows begin at `begin` and are `apart`; of all rows whole vectors are read, up to `length` numbers.
    Every three offsets have 12 vectors of `sums`, from number `at` on.
    """
    separate()
    for tile in range(0, len(offsets), VECTORS):
        place0, place1, place2 = read(offsets, tile), read(offsets, tile + 1), read(offsets, tile + 2)
        a0, a1, a2 = load(sums, at), load(sums, at + lanes), load(sums, at + 2 * lanes)
        b0, b1, b2 = load(sums, at + 3 * lanes), load(sums, at + 4 * lanes), load(sums, at + 5 * lanes)
        c0, c1, c2 = load(sums, at + 6 * lanes), load(sums, at + 7 * lanes), load(sums, at + 8 * lanes)
        d0, d1, d2 = load(sums, at + 9 * lanes), load(sums, at + 10 * lanes), load(sums, at + 11 * lanes)
        p = 0
        while p < length:
            x0, x1, x2 = load(cells, place0 + p), load(cells, place1 + p), load(cells, place2 + p)
            g = load(grads, begin + p)
            a0, a1, a2 = multiply_add(x0, g, a0), multiply_add(x1, g, a1), multiply_add(x2, g, a2)
            g = load(grads, begin + apart + p)
            b0, b1, b2 = multiply_add(x0, g, b0), multiply_add(x1, g, b1), multiply_add(x2, g, b2)
            g = load(grads, begin + 2 * apart + p)
            c0, c1, c2 = multiply_add(x0, g, c0), multiply_add(x1, g, c1), multiply_add(x2, g, c2)
            g = load(grads, begin + 3 * apart + p)
            d0, d1, d2 = multiply_add(x0, g, d0), multiply_add(x1, g, d1), multiply_add(x2, g, d2)
            p += lanes
        for v0, v1, v2 in ((a0, a1, a2), (b0, b1, b2), (c0, c1, c2), (d0, d1, d2)):
            store(sums, at, v0)
            store(sums, at + lanes, v1)
            store(sums, at + 2 * lanes, v2)
            at += 3 * lanes


@njit(cache=True, nogil=True)
def gather(
    grad_output,
    output,
    winners,
    input,
    grad_weight,
    totals,
    spots,
    offsets,
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
    multiple of three. `sizes` are the images, channels, filters, rows and columns of the gradient, the groups
    and the lanes; for `layout` and `spots` see `plans.Plan`.

    If there is an `output`, `grad_output` is that of ReLU; if there are `winners`, that of pooling behind it.
    `totals`, if there are any, get the sum of each plane's gradients, for the bias.
    """
    compact()
    if handed_out(board, start, stop):
        return
    images, all_channels, all_filters, rows, columns, groups, lanes = sizes
    source_size, plane, width, down, along, _ = layout
    channels, filters, nothing = all_channels // groups, all_filters // groups, input.dtype.type(0)
    length = ((rows - 1) * width + columns + lanes - 1) // lanes * lanes
    size, pools, rectifies = rows * columns, len(winners) > 0, len(output) > 0
    cells, grads = np.empty(channels * plane + lanes + width, input.dtype), np.empty(4 * length, input.dtype)
    passed_on = np.empty(size if pools or rectifies else 0, input.dtype)
    for i in range(len(cells)):
        write(cells, i, nothing)
    for i in range(len(grads)):
        write(grads, i, nothing)  # what lies between two rows stays zero
    per_group = (filters + 3) // 4
    vectors, taps = 4 * len(offsets), len(grad_weight) // (parts * all_filters)
    first, behind, blocks = start, stop, (0, per_group * groups)
    if parts == 1:
        first, behind, blocks = 0, 1, (start, stop)
    strip = 1 if images == 1 else max(1, blocks[1] - blocks[0])  # one image is laid out once anyway
    sums = np.empty((strip * vectors + lanes - 1) // lanes * lanes * lanes, input.dtype)
    laid_out = -1
    zero = np.int64(0)  # for a plain 0 Numba would compile the tile once more
    for part in range(first, behind):
        for front in range(blocks[0], blocks[1], strip):
            for i in range(len(sums)):
                write(sums, i, nothing)
            for n in range(images * part // parts, images * (part + 1) // parts):
                for block in range(front, front + strip):
                    group, begin = block // per_group, block % per_group * 4
                    if n * groups + group != laid_out:
                        laid_out = n * groups + group
                        for c in range(channels):
                            at = (laid_out * channels + c) * source_size
                            lay_out(input, at, cells, c * plane, spots, down, along, width, lanes)
                    for u in range(min(4, filters - begin)):
                        p = n * all_filters + group * filters + begin + u
                        own, at = (passed_on, zero) if pools or rectifies else (grad_output, p * size)
                        if pools:
                            windows = p * (rows // 2) * (columns // 2)
                            spread_plane(grad_output, winners, windows, passed_on, zero, rows, columns, lanes)
                        elif rectifies:
                            where_positive(grad_output, output, p * size, passed_on, zero, size)
                        if len(totals) > 0:
                            write(totals, p, total_of(own, at, size))
                        copy_rows(own, at, grads, u * length, rows, columns, columns, width, lanes)
                    # in the other rows, if any, stays what was there: nobody reads its sums
                    at = (block - front) * vectors * lanes
                    gather_tiles(cells, grads, zero, length, length, offsets, sums, at, lanes)
            add_lanes(sums, lanes)
            for block in range(front, front + strip):
                begin = block % per_group * 4
                for u in range(min(4, filters - begin)):
                    to = (part * all_filters + block // per_group * filters + begin + u) * taps
                    at = (block - front) * vectors + u * VECTORS
                    for tap in range(taps):
                        number = read(sums, at + tap // VECTORS * 4 * VECTORS + tap % VECTORS)
                        write(grad_weight, to + tap, number)
