"""Explanations call rows and pixels by their own numbers, and formulas of losses hold as they are printed."""

from __future__ import annotations

import numpy as np
import pytest

from minicnn import nn
from minicnn.inspection import Explanation, trace

LOGITS = np.log(np.float32([[1, 2, 1], [1, 1, 2], [2, 1, 1], [1, 2, 5], [1, 3, 4], [5, 2, 1]]))
TARGETS = np.array([0, 1, 2, 0, 1, 2])


def explained(criterion, index, of="output", inputs=LOGITS, targets=TARGETS) -> Explanation:
    """Return what is said of one number of a loss."""
    return trace(nn.Sequential(nn.Identity()), inputs, targets, criterion).explain("loss", index, of)


@pytest.mark.parametrize("of", ["output", "grad_input"])
def test_one_row_alone_is_written_out(of):
    index = 4 if of == "output" else (4, 0)
    explanation = explained(nn.CrossEntropyLoss(reduction="none"), index, of)
    found = [line for line in str(explanation).split("\n") if "log Σ exp(z) = 1" in line]
    assert found == [
        "  row 4: log Σ exp(z) = 1.3862944 + log(2) = 2.0794416"
    ]  # ln 4 + ln(1/4 + 3/4 + 1) = ln 8


def test_places_of_a_batch_of_planes():
    planes, targets = LOGITS.T.reshape(1, 3, 2, 3), TARGETS.reshape(1, 2, 3)
    explanation = explained(nn.CrossEntropyLoss(), (0, 2, 1, 1), "grad_input", planes, targets)
    assert "  row 0, d1 1, d2 1: log Σ exp(z) = 1.3862944 + log(2) = 2.0794416" in str(explanation)
    terms = explained(nn.NLLLoss(), (), "output", planes, targets).terms
    assert [tuple(term)[:3] for term in terms[["row", "d1", "d2"]]] == list(np.ndindex(1, 2, 3))
    assert explained(nn.NLLLoss(reduction="none"), (0, 1, 2), "output", planes, targets).terms["d2"] == 2


def test_a_row_of_nll_has_its_own_number():
    assert explained(nn.NLLLoss(reduction="none"), 5).terms["row"].tolist() == [5]
    assert explained(nn.NLLLoss(), ()).terms["row"].tolist() == [0, 1, 2, 3, 4, 5]
    for criterion in (nn.NLLLoss(), nn.CrossEntropyLoss()):  # one vector of scores has no rows
        alone = explained(criterion, (), "output", LOGITS[4], np.array(2))
        assert "row" not in str(alone)
        assert alone.ok


@pytest.mark.parametrize("criterion", [nn.MSELoss(), nn.L1Loss(), nn.BCEWithLogitsLoss()], ids=repr)
def test_places_of_numbers_have_names(criterion):
    def places(*shape):
        terms = explained(criterion, (), "output", np.full(shape, 0.5), np.zeros(shape)).terms
        return terms.dtype.names[: len(shape)]

    assert places(2, 3) == ("row", "column")
    assert places(2, 1, 3, 2) == ("image", "channel", "row", "column")
    assert places(3) == ("row",)


def test_a_mean_over_planes_calls_pixels_by_row_and_column():
    t = trace(nn.Mean((2, 3)), np.arange(12.0).reshape(1, 2, 2, 3))
    assert t.explain("", (0, 1)).terms[["row", "column"]].tolist() == list(np.ndindex(2, 3))


def test_the_formula_of_a_weighted_gradient_holds():
    weight = np.float32([1, 2, 4])
    for smoothing in (0.0, 0.3):
        criterion = nn.CrossEntropyLoss(weight=weight, label_smoothing=smoothing)
        explanation = explained(criterion, (1, 1), "grad_input")
        probability, truth = explanation.terms["belief"]
        assert probability == pytest.approx(0.25)  # of the second row: 1 in 1 + 1 + 2
        soft = weight * (smoothing / 3 + (1 - smoothing) * np.eye(3)[1])  # class 1 is the truth
        assert -truth == pytest.approx(soft[1] / soft.sum())
        assert explanation.terms["share"] == pytest.approx(soft.sum() / weight[TARGETS].sum())
        assert explanation.ok
    assert "truth = 1\n" in str(explained(nn.CrossEntropyLoss(weight=weight), (1, 1), "grad_input"))
