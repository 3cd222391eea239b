"""The gradients of weight and bias in one pass: the same bits as one after another, whatever stands behind."""

from __future__ import annotations

import numpy as np
import pytest
from numba import config

from minicnn import set_num_threads
from minicnn.kernels import loops
from tests.helpers import draws
from tests.kernels.rungs import EDGES, GRID, Conv, conv2d_relu, conv2d_relu_max_pool2d, special, whole

if config.DISABLE_JIT:
    pytest.skip("vectors need the compiler", allow_module_level=True)

from minicnn.kernels import fast_grad

DTYPES = [np.float32, np.float64]
MORE = [
    Conv((17, 1, 28, 28), (6, 1, 3, 3), padding=(1, 1)),  # images in parts
    Conv((2, 3, 33, 35), (5, 3, 3, 3), padding=(1, 1)),  # odd: the last row and column are in no window
    Conv((3, 20, 7, 6), (33, 20, 3, 3), padding=(1, 1)),  # by positions
    Conv((1, 1, 3, 3), (2, 1, 3, 3), padding=(99, 99), dilation=(99, 99)),  # planes that would swell
]
BEHIND = ["nothing", "relu", "pooling"]


def given(case, behind, make, dtype):
    """Return the gradient of what stands behind, what it has kept, and the image."""
    x, w, b, _ = case.arrays(make, dtype)
    output, kept = np.empty(case.output, dtype), None
    if behind == "relu":
        output = kept = conv2d_relu(x, w, b, *case.geometry)
    elif behind == "pooling":
        output, kept = conv2d_relu_max_pool2d(x, w, b, *case.geometry)
    return make(output.shape, dtype, seed=9), kept, x


def found(case, grad, kept, x, **how):
    return fast_grad.conv2d_grad_parameters(grad, kept, case.output, x, case.weight, *case.geometry, **how)


def pools(case) -> bool:
    return min(case.output[2:]) >= 2


def test_by_hand():
    image, geometry = np.arange(1.0, 10).reshape(1, 1, 3, 3), ((1, 1), (0, 0), (1, 1), 1)
    shapes = image, (1, 1, 2, 2)
    grad, winners = np.array([[[[10.0]]]]), np.uint8([[[[2]]]])  # all of it to the lower left sum
    grad_weight, grad_bias = fast_grad.conv2d_grad_parameters(grad, winners, (1, 1, 2, 2), *shapes, *geometry)
    assert grad_weight.tolist() == [[[[40, 50], [70, 80]]]]
    assert grad_bias.tolist() == [10]
    grad, output = np.array([[[[1.0, 2], [3, 4]]]]), np.array([[[[5.0, 0], [0, np.nan]]]])
    grad_weight, grad_bias = fast_grad.conv2d_grad_parameters(grad, output, (1, 1, 2, 2), *shapes, *geometry)
    assert grad_weight.tolist() == [[[[1 + 20, 2 + 24], [4 + 32, 5 + 36]]]]  # NaN lets its gradient pass
    assert grad_bias.tolist() == [5]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make", [draws, special])
@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("case", GRID[::3] + EDGES + MORE, ids=str)
@pytest.mark.usefixtures("all_work_is_shared")
def test_the_same_bits_as_one_after_another(case, behind, make, dtype):
    if behind == "pooling" and not pools(case):
        case = case._replace(padding=tuple(pad + 2 for pad in case.padding))
    grad, kept, x = given(case, behind, make, dtype)
    set_num_threads(1)
    sums = fast_grad.conv2d_grad_sums(grad, kept, case.output)
    grad_weight = fast_grad.conv2d_grad_weight(sums, x, case.weight, *case.geometry)
    expected = grad_weight, fast_grad.conv2d_grad_bias(sums)
    for count in (1, 2, 3):
        set_num_threads(count)
        for ours, wanted in zip(found(case, grad, kept, x), expected, strict=True):
            assert ours.dtype == dtype
            np.testing.assert_array_equal(ours, wanted)
    without = found(case, grad, kept, x, bias=False)
    np.testing.assert_array_equal(without[0], grad_weight)
    assert without[1].size == 0


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("case", GRID[::4] + EDGES[1:4], ids=str)
def test_whole_numbers_as_the_loops(case, behind):
    if behind == "pooling" and not pools(case):
        case = case._replace(padding=(3, 3))
    grad, kept, x = given(case, behind, whole, np.float64)
    sums = grad
    if behind == "relu":
        sums = np.where(kept > 0, grad, 0)
    elif behind == "pooling":
        sums = np.zeros(case.output)
        for place in np.ndindex(grad.shape):
            (n, f, y, x_), winner = place, kept[place]
            if winner < 4:
                sums[n, f, 2 * y + winner // 2, 2 * x_ + winner % 2] = grad[place]
    grad_weight, grad_bias = found(case, grad, kept, x)
    np.testing.assert_array_equal(grad_weight, loops.conv2d_grad_weight(sums, x, case.weight, *case.geometry))
    np.testing.assert_array_equal(grad_bias, loops.conv2d_grad_bias(sums))


def test_no_images_leave_no_gradient():
    case = Conv((0, 2, 5, 5), (3, 2, 3, 3))
    for grad in found(case, np.empty(case.output), None, np.empty(case.input)):
        assert not grad.any()
