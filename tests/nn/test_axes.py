"""Slice, Permute, Unsqueeze: gradients, explanations, errors; against torch in test_operations.py."""

from __future__ import annotations

import numpy as np
import pytest

from minicnn import nn
from minicnn.inspection import trace
from tests.helpers import assert_gradients, draws, raises

LAYERS = [nn.Slice(1, 1, 3), nn.Slice(-1, 1, None, 2), nn.Permute((2, 0, 1)), nn.Unsqueeze(1)]


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_gradients(layer):
    assert_gradients(layer, draws((2, 4, 3)))


@pytest.mark.parametrize("layer", LAYERS[:2] + LAYERS[3:], ids=repr)
def test_no_images(layer):
    output = layer(np.zeros((0, 4, 3)))
    assert output.shape[0] == 0
    assert layer.backward(output).shape == (0, 4, 3)


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_every_number_is_explained(layer):
    images = draws((2, 4, 3), np.float32)
    t = trace(nn.Sequential(layer), images, draws(layer(images).shape, np.float32, seed=1), nn.MSELoss())
    for of in ("output", "grad_input"):
        for index in np.ndindex(t["0"].array(of).shape):
            explanation = t.explain("0", index, of)
            assert explanation.ok
            assert explanation.value == explanation.actual


def test_what_is_not_taken_has_no_gradient():
    t = trace(nn.Sequential(nn.Slice(1, 1)), np.float32([[3, 4]]), np.float32([[6]]), nn.MSELoss())
    assert t.explain("0", (0, 0)).rule == "input[0, 1]"
    assert t.explain("0", (0, 1), "grad_input").rule == "grad_output[0, 0]"
    left_out = t.explain("0", (0, 0), "grad_input")
    assert (left_out.rule, left_out.value, left_out.actual) == ("0", 0, 0)
    assert "not taken" in str(left_out)


def test_errors():
    with raises(ValueError, "Slice: step must be at least 1. Got -1. Pass a larger number."):
        nn.Slice(1, step=-1)
    message = "Slice: input must have an axis 2. Got shape (3, 4). Pass an axis from -2 to 1."
    with raises(ValueError, message):
        nn.Slice(2)(np.zeros((3, 4)))
    for dims in ((0, 1), (0, 0, 1), (0, 4, 2), (0, 1, -4)):
        message = f"Permute: dims must name each axis of the input once. Got {dims} for shape (2, 3, 4). Pass 3 axes."
        with raises(ValueError, message):
            nn.Permute(dims)(np.zeros((2, 3, 4)))
    for dim in (3, -4):
        message = f"Unsqueeze: dim must be an axis of the output. Got {dim} for shape (3, 4). Pass one from -3 to 2."
        with raises(ValueError, message):
            nn.Unsqueeze(dim)(np.zeros((3, 4)))
