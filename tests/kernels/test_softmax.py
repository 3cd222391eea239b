"""Cross-entropy of rows: NumPy's and the vectors' version agree, and a row's bits are its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numba import config

from minicnn import kernels, nn, set_num_threads
from minicnn.kernels import softmax
from tests.helpers import SAME_SLOPE, assert_same_sum, draws, numeric_gradient

DTYPES = [np.float32, np.float64]
SHAPES = [(0, 3), (1, 1), (1, 10), (3, 2), (7, 16), (70, 10), (5, 33), (2, 1000)]


def indexes_for(shape) -> np.ndarray:
    return np.random.default_rng(1).integers(0, shape[1], shape[0])


def both(logits, targets, rung=kernels) -> tuple[np.ndarray, np.ndarray]:
    """Return losses and probabilities."""
    probabilities = np.full(logits.shape, np.nan, logits.dtype)
    return rung.cross_entropy(logits, targets, probabilities), probabilities


@pytest.mark.parametrize("rung", [kernels, softmax])
@pytest.mark.parametrize("dtype", DTYPES)
def test_by_hand(rung, dtype):
    losses, probabilities = both(np.array([[5, 5], [-7, -7]], dtype), np.array([0, 1]), rung)
    np.testing.assert_array_equal(probabilities, np.full((2, 2), 0.5, dtype))  # e^0 / (e^0 + e^0)
    np.testing.assert_array_equal(losses, np.log(dtype([2, 2])))
    # (1/2 - 1)·4, 1/2·4; 1/2·(-2), (1/2 - 1)·(-2)
    grad = rung.cross_entropy_backward(probabilities, np.array([0, 1]), dtype([4, -2]))
    np.testing.assert_array_equal(grad, dtype([[-2, 2], [-1, 1]]))
    grad = rung.cross_entropy_backward(probabilities, np.array([0, 1]), dtype([4]))
    np.testing.assert_array_equal(grad, dtype([[-2, 2], [2, -2]]))
    assert losses.dtype == grad.dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 30, 1000])
@pytest.mark.parametrize("shape", SHAPES)
def test_as_numpy_in_float64(shape, size, dtype):
    logits, targets = (size * draws(shape)).astype(dtype), indexes_for(shape)
    losses, probabilities = both(logits, targets)
    wanted, beliefs = both(logits.astype(np.float64), targets, softmax)
    assert_same_sum(losses, wanted.astype(dtype))
    assert_same_sum(probabilities, beliefs.astype(dtype))
    np.testing.assert_array_equal(kernels.cross_entropy(logits, targets, None), losses)
    factors = draws(len(logits), dtype, seed=2)
    grads = [rung.cross_entropy_backward(probabilities, targets, factors) for rung in (kernels, softmax)]
    assert_same_sum(*grads)


@pytest.mark.parametrize("shape", [(1, 10), (6, 3)])
def test_gradient_by_differences(shape):
    logits, targets = draws(shape), indexes_for(shape)
    _, probabilities = both(logits, targets)
    weights = draws(len(logits), seed=2)
    found = kernels.cross_entropy_backward(probabilities, targets, weights)
    slopes = numeric_gradient(lambda: (weights * kernels.cross_entropy(logits, targets, None)).sum(), logits)
    np.testing.assert_allclose(found, slopes, rtol=0, atol=SAME_SLOPE)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [3, 10, 40])
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_beside_torch(odd, classes, dtype):
    logits = draws((classes + 2, classes), dtype)
    logits[np.arange(classes), np.arange(classes)] = odd
    logits[-1] = odd  # and one row without
    targets = np.zeros(len(logits), np.int64)
    criterion, tensor = nn.CrossEntropyLoss(reduction="none"), torch.from_numpy(logits)
    tensor = tensor.clone().requires_grad_()
    expected = torch.nn.functional.cross_entropy(tensor, torch.from_numpy(targets), reduction="none")
    expected.backward(torch.ones_like(expected))
    assert_same_sum(criterion(logits, targets), expected.detach().numpy())
    assert_same_sum(criterion.backward(np.ones(len(logits), dtype)), tensor.grad.numpy())


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_probability_of_0_is_0(dtype):
    losses, probabilities = both(np.array([[0, -np.inf, -1e4, 0]], dtype), np.array([2]))
    assert probabilities.tolist() == [[0.5, 0, 0, 0.5]]
    assert losses == 1e4 + np.log(dtype(2))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_any_strides(shape, dtype):
    logits, targets = draws((2 * shape[0], 2 * shape[1]), dtype)[::-2, ::2], indexes_for(shape)
    logits.flags.writeable = False
    for found, wanted in zip(
        both(logits, np.repeat(targets, 2)[::2]), both(logits.copy(), targets), strict=True
    ):
        np.testing.assert_array_equal(found, wanted)


def test_indexes_that_are_no_classes():
    for wrong in ([-1, 0], [0, 3], [np.iinfo(np.int64).min, 1]):
        for rung in (kernels, softmax):
            assert not rung.are_classes(np.array(wrong), 3)
            assert rung.are_classes(np.array([0, 2, 1]), 3)
            assert rung.are_classes(np.array([], np.int64), 3)


def test_targets_that_change_between_forward_and_backward():
    criterion, targets = nn.CrossEntropyLoss(reduction="sum"), np.array([1, 0])
    criterion(np.zeros((2, 2)), targets)
    targets[:] = 10**9
    np.testing.assert_array_equal(criterion.backward(), [[0.5, -0.5], [-0.5, 0.5]])


def test_a_factor_for_each_of_one_row():
    criterion = nn.CrossEntropyLoss(reduction="none")
    criterion(np.zeros((1, 2)), np.array([0]))
    np.testing.assert_array_equal(criterion.backward(np.array([4.0])), [[-2, 2]])


def test_special_paths_give_the_same_numbers():
    """Weights of 1, or an ignored index among the classes, take the way through NumPy."""
    logits, targets = draws((9, 5)), indexes_for((9, 5))
    plain = nn.CrossEntropyLoss()
    loss, grad = plain(logits, targets), plain.backward()
    for other in (nn.CrossEntropyLoss(np.ones(5)), nn.CrossEntropyLoss(ignore_index=-7)):
        assert_same_sum(np.float64(other(logits, targets)), np.float64(loss))
        assert_same_sum(other.backward(), grad)
    some = nn.CrossEntropyLoss(ignore_index=int(targets[0]))
    keep = targets != targets[0]
    assert_same_sum(np.float64(some(logits, targets)), np.float64(plain(logits[keep], targets[keep])))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.usefixtures("all_work_is_shared")
def test_a_row_has_the_same_bits_in_any_company_and_any_thread(shape, dtype):
    logits, targets = draws(shape, dtype), indexes_for(shape)
    set_num_threads(1)
    losses, probabilities = both(logits, targets)
    grad = kernels.cross_entropy_backward(probabilities, targets, np.array([0.3], dtype))
    for count in (2, 3, 8):
        set_num_threads(count)
        again = both(logits, targets)
        np.testing.assert_array_equal(again[0], losses)
        np.testing.assert_array_equal(again[1], probabilities)
        again = kernels.cross_entropy_backward(probabilities, targets, np.array([0.3], dtype))
        np.testing.assert_array_equal(again, grad)
    if config.DISABLE_JIT:
        return
    for n in range(len(logits)):
        alone = both(logits[n : n + 1], targets[n : n + 1])
        np.testing.assert_array_equal(alone[0][0], losses[n])
        np.testing.assert_array_equal(alone[1][0], probabilities[n])


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_beside_the_arrays_is_read_or_written(shape):
    wall, size, targets = 512, shape[0] * shape[1], indexes_for(shape)
    rooms = [np.full(size + 2 * wall, np.nan, np.float32) for _ in range(2)]
    logits, probabilities = (room[wall : wall + size].reshape(shape) for room in rooms)
    logits[:] = draws(shape)
    assert np.isfinite(kernels.cross_entropy(logits, targets, probabilities)).all()
    assert np.isfinite(probabilities).all()
    for room in rooms:
        assert np.isnan(room[:wall]).all()
        assert np.isnan(room[wall + size :]).all()


@pytest.mark.skipif(config.DISABLE_JIT, reason="vectors need the compiler")
@pytest.mark.parametrize("dtype", DTYPES)
def test_exp_is_about_one_unit_off(dtype):
    from numba import njit

    from minicnn.kernels.registers import lanes_of
    from minicnn.kernels.vector import exp, load, store

    @njit
    def exponentials(numbers, lanes):
        for i in range(0, len(numbers), lanes):
            store(numbers, i, exp(load(numbers, i)))

    low = float(np.log(np.finfo(dtype).tiny))
    numbers = np.concatenate([np.linspace(low, 0, 1 << 15), np.linspace(-1, 0, 1 << 12)]).astype(dtype)
    numbers[:4] = 0, -0.0, -np.inf, np.nan
    found = numbers.copy()
    exponentials(found, lanes_of(found.dtype))
    assert found[:3].tolist() == [1, 1, 0]
    assert np.isnan(found[3])
    exact = np.exp(numbers[4:].astype(np.longdouble))
    units = np.abs(found[4:] - exact) / np.spacing(exact.astype(dtype))
    assert units.max() < 1.2  # 1 where multiplication and addition are one operation
