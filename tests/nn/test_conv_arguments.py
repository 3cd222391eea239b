"""Conv2d: arguments, names and printing as torch's; every error in full."""

import inspect

import numpy as np
import pytest
import torch

from minicnn import nn
from tests.helpers import assert_matches_torch, draws, raises
from tests.nn.test_conv import GRID, OPTIONS, both_dtypes, pair

# Arguments, state, printing


def test_arguments_are_torchs():
    ours = list(inspect.signature(nn.Conv2d).parameters.values())
    theirs = list(inspect.signature(torch.nn.Conv2d).parameters.values())
    for first, second in zip(ours[:9], theirs[:9], strict=True):
        assert (first.name, first.default, first.kind) == (second.name, second.default, second.kind)
    assert [p.name for p in ours[9:]] == ["dtype", "rng"]
    assert [p.name for p in theirs[9:]] == ["device", "dtype"]


@both_dtypes
def test_by_position_and_by_keyword(dtype):
    values = (4, 6, (3, 2), (2, 1), (1, 0), (1, 2), 2, False, "circular")
    names = list(inspect.signature(torch.nn.Conv2d).parameters)[:9]
    by_position = nn.Conv2d(*values, dtype, rng=1)
    by_keyword = nn.Conv2d(**dict(zip(names, values, strict=True)), dtype=dtype, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(by_position.weight.data, by_keyword.weight.data)
    assert_matches_torch(by_position, torch.nn.Conv2d(*values), draws((2, 4, 7, 6), dtype))
    assert_matches_torch(by_keyword, torch.nn.Conv2d(*values), draws((2, 4, 7, 6), dtype))


@pytest.mark.parametrize("options", GRID[::5] + OPTIONS, ids=str)
def test_state_is_torchs(options):
    ours, theirs = pair(np.float32, **options)
    found = [(name, array.shape) for name, array in ours.state_dict().items()]
    assert found == [(name, tuple(array.shape)) for name, array in theirs.state_dict().items()]


def test_printed_as_torch_prints():
    for options in GRID[::5] + [o for o in OPTIONS if not isinstance(o.get("padding"), str)]:
        ours, theirs = pair(np.float32, **options)
        assert repr(ours) == repr(theirs)
    assert repr(nn.Conv2d(2, 4, 3, padding="same", groups=2, padding_mode="reflect")) == (
        "Conv2d(2, 4, kernel_size=(3, 3), stride=(1, 1), padding='same', groups=2, padding_mode='reflect')"
    )


def test_nothing_is_saved_without_gradients():
    layer = nn.Conv2d(1, 1, 1)
    with nn.no_grad():
        layer(np.ones((1, 1, 2, 2), np.float32))
    assert layer.saved == {}


# Errors


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((0, 1, 1), {}, ValueError, "in_channels must be at least 1. Got 0. Pass a larger number."),
        ((1, -2, 1), {}, ValueError, "out_channels must be at least 1. Got -2. Pass a larger number."),
        ((1.0, 1, 1), {}, TypeError, "in_channels must be an integer. Got 1.0 (float). Pass an int."),
        ((1, "2", 1), {}, TypeError, "out_channels must be an integer. Got '2' (str). Pass an int."),
        ((1, 1, 0), {}, ValueError, "kernel_size must be at least 1. Got 0. Pass a larger number."),
        (
            (1, 1, (1, 2, 3)),
            {},
            ValueError,
            "kernel_size must be an int or a pair (height, width). Got (1, 2, 3). Pass one or two ints.",
        ),
        ((1, 1, None), {}, TypeError, "kernel_size must be an integer. Got None (NoneType). Pass an int."),
        ((1, 1, 1, (1, 0)), {}, ValueError, "stride must be at least 1. Got 0. Pass a larger number."),
        (
            (1, 1, 1),
            {"dilation": -1},
            ValueError,
            "dilation must be at least 1. Got -1. Pass a larger number.",
        ),
        (
            (1, 1, 1),
            {"padding": (0, -1)},
            ValueError,
            "padding must be at least 0. Got -1. Pass a larger number.",
        ),
        (
            (1, 1, 1),
            {"padding": True},
            TypeError,
            "padding must be an integer. Got True (bool). Pass an int.",
        ),
        (
            (1, 1, 1),
            {"padding": np.array([1, 1])},  # neither a pair nor a name
            TypeError,
            "padding must be an integer. Got array([1, 1]) (ndarray). Pass an int.",
        ),
        (
            (1, 1, 1),
            {"padding": "full"},
            ValueError,
            'padding must be an int, a pair, "same" or "valid". Got \'full\'. Choose one of these.',
        ),
        (
            (1, 1, 3),
            {"padding": "same", "stride": (1, 2)},
            ValueError,
            'padding="same" needs stride 1. Got stride (1, 2). Give the padding as a number.',
        ),
        (
            (1, 1, 1),
            {"padding_mode": "edge"},
            ValueError,
            "padding_mode must be one of zeros, reflect, replicate, circular. Got 'edge'. Choose one of these.",
        ),
        (
            (1, 1, 1),
            {"padding_mode": ["zeros"]},  # not even the key of a dict
            ValueError,
            "padding_mode must be one of zeros, reflect, replicate, circular. Got ['zeros']. "
            "Choose one of these.",
        ),
        ((1, 1, 1), {"groups": 0}, ValueError, "groups must be at least 1. Got 0. Pass a larger number."),
        (
            (3, 4, 1),
            {"groups": 2},
            ValueError,
            "in_channels must be divisible by groups. Got 3 and 2. "
            "Choose a number of groups that divides both channels.",
        ),
        (
            (4, 3, 1),
            {"groups": 4},
            ValueError,
            "out_channels must be divisible by groups. Got 3 and 4. "
            "Choose a number of groups that divides both channels.",
        ),
        (
            (2, 1, (2**15, 2**15)),
            {},
            ValueError,
            "the weight must hold fewer than 2^31 numbers. Got shape (1, 2, 32768, 32768). "
            "Use a smaller kernel or fewer channels.",
        ),
        (
            (1, 1, 1),
            {"dtype": np.float16},
            TypeError,
            "dtype must be float32 or float64. Got float16. Pass np.float32 or np.float64.",
        ),
    ],
)
def test_arguments_refused(arguments, options, error, message):
    with raises(error, f"Conv2d: {message}"):
        nn.Conv2d(*arguments, **options)


@pytest.mark.parametrize(
    ("options", "input", "error", "message"),
    [
        (
            {},
            np.zeros((8, 1, 4, 4), np.float32),
            ValueError,
            "input must have 3 channels (axis 1). Got 1 in shape (8, 1, 4, 4). "
            "Build the layer with in_channels=1.",
        ),
        (
            {"in_channels": 1},
            np.zeros((3, 4, 4), np.float32),
            ValueError,
            "input must have 1 channel (axis 0). Got 3 in shape (3, 4, 4). "
            "Pass grey images as images[:, None], or build the layer with in_channels=3.",
        ),
        (
            {},
            np.zeros((8, 28, 28, 3), np.float32),
            ValueError,
            "input must have 3 channels (axis 1). Got 28 in shape (8, 28, 28, 3). "
            "Pass images whose channels stand last as images.transpose(0, 3, 1, 2), or build the layer with "
            "in_channels=28.",
        ),
        (
            {},
            np.zeros((8, 28), np.float32),
            ValueError,
            "input must be (N, C, H, W) or (C, H, W). Got shape (8, 28). "
            "Give every image its channel axis, such as images[:, None].",
        ),
        (
            {},
            np.zeros((1, 1, 3, 4, 4), np.float32),
            ValueError,
            "input must be (N, C, H, W) or (C, H, W). Got shape (1, 1, 3, 4, 4). "
            "Give every image its channel axis, such as images[:, None].",
        ),
        (
            {},
            np.zeros((1, 3, 4, 4)),
            TypeError,
            "input must be float32, as the layer's parameters are. Got float64. Convert the input with "
            ".astype(np.float32), or the model with model.astype(np.float64).",
        ),
        (
            {},
            np.zeros((1, 3, 4, 4), np.uint8),
            TypeError,
            "input must be float32 or float64. Got uint8. Convert it with .astype(np.float32).",
        ),
        (
            {},
            np.zeros((1, 3, 4, 4), ">f4"),
            TypeError,
            "input must be float32 or float64. Got >f4. Convert it with .astype(np.float32).",
        ),
        (
            {},
            [[[[1.0]]]],
            TypeError,
            "input must be a NumPy array. Got list. Convert it with np.asarray.",
        ),
        (
            {"kernel_size": (2, 3), "dilation": (1, 3), "padding": (0, 1)},
            np.zeros((2, 3, 8, 4), np.float32),  # 3·(3 - 1) + 1 = 7 columns are needed, 6 are there
            ValueError,
            "the kernel must fit into the padded input. Got kernel (2, 3) with dilation (1, 3) for 8x6 cells. "
            "Use a smaller kernel or more padding.",
        ),
        (
            {"kernel_size": (5, 2), "padding": (1, 0), "padding_mode": "circular"},
            np.zeros((3, 2, 9), np.float32),
            ValueError,
            "the kernel must fit into the padded input. Got kernel (5, 2) with dilation (1, 1) for 4x9 cells. "
            "Use a smaller kernel or more padding.",
        ),
        (
            {"padding": (1, 2), "padding_mode": "reflect"},
            np.zeros((1, 3, 5, 2), np.float32),
            ValueError,
            "reflect padding must be smaller than the image. Got padding 2 for width 2. "
            'Use less padding or padding_mode="replicate".',
        ),
        (
            {"padding": (3, 0), "padding_mode": "circular"},
            np.zeros((1, 3, 2, 5), np.float32),
            ValueError,
            "circular padding must not be larger than the image. Got padding 3 for height 2. "
            'Use less padding or padding_mode="replicate".',
        ),
        (
            {"padding": (1, 2), "padding_mode": "replicate"},
            np.zeros((1, 3, 5, 0), np.float32),
            ValueError,
            "replicate padding needs a pixel to repeat. Got padding 2 for width 0. Pass images with pixels.",
        ),
    ],
)
def test_inputs_refused(options, input, error, message):
    layer = nn.Sequential(
        nn.ReLU(), nn.Conv2d(**{"in_channels": 3, "out_channels": 2, "kernel_size": 2} | options)
    )
    with raises(error, f'Conv2d "1": {message}'):
        layer[1](input)
    assert layer[1].saved == {}


def test_gradients_refused():
    layer = nn.Sequential(nn.Conv2d(1, 2, 2))[0]
    with raises(
        RuntimeError,
        'Conv2d "0": backward needs a forward first. Call model(x), then the loss, then backward.',
    ):
        layer.backward(np.zeros((1, 2, 3, 3), np.float32))
    layer(np.zeros((1, 1, 4, 3), np.float32))
    with raises(
        ValueError,
        'Conv2d "0": grad_output must have the output\'s shape (1, 2, 3, 2). Got (2, 3, 2). '
        "Pass the gradient of the last forward's output.",
    ):
        layer.backward(np.zeros((2, 3, 2), np.float32))
    with raises(
        TypeError,
        'Conv2d "0": grad_output must be float32, as the output is. Got float64. '
        "Convert it with .astype(np.float32).",
    ):
        layer.backward(np.zeros((1, 2, 3, 2)))
    assert layer.weight.grad is None
