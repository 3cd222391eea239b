"""Kinks and ties: where a function has no slope, because another branch begins there.

An activation such as ReLU bends at 0 (`CURVES` in explainers/activations.py says where), |x - t| bends at the
target, and max pooling jumps from one winner to another. On such a place a central difference is the mean of two
slopes, and backward returns one of them: both are right.
"""

from __future__ import annotations

import functools

import numpy as np

from minicnn import nn
from minicnn.inspection.explainers.activations import CURVES
from minicnn.inspection.explainers.conv import batched
from minicnn.inspection.explainers.pooling import window
from minicnn.inspection.record import Step


def bends(module) -> tuple[float, ...]:
    """Return the places where an activation, or the one that it is derived from, bends; none for other layers.

    >>> bends(nn.ReLU()), bends(nn.ReLU6()), bends(nn.Clamp(max=5)), bends(nn.Tanh())
    ((0,), (0, 6), (-inf, 5.0), ())
    """
    kinds = (kind.__name__ for kind in type(module).__mro__)
    found = next((CURVES[kind].bends for kind in kinds if kind in CURVES), ())
    return tuple(getattr(module, place) if isinstance(place, str) else place for place in found)


def branches(module, input: np.ndarray) -> np.ndarray | None:
    """Return which branch each number takes; None for a layer without branches.

    >>> branches(nn.ReLU(), np.array([-1.0, 0.0, 2.0])).tolist()
    [-1.0, 0.0, 1.0]
    >>> branches(nn.MaxPool2d(2), np.array([[[[1.0, 5.0], [4.0, 3.0]]]])).tolist()    # place in the window
    [[[1]]]
    """
    if bends(module):
        return sum(np.sign(input - place) for place in bends(module))
    if isinstance(module, nn.MaxPool2d):
        return windows_of(module, input)[0].argmax(axis=-1)
    if isinstance(module, nn.Max):
        return module.shares(input) > 0
    return None


def on_kink(module, input: np.ndarray, reach: float) -> np.ndarray:
    """Return where a number lies within `reach` of a kink, or of a tie, as an array of bool.

    >>> on_kink(nn.ReLU(), np.array([-1.0, 0.0, 1e-9]), 1e-6).tolist()
    [False, True, True]
    >>> on_kink(nn.MaxPool2d(2), np.array([[[[5.0, 5.0], [4.0, 3.0]]]]), 1e-6).tolist()
    [[[[True, True], [False, False]]]]
    """
    if bends(module):
        return np.any([np.abs(input - place) <= reach for place in bends(module)], axis=0)
    found = np.zeros(input.shape, bool)
    if isinstance(module, nn.MaxPool2d):
        values, cells = windows_of(module, input)
        near = values >= values.max(axis=-1, keepdims=True) - 2 * reach
        near &= (near.sum(axis=-1, keepdims=True) > 1) & (cells >= 0)
        planes = found.reshape(*values.shape[:2], -1)  # (N, C, H·W), a view
        n, c, place, tap = np.nonzero(near)
        planes[n, c, cells[place, tap]] = True
    if isinstance(module, nn.Max):
        near = input >= input.max(axis=module.dim, keepdims=True) - 2 * reach
        return near & (near.sum(axis=module.dim, keepdims=True) > 1)
    return found


def one_kink_a_number(module, input: np.ndarray) -> bool:
    """Say whether each number meets at most one kink: not where pooling windows overlap, nor in a block.

    >>> one_kink_a_number(nn.MaxPool2d(2), np.zeros((1, 1, 4, 4)))
    True
    >>> one_kink_a_number(nn.MaxPool2d(3, stride=1), np.zeros((1, 1, 4, 4)))
    False
    """
    if isinstance(module, nn.MaxPool2d):
        cells = windows_of(module, input)[1]
        inside = cells[cells >= 0]
        return len(np.unique(inside)) == len(inside)
    return not module.children()


def windows_of(module: nn.MaxPool2d, input: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the values in every window, (N, C, windows, taps), and their cells, (windows, taps).

    Cells count row·W + column; where a window has fewer cells than others, -1 and -∞ fill up.

    >>> values, cells = windows_of(nn.MaxPool2d(2), np.arange(8.0).reshape(1, 1, 2, 4))
    >>> cells.tolist()
    [[0, 1, 4, 5], [2, 3, 6, 7]]
    """
    images = batched(input)
    arguments = (module.kernel_size, module.stride, module.padding, module.dilation, module.ceil_mode)
    cells = window_cells(images.shape[2:], *arguments)
    planes = images.reshape(*images.shape[:2], -1)  # (N, C, H·W)
    planes = np.concatenate([planes, np.full((*planes.shape[:2], 1), -np.inf)], axis=2)
    return planes[:, :, cells], cells


@functools.lru_cache(maxsize=64)
def window_cells(size, kernel_size, stride, padding, dilation, ceil_mode) -> np.ndarray:
    """Return the cells of every window of a plane of this size, as in `windows_of`.

    >>> window_cells((1, 3), (1, 2), (1, 1), (0, 1), (1, 1), False).tolist()
    [[0, -1], [0, 1], [1, 2], [2, -1]]
    """
    layer = nn.MaxPool2d(kernel_size, stride, padding, dilation, ceil_mode=ceil_mode)
    height, width = layer.cells_of(size, dilation)
    step = Step("", "MaxPool2d", layer, np.empty((1, 1, *size)), np.empty((1, 1, height, width)))
    found = np.full((height * width, kernel_size[0] * kernel_size[1]), -1)
    for place, cell in enumerate(np.ndindex(height, width)):
        rows, columns = window(step, cell)
        inside = (rows[:, None] * size[1] + columns).ravel()
        found[place, : len(inside)] = inside
    return found
