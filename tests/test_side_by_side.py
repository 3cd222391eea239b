"""Training beside torch: same weights, same batches, 200 steps; float64 is the judge of both float32s."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

from minicnn import data, nn, optim
from minicnn.interop.torch import to_torch
from minicnn.models import mnist_cnn

STEPS, EARLY = 200, 20
SEEDS = (0, 1)
OPTIMIZERS = {
    "Adam": {"lr": 1e-3},
    "SGD": {"lr": 0.01, "momentum": 0.9},
}


@functools.cache
def batches() -> list[tuple[np.ndarray, np.ndarray]]:
    """Return 200 batches of 64 digits, the same for every run."""
    train, _ = data.load("mnist-5k")
    loader = data.DataLoader(train, batch_size=64, shuffle=True, drop_last=True, rng=0)
    found = []
    while len(found) < STEPS:
        found.extend(loader)
    return found[:STEPS]


@functools.cache
def our_losses(name: str, dtype, seed: int = 0) -> np.ndarray:
    """Return the loss of each step of our run."""
    model = mnist_cnn(rng=seed).astype(dtype)
    optimizer = getattr(optim, name)(model.parameters(), **OPTIMIZERS[name])
    criterion, losses = nn.CrossEntropyLoss(), []
    for images, targets in batches():
        losses.append(criterion(model(images.astype(dtype)), targets))
        optimizer.zero_grad()
        model.backward(criterion.backward())
        optimizer.step()
    return np.array(losses)


def torch_losses(name: str, dtype, seed: int = 0, memory_format=torch.contiguous_format) -> np.ndarray:
    """Return the loss of each step of torch's run from the same weights."""
    module = to_torch(mnist_cnn(rng=seed).astype(dtype)).to(memory_format=memory_format)
    optimizer = getattr(torch.optim, name)(module.parameters(), **OPTIMIZERS[name])
    criterion, losses = torch.nn.CrossEntropyLoss(), []
    for images, targets in batches():
        tensor = torch.from_numpy(images.astype(dtype)).contiguous(memory_format=memory_format)
        loss = criterion(module(tensor), torch.from_numpy(targets))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_float64_agrees_at_every_step(name):
    np.testing.assert_allclose(our_losses(name, np.float64), torch_losses(name, np.float64), rtol=1e-9)


def distances(name: str, seed: int) -> list[np.ndarray]:
    """Return how far from float64 each step's loss is: ours, torch's, and torch's in channels_last."""
    judge = our_losses(name, np.float64, seed)  # torch's float64 run, as the test above shows
    runs = [our_losses(name, np.float32, seed)]
    formats = (torch.contiguous_format, torch.channels_last)
    runs.extend(torch_losses(name, np.float32, seed, memory_format) for memory_format in formats)
    return [np.abs(run - judge) / judge for run in runs]


@pytest.mark.slow
def test_float32_is_no_farther_from_float64_than_torch_is():
    # A tie in pooling or a kink of ReLU that flips sends a run on a way of its own, in torch as here. So
    # three equally good float32 runs take turns in being the farthest: a third of the races each.
    farthest = 0
    for name in OPTIMIZERS:
        for seed in SEEDS:
            ours, *others = distances(name, seed)
            assert ours[:EARLY].max() < 1e-4
            farthest += np.median(ours) > max(np.median(other) for other in others)
    assert farthest < len(OPTIMIZERS) * len(SEEDS)  # all four: one chance in eighty-one
