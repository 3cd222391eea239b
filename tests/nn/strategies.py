"""What hypothesis draws for the layers: arrays of any shape and layout, some that no layer may take."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

FAULTS = (np.nan, np.inf, -np.inf, -0.0, 200.0)  # exp(200) is more than float32 can hold
ANY_SHAPE = st.lists(st.integers(0, 4), max_size=4).map(tuple)
DTYPES = st.sampled_from((np.float32, np.float64))


def other_order(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the same numbers, the axes in another order in memory."""
    order = rng.permutation(array.ndim)
    return np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order))


def backwards(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the same numbers with negative strides."""
    return np.flip(np.ascontiguousarray(np.flip(array)))


def with_gaps(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the same numbers as every second cell of a larger array, NaN between them."""
    around = np.full([2 * size for size in array.shape], np.nan, array.dtype)
    view = around[tuple([slice(None, None, 2)] * array.ndim)]
    view[...] = array
    return view


def repeated(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the first entry along some axis, again and again: a stride of zero."""
    if not array.size:
        return array
    return np.broadcast_to(array.take([0], axis=int(rng.integers(array.ndim))), array.shape)


def not_aligned(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the same numbers at an odd address."""
    memory = np.zeros(array.nbytes + 1, np.uint8)
    view = memory[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


LAYOUTS = {
    "rows": lambda array, rng: array,
    "Fortran": lambda array, rng: np.asfortranarray(array),
    "other order": other_order,
    "backwards": backwards,
    "gaps": with_gaps,
    "zero stride": repeated,
    "not aligned": not_aligned,
}

# What is no native float32 or float64 array: each of these must be refused, by name.
NO_FLOATS = {
    "big-endian": lambda array: array.astype(array.dtype.newbyteorder(">")),
    "float16": lambda array: np.zeros(array.shape, np.float16),
    "int64": lambda array: np.zeros(array.shape, np.int64),
    "uint8": lambda array: np.zeros(array.shape, np.uint8),
    "bool": lambda array: np.zeros(array.shape, bool),
    "complex": lambda array: array.astype(np.complex128),
    "object": lambda array: array.astype(object),
    "list": lambda array: array.tolist(),
    "masked": np.ma.masked_array,
    "number": lambda array: 1.5,
    "None": lambda array: None,
}

# What may stand for a size by mistake, and a few that are odd but right.
NO_SIZES = (0, -1, 1.5, None, "large", True, (1, 2, 3), (1, 0), (2, "x"), np.int8(2), 10**6)


@st.composite
def arrays(draw, shape, dtype) -> np.ndarray:
    """Draw small integers (so that sums are exact), up to three faults among them, in any layout."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="seed"))
    array = np.asarray(rng.integers(-4, 5, shape), dtype)
    for fault in draw(st.lists(st.sampled_from(FAULTS), max_size=3), label="faults"):
        if array.size:
            array[np.unravel_index(rng.integers(array.size), array.shape)] = fault
    if array.ndim:
        array = LAYOUTS[draw(st.sampled_from(sorted(LAYOUTS)), label="layout")](array, rng)
    if draw(st.booleans(), label="read-only"):
        array.flags.writeable = False
    return array


@st.composite
def sometimes_wrong(draw, right: np.ndarray):
    """Draw whether an array stays what it is, or becomes what no layer takes: (value, was left alone)."""
    if draw(st.integers(0, 7), label="kind") < 7:
        return right, True
    return NO_FLOATS[draw(st.sampled_from(sorted(NO_FLOATS)))](right), False


@st.composite
def image_shapes(draw, channels: int | None = None) -> tuple[int, ...]:
    """Draw the shape of a batch or of one image, rarely with other axes or other channels."""
    height, width = (draw(st.sampled_from((3, 4, 5, 6, 7, 2, 1, 0))) for _ in range(2))
    number = draw(st.sampled_from((1, 2, 1, 2, 1, 2, 0)))
    if channels is None:
        channels = draw(st.sampled_from((1, 2, 3, 1, 2, 3, 0)))
    elif draw(st.integers(0, 9)) == 9:
        channels = draw(st.integers(0, 5))
    shape = (number, channels, height, width)
    axes = draw(st.sampled_from([4] * 14 + [3] * 5 + [0, 1, 2, 5]))
    return (1, *shape) if axes == 5 else shape[4 - axes :]


@st.composite
def pairs(draw, sizes):
    """Draw one int for both axes, or a pair (height, width)."""
    return draw(sizes | st.tuples(sizes, sizes))


def as_pair(value) -> tuple[int, int]:
    """Return an int or a pair as a pair.

    >>> as_pair(2), as_pair((1, 3))
    ((2, 2), (1, 3))
    """
    return value if isinstance(value, tuple) else (value, value)


@st.composite
def windows(draw, paddings: tuple[int, ...]) -> dict:
    """Draw kernel size, stride and padding; at times a huge kernel along one axis, padded or not."""
    kernel = draw(pairs(st.sampled_from((2, 3, 1, 4))))
    padding = draw(pairs(st.sampled_from(paddings)))
    if draw(st.integers(0, 7)) == 7:
        height_first = draw(st.booleans())
        huge, padded = (40, as_pair(kernel)[1]), (draw(st.sampled_from((0, 19, 20))), as_pair(padding)[1])
        kernel, padding = (huge, padded) if height_first else (huge[::-1], padded[::-1])
    return {"kernel_size": kernel, "stride": draw(pairs(st.integers(1, 3))), "padding": padding}
