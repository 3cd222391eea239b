"""Padding: by hand, against index formulas, gradients by differences, against torch, errors."""

import numpy as np
import pytest
import torch

from minicnn.nn.padding import NUMPY_MODES, check_pads, pad2d, pad2d_backward
from tests.helpers import DIFFERENCE_STEP, assert_same_sum, draws, numeric_gradient, raises

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
every_mode = pytest.mark.parametrize("mode", NUMPY_MODES)
TORCH_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}
PADS = [  # around images of 4x5 cells
    ((0, 0), (0, 0)),
    ((1, 1), (2, 2)),
    ((0, 1), (2, 0)),
    ((3, 2), (1, 4)),  # as much as reflect takes
    ((2, 0), (0, 3)),
]
every_pads = pytest.mark.parametrize("pads", PADS, ids=str)


def source(place: int, size: int, mode: str) -> int | None:
    """Return which of `size` cells stands at `place`, which may lie outside; None for a zero.

    The formula is the definition in plain arithmetic, for at most one mirror image on each side.
    """
    if 0 <= place < size:
        return place
    if mode == "reflect":
        return -place if place < 0 else 2 * (size - 1) - place
    if mode == "replicate":
        return 0 if place < 0 else size - 1
    return place % size if mode == "circular" else None


# By hand


@pytest.mark.parametrize(
    ("mode", "padded", "grad_input"),
    [
        # row 0 is 1 2 3, row 1 is 4 5 6; one row above, one column left, two columns right.
        # The gradient has hundreds in the row above, tens beside the image and ones in it:
        #     100 100 100 100 100 100
        #      10   1   2   3  20  30
        #      40   4   5   6  50  60
        (
            "zeros",
            [[0, 0, 0, 0, 0, 0], [0, 1, 2, 3, 0, 0], [0, 4, 5, 6, 0, 0]],
            [[1, 2, 3], [4, 5, 6]],
        ),
        (
            "reflect",  # columns 2 | 1 2 3 | 2 1, and above stands row 1
            [[5, 4, 5, 6, 5, 4], [2, 1, 2, 3, 2, 1], [5, 4, 5, 6, 5, 4]],
            # 1 + 30, 2 + 10 + 20, 3; 4 + 60 + 200, 5 + 40 + 50 + 300, 6 + 100
            [[31, 32, 3], [264, 395, 106]],
        ),
        (
            "replicate",  # columns 1 | 1 2 3 | 3 3, and above stands row 0
            [[1, 1, 2, 3, 3, 3], [1, 1, 2, 3, 3, 3], [4, 4, 5, 6, 6, 6]],
            # 1 + 10 + 200, 2 + 100, 3 + 20 + 30 + 300; 4 + 40, 5, 6 + 50 + 60
            [[211, 102, 353], [44, 5, 116]],
        ),
        (
            "circular",  # columns 3 | 1 2 3 | 1 2, and above stands row 1
            [[6, 4, 5, 6, 4, 5], [3, 1, 2, 3, 1, 2], [6, 4, 5, 6, 4, 5]],
            # 1 + 20, 2 + 30, 3 + 10; 4 + 50 + 200, 5 + 60 + 200, 6 + 40 + 200
            [[21, 32, 13], [254, 265, 246]],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@both_dtypes
def test_by_hand(mode, padded, grad_input, dtype):
    pads = (1, 0), (1, 2)
    image = np.array([[[[1, 2, 3], [4, 5, 6]]]], dtype)
    grad = np.array([[[[100] * 6, [10, 1, 2, 3, 20, 30], [40, 4, 5, 6, 50, 60]]]], dtype)
    found = pad2d(image, pads, mode), pad2d_backward(grad, pads, mode)
    assert found[0].dtype == found[1].dtype == dtype
    np.testing.assert_array_equal(found[0], [[padded]])
    np.testing.assert_array_equal(found[1], [[grad_input]])


# Against the loops


@every_mode
@every_pads
def test_is_the_loop(mode, pads):
    image = draws((2, 3, 4, 5))
    size = [4 + sum(pads[0]), 5 + sum(pads[1])]
    grad = draws((2, 3, *size), seed=1)
    padded, grad_input = np.zeros(grad.shape), np.zeros(image.shape)
    for y, x in np.ndindex(*size):
        i, j = source(y - pads[0][0], 4, mode), source(x - pads[1][0], 5, mode)
        if i is not None and j is not None:
            padded[:, :, y, x] = image[:, :, i, j]
            grad_input[:, :, i, j] += grad[:, :, y, x]
    np.testing.assert_array_equal(pad2d(image, pads, mode), padded)
    assert_same_sum(pad2d_backward(grad, pads, mode), grad_input)


# Gradients by differences


@every_mode
@every_pads
def test_gradients(mode, pads):
    image = draws((1, 2, 4, 5))
    weights = draws(pad2d(image, pads, mode).shape, seed=1)
    numeric = numeric_gradient(lambda: float((pad2d(image, pads, mode) * weights).sum()), image)
    # the sum is linear in the image: only its rounding, over the step, parts the two
    np.testing.assert_allclose(
        pad2d_backward(weights, pads, mode), numeric, rtol=0, atol=1e-13 / DIFFERENCE_STEP
    )


# Against torch


@every_mode
@every_pads
@both_dtypes
@pytest.mark.parametrize("odd", [0, np.nan, np.inf])
def test_matches_torch(mode, pads, dtype, odd):
    image = draws((2, 3, 4, 5), dtype)
    image[1, 2, 0, 1] = odd
    torch_image = torch.from_numpy(image.copy()).requires_grad_()
    expected = torch.nn.functional.pad(torch_image, (*pads[1], *pads[0]), TORCH_MODES[mode])
    np.testing.assert_array_equal(pad2d(image, pads, mode), expected.detach().numpy())
    grad = draws(expected.shape, dtype, seed=1)
    grad[0, 1, 0, 2] = odd
    expected.backward(torch.from_numpy(grad.copy()))
    assert_same_sum(pad2d_backward(grad, pads, mode), torch_image.grad.numpy())


# Arrays as they come


@every_mode
@both_dtypes
def test_any_strides_and_read_only(mode, dtype):
    pads = (3, 2), (1, 4)
    image, grad = draws((2, 3, 4, 5), dtype), draws((2, 3, 9, 10), dtype, seed=1)
    padded, grad_input = pad2d(image, pads, mode), pad2d_backward(grad, pads, mode)
    for change in (np.asfortranarray, lambda array: np.flip(np.flip(array).copy()), np.copy):
        changed = change(image), change(grad)
        for array in changed:
            array.setflags(write=False)
        np.testing.assert_array_equal(pad2d(changed[0], pads, mode), padded)
        np.testing.assert_array_equal(pad2d_backward(changed[1], pads, mode), grad_input)
    constant = np.broadcast_to(np.array(3, dtype), (2, 3, 4, 5))
    assert (pad2d(constant, pads, mode)[:, :, 3:7, 1:6] == 3).all()


@every_mode
@both_dtypes
def test_no_images(mode, dtype):
    pads = (1, 2), (0, 3)
    padded = pad2d(np.zeros((0, 3, 4, 5), dtype), pads, mode)
    assert (padded.shape, padded.dtype) == ((0, 3, 7, 8), dtype)
    grad_input = pad2d_backward(padded, pads, mode)
    assert (grad_input.shape, grad_input.dtype) == ((0, 3, 4, 5), dtype)


@every_mode
def test_the_result_is_no_view_of_the_gradient(mode):
    grad = draws((1, 1, 4, 5))
    before = grad.copy()
    pad2d_backward(grad, ((1, 0), (0, 2)), mode)[...] = 7
    np.testing.assert_array_equal(grad, before)


# Errors


@pytest.mark.parametrize(
    ("mode", "pads", "message"),
    [
        (
            "reflect",
            ((4, 0), (0, 0)),
            "reflect padding must be smaller than the image. Got padding 4 for height 4. "
            'Use less padding or padding_mode="replicate".',
        ),
        (
            "reflect",
            ((3, 3), (2, 5)),
            "reflect padding must be smaller than the image. Got padding 5 for width 5. "
            'Use less padding or padding_mode="replicate".',
        ),
        (
            "circular",
            ((0, 5), (0, 0)),
            "circular padding must not be larger than the image. Got padding 5 for height 4. "
            'Use less padding or padding_mode="replicate".',
        ),
        (
            "circular",
            ((4, 4), (6, 1)),
            "circular padding must not be larger than the image. Got padding 6 for width 5. "
            'Use less padding or padding_mode="replicate".',
        ),
    ],
)
def test_too_much_padding(mode, pads, message):
    with raises(ValueError, f'Conv2d "0": {message}'):
        check_pads('Conv2d "0"', pads, mode, (4, 5))
    torch_pads = (*pads[1], *pads[0])
    with pytest.raises(RuntimeError, match=r"[Pp]adding"):  # torch refuses the same
        torch.nn.functional.pad(torch.zeros(1, 1, 4, 5), torch_pads, mode)


@every_mode
def test_as_much_padding_as_fits(mode):
    most = {"reflect": ((3, 3), (4, 4)), "circular": ((4, 4), (5, 5))}.get(mode, ((20, 30), (40, 50)))
    assert check_pads("Conv2d", most, mode, (4, 5)) is None
    padded = pad2d(draws((1, 1, 4, 5)), most, mode)
    torch_pads = (*most[1], *most[0])
    expected = torch.nn.functional.pad(torch.from_numpy(draws((1, 1, 4, 5))), torch_pads, TORCH_MODES[mode])
    np.testing.assert_array_equal(padded, expected.numpy())


def test_no_pixel_to_repeat():
    with raises(
        ValueError,
        "Conv2d: replicate padding needs a pixel to repeat. Got padding 2 for height 0. "
        "Pass images with pixels.",
    ):
        check_pads("Conv2d", ((0, 2), (1, 1)), "replicate", (0, 5))
    assert check_pads("Conv2d", ((0, 0), (1, 1)), "replicate", (0, 5)) is None
    assert check_pads("Conv2d", ((1, 1), (1, 1)), "zeros", (0, 5)) is None
    assert check_pads("Conv2d", ((0, 0), (1, 1)), "reflect", (0, 5)) is None
