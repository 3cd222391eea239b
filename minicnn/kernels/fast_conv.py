"""Convolution on the fast rung: the walks of `tiles`, shared among the threads.

Every number is made by one thread from beginning to end, in an order that depends on nothing but the
layer: the same bits for any number of threads, and for an image alone or in a batch. Padding is a zero
that is multiplied: for a weight that is not finite (and where a weight's gradient is not), where 0 · inf
would make a NaN of it, the readable rung computes instead.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from minicnn.kernels import jitted
from minicnn.kernels.board import handed_out
from minicnn.kernels.calls import Call, backward_call, forward_call
from minicnn.kernels.compiling import compiled
from minicnn.kernels.fast_pointwise import multiply, serves
from minicnn.kernels.memory import empty, flag, nothing, zeros
from minicnn.kernels.planes import ready
from minicnn.kernels.threads import share
from minicnn.kernels.tiles import FILTERS, PLAIN, POOLED, RELU
from minicnn.kernels.vector import read, write

TURN = 40  # multiply-adds that a convolution does while a weight is put elsewhere
NO_WINNERS = np.empty(0, np.uint8)


@compiled
def _turn(weight, turns, sizes, copy, board, start, stop):
    """Fill the rows start .. stop - 1 of flat copy: for each group those of its channels, then zeros."""
    if handed_out(board, start, stop):
        return
    (taps, ends), (filters, channels, rows, size) = turns, sizes
    nothing = weight.dtype.type(0)
    for row in range(start, stop):
        group, channel = row // rows, row % rows
        begin = row * filters * len(taps)
        for f in range(filters):
            at, first = ((group * filters + f) * channels + channel) * size, 0
            for walk in range(len(ends)):
                end = read(ends, walk)
                to = begin + filters * first + f * (end - first)
                for t in range(first, end):
                    number = read(weight, at + read(taps, t)) if channel < channels else nothing
                    write(copy, to, number)
                    to += 1
                first = end


def turned(weight, groups: int, turns, least: int = 1):
    """Return a copy of a layer's weight for the input gradient, flat, and its form: channels and filters exchanged.

    Walk after walk, so that each reads its own taps one after another: `turns` are all of them, and where each walk's
    end. Groups of fewer channels than `least` are filled up with zeros.

    >>> copy, form = turned(np.arange(12.0).reshape(2, 2, 1, 3), 1, (np.array([0, 2, 1]), np.array([2, 3])))
    >>> copy.reshape(form)
    array([[ 0.,  2.,  6.,  8.,  1.,  7.],
           [ 3.,  5.,  9., 11.,  4., 10.]])
    """
    filters, channels, *size = weight.shape
    filters, rows = filters // groups, max(channels, least)
    sizes, form = (filters, channels, rows, math.prod(size)), (rows, filters * len(turns[0]))
    copy = empty((groups * math.prod(form),), weight.dtype)
    share(_turn, (ready(weight).ravel(), turns, sizes, copy), groups * rows, TURN * copy.size)
    return copy, form


def as_it_lies(weight, groups: int, least: int = FILTERS):
    """Return a layer's weight flat, and its form as `tiles.walk_tiles` takes it.

    Nothing is copied if each group has the `least` number of filters; else it is filled up with zeros.

    >>> as_it_lies(np.arange(8.0).reshape(4, 1, 1, 2), 1)
    (array([0., 1., 2., 3., 4., 5., 6., 7.]), (4, 2))
    >>> as_it_lies(np.arange(4.0).reshape(2, 1, 1, 2), 2)
    (array([0., 1., 0., 0., 0., 0., 0., 0., 2., 3., 0., 0., 0., 0., 0., 0.]), (4, 2))
    """
    filters, apart = len(weight) // groups, weight.size // len(weight)
    if filters < least:  # as channels of a single filter they keep their order
        return turned(weight.reshape(groups, filters, 1, apart), groups, one_walk(apart), least)
    return ready(weight).ravel(), (filters, apart)


@lru_cache(maxsize=256)
def one_walk(taps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the taps of a single walk, and where they end, as `turned` takes them.

    >>> one_walk(3)
    (array([0, 1, 2]), array([3]))
    """
    return np.arange(taps), np.array([taps])


def finite_sums(call: Call, arrays: tuple, weight) -> bool:
    """Let the threads walk; return whether all of `weight` is finite, as it is if each filter's first sum is.

    >>> call = forward_call((1, 1, 1, 3), (1, 1, 1, 2), np.dtype("d"), (1, 1), (0, 0), (1, 1), 1, False)
    >>> weight, target = np.array([[[[10.0, 1]]]]), np.empty(2)
    >>> weights = as_it_lies(weight, 1, call.filters)
    >>> arrays = np.array([1.0, 2, 3]), *weights, np.zeros(1), PLAIN, target, NO_WINNERS
    >>> finite_sums(call, arrays, weight), target
    (True, array([12., 23.]))
    """
    odd = flag(weight.dtype)
    share(call.kernel, (*arrays, odd, *call.where), *call.sharing)
    return bool(odd[0] == 0 or np.isfinite(weight).all())


@lru_cache(maxsize=256)
def prepared(input_shape, weight_shape, dtype, stride, padding, dilation, groups, end, keep=True):
    """Return what computes the sums of such a layer, and what becomes of them; None where tiles do not serve.

    It takes input, weight and bias, and returns the output and pooling's winners (none, unless `keep`); or
    None, for a weight that is not finite.

    >>> run = prepared((1, 1, 1, 3), (1, 1, 1, 2), np.dtype("d"), (1, 1), (0, 0), (1, 1), 1, PLAIN)
    >>> run(np.array([[[[1.0, 2, 3]]]]), np.array([[[[10.0, 1]]]]), None)[0]
    array([[[[12., 23.]]]])
    """
    call = forward_call(input_shape, weight_shape, dtype, stride, padding, dilation, groups, end == POOLED)
    if call is None:
        return None
    pooled, shape = end == POOLED, call.target_shape
    is_product = not pooled and serves(input_shape, weight_shape, stride, padding, groups)

    def run(input, weight, bias):
        bias = nothing(weight_shape[0], dtype) if bias is None else ready(bias)
        weights = as_it_lies(weight, groups, FILTERS if is_product else call.filters)
        if is_product:
            return multiply(input, weights, 1, bias, end == RELU, len(weight)), NO_WINNERS
        output = empty(shape, dtype)
        winners = empty(shape, np.uint8) if pooled and keep else NO_WINNERS
        arrays = ready(input).ravel(), *weights, bias, end, output.ravel(), winners.ravel()
        return (output, winners) if finite_sums(call, arrays, weight) else None

    return run


def conv2d(input, weight, bias, stride, padding, dilation, groups):
    """Return what `loops.conv2d` returns.

    >>> image, kernel = np.array([[[[1.0, 2, 3]]]]), np.array([[[[10.0, 1]]]])
    >>> conv2d(image, kernel, None, (1, 1), (0, 0), (1, 1), 1)
    array([[[[12., 23.]]]])
    """
    geometry = stride, padding, dilation, groups
    run = prepared(input.shape, weight.shape, input.dtype, *geometry, PLAIN)
    found = None if run is None else run(input, weight, bias)
    return jitted.conv2d(input, weight, bias, *geometry) if found is None else found[0]


def conv2d_grad_input(grad_output, weight, input_shape, stride, padding, dilation, groups):
    """Return what `loops.conv2d_grad_input` returns.

    >>> grad, kernel = np.array([[[[1.0, 2]]]]), np.array([[[[10.0, 1]]]])
    >>> conv2d_grad_input(grad, kernel, (1, 1, 1, 3), (1, 1), (0, 0), (1, 1), 1)
    array([[[[10., 21.,  2.]]]])
    """
    shapes = grad_output.shape, weight.shape, tuple(input_shape)
    call = backward_call(*shapes, weight.dtype, stride, padding, dilation, groups)
    if call is None:
        return jitted.conv2d_grad_input(grad_output, weight, input_shape, stride, padding, dilation, groups)
    is_product = serves(input_shape, weight.shape, stride, padding, groups)
    if call.turns:
        weights = turned(weight, groups, call.turns, FILTERS if is_product else call.filters)
    else:
        weights = ready(weight).ravel(), (weight.shape[1], math.prod(weight.shape[2:]))
    no_bias = nothing(input_shape[1], grad_output.dtype)
    if is_product:
        apart = 1 if call.turns else weight.shape[1]
        return multiply(grad_output, weights, apart, no_bias, False, input_shape[1])
    grad_input = (empty if call.covers else zeros)(input_shape, grad_output.dtype)
    ends = no_bias, PLAIN, grad_input.ravel(), NO_WINNERS
    if finite_sums(call, (ready(grad_output).ravel(), *weights, *ends), weight):
        return grad_input
    return jitted.conv2d_grad_input(grad_output, weight, input_shape, stride, padding, dilation, groups)
