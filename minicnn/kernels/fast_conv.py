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


def walk_all(source, weights, form, bias, target, made, groups: int, end=PLAIN, winners=NO_WINNERS) -> None:
    """Run `tiles.walk` over all images and filters, shared among the threads by images, or by filters if few.

    >>> made = forward_plan((1, 3), 1, (1, 2), (1, 1), (0, 0), (1, 1))
    >>> weights = np.array([10.0, 0, 0, 0, 1, 0, 0, 0]), (4, 1, 4)      # a block of four filters: one, filled up
    >>> target = np.empty((1, 1, 1, 2))
    >>> walk_all(np.array([[[[1.0, 2, 3]]]]), *weights, np.zeros(1), target, made, 1)
    >>> target
    array([[[[12., 23.]]]])
    """
    images, blocks = len(source), groups * -(-target.shape[1] // groups // FILTERS)
    by_image = images >= min(blocks, 8)
    ends = bias, end, target.reshape(-1), winners.reshape(-1)
    where = made.phases, made.offsets, made.walks, lanes_of(source.dtype)
    geometry = (source.shape, target.shape, *made.geometry)
    arguments = ready(source).reshape(-1), weights, form, *ends, *where, geometry, groups, by_image
    work = images * target.shape[1] * made.work
    share(walk, arguments, *((images, work, 4) if by_image else (blocks, work)))


def forward(input, weight, bias, stride, padding, dilation, groups, end):
    """Return what becomes of the sums, and pooling's winners; None where tiles do not serve."""
    made = forward_plan(input.shape[2:], weight.shape[1], weight.shape[2:], stride, padding, dilation)
    weights = None if made is None else as_it_lies(weight, groups, made.taps[0])
    if weights is None:
        return None
    size = (made.cells[0] // 2, made.cells[1] // 2) if end == POOLED else made.cells
    winners = np.empty((len(input), len(weight), *size), np.uint8) if end == POOLED else NO_WINNERS
    bias = np.zeros(len(weight), input.dtype) if bias is None else ready(bias)
    if end != POOLED and serves(input.shape, weight.shape, stride, padding, groups):
        return multiply(input, stride, weights, bias, end == RELU, len(weight)), winners
    output = np.empty((len(input), len(weight), *size), input.dtype)
    walk_all(input, *weights, bias, output, made, groups, end, winners)
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
    made = backward_plan(
        tuple(input_shape[2:]), len(weight) // groups, weight.shape[2:], stride, padding, dilation
    )
    packed = [blocks_of_four(weight, groups, taps, backward=True) for taps in made.taps] if made else [None]
    if any(weights is None for weights in packed):
        return jitted.conv2d_grad_input(grad_output, weight, input_shape, stride, padding, dilation, groups)
    weights = packed[0][0] if len(packed) == 1 else np.concatenate([weights for weights, _ in packed])
    covered = made.computed == math.prod(input_shape[2:])  # every pixel gets a number
    grad_input = (np.empty if covered else np.zeros)(input_shape, grad_output.dtype)
    no_bias = np.zeros(input_shape[1], grad_output.dtype)
    walk_all(grad_output, weights, packed[0][1], no_bias, grad_input, made, groups)
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
        grad_weight = np.empty(filters * len(made.offsets), grad_output.dtype)
        arrays = ready(grad_output).ravel(), ready(input).ravel(), grad_weight, made.phases
        geometry = (grad_output.shape, input.shape, *made.geometry)
        rest = made.offsets_in_threes, lanes_of(input.dtype), geometry, groups
        work = grad_output.size * len(made.offsets)
        share(gather, (*arrays, *rest), groups * -(-(filters // groups) // FILTERS), work)
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
