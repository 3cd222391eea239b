"""MaxPool2d: by hand, against the loops, gradients by differences, against torch with indices."""

import itertools

import numpy as np
import pytest
import torch

from minicnn import nn
from minicnn.kernels import loops
from tests.helpers import assert_gradients, assert_matches_torch, assert_same_sum, distinct, draws

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])

# Layers for images of 9x8 cells.
GRID = [
    {
        "kernel_size": (3, 2),
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "ceil_mode": ceil_mode,
    }
    for stride in ((1, 1), (2, 3), (4, 3))  # overlapping windows, and steps over pixels
    for padding in ((0, 0), (1, 1))
    for dilation in ((1, 1), (2, 3))
    for ceil_mode in (False, True)
]
OPTIONS = [
    {"kernel_size": 1},
    {"kernel_size": 2},
    {"kernel_size": 2, "ceil_mode": True},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": (2, 5), "stride": None, "padding": (1, 2)},
    {"kernel_size": [3, 2], "stride": [1, 2], "padding": [0, 1], "dilation": [1, 3]},
    {"kernel_size": (9, 8)},  # the window is the image
    {"kernel_size": (18, 16), "padding": (9, 8)},  # most of the window is padding
    {"kernel_size": 3, "stride": 2, "dilation": 2, "padding": 1, "ceil_mode": True},
]
every_layer = pytest.mark.parametrize("options", GRID + OPTIONS, ids=str)


def ties(shape, dtype=np.float64, seed: int = 0) -> np.ndarray:
    """Return zeros and ones: most windows have several equal maxima."""
    return np.random.default_rng(seed).integers(0, 2, shape).astype(dtype)


def strange(shape, dtype=np.float64, seed: int = 0) -> np.ndarray:
    """Return small integers, a third of them NaN, +inf or -inf."""
    rng = np.random.default_rng(seed)
    array = rng.integers(-4, 5, shape).astype(dtype)
    for value in (np.nan, np.inf, -np.inf):
        array[rng.random(shape) < 0.12] = value
    return array


def assert_indices_match_torch(options: dict, input: np.ndarray) -> None:
    """Raise unless output, indices and input gradient are torch's, exactly."""
    ours = nn.MaxPool2d(**options, return_indices=True)
    torch_input = torch.from_numpy(input.copy()).requires_grad_()
    expected, places = torch.nn.MaxPool2d(**options, return_indices=True)(torch_input)
    output, indices = ours(input)
    assert (output.dtype, indices.dtype) == (input.dtype, np.int64)
    np.testing.assert_array_equal(output, expected.detach().numpy())
    np.testing.assert_array_equal(indices, places.numpy())
    grad_output = np.random.default_rng(5).integers(1, 9, output.shape).astype(input.dtype)
    expected.backward(torch.from_numpy(grad_output))
    np.testing.assert_array_equal(ours.backward(grad_output), torch_input.grad.numpy())


# By hand


@both_dtypes
def test_by_hand(dtype):
    layer = nn.MaxPool2d(2, stride=1, return_indices=True)
    output, indices = layer(np.array([[[[1, 9, 2, 0], [8, 3, 9, 4]]]], dtype))
    # 1 9 8 3 | 9 2 3 9: the first 9 wins | 2 0 9 4
    np.testing.assert_array_equal(output, [[[[9, 9, 9]]]])
    np.testing.assert_array_equal(indices, [[[[1, 1, 6]]]])  # row·4 + column
    grad_input = layer.backward(np.array([[[[10, 20, 30]]]], dtype))
    np.testing.assert_array_equal(grad_input, [[[[0, 10 + 20, 0, 0], [0, 0, 30, 0]]]])
    assert output.dtype == grad_input.dtype == dtype


@both_dtypes
@pytest.mark.parametrize(
    ("options", "expected", "places"),
    [
        # the image: 1 9 2 0 7 / 8 3 9 4 5; stride None is the kernel's size
        ({"kernel_size": (1, 2)}, [[9, 2], [8, 9]], [[1, 2], [5, 7]]),
        ({"kernel_size": (1, 2), "ceil_mode": True}, [[9, 2, 7], [8, 9, 5]], [[1, 2, 4], [5, 7, 9]]),
        # columns -1 0 | 1 2 | 3 4
        ({"kernel_size": (1, 2), "padding": (0, 1)}, [[1, 9, 7], [8, 9, 5]], [[0, 1, 4], [5, 7, 9]]),
        # columns 0 3 | 1 4 of both rows
        ({"kernel_size": 2, "stride": 1, "dilation": (1, 3)}, [[8, 9]], [[5, 1]]),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_options_by_hand(options, expected, places, dtype):
    image = np.array([[[[1, 9, 2, 0, 7], [8, 3, 9, 4, 5]]]], dtype)
    output, indices = nn.MaxPool2d(**options, return_indices=True)(image)
    np.testing.assert_array_equal(output, [[expected]])
    np.testing.assert_array_equal(indices, [[places]])
    np.testing.assert_array_equal(nn.MaxPool2d(**options)(image), output)


def test_padding_never_wins():
    layer = nn.MaxPool2d(3, stride=2, padding=1, return_indices=True)
    output, indices = layer(np.float32([[[[-5, -np.inf]]]]))  # one window: both cells, and padding around
    assert (output.tolist(), indices.tolist()) == ([[[[-5]]]], [[[[0]]]])
    output, indices = layer(np.float32([[[[-np.inf, -np.inf]]]]))
    assert (output.tolist(), indices.tolist()) == ([[[[-np.inf]]]], [[[[0]]]])


def test_ties_go_to_the_first_and_nan_wins():
    layer = nn.MaxPool2d((1, 4), return_indices=True)
    image = np.float64([[[[0, 7, 7, 7], [0, 0, 0, 0], [5, np.nan, np.inf, 1]]]])
    output, indices = layer(image)
    np.testing.assert_array_equal(output, [[[[7], [0], [np.nan]]]])
    np.testing.assert_array_equal(indices, [[[[1], [4], [9]]]])
    # the whole gradient goes to one of the equals
    grad_input = layer.backward(np.float64([[[[10], [20], [30]]]]))
    np.testing.assert_array_equal(grad_input, [[[[0, 10, 0, 0], [20, 0, 0, 0], [0, 30, 0, 0]]]])


# Against the loops


@pytest.mark.parametrize("make", [distinct, ties, strange])
@pytest.mark.parametrize("options", GRID, ids=str)
def test_is_the_loops(options, make):
    layer, input = nn.MaxPool2d(**options, return_indices=True), make((2, 3, 9, 8))
    expected, places = loops.max_pool2d(input, *options.values())
    output, indices = layer(input)
    np.testing.assert_array_equal(output, expected)
    np.testing.assert_array_equal(indices, places)
    grad = draws(output.shape, seed=1)
    assert_same_sum(layer.backward(grad), loops.max_pool2d_backward(grad, places, input.shape))


# Gradients by differences


@pytest.mark.parametrize("options", GRID[::3] + OPTIONS, ids=str)
def test_gradients(options):
    assert_gradients(nn.MaxPool2d(**options), distinct((1, 2, 9, 8)))


# Against torch


@every_layer
@both_dtypes
@pytest.mark.parametrize("make", [distinct, ties, strange])
def test_matches_torch_with_indices(options, dtype, make):
    assert_indices_match_torch(options, make((2, 3, 9, 8), dtype))


@every_layer
@both_dtypes
def test_matches_torch(options, dtype):
    assert_matches_torch(nn.MaxPool2d(**options), torch.nn.MaxPool2d(**options), draws((2, 3, 9, 8), dtype))


@both_dtypes
@pytest.mark.parametrize("shape", [(3, 9, 8), (1, 7, 8), (0, 3, 9, 8), (5, 1, 4, 23), (1, 2, 11, 3)], ids=str)
@pytest.mark.parametrize("options", [OPTIONS[1], OPTIONS[3], GRID[5]], ids=str)
def test_shapes_match_torch(dtype, shape, options):
    assert_matches_torch(nn.MaxPool2d(**options), torch.nn.MaxPool2d(**options), ties(shape, dtype))
    assert_indices_match_torch(options, ties(shape, dtype))


@both_dtypes
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_special_gradients_as_torch(dtype, odd):
    input, grad_output = ties((1, 2, 5, 6), dtype), np.ones((1, 2, 4, 5), dtype)
    grad_output[0, 1, 2, 2] = odd
    torch_input = torch.from_numpy(input).requires_grad_()
    torch.nn.MaxPool2d(2, 1)(torch_input).backward(torch.from_numpy(grad_output))
    layer = nn.MaxPool2d(2, 1)
    layer(input)
    np.testing.assert_array_equal(layer.backward(grad_output), torch_input.grad.numpy())


@both_dtypes
def test_any_strides_and_read_only(dtype):
    array = draws((4, 6, 18, 16), dtype)
    views = [
        array[::-2, ::-2, ::-2, ::-2],
        array.transpose(1, 0, 3, 2)[:, :, ::2],
        np.asfortranarray(array),
        np.broadcast_to(array[:1, :1, :, :1], (2, 3, 18, 9)),
    ]
    for view, options in itertools.product(views, (OPTIONS[1], GRID[6])):
        view.setflags(write=False)
        before = view.copy()
        assert_indices_match_torch(options, view)
        np.testing.assert_array_equal(view, before)
        layer = nn.MaxPool2d(**options)
        grad_output = draws(layer(view).shape[::-1], dtype).T[:, ::-1]
        expected = layer.backward(grad_output.copy())
        grad_output.setflags(write=False)
        np.testing.assert_array_equal(layer.backward(grad_output), expected)


def test_a_caller_may_change_its_arrays_before_backward():
    layer, input = nn.MaxPool2d(2), distinct((1, 1, 4, 4))
    output = layer(input)
    grad_output = draws(output.shape)
    expected = layer.backward(grad_output)
    input[...], output[...] = 0, 0
    np.testing.assert_array_equal(layer.backward(grad_output), expected)
