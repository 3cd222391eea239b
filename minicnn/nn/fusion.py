"""Neighbours in a Sequential that are computed together: Conv2d and ReLU, and a 2x2 MaxPool2d behind them.

The numbers are the same bits as layer by layer; what is saved is the traffic between them (the picture
stands in `kernels/fast_relu.py`). Nobody needs to know: where somebody looks, the layers run one by one.
That is so for a layer with a hook, as those of the inspector; and a layer whose `backward` is called by
itself, or whose `saved` is needed, is first given what it would have saved.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable

import numpy as np

from minicnn import kernels
from minicnn.kernels.geometry import conv_output_sizes
from minicnn.nn.activations import ReLU
from minicnn.nn.conv import Conv2d
from minicnn.nn.grad_mode import enable_grad, is_grad_enabled
from minicnn.nn.module import Module, edits
from minicnn.nn.pooling import MaxPool2d
from minicnn.parameter import Parameter


class Fused:
    """One run of a convolution and what follows it, as `Sequential` calls it in place of its layers.

    Examples
    --------
    >>> layers = [Conv2d(1, 1, 1, bias=False), ReLU(), MaxPool2d(2)]
    >>> layers[0].weight.data[...] = 10
    >>> stage = Fused(layers)
    >>> stage(np.float32([[[[1, 2], [4, 3]]]]))             # the largest of 10, 20, 40, 30
    array([[[[40.]]]], dtype=float32)
    >>> stage.backward(np.float32([[[[7]]]]))               # 7·10, to the 4
    array([[[[ 0.,  0.],
             [70.,  0.]]]], dtype=float32)
    """

    def __init__(self, layers: list[Module]) -> None:
        self.layers = layers
        self.input: np.ndarray | None = None
        self.kept: np.ndarray | None = None  # ReLU's output, or the winners of the pooling windows

    def parameters(self) -> list[Parameter]:
        """Return the convolution's."""
        conv = self.layers[0]
        return [conv.weight] if conv.bias is None else [conv.weight, conv.bias]

    def __call__(self, input: np.ndarray) -> np.ndarray:
        conv, *others = self.layers
        convolution = images, weight, _, stride, padding, dilation, _ = conv.convolution_of(input)
        size = conv_output_sizes(images.shape[2:], weight.shape[2:], stride, padding, dilation)
        pooled = len(others) == 2
        if input.ndim != 4 or (pooled and min(size) < 2):  # then the pooling layer has something to say
            return self._one_by_one(input)
        if pooled:
            output, kept = kernels.conv2d_relu_max_pool2d(*convolution, keep=is_grad_enabled())
        else:
            output = kept = kernels.conv2d_relu(*convolution)
        if is_grad_enabled():
            self.input, self.kept = input, kept
            for layer in others:
                layer.save(output, fused=self)
            sums = {"output_shape": (*output.shape[:2], *size), "dtype": output.dtype}
            conv.saved = {**sums, "input": images, "run": self}
        return output

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return the gradient of the convolution's input; add to its parameters' gradients."""
        return self.layers[0].backward(self._grad_sums(grad_output))

    def backward_parameters(self, grad_output: np.ndarray) -> None:
        """Add to the gradients of the convolution's parameters."""
        self.layers[0].backward_parameters(self._grad_sums(grad_output))

    def is_current(self) -> bool:
        """Return whether this was the layers' last run, and nobody has begun to watch them since."""
        conv, *others = self.layers
        own = conv.saved.get("run") is self and all(layer.saved.get("fused") is self for layer in others)
        return own and not any(map(watched, self.layers))

    def unfold(self) -> None:
        """Give every layer what it would have saved, had it run by itself."""
        conv, *others = self.layers
        array = kernels.conv2d(*conv.convolution_of(self.input))
        with enable_grad():
            for layer in others:
                array = type(layer).forward(layer, array)

    def _one_by_one(self, input: np.ndarray) -> np.ndarray:
        for layer in self.layers:
            input = layer(input)
        return input

    def _grad_sums(self, grad_output: np.ndarray) -> np.ndarray:
        """Return the gradient of the convolution's output."""
        conv, *_, last = self.layers
        last.check_grad_output(grad_output)
        if isinstance(last, MaxPool2d):
            return kernels.relu_max_pool2d_backward(grad_output, self.kept, conv.saved["output_shape"])
        return kernels.relu_backward(grad_output, self.kept)


def watched(module: Module) -> bool:
    """Return whether something has put itself before the module's own methods."""
    own = vars(module)
    return "forward" in own or "backward" in own


def runs(layers: Iterable[Module]) -> list[list[Module]]:
    """Return the layers in runs: those of a run are computed together.

    >>> runs([ReLU(), Conv2d(1, 1, 3), ReLU(), MaxPool2d(3)])               # doctest: +ELLIPSIS
    [[ReLU()], [Conv2d(1, 1, kernel_size=(3, 3), stride=(1, 1)), ReLU()], [MaxPool2d(kernel_size=(3, 3), ...)]]
    """
    found: list[list[Module]] = []
    for layer in layers:
        before = [type(other) for other in found[-1]] if found and kernels.FUSES else []
        follows = (before == [Conv2d] and type(layer) is ReLU) or (
            before == [Conv2d, ReLU] and type(layer) is MaxPool2d and is_two_by_two(layer)
        )
        if follows and not any(watched(other) for other in (*found[-1], layer)):
            found[-1].append(layer)
        else:
            found.append([layer])
    return found


_known: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # of each model, and at which edit


def known_of(model: Module) -> dict:
    """Return what has been worked out of a model, by name; it is empty again after any edit of any module.

    >>> model = Module()
    >>> known_of(model)["something"] = 1
    >>> known_of(model)
    {'something': 1}
    >>> model.training = False
    >>> known_of(model)
    {}
    """
    found = _known.get(model)
    if found is None or found[0] != edits():  # a layer may be another one now, or have a hook
        found = _known[model] = edits(), {}
    return found[1]


def stages_of(model: Module) -> list:
    """Return the children of a model, with a `Fused` in place of those that are computed together.

    >>> from minicnn.nn import Sequential
    >>> stages_of(Sequential(Conv2d(1, 1, 3), ReLU(), ReLU()))              # doctest: +ELLIPSIS
    [<minicnn.nn.fusion.Fused object at ...>, ReLU()]
    """
    known = known_of(model)
    if "runs" not in known:
        known["runs"] = runs(model.children().values())
    return [Fused(list(run)) if len(run) > 1 else run[0] for run in known["runs"]]


def is_two_by_two(pool: MaxPool2d) -> bool:
    """Return whether the pooling takes every 2x2 cells once, and its output alone.

    >>> is_two_by_two(MaxPool2d(2)), is_two_by_two(MaxPool2d(2, stride=1))
    (True, False)
    """
    geometry = pool.kernel_size, pool.stride, pool.padding, pool.dilation
    wanted = (2, 2), (2, 2), (0, 0), (1, 1)
    return geometry == wanted and not pool.ceil_mode and not pool.return_indices
