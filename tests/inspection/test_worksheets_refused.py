"""What worksheet and grade refuse, with the full text."""

from __future__ import annotations

import numpy as np

from minicnn import nn
from minicnn.inspection import grade, worksheet
from tests.helpers import raises
from tests.inspection.test_worksheets import conv_sheet


def test_errors_of_worksheet():
    names = "conv2d, max_pool2d, avg_pool2d, relu, linear, softmax, cross_entropy"
    with raises(ValueError, f"worksheet: layer must be one of {names}. Got 'conv3d'. Choose one of these."):
        worksheet("conv3d")
    with raises(
        TypeError,
        f"worksheet: layer must be a name or a layer of such a kind: {names}. Got Tanh. "
        "Pass for example 'conv2d' or nn.Conv2d(1, 1, 2).",
    ):
        worksheet(nn.Tanh())
    with raises(
        ValueError,
        "worksheet: the layer must be a plain one, with one channel where it has channels. Got Conv2d(3, 8, "
        "kernel_size=(2, 2), stride=(1, 1)). Leave out dilation, groups, weights and other extras.",
    ):
        worksheet(nn.Conv2d(3, 8, 2))
    for layer in (
        nn.Conv2d(1, 1, 2, dilation=2), nn.Conv2d(1, 1, 2, padding="same"), nn.MaxPool2d(2, ceil_mode=True),
        nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"), nn.AvgPool2d(2, count_include_pad=False),
        nn.AvgPool2d(2, divisor_override=3), nn.Softmax(dim=0), nn.CrossEntropyLoss(label_smoothing=0.1),
        nn.CrossEntropyLoss(reduction="none"), nn.MaxPool2d(2, return_indices=True),
        nn.CrossEntropyLoss(ignore_index=1),
    ):  # fmt: skip
        with raises(
            ValueError,
            f"worksheet: the layer must be a plain one, with one channel where it has channels. Got {layer}. "
            "Leave out dilation, groups, weights and other extras.",
        ):
            worksheet(layer)
    with raises(
        ValueError,
        "worksheet: of must be one of output, grad_input for relu. Got 'weight.grad'. Choose one of these.",
    ):
        worksheet("relu", of="weight.grad")
    with raises(
        ValueError,
        "worksheet: of must be one of output, grad_input, weight.grad for conv2d. Got 'bias.grad'. "
        "Choose one of these.",
    ):
        worksheet(nn.Conv2d(1, 1, 2, bias=False), of="bias.grad")
    with raises(ValueError, "worksheet: softmax needs 2 to 10 classes. Got 1. Pass another size."):
        worksheet("softmax", 1)
    with raises(ValueError, "worksheet: size must be at least 1. Got 0. Pass a larger number."):
        worksheet("relu", 0)
    with raises(ValueError, "worksheet: blanks must be at least 1. Got 0. Pass a larger number."):
        worksheet("relu", 4, blanks=0)
    with raises(
        ValueError,
        "worksheet: the blanks must tell the slips apart. Got relu of size 1x1, where they do not in 500 draws. "
        "Pass a larger size, or more blanks.",
    ):
        worksheet("relu", 1)


def test_errors_of_grade():
    with raises(
        TypeError, "grade: sheet must be a Worksheet. Got ndarray. Pass what worksheet(...) returned."
    ):
        grade(np.zeros(2), [1, 2])
    for wrong in ("three", "1/0", "1e400", True, [1]):
        with raises(
            ValueError,
            f"grade: an answer must be a number. Got {wrong!r}. "
            "Write for example 3, -2 or '3/8', or None for nothing.",
        ):
            grade(conv_sheet(), {(0, 0): wrong})
    with raises(
        ValueError,
        "grade: answers must fill the 4 blanks, or have the shape (2, 2). Got shape (3,). "
        "Write None where nothing is known.",
    ):
        grade(conv_sheet(), [1, 2, 3])
    for uneven in ([[1, 2], [3]], [[1, 2], 3], [[1, 2, 3], np.array([4])]):
        with raises(
            ValueError,
            "grade: answers must fill the 4 blanks, or have the shape (2, 2). Got rows of unequal lengths. "
            "Write None where nothing is known.",
        ):
            grade(conv_sheet(), uneven)
    with raises(
        ValueError,
        "grade: an answer must belong to a blank. Got (2, 0). Count rows and columns from 0.",
    ):
        grade(conv_sheet(), {(2, 0): 1})
