"""watch: torch's own numbers as a Trace, every one explained; the model computes as if nobody looked."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from minicnn import nn
from minicnn.inspection import chain
from minicnn.interop.torch import compare, from_torch, to_torch, watch
from tests.helpers import draws
from tests.interop.nets import NETS
from tests.interop.test_from_torch import both_dtypes, built


def run(module, input) -> tuple[np.ndarray, dict]:
    """Return output and gradients of one forward and backward."""
    module.zero_grad()
    output = module(torch.from_numpy(input.copy()))
    output.backward(torch.from_numpy(draws(tuple(output.shape), input.dtype, seed=1)))
    return output.detach().numpy(), {name: p.grad.numpy().copy() for name, p in module.named_parameters()}


@both_dtypes
@pytest.mark.parametrize("name", NETS)
def test_every_layer_is_explained(name, dtype):
    module, input = built(name, dtype)
    rng = np.random.default_rng(0)
    with watch(module) as t:
        run(module, input)
    for step in t.steps:
        for of in ("output", "grad_input", *(f"{key}.grad" for key in step.parameters)):
            array = step.array(of)
            assert array is not None, f"{step.who} {of}"
            for _ in range(2):
                explanation = t.explain(step.name, tuple(int(rng.integers(n)) for n in array.shape), of)
                assert explanation.ok, str(explanation)


@pytest.mark.parametrize("name", NETS)
def test_nothing_changes(name):
    module, input = built(name)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    output, gradients = run(module, input)
    module.load_state_dict(before)
    with watch(module):
        again, watched = run(module, input)
    np.testing.assert_array_equal(again, output)
    assert watched.keys() == gradients.keys()
    for key, gradient in gradients.items():
        np.testing.assert_allclose(watched[key], gradient, rtol=1e-5, atol=1e-6)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())
    assert all(
        isinstance(p, torch.nn.Parameter)
        for m in module.modules()
        for p in m._parameters.values()
        if p is not None
    )


def test_calls_of_one_layer_are_told_apart():
    module, input = built("shared", np.float64)
    with watch(module) as t:
        _, gradients = run(module, input)
    assert [step.name for step in t.steps] == ["conv", "conv#2", "conv#3", "head"]
    total = sum(t[name].grads["weight"] for name in ("conv", "conv#2", "conv#3"))
    np.testing.assert_allclose(total, gradients["conv.weight"], rtol=1e-12)


def test_the_way_of_a_classifier_ends_in_its_label():
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2))
    with torch.no_grad():
        model[1].weight.copy_(torch.eye(2, 4))
        model[1].bias.zero_()
    with watch(model, classes=("cat", "dog")) as t:
        assert t.ending == {}
        model(torch.tensor([[[[0.0, math.log(3)], [0, 0]]]]))
    assert [step.name for step in t.steps] == [step.name for step in t.layers] == ["0", "1"]
    np.testing.assert_allclose(t.ending["softmax"].output, [[0.25, 0.75]], rtol=1e-6)
    assert chain(t).label == "dog"
    assert "dog" in [text.get_text() for text in t.plot().texts]


def test_columns_know_their_channel_and_pixel():
    module, input = built("simple, two classes")
    with watch(module) as t:
        module(torch.from_numpy(input))
    assert t["fc1"].origin == (16, 14, 14)


def test_dropout_in_training():
    module = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Linear(40, 3)).double()
    with watch(module) as t:
        run(module, draws((2, 40)))
    for index in np.ndindex(2, 40):
        for of in ("output", "grad_input"):
            assert t.explain("1", index, of).ok
    assert set(np.unique(t["1"].saved["mask"])) == {0, 2}


class Means(torch.nn.Module):
    """What many heads begin with: the mean of each channel."""

    def forward(self, maps):
        return maps.mean((2, 3))


def test_a_dropout_in_place_that_is_off_has_its_own_gradients():
    """Its output is its input, whose gradient is not that of what stands before, of another shape perhaps."""
    torch.manual_seed(0)
    parts = (Means(), torch.nn.Dropout(0.2, inplace=True), torch.nn.Hardswish(inplace=True))
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), *parts, torch.nn.Dropout(inplace=True)).eval()
    images = draws((2, 1, 5, 4), np.float32)
    with watch(module) as t:
        output = module(torch.from_numpy(images))
        output.backward(torch.from_numpy(draws((2, 4), np.float32, seed=1)))
    for name in ("2", "4"):
        np.testing.assert_array_equal(t[name].grad_input, t[name].grad_output)
        assert t.explain(name, (1, 2), "grad_input").ok
    compare(from_torch(module, images), module, images, np.array([0, 3])).assert_close()


def test_a_new_forward_starts_anew():
    module, input = built("regression")
    with watch(module, classes=["number"]) as t:
        run(module, input)
        with torch.no_grad():
            module(torch.from_numpy(2 * input))
    (step,) = t.steps
    np.testing.assert_array_equal(step.input, 2 * input)
    assert step.grad_input is None
    assert t.classes == ("number",)


def test_a_forward_that_fails_leaves_the_model_whole():
    module = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(3, 3))
    with watch(module), pytest.raises(RuntimeError):
        module(torch.zeros(2, 4))
    assert all(isinstance(p, torch.nn.Parameter) for m in module for p in m._parameters.values())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())


class Named(torch.nn.Module):
    """Hands inputs over by name."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act, self.fc = torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(True), torch.nn.Linear(2, 3)

    def forward(self, images):
        maps = self.act(input=self.conv(input=images))
        return self.fc(input=torch.relu(input=torch.flatten(input=maps, start_dim=1)))


def test_inputs_that_are_given_by_name():
    conv, linear = nn.Conv2d(1, 2, 3, dtype=np.float64, rng=0), nn.Linear(2, 3, dtype=np.float64, rng=1)
    model = nn.Sequential(conv, nn.ReLU(), nn.Flatten(), nn.ReLU(), linear)
    module, input = Named().double(), draws((2, 1, 3, 3))
    for layer, values in ((module.conv, conv), (module.fc, linear)):
        layer.load_state_dict(to_torch(values).state_dict())
    alone = run(module, input)
    module.zero_grad()
    with watch(module) as t:
        beside = run(module, input)
    np.testing.assert_array_equal(alone[0], beside[0])
    assert [step.name for step in t.steps] == ["conv", "act", "fc"]
    assert t.explain("conv", (0, 1, 0, 0)).ok
    np.testing.assert_array_equal(t["fc"].grads["weight"], beside[1]["fc.weight"])
    comparison = compare(model, module, input, np.array([0, 2]))
    assert comparison.ok
    assert comparison.only_ours == comparison.only_torch == []
