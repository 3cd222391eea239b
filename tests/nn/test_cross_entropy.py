"""Cross-entropy and NLL: by hand, by loops, by differences, beside torch, and what they refuse."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

from minicnn import nn
from tests.helpers import SAME_SLOPE, assert_same_sum, draws, numeric_gradient

SHAPES = [((5,), ()), ((4, 5), (4,)), ((2, 5, 3), (2, 3)), ((2, 3, 2, 4), (2, 2, 4))]


def both(criterion, torch_criterion, logits, targets, dtype):
    """Return loss and gradient of ours and of torch's, with a gradient of ones for reduction="none"."""
    loss = criterion(logits, targets)
    torch_logits = torch.from_numpy(logits.copy()).requires_grad_()
    torch_loss = torch_criterion(torch_logits, torch.from_numpy(np.asarray(targets)))
    if criterion.reduction == "none":
        grad_output = draws(np.shape(loss), dtype, seed=9)
        torch_loss.backward(torch.from_numpy(np.asarray(grad_output)))
        grad = criterion.backward(np.asarray(grad_output))
    else:
        torch_loss.backward()
        grad = criterion.backward()
    return loss, torch_loss.detach().numpy(), grad, torch_logits.grad.numpy()


def test_by_hand():
    criterion = nn.CrossEntropyLoss(reduction="sum")
    logits = np.log(np.array([[1.0, 2.0, 5.0]]))  # p = 1/8, 2/8, 5/8
    assert criterion(logits, np.array([1])) == pytest.approx(math.log(4), rel=1e-15)
    np.testing.assert_allclose(criterion.backward(), [[1 / 8, 2 / 8 - 1, 5 / 8]], rtol=1e-15)


def test_by_hand_with_weights():
    criterion = nn.CrossEntropyLoss(weight=np.array([1.0, 3.0]))
    logits = np.zeros((2, 2))  # p = 1/2 everywhere, so every row loses log 2
    assert criterion(logits, np.array([0, 1])) == pytest.approx((1 + 3) * math.log(2) / 4)
    # (p - onehot)·w/Σw: (1/2 - 1)·1/4, 1/2·1/4; 1/2·3/4, (1/2 - 1)·3/4
    np.testing.assert_array_equal(criterion.backward(), [[-0.125, 0.125], [0.375, -0.375]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_exact_at_huge_logits(size, dtype):
    criterion = nn.CrossEntropyLoss()
    logits = np.array([[size, 0.0]], dtype)
    assert criterion(logits, np.array([1])) == max(size, 0)
    assert criterion(logits, np.array([0])) == max(-size, 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("shape", "target_shape"), SHAPES)
def test_indexes_beside_torch(shape, target_shape, weighted, reduction, smoothing, dtype):
    classes = shape[min(1, len(shape) - 1)]
    weight = np.linspace(0.5, 2, classes).astype(dtype) if weighted else None
    logits = draws(shape, dtype)
    targets = np.asarray(np.random.default_rng(1).integers(classes, size=target_shape))
    if targets.size > 1:
        targets.ravel()[0] = 1
    settings = {"ignore_index": 1 if targets.size > 1 else -100, "reduction": reduction}
    criterion = nn.CrossEntropyLoss(weight, label_smoothing=smoothing, **settings)
    torch_weight = None if weight is None else torch.from_numpy(weight)
    expected = torch.nn.CrossEntropyLoss(torch_weight, label_smoothing=smoothing, **settings)
    loss, torch_loss, grad, torch_grad = both(criterion, expected, logits, targets, dtype)
    assert_same_sum(np.asarray(loss, dtype), torch_loss, "loss")
    assert_same_sum(grad, torch_grad, "gradient")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("shape", "target_shape"), SHAPES)
def test_probabilities_beside_torch(shape, target_shape, weighted, reduction, smoothing, dtype):
    axis = min(1, len(shape) - 1)
    weight = np.linspace(0.5, 2, shape[axis]).astype(dtype) if weighted else None
    logits, targets = draws(shape, dtype), np.random.default_rng(2).random(shape).astype(dtype)
    targets /= targets.sum(axis=axis, keepdims=True)
    criterion = nn.CrossEntropyLoss(weight, reduction=reduction, label_smoothing=smoothing)
    torch_weight = None if weight is None else torch.from_numpy(weight)
    expected = torch.nn.CrossEntropyLoss(torch_weight, reduction=reduction, label_smoothing=smoothing)
    loss, torch_loss, grad, torch_grad = both(criterion, expected, logits, targets, dtype)
    assert_same_sum(np.asarray(loss, dtype), torch_loss, "loss")
    assert_same_sum(grad, torch_grad, "gradient")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("shape", "target_shape"), SHAPES)
def test_nll_beside_torch(shape, target_shape, reduction, dtype):
    classes = shape[min(1, len(shape) - 1)]
    weight = np.linspace(0.5, 2, classes).astype(dtype)
    targets = np.asarray(np.random.default_rng(1).integers(classes, size=target_shape))
    criterion = nn.NLLLoss(weight, reduction=reduction)
    expected = torch.nn.NLLLoss(torch.from_numpy(weight), reduction=reduction)
    loss, torch_loss, grad, torch_grad = both(criterion, expected, draws(shape, dtype), targets, dtype)
    assert_same_sum(np.asarray(loss, dtype), torch_loss, "loss")
    assert_same_sum(grad, torch_grad, "gradient")


@pytest.mark.parametrize(
    "row",
    [
        [1.0, np.nan, 0.0],
        [np.nan, 0.0, 1.0],
        [np.inf, 0.0, 1.0],
        [0.0, -np.inf, 1.0],
        [-np.inf] * 3,
        [0, np.inf, 0],
    ],
)
def test_nan_and_infinity_beside_torch(row):
    logits = np.array([row, [0.0, 1.0, 2.0]])
    targets = np.array([0, 2])
    criterion, expected = nn.CrossEntropyLoss(reduction="none"), torch.nn.CrossEntropyLoss(reduction="none")
    loss, torch_loss, grad, torch_grad = both(criterion, expected, logits, targets, np.float64)
    np.testing.assert_allclose(loss, torch_loss, rtol=1e-12)
    np.testing.assert_allclose(grad, torch_grad, rtol=1e-12, atol=1e-15)


def test_mean_over_nothing_is_nan_as_in_torch():
    criterion = nn.CrossEntropyLoss()
    assert math.isnan(criterion(np.zeros((0, 3)), np.zeros(0, np.int64)))
    assert criterion.backward().shape == (0, 3)
    assert math.isnan(criterion(np.zeros((2, 3)), np.array([-100, -100])))
    assert nn.CrossEntropyLoss(reduction="sum")(np.zeros((0, 3)), np.zeros(0, np.int64)) == 0.0


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.uint64])
def test_every_integer_dtype_serves_as_index(dtype):
    expected = nn.CrossEntropyLoss()(draws((4, 3)), np.array([0, 1, 2, 0]))
    assert nn.CrossEntropyLoss()(draws((4, 3)), np.array([0, 1, 2, 0], dtype)) == expected


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_gradient_by_differences(smoothing):
    logits, targets = draws((3, 4)), np.array([1, 3, 0])
    criterion = nn.CrossEntropyLoss(np.array([1.0, 2.0, 3.0, 4.0]), label_smoothing=smoothing)
    criterion(logits, targets)
    grad = criterion.backward()
    numeric = numeric_gradient(lambda: criterion(logits, targets), logits)
    np.testing.assert_allclose(grad, numeric, rtol=0, atol=SAME_SLOPE)


def test_no_grad_saves_nothing():
    criterion = nn.CrossEntropyLoss()
    with nn.no_grad():
        criterion(draws((2, 3)), np.array([0, 1]))
    assert criterion.saved == {}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            (np.zeros((8, 10), np.float32), np.zeros((8, 9), np.float32)),
            TypeError,
            "CrossEntropyLoss: targets must be integer class indexes of shape (N,). Got float32 of shape (8, 9). "
            "For one-hot rows use targets.argmax(axis=1).",
        ),
        (
            (np.zeros((8, 10)), np.zeros(8)),
            TypeError,
            "CrossEntropyLoss: targets must be integer class indexes of shape (N,). Got float64 of shape (8,). "
            "Convert them with np.asarray(targets, dtype=np.int64).",
        ),
        (
            (np.zeros((8, 10)), np.zeros(7, int)),
            ValueError,
            "CrossEntropyLoss: targets must have shape (8,), one index for each row of scores. "
            "Got (7,) for scores (8, 10). Pass images and targets of one batch.",
        ),
        (
            (np.zeros((2, 3)), np.array([0, 3])),
            ValueError,
            "CrossEntropyLoss: targets must lie between 0 and 2 for 3 classes. Got 3 at (1,). "
            "Number the classes from 0, or give the model more outputs.",
        ),
        (
            (np.zeros((2, 3), np.int64), np.array([0, 1])),
            TypeError,
            "CrossEntropyLoss: logits must be float32 or float64. Got int64. "
            "Convert it with .astype(np.float32).",
        ),
        (
            (np.zeros((2, 3), np.float32), np.full((2, 3), 1 / 3)),
            TypeError,
            "CrossEntropyLoss: probabilities as targets must be float32, as the logits are. Got float64. "
            "Convert them with .astype(np.float32).",
        ),
    ],
)
def test_errors(arguments, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        nn.CrossEntropyLoss()(*arguments)


def test_errors_of_settings_and_order():
    message = "CrossEntropyLoss: weight must hold one number for each of the 3 classes. Got shape (2,). Pass 3 numbers."
    with pytest.raises(ValueError, match=re.escape(message)):
        nn.CrossEntropyLoss(np.ones(2))(np.zeros((1, 3)), np.array([0]))
    message = "CrossEntropyLoss: backward needs a forward first. Call criterion(predictions, targets) first."
    with pytest.raises(RuntimeError, match=re.escape(message)):
        nn.CrossEntropyLoss().backward()
    message = (
        "CrossEntropyLoss: reduction must be one of none, mean, sum. Got 'average'. Choose one of these."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        nn.CrossEntropyLoss(reduction="average")
