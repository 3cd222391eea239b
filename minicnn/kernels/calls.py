"""Calls of the walks and of `tiles.gather`: what depends on shapes only, worked out once for each of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from minicnn.kernels import fast_positions
from minicnn.kernels.narrow import LONG, walk_narrow
from minicnn.kernels.plans import Plan, backward_plan, forward_plan
from minicnn.kernels.registers import lanes_of
from minicnn.kernels.threads import FETCH
from minicnn.kernels.tiles import FILTERS, VECTORS, walk

PARTS = 8  # of the images, whose weight gradients are summed up one by one and then added
CACHE = 2**18  # bytes: half of what a core's second cache usually holds
WORTH_TURNING = 1024  # positions of an input gradient: from there on it pays to copy the weight first


class Call(NamedTuple):
    """What a call of `tiles.walk` or `narrow.walk_narrow` needs besides the arrays of numbers.

    Attributes
    ----------
    kernel : compiled function
        Which of the two; groups of one filter are narrow.
    filters : int
        How many filters its tile has, and the weight of each group at least.
    target_shape : tuple of int
        Of the array that it fills.
    where : tuple
        The kernel's arguments behind the arrays.
    sharing : tuple
        How `share` cuts the work: by images, or by blocks of four filters if images are few; if groups are
        narrow, by both.
    covers : bool
        Whether every number of the target is written.
    turns : list of list of int or None
        The taps of each walk, if it takes the weight `turned`.
    """

    kernel: Callable
    filters: int
    target_shape: tuple[int, ...]
    where: tuple
    sharing: tuple
    covers: bool
    turns: list[list[int]] | None


def blocks_in(filters: int, groups: int) -> int:
    """Return how many blocks of four filters there are; each group begins a new one.

    >>> blocks_in(12, 1), blocks_in(12, 2)
    (3, 4)
    """
    return groups * -(-(filters // groups) // FILTERS)


def call_of(made, source_shape, target_shape, dtype, groups: int, step=(1, 1), turns: bool = False) -> Call:
    """Return the Call of a Plan.

    >>> made = forward_plan((1, 3), 1, (1, 2), (1, 1), (0, 0), (1, 1))
    >>> call_of(made, (9, 1, 1, 3), (9, 1, 1, 2), np.dtype(np.float32), 1).sharing    # images, work, ranges
    (9, 234, 4)
    """
    images, filters = target_shape[:2]
    blocks, narrow = blocks_in(filters, groups), filters == groups
    work = images * blocks * FILTERS * made.work + FETCH * (math.prod(source_shape) + math.prod(target_shape))
    target_size, width, lanes = math.prod(target_shape[2:]), target_shape[3], lanes_of(dtype)
    walks, longest, (_, plane, row, _, _, drop) = [], 0, made.layout
    for begin, rows, columns, top, left in made.walks.tolist():
        walks += [begin, rows, columns, top * width + left]
        longest = max(longest, (made.together - 1) * drop + (rows - 1) * row + columns)
    longest += -longest % tile_of(narrow, dtype)
    where, steps = (made.spots, made.table, np.array(walks), made.layout), (step[0] * width, step[1])
    if narrow:  # a multiply-add takes twice as long as in the other walk, and all else as long as the sums
        channels = source_shape[1] // groups
        room = max(channels * plane, int(made.offsets.max()) + longest)
        sizes = images, groups, channels, target_size, *steps, made.together, longest, room, lanes
        where, sharing = (*where, sizes), (-(-images // made.together) * groups, work, 4)
    else:
        by_image = images >= min(blocks, 8)
        counts = groups, made.together, longest, lanes
        sizes = images, source_shape[1], filters, target_size, *steps, *counts
        where, sharing = (*where, sizes, by_image), (images, work, 4) if by_image else (blocks, work)
    kernel = (walk_narrow, 1) if narrow else (walk, FILTERS)
    covers = made.computed == target_size
    return Call(*kernel, target_shape, where, sharing, covers, made.taps if turns else None)


def tile_of(narrow: bool, dtype) -> int:
    """Return how many cells a tile has: four times as many if groups are narrow.

    >>> tile_of(True, np.dtype("f")) // tile_of(False, np.dtype("f"))
    4
    """
    return (LONG if narrow else VECTORS) * lanes_of(dtype)


def forward_call(input_shape, weight_shape, dtype, stride, padding, dilation, groups, pooled) -> Call | None:
    """Return the Call of a forward pass; None if its planes would swell.

    >>> geometry = (1, 1), (1, 1), (1, 1), 1
    >>> forward_call((1, 1, 4, 6), (8, 1, 3, 3), np.dtype("f"), *geometry, pooled=True).target_shape
    (1, 8, 2, 3)
    """
    geometry = weight_shape[2:], stride, padding, dilation
    tile = tile_of(weight_shape[0] == groups, dtype) if input_shape[0] > 1 else 0
    made = forward_plan(input_shape[2:], weight_shape[1], *geometry, tile)
    if made is None:
        return None
    size = (made.cells[0] // 2, made.cells[1] // 2) if pooled else made.cells
    return call_of(made, input_shape, (input_shape[0], weight_shape[0], *size), dtype, groups)


@lru_cache(maxsize=256)
def backward_call(
    grad_shape, weight_shape, input_shape, dtype, stride, padding, dilation, groups
) -> Call | None:
    """Return the Call of an input gradient; None if no pixel meets a tap, or if its planes would swell.

    >>> geometry = (1, 1), (1, 1), (1, 1), 1
    >>> backward_call((1, 8, 4, 6), (8, 1, 3, 3), (1, 1, 4, 6), np.dtype("f"), *geometry).covers
    True
    """
    turns = weight_shape[1] < FILTERS or grad_shape[0] * math.prod(grad_shape[2:]) >= WORTH_TURNING
    apart = None if turns else math.prod(weight_shape[1:])
    geometry = weight_shape[2:], stride, padding, dilation
    tile = tile_of(weight_shape[1] == 1, dtype) if input_shape[0] > 1 else 0
    made = backward_plan(input_shape[2:], weight_shape[0] // groups, *geometry, tile, apart)
    return None if made is None else call_of(made, grad_shape, input_shape, dtype, groups, stride, turns)


class GatherCall(NamedTuple):
    """What a call of `tiles.gather` needs besides the arrays of numbers.

    Attributes
    ----------
    plan : Plan
    by_position : bool
        Whether `fast_positions` serves, and `gather` does not.
    parts : int
        Of the images.
    where : tuple
        The arguments of `gather` behind the arrays.
    sharing : tuple
        How `share` cuts the work: by parts of the images, or by blocks of four filters.
    """

    plan: Plan
    by_position: bool
    parts: int
    where: tuple
    sharing: tuple


@lru_cache(maxsize=256)
def gather_call(
    grad_shape, input_shape, weight_shape, dtype, stride, padding, dilation, groups
) -> GatherCall | None:
    """Return the GatherCall of a weight gradient; None if its planes would swell.

    >>> geometry = (1, 1), (1, 1), (1, 1), 1
    >>> call = gather_call((64, 8, 4, 6), (64, 1, 4, 6), (8, 1, 3, 3), np.dtype("f"), *geometry)
    >>> call.parts, call.sharing                                # parts, work
    (8, (8, 113664))
    """
    filters, images = weight_shape[0], input_shape[0]
    made = forward_plan(input_shape[2:], weight_shape[1], weight_shape[2:], stride, padding, dilation)
    if made is None:
        return None
    blocks, lanes = blocks_in(filters, groups), lanes_of(dtype)
    room = blocks * FILTERS * len(made.offsets_in_threes) * lanes * dtype.itemsize
    parts = PARTS if images >= 2 * PARTS and room <= CACHE else 1
    sizes = *input_shape[:2], *grad_shape[1:], groups, lanes
    positions = images * math.prod(grad_shape[2:])
    work = positions * blocks * FILTERS * len(made.offsets) + FETCH * math.prod(input_shape)
    where = made.spots, made.offsets_in_threes, made.layout, sizes, parts
    sharing = blocks if parts == 1 else parts, work
    return GatherCall(made, fast_positions.serves(grad_shape, weight_shape, groups), parts, where, sharing)
