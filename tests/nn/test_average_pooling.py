"""AvgPool2d, AdaptiveAvgPool2d: by hand, against loops, gradients by differences, against torch."""

import math

import numpy as np
import pytest
import torch

from minicnn import nn
from minicnn.kernels.geometry import pool_output_size
from tests.helpers import assert_gradients, assert_matches_torch, assert_same_sum, draws

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])

# Layers for images of 9x8 cells.
GRID = [
    {
        "kernel_size": (3, 2),
        "stride": stride,
        "padding": padding,
        "ceil_mode": ceil_mode,
        "count_include_pad": count_include_pad,
    }
    for stride in ((1, 1), (2, 3), (5, 4))  # overlapping windows, and steps over pixels
    for padding in ((0, 0), (1, 1))
    for ceil_mode in (False, True)
    for count_include_pad in (True, False)
]
OPTIONS = [
    {"kernel_size": 1},
    {"kernel_size": 2},
    {"kernel_size": 3, "ceil_mode": True},
    {"kernel_size": [2, 3], "stride": [1, 2], "padding": [1, 0]},
    {"kernel_size": (2, 5), "stride": None, "padding": (1, 2), "divisor_override": 7},
    {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True, "divisor_override": -2},
    {"kernel_size": (9, 8)},  # the window is the image
    {"kernel_size": (18, 16), "padding": (9, 8)},  # most of the window is padding
    {"kernel_size": (18, 17), "padding": (9, 8), "stride": (2, 1), "count_include_pad": False},
    {"kernel_size": (40, 30), "padding": (20, 15), "stride": (9, 7), "ceil_mode": True},
]
every_layer = pytest.mark.parametrize("options", GRID + OPTIONS, ids=str)
SIZES = [1, 2, 5, (1, 1), (3, 2), (4, 7), [2, 3], (9, 8), (12, 11), None, (None, 3), (4, None), (None, None)]
every_size = pytest.mark.parametrize("size", SIZES, ids=str)


def adaptive(size) -> tuple[nn.AdaptiveAvgPool2d, torch.nn.AdaptiveAvgPool2d]:
    """Return our layer and torch's, which wants a pair where None stands."""
    return nn.AdaptiveAvgPool2d(size), torch.nn.AdaptiveAvgPool2d((None, None) if size is None else size)


# By hand


@both_dtypes
def test_by_hand(dtype):
    layer = nn.AvgPool2d(2, stride=1)
    output = layer(np.array([[[[1, 5, 2], [4, 2, 11]]]], dtype))
    np.testing.assert_array_equal(output, [[[[3, 5]]]])  # 12/4, 20/4
    grad_input = layer.backward(np.array([[[[4, 8]]]], dtype))
    # each gives a quarter to its four cells; the middle column is in both
    np.testing.assert_array_equal(grad_input, [[[[1, 3, 2], [1, 3, 2]]]])
    assert output.dtype == grad_input.dtype == dtype


@both_dtypes
@pytest.mark.parametrize(
    ("options", "expected", "grad_input"),
    [
        # the image: 2 4 6 8 10; the gradient of every output is 12
        ({"kernel_size": (1, 2)}, [3, 7], [6, 6, 6, 6, 0]),
        # the last window is cut off: 10/1
        ({"kernel_size": (1, 2), "ceil_mode": True}, [3, 7, 10], [6, 6, 6, 6, 12]),
        # columns -1 0 | 1 2 | 3 4: 2/2, 10/2, 18/2
        ({"kernel_size": (1, 2), "padding": (0, 1)}, [1, 5, 9], [6, 6, 6, 6, 6]),
        # the padding is not counted: 2/1
        (
            {"kernel_size": (1, 2), "padding": (0, 1), "count_include_pad": False},
            [2, 5, 9],
            [12, 6, 6, 6, 6],
        ),
        # columns -1 0 1 | 1 2 3 | 3 4 5: 6/3, 18/3, 18/3
        ({"kernel_size": (1, 3), "stride": 2, "padding": (0, 1)}, [2, 6, 6], [4, 8, 4, 8, 4]),
        # 6/4, 14/4
        ({"kernel_size": (1, 2), "divisor_override": 4}, [1.5, 3.5], [3, 3, 3, 3, 0]),
        # columns -1 0 1 2 | 3 4 5, cut off at the end of the padding: 12/4, 18/3
        ({"kernel_size": (1, 4), "padding": (0, 1), "ceil_mode": True}, [3, 6], [3, 3, 3, 4, 4]),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_options_by_hand(options, expected, grad_input, dtype):
    layer = nn.AvgPool2d(**options)
    np.testing.assert_array_equal(layer(np.array([[[[2, 4, 6, 8, 10]]]], dtype)), [[[expected]]])
    found = layer.backward(np.full((1, 1, 1, len(expected)), 12, dtype))
    np.testing.assert_array_equal(found, [[[grad_input]]])


@both_dtypes
def test_adaptive_by_hand(dtype):
    layer = nn.AdaptiveAvgPool2d((2, 3))
    # rows 0 and 1; columns 0-1, 1-2, 2-3 (⌊4/3⌋ = 1 to ⌈8/3⌉ - 1 = 2, and so on)
    output = layer(np.array([[[[1, 5, 9, 3], [2, 0, 4, 8]]]], dtype))
    np.testing.assert_array_equal(output, [[[[3, 7, 6], [1, 2, 6]]]])
    grad_input = layer.backward(np.array([[[[2, 4, 6], [20, 40, 60]]]], dtype))
    # halves: 1, 1 + 2, 2 + 3, 3; 10, 10 + 20, 20 + 30, 30
    np.testing.assert_array_equal(grad_input, [[[[1, 3, 5, 3], [10, 30, 50, 30]]]])
    assert output.dtype == grad_input.dtype == dtype


def test_adaptive_makes_small_images_larger():
    layer = nn.AdaptiveAvgPool2d((None, 4))
    # columns 0-0, 0-0, 1-1, 1-1 of two
    np.testing.assert_array_equal(layer(np.float64([[[[3, 7]]]])), [[[[3, 3, 7, 7]]]])
    np.testing.assert_array_equal(layer.backward(np.float64([[[[1, 2, 3, 4]]]])), [[[[3, 7]]]])


# Against the loops


@every_layer
def test_is_the_loop(options):
    layer, input = nn.AvgPool2d(**options), draws((2, 3, 9, 8))
    kernel, stride, padding = layer.kernel_size, layer.stride, layer.padding
    size = [
        pool_output_size((9, 8)[a], kernel[a], stride[a], padding[a], 1, layer.ceil_mode) for a in range(2)
    ]
    grad = draws((2, 3, *size), seed=1)
    output, grad_input = np.zeros(grad.shape), np.zeros(input.shape)
    for y, x in np.ndindex(*size):
        window, padded = [], 0
        for k, m in np.ndindex(*kernel):
            i, j = y * stride[0] + k - padding[0], x * stride[1] + m - padding[1]
            padded += i < 9 + padding[0] and j < 8 + padding[1]  # ceil_mode's windows may reach farther
            if 0 <= i < 9 and 0 <= j < 8:
                window.append((i, j))
        divisor = layer.divisor_override or (padded if layer.count_include_pad else len(window))
        for i, j in window:
            output[:, :, y, x] += input[:, :, i, j] / divisor
            grad_input[:, :, i, j] += grad[:, :, y, x] / divisor
    assert_same_sum(layer(input), output)
    assert_same_sum(layer.backward(grad), grad_input)


@every_size
def test_adaptive_is_the_loop(size):
    layer, input = nn.AdaptiveAvgPool2d(size), draws((2, 3, 9, 8))
    pair = size if isinstance(size, tuple | list) else (size, size)
    rows, columns = (most if cells is None else cells for cells, most in zip(pair, (9, 8), strict=True))
    grad = draws((2, 3, rows, columns), seed=1)
    output, grad_input = np.zeros(grad.shape), np.zeros(input.shape)
    for y, x in np.ndindex(rows, columns):
        i = slice(math.floor(y * 9 / rows), math.ceil((y + 1) * 9 / rows))
        j = slice(math.floor(x * 8 / columns), math.ceil((x + 1) * 8 / columns))
        part = input[:, :, i, j]
        output[:, :, y, x] = part.sum((2, 3)) / (part.shape[2] * part.shape[3])
        grad_input[:, :, i, j] += grad[:, :, y : y + 1, x : x + 1] / (part.shape[2] * part.shape[3])
    assert_same_sum(layer(input), output)
    assert_same_sum(layer.backward(grad), grad_input)


# Gradients by differences


@pytest.mark.parametrize("options", GRID[::3] + OPTIONS, ids=str)
def test_gradients(options):
    assert_gradients(nn.AvgPool2d(**options), draws((1, 2, 9, 8)))


@every_size
def test_adaptive_gradients(size):
    assert_gradients(nn.AdaptiveAvgPool2d(size), draws((1, 2, 6, 5)))


# Against torch


@every_layer
@both_dtypes
def test_matches_torch(options, dtype):
    assert_matches_torch(nn.AvgPool2d(**options), torch.nn.AvgPool2d(**options), draws((2, 3, 9, 8), dtype))


@every_size
@both_dtypes
@pytest.mark.parametrize("shape", [(2, 3, 9, 8), (3, 7, 5), (0, 3, 4, 6), (2, 1, 1, 3)], ids=str)
def test_adaptive_matches_torch(size, dtype, shape):
    assert_matches_torch(*adaptive(size), draws(shape, dtype))


@both_dtypes
@pytest.mark.parametrize("shape", [(3, 9, 8), (1, 7, 8), (0, 3, 9, 8), (5, 1, 4, 23), (1, 2, 11, 3)], ids=str)
@pytest.mark.parametrize("options", [*OPTIONS[1:6], GRID[7]], ids=str)
def test_shapes_match_torch(dtype, shape, options):
    assert_matches_torch(nn.AvgPool2d(**options), torch.nn.AvgPool2d(**options), draws(shape, dtype))


@both_dtypes
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 1e4])
@pytest.mark.parametrize("options", [*OPTIONS[1:6], *GRID[4:8]], ids=str)
def test_special_values_as_torch(dtype, odd, options):
    input = draws((2, 3, 9, 8), dtype)
    input[1, 2, 0, 3] = odd
    assert_matches_torch(nn.AvgPool2d(**options), torch.nn.AvgPool2d(**options), input)
    input[1, 2, 1, 3] = -odd  # ∞ - ∞ is NaN
    if (
        dtype == np.float32 and odd == 1e4
    ):  # 10000 - 10000 takes four digits from torch's sums, and none from ours
        exact = torch.nn.AvgPool2d(**options)(torch.from_numpy(input.astype(np.float64))).numpy()
        assert_same_sum(nn.AvgPool2d(**options)(input), exact.astype(dtype))
    else:
        assert_matches_torch(nn.AvgPool2d(**options), torch.nn.AvgPool2d(**options), input)


@both_dtypes
@every_size
def test_adaptive_special_values_as_torch(dtype, size):
    input = draws((2, 3, 9, 8), dtype)
    input[0, 1, 0, 3], input[1, 2, 1, 1], input[1, 0, 8, 7] = np.nan, np.inf, -np.inf
    assert_matches_torch(*adaptive(size), input)


@both_dtypes
def test_any_strides_and_read_only(dtype):
    array = draws((4, 6, 18, 16), dtype)
    views = [
        array[::-2, ::-2, ::-2, ::-2],
        array.transpose(1, 0, 3, 2)[:, :, ::2],
        np.asfortranarray(array),
        np.broadcast_to(array[:1, :1, :, :1], (2, 3, 18, 9)),
    ]
    for view in views:
        view.setflags(write=False)
        before = view.copy()
        layers = nn.AvgPool2d((2, 3), (1, 2), 1), torch.nn.AvgPool2d((2, 3), (1, 2), 1)
        for ours, theirs in (layers, adaptive((4, 3))):
            assert_matches_torch(ours, theirs, view)
            grad_output = draws(ours(view).shape[::-1], dtype).T[:, ::-1]
            expected = ours.backward(grad_output.copy())
            grad_output.setflags(write=False)
            np.testing.assert_array_equal(ours.backward(grad_output), expected)
        np.testing.assert_array_equal(view, before)


# Windows far larger than the image


@pytest.mark.parametrize("stride", [1, 10**9])
def test_a_huge_window_takes_little_memory_and_time(stride):
    layer = nn.AvgPool2d((10**10, 10**9), stride, (5 * 10**9, 5 * 10**8))
    image = np.float64([[[[3, 4], [5, 8]]]])
    output = layer(image)
    # the first window begins at -5·10^9 and ends far behind the image: all four pixels; and so do the others
    assert output.shape == ((1, 1, 3, 3) if stride == 1 else (1, 1, 1, 1))
    np.testing.assert_allclose(output, 20 / 1e19, rtol=1e-15)
    grad_input = layer.backward(np.full(output.shape, 1e19))
    np.testing.assert_allclose(grad_input, np.full(image.shape, float(output.size)), rtol=1e-15)


def test_windows_with_a_huge_step_between_them():
    # columns -500 to 499 and 400 to 1399 of 500: 500 pixels, and the last 100
    layer = nn.AvgPool2d((1, 1000), (1, 900), (0, 500), ceil_mode=True, count_include_pad=False)
    image = np.arange(500.0).reshape(1, 1, 1, 500)
    np.testing.assert_array_equal(layer(image), [[[[249.5, 449.5]]]])
