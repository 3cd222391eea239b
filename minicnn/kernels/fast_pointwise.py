"""1x1 convolution on the fast rung: for every image a matrix product, filters times pixels.

    y[n, o, p] = b[o] + Σ_c w[o, c] · x[n, c, p]            p counts all pixels of a plane

A window is one pixel, so there is nothing to pad, and a plane is one row already. Only its tiles are
copied: the same 24 pixels of all channels, side by side, for all filters to read from the first cache.
(In the planes themselves they often lie a power of two apart, where they would push each other out of it.)
With a stride, the pixels that are met are picked out before; and the input gradient is the same product
with the weight's rows and columns exchanged.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from minicnn.kernels.jitted import ready
from minicnn.kernels.threads import share
from minicnn.kernels.tiles import FILTERS, VECTORS, walk_tiles
from minicnn.kernels.vector import lanes_of, read, write


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
def _multiply(planes, weights, form, bias, rectify, target, channels, filters, pixels, lanes, first, last):
    """Compute the tiles first .. last - 1 of all images; `planes` and `target` are flat.

    The last tile of a plane ends where the plane ends: some pixels are computed twice.
    """
    tile, nothing = VECTORS * lanes, target.dtype.type(0)
    per_image = (pixels + tile - 1) // tile
    blocks = (filters + FILTERS - 1) // FILTERS
    panel = np.empty(channels * tile, planes.dtype)
    offsets = np.arange(channels) * tile
    sums = np.empty(blocks * FILTERS * tile, planes.dtype)
    for number in range(first, last):
        n, start = number // per_image, min(number % per_image * tile, pixels - tile)
        for c in range(channels):
            place = (n * channels + c) * pixels + start
            for x in range(tile):
                write(panel, c * tile + x, read(planes, place + x))
        walk_tiles(panel, offsets, weights, 0, form, 0, blocks, lanes, sums, tile)
        for f in range(filters):
            place, b = (n * filters + f) * pixels + start, read(bias, f)
            for x in range(tile):
                y = read(sums, f * tile + x) + b
                write(target, place + x, nothing if rectify and y <= 0 else y)


def multiply(planes, weights, bias, rectify: bool, filters: int):
    """Return the (N, filters, H, W) for planes (N, C, H, W); `weights` come with their form.

    >>> from minicnn.kernels.fast_conv import blocks_of_four
    >>> weights = blocks_of_four(np.array([[[[10.0]], [[1.0]]]]), 1, np.arange(1), backward=False)
    >>> planes = np.arange(100.0).reshape(1, 2, 5, 10)
    >>> multiply(planes, weights, np.zeros(1), False, filters=1)[0, 0, 0, :3]       # 10·0 + 50, ...
    array([50., 61., 72.])
    """
    images, channels, *size = planes.shape
    pixels, lanes = size[0] * size[1], lanes_of(planes.dtype)
    target = np.empty((images, filters, *size), planes.dtype)
    how = *weights, bias, rectify
    shape = channels, filters, pixels, lanes
    per_image = -(-pixels // (VECTORS * lanes))  # tiles

    def some_images(start: int, stop: int) -> None:  # every thread picks the pixels of its own images
        part, to = ready(planes[start:stop]).reshape(-1), target[start:stop].reshape(-1)
        _multiply(part, *how, to, *shape, 0, (stop - start) * per_image)

    work = images * pixels * channels * filters
    if images >= 8:
        share(some_images, images, work, ranges=4)
    else:
        flat = ready(planes).reshape(-1), *how, target.reshape(-1), *shape
        share(lambda first, last: _multiply(*flat, first, last), images * per_image, work)
    return target


def met(planes, stride):
    """Return the pixels that a 1x1 window meets, as a view.

    >>> met(np.arange(5.0).reshape(1, 1, 1, 5), (1, 2))
    array([[[[0., 2., 4.]]]])
    """
    return planes[:, :, :: stride[0], :: stride[1]]
