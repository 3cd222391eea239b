"""The state of an optimizer: another's is refused, word for word, and changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from minicnn import nn, optim
from tests.helpers import raises
from tests.optim.test_errors import parameter

SETTINGS = {
    "SGD": "lr, momentum, dampening, weight_decay, nesterov, maximize",
    "Adam": "lr, betas, eps, weight_decay, amsgrad",
    "RMSprop": "lr, alpha, eps, weight_decay, momentum, centered",
}


def stepped(name: str) -> optim.Optimizer:
    """Return an optimizer that has a state."""
    settings = {"momentum": 0.9} if name == "SGD" else {}
    optimizer = getattr(optim, name)([parameter(grad=1.0)], lr=0.1, **settings)
    optimizer.step()
    return optimizer


def test_another_model_s_state_is_refused_and_nothing_changes():
    optimizer = optim.Adam([parameter(grad=1.0)])
    optimizer.step()
    other = optim.Adam([parameter(), parameter()])
    with raises(
        ValueError,
        "Adam: load_state_dict needs groups of [2] parameters. Got [1]. "
        "Build the optimizer as it was when it was saved.",
    ):
        other.load_state_dict(optimizer.state_dict())
    assert other.state == {}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("other", SETTINGS)
def test_the_state_of_another_optimizer_is_refused_and_nothing_changes(name, other):
    optimizer, foreign = stepped(name), stepped(other).state_dict()
    if other == name:
        optimizer.load_state_dict(foreign)
        return
    before = repr(optimizer), optimizer.state_dict()
    with raises(
        ValueError,
        f"{name}: load_state_dict needs the settings {SETTINGS[name]} of every group. Got {SETTINGS[other]}. "
        "Build the optimizer as it was when it was saved.",
    ):
        optimizer.load_state_dict(foreign)
    assert (repr(optimizer), optimizer.state_dict()) == before
    optimizer.step()


@pytest.mark.parametrize(
    ("given", "got"),
    [
        (nn.Linear(2, 2).state_dict(), "weight, bias"),
        ({"param_groups": []}, "param_groups"),
        (stepped("SGD"), "SGD"),
    ],
)
def test_what_is_no_state_of_an_optimizer(given, got):
    with raises(
        TypeError,
        f"SGD: load_state_dict needs state and param_groups. Got {got}. Pass optimizer.state_dict().",
    ):
        stepped("SGD").load_state_dict(given)


def test_what_schedulers_write_into_the_groups_is_taken_over():
    saved = stepped("SGD")
    optim.lr_scheduler.OneCycleLR(saved, 0.5, total_steps=9)
    fresh = stepped("SGD")
    fresh.load_state_dict(saved.state_dict())
    assert fresh.state_dict() == saved.state_dict()
    assert fresh.param_groups[0]["max_lr"] == 0.5


@pytest.mark.parametrize(
    ("value", "got"),
    [(np.zeros(3), "(3,)"), (torch.zeros(1), "Tensor")],
)
def test_a_state_must_have_the_parameter_s_shape(value, got):
    optimizer = stepped("Adam")
    state = optimizer.state_dict()
    state["state"][0]["exp_avg"] = value
    with raises(
        ValueError,
        "Adam: load_state_dict needs exp_avg of parameter 0 as an array of shape (1,). "
        f"Got {got}. Build the optimizer as it was when it was saved.",
    ):
        optimizer.load_state_dict(state)
