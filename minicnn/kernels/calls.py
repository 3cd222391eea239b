"""Calls of the walks and of `gathering.gather`: what depends on shapes only, worked out once for each of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from minicnn.kernels.gathering import TOGETHER, gather
from minicnn.kernels.lines import in_pairs, lines_of, sharing_tiles
from minicnn.kernels.narrow import LONG, walk_narrow
from minicnn.kernels.panels import MANY, SHORT, walk_panels
from minicnn.kernels.plans import backward_plan, forward_plan, reach
from minicnn.kernels.registers import REGISTER_BYTES, lanes_of
from minicnn.kernels.threads import FETCH, RANGES
from minicnn.kernels.tiles import FILTERS, VECTORS, walk

PARTS = 8  # of the images, whose weight gradients are summed up one by one and then added
CACHE = 2**18  # bytes: half of what a core's second cache usually holds
CELLS = 2**13 * REGISTER_BYTES  # the same, where vectors are that wide
ROWS = 2**16 // 3  # bytes of the gradients that meet the cells together: two thirds of a small first cache
TILES = 8  # of panels; with fewer, a part of one weighs too much
WORTH_TURNING = 1024  # positions of an input gradient: from there on it pays to copy the weight first


class Call(NamedTuple):
    """What a call of `tiles.walk`, `narrow.walk_narrow` or `panels.walk_panels` needs besides the arrays of numbers.

    Attributes
    ----------
    kernel : compiled function
        Which of them; groups of one filter are narrow.
    filters : int
        How many filters its tile has, and the weight of each group at least.
    target_shape : tuple of int
        Of the array that it fills.
    where : tuple
        The kernel's arguments behind the arrays.
    sharing : tuple
        How `share` cuts the work: by images, or by blocks of four filters if images are few; if groups are
        narrow, by both; and panels by tiles.
    covers : bool
        Whether every number of the target is written.
    turns : pair of ndarray of int64, or None
        The taps of all walks and where each walk's end, if it takes the weight `turned`.
    """

    kernel: Callable
    filters: int
    target_shape: tuple[int, ...]
    where: tuple
    sharing: tuple
    covers: bool
    turns: tuple[np.ndarray, np.ndarray] | None


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
    walks = [(*walked, top * width + left) for *walked, top, left in made.walks.tolist()]
    where, steps = (made.spots, made.table), (step[0] * width, step[1])
    if narrow:  # a multiply-add takes twice as long as in the other walk, and all else as long as the sums
        channels = source_shape[1] // groups
        longest = max(reach(made.layout, made.together, *cells) for cells in made.walks[:, 1:3].tolist())
        longest += -longest % (LONG * lanes)
        room = max(channels * made.layout[1], int(made.offsets.max()) + longest)
        sizes = images, groups, channels, target_size, *steps, made.together, longest, room, lanes
        where = *where, np.array(walks).ravel(), made.layout, sizes
        sharing = -(-images // made.together) * groups, work, RANGES
    else:
        by_image = images >= min(blocks, 8)
        both, cells = in_pairs(made.walks, width), made.walks[:, 1:3].tolist()
        if both:  # the narrower one makes a column more, which nobody looks at
            cells = made.walks.reshape(-1, 2, 5)[..., 1:3].max(axis=1).repeat(2, axis=0).tolist()
            for i in range(0, len(walks), 2):
                (begin, *_, corner), (later, *_, also) = walks[i : i + 2]
                walks[i] = begin, *cells[i], min(corner, also)
                walks[i + 1] = later, cells[i][0], width, int(also < corner)
        lines = [lines_of(made.layout, made.together, *each, lanes) for each in cells]
        counts = [len(places) for places, _, _ in lines]
        behind = zip(np.cumsum([0, *counts]), lines, strict=False)
        walks = [(*walked, first, *apart) for walked, (first, (_, *apart)) in zip(walks, behind, strict=True)]
        whose = images, source_shape[1], filters, target_size
        sizes = *whose, *steps, groups, made.together, max(counts) * lanes, int(both), lanes
        places = np.concatenate([places for places, _, _ in lines])
        where = *where, np.array(walks).ravel(), places, made.layout, sizes, by_image
        sharing = (images, work, RANGES) if by_image else (blocks, work)
    kernel = (walk_narrow, 1) if narrow else (walk, FILTERS)
    covers = made.computed == target_size
    return Call(*kernel, target_shape, where, sharing, covers, made.taps if turns else None)


def panel_call(made, source_shape, target_shape, dtype, turns: bool = False) -> Call | None:
    """Return the Call of `panels.walk_panels` for a Plan of one walk and one group; None where it does not pay.

    >>> made = forward_plan((7, 7), 1, (3, 3), (1, 1), (1, 1), (1, 1))
    >>> panel_call(made, (64, 1, 7, 7), (64, 128, 7, 7), np.dtype(np.float32)).covers
    True
    """
    images, filters, *size = target_shape
    lanes, positions = lanes_of(dtype), images * math.prod(size)
    tiles = -(-positions // (VECTORS * lanes))
    if size[1] > max(SHORT, lanes - 1) or filters < MANY or tiles < TILES:
        return None
    taps, table = len(made.offsets), made.table.copy()
    table[:-1:2] = np.arange(taps) * VECTORS * lanes
    where = made.spots, table, made.offsets, made.layout, (source_shape[1], filters, *size, lanes)
    sharing = tiles, positions * filters * taps, RANGES
    return Call(walk_panels, FILTERS, target_shape, where, sharing, True, made.taps if turns else None)


def fitting_call(
    made, plan_of, source_shape, target_shape, dtype, groups, step=(1, 1), turns=False, pooled=False
) -> Call:
    """Return the Call that suits a layer best, of its Plan or of ``plan_of(together)``, for several images.

    >>> geometry = (7, 7), 1, (3, 3), (1, 1), (1, 1), (1, 1)
    >>> made, plan_of = forward_plan(*geometry), partial(forward_plan, *geometry)
    >>> shapes = [((64, 1, 7, 7), (64, filters, 7, 7)) for filters in (1, 16, 128)]
    >>> calls = [fitting_call(made, plan_of, *pair, np.dtype("f"), groups=1) for pair in shapes]
    >>> [call.kernel.__name__ for call in calls]
    ['walk_narrow', 'walk', 'walk_panels']
    """
    plain = groups == 1 and step == (1, 1) and not pooled
    call = panel_call(made, source_shape, target_shape, dtype, turns) if plain else None
    if call is None:
        together = sharing_tiles(made, source_shape[0], target_shape[1] == groups, lanes_of(dtype))
        made = made if together == 1 else plan_of(together)
        call = call_of(made, source_shape, target_shape, dtype, groups, step, turns)
    return call


def forward_call(input_shape, weight_shape, dtype, stride, padding, dilation, groups, pooled) -> Call | None:
    """Return the Call of a forward pass; None if its planes would swell.

    >>> geometry = (1, 1), (1, 1), (1, 1), 1
    >>> forward_call((1, 1, 4, 6), (8, 1, 3, 3), np.dtype("f"), *geometry, pooled=True).target_shape
    (1, 8, 2, 3)
    """
    geometry = input_shape[2:], weight_shape[1], weight_shape[2:], stride, padding, dilation
    made = forward_plan(*geometry)
    if made is None:
        return None
    size = (made.cells[0] // 2, made.cells[1] // 2) if pooled else made.cells
    shapes = input_shape, (input_shape[0], weight_shape[0], *size)
    return fitting_call(made, partial(forward_plan, *geometry), *shapes, dtype, groups, pooled=pooled)


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
    geometry = input_shape[2:], weight_shape[0] // groups, weight_shape[2:], stride, padding, dilation
    plan_of = partial(backward_plan, *geometry, apart=apart)
    made = plan_of()
    if made is None:
        return None
    return fitting_call(made, plan_of, grad_shape, input_shape, dtype, groups, stride, turns)


def sharing_sums(made, images: int, channels: int, dtype) -> int:
    """Return how many of `images` should be laid out together for a weight gradient.

    The sums come from the second cache for each row, and go back there: the longer it is, the less often. But
    the rows of all gradients of a tile must stay in the first cache, and all cells in the second.

    >>> made = forward_plan((7, 7), 1, (3, 3), (1, 1), (1, 1), (1, 1))
    >>> sharing_sums(made, 4, 16, np.dtype("f")), sharing_sums(made, 64, 9999, np.dtype("f"))
    (4, 1)
    """
    lanes, plane = lanes_of(dtype), made.layout[1]
    row = TOGETHER * dtype.itemsize * lanes * len(lines_of(made.layout, 1, *made.cells, lanes, tile=1)[0])
    return max(1, min(images, ROWS // row, CELLS // (plane * channels * dtype.itemsize)))


class GatherCall(NamedTuple):
    """What a call of `gathering.gather` or `fast_positions.gather_by_position` needs besides the arrays of numbers.

    Attributes
    ----------
    kernel : compiled function
        Which of them.
    parts : int
        Of the images.
    where : tuple
        The kernel's arguments behind the arrays.
    sharing : tuple
        How `share` cuts the work: by parts of the images, or by blocks of four filters; or into pieces.
    """

    kernel: Callable
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
    >>> call.parts, call.sharing                                # parts, work, ranges
    (8, (8, 113664, 4))
    """
    filters, images = weight_shape[0], input_shape[0]
    geometry = input_shape[2:], weight_shape[1], weight_shape[2:], stride, padding, dilation
    made = forward_plan(*geometry)
    if made is None:
        return None
    blocks, lanes = blocks_in(filters, groups), lanes_of(dtype)
    room = blocks * FILTERS * len(made.offsets_in_threes) * lanes * dtype.itemsize
    parts = PARTS if images >= 2 * PARTS and room <= CACHE else 1
    together = sharing_sums(made, images // parts, weight_shape[1], dtype)
    if together > 1:
        made = forward_plan(*geometry, together)
    places, *apart = lines_of(made.layout, together, *grad_shape[2:], lanes, tile=1)
    chunks = max(1, round(len(places) * lanes * TOGETHER * dtype.itemsize / ROWS))
    chunk = -(-len(places) // chunks) * lanes
    sizes = *input_shape[:2], *grad_shape[1:], *apart, groups, together, chunk, lanes
    positions = images * math.prod(grad_shape[2:])
    work = positions * blocks * FILTERS * len(made.offsets) + FETCH * math.prod(input_shape)
    where = made.spots, made.offsets_in_threes, places, made.layout, sizes, parts
    sharing = (blocks, work) if parts == 1 else (parts, work, RANGES)
    return GatherCall(gather, parts, where, sharing)
