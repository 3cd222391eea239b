"""A model as plain data, and back: {"kind": "Conv2d", "arguments": {...}, "children": {...}}.

A layer keeps each argument of its constructor under the argument's own name, so its signature tells what
to write down. The way back calls the constructor, which checks the values. Only layers of `minicnn.nn` are
ever built, and none before the sizes in the description are seen to be those of tensors that are there:
a small file cannot ask for much memory.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict

import numpy as np

from minicnn import checks, nn

# More is no net but an attack: every module costs a kB, and a Sequential looks at all before it takes one.
MOST_MODULES = 5000
NO_DEFAULT = inspect.Parameter.empty


def kinds() -> dict[str, type[nn.Module]]:
    """Return the layers and containers that can be described, by name.

    >>> kinds()["Linear"]
    <class 'minicnn.nn.linear.Linear'>
    """
    public = {name: getattr(nn, name) for name in nn.__all__}
    return {
        name: value
        for name, value in public.items()
        if inspect.isclass(value) and issubclass(value, nn.Module) and value is not nn.Module
    }


def arguments_of(kind: type[nn.Module]) -> dict[str, object]:
    """Return the names that the constructor of `kind` takes, with their defaults, but for `rng`.

    >>> arguments_of(nn.Dropout)
    {'p': 0.5}
    """
    signature = inspect.signature(kind.__init__)
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {
        name: parameter.default
        for name, parameter in signature.parameters.items()
        if parameter.kind in named and name not in ("self", "rng")
    }


# From a model to its description


def describe(model: nn.Module) -> dict:
    """Return the architecture of `model` as plain data, fit for JSON.

    Weights are not part of it, nor is the state of a dropout's generator.

    Parameters
    ----------
    model : nn.Module

    Returns
    -------
    dict with "kind" (name of a class in `minicnn.nn`), "arguments" and, if there are any, "children"

    Raises
    ------
    TypeError
        If a module in it is none of `minicnn.nn`, so that nobody could rebuild it from its name.
    ValueError
        If a module holds parameters or children that its constructor did not make.

    Examples
    --------
    >>> describe(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))
    {'kind': 'Sequential', 'arguments': {}, 'children': {'0': {'kind': 'Flatten', 'arguments': \
{'start_dim': 1, 'end_dim': -1}}, '1': {'kind': 'Linear', 'arguments': {'in_features': 4, \
'out_features': 2, 'bias': True, 'dtype': 'float32'}}}}
    """
    count = sum(1 for _ in model.modules())
    if count > MOST_MODULES:
        raise ValueError(
            f"describe: a model may have {MOST_MODULES} modules. Got {count}. Save it in several parts."
        )
    return _describe(model)


def _describe(module: nn.Module) -> dict:
    kind = type(module)
    if kinds().get(kind.__name__) is not kind:
        raise TypeError(
            f"{module.who}: only modules of minicnn.nn can be rebuilt from a file. Got the class "
            f"{kind.__module__}.{kind.__qualname__}. Build the model from nn.Sequential and nn.Residual, or "
            "save model.state_dict() alone."
        )
    children = module.children()
    arguments = {name: _plain_argument(module, name) for name in arguments_of(kind) if name not in children}
    description = {"kind": kind.__name__, "arguments": arguments}
    if children:
        description["children"] = {name: _describe(child) for name, child in children.items()}
    _check_own_state(module, description)
    return description


def _plain_argument(module: nn.Module, name: str):
    if name == "dtype":
        floats = [array for array in _own_state(module).values() if array.dtype in checks.FLOATS]
        return str(floats[0].dtype) if floats else "float32"
    value = getattr(module, name)
    if name == "bias":  # asked for as a bool, kept as a Parameter
        return value is not None
    if isinstance(value, tuple):
        return list(value)
    return value.item() if isinstance(value, np.generic) else value


def _own_state(module: nn.Module) -> dict[str, np.ndarray]:
    """Return the parameters and buffers of this module, without those below."""
    return {name: array for name, array in module.state_dict().items() if "." not in name}


def _check_own_state(module: nn.Module, description: dict) -> None:
    """Raise ValueError unless rebuilding gives the same parameters, buffers and children."""
    own = {name: (array.shape, str(array.dtype)) for name, array in _own_state(module).items()}
    made = dict(_tensors_of_layer(description))
    foreign = sorted(name for name in own.keys() | made.keys() if own.get(name) != made.get(name))
    if not isinstance(module, nn.Sequential | nn.Graph):
        foreign += sorted(module.children().keys() - arguments_of(type(module)).keys())
    if foreign:
        raise ValueError(
            f"{module.who}: a module can be rebuilt if all it holds comes from its constructor. "
            f"Got {foreign} besides. Put what is new into a layer of its own."
        )


# From a description to a model


def tensors_of(description: dict, prefix: str = "") -> dict[str, tuple[tuple[int, ...], str]]:
    """Return name, shape and dtype of every tensor of a model, without building it.

    >>> tensors_of(describe(nn.Sequential(nn.Linear(4, 2))))
    {'0.weight': ((2, 4), 'float32'), '0.bias': ((2,), 'float32')}
    """
    found = {prefix + name: facts for name, facts in _tensors_of_layer(description).items()}
    for name, child in description.get("children", {}).items():
        found |= tensors_of(child, f"{prefix}{name}.")
    return found


def _tensors_of_layer(description: dict) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return what one layer's constructor makes. Shapes as in the layers' own docstrings."""
    kind, given = description["kind"], _filled(description)

    def size(name: str) -> int:
        return checks.as_int(kind, name, given[name], minimum=1)

    if kind == "Linear":
        shapes = {"weight": (size("out_features"), size("in_features")), "bias": (size("out_features"),)}
    elif kind == "Conv2d":
        kernel_size = checks.as_pair(kind, "kernel_size", given["kernel_size"], minimum=1)
        per_group = size("in_channels") // size("groups")
        shapes = {
            "weight": (size("out_channels"), per_group, *kernel_size),
            "bias": (size("out_channels"),),
        }
    elif kind in ("BatchNorm1d", "BatchNorm2d"):
        channels = (size("num_features"),)
        shapes = dict.fromkeys(("weight", "bias"), channels) if given["affine"] else {}
        if given["track_running_stats"]:
            shapes |= {"running_mean": channels, "running_var": channels, "num_batches_tracked": ()}
    elif kind == "GroupNorm":
        shapes = dict.fromkeys(("weight", "bias"), (size("num_channels"),)) if given["affine"] else {}
    elif kind == "PReLU":
        shapes = {"weight": (size("num_parameters"),)}
    else:
        return {}
    if not given.get("bias", True):
        del shapes["bias"]
    dtype = str(checks.as_float_dtype(kind, given["dtype"]))
    return {
        name: (shape, "int64" if name == "num_batches_tracked" else dtype) for name, shape in shapes.items()
    }


def _filled(description: dict) -> dict[str, object]:
    """Return the arguments with defaults in place of those that are not there."""
    defaults = arguments_of(kinds()[description["kind"]])
    return defaults | description["arguments"]


def check_description(description) -> None:
    """Raise ValueError unless `description` has the form that `describe` gives it; values come later.

    >>> check_description({"kind": "Popen", "arguments": {"args": "rm"}})
    Traceback (most recent call last):
    ValueError: a module of the unknown kind 'Popen'
    """
    waiting, seen = [description], 0
    while waiting:
        module, seen = waiting.pop(), seen + 1
        if seen > MOST_MODULES:
            raise ValueError(f"more than {MOST_MODULES} modules")
        if not isinstance(module, dict) or not module.keys() <= {"kind", "arguments", "children"}:
            raise ValueError("a module without kind and arguments")
        kind, arguments, children = module.get("kind"), module.get("arguments"), module.get("children", {})
        if not isinstance(kind, str) or kind not in kinds():
            raise ValueError(f"a module of the unknown kind {kind!r:.40}")
        if not isinstance(arguments, dict) or not isinstance(children, dict):
            raise ValueError(f"a {kind} without arguments")
        known = arguments_of(kinds()[kind])
        given = arguments.keys() if kind in ("Sequential", "Graph") else arguments.keys() | children.keys()
        unknown = sorted(given - known.keys())
        missing = sorted(name for name in known.keys() - given if known[name] is NO_DEFAULT)
        if unknown or missing:
            raise ValueError(f"a {kind} with unknown arguments {unknown} and without {missing}")
        waiting += children.values()


def build(description: dict) -> nn.Module:
    """Return a new model of this architecture, with weights that mean nothing yet.

    Parameters
    ----------
    description : dict, as `describe` returns it

    Raises
    ------
    ValueError, TypeError
        If it describes no model. Who reads it from a file compares `tensors_of` with the tensors first:
        here whatever size it names is built.

    Examples
    --------
    >>> build(describe(nn.Sequential(nn.Flatten(), nn.Linear(4, 2))))
    Sequential(
      (0): Flatten(start_dim=1, end_dim=-1)
      (1): Linear(4, 2, bias=True)
    )
    """
    check_description(description)
    return _build(description)


def _build(description: dict) -> nn.Module:
    kind = kinds()[description["kind"]]
    children = {name: _build(child) for name, child in description.get("children", {}).items()}
    if issubclass(kind, nn.Sequential):
        return kind(OrderedDict(children))
    arguments = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in description["arguments"].items()
    }
    return kind(**arguments, **children)


def shared_parameters(model: nn.Module) -> dict[str, str]:
    """Return, for each Parameter that has a second name, that name and its first one.

    >>> model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    >>> model[1].weight = model[0].weight
    >>> shared_parameters(model)
    {'1.weight': '0.weight'}
    """
    first, shared = {}, {}
    for path, module in model.named_modules():
        for key, value in vars(module).items():
            if isinstance(value, nn.Parameter):
                name = f"{path}.{key}" if path else key
                if first.setdefault(id(value), name) != name:
                    shared[name] = first[id(value)]
    return shared


def share_parameters(model: nn.Module, shared: dict[str, str]) -> None:
    """Make one Parameter out of two again, for every pair of names that `shared_parameters` gave.

    >>> model = nn.Sequential(nn.Linear(2, 2, rng=0), nn.Linear(2, 2, rng=0))
    >>> share_parameters(model, {"1.weight": "0.weight"})
    >>> model[1].weight is model[0].weight
    True
    """
    modules = dict(model.named_modules())
    parameters = dict(model.named_parameters())
    for name, source in shared.items():
        path, _, key = name.rpartition(".")
        one, other = parameters[name], parameters[source]
        if not np.array_equal(one.data, other.data, equal_nan=True):
            raise ValueError(f"two values for the one parameter {source!r:.40} and {name!r:.40}")
        setattr(modules[path], key, other)
