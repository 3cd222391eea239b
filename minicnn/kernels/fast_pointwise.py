"""1x1 convolution on the fast rung: for every image a matrix product, filters times pixels.

    y[n, o, p] = b[o] + Σ_c w[o, c] · x[n, c, p]            p counts all pixels of a plane

A window is one pixel, so there is nothing to pad, and a plane is one row already. Only its tiles are
copied: the same 24 pixels of all channels, side by side, for all filters to read from the first cache.
(In the planes themselves they often lie a power of two apart, where they would push each other out of it.)
With a stride, only the pixels that are met go into the tile; and the input gradient is the same product
with the weight's rows and columns exchanged.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit

from minicnn.kernels.board import handed_out
from minicnn.kernels.memory import empty
from minicnn.kernels.planes import ready
from minicnn.kernels.plans import even_table
from minicnn.kernels.registers import lanes_of
from minicnn.kernels.threads import share
from minicnn.kernels.tiles import FILTERS, VECTORS, walk_tiles
from minicnn.kernels.vector import add, broadcast, load, read, relu, store, write


def serves(input_shape, weight_shape, stride, padding, groups) -> bool:
    """Return whether a convolution is such a product, over planes of a tile at least.

    >>> plain = {"stride": (1, 1), "padding": (0, 0), "groups": 1}
    >>> serves((1, 2, 7, 7), (3, 2, 1, 1), **plain), serves((1, 2, 7, 7), (3, 2, 3, 3), **plain)
    (True, False)
    """
    rows, columns = (-(-input_shape[2 + axis] // stride[axis]) for axis in (0, 1))
    plain = tuple(weight_shape[2:]) == (1, 1) and tuple(padding) == (0, 0) and groups == 1
    return plain and rows * columns >= VECTORS * lanes_of(np.dtype(np.float32))


@njit(cache=True, nogil=True)
def _multiply(
    planes, size, met, weights, form, table, bias, rectify, target, sizes, lanes, board, start, stop
):
    """Compute the tiles start .. stop - 1 of all images; `planes`, of `size` pixels, and `target` are flat.

    `sizes` are the channels and filters, of which `form` and `table` tell `walk_tiles` where they lie. Pixel p
    of the target's planes is pixel ``met[p]`` of the others. The last tile of a plane ends where the plane
    ends: some pixels are computed twice.
    """
    if handed_out(board, start, stop):
        return
    pixels, (channels, filters) = len(met), sizes
    tile, zero = VECTORS * lanes, np.int64(0)
    per_image = (pixels + tile - 1) // tile
    blocks = (filters + FILTERS - 1) // FILTERS
    panel = np.empty(channels * tile, planes.dtype)
    sums = np.empty(blocks * FILTERS * tile, planes.dtype)
    for number in range(start, stop):
        n, begin = number // per_image, min(number % per_image * tile, pixels - tile)
        for c in range(channels):
            place = (n * channels + c) * size
            if size == pixels:  # all of them, side by side
                for x in range(0, tile, lanes):
                    store(panel, c * tile + x, load(planes, place + begin + x))
            else:
                for x in range(tile):
                    write(panel, c * tile + x, read(planes, place + read(met, begin + x)))
        walk_tiles(panel, table, zero, weights, zero, form, zero, blocks, lanes, sums, tile)
        for f in range(filters):
            place, b = (n * filters + f) * pixels + begin, broadcast(bias, f)
            for x in range(0, tile, lanes):
                y = load(sums, f * tile + x)
                store(target, place + x, relu(y, b) if rectify else add(y, b))


@lru_cache(maxsize=256)
def met(size, stride):
    """Return which pixels of a plane a 1x1 window meets, row after row.

    >>> met((2, 5), (2, 2))
    array([0, 2, 4])
    """
    return np.arange(size[0] * size[1]).reshape(size)[:: stride[0], :: stride[1]].ravel().copy()


def multiply(planes, stride, weights, apart: int, bias, rectify: bool, filters: int):
    """Return the (N, filters, H_out, W_out) for planes (N, C, H, W); `weights` come with their form.

    >>> from minicnn.kernels.fast_conv import as_it_lies
    >>> weights = as_it_lies(np.array([[[[10.0]], [[1.0]]]]), 1)
    >>> planes = np.arange(100.0).reshape(1, 2, 5, 10)
    >>> multiply(planes, (1, 1), weights, 1, np.zeros(1), False, filters=1)[0, 0, 0, :3]   # 10·0 + 50, ...
    array([50., 61., 72.])
    """
    images, channels, *size = planes.shape
    places, lanes = met(tuple(size), stride), lanes_of(planes.dtype)
    target = empty((images, filters, *(-(-size[a] // stride[a]) for a in (0, 1))), planes.dtype)
    table = even_table(channels, VECTORS * lanes, apart)
    sources = ready(planes).ravel(), size[0] * size[1], places, *weights, table
    tiles = images * -(-len(places) // (VECTORS * lanes))
    work = images * len(places) * channels * filters
    ends = bias, rectify, target.ravel(), (channels, filters)
    share(_multiply, (*sources, *ends, lanes), tiles, work, ranges=4)
    return target
