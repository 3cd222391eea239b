"""Numbers drawn at random from random networks: each explanation must agree with what was computed."""

from __future__ import annotations

import numpy as np
import pytest

from minicnn import nn
from minicnn.inspection import trace
from tests.networks import random_network

NETWORKS, NUMBERS = 40, 130  # with two dtypes, more than 10,000 numbers


def explain_some(t, rng: np.random.Generator, count: int) -> int:
    """Explain `count` numbers of a trace, spread over its steps; raise at the first that is not ok."""
    arrays = [
        (step.name, of, np.shape(step.array(of)))
        for step in t.steps
        for of in ("output", "grad_input", *(f"{key}.grad" for key in step.grads))
        if step.array(of) is not None and np.size(step.array(of))
    ]
    for _ in range(count):
        name, of, shape = arrays[rng.integers(len(arrays))]
        index = tuple(int(rng.integers(size)) for size in shape)
        explanation = t.explain(name, index, of)
        assert explanation.ok, str(explanation)
    return count


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("start", range(0, NETWORKS, 10))
def test_ten_thousand_numbers(start, dtype):
    explained = 0
    for seed in range(start, start + 10):
        rng = np.random.default_rng(seed)
        model, images, targets = random_network(rng, dtype, batch=int(rng.integers(1, 5)))
        weight = np.float64(rng.uniform(0.5, 2, 4)).astype(dtype) if seed % 2 else None
        criterion = nn.CrossEntropyLoss(weight, label_smoothing=0.1 * (seed % 3))
        t = trace(model, images, targets, criterion, classes="abcd")
        explained += explain_some(t, rng, NUMBERS)
    assert explained == 10 * NUMBERS


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["MSELoss", "L1Loss", "BCELoss", "BCEWithLogitsLoss", "NLLLoss"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_other_losses(name, reduction, dtype):
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(5, 3, dtype=dtype, rng=rng))
    if name == "BCELoss":
        model = nn.Sequential(*model, nn.Sigmoid())
    if name == "NLLLoss":
        model = nn.Sequential(*model, nn.LogSoftmax(dim=1))
    images = rng.normal(size=(4, 5)).astype(dtype)
    targets = rng.random((4, 3)).astype(dtype) if name != "NLLLoss" else rng.integers(3, size=4)
    t = trace(model, images, targets, getattr(nn, name)(reduction=reduction))
    explain_some(t, rng, 60)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss", "L1Loss", "BCEWithLogitsLoss"])
def test_one_odd_logit_leaves_the_others_explained(name, reduction, odd):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, 4)).astype(np.float32)
    logits[1, 2] = odd  # such as a class that is masked out
    targets = np.array([0, 1, 2]) if name in ("CrossEntropyLoss", "NLLLoss") else np.ones_like(logits)
    for model in (nn.Identity(), nn.Softmax(dim=1), nn.LogSoftmax(dim=1)):
        t = trace(model, logits, targets, getattr(nn, name)(reduction=reduction))
        explain_some(t, rng, 100)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss"])
def test_targets_that_are_all_ignored(name, reduction):
    t = trace(
        nn.Identity(),
        np.ones((2, 3), np.float32),
        np.array([-100, -100]),
        getattr(nn, name)(reduction=reduction),
    )
    explain_some(t, np.random.default_rng(0), 40)


def test_a_mean_of_losses_over_no_image():
    t = trace(nn.Identity(), np.ones((0, 3), np.float32), np.ones((0, 3), np.float32), nn.MSELoss())
    assert t.explain("loss", ()).ok
