"""What people write into worksheets: rounded, computed, unfinished, in other units."""

from __future__ import annotations

import numpy as np
import pytest

from minicnn import functional, nn
from minicnn.inspection import grade, worksheet
from minicnn.inspection.worksheets import Mark


def test_right_answers_may_carry_rounding():
    sheet = worksheet("softmax", 4, 0)
    computed = 60 * functional.softmax(np.log(sheet.given["logits"].astype(np.float32)), axis=1)
    assert computed.dtype == np.float32
    assert not np.array_equal(computed, sheet.answer)  # 18.000002: it was "18 is wrong, it is 18"
    assert grade(sheet, computed).right
    assert Mark((0,), 19.998, 20, ()).line == "column 0: 19.998 is right"  # 60 · 0.3333
    assert Mark((0,), 19.99, 20, ()).line == "column 0: 19.99 is wrong, it is 20"
    assert Mark((0,), -0.0, 0, ()).line == "column 0: 0 is right"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_halves_may_be_rounded_up_or_down(dtype):
    for seed in range(20):  # sums of eight terms, divided by eight: 4.125 is written as 4.13 or 4.12
        sheet = worksheet("linear", 8, seed)
        hundreds = 100 * sheet.slips["mean for sum"]
        for rounded in (np.rint(hundreds), np.floor(hundreds + 0.5), np.ceil(hundreds - 0.5)):
            graded = grade(sheet, (rounded / 100).astype(dtype))
            assert graded.slip == "mean for sum"
            assert graded.explained == 2 - graded.score


@pytest.mark.parametrize(
    ("layer", "size", "of", "slips"),
    [
        (nn.Conv2d(1, 1, 3), 3, "weight.grad", ["gradient sign", "kernel flipped"]),  # one sum of one term
        (nn.Conv2d(1, 1, 3), 3, "bias.grad", ["gradient sign"]),
        (nn.Conv2d(1, 1, 3, padding=1), 1, "output", ["mean for sum", "bias forgotten"]),  # no row to flip
        (nn.MaxPool2d(1, stride=2), 4, "output", ["stride ignored"]),
        (nn.MaxPool2d(1), 2, "grad_input", ["gradient sign"]),
        (nn.AvgPool2d(1), 2, "output", []),
        (nn.Linear(1, 1), 1, "grad_input", ["gradient sign"]),
    ],
    ids=str,
)
def test_slips_that_nobody_can_make_are_left_out(layer, size, of, slips):
    for seed in range(5):
        sheet = worksheet(layer, size, seed, of=of)
        assert list(sheet.slips) == slips
        assert all(grade(sheet, outcome).slip == slip for slip, outcome in sheet.slips.items())
        assert grade(sheet, sheet.answer).right


def test_places_may_be_numbers_of_any_kind():
    sheet = worksheet("conv2d", 4, 0)
    graded = grade(sheet, {(np.int64(0), 0): sheet.answer[0, 0], (0, 1.0): sheet.answer[0, 1]})
    assert graded.score == 2


@pytest.mark.parametrize(("name", "unit"), [("softmax", 60), ("cross_entropy", 120)])
def test_probabilities_where_parts_are_asked_for(name, unit):
    sheet = worksheet(name, 3, 1)
    for plain in (sheet.answer / unit, np.round(sheet.answer / unit, 2)):
        graded = grade(sheet, plain)
        assert (graded.score, graded.slip, graded.explained) == (0, f"not counted in {unit}ths", 6)
    assert str(grade(sheet, sheet.answer / unit)).endswith(
        "it explains 6 of 6 wrong answers\n"
        "  the sheet counts in parts of one: 1/2 is 30 in 60ths, and 60 in 120ths"
    )


@pytest.mark.parametrize("of", ["output", "grad_input"])
def test_pooling_says_what_its_padding_is(of):
    largest = worksheet(nn.MaxPool2d(3, stride=2, padding=1), 5, 0, of=of).task
    assert "stride 2x2 and padding 1x1 (which never wins)." in largest
    mean = worksheet(nn.AvgPool2d(3, stride=2, padding=1), 5, 0, of=of).task
    assert "stride 2x2 and padding 1x1 (zeros that count)." in mean
    assert "padding 0x0." in worksheet("avg_pool2d", 4, 0, of=of).task


def test_zeros_of_the_padding_never_win():
    for seed in range(10):
        sheet = worksheet(nn.MaxPool2d(3, stride=2, padding=1), 5, seed)
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(sheet.given["image"], 1), (3, 3))
        graded = grade(sheet, windows[::2, ::2].max(axis=(2, 3)))
        assert graded.slip == "wrong pool winner (a zero of the padding)"
    assert str(graded).endswith("\n  padding is no number of the image, so it never wins")
