"""What a Sequential runs: stages, each of one layer or of several, that remember which inputs have passed.

All that the checks of a layer look at is the input's shape and dtype, and the layer itself. So the next input of
the same kind is computed at once, and so is its gradient on the way back:

    first input     check, look up, compute     check, look up, compute     check ...
    next input      compute                     compute                     compute

For one image the questions take as long as the answers; and between the kernels of a large batch, which leave
nothing else in the caches, three times as long. Nobody needs to know: whatever has not passed before, or does not
fit, goes to the layers themselves, who have something to say.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from minicnn import kernels
from minicnn.nn.module import Module

KINDS = 16  # so many kinds of inputs a stage remembers


class Stage:
    """Layers that are called one after another, as anybody would call them.

    Examples
    --------
    >>> from minicnn.nn import Flatten, Linear
    >>> stage = Stage([Flatten(), Linear(2, 1, bias=False)])
    >>> stage.layers[1].weight.data[...] = [[2, 3]]
    >>> stage(np.float32([[[10], [100]]])), stage.learns
    (array([[320.]], dtype=float32), True)
    >>> stage.backward(np.float32([[5]]))
    array([[[10.],
            [15.]]], dtype=float32)
    """

    repeats = False  # whether kernels make all numbers, and are called alike for every input of a kind

    def __init__(self, layers: list[Module]) -> None:
        self.layers = layers  # they see for themselves whether to `keep` something for backward
        self.known: dict = {}  # of inputs that have passed the checks, by their kind

    def __getstate__(self) -> dict:
        """What is known holds functions, which cannot be pickled; it is soon known again."""
        return vars(self) | {"known": {}}

    @cached_property
    def learns(self) -> bool:
        """Whether there are parameters."""
        return any(True for layer in self.layers for _ in layer.parameters())

    def __call__(self, input: np.ndarray, keep: bool = True) -> np.ndarray:
        for layer in self.layers:
            input = layer(input)
        return input

    def remember(self, kind: tuple | None, what) -> None:
        """Keep what is known of a kind of inputs.

        >>> stage = Stage([Module()])
        >>> stage.remember(kind_of(np.zeros(3)), "it passed")
        >>> stage.known
        {((3,), dtype('float64')): 'it passed'}
        """
        remember(self.known, kind, what)

    def made(self, output: np.ndarray) -> list[np.ndarray]:
        """Return the arrays that the last call has made, if the stage `repeats`: the output, and what else is kept."""
        return [output]

    def keep(self, known, input: np.ndarray, *made: np.ndarray) -> np.ndarray:
        """Let the layers save that they have `made` this of an input of a `known` kind; return the output."""
        raise NotImplementedError("a stage that repeats has its own")

    def work(self, input: np.ndarray, output: np.ndarray) -> int | None:
        """Return how many multiply-adds it took, if each image made its part of the output alone; else None.

        >>> Stage([Module()]).work(np.zeros((2, 3)), np.zeros((2, 3)))      # a layer may do anything
        """
        return None

    def unless_watched(self) -> Stage:
        """Return the stage; but if somebody has begun to watch one of its layers, one that calls them all."""
        return Stage(self.layers) if any(map(watched, self.layers)) else self

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return the gradient of the input; add to the gradients of the parameters."""
        for layer in reversed(self.layers):
            grad_output = layer.backward(grad_output)
        return grad_output

    def backward_parameters(self, grad_output: np.ndarray) -> None:
        """Add to the gradients of the parameters."""
        first, *others = self.layers
        for layer in reversed(others):
            grad_output = layer.backward(grad_output)
        first.backward_parameters(grad_output)


class FlattenStage(Stage):
    """Flatten: the same numbers in another shape.

    >>> from minicnn.nn import Flatten
    >>> stage = FlattenStage([Flatten()])
    >>> [stage(np.zeros((count, 2, 3))).shape for count in (1, 1, 5)]
    [(1, 6), (1, 6), (5, 6)]
    """

    repeats = True

    def __call__(self, input: np.ndarray, keep: bool = True) -> np.ndarray:
        layer, kind = self.layers[0], kind_of(input)
        shape = self.known.get(kind)
        if shape is None:
            output = layer(input)
            self.remember(kind, output.shape)
            return output
        return self.keep(shape, input) if keep else input.reshape(shape)

    def made(self, output: np.ndarray) -> list[np.ndarray]:
        return []

    def keep(self, known, input: np.ndarray) -> np.ndarray:
        self.layers[0].saved = {"output_shape": known, "dtype": input.dtype, "input_shape": input.shape}
        return input.reshape(known)

    def work(self, input: np.ndarray, output: np.ndarray) -> int | None:
        return 0 if output.shape[:1] == input.shape[:1] else None  # the images may be laid end to end

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        saved = saved_for(self.layers[0], grad_output)
        return super().backward(grad_output) if saved is None else grad_output.reshape(saved["input_shape"])


class LinearStage(Stage):
    """Linear, for rows (N, in_features).

    >>> from minicnn.nn import Linear
    >>> stage = LinearStage([Linear(2, 1, bias=False)])
    >>> stage.layers[0].weight.data[...] = [[2, 3]]
    >>> stage(np.float32([[10, 100]])), stage.backward(np.float32([[5]]))
    (array([[320.]], dtype=float32), array([[10., 15.]], dtype=float32))
    >>> stage.layers[0].weight.grad
    array([[ 50., 500.]], dtype=float32)
    """

    repeats = True

    def __call__(self, input: np.ndarray, keep: bool = True) -> np.ndarray:
        layer, kind = self.layers[0], kind_of(input)
        weight, bias = layer.weight.data, layer.bias
        if kind not in self.known or not alike(input, weight, bias):
            output = layer(input)
            if input.ndim == 2:
                self.remember(kind, True)
            return output
        output = kernels.linear(input, weight, None if bias is None else bias.data)
        return self.keep(True, input, output) if keep else output

    def keep(self, known, input: np.ndarray, output: np.ndarray) -> np.ndarray:
        layer, shape, dtype = self.layers[0], output.shape, output.dtype
        layer.saved = {"output_shape": shape, "dtype": dtype, "input": input, "weight": layer.weight.data}
        return output

    def work(self, input: np.ndarray, output: np.ndarray) -> int | None:
        return len(input) * self.layers[0].weight.data.size if input.ndim == 2 else None

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        if not self._learn(grad_output):
            return super().backward(grad_output)
        return kernels.linear_grad_input(grad_output, self.layers[0].saved["weight"])

    def backward_parameters(self, grad_output: np.ndarray) -> None:
        if not self._learn(grad_output):
            super().backward_parameters(grad_output)

    def _learn(self, grad_output: np.ndarray) -> bool:
        """Add to the gradients of the parameters, if nothing is to be asked; return whether."""
        layer = self.layers[0]
        saved = saved_for(layer, grad_output)
        if saved is None or grad_output.ndim != 2:
            return False
        layer.weight.accumulate(kernels.linear_grad_weight(grad_output, saved["input"]))
        if layer.bias is not None:
            layer.bias.accumulate(kernels.conv2d_grad_bias(grad_output))
        return True


def remember(known: dict, kind: tuple | None, what) -> None:
    """Keep what is known of a kind of inputs; if there are too many kinds, begin anew.

    >>> known = {}
    >>> for length in range(KINDS + 1):
    ...     remember(known, kind_of(np.zeros(length)), "it passed")
    >>> known
    {((16,), dtype('float64')): 'it passed'}
    """
    if len(known) >= KINDS:
        known.clear()
    if kind is not None:
        known[kind] = what


def kind_of(input) -> tuple | None:
    """Return all that checks look at: shape and dtype; None for what only looks like an array.

    >>> kind_of(np.zeros((1, 2))), kind_of([0.0])
    (((1, 2), dtype('float64')), None)
    """
    return (input.shape, input.dtype) if type(input) is np.ndarray else None


def alike(input: np.ndarray, weight: np.ndarray, bias) -> bool:
    """Return whether all have the same dtype; `bias` is a Parameter or None.

    >>> from minicnn.parameter import Parameter
    >>> alike(np.zeros(1), np.zeros(1), None), alike(np.zeros(1), np.zeros(1), Parameter(np.zeros(1, np.float32)))
    (True, False)
    """
    return input.dtype == weight.dtype and (bias is None or bias.data.dtype == weight.dtype)


def saved_for(layer: Module, grad_output: np.ndarray) -> dict | None:
    """Return what a layer has saved, if `grad_output` fits; else the layer has something to say.

    >>> from minicnn.nn import Flatten
    >>> layer = Flatten()
    >>> output = layer(np.zeros((1, 2, 3)))
    >>> saved_for(layer, np.zeros((1, 6)))["input_shape"], saved_for(layer, np.zeros((1, 5)))
    ((1, 2, 3), None)
    """
    saved = layer.saved
    if type(grad_output) is not np.ndarray or not saved:
        return None
    fits = grad_output.shape == saved["output_shape"] and grad_output.dtype == saved["dtype"]
    return saved if fits else None


def watched(module: Module) -> bool:
    """Return whether something has put itself before the module's own methods."""
    own = vars(module)
    return "forward" in own or "backward" in own
