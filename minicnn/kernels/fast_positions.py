"""The weight gradient on the fast rung where channels are many: the tile of `tiles`, with channels in its lanes.

    gw[o, c, k] = Σ_p gy[o, p] · x[c, window p, tap k]              p counts the positions of all images

`gathering.gather` has positions in its lanes. What the lanes have summed up must be added in the end, rows must
be filled up to whole vectors, and with a stride the planes must be taken apart. So where there are enough channels
for a vector, an image is turned, with its padding: all channels of a pixel lie side by side. Then what a tap
meets at a position is one vector, wherever it lies:

    a pixel of 8 channels      x0 x1 x2 x3 x4 x5 x6 x7 | the same of the next pixel | ...

                      3 taps: of each a vector of channels
    4 filters   [ a0  a1  a2 ]      for every position: 3 loads of cells, 4 gradients spread over a vector
                [ b0  b1  b2 ]      each, 2 numbers that tell where, 12 multiply-adds; as in `tiles`, two such
                [ c0  c1  c2 ]      blocks share their cells where there are 32 registers. No lane is empty, and
                [ d0  d1  d2 ]      nothing is left to add.

To `tiles.walk_tiles` the positions are taps. The sums of a few hundred are added to those of the ones before.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from minicnn.kernels.board import handed_out
from minicnn.kernels.calls import GatherCall
from minicnn.kernels.compiling import compact, compiled, inner
from minicnn.kernels.masks import load_some
from minicnn.kernels.plans import swells
from minicnn.kernels.registers import lanes_of
from minicnn.kernels.room import room
from minicnn.kernels.rows import is_finite, total_of
from minicnn.kernels.threads import FETCH
from minicnn.kernels.tiles import FILTERS, VECTORS, walk_tiles
from minicnn.kernels.vector import add, load, lower_pairs, store, upper_pairs, write

TOGETHER = 512  # positions that are summed up before they are added to the others
PIECES = 8  # of the work: parts of the images, as many as that takes, or else strips of the filters
FEWEST = 12  # filters that pay for turning an image
WASTED = 1.25  # times as many channels as there are, at most, may be computed


@inner
def _transpose(square, lanes):
    """Make columns of the rows of a square of vectors, at square[0:]; return where they are: there, or behind it.

    Each step takes a a' a'' .. of the upper half of the rows and b b' b'' .. of the lower, and makes a b a' b' .. of
    them. Columns are rows when that is done as often as 2 is a factor of `lanes`:

    a b | c d        a c | b d
    """
    size, half = lanes * lanes, lanes // 2
    here, there, stage = 0, size, 1
    while stage < lanes:
        for i in range(half):
            upper, lower = load(square, here + i * lanes), load(square, here + (i + half) * lanes)
            to = there + 2 * i * lanes
            store(square, to, lower_pairs(upper, lower))
            store(square, to + lanes, upper_pairs(upper, lower))
        here, there, stage = there, here, 2 * stage
    return here


@inner
def _turn_pixels(source, begin, pixels, columns, square, cells, place, width, lanes):
    """Copy `lanes` planes of so many pixels from flat source[begin:] to cells[place:], pixel by pixel.

    There its rows are `width` apart, and the numbers of a pixel side by side.
    """
    compact()
    first = row = 0
    while first < pixels:
        count = min(lanes, pixels - first)
        for i in range(lanes):
            at = begin + i * pixels + first
            store(square, i * lanes, load(source, at) if count == lanes else load_some(source, at, count))
        at, column = _transpose(square, lanes), first - row * columns
        to = place + (row * width + column) * lanes
        for _ in range(count):
            store(cells, to, load(square, at))
            at, to, column = at + lanes, to + lanes, column + 1
            if column == columns:
                to, column, row = to + (width - columns) * lanes, 0, row + 1
        first += count


@inner
def _list_positions(table, begin, images, image, grads, down, along, rows, columns):
    """Write the table of `walk_tiles` for up to TOGETHER positions, from number `begin` of so many images on.

    The cells of two images are `image` apart, those of two rows `down` and of two columns `along`, and the gradients
    of two images `grads`.
    """
    size = rows * columns
    end = min(begin + TOGETHER, images * size)
    n, row, column = begin // size, begin % size // columns, begin % columns
    at = 0
    for _ in range(begin, end):
        write(table, at, n * image + row * down + column * along)
        write(table, at + 1, n * grads + row * columns + column)
        at, column = at + 2, column + 1
        if column == columns:
            row, column = row + 1, 0
        if row == rows:
            n, row = n + 1, 0
    write(table, at, -1)


@inner
def _put_rows(sums, square, parts, begin, filters, apart, vectors, taps, lanes):
    """Copy the sums of `lanes` channels, (C_out, vectors) with channels in the lanes, to rows of (channel, tap).

    The rows of two filters are so far `apart` in flat parts[begin:]. A row is made in a buffer, a vector of taps for
    each channel, the last taps first: what a vector has too much, the next one writes over.
    """
    row = room((taps + 1) * lanes, sums)
    for f in range(filters):
        if taps == 1:  # they are such rows
            store(parts, begin + f * apart, load(sums, f * vectors))
            continue
        tap = (taps - 1) // lanes * lanes
        while tap >= 0:
            for i in range(min(lanes, taps - tap)):
                store(square, i * lanes, load(sums, f * vectors + (tap + i) * lanes))
            at = _transpose(square, lanes)
            for channel in range(lanes):
                store(row, channel * taps + tap, load(square, at + channel * lanes))
            tap -= lanes
        for i in range(taps):
            store(parts, begin + f * apart + i * lanes, load(row, i * lanes))


@compiled
def gather_by_position(grads, input, parts, totals, odd, places, layout, sizes, steps, board, start, stop):
    """Fill the pieces start .. stop - 1 of the weight gradients of so many parts of the images.

    They are flat, (parts, C_out, channels · taps). A walk has the channels of as many vectors as lie `beside` each
    other, and the last one ends with the last channel; a piece is the walk of a part, for one of so many `strips` of
    the filters. `places` tell where each vector of a walk begins, counted from the first position's; for the other
    numbers see `positions_call`. `totals`, if there are any, get the sum of each plane's gradients, for the bias;
    `odd` becomes 1 if a sum is NaN or infinite.

    While an image is multiplied, the same channels of the next one come from memory.
    """
    compact()
    if handed_out(board, start, stop):
        return
    images, channels, filters, rows, columns, source_size, source_columns, walks, strips, together, beside = (
        sizes
    )
    (plane, width, corner, lanes), (down, along, taps) = layout, steps
    size, zero, per_image = rows * columns, np.int64(0), filters * rows * columns
    blocks, vectors = (filters + FILTERS - 1) // FILTERS, len(places) * lanes
    cells, square = room(together * beside * plane, input), room(2 * lanes * lanes, input)
    for i in range(len(cells)):
        write(cells, i, input.dtype.type(0))
    widest = min(filters, (blocks // strips + 2) * FILTERS) * vectors
    sums, some = room(widest, input), room(widest, input)
    table = np.empty(2 * TOGETHER + 1, np.int64)
    apart, all_parts = channels * taps, len(parts) // (filters * channels * taps)
    coming = beside * lanes * source_size * TOGETHER // max(size, TOGETHER) if together == 1 else 0
    claimed = coming * VECTORS * lanes * strips // (vectors * blocks)
    listed = zero  # images of the table: if it holds all their positions, it serves again
    for piece in range(start, stop):
        part, front = piece // strips // walks, piece // strips % walks * beside
        block, after = blocks * (piece % strips) // strips, blocks * (piece % strips + 1) // strips
        f, behind = min(block * FILTERS, filters - FILTERS), min(after * FILTERS, filters)
        used, fresh = (behind - f) * vectors, True
        last = images * (part + 1) // all_parts
        for n in range(images * part // all_parts, last, together):
            here = min(together, last - n)
            for v in range(here * beside):
                m, c = v // beside, min((front + v % beside) * lanes, channels - lanes)
                at, place = ((n + m) * channels + c) * source_size, v * plane + corner
                _turn_pixels(input, at, source_size, source_columns, square, cells, place, width, lanes)
            position, ahead = zero, ((n + here) * channels + front * lanes) * source_size
            part_of = claimed if n + here < last else 0
            while position < here * size:
                own = position, here, beside * plane, per_image, down, along, rows, columns
                if listed != here or here * size > TOGETHER:
                    _list_positions(table, *own)
                listed, position = here, min(position + TOGETHER, here * size)
                own = cells, table, zero, grads, n * per_image, (filters, size), block, after, lanes
                wide = sums if fresh else some
                walk_tiles(*own, wide, vectors, places, zero, input, ahead, part_of)
                i, ahead = 0, ahead + coming
                while not fresh and i < used:
                    store(sums, i, add(load(sums, i), load(some, i)))
                    i += lanes
                fresh = False
            for m in range(n, n + here if len(totals) > 0 and front == 0 else 0):
                for row in range(m * filters + f, m * filters + behind):
                    write(totals, row, total_of(grads, row * size, size))
        if not is_finite(sums, zero, used, lanes):
            odd[0] = 1
        for j in range(beside):
            c = min((front + j) * lanes, channels - lanes)
            to, count = (part * filters + f) * apart + c * taps, behind - f
            _put_rows(sums[j * taps * lanes :], square, parts, to, count, apart, vectors, taps, lanes)


@lru_cache(maxsize=256)
def positions_call(
    grad_shape, input_shape, weight_shape, dtype, stride, padding, dilation, groups
) -> GatherCall | None:
    """Return the GatherCall of a layer; None where channels, filters or images are few, or planes would swell.

    Behind the arrays the kernel takes `places`; how many numbers the cells of an image take, how many cells a row of
    them has, at which number the image begins, and the lanes; all that is counted; and how far apart the cells of two
    rows, and of two columns, of positions are, and the taps.

    >>> shapes, geometry = ((64, 32, 7, 7),) * 2, (np.dtype(np.float64), (1, 1), (1, 1), (1, 1), 1)
    >>> call = positions_call(*shapes, (32, 32, 3, 3), *geometry)
    >>> call.where[1][:2] == (9 * 9 * lanes_of(geometry[0]), 9), call.where[2][-2:]  # images and vectors together
    (True, (10, 1))
    >>> positions_call(*shapes, (32, 1, 3, 3), *geometry) is None
    True
    """
    (images, _, *size), (filters, channels, *kernel), lanes = input_shape, weight_shape, lanes_of(dtype)
    cells, taps = grad_shape[2:], math.prod(kernel)
    ways = [(-(-channels // (n * lanes)), -(-n * taps // VECTORS) * VECTORS, n) for n in (1, VECTORS)]
    walks, in_threes, beside = min(ways, key=lambda way: way[0] * way[1])  # fewest vectors of sums
    wasted = channels < lanes or walks * in_threes * lanes > WASTED * channels * taps
    parts = min(images, -(-PIECES // walks))
    strips = max(1, min(filters // FEWEST, PIECES // max(1, parts * walks)))
    few = filters < FEWEST or parts * walks * strips < 2
    geometry = tuple(size), tuple(kernel), stride, padding, dilation
    if groups > 1 or few or wasted or swells(*geometry):
        return None
    height, width = (
        max(padding[a] + size[a], (cells[a] - 1) * stride[a] + dilation[a] * (kernel[a] - 1) + 1)
        for a in (0, 1)
    )
    plane, corner = height * width * lanes, (padding[0] * width + padding[1]) * lanes
    j, k, m = np.ogrid[:beside, : kernel[0], : kernel[1]]
    places = (j * plane + (k * dilation[0] * width + m * dilation[1]) * lanes).ravel()
    places = np.pad(places, (0, in_threes - len(places)), mode="edge")
    positions = math.prod(cells)
    together = max(1, min(images // parts, TOGETHER // positions))
    counts = images, channels, filters, *cells, math.prod(size), size[1], walks, strips, together, beside
    steps = stride[0] * width * lanes, stride[1] * lanes, taps
    work = images * positions * filters * channels * taps + FETCH * math.prod(input_shape)
    where = places, (plane, width, corner, lanes), counts, steps
    return GatherCall(gather_by_position, parts, where, (parts * walks * strips, work, PIECES))
