"""What the tests share: helpers that raise; tests/test_helpers.py shows each reject wrong code."""

from __future__ import annotations

import copy
import re

import numpy as np
import pytest
import torch

# Two correct programs add the same terms in different orders. Relative to the largest number in the
# array, sums of a few hundred terms then part by some tens of eps (1.2e-7 and 2.2e-16).
SAME_SUM = {np.dtype(np.float32): 2e-5, np.dtype(np.float64): 1e-12}

# Central differences with step h have error h² · f''' / 6 + eps / h; at h = 1e-5 about 1e-9 in float64.
DIFFERENCE_STEP = 1e-5
SAME_SLOPE = 1e-6


def assert_same_sum(actual: np.ndarray, expected: np.ndarray, what: str = "array") -> None:
    """Raise unless shape and dtype are the same and the values differ by rounding only."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, expected {expected.shape}"
    assert actual.dtype == expected.dtype, f"{what}: dtype {actual.dtype}, expected {expected.dtype}"
    finite = expected[np.isfinite(expected)]
    scale = max(1.0, np.abs(finite).max()) if finite.size else 1.0
    tolerance = SAME_SUM[expected.dtype] * scale
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance, err_msg=what)


def numeric_gradient(function, array: np.ndarray) -> np.ndarray:
    """Return the central differences of the scalar `function()` while each entry of `array` is moved."""
    gradient = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        kept = array[index]
        array[index] = kept + DIFFERENCE_STEP
        above = function()
        array[index] = kept - DIFFERENCE_STEP
        below = function()
        array[index] = kept
        gradient[index] = (above - below) / (2 * DIFFERENCE_STEP)
    return gradient


def assert_gradients(module, input: np.ndarray, seed: int = 1000) -> None:
    """Raise unless backward agrees with central differences, for the input and every parameter.

    float64 only; the caller keeps the input away from kinks and ties. A layer with chance inside gets
    the same generator state at every forward.
    """
    assert input.dtype == np.float64, "central differences need float64"
    input = input.copy()
    generators = dict(module.named_generators())
    states = {name: copy.deepcopy(g.bit_generator.state) for name, g in generators.items()}

    def forward():
        for name, generator in generators.items():
            generator.bit_generator.state = copy.deepcopy(states[name])
        return module(input)

    output = forward()
    weights = np.random.default_rng(seed).normal(size=output.shape)
    module.zero_grad()
    grad_input = module.backward(weights)
    analytic = {name: p.grad.copy() for name, p in module.named_parameters()}

    def loss():
        return float((forward() * weights).sum())

    found = {"input": (grad_input, numeric_gradient(loss, input))}
    for name, parameter in module.named_parameters():
        found[name] = (analytic[name], numeric_gradient(loss, parameter.data))
    for name, (ours, numeric) in found.items():
        assert ours.shape == numeric.shape, f"gradient of {name}: shape {ours.shape}, not {numeric.shape}"
        scale = max(1.0, np.abs(numeric).max()) if numeric.size else 1.0
        np.testing.assert_allclose(
            ours, numeric, rtol=0, atol=SAME_SLOPE * scale, err_msg=f"gradient of {name}"
        )


def assert_matches_torch(module, torch_module, input: np.ndarray, seed: int = 1000) -> None:
    """Raise unless output, input gradient and every parameter's gradient are torch's, to rounding.

    Our parameters and buffers are copied into `torch_module` by name first. The seed is one that tests do
    not draw inputs with, so that gradient and input are different numbers.
    """
    state = {name: torch.from_numpy(array) for name, array in module.state_dict().items()}
    torch_module.to(torch.from_numpy(np.empty(0, input.dtype)).dtype)
    torch_module.load_state_dict(state)
    torch_input = torch.from_numpy(input.copy()).requires_grad_()
    output, torch_output = module(input), torch_module(torch_input)
    assert_same_sum(output, torch_output.detach().numpy(), "output")
    grad_output = np.random.default_rng(seed).normal(size=output.shape).astype(input.dtype)
    module.zero_grad()
    torch_module.zero_grad()
    grad_input = module.backward(grad_output)
    torch_output.backward(torch.from_numpy(grad_output))
    assert_same_sum(grad_input, torch_input.grad.numpy(), "grad_input")
    torch_grads = {name: p.grad for name, p in torch_module.named_parameters()}
    assert torch_grads.keys() == dict(module.named_parameters()).keys()
    for name, parameter in module.named_parameters():
        assert_same_sum(parameter.grad, torch_grads[name].numpy(), f"{name}.grad")
    torch_state = torch_module.state_dict()
    for name, array in module.state_dict().items():  # buffers change in forward
        assert_same_sum_or_equal(array, torch_state[name].numpy(), name)


def assert_same_sum_or_equal(actual: np.ndarray, expected: np.ndarray, what: str) -> None:
    """Raise unless floats agree to rounding and integers exactly."""
    if expected.dtype.kind == "f":
        assert_same_sum(actual, expected, what)
    else:
        np.testing.assert_array_equal(actual, expected, err_msg=what)


def raises(error: type[Exception], message: str):
    """Return a context that wants this error with this message, no more and no less."""
    return pytest.raises(error, match=rf"\A{re.escape(message)}\Z")


def draws(shape, dtype=np.float64, seed: int = 0) -> np.ndarray:
    """Return normal draws, the same for the same seed."""
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def distinct(shape, dtype=np.float64, seed: int = 0) -> np.ndarray:
    """Return numbers that are all at least 0.01 apart and 0.005 from zero: no ties, no kinks."""
    count = int(np.prod(shape))
    order = np.random.default_rng(seed).permutation(count)
    return ((order - count // 2 + 0.5) * 0.01).reshape(shape).astype(dtype)
