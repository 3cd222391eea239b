"""AvgPool2d, AdaptiveAvgPool2d: arguments, names and printing as torch's; every error in full."""

import inspect

import numpy as np
import pytest
import torch

from minicnn import nn
from tests.helpers import assert_matches_torch, draws, raises

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
CLASSES = ["AvgPool2d", "AdaptiveAvgPool2d"]


@pytest.mark.parametrize("name", CLASSES)
def test_arguments_are_torchs(name):
    ours = inspect.signature(getattr(nn, name)).parameters.values()
    theirs = inspect.signature(getattr(torch.nn, name)).parameters.values()
    assert [(p.name, p.default, p.kind) for p in ours] == [(p.name, p.default, p.kind) for p in theirs]


@both_dtypes
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("AvgPool2d", ((3, 2), (1, 2), (1, 0), True, False, None)),
        ("AvgPool2d", ((3, 2), (1, 2), (1, 0), False, True, 5)),
        ("AdaptiveAvgPool2d", ((2, 3),)),
    ],
)
def test_by_position_and_by_keyword(name, values, dtype):
    names = list(inspect.signature(getattr(torch.nn, name)).parameters)
    for layer in (getattr(nn, name)(*values), getattr(nn, name)(**dict(zip(names, values, strict=True)))):
        assert_matches_torch(layer, getattr(torch.nn, name)(*values), draws((2, 3, 9, 7), dtype))


@pytest.mark.parametrize(
    ("name", "values"),
    [("AvgPool2d", ((3, 2), (1, 2), (1, 0))), ("AdaptiveAvgPool2d", ((2, None),))],
)
def test_state_and_printing(name, values):
    ours, theirs = getattr(nn, name)(*values), getattr(torch.nn, name)(*values)
    assert ours.state_dict() == dict(theirs.state_dict()) == {}
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("name", CLASSES)
def test_nothing_is_saved_without_gradients(name):
    layer = getattr(nn, name)(2)
    with nn.no_grad():
        layer(np.ones((1, 1, 2, 2)))
    assert layer.saved == {}


# Errors


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"kernel_size": 0}, ValueError, "kernel_size must be at least 1. Got 0. Pass a larger number."),
        (
            {"kernel_size": (1, 2, 3)},
            ValueError,
            "kernel_size must be an int or a pair (height, width). Got (1, 2, 3). Pass one or two ints.",
        ),
        ({"kernel_size": "2"}, TypeError, "kernel_size must be an integer. Got '2' (str). Pass an int."),
        ({"stride": (0, 1)}, ValueError, "stride must be at least 1. Got 0. Pass a larger number."),
        ({"padding": -2}, ValueError, "padding must be at least 0. Got -2. Pass a larger number."),
        ({"padding": 0.5}, TypeError, "padding must be an integer. Got 0.5 (float). Pass an int."),
        (
            {"kernel_size": (5, 3), "padding": (2, 2)},
            ValueError,
            "padding must be at most half the kernel size. Got padding (2, 2) for kernel (5, 3). "
            "Use less padding.",
        ),
        (
            {"divisor_override": 0},
            ValueError,
            "divisor_override must not be 0. Got 0. Pass another number, or None.",
        ),
        (
            {"divisor_override": 2.5},
            TypeError,
            "divisor_override must be an integer. Got 2.5 (float). Pass an int.",
        ),
    ],
)
def test_arguments_refused(options, error, message):
    with raises(error, f"AvgPool2d: {message}"):
        nn.AvgPool2d(**{"kernel_size": 2} | options)


@pytest.mark.parametrize(
    ("size", "error", "message"),
    [
        (0, ValueError, "output_size must be at least 1. Got 0. Pass a larger number."),
        ((None, -1), ValueError, "output_size must be at least 1. Got -1. Pass a larger number."),
        ((2.0, 2), TypeError, "output_size must be an integer. Got 2.0 (float). Pass an int."),
        ("7", TypeError, "output_size must be an integer. Got '7' (str). Pass an int."),
        (
            (1, 2, 3),
            ValueError,
            "output_size must be an int or a pair (height, width). Got (1, 2, 3). Pass one or two ints.",
        ),
        (
            [7],
            ValueError,
            "output_size must be an int or a pair (height, width). Got [7]. Pass one or two ints.",
        ),
    ],
)
def test_sizes_refused(size, error, message):
    with raises(error, f"AdaptiveAvgPool2d: {message}"):
        nn.AdaptiveAvgPool2d(size)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize(
    ("input", "error", "message"),
    [
        (
            np.zeros((8, 4)),
            ValueError,
            "input must be (N, C, H, W) or (C, H, W). Got shape (8, 4). Put the layer before Flatten.",
        ),
        (
            np.zeros((1, 1, 1, 4, 4)),
            ValueError,
            "input must be (N, C, H, W) or (C, H, W). Got shape (1, 1, 1, 4, 4). Put the layer before Flatten.",
        ),
        (
            np.zeros((1, 1, 4, 4), np.float16),
            TypeError,
            "input must be float32 or float64. Got float16. Convert it with .astype(np.float32).",
        ),
        (3.0, TypeError, "input must be a NumPy array. Got float. Convert it with np.asarray."),
    ],
)
def test_inputs_refused(name, input, error, message):
    layer = nn.Sequential(nn.ReLU(), getattr(nn, name)(2))[1]
    with raises(error, f'{name} "1": {message}'):
        layer(input)
    assert layer.saved == {}


def test_windows_that_do_not_fit_are_refused():
    layer = nn.Sequential(nn.AvgPool2d((2, 5), padding=(1, 0)))[0]
    with raises(
        ValueError,
        'AvgPool2d "0": the window must fit into the padded input. Got window (2, 5) with dilation (1, 1) and '
        "padding (1, 0) for 6x4 cells. Use a smaller window.",
    ):
        layer(np.zeros((2, 1, 6, 4)))


@pytest.mark.parametrize("size", [2, None, (None, 1)])
def test_images_without_pixels_are_refused(size):
    layer = nn.Sequential(nn.AdaptiveAvgPool2d(size))[0]
    with raises(
        ValueError,
        'AdaptiveAvgPool2d "0": input must have pixels. Got 5x0 cells. Pass images with pixels.',
    ):
        layer(np.zeros((2, 1, 5, 0)))


@pytest.mark.parametrize("name", CLASSES)
def test_gradients_refused(name):
    layer = nn.Sequential(getattr(nn, name)((2, 3)))[0]
    who = f'{name} "0"'
    with raises(
        RuntimeError, f"{who}: backward needs a forward first. Call model(x), then the loss, then backward."
    ):
        layer.backward(np.zeros((1, 1, 2, 3)))
    layer(np.zeros((1, 1, 4, 9)))  # 2x3 parts, and as many windows of 2x3
    with raises(
        ValueError,
        f"{who}: grad_output must have the output's shape (1, 1, 2, 3). Got (1, 2, 3). "
        "Pass the gradient of the last forward's output.",
    ):
        layer.backward(np.zeros((1, 2, 3)))
    with raises(
        TypeError,
        f"{who}: grad_output must be float64, as the output is. Got float32. "
        "Convert it with .astype(np.float64).",
    ):
        layer.backward(np.zeros((1, 1, 2, 3), np.float32))
