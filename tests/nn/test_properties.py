"""Whatever is fed to a layer, it equals the plain loops or raises the documented error.

Numbers are small integers, so that every sum is exact and results must be equal to the bit; NaN and
infinity stand among them. Shapes, layouts and wrong kinds of arrays: tests/nn/strategies.py.
"""

from __future__ import annotations

import math
import re

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minicnn import nn
from minicnn.kernels import loops
from minicnn.kernels.geometry import conv_output_size, pool_output_size
from tests.helpers import SAME_SUM
from tests.nn import strategies as draw
from tests.nn.formulas import avg_pool2d_by_loops, batched, conv2d_by_loops, softmax_by_formula, sources_of

# Who: rule. Got what. What to do.
DOCUMENTED = re.compile(r'\A\w+(?: "[\w.]+")?: (?!.*\n)[^:].*?\. Got .+?\. [A-Z].*\.\Z')


def examples(count: int):
    """Return settings under which every run draws the same examples and leaves no files behind."""
    checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
    return settings(
        derandomize=True, deadline=None, database=None, max_examples=count, suppress_health_check=checks
    )


def answer(valid: bool, call, *arguments):
    """Return what `call` gives; None if it raises the documented error, as it must just if not `valid`."""
    found, refusal = None, None
    try:
        found = call(*arguments)
    except (TypeError, ValueError) as error:
        refusal = error
    if refusal is None:
        assert valid, "took what it should refuse"
    else:
        assert_documented(refusal)
        assert not valid, f"refused what it should take: {refusal}"
    return found


def assert_documented(refusal: Exception) -> None:
    """Raise unless it is a plain TypeError or ValueError whose message has the three sentences."""
    assert type(refusal) in (TypeError, ValueError), repr(refusal)
    assert DOCUMENTED.match(str(refusal)), f"not of the documented form: {refusal}"


def assert_equal(actual, expected: np.ndarray, what: str) -> None:
    """Raise unless the arrays are the same in type, shape, dtype and every number."""
    assert type(actual) is np.ndarray, f"{what}: {type(actual)}"
    assert actual.dtype == expected.dtype, f"{what}: {actual.dtype}, expected {expected.dtype}"
    np.testing.assert_array_equal(actual, expected, err_msg=what, strict=True)


def assert_close(actual, expected: np.ndarray, dtype, what: str) -> None:
    """Raise unless shape and dtype are the same and the values differ by rounding only."""
    assert np.asarray(actual).dtype == dtype, what
    assert np.shape(actual) == np.shape(expected), what
    np.testing.assert_allclose(actual, expected, rtol=0, atol=10 * SAME_SUM[np.dtype(dtype)], err_msg=what)


def gradient(data, layer, output: np.ndarray):
    """Draw a gradient of the output, right or wrong, and return it with the layer's answer to it."""
    grad = data.draw(draw.arrays(output.shape, output.dtype), label="grad_output")
    given, right = data.draw(draw.sometimes_wrong(grad), label="given")
    if data.draw(st.integers(0, 9), label="another shape") == 9:
        given, right = np.zeros((*output.shape, 2), output.dtype), False
    return grad, answer(right, layer.backward, given)


@examples(250)
@given(st.data())
def test_conv2d(data):
    how = data.draw(draw.windows((0, 0, 1, 2)), label="window")
    how["dilation"] = data.draw(draw.pairs(st.integers(1, 2)), label="dilation")
    how["groups"] = data.draw(st.integers(1, 2), label="groups")
    how["bias"] = data.draw(st.booleans(), label="bias")
    how["padding_mode"] = data.draw(st.sampled_from(["zeros"] * 2 + ["reflect", "replicate", "circular"]))
    how["padding"] = data.draw(st.sampled_from([how["padding"]] * 4 + ["same", "valid"]), label="padding")
    dtype = data.draw(draw.DTYPES, label="dtype")
    channels, filters = (how["groups"] * data.draw(st.integers(1, 2)) for _ in range(2))
    constructible = how["padding"] != "same" or draw.as_pair(how["stride"]) == (1, 1)
    layer = answer(constructible, lambda: nn.Conv2d(channels, filters, **how, dtype=dtype, rng=0))
    if layer is None:
        return
    for parameter in layer.parameters():
        parameter.data = data.draw(draw.arrays(parameter.data.shape, dtype), label="parameter")
    input = data.draw(draw.arrays(data.draw(draw.image_shapes(channels)), dtype), label="input")
    valid = input.ndim in (3, 4) and input.shape[-3] == channels
    if valid:
        sources = sources_of(layer, input.shape[-2:])
        valid = sources is not None and all(
            conv_output_size(cells, kernel, 1, 0, dilation) >= 1
            for cells, kernel, dilation in zip(sources.shape, layer.kernel_size, layer.dilation, strict=True)
        )
    given, right = data.draw(draw.sometimes_wrong(input), label="given")
    output = answer(valid and right, layer, given)
    if output is None:
        return
    expected = conv2d_by_loops(layer, input)
    assert_equal(output, expected if input.ndim == 4 else expected[0], "output")
    grad_output, grad_input = gradient(data, layer, output)
    if grad_input is None:
        assert layer.weight.grad is None
        return
    expected, grad_weight, grad_bias = conv2d_by_loops(layer, input, grad_output)
    assert_equal(grad_input, expected.reshape(input.shape), "grad_input")
    assert_equal(layer.weight.grad, grad_weight, "weight.grad")
    if layer.bias is not None:
        assert_equal(layer.bias.grad, grad_bias, "bias.grad")


@examples(150)
@given(st.sampled_from((nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)), st.data())
def test_arguments_that_mean_nothing_are_refused(kind, data):
    names = ["kernel_size", "stride", "padding"]
    names += {"Conv2d": ["dilation", "groups"], "MaxPool2d": ["dilation"]}.get(kind.__name__, [])
    arguments = {"kernel_size": 2} | {
        name: data.draw(st.sampled_from(draw.NO_SIZES), label=name)
        for name in data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=2), label="names")
    }
    channels = (2, 2) if kind is nn.Conv2d else ()
    layer, refusal = None, None
    try:
        layer = kind(*channels, **arguments)
    except (TypeError, ValueError) as error:
        refusal = error
    if refusal is not None:
        assert_documented(refusal)
        return
    for name in set(names) - {"groups"}:  # what was taken is a pair of sensible ints now
        assert all(type(number) is int for number in getattr(layer, name))
        assert min(getattr(layer, name)) >= (name != "padding")


def pool_is_possible(layer, input: np.ndarray, dilation: tuple[int, int], ceil_mode: bool) -> bool:
    """Return whether the input has the axes of images, and every axis has room for a window."""
    return input.ndim in (3, 4) and all(
        pool_output_size(*sizes, ceil_mode) >= 1
        for sizes in zip(
            input.shape[-2:], layer.kernel_size, layer.stride, layer.padding, dilation, strict=True
        )
    )


def pooling_layer(data, kind, **more):
    """Draw a pooling layer; None if its padding was refused, as it must be."""
    how = data.draw(draw.windows((0, 0, 0, 1, 2)), label="window")
    kernel, padding = draw.as_pair(how["kernel_size"]), draw.as_pair(how["padding"])
    possible = all(p <= k // 2 for p, k in zip(padding, kernel, strict=True))
    if data.draw(st.booleans(), label="default stride"):
        del how["stride"]
    return answer(possible, lambda: kind(**how, **more))


@examples(200)
@given(st.data(), draw.DTYPES, st.booleans())
def test_max_pool2d(data, dtype, ceil_mode):
    dilation = data.draw(draw.pairs(st.integers(1, 2)), label="dilation")
    layer = pooling_layer(data, nn.MaxPool2d, dilation=dilation, ceil_mode=ceil_mode, return_indices=True)
    if layer is None:
        return
    input = data.draw(draw.arrays(data.draw(draw.image_shapes()), dtype), label="input")
    given, right = data.draw(draw.sometimes_wrong(input), label="given")
    possible = pool_is_possible(layer, input, layer.dilation, ceil_mode)
    found = answer(possible and right, layer, given)
    if found is None:
        return
    how = (layer.kernel_size, layer.stride, layer.padding, layer.dilation, ceil_mode)
    images = batched(input)
    output, indices = loops.max_pool2d(images, *how)
    assert_equal(found[0], output if input.ndim == 4 else output[0], "output")
    assert_equal(found[1], indices if input.ndim == 4 else indices[0], "indices")
    grad_output, grad_input = gradient(data, layer, found[0])
    if grad_input is not None:
        expected = loops.max_pool2d_backward(batched(grad_output), indices, images.shape)
        assert_equal(grad_input, expected.reshape(input.shape), "grad_input")


@examples(200)
@given(st.data(), draw.DTYPES, st.booleans(), st.booleans())
def test_avg_pool2d(data, dtype, ceil_mode, count_include_pad):
    divisor = data.draw(st.sampled_from((None, None, 3, -2)), label="divisor")
    more = {"count_include_pad": count_include_pad, "divisor_override": divisor}
    layer = pooling_layer(data, nn.AvgPool2d, ceil_mode=ceil_mode, **more)
    if layer is None:
        return
    input = data.draw(draw.arrays(data.draw(draw.image_shapes()), dtype), label="input")
    given, right = data.draw(draw.sometimes_wrong(input), label="given")
    possible = pool_is_possible(layer, input, (1, 1), ceil_mode)
    output = answer(possible and right, layer, given)
    if output is None:
        return
    assert_close(output, avg_pool2d_by_loops(layer, input.shape, input), dtype, "output")
    grad_output, grad_input = gradient(data, layer, output)
    if grad_input is not None:
        expected = avg_pool2d_by_loops(layer, input.shape, grad_output=grad_output)
        assert_close(grad_input, expected, dtype, "grad_input")


@examples(120)
@given(st.data(), draw.DTYPES, st.integers(1, 4), st.integers(1, 40), st.booleans())
def test_linear(data, dtype, in_features, out_features, bias):
    layer = nn.Linear(in_features, out_features, bias, dtype=dtype, rng=0)
    for parameter in layer.parameters():
        parameter.data = data.draw(draw.arrays(parameter.data.shape, dtype), label="parameter")
    shape = data.draw(draw.ANY_SHAPE | draw.ANY_SHAPE.map(lambda shape: (*shape, in_features)), label="shape")
    input = data.draw(draw.arrays(shape, dtype), label="input")
    given, right = data.draw(draw.sometimes_wrong(input), label="given")
    output = answer(right and shape[-1:] == (in_features,), layer, given)
    if output is None:
        return
    weight, rows = layer.weight.data, input.reshape(math.prod(shape[:-1]), in_features)  # (N, in_features)
    with np.errstate(all="ignore"):
        expected = loops.linear(rows, weight, layer.bias.data if bias else None)
    assert_equal(output, expected.reshape(*shape[:-1], out_features), "output")
    grad_output, grad_input = gradient(data, layer, output)
    if grad_input is None:
        return
    grads = grad_output.reshape(-1, out_features)  # (N, out_features)
    with np.errstate(all="ignore"):
        assert_equal(grad_input, loops.linear_grad_input(grads, weight).reshape(shape), "grad_input")
        assert_equal(layer.weight.grad, loops.linear_grad_weight(grads, rows), "weight.grad")
        if bias:
            assert_equal(layer.bias.grad, grads.sum(axis=0), "bias.grad")


@examples(100)
@given(st.data(), draw.DTYPES, draw.ANY_SHAPE)
def test_relu(data, dtype, shape):
    layer, input = nn.ReLU(), data.draw(draw.arrays(shape, dtype), label="input")
    given, right = data.draw(draw.sometimes_wrong(input), label="given")
    output = answer(right, layer, given)
    if output is None:
        return
    assert_equal(output, np.where(input < 0, dtype(0), input), "output")
    grad_output, grad_input = gradient(data, layer, output)
    if grad_input is not None:
        assert_equal(grad_input, np.where(input <= 0, dtype(0), grad_output), "grad_input")


@examples(100)
@given(st.data(), draw.DTYPES, draw.ANY_SHAPE, st.integers(-4, 3))
def test_softmax(data, dtype, shape, dim):
    layer, input = nn.Softmax(dim), data.draw(draw.arrays(shape, dtype), label="input")
    given, right = data.draw(draw.sometimes_wrong(input), label="given")
    output = answer(right and -len(shape) <= dim < len(shape), layer, given)
    if output is None:
        return
    probabilities = softmax_by_formula(input, dim)
    assert_close(output, probabilities, dtype, "output")
    grad_output, grad_input = gradient(data, layer, output)
    if grad_input is not None:
        with np.errstate(all="ignore"):
            mean = (grad_output * probabilities).sum(axis=dim, keepdims=True)
            assert_close(grad_input, probabilities * (grad_output - mean), dtype, "grad_input")


@examples(120)
@given(st.data(), draw.DTYPES, st.integers(0, 4), st.integers(0, 4), st.sampled_from(("mean", "sum")))
def test_cross_entropy(data, dtype, number, classes, reduction):
    criterion = nn.CrossEntropyLoss(reduction=reduction)
    logits = data.draw(draw.arrays((number, classes), dtype), label="logits")
    given, right = data.draw(draw.sometimes_wrong(logits), label="given")
    count = data.draw(st.sampled_from([number] * 9 + [number + 1, 1]), label="number of targets")
    indexes = data.draw(st.lists(st.integers(0, max(classes - 1, 0)), min_size=count, max_size=count))
    if indexes and data.draw(st.integers(0, 9), label="slip") == 9:
        indexes[0] = data.draw(st.sampled_from((-1, classes, 100)), label="index")
    kind = data.draw(st.sampled_from(("i8", "i1", "u1", ">i4", "i8", "f4", "list")), label="targets")
    if min(indexes, default=0) < 0:
        kind = "i8"
    targets = indexes if kind == "list" else np.array(indexes, kind)
    if data.draw(st.booleans(), label="backwards") and kind != "list":
        targets = targets[::-1]
    fits = kind not in ("f4", "list") and count == number and classes > 0
    fits = fits and all(0 <= index < classes for index in indexes)
    loss = answer(right and fits, criterion, given, targets)
    if loss is None:
        return
    rows = np.arange(number)
    with np.errstate(all="ignore"):
        probabilities = softmax_by_formula(logits, 1)
        highest = logits.astype(np.float64).max(axis=1)
        shifted = logits - highest[:, None]
        losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[rows, targets]
        divisor = np.float64(number if reduction == "mean" else 1)
        assert type(loss) is float
        assert_close(np.asarray(loss, dtype), losses.sum() / divisor, dtype, "loss")
        truth = np.zeros(logits.shape)
        truth[rows, targets] = 1
        assert_close(criterion.backward(), (probabilities - truth) / divisor, dtype, "grad_logits")
