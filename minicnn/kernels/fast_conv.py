"""Convolution on the fast rung: which cells the walks of `tiles` read, and where they write.

Every number is made by one thread from beginning to end, in an order that depends on nothing but the
layer: the same bits for any number of threads, and for an image alone or in a batch. Padding is a zero
that is multiplied: for a weight that is not finite (and where a weight's gradient is not), where 0 · inf
would make a NaN of it, the readable rung computes instead.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from minicnn.kernels import jitted
from minicnn.kernels.geometry import conv_output_size
from minicnn.kernels.jitted import ready
from minicnn.kernels.threads import share
from minicnn.kernels.tiles import FILTERS, VECTORS, gather, walk
from minicnn.kernels.vector import lanes_of


class Plan(NamedTuple):
    """What a walk needs to know of a layer: pairs (height, width), and where every tap is read.

    Attributes
    ----------
    stride, padding : pair of int
        How the source is laid out: in stride·stride planes, from row and column -padding on.
    extent : pair of int
        Rows and columns of one such plane.
    cells : pair of int
        Rows and columns that are computed.
    first, step : pair of int
        Cell (y, x) is written to row ``first + y·step`` of the target, and likewise its column.
    offsets : ndarray of int64
        Where each channel and tap is read, counted from the cell.
    """

    stride: tuple[int, int]
    padding: tuple[int, int]
    extent: tuple[int, int]
    cells: tuple[int, int]
    first: tuple[int, int]
    step: tuple[int, int]
    offsets: np.ndarray


def plan(stride, padding, cells, first, step, taps, channels) -> Plan:
    """Return the Plan of a walk whose taps are read from padded rows and columns `taps`.

    >>> made = plan((1, 1), (1, 1), (2, 2), (0, 0), (1, 1), [(0, 0), (0, 1), (1, 0)], channels=1)
    >>> made.extent, made.offsets.tolist()
    ((3, 3), [0, 1, 3])
    """
    reach = [max(tap[axis] for tap in taps) // stride[axis] for axis in range(2)]
    height, width = cells[0] + reach[0], cells[1] + reach[1]
    phases = [(r % stride[0]) * stride[1] + q % stride[1] for r, q in taps]
    inside = [
        phase * height * width + r // stride[0] * width + q // stride[1]
        for phase, (r, q) in zip(phases, taps, strict=True)
    ]
    plane = stride[0] * stride[1] * height * width
    offsets = (np.arange(channels)[:, None] * plane + np.array(inside)).ravel()  # (channels · taps,)
    return Plan(stride, padding, (height, width), cells, first, step, offsets)


@lru_cache(maxsize=256)
def forward_plan(size, channels, kernel, stride, padding, dilation) -> Plan:
    """Return the Plan of a forward pass over images of `size`.

    >>> forward_plan((4, 4), 1, (3, 3), (1, 1), (1, 1), (1, 1)).cells
    (4, 4)
    """
    rows, columns = (conv_output_size(size[a], kernel[a], stride[a], padding[a], dilation[a]) for a in (0, 1))
    taps = [(k * dilation[0], m * dilation[1]) for k in range(kernel[0]) for m in range(kernel[1])]
    return plan(stride, padding, (rows, columns), (0, 0), (1, 1), taps, channels)


@lru_cache(maxsize=256)
def backward_plans(size, channels, kernel, stride, padding, dilation) -> list[tuple[list, Plan]]:
    """Return, for each remainder of row and column by the stride, its taps and the Plan of their walk.

    Pixel i meets tap k in cell y if ``i + padding = y·stride + k·dilation``: only the taps whose offset
    leaves the same remainder as ``i + padding``, and the farther the tap the earlier the cell.

    >>> [(taps, made.cells) for taps, made in backward_plans((4, 4), 1, (1, 3), (1, 2), (0, 1), (1, 1))]
    [([0, 2], (4, 2)), ([1], (4, 2))]
    """
    plans = []
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
            made = plan((1, 1), tuple(lead), tuple(cells), tuple(first), stride, crossed, channels)
            plans.append(([k * kernel[1] + m for k in taps[0] for m in taps[1]], made))
    return plans


def swells(size, kernel, stride, padding, dilation) -> bool:
    """Return whether the planes would hold far more cells than the input and all windows together.

    A huge stride or dilation, with padding to match, would fill the memory with zeros.

    >>> swells((28, 28), (3, 3), (1, 1), (1, 1), (1, 1)), swells((3, 3), (3, 3), (1, 1), (99, 99), (99, 99))
    (False, True)
    """
    cells = [conv_output_size(size[a], kernel[a], stride[a], padding[a], dilation[a]) for a in (0, 1)]
    laid_out = math.prod(cells[a] * stride[a] + dilation[a] * (kernel[a] - 1) for a in (0, 1))
    return laid_out > 4 * (math.prod(size) + math.prod(kernel) * math.prod(cells))


def blocks_of_four(weight):
    """Return weights (groups, filters, channels, taps) flat as (groups, blocks, channels, taps, 4).

    >>> blocks_of_four(np.arange(1.0, 5).reshape(1, 2, 1, 2)).tolist()
    [1.0, 3.0, 0.0, 0.0, 2.0, 4.0, 0.0, 0.0]
    """
    groups, filters, channels, taps = weight.shape
    blocks = -(-filters // FILTERS)
    padded = np.zeros((groups, blocks * FILTERS, channels, taps), weight.dtype)
    padded[:, :filters] = weight
    return padded.reshape(groups, blocks, FILTERS, channels, taps).transpose(0, 1, 3, 4, 2).ravel()


def walk_all(source, weight, bias, target, made: Plan, groups: int) -> None:
    """Run `walk` on all images and filters, shared among the threads by images, or by filters if few.

    `weight` is (groups, filters, channels, taps).

    >>> target = np.empty((1, 1, 1, 2))
    >>> made = plan((1, 1), (0, 0), (1, 2), (0, 0), (1, 1), [(0, 0), (0, 1)], channels=1)
    >>> walk_all(np.array([[[[1.0, 2, 3]]]]), np.array([[[[10.0, 1]]]]), np.zeros(1), target, made, 1)
    >>> target
    array([[[[12., 23.]]]])
    """
    images, work = len(source), target.shape[0] * weight.size * made.cells[0] * made.cells[1]
    blocks = groups * -(-weight.shape[1] // FILTERS)
    fixed = (ready(source), blocks_of_four(weight), bias, target, made.offsets, lanes_of(source.dtype))
    rest = (tuple(made[:6]), groups)
    if images >= min(blocks, 8):
        share(lambda start, stop: walk(*fixed, *rest, (start, stop), (0, blocks)), images, work)
    else:
        share(lambda start, stop: walk(*fixed, *rest, (0, images), (start, stop)), blocks, work)


def conv2d(input, weight, bias, stride, padding, dilation, groups):
    """Return what `loops.conv2d` returns.

    >>> image, kernel = np.array([[[[1.0, 2, 3]]]]), np.array([[[[10.0, 1]]]])
    >>> conv2d(image, kernel, None, (1, 1), (0, 0), (1, 1), 1)
    array([[[[12., 23.]]]])
    """
    thin = swells(input.shape[2:], weight.shape[2:], stride, padding, dilation)
    if thin or not np.isfinite(weight).all():
        return jitted.conv2d(input, weight, bias, stride, padding, dilation, groups)
    filters, channels, *kernel = weight.shape
    made = forward_plan(input.shape[2:], channels, tuple(kernel), stride, padding, dilation)
    output = np.empty((len(input), filters, *made.cells), input.dtype)
    bias = np.zeros(filters, input.dtype) if bias is None else ready(bias)
    walk_all(input, weight.reshape(groups, filters // groups, channels, -1), bias, output, made, groups)
    return output


def conv2d_grad_input(grad_output, weight, input_shape, stride, padding, dilation, groups):
    """Return what `loops.conv2d_grad_input` returns.

    >>> grad, kernel = np.array([[[[1.0, 2]]]]), np.array([[[[10.0, 1]]]])
    >>> conv2d_grad_input(grad, kernel, (1, 1, 1, 3), (1, 1), (0, 0), (1, 1), 1)
    array([[[[10., 21.,  2.]]]])
    """
    thin = swells(input_shape[2:], weight.shape[2:], stride, padding, dilation)
    if thin or not np.isfinite(weight).all():
        return jitted.conv2d_grad_input(grad_output, weight, input_shape, stride, padding, dilation, groups)
    filters, channels, *kernel = weight.shape
    plans = backward_plans(
        tuple(input_shape[2:]), filters // groups, tuple(kernel), stride, padding, dilation
    )
    grad_input = np.zeros(input_shape, grad_output.dtype)
    no_bias = np.zeros(input_shape[1], grad_output.dtype)
    swapped = weight.reshape(groups, filters // groups, channels, -1).swapaxes(1, 2)
    for taps, made in plans:
        walk_all(grad_output, swapped[..., taps], no_bias, grad_input, made, groups)
    return grad_input


def conv2d_grad_weight(grad_output, input, weight_shape, stride, padding, dilation, groups):
    """Return what `loops.conv2d_grad_weight` returns.

    >>> grad, image = np.array([[[[1.0, 2]]]]), np.array([[[[1.0, 2, 3]]]])
    >>> conv2d_grad_weight(grad, image, (1, 1, 1, 2), (1, 1), (0, 0), (1, 1), 1)
    array([[[[5., 8.]]]])
    """
    if swells(input.shape[2:], weight_shape[2:], stride, padding, dilation):
        return jitted.conv2d_grad_weight(grad_output, input, weight_shape, stride, padding, dilation, groups)
    filters, channels, *kernel = weight_shape
    made = forward_plan(input.shape[2:], channels, tuple(kernel), stride, padding, dilation)
    offsets = np.pad(made.offsets, (0, -len(made.offsets) % VECTORS), mode="edge")
    grad_weight = np.empty((filters, len(made.offsets)), grad_output.dtype)
    blocks = groups * -(-(filters // groups) // FILTERS)
    fixed = (ready(grad_output), ready(input), grad_weight, offsets, lanes_of(input.dtype), tuple(made[:6]))
    work = grad_output.size * len(offsets)
    share(lambda start, stop: gather(*fixed, groups, (start, stop)), blocks, work)
    if not np.isfinite(grad_weight).all():
        return jitted.conv2d_grad_weight(grad_output, input, weight_shape, stride, padding, dilation, groups)
    return grad_weight.reshape(weight_shape)
