"""What a caller passes, checked in one place: before any kernel runs, in one sentence.

Every message reads *who: rule. Got what. What to do.* `who` is the layer with its name in the model
(`Conv2d "0"`), the loss or the function. A check returns None or raises; `as_*` converts and raises
where it cannot.
"""

from __future__ import annotations

import math
import numbers
import operator

import numpy as np

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
ARRAYS = (np.ndarray, np.memmap)  # np.matrix multiplies otherwise, and a masked array hides numbers

# Decorates methods in which NaN and infinity pass as in torch: arithmetic on them is no accident to warn of.
without_warnings = np.errstate(over="ignore", invalid="ignore", divide="ignore")


def cast(numbers, dtype=np.float64) -> np.ndarray:
    """Return numbers in another dtype, in the shape that they have.

    ``np.float64(numbers)`` reads as well, but before NumPy 2.4 it makes a scalar of an array of one number.

    >>> cast(np.float32([[3]])), cast(np.float32(3))
    (array([[3.]]), np.float64(3.0))
    """
    return np.asarray(numbers, dtype)[()]


def library_of(value) -> str | None:
    """Return "torch" or "minicnn" if the class of `value` is of one of them, or derived from one; else None.

    >>> library_of(np.zeros(2)) is None
    True
    """
    modules = (kind.__module__.partition(".")[0] for kind in type(value).__mro__)
    return next((name for name in modules if name in ("torch", "minicnn")), None)


def called(value) -> str:
    """Return what a message calls a value of the wrong class: by its class, and the library if both have it.

    >>> called(np.zeros(2)), called(dict)
    ('ndarray', 'type')
    """
    library, name = library_of(value), type(value).__name__
    return name if library is None else f"{library}'s {name}"


def as_float_array(who: str, what: str, value) -> np.ndarray:
    """Return `value` as it is if it is a native float32 or float64 array; nothing is cast silently.

    Raises
    ------
    TypeError
        If `value` is no array, or holds another dtype or another byte order.

    Examples
    --------
    >>> as_float_array("ReLU", "input", np.float32([1, -2]))
    array([ 1., -2.], dtype=float32)
    >>> as_float_array("ReLU", "input", np.array([1, -2]))
    Traceback (most recent call last):
    TypeError: ReLU: input must be float32 or float64. Got int64. Convert it with .astype(np.float32).
    """
    if type(value) not in ARRAYS:
        raise TypeError(
            f"{who}: {what} must be a NumPy array. Got {type(value).__name__}. Convert it with np.asarray."
        )
    if value.dtype not in FLOATS:
        raise TypeError(
            f"{who}: {what} must be float32 or float64. Got {value.dtype}. "
            "Convert it with .astype(np.float32)."
        )
    return value


def as_float_dtype(who: str, dtype) -> np.dtype:
    """Return float32 or float64 as a NumPy dtype.

    >>> as_float_dtype("Linear", np.float64)
    dtype('float64')
    >>> as_float_dtype("Linear", np.float16)
    Traceback (most recent call last):
    TypeError: Linear: dtype must be float32 or float64. Got float16. Pass np.float32 or np.float64.
    """
    try:
        found = None if dtype is None else np.dtype(dtype)  # np.dtype(None) would be float64
    except TypeError:
        found = None
    if found is None or found not in FLOATS:
        got = dtype if found is None else found
        raise TypeError(f"{who}: dtype must be float32 or float64. Got {got}. Pass np.float32 or np.float64.")
    return found


def check_same_dtype(who: str, what: str, array: np.ndarray, dtype: np.dtype) -> None:
    """Raise TypeError unless `array` has the layer's dtype.

    >>> check_same_dtype("Linear", "input", np.zeros(2), np.dtype(np.float32))
    Traceback (most recent call last):
    TypeError: Linear: input must be float32, as the layer's parameters are. Got float64. Convert the input \
with .astype(np.float32), or the model with model.astype(np.float64).
    """
    if array.dtype != dtype:
        raise TypeError(
            f"{who}: {what} must be {dtype}, as the layer's parameters are. Got {array.dtype}. Convert the "
            f"{what} with .astype(np.{dtype}), or the model with model.astype(np.{array.dtype})."
        )


def own_array(layer, name: str) -> np.ndarray:
    """Return the numbers of a layer's parameter; somebody may have taken it away.

    >>> from types import SimpleNamespace
    >>> own_array(SimpleNamespace(who="Linear", weight=None), "weight")
    Traceback (most recent call last):
    TypeError: Linear: weight must be a Parameter. Got None. Set it to one, such as that of a new layer.
    """
    parameter = getattr(layer, name)
    if parameter is None:
        raise TypeError(
            f"{layer.who}: {name} must be a Parameter. Got None. Set it to one, such as that of a new layer."
        )
    return parameter.data


def check_own_array(who: str, what: str, array: np.ndarray, shape: tuple[int, ...], dtype) -> None:
    """Raise unless an array that belongs to a layer has the shape that it was built for, and its dtype.

    >>> check_own_array("Linear", "bias", np.zeros(2), (3,), np.float64)
    Traceback (most recent call last):
    ValueError: Linear: bias must have shape (3,), as the layer was built. Got (2,). Build a layer of the other size.
    """
    if array.dtype != dtype:
        raise TypeError(
            f"{who}: {what} must be {dtype}, as the layer's other arrays are. Got {array.dtype}. "
            f"Convert it with .astype(np.{dtype})."
        )
    if array.shape != shape:
        raise ValueError(
            f"{who}: {what} must have shape {shape}, as the layer was built. Got {array.shape}. "
            "Build a layer of the other size."
        )


def as_int(who: str, what: str, value, minimum: int | None = None) -> int:
    """Return `value` as an int, of at least `minimum` if one is given.

    >>> as_int("Conv2d", "groups", 0, minimum=1)
    Traceback (most recent call last):
    ValueError: Conv2d: groups must be at least 1. Got 0. Pass a larger number.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(
            f"{who}: {what} must be an integer. Got {value!r} ({type(value).__name__}). Pass an int."
        ) from None
    if minimum is not None and number < minimum:
        raise ValueError(f"{who}: {what} must be at least {minimum}. Got {number}. Pass a larger number.")
    return number


def as_number(who: str, what: str, value, low: float = -math.inf, high: float = math.inf) -> float:
    """Return `value` as a float from `low` to `high`, both included; NaN is no such number.

    >>> as_number("Dropout", "p", 1.5, low=0, high=1)
    Traceback (most recent call last):
    ValueError: Dropout: p must lie between 0 and 1. Got 1.5. Pass a number in this range.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(
            f"{who}: {what} must be a number. Got {value!r} ({type(value).__name__}). Pass a float."
        )
    number = float(value)
    if not low <= number <= high:
        raise ValueError(
            f"{who}: {what} must lie between {low} and {high}. Got {value}. Pass a number in this range."
        )
    return number


def as_rng(who: str, rng) -> np.random.Generator:
    """Return the generator that `rng` is or seeds; None for one that differs every time.

    >>> as_rng("Linear", 0).integers(10), as_rng("Linear", np.random.default_rng(0)).integers(10)
    (np.int64(8), np.int64(8))
    >>> as_rng("Linear", "zero")
    Traceback (most recent call last):
    TypeError: Linear: rng must be a seed of at least 0, a NumPy Generator, or None. Got 'zero'. Pass rng=0 for the \
same draws every time.
    """
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"{who}: rng must be a seed of at least 0, a NumPy Generator, or None. Got {rng!r}. "
            "Pass rng=0 for the same draws every time."
        ) from None


def as_axis(who: str, what: str, array: np.ndarray, axis) -> int:
    """Return `axis` of `array`, counted from the front.

    >>> as_axis("softmax", "logits", np.zeros((8, 10)), -1)
    1
    >>> as_axis("softmax", "logits", np.zeros(10), 1)
    Traceback (most recent call last):
    ValueError: softmax: logits must have an axis 1. Got shape (10,). Pass an axis from -1 to 0.
    """
    number = as_int(who, "axis", axis)
    if not -array.ndim <= number < array.ndim:
        in_range = f"Pass an axis from {-array.ndim} to {array.ndim - 1}."
        advice = in_range if array.ndim else "Pass an array with axes."
        raise ValueError(f"{who}: {what} must have an axis {number}. Got shape {array.shape}. {advice}")
    return number % array.ndim


def set_pairs(layer, **minimum: int) -> None:
    """Make pairs of attributes that may be an int or a pair, each of at least so much.

    >>> from types import SimpleNamespace
    >>> layer = SimpleNamespace(who="Conv2d", stride=2)
    >>> set_pairs(layer, stride=1)
    >>> layer.stride
    (2, 2)
    """
    for name, least in minimum.items():
        value = getattr(layer, name)
        is_pair = type(value) is tuple and len(value) == 2 and type(value[0]) is type(value[1]) is int
        if not (is_pair and min(value) >= least):  # every forward asks, and hardly ever has to do anything
            setattr(layer, name, as_pair(layer.who, name, value, least))


def as_pair(who: str, what: str, value, minimum: int) -> tuple[int, int]:
    """Return an int or a pair of ints as (height, width).

    >>> as_pair("Conv2d", "stride", 2, minimum=1), as_pair("Conv2d", "stride", (1, 3), minimum=1)
    ((2, 2), (1, 3))
    >>> as_pair("Conv2d", "stride", (1, 2, 3), minimum=1)
    Traceback (most recent call last):
    ValueError: Conv2d: stride must be an int or a pair (height, width). Got (1, 2, 3). Pass one or two ints.
    """
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise ValueError(
                f"{who}: {what} must be an int or a pair (height, width). Got {value!r}. "
                "Pass one or two ints."
            )
        height, width = value
        return as_int(who, what, height, minimum), as_int(who, what, width, minimum)
    number = as_int(who, what, value, minimum)
    return number, number
