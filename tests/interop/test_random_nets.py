"""Nets that hypothesis makes up from the operations that we have: torch's numbers, there and back."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from minicnn.interop.torch import from_torch, to_torch
from tests.helpers import draws

CURVES = {
    "F.relu": F.relu,
    "torch.relu": torch.relu,
    "x.relu()": lambda x: x.relu(),
    "F.gelu": F.gelu,
    "F.silu": F.silu,
    "F.leaky_relu": lambda x: F.leaky_relu(x, 0.1),
    "F.elu": F.elu,
    "torch.tanh": torch.tanh,
    "F.hardtanh": lambda x: F.hardtanh(x, -0.4, 1.1),
    "x.clamp": lambda x: x.clamp(-1.1, 0.4),
    "x.sigmoid()": lambda x: x.sigmoid(),
    "softmax": lambda x: F.softmax(x, dim=1),
    "2 * x + 1": lambda x: 2 * x + 1,
    "1 - x / 4": lambda x: 1 - x / 4,
    "-x": lambda x: -x,
    "F.pad": lambda x: F.pad(x, (1, 0, 0, 2)),
    "reflect": lambda x: F.pad(x, (0, 1, 1, 0), mode="reflect"),
    "F.max_pool2d": lambda x: F.max_pool2d(x, 2, stride=1),
    "F.avg_pool2d": lambda x: F.avg_pool2d(x, (2, 1), stride=1),
    "F.adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, (4, 3)),
    "reshape": lambda x: x.reshape(x.size(0), x.size(1), x.size(3), x.size(2)),
    "there and back": lambda x: x.flatten(2).view(x.shape[0], x.shape[1], x.size(2), -1),
}
LAYERS = {
    "conv": lambda: torch.nn.Conv2d(2, 2, 3, padding=1),
    "grouped": lambda: torch.nn.Conv2d(2, 2, (1, 3), padding="same", groups=2, bias=False),
    "norm": lambda: torch.nn.BatchNorm2d(2),
    "group norm": lambda: torch.nn.GroupNorm(1, 2),
    "inplace": lambda: torch.nn.Sequential(torch.nn.Conv2d(2, 2, 1), torch.nn.ReLU(inplace=True)),
    "block": lambda: torch.nn.Sequential(torch.nn.Conv2d(2, 2, 1), torch.nn.Sigmoid()),
    "pad": lambda: torch.nn.ReplicationPad2d(1),
}
KEEPS = ("conv", "grouped", "norm", "group norm", "block")  # the size of the maps, so that paths can meet
HEADS = {
    "view": lambda x: x.view(x.size(0), -1),
    "flatten": lambda x: torch.flatten(x, 1),
    "mean": lambda x: x.mean((2, 3)),
    "mean, mean": lambda x: x.mean(-1).mean(dim=2),
    "pool, squeeze": lambda x: F.adaptive_avg_pool2d(x, 1).squeeze(-1).squeeze(-1),
    "reshape": lambda x: x.reshape(-1, x.shape[1] * x.shape[2] * x.shape[3]),
}

# Batch norm behind a flat activation divides by a small deviation, which makes rounding 300 times as large, and
# does so again in backward; 1e-12 for one layer becomes this for a net.
SAME_NET = 1e-8

step = st.one_of(
    st.tuples(st.just("curve"), st.sampled_from(sorted(CURVES))),
    st.tuples(st.just("layer"), st.sampled_from(sorted(LAYERS))),
    st.tuples(st.just("residual"), st.sampled_from(KEEPS)),
    st.tuples(st.just("branches"), st.lists(st.sampled_from(KEEPS), min_size=2, max_size=3)),
    st.tuples(st.just("twice"), st.sampled_from(KEEPS)),
)


class Made(torch.nn.Module):
    """A net after a plan."""

    def __init__(self, plan: list[tuple], head: str) -> None:
        super().__init__()
        self.plan, self.head = plan, head
        self.parts = torch.nn.ModuleDict()
        for position, (kind, what) in enumerate(plan):
            for number, name in enumerate(what if kind == "branches" else [what]):
                if kind != "curve":
                    self.parts[f"{kind}{position}_{number}"] = LAYERS[name]()
            if kind == "branches":
                self.parts[f"join{position}"] = torch.nn.Conv2d(2 * len(what), 2, 1)

    def forward(self, maps):
        for position, (kind, what) in enumerate(self.plan):
            parts = [part for name, part in self.parts.items() if name.startswith(f"{kind}{position}_")]
            if kind == "curve":
                maps = CURVES[what](maps)
            elif kind == "layer":
                maps = parts[0](maps)
            elif kind == "residual":
                maps = maps + torch.tanh(parts[0](maps))
            elif kind == "twice":
                maps = parts[0](torch.relu(parts[0](maps)))
            else:
                maps = self.parts[f"join{position}"](torch.cat([part(maps) for part in parts], dim=1))
        return HEADS[self.head](maps)


def assert_agree(model, module, input: np.ndarray) -> None:
    """Raise unless output and all gradients are torch's, in float64."""
    tensor = torch.from_numpy(input.copy()).requires_grad_()
    expected = module(tensor)
    output = model(input)
    grad_output = draws(output.shape, seed=1000)
    expected.backward(torch.from_numpy(grad_output))
    found = {"output": (output, expected.detach().numpy())}
    found["input"] = (model.backward(grad_output), tensor.grad.numpy())
    gradients = {name: p.grad for name, p in module.named_parameters()}
    found |= {name: (p.grad, gradients[name].numpy()) for name, p in model.named_parameters()}
    for name, (ours, theirs) in found.items():
        scale = max(1.0, np.abs(theirs).max())
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=SAME_NET * scale, err_msg=name)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(step, min_size=1, max_size=6), st.sampled_from(sorted(HEADS)), st.integers(0, 9), st.booleans()
)
def test_any_net_of_known_operations(plan, head, seed, training):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = Made(plan, head).double().train(training)
    input = draws((3, 2, 8, 7), seed=seed)
    model = from_torch(module, input)
    assert_agree(model, module, input)
    assert repr(from_torch(to_torch(model), input)) == repr(model)
    with torch.no_grad():  # and for another number of images
        expected = module.eval()(torch.from_numpy(input[:2])).numpy()
    np.testing.assert_allclose(model.eval()(input[:2]), expected, rtol=1e-9, atol=1e-9)
