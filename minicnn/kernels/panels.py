"""The walk over planes of short rows: a tile takes the positions of all images one after another.

The rows of `tiles` end with zeros, which are computed like all else: of a 7x7 plane, 49 positions take 64 cells. Here
nothing is computed that is thrown away. What each tap meets is picked out of the planes, a vector for each row of
an image, and laid side by side for all filters to read:

                    image 0, row 6      image 1, row 0      row 1
    position        46 47 48            0  1  2  3  4  5 6  7 ..
    tap (0, 0)      e  f  g             0  0  0  0  0  0 0  0 ..         of channel 0
    tap (0, 1)      f  g  h             0  0  0  0  0  0 0  a ..
    ...

What a vector has too much, the next writes over. All images of a tile lie ready, so that each row of the panel is
written once, from left to right. To pick costs about as much as the sums of eight filters.
"""

from __future__ import annotations

import numpy as np

from minicnn.kernels.board import handed_out
from minicnn.kernels.compiling import compact, compiled
from minicnn.kernels.finishing import finish_tile
from minicnn.kernels.room import room
from minicnn.kernels.rows import lay_out
from minicnn.kernels.tiles import FILTERS, RELU, VECTORS, end_to_end, walk_tiles
from minicnn.kernels.vector import load, read, store, write

SHORT = 8  # a row of no more positions, or of fewer than a vector has
MANY = 48  # filters: from there on picking pays


@compiled
def walk_panels(
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
    offsets,
    layout,
    sizes,
    board,
    start,
    stop,
):
    """Compute the tiles start .. stop - 1 of the positions of all images, for all filters.

    All arguments are those of `tiles.walk`, but for `offsets`: where each channel and tap is read, counted from
    the cell; for `table`, which tells where it stands in the panel, and where its weight; and for `sizes`: the
    channels and filters, the rows and columns of a target's plane, and the lanes. Nothing is pooled.

    >>> from minicnn.kernels.calls import panel_call
    >>> from minicnn.kernels.plans import forward_plan
    >>> made = forward_plan((1, 3), 1, (1, 2), (1, 1), (0, 0), (1, 1))
    >>> call = panel_call(made, (999, 1, 1, 3), (999, 64, 1, 2), np.dtype("d"))
    >>> images, weights, target = np.arange(999.0 * 3), np.ones(64 * 2), np.empty(999 * 64 * 2)
    >>> arrays = images, weights, (64, 2), np.zeros(64), 0, target, np.empty(0, np.uint8), np.zeros(1)
    >>> walk_panels(*arrays, *call.where, np.zeros(1, np.int64), 0, call.sharing[0])
    >>> target.reshape(999, 64, 2)[:2, 0]                       # 0 + 1, 1 + 2 and 3 + 4, 4 + 5
    array([[1., 3.],
           [7., 9.]])
    """
    compact()
    if handed_out(board, start, stop):
        return
    channels, filters, rows, columns, lanes = sizes
    source_size, plane, width, down, along, _ = layout
    tile, zero, blocks = VECTORS * lanes, np.int64(0), (filters + FILTERS - 1) // FILTERS
    pixels, everything = rows * columns, len(target) // filters
    image, slots = channels * plane, tile // pixels + 2  # as many images as a tile may meet
    cells = np.zeros(slots * image + width + lanes, source.dtype)
    runs, own_cells = np.empty(tile, np.int64), np.empty(tile, np.int64)
    panel = room(len(offsets) * tile + lanes, source)
    sums, places = room(blocks * FILTERS * tile + lanes, source), end_to_end(VECTORS, lanes)
    laid_out = -1
    for number in range(start, stop):
        begin = min(number * tile, everything - tile)
        x = count = 0
        while x < tile:
            n, pixel = (begin + x) // pixels, (begin + x) % pixels
            row, column = pixel // columns, pixel % columns
            if n > laid_out:
                laid_out = n
                for c in range(channels):
                    at, to = (n * channels + c) * source_size, n % slots * image + c * plane
                    lay_out(source, at, cells, to, spots, down, along, width, lanes)
            write(runs, count, x)
            write(own_cells, count, n % slots * image + row * width + column)
            x, count = x + min(tile - x, columns - column, lanes), count + 1
        for i in range(len(offsets)):
            to, offset = i * tile, read(offsets, i)
            for run in range(count):
                store(panel, to + read(runs, run), load(cells, read(own_cells, run) + offset))
        own = panel, table, zero, weights, zero, form, zero, blocks, lanes
        walk_tiles(*own, sums, tile, places, zero, target, zero, zero)
        for f in range(filters if begin == 0 else 0):
            first_sum = read(sums, f * tile)
            if first_sum - first_sum != 0:
                write(odd, 0, first_sum)
        finish_tile(sums, tile, begin, bias, end == RELU, target, pixels, filters, lanes)
