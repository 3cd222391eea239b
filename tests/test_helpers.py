"""Each helper rejects wrong code."""

import numpy as np
import pytest
import torch

from minicnn import nn
from tests.helpers import assert_gradients, assert_matches_torch, assert_same_sum, distinct, draws, raises


class LinearWithoutFactor(nn.Linear):
    """The weight's gradient is right, the input's is doubled."""

    def backward(self, grad_output):
        return 2 * super().backward(grad_output)


class LinearForgetsBias(nn.Linear):
    """The bias gets the mean over the batch instead of the sum."""

    def backward(self, grad_output):
        grad_input = super().backward(grad_output)
        self.bias.grad = self.bias.grad / len(grad_output)
        return grad_input


def test_same_sum_rejects_values_shapes_and_dtypes():
    one = np.ones(3, np.float32)
    assert_same_sum(one, one * np.float32(1 + 1e-6))
    with pytest.raises(AssertionError, match="grad"):
        assert_same_sum(one, one * np.float32(1 + 1e-4), "grad")
    with pytest.raises(AssertionError, match="shape"):
        assert_same_sum(one, one[None])
    with pytest.raises(AssertionError, match="dtype"):
        assert_same_sum(one, one.astype(np.float64))


@pytest.mark.parametrize(("wrong", "what"), [(LinearWithoutFactor, "input"), (LinearForgetsBias, "bias")])
def test_gradient_helpers_reject_wrong_backward(wrong, what):
    layer = wrong(3, 2, dtype=np.float64, rng=0)
    with pytest.raises(AssertionError, match=what):
        assert_gradients(layer, draws((4, 3)))
    with pytest.raises(AssertionError, match=what):
        assert_matches_torch(layer, torch.nn.Linear(3, 2), draws((4, 3)))


def test_matches_torch_rejects_wrong_forward():
    with pytest.raises(AssertionError, match="output"):
        assert_matches_torch(nn.Flatten(), torch.nn.Tanh(), draws((4, 3)))


def test_distinct_has_no_ties_and_no_zero():
    values = np.sort(distinct((5, 7)).ravel())
    assert np.diff(values).min() > 0.009
    assert np.abs(values).min() > 0.004


@pytest.mark.parametrize("message", ["Got [1]. Pass 2.", "Got [1]. Pass", "[1]. Pass 2", "Got 1. Pass 2"])
def test_raises_rejects_other_messages(message):
    with pytest.raises(AssertionError), raises(ValueError, "Got [1]. Pass 2"):
        raise ValueError(message)


def test_raises_accepts_its_message_only_from_its_error():
    with raises(ValueError, "Got [1]. Pass 2"):
        raise ValueError("Got [1]. Pass 2")
    with pytest.raises(TypeError), raises(ValueError, "Got [1]. Pass 2"):
        raise TypeError("Got [1]. Pass 2")
