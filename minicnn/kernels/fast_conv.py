"""Convolution on the fast rung: the walks of `tiles`, shared among the threads.

Every number is made by one thread from beginning to end, in an order that depends on nothing but the
layer: the same bits for any number of threads, and for an image alone or in a batch. Padding is a zero
that is multiplied: for a weight that is not finite (and where a weight's gradient is not), where 0 · inf
would make a NaN of it, the readable rung computes instead.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from minicnn.kernels import jitted
from minicnn.kernels.fast_pointwise import multiply, serves
from minicnn.kernels.jitted import FLAGS
from minicnn.kernels.planes import ready
from minicnn.kernels.plans import backward_plans, forward_plan
from minicnn.kernels.threads import FETCH, share
from minicnn.kernels.tiles import FILTERS, PLAIN, POOLED, RELU, gather, walk
from minicnn.kernels.vector import lanes_of, read, write

NO_WINNERS = np.empty(0, np.uint8)
CACHE = 2**18  # bytes: half of what a core's second cache usually holds


@njit(cache=True, nogil=True)
def _blocks_of_four(weight, taps, sizes, strides, packed):
    """Fill `packed`, flat (groups, blocks, channels, taps, 4); return whether all weights are finite."""
    groups, filters, channels = sizes
    by_group, by_filter, by_channel = strides
    place, nothing = 0, weight.dtype.type(0)
    spoilt = nothing  # w - w is 0, but NaN for what is not finite
    for group in range(groups):
        for f in range(0, filters, FILTERS):
            for channel in range(channels):
                start = group * by_group + f * by_filter + channel * by_channel
                for k in range(len(taps)):
                    at = start + read(taps, k)
                    w0 = read(weight, at)  # by name: a loop over the four takes twice as long
                    w1 = read(weight, at + by_filter) if f + 1 < filters else nothing
                    w2 = read(weight, at + 2 * by_filter) if f + 2 < filters else nothing
                    w3 = read(weight, at + 3 * by_filter) if f + 3 < filters else nothing
                    write(packed, place, w0)
                    write(packed, place + 1, w1)
                    write(packed, place + 2, w2)
                    write(packed, place + 3, w3)
                    spoilt += (w0 - w0) + (w1 - w1) + (w2 - w2) + (w3 - w3)
                    place += FILTERS
    return spoilt == 0


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
    filled_up = -(-filters // FILTERS) * FILTERS
    packed = np.empty(groups * filled_up * channels * len(taps), weight.dtype)
    sizes = (groups, filters, channels)
    finite = _blocks_of_four(ready(weight).reshape(-1), taps, sizes, strides, packed)
    return (packed, (filled_up, 1, FILTERS)) if finite else None


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


def walk_all(source, walks, bias, target, groups: int, end=PLAIN, winners=NO_WINNERS) -> None:
    """Run `walk` on all images and filters, shared among the threads by images, or by filters if few.

    There is a pair of weights (with their form) and Plan for every walk. Several write to the same images by
    turns, so these are taken a few at a time, as many as the cache holds.

    >>> from minicnn.kernels.plans import plan
    >>> target = np.empty((1, 1, 1, 2))
    >>> made = plan((1, 3), (1, 1), (0, 0), (1, 2), (0, 0), (1, 1), [(0, 0), (0, 1)], [0, 1], channels=1)
    >>> weights = np.array([10.0, 0, 0, 0, 1, 0, 0, 0]), (4, 1, 4)      # a block of four filters: one, filled up
    >>> walk_all(np.array([[[[1.0, 2, 3]]]]), [(weights, made)], np.zeros(1), target, 1)
    >>> target
    array([[[[12., 23.]]]])
    """
    images, blocks = len(source), groups * -(-target.shape[1] // groups // FILTERS)
    flat, work, calls = ready(source).reshape(-1), 0, []
    for (weights, form), made in walks:
        work += images * weights.size * made.cells[0] * made.cells[1]
        ends = bias, end, target.reshape(-1), winners.reshape(-1)
        geometry = (source.shape, target.shape, *made.geometry)
        where = made.phases, made.offsets, lanes_of(source.dtype), geometry, groups
        calls.append((flat, weights, form, *ends, *where))

    def some_images(start: int, stop: int) -> None:
        for call in calls:
            walk(*call, (start, stop), (0, blocks))

    def some_filters(start: int, stop: int) -> None:
        for call in calls:
            walk(*call, (0, images), (start, stop))

    if images >= min(blocks, 8):
        share(some_images, images, work, ranges=4 if len(calls) == 1 else max(4, target.nbytes // CACHE))
    else:
        share(some_filters, blocks, work)


def forward(input, weight, bias, stride, padding, dilation, groups, end):
    """Return what becomes of the sums, and pooling's winners; None where tiles do not serve."""
    made = forward_plan(input.shape[2:], weight.shape[1], weight.shape[2:], stride, padding, dilation)
    weights = None if made is None else as_it_lies(weight, groups, made.taps)
    if weights is None:
        return None
    size = (made.cells[0] // 2, made.cells[1] // 2) if end == POOLED else made.cells
    winners = np.empty((len(input), len(weight), *size), np.uint8) if end == POOLED else NO_WINNERS
    bias = np.zeros(len(weight), input.dtype) if bias is None else ready(bias)
    if end != POOLED and serves(input.shape, weight.shape, stride, padding, groups):
        return multiply(input, stride, weights, bias, end == RELU, len(weight)), winners
    output = np.empty((len(input), len(weight), *size), input.dtype)
    walk_all(input, [(weights, made)], bias, output, groups, end, winners)
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
    size, kernel = tuple(input_shape[2:]), weight.shape[2:]
    plans = backward_plans(size, len(weight) // groups, kernel, stride, padding, dilation)
    weights = [blocks_of_four(weight, groups, made.taps, backward=True) for made in plans]
    if not plans or any(packed is None for packed in weights):
        return jitted.conv2d_grad_input(grad_output, weight, input_shape, stride, padding, dilation, groups)
    no_bias = np.zeros(input_shape[1], grad_output.dtype)
    if serves(input_shape, weight.shape, stride, padding, groups):
        grad_met = multiply(grad_output, (1, 1), weights[0], no_bias, False, input_shape[1])
        if stride == (1, 1):
            return grad_met
        grad_input = np.zeros(input_shape, grad_output.dtype)
        grad_input[:, :, :: stride[0], :: stride[1]] = grad_met
        return grad_input
    covered = sum(math.prod(made.cells) for made in plans) == math.prod(size)  # every pixel gets a number
    grad_input = (np.empty if covered else np.zeros)(input_shape, grad_output.dtype)
    walk_all(grad_output, list(zip(weights, plans, strict=True)), no_bias, grad_input, groups)
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
    offsets = made.offsets_in_threes
    grad_weight = np.empty(filters * len(made.offsets), grad_output.dtype)
    blocks = groups * -(-(filters // groups) // FILTERS)
    geometry = (grad_output.shape, input.shape, *made.geometry)
    fixed = (ready(grad_output).ravel(), ready(input).ravel(), grad_weight, made.phases, offsets)
    rest = (lanes_of(input.dtype), geometry, groups)
    work = grad_output.size * len(offsets)
    share(lambda start, stop: gather(*fixed, *rest, (start, stop)), blocks, work)
    if not _all_finite(grad_weight):
        return jitted.conv2d_grad_weight(grad_output, input, weight_shape, stride, padding, dilation, groups)
    return grad_weight.reshape(weight_shape)


@njit(cache=True, nogil=True, fastmath=FLAGS)
def _grad_bias(grad_output, images, size, grad_bias, first, last):
    """Fill grad_bias[first:last] from planes of `size` numbers, flat (images, C_out, size)."""
    filters = len(grad_bias)
    for f in range(first, last):
        total = 0.0
        for n in range(images):
            start = (n * filters + f) * size
            plane = 0.0
            for x in range(start, start + size):
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
    fixed = (ready(grad_output).reshape(-1), images, math.prod(size), grad_bias)
    share(lambda first, last: _grad_bias(*fixed, first, last), filters, FETCH * grad_output.size)
    return grad_bias
