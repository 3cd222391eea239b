"""Convolution on the fast rung: the walks of `tiles`, shared among the threads.

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
from numba import njit

from minicnn.kernels import fast_positions, jitted
from minicnn.kernels.board import handed_out
from minicnn.kernels.fast_pointwise import multiply, serves
from minicnn.kernels.jitted import FLAGS
from minicnn.kernels.planes import ready
from minicnn.kernels.plans import backward_plan, forward_plan
from minicnn.kernels.threads import FETCH, share
from minicnn.kernels.tiles import FILTERS, PLAIN, POOLED, RELU, gather, walk
from minicnn.kernels.vector import lanes_of, read, write

NO_WINNERS = np.empty(0, np.uint8)
PARTS = 8  # of the images, whose weight gradients are summed up one by one and then added
CACHE = 2**18  # bytes: half of what a core's second cache usually holds


@njit(cache=True, nogil=True)
def _blocks_of_four(weight, taps, sizes, strides, packed, spoilt, board, start, stop):
    """Fill the blocks start .. stop - 1 of `packed`, flat (groups, blocks, channels, taps, 4).

    Each block has a number in `spoilt`: 0, or NaN if any weight is not finite (for it w - w is NaN).
    """
    if handed_out(board, start, stop):
        return
    filters, channels = sizes
    by_group, by_filter, by_channel = strides
    per_group, nothing = (filters + FILTERS - 1) // FILTERS, weight.dtype.type(0)
    for block in range(start, stop):
        f = block % per_group * FILTERS
        first = block // per_group * by_group + f * by_filter
        place, sums = block * channels * len(taps) * FILTERS, nothing
        for channel in range(channels):
            for k in range(len(taps)):
                at = first + channel * by_channel + read(taps, k)
                w0 = read(weight, at)  # by name: a loop over the four takes twice as long
                w1 = read(weight, at + by_filter) if f + 1 < filters else nothing
                w2 = read(weight, at + 2 * by_filter) if f + 2 < filters else nothing
                w3 = read(weight, at + 3 * by_filter) if f + 3 < filters else nothing
                write(packed, place, w0)
                write(packed, place + 1, w1)
                write(packed, place + 2, w2)
                write(packed, place + 3, w3)
                sums += (w0 - w0) + (w1 - w1) + (w2 - w2) + (w3 - w3)
                place += FILTERS
        write(spoilt, block, sums)


def blocks_of_four(weight, groups: int, taps, backward: bool):
    """Return some taps of a layer's weight, flat as (groups, blocks of four filters, channels, taps, 4).

    For the input gradient the filters are the channels, and the other way round. Returns the form that
    `tiles.walk_tiles` asks for, too. None in place of both stands for weights that are not all finite.

    >>> weight = np.arange(1.0, 5).reshape(2, 1, 1, 2)
    >>> packed, form = blocks_of_four(weight, 1, np.arange(2), backward=False)
    >>> packed.tolist(), form
    ([1.0, 3.0, 0.0, 0.0, 2.0, 4.0, 0.0, 0.0], (4, 1, 4))
    """
    filters, channels, size = len(weight) // groups, weight.shape[1], weight.shape[2] * weight.shape[3]
    strides = (filters * channels * size, channels * size, size)
    if backward:
        filters, channels, strides = channels, filters, (strides[0], strides[2], strides[1])
    blocks = -(-filters // FILTERS)
    packed = np.empty(groups * blocks * channels * len(taps) * FILTERS, weight.dtype)
    spoilt = np.empty(groups * blocks, weight.dtype)
    arguments = ready(weight).reshape(-1), taps, (filters, channels), strides, packed, spoilt
    share(_blocks_of_four, arguments, len(spoilt), 2 * FETCH * packed.size)
    return (packed, (blocks * FILTERS, 1, FILTERS)) if _all_finite(spoilt) else None


def as_it_lies(weight, groups: int, taps):
    """Return a layer's weight flat and its form, without a copy if each group has four filters or more.

    >>> as_it_lies(np.arange(8.0).reshape(4, 1, 1, 2), 1, np.arange(2))[1]
    (4, 2, 1)
    """
    if len(weight) < FILTERS * groups:
        return blocks_of_four(weight, groups, taps, backward=False)
    flat = ready(weight).reshape(-1)
    return (flat, (len(weight) // groups, weight.size // len(weight), 1)) if _all_finite(flat) else None


@njit(cache=True, nogil=True)
def _all_finite(numbers):
    """Return whether no number is NaN or infinite; for a few hundred of them NumPy takes five times as long."""
    finite = True
    for i in range(len(numbers)):
        finite &= read(numbers, i) - read(numbers, i) == 0
    return finite


class Call(NamedTuple):
    """What a call of `tiles.walk` needs besides the arrays of numbers.

    Attributes
    ----------
    target_shape : tuple of int
        Of the array that it fills.
    taps : tuple of ndarray
        Which cells of the kernel each walk takes.
    where : tuple
        The arguments of `walk` behind the arrays.
    sharing : tuple
        How `share` cuts the work: by images, or by blocks of four filters if images are few.
    covers : bool
        Whether every number of the target is written.
    """

    target_shape: tuple[int, ...]
    taps: tuple[np.ndarray, ...]
    where: tuple
    sharing: tuple
    covers: bool


def blocks_in(filters: int, groups: int) -> int:
    """Return how many blocks of four filters there are; each group begins a new one.

    >>> blocks_in(12, 1), blocks_in(12, 2)
    (3, 4)
    """
    return groups * -(-(filters // groups) // FILTERS)


def call_of(made, source_shape, target_shape, dtype, groups: int) -> Call:
    """Return the Call of a Plan.

    >>> made = forward_plan((1, 3), 1, (1, 2), (1, 1), (0, 0), (1, 1))
    >>> call_of(made, (9, 1, 1, 3), (9, 1, 1, 2), np.dtype(np.float32), 1).sharing    # images, work, ranges
    (9, 234, 4)
    """
    images, filters = target_shape[:2]
    blocks = blocks_in(filters, groups)
    work = images * blocks * FILTERS * made.work + FETCH * (math.prod(source_shape) + math.prod(target_shape))
    by_image = images >= min(blocks, 8)
    geometry = (source_shape, target_shape, *made.geometry)
    where = made.phases, made.offsets, made.walks, lanes_of(dtype), geometry, groups, by_image
    covers = made.computed == math.prod(target_shape[2:])
    return Call(target_shape, made.taps, where, (images, work, 4) if by_image else (blocks, work), covers)


@lru_cache(maxsize=256)
def forward_call(input_shape, weight_shape, dtype, stride, padding, dilation, groups, pooled) -> Call | None:
    """Return the Call of a forward pass; None if its planes would swell.

    >>> geometry = (1, 1), (1, 1), (1, 1), 1
    >>> forward_call((1, 1, 4, 6), (8, 1, 3, 3), np.dtype("f"), *geometry, pooled=True).target_shape
    (1, 8, 2, 3)
    """
    made = forward_plan(input_shape[2:], weight_shape[1], weight_shape[2:], stride, padding, dilation)
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
    geometry = stride, padding, dilation
    made = backward_plan(input_shape[2:], weight_shape[0] // groups, weight_shape[2:], *geometry)
    return None if made is None else call_of(made, grad_shape, input_shape, dtype, groups)


def forward(input, weight, bias, stride, padding, dilation, groups, end):
    """Return what becomes of the sums, and pooling's winners; None where tiles do not serve."""
    geometry = stride, padding, dilation, groups
    call = forward_call(input.shape, weight.shape, input.dtype, *geometry, end == POOLED)
    weights = None if call is None else as_it_lies(weight, groups, call.taps[0])
    if weights is None:
        return None
    bias = np.zeros(len(weight), input.dtype) if bias is None else ready(bias)
    if end != POOLED and serves(input.shape, weight.shape, stride, padding, groups):
        return multiply(input, stride, weights, bias, end == RELU, len(weight)), NO_WINNERS
    output = np.empty(call.target_shape, input.dtype)
    winners = np.empty(call.target_shape, np.uint8) if end == POOLED else NO_WINNERS
    arrays = ready(input).reshape(-1), *weights, bias, end, output.reshape(-1), winners.reshape(-1)
    share(walk, arrays + call.where, *call.sharing)
    return output, winners


def conv2d(input, weight, bias, stride, padding, dilation, groups):
    """Return what `loops.conv2d` returns.

    >>> image, kernel = np.array([[[[1.0, 2, 3]]]]), np.array([[[[10.0, 1]]]])
    >>> conv2d(image, kernel, None, (1, 1), (0, 0), (1, 1), 1)
    array([[[[12., 23.]]]])
    """
    arguments = (input, weight, bias, stride, padding, dilation, groups)
    found = forward(*arguments, PLAIN)
    return jitted.conv2d(*arguments) if found is None else found[0]


def conv2d_grad_input(grad_output, weight, input_shape, stride, padding, dilation, groups):
    """Return what `loops.conv2d_grad_input` returns.

    >>> grad, kernel = np.array([[[[1.0, 2]]]]), np.array([[[[10.0, 1]]]])
    >>> conv2d_grad_input(grad, kernel, (1, 1, 1, 3), (1, 1), (0, 0), (1, 1), 1)
    array([[[[10., 21.,  2.]]]])
    """
    shapes = grad_output.shape, weight.shape, tuple(input_shape)
    call = backward_call(*shapes, weight.dtype, stride, padding, dilation, groups)
    packed = [blocks_of_four(weight, groups, taps, backward=True) for taps in call.taps] if call else [None]
    if any(weights is None for weights in packed):
        return jitted.conv2d_grad_input(grad_output, weight, input_shape, stride, padding, dilation, groups)
    no_bias = np.zeros(input_shape[1], grad_output.dtype)
    if serves(input_shape, weight.shape, stride, padding, groups):
        grad_met = multiply(grad_output, (1, 1), packed[0], no_bias, False, input_shape[1])
        if stride == (1, 1):
            return grad_met
        grad_input = np.zeros(input_shape, grad_output.dtype)
        grad_input[:, :, :: stride[0], :: stride[1]] = grad_met
        return grad_input
    weights = packed[0][0] if len(packed) == 1 else np.concatenate([weights for weights, _ in packed])
    grad_input = (np.empty if call.covers else np.zeros)(input_shape, grad_output.dtype)
    ends = no_bias, PLAIN, grad_input.reshape(-1), NO_WINNERS
    share(walk, (ready(grad_output).reshape(-1), weights, packed[0][1], *ends, *call.where), *call.sharing)
    return grad_input


def conv2d_grad_weight(grad_output, input, weight_shape, stride, padding, dilation, groups):
    """Return what `loops.conv2d_grad_weight` returns.

    >>> grad, image = np.array([[[[1.0, 2]]]]), np.array([[[[1.0, 2, 3]]]])
    >>> conv2d_grad_weight(grad, image, (1, 1, 1, 2), (1, 1), (0, 0), (1, 1), 1)
    array([[[[5., 8.]]]])
    """
    filters, channels, *kernel = weight_shape
    made = forward_plan(input.shape[2:], channels, tuple(kernel), stride, padding, dilation)
    if made is None:
        return jitted.conv2d_grad_weight(grad_output, input, weight_shape, stride, padding, dilation, groups)
    if fast_positions.serves(grad_output.shape, weight_shape, groups):
        grad_weight = fast_positions.grad_weight(grad_output, input, made)
    else:
        blocks, lanes = blocks_in(filters, groups), lanes_of(input.dtype)
        room = blocks * FILTERS * len(made.offsets_in_threes) * lanes * input.itemsize
        parts = PARTS if len(input) >= 2 * PARTS and room <= CACHE else 1
        grad_weight = np.empty((parts, filters * len(made.offsets)), grad_output.dtype)
        arrays = ready(grad_output).ravel(), ready(input).ravel(), grad_weight.reshape(-1), made.phases
        geometry = (grad_output.shape, input.shape, *made.geometry)
        work = grad_output.size // filters * blocks * FILTERS * len(made.offsets) + FETCH * input.size
        rest = made.offsets_in_threes, lanes, geometry, groups, parts
        share(gather, (*arrays, *rest), blocks if parts == 1 else parts, work)
        grad_weight = grad_weight[0] if parts == 1 else grad_weight.sum(axis=0)
    if not _all_finite(grad_weight):
        return jitted.conv2d_grad_weight(grad_output, input, weight_shape, stride, padding, dilation, groups)
    return grad_weight.reshape(weight_shape)


@njit(cache=True, nogil=True, fastmath=FLAGS)
def _grad_bias(grad_output, images, size, grad_bias, board, start, stop):
    """Fill grad_bias[start:stop] from planes of `size` numbers, flat (images, C_out, size)."""
    if handed_out(board, start, stop):
        return
    filters = len(grad_bias)
    for f in range(start, stop):
        total = 0.0
        for n in range(images):
            first = (n * filters + f) * size
            plane = 0.0
            for x in range(first, first + size):
                plane += read(grad_output, x)
            total += plane
        grad_bias[f] = total


def conv2d_grad_bias(grad_output):
    """Return what `loops.conv2d_grad_bias` returns; summed in float64.

    >>> conv2d_grad_bias(np.array([[[[1.0, 2]]], [[[3.0, 4]]]]))
    array([10.])
    """
    images, filters, *size = grad_output.shape
    grad_bias = np.empty(filters, grad_output.dtype)
    arguments = ready(grad_output).reshape(-1), images, math.prod(size), grad_bias
    share(_grad_bias, arguments, filters, FETCH * grad_output.size)
    return grad_bias
