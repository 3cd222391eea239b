"""The compiled walks of the fast rung: a tile of sums that stays in registers, fed from one long row.

Every plane is copied once into a buffer, with its padding, so that its rows lie end to end. Then tap
(k, m) of all windows of the plane together is the same long row, read from another place:

    padded 4x4 plane, 3x3 window        a b c d | e f g h | i j k l | m n o p
    tap (0, 0) reads from offset 0      a b . . | e f . .                       cells 0 1 . . 4 5 . .
    tap (0, 1) from offset 1              b c . . | f g . .
    tap (1, 0) from offset 4                      e f . . | i j . .

The dots are cells between two rows of the output: they are computed as well and thrown away. (Zeros to
the right of a row and to the left of the next serve both: such rows overlap in the buffer.) Where rows are
whole vectors, or nearly, each vector begins with a row instead, and there is nothing to throw away. With stride
s the plane is copied as up to s·s planes, one for each remainder of row and column that a tap reads, and is
again read in steps of one. Small images lie one below the other, and share their tiles. The input gradient
is the same over grad_output, with the taps in reverse; with a stride it takes several walks over one copy,
because pixels s apart share their taps. So one kernel, `walk`, makes both:

                      24 cells of the row (3 vectors of 8 with AVX2)
    4 filters   [ a0  a1  a2 ]      for every channel and tap: 3 loads of cells, 4 weights spread over
                [ b0  b1  b2 ]      a vector each, 2 numbers that tell where, 12 multiply-adds. A core that
                [ c0  c1  c2 ]      does 2 loads and 2 multiply-adds at once is limited by its arithmetic, not by
                [ d0  d1  d2 ]      memory. 12 sums + 3 cells + 1 weight are the 16 registers of AVX2.

With 32 registers (AVX-512, and Arm) two such blocks share their cells, and the tile has 24 sums: 11 loads for 24
multiply-adds, where two tiles of four filters take 14. Vectors of 64 bytes that begin anywhere lie in two lines of
the cache, and count twice: 14 against 20, of 24 that a core can do meanwhile.

The weight gradient has the same tile the other way round: see `gathering`, or `fast_positions`.
"""

from __future__ import annotations

import numpy as np

from minicnn.kernels.board import handed_out
from minicnn.kernels.compiling import compact, compiled, inner, separate
from minicnn.kernels.finishing import finish, finish_both, finish_pooled
from minicnn.kernels.prefetching import claim
from minicnn.kernels.room import room
from minicnn.kernels.rows import lay_out
from minicnn.kernels.threes import BLOCKS, EIGHT, VECTORS, added, loaded, put
from minicnn.kernels.vector import broadcast, read, spread, write

FILTERS = 4  # of a block
WALK = 7  # numbers that tell what a walk does
CACHED = 2**15  # sums that are kept in the cache until they are finished
PLAIN, RELU, POOLED = 0, 1, 2  # what follows the sums: nothing, ReLU, or ReLU and 2x2 pooling


@inner
def walk_tiles(
    cells,
    table,
    tap,
    weights,
    origin,
    form,
    first,
    last,
    lanes,
    wide,
    length,
    places,
    place,
    target,
    to,
    part,
):
    """Write the sums of the blocks first .. last - 1 of 4 filters into rows of `length` numbers of `wide`.

    From number `tap` on, `table` holds pairs: where a tap is read, counted from the cell, and where its weight
    stands, counted from the filter's first; -1 ends them. `form` holds how many filters there are and how far
    apart they are, from `origin` on. The last block ends with the last filter: some are computed twice.

    Where each vector begins, `places` tell from number `place` on.

    A tile's cells are read for all filters before the next tile's: they stay in the first cache, and the
    weights, a sixth as many, come from the second. With each tile of each block a `part` of `target` is claimed, from
    number `to` on, for the sums that will go there.
    """
    separate()
    filters, apart = form
    top = min(4 * first, filters - 4)
    start = 0
    while start < length:  # a range would divide by its step
        p0, p1, p2 = read(places, place), read(places, place + 1), read(places, place + 2)
        block, place = first, place + VECTORS
        while block < last:
            eight = EIGHT and block + 1 < last
            begin, begin_more = min(4 * block, filters - 4), min(4 * block + 4, filters - 4)
            claimed, to = to, to + (2 * part if eight else part)
            while claimed < to:
                claim(target, claimed)
                claimed += lanes
            zero = spread(cells, 0)
            a = b = c = d = e = f = g = h = (zero, zero, zero)
            pair, offset = tap, read(table, tap)
            while offset >= 0:  # LLVM cannot count this, or it would unroll it, and run out of registers
                weight = origin + begin * apart + read(table, pair + 1)
                x = loaded(cells, p0 + offset, p1 + offset, p2 + offset)
                a = added(a, x, broadcast(weights, weight))
                b = added(b, x, broadcast(weights, weight + apart))
                c = added(c, x, broadcast(weights, weight + 2 * apart))
                d = added(d, x, broadcast(weights, weight + 3 * apart))
                if eight:
                    weight = origin + begin_more * apart + read(table, pair + 1)
                    e = added(e, x, broadcast(weights, weight))
                    f = added(f, x, broadcast(weights, weight + apart))
                    g = added(g, x, broadcast(weights, weight + 2 * apart))
                    h = added(h, x, broadcast(weights, weight + 3 * apart))
                pair += 2
                offset = read(table, pair)
            row = (begin - top) * length + start
            for sums in (a, b, c, d):
                put(wide, row, sums, lanes)
                row += length
            block += 1
            if eight:
                row = (begin_more - top) * length + start
                for sums in (e, f, g, h):
                    put(wide, row, sums, lanes)
                    row += length
                block += 1
        start += VECTORS * lanes


@inner
def end_to_end(vectors, lanes):
    """Return the places of so many vectors that follow each other."""
    places = np.empty(vectors, np.int64)
    for i in range(vectors):
        write(places, i, i * lanes)
    return places


@compiled
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
    places,
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
    are laid out together, the longest row of sums, `both`, and the lanes. `weights` is flat, group after group; `form`
    is that of a group, and `table` that of all walks, as `walk_tiles` takes them. For `layout` and `spots` see
    `plans.Plan`; `walks` are flat: of each where its table begins, its rows and columns, where it begins in the
    target's planes and its vectors in `places`, and how far apart the sums of two rows, and of two images, are.
    Blocks count over all groups. What becomes of the sums is told by `end`: PLAIN, RELU or POOLED. `odd` gets a
    first sum of a walk and filter that is not finite: if there is none, all weights are.

    If `both` is 1, each two walks make every second column of the same rows, and are written together. They differ
    in their tables only, so the second one tells in place of its columns how many there are together, and in place
    of where it begins whether it makes columns 0, 2, 4 ...: then 1, else 0.
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
        both,
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
    strip = min(max(1, CACHED // (4 * BLOCKS * longest)) * BLOCKS, per_group)  # blocks whose sums stay cached
    other = strip * 4 * longest  # where the sums of a second walk begin
    wide = room((1 + both) * other + width + 2 * lanes, source)
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
            for w in range(0, len(walks), (1 + both) * WALK):
                rows, columns, corner = walks[w + 1], walks[w + 2], walks[w + 3]
                place, across, apart = walks[w + 4], walks[w + 5], walks[w + 6]
                length = ((here - 1) * apart + (rows - 1) * across + columns + tile - 1) // tile * tile
                for b in range(block, after, strip):
                    local = b - group * per_group, min(b + strip, after) - group * per_group
                    to = (n * all_filters + group * filters + FILTERS * local[0]) * target_size
                    part = 0 if end == POOLED else here * FILTERS * target_size * tile // length
                    for half in range(1 + both):
                        own = table, walks[w + half * WALK], weights, group * len(weights) // groups, form
                        into = wide[half * other :], length, places, place, target, to, part * (1 - half)
                        walk_tiles(cells, *own, *local, lanes, *into)
                    front = min(local[0] * 4, form[0] - 4)
                    for u in range(local[0] * 4 - front, min(local[1] * 4, filters) - front):
                        f = group * filters + front + u
                        for half in range(1 + both):
                            first_sum = read(wide, half * other + u * length)
                            if n == 0 and first_sum - first_sum != 0:
                                write(odd, 0, first_sum)
                        for m in range(here):
                            at, to = u * length + m * apart, ((n + m) * all_filters + f) * target_size
                            if end == POOLED:
                                how = (True, line, target, winners, to, rows, columns, lanes)
                                finish_pooled(wide, at, across, bias, f, *how)
                            elif both > 0:
                                all_columns, even = walks[w + WALK + 2], walks[w + WALK + 3]
                                ways = at + even * other, at + (1 - even) * other, across
                                how = target, to + corner, rows, all_columns, row_step, lanes
                                finish_both(wide, *ways, bias, f, *how)
                            else:
                                how = (end == RELU, target, to + corner, rows, columns, step, lanes)
                                finish(wide, at, across, bias, f, *how)
            block = after
