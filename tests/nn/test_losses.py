"""Regression and binary losses: by hand, by differences, beside torch, and what they refuse."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from minicnn import nn
from tests.helpers import SAME_SLOPE, assert_same_sum, draws, numeric_gradient

CASES = [
    ("MSELoss", {}, "any"),
    ("L1Loss", {}, "any"),
    ("BCELoss", {}, "probability"),
    ("BCELoss", {"weight": np.array([0.5, 2.0, 1.0])}, "probability"),
    ("BCEWithLogitsLoss", {}, "any"),
    ("BCEWithLogitsLoss", {"weight": np.array([0.5, 2.0, 1.0])}, "any"),
    ("BCEWithLogitsLoss", {"pos_weight": np.array([3.0, 0.1, 1.0])}, "any"),
]


def predictions_for(kind: str, dtype) -> np.ndarray:
    """Return (4, 3) numbers that the loss takes."""
    values = draws((4, 3), np.float64)
    return (1 / (1 + np.exp(-values)) if kind == "probability" else values).astype(dtype)


def targets_for(name: str, dtype) -> np.ndarray:
    """Return (4, 3) targets: zeros, ones and halves for the binary losses."""
    if name.startswith("BCE"):
        return np.random.default_rng(5).choice([0.0, 1.0, 0.5], size=(4, 3)).astype(dtype)
    return draws((4, 3), dtype, seed=5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("name", "settings", "kind"), CASES)
def test_beside_torch(name, settings, kind, reduction, dtype):
    settings = {key: value.astype(dtype) for key, value in settings.items()}
    predictions, targets = predictions_for(kind, dtype), targets_for(name, dtype)
    criterion = getattr(nn, name)(reduction=reduction, **settings)
    torch_settings = {key: torch.from_numpy(value) for key, value in settings.items()}
    expected = getattr(torch.nn, name)(reduction=reduction, **torch_settings)
    torch_predictions = torch.from_numpy(predictions.copy()).requires_grad_()
    loss, torch_loss = criterion(predictions, targets), expected(torch_predictions, torch.from_numpy(targets))
    assert_same_sum(np.asarray(loss, dtype), torch_loss.detach().numpy(), "loss")
    grad_output = draws(np.shape(loss), dtype) if reduction == "none" else None
    torch_loss.backward(None if grad_output is None else torch.from_numpy(grad_output))
    assert_same_sum(criterion.backward(grad_output), torch_predictions.grad.numpy(), "gradient")


@pytest.mark.parametrize(("name", "settings", "kind"), CASES)
def test_gradient_by_differences(name, settings, kind):
    predictions, targets = predictions_for(kind, np.float64), targets_for(name, np.float64)
    criterion = getattr(nn, name)(**settings)
    criterion(predictions, targets)
    grad = criterion.backward()
    numeric = numeric_gradient(lambda: criterion(predictions, targets), predictions)
    np.testing.assert_allclose(grad, numeric, rtol=0, atol=SAME_SLOPE)


def test_by_hand():
    squares, distances = nn.MSELoss(reduction="sum"), nn.L1Loss(reduction="sum")
    x, t = np.array([5.0, 1.0, 2.0]), np.array([2.0, 1.0, 3.0])
    assert squares(x, t) == 9 + 0 + 1
    np.testing.assert_array_equal(squares.backward(), [6, 0, -2])
    assert distances(x, t) == 3 + 0 + 1
    np.testing.assert_array_equal(distances.backward(), [1, 0, -1])


def test_binary_losses_at_the_ends_beside_torch():
    p, t = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0, 0.0])
    criterion = nn.BCELoss(reduction="none")
    torch_p = torch.from_numpy(p.copy()).requires_grad_()
    expected = torch.nn.BCELoss(reduction="none")(torch_p, torch.from_numpy(t))
    np.testing.assert_array_equal(criterion(p, t), expected.detach().numpy())
    expected.sum().backward()
    # torch's smallest divisor is 1e-12 as a float32, 4e-9 off
    np.testing.assert_allclose(criterion.backward(np.ones(4)), torch_p.grad.numpy(), rtol=1e-8)
    logits = np.array([1e4, -1e4, np.inf, -np.inf, np.nan])
    targets = np.array([1.0, 0.0, 1.0, 0.0, 1.0])
    expected = torch.nn.BCEWithLogitsLoss(reduction="none")(
        torch.from_numpy(logits), torch.from_numpy(targets)
    )
    np.testing.assert_array_equal(nn.BCEWithLogitsLoss(reduction="none")(logits, targets), expected.numpy())


def test_shapes_are_not_broadcast():
    message = (
        "MSELoss: predictions and targets must have the same shape. Got (64, 10) and (64,). "
        "For class indexes use CrossEntropyLoss, or functional.one_hot(targets, 10)."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        nn.MSELoss()(np.zeros((64, 10)), np.zeros(64))
    message = (
        "L1Loss: predictions and targets must have the same shape. Got (8, 1) and (8,). Use targets[:, None]."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        nn.L1Loss()(np.zeros((8, 1)), np.zeros(8))


def test_errors():
    message = (
        "BCELoss: predictions must be probabilities between 0 and 1. Got -1 to 2. "
        "For logits use BCEWithLogitsLoss."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        nn.BCELoss()(np.array([-1.0, 2.0]), np.array([0.0, 1.0]))
    message = (
        "MSELoss: targets must be float32, as the predictions are. Got float64. "
        "Convert them with .astype(np.float32)."
    )
    with pytest.raises(TypeError, match=re.escape(message)):
        nn.MSELoss()(np.zeros(2, np.float32), np.zeros(2))
    message = (
        "BCELoss: weight must broadcast to the predictions' shape (4, 3). Got (2,). "
        "Pass one number for each column."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        nn.BCELoss(np.ones(2))(np.full((4, 3), 0.5), np.zeros((4, 3)))
    message = (
        'MSELoss: backward needs the gradient of the losses. Got none, with reduction="none". '
        "Call backward(grad_output)."
    )
    criterion = nn.MSELoss("none")
    criterion(np.zeros(2), np.zeros(2))
    with pytest.raises(TypeError, match=re.escape(message)):
        criterion.backward()
