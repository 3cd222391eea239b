"""A model of ours, trained by torch on two processes: the same weights as on one with the whole batch."""

from __future__ import annotations

import socket

import numpy as np
import pytest
import torch

from minicnn import checkpoint, nn, optim
from minicnn.interop.torch import from_torch, load_torch_weights, to_torch
from tests.helpers import assert_same_sum, draws
from tests.interop.test_from_torch import built

STEPS, RATE, BATCH = 3, 0.1, 8


def batches(part: slice = slice(None)):
    """Yield the images and targets of each step, or a part of each."""
    for step in range(STEPS):
        targets = np.random.default_rng(step).integers(4, size=BATCH)
        yield draws((BATCH, 3, 6, 5), seed=step)[part], targets[part]


def train(module, part: slice = slice(None)) -> None:
    """Train a torch module on a part of each batch."""
    optimizer, criterion = torch.optim.SGD(module.parameters(), lr=RATE), torch.nn.CrossEntropyLoss()
    for images, targets in batches(part):
        optimizer.zero_grad()
        criterion(module(torch.from_numpy(images)), torch.from_numpy(targets)).backward()
        optimizer.step()


def worker(rank: int, path: str, port: int) -> None:
    """Train one half of each batch in a process of its own; the first one saves the weights."""
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    module = torch.nn.parallel.DistributedDataParallel(to_torch(checkpoint.load(path).model).train())
    half = BATCH // 2
    train(module, slice(rank * half, (rank + 1) * half))
    if rank == 0:
        torch.save(module.module.state_dict(), f"{path}.pt")
    torch.distributed.destroy_process_group()


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.slow
def test_two_processes_train_to_the_weights_of_one(tmp_path, monkeypatch):
    module, input = built("Inception", np.float64)
    model = from_torch(module, input)
    path = str(tmp_path / "model.safetensors")
    checkpoint.save(path, model)
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    torch.multiprocessing.spawn(worker, (path, free_port()), nprocs=2)
    together = checkpoint.load(path).model
    before = together.state_dict()
    load_torch_weights(together, f"{path}.pt")

    alone = to_torch(model)
    train(alone)
    criterion, optimizer = nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=RATE)
    for images, targets in batches():
        criterion(model(images), targets)
        optimizer.zero_grad()
        model.backward(criterion.backward())
        optimizer.step()

    ours = model.state_dict()
    for name, value in together.state_dict().items():
        assert not np.array_equal(value, before[name]), f"{name} was not trained"
        assert_same_sum(value, alone.state_dict()[name].numpy(), name)
        assert_same_sum(ours[name], value, name)
