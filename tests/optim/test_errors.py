"""What optimizers and schedulers refuse, word for word; and a step by hand for each."""

from __future__ import annotations

import math

import numpy as np
import pytest

from minicnn import nn, optim
from tests.helpers import raises


def parameter(value=1.0, grad=None) -> nn.Parameter:
    """Return a parameter of one number, with a gradient."""
    made = nn.Parameter(np.array([value]))
    made.grad = None if grad is None else np.array([grad])
    return made


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: optim.SGD([]),
            ValueError,
            "SGD: params must hold at least one Parameter. Got none. Pass model.parameters(), freshly called.",
        ),
        (
            lambda: optim.SGD(parameter()),
            TypeError,
            "SGD: params must be a list of Parameters. Got Parameter. Pass model.parameters(), or [parameter].",
        ),
        (
            lambda: optim.SGD(nn.Linear(2, 2)),
            TypeError,
            "SGD: params must be a list of Parameters. Got Linear. Pass model.parameters(), or [parameter].",
        ),
        (
            lambda: optim.SGD([{"params": nn.Linear(2, 2)}]),
            TypeError,
            "SGD: params must be a list of Parameters. Got Linear. Pass model.parameters(), or [parameter].",
        ),
        (
            lambda: optim.Adam([np.zeros(3)]),
            TypeError,
            "Adam: params must be Parameters. Got ndarray. Pass model.parameters().",
        ),
        (
            lambda: optim.SGD([p := parameter(), p]),
            ValueError,
            "SGD: every Parameter must stand in one place. Got one of shape (1,) twice. Remove the second.",
        ),
        (
            lambda: optim.SGD([{"params": [parameter()], "rate": 0.1}]),
            ValueError,
            "SGD: a parameter group may hold params, lr, momentum, dampening, weight_decay, nesterov, maximize. "
            "Got rate. Leave it out.",
        ),
        (
            lambda: optim.SGD([parameter()], nesterov=True),
            ValueError,
            "SGD: nesterov needs momentum and no dampening. Got momentum=0, dampening=0. Pass momentum=0.9.",
        ),
        (
            lambda: optim.Adam([parameter()], betas=(0.9, 1.0)),
            ValueError,
            "Adam: betas must be less than 1. Got (0.9, 1.0). Pass such as (0.9, 0.999).",
        ),
        (
            lambda: optim.Adam([parameter()], betas=(0.9,)),
            ValueError,
            "Adam: betas must be two numbers. Got (0.9,). Pass such as (0.9, 0.999).",
        ),
        (
            lambda: optim.AdamW([parameter()], betas=0.9),
            ValueError,
            "AdamW: betas must be two numbers. Got 0.9. Pass such as (0.9, 0.999).",
        ),
        (
            lambda: optim.Adam([parameter()], betas=(0.9, "0.999")),
            TypeError,
            "Adam: betas must be a number. Got '0.999' (str). Pass a float.",
        ),
        (
            lambda: optim.lr_scheduler.StepLR([parameter()], 3),
            TypeError,
            "StepLR: optimizer must be an optimizer of minicnn.optim. Got list. Pass the optimizer, then the schedule.",
        ),
        (
            lambda: optim.lr_scheduler.ReduceLROnPlateau(nn.Linear(2, 2)),
            TypeError,
            "ReduceLROnPlateau: optimizer must be an optimizer of minicnn.optim. Got Linear. "
            "Pass the optimizer, then the schedule.",
        ),
        (
            lambda: optim.lr_scheduler.OneCycleLR(nn.Linear(2, 2), 0.1, total_steps=3),
            TypeError,
            "OneCycleLR: optimizer must be an optimizer of minicnn.optim. Got Linear. "
            "Pass the optimizer, then the schedule.",
        ),
        (
            lambda: optim.lr_scheduler.OneCycleLR(
                optim.SGD([parameter()], momentum=0.9), -0.1, total_steps=3
            ),
            ValueError,
            "OneCycleLR: max_lr must lie between 0 and inf. Got -0.1. Pass a number in this range.",
        ),
        (
            lambda: optim.lr_scheduler.MultiStepLR(optim.SGD([parameter()]), 5),
            TypeError,
            "MultiStepLR: milestones must be a list of ints. Got 5. Pass such as [30, 60].",
        ),
        (
            lambda: optim.lr_scheduler.OneCycleLR(optim.SGD([parameter()], momentum=0.9), 0.1),
            ValueError,
            "OneCycleLR: the number of steps must be known. Got neither total_steps nor both of epochs and "
            "steps_per_epoch. Pass total_steps=epochs * len(loader).",
        ),
        (
            lambda: optim.lr_scheduler.ReduceLROnPlateau(optim.SGD([parameter()]), mode="low"),
            ValueError,
            'ReduceLROnPlateau: mode must be "min" or "max". Got \'low\'. Choose one.',
        ),
        (
            lambda: optim.lr_scheduler.ReduceLROnPlateau(optim.SGD([parameter()]), factor=1.5),
            ValueError,
            "ReduceLROnPlateau: factor must be less than 1. Got 1.5. Pass such as 0.1.",
        ),
    ],
)
def test_refused(make, error, message):
    with raises(error, message):
        make()


@pytest.mark.parametrize("lr", [-0.1, math.nan, "fast"])
def test_a_learning_rate_that_makes_no_sense_is_refused(lr):
    with pytest.raises((ValueError, TypeError), match=r"^SGD: lr must (be|lie between 0 and inf)"):
        optim.SGD([parameter()], lr=lr)


def test_steps_by_hand():
    weight = parameter(1.0, grad=4.0)
    optim.SGD([weight], lr=0.25).step()
    assert weight.data[0] == 0.0  # 1 - 0.25·4
    weight = parameter(1.0, grad=4.0)
    optim.SGD([weight], lr=0.25, weight_decay=2.0).step()
    assert weight.data[0] == -0.5  # 1 - 0.25·(4 + 2·1)
    weight = parameter(2.0, grad=8.0)
    optim.RMSprop([weight], lr=0.5, alpha=0.75, eps=0).step()
    assert weight.data[0] == 1.0  # s = 0.25·8² = 16: 2 - 0.5·8/4


def test_a_parameter_without_gradient_stays():
    moving, still = parameter(1.0, grad=1.0), parameter(3.0)
    optimizer = optim.Adam([moving, still], lr=0.5)
    optimizer.step()
    assert still.data[0] == 3.0
    assert moving.data[0] != 1.0
    optimizer.zero_grad()
    assert moving.grad is None


def test_a_gradient_of_another_shape_is_refused_before_the_kernel_reads_it():
    weight = nn.Parameter(np.ones((2, 500), np.float32))
    optimizer = optim.Adam([parameter(), weight])
    weight.grad = np.ones(3, np.float32)
    with raises(
        ValueError,
        "Adam: grad of parameter 1 must have the parameter's shape (2, 500). Got (3,). "
        "Set a gradient of its shape, or call zero_grad() and backward.",
    ):
        optimizer.step()
    weight.grad = [1.0]
    with raises(
        TypeError,
        "Adam: grad of parameter 1 must be a NumPy array. Got list. Convert it with np.asarray.",
    ):
        optimizer.step()


def test_clip_refuses_what_is_not_finite_if_asked():
    with raises(
        RuntimeError,
        "clip_grad_norm_: the norm of the gradients must be finite. Got nan. "
        "Look for the first NaN with inspection.trace.",
    ):
        optim.clip_grad_norm_([parameter(grad=math.nan)], 1.0, error_if_nonfinite=True)


@pytest.mark.parametrize("norm_type", [0, -math.inf])
def test_clip_refuses_what_is_no_norm(norm_type):
    with raises(
        ValueError,
        f"clip_grad_norm_: norm_type must be greater than 0. Got {norm_type}. "
        "Pass 2 for the root of the sum of squares.",
    ):
        optim.clip_grad_norm_([parameter(grad=3.0)], 1.0, norm_type)


def test_one_cycle_ends():
    scheduler = optim.lr_scheduler.OneCycleLR(optim.SGD([parameter()], momentum=0.9), 0.1, total_steps=3)
    for _ in range(3):
        scheduler.step()
    with pytest.raises(ValueError, match=r"^OneCycleLR: step may be called 3 times at the most\."):
        scheduler.step()


@pytest.mark.parametrize(
    "build",
    [
        lambda optimizer: optim.lr_scheduler.CosineAnnealingLR(optimizer, 3),
        lambda optimizer: optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=3),
        optim.lr_scheduler.ReduceLROnPlateau,
    ],
)
def test_a_group_of_which_the_scheduler_does_not_know(build):
    optimizer = optim.SGD([parameter()], momentum=0.9)
    scheduler = build(optimizer)
    optimizer.add_param_group({"params": [parameter()]})
    before = optimizer.state_dict()
    with raises(
        ValueError,
        f"{scheduler.who}: the scheduler must know every group of the optimizer. Got 2 groups, of which it "
        "knows 1. Build the scheduler after add_param_group.",
    ):
        scheduler.step(*[0.5] * (scheduler.who == "ReduceLROnPlateau"))
    assert optimizer.state_dict() == before


def test_a_later_group_follows_a_scheduler_that_goes_from_rate_to_rate():
    optimizer = optim.SGD([parameter()], lr=1.0)
    scheduler = optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    optimizer.add_param_group({"params": [parameter()], "lr": 8.0})
    scheduler.step()
    assert scheduler.get_last_lr() == [0.5, 4.0]
