"""What torch's functions and methods become: a function here has the name and signature of torch's.

Its first argument stands for the input, as a tensor without values: only its shape may be asked. Numbers that
come from the batch's size are of the class `BatchSize`. It returns a layer, `Scaled`, a list of layers where torch
gives several tensors, or None where the input passes as it is, and raises `Unsupported` with a reason where we have
no such operation.
"""

from __future__ import annotations

from dataclasses import dataclass

from minicnn import nn
from minicnn.interop.torch import shapes
from minicnn.interop.torch.shapes import need


@dataclass(frozen=True)
class Scaled:
    """A join, one of whose inputs is scaled before: a difference is a sum with -1 times the second.

    >>> Scaled(nn.Add(), nn.Affine(-1), 1).place
    1
    """

    join: nn.Module
    before: nn.Affine
    place: int  # which of the inputs


def is_tensor(value) -> bool:
    """Say whether an argument is a tensor and not a constant.

    >>> is_tensor(2.0)
    False
    """
    return hasattr(value, "shape")


def softmax_axis(axes: int) -> int:
    """Return the axis that torch takes when none is given, for an input with so many axes.

    Source: ``torch/nn/functional.py``, _get_softmax_dim.

    >>> softmax_axis(2), softmax_axis(3)
    (1, 0)
    """
    return 0 if axes in (0, 1, 3) else 1


# Activations


def relu(input, inplace=False):
    return nn.ReLU()


def leaky_relu(input, negative_slope=0.01, inplace=False):
    return nn.LeakyReLU(negative_slope)


def elu(input, alpha=1.0, inplace=False):
    return nn.ELU(alpha)


def gelu(input, approximate="none"):
    return nn.GELU(approximate)


def silu(input, inplace=False):
    return nn.SiLU()


def relu6(input, inplace=False):
    return nn.ReLU6()


def hardsigmoid(input, inplace=False):
    return nn.Hardsigmoid()


def hardswish(input, inplace=False):
    return nn.Hardswish()


def hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False):
    return nn.Hardtanh(min_val, max_val)


def clamp(input, min=None, max=None):
    need(not is_tensor(min) and not is_tensor(max), "bounds that are tensors")
    return nn.Clamp(min, max)


def clamp_min(input, min):
    return clamp(input, min)


def clamp_max(input, max):
    return clamp(input, max=max)


def sigmoid(input):
    return nn.Sigmoid()


def tanh(input):
    return nn.Tanh()


def softmax(input, dim=None, _stacklevel=3, dtype=None):
    need(dtype is None or dtype == input.dtype, "another dtype")
    return nn.Softmax(softmax_axis(len(input.shape)) if dim is None else dim)


def log_softmax(input, dim=None, _stacklevel=3, dtype=None):
    need(dtype is None or dtype == input.dtype, "another dtype")
    return nn.LogSoftmax(softmax_axis(len(input.shape)) if dim is None else dim)


def dropout(input, p=0.5, training=True, inplace=False):
    return nn.Dropout(p).train(training)


def dropout2d(input, p=0.5, training=True, inplace=False):
    return nn.Dropout2d(p).train(training)


# Norms


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5, cudnn_enabled=True):
    need(weight is None and bias is None, "weight or bias, which only a layer has")
    return nn.GroupNorm(num_groups, input.shape[1], eps, affine=False)


def instance_norm(
    input,
    running_mean=None,
    running_var=None,
    weight=None,
    bias=None,
    use_input_stats=True,
    momentum=0.1,
    eps=1e-5,
    cudnn_enabled=True,
):
    need(running_mean is None and running_var is None, "running statistics")
    need(len(input.shape) == 4, f"an input of shape {tuple(input.shape)}")
    return group_norm(input, input.shape[1], weight, bias, eps)


# Pooling and padding


def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    need(not return_indices, "return_indices=True")
    return nn.MaxPool2d(kernel_size, stride or None, padding, dilation, ceil_mode=ceil_mode)


def avg_pool2d(
    input,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
):
    return nn.AvgPool2d(kernel_size, stride or None, padding, ceil_mode, count_include_pad, divisor_override)


def adaptive_avg_pool2d(input, output_size):
    return nn.AdaptiveAvgPool2d(output_size)


def pad(input, pad, mode="constant", value=None):
    need(len(pad) in (2, 4) and min(pad) >= 0, "other axes than height and width, or less than 0 cells")
    sides = (*pad, 0, 0)[:4]
    return nn.Pad2d(sides, "zeros" if mode == "constant" else mode, value or 0.0)


# Means and maxima


def mean(input, dim=None, keepdim=False, dtype=None):
    need(dtype is None or dtype == input.dtype, "another dtype")
    return nn.Mean(tuple(range(len(input.shape))) if dim is None else dim, keepdim)


def amax(input, dim=(), keepdim=False):
    axes = dim if isinstance(dim, tuple | list) and len(dim) else tuple(range(len(input.shape)))
    return nn.Max(dim if isinstance(dim, int) else axes, keepdim, "shared")


def largest(input, dim=None, keepdim=False):
    need(isinstance(dim, int), "anything but one axis")
    layer = nn.Max(dim, keepdim)
    return {0: layer, "values": layer}


def adaptive_max_pool2d(input, output_size, return_indices=False):
    need(not return_indices, "return_indices=True")
    pair = output_size if isinstance(output_size, tuple | list) else (output_size, output_size)
    sizes = tuple(input.shape)[-2:]
    wanted = [size if one is None else one for one, size in zip(pair, sizes, strict=True)]
    if tuple(wanted) == (1, 1):
        return nn.Max((-2, -1), keepdim=True)
    fits = all(size % one == 0 for one, size in zip(wanted, sizes, strict=True))
    need(fits, f"parts of unequal size, {wanted[0]}x{wanted[1]} of {sizes[0]}x{sizes[1]}")
    return nn.MaxPool2d(tuple(size // one for one, size in zip(wanted, sizes, strict=True)))


def unchanged(input, *arguments, **named):
    return None


# Arithmetic


def add(input, other, alpha=1, scaled=1):
    if is_tensor(input) and is_tensor(other):
        need(input.shape == other.shape, f"shapes {tuple(input.shape)} and {tuple(other.shape)}")
        return nn.Add() if alpha == 1 else Scaled(nn.Add(), nn.Affine(alpha), scaled)
    constant = other if is_tensor(input) else input
    return nn.Affine(1, constant * alpha)


def sub(input, other, alpha=1):
    if is_tensor(input):
        return add(input, other, -alpha)
    return nn.Affine(-alpha, input)


def rsub(input, other, alpha=1):
    if is_tensor(other):
        return add(input, other, -alpha, scaled=0)
    return sub(other, input, alpha)


def mul(input, other):
    if is_tensor(input) and is_tensor(other):  # that they go together, torch has seen
        shapes = tuple(input.shape), tuple(other.shape)
        need(len(shapes[0]) == len(shapes[1]), f"shapes {shapes[0]} and {shapes[1]}")
        return nn.Multiply()
    return nn.Affine(other if is_tensor(input) else input)


def div(input, other, rounding_mode=None):
    need(is_tensor(input) and not is_tensor(other) and other != 0, "no constant below the line")
    need(rounding_mode is None, f"rounding_mode={rounding_mode!r}")
    return nn.Affine(1 / other)


def neg(input):
    return nn.Affine(-1)


def cat(tensors, dim=0):
    return nn.Concatenate(dim)


KNOWN = {
    **{function.__name__: function for function in (relu, leaky_relu, elu, gelu, silu, sigmoid, tanh)},
    **{function.__name__: function for function in (group_norm, instance_norm)},
    **{function.__name__: function for function in (relu6, hardsigmoid, hardswish, hardtanh)},
    **{function.__name__: function for function in (clamp, clamp_min, clamp_max)},
    **{function.__name__: function for function in (softmax, log_softmax, dropout, dropout2d)},
    **{function.__name__: function for function in (max_pool2d, avg_pool2d, pad)},
    **{function.__name__: function for function in (adaptive_avg_pool2d, adaptive_max_pool2d)},
    **{function.__name__: function for function in (mean, amax, add, sub, rsub, mul, div, neg, cat)},
    **{name: getattr(shapes, name) for name in ("flatten", "reshape", "squeeze", "unsqueeze", "transpose")},
    **{name: getattr(shapes, name) for name in ("getitem", "split", "chunk", "expand", "permute")},
    "view": shapes.reshape,
    "expand_as": shapes.expand,
    **dict.fromkeys(("swapaxes", "swapdims"), shapes.transpose),
    "clip": clamp,
    "max": largest,
    "iadd": add,
    **dict.fromkeys(("isub", "subtract"), sub),
    **dict.fromkeys(("imul", "multiply"), mul),
    **dict.fromkeys(("truediv", "itruediv", "divide", "true_divide"), div),
    **dict.fromkeys(("concat", "concatenate"), cat),
    **dict.fromkeys(("contiguous", "clone", "float", "double", "to"), unchanged),
}
# Layers of torch that are such a function of their own attributes.
LAYERS = {"AdaptiveMaxPool2d": adaptive_max_pool2d}
