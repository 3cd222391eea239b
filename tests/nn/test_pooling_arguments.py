"""MaxPool2d: arguments, names and printing as torch's; every error in full."""

import inspect

import numpy as np
import pytest
import torch

from minicnn import nn
from tests.helpers import assert_matches_torch, draws, raises
from tests.nn.test_pooling import both_dtypes

# Arguments, state, printing


def test_arguments_are_torchs():
    ours = inspect.signature(nn.MaxPool2d).parameters.values()
    theirs = inspect.signature(torch.nn.MaxPool2d).parameters.values()
    assert [(p.name, p.default, p.kind) for p in ours] == [(p.name, p.default, p.kind) for p in theirs]


@both_dtypes
def test_by_position_and_by_keyword(dtype):
    values = ((3, 2), (1, 2), (1, 0), (2, 1), False, True)
    names = list(inspect.signature(torch.nn.MaxPool2d).parameters)
    for layer in (nn.MaxPool2d(*values), nn.MaxPool2d(**dict(zip(names, values, strict=True)))):
        assert_matches_torch(layer, torch.nn.MaxPool2d(*values), draws((2, 3, 9, 7), dtype))


def test_state_and_printing():
    assert nn.MaxPool2d(2).state_dict() == dict(torch.nn.MaxPool2d(2).state_dict()) == {}
    values = (3, 2), (1, 2), (1, 0), (2, 1)
    assert repr(nn.MaxPool2d(*values, ceil_mode=True)) == repr(torch.nn.MaxPool2d(*values, ceil_mode=True))


def test_nothing_is_saved_without_gradients():
    layer = nn.MaxPool2d(2)
    with nn.no_grad():
        layer(np.ones((1, 1, 2, 2)))
    assert layer.saved == {}


# Errors


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"kernel_size": 0}, ValueError, "kernel_size must be at least 1. Got 0. Pass a larger number."),
        (
            {"kernel_size": (2,)},
            ValueError,
            "kernel_size must be an int or a pair (height, width). Got (2,). Pass one or two ints.",
        ),
        ({"kernel_size": 2.0}, TypeError, "kernel_size must be an integer. Got 2.0 (float). Pass an int."),
        ({"stride": (1, 0)}, ValueError, "stride must be at least 1. Got 0. Pass a larger number."),
        ({"padding": -1}, ValueError, "padding must be at least 0. Got -1. Pass a larger number."),
        ({"padding": "same"}, TypeError, "padding must be an integer. Got 'same' (str). Pass an int."),
        ({"dilation": 0}, ValueError, "dilation must be at least 1. Got 0. Pass a larger number."),
        (
            {"kernel_size": (4, 3), "padding": (2, 2), "dilation": 2},
            ValueError,
            "padding must be at most half the kernel size. Got padding (2, 2) for kernel (4, 3). "
            "Use less padding.",
        ),
    ],
)
def test_arguments_refused(options, error, message):
    with raises(error, f"MaxPool2d: {message}"):
        nn.MaxPool2d(**{"kernel_size": 2} | options)


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
            np.zeros((1, 1, 4, 4), np.int64),
            TypeError,
            "input must be float32 or float64. Got int64. Convert it with .astype(np.float32).",
        ),
        (None, TypeError, "input must be a NumPy array. Got NoneType. Convert it with np.asarray."),
        (
            np.zeros((2, 1, 6, 4)),  # 2·(3 - 1) + 1 = 5 columns are needed, 4 are there
            ValueError,
            "the window must fit into the padded input. Got window (2, 3) with dilation (1, 2) and padding "
            "(1, 0) for 6x4 cells. Use a smaller window.",
        ),
    ],
)
def test_inputs_refused(input, error, message):
    layer = nn.Sequential(nn.ReLU(), nn.MaxPool2d((2, 3), padding=(1, 0), dilation=(1, 2)))[1]
    with raises(error, f'MaxPool2d "1": {message}'):
        layer(input)
    assert layer.saved == {}


def test_gradients_refused():
    layer = nn.Sequential(nn.MaxPool2d(2))[0]
    with raises(
        RuntimeError,
        'MaxPool2d "0": backward needs a forward first. Call model(x), then the loss, then backward.',
    ):
        layer.backward(np.zeros((1, 1, 2, 2)))
    layer(np.zeros((1, 1, 4, 6)))
    with raises(
        ValueError,
        'MaxPool2d "0": grad_output must have the output\'s shape (1, 1, 2, 3). Got (1, 1, 4, 6). '
        "Pass the gradient of the last forward's output.",
    ):
        layer.backward(np.zeros((1, 1, 4, 6)))
    with raises(
        TypeError,
        'MaxPool2d "0": grad_output must be float64, as the output is. Got float32. '
        "Convert it with .astype(np.float64).",
    ):
        layer.backward(np.zeros((1, 1, 2, 3), np.float32))
