"""What compare does not take: one sentence in our words, before torch is asked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from minicnn import nn
from minicnn.interop.torch import compare, to_torch
from tests.helpers import raises
from tests.interop.test_compare import batch, small


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"torch_module": torch.nn.Linear(2, 1).double()},
            "compare: both models must have one dtype. Got float32 here and float64 in torch. "
            "Convert one with model.astype or module.to.",
        ),
        (
            {"criterion": torch.nn.MSELoss()},
            "compare: criterion must be a loss of minicnn. Got torch's MSELoss. "
            "Pass one such as nn.CrossEntropyLoss(); torch's own goes into torch_criterion.",
        ),
        (
            {"torch_criterion": torch.nn.HuberLoss()},
            "compare: torch_criterion must be a loss that minicnn has. Got torch's HuberLoss. "
            "Pass for example torch.nn.CrossEntropyLoss() (with the brackets).",
        ),
        (
            {"torch_criterion": torch.nn.CrossEntropyLoss},
            "compare: torch_criterion must be a loss that minicnn has. Got type. "
            "Pass for example torch.nn.CrossEntropyLoss() (with the brackets).",
        ),
        (
            {"torch_criterion": torch.nn.functional.cross_entropy},
            "compare: torch_criterion must be a loss that minicnn has. Got function. "
            "Pass for example torch.nn.CrossEntropyLoss() (with the brackets).",
        ),
        (
            {"steps": 1.5},
            "compare: steps must be an integer. Got 1.5 (float). Pass an int.",
        ),
    ],
)
def test_what_is_refused(change, message):
    arguments = {"model": nn.Linear(2, 2), "torch_module": torch.nn.Linear(2, 2), "criterion": None} | change
    with raises(TypeError, message):
        compare(images=np.ones((1, 2), np.float32), targets=np.array([0]), **arguments)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"targets": np.array([0, 3, 1, 1, 9])},
            ValueError,
            "CrossEntropyLoss: targets must lie between 0 and 3 for 4 classes. Got 9 at (4,). "
            "Number the classes from 0, or give the model more outputs.",
        ),
        (
            {"targets": np.array([0, 3, 1])},
            ValueError,
            "CrossEntropyLoss: targets must have shape (5,), one index for each row of scores. Got (3,) for "
            "scores (5, 4). Pass images and targets of one batch.",
        ),
        (
            {"images": np.ones((5, 2, 6, 6), np.uint8)},
            TypeError,
            'Conv2d "0": input must be float32 or float64. Got uint8. Convert it with .astype(np.float32).',
        ),
        (
            {"images": np.ones((5, 2, 6, 6))},
            TypeError,
            'Conv2d "0": input must be float32, as the layer\'s parameters are. Got float64. Convert the input '
            "with .astype(np.float32), or the model with model.astype(np.float64).",
        ),
        (
            {"images": np.ones((5, 6, 6, 2), np.float32)},
            ValueError,
            'Conv2d "0": input must have 2 channels (axis 1). Got 6 in shape (5, 6, 6, 2). '
            "Pass images whose channels stand last as images.transpose(0, 3, 1, 2), or build the layer with "
            "in_channels=6.",
        ),
        ({"steps": -2}, ValueError, "compare: steps must be at least 0. Got -2. Pass a larger number."),
        (
            {"steps": 2, "batch_size": 0},
            ValueError,
            "compare: batch_size must be at least 1. Got 0. Pass a larger number.",
        ),
    ],
)
def test_what_does_not_fit_is_said_in_our_words(change, error, message):
    model, (images, targets) = small(), batch()
    with raises(error, message):
        compare(model, to_torch(model), **{"images": images, "targets": targets} | change)
