"""from_torch: an ordinary torch.nn.Module as a minicnn module with the same names and weights.

Module by module, from the outside in: a layer that both libraries know becomes ours; a `Sequential` becomes a
`Sequential` of its converted children; and of every other module the forward is traced, with the modules inside
it as single calls. A trace without branches becomes a `Sequential`, any other a `Graph`.
"""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass, field

import numpy as np

from minicnn import nn
from minicnn.interop.torch import layers, operations
from minicnn.interop.torch.assemble import Call, assemble
from minicnn.interop.torch.library import import_torch
from minicnn.interop.torch.namesakes import namesakes, operation_of
from minicnn.interop.torch.tracing import graph_of, place_of_error, place_of_forward


def from_torch(module, example_input) -> nn.Module:
    """Return a minicnn module that computes what a torch module computes.

    Parameters
    ----------
    module : torch.nn.Module
        Made of layers that minicnn has, and of functions, methods, sums, constants and joins between them.
        It is left as it is.
    example_input : ndarray or torch.Tensor
        What the model takes, of any batch size. Only shape and dtype are used.

    Returns
    -------
    Module
        A `Sequential` where the model is a chain, else a `Graph`; with torch's names, copies of its
        parameters and buffers, and the mode (training or evaluation) of every layer.

    Raises
    ------
    RuntimeError
        If torch is not installed.
    ValueError
        If the model has an operation or a layer that minicnn has not, or a forward whose path depends on data.
        The message names it and the line of the model's code.
    TypeError
        If `module` is no torch module, or its parameters are neither float32 nor float64.

    Notes
    -----
    A fixed decision, such as ``if self.training``, is taken as it stands now.

    Examples
    --------
    >>> from minicnn.interop.torch.library import is_installed
    >>> def converted():
    ...     import torch
    ...     return from_torch(torch.nn.Sequential(torch.nn.Linear(2, 1)), np.zeros((1, 2), np.float32))
    >>> converted() if is_installed() else nn.Sequential(nn.Linear(2, 1))
    Sequential(
      (0): Linear(2, 1, bias=True)
    )
    """
    torch = import_torch()
    if not isinstance(module, torch.nn.Module):
        raise TypeError(
            f"from_torch: module must be a torch.nn.Module. Got {type(module).__name__}. Pass the model itself."
        )
    if not isinstance(example_input, np.ndarray | torch.Tensor):
        raise TypeError(
            f"from_torch: example_input must be an array or a tensor. Got {type(example_input).__name__}. "
            "Pass for example a batch of images."
        )
    example = torch.as_tensor(
        np.array(example_input) if isinstance(example_input, np.ndarray) else example_input
    )
    conversion = Conversion(torch, module, copy.deepcopy(module).eval().to("meta"))
    model = conversion.convert("", example.detach().to("meta"), type(module).__name__)
    lost = sorted(module.state_dict().keys() ^ model.state_dict().keys())
    if lost:
        raise ValueError(
            f"from_torch: every parameter and buffer must belong to a layer. Got {', '.join(lost)} besides. "
            "Put what is new into a layer that minicnn has."
        )
    return model


@dataclass
class Conversion:
    """One call of `from_torch`: the model, a copy of it without values, and what tensors became.

    Attributes
    ----------
    torch : module
    model : torch.nn.Module
    twin : torch.nn.Module
        In evaluation mode and on the device "meta", where only shapes are computed.
    shared : dict
        Torch's parameters and buffers, and ours.
    """

    torch: object
    model: object
    twin: object
    shared: dict = field(default_factory=dict)

    def convert(self, path: str, example, place: str) -> nn.Module:
        """Return our counterpart of the module at `path`, for an input like `example`."""
        module = self.model.get_submodule(path)
        operation = operation_of(module)
        if operation is not None:
            made = operation
        elif layers.is_known(module, self.torch):
            return layers.layer_of(module, tuple(example.shape), self.shared)
        elif type(module) is namesakes()["Residual"]:
            parts = {}
            for name, _ in module.named_children():
                parts[name] = self.convert(f"{path}.{name}".lstrip("."), example, place)
            made = nn.Residual(**parts)
        elif type(module) is self.torch.nn.Sequential:
            made = self.chain(path, example, place)
        elif type(module).__module__.startswith("torch.nn"):
            raise self.refusal(f'torch.nn.{type(module).__name__} "{path}"', place)
        else:
            made = self.traced(path, module, example)
        made.training = module.training
        return made

    def chain(self, path: str, example, place: str) -> nn.Sequential:
        """Return a Sequential's children one by one."""
        made = nn.Sequential()
        for name in self.model.get_submodule(path)._modules:
            child = f"{path}.{name}".lstrip(".")
            made.add_module(name, self.convert(child, example, place))
            example = self.run(self.twin.get_submodule(child), (example,), {}, place)
        return made

    def run(self, function, arguments: tuple, named: dict, place: str):
        """Return what a function of torch gives for tensors without values."""
        try:
            with self.torch.no_grad(), warnings.catch_warnings(action="ignore"):
                return function(*arguments, **named)
        except Exception as error:
            place = place_of_error(error) or place
            reason = str(error).split("\n")[0].rstrip(".") or type(error).__name__
            raise ValueError(
                f"from_torch: the example input must pass through the model. Got {reason} in {place}. "
                "Pass an input that the model takes."
            ) from None

    def traced(self, path: str, module, example) -> nn.Module:
        """Return a Sequential or a Graph of what a module's forward does."""
        opened = set()
        while True:
            graph = graph_of(module, opened)
            values, batch = {}, set()
            again = False
            for node in graph.nodes:
                values[node] = self.value_of(node, values, path, example)
                if depends_on_batch(node, values, batch):
                    batch.add(node)
                inner = node.op == "call_module" and module.get_submodule(node.target)
                if inner and not isinstance(
                    values[node], self.torch.Tensor
                ):  # such as two heads: look inside
                    if inner in opened or type(inner).__module__.startswith("torch.nn"):
                        raise self.refusal(
                            f'torch.nn.{type(inner).__name__} "{node.target}"', node.meta.get("place")
                        )
                    opened.add(inner)
                    again = True
                    break
            if not again:
                calls, output = self.calls_of(graph, values, batch, path, module)
                return assemble(module, calls, output, self.spare(path, module, calls))

    def value_of(self, node, values: dict, path: str, example):
        """Return a node's value, for the shapes of the example."""
        place = node.meta.get("place") or place_of_forward(self.model.get_submodule(path))
        arguments = self.torch.fx.node.map_arg(node.args, values.get)
        named = self.torch.fx.node.map_arg(node.kwargs, values.get)
        twin = self.twin.get_submodule(path)
        if node.op == "placeholder":
            if not any(isinstance(value, self.torch.Tensor) for value in values.values()):
                return example
            if not node.args:
                raise self.refusal(f"a second input {node.target!r} of forward", place)
            return node.args[0]
        if node.op == "get_attr":
            raise self.refusal(f"self.{node.target} as a value", self.first_use(node))
        if node.op == "call_module":
            return self.run(twin.get_submodule(node.target), arguments, named, place)
        if node.op == "output":
            return arguments[0]
        function = node.target if node.op == "call_function" else getattr(type(arguments[0]), node.target)
        try:
            return self.run(function, arguments, named, place)
        except ValueError:
            if function_of(node) is None:  # one that asks for values, for example
                raise self.refusal(name_of(node), place) from None
            raise

    def first_use(self, node) -> str:
        """Return the place where a node's value is used."""
        users = [user.meta.get("place") for user in node.users]
        return next((place for place in users if place), None) or node.meta.get("place")

    def calls_of(self, graph, values: dict, batch: set, path: str, module) -> tuple[list[Call], str]:
        """Return the calls that work on tensors, in order, and the name of the output."""
        calls, names = [], {}
        for node in graph.nodes:
            tensors = [other for other in node.all_input_nodes if is_tensor(values[other], self.torch)]
            place = node.meta.get("place") or place_of_forward(module)
            if node.op == "placeholder":
                names[node] = "x"
            elif node.op == "output":
                if not is_tensor(values[node], self.torch):
                    kind = type(values[node]).__name__
                    raise self.refusal(f"a forward that returns a {kind}", place)
                return calls, names[node.args[0]]
            elif not is_tensor(values[node], self.torch):
                continue
            elif node.op == "call_module":
                child = f"{path}.{node.target}".lstrip(".")
                made = self.convert(child, values[tensors[0]], place)
                names[node] = node.name
                calls.append(Call(node.name, made, [names[tensors[0]]], node.target))
                if getattr(module.get_submodule(node.target), "inplace", False):
                    names[tensors[0]] = node.name
            else:
                made = self.operation(node, values, batch, place, module)
                names[node] = names[tensors[0]] if made is None else node.name
                if made is not None:
                    read = [names[other] for other in read_by(node, values, self.torch)]
                    calls.append(Call(node.name, made, read))
                if is_in_place(node):  # who reads the old name after this line sees the new value
                    names[tensors[0]] = names[node]
        return calls, ""

    def spare(self, path: str, module, calls: list[Call]) -> dict[str, nn.Module]:
        """Return the layers with parameters or buffers that no call reaches."""
        found = {}
        for name, inner in module.named_modules():
            above = [call.path for call in calls if f"{name}.".startswith(f"{call.path}.") and call.path]
            own = (*inner.parameters(recurse=False), *inner.buffers(recurse=False))
            if name and own and not above:
                if not layers.is_known(inner, self.torch):
                    raise self.refusal(f'torch.nn.{type(inner).__name__} "{name}"', None)
                found[name] = layers.layer_of(inner, (), self.shared)
        return found

    def operation(self, node, values: dict, batch: set, place: str, module) -> nn.Module | None:
        """Return our layer for a function or a method of torch, or None where it changes nothing."""
        function, shown = function_of(node), name_of(node)
        if function is None:
            raise self.refusal(shown, place)

        def argument(other):
            return operations.BatchSize(values[other]) if other in batch else values[other]

        arguments = self.torch.fx.node.map_arg(node.args, argument)
        named = self.torch.fx.node.map_arg(node.kwargs, argument)
        try:
            made = function(*arguments, **named)
        except operations.Unsupported as reason:
            raise self.refusal(f"{shown} with {reason}", place) from None
        except (TypeError, ValueError) as error:
            raise self.refusal(f"{shown} ({str(error).rstrip('.')})", place) from None
        if made is None and values[node].dtype != values[node.all_input_nodes[0]].dtype:
            raise self.refusal(f"{shown} to another dtype", place)
        if isinstance(made, nn.Dropout) and module.training and not made.training:
            return nn.Identity()  # F.dropout(x, training=False) drops nothing, in whatever mode the model is
        if made is not None and not isinstance(made, nn.Dropout):
            made.training = module.training
        return made

    def refusal(self, what: str, place: str | None) -> ValueError:
        """Return the error that names an operation and its line."""
        return ValueError(
            f"from_torch: every operation must be one that minicnn has. Got {what} in "
            f"{place or type(self.model).__name__}. Write it with layers and functions that minicnn.nn has."
        )


def is_tensor(value, torch) -> bool:
    """Say whether a node's value is one tensor."""
    return isinstance(value, torch.Tensor)


def read_by(node, values: dict, torch) -> list:
    """Return the tensors that a node reads, in order, one that it reads twice twice."""
    found = []
    torch.fx.node.map_arg((node.args, node.kwargs), lambda other: found.append(other))
    return [other for other in found if is_tensor(values[other], torch)]


def depends_on_batch(node, values: dict, batch: set) -> bool:
    """Say whether a node is a number that changes with the number of images."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    if name == "size" and len(node.args) + len(node.kwargs) == 2:
        return (node.args[1] if len(node.args) == 2 else node.kwargs["dim"]) in (
            0,
            -values[node.args[0]].ndim,
        )
    if name == "getitem" and not hasattr(values[node.args[0]], "dtype"):
        return node.args[1] in (0, -len(values[node.args[0]]))
    return isinstance(values[node], int) and any(other in batch for other in node.all_input_nodes)


def function_of(node):
    """Return what stands in `operations` for a function or a method of torch, or None."""
    if isinstance(node.target, str):
        return operations.KNOWN.get(node.target.rstrip("_"))
    home = (node.target.__module__ or "torch").split(".")[0]
    return operations.KNOWN.get(node.target.__name__.rstrip("_")) if home in ("torch", "_operator") else None


def is_in_place(node) -> bool:
    """Say whether an operation writes over its input."""
    method = node.op == "call_method" and node.target.endswith("_") and not node.target.endswith("__")
    return method or bool(node.kwargs.get("inplace", False))


def name_of(node) -> str:
    """Return how an operation is called in a message: ``F.interpolate``, ``x.permute``, ``operator.mul``."""
    if isinstance(node.target, str):
        return f"x.{node.target}"
    home = (node.target.__module__ or "torch").lstrip("_")
    short = {"torch.nn.functional": "F", "torch._C._nn": "F", "builtins": "torch"}.get(home, home)
    return f"{short}.{node.target.__name__}"
