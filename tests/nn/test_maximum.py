"""Max: ties and NaN as in torch, gradients, explanations, errors; against torch in test_operations.py, too."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minicnn import nn
from minicnn.inspection import trace
from tests.helpers import assert_gradients, distinct, draws, raises

LAYERS = [nn.Max(1), nn.Max((3, 1), True), nn.Max((-2, -1), ties="shared"), nn.Max((0, 1, 2, 3))]
PAIRS = [
    (nn.Max(1), lambda x: x.max(1)[0]),
    (nn.Max((2, 3), True), lambda x: F.adaptive_max_pool2d(x, 1)),
    (nn.Max((3, 1), ties="shared"), lambda x: torch.amax(x, (3, 1))),
]


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_gradients(layer):
    assert_gradients(layer, distinct((2, 3, 4, 5)))


@pytest.mark.parametrize(("layer", "theirs"), PAIRS, ids=["max", "adaptive", "amax"])
@pytest.mark.parametrize("odd", [[0, 1], [0], [-np.inf, np.inf], [1, -np.inf]])
def test_ties_are_decided_as_in_torch(layer, theirs, odd):
    input = np.random.default_rng(0).choice(np.array(odd, np.float32), (2, 3, 4, 5))
    tensor = torch.from_numpy(input).requires_grad_()
    expected = theirs(tensor)
    np.testing.assert_array_equal(layer(input), expected.detach().numpy())
    grad_output = draws(expected.shape, np.float32)
    expected.backward(torch.from_numpy(grad_output))
    np.testing.assert_allclose(layer.backward(grad_output), tensor.grad.numpy(), rtol=1e-6)


@pytest.mark.parametrize(("layer", "theirs"), PAIRS, ids=["max", "adaptive", "amax"])
def test_nan_is_the_largest_as_in_torch(layer, theirs):
    input = draws((2, 3, 4, 5), np.float32)
    input[0, 1, 2, 3] = np.nan
    tensor = torch.from_numpy(input).requires_grad_()
    expected = theirs(tensor)
    np.testing.assert_array_equal(layer(input), expected.detach().numpy())
    grad_output = draws(expected.shape, np.float32)
    expected.backward(torch.from_numpy(grad_output))
    np.testing.assert_array_equal(layer.backward(grad_output), tensor.grad.numpy())


@pytest.mark.parametrize("layer", LAYERS[:3], ids=repr)
@pytest.mark.parametrize("tied", [False, True])
def test_every_number_is_explained(layer, tied):
    images = draws((2, 3, 4, 5), np.float32)
    images = np.sign(images) if tied else images
    t = trace(nn.Sequential(layer), images, draws(layer(images).shape, np.float32, seed=1), nn.MSELoss())
    for of in ("output", "grad_input"):
        for index in np.ndindex(t["0"].array(of).shape):
            explanation = t.explain("0", index, of)
            assert explanation.ok, str(explanation)


def test_the_story_of_a_maximum():
    images = np.float32([[[[1, 7], [7, 6]]]])
    t = trace(nn.Sequential(nn.Max((2, 3))), images, np.float32([[3]]), nn.MSELoss())
    largest = t.explain("0", (0, 0))
    assert largest.rule == "the largest input over each row and column"
    assert largest.terms[["row", "column", "input", "wins"]].tolist() == [
        (0, 0, 1, 0), (0, 1, 7, 1), (1, 0, 7, 0), (1, 1, 6, 0),
    ]  # fmt: skip
    assert "2 cells hold 7; the first in reading order wins" in str(largest)
    passed = t.explain("0", (0, 0, 0, 1), "grad_input")
    assert passed.rule == "grad_output[0, 0] · the share in the maximum"
    assert passed.actual == passed.value == 8  # 2·(7 - 3)
    shared = trace(nn.Sequential(nn.Max((2, 3), ties="shared")), images)
    assert "2 cells hold 7 and share the gradient" in str(shared.explain("0", (0, 0)))


def test_no_images():
    layer = nn.Max((2, 3))
    assert layer(np.zeros((0, 2, 3, 3))).shape == (0, 2)
    assert layer.backward(np.zeros((0, 2))).shape == (0, 2, 3, 3)


def test_errors():
    with raises(ValueError, "Max: ties must be first or shared. Got 'last'. Choose one of the two."):
        nn.Max(1, ties="last")
    message = "Max: input must have numbers along (2,). Got shape (3, 4, 0). Pass an input that has."
    with raises(ValueError, message):
        nn.Max(2)(np.zeros((3, 4, 0)))
    message = "Max: dim must name every axis once. Got (1, -1) for shape (3, 4). Leave one out."
    with raises(ValueError, message):
        nn.Max((1, -1))(np.zeros((3, 4)))
