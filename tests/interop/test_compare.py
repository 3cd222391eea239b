"""compare: every array beside torch's; rounding is told from faults, and faults are found where they are."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from minicnn import nn
from minicnn.interop.torch import assert_close, compare, from_torch, to_torch
from minicnn.interop.torch.comparison.measures import measures
from tests.helpers import draws


def small(dtype=np.float32) -> nn.Sequential:
    """Return a net of two convolutions and a Linear layer."""
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1, rng=0, dtype=dtype), nn.ReLU(), nn.Conv2d(3, 3, 3, rng=1, dtype=dtype),
        nn.BatchNorm2d(3, dtype=dtype), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 4, rng=2, dtype=dtype),
    )  # fmt: skip


def batch(dtype=np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Return images and targets for `small`."""
    return draws((5, 2, 6, 6), dtype), np.array([0, 3, 1, 1, 2])


def test_measures_by_hand():
    found = measures(np.float32([[1, 8], [0, 3]]), np.float32([[1, 6], [0.5, 3]]))
    assert found.absolute == 2  # |8 - 6|
    assert found.relative == 1  # |0 - 0.5| / 0.5
    assert found.ulps == 2 / 2**-20  # floats between 8 and 16 are 2^(3-23) apart
    assert found.share == 0.5
    assert found.where == (0, 1)


@pytest.mark.parametrize("values", [([np.inf], [1.0]), ([np.nan], [1.0]), ([np.inf], [-np.inf])])
def test_what_is_not_finite_on_one_side_differs_without_end(values):
    found = measures(*map(np.float64, values))
    assert found.absolute == np.inf
    assert found.where == (0,)


def test_every_array_of_every_layer_has_a_row_in_order():
    model, (images, targets) = small(), batch()
    comparison = compare(model, to_torch(model), images, targets)
    forward = [(str(i), "output") for i in range(7)] + [("loss", "output"), ("loss", "grad_input")]
    backward = []
    for i in reversed(range(7)):
        backward += [(str(i), "weight.grad"), (str(i), "bias.grad")] if i in (0, 2, 3, 6) else []
        backward.append((str(i), "grad_input"))
    statistics = [("3", "running_mean"), ("3", "running_var")]
    assert [(row.name, row.of) for row in comparison.rows] == forward + backward + statistics
    row = comparison["0", "weight.grad"]
    assert row.shape == (3, 2, 3, 3)
    assert row.verdict == "rounding"
    assert 0 < row.absolute <= row.bound
    assert row.where == measures(row.ours, row.theirs).where
    assert comparison.ok
    assert comparison.first_difference is None


def test_layers_under_other_names_go_together_by_order():
    class Named(torch.nn.Module):
        def __init__(self, chain):
            super().__init__()
            self.conv1, self.act, self.conv2, self.norm, self.pool, self.flat, self.head = chain

        def forward(self, images):
            maps = self.norm(self.conv2(self.act(self.conv1(images))))
            return self.head(self.flat(self.pool(maps)))

    model, (images, targets) = small(), batch()
    comparison = compare(model, Named(to_torch(model)), images, targets)
    assert [row.torch_name for row in comparison.rows][:8] == [
        "conv1", "act", "conv2", "norm", "pool", "flat", "head", "loss",
    ]  # fmt: skip
    assert comparison.ok
    assert "0 | conv1" in str(comparison)


def planted() -> tuple[nn.Module, torch.nn.Module]:
    """Return a model and its torch twin with one wrong weight in the second convolution."""
    model = small()
    module = to_torch(model)
    with torch.no_grad():
        module[2].weight[1, 2, 0, 1] += 0.5
    return model, module


def test_a_fault_is_found_where_it_is():
    model, module = planted()
    comparison = compare(model, module, *batch())
    assert not comparison.ok
    first = comparison.first_difference
    assert (first.row.name, first.row.of) == ("2", "output")
    assert first.index[1] == 1  # the channel whose weight is wrong
    assert first.ours.ok  # each side did its own arithmetic right
    assert first.torch.ok
    mine, theirs = (
        np.sort(one.terms, order=["channel", "row", "column"]) for one in (first.ours, first.torch)
    )
    assert (mine["weight"] != theirs["weight"]).sum() == 1
    assert first.ours.actual == comparison.ours["2"].output[first.index]
    assert first.torch.actual == comparison.torch["2"].output[first.index]


def test_statistics_of_batch_norm_are_compared():
    model = small()
    module = to_torch(model)
    module[3].momentum = 0.3
    comparison = compare(model, module, *batch())
    assert {(row.name, row.of) for row in comparison.rows if row.verdict == "differs"} == {
        ("3", "running_mean"), ("3", "running_var"),
    }  # fmt: skip


def without_a_mean():
    """Return a batch norm, then a convolution without bias, of which every channel has the mean 0; and images."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, bias=False), torch.nn.BatchNorm2d(8),
        torch.nn.Conv2d(8, 6, 1, bias=False), torch.nn.BatchNorm2d(6),
        torch.nn.Flatten(), torch.nn.Linear(6 * 4 * 4, 3),
    )  # fmt: skip
    images = draws((4, 3, 6, 6), np.float32)
    return from_torch(module, images), module, images


@pytest.mark.parametrize("flipped", [False, True])
def test_a_running_mean_that_is_zero_but_for_rounding_is_no_difference(flipped):
    model, module, images = without_a_mean()
    if flipped:
        model[0].weight.data[...] = model[0].weight.data[:, :, ::-1, ::-1].copy()
    comparison = compare(model, module, images, np.array([0, 1, 2, 0]))
    assert comparison["3", "running_mean"].verdict == "rounding"
    assert comparison.ok is not flipped
    assert not flipped or comparison.likely_cause.slip == "flipped kernel"


def test_nor_when_both_sides_have_kept_it_since_the_last_batch():
    model, module, images = without_a_mean()
    for _ in range(2):
        model(images)
        module(torch.from_numpy(images))
    comparison = compare(model, module, images, np.array([0, 1, 2, 0]))
    assert comparison["3", "running_mean"].relative > 0.01  # nothing but rounding is left of it
    comparison.assert_close()


def test_single_step_keeps_a_fault_in_its_layer():
    model, module = planted()
    everywhere = compare(model, module, *batch())
    alone = compare(model, module, *batch(), single_step=True)
    stained = {row.name for row in everywhere.rows if row.verdict == "differs"}
    assert {"0", "2", "3", "6", "loss"} <= stained
    assert {row.name for row in alone.rows if row.verdict == "differs"} == {"2"}
    assert {row.of for row in alone.rows if row.verdict == "differs"} == {"output", "grad_input"}


def test_wrong_arithmetic_in_float32_alone_is_no_rounding(monkeypatch):
    model, (images, targets) = small(), batch()
    module = to_torch(model)
    right = nn.Linear.forward

    def forward(layer, input):
        output = right(layer, input)
        if output.dtype == np.float32:
            output[0, 0] *= np.float32(1.001)
        return output

    monkeypatch.setattr(nn.Linear, "forward", forward)
    first = compare(model, module, images, targets).first_difference
    assert (first.row.name, first.row.of, first.index) == ("6", "output", (0, 0))
    assert not first.ours.ok
    assert first.torch.ok


def test_nothing_changes():
    model, module = planted()
    ours = {name: value.copy() for name, value in model.state_dict().items()}
    theirs = copy.deepcopy(module.state_dict())
    compare(model, module, *batch())
    for name in ours:
        np.testing.assert_array_equal(model.state_dict()[name], ours[name])
        assert torch.equal(module.state_dict()[name], theirs[name])
    assert all(parameter.grad is None for parameter in (*model.parameters(), *module.parameters()))
    assert all(part.saved == {} for part in model.modules())


def test_a_missing_bias_has_a_row():
    model = nn.Sequential(nn.Linear(3, 2, rng=0))
    module = torch.nn.Sequential(torch.nn.Linear(3, 2, bias=False))
    row = compare(model, module, draws((4, 3), np.float32), np.array([0, 1, 1, 0]))["0", "bias.grad"]
    assert (row.verdict, row.theirs) == ("differs", None)
    assert row.cells[-1] == "only ours has it"


def test_another_shape_differs():
    model = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, rng=0), nn.Flatten(), nn.Linear(16, 2, rng=0))
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3), torch.nn.Flatten(), torch.nn.Linear(4, 2))
    first = compare(model, module, draws((2, 1, 4, 4), np.float32), np.array([0, 1])).first_difference
    assert first.title == 'Conv2d "0": output has shape (2, 1, 4, 4) here, and (2, 1, 2, 2) in torch'


@pytest.mark.parametrize(
    "criterion",
    [
        nn.CrossEntropyLoss(weight=np.float32([1, 2, 3, 4]), label_smoothing=0.1),
        nn.CrossEntropyLoss(reduction="sum"),
        nn.CrossEntropyLoss(reduction="none"),
    ],
)
def test_losses_become_torchs(criterion):
    model = small()
    comparison = compare(model, to_torch(model), *batch(), criterion)
    comparison.assert_close()
    assert comparison["loss", "output"].shape == ((5,) if criterion.reduction == "none" else ())


def test_another_loss_on_torchs_side():
    model = small()
    first = compare(
        model, to_torch(model), *batch(), torch_criterion=torch.nn.CrossEntropyLoss(reduction="sum")
    ).first_difference
    assert (first.row.name, first.row.of) == ("loss", "output")


def test_assert_close_ends_in_the_explanation():
    model, module = planted()
    with pytest.raises(AssertionError) as caught:
        assert_close(model, module, *batch())
    message = str(caught.value)
    assert message.startswith("compare: both models must give the same numbers but for rounding. Got ")
    first = compare(model, module, *batch()).first_difference
    assert message.endswith(str(first))
    assert first.torch.formula.split("\n")[-1] in message
    model, (images, targets) = small(), batch()
    assert_close(model, to_torch(model), images, targets)


def test_print_and_html():
    model, module = planted()
    comparison = compare(model, module, *batch())
    text, page = str(comparison), comparison._repr_html_()
    assert text.startswith("beside torch: ")
    for part in ("first difference", "here", "in torch", "ULPs", "differs", 'Conv2d "2": output['):
        assert part in text
    assert "<table>" in page
    assert repr(comparison) == text


def test_statistics_that_were_rounded_in_another_order_are_no_difference():
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.Flatten(), torch.nn.Linear(3 * 36, 4)
    )
    images = np.random.default_rng(0).normal(size=(4, 1, 8, 8)).astype(np.float32)
    model = from_torch(network, torch.from_numpy(images))
    for _ in range(5):  # both learn their statistics by themselves
        model(images)
        network(torch.from_numpy(images))
    assert compare(model, network, images, np.array([0, 1, 2, 3])).ok
    with torch.no_grad():
        network[0].weight.copy_(network[0].weight.flip(2, 3))
    comparison = compare(model, network, images, np.array([0, 1, 2, 3]))
    assert not comparison.ok
    assert comparison.likely_cause.slip == "flipped kernel"
