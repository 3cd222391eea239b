"""Batch norm channel by channel: NumPy's version agrees, and a channel's bits are its own."""

from __future__ import annotations

import numpy as np
import pytest
from numba import config

from minicnn import kernels, nn, set_num_threads
from minicnn.kernels import norm
from tests.helpers import assert_same_sum, draws

if not config.DISABLE_JIT:
    from minicnn.kernels import fast_norm

    assert kernels.batch_norm is fast_norm.batch_norm is not norm.batch_norm

DTYPES = [np.float32, np.float64]
SHAPES = [
    (2, 1),
    (7, 3),
    (64, 40),
    (3, 4, 5),
    (2, 3, 1),
    (1, 5, 4, 3),
    (4, 2, 28, 28),
    (3, 2, 1, 1),
    (1, 1, 1, 7),
]
EMPTY = [(0, 3), (0, 2, 4, 4), (2, 3, 0, 5), (5, 2, 0)]


def everything(rung, shape, dtype, given=False, change=lambda array: array) -> list[np.ndarray]:
    """Return all that forward and backward give, with the input's own statistics or given ones."""
    input, grad = (change(draws(shape, dtype, seed)) for seed in (0, 1))
    channels = [draws(shape[1], dtype, seed) for seed in (2, 3, 4, 5)]
    statistics = (channels[2], np.abs(channels[3])) if given else None
    output, mean, variance, inv_std = rung.batch_norm(input, statistics, *channels[:2], 1e-5)
    back = rung.batch_norm_backward(grad, input, mean, inv_std, channels[0], not given)
    return [output, mean, variance, inv_std, *back]


@pytest.mark.parametrize("rung", [kernels, norm])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2, 1), (2, 1, 1), (1, 1, 1, 2)])
def test_by_hand(rung, dtype, shape):
    input, grad = (np.array(numbers, dtype).reshape(shape) for numbers in ([2, 6], [9, 0]))
    # mean 4, variance ((-2)² + 2²)/2 = 4, 1/√(4 + 12) = 1/4; (2 - 4)/4·8 + 1, (6 - 4)/4·8 + 1
    found = rung.batch_norm(input, None, dtype([8]), dtype([1]), 12.0)
    assert [array.ravel().tolist() for array in found] == [[-3, 5], [4], [4], [0.25]]
    # mean of G 9/2, of G·normalised 9·(-1/2)/2 = -9/4; (9 - 9/2 - 1/2·9/4)·8/4, (0 - 9/2 + 1/2·9/4)·8/4
    back = rung.batch_norm_backward(grad, input, *found[1::2], dtype([8]), True)
    assert [array.ravel().tolist() for array in back] == [[6.75, -6.75], [-4.5], [9]]
    given = rung.batch_norm(input, (dtype([2]), dtype([4])), dtype([8]), dtype([1]), 12.0)
    assert given[0].ravel().tolist() == [1, 9]  # (2 - 2)/4·8 + 1, (6 - 2)/4·8 + 1
    back = rung.batch_norm_backward(grad, input, *given[1::2], dtype([8]), False)
    assert [array.ravel().tolist() for array in back] == [[18, 0], [0], [9]]  # 9·8/4; 9·0 + 0·1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("shape", SHAPES + EMPTY)
def test_as_numpy(shape, given, dtype):
    pairs = zip(everything(kernels, shape, dtype, given), everything(norm, shape, dtype, given), strict=True)
    for found, wanted in pairs:
        assert_same_sum(found, wanted)


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_and_infinity_stay_in_their_channel(dtype, odd, given):
    def spoiled(array):
        array[1, 2, 3, 4] = odd
        return array

    with np.errstate(invalid="ignore"):
        wanted = everything(norm, (2, 3, 4, 5), dtype, given, spoiled)
        found = everything(kernels, (2, 3, 4, 5), dtype, given, spoiled)
    for ours, numpys in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(numpys))
        assert_same_sum(np.nan_to_num(ours, posinf=9, neginf=-9), np.nan_to_num(numpys, posinf=9, neginf=-9))
    assert np.isfinite(found[0][:, :2]).all()


@pytest.mark.parametrize("shape", [(7, 3), (3, 4, 5), (2, 3, 4, 5)])
def test_any_strides_and_read_only(shape):
    def turned(array):
        view = np.asfortranarray(array)[::-1][::-1]
        view.flags.writeable = False
        return view

    pairs = zip(
        everything(kernels, shape, np.float32, change=turned),
        everything(kernels, shape, np.float32),
        strict=True,
    )
    for found, wanted in pairs:
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.usefixtures("all_work_is_shared")
def test_the_same_bits_for_any_number_of_threads(shape, given, dtype):
    set_num_threads(1)
    expected = everything(kernels, shape, dtype, given)
    for count in (2, 3, 8):
        set_num_threads(count)
        for found, wanted in zip(everything(kernels, shape, dtype, given), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("shape", [(7, 3), (2, 3, 4, 5), (2, 1, 9, 9)])
def test_given_statistics_make_an_image_independent_of_the_others(shape):
    layer = nn.BatchNorm1d(shape[1]) if len(shape) == 2 else nn.BatchNorm2d(shape[1])
    input = draws(shape, np.float32)
    layer(input)
    together = layer.eval()(input)
    for n in range(len(input)):
        np.testing.assert_array_equal(layer(input[n : n + 1])[0], together[n])


@pytest.mark.parametrize("shape", [(7, 3), (2, 3, 5, 5), (1, 2, 33, 1)])
def test_nothing_beside_the_arrays_is_read(shape):
    wall, size = 512, int(np.prod(shape))
    room = np.full(size + 2 * wall, np.nan, np.float32)
    input = room[wall : wall + size].reshape(shape)
    input[:] = draws(shape)
    ones = np.ones(shape[1], np.float32)
    output, mean, _, inv_std = kernels.batch_norm(input, None, ones, ones, 1e-5)
    for array in (output, *kernels.batch_norm_backward(input, input, mean, inv_std, ones, True)):
        assert np.isfinite(array).all()
    assert np.isnan(room[:wall]).all()
    assert np.isnan(room[wall + size :]).all()
