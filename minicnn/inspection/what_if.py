"""what_if: change a pixel, a weight or a layer's output, and see how far the change travels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from minicnn import checks, nn
from minicnn.inspection.edits import WHO, as_edit, edited
from minicnn.inspection.page import Page, Section, largest, position, short
from minicnn.inspection.trace import Trace, traced
from minicnn.nn.tree import check_module

MOST_CLASSES = 20  # with more, only the logits that changed most are listed


@dataclass(frozen=True, eq=False)
class Change:
    """What changed at one step.

    Attributes
    ----------
    name, kind : str
        The layer; "image" for the pixels.
    before, after : ndarray
        The numbers without and with the edits, without the axis of the images.

    Examples
    --------
    >>> change = Change("0", "ReLU", np.array([1.0, 2.0, 3.0]), np.array([1.0, 7.0, 3.5]))
    >>> change.count, change.where, change.largest
    (2, (1,), 5.0)
    >>> change.positions.tolist()
    [[1], [2]]
    """

    name: str
    kind: str
    before: np.ndarray
    after: np.ndarray

    @property
    def cells(self) -> np.ndarray:
        """Which numbers changed, as an array of bool; NaN that stays NaN did not."""
        return ~((self.before == self.after) | (np.isnan(self.before) & np.isnan(self.after)))

    @property
    def count(self) -> int:
        """How many numbers changed."""
        return int(self.cells.sum())

    @property
    def share(self) -> float:
        """Which part of the numbers changed, 0 to 1."""
        return self.count / self.before.size if self.before.size else 0.0

    @property
    def positions(self) -> np.ndarray:
        """Where they are: an int array of shape (count, number of axes)."""
        return np.argwhere(self.cells)

    @property
    def where(self) -> tuple[int, ...] | None:
        """The place of the largest change; None if there is none."""
        with np.errstate(invalid="ignore"):
            return largest(np.where(self.cells, self.after - self.before, 0)) if self.count else None

    @property
    def largest(self) -> float:
        """The largest change with its sign, after minus before; 0 if there is none."""
        if self.where is None:
            return 0.0
        with np.errstate(invalid="ignore"):
            return float(self.after[self.where] - self.before[self.where])

    @property
    def row(self) -> list[str]:
        """The change as cells of a table."""
        size = f"{self.before.size:,}"
        if self.where is None:
            return [self.name, self.kind, "-", f"0 of {size}", "0%", "-", "-"]
        values = f"{short(self.before[self.where])} -> {short(self.after[self.where])}"
        place = position(self.where)
        return [self.name, self.kind, place, f"{self.count:,} of {size}", f"{self.share:.1%}", values,
                signed(self.largest)]  # fmt: skip


class WhatIf(Page):
    """What `what_if` returns.

    Attributes
    ----------
    before, after : Trace
        The forward pass without and with the edits; both can be asked with `explain`.
    changes : list of Change
        The image, then every step in order.
    edits : list of str
        What was changed, from which value to which.
    logits_before, logits_after : ndarray
    label_before, label_after : str, int or None
        None where the output is no row of logits.
    flips : bool
        Whether the label is another one.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 2, rng=0))
    >>> model[0].weight.data[...], model[0].bias.data[...] = [[1, 0], [0, 1]], 0
    >>> result = what_if(model, np.float32([[1, 3]]), {"image[0]": 4.0}, classes=("cat", "dog"))
    >>> result.label_before, result.label_after, result.flips
    ('dog', 'cat', True)
    """

    def __init__(self, before: Trace, after: Trace, edits: list[str], image: Change) -> None:
        self.before, self.after, self.edits = before, after, edits
        self.title = "what if " + "; ".join(edits) if edits else "what if nothing changed"
        layers = zip(before.layers, after.layers, strict=True)
        self.changes = [image]
        self.changes += [Change(old.name, old.kind, old.output[0], new.output[0]) for old, new in layers]
        self.logits_before, self.logits_after = logits_of(before), logits_of(after)
        self.label_before, self.label_after = label_of(before), label_of(after)
        self.flips = self.label_before != self.label_after

    def __getitem__(self, name: str) -> Change:
        """Return the change at one step."""
        for change in self.changes:
            if change.name == name:
                return change
        names = ", ".join(repr(change.name) for change in self.changes)
        raise KeyError(f"WhatIf: a step must have been recorded. Got {name!r}. Choose one of {names}.")

    @property
    def logit_changes(self) -> np.ndarray:
        """By how much each logit changed."""
        with np.errstate(invalid="ignore"):
            return self.logits_after - self.logits_before

    def sections(self) -> list[Section]:
        """Return the changes step by step, then logit by logit, then the label."""
        header = ["step", "kind", "most at", "cells changed", "share", "there", "change"]
        rows = [change.row for change in self.changes]
        steps = Section("what changed, step by step", header=header, rows=rows, left=3)
        return [steps, *([] if self.label_before is None else [self._logits()])]

    def _logits(self) -> Section:
        names = self.before.classes or tuple(map(str, range(len(self.logits_before))))
        p_before, p_after = (t.ending["softmax"].output[0] for t in (self.before, self.after))
        order = np.argsort(-np.nan_to_num(np.abs(self.logit_changes), nan=np.inf), kind="stable")
        shown = sorted(order[:MOST_CLASSES]) if len(names) > MOST_CLASSES else range(len(names))
        rows = [
            [
                names[i],
                *map(short, (self.logits_before[i], self.logits_after[i])),
                signed(self.logit_changes[i]),
                *map(short, (p_before[i], p_after[i])),
            ]
            for i in shown
        ]
        header = ["class", "logit before", "after", "change", "probability before", "after"]
        more = len(names) - len(rows)
        below = [f"... and {more} more classes, whose logits changed less"] if more else []
        if self.flips:
            below.append(f"label: {self.label_before!r} -> {self.label_after!r}: it flips")
        else:
            below.append(f"label: {self.label_before!r} stays")
        return Section("logits and label", header=header, rows=rows, below=below)


def logits_of(t: Trace) -> np.ndarray:
    """Return what the softmax was given, or the output where there is no softmax.

    >>> from minicnn.inspection import trace
    >>> logits_of(trace(nn.Sequential(nn.ReLU(), nn.Softmax(dim=1)), np.float32([[1, 5]])))
    array([1., 5.], dtype=float32)
    """
    return t.ending["softmax"].input[0] if "softmax" in t.ending else t.layers[-1].output[0]


def label_of(t: Trace):
    """Return the name of the class that won, or its index; None without one.

    >>> from minicnn.inspection import trace
    >>> label_of(trace(nn.ReLU(), np.float32([[1, 5]]), classes=("cat", "dog")))
    'dog'
    """
    if "label" not in t.ending:
        return None
    index = int(t.ending["label"].output[0])
    return index if t.classes is None else t.classes[index]


def signed(value: float) -> str:
    """Return a change with its sign.

    >>> signed(0.5), signed(-2.0), signed(0.0)
    ('+0.5', '-2', '0')
    """
    return f"+{short(value)}" if value > 0 else short(value)


def as_batch_of_one(image) -> np.ndarray:
    """Return one image with the axis of the images in front.

    >>> as_batch_of_one(np.zeros((3, 8, 8))).shape, as_batch_of_one(np.zeros((1, 5))).shape
    ((1, 3, 8, 8), (1, 5))
    """
    checks.as_float_array(WHO, "image", image)
    if image.ndim in (1, 3):
        return image[None]  # (1, C, H, W) or (1, features)
    if image.ndim not in (2, 4) or len(image) != 1:
        raise ValueError(
            f"{WHO}: image must be one image, (1, C, H, W) or (C, H, W), or one row of features. "
            f"Got shape {image.shape}. Pass for example images[:1]."
        )
    return image


def what_if(model: nn.Module, image: np.ndarray, edits: Mapping[str, object], classes=None) -> WhatIf:
    """Run the model on one image without and with some changes, and say what is different.

    Parameters
    ----------
    model : Module
        It runs in the mode that it is in, both times with the same random numbers, and is left as it was,
        also when something raises.
    image : ndarray of shape (1, C, H, W) or (C, H, W), or of features (1, D) or (D,)
    edits : dict of str to number, ndarray or function
        Each place as code would write it, without the axis of the images, and what is put there:

        ============================  ==========================================================
        ``"image[0, 3, 4]": 1.0``     one pixel: channel 0, row 3, column 4
        ``"image[:, 2:5, 2:5]": 0``   a patch of all channels
        ``"0.weight[0, 0, 1, 1]": 0`` one weight of the layer called "0"
        ``"0.bias[3]": 0``            one bias
        ``"2.output": array``         the whole output of layer "2", whatever comes into it
        ``"2.output[5]": 0``          one channel of it
        ``"image": lambda x: -x``     a function of the old numbers
        ============================  ==========================================================

        They are made in this order. A layer that runs several times has its output changed each time.
    classes : sequence of str, or None
        Names for the label.

    Returns
    -------
    WhatIf

    Raises
    ------
    TypeError
        If an edit's place is no text, or its value neither a number nor an array of the right dtype.
    ValueError
        If a place names nothing in the model, an index or a shape does not fit, or there is not a name for each logit.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 2, rng=0), nn.ReLU())
    >>> model[0].weight.data[...], model[0].bias.data[...] = [[2, 3], [4, -1]], [1, 0]
    >>> print(what_if(model, np.float32([[1, 2]]), {"image[1]": 5.0}))  # 2·1 + 3·5 + 1, 4·1 - 1·5
    what if image[1]: 2 -> 5
    <BLANKLINE>
    what changed, step by step
      step   kind    most at    cells changed   share    there  change
      image  pixels  feature 1         1 of 2   50.0%   2 -> 5      +3
      0      Linear  feature 0         2 of 2  100.0%  9 -> 18      +9
      1      ReLU    feature 0         2 of 2  100.0%  9 -> 18      +9
    <BLANKLINE>
    logits and label
      class  logit before  after  change  probability before      after
      0                 9     18      +9              0.9991          1
      1                 2      0      -2           0.0009111  1.523e-08
      label: 0 stays
    """
    check_module(WHO, "model", model)
    if not isinstance(edits, Mapping):
        raise TypeError(
            f"{WHO}: edits must be a dict of places and values. Got {type(edits).__name__}. "
            'Pass for example {"image[0, 3, 4]": 1.0}.'
        )
    batch, said = as_batch_of_one(image), []
    planned = [as_edit(place, value) for place, value in edits.items()]
    before = traced(WHO, model, batch, None, None, classes)
    with edited(model, batch, planned, said) as changed_batch:
        after = traced(WHO, model, changed_batch, None, None, classes)
    pixels = Change("image", "pixels", batch[0], changed_batch[0])
    return WhatIf(before, after, said, pixels)
