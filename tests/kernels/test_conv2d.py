"""Convolution and its gradients on every rung."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
import torch

from minicnn.kernels import loops
from tests.helpers import assert_same_sum
from tests.kernels.rungs import COMPILED, EDGES, GRID, NAMES, QUICK, RUNGS, Conv, normal, special, whole

DTYPES = [np.float32, np.float64]


def results(rung, case: Conv, input, weight, bias, grad_output) -> dict[str, np.ndarray]:
    """Return what the four functions of a rung make of the same arrays."""
    return {
        "output": rung.conv2d(input, weight, bias, *case.geometry),
        "grad_input": rung.conv2d_grad_input(grad_output, weight, case.input, *case.geometry),
        "grad_weight": rung.conv2d_grad_weight(grad_output, input, case.weight, *case.geometry),
        "grad_bias": rung.conv2d_grad_bias(grad_output),
    }


@cache
def by_loops(case: Conv, make, dtype=np.float64) -> dict[str, np.ndarray]:
    """Return the same from the definition, in float64, for numbers that were drawn in `dtype`."""
    return results(loops, case, *(array.astype(np.float64) for array in case.arrays(make, dtype)))


def assert_equal(actual: dict, expected: dict, dtype) -> None:
    """Raise unless all arrays are equal bit for bit (NaN to NaN) and have the dtype."""
    for name, array in actual.items():
        assert array.dtype == dtype, name
        np.testing.assert_array_equal(array, expected[name].astype(dtype), err_msg=name)


# By hand


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_by_hand(name, dtype):
    rung = RUNGS[name]
    image = np.array([[[[1, 2, 3], [4, 5, 6], [7, 8, 9]]]], dtype)
    kernel = np.array([[[[1, 10], [100, 1000]]]], dtype)
    bias = np.array([20000], dtype)
    plain = (1, 1), (0, 0), (1, 1), 1
    # 1·1 + 2·10 + 4·100 + 5·1000 = 5421, then 6532, 8754, 9865; plus the bias
    output = rung.conv2d(image, kernel, bias, *plain)
    assert output.dtype == dtype
    assert output.tolist() == [[[[25421, 26532], [28754, 29865]]]]
    # stride (2, 1) keeps the first row; padding (0, 1) adds a column of nothing at both sides
    moved = (2, 1), (0, 1), (1, 1), 1
    # 1·10 + 4·1000 = 4010 | 5421 | 6532 | 3·1 + 6·100 = 603
    assert rung.conv2d(image, kernel, None, *moved).tolist() == [[[[4010, 5421, 6532, 603]]]]
    # dilation 2 looks at the corners: 1·1 + 3·10 + 7·100 + 9·1000
    assert rung.conv2d(image, kernel, None, (1, 1), (0, 0), (2, 2), 1).tolist() == [[[[9731]]]]

    grad = np.array([[[[1, 2], [3, 4]]]], dtype)
    # each gradient times the kernel, laid where its window was:
    # 1·1 | 1·10 + 2·1 | 2·10;  1·100 + 3·1 | 1000 + 2·100 + 3·10 + 4·1 | 2·1000 + 4·10;  300 | 3000 + 400 | 4000
    assert rung.conv2d_grad_input(grad, kernel, image.shape, *plain).tolist() == [
        [[[1, 12, 20], [103, 1234, 2040], [300, 3400, 4000]]]
    ]
    # 1·1 + 2·2 + 3·4 + 4·5 = 37, then the same gradients on the cells one to the right: 2, 3, 5, 6 = 47, ...
    assert rung.conv2d_grad_weight(grad, image, kernel.shape, *plain).tolist() == [[[[37, 47], [67, 77]]]]
    assert rung.conv2d_grad_bias(grad).tolist() == [10]


@pytest.mark.parametrize("name", NAMES)
def test_groups_by_hand(name):
    image = np.array([[[[1.0]], [[2.0]], [[3.0]], [[4.0]]]])  # four channels, two groups
    kernel = np.array([[1.0, 10], [100, 1000], [5, 6]])[[0, 1, 2, 0], :, None, None]  # four filters
    plain = (1, 1), (0, 0), (1, 1), 2
    # filters 0 and 1 see channels 0 and 1; filters 2 and 3 see channels 2 and 3
    output = RUNGS[name].conv2d(image, kernel, None, *plain)
    assert output.ravel().tolist() == [1 + 20, 100 + 2000, 15 + 24, 3 + 40]
    grad = np.array([1.0, 2, 3, 4]).reshape(1, 4, 1, 1)
    grad_input = RUNGS[name].conv2d_grad_input(grad, kernel, image.shape, *plain)
    assert grad_input.ravel().tolist() == [1 + 200, 10 + 2000, 15 + 4, 18 + 40]
    grad_weight = RUNGS[name].conv2d_grad_weight(grad, image, kernel.shape, *plain)
    assert grad_weight.reshape(4, 2).tolist() == [[1, 2], [2, 4], [9, 12], [12, 16]]


# Against the loops


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", GRID + EDGES, ids=str)
@pytest.mark.parametrize("name", QUICK)
def test_whole_numbers_as_the_loops_exactly(name, case, dtype):
    assert_equal(results(RUNGS[name], case, *case.arrays(whole, dtype)), by_loops(case, whole), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", [*GRID[::5], EDGES[2], EDGES[-1]], ids=str)
@pytest.mark.parametrize("name", QUICK)
def test_normal_draws_as_the_loops_to_rounding(name, case, dtype):
    expected = by_loops(case, normal, dtype)
    for what, array in results(RUNGS[name], case, *case.arrays(normal, dtype)).items():
        assert_same_sum(array, expected[what].astype(dtype), what)


def test_the_loops_round_once():
    case = GRID[0]
    expected = by_loops(case, normal, np.float32)
    assert_equal(results(loops, case, *case.arrays(normal, np.float32)), expected, np.float32)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", [*GRID[::3], *EDGES], ids=str)
@pytest.mark.parametrize("name", QUICK)
def test_nan_and_infinity_as_the_loops(name, case, dtype):
    assert_equal(results(RUNGS[name], case, *case.arrays(special, dtype)), by_loops(case, special), dtype)


@pytest.mark.parametrize("spoilt", range(4), ids=["input", "weight", "bias", "grad_output"])
@pytest.mark.parametrize("name", QUICK)
def test_one_infinity_as_the_loops(name, spoilt):
    case = Conv((2, 3, 6, 5), (4, 3, 3, 3), padding=(1, 1))
    arrays = case.arrays(whole, np.float32)
    arrays[spoilt].flat[-1] = np.inf
    assert_equal(results(RUNGS[name], case, *arrays), results(loops, case, *arrays), np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_padding_adds_nothing_whatever_the_weight(name):
    image, kernel = np.ones((1, 1, 1, 2), np.float32), np.float32([[[[np.inf, 1, 1]]]])
    output = RUNGS[name].conv2d(image, kernel, None, (1, 1), (0, 1), (1, 1), 1)
    assert output.tolist() == [[[[2, np.inf]]]]  # the first cell's infinite weight lies on padding


@pytest.mark.parametrize("name", QUICK)
def test_large_numbers_whose_sum_overflows_are_finite_still(name):
    case = Conv((1, 1, 1, 4), (1, 1, 1, 2))
    image, grad = np.float32([[[[3e38, 3e38, 1, 1]]]]), np.float32([[[[0, 0, 1]]]])
    weight = RUNGS[name].conv2d_grad_weight(grad, image, case.weight, *case.geometry)
    assert weight.tolist() == [[[[1, 1]]]]


# Against torch


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", [*GRID[::2], *EDGES], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_as_torch(name, case, dtype):
    make = normal if name != "loops" else whole
    arrays = case.arrays(make, dtype)
    input, weight, bias, grad_output = map(torch.from_numpy, arrays)
    stride, padding, dilation, groups = case.geometry
    expected = {
        "output": torch.nn.functional.conv2d(input, weight, bias, stride, padding, dilation, groups),
        "grad_input": torch.nn.grad.conv2d_input(
            case.input, weight, grad_output, stride, padding, dilation, groups
        ),
        "grad_weight": torch.nn.grad.conv2d_weight(
            input, case.weight, grad_output, stride, padding, dilation, groups
        ),
        "grad_bias": grad_output.sum((0, 2, 3)),
    }
    actual = by_loops(case, whole) if name == "loops" else results(RUNGS[name], case, *arrays)
    for what, array in actual.items():
        assert_same_sum(array.astype(dtype), expected[what].numpy(), what)


# Arrays as they come


def backwards(array):
    """Return equal numbers with negative strides."""
    return np.flip(np.flip(array).copy())


def channels_last(array):
    """Return equal numbers in another order of memory."""
    return np.asfortranarray(array)


def with_gaps(array):
    """Return equal numbers that are every second of a larger array."""
    larger = np.full([2 * size for size in array.shape], np.nan, array.dtype)
    larger[tuple(slice(None, None, 2) for _ in array.shape)] = array
    return larger[tuple(slice(None, None, 2) for _ in array.shape)]


def read_only(array):
    """Return equal numbers that must not be written."""
    array = array.copy()
    array.flags.writeable = False
    return array


def not_aligned(array):
    """Return equal numbers at an address that their size does not divide."""
    buffer = np.zeros(array.nbytes + 1, np.uint8)[1:]
    buffer[:] = np.frombuffer(array.tobytes(), np.uint8)
    return buffer.view(array.dtype).reshape(array.shape)


@pytest.mark.parametrize("layout", [backwards, channels_last, with_gaps, read_only, not_aligned])
@pytest.mark.parametrize("name", NAMES)
def test_any_layout_gives_the_same(name, layout):
    case = Conv((2, 4, 5, 6), (4, 2, 3, 2), padding=(1, 1), groups=2)
    arrays = case.arrays(whole, np.float32)
    before = [array.copy() for array in arrays]
    actual = results(RUNGS[name], case, *map(layout, arrays))
    assert_equal(actual, by_loops(case, whole), np.float32)
    for array, kept in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, kept)
    for what, array in actual.items():
        assert array.flags.c_contiguous, what
        assert array.flags.writeable, what


@pytest.mark.parametrize("name", NAMES)
def test_arrays_in_a_file(name, tmp_path):
    case = Conv((2, 4, 5, 6), (4, 2, 3, 2), padding=(1, 1), groups=2)
    mapped = []
    for k, array in enumerate(case.arrays(whole, np.float32)):
        np.save(tmp_path / f"{k}.npy", array)
        mapped.append(np.load(tmp_path / f"{k}.npy", mmap_mode="r"))
    actual = results(RUNGS[name], case, *mapped)
    assert_equal(actual, by_loops(case, whole), np.float32)
    assert all(type(array) is np.ndarray for array in actual.values())


@pytest.mark.parametrize("name", NAMES)
def test_zero_strides(name):
    case = Conv((3, 2, 4, 4), (2, 2, 2, 2))
    arrays = [np.broadcast_to(array.flat[:1], array.shape) for array in case.arrays(whole, np.float32, 5)]
    copies = [array.copy() for array in arrays]
    assert_equal(results(RUNGS[name], case, *arrays), results(loops, case, *copies), np.float32)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", [GRID[0], GRID[-1], Conv((2, 3, 6, 6), (7, 3, 1, 1), (2, 2))], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_no_images(name, case, dtype):
    case = case._replace(input=(0, *case.input[1:]))
    actual = results(RUNGS[name], case, *case.arrays(whole, dtype))
    assert {what: array.shape for what, array in actual.items()} == {
        "output": case.output,
        "grad_input": case.input,
        "grad_weight": case.weight,
        "grad_bias": case.weight[:1],
    }
    assert not actual["grad_weight"].any()
    assert not actual["grad_bias"].any()


@pytest.mark.parametrize(
    "case",
    [
        Conv((1, 1, 3, 3), (1, 1, 3, 3), (1, 1), (10**6, 10**6), (10**6, 10**6)),
        Conv((1, 1, 3, 3), (1, 1, 2, 2), (10**6, 10**6), (10**6, 10**6)),
        Conv((1, 1, 2, 2), (1, 1, 1, 2), (10**9, 1), (10**9, 10**9 // 2), (1, 10**9)),
    ],
    ids=["dilation", "stride", "both"],
)
@pytest.mark.parametrize("name", QUICK)
def test_a_huge_step_takes_little_memory(name, case):
    arrays = case.arrays(whole, np.float32)
    assert_equal(results(RUNGS[name], case, *arrays), results(loops, case, *arrays), np.float32)


# The same bits, always


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", COMPILED)
def test_bits_depend_on_the_numbers_alone(name, dtype):
    case = Conv((6, 5, 11, 13), (7, 5, 3, 3), padding=(1, 1))
    arrays = case.arrays(normal, dtype)
    expected = results(RUNGS[name], case, *arrays)

    def shifted(offset: int) -> dict[str, np.ndarray]:
        moved = []
        for array in arrays:  # the same numbers at another address, `offset` cells into a buffer
            buffer = np.empty(array.size + offset, dtype)[offset:].reshape(array.shape)
            buffer[...] = array
            moved.append(buffer)
        return results(RUNGS[name], case, *moved)

    for offset in range(8):
        assert_equal(shifted(offset), expected, dtype)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(shifted, range(16)):
            assert_equal(found, expected, dtype)


@pytest.mark.parametrize("name", COMPILED)
def test_an_image_alone_gets_the_bits_it_gets_in_a_batch(name):
    case = Conv((5, 3, 9, 10), (6, 3, 3, 3), padding=(1, 1))
    input, weight, bias, grad_output = case.arrays(normal, np.float32)
    batch = RUNGS[name].conv2d(input, weight, bias, *case.geometry)
    back = RUNGS[name].conv2d_grad_input(grad_output, weight, input.shape, *case.geometry)
    for n in range(len(input)):
        alone = RUNGS[name].conv2d(input[n : n + 1], weight, bias, *case.geometry)
        np.testing.assert_array_equal(alone[0], batch[n])
        alone = RUNGS[name].conv2d_grad_input(
            grad_output[n : n + 1], weight, (1, *input.shape[1:]), *case.geometry
        )
        np.testing.assert_array_equal(alone[0], back[n])
