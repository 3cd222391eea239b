"""Inference again: for an input of a shape that has been seen before, the kernels and nothing else.

With gradients switched off, a `Sequential` is a function of its input and its parameters. What depends on
shapes and settings only (every check, the geometry, which layers are computed together) is settled by the
first input of its shape and dtype, which goes layer by layer as ever; the next one finds a list of steps:

    first input     check, look up, compute     check, look up, compute     check ...
    next input      compute                     compute                     compute

For one image the questions take as long as the answers. They are asked again as soon as an attribute of any
module changes (a hook is one, too) or a parameter has another shape or dtype.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minicnn import kernels
from minicnn.nn.activations import ReLU
from minicnn.nn.conv import Conv2d
from minicnn.nn.fusion import Fused, known_of, stages_of, watched
from minicnn.nn.linear import Flatten, Linear
from minicnn.nn.module import Module

SHAPES = 16  # for so many a model's steps are kept


class Steps:
    """What a model does for inputs of one shape and dtype.

    >>> from minicnn.nn import no_grad
    >>> layer = Linear(2, 1, bias=False)
    >>> layer.weight.data[...] = [[2, 3]]
    >>> image = np.float32([[10, 100]])
    >>> with no_grad():
    ...     steps, output = prepare([layer], image)
    >>> output, steps(image), steps.hold()
    (array([[320.]], dtype=float32), array([[320.]], dtype=float32), True)
    >>> layer.weight.data = np.zeros((1, 2))
    >>> steps.hold()                                        # float64: somebody must say no
    False
    """

    def __init__(self) -> None:
        self.steps: list[Callable] = []
        self.parameters: list = []  # and their shapes and dtypes

    def hold(self) -> bool:
        """Return whether the parameters are still as they were when they passed the checks."""
        for parameter, shape, dtype in self.parameters:
            data = parameter.data
            if data.shape != shape or data.dtype != dtype:
                return False
        return True

    def __call__(self, input: np.ndarray) -> np.ndarray:
        for step in self.steps:
            input = step(input)
        return input


def prepare(stages: list, input: np.ndarray) -> tuple[Steps, np.ndarray]:
    """Return the Steps for inputs like this one, and its output; gradients must be switched off.

    A layer that has no `step_of` is called as a whole. What comes out of it is anybody's guess, so behind it every
    step looks at its input again.
    """
    made, sure = Steps(), True
    for stage in stages:
        output = stage(input)
        step = step_of(stage, input, output)
        sure = sure and step is not None
        if step is not None and not sure:
            step = unless_changed(step, stage, input)
        made.steps.append(step or stage)
        made.parameters += [(p, p.data.shape, p.data.dtype) for p in stage.parameters()]
        input = output
    return made, input


def unless_changed(step: Callable, stage: Callable, example: np.ndarray) -> Callable:
    """Return a step that takes any input: those that are not like `example` go to the stage itself.

    >>> step = unless_changed(lambda input: input + 1, lambda input: input - 1, np.zeros(2))
    >>> step(np.zeros(2)), step(np.zeros(3))
    (array([1., 1.]), array([-1., -1., -1.]))
    """
    kind, shape, dtype = type(example), example.shape, example.dtype

    def run(input):
        alike = type(input) is kind and input.shape == shape and input.dtype == dtype
        return step(input) if alike else stage(input)

    return run


def step_of(stage, input: np.ndarray, output: np.ndarray) -> Callable | None:
    """Return what computes the outputs of a stage for inputs like this one; None if that is the stage itself.

    >>> step = step_of(Flatten(), np.zeros((1, 2, 2)), np.zeros((1, 4)))
    >>> step(np.ones((1, 2, 2)))
    array([[1., 1., 1., 1.]])
    >>> step_of(Module(), np.zeros(1), np.zeros(1)) is None
    True
    """
    layers = stage.layers if isinstance(stage, Fused) else [stage]
    layer, kind = layers[0], type(layers[0])
    if watched(layer):
        return None
    if kind is Conv2d and input.ndim == 4 and layer.padding_mode == "zeros":
        return convolution_step(layer, layers[1:], input)
    if kind is Linear and input.ndim == 2:
        weight, bias = layer.weight, layer.bias
        return lambda rows: kernels.linear(rows, weight.data, None if bias is None else bias.data)
    if kind is Flatten:
        shape = output.shape
        return lambda array: array.reshape(shape)
    return kernels.relu if kind is ReLU else None


def convolution_step(conv: Conv2d, others: list[Module], example: np.ndarray) -> Callable | None:
    """Return the step of a convolution and what is computed together with it, if no padding is uneven.

    >>> step = convolution_step(Conv2d(1, 1, 1, bias=False, rng=0), [ReLU()], np.zeros((1, 1, 2, 2), np.float32))
    >>> bool((step(np.ones((1, 1, 2, 2), np.float32)) >= 0).all())
    True
    """
    images, _, _, *geometry = conv.convolution_of(example)
    if images is not example:
        return None
    weight, bias = conv.weight, conv.bias
    functions = [kernels.conv2d]
    if others:
        functions += [
            kernels.conv2d_relu,
            lambda *convolution: kernels.conv2d_relu_max_pool2d(*convolution, keep=False)[0],
        ]
    function = functions[len(others)]
    return lambda array: function(array, weight.data, None if bias is None else bias.data, *geometry)


def infer(model: Module, input: np.ndarray) -> np.ndarray:
    """Return the output of a Sequential, in a thread where gradients are switched off.

    >>> from minicnn.nn import Sequential, no_grad
    >>> model = Sequential(Flatten(), ReLU())
    >>> with no_grad():
    ...     infer(model, np.float32([[[1, -2]]])), infer(model, np.float32([[[-3, 4]]]))
    (array([[1., 0.]], dtype=float32), array([[0., 4.]], dtype=float32))
    """
    known = known_of(model).setdefault("steps", {})
    like = (input.shape, input.dtype) if type(input) is np.ndarray else None
    steps = known.get(like)
    if steps is not None and steps.hold():
        return steps(input)
    steps, output = prepare(stages_of(model), input)
    if len(known) >= SHAPES:
        known.clear()
    if like is not None:
        known[like] = steps
    return output
