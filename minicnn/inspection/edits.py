"""Edits: what `what_if` changes, written as code writes it: ``"0.weight[0, 0, 1, 1]": 0.0``."""

from __future__ import annotations

import contextlib
import numbers
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from minicnn import nn
from minicnn.inspection.page import short
from minicnn.inspection.record import unchanged

WHO = "what_if"
PLACE = re.compile(r"(?P<name>[^\[\]]+?)\s*(?:\[(?P<index>[^\[\]]*)\])?")


@dataclass(frozen=True)
class Edit:
    """One change: where, and what is put there.

    Attributes
    ----------
    text : str
        The place as it was written.
    name : str
        "image", a parameter such as "0.weight", or a layer's output such as "2.output".
    index : tuple of int, slice and Ellipsis
        Which numbers of that array; empty for all.
    value : float, ndarray or function
        What takes their place; a function is called with the old numbers.

    Examples
    --------
    >>> as_edit("0.weight[0, 0, 1:3]", 0.0).index
    (0, 0, slice(1, 3, None))
    """

    text: str
    name: str
    index: tuple
    value: object

    def applied(self, array: np.ndarray) -> np.ndarray:
        """Return a copy of `array` with the change made.

        >>> as_edit("image[0, 1]", 5.0).applied(np.float32([[1, 2]]))
        array([[1., 5.]], dtype=float32)
        >>> as_edit("image", lambda pixels: 2 * pixels).applied(np.float32([[1, 2]]))
        array([[2., 4.]], dtype=float32)
        """
        try:
            old = array[self.index].copy()
        except IndexError:
            raise ValueError(
                f"{WHO}: an index must lie within its array. Got {self.text!r} for shape {array.shape}. "
                "Leave out the axis of the images, and count the others from 0."
            ) from None
        new = self.value(old) if callable(self.value) else self.value
        if isinstance(new, numbers.Real) and not isinstance(new, bool):
            new = array.dtype.type(new)
        elif not isinstance(new, np.ndarray) or new.dtype != array.dtype:
            got = new.dtype if isinstance(new, np.ndarray) else type(new).__name__
            raise TypeError(
                f"{WHO}: a value must be a number, or an array of {array.dtype}. Got {got} for "
                f"{self.text!r}. Convert it with np.asarray(value, np.{array.dtype})."
            )
        if new.shape not in ((), old.shape):
            raise ValueError(
                f"{WHO}: an array must have the shape of the numbers it replaces, {old.shape}. "
                f"Got {new.shape} for {self.text!r}. Pass one number, or an array of this shape."
            )
        edited = array.copy()
        edited[self.index] = new
        return edited


def as_edit(place: str, value) -> Edit:
    """Return the edit that ``{place: value}`` stands for.

    Raises
    ------
    TypeError
        If the place is no text.
    ValueError
        If it is not written as ``name`` or ``name[1, 2:4, ...]``.

    >>> as_edit("2.output", 0.0).name, as_edit("image[..., 3]", 0.0).index
    ('2.output', (Ellipsis, 3))
    >>> as_edit("image[x]", 0.0)
    Traceback (most recent call last):
    ValueError: what_if: a place must be a name, or a name with an index. Got 'image[x]'. \
Write for example "image[0, 3, 4]", "0.bias[2]" or "2.output[0, 1:3]".
    """
    if not isinstance(place, str):
        raise TypeError(
            f"{WHO}: a place must be text. Got {place!r}. "
            'Write for example "image[0, 3, 4]", "0.bias[2]" or "2.output[0, 1:3]".'
        )
    match = PLACE.fullmatch(place.strip())
    try:
        if match is None:
            raise ValueError
        index = tuple(as_index_part(part) for part in (match["index"] or "").split(",") if part.strip())
    except ValueError:
        raise ValueError(
            f"{WHO}: a place must be a name, or a name with an index. Got {place!r}. "
            'Write for example "image[0, 3, 4]", "0.bias[2]" or "2.output[0, 1:3]".'
        ) from None
    return Edit(place, match["name"], index, value)


def as_index_part(part: str):
    """Return one part of an index as Python reads it; ValueError if it is none.

    >>> as_index_part("3"), as_index_part("1:"), as_index_part("...")
    (3, slice(1, None, None), Ellipsis)
    """
    if part.strip() == "...":
        return Ellipsis
    bounds = [int(bound) if bound.strip() else None for bound in part.split(":")]
    if len(bounds) > 3 or bounds == [None]:
        raise ValueError(part)
    return slice(*bounds) if len(bounds) > 1 else bounds[0]


@contextlib.contextmanager
def edited(model: nn.Module, image: np.ndarray, edits: list[Edit], said: list[str]) -> Iterator[np.ndarray]:
    """Yield the edited image, while the model has its parameters and outputs edited; then undo all.

    Lines that say what was changed are added to `said` as the changes are made.

    >>> layer, said = nn.ReLU(), []
    >>> with edited(layer, np.float32([[1, 2]]), [as_edit("output[1]", 7.0)], said) as image:
    ...     layer(image)
    array([[1., 7.]], dtype=float32)
    >>> said
    ['output[1]: 2 -> 7']
    """
    modules = dict(model.named_modules())
    handles = []
    with unchanged(model):
        try:
            for edit in edits:
                path, _, attribute = edit.name.rpartition(".")
                module = modules.get(path)
                if edit.name == "image":
                    image = changed(edit, image, said, batch=True)
                elif module is not None and attribute == "output":
                    handles.append(module.register_forward_hook(replacing(edit, said)))
                elif isinstance(vars(module or nn.Identity()).get(attribute), nn.Parameter):
                    parameter = getattr(module, attribute)
                    parameter.data = changed(edit, parameter.data, said)
                else:
                    raise ValueError(
                        f"{WHO}: a name must be the image, a parameter or a layer's output. "
                        f"Got {edit.name!r}. Choose one of {', '.join(names_of(model))}."
                    )
            yield image
            idle = [
                edit.text for edit in edits if not any(line.startswith(f"{edit.text}: ") for line in said)
            ]
            if idle:
                raise ValueError(
                    f"{WHO}: a layer whose output is replaced must run. Got {idle[0]!r}, of a layer that did not. "
                    "Choose a layer that forward calls."
                )
        finally:
            for handle in reversed(handles):
                handle.remove()


def replacing(edit: Edit, said: list[str]) -> Callable:
    """Return a forward hook that makes the change in a layer's output."""
    return lambda module, input, output: changed(edit, output, said, batch=True)


def changed(edit: Edit, array: np.ndarray, said: list[str], batch: bool = False) -> np.ndarray:
    """Return the array with the change made, and say what it was; `batch` skips the axis of the images.

    >>> said = []
    >>> changed(as_edit("image[1]", 0.0), np.array([[1.0, 2.0]]), said, batch=True), said
    (array([[1., 0.]]), ['image[1]: 2 -> 0'])
    """
    old = array[0] if batch else array
    new = edit.applied(old)
    if old[edit.index].ndim == 0:
        said.append(f"{edit.text}: {short(old[edit.index])} -> {short(new[edit.index])}")
    else:
        differ = ~((old == new) | (np.isnan(old) & np.isnan(new)))
        said.append(f"{edit.text}: {differ.sum():,} of {old[edit.index].size:,} numbers changed")
    return new[None] if batch else new


def names_of(model: nn.Module) -> list[str]:
    """Return all names that an edit may have.

    >>> names_of(nn.Sequential(nn.Linear(2, 1), nn.ReLU()))
    ["'image'", "'0.weight'", "'0.bias'", "'0.output'", "'1.output'"]
    """
    found = ["image"]
    for path, module in model.named_modules():
        own = [key for key, value in vars(module).items() if isinstance(value, nn.Parameter)]
        if not isinstance(module, nn.Sequential):
            found += [f"{path}.{key}".removeprefix(".") for key in (*own, "output")]
    return [repr(name) for name in found]
