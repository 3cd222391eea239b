"""What from_torch cannot take because of what stands around the model: one error that says what to do first."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from minicnn.interop.torch import from_torch, watch
from minicnn.interop.torch.tracing import place_of
from tests.helpers import draws, raises
from tests.interop.test_from_torch_details import Says

IMAGES = draws((2, 3, 6, 6), np.float32)


def net() -> torch.nn.Sequential:
    """Return a convolution with two names above it."""
    return torch.nn.Sequential(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3)), torch.nn.ReLU())


# Hooks


@pytest.mark.parametrize(
    ("path", "register", "what"),
    [
        ("0.0", "register_forward_hook", 'a forward hook on Conv2d "0.0"'),
        ("0.0", "register_forward_pre_hook", 'a forward pre-hook on Conv2d "0.0"'),
        ("0", "register_forward_hook", 'a forward hook on Sequential "0"'),
        ("", "register_forward_pre_hook", "a forward pre-hook on the model itself"),
    ],
)
def test_hooks(path, register, what):
    module = net()
    handle = getattr(module.get_submodule(path), register)(lambda *_: None)
    message = (
        f"from_torch: a model must be without forward hooks, which do not come along. Got {what}. "
        "Remove the hook, or write what it does into forward."
    )
    with raises(ValueError, message):
        from_torch(module, IMAGES)
    handle.remove()
    from_torch(module, IMAGES)


def test_a_watched_model():
    module = net()
    message = (
        "from_torch: a model must be without forward hooks, which do not come along. "
        "Got a forward pre-hook on the model itself. Remove the hook, or write what it does into forward."
    )
    with watch(module), raises(ValueError, message):
        from_torch(module, IMAGES)
    from_torch(module, IMAGES)


def test_hooks_of_backward_do_no_harm():
    module = net()
    module[0].register_full_backward_hook(lambda *_: None)
    from_torch(module, IMAGES)


# The number of images


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (lambda self, x: x * x.shape[0], "operator.mul"),
        (lambda self, x: x / x.size(0), "operator.truediv"),
        (lambda self, x: x.size(0) + x, "operator.add"),
        (lambda self, x: x.sub(x.size(dim=0)), "x.sub"),
        (lambda self, x: x * (1 / x.shape[0]), "operator.mul"),
        (lambda self, x: x / x.numel(), "operator.truediv"),
        (lambda self, x: torch.nn.functional.adaptive_avg_pool2d(x, x.size(0)), "F.adaptive_avg_pool2d"),
    ],
)
def test_the_number_of_images_is_no_constant(function, what):
    place = place_of(__file__, function.__code__.co_firstlineno)
    message = (
        "from_torch: every operation must be one that minicnn has. "
        f"Got {what} with the number of images, which changes, in {place}. "
        "Write it with layers and functions that minicnn.nn has."
    )
    with raises(ValueError, message):
        from_torch(Says(function), IMAGES)


def test_other_sizes_are_constants():
    model = from_torch(Says(lambda self, x: x / x.size(1) + x.shape[2:].numel()), IMAGES)
    np.testing.assert_allclose(model(IMAGES), IMAGES / 3 + 36, rtol=1e-6)
