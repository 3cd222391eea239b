"""Sequential, Residual and Identity: by hand, gradients by differences, against torch, names, errors."""

from collections import OrderedDict

import numpy as np
import pytest
import torch

from minicnn import nn
from tests.helpers import assert_gradients, assert_matches_torch, distinct, draws, raises

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def linear(weight, dtype=np.float64) -> nn.Linear:
    """Return a Linear without bias and with this weight."""
    weight = np.array(weight, dtype)
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=dtype)
    layer.weight.data[...] = weight
    return layer


class TorchResidual(torch.nn.Module):
    """What Residual is, written for torch."""

    def __init__(self, body, shortcut=None) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, input):
        return self.body(input) + (input if self.shortcut is None else self.shortcut(input))


# Sequential


def test_sequential_by_hand():
    model = nn.Sequential(linear([[1, 2]]), nn.ReLU(), linear([[3], [-1]]))
    # 1·5 - 2·1 = 3 -> 3 -> (9, -3); 1·0 - 2·1 = -2 -> 0 -> (0, 0)
    np.testing.assert_array_equal(model(np.array([[5.0, -1], [0, -1]])), [[9, -3], [0, 0]])
    # back: 10·3 - 20 = 10 -> 10 -> (10, 20); 3 -> 0
    np.testing.assert_array_equal(model.backward(np.array([[10.0, 20], [1, 0]])), [[10, 20], [0, 0]])
    np.testing.assert_array_equal(model[0].weight.grad, [[50, -10]])  # 10·(5, -1)
    np.testing.assert_array_equal(model[2].weight.grad, [[30], [60]])  # 10·3, 20·3


@both_dtypes
def test_sequential_matches_torch(dtype):
    model = nn.Sequential(
        nn.Linear(6, 5, dtype=dtype, rng=0),
        nn.Tanh(),
        nn.Sequential(nn.Linear(5, 4, dtype=dtype, rng=1), nn.SiLU()),
    )
    theirs = torch.nn.Sequential(
        torch.nn.Linear(6, 5),
        torch.nn.Tanh(),
        torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.SiLU()),
    )
    assert_matches_torch(model, theirs, draws((3, 6), dtype))


def test_names_are_torchs():
    def build(library):
        features = library.Sequential(library.Flatten(), library.Linear(4, 3), library.BatchNorm1d(3))
        head = OrderedDict(drop=library.Dropout(), out=library.Linear(3, 2, bias=False))
        return library.Sequential(
            OrderedDict(features=features, act=library.ReLU(), head=library.Sequential(head))
        )

    ours, theirs = build(nn), build(torch.nn)
    assert [name for name, _ in ours.named_modules()] == [name for name, _ in theirs.named_modules()]
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    assert [name for name, _ in ours.named_buffers()] == [name for name, _ in theirs.named_buffers()]
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    assert all(module.name == name for name, module in ours.named_modules())


def test_from_an_ordered_dict():
    model = nn.Sequential(OrderedDict(first=nn.ReLU(), second=nn.Tanh()))
    assert list(model.children()) == ["first", "second"]
    assert model.second is model[1]
    assert model.first.who == 'ReLU "first"'


def test_places_iteration_and_slices():
    layers = [nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)]
    model = nn.Sequential(*layers)
    assert list(model) == layers
    assert len(model) == 4
    assert model[0] is layers[0]
    assert model[-1] is layers[3]
    part = model[1:3]
    assert isinstance(part, nn.Sequential)
    assert list(part) == layers[1:3]
    assert list(part.children()) == ["1", "2"]  # torch keeps the names of a slice, too
    assert list(model[::-2]) == [layers[3], layers[1]]
    net = nn.Sequential(OrderedDict(features=model))
    assert net.features[2:][0].who == 'ReLU "features.2"'  # a slice renames nothing
    with pytest.raises(IndexError):
        model[4]


def test_a_slice_shares_the_parameters():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    part = model[:2]
    part.backward(part(np.ones((1, 2), np.float32)))
    assert model[0].weight.grad is not None
    assert model[2].weight.grad is None


def test_empty_sequential_passes_everything():
    model, input = nn.Sequential(), draws((2, 3))
    assert model(input) is input
    assert model.backward(input) is input
    assert repr(model) == "Sequential()"
    assert list(model.parameters()) == []
    assert list(nn.Sequential(OrderedDict())) == []


def test_append_and_add_module():
    model = nn.Sequential(nn.Flatten())
    assert model.append(nn.ReLU()).append(nn.Tanh()) is model
    assert list(model.children()) == ["0", "1", "2"]
    model.add_module("head", nn.Linear(3, 2))
    assert model.head.who == 'Linear "head"'
    replacement = nn.Sigmoid()
    model.add_module("1", replacement)  # in its place
    assert model[1] is replacement
    assert list(model.children()) == ["0", "1", "2", "head"]


def test_repr():
    model = nn.Sequential(nn.Sequential(nn.ReLU()), nn.Residual(nn.Identity()))
    assert repr(model) == (
        "Sequential(\n"
        "  (0): Sequential(\n"
        "    (0): ReLU()\n"
        "  )\n"
        "  (1): Residual(\n"
        "    (body): Identity()\n"
        "  )\n"
        ")"
    )


def test_what_is_no_module():
    layers = "Pass layers such as nn.ReLU() (with the brackets)."
    for wrong, got, advice in (
        (nn.ReLU, "type", layers),
        (None, "NoneType", layers),
        (torch.nn.ReLU(), "torch's ReLU", "Bring it over first with from_torch."),
        ([nn.ReLU()], "list", layers),
    ):
        with raises(
            TypeError,
            f"Sequential: child '1' must be a minicnn module. Got {got}. {advice}",
        ):
            nn.Sequential(nn.Flatten(), wrong)


@pytest.mark.parametrize("name", ["", "features.0", "forward", "train", "saved", "name"])
def test_names_that_a_child_cannot_have(name):
    with raises(
        ValueError, f"Sequential: a child needs a free name without a dot. Got {name!r}. Choose another name."
    ):
        nn.Sequential(OrderedDict({name: nn.ReLU()}))


def test_one_module_in_two_places():
    act = nn.ReLU()
    with raises(
        ValueError,
        "Sequential: every place needs a module of its own. Got the same ReLU at '1' and '3'. "
        "Build a second one, and give it the first one's Parameters.",
    ):
        nn.Sequential(nn.Linear(2, 2), act, nn.Linear(2, 2), act)
    with raises(
        ValueError,
        "Sequential: every place needs a module of its own. Got the same ReLU at '0.1' and '1'. "
        "Build a second one, and give it the first one's Parameters.",
    ):
        nn.Sequential(nn.Sequential(nn.Flatten(), act), nn.Residual(act))


def test_the_error_names_the_nested_layer():
    features = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    model = nn.Sequential(OrderedDict(features=features, head=nn.Residual(nn.ReLU())))
    with raises(
        ValueError,
        'Linear "features.1": input must have 4 features (last axis). Got shape (2, 3). '
        "Build the layer with in_features=3.",
    ):
        model(np.zeros((2, 3), np.float32))
    with raises(
        RuntimeError,
        'Residual "head": backward needs a forward first. Call model(x), then the loss, then backward.',
    ):
        model.backward(np.zeros((2, 2), np.float32))


# Residual


def test_residual_by_hand():
    block = nn.Residual(linear([[2, 0], [1, 1]]), shortcut=linear([[0, 10], [0, 0]]))
    # (2·3, 3 + 5) + (10·5, 0)
    np.testing.assert_array_equal(block(np.array([[3.0, 5]])), [[56, 8]])
    # body: (2·1 + 1·7, 1·7); shortcut: (0, 10·1)
    np.testing.assert_array_equal(block.backward(np.array([[1.0, 7]])), [[9, 17]])
    np.testing.assert_array_equal(block.body.weight.grad, [[3, 5], [21, 35]])
    np.testing.assert_array_equal(block.shortcut.weight.grad, [[3, 5], [21, 35]])


@pytest.mark.parametrize("shortcut", [None, lambda: nn.Linear(4, 4, dtype=np.float64, rng=1)])
def test_residual_gradients(shortcut):
    body = nn.Sequential(nn.Linear(4, 4, dtype=np.float64, rng=0), nn.Tanh())
    assert_gradients(nn.Residual(body, shortcut and shortcut()), distinct((3, 4)))


@both_dtypes
@pytest.mark.parametrize("odd", [0.5, np.nan, np.inf, -np.inf, 1e4])
@pytest.mark.parametrize("with_shortcut", [False, True])
def test_residual_matches_torch(dtype, odd, with_shortcut):
    def build(library, **options):
        body = library.Sequential(library.Linear(4, 4, **options), library.ReLU())
        return body, library.Linear(4, 4, **options) if with_shortcut else None

    input = draws((3, 4), dtype)
    input[1, 2] = odd
    assert_matches_torch(nn.Residual(*build(nn, dtype=dtype)), TorchResidual(*build(torch.nn)), input)


def test_residual_errors():
    block = nn.Residual(nn.Linear(4, 3))
    with raises(
        ValueError,
        "Residual: body and shortcut must give the same shape. Got (2, 3) and (2, 4). "
        "Give Residual a shortcut that ends in the body's shape.",
    ):
        block(np.zeros((2, 4), np.float32))
    for arguments, what in (((None,), "body"), ((nn.ReLU(), "relu"), "shortcut")):
        got = type(arguments[-1]).__name__
        with raises(
            TypeError,
            f"Residual: {what} must be a minicnn module. Got {got}. "
            "Pass layers such as nn.ReLU() (with the brackets).",
        ):
            nn.Residual(*arguments)


# Identity


@both_dtypes
def test_identity(dtype):
    layer = nn.Identity(54, unused=3)
    input = np.array([[0, np.nan], [np.inf, -1]], dtype)
    assert layer(input) is input
    assert layer.backward(input) is input
    assert_matches_torch(layer, torch.nn.Identity(), input)
    assert_gradients(nn.Identity(), draws((2, 3)))
    assert repr(layer) == "Identity()"


def test_identity_errors():
    with raises(
        TypeError,
        "Identity: input must be float32 or float64. Got bool. Convert it with .astype(np.float32).",
    ):
        nn.Identity()(np.ones(3, bool))
    with raises(
        RuntimeError, "Identity: backward needs a forward first. Call model(x), then the loss, then backward."
    ):
        nn.Identity().backward(np.ones(3))
