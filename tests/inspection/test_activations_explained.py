"""Explanations of activations: which branch was taken, and gradients that do not pass."""

from __future__ import annotations

import numpy as np
import pytest

from minicnn import nn
from minicnn.inspection import trace
from tests.inspection.test_explanation import printed


@pytest.mark.parametrize(
    ("layer", "inputs", "branches"),
    [
        (nn.ReLU6(), [3, 6, -1], ["between 0 and 6", "not between 0 and 6", "not between 0 and 6"]),
        (
            nn.Hardtanh(-1, 2),
            [0, -1, 2],
            ["between -1 and 2", "not between -1 and 2", "not between -1 and 2"],
        ),
        (nn.Hardtanh(0, 0.3), [0.2, 0.3, 9], ["between 0 and 0.3", "not between 0", "not between 0"]),
        (nn.Clamp(-1, 2), [-1, 2, 3], ["from -1 to 2", "from -1 to 2", "not from -1 to 2"]),
        (nn.Clamp(min=0.3), [0.2, 0.3, 9], ["not from 0.3", "from 0.3", "from 0.3"]),
        (nn.Clamp(max=0.3), [0.2, 0.3, 9], ["from -inf to 0.3", "from -inf to 0.3", "not from -inf to 0.3"]),
        (nn.Hardsigmoid(), [0, 3, -4], ["between -3 and 3", "not between -3 and 3", "not between -3 and 3"]),
        (nn.Hardswish(), [0, 3, -4], ["between -3 and 3", "not between -3 and 3", "not between -3 and 3"]),
    ],
)
def test_the_branch_of_an_activation_with_bounds(layer, inputs, branches):
    t = trace(nn.Sequential(layer), np.float32([inputs]), np.ones((1, 3), np.float32), nn.MSELoss())
    for place, branch in enumerate(branches):
        for of in ("output", "grad_input"):
            explanation = t.explain("0", (0, place), of)
            assert explanation.ok, str(explanation)
            assert f"is {branch}" in str(explanation)
            for code in (explanation.as_numpy(), explanation.as_torch()):
                assert printed(code) == pytest.approx(explanation.actual, rel=1e-6)


def test_no_gradient_passes_where_an_activation_is_closed():
    """Not even an infinite one, of which nothing times infinity would be NaN."""
    for layer in (nn.ReLU(), nn.ReLU6(), nn.Hardtanh(), nn.Clamp(0), nn.Hardsigmoid(), nn.Hardswish()):
        t = trace(nn.Sequential(layer), np.float32([[-8]]), np.float32([[-np.inf]]), nn.MSELoss())
        explanation = t.explain("0", (0, 0), "grad_input")
        assert (explanation.value, explanation.actual, explanation.ok) == (0, 0, True)
        assert printed(explanation.as_numpy()) == 0
