"""Average pooling: NumPy's version and the compiled one agree, also where windows overlap or miss the image."""

from __future__ import annotations

import numpy as np
import pytest
from numba import config

from minicnn import kernels, set_num_threads
from minicnn.kernels import averaging
from tests.helpers import SAME_SLOPE, assert_same_sum, draws, numeric_gradient

DTYPES = [np.float32, np.float64]
# where windows begin and end in an image of 6 x 9
WINDOWS = {
    "side by side": ([[0, 2], [2, 4], [4, 6]], [[0, 3], [3, 6], [6, 9]]),
    "overlapping": ([[0, 3], [1, 5], [4, 6]], [[0, 9], [2, 4], [2, 4], [8, 9]]),
    "with gaps": ([[1, 2]], [[0, 1], [5, 7]]),
    "empty": ([[0, 2], [6, 6]], [[0, 9]]),
}


def arrays(name: str, dtype, shape=(2, 3, 6, 9)):
    """Return an input, a gradient, and the windows with divisors."""
    rows, columns = (np.array(part) for part in WINDOWS[name])
    divisors = 1 + np.abs(draws((len(rows), len(columns)), dtype, seed=3))
    grad = draws((*shape[:2], len(rows), len(columns)), dtype, seed=1)
    return draws(shape, dtype), grad, (rows, columns, divisors)


@pytest.mark.parametrize("rung", [kernels, averaging])
@pytest.mark.parametrize("dtype", DTYPES)
def test_by_hand(rung, dtype):
    input = np.arange(12, dtype=dtype).reshape(1, 1, 2, 6)  # 0 .. 5 above 6 .. 11
    windows = np.array([[0, 2]]), np.array([[0, 2], [1, 4]]), np.array([[4, 2]], dtype)
    found = rung.average(input, *windows)
    assert found.tolist() == [[[[3.5, 15]]]]  # (0 + 1 + 6 + 7)/4, (1 + 2 + 3 + 7 + 8 + 9)/2
    back = rung.average_backward(np.array([[[[4, 6]]]], dtype), *windows, input.shape)
    assert back.tolist() == [[[[1, 4, 3, 3, 0, 0], [1, 4, 3, 3, 0, 0]]]]  # 4/4, 4/4 + 6/2, 6/2
    assert found.dtype == back.dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2, 3, 6, 9), (0, 3, 6, 9), (2, 0, 6, 9)])
@pytest.mark.parametrize("name", WINDOWS)
def test_as_numpy(name, shape, dtype):
    input, grad, windows = arrays(name, dtype, shape)
    assert_same_sum(kernels.average(input, *windows), averaging.average(input, *windows))
    found, wanted = (rung.average_backward(grad, *windows, shape) for rung in (kernels, averaging))
    assert_same_sum(found, wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("W", [1, 2, 15, 32, 33, 70])
def test_windows_of_two_columns_in_any_width(W, dtype):
    shape, rows, left = (2, 3, 5, W), np.array([[0, 2], [2, 4]]), np.arange(W // 2) * 2
    windows = rows, np.stack([left, left + 2], axis=1), 1 + np.abs(draws((2, W // 2), dtype, seed=3))
    input, grad = draws(shape, dtype), draws((2, 3, 2, W // 2), dtype, seed=1)
    assert_same_sum(kernels.average(input, *windows), averaging.average(input, *windows))
    for grads in (grad, np.full_like(grad, -0.0)):
        found, wanted = (rung.average_backward(grads, *windows, shape) for rung in (kernels, averaging))
        np.testing.assert_array_equal(found, wanted)
        np.testing.assert_array_equal(np.signbit(found), np.signbit(wanted))


@pytest.mark.parametrize("name", WINDOWS)
def test_gradient_by_differences(name):
    input, grad, windows = arrays(name, np.float64, (1, 2, 6, 9))
    found = kernels.average_backward(grad, *windows, input.shape)
    slopes = numeric_gradient(lambda: (grad * kernels.average(input, *windows)).sum(), input)
    np.testing.assert_allclose(found, slopes, rtol=0, atol=SAME_SLOPE)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", WINDOWS)
def test_nan_and_infinity_stay_in_their_windows(name, odd):
    input, _, windows = arrays(name, np.float32)
    input[1, 2, 1, 3] = odd
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(kernels.average(input, *windows), averaging.average(input, *windows), 1e-5)


@pytest.mark.skipif(config.DISABLE_JIT, reason="NumPy adds in the order of the strides")
@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.usefixtures("all_work_is_shared")
def test_any_strides_any_thread_any_company(name):
    input, grad, windows = arrays(name, np.float32)
    output, back = kernels.average(input, *windows), kernels.average_backward(grad, *windows, input.shape)
    for count in (1, 2, 3, 8):
        set_num_threads(count)
        strange = [np.asfortranarray(array) for array in (input, grad)]
        np.testing.assert_array_equal(kernels.average(strange[0], *windows), output)
        found = kernels.average_backward(strange[1], *windows, input.shape)
        np.testing.assert_array_equal(found, back)
    np.testing.assert_array_equal(kernels.average(input[1:, 2:], *windows), output[1:, 2:])
