"""Vectors in part: the first lanes as in any vector, the others zero, and no byte beside them touched."""

from __future__ import annotations

import numpy as np
import pytest
from numba import config, njit

from minicnn.kernels.registers import lanes_of

if config.DISABLE_JIT:
    pytest.skip("vectors need the compiler", allow_module_level=True)

from minicnn.kernels.masks import load_some, store_some
from minicnn.kernels.vector import load, store


@njit
def loaded(source, at, count, target):
    store(target, 0, load_some(source, at, count))


@njit
def stored(source, target, at, count):
    store_some(target, at, load(source, 0), count)


def counts(dtype):
    """Return numbers of lanes: none, some, all, and more than there are."""
    return range(-2, lanes_of(np.dtype(dtype)) + 3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_load_some(dtype):
    lanes = lanes_of(np.dtype(dtype))
    numbers = np.arange(1, 2 * lanes + 1, dtype=dtype)
    for count in counts(dtype):
        target = np.full(lanes, np.nan, dtype)
        loaded(numbers, 3, count, target)
        some = min(max(count, 0), lanes)
        np.testing.assert_array_equal(target, [*range(4, 4 + some), *[0] * (lanes - some)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_store_some(dtype):
    lanes = lanes_of(np.dtype(dtype))
    numbers = np.arange(1, lanes + 1, dtype=dtype)
    for count in counts(dtype):
        target = np.full(2 * lanes, np.nan, dtype)
        stored(numbers, target, 3, count)
        some = min(max(count, 0), lanes)
        np.testing.assert_array_equal(target[3 : 3 + some], numbers[:some])
        assert np.isnan(target[:3]).all()
        assert np.isnan(target[3 + some :]).all()
