"""ModuleTree: the names of a model's parts, its state, and its printed form.

    model                 named_modules      "", "body", "body.0", "head"
    ├─ body               named_parameters   "body.0.weight", "body.0.bias", "head.weight"
    │  └─ 0               state_dict         the same, and buffers, by the names that torch gives them
    └─ head

What a module computes is not written here, but in `module`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from minicnn import checks
from minicnn.nn.state import check_state, once
from minicnn.parameter import Parameter

_numbers = itertools.count(1)
_edits = 0


def edits() -> int:
    """Return a number that changes whenever an attribute of any module is set or deleted, but for `saved`.

    Who works out something from modules and keeps it can see by this number whether it still holds.

    >>> from minicnn import nn
    >>> before, module = edits(), nn.ReLU()
    >>> between = edits()
    >>> module.saved = {}
    >>> before < between == edits()
    True
    """
    return _edits


class ModuleTree:
    """What is found among a module's attributes: parts, parameters, buffers, generators.

    Examples
    --------
    >>> from minicnn import nn
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU()))
    >>> [name for name, _ in model.named_modules()]
    ['', '0', '1', '1.0']
    """

    buffer_names: tuple[str, ...] = ()
    name: str

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
        if isinstance(value, (ModuleTree, Parameter)) and "saved" not in vars(self):
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
        if isinstance(value, ModuleTree):  # children learn their place at once, so that messages can tell it
            for path, module in self.named_modules():
                module.name = f"{self.name}.{path}" if self.name and path else self.name or path

    def add_module(self, name: str, module: ModuleTree) -> None:
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

    def children(self) -> dict[str, ModuleTree]:
        """Return the modules directly below this one, by name.

        >>> from minicnn import nn
        >>> nn.Sequential(nn.ReLU(), nn.Tanh()).children()
        {'0': ReLU(), '1': Tanh()}
        """
        return {key: value for key, value in vars(self).items() if isinstance(value, ModuleTree)}

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, ModuleTree]]:
        """Yield this module as `prefix` and all below it, each once, with dotted names."""
        return once(self._walk(prefix))

    def _walk(self, prefix: str) -> Iterator[tuple[str, ModuleTree]]:
        yield prefix, self
        for key, child in self.children().items():
            yield from child._walk(f"{prefix}.{key}" if prefix else key)

    def _places(self, prefix: str = "") -> Iterator[tuple[str, ModuleTree]]:
        """Yield this module and all below it, with dotted names; each once, for its own forward sees to the rest.

        A container that lets every child remember its one forward yields each place that it has.
        """
        return self.named_modules(prefix)

    def modules(self) -> Iterator[ModuleTree]:
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

    >>> from minicnn import nn
    >>> check_module("Residual", "body", nn.ReLU())
    """
    if not isinstance(value, ModuleTree):
        advice = "Pass layers such as nn.ReLU() (with the brackets)."
        if checks.library_of(value) == "torch":
            advice = "Bring it over first with from_torch."
        raise TypeError(f"{who}: {what} must be a minicnn module. Got {checks.called(value)}. {advice}")
