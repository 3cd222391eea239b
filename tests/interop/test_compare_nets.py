"""compare on nets as people write them: nothing but rounding, whatever they are made of."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from minicnn import nn
from minicnn.interop.torch import compare, from_torch
from tests.helpers import draws
from tests.interop.nets import NETS
from tests.interop.test_from_torch import built

# Functions of two tensors, or that leave one as it is, have no step on torch's side.
NOT_SEEN = {"Add", "Multiply", "Concatenate", "Identity"}

CASES = [
    *(pytest.param(name, False, marks=[pytest.mark.slow] * (name == "ResNet-18")) for name in NETS),
    *((name, True) for name in ("softmax head", "Inception", "shared", "functions", "in place", "attention")),
]


@pytest.mark.parametrize(("name", "single_step"), CASES)
def test_nets_as_people_write_them_agree(name, single_step):
    module, images = built(name)
    model = from_torch(module, images)
    with torch.no_grad():  # a copy: batch norm's statistics go on with every forward
        shape = copy.deepcopy(module)(torch.from_numpy(images.copy())).shape
    targets = draws(tuple(shape), np.float32, seed=1)
    comparison = compare(model, module, images, targets, nn.MSELoss(), single_step=single_step)
    comparison.assert_close()
    assert {step.split()[0] for step in comparison.only_ours} <= NOT_SEEN
    assert comparison.only_torch == []


@pytest.mark.parametrize("training", [True, False])
def test_squeeze_and_excitation_is_trained_alike(training):
    module, images = built("attention")
    module.train(training)
    comparison = compare(from_torch(module, images), module, images, np.array([0, 2, 1]), steps=2)
    comparison.assert_close()
    assert not any(row.verdict == "differs" for row in comparison.rows)


@pytest.mark.parametrize("single_step", [False, True])
def test_functions_have_rows_too(single_step):
    module, images = built("deeper")
    comparison = compare(
        from_torch(module, images), module, images, np.array([3, 1]), single_step=single_step
    )
    names = [(row.name, row.torch_name) for row in comparison.rows if row.of == "output"]
    assert names == [
        ("conv1", "conv1"), ("relu", "relu()"), ("pool", "pool"), ("conv2", "conv2"), ("relu_1", "relu()#2"),
        ("pool#2", "pool#2"), ("view", "view()"), ("fc1", "fc1"), ("relu_2", "relu()#3"), ("fc2", "fc2"),
        ("loss", "loss"),
    ]  # fmt: skip
    assert {row.of for row in comparison.rows if row.torch_name == "relu()#2"} == {"output", "grad_input"}
    assert comparison.torch.explain("relu()#2", (1, 5, 3, 2)).ok
    assert comparison.torch.explain("relu()#2", (1, 5, 3, 2), "grad_input").ok


def test_another_function_is_found_where_it_is():
    module, images = built("deeper")
    model = from_torch(module, images)
    model.relu_1 = nn.LeakyReLU(0.1)
    first = compare(model, module, images, np.array([3, 1])).first_difference
    assert (first.row.name, first.row.of) == ("relu_1", "output")


def test_functions_inside_a_known_layer_are_its_own_affair():
    module, images = built("LeNet-5")
    comparison = compare(from_torch(module, images), module, images, np.array([3, 1]))
    assert [step.name for step in comparison.torch if "()" in step.name] == ["flatten()"]


class Prepares(torch.nn.Module):
    """Normalises its images by several functions, one after another."""

    def __init__(self, forward) -> None:
        super().__init__()
        self.fc = torch.nn.Linear(4, 3)
        self.prepared = forward

    def forward(self, images):
        return self.fc(self.prepared(images.flatten(1)))


def normalises(x):
    x = (x - 0.25) / 0.5
    x = 1 - 2 * x
    return torch.rsub(-x, 1, alpha=2) + 0.5


def normalises_in_place(x):
    x = x * 1
    x -= 0.25
    x = x / 0.5
    x *= -2
    return x + 1


@pytest.mark.parametrize(("prepared", "unseen"), [(normalises, 0), (normalises_in_place, 2)])
def test_constants_in_a_row_go_together(prepared, unseen):
    """What works in place makes no step in torch; the others must not be held against its neighbours."""
    torch.manual_seed(0)
    module, images = Prepares(prepared), draws((3, 1, 2, 2), np.float32)
    comparison = compare(from_torch(module, images), module, images, np.array([0, 2, 1]))
    comparison.assert_close()
    assert len(comparison.only_ours) == unseen
    assert comparison.only_torch == []
