"""Batch norm: what it refuses, and how it is printed."""

import numpy as np
import pytest

from minicnn import nn
from tests.helpers import raises


def test_shape_errors():
    layer = nn.Sequential(nn.BatchNorm2d(3))[0]
    with raises(
        ValueError,
        'BatchNorm2d "0": input must be (N, C, H, W). Got shape (3, 4, 5). '
        "Put the layer where its input has these axes.",
    ):
        layer(np.zeros((3, 4, 5), np.float32))
    with raises(
        ValueError,
        "BatchNorm1d: input must be (N, C) or (N, C, L). Got shape (3,). "
        "Put the layer where its input has these axes.",
    ):
        nn.BatchNorm1d(3)(np.zeros(3, np.float32))
    with raises(
        ValueError,
        'BatchNorm2d "0": input must have 3 channels (axis 1). Got 4 in shape (2, 4, 5, 6). '
        "Build the layer with num_features=4.",
    ):
        layer(np.zeros((2, 4, 5, 6), np.float32))


@pytest.mark.parametrize(("kind", "shape"), [(1, (1, 3)), (1, (1, 3, 1)), (2, (1, 3, 1, 1))])
def test_one_value_a_channel(kind, shape):
    layer = (nn.BatchNorm1d if kind == 1 else nn.BatchNorm2d)(3)
    with raises(
        ValueError,
        f"BatchNorm{kind}d: training needs more than one value in each channel. Got shape {shape}. "
        "Pass a larger batch (DataLoader(..., drop_last=True)), or call model.eval() first.",
    ):
        layer(np.zeros(shape, np.float32))
    assert layer.num_batches_tracked == 0
    assert layer.eval()(np.zeros(shape, np.float32)).shape == shape


def test_dtype_errors():
    for layer in (nn.BatchNorm1d(2), nn.BatchNorm1d(2, affine=False)):
        with raises(
            TypeError,
            "BatchNorm1d: input must be float32, as the layer's parameters are. Got float64. Convert the "
            "input with .astype(np.float32), or the model with model.astype(np.float64).",
        ):
            layer(np.zeros((3, 2)))
    with raises(
        TypeError,
        "BatchNorm1d: input must be float32 or float64. Got int64. Convert it with .astype(np.float32).",
    ):
        layer(np.zeros((3, 2), int))


def test_argument_errors():
    with raises(ValueError, "BatchNorm1d: num_features must be at least 1. Got 0. Pass a larger number."):
        nn.BatchNorm1d(0)
    with raises(
        ValueError, "BatchNorm1d: eps must be greater than 0. Got 0. Pass a small number such as 1e-5."
    ):
        nn.BatchNorm1d(2, eps=0)
    with raises(TypeError, "BatchNorm1d: momentum must be a number. Got '0.1' (str). Pass a float."):
        nn.BatchNorm1d(2, momentum="0.1")
    with raises(
        TypeError,
        "BatchNorm1d: dtype must be float32 or float64. Got float16. Pass np.float32 or np.float64.",
    ):
        nn.BatchNorm1d(2, dtype=np.float16)


def test_repr():
    assert repr(nn.BatchNorm2d(3)) == (
        "BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)"
    )
