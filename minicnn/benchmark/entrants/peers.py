"""Packages written from scratch, as pip has them: mygrad, pydynet, neuralnetlib.

Each is used as its own documentation shows, with its own layers, loss and Adam (mygrad has no Adam, so it
gets ours). What a package cannot express it cannot enter; what it gets wrong strikes it out.
"""

from __future__ import annotations

import warnings

import numpy as np

from minicnn import nn, optim
from minicnn.parameter import Parameter


class Peer:
    """Enters one of the packages.

    Examples
    --------
    >>> Peer("mygrad", None).name
    'mygrad'
    """

    kind = "peer"

    def __init__(self, name: str, runner: type) -> None:
        self.name, self.runner = name, runner

    def net(self, model, images, targets):
        """Return a runner with the model's weights."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a GPU, or about a parser's escapes: not about numbers
            return self.runner(model, images, targets)


def peer(library: str) -> Peer:
    """Return the entrant of a package by the package's name.

    >>> peer("pydynet").name
    'pydynet'
    """
    return Peer(library, {"mygrad": MyGrad, "pydynet": PyDyNet, "neuralnetlib": NeuralNetLib}[library])


def one(pair: tuple[int, int], who: str) -> int:
    """Return the number that stands twice in a pair, for packages that know squares only.

    >>> one((2, 2), "pydynet")
    2
    """
    if pair[0] != pair[1]:
        raise TypeError(f"{who}: height and width must be the same. Got {pair}. Race a square layer.")
    return pair[0]


class MyGrad:
    """One net in mygrad, one batch."""

    def __init__(self, model, images, targets) -> None:
        import mygrad

        self.mygrad, self.model, self.images, self.targets = mygrad, model, images, targets
        self.tensors = {name: mygrad.tensor(p.data.copy()) for name, p in model.named_parameters()}
        self.parameters = {name: Parameter(tensor.data) for name, tensor in self.tensors.items()}
        self.optimizer = optim.Adam(self.parameters.values())

    def _logits(self):
        from mygrad.nnet.activations import relu
        from mygrad.nnet.layers import conv_nd, max_pool

        x = self.mygrad.tensor(self.images, constant=True)
        for name, layer in self.model.children().items():
            weight, bias = self.tensors.get(f"{name}.weight"), self.tensors.get(f"{name}.bias")
            if isinstance(layer, nn.Conv2d):
                x = conv_nd(x, weight, stride=layer.stride, padding=layer.padding, dilation=layer.dilation)
                x = x + bias.reshape(1, -1, 1, 1)
            elif isinstance(layer, nn.MaxPool2d):
                x = max_pool(x, layer.kernel_size, layer.stride)
            elif isinstance(layer, nn.Flatten):
                x = x.reshape(len(x), -1)
            elif isinstance(layer, nn.Linear):
                x = self.mygrad.matmul(x, weight.T) + bias
            else:
                x = relu(x)
        return x

    def forward(self):
        """Return the logits, as for a prediction."""
        with self.mygrad.no_autodiff:
            return self._logits().data

    def step(self) -> None:
        """Take one full training step."""
        from mygrad.nnet.losses import softmax_crossentropy

        for tensor in self.tensors.values():
            tensor.null_grad()
        softmax_crossentropy(self._logits(), self.targets).backward()
        for name, parameter in self.parameters.items():
            parameter.grad = self.tensors[name].grad
        self.optimizer.step()

    def hold(self) -> None:
        """Learn nothing from now on, at the same cost."""
        for group in self.optimizer.param_groups:
            group["lr"] = 0.0

    def gradients(self) -> dict:
        """Return the last step's gradients by name."""
        return {name: parameter.grad for name, parameter in self.parameters.items()}

    def weights(self) -> dict:
        """Return the weights by name."""
        return {name: tensor.data for name, tensor in self.tensors.items()}


class PyDyNet:
    """One net in pydynet, one batch."""

    def __init__(self, model, images, targets) -> None:
        import pydynet
        import pydynet.nn  # the package does not import its own parts
        import pydynet.optim
        from pydynet.nn import functional

        self.pydynet, self.functional, self.model = pydynet, functional, model
        self.images = pydynet.Tensor(images, dtype=np.float32)
        self.targets = targets
        self.tensors = {}
        for name, parameter in model.named_parameters():
            data = parameter.data.T if parameter.data.ndim == 2 else parameter.data
            tensor = pydynet.Tensor(data.copy(), dtype=np.float32, requires_grad=True)
            self.tensors[name] = pydynet.nn.Parameter(tensor)
        self.optimizer = pydynet.optim.Adam(list(self.tensors.values()))

    def _logits(self):
        x = self.images
        for name, layer in self.model.children().items():
            weight, bias = self.tensors.get(f"{name}.weight"), self.tensors.get(f"{name}.bias")
            if isinstance(layer, nn.Conv2d):
                sizes = one(layer.padding, "pydynet"), one(layer.stride, "pydynet")
                x = self.functional.conv2d(x, weight, *sizes) + bias.reshape(1, -1, 1, 1)
            elif isinstance(layer, nn.MaxPool2d):
                sizes = [one(pair, "pydynet") for pair in (layer.kernel_size, layer.stride, layer.padding)]
                x = self.functional.max_pool2d(x, *sizes)
            elif isinstance(layer, nn.Flatten):
                x = x.reshape(x.shape[0], -1)
            elif isinstance(layer, nn.Linear):
                x = self.functional.linear(x, weight, bias)
            else:
                x = self.functional.relu(x)
        return x

    def forward(self):
        """Return the logits, as for a prediction."""
        with self.pydynet.no_grad():
            return self._logits().numpy()

    def step(self) -> None:
        """Take one full training step."""
        self.optimizer.zero_grad()
        self.functional.cross_entropy_loss(self._logits(), self.targets).backward()
        self.optimizer.step()

    def _arrays(self, attribute: str) -> dict:
        found = {name: np.asarray(getattr(tensor, attribute)) for name, tensor in self.tensors.items()}
        return {name: array.T if array.ndim == 2 else array for name, array in found.items()}

    def hold(self) -> None:
        """Learn nothing from now on, at the same cost."""
        self.optimizer.lr = 0.0

    def gradients(self) -> dict:
        """Return the last step's gradients by name."""
        return self._arrays("grad")

    def weights(self) -> dict:
        """Return the weights by name."""
        return self._arrays("data")


class NeuralNetLib:
    """One net in neuralnetlib, one batch; it holds pixels as (N, H, W, C), and filters as (H, W, C, C_out)."""

    def __init__(self, model, images, targets) -> None:
        from neuralnetlib import activations, layers, losses, optimizers

        self.images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))  # (N, H, W, C)
        self.targets, self.loss = targets, losses.SparseCategoricalCrossentropy()
        self.softmax = layers.Activation(activations.Softmax())
        self.layers, self.shapes = {}, {}
        self.optimizer = optimizers.Adam(learning_rate=1e-3)
        shape, flat = images[:1].shape, None
        for name, layer in model.children().items():
            if isinstance(layer, nn.Flatten):
                flat = shape[1:]
            probe = layer(np.zeros(shape, np.float32))
            built = self._built(name, layer, layers, flat, shape, probe.shape)
            if isinstance(layer, nn.Linear):
                flat = None
            shape, self.layers[name] = probe.shape, built

    def _built(self, name, layer, layers, flat, shape, wanted):
        """Return the counterpart of a layer, with its weights."""
        if isinstance(layer, nn.ReLU):
            from neuralnetlib.activations import ReLU

            return layers.Activation(ReLU())
        if isinstance(layer, nn.Flatten):
            return layers.Flatten()
        if isinstance(layer, nn.MaxPool2d):
            return layers.MaxPooling2D(layer.kernel_size, layer.stride)
        if isinstance(layer, nn.Conv2d):
            padding = "same" if any(layer.padding) else "valid"
            built = layers.Conv2D(layer.out_channels, layer.kernel_size, layer.stride, padding)
            built.initialize_weights((1, *shape[2:], shape[1]))
        else:
            built = layers.Dense(layer.out_features)
            built.initialize_weights(layer.in_features)
        self.shapes[name] = (layer.weight.data.shape, flat if isinstance(layer, nn.Linear) else None)
        built.weights = self._theirs(layer.weight.data, self.shapes[name][1]).astype(np.float32)
        built.bias = layer.bias.data.reshape(1, -1).copy()
        return built

    @staticmethod
    def _theirs(weight, flat):
        if weight.ndim == 4:
            return np.ascontiguousarray(weight.transpose(2, 3, 1, 0))  # (K_h, K_w, C_in, C_out)
        if flat is not None:  # rows of the flat input stand in the order H, W, C
            weight = weight.reshape(-1, *flat).transpose(0, 2, 3, 1).reshape(len(weight), -1)
        return np.ascontiguousarray(weight.T)  # (in, out)

    @staticmethod
    def _ours(array, flat):
        if array.ndim == 4:
            return array.transpose(3, 2, 0, 1)  # (C_out, C_in, K_h, K_w)
        array = array.T  # (out, in)
        if flat is not None:
            channels, height, width = flat
            array = array.reshape(-1, height, width, channels).transpose(0, 3, 1, 2).reshape(len(array), -1)
        return array

    def forward(self):
        """Return the logits, as for a prediction."""
        x = self.images
        for layer in self.layers.values():
            x = layer.forward_pass(x)
        return x

    def step(self) -> None:
        """Take one full training step."""
        probabilities = self.softmax.forward_pass(self.forward())
        error = self.loss.derivative(self.targets, probabilities) / len(self.targets)
        error = self.softmax.backward_pass(error)
        for layer in reversed(self.layers.values()):
            error = layer.backward_pass(error)
        for index, name in enumerate(self.shapes):
            layer = self.layers[name]
            self.optimizer.update(index, layer.weights, layer.d_weights, layer.bias, layer.d_bias)

    def _arrays(self, weights: str, bias: str) -> dict:
        found = {}
        for name, (_, flat) in self.shapes.items():
            found[f"{name}.weight"] = self._ours(getattr(self.layers[name], weights), flat)
            found[f"{name}.bias"] = getattr(self.layers[name], bias).ravel()
        return found

    def hold(self) -> None:
        """Learn nothing from now on, at the same cost."""
        self.optimizer.learning_rate = 0.0

    def gradients(self) -> dict:
        """Return the last step's gradients by name."""
        return self._arrays("d_weights", "d_bias")

    def weights(self) -> dict:
        """Return the weights by name."""
        return self._arrays("weights", "bias")
