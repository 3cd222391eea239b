"""A trace as a table: every column by hand, and what is marked."""

from __future__ import annotations

import numpy as np
import pytest

from minicnn import nn
from minicnn.inspection import Trace, trace
from minicnn.inspection.table import HEADER, columns_of
from tests.inspection.test_trace import IMAGES, small_net, small_trace


def row_of(t: Trace, name: str) -> dict:
    """Return one step's cells by the names of their columns."""
    return dict(zip(HEADER, columns_of(t[name]), strict=True))


def test_table_by_hand():
    t = small_trace()
    assert row_of(t, "0") == {
        "step": "0",
        "kind": "Linear",
        "input": "2x2",
        "output": "2x2",
        "parameters": "6",
        "multiply-adds": "8",  # 2 images, 2 outputs, 2 inputs
        "bytes kept": "16",  # the input: 4 float32
        "output range": "-5 .. 9",
        "output mean": "2.75",  # (9 + 1 + 6 - 5) / 4
        "grad_input range": "-12 .. 4",
        "grad_input mean": "-5",  # (4 - 4 - 8 - 12) / 4
        "dead": "-",
    }
    relu = row_of(t, "1")
    assert relu["parameters"] == relu["multiply-adds"] == "-"
    assert relu["dead"] == "0%"
    assert str(t) == repr(t)
    lines = str(t).splitlines()
    assert len(lines) == 1 + len(t)
    assert all(name in lines[0] for name in HEADER)
    assert " ".join(lines[1].split()) == "0 Linear 2x2 2x2 6 8 16 -5 .. 9 2.75 -12 .. 4 -5 -"


def test_dead_units():
    model = small_net()
    model[0].bias.data[1] = -100
    assert row_of(trace(model, IMAGES), "1")["dead"] == "50%"


def test_convolution_counts():
    t = trace(nn.Sequential(nn.Conv2d(2, 3, 3, rng=0)), np.ones((1, 2, 5, 4), np.float32))
    row = row_of(t, "0")
    assert row["output"] == "1x3x3x2"
    assert row["parameters"] == "57"  # 3·2·9 + 3
    assert row["multiply-adds"] == "324"  # 18 outputs of 2·9 terms
    assert row["bytes kept"] == "160"
    assert row["grad_input range"] == row["grad_input mean"] == "-"


@pytest.mark.parametrize(("fault", "word"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_faults_are_marked_where_they_first_appear(fault, word):
    model = nn.Sequential(nn.Tanh(), nn.Linear(2, 2, rng=0), nn.Identity())
    model[1].bias.data[0] = fault
    marked = [line for line in str(trace(model, IMAGES)).splitlines() if f"first {word} in output" in line]
    assert [line.split()[0] for line in marked] == ["1"]
    model[1].bias.data[0] = 0
    assert "first" not in str(trace(model, IMAGES))


def test_faults_of_gradients_are_marked_from_the_end():
    model = nn.Sequential(nn.Identity(), nn.Linear(2, 2, rng=0), nn.Identity())
    model[1].weight.data[...], model[1].bias.data[...] = 1, 0
    targets = np.float32([[np.nan, 0], [0, 0]])
    lines = str(trace(model, IMAGES, targets, nn.MSELoss())).splitlines()
    assert [line.split()[0] for line in lines if "first NaN in grad_input" in line] == ["loss"]
    model[1].weight.data[0, 0] = np.inf
    lines = str(trace(model, np.float32([[1, 1]]), np.float32([[0, 0]]), nn.L1Loss())).splitlines()
    assert [line.split()[0] for line in lines if "first infinity in grad_input" in line] == ["1"]


def test_html_is_the_table_with_marks_escaped():
    model = small_net()
    model[0].bias.data[0] = np.nan
    page = trace(model, IMAGES)._repr_html_()
    assert page.startswith("<pre>step")
    assert page.endswith("</pre>")
    assert "&lt;- first NaN in output" in page
    assert "<-" not in page


def test_the_weight_of_a_loss_is_kept():
    """A layer's own weight is there anyway; what a loss saves under the same name is not."""
    criterion, targets = nn.BCEWithLogitsLoss(weight=np.float32([[2], [3]])), np.float32([[0], [1]])
    t = trace(nn.Linear(1, 1), np.ones((2, 1), np.float32), targets, criterion)
    assert row_of(t, "loss")["bytes kept"] == "28"  # logits, targets and weight, 8 each, and pos_weight
