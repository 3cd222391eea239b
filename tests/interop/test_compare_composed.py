"""Functions and indexes that become several layers of ours, or one in another place."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from minicnn.interop.torch import compare, from_torch
from tests.helpers import assert_matches_torch, draws


class Says(torch.nn.Module):
    """Two convolutions of an image, and what is to be done with both."""

    def __init__(self, forward) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.left, self.right = torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(3, 4, 3)
        self.said = forward

    def forward(self, images):
        return self.said(self.left(images), self.right(images))


def subtracts_in_place(x, y):
    x -= y
    return torch.tanh(x)


@pytest.mark.parametrize(
    "forward",
    [
        lambda x, y: x - y,
        lambda x, y: torch.sub(x, y, alpha=2),
        lambda x, y: torch.sub(other=y, input=x),
        lambda x, y: torch.rsub(x, y, alpha=0.5),
        lambda x, y: torch.add(x, y, alpha=3),
        lambda x, y: x.subtract(x * y),
        lambda x, y: x - x + y,
        lambda x, y: (1 - torch.sigmoid(x)) * y,
        subtracts_in_place,
    ],
)
def test_differences(forward):
    check(forward)


def gate(x):
    """Return a number a channel."""
    return torch.sigmoid(x.mean((2, 3)))


@pytest.mark.parametrize(
    "forward",
    [
        lambda x, y: x * gate(y)[:, :, None, None],
        lambda x, y: x * gate(y)[..., None, None],
        lambda x, y: gate(y).unsqueeze(-1).unsqueeze(dim=-1) * x,
        lambda x, y: torch.unsqueeze(gate(y).unsqueeze(2), 3) * x,
        lambda x, y: x * gate(y)[:, :, None, None].expand_as(x),
        lambda x, y: gate(y).view(y.size(0), 4, 1, 1).expand(x.size(0), -1, x.size(2), x.size(3)) * x,
        lambda x, y: x * y.mean(1, keepdim=True).expand(x.shape),
    ],
)
def test_gates_are_spread(forward):
    check(forward)


def shuffled(x):
    images, channels, height, width = x.size()
    x = x.view(images, 2, channels // 2, height, width)
    x = torch.transpose(x, 1, 2).contiguous()
    return x.view(images, channels, height, width)


def chunked(x, y):
    first, second = x.chunk(2, dim=1)
    return torch.cat((second, first * y[:, :2]), 1)


@pytest.mark.parametrize(
    "forward",
    [
        lambda x, y: torch.cat([x[:, 2:], torch.relu(y[:, :2])], dim=1),
        lambda x, y: x[:, 0].unsqueeze(1) * y,
        lambda x, y: x[:, -1, None] * y,
        lambda x, y: x[:, ::2, 1:, :-1] + y[:, 1::2, :-1, 1:],
        lambda x, y: x[..., 1] * y[..., -2],
        lambda x, y: x[:] * y[:, :],
        lambda x, y: torch.split(x, [1, 3], dim=1)[1] * torch.split(y, 3, 1)[0],
        lambda x, y: x.chunk(3, -1)[-1] + y.chunk(3, -1)[0],
        lambda x, y: shuffled(torch.cat([x, y], 1)),
        lambda x, y: x.swapaxes(-1, 1) * y.transpose(1, 3),
        lambda x, y: x.permute(0, 2, 3, 1) * torch.permute(y, (-4, 2, 3, 1)),
        chunked,
    ],
)
def test_parts_and_axes(forward):
    check(forward)


@pytest.mark.parametrize(
    "forward",
    [
        lambda x, y: x.max(1, keepdim=True)[0] * y,
        lambda x, y: torch.max(y, dim=-1).values * x.amax(-1),
        lambda x, y: x.flatten(2).max(2, True).values * y.flatten(2),
        lambda x, y: torch.nn.functional.adaptive_max_pool2d(x, (2, 3)) * y[:, :, :2],
        lambda x, y: torch.nn.functional.adaptive_max_pool2d(x, (None, 1)) * y,
        lambda x, y: torch.amax(x, dim=(2, 3), keepdim=True) * y,
    ],
)
def test_maxima(forward):
    check(forward)


def test_global_max_pooling_takes_images_of_any_size():
    pool = torch.nn.Sequential(torch.nn.AdaptiveMaxPool2d(1), torch.nn.Flatten())
    model = from_torch(pool, np.zeros((1, 2, 8, 8)))
    assert_matches_torch(model, pool, draws((3, 2, 5, 7)))


def test_a_part_does_not_depend_on_the_number_of_images():
    module, images = Says(chunked), draws((2, 3, 6, 5), np.float32)
    model = from_torch(module, images[:1])
    assert_matches_torch(model, module, images)


def check(forward) -> None:
    """Raise unless the function's numbers are torch's, in both dtypes, and compare finds nothing."""
    for dtype in (np.float32, np.float64):
        module, images = Says(forward), draws((2, 3, 6, 5), dtype)
        module.to(torch.from_numpy(images).dtype)
        assert_matches_torch(from_torch(module, images), module, images)
    flat = torch.nn.Sequential(Says(forward), torch.nn.Flatten())
    images = draws((2, 3, 6, 5), np.float32)
    compare(from_torch(flat, images), flat, images, np.array([0, 1])).assert_close()


def test_a_difference_is_a_sum_with_minus_one_times_the_second():
    assert from_torch(Says(lambda x, y: x - y), draws((1, 3, 6, 5), np.float32)).lines() == [
        "x1 = left(x)",
        "x2 = right(x)",
        "x3 = -1.0 * x2  # sub_scaled",
        "x4 = x1 + x3  # sub",
        "return x4",
    ]
