"""The gradients of a convolution's weight and bias on the fast rung, shared among the threads.

Where channels are many, `fast_positions` gathers them, else `gathering.gather`. Both need the gradient of every sum,
plane by plane, and have it in their hands, so they add up the planes for the bias as well. What stands behind the
convolution gives it to the sums first:

    nothing             gradients 1 2 3 4
    ReLU                gradients 1 2 3 4, outputs 5 0 6 7      1 0 3 4
    ReLU and pooling    gradient 1, winner 2                    0 0 1 0

If nobody else needs that, as in a net's first layer, `gather` makes it one plane at a time, in the cache, and it is
gone again: a quarter as many numbers come from memory, and none go there.
"""

from __future__ import annotations

import math

import numpy as np

from minicnn.kernels import fast_relu, jitted
from minicnn.kernels.board import handed_out
from minicnn.kernels.calls import GatherCall, gather_call
from minicnn.kernels.compiling import compiled
from minicnn.kernels.fast_conv import NO_WINNERS
from minicnn.kernels.fast_positions import gather_by_position, positions_call
from minicnn.kernels.memory import empty, flag
from minicnn.kernels.planes import ready
from minicnn.kernels.rows import is_finite, total_of
from minicnn.kernels.threads import FETCH, share
from minicnn.kernels.vector import add, lanes_in, load, read, store, write


@compiled
def _add_parts(parts, sums, odd, board, start, stop):
    """Fill sums[start:stop] with the sums of all parts, where `sums` may be the only one; raise the flag at NaN or inf.

    For a few thousand numbers NumPy takes five times as long.
    """
    if handed_out(board, start, stop):
        return
    lanes, size, i = lanes_in(parts), len(sums), start
    while i + lanes <= stop:
        v, at = load(parts, i), i + size
        while at < len(parts):
            v, at = add(v, load(parts, at)), at + size
        store(sums, i, v)
        i += lanes
    while i < stop:
        number, at = read(parts, i), i + size
        while at < len(parts):
            number, at = number + read(parts, at), at + size
        write(sums, i, number)
        i += 1
    if not is_finite(sums, start, stop, lanes):
        odd[0] = 1


@compiled
def _add_rows(rows, grad_bias, board, start, stop):
    """Fill grad_bias[start:stop], of (C_out,), with the sums of flat rows (N, C_out) in float64, one after another."""
    if handed_out(board, start, stop):
        return
    filters, totals = len(grad_bias), np.zeros(stop - start)
    for f in range(start, stop if len(rows) > 0 else start):
        write(totals, f - start, np.float64(read(rows, f)))
    for begin in range(filters, len(rows), filters):
        for f in range(start, stop):
            write(totals, f - start, read(totals, f - start) + read(rows, begin + f))
    for f in range(start, stop):
        grad_bias[f] = read(totals, f - start)


def sums_of(parts, size: int):
    """Return the sum of so many parts as lie end to end, `size` numbers each; None if one is NaN or infinite.

    >>> sums_of(np.array([1.0, 2, 10, 20]), 2)
    array([11., 22.])
    """
    sums, odd = parts if len(parts) == size else empty((size,), parts.dtype), flag(parts.dtype)
    share(_add_parts, (parts, sums, odd), size, FETCH * len(parts))
    return sums if odd[0] == 0 else None


def _gathered(call: GatherCall, grad_output, kept, input, weight_shape, bias: bool):
    """Return the gradients of weight and bias; None if the weight's is not finite."""
    dtype, size = input.dtype, math.prod(weight_shape)
    output, winners = np.empty(0, dtype), NO_WINNERS
    if kept is not None and kept.dtype == np.uint8:
        winners = ready(kept).ravel()
    elif kept is not None:
        output = ready(kept).ravel()
    filters = weight_shape[0] if bias else 0
    totals, parts = empty((len(input) * filters,), np.float64), empty((call.parts * size,), dtype)
    grads, input = ready(grad_output).ravel(), ready(input).ravel()
    if call.kernel is gather_by_position:
        odd = flag(dtype)
        share(call.kernel, (grads, input, parts, totals, odd, *call.where), *call.sharing)
        grad_weight = parts if call.parts == 1 and odd[0] == 0 else sums_of(parts, size)
    else:
        share(call.kernel, (grads, output, winners, input, parts, totals, *call.where), *call.sharing)
        grad_weight = sums_of(parts, size)
    return None if grad_weight is None else (grad_weight.reshape(weight_shape), added(totals, filters, dtype))


def added(rows, filters: int, dtype):
    """Return the sums (C_out,) of flat rows (N, C_out), which may be of another dtype.

    >>> added(np.array([1.0, 2, 10, 20]), 2, np.dtype(np.float32))
    array([11., 22.], dtype=float32)
    """
    grad_bias = empty((filters,), dtype)
    share(_add_rows, (rows, grad_bias), filters, FETCH * len(rows))
    return grad_bias


def conv2d_grad_sums(grad_output, kept, sums_shape):
    """Return the gradient of the convolution's output.

    Parameters
    ----------
    grad_output : ndarray
        (N, C_out, ...), of what `fast_relu.prepared_conv2d` returned.
    kept : ndarray or None
        None if that was the convolution's output; ReLU's output; or pooling's winners.
    sums_shape : tuple of int
        Of the convolution's output.

    Examples
    --------
    >>> conv2d_grad_sums(np.array([[[[7.0]]]]), np.uint8([[[[2]]]]), (1, 1, 2, 2)).tolist()
    [[[[0.0, 0.0], [7.0, 0.0]]]]
    """
    if kept is None:
        return grad_output
    if kept.dtype == np.uint8:
        return fast_relu.relu_max_pool2d_backward(grad_output, kept, sums_shape)
    return fast_relu.relu_backward(grad_output, kept)


def conv2d_grad_parameters(
    grad_output, kept, sums_shape, input, weight_shape, stride, padding, dilation, groups, bias=True
):
    """Return the gradients of weight and bias, the latter empty unless `bias`; see `conv2d_grad_sums`.

    >>> image, geometry = np.array([[[[1.0, 2, 3]]]]), ((1, 1), (0, 0), (1, 1), 1)
    >>> grad, output = np.array([[[[10.0, 20]]]]), np.array([[[[4.0, 0]]]])
    >>> conv2d_grad_parameters(grad, output, (1, 1, 1, 2), image, (1, 1, 1, 2), *geometry)  # 10·1, 10·2
    (array([[[[10., 20.]]]]), array([10.]))
    """
    geometry = stride, padding, dilation, groups
    layer = tuple(sums_shape), input.shape, tuple(weight_shape), input.dtype, *geometry
    call = positions_call(*layer) or gather_call(*layer)
    if call is not None and call.kernel is gather_by_position:
        grad_output, kept = conv2d_grad_sums(grad_output, kept, sums_shape), None
    if call is not None:
        found = _gathered(call, grad_output, kept, input, weight_shape, bias)
        if found is not None:
            return found
    grad_sums = conv2d_grad_sums(grad_output, kept, sums_shape)
    grad_weight = jitted.conv2d_grad_weight(grad_sums, input, weight_shape, *geometry)
    return grad_weight, conv2d_grad_bias(grad_sums) if bias else np.empty(0, input.dtype)


def conv2d_grad_weight(grad_output, input, weight_shape, stride, padding, dilation, groups):
    """Return what `loops.conv2d_grad_weight` returns.

    >>> grad, image = np.array([[[[1.0, 2]]]]), np.array([[[[1.0, 2, 3]]]])
    >>> conv2d_grad_weight(grad, image, (1, 1, 1, 2), (1, 1), (0, 0), (1, 1), 1)
    array([[[[5., 8.]]]])
    """
    arrays = grad_output, None, grad_output.shape, input
    return conv2d_grad_parameters(*arrays, weight_shape, stride, padding, dilation, groups, bias=False)[0]


@compiled
def _add_planes(grad_output, size, totals, board, start, stop):
    """Fill totals[start:stop] with the sums of planes of `size` numbers."""
    if handed_out(board, start, stop):
        return
    for p in range(start, stop):
        write(totals, p, total_of(grad_output, p * size, size))


def conv2d_grad_bias(grad_output):
    """Return what `loops.conv2d_grad_bias` returns; summed in float64.

    >>> conv2d_grad_bias(np.array([[[[1.0, 2]]], [[[3.0, 4]]]]))
    array([10.])
    >>> conv2d_grad_bias(np.array([[1.0, 2], [3.0, 4]]))                # of a linear layer
    array([4., 6.])
    """
    images, filters, *size = grad_output.shape
    flat = ready(grad_output).ravel()
    if not size:
        return added(flat, filters, grad_output.dtype)
    totals = empty((images * filters,), np.float64)
    share(_add_planes, (flat, math.prod(size), totals), images * filters, FETCH * grad_output.size)
    return added(totals, filters, grad_output.dtype)
