"""to_torch: our model as an ordinary torch.nn.Module with the same names and weights."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from minicnn import nn
from minicnn.interop.torch.layers import ARGUMENTS, arguments_of
from minicnn.interop.torch.library import import_torch
from minicnn.interop.torch.namesakes import FIELDS, namesakes
from minicnn.nn.graph import INPUT
from minicnn.nn.tree import check_module

PADDING = {"reflect": "ReflectionPad2d", "replicate": "ReplicationPad2d", "circular": "CircularPad2d"}


def to_torch(model: nn.Module):
    """Return a torch.nn.Module that computes what `model` computes.

    Parameters
    ----------
    model : Module
        Made of the layers and containers of `minicnn.nn`.

    Returns
    -------
    torch.nn.Module
        With the same parameter names, copies of parameters and buffers, dtype, and mode. A `Graph` becomes a
        ``torch.fx.GraphModule``. `from_torch` brings it back as it was.

    Raises
    ------
    RuntimeError
        If torch is not installed.
    TypeError
        If `model` is no module of minicnn, or one of its modules has no counterpart in torch.

    Notes
    -----
    A Parameter that stands in two layers is one torch parameter, too.

    Examples
    --------
    >>> from minicnn.interop.torch.library import is_installed
    >>> to_torch(nn.Linear(2, 1)).in_features if is_installed() else 2
    2
    """
    torch = import_torch()
    check_module("to_torch", "model", model)
    module = counterpart(model, torch)
    copy_values(model, module, torch)
    return module


def torch_output(model: nn.Module, input: np.ndarray) -> np.ndarray:
    """Return what torch computes with the model's weights, in evaluation mode.

    >>> from minicnn.interop.torch.library import is_installed
    >>> torch_output(nn.ReLU(), np.float32([-1, 2])) if is_installed() else np.float32([0, 2])
    array([0., 2.], dtype=float32)
    """
    torch = import_torch()
    check_module("torch_output", "model", model)
    with torch.no_grad():
        return to_torch(model).eval()(torch.from_numpy(np.array(input))).numpy()


def copy_values(model: nn.Module, module, torch) -> None:
    """Give a torch model the values of ours; one Parameter of ours becomes one of torch's."""
    shared = {}
    for path, ours in model.named_modules():
        for name, value in vars(ours).items():
            if isinstance(value, nn.Parameter):
                if value not in shared:
                    shared[value] = torch.nn.Parameter(torch.from_numpy(np.array(value.data)))
                setattr(module.get_submodule(path), name, shared[value])
            elif name in ours.buffer_names and value is not None:
                setattr(module.get_submodule(path), name, torch.from_numpy(np.array(value)))


def counterpart(module: nn.Module, torch):
    """Return torch's module of the same kind and arguments, with its own initial weights."""
    kind = type(module).__name__
    if isinstance(module, nn.Sequential):
        children = ((name, counterpart(child, torch)) for name, child in module.children().items())
        converted = torch.nn.Sequential(OrderedDict(children))
    elif isinstance(module, nn.Graph):
        converted = graph_module(module, torch)
    elif isinstance(module, nn.Residual):
        shortcut = None if module.shortcut is None else counterpart(module.shortcut, torch)
        converted = namesakes()["Residual"](counterpart(module.body, torch), shortcut)
    elif type(module) is nn.Pad2d:
        if module.mode == "zeros":
            converted = torch.nn.ConstantPad2d(module.padding, module.value)
        else:
            converted = getattr(torch.nn, PADDING[module.mode])(module.padding)
    elif kind in ARGUMENTS and type(module) is getattr(nn, kind):
        converted = getattr(torch.nn, kind)(**arguments_of(module, kind))
    elif kind in FIELDS and type(module) is getattr(nn, kind):
        converted = namesakes()[kind](**{name: getattr(module, name) for name in FIELDS[kind]})
    else:
        raise TypeError(
            f"to_torch: every layer must have a counterpart in torch. Got {module.who}. "
            "Build the model from the layers of minicnn.nn."
        )
    converted.training = module.training  # and not train(), which would change what stands inside, too
    return converted


def graph_module(module: nn.Graph, torch):
    """Return a torch.fx.GraphModule with the same nodes; sums, products and joins become functions of torch."""
    root = torch.nn.Module()
    folds = {nn.Add: torch.add, nn.Multiply: torch.mul}
    for name, child in module.children().items():
        if not getattr(child, "joins", False):
            root.add_module(name, counterpart(child, torch))
    graph = torch.fx.Graph()
    values = {INPUT: graph.placeholder(INPUT)}
    for name, path, *read in module.nodes:
        arguments, child = [values[other] for other in read], module.find(path)
        if isinstance(child, tuple(folds)):
            function = next(function for kind, function in folds.items() if isinstance(child, kind))
            value = arguments[0]
            for other in arguments[1:]:
                value = graph.create_node("call_function", function, (value, other), name=path)
        elif isinstance(child, nn.Concatenate):
            value = graph.create_node("call_function", torch.cat, (arguments, child.dim), name=path)
        else:
            value = graph.call_module(path, tuple(arguments))
        values[name] = value
    graph.output(value)
    graph.lint()
    made = torch.fx.GraphModule(root, graph)
    made._modules.clear()  # it takes only what the graph calls, in this order; here all come, in ours
    for name, child in root.named_children():
        setattr(made, name, child)
    return made
