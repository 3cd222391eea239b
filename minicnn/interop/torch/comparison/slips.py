"""The known slips, as changes to our side: each is tried alone, and the one that brings both together is named.

A slip is a function from `Sides` to candidates. Each candidate says what it is called, where it was made, and holds
a changed copy of our side. What is planted on torch's side is found just as well: then ours is changed to be as
wrong as torch's.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator

import numpy as np

from minicnn import nn
from minicnn.checks import cast
from minicnn.interop.torch.comparison.align import NORMS
from minicnn.interop.torch.comparison.candidates import Candidate, Sides
from minicnn.interop.torch.comparison.layer_slips import (
    lone_layers,
    other_arguments,
    other_kind,
    other_softmax,
)
from minicnn.interop.torch.comparison.sides import LOSS_ARGUMENTS, Batch, our_loss
from minicnn.interop.torch.comparison.structure import other_structure
from minicnn.interop.torch.comparison.weight_slips import (
    flattened_nhwc,
    flipped_kernel,
    half_precision,
    other_bias,
    stale_weights,
    transposed_linear,
)

OTHER_MODE = "train mode against eval mode"


def other_loss(sides: Sides) -> Iterator[Candidate]:
    """Another loss, or the same one with other arguments."""
    mine, theirs = sides.batch.criterion, our_loss(sides.theirs.criterion)
    names = [name for name in LOSS_ARGUMENTS if not same(*(getattr(c, name, None) for c in (mine, theirs)))]
    if type(mine) is not type(theirs):
        names = [f"{type(mine).__name__} here, {type(theirs).__name__} in torch"]
    if names:
        batch = Batch(sides.batch.images, sides.batch.targets, copy.deepcopy(theirs))
        where = f"loss: {', '.join(names)}"
        yield Candidate("another loss or other arguments of it", where, copy.deepcopy(sides.model), batch)


def same(one, other) -> bool:
    """Say whether an argument is the same on both sides; it may be an array.

    >>> same(None, np.ones(2)), same(0.1, 0.1)
    (False, True)
    """
    return np.array_equal(one, other) if one is not None and other is not None else one is other


def other_reduction(sides: Sides) -> Iterator[Candidate]:
    """The sum of the losses for their mean, or the other way round."""
    for reduction in {"mean", "sum"} - {sides.batch.criterion.reduction}:
        criterion = copy.deepcopy(sides.batch.criterion)
        criterion.reduction = reduction
        batch = Batch(sides.batch.images, sides.batch.targets, criterion)
        yield Candidate("mean instead of sum", "loss", copy.deepcopy(sides.model), batch)


def other_mode(sides: Sides) -> Iterator[Candidate]:
    """Batch norm and dropout work differently in training and in evaluation."""
    changes = [
        {(ours.name, "training"): theirs.training}
        for ours, theirs in sides.layers("BatchNorm1d", "BatchNorm2d", "Dropout", "Dropout2d")
        if ours.training != theirs.training
    ]
    yield from sides.each_and_all(OTHER_MODE, changes)
    model = copy.deepcopy(sides.model)
    yield Candidate(OTHER_MODE, "model", model.train(not model.training), sides.batch)


def other_variance(sides: Sides) -> Iterator[Candidate]:
    """Norms divide squares by their number n; a variance over n - 1 is larger by n / (n - 1).

    ``1/√(k·v + eps) = 1/√k · 1/√(v + eps/k)``: so another weight and another eps stand for another variance.
    """
    for direction in (1, -1):
        changes = []
        for name, module in sides.model.named_modules():
            if type(module).__name__ not in NORMS or module.weight is None:
                continue
            sizes = [normalised_together(module, step.input) for step in sides.calls if step.name == name]
            if not sizes or sizes[0] < 2:
                continue
            k = (sizes[0] / (sizes[0] - 1)) ** direction
            changes.append({(name, "weight"): module.weight.data / np.sqrt(k), (name, "eps"): module.eps / k})
        yield from sides.each_and_all("biased against unbiased variance", changes)


def normalised_together(module, input: np.ndarray) -> int:
    """Return of how many numbers a norm takes the variance.

    >>> images = np.zeros((5, 4, 3, 3))
    >>> normalised_together(nn.BatchNorm2d(4), images), normalised_together(nn.GroupNorm(2, 4), images)
    (45, 18)
    """
    groups = len(input) * module.num_groups if isinstance(module, nn.GroupNorm) else input.shape[1]
    return input.size // max(groups, 1)


def other_input(sides: Sides) -> Iterator[Candidate]:
    """Images with channels or pixels in another order, or that were normalised once more than on the other side."""
    ours, theirs = sides.pairs[0]
    if ours.kind == "Conv2d" and ours.name in dict(sides.model.named_modules()):
        flip = {(ours.name, "weight"): ours.parameters["weight"][:, ::-1]}
        if ours.parameters["weight"].shape[1] > 1:
            yield sides.changed("channels RGB against BGR", ours.name, flip)
    mine, other = cast(ours.input), cast(theirs.input)
    if mine.shape != other.shape or mine.ndim < 2 or np.array_equal(mine, other):
        return
    fronts = (  # the layers before those two
        *itertools.takewhile(lambda step: step is not ours, sides.calls),
        *itertools.takewhile(lambda step: step is not theirs, sides.torch_calls),
    )
    if np.allclose(mine[:, ::-1], other, rtol=1e-5, atol=1e-6):
        slip = "channels RGB against BGR"
    elif is_scaled(mine, other):
        slip = "input not normalised, or normalised twice"
    elif is_turned(mine, other):
        slip = "images turned or mirrored"
    elif any(step.parameters for step in fronts):
        return
    else:
        slip = "other images, or prepared in another way"
    model = copy.deepcopy(sides.model)
    layer = dict(model.named_modules()).get(ours.name)
    if layer is not None:
        layer.forward = lambda input: type(layer).forward(layer, other)
        yield Candidate(slip, "images", model, sides.batch)


def is_turned(mine: np.ndarray, other: np.ndarray) -> bool:
    """Say whether the pixels of one array are those of the other in another order, known from slips.

    These are top to bottom, left to right, rows for columns, and channels last that were reshaped, not moved.

    >>> image = np.arange(4.0).reshape(1, 1, 2, 2)
    >>> is_turned(image, image.swapaxes(2, 3)), is_turned(image, image + 1)
    (True, False)
    """
    if mine.ndim != 4:
        return False
    reshaped = mine.transpose(0, 2, 3, 1).reshape(mine.shape)
    back = mine.reshape(len(mine), *mine.shape[2:], mine.shape[1]).transpose(0, 3, 1, 2)
    turns = (mine[:, :, ::-1], mine[:, :, :, ::-1], mine.swapaxes(2, 3), reshaped, back)
    return any(np.array_equal(turn, other) for turn in turns)


def is_scaled(mine: np.ndarray, other: np.ndarray) -> bool:
    """Say whether each channel of one array is that of the other, scaled and shifted.

    >>> is_scaled(np.array([[1.0], [2.0], [4.0]]), np.array([[3.0], [5.0], [9.0]]))     # 2·x + 1
    True
    """
    for channel in range(mine.shape[1]):
        x, y = mine[:, channel].ravel(), other[:, channel].ravel()
        design = np.stack([x, np.ones_like(x)], axis=1)  # (n, 2)
        fitted = design @ np.linalg.lstsq(design, y, rcond=None)[0]
        if not np.allclose(fitted, y, rtol=1e-4, atol=1e-5 * max(1.0, float(np.abs(y).max()))):
            return False
    return True


def other_labels(sides: Sides) -> Iterator[Candidate]:
    """Class indexes that mean other classes, in the targets or in the rows of the last layer."""
    slip, mine, theirs = "labels permuted", np.asarray(sides.batch.targets), np.asarray(sides.theirs.targets)
    if mine.dtype.kind in "iu" and mine.shape == theirs.shape and not np.array_equal(mine, theirs):
        batch = Batch(sides.batch.images, theirs, sides.batch.criterion)
        yield Candidate(slip, "targets", copy.deepcopy(sides.model), batch)
    for ours, other in sides.layers("Linear")[-1:]:
        held, wanted = (cast(side.parameters["weight"], np.float32) for side in (ours, other))
        if held.shape != wanted.shape:
            continue
        order = [next((i for i, row in enumerate(held) if np.array_equal(row, w)), -1) for w in wanted]
        if sorted(order) == list(range(len(held))):
            keys = [key for key in ours.parameters if key in other.parameters]
            change = {(ours.name, key): ours.parameters[key][order] for key in keys}
            yield sides.changed(slip, ours.name, change)


SLIPS = (
    other_reduction, other_loss, other_labels, other_mode, other_arguments, other_softmax, other_kind, lone_layers,
    other_input, flipped_kernel, flattened_nhwc, transposed_linear, other_bias, other_variance, half_precision,
    stale_weights, other_structure,
)  # fmt: skip
