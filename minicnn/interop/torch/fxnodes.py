"""What can be asked of one node of a torch.fx graph."""

from __future__ import annotations

import operator

from minicnn.interop.torch import operations, shapes
from minicnn.interop.torch.library import import_torch


def read_by(node, values: dict) -> list:
    """Return the nodes whose tensors a node reads, in order, one that it reads twice twice."""
    torch, found = import_torch(), []
    named = dict(sorted(node.kwargs.items()))  # as in torch's signatures: input, then other
    torch.fx.node.map_arg((node.args, named), found.append)
    return [other for other in found if isinstance(values[other], torch.Tensor)]


def whole_of(node, values: dict) -> tuple:
    """Return the node whose operation gave a node's value, and which of its results it is: of a tuple's parts one.

    That is the node itself, and None, for an operation that gives one tensor.
    """
    if node.target in (operator.getitem, getattr) and isinstance(values[node.args[0]], tuple | list):
        return node.args
    return node, None


def is_only_multiplied(node, values: dict) -> bool:
    """Say whether all that happens to a node is that tensors of its shape are multiplied by it."""
    for user in node.users:
        others = [other for other in read_by(user, values) if other is not node]
        if function_of(user) is not operations.mul or not others or function_of(others[0]) is shapes.expand:
            return False
        if values[others[0]].shape != values[node].shape:
            return False
    return True


def is_of_shape(node) -> bool:
    """Say whether a node is a shape, or comes from shapes alone."""
    asked = node.target if node.op == "call_method" else node.args[1] if node.target is getattr else ""
    if asked in ("shape", "ndim", "size", "dim", "numel"):
        return True
    before = node.all_input_nodes
    return bool(before) and all(is_of_shape(other) for other in before)


def filled(node, look_up) -> tuple[tuple, dict]:
    """Return a node's arguments with values in place of nodes."""
    map_arg = import_torch().fx.node.map_arg
    return map_arg(node.args, look_up), map_arg(node.kwargs, look_up)


def depends_on_batch(node, values: dict) -> bool:
    """Say whether a node is a number that changes with the number of images."""
    return isinstance(values[node], int | float) and reads_batch(node, values)


def reads_batch(node, values: dict) -> bool:
    """Say whether what is asked of shapes asks for the number of images, alone or as a part of a shape."""
    arguments, named = filled(node, values.get)
    if node.target is operator.getitem:
        shape, place = arguments
        if not isinstance(shape, tuple):
            return True
        taken = range(len(shape))[place]
        return 0 in (taken if isinstance(place, slice) else [taken]) and reads_batch(node.args[0], values)
    if all(isinstance(values[other], tuple | int | float) for other in node.all_input_nodes):
        return any(reads_batch(other, values) for other in node.all_input_nodes)
    asked = node.args[1] if node.target is getattr else getattr(node.target, "__name__", node.target)
    if asked == "size" and len(arguments) + len(named) == 2:
        return [*arguments, *named.values()][1] in (0, -arguments[0].ndim)
    return asked in ("shape", "size", "numel")


def function_of(node):
    """Return what stands in `operations` for a function or a method of torch, or None."""
    if isinstance(node.target, str):
        return operations.KNOWN.get(node.target.rstrip("_"))
    return operations.KNOWN.get(node.target.__name__.rstrip("_")) if is_torchs(node.target) else None


def is_torchs(function) -> bool:
    """Say whether a function is one of torch's, or an operator.

    >>> is_torchs(operator.add), is_torchs(is_torchs)
    (True, False)
    """
    return (function.__module__ or "torch").split(".")[0] in ("torch", "_operator")


def share_memory(values: dict, one, other) -> bool:
    """Say whether the tensors of two nodes lie in the same memory, as a tensor and its views do."""
    return values[one].untyped_storage() is values[other].untyped_storage()


def is_read_after(node, other, values: dict) -> bool:
    """Say whether a node after `node` reads the numbers of another one, and not only its shape."""
    tensor = import_torch().Tensor
    return any(user > node and isinstance(values[user], tensor) for user in other.users)


def name_of(node, values: dict | None = None) -> str:
    """Return how an operation is called in a message: ``F.interpolate``, ``x.permute``, ``operator.mul``.

    Who takes a part of what an operation gave, as of the tuple of ``x.max(1)``, has trouble with the operation.
    """
    if node.target is operator.getitem:
        whole = node.args[0]
        return name_of(whole) if isinstance((values or {}).get(whole), tuple | list) else "x[...]"
    if isinstance(node.target, str):
        return f"x.{node.target}"
    home = (node.target.__module__ or "torch").lstrip("_")
    short = {"torch.nn.functional": "F", "torch._C._nn": "F", "builtins": "torch"}.get(home, home)
    return f"{short}.{node.target.__name__}"
