"""Which part of the image a number can depend on: its receptive field, from the geometry alone.

A box (a first and a last place along every axis) is taken back through the steps, from the last to the
first. Each kind of layer says which box of its input a box of its output reads; where paths part, boxes
are joined to the smallest one around both.
"""

from __future__ import annotations

import numpy as np

from minicnn import nn
from minicnn.inspection.explainers import activations
from minicnn.inspection.explainers.conv import Windows
from minicnn.inspection.explainers.operations import origins, sources
from minicnn.inspection.explainers.pooling import window
from minicnn.inspection.record import Step
from minicnn.inspection.trace import Trace, as_index, trace

Box = tuple[tuple[int, int], ...]  # first and last place along each axis

ONE_BY_ONE = {
    *activations.KINDS,
    "Identity",
    "Dropout",
    "Dropout2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "GroupNorm",
    "Affine",
    "Add",
    "Residual",
    "Multiply",
}
MOVED = {"Slice", "Permute", "Unsqueeze"}
SAME_ORDER = {"Flatten", "Reshape", "Squeeze"}
POOLS = {"MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d"}


def receptive_field(model, name: str, index, *, image_shape=None) -> tuple[slice, slice]:
    """Return the rows and columns of the image that one number of a layer can depend on.

    Convolution and pooling with kernel k, stride s, padding p and dilation d make rows a to b of their
    output depend on rows ``a·s - p`` to ``b·s - p + d·(k - 1)`` of their input, as far as there are such
    rows; a Linear layer depends on everything. Where several paths meet, the result is the smallest
    rectangle around all. (Group norm, and in training mode batch norm, add a little of every pixel; that is
    left out.)

    Parameters
    ----------
    model : Trace or Module
    name : str
        The step or layer.
    index : tuple of int
        Which number of its output, such as (image, channel, row, column).
    image_shape : tuple of int, optional
        (C, H, W), for a model; a trace knows it.

    Returns
    -------
    tuple of two slices
        ``image[:, rows, columns]`` is the field; both are empty for a number that sees padding only.

    Raises
    ------
    TypeError
        If `model` is neither, or a model comes without `image_shape`.
    KeyError
        If there is no such step.
    ValueError
        If the index lies outside the output, the input is no image, or the geometry of a layer on the
        way is not known.

    Examples
    --------
    >>> model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(2, 1, 3))
    >>> receptive_field(model, "0", (0, 0, 0, 4), image_shape=(1, 28, 28))      # rows -1 to 1, one is padding
    (slice(0, 2, None), slice(3, 6, None))
    >>> receptive_field(model, "3", (0, 0, 5, 5), image_shape=(1, 28, 28))      # 2·5 - 1 to 2·7 + 1 + 1
    (slice(9, 17, None), slice(9, 17, None))
    """
    t = as_trace("receptive_field", model, image_shape)
    step = t[name]
    image = t.steps[0].input
    if image.ndim < 3:
        raise ValueError(
            f"receptive_field: the model must take images (N, C, H, W). Got an input of shape {image.shape}. "
            "Ask t.explain(name, index) where the number comes from."
        )
    if step.name == "loss":
        raise ValueError(
            'receptive_field: the number must belong to one image. Got "loss", which is a mean over all. '
            "Choose a layer, softmax or label."
        )
    place = as_index(step.who, "output", index, np.shape(step.output))
    box = through(t.steps, t.steps.index(step), tuple((i, i) for i in place))
    if box is None:
        return slice(0, 0), slice(0, 0)
    (top, bottom), (left, right) = box[-2:]
    return slice(top, bottom + 1), slice(left, right + 1)


def as_trace(who: str, model, image_shape) -> Trace:
    """Return a trace as it is, or one of a model on an empty image.

    >>> as_trace("receptive_field", nn.ReLU(), None)
    Traceback (most recent call last):
    TypeError: receptive_field: a model needs the shape of its images. Got image_shape=None. Pass \
image_shape=(C, H, W), or a trace.
    """
    if isinstance(model, Trace):
        return model
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"{who}: model must be a Trace or a minicnn module. Got {type(model).__name__}. "
            "Pass trace(model, images)."
        )
    if image_shape is None:
        raise TypeError(
            f"{who}: a model needs the shape of its images. Got image_shape=None. "
            "Pass image_shape=(C, H, W), or a trace."
        )
    dtype = next((parameter.data.dtype for parameter in model.parameters()), np.float32)
    return trace(model, np.zeros((1, *image_shape), dtype))


def through(steps: list[Step], position: int, box: Box) -> Box | None:
    """Return the box of the first step's input that `box` of the output at `position` reads."""
    wanted: dict[int, Box | None] = {position: box}
    found: Box | None = None
    for here in range(position, -1, -1):
        for array, part in reads(steps[here], wanted[here]) if wanted.get(here) else ():
            source = next((p for p in range(here - 1, -1, -1) if steps[p].output is array), None)
            if source is not None:
                wanted[source] = around(wanted.get(source), part)
            elif array is steps[0].input:
                found = around(found, part)
    return found


def around(one: Box | None, other: Box | None) -> Box | None:
    """Return the smallest box around both; None is empty.

    >>> around(((0, 1), (5, 5)), ((3, 3), (4, 6)))
    ((0, 3), (4, 6))
    """
    if one is None or other is None:
        return other if one is None else one
    return tuple((min(a[0], b[0]), max(a[1], b[1])) for a, b in zip(one, other, strict=True))


def reads(step: Step, box: Box) -> list[tuple[np.ndarray, Box | None]]:
    """Return every array that a step reads, with the box of it that `box` of the output comes from.

    >>> step = Step("0", "Linear", None, np.zeros((1, 3)), np.zeros((1, 2)))
    >>> [part for _, part in reads(step, ((0, 0), (1, 1)))]
    [((0, 0), (0, 2))]
    """
    kind, shape = step.kind, np.shape(step.input)
    if kind in ONE_BY_ONE:
        paths = list(step.parts.values()) or [step.input]
        if kind == "Residual" and len(paths) < 2:
            paths.append(step.input)  # no shortcut of its own: the input itself is added
        return [(array, one_by_one(box, array.shape)) for array in paths]
    if kind == "Concatenate":
        return joined(step, box)
    if kind == "Conv2d" or kind in POOLS or kind == "Pad2d":
        sides = [side(step, axis, *box[axis - 2]) for axis in range(2)]
        channels = seen_channels(step, *box[-3]) if kind == "Conv2d" else box[-3]
        return [(step.input, None if None in sides else (*box[:-3], channels, *sides))]
    if kind in SAME_ORDER:
        return [(step.input, same_numbers(box, np.shape(step.output), shape))]
    if kind in MOVED:
        flat = origins(step.module, shape)[tuple(slice(first, last + 1) for first, last in box)]
        return [(step.input, box_of(flat, shape))]
    if kind in ("Linear", "Label"):
        kept = box[:-1] if kind == "Linear" else box
        return [(step.input, (*kept, (0, shape[-1] - 1)))]
    if kind in ("Softmax", "LogSoftmax", "Mean", "Max"):
        return [(step.input, along(step, box, shape))]
    raise ValueError(
        f"receptive_field: the geometry of each layer must be known. Got {step.who}. "
        "Choose a number before that layer."
    )


def one_by_one(box: Box, shape: tuple) -> Box:
    """Return the same places of an array of this shape, where an axis of length 1 stands for all places.

    >>> one_by_one(((0, 0), (2, 3)), (1, 4)), one_by_one(((0, 0), (2, 3)), (1, 1))
    (((0, 0), (2, 3)), ((0, 0), (0, 0)))
    """
    return tuple((0, 0) if size == 1 else places for places, size in zip(box, shape, strict=True))


def side(step: Step, axis: int, first: int, last: int) -> tuple[int, int] | None:
    """Return the first and last input row (column) that output rows (columns) `first` to `last` read."""
    if step.kind in POOLS:
        places = np.concatenate([window(step, (o, o))[axis] for o in range(first, last + 1)])
    elif step.kind == "Conv2d":
        windows = Windows(step)
        read = (windows.starts[axis][first : last + 1, None] + windows.taps[axis]).ravel()
        places = windows.sources[axis][read[windows.inside[axis][read]]]
    else:
        places = sources(step)[axis][first : last + 1]
        places = places[places >= 0]
    return (int(places.min()), int(places.max())) if places.size else None


def seen_channels(step: Step, first: int, last: int) -> tuple[int, int]:
    """Return the first and last channel that filters `first` to `last` of a convolution see.

    >>> seen_channels(Step("0", "Conv2d", nn.Conv2d(6, 4, 3, groups=2), None, None), 2, 3)
    (3, 5)
    """
    layer = step.module
    filters, channels = layer.out_channels // layer.groups, layer.in_channels // layer.groups
    return first // filters * channels, (last // filters + 1) * channels - 1


def same_numbers(box: Box, shape: tuple, source_shape: tuple) -> Box:
    """Return the box around the same numbers in another shape.

    >>> same_numbers(((0, 0), (7, 8)), (1, 12), (1, 2, 2, 3))       # the cells (1, 0, 1) and (1, 0, 2)
    ((0, 0), (1, 1), (0, 0), (1, 2))
    """
    grid = np.ix_(*(np.arange(first, last + 1) for first, last in box))
    flat = np.ravel_multi_index(np.broadcast_arrays(*grid), shape)
    return box_of(flat, source_shape)


def box_of(flat: np.ndarray, shape: tuple) -> Box:
    """Return the box around places that are given by how many numbers stand before them.

    >>> box_of(np.array([1, 5]), (2, 3))
    ((0, 1), (1, 2))
    """
    return tuple((int(p.min()), int(p.max())) for p in np.unravel_index(flat.ravel(), shape))


def along(step: Step, box: Box, shape: tuple) -> Box:
    """Return the box with the axes full that a softmax or a mean goes over."""
    dims = np.atleast_1d(step.module.dim).tolist()
    axes = sorted(dim % len(shape) for dim in dims)
    kept = list(box)
    if len(box) < len(shape):  # a mean that drops its axes
        for axis in axes:
            kept.insert(axis, (0, 0))
    return tuple((0, shape[axis] - 1) if axis in axes else kept[axis] for axis in range(len(shape)))


def joined(step: Step, box: Box) -> list[tuple[np.ndarray, Box | None]]:
    """Return, for each input of a Concatenate, the part of `box` that lies in it."""
    axis, start, found = step.module.dim % len(box), 0, []
    for array in step.parts.values():
        size = array.shape[axis]
        first, last = max(box[axis][0] - start, 0), min(box[axis][1] - start, size - 1)
        part = (*box[:axis], (first, last), *box[axis + 1 :])
        found.append((array, part if first <= last else None))
        start += size
    return found
