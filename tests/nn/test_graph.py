"""Graph: by hand, modules used twice, gradients by differences, against torch, print, trace, errors."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from minicnn import checkpoint, nn
from minicnn.classifier.estimator import warn_if_probabilities
from minicnn.inspection import trace
from tests.helpers import assert_gradients, assert_matches_torch, assert_same_sum, distinct, draws, raises

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def linear(weight, dtype=np.float64) -> nn.Linear:
    """Return a Linear without bias and with this weight."""
    weight = np.array(weight, dtype)
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=dtype)
    layer.weight.data[...] = weight
    return layer


def twice(dtype=np.float64) -> nn.Graph:
    """Return a net in which one Linear and one activation are used twice, and which adds its input."""
    nodes = [("x1", "fc", "x"), ("x2", "act", "x1"), ("x3", "fc", "x2"), ("x4", "act", "x3")]
    return nn.Graph(
        [*nodes, ("x5", "add", "x4", "x")],
        fc=nn.Linear(4, 4, dtype=dtype, rng=0),
        act=nn.Tanh(),
        add=nn.Add(),
    )


class TorchTwice(torch.nn.Module):
    """The same in torch."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.act = torch.nn.Linear(4, 4), torch.nn.Tanh()

    def forward(self, x):
        return self.act(self.fc(self.act(self.fc(x)))) + x


def branches(dtype=np.float64) -> nn.Graph:
    """Return two convolutions side by side, of which one is inside a Sequential, and a third value."""
    nodes = [
        ("x1", "stem", "x"),
        ("x2", "paths.0", "x1"),
        ("x3", "paths.1", "x1"),
        ("x4", "cat", "x2", "x3", "x1"),
        ("x5", "norm", "x4"),
    ]
    convs = [nn.Conv2d(2, 3, 1, dtype=dtype, rng=1), nn.Conv2d(2, 1, 3, padding=1, dtype=dtype, rng=2)]
    return nn.Graph(
        nodes,
        stem=nn.Conv2d(1, 2, 3, dtype=dtype, rng=0),
        paths=nn.Sequential(*convs),
        cat=nn.Concatenate(dim=1),
        norm=nn.BatchNorm2d(6, dtype=dtype),
    )


class TorchBranches(torch.nn.Module):
    """The same in torch."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(1, 2, 3)
        self.paths = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 1), torch.nn.Conv2d(2, 1, 3, padding=1))
        self.norm = torch.nn.BatchNorm2d(6)

    def forward(self, x):
        x = self.stem(x)
        return self.norm(torch.cat([self.paths[0](x), self.paths[1](x), x], dim=1))


def test_by_hand():
    model = nn.Graph(
        [("a", "fc", "x"), ("b", "fc", "a"), ("c", "add", "b", "a")], fc=linear([[3]]), add=nn.Add()
    )
    # 2 -> 3·2 = 6 -> 3·6 = 18 -> 18 + 6
    np.testing.assert_array_equal(model(np.array([[2.0]])), [[24]])
    # c: 1 -> b: 1, a: 1; a gets 3·1 from the second fc: 4; x gets 3·4
    np.testing.assert_array_equal(model.backward(np.array([[1.0]])), [[12]])
    np.testing.assert_array_equal(model.fc.weight.grad, [[14]])  # 1·6 (second call) + 4·2 (first call)


def test_one_value_read_twice_by_one_node():
    model = nn.Graph([("x1", "add", "x", "x")], add=nn.Add())
    np.testing.assert_array_equal(model(np.array([3.0])), [6])
    np.testing.assert_array_equal(model.backward(np.array([5.0])), [10])


def test_a_value_that_nobody_reads_takes_no_gradient():
    model = nn.Graph([("x1", "spare", "x"), ("x2", "fc", "x")], spare=linear([[7]]), fc=linear([[3]]))
    model(np.array([[2.0]]))
    np.testing.assert_array_equal(model.backward(np.array([[1.0]])), [[3]])
    assert model.spare.weight.grad is None


@both_dtypes
@pytest.mark.parametrize(
    ("ours", "theirs", "shape"), [(twice, TorchTwice, (3, 4)), (branches, TorchBranches, (2, 1, 6, 5))]
)
def test_matches_torch(ours, theirs, shape, dtype):
    assert_matches_torch(ours(dtype), theirs(), draws(shape, dtype))


@pytest.mark.parametrize(("build", "shape"), [(twice, (3, 4)), (branches, (2, 1, 5, 4))])
def test_gradients(build, shape):
    assert_gradients(build(), distinct(shape))


@both_dtypes
def test_layers_computed_together_and_used_twice(dtype):
    def block(library, **dtype):
        return library.Sequential(library.Conv2d(2, 2, 3, padding=1, **dtype), library.ReLU())

    class Theirs(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = block(torch.nn)

        def forward(self, x):
            first = self.block(x)
            return self.block(first) + first

    nodes = [("x1", "block", "x"), ("x2", "block", "x1"), ("x3", "add", "x2", "x1")]
    model = nn.Graph(nodes, block=block(nn, dtype=dtype), add=nn.Add())
    assert_matches_torch(model, Theirs(), draws((2, 2, 9, 8), dtype))


@pytest.mark.parametrize(("build", "shape"), [(twice, (3, 4)), (branches, (2, 1, 5, 4))])
def test_parameters_alone_get_the_same_gradients(build, shape):
    model, input = build(), draws(shape)
    grad_output = draws(model(input).shape, seed=1)
    model.backward(grad_output)
    expected = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()
    model.backward_parameters(grad_output)
    for name, parameter in model.named_parameters():
        np.testing.assert_array_equal(parameter.grad, expected[name])


def test_a_graph_used_twice_in_a_graph():
    outer = nn.Graph([("y", "net", "x"), ("z", "net", "y")], net=twice())
    assert_gradients(outer, draws((2, 4)))


def test_backward_can_be_repeated_and_gradients_add_up():
    model, input = twice(), draws((3, 4))
    grad_output = np.ones_like(model(input))
    first = model.backward(grad_output)
    gradient = model.fc.weight.grad
    np.testing.assert_array_equal(model.backward(grad_output), first)
    assert_same_sum(model.fc.weight.grad, 2 * gradient)  # fc runs twice, so four sums are added in a row


def test_no_grad_saves_nothing():
    model = twice()
    with nn.no_grad():
        model(draws((3, 4)))
    assert all(module.saved == {} for module in model.modules())


def test_mode_and_names_reach_the_children():
    model = branches().eval()
    assert not model.norm.training
    assert list(model.state_dict())[:4] == ["stem.weight", "stem.bias", "paths.0.weight", "paths.0.bias"]
    assert model.paths[1].who == 'Conv2d "paths.1"'


def test_print_reads_like_code():
    text = repr(branches())
    assert text.splitlines()[-7:] == [
        "  x1 = stem(x)",
        "  x2 = paths[0](x1)",
        "  x3 = paths[1](x1)",
        "  x4 = cat(x2, x3, x1, dim=1)  # cat",
        "  x5 = norm(x4)",
        "  return x5",
        ")",
    ]
    assert "Concatenate" not in text
    assert "  (stem): Conv2d(1, 2" in text


@both_dtypes
@pytest.mark.parametrize(("build", "shape"), [(twice, (3, 4)), (branches, (2, 1, 6, 5))])
def test_every_number_is_explained(build, shape, dtype):
    t = trace(
        build(dtype), draws(shape, dtype), draws(build(dtype)(draws(shape, dtype)).shape, dtype), nn.MSELoss()
    )
    assert "Graph" not in [step.kind for step in t.steps]
    for step in t.steps:
        for of in ("output", "grad_input", *(f"{key}.grad" for key in step.grads)):
            array = step.array(of)
            if array is not None and array.dtype.kind == "f" and array.size:
                for flat in range(0, array.size, 3):
                    explanation = t.explain(step.name, np.unravel_index(flat, array.shape), of)
                    assert explanation.ok, str(explanation)
    assert len(str(t).splitlines()) == len(t.steps) + 1


def test_calls_of_one_module_are_steps_of_their_own():
    t = trace(twice(), draws((3, 4)), draws((3, 4)), nn.MSELoss())
    assert [step.name for step in t.steps][:5] == ["fc", "act", "fc#2", "act#2", "add"]
    np.testing.assert_array_equal(t["add"].parts["input 1"], t["fc"].input)
    assert t.explain("add", (0, 1)).terms["note"].tolist() == ["input 0", "input 1"]


def test_the_sum_of_two_calls_is_the_gradient():
    model, input, targets = twice(), draws((3, 4)), draws((3, 4), seed=1)
    t = trace(model, input, targets, nn.MSELoss())
    criterion = nn.MSELoss()
    criterion(model(input), targets)
    model.backward(criterion.backward())
    np.testing.assert_array_equal(t["fc#2"].grads["weight"] + t["fc"].grads["weight"], model.fc.weight.grad)


def test_a_graph_is_saved_and_loaded(tmp_path):
    model = branches()
    checkpoint.save(tmp_path / "graph.safetensors", model)
    loaded = checkpoint.load(tmp_path / "graph.safetensors").model
    assert repr(loaded) == repr(model)
    np.testing.assert_array_equal(loaded(draws((2, 1, 6, 5))), model.eval()(draws((2, 1, 6, 5))))


def test_a_graph_that_ends_in_probabilities_is_noticed():
    model = nn.Graph([("x1", "fc", "x"), ("x2", "out", "x1")], fc=nn.Linear(3, 2, rng=0), out=nn.Softmax(1))
    with pytest.warns(UserWarning, match='Got Softmax "out" as its last layer'):
        warn_if_probabilities("Classifier", model)


@pytest.mark.parametrize("nodes", [[], "x1", [("x1", "act")], [("x1", "act", 0)], ["abc"]])
def test_nodes_are_rows_of_names(nodes):
    message = (
        f"Graph: nodes must be rows of names (output, module, input, ...). Got {nodes!r}. "
        'Pass for example [("x1", "conv1", "x")].'
    )
    with raises(TypeError, message):
        nn.Graph(nodes, act=nn.ReLU())


def test_a_value_must_be_there():
    message = (
        "Graph: a node must read values that are there, and compute a new one. Got 'x2' before it is computed in "
        "'x1 = act(x2)'. Put the nodes in the order in which they run."
    )
    with raises(ValueError, message):
        nn.Graph([("x1", "act", "x2")], act=nn.ReLU())


def test_a_value_is_computed_once():
    message = (
        "Graph: a node must read values that are there, and compute a new one. Got 'x' computed twice in "
        "'x = act(x)'. Put the nodes in the order in which they run."
    )
    with raises(ValueError, message):
        nn.Graph([("x", "act", "x")], act=nn.ReLU())


def test_a_module_must_be_there():
    message = (
        "Graph: a node must name one of the graph's modules. Got 'net.1' in 'x1 = net.1(x)'. "
        "Choose one of ['net', 'net.0']."
    )
    with raises(ValueError, message):
        nn.Graph([("x1", "net.1", "x")], net=nn.Sequential(nn.ReLU()))


def test_a_layer_takes_one_input():
    message = (
        "Graph: a ReLU takes one input. Got 2 in 'x1 = act(x, x)'. "
        "Join them by Add, Multiply or Concatenate first."
    )
    with raises(ValueError, message):
        nn.Graph([("x1", "act", "x", "x")], act=nn.ReLU())


def test_children_are_modules():
    with pytest.raises(TypeError, match=re.escape("Graph: child 'act' must be a minicnn module.")):
        nn.Graph([("x1", "act", "x")], act=nn.ReLU)


def test_backward_needs_a_forward():
    message = "Graph: backward needs a forward first. Call model(x), then the loss, then backward."
    with raises(RuntimeError, message):
        twice().backward(np.ones((3, 4)))
