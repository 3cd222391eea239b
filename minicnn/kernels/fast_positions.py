"""The weight gradient on the fast rung where planes are small: the tile of `tiles`, with weights in its lanes.

    gw[o, c, k] = Σ_p gy[o, p] · x[c, window p, tap k]              p counts the positions of all images

`gathering.gather` has positions in its lanes. What the lanes have summed up must be added in the end, and rows of
7 positions leave lanes empty: for an image of 7x7 that takes longer than the products. With weights in the
lanes nothing is left to add:

    panel        24 weights (c, k): the cells that they meet       4 filters: their gradients there
    position 0   x0 x1 x2  x7 x8 ..                                gy[o, 0] ...
    position 1   x1 x2 x3  x8 x9 ..                                gy[o, 1] ...

To `tiles.walk_tiles` the positions are taps: it spreads four gradients over a vector each, and reads a row of
the panel. To pick the cells out of the planes takes a while, but the panel serves all filters. Taps side by side
(a run, of a vector at most) are picked with one vector; what it has too much, the next run writes over.
"""

from __future__ import annotations

import math

import numpy as np

from minicnn.kernels.board import handed_out
from minicnn.kernels.compiling import compiled
from minicnn.kernels.memory import empty, flag
from minicnn.kernels.planes import ready
from minicnn.kernels.plans import even_table
from minicnn.kernels.registers import lanes_of
from minicnn.kernels.room import room
from minicnn.kernels.rows import copy_rows, is_finite, lay_out
from minicnn.kernels.threads import share
from minicnn.kernels.tiles import FILTERS, VECTORS, walk_tiles
from minicnn.kernels.vector import add, load, read, store

SHORT = 8  # a row of fewer cells, ...
MANY = 144  # ... and a filter of so many weights: measured with vectors of 32 bytes
# Positions that are summed up at once: their panel fits into the second cache. If an image alone has no more, ...
TOGETHER = 512
TAPS = 2  # ... so many taps are enough: `gather` would add up lanes for little work


@compiled
def _grad_weight(
    grads, input, grad_weight, odd, spots, offsets, layout, sizes, table, rest, board, start, stop
):
    """Fill the tiles start .. stop - 1 of the columns of grad_weight, flat (C_out, channels · taps).

    `grads` holds (C_out, positions) for every so many images, flat, one after another: for as many as `table`
    has positions, and in the end as many as `rest` has. `odd` becomes 1 if a sum is NaN or infinite.
    """
    if handed_out(board, start, stop):
        return
    images, channels, filters, rows, columns, lanes = sizes
    source_size, plane, width, down, along, _ = layout
    weights, together = len(grad_weight) // filters, len(table) // (2 * rows * columns)
    taps, tile, zero = weights // channels, VECTORS * lanes, np.int64(0)
    blocks, plane_size = (filters + FILTERS - 1) // FILTERS, rows * columns
    met = tile // taps + 2  # channels, at most; and a vector may reach beyond the last
    cells = np.zeros(met * plane + width + lanes, input.dtype)
    panel = room(together * plane_size * tile + lanes, input)
    totals = room(blocks * FILTERS * tile, input)
    sums = room(len(totals) if images > together else 0, input)
    sources, targets = np.empty(tile, np.int64), np.empty(tile, np.int64)
    for number in range(start, stop):
        begin = min(number * tile, weights - tile)
        front, behind = begin // taps, (begin + tile - 1) // taps + 1
        runs = 0
        for j in range(tile):
            new = j == 0 or read(offsets, begin + j) != read(offsets, begin + j - 1) + 1
            if new or j == targets[runs - 1] + lanes:
                sources[runs], targets[runs] = read(offsets, begin + j) - front * plane, j
                runs += 1
        for front_image in range(0, images, together):
            count = min(together, images - front_image)
            to = 0
            for n in range(front_image, front_image + count):
                for c in range(front, behind):
                    at = (n * channels + c) * source_size
                    lay_out(input, at, cells, (c - front) * plane, spots, down, along, width, lanes)
                for row in range(rows):
                    for cell in range(row * width, row * width + columns):
                        for run in range(runs):
                            store(panel, to + targets[run], load(cells, cell + sources[run]))
                        to += tile
            positions, origin = count * plane_size, front_image * plane_size * filters
            form, pairs = (filters, positions), table if count == together else rest
            wide = totals if front_image == 0 else sums
            walk_tiles(panel, pairs, zero, grads, origin, form, zero, blocks, lanes, wide, tile)
            i = 0
            while front_image > 0 and i < len(sums):
                store(totals, i, add(load(sums, i), load(totals, i)))
                i += lanes
        if not is_finite(totals, zero, filters * tile, lanes):
            odd[0] = 1
        # the last tile ends where a row of weights ends: some of its columns may be those of another thread, too
        copy_rows(totals, zero, grad_weight, begin, filters, tile, tile, weights, lanes)


def serves(grad_shape, weight_shape, groups: int) -> bool:
    """Return whether rows are short, or there is one small image, and weights and filters pay for the panel.

    >>> weight_shape = (128, 128, 3, 3)
    >>> [serves((images, 128, size, size), weight_shape, 1) for images, size in [(64, 7), (64, 14), (1, 14)]]
    [True, False, True]
    """
    images, filters, rows, columns = grad_shape
    many = filters >= 32 and math.prod(weight_shape[1:]) >= MANY
    few = images == 1 and rows * columns <= TOGETHER and math.prod(weight_shape[2:]) >= TAPS
    return images > 0 and groups == 1 and (columns < SHORT or few) and many


def grad_weight(grad_output, input, made):
    """Return the weight gradient, flat (C_out · channels · taps), or None if it is not finite.

    `made` is the layer's forward plan.

    >>> from minicnn.kernels.plans import forward_plan
    >>> made = forward_plan((1, 1), 48, (1, 1), (1, 1), (0, 0), (1, 1))
    >>> grad, pixels = np.array([1.0, 10, 20, 30]), np.arange(48.0)
    >>> grad_weight(grad.reshape(1, 4, 1, 1), pixels.reshape(1, 48, 1, 1), made).reshape(4, 48)[:, 2:5]
    array([[  2.,   3.,   4.],
           [ 20.,  30.,  40.],
           [ 40.,  60.,  80.],
           [ 60.,  90., 120.]])
    """
    images, filters, rows, columns = grad_output.shape
    together = min(max(1, TOGETHER // (rows * columns)), images)
    parts = [grad_output[n : n + together] for n in range(0, images, together)]  # each (images, C_out, H, W)
    flat = [part.swapaxes(0, 1).ravel() for part in parts]
    grads = flat[0] if len(flat) == 1 else np.concatenate(flat)  # a single image is in that order already
    weights, lanes = len(made.offsets), lanes_of(input.dtype)
    target = empty((filters * weights,), input.dtype)
    odd = flag(input.dtype)
    arrays = grads, ready(input).ravel(), target, odd, made.spots, made.offsets
    counts = together, images % together or together
    tables = (even_table(count * rows * columns, VECTORS * lanes, 1) for count in counts)
    sizes = images, input.shape[1], filters, rows, columns, lanes
    share(
        _grad_weight,
        (*arrays, made.layout, sizes, *tables),
        -(-weights // (VECTORS * lanes)),
        grad_output.size * weights,
    )
    return target if odd[0] == 0 else None
