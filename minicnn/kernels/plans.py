"""Which cells the walks of `tiles` read, and where they write: worked out once for each geometry."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from minicnn.kernels.geometry import conv_output_sizes


class Geometry(NamedTuple):
    """How a walk moves, as the compiled functions take it: pairs (height, width).

    Attributes
    ----------
    stride, padding : pair of int
        How the source is laid out: in a plane for each phase, from row and column -padding on.
    extent : pair of int
        Rows and columns of one such plane.
    cells : pair of int
        Rows and columns that are computed.
    first, step : pair of int
        Cell (y, x) is written to row ``first + y·step`` of the target, and likewise its column.
    """

    stride: tuple[int, int]
    padding: tuple[int, int]
    extent: tuple[int, int]
    cells: tuple[int, int]
    first: tuple[int, int]
    step: tuple[int, int]


class Plan(NamedTuple):
    """What a walk needs to know of a layer.

    Attributes
    ----------
    geometry : Geometry
    taps : ndarray of int64
        Which cells of the kernel take part, counted in reading order.
    phases : ndarray of int64, flat pairs
        The remainders of row and column by the stride that any tap reads: the planes that are laid out.
    offsets, offsets_in_threes : ndarray of int64
        Where each channel and tap is read, counted from the cell; and the same with the last one repeated
        up to a multiple of three, as `gather` takes it.
    """

    geometry: Geometry
    taps: np.ndarray
    phases: np.ndarray
    offsets: np.ndarray
    offsets_in_threes: np.ndarray

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns that are computed."""
        return self.geometry.cells


def plan(size, stride, padding, cells, first, step, places, taps, channels) -> Plan:
    """Return the Plan of a walk over a source of `size`; `taps` are read from padded rows and columns `places`.

    >>> corner = [(0, 0), (0, 1), (1, 0)]
    >>> made = plan((2, 2), (1, 1), (1, 1), (2, 2), (0, 0), (1, 1), corner, [0, 1, 2], channels=1)
    >>> made.geometry.extent, made.offsets.tolist()
    ((3, 3), [0, 1, 3])
    """
    reach = [max(place[axis] for place in places) // stride[axis] for axis in range(2)]
    height, width = cells[0] + reach[0], cells[1] + reach[1]
    width -= min(shared_zeros(size[1], stride[1], padding[1], width), reach[1])
    remainders = [(r % stride[0], q % stride[1]) for r, q in places]
    phases = sorted(set(remainders))
    inside = [
        phases.index(remainder) * height * width + r // stride[0] * width + q // stride[1]
        for remainder, (r, q) in zip(remainders, places, strict=True)
    ]
    plane = len(phases) * height * width
    offsets = (np.arange(channels)[:, None] * plane + np.array(inside)).ravel()  # (channels · taps,)
    in_threes = np.concatenate([offsets, np.repeat(offsets[-1:], -len(offsets) % 3)])
    geometry = Geometry(stride, padding, (height, width), cells, first, step)
    return Plan(geometry, np.array(taps), np.array(phases).ravel(), offsets, in_threes)


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
def forward_plan(size, channels, kernel, stride, padding, dilation) -> Plan | None:
    """Return the Plan of a forward pass over images of `size`; None if its planes would swell.

    >>> forward_plan((4, 4), 1, (3, 3), (1, 1), (1, 1), (1, 1)).cells
    (4, 4)
    """
    if swells(size, kernel, stride, padding, dilation):
        return None
    output_size = conv_output_sizes(size, kernel, stride, padding, dilation)
    places = [(k * dilation[0], m * dilation[1]) for k in range(kernel[0]) for m in range(kernel[1])]
    taps = range(len(places))
    return plan(size, stride, padding, output_size, (0, 0), (1, 1), places, taps, channels)


@lru_cache(maxsize=256)
def backward_plans(size, channels, kernel, stride, padding, dilation) -> list[Plan]:
    """Return, for each remainder of row and column by the stride, the Plan of its taps' walk.

    Pixel i meets tap k in cell y if ``i + padding = y·stride + k·dilation``: only the taps whose offset
    leaves the same remainder as ``i + padding``, and the farther the tap the earlier the cell. No plan at
    all if the planes would swell.

    >>> [(made.taps.tolist(), made.cells) for made in backward_plans((4, 4), 1, (1, 3), (1, 2), (0, 1), (1, 1))]
    [([0, 2], (4, 2)), ([1], (4, 2))]
    """
    plans = []
    if swells(size, kernel, stride, padding, dilation):
        return plans
    grad_size = conv_output_sizes(size, kernel, stride, padding, dilation)
    for remainders in np.ndindex(*stride):
        taps, places, first, cells, lead = [], [], [], [], []
        for a in range(2):
            met = [k for k in range(kernel[a]) if k * dilation[a] % stride[a] == remainders[a]]
            back = [k * dilation[a] // stride[a] for k in met]
            top = -((remainders[a] - padding[a]) // stride[a])  # the first y for which there is a pixel
            last = (size[a] - 1 + padding[a] - remainders[a]) // stride[a]
            far = max(back, default=0)
            taps.append(met)
            places.append([far - b for b in back])
            cells.append(last - top + 1)
            first.append(top * stride[a] + remainders[a] - padding[a])
            lead.append(far - top)
        if taps[0] and taps[1] and min(cells) > 0:
            crossed = [(r, q) for r in places[0] for q in places[1]]
            numbers = [k * kernel[1] + m for k in taps[0] for m in taps[1]]
            how = (1, 1), tuple(lead), tuple(cells), tuple(first), stride
            plans.append(plan(grad_size, *how, crossed, numbers, channels))
    return plans


def swells(size, kernel, stride, padding, dilation) -> bool:
    """Return whether the planes would hold far more cells than the input and all windows together.

    A huge stride or dilation, with padding to match, would fill the memory with zeros.

    >>> swells((28, 28), (3, 3), (1, 1), (1, 1), (1, 1)), swells((3, 3), (3, 3), (1, 1), (99, 99), (99, 99))
    (False, True)
    """
    cells = conv_output_sizes(size, kernel, stride, padding, dilation)
    laid_out = math.prod(cells[a] * stride[a] + dilation[a] * (kernel[a] - 1) for a in (0, 1))
    return laid_out > 4 * (math.prod(size) + math.prod(kernel) * math.prod(cells))
