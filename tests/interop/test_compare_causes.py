"""likely_cause: each known slip is planted on our side and on torch's, and must be the first that is named."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
import torch

from minicnn import nn
from minicnn.interop.torch import compare, to_torch
from minicnn.interop.torch.comparison.sides import torch_loss
from minicnn.interop.torch.comparison.weight_slips import values_of
from tests.helpers import draws


def net() -> nn.Sequential:
    """Return a net in which every slip can be made."""
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, rng=0), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 3, 3, stride=(2, 1), dilation=(1, 2), padding=1, rng=1), nn.ReLU(),
        nn.Pad2d((1, 0, 1, 0)), nn.Flatten(),
        nn.Linear(3 * 4 * 5, 6, rng=2), nn.Tanh(), nn.Linear(6, 4, rng=3),
    )  # fmt: skip
    rng = np.random.default_rng(5)
    model[1].weight.data[...] = rng.uniform(0.5, 2, 4)
    model[1].bias.data[...] = rng.normal(size=4)
    model[1].running_mean[...] = rng.normal(size=4) / 4
    model[1].running_var[...] = rng.uniform(0.5, 2, 4)
    return model


def images() -> np.ndarray:
    """Return a batch that is not normalised."""
    return (draws((5, 3, 6, 6)) * 0.3 + 0.5).astype(np.float32)


TARGETS = np.array([0, 3, 1, 1, 2])


class UnbiasedTorch(torch.nn.BatchNorm2d):
    """Divides the squares by n - 1."""

    def forward(self, input):
        super().forward(input)  # for the statistics
        mean = input.mean((0, 2, 3), keepdim=True)
        variance = input.var((0, 2, 3), unbiased=True, keepdim=True)
        scale = self.weight.reshape(-1, 1, 1) / torch.sqrt(variance + self.eps)
        return (input - mean) * scale + self.bias.reshape(-1, 1, 1)


class Unbiased(nn.BatchNorm2d):
    """Divides the squares by n - 1, by another weight and another eps: 1/√(k·v + eps) = 1/√k · 1/√(v + eps/k)."""

    def disguised(self, method, array):
        count = self.saved_count
        k, weight, eps = count / (count - 1), self.weight.data, self.eps
        self.weight.data, self.eps = (weight / np.sqrt(k)).astype(weight.dtype), eps / k
        try:
            return method(array)
        finally:
            self.weight.data, self.eps = weight, eps

    def forward(self, input):
        self.saved_count = input.size / input.shape[1]
        return self.disguised(super().forward, input)

    def backward(self, grad_output):
        return self.disguised(super().backward, grad_output)


Unbiased.__name__ = "BatchNorm2d"  # to the eye, it is the same layer


class Plan:
    """What `compare` is called with; a slip changes one thing in it."""

    def __init__(self) -> None:
        self.model = net()
        self.images, self.targets, self.criterion = images(), TARGETS, nn.CrossEntropyLoss()


def set_weight(layer: str, change):
    def plant(plan):
        parameter = dict(plan.model.named_parameters())[layer]
        parameter.data[...] = change(parameter.data.copy())

    return plant


def set_attribute(layer: int, name: str, value, **more):
    def plant(plan):
        for key, other in {name: value, **more}.items():
            setattr(plan.model[layer], key, other)

    return plant


def set_layer(layer: int, other):
    return lambda plan: setattr(plan.model, str(layer), other)


def without_layer(layer: int):
    def plant(plan):
        kept = {name: child for name, child in plan.model.children().items() if name != str(layer)}
        plan.model = nn.Sequential(OrderedDict(kept))

    return plant


def turned(change):
    def plant(plan):
        plan.images = np.ascontiguousarray(change(plan.images))

    return plant


def criterion(**arguments):
    def plant(plan):
        plan.criterion = nn.CrossEntropyLoss(**arguments)

    return plant


def nhwc(weight):
    return weight.reshape(6, 3, 4, 5).transpose(0, 2, 3, 1).reshape(6, 60)


def without_bias(plan):
    plan.model[3].bias = None


def with_head(head):
    def plant(plan):
        plan.model = nn.Sequential(*plan.model.children().values(), head)

    return plant


def evaluation(plan):
    plan.model.eval()


def normalised(plan):
    plan.images = (plan.images - np.float32(0.5)) / np.float32(0.25)


def reversed_channels(plan):
    plan.images = np.ascontiguousarray(plan.images[:, ::-1])


def permuted_targets(plan):
    plan.targets = np.array([2, 0, 3, 1])[plan.targets]


def permuted_rows(plan):
    for parameter in (plan.model[9].weight, plan.model[9].bias):
        parameter.data[...] = parameter.data[[2, 0, 3, 1]]


def rounded(change):
    def plant(plan):
        for parameter in plan.model.parameters():
            parameter.data[...] = change(parameter.data)

    return plant


def to_bfloat16(values):
    return torch.from_numpy(values).to(torch.bfloat16).float().numpy()


def stale(plan):
    rng = np.random.default_rng(9)
    for parameter in plan.model.parameters():
        parameter.data += rng.normal(size=parameter.data.shape).astype(np.float32) * np.float32(0.01)


def summed(plan):
    plan.criterion = nn.CrossEntropyLoss(reduction="sum")


PLANTED = [
    ("flipped kernel", set_weight("0.weight", lambda w: w[:, :, ::-1, ::-1])),
    ("Linear transposed", set_weight("9.weight", lambda w: w.reshape(6, 4).T)),
    ("NHWC flattened instead of NCHW", set_weight("7.weight", nhwc)),
    ("bias missing or added twice", without_bias),
    ("bias missing or added twice", set_weight("3.bias", lambda b: 0 * b)),
    ("bias missing or added twice", set_weight("9.bias", lambda b: 2 * b)),
    ("padding on the wrong side or of another kind", set_attribute(5, "padding", (0, 1, 0, 1))),
    ("padding on the wrong side or of another kind", set_attribute(0, "padding_mode", "reflect")),
    ("padding on the wrong side or of another kind", set_attribute(5, "mode", "replicate")),
    ("mean instead of sum", summed),
    ("another loss or other arguments of it", criterion(label_smoothing=0.1)),
    ("another loss or other arguments of it", criterion(weight=np.float32([1, 2, 3, 4]))),
    ("another loss or other arguments of it", criterion(ignore_index=1)),
    ("another loss or other arguments of it", criterion(label_smoothing=0.1, reduction="sum")),
    ("different padding and dilation", set_attribute(3, "dilation", (2, 2), padding=(2, 1))),
    ("another kind of layer", set_layer(2, nn.LeakyReLU())),
    ("another kind of layer", set_layer(8, nn.GELU())),
    ("another kind of layer", set_layer(2, nn.Identity())),
    ("a layer on one side only", without_layer(4)),
    ("a layer on one side only", with_head(nn.Tanh())),
    ("softmax twice or missing", with_head(nn.Softmax(dim=1))),
    ("softmax twice or missing", with_head(nn.LogSoftmax(dim=1))),
    ("train mode against eval mode", evaluation),
    ("different epsilon or momentum", set_attribute(1, "eps", 1e-3)),
    ("different epsilon or momentum", set_attribute(1, "momentum", 0.9)),
    ("input not normalised, or normalised twice", normalised),
    ("channels RGB against BGR", reversed_channels),
    ("channels RGB against BGR", set_weight("0.weight", lambda w: w[:, ::-1])),
    ("images turned or mirrored", turned(lambda x: x[:, :, ::-1])),
    ("images turned or mirrored", turned(lambda x: x[:, :, :, ::-1])),
    ("images turned or mirrored", turned(lambda x: x.swapaxes(2, 3))),
    ("images turned or mirrored", turned(lambda x: x.transpose(0, 2, 3, 1).reshape(x.shape))),
    ("other images, or prepared in another way", turned(lambda x: x[[1, 0, 2, 4, 3]])),
    ("labels permuted", permuted_targets),
    ("labels permuted", permuted_rows),
    ("a stale copy of the weights", stale),
    ("a stale copy of the weights", set_weight("3.weight", lambda w: w + np.float32(0.125))),
    ("float16 or bfloat16 on one side", rounded(np.float16)),
    ("float16 or bfloat16 on one side", rounded(to_bfloat16)),
]


@pytest.mark.parametrize("side", ["ours", "torch"])
@pytest.mark.parametrize(("slip", "plant"), PLANTED)
def test_a_planted_slip_is_named_first(slip, plant, side):
    right, wrong = Plan(), Plan()
    plant(wrong)
    mine, theirs = (wrong, right) if side == "ours" else (right, wrong)
    comparison = compare(
        mine.model, to_torch(theirs.model), mine.images, mine.targets, mine.criterion,
        torch_images=theirs.images, torch_targets=theirs.targets,
        torch_criterion=torch_loss(theirs.criterion),
    )  # fmt: skip
    cause = comparison.likely_cause
    assert cause is not None, "nothing differs"
    assert cause.slip == slip, f"{cause}\ntried: {cause.tried}"
    assert max(cause.before.values()) > 1e-9 >= max(cause.after.values())
    assert f"likely cause: {slip} (" in str(cause)


@pytest.mark.parametrize("side", ["ours", "torch"])
def test_another_variance_is_named_first(side):
    model = net()
    module = to_torch(model)
    if side == "torch":
        wrong = UnbiasedTorch(4)
        wrong.load_state_dict(module[1].state_dict())
        module[1] = wrong
    else:
        model[1].__class__ = Unbiased
    cause = compare(model, module, images(), TARGETS).likely_cause
    assert cause.slip == "biased against unbiased variance", f"{cause}\ntried: {cause.tried}"


def test_stride_and_dilation_swapped():
    """On square images, so that the columns of the Linear layer stay as many."""

    def build(stride, dilation, padding):
        return nn.Sequential(
            nn.Conv2d(1, 2, 3, stride=stride, dilation=dilation, padding=padding, rng=0),
            nn.Flatten(), nn.Linear(2 * 4 * 7 if stride != dilation else 98, 3, rng=1),
        )  # fmt: skip

    for one, other in (((2, 1), (1, 2)), ((1, 2), (2, 1))):
        mine, theirs = build(one, (1, 1), 1), build(other, (1, 1), 1)
        cause = compare(
            mine, to_torch(theirs), draws((3, 1, 7, 7), np.float32), np.array([0, 1, 2])
        ).likely_cause
        assert (cause.slip, cause.where) == ("stride or dilation swapped between H and W", "0")


@pytest.mark.parametrize(
    ("arguments", "slip"),
    [
        ({"stride": 2}, "different stride"),
        ({"stride": (1, 2), "padding": 1}, "different stride and padding"),
        ({"dilation": 2}, "different dilation"),
    ],
)
def test_arguments_that_are_not_swapped_are_called_by_their_names(arguments, slip):
    def build(**arguments):
        return nn.Sequential(
            nn.Conv2d(1, 2, 3, rng=0, **arguments),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(8, 3, rng=1),
        )

    images = draws((3, 1, 7, 7), np.float32)
    cause = compare(build(), to_torch(build(**arguments)), images, np.array([0, 1, 2])).likely_cause
    assert (cause.slip, cause.where) == (slip, "0")


@pytest.mark.parametrize(
    ("argument", "mode", "slip"),
    [
        ("affine", True, "different affine"),
        ("affine", False, "different affine"),
        ("track_running_stats", False, "different track_running_stats"),
    ],
)
@pytest.mark.parametrize("here", [True, False])
def test_a_batch_norm_without_parameters_or_statistics(argument, mode, slip, here):
    def build(value):
        layer = nn.BatchNorm2d(4, **{argument: value}).train(mode)
        for array in values_of(layer).values():
            array += 1
        return nn.Sequential(nn.Conv2d(3, 4, 3, rng=0), layer, nn.Flatten(), nn.Linear(64, 4, rng=1))

    cause = compare(build(here), to_torch(build(not here)), images(), TARGETS).likely_cause
    assert (cause.slip, cause.where) == (slip, "1")


def test_a_batch_norm_in_the_place_of_another_layer():
    """Its bias cannot be taken away, as that of a Linear can."""
    norm = nn.BatchNorm1d(6)
    norm.bias.data[...] = 1
    sides = [nn.Sequential(nn.Flatten(), nn.Linear(108, 6, rng=0), layer) for layer in (norm, nn.Tanh())]
    cause = compare(sides[0], to_torch(sides[1]), images(), TARGETS).likely_cause
    assert (cause.slip, cause.where) == ("another kind of layer", "2")


def test_several_layers_with_other_arguments():
    def build(size):
        pools = (nn.MaxPool2d(size, 2, padding=size // 2), nn.AvgPool2d(size, 2, padding=size // 2))
        return nn.Sequential(*pools, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4, 3, rng=1))

    images = draws((3, 1, 12, 12), np.float32)
    cause = compare(build(2), to_torch(build(5)), images, np.array([0, 1, 2])).likely_cause
    assert (cause.slip, cause.where) == ("different arguments", "0 1")


def test_several_layers_in_a_row_on_one_side_only():
    def build(*more):
        ends = nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(8, 3, rng=1)
        return nn.Sequential(nn.Conv2d(1, 2, 3, rng=0), *more, *ends)

    sides = build(), build(nn.ReLU(), nn.MaxPool2d(2))
    images = draws((3, 1, 8, 8), np.float32)
    for ours, theirs in (sides, sides[::-1]):
        cause = compare(ours, to_torch(theirs), images, np.array([0, 1, 2])).likely_cause
        assert cause.slip == "a layer on one side only"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_torch_model_in_half_precision(dtype):
    model = net()
    cause = compare(model, to_torch(model).to(dtype), images(), TARGETS).likely_cause
    assert cause.slip == "float16 or bfloat16 on one side"
    assert str(dtype).removeprefix("torch.") in cause.where


def test_when_none_fits_it_says_so():
    model = net()
    module = to_torch(model)
    module[8] = torch.nn.Softsign()
    cause = compare(model, module, images(), TARGETS).likely_cause
    assert cause.slip is None
    assert cause.after == {}
    assert str(cause).startswith(f"likely cause: none of the {len(cause.tried)} known slips")
    assert len(cause.tried) >= 8


def test_layers_that_may_change_places_are_no_slip():
    """What a pooling and a ReLU give in between differs, and nothing that comes after them."""
    model = nn.Sequential(
        nn.Conv2d(3, 2, 3, rng=0), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 4, rng=1)
    )
    module = to_torch(model)
    module[1], module[2] = module[2], module[1]
    comparison = compare(model, module, images(), TARGETS)
    cause = comparison.likely_cause
    assert not comparison.ok
    assert (cause.slip, cause.tried, cause.after) == (None, [], {})
    assert (
        cause.title
        == "likely cause: no known slip, for output, loss and the images' gradient agree in float64 as they are"
    )


def test_a_gradient_of_weights_alone_is_not_said_to_agree(monkeypatch):
    def backward(layer, grad_output):
        grad_input = whole(layer, grad_output)
        layer.weight.grad = 2 * layer.weight.grad
        return grad_input

    model, whole = net(), nn.Linear.backward
    module = to_torch(model)
    monkeypatch.setattr(nn.Linear, "backward", backward)
    cause = compare(model, module, images(), TARGETS).likely_cause
    assert cause.slip is None
    assert "the images' gradient agree" in cause.title


def test_a_layer_with_weights_before_all_others_is_not_taken_for_other_images():
    model = nn.Sequential(nn.Conv2d(3, 2, 3, rng=0), nn.Flatten(), nn.Linear(32, 4, rng=1))
    module = torch.nn.Sequential(OrderedDict(front=torch.nn.Linear(6, 6), rest=to_torch(model)))
    cause = compare(model, module, images(), TARGETS).likely_cause
    assert (cause.slip, cause.where) == ("a layer on one side only", "in torch: front")


def test_without_a_difference_there_is_no_cause():
    model = net()
    assert compare(model, to_torch(model), images(), TARGETS).likely_cause is None
