"""The linear layer's products on every rung."""

from __future__ import annotations

import numpy as np
import pytest

from minicnn import set_num_threads
from minicnn.kernels import fast, loops
from tests.helpers import assert_same_sum
from tests.kernels.rungs import NAMES, QUICK, RUNGS, normal, special, whole

DTYPES = [np.float32, np.float64]
SHAPES = [  # rows, features, outputs
    *((1, 1, 1), (2, 3, 4), (5, 7, 3), (64, 33, 10), (0, 3, 2), (3, 1, 9)),
    *((1, 50, 6), (3, 26, 1), (2, 1, 5), (6, 3101, 7)),
]


def results(rung, input, weight, bias, grad_output) -> list[np.ndarray]:
    """Return what the functions of a rung, and the first without a bias, make of the same arrays."""
    return [
        rung.linear(input, weight, bias),
        rung.linear(input, weight, None),
        rung.linear_grad_input(grad_output, weight),
        rung.linear_grad_weight(grad_output, input),
        rung.conv2d_grad_bias(grad_output),
    ]


def arrays(shape, make, dtype) -> list[np.ndarray]:
    """Return input, weight, bias and grad_output."""
    rows, features, outputs = shape
    shapes = (rows, features), (outputs, features), (outputs,), (rows, outputs)
    return [make(shape, dtype, seed) for seed, shape in enumerate(shapes)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_by_hand(name, dtype):
    input, weight = np.array([[1, 10], [2, 20]], dtype), np.array([[3, 5], [4, 6], [7, 8]], dtype)
    bias, grad = np.array([100, 200, 300], dtype), np.array([[1, 0, 2], [0, 10, 0]], dtype)
    found = results(RUNGS[name], input, weight, bias, grad)
    assert found[0].tolist() == [
        [3 + 50 + 100, 4 + 60 + 200, 7 + 80 + 300],
        [106 + 100, 128 + 200, 174 + 300],
    ]
    assert found[1].tolist() == [[53, 64, 87], [106, 128, 174]]
    assert found[2].tolist() == [[3 + 14, 5 + 16], [40, 60]]
    assert found[3].tolist() == [[1, 10], [20, 200], [2, 20]]
    assert found[4].tolist() == [1, 10, 2]
    assert all(array.dtype == dtype for array in found)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", QUICK)
def test_as_the_loops(name, shape, dtype):
    made = arrays(shape, whole, dtype)
    for actual, expected in zip(results(RUNGS[name], *made), results(loops, *made), strict=True):
        assert actual.dtype == dtype
        np.testing.assert_array_equal(actual, expected)
    made = arrays(shape, normal, dtype)
    for actual, expected in zip(results(RUNGS[name], *made), results(loops, *made), strict=True):
        assert_same_sum(actual, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", QUICK)
def test_nan_and_infinity_as_the_loops(name, shape, dtype):
    made = arrays(shape, special, dtype)
    for actual, expected in zip(results(RUNGS[name], *made), results(loops, *made), strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("name", NAMES)
def test_any_layout_gives_the_same(name):
    made = arrays((5, 6, 7), whole, np.float32)
    expected = results(loops, *made)
    for change in (np.asfortranarray, lambda array: np.flip(np.flip(array).copy())):
        for actual, wanted in zip(results(RUNGS[name], *map(change, made)), expected, strict=True):
            np.testing.assert_array_equal(actual, wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("features", [24, 25, 31, 100, 1031, 3101])
@pytest.mark.parametrize("outputs", [3, 5, 13])
@pytest.mark.parametrize("rows", [9, 26])
@pytest.mark.usefixtures("all_work_is_shared")
def test_a_row_has_the_same_bits_alone_in_a_batch_and_with_any_number_of_threads(
    rows, outputs, features, dtype
):
    input, weight, bias, grad_output = made = arrays((rows, features, outputs), normal, dtype)
    set_num_threads(1)
    expected = results(fast, *made)
    for count in (1, 2, 3, 8):
        set_num_threads(count)
        for actual, wanted in zip(results(fast, *made), expected, strict=True):
            np.testing.assert_array_equal(actual, wanted)
        for n in range(rows):
            alone = input[n : n + 1], weight, bias, grad_output[n : n + 1]
            with_bias, without, grad_input, grad_weight, _ = results(fast, *alone)
            np.testing.assert_array_equal([with_bias[0], without[0]], [expected[0][n], expected[1][n]])
            np.testing.assert_array_equal(grad_input[0], expected[2][n])
            np.testing.assert_array_equal(grad_weight, np.outer(grad_output[n], input[n]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape", [(25, 1601, 9), (27, 3001, 90), (75, 8200, 34), (99, 1550, 200), (26, 800, 3)], ids=str
)
def test_large_layers_exactly(shape, dtype):
    """Weights that more than one stretch of a row holds, or that are too many for a cache."""
    input, weight, bias, _ = arrays(shape, whole, dtype)
    np.testing.assert_array_equal(fast.linear(input, weight, bias), input @ weight.T + bias)
