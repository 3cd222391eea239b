"""1x1 convolution on the fast rung: for every image a matrix product, filters times pixels.

    y[n, o, p] = b[o] + Σ_c w[o, c] · x[n, c, p]            p counts all pixels of a plane

A window is one pixel, so there is nothing to pad, and the pixels of all images are one row of tiles. A tile may
begin in one image and end in the next; only the last of all shares pixels with the one before it. Its pixels of
all channels are copied, side by side, for all filters to read from the first cache. (In the planes themselves
they often lie a power of two apart, where they would push each other out of it.)

                       image 0            image 1            image 2
    pixels        [0 1 2 3 4 5 6 7]  [0 1 2 3 4 5 6 7]  [0 1 2 3 4 5 6 7]
    tiles of six   a a a a a a b b    b b b b c c c c    c c d d d d d d

The input gradient is the same product with the weight's rows and columns exchanged.
"""

from __future__ import annotations

import math

import numpy as np

from minicnn.kernels.board import handed_out
from minicnn.kernels.compiling import compiled
from minicnn.kernels.finishing import finish_tile
from minicnn.kernels.memory import empty
from minicnn.kernels.planes import ready
from minicnn.kernels.plans import even_table
from minicnn.kernels.registers import lanes_of
from minicnn.kernels.room import room
from minicnn.kernels.rows import copy_rows
from minicnn.kernels.threads import RANGES, share
from minicnn.kernels.tiles import FILTERS, VECTORS, end_to_end, walk_tiles


def serves(input_shape, weight_shape, stride, padding, groups) -> bool:
    """Return whether a convolution is such a product, over the pixels of a tile at least.

    >>> plain = {"stride": (1, 1), "padding": (0, 0), "groups": 1}
    >>> serves((9, 2, 7, 7), (3, 2, 1, 1), **plain), serves((9, 2, 7, 7), (3, 2, 3, 3), **plain)
    (True, False)
    """
    images, _, *size = input_shape
    plain = tuple(weight_shape[2:]) == tuple(stride) == (1, 1) and tuple(padding) == (0, 0) and groups == 1
    return plain and images * math.prod(size) >= VECTORS * lanes_of(np.dtype(np.float32))


@compiled
def _multiply(planes, pixels, weights, form, table, bias, rectify, target, sizes, lanes, board, start, stop):
    """Compute the tiles start .. stop - 1; `planes`, of so many pixels, and `target` are flat.

    `sizes` are the channels and filters, of which `form` and `table` tell `walk_tiles` where they lie.
    """
    if handed_out(board, start, stop):
        return
    channels, filters = sizes
    tile, zero, blocks = VECTORS * lanes, np.int64(0), (filters + FILTERS - 1) // FILTERS
    panel = room(channels * tile, planes)
    sums, places = room(blocks * FILTERS * tile + lanes, planes), end_to_end(VECTORS, lanes)
    for number in range(start, stop):
        begin = min(number * tile, len(target) // filters - tile)
        x = zero
        while x < tile:  # image after image
            n, pixel = (begin + x) // pixels, (begin + x) % pixels
            count = min(tile - x, pixels - pixel)
            copy_rows(planes, n * channels * pixels + pixel, panel, x, channels, count, pixels, tile, lanes)
            x += count
        own = panel, table, zero, weights, zero, form, zero, blocks, lanes
        walk_tiles(*own, sums, tile, places, zero, target, zero, zero)
        finish_tile(sums, tile, begin, bias, rectify, target, pixels, filters, lanes)


def multiply(planes, weights, apart: int, bias, rectify: bool, filters: int):
    """Return the (N, filters, H, W) for planes (N, C, H, W); `weights` come with their form.

    >>> from minicnn.kernels.fast_conv import as_it_lies
    >>> weights = as_it_lies(np.array([[[[10.0]], [[1.0]]]]), 1)
    >>> planes = np.arange(100.0).reshape(1, 2, 5, 10)
    >>> multiply(planes, weights, 1, np.zeros(1), False, filters=1)[0, 0, 0, :3]           # 10·0 + 50, ...
    array([50., 61., 72.])
    """
    images, channels, *size = planes.shape
    pixels, tile = math.prod(size), VECTORS * lanes_of(planes.dtype)
    target = empty((images, filters, *size), planes.dtype)
    where = pixels, *weights, even_table(channels, tile, apart), bias, rectify, target.ravel()
    work = images * pixels * channels * filters
    arguments = ready(planes).ravel(), *where, (channels, filters), lanes_of(planes.dtype)
    share(_multiply, arguments, -(-images * pixels // tile), work, RANGES)
    return target
