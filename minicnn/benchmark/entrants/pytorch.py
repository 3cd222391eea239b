"""PyTorch in the race, in three forms; each has all that makes it fast.

That is: as many threads as ours, `inference_mode` for the forward pass, Adam in one fused call, and for
`torch.compile` the loss inside the compiled function.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

from minicnn.interop.torch import to_torch

FORMS = ("eager", "channels_last", "compile")


class Torch:
    """Enters torch in one form: "eager", "channels_last" or "compile".

    Examples
    --------
    >>> Torch("channels_last").name
    'torch channels_last'
    """

    kind = "torch"

    def __init__(self, form: str) -> None:
        self.form = form
        self.name = f"torch.{form}" if form == "compile" else f"torch {form}"

    def net(self, model, images, targets) -> Runner:
        """Return a runner with the model's weights."""
        return Runner(model, images, targets, self.form)

    def _tensor(self, array):
        """Return an array as a tensor, in the layout of this form."""
        import torch

        tensor = torch.from_numpy(array)
        is_image = self.form == "channels_last" and tensor.ndim == 4
        return tensor.contiguous(memory_format=torch.channels_last) if is_image else tensor

    def convolution(self, shape, arrays) -> dict[str, Callable]:
        """Return the three passes of a convolution as functions without arguments."""
        import torch

        names = ("input", "weight", "bias", "grad_output")
        x, w, b, g = (self._tensor(arrays[name]) for name in names)
        stride, padding, dilation, groups = shape.geometry
        backward = torch.ops.aten.convolution_backward
        rest = (None, stride, padding, dilation, False, (0, 0), groups)

        def forward():
            with torch.inference_mode():
                return torch.nn.functional.conv2d(x, w, b, stride, padding, dilation, groups).numpy()

        def grad_input():
            with torch.inference_mode():
                return backward(g, x, w, *rest, (True, False, False))[0].numpy()

        def grad_weight():
            with torch.inference_mode():
                return backward(g, x, w, *rest, (False, True, False))[1].numpy()

        return {"forward": forward, "input gradient": grad_input, "weight gradient": grad_weight}

    def layer(self, layer, input, grad_output) -> dict[str, Callable]:
        """Return forward, and forward and backward, of one layer as functions without arguments."""
        import torch

        module, x, g = to_torch(layer).train(), self._tensor(input), self._tensor(grad_output)
        return self._functions(torch, module, module, x, g)

    def loss(self, logits, targets) -> dict[str, Callable]:
        """Return softmax with cross-entropy, forward, and forward and backward."""
        import torch

        targets = torch.from_numpy(targets)

        def loss(x):
            return torch.nn.functional.cross_entropy(x, targets)

        return self._functions(torch, loss, None, torch.from_numpy(logits), None)

    def _functions(self, torch, function, module, x, grad_output) -> dict[str, Callable]:
        """Return both passes of a function of one tensor, compiled if this is the compiled form."""
        parameters = [] if module is None else list(module.parameters())
        if self.form == "compile":
            torch.compiler.reset()
            function = torch.compile(function)
        learned = x.detach().requires_grad_()

        def forward():
            with torch.inference_mode():
                return function(x).numpy()

        def both():
            for leaf in (learned, *parameters):
                leaf.grad = None
            function(learned).backward(grad_output)
            return [leaf.grad.numpy() for leaf in (learned, *parameters)]

        return {"forward": forward, "forward and backward": both}


class Runner:
    """One net of torch's, one batch."""

    def __init__(self, model, images, targets, form: str) -> None:
        import torch

        self.torch = torch
        self.module = to_torch(model).train()
        self.images, self.targets = torch.from_numpy(images), torch.from_numpy(targets)
        if form == "channels_last" and self.images.ndim == 4:
            self.module.to(memory_format=torch.channels_last)
            self.images = self.images.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.module.parameters(), lr=1e-3, fused=True)
        self.logits, self.loss = self.module, self._loss
        if form == "compile":
            torch.compiler.reset()  # torch falls back to eager, silently, after a few shapes of one code
            self.logits, self.loss = torch.compile(self.module), torch.compile(self._loss)

    def _loss(self, images, targets):
        return self.torch.nn.functional.cross_entropy(self.module(images), targets)

    def forward(self):
        """Return the logits, as for a prediction."""
        with self.torch.inference_mode():
            return self.logits(self.images).numpy()

    def step(self) -> None:
        """Take one full training step."""
        self.optimizer.zero_grad()
        self.loss(self.images, self.targets).backward()
        self.optimizer.step()

    def hold(self) -> None:
        """Learn nothing from now on, at the same cost."""
        for group in self.optimizer.param_groups:
            group["lr"] = 0.0

    def gradients(self) -> dict:
        """Return the last step's gradients by name."""
        return {name: parameter.grad.numpy() for name, parameter in self.module.named_parameters()}

    def weights(self) -> dict:
        """Return the weights by name."""
        return {name: parameter.detach().numpy() for name, parameter in self.module.named_parameters()}


def has_compiler() -> bool:
    """Say whether there is a C++ compiler, which `torch.compile` needs.

    >>> has_compiler() in (True, False)
    True
    """
    return any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "g++", "clang++", "c++"))
