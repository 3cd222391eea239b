"""Max pooling in vectors: every stride, every edge, any number of threads, and no byte beside the arrays."""

from __future__ import annotations

import numpy as np
import pytest
from numba import config

if config.DISABLE_JIT:
    pytest.skip("vectors need the compiler", allow_module_level=True)

from minicnn import set_num_threads
from minicnn.kernels import fast_pooling, loops, pooling
from tests.helpers import draws

WINDOWS = [
    # kernel, stride, padding, dilation, ceil_mode
    ((3, 3), (2, 2), (1, 1), (1, 1), False),
    ((3, 3), (3, 3), (1, 1), (1, 1), True),
    ((2, 3), (1, 4), (1, 1), (2, 1), False),
    ((3, 2), (2, 1), (0, 1), (1, 2), True),
    ((5, 5), (1, 2), (2, 2), (1, 1), False),
    ((3, 4), (5, 5), (0, 2), (1, 2), True),
    ((2, 2), (2, 2), (0, 0), (1, 1), True),
    ((1, 1), (3, 3), (0, 0), (1, 1), False),
]
SIZES = [(6, 7), (9, 30), (5, 8), (13, 17)]


def numbers(shape, kind, dtype):
    """Return draws; or few values, so that many are equal; or some that are no numbers."""
    if kind == "ties":
        return np.random.default_rng(0).integers(-1, 2, shape).astype(dtype)
    array = draws(shape, dtype)
    if kind == "odd":
        array.ravel()[::5], array.ravel()[1::7], array.ravel()[2::11] = np.nan, -np.inf, np.inf
        array[0, 0] = -np.inf
    return array


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["draws", "ties", "odd"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_against_the_readable_rung(window, size, kind, dtype):
    input = numbers((2, 3, *size), kind, dtype)
    found, wanted = fast_pooling.max_pool2d(input, *window), pooling.max_pool2d(input, *window)
    for actual, expected in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(actual, expected)
        assert actual.dtype == expected.dtype


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_against_the_loops(window):
    input = numbers((1, 2, 7, 11), "ties", np.float32)
    output, indices = fast_pooling.max_pool2d(input, *window)
    for actual, expected in zip((output, indices), loops.max_pool2d(input, *window), strict=True):
        np.testing.assert_array_equal(actual, expected)
    grad = numbers(output.shape, "ties", np.float32)
    expected = loops.max_pool2d_backward(grad, indices, input.shape)
    np.testing.assert_array_equal(fast_pooling.max_pool2d_backward(grad, indices, input.shape), expected)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.usefixtures("all_work_is_shared")
def test_the_same_bits_for_any_number_of_threads(window):
    input, found = numbers((3, 3, 9, 30), "odd", np.float32), []
    for count in (1, 2, 3, 8):
        set_num_threads(count)
        output, indices = fast_pooling.max_pool2d(input, *window)
        grad = draws(output.shape, np.float32)
        found.append((output, indices, fast_pooling.max_pool2d_backward(grad, indices, input.shape)))
    for others in found[1:]:
        for actual, expected in zip(others, found[0], strict=True):
            np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_nothing_beside_the_input_is_read(window):
    """The walls hold larger numbers than the input: one of them would win."""
    shape, wall = (1, 2, 9, 21), 1024
    room = np.full(378 + 2 * wall, 1e9, np.float32)
    input = room[wall:-wall].reshape(shape)
    input[:] = draws(shape)
    assert fast_pooling.max_pool2d(input, *window)[0].max() < 100
    assert (room[:wall] == 1e9).all()
    assert (room[-wall:] == 1e9).all()


def test_indices_outside_the_plane_get_no_gradient():
    indices = np.array([[[[-1, 4, 2**62, -(2**63)]]]])
    grad = fast_pooling.max_pool2d_backward(np.ones((1, 1, 1, 4)), indices, (1, 1, 2, 2))
    np.testing.assert_array_equal(grad, np.zeros((1, 1, 2, 2)))


def test_a_plane_too_large_for_exact_places_takes_the_readable_rung(monkeypatch):
    window = ((3, 3), (2, 2), (1, 1), (1, 1), False)
    input = draws((1, 1, 8, 9), np.float32)
    monkeypatch.setattr(fast_pooling, "EXACT", 72)
    fast_pooling.plan.cache_clear()
    assert fast_pooling.plan((8, 9), (3, 3), (4, 5), *window[1:4], np.float32, 8) is None
    found, wanted = fast_pooling.max_pool2d(input, *window), pooling.max_pool2d(input, *window)
    fast_pooling.plan.cache_clear()
    np.testing.assert_array_equal(found[1], wanted[1])
