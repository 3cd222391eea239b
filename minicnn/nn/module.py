"""Module: what every layer and every model is made of.

A layer is a class with two methods that stand one above the other:

    forward(input)        -> output        and self.save(output, ...) for what backward needs
    backward(grad_output) -> grad_input    and parameter.accumulate(...) for what it learns

There is no graph and no tape. `model.backward(grad)` is a plain call that goes from layer to layer.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from minicnn import checks
from minicnn.nn import hooks
from minicnn.nn.grad_mode import is_grad_enabled
from minicnn.nn.state import check_state, once
from minicnn.parameter import Parameter

_numbers = itertools.count(1)
_edits = 0


def edits() -> int:
    """Return a number that changes whenever an attribute of any module is set or deleted, but for `saved`.

    Who works out something from modules and keeps it can see by this number whether it still holds.

    >>> before, module = edits(), Module()
    >>> between = edits()
    >>> module.saved = {}
    >>> before < between == edits()
    True
    """
    return _edits


class Module:
    """The base of all layers and models.

    Parameters, child modules and random generators are found among the attributes, in the order in
    which they were set; arrays that belong to the state but are not learned are named in
    `buffer_names`.

    Attributes
    ----------
    training : bool
        True after `train()`, False after `eval()`; dropout and batch norm behave accordingly.
    saved : dict
        What the last forward kept for backward, by name. The inspector reads it too.
    name : str
        Where the module stands in its model (`"0"`, `"features.3"`); empty for the model itself.

    Examples
    --------
    >>> from minicnn import nn
    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> [(name, parameter.data.shape) for name, parameter in model.named_parameters()]
    [('0.weight', (3, 4)), ('0.bias', (3,)), ('2.weight', (2, 3)), ('2.bias', (2,))]
    """

    buffer_names: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.name = ""
        self.training = True
        self.saved: dict = {}

    # What a layer defines, and what it gets for it

    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return the output for `input`. Every layer writes its own."""
        raise TypeError(f"{self.who}: forward is missing. Got a module without one. Define forward(input).")

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return the gradient of the input, and add to the gradients of the parameters."""
        raise TypeError(
            f"{self.who}: backward is missing. Got a module without one. Define backward(grad_output)."
        )

    def backward_parameters(self, grad_output: np.ndarray) -> None:
        """Add to the gradients of the parameters as `backward` does; nobody asks for the input's gradient.

        The first layer of a model then has less to do: training does not change the images.

        >>> from minicnn import nn
        >>> layer = nn.Linear(2, 1, bias=False)
        >>> output = layer(np.float32([[3, 4]]))
        >>> layer.backward_parameters(np.float32([[10]]))
        >>> layer.weight.grad
        array([[30., 40.]], dtype=float32)
        """
        if "backward" in vars(self):  # somebody watches, and sees every gradient
            self.backward(grad_output)
        else:
            self._backward_parameters(grad_output)

    def _backward_parameters(self, grad_output: np.ndarray) -> None:
        """Do so; a layer that can save work writes its own."""
        self.backward(grad_output)

    def __call__(self, input: np.ndarray) -> np.ndarray:
        return self.forward(input)

    def save(self, output: np.ndarray, /, **needed) -> None:
        """Keep what backward needs, under its name, unless `no_grad` is on."""
        if is_grad_enabled():
            vars(self)["saved"] = {"output_shape": output.shape, "dtype": output.dtype, **needed}

    def recall(self, grad_output: np.ndarray) -> dict:
        """Return what forward saved, once `grad_output` is seen to fit the output."""
        if not self.saved:
            raise RuntimeError(
                f"{self.who}: backward needs a forward first. Call model(x), then the loss, then backward."
            )
        if "fused" in self.saved:  # computed together with its neighbours: now alone
            self.saved["fused"].unfold(self.who)
        self.check_grad_output(grad_output)
        return self.saved

    def check_grad_output(self, grad_output: np.ndarray) -> None:
        """Raise unless `grad_output` has the shape and dtype of the last forward's output."""
        checks.as_float_array(self.who, "grad_output", grad_output)
        if grad_output.shape != self.saved["output_shape"]:
            raise ValueError(
                f"{self.who}: grad_output must have the output's shape {self.saved['output_shape']}. "
                f"Got {grad_output.shape}. Pass the gradient of the last forward's output."
            )
        if grad_output.dtype != self.saved["dtype"]:
            raise TypeError(
                f"{self.who}: grad_output must be {self.saved['dtype']}, as the output is. "
                f"Got {grad_output.dtype}. Convert it with .astype(np.{self.saved['dtype']})."
            )

    # Names

    @property
    def who(self) -> str:
        """How messages call this module: its class, and its name in the model."""
        return f'{type(self).__name__} "{self.name}"' if self.name else type(self).__name__

    def __delattr__(self, key: str) -> None:
        global _edits
        object.__delattr__(self, key)
        _edits = next(_numbers)

    def __setattr__(self, key: str, value) -> None:
        global _edits
        if key == "saved":
            object.__setattr__(self, key, value)
            return
        if isinstance(value, (Module, Parameter)) and "saved" not in vars(self):
            raise RuntimeError(
                f"{type(self).__name__}: a module needs its base before its parts. Got {key!r} first. "
                "Call super().__init__() at the top of __init__."
            )
        if value is not None and not isinstance(value, Parameter) and type(vars(self).get(key)) is Parameter:
            raise TypeError(
                f"{self.who}: {key} must be a Parameter or None. Got {type(value).__name__}. "
                f"Set {key}.data to give it other numbers."
            )
        object.__setattr__(self, key, value)
        _edits = next(_numbers)  # afterwards: whoever sees the new number sees the new value
        if isinstance(value, Module):  # children learn their place at once, so that messages can tell it
            for path, module in self.named_modules():
                module.name = f"{self.name}.{path}" if self.name and path else self.name or path

    def add_module(self, name: str, module: Module) -> None:
        """Set `module` as the attribute `name`, once it is seen that this hides no method.

        >>> from minicnn import nn
        >>> model = nn.Sequential()
        >>> model.add_module("act", nn.ReLU())
        >>> model.children()
        {'act': ReLU()}
        """
        check_module(self.who, f"child {name!r}", module)
        taken = hasattr(self, name) and name not in self.children()
        if not name or "." in name or taken:
            raise ValueError(
                f"{self.who}: a child needs a free name without a dot. Got {name!r}. Choose another name."
            )
        setattr(self, name, module)

    def children(self) -> dict[str, Module]:
        """Return the modules directly below this one, by name.

        >>> from minicnn import nn
        >>> nn.Sequential(nn.ReLU(), nn.Tanh()).children()
        {'0': ReLU(), '1': Tanh()}
        """
        return {key: value for key, value in vars(self).items() if isinstance(value, Module)}

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Yield this module as `prefix` and all below it, each once, with dotted names."""
        return once(self._walk(prefix))

    def _walk(self, prefix: str) -> Iterator[tuple[str, Module]]:
        yield prefix, self
        for key, child in self.children().items():
            yield from child._walk(f"{prefix}.{key}" if prefix else key)

    def _places(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Yield this module and all below it, with dotted names; each once, for its own forward sees to the rest.

        A container that lets every child remember its one forward yields each place that it has.
        """
        return self.named_modules(prefix)

    def modules(self) -> Iterator[Module]:
        """Yield this module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def _named(self, kind: type) -> Iterator[tuple[str, object]]:
        """Yield the attributes of one kind, here and below; of arrays only those in `buffer_names`."""
        for path, module in self._walk(""):
            for key, value in vars(module).items():
                if isinstance(value, kind) and (kind is not np.ndarray or key in module.buffer_names):
                    yield f"{path}.{key}" if path else key, value

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield every parameter once, with the name that torch gives it."""
        return once(self._named(Parameter))

    def parameters(self) -> Iterator[Parameter]:
        """Yield every parameter once."""
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield what belongs to the state but is not learned, such as `running_mean`, each once."""
        return once(self._named(np.ndarray))

    def named_generators(self) -> Iterator[tuple[str, np.random.Generator]]:
        """Yield the sources of chance inside the model (those of dropout), for checkpoints and traces."""
        return once(self._named(np.random.Generator))

    # State

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return copies of all parameters and buffers, under torch's names (shared ones under each name).

        >>> from minicnn import nn
        >>> sorted(nn.Linear(2, 1).state_dict())
        ['bias', 'weight']
        """
        return {name: array.copy() for name, array in self._state().items()}

    def _state(self) -> dict[str, np.ndarray]:
        parameters = {name: parameter.data for name, parameter in self._named(Parameter)}
        return parameters | dict(self._named(np.ndarray))

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Copy values from `state` into the parameters and buffers: all of them, or none.

        Raises
        ------
        ValueError
            If a name is missing or unknown, or a shape differs; the message lists every such name.
        TypeError
            If a dtype differs, or `state` is no dict.
        """
        own = self._state()
        check_state(self.who, own, state)
        values = {
            name: np.array(state[name]) for name in own
        }  # copies: `state` may hold the model's own arrays
        for name, array in own.items():
            array[...] = values[name]

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    def train(self, mode: bool = True) -> Module:
        """Switch this module and all below it to training (or, with False, to evaluation)."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """Switch to evaluation: dropout passes through, batch norm uses its running statistics."""
        return self.train(False)

    def astype(self, dtype) -> Module:
        """Convert parameters and float buffers to float32 or float64 in place; gradients are dropped.

        >>> from minicnn import nn
        >>> nn.Linear(2, 1).astype(np.float64).weight
        Parameter(shape=(1, 2), dtype=float64)
        """
        dtype = checks.as_float_dtype(self.who, dtype)
        for module in self.modules():
            module.saved = {}
            for key, value in list(vars(module).items()):
                if isinstance(value, Parameter):
                    value.data, value.grad = value.data.astype(dtype), None
                elif key in module.buffer_names and value is not None and value.dtype.kind == "f":
                    setattr(module, key, value.astype(dtype))
        return self

    # Watch

    def register_forward_hook(self, hook: Callable) -> hooks.Handle:
        """Call ``hook(module, input, output)`` after every forward; see `minicnn.nn.hooks`."""
        return hooks.register(self, "forward", hook)

    def register_full_backward_hook(self, hook: Callable) -> hooks.Handle:
        """Call ``hook(module, grad_input, grad_output)`` after every backward; see `minicnn.nn.hooks`."""
        return hooks.register(self, "backward", hook)

    # Print

    def arguments(self) -> str:
        """Return what stands between the brackets when the layer is printed."""
        return ""

    def __repr__(self) -> str:
        children = self.children()
        if not children:
            return f"{type(self).__name__}({self.arguments()})"
        lines = [f"  ({key}): " + repr(child).replace("\n", "\n  ") for key, child in children.items()]
        return f"{type(self).__name__}(\n" + "\n".join(lines) + "\n)"


def check_module(who: str, what: str, value) -> None:
    """Raise TypeError unless `value` is a layer.

    >>> check_module("Residual", "body", Module())
    """
    if not isinstance(value, Module):
        advice = "Pass layers such as nn.ReLU() (with the brackets)."
        if checks.library_of(value) == "torch":
            advice = "Bring it over first with from_torch."
        raise TypeError(f"{who}: {what} must be a minicnn module. Got {checks.called(value)}. {advice}")
