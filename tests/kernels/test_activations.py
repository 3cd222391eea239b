"""LeakyReLU, ELU, the sigmoid, SiLU and GELU: both versions agree, and each number is computed by itself."""

from __future__ import annotations

import numpy as np
import pytest
from numba import config

from minicnn import kernels, set_num_threads
from minicnn.kernels import activations, fast_activations, fast_gelu
from tests.helpers import draws
from tests.kernels.rungs import Walls

if config.DISABLE_JIT:
    pytest.skip("without the compiler there is NumPy only", allow_module_level=True)

DTYPES = [np.float32, np.float64]
SIZES = [0, 1, 7, 16, 33, 1000]
LAST_DIGITS = 5  # units in the last place: an exponential on either side, and what is made of it


def all_of(rung, input, grad) -> dict[str, np.ndarray]:
    """Return what all functions make of an array and a gradient."""
    output, (weighed, gate), (likely, below) = rung.sigmoid(input), rung.silu(input), rung.gelu(input)
    return {
        "leaky_relu": rung.leaky_relu(input, 0.25),
        "leaky_relu_backward": rung.leaky_relu_backward(grad, input, 0.25),
        "elu": rung.elu(input, 0.5),
        "elu_backward": rung.elu_backward(grad, input, 0.5),
        "sigmoid": output,
        "sigmoid_backward": rung.sigmoid_backward(grad, output),
        "silu": weighed,
        "gate": gate,
        "silu_backward": rung.silu_backward(grad, input, gate),
        "gelu": likely,
        "below": below,
        "gelu_backward": rung.gelu_backward(grad, input, below),
    }


def scaled(size, scale, dtype) -> tuple[np.ndarray, np.ndarray]:
    return (scale * draws(size)).astype(dtype), draws(size, dtype, seed=2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1e-6, 0.1, 1, 20])
@pytest.mark.parametrize("size", SIZES)
def test_as_numpy_in_float64(size, scale, dtype):
    input, grad = scaled(size, scale, dtype)
    wanted = all_of(activations, input.astype(np.float64), grad.astype(np.float64))
    for name, found in all_of(kernels, input, grad).items():
        assert found.dtype == dtype, name
        exact = wanted[name]
        room = LAST_DIGITS * np.spacing(np.abs(exact).astype(dtype)) + np.finfo(dtype).tiny
        if name in (
            "sigmoid_backward",
            "silu_backward",
            "gelu_backward",
        ):  # sums, and 1 - y where y is near 1
            room = LAST_DIGITS * np.finfo(dtype).eps * max(1, scale) * np.abs(grad)
        assert (np.abs(found - exact) <= room).all(), name


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_not_finite_or_far_out(dtype):
    input = np.array([np.nan, np.inf, -np.inf, 0, 3e4, -3e4, -87, 88, -0.0] * 3, dtype)
    grad = np.ones(input.shape, dtype)
    wanted = all_of(activations, input, grad)
    for name, found in all_of(kernels, input, grad).items():
        np.testing.assert_allclose(found, wanted[name], rtol=1e-5, atol=1e-37, err_msg=name)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.usefixtures("all_work_is_shared")
def test_any_strides_any_thread_any_company(dtype):
    input, grad = (array.reshape(6, 5, 7) for array in scaled(210, 3, dtype))
    expected = all_of(kernels, input, grad)
    for count in (1, 2, 3, 8):
        set_num_threads(count)
        for name, found in all_of(kernels, np.asfortranarray(input), np.asfortranarray(grad)).items():
            np.testing.assert_array_equal(found, expected[name], name)
        for name, found in all_of(kernels, input[1:, 2:], grad[1:, 2:]).items():
            np.testing.assert_array_equal(found, expected[name][1:, 2:], name)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_nothing_beside_the_arrays_is_read_or_written(size, dtype, monkeypatch):
    walls = Walls()
    for module in (fast_activations, fast_gelu):
        monkeypatch.setattr(module, "empty", walls.within)
    for found in all_of(kernels, walls.within(size, dtype), walls.within(size, dtype, 1)).values():
        assert np.isfinite(found).all()
    walls.assert_whole()


@pytest.mark.parametrize("dtype", DTYPES)
def test_expm1_has_all_digits_near_zero(dtype):
    input = -np.logspace(-30, 0, 301).astype(dtype)
    exact = np.expm1(input.astype(np.float64))
    units = np.abs(kernels.elu(input, 1.0) - exact) / np.spacing(np.abs(exact).astype(dtype))
    assert units.max() <= 2
