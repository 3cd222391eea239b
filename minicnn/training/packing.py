"""Nested state as JSON beside arrays, and back, without loss: what `state_dict`s are made of."""

from __future__ import annotations

import numpy as np


def pack(value, tensors: dict[str, np.ndarray]):
    """Return `value` as plain data for JSON; its arrays go into `tensors`, under numbers.

    Parameters
    ----------
    value : dict, list, tuple, array, text, number, bool or None, nested in any way
        Keys of dicts may be text, numbers or None.
    tensors : dict
        Is added to.

    Raises
    ------
    TypeError
        If something else lies in it.

    Examples
    --------
    >>> tensors = {}
    >>> pack({"step": 3, "betas": (0.9, 0.99), 0: np.float32([1, 2])}, tensors)
    {'dict': [['step', 3], ['betas', {'tuple': [0.9, 0.99]}], [0, {'array': '0'}]]}
    >>> tensors
    {'0': array([1., 2.], dtype=float32)}
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.ndarray | np.generic):
        name = str(len(tensors))
        tensors[name] = np.asarray(value)
        return {"array" if isinstance(value, np.ndarray) else "number": name}
    if isinstance(value, list):
        return [pack(inner, tensors) for inner in value]
    if isinstance(value, tuple):
        return {"tuple": [pack(inner, tensors) for inner in value]}
    if isinstance(value, dict):
        return {"dict": [[pack(key, tensors), pack(inner, tensors)] for key, inner in value.items()]}
    raise TypeError(
        "fit: a checkpoint holds numbers, text, arrays, lists, tuples and dicts. "
        f"Got {type(value).__name__} in a state_dict. Leave checkpoint out, or keep plain data there."
    )


def unpack(packed, tensors: dict[str, np.ndarray]):
    """Return what `pack` was given.

    >>> unpack({"dict": [["betas", {"tuple": [0.9, {"number": "0"}]}]]}, {"0": np.float64([0.5]).reshape(())})
    {'betas': (0.9, np.float64(0.5))}
    """
    if isinstance(packed, list):
        return [unpack(inner, tensors) for inner in packed]
    if not isinstance(packed, dict):
        return packed
    ((kind, inner),) = packed.items()
    if kind == "array":
        return tensors[inner]
    if kind == "number":
        return tensors[inner][()]
    if kind == "tuple":
        return tuple(unpack(item, tensors) for item in inner)
    return {unpack(key, tensors): unpack(item, tensors) for key, item in inner}
