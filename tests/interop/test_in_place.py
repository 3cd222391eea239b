"""from_torch, where a forward writes over a tensor: what reads it later under another name sees the new numbers."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minicnn import nn
from minicnn.interop.torch import from_torch
from tests.helpers import draws, raises
from tests.interop.test_from_torch_details import Says, converted

SHAPE = (2, 3, 4, 4)


def layers(function) -> dict:
    """Return the layers that a function calls."""
    known = {
        "conv": torch.nn.Conv2d(3, 3, 3, padding=1),
        "same": torch.nn.Identity(),
        "drop": torch.nn.Dropout(0.5),
        "relu": torch.nn.ReLU(inplace=True),
        "head": torch.nn.Linear(48, 2),
        "block": torch.nn.Sequential(torch.nn.Identity(), torch.nn.ReLU(inplace=True)),
    }
    return {name: layer for name, layer in known.items() if f"self.{name}(" in inspect.getsource(function)}


def adds(self, x):
    y = self.conv(x)
    skip = y
    y += 1
    return y + skip


def subtracts(self, x):
    y = self.conv(x)
    skip = y
    y -= 1
    return y + skip


def gates(self, x):
    y = x - 1
    y *= torch.sigmoid(x)
    return y + x


def multiplies(self, x):
    y = self.conv(x)
    skip = y
    y *= 0.5
    return y + skip


def divides(self, x):
    y = self.conv(x)
    skip = y
    y /= 4
    return y + skip


def sums(self, x):
    y = self.conv(x)
    first, skip = y, torch.tanh(x)
    y += skip
    return first + y


def forgets(self, x):
    y = self.conv(x)
    torch.relu_(y)
    return y


def by_position(self, x):
    y = self.conv(x)
    F.leaky_relu(y, 0.2, True)
    return y


def contiguous(self, x):
    y = self.conv(x)
    z = y.contiguous()
    z.relu_()
    return y


def copied(self, x):
    y = self.conv(x)
    z = y.clone()
    z.relu_()
    return y + z


def after_a_copy(self, x):
    y = self.conv(x)
    z = y.clone()
    y.relu_()
    return y + z


def flat(self, x):
    y = self.conv(x)
    y = y.view(y.size(0), -1)
    return self.head(self.relu(y))


def size_is_read_later(self, x):
    y = self.conv(x)
    z = self.relu(y.flatten(1))
    return z.view(y.size(0), -1)


def same_forgotten(self, x):
    y = self.same(self.conv(x))
    y.relu_()
    return y


def block(self, x):
    return self.block(self.conv(x))


@pytest.mark.parametrize(
    "function",
    [
        *(adds, subtracts, gates, multiplies, divides, sums, forgets, by_position, contiguous, copied),
        *(after_a_copy, flat, size_is_read_later, same_forgotten, block),
    ],
)
def test_numbers_are_torchs(function):
    converted(function, SHAPE, **layers(function))


def view_is_read(self, x):
    y = self.conv(x)
    v = y.view(y.size(0), -1)
    y.relu_()
    return v


def viewed_is_read(self, x):
    y = self.conv(x)
    z = y.flatten(1)
    F.relu(z, inplace=True)
    return y


def same_is_read(self, x):
    y = self.conv(x)
    z = self.same(y)
    z.relu_()
    return y + z


def dropped_is_read(self, x):
    y = self.conv(x)
    z = F.dropout(y, 0.0)
    z.relu_()
    return y + z


def would_be_dropped_is_read(self, x):
    y = self.conv(x)
    z = self.drop(y)
    z.relu_()
    return y + z


def two_views(self, x):
    y = self.conv(x)
    v, w = y.flatten(1), y.flatten(2)
    v += 1
    return w


def in_a_block(self, x):
    y = self.conv(x)
    return self.block(y) + y


def view_of_what_a_block_writes(self, x):
    y = self.conv(x)
    v = y.flatten(1)
    y = self.block(y)
    return self.head(v)


@pytest.mark.parametrize(
    ("function", "what", "text"),
    [
        (view_is_read, "x.relu_", "y.relu_"),
        (viewed_is_read, "F.relu", "F.relu("),
        (same_is_read, "x.relu_", "z.relu_"),
        (dropped_is_read, "x.relu_", "z.relu_"),
        (would_be_dropped_is_read, "x.relu_", "z.relu_"),
        (two_views, "operator.iadd", "v += 1"),
        (in_a_block, '"block"', "self.block(y)"),
        (view_of_what_a_block_writes, '"block"', "self.block(y)"),
    ],
)
def test_what_we_cannot_follow_is_refused(function, what, text):
    lines, start = inspect.getsourcelines(function)
    (offset,) = [i for i, line in enumerate(lines) if text in line]
    message = (
        f"from_torch: every operation must be one that minicnn has. Got {what}, which writes over a value that is "
        f'read later in {__file__}, line {start + offset}: "{lines[offset].strip()}". '
        "Write it with layers and functions that minicnn.nn has."
    )
    with raises(ValueError, message):
        from_torch(Says(function, **layers(function)).double(), np.zeros(SHAPE))


def test_a_dropout_that_is_off_now_may_be_on_later():
    def function(self, x):
        y = torch.tanh(x)
        F.dropout(y, 0.5, self.training, inplace=True)
        return y

    model = from_torch(Says(function).eval(), draws(SHAPE))
    assert [type(layer) for layer in model] == [nn.Tanh, nn.Dropout]


def test_in_inference_mode():
    with torch.inference_mode():
        module = Says(adds, **layers(adds)).double()
        input = torch.from_numpy(draws(SHAPE))
        expected = module(input).numpy()
        np.testing.assert_allclose(from_torch(module, input)(input.numpy()), expected, atol=1e-12)
