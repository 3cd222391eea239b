"""What a module's state must look like before it is loaded, and names that stand for one thing each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np


def check_state(who: str, own: dict[str, np.ndarray], state) -> None:
    """Raise unless `state` has the names, shapes and dtypes of the module's own arrays.

    >>> check_state("Linear", {"weight": np.zeros((1, 2))}, {"weight": np.ones((1, 2))})
    """
    if not isinstance(state, Mapping):
        raise TypeError(
            f"{who}: load_state_dict needs a dict of arrays. Got {type(state).__name__}. "
            "Pass what state_dict() returned."
        )
    missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if missing or unknown:
        raise ValueError(
            f"{who}: load_state_dict needs the model's own names. Got missing {missing}, "
            f"unknown {unknown}. Build the model as it was when it was saved."
        )
    for name, array in own.items():
        value = np.asarray(state[name])
        if value.shape != array.shape:
            raise ValueError(
                f"{who}: load_state_dict needs {name} of shape {array.shape}. Got {value.shape}. "
                "Build the model as it was when it was saved."
            )
        if value.dtype != array.dtype:
            raise TypeError(
                f"{who}: load_state_dict needs {name} as {array.dtype}. Got {value.dtype}. "
                f"Convert the model first with model.astype(np.{value.dtype})."
            )
        if not array.flags.writeable:
            raise ValueError(
                f"{who}: load_state_dict needs arrays that can be written. Got {name}, which is read-only. "
                "Replace it by a copy of itself."
            )


def check_places(who: str, named: Iterator[tuple[str, object]]) -> None:
    """Raise ValueError if a module stands in two places: it remembers one forward, that of its last call.

    >>> relu = object()
    >>> check_places("Sequential", [("0", relu), ("body.1", relu)])
    Traceback (most recent call last):
    ValueError: Sequential: every place needs a module of its own. Got the same object at '0' and 'body.1'. \
Build a second one, and give it the first one's Parameters.
    """
    places: dict[int, str] = {}
    for place, module in named:
        if id(module) in places:
            raise ValueError(
                f"{who}: every place needs a module of its own. Got the same {type(module).__name__} at "
                f"{places[id(module)]!r} and {place!r}. Build a second one, and give it the first one's Parameters."
            )
        places[id(module)] = place


def once(named: Iterator[tuple[str, object]]) -> Iterator[tuple[str, object]]:
    """Leave out what came before under another name.

    >>> same = []
    >>> [name for name, _ in once([("a", same), ("b", same), ("c", [])])]
    ['a', 'c']
    """
    seen = set()
    for name, value in named:
        if id(value) not in seen:
            seen.add(id(value))
            yield name, value
