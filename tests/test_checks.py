"""Every check: what it lets through, and its messages in full."""

import numpy as np
import pytest

from minicnn import checks, data, models, nn
from minicnn.data import ArrayDataset, transforms
from minicnn.inspection import check_gradients, worksheet
from tests.helpers import raises


def test_float_arrays_come_back_as_they_are():
    for array in (np.zeros(2, np.float32), np.zeros(()), np.zeros((0, 3))[::-1], np.zeros((4, 4))[::2, ::-1]):
        assert checks.as_float_array("ReLU", "input", array) is array


def test_memory_maps_are_arrays(tmp_path):
    array = np.memmap(tmp_path / "numbers", np.float32, "w+", shape=(2, 3))
    assert checks.as_float_array("ReLU", "input", array) is array


@pytest.mark.parametrize(
    ("value", "got"),
    [
        ([1.0], "list"),
        (1.0, "float"),
        (None, "NoneType"),
        (np.float32(1), "float32"),
        (np.ma.masked_array([1.0], [True]), "MaskedArray"),
    ],
)
def test_what_is_no_plain_array(value, got):
    with raises(TypeError, f"ReLU: input must be a NumPy array. Got {got}. Convert it with np.asarray."):
        checks.as_float_array("ReLU", "input", value)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool", "float16", ">f4", ">f8", "complex64", "object"])
def test_other_dtypes_are_not_cast(dtype):
    with raises(
        TypeError,
        f"ReLU: input must be float32 or float64. Got {np.dtype(dtype)}. "
        "Convert it with .astype(np.float32).",
    ):
        checks.as_float_array("ReLU", "input", np.zeros(2, dtype))


def test_float_dtypes():
    assert checks.as_float_dtype("Linear", "float64") == np.float64
    assert checks.as_float_dtype("Linear", np.float32) is np.dtype(np.float32)


@pytest.mark.parametrize(
    ("dtype", "got"),
    [(np.float16, "float16"), (int, "int64"), (None, "None"), (">f4", ">f4"), ("real", "real")],
)
def test_other_dtypes_are_no_dtypes(dtype, got):
    with raises(
        TypeError, f"Linear: dtype must be float32 or float64. Got {got}. Pass np.float32 or np.float64."
    ):
        checks.as_float_dtype("Linear", dtype)


def test_same_dtype():
    checks.check_same_dtype("Linear", "input", np.zeros(2), np.dtype(np.float64))
    with raises(
        TypeError,
        "Linear: input must be float64, as the layer's parameters are. Got float32. Convert the input with "
        ".astype(np.float64), or the model with model.astype(np.float32).",
    ):
        checks.check_same_dtype("Linear", "input", np.zeros(2, np.float32), np.dtype(np.float64))


def test_ints():
    assert checks.as_int("Conv2d", "groups", np.int32(3), minimum=1) == 3
    assert type(checks.as_int("Conv2d", "groups", np.uint8(3))) is int
    assert checks.as_int("Softmax", "dim", -7) == -7
    with raises(ValueError, "Conv2d: groups must be at least 1. Got 0. Pass a larger number."):
        checks.as_int("Conv2d", "groups", 0, minimum=1)


@pytest.mark.parametrize(
    ("value", "got"),
    [(1.0, "1.0 (float)"), ("1", "'1' (str)"), (True, "True (bool)"), (None, "None (NoneType)")],
)
def test_what_is_no_int(value, got):
    with raises(TypeError, f"Conv2d: groups must be an integer. Got {got}. Pass an int."):
        checks.as_int("Conv2d", "groups", value, minimum=1)


def test_numbers():
    assert checks.as_number("Dropout", "p", 1, low=0, high=1) == 1.0
    assert type(checks.as_number("Dropout", "p", np.float32(0.5))) is float
    assert checks.as_number("Dropout", "p", 0, low=0, high=1) == 0
    for wrong in (-0.1, 1.5, float("nan"), float("inf")):
        with raises(
            ValueError, f"Dropout: p must lie between 0 and 1. Got {wrong}. Pass a number in this range."
        ):
            checks.as_number("Dropout", "p", wrong, low=0, high=1)


@pytest.mark.parametrize(
    ("value", "got"),
    [("0.5", "'0.5' (str)"), (True, "True (bool)"), (None, "None (NoneType)"), (1j, "1j (complex)")],
)
def test_what_is_no_number(value, got):
    with raises(TypeError, f"Dropout: p must be a number. Got {got}. Pass a float."):
        checks.as_number("Dropout", "p", value, low=0, high=1)


def test_axes():
    array = np.zeros((2, 3, 4))
    assert [checks.as_axis("softmax", "logits", array, axis) for axis in (-3, -1, 0, 2)] == [0, 2, 0, 2]
    for wrong in (3, -4):
        with raises(
            ValueError,
            f"softmax: logits must have an axis {wrong}. Got shape (2, 3, 4). Pass an axis from -3 to 2.",
        ):
            checks.as_axis("softmax", "logits", array, wrong)
    with raises(ValueError, "softmax: logits must have an axis 0. Got shape (). Pass an array with axes."):
        checks.as_axis("softmax", "logits", np.zeros(()), 0)


def test_generators():
    given = np.random.default_rng(3)
    assert checks.as_rng("Linear", given) is given
    for seed in (3, np.int64(3), np.random.SeedSequence(3), np.random.PCG64(3)):
        assert checks.as_rng("Linear", seed).integers(2**60) == np.random.default_rng(3).integers(2**60)
    assert checks.as_rng("Linear", None) is not checks.as_rng("Linear", None)


IMAGES = np.zeros((1, 1, 4, 4), np.float32)


@pytest.mark.parametrize(
    ("who", "call"),
    [
        ("Linear", lambda rng: nn.Linear(1, 1, rng=rng)),
        ("Conv2d", lambda rng: nn.Conv2d(1, 1, 1, rng=rng)),
        ("Dropout", lambda rng: nn.Dropout(rng=rng)),
        ("normal_", lambda rng: nn.init.normal_(nn.Parameter(np.zeros(1)), rng=rng)),
        ("uniform_", lambda rng: nn.init.uniform_(nn.Parameter(np.zeros(1)), rng=rng)),
        ("mnist_cnn", lambda rng: models.mnist_cnn(rng=rng)),
        ("shallow_cnn", lambda rng: models.shallow_cnn(rng=rng)),
        ("deeper_cnn", lambda rng: models.deeper_cnn(rng=rng)),
        ("worksheet", lambda rng: worksheet("conv2d", rng=rng)),
        (
            "check_gradients",
            lambda rng: check_gradients(nn.Flatten(), IMAGES.astype(float), np.zeros(1, int), rng=rng),
        ),
        ("split", lambda rng: data.split(ArrayDataset(IMAGES, np.zeros(1, int)), [1], rng=rng)),
        ("DataLoader", lambda rng: data.DataLoader(ArrayDataset(IMAGES, np.zeros(1, int)), rng=rng)),
        ("Compose", lambda rng: transforms.Compose([])(IMAGES, rng=rng)),
        ("RandomHorizontalFlip", lambda rng: transforms.RandomHorizontalFlip()(IMAGES, rng=rng)),
        ("RandomCrop", lambda rng: transforms.RandomCrop(4)(IMAGES, rng=rng)),
        ("RandomRotation", lambda rng: transforms.RandomRotation(9)(IMAGES, rng=rng)),
        ("WeightedRandomSampler", lambda rng: data.WeightedRandomSampler([1.0], 1, rng=rng)),
    ],
)
@pytest.mark.parametrize(("wrong", "error"), [("zero", TypeError), (-1, ValueError), (0.5, TypeError)])
def test_what_is_no_generator(who, call, wrong, error):
    with raises(
        error,
        f"{who}: rng must be a seed of at least 0, a NumPy Generator, or None. Got {wrong!r}. "
        "Pass rng=0 for the same draws every time.",
    ):
        call(wrong)


def test_pairs():
    assert checks.as_pair("Conv2d", "stride", 2, minimum=1) == (2, 2)
    assert checks.as_pair("Conv2d", "stride", [1, np.int64(3)], minimum=1) == (1, 3)
    for wrong in ((1,), (1, 2, 3), []):
        with raises(
            ValueError,
            f"Conv2d: stride must be an int or a pair (height, width). Got {wrong!r}. Pass one or two ints.",
        ):
            checks.as_pair("Conv2d", "stride", wrong, minimum=1)
    with raises(ValueError, "Conv2d: stride must be at least 1. Got 0. Pass a larger number."):
        checks.as_pair("Conv2d", "stride", (1, 0), minimum=1)
    with raises(TypeError, "Conv2d: stride must be an integer. Got 1.5 (float). Pass an int."):
        checks.as_pair("Conv2d", "stride", (1.5, 1), minimum=1)
