"""Adam's step in one pass changes the same bits as NumPy's steps one after another."""

from __future__ import annotations

import numpy as np
import pytest
from numba import config

if config.DISABLE_JIT:
    pytest.skip("nothing is compiled", allow_module_level=True)

from minicnn import kernels
from minicnn.kernels import elementwise, fast_adam
from tests.helpers import draws

SETTINGS = (0.01, (0.9, 0.999), 1e-8)


def arrays(shape, dtype, seed=0):
    data, grad, mean = (draws(shape, dtype, seed + k) for k in range(3))
    return data, grad, mean, draws(shape, dtype, seed + 3) ** 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (64, 16, 3, 3), (0, 4)])
@pytest.mark.parametrize("step", [1, 2, 1000])
def test_the_same_bits(shape, dtype, step):
    ours, numpys = arrays(shape, dtype), arrays(shape, dtype)
    fast_adam.adam(*ours, None, *SETTINGS, step)
    elementwise.adam(*numpys, None, *SETTINGS, step)
    for fast, numpy in zip(ours, numpys, strict=True):
        np.testing.assert_array_equal(fast, numpy)
        assert fast.dtype == dtype


def test_arrays_that_do_not_lie_in_one_piece():
    ours, numpys = ([array[:, ::2] for array in arrays((4, 6), np.float32)] for _ in range(2))
    fast_adam.adam(*ours, None, *SETTINGS, 1)
    elementwise.adam(*numpys, None, *SETTINGS, 1)
    np.testing.assert_array_equal(ours[0], numpys[0])


def test_the_largest_square_stays():
    weight, mean, square, largest = np.array([1.0]), np.zeros(1), np.zeros(1), np.array([4.0])
    kernels.adam(weight, np.array([1.0]), mean, square, largest, 0.1, (0.5, 0.75), 0.0, 1)
    # m = 0.5, v = 0.25, largest = 4; 1 - 0.1/0.5 · 0.5/(2/√0.25)
    np.testing.assert_allclose(weight, [1 - 0.1 / 0.5 * 0.5 / (2 / 0.5)], rtol=1e-15)
    assert largest == 4


@pytest.mark.parametrize(("lr", "betas"), [(0.1, [0.9, 0.999]), (np.array(0.1), np.array([0.9, 0.999]))])
def test_settings_need_not_be_hashable(lr, betas):
    """A schedule may set an array as the learning rate, and JSON turns pairs into lists."""
    found, expected = (np.array([1.0]) for _ in range(2))
    for data, given in ((found, (lr, betas)), (expected, (0.1, (0.9, 0.999)))):
        fast_adam.adam(data, np.array([5.0]), np.zeros(1), np.zeros(1), None, *given, 1e-8, 1)
    np.testing.assert_array_equal(found, expected)
