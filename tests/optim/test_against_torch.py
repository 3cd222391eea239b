"""Optimizers and schedulers beside torch's, step by step."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from minicnn import nn, optim

STEPS = 100
# Both sides do the same operations in float64; the last bits differ by the order of a few of them.
SAME_STEPS = {np.float64: 1e-12, np.float32: 2e-5}

OPTIMIZERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.1, "maximize": True, "weight_decay": 0.1}),
    ("Adam", {}),
    ("Adam", {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.01, "amsgrad": True}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.2, "amsgrad": True}),
    ("RMSprop", {}),
    ("RMSprop", {"alpha": 0.9, "momentum": 0.8, "weight_decay": 0.1}),
    ("RMSprop", {"centered": True, "eps": 1e-5, "momentum": 0.5}),
]


def both_sides(name: str, settings: dict, dtype, seed: int = 0):
    """Return three of our parameters and three of torch's with the same values, and both optimizers.

    The last is a single number, of which NumPy makes something else than an array wherever it computes.
    """
    rng = np.random.default_rng(seed)
    values = [np.asarray(rng.normal(size=shape), dtype) for shape in ((3, 4), (5,), ())]
    ours = [nn.Parameter(value.copy()) for value in values]
    theirs = [torch.nn.Parameter(torch.from_numpy(value.copy())) for value in values]
    groups = [{"params": [ours[0]]}, {"params": ours[1:], "lr": 0.02}]
    torch_groups = [{"params": [theirs[0]]}, {"params": theirs[1:], "lr": 0.02}]
    optimizer = getattr(optim, name)(groups, **settings)
    return ours, theirs, optimizer, getattr(torch.optim, name)(torch_groups, **settings)


def give_gradients(ours, theirs, rng, dtype) -> None:
    for own, other in zip(ours, theirs, strict=True):
        own.grad = np.asarray(rng.normal(size=own.data.shape), dtype)
        other.grad = torch.from_numpy(own.grad.copy())


def assert_same_parameters(ours, theirs, dtype) -> None:
    for own, other in zip(ours, theirs, strict=True):
        expected = other.detach().numpy()
        scale = max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(own.data, expected, rtol=0, atol=SAME_STEPS[dtype] * scale)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("name", "settings"), OPTIMIZERS)
def test_optimizer_follows_torch(name, settings, dtype):
    ours, theirs, optimizer, torch_optimizer = both_sides(name, settings, dtype)
    rng = np.random.default_rng(1)
    for _ in range(STEPS):
        give_gradients(ours, theirs, rng, dtype)
        optimizer.step()
        torch_optimizer.step()
        assert_same_parameters(ours, theirs, dtype)


@pytest.mark.parametrize(("name", "settings"), OPTIMIZERS)
def test_resumed_optimizer_ends_with_the_same_bits(name, settings):
    ours, theirs, optimizer, _ = both_sides(name, settings, np.float64)
    again, _, resumed, _ = both_sides(name, settings, np.float64)
    rng = np.random.default_rng(1)
    for _ in range(5):
        give_gradients(ours, theirs, rng, np.float64)
        optimizer.step()
    for own, other in zip(ours, again, strict=True):
        other.data[...] = own.data
    resumed.load_state_dict(optimizer.state_dict())
    for _ in range(5):
        give_gradients(ours, theirs, rng, np.float64)
        for own, other in zip(ours, again, strict=True):
            other.grad = own.grad.copy()
        optimizer.step()
        resumed.step()
    for own, other in zip(ours, again, strict=True):
        np.testing.assert_array_equal(own.data, other.data)


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.5, float("inf")])
@pytest.mark.parametrize("max_norm", [0.1, 1.0, 100.0])
def test_clip_grad_norm_follows_torch(norm_type, max_norm):
    ours, theirs, _, _ = both_sides("SGD", {}, np.float64)
    give_gradients(ours, theirs, np.random.default_rng(2), np.float64)
    norm = optim.clip_grad_norm_(ours, max_norm, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    assert norm == pytest.approx(float(expected), rel=1e-12)
    for own, other in zip(ours, theirs, strict=True):
        assert type(own.grad) is np.ndarray
        np.testing.assert_allclose(own.grad, other.grad.numpy(), rtol=1e-12)


SCHEDULES = [
    ("StepLR", {"step_size": 3, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [2, 5, 5, 9], "gamma": 0.3}),
    ("MultiStepLR", {"milestones": [0, 2], "gamma": 0.3}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("CosineAnnealingLR", {"T_max": 7, "eta_min": 0.001}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 21}),
    ("OneCycleLR", {"max_lr": [0.5, 0.1], "epochs": 3, "steps_per_epoch": 7, "anneal_strategy": "linear"}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 21, "three_phase": True, "pct_start": 0.4}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 21, "cycle_momentum": False, "div_factor": 5}),
]


@pytest.mark.parametrize("optimizer_name", ["SGD", "Adam"])
@pytest.mark.parametrize(("name", "settings"), SCHEDULES)
def test_schedule_follows_torch(name, settings, optimizer_name):
    momentum = {"momentum": 0.9} if optimizer_name == "SGD" else {}
    ours, theirs, optimizer, torch_optimizer = both_sides(optimizer_name, {"lr": 0.1, **momentum}, np.float64)
    scheduler = getattr(optim.lr_scheduler, name)(optimizer, **settings)
    expected = getattr(torch.optim.lr_scheduler, name)(torch_optimizer, **settings)
    rng = np.random.default_rng(3)
    for step in range(20):
        assert scheduler.get_last_lr() == pytest.approx(expected.get_last_lr(), rel=1e-12), step
        for group, other in zip(optimizer.param_groups, torch_optimizer.param_groups, strict=True):
            key = "momentum" if optimizer_name == "SGD" else "betas"
            assert group[key] == pytest.approx(other[key], rel=1e-12)
        give_gradients(ours, theirs, rng, np.float64)
        optimizer.step()
        torch_optimizer.step()
        scheduler.step()
        expected.step()
    assert_same_parameters(ours, theirs, np.float64)


@pytest.mark.parametrize(
    "settings",
    [
        {"factor": 0.5, "patience": 1},
        {"mode": "max", "factor": 0.5, "patience": 0, "threshold": 0.05},
        {"threshold_mode": "abs", "threshold": 0.1, "patience": 1, "cooldown": 2},
        {"factor": 0.1, "patience": 0, "min_lr": [0.01, 0.001], "eps": 1e-3},
    ],
)
def test_plateau_follows_torch(settings):
    _, _, optimizer, torch_optimizer = both_sides("SGD", {"lr": 0.1}, np.float64)
    scheduler = optim.lr_scheduler.ReduceLROnPlateau(optimizer, **settings)
    expected = torch.optim.lr_scheduler.ReduceLROnPlateau(torch_optimizer, **settings)
    for figure in np.random.default_rng(4).uniform(0.5, 1.0, size=30):
        scheduler.step(figure)
        expected.step(figure)
        assert scheduler.get_last_lr() == pytest.approx(expected.get_last_lr(), rel=1e-12)


@pytest.mark.parametrize(("name", "settings"), SCHEDULES)
def test_resumed_schedule_goes_on_the_same(name, settings):
    _, _, optimizer, _ = both_sides("SGD", {"momentum": 0.9}, np.float64)
    _, _, again, _ = both_sides("SGD", {"momentum": 0.9}, np.float64)
    scheduler = getattr(optim.lr_scheduler, name)(optimizer, **settings)
    resumed = getattr(optim.lr_scheduler, name)(again, **settings)
    for _ in range(8):
        scheduler.step()
    again.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    for _ in range(8):
        scheduler.step()
        resumed.step()
        assert resumed.get_last_lr() == scheduler.get_last_lr()
