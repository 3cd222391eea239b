"""What happens to a model between forward and backward: copied, changed, watched. Backward goes by the forward."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from minicnn import nn, no_grad
from tests.helpers import draws, raises


def small_net():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, rng=0),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, rng=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16, 4, rng=2),
    )


def images_of(seed=0):
    return draws((3, 1, 8, 8), np.float32, seed)


def gradients(model, grad_output):
    """Return the gradients of input and parameters, from the last forward."""
    model.zero_grad()
    return [model.backward(grad_output), *(parameter.grad for parameter in model.parameters())]


def same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


# Copies


@pytest.mark.parametrize("twin_of", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_net_is_copied_between_forward_and_backward(twin_of):
    model, images, grad = small_net(), images_of(), draws((3, 4), np.float32, 1)
    for _ in range(3):
        with no_grad():
            model(images)
    output = model(images)
    twin = twin_of(model)
    same(gradients(twin, grad), gradients(model, grad))
    for _ in range(3):
        same([twin(images)], [output])
        with no_grad():
            same([twin(images)], [output])
