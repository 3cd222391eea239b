"""Functions such as F.relu, which hooks of layers do not see, written down as steps of a Trace."""

from __future__ import annotations

import contextlib
import functools
from collections import Counter
from collections.abc import Iterator

from minicnn import nn
from minicnn.inspection import Step, Trace
from minicnn.interop.torch import layers, operations, shapes
from minicnn.interop.torch.library import import_torch
from minicnn.interop.torch.watching import copied

LEFT_OUT = ("dropout", "dropout2d")  # they draw numbers of their own


@contextlib.contextmanager
def functions_watched(module, trace: Trace) -> Iterator[None]:
    """Add a step to `trace` for every function of one tensor that `module` calls outside the layers we know.

    Such a step is called after its function, with brackets: "relu()", "relu()#2". What works in place is left out.

    Parameters
    ----------
    module : torch.nn.Module
    trace : Trace
        As `watch` yields it; only a forward may run within the block.
    """
    torch = import_torch()
    inside: list = []  # the known layers that run now: what they call is their own affair
    calls: Counter[str] = Counter()

    class Mode(torch.overrides.TorchFunctionMode):
        """Called by torch in place of each of its functions."""

        def __torch_function__(self, function, types, arguments=(), named=None):
            named = dict(named or {})
            if function is torch.nn.functional.hardsigmoid:
                function = hardsigmoid
            if not arguments and "input" in named:
                arguments = (named.pop("input"),)
            step = None if inside or not torch.is_grad_enabled() else step_of(function, arguments, named)
            if step is None:
                return function(*arguments, **named)
            read = arguments[0].view_as(arguments[0])
            if read.requires_grad:
                read.register_hook(lambda grad: setattr(step, "grad_input", copied(grad)))
            result = function(read, *arguments[1:], **named)
            if result.requires_grad:
                result.register_hook(lambda grad: setattr(step, "grad_output", copied(grad)))
            calls[step.name] += 1
            step.name = f"{step.name}#{calls[step.name]}" if calls[step.name] > 1 else step.name
            step.output = copied(result)
            trace.steps.append(step)
            return result

    with contextlib.ExitStack() as stack:
        for layer in module.modules():
            if layers.is_known(layer, torch):
                entered = layer.register_forward_pre_hook(lambda *_: inside.append(True))
                stack.callback(entered.remove)
                left = layer.register_forward_hook(lambda *_: inside.clear())
                stack.callback(left.remove)
        stack.enter_context(Mode())
        yield


def hardsigmoid(input, inplace: bool = False):
    """Return torch's hardsigmoid; in float64 with a gradient of that precision.

    Torch's own takes 1/6 from float32 there (torch 2.13), so that float64 could not say what is rounding in float32.
    """
    if input.dtype != import_torch().float64:
        return import_torch().nn.functional.hardsigmoid(input, inplace)
    return hardsigmoid_in_float64().apply(input, inplace)


@functools.cache
def hardsigmoid_in_float64() -> type:
    """Return the torch.autograd.Function of a tensor and of whether it is written over."""
    torch = import_torch()

    class Hardsigmoid(torch.autograd.Function):
        """min(max(x + 3, 0), 6) / 6"""

        @staticmethod
        def forward(ctx, input, inplace):
            ctx.save_for_backward(input.abs() < 3)
            output = torch.nn.functional.hardsigmoid(input)
            if inplace:
                ctx.mark_dirty(input)
                output = input.copy_(output)
            return output

        @staticmethod
        def backward(ctx, grad):
            (inside,) = ctx.saved_tensors
            return torch.where(inside, grad / 6, torch.zeros_like(grad)), None

    return Hardsigmoid


def step_of(function, arguments: tuple, named: dict) -> Step | None:
    """Return the step of a call, without its output; None for a call that we have no layer of one input for."""
    torch = import_torch()
    name = getattr(function, "__name__", "").strip("_")
    known = operations.KNOWN.get(name)
    tensors = [value for value in (*arguments, *named.values()) if isinstance(value, torch.Tensor)]
    if known is None or name in LEFT_OUT or len(tensors) != 1 or not isinstance(arguments[0], torch.Tensor):
        return None
    input, *rest = arguments
    if function.__name__ == f"{name}_" or named.get("inplace") or not input.is_floating_point():
        return None
    if name in ("view", "reshape") and rest:  # the first size is that of the batch
        sizes = list(rest[0] if isinstance(rest[0], tuple | list) else rest)
        if sizes[0] == len(input):
            sizes[0] = shapes.BatchSize(sizes[0])
        rest = sizes
    try:
        layer = known(input, *rest, **named)
    except (shapes.Unsupported, TypeError, ValueError):
        return None
    if not isinstance(layer, nn.Module) or isinstance(layer, nn.Sequential):
        return None
    return Step(f"{name}()", type(layer).__name__, layer, copied(input), None, training=layer.training)
