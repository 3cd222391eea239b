"""The rungs under test, and the shapes that they are tested on. A new rung joins by its name in NAMES."""

from __future__ import annotations

import importlib
from typing import NamedTuple

import numpy as np
from numba import config

from minicnn import kernels
from minicnn.kernels.geometry import conv_output_size
from tests.helpers import draws

NAMES = ["loops", "im2col", "jitted", "fast"]
if config.DISABLE_JIT:
    NAMES.remove("fast")  # its vectors need the compiler

RUNGS = {name: importlib.import_module(f"minicnn.kernels.{name}") for name in NAMES}
QUICK = [name for name in NAMES if name != "loops"]
COMPILED = [name for name in NAMES if name in ("jitted", "fast")]


class Conv(NamedTuple):
    """One convolution: the shapes of its arrays, and how the window moves."""

    input: tuple[int, int, int, int]
    weight: tuple[int, int, int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def geometry(self) -> tuple:
        return self.stride, self.padding, self.dilation, self.groups

    @property
    def output(self) -> tuple[int, ...]:
        pairs = zip(self.input[2:], self.weight[2:], self.stride, self.padding, self.dilation, strict=True)
        return (self.input[0], self.weight[0], *(conv_output_size(*pair) for pair in pairs))

    def arrays(self, make, dtype, seed: int = 0) -> tuple[np.ndarray, ...]:
        """Return input, weight, bias and grad_output, each drawn by ``make(shape, dtype, seed)``."""
        shapes = self.input, self.weight, self.weight[:1], self.output
        return tuple(make(shape, dtype, seed + k) for k, shape in enumerate(shapes))


GRID = [
    Conv((2, 4, 7, 6), (4, 4 // groups, 3, 2), stride, padding, dilation, groups)
    for stride in ((1, 1), (2, 1), (2, 3))
    for padding in ((0, 0), (2, 1))
    for dilation in ((1, 1), (2, 3))
    for groups in (1, 2, 4)
]
EDGES = [
    Conv((1, 1, 1, 1), (1, 1, 1, 1)),  # one cell of everything
    Conv((3, 2, 5, 5), (5, 2, 5, 5)),  # the kernel is the image
    Conv((2, 3, 2, 3), (2, 3, 5, 4), padding=(2, 2)),  # the kernel is larger than the image
    Conv((1, 2, 1, 9), (3, 2, 1, 3), padding=(0, 1)),  # a row
    Conv((1, 2, 9, 1), (3, 2, 3, 1), padding=(1, 0)),  # a column
    Conv((2, 3, 6, 6), (7, 3, 1, 1), stride=(2, 2)),  # most cells are stepped over
    Conv((2, 3, 5, 4), (2, 3, 2, 2), padding=(3, 4)),  # windows in the padding alone
    Conv((2, 6, 5, 7), (9, 2, 3, 3), padding=(1, 1), groups=3),  # more filters than channels in a group
    Conv((1, 4, 5, 5), (8, 1, 2, 2), groups=4),  # depthwise, two filters a channel
    Conv((2, 1, 8, 9), (1, 1, 2, 3), stride=(5, 4), dilation=(3, 2)),  # a stride longer than the window
    Conv((1, 5, 5, 23), (7, 5, 3, 3), padding=(1, 1)),  # long rows, odd numbers of everything
]


def whole(shape, dtype=np.float64, seed: int = 0) -> np.ndarray:
    """Return integers from -4 to 4: their sums of products are exact in any order."""
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)


def normal(shape, dtype=np.float64, seed: int = 0) -> np.ndarray:
    """Return normal draws."""
    return draws(shape, dtype, seed)


def special(shape, dtype=np.float64, seed: int = 0) -> np.ndarray:
    """Return integers with NaN, +inf and -inf among them, one or two of each at most."""
    array, rng = whole(shape, dtype, seed), np.random.default_rng(seed + 1)
    for value in (np.nan, np.inf, -np.inf):
        if array.size:
            array.flat[rng.integers(array.size)] = value
    return array


class Walls:
    """Makes arrays that lie between walls of NaN: who reads of them has it in its sums, who writes leaves a hole."""

    THICK = 4096

    def __init__(self, make=whole) -> None:
        self.make, self.rooms = make, []

    def within(self, shape, dtype=np.float64, seed: int = 0) -> np.ndarray:
        """Return an array as `make` does, between two walls."""
        size = int(np.prod(shape))
        room = np.full(size + 2 * self.THICK, np.nan, dtype)
        room[self.THICK : self.THICK + size] = self.make(size, dtype, seed)
        self.rooms.append(room)
        return room[self.THICK : self.THICK + size].reshape(shape)

    def assert_whole(self) -> None:
        """Assert that nobody has written to a wall."""
        for room in self.rooms:
            assert np.isnan(room[: self.THICK]).all()
            assert np.isnan(room[-self.THICK :]).all()


def conv2d_relu(x, w, b, *geometry):
    """Return what a stage of both layers computes."""
    return kernels.prepared_conv2d(2, False, x.shape, w.shape, x.dtype, *geometry)(x, w, b)[0]


def conv2d_relu_max_pool2d(x, w, b, *geometry, keep=True):
    """Return what a stage of all three layers computes: the output, and to `keep` the winners."""
    return kernels.prepared_conv2d(3, keep, x.shape, w.shape, x.dtype, *geometry)(x, w, b)
