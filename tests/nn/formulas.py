"""What padded convolution, average pooling and softmax are, written a second time: as plain as can be."""

from __future__ import annotations

import math

import numpy as np

from minicnn import nn
from minicnn.kernels import loops
from minicnn.kernels.geometry import pool_output_size


def batched(array: np.ndarray) -> np.ndarray:
    """Return one image as a batch of one."""
    return array if array.ndim == 4 else array[None]


def sources_of(layer: nn.Conv2d, size: tuple[int, int]) -> np.ndarray | None:
    """Return the pixel that every cell of the padded plane shows, -1 for none; None if it cannot be padded."""
    if isinstance(layer.padding, str):
        reach = [
            d * (k - 1) if layer.padding == "same" else 0
            for d, k in zip(layer.dilation, layer.kernel_size, strict=True)
        ]
        pads = [(r // 2, r - r // 2) for r in reach]
    else:
        pads = [(p, p) for p in layer.padding]
    most = [max(pair) for pair in pads]
    mode = layer.padding_mode
    fits = {
        "zeros": True,
        "reflect": all(p == 0 or p < cells for p, cells in zip(most, size, strict=True)),
        "replicate": all(p == 0 or cells for p, cells in zip(most, size, strict=True)),
        "circular": all(p <= cells for p, cells in zip(most, size, strict=True)),
    }[mode]
    if not fits:
        return None
    plane = np.arange(math.prod(size)).reshape(size)
    if mode == "zeros":
        return np.pad(plane, pads, constant_values=-1)
    return np.pad(plane, pads, {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode])


@np.errstate(all="ignore")
def conv2d_by_loops(layer: nn.Conv2d, input: np.ndarray, grad_output: np.ndarray | None = None):
    """Return the output, or the gradients of input, weight and bias; padding that is no mirror first."""
    images = batched(input)
    weight, bias = layer.weight.data, None if layer.bias is None else layer.bias.data
    sources = sources_of(layer, images.shape[2:])
    # Symmetric zeros are the loops' own padding: they meet no weight, while a cell padded here would.
    own = layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    padded, padding = images, layer.padding
    if not own:
        planes = images.reshape(*images.shape[:2], math.prod(images.shape[2:]))
        planes = np.concatenate([planes, np.zeros((*images.shape[:2], 1), images.dtype)], axis=2)
        padded, padding = planes[:, :, sources], (0, 0)  # (N, C, H + top + bottom, W + left + right)
    how = (layer.stride, padding, layer.dilation, layer.groups)
    if grad_output is None:
        return loops.conv2d(padded, weight, bias, *how)
    grads = batched(grad_output)
    grad_padded = loops.conv2d_grad_input(grads, weight, padded.shape, *how)
    grad_input = grad_padded
    if not own:
        flat = np.zeros((math.prod(images.shape[2:]) + 1, *images.shape[:2]), images.dtype)
        np.add.at(flat, sources, grad_padded.transpose(2, 3, 0, 1))  # the last one takes the zeros'
        grad_input = flat[:-1].transpose(1, 2, 0).reshape(images.shape)
    return (
        grad_input,
        loops.conv2d_grad_weight(grads, padded, weight.shape, *how),
        loops.conv2d_grad_bias(grads),
    )


@np.errstate(all="ignore")
def avg_pool2d_by_loops(layer: nn.AvgPool2d, shape, input=None, grad_output=None) -> np.ndarray:
    """Return the means of the windows, or the gradient of the input, window by window."""
    sizes = (shape[-2:], layer.kernel_size, layer.stride, layer.padding, (1, 1))
    cells = [pool_output_size(*along, layer.ceil_mode) for along in zip(*sizes, strict=True)]
    result = np.zeros((*shape[:-2], *cells) if grad_output is None else shape)
    for place in np.ndindex(*cells):
        pixels, with_padding = [], 1
        for o, size, kernel, stride, padding in zip(place, *sizes[:4], strict=True):
            start = o * stride - padding
            with_padding *= min(start + kernel, size + padding) - start
            pixels.append(slice(max(start, 0), max(0, min(start + kernel, size))))
        window = (..., *pixels)
        inside = math.prod(max(0, p.stop - p.start) for p in pixels)
        divisor = np.float64(with_padding if layer.count_include_pad else inside)
        divisor = np.float64(layer.divisor_override or divisor)
        if grad_output is None:
            result[(..., *place)] = input[window].sum(axis=(-2, -1), dtype=np.float64) / divisor
        else:
            result[window] += (grad_output[(..., *place)].astype(np.float64) / divisor)[..., None, None]
    return result


@np.errstate(all="ignore")
def softmax_by_formula(logits: np.ndarray, axis: int) -> np.ndarray:
    """Return ``exp(z - max z) / Σ exp(z - max z)`` in float64."""
    shifted = logits.astype(np.float64)
    shifted = shifted - shifted.max(axis=axis, keepdims=True, initial=-np.inf)
    return np.exp(shifted) / np.exp(shifted).sum(axis=axis, keepdims=True)
