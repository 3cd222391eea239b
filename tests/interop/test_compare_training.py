"""compare in training (both sides in lockstep) and on integers (bit for bit)."""

from __future__ import annotations

import re
from collections import OrderedDict

import numpy as np
import pytest
import torch

from minicnn import nn
from minicnn.interop.torch import compare, to_torch
from tests.helpers import draws
from tests.interop.test_compare import batch, small


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_the_same_model_drifts_by_rounding(optimizer, dtype):
    model = small(dtype)
    images, targets = batch(dtype)
    comparison = compare(
        model, to_torch(model), images, targets, steps=6, optimizer=optimizer, batch_size=3, lr=0.01
    )
    drift = comparison.drift
    assert comparison.ok
    assert [step.step for step in drift.steps] == [1, 2, 3, 4, 5, 6]
    assert drift.first_flip is None
    assert drift.steps[-1].drift > 0
    assert drift.steps[-1].drift_float64 < 1e-8
    assert "drift is within rounding's growth" in str(comparison)


def test_another_epsilon_drifts_and_flips():
    model, (images, targets) = small(), batch()
    module = to_torch(model)
    module[3].eps = 0.5
    drift = compare(model, module, images, targets, steps=20, lr=0.05).drift
    assert not drift.ok
    step, image = drift.first_flip
    assert image in drift.steps[step - 1].flips
    assert all(not earlier.flips for earlier in drift.steps[: step - 1])
    assert "more than rounding can grow" in drift.title
    assert f"first argmax to flip: step {step}, image {image}" in str(drift)


def test_a_fault_of_the_optimizer_alone_is_found(monkeypatch):
    from minicnn import optim

    model, (images, targets) = small(), batch()
    right = optim.Adam.step

    def step(optimizer):
        right(optimizer)
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.data *= parameter.data.dtype.type(1 - 1e-4)

    monkeypatch.setattr(optim.Adam, "step", step)
    comparison = compare(model, to_torch(model), images, targets, steps=2)
    assert comparison.first_difference is None
    with pytest.raises(AssertionError, match="both models must stay together in training but for rounding"):
        comparison.assert_close()


@pytest.mark.parametrize("named", [True, False])
def test_what_torch_has_frozen_is_frozen_on_both_sides(named):
    model, (images, targets) = small(), batch()
    module = to_torch(model)
    module[0].requires_grad_(False)
    if not named:  # then parameters go together by order
        module = torch.nn.Sequential(OrderedDict((f"layer{i}", layer) for i, layer in enumerate(module)))
    assert compare(model, module, images, targets, steps=3, lr=0.1).ok


@pytest.mark.parametrize(("dtype", "lr"), [(np.float32, 1e30), (np.float64, 1e200)])
def test_both_sides_may_overflow_alike(dtype, lr):
    """A learning rate that explodes is no difference between the two."""
    model, (images, targets) = small(dtype), batch(dtype)
    with np.errstate(all="ignore"):
        drift = compare(model, to_torch(model), images, targets, steps=5, optimizer="sgd", lr=lr).drift
    assert np.isnan(drift.steps[-1].loss)
    assert np.isnan(drift.steps[-1].torch_loss)
    assert drift.ok


def test_training_apart_alone_is_no_known_slip(monkeypatch):
    from minicnn import optim

    monkeypatch.setattr(optim.Adam, "step", lambda optimizer: None)
    cause = compare(small(), to_torch(small()), *batch(), steps=2).likely_cause
    assert (cause.slip, cause.tried) == (None, [])
    assert (
        cause.title
        == "likely cause: no known slip, for output, loss and the images' gradient agree in float64 as they are"
    )


def test_training_leaves_both_models_as_they_were():
    model, (images, targets) = small(), batch()
    module = to_torch(model)
    before = model.state_dict()
    compare(model, module, images, targets, steps=2, lr=0.1)
    for name, value in before.items():
        np.testing.assert_array_equal(model.state_dict()[name], value)
        np.testing.assert_array_equal(module.state_dict()[name].numpy(), value)


def whole() -> nn.Sequential:
    """Return a net of layers that only add, multiply and choose."""
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1, stride=2, rng=0), nn.ReLU(), nn.Conv2d(3, 4, (1, 2), rng=1),
        nn.MaxPool2d(2, 1), nn.AvgPool2d((2, 1)), nn.Flatten(), nn.Linear(8, 4, rng=2), nn.LeakyReLU(0.5),
    )  # fmt: skip


def test_integers_agree_bit_for_bit():
    model = whole()
    comparison = compare(model, to_torch(model), draws((3, 2, 8, 8), np.float32), None, exact=True)
    assert {row.verdict for row in comparison.rows} == {"equal"}
    assert comparison["0", "output"].ours.dtype == np.float64
    assert comparison["0", "output"].ours.any()
    np.testing.assert_array_equal(np.rint(comparison["0", "output"].ours), comparison["0", "output"].ours)
    assert all((row.ours != 0).any() for row in comparison.rows if row.of == "weight.grad")


def test_integers_show_what_rounding_would_hide(monkeypatch):
    model = whole()
    right = nn.Linear.forward
    monkeypatch.setattr(nn.Linear, "forward", lambda layer, input: right(layer, input) + 2.0**-20)
    images = draws((3, 2, 8, 8), np.float32)
    first = compare(model, to_torch(model), images, None, exact=True).first_difference
    assert (first.row.name, first.row.of) == ("6", "output")


def test_after_a_sigmoid_rounding_is_allowed():
    model = nn.Sequential(nn.Linear(3, 4, rng=0), nn.Sigmoid(), nn.Linear(4, 4, rng=1))
    comparison = compare(model, to_torch(model), draws((3, 3), np.float32), None, exact=True)
    assert comparison.ok
    assert comparison["0", "output"].verdict == "equal"


def test_what_is_refused():
    model = nn.Linear(2, 2)
    arguments = (model, torch.nn.Linear(2, 2), np.ones((1, 2), np.float32), np.array([0]))
    message = "compare: optimizer must be one of sgd, adam, adamw. Got 'lion'. Choose one of these."
    with pytest.raises(ValueError, match=re.escape(message)):
        compare(*arguments, steps=1, optimizer="lion")
    message = "compare: training needs a loss that is one number. Got reduction='none'. Use 'mean' or 'sum'."
    with pytest.raises(ValueError, match=re.escape(message)):
        compare(*arguments, nn.CrossEntropyLoss(reduction="none"), steps=1)
