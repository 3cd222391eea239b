"""How each layer is written in ONNX.

A function here takes the writer, the layer, the name and an example of its input and an example of its output. It
adds nodes, and returns the name of the last one's output.
"""

from __future__ import annotations

import numpy as np

from minicnn.interop.onnx import shapes
from minicnn.interop.onnx.shapes import refuse, shaped

MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def parameter(writer, layer, name: str) -> str:
    """Add a layer's parameter under the name that it has in `state_dict`."""
    return writer.constant(f"{layer.name}.{name}".lstrip("."), getattr(layer, name).data)


def a_channel(writer, layer, name: str, array) -> str:
    """Add a parameter that lies along axis 1 of an array; one number is for all channels."""
    name, count = parameter(writer, layer, name), getattr(layer, name).data.size
    return name if count == 1 or array.ndim == 2 else shaped(writer, name, (-1, *(1,) * (array.ndim - 2)))


def batched(writer, layer, array) -> None:
    """Raise ValueError unless images have a batch axis."""
    if array.ndim != 4:
        raise refuse(layer, f"an input of shape {array.shape}", "Pass a batch of images as example_input.")


def padded(writer, name: str, pads, mode: str, array, value: float = 0.0) -> str:
    """Add padding of height and width; `pads` is ((top, bottom), (left, right))."""
    (top, bottom), (left, right) = pads
    front = [0] * (array.ndim - 2)
    sizes = writer.constant("pads", np.array([*front, top, left, *front, bottom, right], np.int64))
    return writer.node(
        "Pad", [name, sizes, writer.constant("value", array.dtype.type(value))], mode=MODES[mode]
    )


def conv2d(writer, layer, name, array, output) -> str:
    batched(writer, layer, array)
    pads, padding = layer.pads()
    if pads is not None:
        name = padded(writer, name, pads, layer.padding_mode, array)
    inputs = [
        name,
        *(parameter(writer, layer, p) for p in ("weight", "bias") if getattr(layer, p) is not None),
    ]
    return writer.node(
        "Conv",
        inputs,
        pads=[*padding, *padding],
        strides=layer.stride,
        dilations=layer.dilation,
        group=layer.groups,
    )


def linear(writer, layer, name, array, output) -> str:
    if array.ndim == 2:
        inputs = [parameter(writer, layer, p) for p in ("weight", "bias") if getattr(layer, p) is not None]
        return writer.node("Gemm", [name, *inputs], transB=1)
    transposed = writer.constant(f"{layer.name}.weight.T".lstrip("."), layer.weight.data.T)
    product = writer.node("MatMul", [name, transposed])
    return product if layer.bias is None else writer.node("Add", [product, parameter(writer, layer, "bias")])


def pad2d(writer, layer, name, array, output) -> str:
    left, right, top, bottom = layer.padding
    return padded(writer, name, ((top, bottom), (left, right)), layer.mode, array, layer.value)


def pool_windows(layer) -> dict:
    """Return what both poolings say of their windows."""
    pads = [*layer.padding, *layer.padding]
    return {"kernel_shape": layer.kernel_size, "strides": layer.stride, "pads": pads}


def max_pool2d(writer, layer, name, array, output) -> str:
    batched(writer, layer, array)
    if layer.return_indices:
        raise refuse(layer, "return_indices=True", "Build it without.")
    return writer.node(
        "MaxPool",
        [name],
        **pool_windows(layer),
        dilations=layer.dilation,
        ceil_mode=int(layer.ceil_mode),
    )


def avg_pool2d(writer, layer, name, array, output) -> str:
    batched(writer, layer, array)
    if layer.ceil_mode or layer.divisor_override is not None:
        return averaged(writer, name, layer, array, output)
    return writer.node(
        "AveragePool",
        [name],
        **pool_windows(layer),
        count_include_pad=int(layer.count_include_pad),
    )


def averaged(writer, name: str, layer, array, output) -> str:
    """Add the sums of the windows, and a division by what each is to be divided by.

    Runtimes do not agree on windows that are cut off at the edge, so the zeros there are written out.
    """
    pads = []
    for axis in (0, 1):
        before, size = layer.padding[axis], array.shape[2 + axis]
        reach = (output.shape[2 + axis] - 1) * layer.stride[axis] + layer.kernel_size[axis]
        pads.append((before, max(0, reach - size - before)))
    channels = array.shape[1]
    ones = writer.constant("ones", np.ones((channels, 1, *layer.kernel_size), array.dtype))
    name = padded(writer, name, pads, "zeros", array)
    sums = writer.node("Conv", [name, ones], strides=layer.stride, group=channels)
    _, _, divisors = layer.windows_of(array)
    return writer.node("Div", [sums, writer.constant("divisors", divisors)])


def adaptive_avg_pool2d(writer, layer, name, array, output) -> str:
    batched(writer, layer, array)
    if output.shape[2:] == (1, 1):
        return writer.node("GlobalAveragePool", [name])
    shares = []
    for parts, pixels in zip(layer.windows_of(array)[:2], array.shape[2:], strict=True):
        share = np.zeros((len(parts), pixels), array.dtype)
        for row, (first, last) in zip(share, parts, strict=True):
            row[first:last] = 1 / (last - first)
        shares.append(share)
    rows = writer.node("MatMul", [writer.constant("rows", shares[0]), name])
    return writer.node("MatMul", [rows, writer.constant("columns", shares[1].T)])


def batch_norm(writer, layer, name, array, output) -> str:
    if not layer.track_running_stats:
        raise refuse(layer, "track_running_stats=False", "Build it with running statistics.")
    channels = np.ones(layer.num_features, array.dtype)
    if layer.affine:
        scale, shift = parameter(writer, layer, "weight"), parameter(writer, layer, "bias")
    else:
        scale, shift = writer.constant("ones", channels), writer.constant("zeros", 0 * channels)
    prefix = f"{layer.name}." if layer.name else ""
    mean = writer.constant(f"{prefix}running_mean", layer.running_mean)
    variance = writer.constant(f"{prefix}running_var", layer.running_var)
    return writer.node("BatchNormalization", [name, scale, shift, mean, variance], epsilon=layer.eps)


def group_norm(writer, layer, name, array, output) -> str:
    """Add instance norm of the groups: GroupNormalization takes a scale a channel only in later versions."""
    ones = np.ones(layer.num_groups, array.dtype)
    scale, shift = writer.constant("ones", ones), writer.constant("zeros", 0 * ones)
    groups = shaped(writer, name, (0, layer.num_groups, -1))
    name = writer.node("InstanceNormalization", [groups, scale, shift], epsilon=layer.eps)
    name = shaped(writer, name, (0, *array.shape[1:]))
    for operator, key in (("Mul", "weight"), ("Add", "bias")) if layer.affine else ():
        name = writer.node(operator, [name, a_channel(writer, layer, key, array)])
    return name


def silu(writer, layer, name, array, output) -> str:
    return writer.node("Mul", [name, writer.node("Sigmoid", [name])])


def bounded(low, high):
    """Return the function for a layer with two bounds: numbers, or names of its attributes."""

    def write(writer, layer, name, array, output) -> str:
        inputs = [name]
        for key, bound in (("min", low), ("max", high)):
            value = getattr(layer, bound) if isinstance(bound, str) else bound
            inputs.append(writer.constant(key, array.dtype.type(value)))
        return writer.node("Clip", inputs)

    return write


def hardsigmoid(writer, layer, name, array, output) -> str:
    return writer.node("HardSigmoid", [name], alpha=1 / 6, beta=0.5)


def prelu(writer, layer, name, array, output) -> str:
    return writer.node("PRelu", [name, a_channel(writer, layer, "weight", array)])


def affine(writer, layer, name, array, output) -> str:
    for operator, value in (("Mul", layer.factor), ("Add", layer.shift)):
        name = writer.node(operator, [name, writer.constant("constant", array.dtype.type(value))])
    return name


def mean(writer, layer, name, array, output) -> str:
    axes = writer.constant("axes", np.array(layer.dim, np.int64))
    return writer.node("ReduceMean", [name, axes], keepdims=int(layer.keepdim))


def largest(writer, layer, name, array, output) -> str:
    axes = writer.constant("axes", np.array(layer.dim, np.int64))
    return writer.node("ReduceMax", [name, axes], keepdims=int(layer.keepdim))


def unchanged(writer, layer, name, array, output) -> str:
    return name


def simple(operator: str, **attributes):
    """Return the function for a layer that is one operator; attributes name the layer's own attributes."""

    def write(writer, layer, name, array, output) -> str:
        values = {key: getattr(layer, attribute) for key, attribute in attributes.items()}
        return writer.node(operator, [name] if isinstance(name, str) else list(name), **values)

    return write


OPERATORS = {
    "AdaptiveAvgPool2d": adaptive_avg_pool2d,
    "Add": simple("Sum"),
    "Affine": affine,
    "AvgPool2d": avg_pool2d,
    "BatchNorm1d": batch_norm,
    "BatchNorm2d": batch_norm,
    "Clamp": bounded("low", "high"),
    "Concatenate": simple("Concat", axis="dim"),
    "Conv2d": conv2d,
    "Dropout": unchanged,
    "Dropout2d": unchanged,
    "ELU": simple("Elu", alpha="alpha"),
    "Flatten": shapes.flatten,
    "GELU": simple("Gelu", approximate="approximate"),
    "GroupNorm": group_norm,
    "Hardsigmoid": hardsigmoid,
    "Hardswish": simple("HardSwish"),
    "Hardtanh": bounded("min_val", "max_val"),
    "Identity": unchanged,
    "LeakyReLU": simple("LeakyRelu", alpha="negative_slope"),
    "Linear": linear,
    "LogSoftmax": simple("LogSoftmax", axis="dim"),
    "Max": largest,
    "MaxPool2d": max_pool2d,
    "Mean": mean,
    "Multiply": simple("Mul"),
    "PReLU": prelu,
    "Pad2d": pad2d,
    "Permute": shapes.permute,
    "ReLU": simple("Relu"),
    "ReLU6": bounded(0, 6),
    "Reshape": shapes.reshape,
    "SiLU": silu,
    "Sigmoid": simple("Sigmoid"),
    "Slice": shapes.sliced,
    "Softmax": simple("Softmax", axis="dim"),
    "Squeeze": shapes.squeeze,
    "Tanh": simple("Tanh"),
    "Unsqueeze": shapes.unsqueeze,
}
