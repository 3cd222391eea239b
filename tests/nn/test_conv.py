"""Conv2d: by hand, against the loops, gradients by differences, against torch, arrays as they come."""

import numpy as np
import pytest
import torch

from minicnn import nn
from minicnn.kernels import loops
from tests.helpers import assert_gradients, assert_matches_torch, assert_same_sum, draws

# torch says that its own "same" padding copies the input.
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
MODES = ["zeros", "reflect", "replicate", "circular"]
every_mode = pytest.mark.parametrize("mode", MODES)

# Arguments after the channels, 4 in and 6 out, of layers for images of 7x6 cells.
GRID = [
    {"kernel_size": (3, 2), "stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    for stride in ((1, 1), (2, 1), (3, 4))  # overlapping windows, and steps over pixels
    for padding in ((0, 0), (2, 1))
    for dilation in ((1, 1), (2, 3))
    for groups in (1, 2)
]
OPTIONS = [
    {"kernel_size": 1},
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 2, "stride": 2},
    {"kernel_size": [2, 3], "stride": [1, 2], "padding": [0, 1], "dilation": [2, 1]},
    {"kernel_size": (7, 6)},  # the kernel is the image
    {"kernel_size": (9, 8), "padding": (1, 2)},  # the kernel is larger than the image
    {"kernel_size": 2, "padding": (4, 3)},  # windows in the padding alone
    {"kernel_size": 3, "padding": "valid"},
    {"kernel_size": 3, "padding": "valid", "stride": (2, 3)},
    {"kernel_size": 3, "padding": "same"},
    {"kernel_size": (4, 3), "padding": "same"},  # the odd row goes below
    {"kernel_size": (3, 2), "padding": "same", "dilation": (1, 3), "groups": 2},  # the odd column goes right
    {"kernel_size": (2, 1), "padding": "same", "bias": False},
    {"kernel_size": 3, "bias": False, "groups": 2, "stride": (1, 2)},
]
every_layer = pytest.mark.parametrize("options", GRID + OPTIONS, ids=str)


def pair(dtype, in_channels=4, out_channels=6, **options) -> tuple[nn.Conv2d, torch.nn.Conv2d]:
    """Return our layer and torch's for the same arguments."""
    theirs = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    ours = nn.Conv2d(in_channels, out_channels, dtype=dtype, rng=0, **options)
    return ours, torch.nn.Conv2d(in_channels, out_channels, **theirs)


# By hand

# 1 2 3 0      kernel   1  10      bias 20000
# 4 5 6 0             100 1000
IMAGE, KERNEL = [[[[1, 2, 3, 0], [4, 5, 6, 0]]]], [[[[1, 10], [100, 1000]]]]


def layer_by_hand(dtype, *arguments, **options) -> nn.Conv2d:
    layer = nn.Conv2d(1, 1, 2, *arguments, dtype=dtype, **options)
    layer.weight.data[...] = KERNEL
    if layer.bias is not None:
        layer.bias.data[...] = 20000
    return layer


@both_dtypes
def test_by_hand(dtype):
    layer = layer_by_hand(dtype)
    output = layer(np.array(IMAGE, dtype))
    # 1·1 + 2·10 + 4·100 + 5·1000 = 5421, 2 + 30 + 500 + 6000 = 6532, 3 + 600 = 603, plus the bias
    np.testing.assert_array_equal(output, [[[[25421, 26532, 20603]]]])
    grad_input = layer.backward(np.array([[[[1, 2, 3]]]], dtype))
    # above: 1·1, 1·10 + 2·1, 2·10 + 3·1, 3·10; below the same times 100
    np.testing.assert_array_equal(grad_input, [[[[1, 12, 23, 30], [100, 1200, 2300, 3000]]]])
    # 1·1 + 2·2 + 3·3, 1·2 + 2·3 + 3·0; 1·4 + 2·5 + 3·6, 1·5 + 2·6 + 3·0
    np.testing.assert_array_equal(layer.weight.grad, [[[[14, 8], [32, 17]]]])
    np.testing.assert_array_equal(layer.bias.grad, [6])
    for array in (output, grad_input, layer.weight.grad, layer.bias.grad):
        assert array.dtype == dtype


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # stride (2, 3) keeps one window; padding (0, 1) begins it at column -1: 1·10 + 4·1000; 3·1 + 6·100
        ({"stride": (2, 3), "padding": (0, 1)}, [[4010, 603]]),
        # dilation (1, 2) takes every second column: 1 + 30 + 400 + 6000, 2 + 500
        ({"dilation": (1, 2)}, [[6431, 502]]),
        # "same" puts the odd row below and the odd column to the right: 5421, 6532, 603, 0; 4 + 50, 5 + 60, 6
        ({"padding": "same"}, [[5421, 6532, 603, 0], [54, 65, 6, 0]]),
        # columns 2 | 1 2 3 0 | 3 and stride (1, 2): 2 + 10 + 500 + 4000, 2 + 30 + 500 + 6000, 0 + 30 + 6000
        ({"padding": (0, 1), "stride": (1, 2), "padding_mode": "reflect"}, [[4512, 6532, 6030]]),
        # 1 | 1 2 3 0 | 0: 1 + 10 + 400 + 4000, 6532, 0
        ({"padding": (0, 1), "stride": (1, 2), "padding_mode": "replicate"}, [[4411, 6532, 0]]),
        # 0 | 1 2 3 0 | 1: 10 + 4000, 6532, 10 + 4000
        ({"padding": (0, 1), "stride": (1, 2), "padding_mode": "circular"}, [[4010, 6532, 4010]]),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
@both_dtypes
def test_options_by_hand(options, expected, dtype):
    layer = layer_by_hand(dtype, bias=False, **options)
    np.testing.assert_array_equal(layer(np.array(IMAGE, dtype)), [[expected]])


@both_dtypes
def test_groups_by_hand(dtype):
    layer = nn.Conv2d(4, 2, 1, groups=2, bias=False, dtype=dtype)
    layer.weight.data[...] = np.reshape([[1, 10], [100, 1000]], (2, 2, 1, 1))
    # filter 0 sees channels 0 and 1: 1·1 + 2·10; filter 1 sees channels 2 and 3: 3·100 + 4·1000
    np.testing.assert_array_equal(
        layer(np.reshape(np.array([1, 2, 3, 4], dtype), (4, 1, 1))).ravel(), [21, 4300]
    )
    grad_input = layer.backward(np.reshape(np.array([5, 7], dtype), (2, 1, 1)))
    np.testing.assert_array_equal(grad_input.ravel(), [5, 50, 700, 7000])
    np.testing.assert_array_equal(layer.weight.grad.ravel(), [5 * 1, 5 * 2, 7 * 3, 7 * 4])


def test_zero_padding_adds_nothing_whatever_the_weight():
    layer = nn.Conv2d(1, 1, (1, 3), padding=(0, 1), bias=False)
    layer.weight.data[...] = [[[[np.inf, 1, np.nan]]]]
    # outputs: pad·∞ + 5·1 + 0·NaN, 5·∞ + 0·1 + pad·NaN; the weights on the padding leave no trace
    output = layer(np.float32([[[[5, 0]]]]))
    np.testing.assert_array_equal(output, [[[[np.nan, np.inf]]]])
    alone = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    alone.weight.data[...] = np.inf
    alone.weight.data[0, 0, 1, 1] = 2
    assert alone(np.float32([[[[3]]]])) == 6
    assert alone.backward(np.float32([[[[5]]]])) == 10
    np.testing.assert_array_equal(alone.weight.grad, [[[[0, 0, 0], [0, 15, 0], [0, 0, 0]]]])


# Against the loops


@pytest.mark.parametrize("options", GRID, ids=str)
def test_is_the_loops(options):
    layer, _ = pair(np.float64, **options)
    input = draws((2, 4, 7, 6))
    weight, geometry = (
        layer.weight.data,
        [options[key] for key in ("stride", "padding", "dilation", "groups")],
    )
    expected = loops.conv2d(input, weight, layer.bias.data, *geometry)
    assert_same_sum(layer(input), expected)
    grad = draws(expected.shape, seed=1)
    assert_same_sum(layer.backward(grad), loops.conv2d_grad_input(grad, weight, input.shape, *geometry))
    assert_same_sum(layer.weight.grad, loops.conv2d_grad_weight(grad, input, weight.shape, *geometry))
    assert_same_sum(layer.bias.grad, loops.conv2d_grad_bias(grad))


# Gradients by differences


@pytest.mark.parametrize("options", [*GRID[::5], *OPTIONS[3:]], ids=str)
def test_gradients(options):
    assert_gradients(pair(np.float64, **options)[0], draws((1, 4, 7, 6)))


@every_mode
@pytest.mark.parametrize("padding", [(2, 1), "same"])
def test_gradients_of_padding_modes(mode, padding):
    layer, _ = pair(np.float64, 2, 1, kernel_size=(4, 3), padding=padding, padding_mode=mode)
    assert_gradients(layer, draws((2, 2, 5, 4)))


# Against torch


@every_layer
@both_dtypes
def test_matches_torch(options, dtype):
    assert_matches_torch(*pair(dtype, **options), draws((2, 4, 7, 6), dtype))


@every_mode
@both_dtypes
@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": (3, 2), "padding": (2, 3), "stride": (2, 1), "groups": 2},
        {"kernel_size": (4, 3), "padding": "same"},
        {"kernel_size": (3, 2), "padding": "same", "dilation": (2, 3), "bias": False},
        {"kernel_size": 2, "padding": "valid"},
        {"kernel_size": 2, "padding": (0, 4)},
    ],
    ids=str,
)
def test_padding_modes_match_torch(mode, dtype, options):
    layers = pair(dtype, padding_mode=mode, **options)
    assert_matches_torch(*layers, draws((2, 4, 7, 6), dtype))
    assert_matches_torch(*layers, draws((4, 6, 5), dtype))


@both_dtypes
@pytest.mark.parametrize(("out_channels", "groups"), [(4, 4), (8, 4), (4, 2), (2, 2)])
def test_depthwise_and_groups_match_torch(dtype, out_channels, groups):
    layers = pair(dtype, 4, out_channels, kernel_size=(3, 2), padding=(0, 1), groups=groups)
    assert_matches_torch(*layers, draws((3, 4, 5, 6), dtype))


@both_dtypes
@pytest.mark.parametrize(
    "shape", [(4, 7, 6), (0, 4, 7, 6), (1, 4, 3, 2), (3, 4, 11, 5), (2, 4, 3, 23)], ids=str
)
@pytest.mark.parametrize("options", [GRID[0], {"kernel_size": (3, 2), "padding": 1, "groups": 2}], ids=str)
def test_shapes_match_torch(dtype, shape, options):
    assert_matches_torch(*pair(dtype, **options), draws(shape, dtype))


@both_dtypes
@every_mode
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 1e4])
def test_special_inputs_as_torch(dtype, mode, odd):
    input = draws((2, 4, 5, 6), dtype)
    input[1, 2, 0, 3] = odd
    padding = (
        0 if mode == "zeros" else 1
    )  # torch's float64 multiplies zeros of the padding; we leave them out
    layers = pair(dtype, kernel_size=3, padding=padding, padding_mode=mode)
    layers[0].weight.data[0, 2, 0, 0] = 0  # 0·∞ is NaN
    assert_matches_torch(*layers, input)


@both_dtypes
@pytest.mark.parametrize("odd", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["weight", "bias"])
def test_special_parameters_as_torch(dtype, odd, name):
    ours, theirs = pair(dtype, kernel_size=(2, 3))
    getattr(ours, name).data.flat[3] = odd
    assert_matches_torch(ours, theirs, draws((2, 4, 5, 7), dtype))


@both_dtypes
@pytest.mark.parametrize(
    "options", [GRID[6], {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"}], ids=str
)
def test_any_strides_and_read_only(dtype, options):
    array = draws((4, 8, 14, 12), dtype)
    array.setflags(write=False)
    views = [
        array[::-2, ::-2, ::-2, ::-2],
        array[:2, :4].transpose(0, 1, 3, 2),
        np.asfortranarray(array[:2, 4:]),
        np.broadcast_to(array[:1, :1, :, :1], (2, 4, 14, 6)),
    ]
    for view in views:
        ours, theirs = pair(dtype, **options)
        view.setflags(write=False)
        before = view.copy()
        assert_matches_torch(ours, theirs, view)
        np.testing.assert_array_equal(view, before)
        shape = ours(view).shape
        grad_output = draws(shape[::-1], dtype).T[:, ::-1]
        expected = ours.backward(grad_output.copy())
        grad_output.setflags(write=False)
        np.testing.assert_array_equal(ours.backward(grad_output), expected)


def test_gradients_accumulate_as_in_torch():
    ours, theirs = pair(np.float64, kernel_size=3, padding=1)
    assert_matches_torch(ours, theirs, draws((2, 4, 5, 6)))  # the first round, from zero
    input, grad_output = draws((3, 4, 4, 7), seed=2), draws((3, 6, 4, 7), seed=3)
    ours(input)
    ours.backward(grad_output)
    theirs(torch.from_numpy(input)).backward(torch.from_numpy(grad_output))
    assert_same_sum(ours.weight.grad, theirs.weight.grad.numpy())
    assert_same_sum(ours.bias.grad, theirs.bias.grad.numpy())
