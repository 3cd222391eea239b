"""minicnn itself in the race."""

from __future__ import annotations

import copy
from collections.abc import Callable

from minicnn import kernels, nn, no_grad, optim


class Ours:
    """Enters minicnn.

    Examples
    --------
    >>> import numpy as np
    >>> runner = Ours().net(nn.Sequential(nn.Linear(2, 3, rng=0)), np.zeros((4, 2), np.float32), np.zeros(4, int))
    >>> runner.forward().shape
    (4, 3)
    """

    name = "ours"
    kind = "ours"

    def net(self, model, images, targets) -> Runner:
        """Return a runner with its own copy of the model."""
        return Runner(copy.deepcopy(model.train()), images, targets)

    def convolution(self, shape, arrays) -> dict[str, Callable]:
        """Return the three passes of a convolution as functions without arguments."""
        x, w, b, g = (arrays[name] for name in ("input", "weight", "bias", "grad_output"))
        return {
            "forward": lambda: kernels.conv2d(x, w, b, *shape.geometry),
            "input gradient": lambda: kernels.conv2d_grad_input(g, w, x.shape, *shape.geometry),
            "weight gradient": lambda: kernels.conv2d_grad_weight(g, x, w.shape, *shape.geometry),
        }

    def layer(self, layer, input, grad_output) -> dict[str, Callable]:
        """Return forward, and forward and backward, of one layer as functions without arguments."""
        layer = copy.deepcopy(layer)

        def forward():
            with no_grad():
                return layer(input)

        def both():
            layer.zero_grad()
            layer(input)
            grads = [layer.backward(grad_output)]
            return grads + [parameter.grad for parameter in layer.parameters()]

        return {"forward": forward, "forward and backward": both}

    def loss(self, logits, targets) -> dict[str, Callable]:
        """Return softmax with cross-entropy, forward, and forward and backward."""
        criterion = nn.CrossEntropyLoss()

        def forward():
            with no_grad():
                return criterion(logits, targets)

        def both():
            criterion(logits, targets)
            return [criterion.backward()]

        return {"forward": forward, "forward and backward": both}


class Runner:
    """One net of ours, one batch: what is timed, and what is judged."""

    def __init__(self, model, images, targets) -> None:
        self.model, self.images, self.targets = model, images, targets
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = optim.Adam(model.parameters())

    def forward(self):
        """Return the logits, as for a prediction."""
        with no_grad():
            return self.model(self.images)

    def step(self) -> None:
        """Take one full training step."""
        self.optimizer.zero_grad()
        self.criterion(self.model(self.images), self.targets)
        self.model.backward_parameters(
            self.criterion.backward()
        )  # torch leaves the images' gradient out, too
        self.optimizer.step()

    def hold(self) -> None:
        """Learn nothing from now on, at the same cost."""
        for group in self.optimizer.param_groups:
            group["lr"] = 0.0

    def gradients(self) -> dict:
        """Return the last step's gradients by name."""
        return {name: parameter.grad for name, parameter in self.model.named_parameters()}

    def weights(self) -> dict:
        """Return the weights by name."""
        return {name: parameter.data for name, parameter in self.model.named_parameters()}
