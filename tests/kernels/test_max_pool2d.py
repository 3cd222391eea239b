"""Max pooling and its gradient on every rung: who wins, and what comes back to the winner."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
import torch

from minicnn.kernels import loops
from minicnn.kernels.geometry import pool_output_size
from tests.helpers import distinct
from tests.kernels.rungs import COMPILED, NAMES, QUICK, RUNGS, normal, whole

DTYPES = [np.float32, np.float64]


class Pool(NamedTuple):
    """One pooling: the shape of the input, and how the window moves."""

    input: tuple[int, int, int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    ceil_mode: bool = False

    @property
    def geometry(self) -> tuple:
        return self.kernel, self.stride, self.padding, self.dilation, self.ceil_mode

    @property
    def torch(self) -> dict:
        names = "kernel_size", "stride", "padding", "dilation", "ceil_mode"
        return dict(zip(names, self.geometry, strict=True))

    @property
    def output(self) -> tuple[int, ...]:
        pairs = zip(self.input[2:], self.kernel, self.stride, self.padding, self.dilation, strict=True)
        return (*self.input[:2], *(pool_output_size(*pair, self.ceil_mode) for pair in pairs))


GRID = [
    Pool((2, 3, 9, 8), (3, 2), stride, padding, dilation, ceil_mode)
    for stride in ((1, 1), (2, 2), (4, 3))  # overlapping, touching, with gaps
    for padding in ((0, 0), (1, 1))
    for dilation in ((1, 1), (2, 3))
    for ceil_mode in (False, True)
]
EDGES = [
    Pool((1, 1, 1, 1), (1, 1), (1, 1)),  # one cell of everything
    Pool((2, 2, 28, 28), (2, 2), (2, 2)),
    Pool((1, 2, 7, 5), (3, 3), (2, 2), (1, 1)),
    Pool((1, 2, 5, 6), (5, 6), (5, 6)),  # one window
    Pool((1, 2, 2, 3), (6, 6), (1, 1), (3, 3)),  # the window is larger than the image
    Pool((1, 2, 3, 2), (16, 14), (2, 1), (8, 7)),  # most of the window is padding
    Pool((1, 1, 1, 9), (1, 3), (1, 2), (0, 1)),  # a row
    Pool((1, 1, 9, 1), (3, 1), (2, 1), (1, 0)),  # a column
    Pool((1, 3, 5, 5), (2, 2), (2, 2), (1, 1), (1, 1), True),
    Pool((2, 1, 6, 8), (3, 3), (1, 1), (1, 1), (3, 3)),
]


def few(shape, dtype, seed: int = 0) -> np.ndarray:
    """Return zeros and ones: ties everywhere."""
    return np.random.default_rng(seed).integers(0, 2, shape).astype(dtype)


def strange(shape, dtype, seed: int = 0) -> np.ndarray:
    """Return small integers, a third of them NaN, +inf or -inf."""
    rng, array = np.random.default_rng(seed), whole(shape, dtype, seed)
    for value in (np.nan, np.inf, -np.inf):
        array[rng.random(shape) < 0.12] = value
    return array


def lowest(shape, dtype, seed: int = 0) -> np.ndarray:
    """Return -inf everywhere but in one cell."""
    array = np.full(shape, -np.inf, dtype)
    array.flat[seed % array.size] = 1
    return array


DRAWS = [distinct, few, strange, lowest]


@cache
def by_loops(case: Pool, make, dtype) -> tuple[np.ndarray, ...]:
    """Return input, output, indices, a gradient and what becomes of it, by definition."""
    input = make(case.input, dtype, 3)
    output, indices = loops.max_pool2d(input, *case.geometry)
    grad_output = whole(output.shape, dtype, 4)
    return input, output, indices, grad_output, loops.max_pool2d_backward(grad_output, indices, case.input)


# By hand


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_by_hand(name, dtype):
    image = np.array([[[[1, 9, 2], [8, 3, 9], [4, 5, 6]]]], dtype)
    overlapping = (2, 2), (1, 1), (0, 0), (1, 1), False
    output, indices = RUNGS[name].max_pool2d(image, *overlapping)
    assert output.dtype == dtype
    assert indices.dtype == np.int64
    # 1 9 8 3 | 9 2 3 9: the first 9 wins | 8 3 4 5 | 3 9 5 6
    assert output.tolist() == [[[[9, 9], [8, 9]]]]
    assert indices.tolist() == [[[[1, 1], [3, 5]]]]
    grad = np.array([[[[10, 20], [30, 40]]]], dtype)
    grad_input = RUNGS[name].max_pool2d_backward(grad, indices, image.shape)
    assert grad_input.dtype == dtype
    assert grad_input.tolist() == [[[[0, 10 + 20, 0], [30, 0, 40], [0, 0, 0]]]]
    # stride (2, 1), padding (0, 1), dilation (1, 2): columns -1 and 1, 0 and 2, 1 and 3 of rows 0 and 1
    moved = (2, 2), (2, 1), (0, 1), (1, 2), False
    output, indices = RUNGS[name].max_pool2d(image, *moved)
    assert output.tolist() == [[[[9, 9, 9]]]]
    assert indices.tolist() == [[[[1, 5, 1]]]]


@pytest.mark.parametrize("name", NAMES)
def test_ceil_mode_keeps_the_window_that_is_cut_off(name):
    image = np.float64([[[[1, 2, 3]]]])
    output, indices = RUNGS[name].max_pool2d(image, (1, 2), (1, 2), (0, 0), (1, 1), True)
    assert (output.tolist(), indices.tolist()) == ([[[[2, 3]]]], [[[[1, 2]]]])


@pytest.mark.parametrize("name", NAMES)
def test_who_wins(name):
    def winner(*row, padding=0):
        image = np.array(row, np.float32).reshape(1, 1, 1, -1)
        case = (1, len(row) + 2 * padding), (1, 1), (0, padding), (1, 1), False
        output, indices = RUNGS[name].max_pool2d(image, *case)
        return output.item(), indices.item()

    nan, inf = np.nan, np.inf
    assert winner(1, 3, 3, 2) == (3, 1)  # the first of equals
    assert winner(-inf, -inf) == (-inf, 0)  # the first cell, if none is larger
    assert winner(-inf, -inf, padding=1) == (-inf, 0)  # never the padding
    assert winner(-5, -7, padding=1) == (-5, 0)
    assert winner(-inf, inf, inf) == (inf, 1)
    assert winner(inf, nan, inf, nan, 7)[1] == 3  # the last NaN
    assert np.isnan(winner(1, nan, 2)[0])


@pytest.mark.parametrize("width", [1, 8])
@pytest.mark.parametrize("name", NAMES)
def test_a_window_of_padding_alone_has_no_winner(name, width):
    # taps at rows -1 and 1 of an image that has only row 0
    image = np.full((1, 1, 1, width), 5, np.float32)
    output, indices = RUNGS[name].max_pool2d(image, (2, 1), (1, 1), (1, 0), (2, 1), False)
    assert output.tolist() == [[[[-np.inf] * width]]]
    assert indices.tolist() == [[[[-1] * width]]]
    grad = np.full(output.shape, 7, np.float32)
    assert not RUNGS[name].max_pool2d_backward(grad, indices, image.shape).any()


@pytest.mark.parametrize("index", [-(2**40), -1, 4, 2**40])
@pytest.mark.parametrize("name", NAMES)
def test_an_index_outside_of_the_plane_is_never_written(name, index):
    grad, indices = np.ones((2, 1, 1, 1)), np.full((2, 1, 1, 1), index)
    assert not RUNGS[name].max_pool2d_backward(grad, indices, (2, 1, 2, 2)).any()


# Against the loops, and torch


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make", DRAWS)
@pytest.mark.parametrize("case", GRID + EDGES, ids=str)
@pytest.mark.parametrize("name", QUICK)
def test_as_the_loops_exactly(name, case, make, dtype):
    input, output, indices, grad_output, grad_input = by_loops(case, make, dtype)
    actual = RUNGS[name].max_pool2d(input, *case.geometry)
    np.testing.assert_array_equal(actual[0], output)
    np.testing.assert_array_equal(actual[1], indices)
    assert (actual[0].dtype, actual[1].dtype) == (dtype, np.int64)
    back = RUNGS[name].max_pool2d_backward(grad_output, indices, case.input)
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, grad_input)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make", DRAWS)
@pytest.mark.parametrize("case", GRID + EDGES, ids=str)
def test_the_loops_as_torch_exactly(case, make, dtype):
    input, output, indices, grad_output, grad_input = by_loops(case, make, dtype)
    torch_input = torch.from_numpy(input).requires_grad_()
    expected, places = torch.nn.functional.max_pool2d(torch_input, **case.torch, return_indices=True)
    np.testing.assert_array_equal(output, expected.detach().numpy())
    np.testing.assert_array_equal(indices, places.numpy())
    expected.backward(torch.from_numpy(grad_output))
    np.testing.assert_array_equal(grad_input, torch_input.grad.numpy())


@pytest.mark.parametrize("name", NAMES)
def test_nan_in_the_gradient_goes_to_the_winner_alone(name):
    grad = np.float32([[[[np.nan, np.inf, 3]]]])
    grad_input = RUNGS[name].max_pool2d_backward(grad, np.array([[[[0, 2, 2]]]]), (1, 1, 1, 4))
    np.testing.assert_array_equal(grad_input, np.float32([[[[np.nan, 0, np.inf, 0]]]]))


@pytest.mark.parametrize(
    "case",
    [
        Pool((1, 1, 3, 3), (10**6, 2), (1, 1), (5 * 10**5, 0)),
        Pool((1, 1, 3, 4), (2, 2), (10**9, 10**9), (1, 1)),
        Pool((1, 2, 3, 3), (10**9, 10**9), (10**9, 10**9), (5 * 10**8, 5 * 10**8)),
        Pool((1, 1, 3, 3), (3, 1), (1, 1), (10**9, 0), (10**9, 1), True),
    ],
    ids=["kernel", "stride", "both", "dilation"],
)
@pytest.mark.parametrize("name", COMPILED)
def test_a_huge_window_takes_little_memory_and_time(name, case):
    input = distinct(case.input, np.float32)
    output, indices = RUNGS[name].max_pool2d(input, *case.geometry)
    assert output.shape == case.output
    # every window that reaches the image wins a cell of it, and says which
    kept = indices >= 0
    assert kept.any()
    plane = input.reshape(*case.input[:2], -1)
    found = np.take_along_axis(plane, indices.reshape(*plane.shape[:2], -1), axis=2).reshape(output.shape)
    np.testing.assert_array_equal(found[kept], output[kept])


# Arrays as they come


@pytest.mark.parametrize("name", NAMES)
def test_any_layout_gives_the_same(name):
    case = GRID[6]
    input, output, indices, grad_output, grad_input = by_loops(case, few, np.float32)
    read_only = input.copy()
    read_only.flags.writeable = False
    larger = np.zeros((4, 3, 9, 16), np.float32)
    larger[::2, :, :, ::2] = input
    for array in (
        np.flip(np.flip(input).copy()),
        np.asfortranarray(input),
        read_only,
        larger[::2, :, :, ::2],
    ):
        actual = RUNGS[name].max_pool2d(array, *case.geometry)
        np.testing.assert_array_equal(actual[0], output)
        np.testing.assert_array_equal(actual[1], indices)
        assert actual[0].flags.writeable
    for change in (np.asfortranarray, lambda array: np.flip(np.flip(array).copy())):
        back = RUNGS[name].max_pool2d_backward(change(grad_output), change(indices), case.input)
        np.testing.assert_array_equal(back, grad_input)
    broadcast = np.broadcast_to(np.float32(2), (2, 3, 9, 8))
    assert (RUNGS[name].max_pool2d(broadcast, *case.geometry)[0] == 2).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(0, 3, 9, 8), (2, 0, 9, 8)])
@pytest.mark.parametrize("name", NAMES)
def test_no_images_or_no_channels(name, shape, dtype):
    case = GRID[2]._replace(input=shape)
    output, indices = RUNGS[name].max_pool2d(np.zeros(shape, dtype), *case.geometry)
    assert output.shape == indices.shape == case.output
    assert (output.dtype, indices.dtype) == (dtype, np.int64)
    assert RUNGS[name].max_pool2d_backward(output, indices, shape).shape == shape


@pytest.mark.parametrize("name", COMPILED)
def test_bits_depend_on_the_numbers_alone(name):
    input = normal((7, 3, 13, 11), np.float32)
    case = (3, 3), (2, 2), (1, 1), (1, 1), False
    output, indices = RUNGS[name].max_pool2d(input, *case)
    grad_output = normal(output.shape, np.float32, 1)
    grad_input = RUNGS[name].max_pool2d_backward(grad_output, indices, input.shape)

    def again(_):
        found = RUNGS[name].max_pool2d(input, *case)
        return *found, RUNGS[name].max_pool2d_backward(grad_output, found[1], input.shape)

    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(again, range(16)):
            for array, expected in zip(found, (output, indices, grad_input), strict=True):
                np.testing.assert_array_equal(array, expected)
