"""Every layer and every loss explains itself; watching leaves no trace on the layers."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from minicnn import nn
from minicnn.inspection import REGISTRY, trace

# These hold or define layers and compute nothing of their own (Residual adds, and is not among them).
WITHOUT_NUMBERS = {"Module", "Sequential", "Graph", "Loss"}


def assert_all_explained(namespace) -> int:
    """Raise unless every layer and loss of `namespace` is in the registry; return how many there are."""
    kinds = [
        kind
        for kind in vars(namespace).values()
        if inspect.isclass(kind) and issubclass(kind, nn.Module | nn.Loss)
    ]
    missing = {kind.__name__ for kind in kinds} - REGISTRY.keys() - WITHOUT_NUMBERS
    assert not missing, (
        f"no explanation for {sorted(missing)}: register them in minicnn/inspection/explainers"
    )
    return len(kinds)


def test_every_layer_and_every_loss_is_explained():
    assert assert_all_explained(nn) >= 25


@pytest.mark.parametrize("base", [nn.Module, nn.ReLU, nn.Loss, nn.MSELoss])
def test_a_new_layer_without_an_explanation_is_caught(base, monkeypatch):
    monkeypatch.setattr(nn, "Swish", type("Swish", (base,), {}), raising=False)
    with pytest.raises(AssertionError, match=r"no explanation for \['Swish'\]"):
        assert_all_explained(nn)


def test_an_explanation_that_is_taken_away_is_missed(monkeypatch):
    monkeypatch.delitem(REGISTRY, "MaxPool2d")
    with pytest.raises(AssertionError, match="MaxPool2d"):
        assert_all_explained(nn)


def test_every_parameter_has_an_explained_gradient():
    assert REGISTRY["PReLU"].grads.keys() == {name for name, _ in nn.PReLU().named_parameters()} == {"weight"}
    for layer in (
        nn.Conv2d(1, 1, 1),
        nn.Linear(1, 1),
        nn.BatchNorm1d(1),
        nn.BatchNorm2d(1),
        nn.GroupNorm(1, 1),
    ):
        names = {name for name, _ in layer.named_parameters()}
        assert REGISTRY[type(layer).__name__].grads.keys() == names == {"weight", "bias"}


@pytest.mark.parametrize("targets", [np.array([0]), np.array([7])], ids=["whole", "raises in the loss"])
def test_hooks_are_taken_off(targets):
    model = nn.Sequential(nn.Linear(2, 2, rng=0), nn.Residual(nn.ReLU()))
    before = [(module, set(vars(module))) for module in model.modules()]
    if targets[0] == 7:
        with pytest.raises(ValueError, match="between 0 and 1"):
            trace(model, np.ones((1, 2), np.float32), targets)
    else:
        trace(model, np.ones((1, 2), np.float32), targets)
    for module, names in before:
        assert set(vars(module)) == names
        assert module.forward.__func__ is type(module).forward
        assert module.backward.__func__ is type(module).backward


def test_the_users_own_hooks_stay_and_are_called():
    layer = nn.ReLU()
    seen = []
    layer.register_forward_hook(lambda module, input, output: seen.append(output.tolist()))
    images = np.float32([[1, -2]])
    trace(nn.Sequential(layer), images)
    layer(images)
    assert seen == [[[1, 0]], [[1, 0]]]
