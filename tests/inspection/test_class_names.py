"""Class names that do not fit the logits: the same sentence wherever they enter, and before they are used."""

from __future__ import annotations

import numpy as np
import pytest

from minicnn import nn
from minicnn.inspection import chain, trace, what_if
from minicnn.interop.onnx import to_onnx
from minicnn.interop.torch import to_torch, watch
from tests.helpers import raises

ROW = np.float32([[1, 2, 3]])


def head(outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, outputs, rng=0))


def watched(model, classes, tmp_path):
    with watch(to_torch(model), classes=classes) as t:
        return t


ENTRIES = {
    "trace": lambda model, classes, tmp_path: trace(model, ROW, classes=classes),
    "what_if": lambda model, classes, tmp_path: what_if(model, ROW, {}, classes=classes),
    "to_onnx": lambda model, classes, tmp_path: to_onnx(model, tmp_path / "m.onnx", ROW, classes=classes),
    "watch": watched,
}
COUNTED = ["trace", "what_if", "to_onnx"]  # watch knows no output yet


@pytest.mark.parametrize("who", COUNTED)
@pytest.mark.parametrize(
    ("outputs", "classes", "got"),
    [
        (5, ["a", "b"], "2 names for 5 logits"),
        (2, ["a", "b", "c"], "3 names for 2 logits"),
        (1, ["a"], "1 name for 1 logit"),
    ],
)
def test_of_another_number(who, outputs, classes, got, tmp_path):
    with raises(
        ValueError,
        f"{who}: each logit needs one class name, or a single logit two. Got {got}. "
        "Pass the classes the model was trained with.",
    ):
        ENTRIES[who](head(outputs), classes, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("who", COUNTED)
@pytest.mark.parametrize(
    ("outputs", "classes"), [(3, ["a", "b", "c"]), (3, np.array([10, 20, 30])), (1, ("no", "yes"))]
)
def test_that_fit(who, outputs, classes, tmp_path):
    ENTRIES[who](head(outputs), classes, tmp_path)


@pytest.mark.parametrize("who", ENTRIES)
def test_that_are_no_list(who, tmp_path):
    kinds = ", all text or all integers" if who == "to_onnx" else ""
    with raises(
        TypeError,
        f"{who}: classes must be a list of names{kinds}. Got 5. Pass for example ['cat', 'dog'].",
    ):
        ENTRIES[who](head(5), 5, tmp_path)


def test_what_is_no_row_of_logits_needs_none():
    maps = np.ones((1, 1, 2, 2), np.float32)
    assert trace(nn.Sequential(nn.ReLU()), maps, classes=("cat", "dog")).classes == ("cat", "dog")


def test_two_names_for_one_logit():
    targets = np.float32([[1]])
    story = chain(trace(head(1), ROW, targets, nn.BCEWithLogitsLoss(), classes=("no", "yes")))
    assert story.label in ("no", "yes")
