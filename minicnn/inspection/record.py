"""Run a model once while every layer's call is written down, and leave the model as it was found.

A layer is watched by an attribute of its own that stands before the method of its class: for the time
of the recording, `module.forward` is a function that calls the real one and keeps what went in and came
out. Layers that are not watched pay nothing for this.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from minicnn import nn
from minicnn.nn import Module


@dataclass(eq=False)
class Step:
    """What one call of one layer did.

    Attributes
    ----------
    name : str
        The layer's name in the model; "loss", "softmax" and "label" for the last three steps.
    kind : str
        The class of the layer.
    module : Module, Loss or None
        The layer itself.
    input, output : ndarray
    grad_input, grad_output : ndarray or None
        None where no backward pass was recorded.
    parameters, grads : dict of str to ndarray
        The values, and what this call alone added to the gradients, by the parameter's own name.
    saved : dict
        What the layer kept for backward.
    training : bool
        The layer's mode during the call.
    parts, grad_parts : dict of str to ndarray
        What the children of a layer that adds several paths gave, forward and backward; or, of a layer
        with several inputs, each input and its gradient ("input 0", ...), of which `input` is the first.
    origin : tuple of int, or None
        Behind a Flatten: the shape (C, H, W) that the columns of `input` had.

    Examples
    --------
    >>> Step("0", "ReLU", None, input=np.float32([-1]), output=np.float32([0])).kind
    'ReLU'
    """

    name: str
    kind: str
    module: object
    input: np.ndarray
    output: np.ndarray
    grad_output: np.ndarray | None = None
    grad_input: np.ndarray | None = None
    parameters: dict = field(default_factory=dict)
    grads: dict = field(default_factory=dict)
    saved: dict = field(default_factory=dict)
    training: bool = True
    parts: dict = field(default_factory=dict)
    grad_parts: dict = field(default_factory=dict)
    origin: tuple | None = None

    def array(self, of: str) -> np.ndarray | None:
        """Return the array called "output", "grad_input" or "<parameter>.grad"; None where there is none.

        Of a layer with several inputs, "grad_input 1" is the gradient of the second one.

        >>> Step("0", "Linear", None, None, None, grads={"bias": np.ones(1)}).array("bias.grad")
        array([1.])
        """
        if of.endswith(".grad"):
            return self.grads.get(of.removesuffix(".grad"))
        if of.startswith("grad_input "):
            return self.grad_parts.get(of.removeprefix("grad_"))
        return {"output": self.output, "grad_input": self.grad_input}.get(of)

    @property
    def who(self) -> str:
        """How the step is called in texts: its kind and its name."""
        return f'{self.kind} "{self.name}"'


def own_parameters(module: Module) -> dict:
    """Return the parameters that belong to `module` itself, not to its children.

    >>> sorted(own_parameters(nn.Linear(2, 1)))
    ['bias', 'weight']
    """
    return {key: value for key, value in vars(module).items() if isinstance(value, nn.Parameter)}


@contextlib.contextmanager
def unchanged(model: Module) -> Iterator[None]:
    """Give back, at the end, all that a forward and a backward change, to the same bits.

    Gradients, buffers (batch norm's statistics), generators (dropout's), what layers saved, and modes.

    >>> model = nn.Linear(2, 1)
    >>> with unchanged(model):
    ...     grad = model.backward(model(np.ones((1, 2), np.float32)))
    >>> model.weight.grad is None, model.saved
    (True, {})
    """
    grads = [(parameter, parameter.grad) for parameter in model.parameters()]
    values = [(parameter, parameter.data, parameter.data.copy()) for parameter in model.parameters()]
    buffers = [
        (module, key, getattr(module, key), np.copy(getattr(module, key)))
        for module in model.modules()
        for key in module.buffer_names
        if getattr(module, key) is not None
    ]
    states = [(g, copy.deepcopy(g.bit_generator.state)) for _, g in model.named_generators()]
    modules = [(module, module.saved, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for parameter, grad in grads:
            parameter.grad = grad
        for parameter, data, value in values:
            if data.flags.writeable:  # what cannot be written has not changed
                data[...] = value
            parameter.data = data
        for module, key, buffer, value in buffers:
            buffer[...] = value
            setattr(module, key, buffer)
        for generator, state in states:
            generator.bit_generator.state = state
        for module, saved, training in modules:
            module.saved, module.training = saved, training


@contextlib.contextmanager
def kept(criterion) -> Iterator[None]:
    """Give the criterion back what it had saved.

    >>> criterion = nn.MSELoss()
    >>> with kept(criterion):
    ...     loss = criterion(np.ones(2), np.zeros(2))
    >>> criterion.saved
    {}
    """
    saved = criterion.saved
    try:
        yield
    finally:
        criterion.saved = saved


@contextlib.contextmanager
def recording(model: Module) -> Iterator[list[Step]]:
    """Yield a list that fills with a Step for every call of every layer below `model`.

    `Sequential` and `Graph` only pass on, so they make no steps of their own.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(2, 1))
    >>> with recording(model) as steps:
    ...     output = model(np.ones((1, 2), np.float32))
    >>> [step.who for step in steps]
    ['Flatten "0"', 'Linear "1"']
    """
    steps: list[Step] = []
    latest: dict[int, dict] = {}
    watched = []
    try:
        for name, module in model.named_modules():
            watched.append((module, {key: vars(module).get(key) for key in ("forward", "backward")}))
            _watch(module, name, steps, latest)
        yield steps
    finally:
        for module, before in watched:
            for method, function in before.items():
                if method in vars(module):
                    delattr(module, method)
                if function is not None:
                    setattr(module, method, function)


def each_input(arrays) -> dict[str, np.ndarray]:
    """Return a tuple's arrays by name; nothing for one array.

    >>> each_input((np.ones(1), np.zeros(1)))
    {'input 0': array([1.]), 'input 1': array([0.])}
    """
    if not isinstance(arrays, tuple):
        return {}
    return {f"input {position}": array for position, array in enumerate(arrays)}


def _watch(module: Module, name: str, steps: list[Step], latest: dict[int, dict]) -> None:
    """Let `module` write down its calls; a backward belongs to the latest forward without one.

    `latest` holds each module's latest output and input gradient, for the layer that adds them.
    """
    forward, backward = module.forward, module.backward
    open_calls: list[Step] = []

    def parts_of(key: str) -> dict:
        children = {child: latest.get(id(m), {}) for child, m in module.children().items()}
        return {child: arrays[key] for child, arrays in children.items() if key in arrays}

    def recorded_forward(input):
        output = forward(input)
        latest[id(module)] = {"output": output}
        several = each_input(input)
        calls = sum(step.module is module for step in steps)
        step = Step(
            name=f"{name}#{calls + 1}" if calls else name,
            kind=type(module).__name__,
            module=module,
            input=several["input 0"] if several else input,
            output=output[0] if isinstance(output, tuple) else output,
            parameters={key: parameter.data for key, parameter in own_parameters(module).items()},
            saved=module.saved,
            training=module.training,
            parts=several or parts_of("output"),
        )
        open_calls.append(step)
        if not isinstance(module, nn.Sequential | nn.Graph):
            steps.append(step)
        return output

    def recorded_backward(grad_output):
        step = open_calls.pop()
        own = own_parameters(module)
        before = {key: parameter.grad for key, parameter in own.items()}
        for parameter in own.values():
            parameter.grad = None
        step.grad_output = grad_output
        given = backward(grad_output)
        several = each_input(given)
        step.grad_input = several["input 0"] if several else given
        step.grads = {key: parameter.grad for key, parameter in own.items() if parameter.grad is not None}
        for key, parameter in own.items():
            if before[key] is not None:
                parameter.grad = before[key] if parameter.grad is None else before[key] + parameter.grad
        latest[id(module)]["grad_input"] = given
        step.grad_parts = several or parts_of("grad_input")
        return given

    module.forward, module.backward = recorded_forward, recorded_backward


def name_origins(steps: list[Step]) -> None:
    """Tell every layer that follows a Flatten which shape its columns had.

    >>> x = np.zeros((1, 2, 3, 4))
    >>> flat = x.reshape(1, 24)
    >>> steps = [Step("0", "Flatten", None, x, flat), Step("1", "Linear", None, flat, None)]
    >>> name_origins(steps)
    >>> steps[1].origin
    (2, 3, 4)
    """
    shapes = {id(step.output): step.input.shape[1:] for step in steps if step.kind == "Flatten"}
    for step in steps:
        shape = shapes.get(id(step.input))
        step.origin = shape if shape is not None and len(shape) == 3 else None
