"""Group norm and instance norm beside torch: slips that are named, and what from_torch refuses."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
import torch

from minicnn import nn
from minicnn.interop.torch import compare, from_torch, to_torch
from tests.helpers import draws, raises

TARGETS = np.array([0, 3, 1, 1, 2])


def images() -> np.ndarray:
    """Return a batch that is not normalised."""
    return (draws((5, 3, 6, 6)) * 0.3 + 0.5).astype(np.float32)


def net(*middle: nn.Module) -> nn.Sequential:
    """Return a net with these layers behind a convolution, and values of its own in every one-dimensional array."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3, rng=0), *middle, nn.Flatten(), nn.Linear(64, 4, rng=1))
    for name, parameter in model.named_parameters():
        if parameter.data.ndim == 1:
            parameter.data[...] = draws(parameter.data.shape, np.float32, seed=sum(name.encode())) + 1
    return model


def torch_net(middle: torch.nn.Module) -> torch.nn.Sequential:
    """Return the torch net whose values are those of `net` with a norm in the middle."""
    ends = torch.nn.Flatten(), torch.nn.Linear(64, 4)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), middle, *ends)


def planted(ours: nn.Module, theirs: nn.Module):
    """Return the likely cause for two nets with one layer in the middle, and the same values."""
    mine, other = net(ours), net(theirs)
    return compare(mine, to_torch(other), images(), TARGETS).likely_cause


def test_instance_norm_goes_there_and_back():
    theirs = torch_net(torch.nn.InstanceNorm2d(4, eps=1e-3, affine=True))
    ours = from_torch(theirs, images())
    assert repr(ours[1]) == "GroupNorm(4, 4, eps=0.001, affine=True)"
    assert list(ours.state_dict()) == list(theirs.state_dict())
    found = compare(ours, theirs, images(), TARGETS)
    assert found.ok, str(found)
    assert {(row.name, row.kind, row.of) for row in found.rows} >= {
        ("1", "GroupNorm", of) for of in ("output", "grad_input", "weight.grad", "bias.grad")
    }
    again = to_torch(ours)
    assert isinstance(again[1], torch.nn.GroupNorm)
    assert compare(ours, again, images(), TARGETS).ok


@pytest.mark.parametrize("here", [True, False])
@pytest.mark.parametrize(
    ("arguments", "slip"),
    [
        ({"num_groups": 1}, "different num_groups"),
        ({"num_groups": 4}, "different num_groups"),
        ({"eps": 0.1}, "different epsilon or momentum"),
        ({"num_groups": 4, "eps": 0.1}, "different num_groups and eps"),
        ({"affine": False}, "different affine"),
    ],
)
def test_other_arguments(arguments, slip, here):
    layers = [nn.GroupNorm(**({"num_groups": 2, "num_channels": 4} | given)) for given in ({}, arguments)]
    cause = planted(*(layers if here else layers[::-1]))
    assert (cause.slip, cause.where) == (slip, "1")


class UnbiasedTorch(torch.nn.GroupNorm):
    """Divides the squares by m - 1, as torch.var does unless it is told otherwise."""

    def forward(self, input):
        groups = input.reshape(len(input), self.num_groups, -1)
        spread = torch.sqrt(groups.var(2, keepdim=True) + self.eps)
        normalised = ((groups - groups.mean(2, keepdim=True)) / spread).reshape(input.shape)
        return normalised * self.weight[:, None, None] + self.bias[:, None, None]


def test_an_unbiased_variance():
    ours = net(nn.GroupNorm(2, 4))
    theirs = torch_net(UnbiasedTorch(2, 4))
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in ours.state_dict().items()})
    cause = compare(ours, theirs, images(), TARGETS).likely_cause
    assert (cause.slip, cause.where) == ("biased against unbiased variance", "1")


def test_a_bias_added_twice():
    ours = net(nn.GroupNorm(2, 4))
    theirs = to_torch(ours)
    ours[1].bias.data *= 2
    cause = compare(ours, theirs, images(), TARGETS).likely_cause
    assert (cause.slip, cause.where) == ("bias missing or added twice", "1")


@pytest.mark.parametrize("here", [True, False])
def test_batch_norm_in_the_place_of_group_norm(here):
    layers = nn.GroupNorm(2, 4), nn.BatchNorm2d(4)
    cause = planted(*(layers if here else layers[::-1]))
    assert (cause.slip, cause.where) == ("another kind of layer", "1")


def test_group_norm_on_the_other_side_of_the_activation():
    layers = OrderedDict(act=nn.ReLU(), norm=nn.GroupNorm(2, 4))
    sides = [net(nn.Sequential(OrderedDict(order))) for order in (layers.items(), reversed(layers.items()))]
    for side in sides:
        side[0].bias.data -= 1  # else there is nothing for the activation to do in front of the norm
    theirs = to_torch(sides[1])
    cause = compare(sides[0], theirs, images(), TARGETS).likely_cause
    assert (cause.slip, cause.where) == ("group norm on the other side of the activation", "1.norm")


ADVICE = "Write it with layers and functions that minicnn.nn has."


@pytest.mark.parametrize(
    ("layer", "what"),
    [
        (lambda: torch.nn.InstanceNorm2d(3, track_running_stats=True), "track_running_stats=True"),
        (lambda: torch.nn.InstanceNorm2d(3, affine=True, bias=False), "bias=False"),
        (lambda: torch.nn.GroupNorm(1, 3, bias=False), "bias=False"),
        (lambda: torch.nn.BatchNorm2d(3, bias=False), "bias=False"),
    ],
)
def test_arguments_that_ours_have_not(layer, what):
    module = torch.nn.Sequential(layer())
    shown = f'torch.nn.{type(module[0]).__name__} "0" with {what} in Sequential'
    with raises(
        ValueError, f"from_torch: every operation must be one that minicnn has. Got {shown}. {ADVICE}"
    ):
        from_torch(module, images())


def test_an_image_alone():
    shown = 'torch.nn.InstanceNorm2d "0" with an input of shape (3, 6, 6), without the axis of images, in Sequential'
    with raises(
        ValueError, f"from_torch: every operation must be one that minicnn has. Got {shown}. {ADVICE}"
    ):
        from_torch(torch.nn.Sequential(torch.nn.InstanceNorm2d(3)), images()[0])


class Computed(torch.nn.Module):
    def __init__(self, call) -> None:
        super().__init__()
        self.call = call

    def forward(self, maps):
        return self.call(maps)


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (
            lambda x: torch.nn.functional.group_norm(x, 1, x.mean((0, 2, 3))),
            "F.group_norm with weight or bias, which only a layer has",
        ),
        (
            lambda x: torch.nn.functional.instance_norm(x, x.mean((0, 2, 3)), x.mean((0, 2, 3))),
            "F.instance_norm with running statistics",
        ),
    ],
)
def test_functions_with_tensors_beside_their_input(call, what):
    with pytest.raises(ValueError, match="Got " + what) as caught:
        from_torch(Computed(call), images())
    assert str(caught.value).endswith(ADVICE)


def test_a_class_of_the_users_own_of_this_name():
    class InstanceNorm2d(torch.nn.Module):
        def forward(self, maps):
            return torch.nn.functional.instance_norm(maps)

    theirs = torch_net(InstanceNorm2d())
    assert compare(from_torch(theirs, images()), theirs, images(), TARGETS).ok
