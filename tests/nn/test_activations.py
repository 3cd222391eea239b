"""Activations: by hand, gradients by differences, against torch with every special value, errors."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from minicnn import nn
from tests.helpers import assert_gradients, assert_matches_torch, distinct, draws, raises

DTYPES = [np.float32, np.float64]
# The argument of erfc is rounded once, by 1e-16, and erfc makes that larger by x² (37² = 1369).
ERFC_FAR_OUT = 1e-12
INF, NAN = math.inf, math.nan
SPECIAL = [0.0, -0.0, 1, -1, 1e4, -1e4, 1e-30, -1e-30, 3, -3, 6, 88, -88, 710, -710, INF, -INF, NAN]
NAN_APART = (
    "ELU",
    "ReLU6",
    "Hardtanh",
    "Hardswish",
)  # at NaN, torch's loops for vectors and for the rest differ on the way back


class Hardsigmoid(torch.nn.Module):
    """Torch's, but in float64, where torch's own gradient takes 1/6 from float32."""

    def forward(self, input):
        output = torch.nn.functional.hardsigmoid(input)
        if input.dtype == torch.float32:
            return output
        return torch.where(input.abs() < 3, (input + 3) / 6, output.detach())


PAIRS = {
    "ReLU": (nn.ReLU, torch.nn.ReLU),
    "LeakyReLU": (nn.LeakyReLU, torch.nn.LeakyReLU),
    "LeakyReLU(0.3)": (lambda: nn.LeakyReLU(0.3), lambda: torch.nn.LeakyReLU(0.3)),
    "LeakyReLU(-0.5)": (lambda: nn.LeakyReLU(-0.5), lambda: torch.nn.LeakyReLU(-0.5)),
    "ELU": (nn.ELU, torch.nn.ELU),
    "ELU(2.5)": (lambda: nn.ELU(2.5), lambda: torch.nn.ELU(2.5)),
    "GELU": (nn.GELU, torch.nn.GELU),
    "GELU(tanh)": (lambda: nn.GELU("tanh"), lambda: torch.nn.GELU("tanh")),
    "SiLU": (nn.SiLU, torch.nn.SiLU),
    "ReLU6": (nn.ReLU6, torch.nn.ReLU6),
    "Hardsigmoid": (nn.Hardsigmoid, Hardsigmoid),
    "Hardswish": (nn.Hardswish, torch.nn.Hardswish),
    "Hardtanh": (nn.Hardtanh, torch.nn.Hardtanh),
    "Hardtanh(-3, 1)": (lambda: nn.Hardtanh(-3, 1), lambda: torch.nn.Hardtanh(-3.0, 1.0)),
    "Sigmoid": (nn.Sigmoid, torch.nn.Sigmoid),
    "Tanh": (nn.Tanh, torch.nn.Tanh),
}
every_activation = pytest.mark.parametrize("name", PAIRS)
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


# By hand


@pytest.mark.parametrize(
    ("layer", "input", "output", "grad_output", "grad_input"),
    [
        # max(x, 0); G where x > 0. At 0 the slope is 0.
        (nn.ReLU(), [3, -4, 0], [3, 0, 0], [10, 20, 30], [10, 0, 0]),
        # -4/4 = -1; 20/4 = 5, and at 0 the slope is 1/4
        (nn.LeakyReLU(0.25), [3, -4, 0], [3, -1, 0], [10, 20, 40], [10, 5, 10]),
        # exp(-inf) - 1 = -1, times 3; slope 3·exp(0) = 3 at 0, 3·exp(-inf) = 0
        (nn.ELU(3), [2, 0, -INF], [2, 0, -3], [10, 10, 10], [10, 30, 0]),
        # Φ(0) = 1/2; far out x·1 and x·0
        (nn.GELU(), [0, 100, -100], [0, 100, 0], [10, 10, 10], [5, 10, 0]),
        (nn.GELU("tanh"), [0, 100, -100], [0, 100, 0], [10, 10, 10], [5, 10, 0]),
        # sigmoid(0) = 1/2; slope 1/2·(1 + 0)
        (nn.SiLU(), [0, 1000, -1000], [0, 1000, 0], [10, 10, 10], [5, 10, 0]),
        # at 0 and at 6 the slope is 0
        (nn.ReLU6(), [3, -4, 0, 6, 8], [3, 0, 0, 6, 6], [10] * 5, [10, 0, 0, 0, 0]),
        # at -1 and at 2 the slope is 0
        (nn.Hardtanh(-1, 2), [0.5, -4, -1, 2, 8], [0.5, -1, -1, 2, 2], [10] * 5, [10, 0, 0, 0, 0]),
        # 4.5/6, 1.5/6; the slope is 1/6, at -3 and at 3 0
        (nn.Hardsigmoid(), [1.5, -1.5, -3, 3, 8], [0.75, 0.25, 0, 1, 1], [12] * 5, [2, 2, 0, 0, 0]),
        # 1.5·4.5/6, -1.5·1.5/6; slopes 1.5/3 + 1/2, -1.5/3 + 1/2, at -3 0 and at 3 1
        (nn.Hardswish(), [1.5, -1.5, -3, 3, 8], [1.125, -0.375, 0, 3, 8], [8] * 5, [8, 0, 0, 8, 8]),
        # 1/2, and 1/2·1/2 = 1/4
        (nn.Sigmoid(), [0, 1000, -1000], [0.5, 1, 0], [8, 8, 8], [2, 0, 0]),
        # 1 - 0², 1 - 1²
        (nn.Tanh(), [0, 1000, -1000], [0, 1, -1], [8, 8, 8], [8, 0, 0]),
    ],
    ids=lambda value: value.__class__.__name__ if isinstance(value, nn.Module) else "",
)
@both_dtypes
def test_by_hand(layer, input, output, grad_output, grad_input, dtype):
    np.testing.assert_array_equal(layer(np.array(input, dtype)), np.array(output, dtype))
    np.testing.assert_array_equal(layer.backward(np.array(grad_output, dtype)), np.array(grad_input, dtype))


# Gradients by differences


@every_activation
def test_gradients(name):
    assert_gradients(PAIRS[name][0](), 3 * distinct((4, 3, 5)))


# Against torch


@every_activation
@both_dtypes
@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 3, 4, 5), (0, 3), ()], ids=str)
def test_matches_torch(name, dtype, shape):
    ours, theirs = (build() for build in PAIRS[name])
    assert_matches_torch(ours, theirs, np.asarray(3 * draws(shape, np.float64)).astype(dtype))
    assert_matches_torch(ours.eval(), theirs.eval(), np.asarray(draws(shape)).astype(dtype))


@every_activation
@both_dtypes
def test_arrays_without_axes_stay_arrays(name, dtype):
    layer = PAIRS[name][0]()
    for result in (layer(np.array(2, dtype)), layer.backward(np.array(3, dtype))):
        assert type(result) is np.ndarray
        assert result.shape == ()


def torch_agrees(theirs, value, dtype) -> bool:
    """Say whether torch's two loops, for whole vectors and for the rest, make NaN of a value alike."""
    one, many = (theirs(torch.from_numpy(np.full(count, value, dtype))).isnan() for count in (1, 40))
    return bool((one == many).all())


@every_activation
@both_dtypes
def test_special_values_as_torch(name, dtype):
    ours, theirs = (build() for build in PAIRS[name])
    for value in SPECIAL:  # one at a time, because in a mixed array 1e4 would set the tolerance
        if not (name.startswith(NAN_APART) and np.isnan(value)):
            assert_matches_torch(ours, theirs, np.array([value], dtype))
            if torch_agrees(theirs, value, dtype):  # GELU's do not with AVX-512, for float32 and infinity
                assert_matches_torch(ours, theirs, np.full(40, value, dtype))


@pytest.mark.parametrize("layer", [nn.ELU(), nn.Hardswish()])
def test_nan_is_not_hidden(layer):
    assert np.isnan(layer(np.array([NAN]))).all()
    assert np.isnan(layer.backward(np.ones(1))).all()


@pytest.mark.parametrize("layer", [nn.ReLU6(), nn.Hardtanh()])
def test_bounds_let_gradients_pass_at_nan(layer):
    assert np.isnan(layer(np.array([NAN]))).all()
    assert layer.backward(np.full(1, 5.0)) == [5]


@every_activation
@pytest.mark.parametrize("grad", [INF, -INF, NAN, 0.0])
def test_special_gradients_as_torch(name, grad):
    ours, theirs = (build() for build in PAIRS[name])
    input = np.array([0.0, 2, -2, 1e4, -1e4, INF, -INF, *[NAN] * (not name.startswith(NAN_APART))])
    torch_input = torch.from_numpy(input.copy()).requires_grad_()
    theirs(torch_input).backward(torch.full_like(torch_input, grad))
    ours(input)
    found = ours.backward(np.full_like(input, grad))
    np.testing.assert_array_equal(np.isnan(found), np.isnan(torch_input.grad.numpy()))
    np.testing.assert_array_equal(np.isinf(found), np.isinf(torch_input.grad.numpy()))


@every_activation
@both_dtypes
def test_any_strides_and_read_only(name, dtype):
    array = 2 * draws((4, 6, 5), dtype)
    for view in (array[::-1, ::2], array.transpose(2, 0, 1), np.broadcast_to(array[:1], (3, 6, 5))):
        view.setflags(write=False)
        before = view.copy()
        assert_matches_torch(PAIRS[name][0](), PAIRS[name][1](), view)
        np.testing.assert_array_equal(view, before)


@every_activation
def test_grad_output_with_any_strides(name):
    layer, grad_output = PAIRS[name][0](), draws((5, 4)).T
    layer(draws((4, 5), seed=1))
    expected = layer.backward(grad_output.copy())
    grad_output.setflags(write=False)
    np.testing.assert_array_equal(layer.backward(grad_output), expected)


# GELU's Φ


@pytest.mark.parametrize("x", [-37.0, -20.0, -6.0, -1.0, -1e-3, 0.0, 0.5, 2.0, 9.0])
def test_gelu_keeps_its_digits_far_out(x):
    # x·(1 + erf(x/√2))/2 would be 0 from x = -8.3 on.
    exact = x * math.erfc(-x / math.sqrt(2)) / 2
    np.testing.assert_allclose(nn.GELU()(np.array([x])), [exact], rtol=ERFC_FAR_OUT, atol=0)


def test_without_the_compiler():
    code = "import numpy as np; from minicnn import nn; print(nn.GELU()(np.array([1, -1.])))"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert result.stdout.strip() == "[ 0.84134475 -0.15865525]"


# What is saved, printed, refused


@every_activation
def test_nothing_is_saved_without_gradients(name):
    layer = PAIRS[name][0]()
    with nn.no_grad():
        layer(np.ones(3))
    assert layer.saved == {}


def test_repr_is_torchs():
    for ours, theirs in PAIRS.values():
        assert repr(ours()) == repr(theirs())


@every_activation
def test_errors(name):
    layer = nn.Sequential(PAIRS[name][0]())[0]
    who = f'{type(layer).__name__} "0"'
    with raises(
        RuntimeError, f"{who}: backward needs a forward first. Call model(x), then the loss, then backward."
    ):
        layer.backward(np.zeros(3))
    for wrong in (np.int64, np.float16, ">f4"):
        with raises(
            TypeError,
            f"{who}: input must be float32 or float64. Got {np.dtype(wrong)}. "
            "Convert it with .astype(np.float32).",
        ):
            layer(np.zeros(3, wrong))
    layer(np.zeros((3, 4)))
    with raises(
        ValueError,
        f"{who}: grad_output must have the output's shape (3, 4). Got (4, 3). "
        "Pass the gradient of the last forward's output.",
    ):
        layer.backward(np.zeros((4, 3)))
    with raises(
        TypeError,
        f"{who}: grad_output must be float64, as the output is. Got float32. "
        "Convert it with .astype(np.float64).",
    ):
        layer.backward(np.zeros((3, 4), np.float32))


@both_dtypes
def test_bounds_are_as_rounded_as_the_numbers(dtype):
    """In float32, 0.7 is a little less than 0.7, and lies at the bound all the same."""
    assert_matches_torch(
        nn.Hardtanh(-0.7, 0.7), torch.nn.Hardtanh(-0.7, 0.7), np.array([0.7, -0.7, 0.2], dtype)
    )


def test_wrong_arguments():
    with raises(TypeError, "LeakyReLU: negative_slope must be a number. Got '0.1' (str). Pass a float."):
        nn.LeakyReLU("0.1")
    with raises(TypeError, "ELU: alpha must be a number. Got None (NoneType). Pass a float."):
        nn.ELU(None)
    with raises(
        ValueError,
        "Hardtanh: max_val must be greater than min_val. Got 2 and 2. Pass the lower bound first.",
    ):
        nn.Hardtanh(2, 2)
    with raises(ValueError, "Hardtanh: min_val must be finite. Got -inf. Pass a number."):
        nn.Hardtanh(-INF)
    with raises(ValueError, 'GELU: approximate must be "none" or "tanh". Got \'sigmoid\'. Pass one of them.'):
        nn.GELU("sigmoid")
