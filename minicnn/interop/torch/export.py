"""to_torch: our model as an ordinary torch.nn.Module with the same names and weights."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from minicnn import nn
from minicnn.interop.torch.library import import_torch

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
    "Sigmoid": [],
    "Tanh": [],
    "Softmax": ["dim"],
    "LogSoftmax": ["dim"],
    "BatchNorm1d": ["num_features", "eps", "momentum", "affine", "track_running_stats"],
    "BatchNorm2d": ["num_features", "eps", "momentum", "affine", "track_running_stats"],
    "Dropout": ["p"],
    "Dropout2d": ["p"],
    "Identity": [],
}


def to_torch(model: nn.Module):
    """Return a torch.nn.Module that computes what `model` computes.

    Parameters
    ----------
    model : Module
        Made of the layers and containers of `minicnn.nn`.

    Returns
    -------
    torch.nn.Module
        With the same parameter names, copies of parameters and buffers, dtype, and mode.

    Raises
    ------
    RuntimeError
        If torch is not installed.
    TypeError
        If a module of the model has no counterpart in torch.

    Examples
    --------
    >>> from minicnn.interop.torch.library import is_installed
    >>> to_torch(nn.Linear(2, 1)).in_features if is_installed() else 2
    2
    """
    torch = import_torch()
    module = counterpart(model, torch)
    state = {name: torch.from_numpy(np.array(array)) for name, array in model.state_dict().items()}
    for array in state.values():
        if array.is_floating_point():
            module.to(array.dtype)
            break
    module.load_state_dict(state)
    return module


def torch_output(model: nn.Module, input: np.ndarray) -> np.ndarray:
    """Return what torch computes with the model's weights, in evaluation mode.

    >>> from minicnn.interop.torch.library import is_installed
    >>> torch_output(nn.ReLU(), np.float32([-1, 2])) if is_installed() else np.float32([0, 2])
    array([0., 2.], dtype=float32)
    """
    torch = import_torch()
    with torch.no_grad():
        return to_torch(model).eval()(torch.from_numpy(np.array(input))).numpy()


def counterpart(module: nn.Module, torch):
    """Return torch's module of the same kind and arguments, with its own initial weights."""
    kind = type(module).__name__
    if isinstance(module, nn.Sequential):
        children = ((name, counterpart(child, torch)) for name, child in module.children().items())
        converted = torch.nn.Sequential(OrderedDict(children))
    elif isinstance(module, nn.Residual):
        shortcut = None if module.shortcut is None else counterpart(module.shortcut, torch)
        converted = residual_class(torch)(counterpart(module.body, torch), shortcut)
    elif kind in ARGUMENTS and type(module) is getattr(nn, kind):
        arguments = {name: getattr(module, name) for name in ARGUMENTS[kind]}
        if "bias" in arguments:
            arguments["bias"] = module.bias is not None
        converted = getattr(torch.nn, kind)(**arguments)
    else:
        raise TypeError(
            f"to_torch: every layer must have a counterpart in torch. Got {module.who}. "
            "Build the model from the layers of minicnn.nn."
        )
    return converted.train(module.training)


def residual_class(torch):
    """Return a torch module class that adds a body and an optional shortcut."""

    class Residual(torch.nn.Module):
        def __init__(self, body, shortcut=None):
            super().__init__()
            self.body = body
            self.shortcut = shortcut

        def forward(self, input):
            passed = input if self.shortcut is None else self.shortcut(input)
            return self.body(input) + passed

    return Residual
