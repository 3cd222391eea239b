"""What a gradient check prints: the verdict of a row, the first wrong one, the kinks."""

from __future__ import annotations

import pytest

from minicnn.inspection import GradientCheck, GradientRow
from minicnn.inspection.differences import Finding

RIGHT, WRONG = Finding("right", 2.0, 2.0, (0,)), Finding("wrong", 2.0, 1.0, (1,))
KINK = Finding("kink", 0.0, 0.5, (2,), 'ReLU "1"', (0.0, 1.0))
LOST = Finding("not finite", float("nan"), 1.0, (3,))


@pytest.mark.parametrize(
    ("findings", "verdict"),
    [
        ([], "empty"),
        ([RIGHT], "right"),
        ([KINK], "kink"),
        ([KINK, RIGHT], "right"),
        ([RIGHT, WRONG, KINK], "wrong"),
        ([WRONG, LOST], "not finite"),
    ],
)
def test_verdict_of_a_row(findings, verdict):
    row = GradientRow('Linear "0"', "weight.grad", 4, findings)
    assert row.verdict == verdict
    assert (row.worst is None) == (verdict == "empty")
    assert row.kink is (KINK if KINK in findings else None)


def test_a_single_number_is_shown_before_a_direction():
    along = Finding("wrong", 9.0, 1.0)
    row = GradientRow('Linear "0"', "weight.grad", 400, [along, WRONG])
    assert row.worst is WRONG
    assert row.way == "random directions"
    assert GradientRow('Linear "0"', "bias.grad", 2, [RIGHT, WRONG]).way == "each number"


def test_page_by_hand():
    rows = [
        GradientRow("MSELoss", "grad_input", 1, [RIGHT]),
        GradientRow('ReLU "1"', "grad_input", 2, [RIGHT, KINK]),
        GradientRow('Conv2d "0"', "weight.grad", 2, [RIGHT, WRONG]),
        GradientRow("the whole model", "0.weight.grad", 400, [Finding("wrong", 3.0, 1.0)]),
    ]
    result = GradientCheck(rows)
    assert (result.ok, result.first_wrong) == (False, rows[2])
    assert str(result) == (
        'check_gradients: 2 of 4 gradients are wrong; the first on the way back is weight.grad of Conv2d "0"\n\n'
        "backward beside central differences\n"
        "  layer            gradient       verdict  numbers            checked  largest difference\n"
        "  MSELoss          grad_input     right          1        each number                   0\n"
        '  ReLU "1"         grad_input     right          2        each number                   0\n'
        '  Conv2d "0"       weight.grad    wrong          2        each number                   1\n'
        "  the whole model  0.weight.grad  wrong        400  random directions                   2\n\n"
        'Conv2d "0": weight.grad[1]\n'
        "  analytic 2 (what backward gave)\n"
        "  numeric  1 (central difference of what forward computes)\n\n"
        "kinks and ties\n"
        '  ReLU "1": grad_input[2]: analytic 0, numeric 0.5: ReLU "1" takes another branch on each side '
        "(slopes 0, 1)\n"
        "  on a kink the slope jumps, and backward gives one of its sides: that is no mistake"
    )
    assert result._repr_html_().count("<table>") == 1
    assert "weight.grad of Conv2d &quot;0&quot;" in result._repr_html_()


def test_only_the_whole_is_wrong():
    result = GradientCheck([GradientRow("the whole model", "grad_input", 400, [Finding("wrong", 3.0, 1.0)])])
    assert "the whole model: grad_input, along a random direction\n" in str(result)
    assert "every layer by itself is right: what passes the gradients on between them is not" in str(result)
