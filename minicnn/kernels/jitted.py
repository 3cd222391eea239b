"""The loops compiled by Numba, in the order that a CPU likes: sums of long shifted rows.

`planes` lays the padded input out so that channel c, row k and column m of all windows at once, one *term*
of the sum, is one long row from some offset on. Then everything is the same walk over terms:

    output row  = bias + Σ_terms weight[term] · (planes from offset[term] on)
    planes from offset[term] on  +=  Σ_filters weight[filter, term] · (grad_output row of the filter)
    grad_weight[filter, term]  =  Σ (grad_output row of the filter) · (planes from offset[term] on)

The innermost loops run along these rows, so the compiler works on 8 cells at once (AVX2, float32), and
on four terms at a time, so that a sum is loaded and stored once for four products.

The flags let the compiler reorder a sum and fuse a product into it, but not assume that numbers are
finite. Padding is a zero that is multiplied here, though it should add nothing, and 0·inf is NaN; so
where a factor is not finite, `_by_definition` computes instead, which is `loops` word for word.
"""

from __future__ import annotations

import numpy as np

from minicnn.kernels.compiling import compiled
from minicnn.kernels.geometry import conv_output_sizes
from minicnn.kernels.loops import silent
from minicnn.kernels.planes import by_group, fold, layout, ready, spread, widen
from minicnn.kernels.pooling import max_pool2d, max_pool2d_backward
from minicnn.kernels.products import linear, linear_grad_input, linear_grad_weight

__all__ = [
    "conv2d",
    "conv2d_grad_bias",
    "conv2d_grad_input",
    "conv2d_grad_weight",
    "linear",
    "linear_grad_input",
    "linear_grad_weight",
    "max_pool2d",
    "max_pool2d_backward",
]

FLAGS = {"contract", "reassoc", "nsz", "arcp"}
OUTPUT, INPUT, WEIGHT = 0, 1, 2  # which array `_by_definition` is to fill


@compiled(fastmath=FLAGS)
def _conv2d(planes, weight, bias, offsets, width, output):
    """Fill output (N, C_out, H_out, W_out) from planes (N, groups, cells) and weight (C_out, terms)."""
    _, C_out, H_out, W_out = output.shape
    length, terms = (H_out - 1) * width + W_out, len(offsets)
    sums = np.empty(length, planes.dtype)
    for n in range(len(planes)):
        for o in range(C_out):
            cells = planes[n, o // (C_out // planes.shape[1])]
            for x in range(length):  # a loop compiles in a third of the time of sums[:] = bias[o]
                sums[x] = bias[o]
            for t in range(0, terms - 3, 4):
                a = cells[offsets[t] : offsets[t] + length]
                b = cells[offsets[t + 1] : offsets[t + 1] + length]
                c = cells[offsets[t + 2] : offsets[t + 2] + length]
                d = cells[offsets[t + 3] : offsets[t + 3] + length]
                wa, wb, wc, wd = weight[o, t], weight[o, t + 1], weight[o, t + 2], weight[o, t + 3]
                for x in range(length):
                    sums[x] += wa * a[x] + wb * b[x] + wc * c[x] + wd * d[x]
            for t in range(terms - terms % 4, terms):
                a, wa = cells[offsets[t] : offsets[t] + length], weight[o, t]
                for x in range(length):
                    sums[x] += wa * a[x]
            for y in range(H_out):
                for x in range(W_out):
                    output[n, o, y, x] = sums[y * width + x]


@compiled(fastmath=FLAGS)
def _conv2d_grad_input(grads, weight, offsets, length, planes):
    """Add to planes (N, groups, cells) what grads (N, C_out, rows end to end) send back through weight."""
    filters = len(weight) // planes.shape[1]
    for n in range(len(planes)):
        for g in range(planes.shape[1]):
            first, last = g * filters, (g + 1) * filters
            for t in range(len(offsets)):
                sums = planes[n, g, offsets[t] : offsets[t] + length]
                for o in range(first, last - 3, 4):
                    a, b, c, d = grads[n, o], grads[n, o + 1], grads[n, o + 2], grads[n, o + 3]
                    wa, wb, wc, wd = weight[o, t], weight[o + 1, t], weight[o + 2, t], weight[o + 3, t]
                    for x in range(length):
                        sums[x] += wa * a[x] + wb * b[x] + wc * c[x] + wd * d[x]
                for o in range(last - filters % 4, last):
                    a, wa = grads[n, o], weight[o, t]
                    for x in range(length):
                        sums[x] += wa * a[x]


@compiled(fastmath=FLAGS)
def _conv2d_grad_weight(grads, planes, offsets, length, sums):
    """Add to sums (C_out, terms; float64) the products of grads and planes, image by image."""
    C_out, terms = sums.shape
    zero = planes.dtype.type(0)
    for n in range(len(planes)):
        for o in range(C_out):
            grad, cells = grads[n, o], planes[n, o // (C_out // planes.shape[1])]
            for t in range(0, terms - 3, 4):
                a = cells[offsets[t] : offsets[t] + length]
                b = cells[offsets[t + 1] : offsets[t + 1] + length]
                c = cells[offsets[t + 2] : offsets[t + 2] + length]
                d = cells[offsets[t + 3] : offsets[t + 3] + length]
                sum_a = sum_b = sum_c = sum_d = zero
                for x in range(length):
                    sum_a += grad[x] * a[x]
                    sum_b += grad[x] * b[x]
                    sum_c += grad[x] * c[x]
                    sum_d += grad[x] * d[x]
                sums[o, t] += sum_a
                sums[o, t + 1] += sum_b
                sums[o, t + 2] += sum_c
                sums[o, t + 3] += sum_d
            for t in range(terms - terms % 4, terms):
                a, sum_a = cells[offsets[t] : offsets[t] + length], zero
                for x in range(length):
                    sum_a += grad[x] * a[x]
                sums[o, t] += sum_a


@compiled
def _by_definition(wanted, output, input, weight, stride, padding, dilation, groups):
    """Add to the wanted one of three float64 arrays the products of the other two, as `loops` does."""
    N, C_out, H_out, W_out = output.shape
    _, _, H, W = input.shape
    _, channels, K_h, K_w = weight.shape
    for n in range(N):
        for o in range(C_out):
            first = o // (C_out // groups) * channels
            for y in range(H_out):
                for x in range(W_out):
                    for c in range(channels):
                        for k in range(K_h):
                            i = y * stride[0] + k * dilation[0] - padding[0]
                            for m in range(K_w):
                                j = x * stride[1] + m * dilation[1] - padding[1]
                                if i < 0 or i >= H or j < 0 or j >= W:
                                    continue
                                if wanted == OUTPUT:
                                    output[n, o, y, x] += input[n, first + c, i, j] * weight[o, c, k, m]
                                elif wanted == INPUT:
                                    input[n, first + c, i, j] += output[n, o, y, x] * weight[o, c, k, m]
                                else:
                                    weight[o, c, k, m] += output[n, o, y, x] * input[n, first + c, i, j]


def shifts(input_shape, weight_shape, output_size, stride, padding, dilation):
    """Return how `planes` lays the input out, and the offset of every term.

    None where the planes would hold more cells than the input and all windows together: a huge stride or
    dilation, with padding to match.

    >>> place, offsets = shifts((1, 2, 4, 4), (1, 2, 1, 2), (4, 3), (1, 1), (0, 0), (1, 1))
    >>> offsets                                         # two taps of channel 0, two of channel 1
    array([ 0,  1, 16, 17])
    """
    phases, size, taps = layout(weight_shape[2:], output_size, stride, dilation)
    cells = len(phases[0]) * len(phases[1]) * size[0] * size[1]
    if cells > input_shape[2] * input_shape[3] + len(taps) * output_size[0] * output_size[1]:
        return None
    offsets = (np.arange(weight_shape[1])[:, None] * cells + taps).ravel()  # (terms,)
    return (phases, size, stride, padding), offsets


def by_definition(wanted, output, input, weight, *geometry):
    """Return the wanted array, to which the products of the other two are added in float64.

    >>> image, kernel = np.array([[[[1.0, np.inf]]]]), np.array([[[[2.0]]]])
    >>> by_definition(OUTPUT, np.zeros((1, 1, 1, 2)), image, kernel, (1, 1), (0, 0), (1, 1), 1)
    array([[[[ 2., inf]]]])
    """
    arrays = [array.astype(np.float64, order="C", subok=False) for array in (output, input, weight)]
    _by_definition(wanted, *arrays, *geometry)
    return arrays[wanted].astype(output.dtype)


@silent
def conv2d(input, weight, bias, stride, padding, dilation, groups):
    """Return what `loops.conv2d` returns.

    >>> image, kernel = np.array([[[[1.0, 2, 3]]]]), np.array([[[[10.0, 1]]]])
    >>> conv2d(image, kernel, None, (1, 1), (0, 0), (1, 1), 1)
    array([[[[12., 23.]]]])
    """
    size = conv_output_sizes(input.shape[2:], weight.shape[2:], stride, padding, dilation)
    output = np.empty((len(input), len(weight), *size), input.dtype)
    bias = np.zeros(len(weight), input.dtype) if bias is None else ready(bias)
    found = shifts(input.shape, weight.shape, size, stride, padding, dilation)
    if found is None or not np.isfinite(weight).all():
        output[...] = bias[:, None, None]
        return by_definition(OUTPUT, output, input, weight, stride, padding, dilation, groups)
    place, offsets = found
    planes = spread(input, *place)  # (N, C_in, phases, phases, height, width)
    terms = ready(weight).reshape(len(weight), len(offsets))
    _conv2d(by_group(planes, groups), terms, bias, offsets, planes.shape[-1], output)
    return output


@silent
def conv2d_grad_input(grad_output, weight, input_shape, stride, padding, dilation, groups):
    """Return what `loops.conv2d_grad_input` returns.

    >>> grad, kernel = np.array([[[[1.0, 2]]]]), np.array([[[[10.0, 1]]]])
    >>> conv2d_grad_input(grad, kernel, (1, 1, 1, 3), (1, 1), (0, 0), (1, 1), 1)
    array([[[[10., 21.,  2.]]]])
    """
    grad_input = np.zeros(input_shape, grad_output.dtype)
    found = shifts(input_shape, weight.shape, grad_output.shape[2:], stride, padding, dilation)
    if found is None or not np.isfinite(weight).all():
        return by_definition(INPUT, grad_output, grad_input, weight, stride, padding, dilation, groups)
    place, offsets = found
    planes = spread(grad_input, *place)  # zeros, (N, C_in, phases, phases, height, width)
    grads, length = widen(grad_output, planes.shape[-1])
    terms = ready(weight).reshape(len(weight), len(offsets))
    _conv2d_grad_input(grads, terms, offsets, length, by_group(planes, groups))
    return fold(planes, input_shape[2:], *place)


@silent
def conv2d_grad_weight(grad_output, input, weight_shape, stride, padding, dilation, groups):
    """Return what `loops.conv2d_grad_weight` returns.

    >>> grad, image = np.array([[[[1.0, 2]]]]), np.array([[[[1.0, 2, 3]]]])
    >>> conv2d_grad_weight(grad, image, (1, 1, 1, 2), (1, 1), (0, 0), (1, 1), 1)
    array([[[[5., 8.]]]])
    """
    found = shifts(input.shape, weight_shape, grad_output.shape[2:], stride, padding, dilation)
    finite = np.isfinite(grad_output.sum()) and np.isfinite(input.sum())  # cheaper than all of isfinite
    if found is None or not finite:
        grad_weight = np.zeros(weight_shape, input.dtype)
        return by_definition(WEIGHT, grad_output, input, grad_weight, stride, padding, dilation, groups)
    place, offsets = found
    planes = spread(input, *place)  # (N, C_in, phases, phases, height, width)
    grads, length = widen(grad_output, planes.shape[-1])
    sums = np.zeros((weight_shape[0], len(offsets)))
    _conv2d_grad_weight(grads, by_group(planes, groups), offsets, length, sums)
    return sums.reshape(weight_shape).astype(input.dtype)  # (C_out, C_in / groups, K_h, K_w)


@silent
def conv2d_grad_bias(grad_output):
    """Return what `loops.conv2d_grad_bias` returns; summed in float64.

    >>> conv2d_grad_bias(np.array([[[[1.0, 2]]], [[[3.0, 4]]]]))
    array([10.])
    """
    others = 0, *range(2, grad_output.ndim)
    return grad_output.sum(axis=others, dtype=np.float64).astype(grad_output.dtype)  # (C_out,)
