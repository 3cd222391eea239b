"""Layers that both libraries have: which arguments they share, and how one becomes the other."""

from __future__ import annotations

import math

import numpy as np

from minicnn import nn
from minicnn.interop.torch.operations import softmax_axis
from minicnn.interop.torch.shapes import need

# Layers whose torch namesake takes the attributes named here, under the same names.
ARGUMENTS = {
    "Conv2d": [
        *("in_channels", "out_channels", "kernel_size", "stride", "padding"),
        *("dilation", "groups", "bias", "padding_mode"),
    ],
    "MaxPool2d": ["kernel_size", "stride", "padding", "dilation", "return_indices", "ceil_mode"],
    "AvgPool2d": ["kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override"],
    "AdaptiveAvgPool2d": ["output_size"],
    "Linear": ["in_features", "out_features", "bias"],
    "Flatten": ["start_dim", "end_dim"],
    "ReLU": [],
    "LeakyReLU": ["negative_slope"],
    "ELU": ["alpha"],
    "GELU": ["approximate"],
    "SiLU": [],
    "ReLU6": [],
    "Hardsigmoid": [],
    "Hardswish": [],
    "Hardtanh": ["min_val", "max_val"],
    "PReLU": ["num_parameters", "init"],
    "Sigmoid": [],
    "Tanh": [],
    "Softmax": ["dim"],
    "LogSoftmax": ["dim"],
    "BatchNorm1d": ["num_features", "eps", "momentum", "affine", "track_running_stats"],
    "BatchNorm2d": ["num_features", "eps", "momentum", "affine", "track_running_stats"],
    "GroupNorm": ["num_groups", "num_channels", "eps", "affine"],
    "Dropout": ["p"],
    "Dropout2d": ["p"],
    "Identity": [],
}
PADDING = {
    "ZeroPad2d": "zeros",
    "ConstantPad2d": "zeros",
    "ReflectionPad2d": "reflect",
    "ReplicationPad2d": "replicate",
    "CircularPad2d": "circular",
}
# A group norm with a group for every channel, unless it keeps running statistics.
INSTANCE_NORM = "InstanceNorm2d"


def arguments_of(module, kind: str) -> dict:
    """Return the arguments with which `module`, ours or torch's, could be built again.

    >>> arguments_of(nn.Linear(2, 1), "Linear")
    {'in_features': 2, 'out_features': 1, 'bias': True}
    """
    arguments = {name: getattr(module, name) for name in ARGUMENTS[kind]}
    if "bias" in arguments:
        arguments["bias"] = module.bias is not None
    return arguments


def is_known(module, torch) -> bool:
    """Say whether a torch module is a layer that we have too."""
    kind = type(module).__name__
    if kind == INSTANCE_NORM:
        return type(module) is torch.nn.InstanceNorm2d and not module.track_running_stats
    return (kind in ARGUMENTS or kind in PADDING) and type(module) is getattr(torch.nn, kind)


def check_arguments(module, shape: tuple[int, ...]) -> None:
    """Raise Unsupported for a layer of torch's with arguments, or an input, that ours has not."""
    kind = type(module).__name__
    if kind == INSTANCE_NORM:
        need(not module.track_running_stats, "track_running_stats=True")
        need(len(shape) == 4, f"an input of shape {shape}, without the axis of images,")
    if kind in (INSTANCE_NORM, "GroupNorm", "BatchNorm1d", "BatchNorm2d"):
        need(module.weight is None or module.bias is not None, "bias=False")
    if kind == "Hardtanh":
        need(math.isfinite(module.min_val) and math.isfinite(module.max_val), "a bound that is not finite")


def layer_of(module, shape: tuple[int, ...], shared: dict) -> nn.Module:
    """Return our layer with the arguments, values and mode of a torch layer.

    Parameters
    ----------
    module : torch.nn.Module
        For which `is_known` holds.
    shape : tuple of int
        Of its input: a softmax without an axis chooses it by the number of axes.
    shared : dict
        From torch's tensors to our parameters and buffers. What one tensor was stays one.

    Raises
    ------
    TypeError
        If a parameter is neither float32 nor float64.
    """
    kind = type(module).__name__
    if kind in PADDING:
        layer = nn.Pad2d(module.padding, PADDING[kind], getattr(module, "value", 0.0))
    elif kind == INSTANCE_NORM:
        layer = nn.GroupNorm(module.num_features, module.num_features, module.eps, module.affine)
    else:
        arguments = arguments_of(module, kind)
        if "dim" in arguments and arguments["dim"] is None:
            arguments["dim"] = softmax_axis(len(shape))
        layer = getattr(nn, kind)(**arguments)
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor not in shared:
            array = np.array(as_array(tensor, f'{kind}: "{name}"'))
            shared[tensor] = nn.Parameter(array) if isinstance(getattr(layer, name), nn.Parameter) else array
        setattr(layer, name, shared[tensor])
    layer.training = module.training
    return layer


def as_array(tensor, what: str, who: str = "from_torch") -> np.ndarray:
    """Return a tensor's numbers; they may share its memory.

    Raises
    ------
    TypeError
        If NumPy has no such dtype, or the layers have not.
    """
    names = ("float32", "float64", "int64")
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype not in names:
        raise TypeError(
            f"{who}: parameters must be float32 or float64. Got {dtype} for {what}. "
            "Convert the model first with .float()."
        )
    return tensor.detach().cpu().numpy()
