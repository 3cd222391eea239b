"""Which layers, and which of their channels, stand for a whole net on one strip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minicnn.checks import cast
from minicnn.inspection.explainers.conv import batched
from minicnn.inspection.receptive import ONE_BY_ONE, POOLS
from minicnn.inspection.record import Step

MOST_STAGES, MOST_MAPS = 6, 4
LANDMARKS = POOLS | {"Conv2d", "Residual", "Add", "Multiply", "Concatenate"}
CHANNEL_BY_CHANNEL = ONE_BY_ONE | POOLS | {"Pad2d"}


@dataclass(frozen=True)
class Stage:
    """A layer to draw.

    Attributes
    ----------
    step : Step
    maps : ndarray of shape (C, H, W)
    channels : list of int
        Those to draw.
    passed : list of Step
        The layers since the stage before, which are not drawn.
    follows : bool
        Whether every row shows the same channel as in the stage before.
    """

    step: Step
    maps: np.ndarray
    channels: list[int]
    passed: list[Step]
    follows: bool


def choose_stages(layers: list[Step], most: int = MOST_STAGES) -> list[int]:
    """Return the positions of the layers to draw, in order: all that give maps if they are few.

    Of many, only convolutions, poolings and joins, and nothing inside a Residual; of too many, the first one
    and the last one of each shape, so that every change of resolution is seen; of these, some that are
    spread evenly.

    >>> maps = [Step(str(i), kind, None, None, np.zeros((1, 2, 4, 4))) for i, kind in
    ...         enumerate(["Conv2d", "ReLU", "Conv2d", "ReLU", "Conv2d", "ReLU"])]
    >>> choose_stages(maps), choose_stages(maps, most=3), choose_stages(maps, most=2)
    ([0, 1, 2, 3, 4, 5], [0, 2, 4], [0, 4])
    """
    found = [p for p, layer in enumerate(layers) if np.ndim(layer.output) in (3, 4)]
    if len(found) <= most:
        return found
    blocks = tuple(f"{layer.name}." for layer in layers if layer.kind == "Residual" and layer.name)
    found = [p for p in found if not layers[p].name.startswith(blocks)]
    found = [p for p in found if layers[p].kind in LANDMARKS] or found
    if len(found) <= most:
        return found
    shapes = [layers[p].output.shape for p in found]
    ends = [p for p, one, after in zip(found, shapes, [*shapes[1:], None], strict=True) if one != after]
    turns = sorted({found[0], *ends})
    if len(turns) >= most:
        return spread(turns, most)
    between = [p for p in found if p not in turns]
    return sorted([*turns, *spread(between, most - len(turns))])


def spread(values: list, count: int) -> list:
    """Return `count` of the values, from the first to the last; the middle one if it is one.

    >>> spread([10, 11, 12, 13, 14], 3), spread([10, 11, 12], 1), spread([10, 11], 3)
    ([10, 12, 14], [11], [10, 11])
    """
    if count >= len(values):
        return values
    places = np.linspace(0, len(values) - 1, count) if count > 1 else [(len(values) - 1) / 2]
    return [values[int(np.rint(place))] for place in places]


def choose_channels(layers: list[Step], places: list[int], image: int) -> list[Stage]:
    """Return for each layer to draw its most telling channels.

    As long as layers work channel by channel (ReLU, pooling) the channels stay, so that a row of the
    picture can be followed; the last of these layers chooses.

    >>> maps = np.eye(6)[1:].reshape(1, 5, 2, 3)
    >>> maps[0, 0] = 0                                          # the convolution's first channel is empty
    >>> layers = [Step("0", "Conv2d", None, None, maps), Step("1", "ReLU", None, None, maps[:, ::-1])]
    >>> [stage.channels for stage in choose_channels(layers, [0, 1], image=0)]
    [[0, 1, 2, 3], [0, 1, 2, 3]]
    >>> choose_channels(layers, [0], image=0)[0].channels
    [1, 2, 3, 4]
    """
    found: list[Stage] = []
    for number in reversed(range(len(places))):
        maps = batched(layers[places[number]].output)[image]  # (C, H, W)
        channels = most_telling(maps)
        if found and found[0].follows:
            channels = found[0].channels
        start = places[number - 1] + 1 if number else 0
        passed = layers[start : places[number] + 1]
        before = batched(layers[start - 1].output)[image] if number else ()
        follows = len(before) == len(maps) and all(layer.kind in CHANNEL_BY_CHANNEL for layer in passed)
        found.insert(0, Stage(layers[places[number]], maps, channels, passed[:-1], follows))
    return found


def most_telling(maps: np.ndarray, most: int = MOST_MAPS) -> list[int]:
    """Return channels of (C, H, W) that are strong and unlike each other, in their own order.

    First the one of most contrast, then always the one of which most remains when the chosen ones, each
    times a factor, are taken away (a QR decomposition with pivots). Of maps of one number, the largest.

    >>> most_telling(np.array([[[1.0, 2, 3]], [[2, 4, 6.5]], [[1, 0, 1]]]), most=2)     # 0 is nearly half of 1
    [1, 2]
    """
    rest = np.nan_to_num(cast(maps), posinf=0, neginf=0).reshape(len(maps), -1)  # (C, H · W)
    rest /= np.abs(rest).max(initial=0) or 1.0  # no square overflows
    if rest.shape[1] > 1:
        rest -= rest.mean(axis=1, keepdims=True)
    strength = np.linalg.norm(rest, axis=1)  # (C,)
    chosen: list[int] = []
    while len(chosen) < min(most, len(maps)):
        left = np.linalg.norm(rest, axis=1) > 1e-6 * strength.max(initial=0)  # else it is rounding
        left[chosen] = False
        if not left.any():
            chosen += [int(c) for c in np.argsort(-strength, kind="stable") if c not in chosen]
            break
        chosen.append(int(np.where(left, np.linalg.norm(rest, axis=1), -1).argmax()))
        direction = rest[chosen[-1]] / np.linalg.norm(rest[chosen[-1]])
        rest -= np.outer(rest @ direction, direction)
    return sorted(chosen[:most])
