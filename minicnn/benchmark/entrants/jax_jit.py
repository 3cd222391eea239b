"""JAX in the race: forward, and the whole training step with Adam, each one compiled function."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minicnn import nn


class Jax:
    """Enters JAX with `jit`.

    Examples
    --------
    >>> Jax().name
    'jax jit'
    """

    name = "jax jit"
    kind = "jax"

    def net(self, model, images, targets) -> Runner:
        """Return a runner with the model's weights."""
        return Runner(model, images, targets)

    def convolution(self, shape, arrays) -> dict[str, Callable]:
        """Return the three passes of a convolution as functions without arguments."""
        import jax
        import jax.numpy as jnp

        x, w, b, g = (jnp.asarray(arrays[name]) for name in ("input", "weight", "bias", "grad_output"))
        grad_input = jax.jit(lambda g: jax.vjp(lambda x: convolve(jax, x, w, *shape.geometry), x)[1](g)[0])
        grad_weight = jax.jit(
            lambda g, x: jax.vjp(lambda w: convolve(jax, x, w, *shape.geometry), w)[1](g)[0]
        )
        forward = jax.jit(lambda x: convolve(jax, x, w, *shape.geometry) + b[:, None, None])
        return {
            "forward": lambda: np.asarray(forward(x)),
            "input gradient": lambda: np.asarray(grad_input(g)),
            "weight gradient": lambda: np.asarray(grad_weight(g, x)),
        }


class Runner:
    """One net in JAX, one batch."""

    def __init__(self, model, images, targets) -> None:
        import jax
        import jax.numpy as jnp

        self.jax = jax
        self.images, self.targets = jnp.asarray(images), jnp.asarray(targets)
        self.data = {name: jnp.array(parameter.data) for name, parameter in model.named_parameters()}
        self.state = {name: (jnp.zeros_like(w), jnp.zeros_like(w)) for name, w in self.data.items()}
        self.steps, self.rate = 0, 1e-3
        apply = as_function(model)

        def loss(data, images, targets):
            log_probabilities = jax.nn.log_softmax(apply(data, images))
            return -jnp.take_along_axis(log_probabilities, targets[:, None], axis=1).mean()

        def step(data, state, count, rate, images, targets):
            gradients = jax.grad(loss)(data, images, targets)
            new_data, new_state = {}, {}
            for name, grad in gradients.items():
                mean = 0.9 * state[name][0] + 0.1 * grad
                square = 0.999 * state[name][1] + 0.001 * grad * grad
                size = jnp.sqrt(square / (1 - 0.999**count)) + 1e-8
                new_data[name] = data[name] - rate * (mean / (1 - 0.9**count)) / size
                new_state[name] = mean, square
            return new_data, new_state, gradients

        self._forward, self._step = jax.jit(apply), jax.jit(step, donate_argnums=(0, 1))

    def forward(self):
        """Return the logits, as for a prediction."""
        return np.asarray(self._forward(self.data, self.images))

    def step(self) -> None:
        """Take one full training step and wait for its end."""
        self.steps += 1
        arguments = (self.data, self.state, float(self.steps), self.rate, self.images, self.targets)
        self.data, self.state, self._gradients = self.jax.block_until_ready(self._step(*arguments))

    def hold(self) -> None:
        """Learn nothing from now on, at the same cost."""
        self.rate = 0.0

    def gradients(self) -> dict:
        """Return the last step's gradients by name."""
        return {name: np.asarray(grad) for name, grad in self._gradients.items()}

    def weights(self) -> dict:
        """Return the weights by name."""
        return {name: np.asarray(weight) for name, weight in self.data.items()}


def as_function(model: nn.Sequential):
    """Return ``f(data, images) -> logits`` in JAX for a Sequential."""
    import jax
    import jax.numpy as jnp

    layers = model.children()

    def apply(data, x):
        for name, layer in layers.items():
            if isinstance(layer, nn.Conv2d):
                geometry = (layer.stride, layer.padding, layer.dilation, layer.groups)
                x = convolve(jax, x, data[f"{name}.weight"], *geometry)
                x = x + data[f"{name}.bias"][:, None, None]
            elif isinstance(layer, nn.MaxPool2d):
                window, stride = (1, 1, *layer.kernel_size), (1, 1, *layer.stride)
                padding = [(0, 0), (0, 0), *((p, p) for p in layer.padding)]
                x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, stride, padding)
            elif isinstance(layer, nn.Flatten):
                x = x.reshape(len(x), -1)
            elif isinstance(layer, nn.Linear):
                x = x @ data[f"{name}.weight"].T + data[f"{name}.bias"]
            elif isinstance(layer, nn.ReLU):
                x = jax.nn.relu(x)
            else:
                raise TypeError(f"jax jit: no counterpart here. Got {layer.who}. Race another net.")
        return x

    return apply


def convolve(jax, x, weight, stride, padding, dilation, groups):
    """Return JAX's convolution without a bias, its arguments in our order."""
    pads = [(p, p) for p in padding]
    return jax.lax.conv_general_dilated(
        x, weight, stride, pads, rhs_dilation=dilation, feature_group_count=groups
    )
