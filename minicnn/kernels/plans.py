"""Which cells the walks of `tiles` read, and where they write: worked out once for each geometry."""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from minicnn.kernels.geometry import conv_output_sizes


class Walk(NamedTuple):
    """Some taps, and the cells that are computed from them.

    Attributes
    ----------
    taps : list of int
        Which cells of the kernel take part, counted in reading order, in the order of their places.
    places : list of (int, int)
        Rows and columns of the padded planes that these taps read for cell (0, 0).
    cells : pair of int
        Rows and columns that are computed.
    first : pair of int
        Row and column of the target that cell (0, 0) is written to.
    """

    taps: list[int]
    places: list[tuple[int, int]]
    cells: tuple[int, int]
    first: tuple[int, int]


class Plan(NamedTuple):
    """What the walks over one layout need to know of a layer.

    Attributes
    ----------
    layout : tuple of int
        Numbers in a plane of the source, and in what it becomes; there, how far apart rows are; in the source,
        how far apart the rows and columns of a phase are; and how many cells farther the next image begins.
    together : int
        How many images are laid out, one below the other, on the same zeros if there are any.
    spots : ndarray of int64, flat
        For each phase (the remainders of row and column by the stride that any tap reads) how many rows and
        columns lie in the source, and where the first is read and written.
    taps : pair of ndarray of int64
        Those of all walks, of each in reading order; and where each walk's end.
    offsets, offsets_in_threes : ndarray of int64
        Where each channel and tap is read, counted from the cell, walk after walk; and the same with the
        last one repeated up to a multiple of three, as `gather` takes it.
    table : ndarray of int64
        The same offsets, each with the place of its weight behind it, and -1 behind each walk.
    walks : ndarray of int64, (walks, 5)
        For each walk where it begins in the table, its rows and columns, and the first ones of the target.
    work : int
        Multiply-adds for each image and filter.
    """

    layout: tuple[int, int, int, int, int, int]
    together: int
    spots: np.ndarray
    taps: tuple[np.ndarray, np.ndarray]
    offsets: np.ndarray
    offsets_in_threes: np.ndarray
    table: np.ndarray
    walks: np.ndarray
    work: int

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns that the first walk computes."""
        return tuple(self.walks[0, 1:3].tolist())

    @property
    def computed(self) -> int:
        """Cells of all walks together."""
        return int(self.walks[:, 1:3].prod(axis=1).sum())


def reach(layout, images: int, rows: int, columns: int) -> int:
    """Return how many cells lie from the first one of so many images, laid out together, to the last one.

    >>> layout = forward_plan((7, 7), 1, (3, 3), (1, 1), (1, 1), (1, 1)).layout
    >>> reach(layout, 1, 7, 7)                                  # six rows of 8 cells, and 7
    55
    """
    _, _, width, _, _, drop = layout
    return (images - 1) * drop + (rows - 1) * width + columns


def plan(size, stride, padding, walks, channels, together=1, apart=None) -> Plan:
    """Return the Plan of some walks over a source of `size`, so many images together.

    The weights of two channels are `apart`, or else they lie walk after walk: first those of the first walk, of
    all channels, each channel's in reading order.

    >>> corner = Walk([0, 1, 2], [(0, 0), (0, 1), (1, 0)], cells=(2, 2), first=(0, 0))
    >>> made = plan((2, 2), (1, 1), (1, 1), [corner], channels=1, apart=9)
    >>> made.layout, made.spots.tolist()                # of 3x3 cells the lower right 2x2 come from the source
    ((4, 9, 3, 2, 1, 9), [2, 2, 0, 4])
    >>> made.table.tolist(), made.walks.tolist()
    ([0, 0, 1, 1, 3, 2, -1], [[0, 2, 2, 0, 0]])
    >>> plan((2, 2), (1, 1), (0, 0), [corner], 1, together=2).layout       # one more 3x3 plane, 9 cells farther
    (4, 18, 3, 2, 1, 9)
    """
    places = [place for walk in walks for place in walk.places]
    reach = [max(place[axis] for place in places) // stride[axis] for axis in range(2)]
    height, width = (max(walk.cells[axis] for walk in walks) + reach[axis] for axis in range(2))
    width -= min(shared_zeros(size[1], stride[1], padding[1], width), reach[1])
    phases = sorted({(r % stride[0], q % stride[1]) for r, q in places})
    drop = (height - min(shared_zeros(size[0], stride[0], padding[0], height), reach[0])) * width
    extent = (together - 1) * drop + height * width
    plane = len(phases) * extent
    offsets, table, walked, work = [], [], [], 0
    for walk in walks:
        inside = [
            phases.index((r % stride[0], q % stride[1])) * extent + r // stride[0] * width + q // stride[1]
            for r, q in walk.places
        ]
        own = (np.arange(channels)[:, None] * plane + np.array(inside)).ravel()  # (channels · taps,)
        if apart is None:
            ranks = [sorted(walk.taps).index(tap) for tap in walk.taps]
            weights = len(offsets) + (np.arange(channels)[:, None] * len(ranks) + np.array(ranks)).ravel()
        else:
            weights = (np.arange(channels)[:, None] * apart + np.array(walk.taps)).ravel()
        walked.append((len(table), *walk.cells, *walk.first))
        table += [*np.stack([own, weights], axis=1).ravel().tolist(), -1]
        offsets += own.tolist()
        work += len(own) * math.prod(walk.cells)
    in_threes = np.array(offsets + offsets[-1:] * (-len(offsets) % 3))
    layout = math.prod(size), plane, width, stride[0] * size[1], stride[1], drop
    part = height, width, extent
    spots = [spot(size, stride, padding, phase, part, number) for number, phase in enumerate(phases)]
    taps = (
        np.array([tap for walk in walks for tap in sorted(walk.taps)]),
        np.cumsum([len(walk.taps) for walk in walks]),
    )
    whole = np.array(offsets), in_threes, np.array(table), np.array(walked)
    return Plan(layout, together, np.array(spots).ravel(), taps, *whole, work)


def spot(size, stride, padding, phase, part, number) -> tuple[int, int, int, int]:
    """Return for a phase how many rows and columns lie in the source, and its first number and cell there.

    Cell (r, q) of a phase (a, b) is the source's row ``r·stride + a - padding``, and column likewise. It is
    phase `number` of the plane; `part` holds the rows and columns of each, and how many cells it takes.

    >>> spot((3, 4), (2, 2), (1, 1), (1, 0), (2, 3, 6), 0)         # row 0, columns 1 and 3, in cells (0, 1), (0, 2)
    (2, 2, 1, 1)
    >>> spot((3, 4), (1, 1), (0, 0), (0, 0), (3, 4, 12), 0)        # all rows lie here as there: they are one
    (1, 12, 0, 0)
    """
    first, count = [], []
    for axis in (0, 1):
        shift = phase[axis] - padding[axis]
        first.append(max(0, -(shift // stride[axis])))
        count.append(max(0, min(part[axis], (size[axis] - 1 - shift) // stride[axis] + 1) - first[axis]))
    row, column = (first[axis] * stride[axis] + phase[axis] - padding[axis] for axis in (0, 1))
    cell = number * part[2] + first[0] * part[1] + first[1]
    if stride == (1, 1) and count[1] == part[1] == size[1]:
        count = [1, math.prod(count)]
    return *count, row * size[1] + column, cell


@lru_cache(maxsize=256)
def even_table(count: int, cells_apart: int, weights_apart: int) -> np.ndarray:
    """Return the table of a Plan for so many taps at equal distances.

    >>> even_table(3, 24, 1)
    array([ 0,  0, 24,  1, 48,  2, -1])
    """
    pairs = np.arange(count)[:, None] * np.array([cells_apart, weights_apart])
    return np.append(pairs.ravel(), -1)


def shared_zeros(size: int, stride: int, padding: int, width: int) -> int:
    """Return how many zeros every row of `width` cells has at both ends: the next row may begin on them.

    >>> shared_zeros(4, 1, 1, 6)                        # 0 a b c d 0
    1
    """
    shared = width
    for phase in range(stride):
        before = -((phase - padding) // stride)
        cells = (size - 1 - phase + padding) // stride + 1  # up to the last one that is in the row
        shared = max(min(shared, before, width - cells), 0)
    return shared


@lru_cache(maxsize=256)
def forward_plan(size, channels, kernel, stride, padding, dilation, together=1) -> Plan | None:
    """Return the Plan of a forward pass over images of `size`; None if its planes would swell.

    >>> forward_plan((4, 4), 1, (3, 3), (1, 1), (1, 1), (1, 1)).cells
    (4, 4)
    """
    if swells(size, kernel, stride, padding, dilation):
        return None
    places = [(k * dilation[0], m * dilation[1]) for k in range(kernel[0]) for m in range(kernel[1])]
    cells = conv_output_sizes(size, kernel, stride, padding, dilation)
    walks = [Walk(list(range(len(places))), places, cells, (0, 0))]
    return plan(size, stride, padding, walks, channels, together, math.prod(kernel))


def backward_plan(size, channels, kernel, stride, padding, dilation, together=1, apart=None) -> Plan | None:
    """Return the Plan of an input gradient: for each remainder of row and column by the stride, a walk.

    Pixel i meets tap k in cell y if ``i + padding = y·stride + k·dilation``: only the taps whose offset
    leaves the same remainder as ``i + padding``, and the farther the tap the earlier the cell. So a walk
    whose first pixel's farthest tap meets cell ``top - far`` needs ``far - top`` rows of padding; the layout
    has what the neediest needs. None if no pixel meets a tap, or if the planes would swell.

    The last tap reads the first cell, and comes first: rising places are read a sixth faster.

    >>> made = backward_plan((4, 4), 1, (1, 3), (1, 2), (0, 1), (1, 1), apart=3)
    >>> made.table.tolist(), made.walks.tolist()                # taps 2 and 0, then tap 1
    ([0, 2, 1, 0, -1, 0, 1, -1], [[0, 4, 2, 0, 1], [5, 4, 2, 0, 0]])
    """
    if swells(size, kernel, stride, padding, dilation):
        return None
    met = []
    for a in range(2):
        met.append([])
        for remainder in range(stride[a]):
            taps = [k for k in range(kernel[a]) if k * dilation[a] % stride[a] == remainder]
            back = [k * dilation[a] // stride[a] for k in taps]
            top = -((remainder - padding[a]) // stride[a])  # the first y for which there is a pixel
            last = (size[a] - 1 + padding[a] - remainder) // stride[a]
            if taps and last >= top:
                pixel = top * stride[a] + remainder - padding[a]
                met[a].append((taps, [top - b for b in back], last - top + 1, pixel))
    if not met[0] or not met[1]:
        return None
    lead = [-min(min(cells) for _, cells, _, _ in met[a]) for a in range(2)]
    walks = []
    for rows, columns in itertools.product(*met):
        taps = [k * kernel[1] + m for k in rows[0] for m in columns[0]][::-1]
        places = [(r + lead[0], q + lead[1]) for r in rows[1] for q in columns[1]][::-1]
        walks.append(Walk(taps, places, (rows[2], columns[2]), (rows[3], columns[3])))
    grad_size = conv_output_sizes(size, kernel, stride, padding, dilation)
    return plan(grad_size, (1, 1), tuple(lead), walks, channels, together, apart)


def swells(size, kernel, stride, padding, dilation) -> bool:
    """Return whether the planes would hold far more cells than the input and all windows together.

    A huge stride or dilation, with padding to match, would fill the memory with zeros.

    >>> swells((28, 28), (3, 3), (1, 1), (1, 1), (1, 1)), swells((3, 3), (3, 3), (1, 1), (99, 99), (99, 99))
    (False, True)
    """
    cells = conv_output_sizes(size, kernel, stride, padding, dilation)
    laid_out = math.prod(cells[a] * stride[a] + dilation[a] * (kernel[a] - 1) for a in (0, 1))
    return laid_out > 4 * (math.prod(size) + math.prod(kernel) * math.prod(cells))
