"""One call of from_torch: module by module, from the outside in.

A layer that both libraries know becomes ours; a `Sequential` becomes a `Sequential` of its converted children; and
of every other module the forward is traced, with the modules inside it as single calls. A trace without branches
becomes a `Sequential`, any other a `Graph`.
"""

from __future__ import annotations

import copy
import inspect
import warnings
from dataclasses import dataclass, field

from minicnn import nn
from minicnn.interop.torch import layers, operations, shapes
from minicnn.interop.torch.assemble import Call, assemble
from minicnn.interop.torch.fxnodes import (
    depends_on_batch,
    filled,
    function_of,
    is_only_multiplied,
    is_read_after,
    name_of,
    read_by,
    share_memory,
    whole_of,
)
from minicnn.interop.torch.namesakes import namesakes, operation_of
from minicnn.interop.torch.tracing import graph_of, place_of_error, place_of_forward
from minicnn.nn.graph import INPUT

ADVICE = "Write it with layers and functions that minicnn.nn has."


@dataclass
class Conversion:
    """One call of `from_torch`: the model, a copy of it without values, and what tensors became.

    Attributes
    ----------
    torch : module
    model : torch.nn.Module
    twin : torch.nn.Module
        As `without_values` returns it.
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
        elif type(module) is namesakes()["Residual"]:
            parts = {}
            for name, _ in module.named_children():
                parts[name] = self.convert(joined(path, name), example, place)
            made = nn.Residual(**parts)
        elif type(module) is self.torch.nn.Sequential:
            made = self.chain(path, example, place)
        elif type(module).__module__.startswith("torch.nn"):
            made = self.layer(module, example, f'torch.nn.{type(module).__name__} "{path}"', place)
        else:
            made = self.traced(path, module, example)
        made.training = module.training
        return made

    def layer(self, module, example, shown: str, place: str) -> nn.Module:
        """Return ours for a layer of torch that we have, or that is a function of its attributes; refuse any other."""
        function = operations.LAYERS.get(type(module).__name__)
        try:
            layers.check_arguments(module, tuple(example.shape))
            if layers.is_known(module, self.torch):
                return layers.layer_of(module, tuple(example.shape), self.shared)
            if function is None:
                raise self.refusal(shown, place)
            names = list(inspect.signature(function).parameters)[1:]
            return function(example, *(getattr(module, name) for name in names))
        except shapes.Unsupported as reason:
            raise self.refusal(f"{shown} with {reason}", place) from None

    def chain(self, path: str, example, place: str) -> nn.Sequential:
        """Return a Sequential's children one by one."""
        made = nn.Sequential()
        for name in self.model.get_submodule(path)._modules:
            child = joined(path, name)
            made.add_module(name, self.convert(child, example, place))
            example = self.run(self.twin.get_submodule(child), (example,), {}, place)
        return made

    def run(self, function, arguments: tuple, named: dict, place: str):
        """Return what a function of torch gives for tensors without values."""
        try:
            with (
                self.torch.no_grad(),
                self.torch.device("meta"),  # a tensor that forward makes has no values, either
                warnings.catch_warnings(action="ignore"),
            ):
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
            graph = graph_of(module, opened, lambda part: self.values_of(part, path, module, example)[0])
            values, writers, inner = self.values_of(graph, path, module, example)
            if inner is None:
                break
            opened.add(inner)  # it returns more than one tensor, such as two heads: look inside
        calls, output = self.calls_of(graph, values, writers, path, module)
        return assemble(module, calls, output, self.spare(module, calls))

    def values_of(self, graph, path: str, module, example) -> tuple[dict, set, object]:
        """Return every node's value for the shapes of the example, and which nodes write over what they read.

        The third is a module that must be opened, if there is one.
        """
        values, writers = {}, set()
        for node in graph.nodes:
            read = [values[other] for other in read_by(node, values)]
            versions = [tensor._version for tensor in read]  # how often torch has written there
            values[node] = self.value_of(node, values, path, module, example)
            if versions != [tensor._version for tensor in read] or node.kwargs.get("inplace", False):
                writers.add(node)
            inner = module.get_submodule(node.target) if node.op == "call_module" else None
            if inner is not None and not isinstance(values[node], self.torch.Tensor):
                if type(inner).__module__.startswith("torch.nn"):
                    what = f'torch.nn.{type(inner).__name__} "{node.target}"'
                    raise self.refusal(what, node.meta.get("place"))
                return values, writers, inner
        return values, writers, None

    def value_of(self, node, values: dict, path: str, module, example):
        """Return a node's value, from those of the nodes before it."""
        place = node.meta.get("place") or place_of_forward(module)
        arguments, named = filled(node, values.get)
        if node.op == "placeholder":
            if not values:
                return example
            if not node.args:
                raise self.refusal(f"a second input {node.target!r} of forward", place)
            return node.args[0]
        if node.op == "get_attr":
            used = [user.meta["place"] for user in node.users if "place" in user.meta]
            raise self.refusal(f"self.{node.target} as a value", used[0] if used else place)
        if node.op == "output":
            return arguments[0]
        if node.op == "call_module":
            return self.run(self.twin.get_submodule(joined(path, node.target)), arguments, named, place)
        function = node.target if node.op == "call_function" else getattr(type(arguments[0]), node.target)
        try:
            return self.run(function, arguments, named, place)
        except ValueError:
            if function_of(node) in (None, shapes.getitem):  # one that asks for values, such as a mask
                raise self.refusal(name_of(node), place) from None
            raise

    def calls_of(self, graph, values: dict, writers: set, path: str, module) -> tuple[list[Call], str]:
        """Return the calls that work on tensors, in order, and the name of the output."""
        calls, names, batch = [], {}, set()
        for node in graph.nodes:
            place = node.meta.get("place") or place_of_forward(module)
            if depends_on_batch(node, values):
                batch.add(node)
            if not isinstance(values[node], self.torch.Tensor):
                if node.op == "output":
                    raise self.refusal(f"a forward that returns a {type(values[node]).__name__}", place)
                continue
            if node.op == "placeholder":
                names[node] = INPUT
                continue
            whole, part = whole_of(node, values)
            if part is not None and not node.users:  # as in `largest, _ = x.max(1)`
                continue
            read = read_by(whole, values)
            if node.op == "output":
                return calls, names[read[0]]
            if node.op == "call_module":
                target, one = node.target, layers.is_known(module.get_submodule(node.target), self.torch)
                shown = f'"{joined(path, target)}"'
                made = self.convert(joined(path, target), values[read[0]], place)
            else:
                target, one, shown = "", True, name_of(node)
                made = self.operation(node, values, batch, place, module)
            written = [other for other in names if node in writers and share_memory(values, other, read[0])]
            same = [other for other in written if one and names[other] == names[read[0]]]
            if any(is_read_after(node, other, values) for other in written if other not in same):
                raise self.refusal(f"{shown}, which writes over a value that is read later", place)
            inputs = [names[other] for other in read]
            if isinstance(made, operations.Scaled):
                calls.append(Call(f"{node.name}'", made.before, [inputs[made.place]]))
                inputs[made.place], made = calls[-1].name, made.join
            names[node] = inputs[0] if made is None else node.name
            if made is not None:
                calls.append(Call(node.name, made, inputs, target))
            for other in same:  # who reads the old name after this line sees the new value
                names[other] = names[node]
        raise self.refusal("a forward without a return", place_of_forward(module))

    def spare(self, module, calls: list[Call]) -> dict[str, nn.Module]:
        """Return the layers with parameters or buffers that no call reaches."""
        found = {}
        for name, inner in module.named_modules(remove_duplicate=False):
            above = [call.path for call in calls if f"{name}.".startswith(f"{call.path}.") and call.path]
            own = (*inner.parameters(recurse=False), *inner.buffers(recurse=False))
            if name and own and not above:
                if not layers.is_known(inner, self.torch):
                    raise self.refusal(f'torch.nn.{type(inner).__name__} "{name}"', None)
                found[name] = layers.layer_of(inner, (), self.shared)
        return found

    def operation(self, node, values: dict, batch: set, place: str, module) -> nn.Module | None:
        """Return our layer for a function or a method of torch, or None where it changes nothing."""
        node, part = whole_of(node, values)
        function, shown = function_of(node), name_of(node, values)
        if function is None:
            noise = module.training and not read_by(node, values)  # a tensor from nothing
            more = " If it is for training only, call .eval() first." if noise else ""
            raise self.refusal(shown, place, ADVICE + more)
        if function is shapes.expand and not is_only_multiplied(node, values):
            raise self.refusal(f"{shown} for anything but a product", place)
        sized = function in (shapes.reshape, shapes.expand)
        if not sized and not batch.isdisjoint(node.all_input_nodes):
            raise self.refusal(f"{shown} with the number of images, which changes,", place)

        def argument(other):
            return shapes.BatchSize(values[other]) if other in batch else values[other]

        arguments, named = filled(node, argument)
        try:
            made = function(*arguments, **named)
            made = made if part is None else chosen(made, part)
        except shapes.Unsupported as reason:
            raise self.refusal(f"{shown} with {reason}", place) from None
        except (TypeError, ValueError) as error:
            raise self.refusal(f"{shown} ({str(error).rstrip('.')})", place) from None
        if made is None and values[node].dtype != values[read_by(node, values)[0]].dtype:
            raise self.refusal(f"{shown} to another dtype", place)
        if isinstance(made, nn.Dropout) and module.training and not made.training:
            return nn.Identity()  # F.dropout(x, training=False) drops nothing, in whatever mode the model is
        for part in (made.join, made.before) if isinstance(made, operations.Scaled) else (made,):
            if part is not None and not isinstance(part, nn.Dropout):
                part.train(module.training)
        return made

    def refusal(self, what: str, place: str | None, advice: str = ADVICE) -> ValueError:
        """Return the error that names an operation and its line."""
        return ValueError(
            f"from_torch: every operation must be one that minicnn has. Got {what} in "
            f"{place or type(self.model).__name__}. {advice}"
        )


def without_values(module):
    """Return a copy of a torch module on the device "meta", where only shapes are computed.

    It is in evaluation mode; but what may write over its input in training does so here, too.
    """
    twin = copy.deepcopy(module).to("meta")
    for layer in twin.modules():
        layer.training = bool(getattr(layer, "inplace", False))
    return twin


def chosen(made, part) -> nn.Module:
    """Return the layer that gives one of the tensors that a function gives.

    >>> chosen({0: nn.Max(1)}, 1)
    Traceback (most recent call last):
    minicnn.interop.torch.shapes.Unsupported: result 1 of it
    """
    try:
        return made[part]
    except (KeyError, IndexError, TypeError):
        raise shapes.Unsupported(f"result {part} of it") from None


def joined(path: str, name: str) -> str:
    """Return the name of a module's child.

    >>> joined("", "conv1"), joined("layer1", "0")
    ('conv1', 'layer1.0')
    """
    return f"{path}.{name}" if path else name
