"""Forward and backward through a model, layer by layer and as a whole: what the tests hold against each other."""

from __future__ import annotations

import numpy as np

from minicnn import nn
from tests.helpers import draws


def draw(*shape, seed=0):
    return draws(shape, np.float32, seed)


def predict(model, images):
    with nn.no_grad():
        return model(images)


def predict_one_by_one(model, images):
    with nn.no_grad():
        for layer in model:
            images = layer(images)
    return images


def one_by_one(model, images, grad):
    """Return output, input gradient and parameter gradients, with every layer called by itself."""
    model.zero_grad()
    output = images
    for layer in model:
        output = layer(output)
    for layer in reversed(list(model)):
        grad = layer.backward(grad)
    return [output, grad, *(parameter.grad for parameter in model.parameters())]


def together(model, images, grad, parameters_only=False):
    """Return the same, with the model called as a whole."""
    model.zero_grad()
    output = model(images)
    grad_input = model.backward_parameters(grad) if parameters_only else model.backward(grad)
    return [output, grad_input, *(parameter.grad for parameter in model.parameters())]


def assert_same_bits(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
