"""What from_torch cannot take because of what stands around the model: one error that says what to do first."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import utils
from torch.nn.utils import prune
from torch.nn.utils.parametrize import remove_parametrizations

from minicnn import nn
from minicnn.interop.torch import compare, from_torch, watch
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


def test_a_hook_on_a_wrapper():
    module = torch.nn.DataParallel(net())
    module.register_forward_hook(lambda *_: None)
    message = (
        "from_torch: a model must be without forward hooks, which do not come along. Got a forward hook on "
        "the model itself. Remove the hook, or write what it does into forward."
    )
    with raises(ValueError, message):
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


# Wrapped models


WRAPPERS = {
    "torch.compile": torch.compile,
    "DataParallel": torch.nn.DataParallel,
    "both": lambda module: torch.nn.DataParallel(torch.compile(module)),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_wrappers_come_off(wrap):
    module = torch.nn.Sequential(*net(), torch.nn.Flatten()).eval()
    model = from_torch(wrap(module), IMAGES)
    assert model.state_dict().keys() == module.state_dict().keys()
    np.testing.assert_allclose(model(IMAGES), module(torch.from_numpy(IMAGES)).detach(), atol=1e-5)
    assert compare(model, wrap(module), IMAGES, np.array([0, 1])).ok


def test_a_wrapper_on_two_processes_comes_off(tmp_path):
    store = f"file://{tmp_path / 'store'}"
    torch.distributed.init_process_group("gloo", store, rank=0, world_size=1)
    try:
        module = torch.nn.parallel.DistributedDataParallel(net())
        assert from_torch(module, IMAGES).state_dict().keys() == net().state_dict().keys()
    finally:
        torch.distributed.destroy_process_group()


def from_torch_and_compare_raise(module, message: str) -> None:
    """Assert that both refuse a model with this message, each under its own name."""
    with raises(ValueError, f"from_torch: {message}"):
        from_torch(module, IMAGES)
    with raises(ValueError, f"compare: {message}"):
        compare(nn.Sequential(nn.Flatten()), module, IMAGES, np.array([0, 1]))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("path", ["", "0"])
def test_scripts(path):
    modules = [torch.jit.script(net()[0]), torch.jit.trace(net()[0], torch.from_numpy(IMAGES))]
    for script in modules:
        module = torch.nn.Sequential(script) if path else script
        where = f'{type(script).__name__} "0"' if path else "the model itself"
        from_torch_and_compare_raise(
            module,
            f"a model must be Python code. Got {where}, compiled by torch.jit. "
            "Pass the model from before torch.jit.script or torch.jit.trace.",
        )


def parametrized_twice(layer) -> None:
    """Put two methods on one bias."""
    for amount in (1, 1):
        prune.random_unstructured(layer, "bias", amount)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    ("function", "name", "remove"),
    [
        (lambda layer: prune.l1_unstructured(layer, "weight", 0.3), "weight", "prune.remove"),
        (parametrized_twice, "bias", "prune.remove"),
        (utils.weight_norm, "weight", "remove_weight_norm"),
        (utils.spectral_norm, "weight", "remove_spectral_norm"),
        (utils.parametrizations.weight_norm, "weight", "parametrize.remove_parametrizations"),
        (utils.parametrizations.spectral_norm, "weight", "parametrize.remove_parametrizations"),
    ],
)
def test_parameters_that_are_computed(function, name, remove):
    module = net()
    function(module[0][0])
    from_torch_and_compare_raise(
        module,
        f"every parameter must be the layer's own. Got one that torch computes anew, {name} of "
        f'{type(module[0][0]).__name__} "0.0". Call torch.nn.utils.{remove}(layer, "{name}") first.',
    )
    functions = {"prune.remove": prune.remove, "parametrize.remove_parametrizations": remove_parametrizations}
    functions.get(remove, getattr(utils, remove, None))(module[0][0], name)
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
