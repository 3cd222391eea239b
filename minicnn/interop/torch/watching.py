"""watch: what a torch model computes, written down by hooks as the steps of a Trace."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

import numpy as np

from minicnn import labels
from minicnn.inspection import Step, Trace
from minicnn.inspection.record import own_parameters
from minicnn.interop.torch import layers
from minicnn.interop.torch.library import check_torch_module, import_torch


@contextlib.contextmanager
def watch(module, classes=None) -> Iterator[Trace]:
    """Record what the layers of a torch model receive and give, so that `explain` works on torch's numbers.

    Every forward of `module` within the block starts the trace anew; a backward fills in the gradients of the
    last one. Only layers that minicnn has, too, are recorded; what functions such as ``F.relu`` do is not seen, nor
    is the input gradient of an in-place layer behind a view.

    Parameters
    ----------
    module : torch.nn.Module
        It computes the same numbers as without being watched, and is as before after the block.
    classes : sequence of str, or None
        Names of the classes.

    Yields
    ------
    Trace
        With copies of all arrays, under torch's names; a layer's second call is "conv#2".

    Raises
    ------
    RuntimeError
        If torch is not installed.
    TypeError
        If `module` is no torch.nn.Module.

    Examples
    --------
    >>> from minicnn.interop.torch.library import is_installed
    >>> def watched():
    ...     import torch
    ...     model = torch.nn.Sequential(torch.nn.Linear(2, 1))
    ...     model.load_state_dict({"0.weight": torch.tensor([[2.0, 3]]), "0.bias": torch.ones(1)})
    ...     with watch(model) as t:
    ...         model(torch.tensor([[10.0, 100]])).sum().backward()
    ...     return t.explain("0", (0, 0)).value, t["0"].grads["weight"].tolist()
    >>> watched() if is_installed() else (321.0, [[10.0, 100.0]])      # 10·2 + 100·3 + 1
    (321.0, [[10.0, 100.0]])
    """
    torch = import_torch()
    check_torch_module("watch", "module", module)
    watcher = Watcher(torch, module)
    trace = Trace(watcher.steps, labels.as_shown("watch", classes), watched=True)
    with contextlib.ExitStack() as stack:
        stack.callback(watcher.give_back)
        first = module.register_forward_pre_hook(lambda *_: watcher.start())
        stack.callback(first.remove)
        for name, layer in module.named_modules():
            if layers.is_known(layer, watcher.torch):
                before = layer.register_forward_pre_hook(watcher.before(name), with_kwargs=True)
                stack.callback(before.remove)
                stack.callback(layer.register_forward_hook(watcher.after).remove)
        yield trace


class Watcher:
    """The hooks of one `watch`, and what they share."""

    def __init__(self, torch, module) -> None:
        self.torch = torch
        self.learns = any(parameter.requires_grad for parameter in module.parameters())
        self.steps: list[Step] = []
        self.start()

    def start(self) -> None:
        """Forget the last forward."""
        self.steps.clear()
        self.calls: Counter[str] = Counter()
        # Layers that run now: (layer, step, its own parameters, what made its input).
        self.open: list[tuple] = []
        self.maps = (None, ())  # where the last feature maps lie in memory, and their shape

    def before(self, name: str):
        """Return the hook that runs before a layer's forward, and puts names on what it reads.

        Each call reads its input and its parameters under names of its own (views), so that the gradients that
        arrive there are those of this call alone.
        """

        def hook(layer, arguments, named):
            (input,) = arguments or named.values()
            self.calls[name] += 1
            count = self.calls[name]
            step = Step(
                name if count == 1 else f"{name}#{count}",
                type(layer).__name__,
                layers.layer_of(layer, tuple(input.shape), {}),
                copied(input),
                None,
                training=layer.training,
            )
            step.kind = type(step.module).__name__
            step.parameters = {key: p.data for key, p in own_parameters(step.module).items()}
            step.saved = kept_by(step)
            if self.maps[0] == input.data_ptr() and input.ndim == 2:
                step.origin = self.maps[1]
            own = dict(layer._parameters)
            self.open.append((layer, step, own, input.grad_fn))
            if not self.torch.is_grad_enabled():
                return None
            for key, parameter in own.items():
                if parameter is not None and parameter.requires_grad:
                    view = parameter.view_as(parameter)
                    view.register_hook(lambda grad, key=key: step.grads.update({key: copied(grad)}))
                    layer._parameters[key] = view
            if getattr(layer, "inplace", False):
                return None  # it must write over the tensor itself: see `after`
            if input.requires_grad:
                input = input.view_as(input)
            elif self.learns:  # the images: their gradient is asked for, too
                input = input.detach().requires_grad_().clone()
            if input.requires_grad:
                input.register_hook(lambda grad: give_gradient(step, "grad_input", copied(grad)))
            return (input,), {}

        return hook

    def after(self, layer, arguments, output) -> None:
        """Write down what a layer gave. This is the hook that runs after its forward."""
        layer, step, own, made_input = self.open.pop()
        layer._parameters.update(own)
        output = output[0] if isinstance(output, tuple) else output
        step.output = copied(output)
        if step.kind.startswith("Dropout") and step.training:
            with np.errstate(divide="ignore", invalid="ignore"):
                step.saved["mask"] = np.where(step.input == 0, 0, step.output / step.input)
        if output.ndim == 4:
            self.maps = (output.data_ptr(), tuple(output.shape[1:]))
        elif step.kind == "Flatten" and step.input.ndim == 4:
            self.maps = (output.data_ptr(), step.input.shape[1:])
        if output.requires_grad:
            output.register_hook(lambda grad: give_gradient(step, "grad_output", copied(grad)))
        if output.requires_grad and getattr(layer, "inplace", False) and not output._is_view():

            def give(grad) -> None:
                give_gradient(step, "grad_input", copied(grad))

            # A dropout that is off writes nothing: the gradient passes as it is.
            if output.grad_fn is made_input:
                output.register_hook(give)
            else:
                output.grad_fn.register_hook(lambda grads, _: give(grads[0]))
        self.steps.append(step)

    def give_back(self) -> None:
        """Give layers whose forward was interrupted their parameters back."""
        for layer, _, own, _ in self.open:
            layer._parameters.update(own)


def copied(tensor) -> np.ndarray:
    """Return a tensor's numbers as an array of their own."""
    return tensor.detach().cpu().numpy().copy()


def kept_by(step: Step) -> dict:
    """Return what our layer would have kept, as far as explanations read it."""
    layer = step.module
    if not step.kind.startswith("BatchNorm"):
        return {}
    use_batch = layer.training or not layer.track_running_stats
    return {"use_batch": use_batch, "mean": layer.running_mean, "variance": layer.running_var}


def give_gradient(step: Step, key: str, grad: np.ndarray) -> None:
    """Write down a gradient; where both are there, they tell which zeros a dropout has let through."""
    setattr(step, key, grad)
    if step.saved.get("mask") is not None and step.grad_output is not None and step.grad_input is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            seen = np.where(step.grad_output == 0, 0, step.grad_input / step.grad_output)
        step.saved["mask"] = np.where(step.input == 0, seen, step.saved["mask"]).astype(grad.dtype)
