"""chain, what_if and check_gradients on graphs: paths that part and meet, modules that run twice."""

from __future__ import annotations

import numpy as np
import torch

from minicnn import nn
from minicnn.inspection import chain, check_gradients, trace, what_if
from minicnn.interop.torch import watch
from tests.helpers import draws


def test_pixels_get_the_gradients_of_all_paths():
    linear = nn.Linear(2, 2, rng=0)
    linear.weight.data[...], linear.bias.data[...] = [[2, 0], [0, 3]], 0
    graph = nn.Graph(
        [("a", "linear", "x"), ("b", "idle", "x"), ("c", "add", "a", "b")],
        linear=linear, idle=nn.Identity(), add=nn.Add(),
    )  # fmt: skip
    # y = 2·1 + 1, 3·1 + 1; the gradient 2·y goes through the weight and around it: 6·2 + 6, 8·3 + 8
    for model in (graph, nn.Residual(linear), nn.Sequential(nn.Identity(), nn.Residual(linear))):
        story = chain(trace(model, np.float32([[1, 1]]), np.float32([[0, 0]]), nn.MSELoss("sum")))
        (pixels,) = [line.split() for line in str(story).split("\n") if line.startswith("  pixels")]
        assert pixels[2:] == ["feature", "1", "50", "32", "0%", "-"]


def test_a_graph_with_several_paths():
    model = nn.Graph(
        [("a", "double", "x"), ("b", "add", "a", "x"), ("c", "cat", "b", "a")],
        double=nn.Affine(2), add=nn.Add(), cat=nn.Concatenate(1),
    )  # fmt: skip
    result = what_if(model, np.float32([[1, 2]]), {"image[0]": 5})
    assert [change.name for change in result.changes] == ["image", "double", "add", "cat"]
    assert result.logits_before.tolist() == [3, 6, 2, 4]  # x + 2x, 2x
    assert result.logits_after.tolist() == [15, 6, 10, 4]
    result = what_if(model, np.float32([[1, 2]]), {"add.output[1]": 0})
    assert result.logits_after.tolist() == [3, 0, 2, 4]


def graph(add: nn.Module) -> nn.Graph:
    """Return a graph with a module that runs twice, an addition and a concatenation."""
    nodes = [
        ("a", "conv", "x"), ("b", "act", "a"), ("c", "same", "b"), ("d", "same", "c"), ("e", "add", "d", "b"),
        ("f", "cat", "e", "a"), ("g", "flat", "f"), ("h", "linear", "g"),
    ]  # fmt: skip
    parts = {
        "conv": nn.Conv2d(1, 2, 3, padding=1, rng=0), "act": nn.Tanh(), "flat": nn.Flatten(), "cat": nn.Concatenate(1),
        "same": nn.Sequential(nn.Conv2d(2, 2, 3, padding=1, rng=1), nn.SiLU()), "linear": nn.Linear(144, 3, rng=2),
    }  # fmt: skip
    return nn.Graph(nodes, add=add, **parts).astype(np.float64)


def test_a_graph():
    class AddsOneSide(nn.Add):
        def backward(self, grad_output):
            return super().backward(grad_output)[0], 0 * grad_output

    images, targets = draws((2, 1, 6, 6), np.float64, seed=5), np.array([0, 2])
    result = check_gradients(graph(nn.Add()), images, targets)
    assert result.ok, str(result)
    assert ('Add "add"', "grad_input 1") in {(row.who, row.of) for row in result.rows}
    result = check_gradients(graph(AddsOneSide()), images, targets)
    assert (result.first_wrong.who, result.first_wrong.of) == ('AddsOneSide "add"', "grad_input 1")


def test_the_gradient_of_a_gate_is_checked():
    class ForgetsToSum(nn.Multiply):
        def backward(self, grad_output):
            maps, gates = super().backward(grad_output)
            return maps, gates / 36

    for product, ok in ((nn.Multiply(), True), (ForgetsToSum(), False)):
        nodes = [
            ("a", "conv", "x"), ("b", "mean", "a"), ("c", "act", "b"), ("d", "mul", "a", "c"), ("e", "flat", "d"),
        ]  # fmt: skip
        model = nn.Graph(
            nodes, conv=nn.Conv2d(1, 2, 3, padding=1, rng=0), mean=nn.Mean((2, 3), keepdim=True),
            act=nn.Sigmoid(), mul=product, flat=nn.Flatten(),
        ).astype(np.float64)  # fmt: skip
        result = check_gradients(model, draws((2, 1, 6, 6), np.float64, seed=5), np.array([0, 2]))
        assert result.ok is ok, str(result)
    assert (result.first_wrong.who, result.first_wrong.of) == ('ForgetsToSum "mul"', "grad_input 1")


def test_chain_of_a_torch_model():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
    model.load_state_dict({"0.weight": torch.tensor([[2.0, 0], [0, 3]]), "0.bias": torch.zeros(2)})
    with watch(model, classes=("cat", "dog")) as t:
        model(torch.tensor([[1.0, 1]])).sum().backward()
    story = chain(t)
    assert story.logits.tolist() == [2, 3]
    assert (story.label, story.received) == ("dog", {"1": 2, "0": 2})
    assert "pixels  " not in str(story)  # torch did not hand their gradient over
