"""ArrayDataset: what it keeps, what it refuses, and how it is indexed."""

import pickle

import numpy as np
import pytest

from minicnn.data import ArrayDataset, transforms
from minicnn.data.dataset import check_dataset
from tests.helpers import raises

IMAGES = np.arange(5 * 2 * 3, dtype=np.uint8).reshape(5, 2, 3)
TARGETS = np.array([0, 1, 2, 0, 1])
NAMES = ["ant", "bee", "cat"]


def dataset(**options) -> ArrayDataset:
    return ArrayDataset(IMAGES, TARGETS, **{"classes": NAMES, "transform": transforms.ToFloat(), **options})


# By hand


def test_raw_arrays_stay_as_they_are():
    ours = dataset()
    assert ours.images is IMAGES
    assert ours.targets is TARGETS
    assert ours.classes == ("ant", "bee", "cat")
    assert len(ours) == 5
    assert repr(ours) == "ArrayDataset(5 images (2, 3) uint8, 3 classes)"


def test_an_item_is_transformed():
    image, target = dataset()[1]  # pixels 6 to 11
    np.testing.assert_array_equal(
        image, np.arange(6, 12, dtype=np.float32).reshape(1, 2, 3) / np.float32(255)
    )
    assert target == 1
    assert type(target) is int


def test_an_item_without_transform():
    image, target = dataset(transform=None)[-1]
    assert image.tolist() == [[24, 25, 26], [27, 28, 29]]
    assert target == 1


def test_a_plain_function_is_a_transform():
    image, _ = dataset(transform=lambda images: images.astype(np.float32) + 1)[0]
    assert image.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_for_loop_ends():
    assert [target for _, target in dataset()] == [0, 1, 2, 0, 1]


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (slice(1, 3), [1, 2]),
        (slice(None, None, -2), [4, 2, 0]),
        ([3, 0, 3], [3, 0, 3]),
        (np.array([-1, 1]), [4, 1]),
        (np.array([4], np.uint8), [4]),
        ([], []),
        (TARGETS == 1, [1, 4]),
    ],
)
def test_parts(index, expected):
    part = dataset()[index]
    np.testing.assert_array_equal(part.images, IMAGES[expected])
    np.testing.assert_array_equal(part.targets, TARGETS[expected])
    assert type(part) is ArrayDataset
    assert part.classes == ("ant", "bee", "cat")
    assert repr(part.transform) == "ToFloat(dtype=float32)"


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64, ">i4"])
def test_integer_targets_become_int64(dtype):
    ours = dataset(classes=None)
    ours = ArrayDataset(IMAGES, TARGETS.astype(dtype))
    assert ours.targets.dtype == np.dtype(np.int64)
    np.testing.assert_array_equal(ours.targets, TARGETS)


def test_float_targets_for_a_regression():
    rows = np.float32([[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]])
    ours = ArrayDataset(np.zeros((5, 4), np.float64), rows)
    _, target = ours[1]
    assert target.tolist() == [3, 4]
    assert repr(ours) == "ArrayDataset(5 images (4,) float64)"
    assert ArrayDataset(IMAGES, rows[:, 0])[2][1] == 5.0


def test_integer_names_and_no_images():
    assert dataset(classes=np.array([10, 20, 30])).classes == (10, 20, 30)
    empty = ArrayDataset(IMAGES[:0], TARGETS[:0], NAMES)
    assert (len(empty), list(empty)) == (0, [])


def test_a_type_that_converts_a_batch_is_a_transform():
    image, _ = ArrayDataset(IMAGES, TARGETS, transform=np.float64)[1]
    np.testing.assert_array_equal(image, IMAGES[1].astype(np.float64))


def test_it_can_be_sent_to_another_process():
    copy = pickle.loads(pickle.dumps(dataset()))
    np.testing.assert_array_equal(copy[3][0], dataset()[3][0])


# Errors


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            (IMAGES.tolist(), TARGETS),
            TypeError,
            "images must be a NumPy array (N, ...). Got list. Convert them with np.asarray.",
        ),
        (
            (np.array(1.0), TARGETS),
            TypeError,
            "images must be a NumPy array (N, ...). Got no axis. Convert them with np.asarray.",
        ),
        (
            (np.ma.masked_array(IMAGES), TARGETS),
            TypeError,
            "images must be a NumPy array (N, ...). Got MaskedArray. Pass images.filled(...), which hides nothing.",
        ),
        (
            (IMAGES, np.ma.masked_array(TARGETS)),
            TypeError,
            "targets must be a NumPy array (N, ...). Got MaskedArray. Pass targets.filled(...), which hides nothing.",
        ),
        (
            (IMAGES.reshape(len(IMAGES), -1).view(np.matrix), TARGETS),
            TypeError,
            "images must be a NumPy array (N, ...). Got matrix. Convert them with np.asarray.",
        ),
        (
            (IMAGES.astype(np.int64), TARGETS),
            TypeError,
            "images must be uint8, float32 or float64. Got int64. "
            "Convert them with .astype(np.uint8) or .astype(np.float32).",
        ),
        (
            (IMAGES, TARGETS.tolist()),
            TypeError,
            "targets must be a NumPy array (N, ...). Got list. Convert them with np.asarray.",
        ),
        (
            (IMAGES, np.array(["a", "b", "c", "d", "e"])),
            TypeError,
            "targets must be integer class indexes, float32 or float64. Got <U1. "
            "Turn labels into indexes with labels.indexes_of(targets, classes).",
        ),
        (
            (IMAGES, TARGETS[:4]),
            ValueError,
            "there must be one target for each image. Got 5 images and 4 targets. Pass arrays of equal length.",
        ),
        (
            (IMAGES, TARGETS, ["ant", "bee"]),
            ValueError,
            "targets must lie in 0 to 1, as there are 2 classes. Got 2. "
            "Number the classes from 0, or name them all.",
        ),
        (
            (IMAGES, TARGETS - 1, NAMES),
            ValueError,
            "targets must lie in 0 to 2, as there are 3 classes. Got -1. "
            "Number the classes from 0, or name them all.",
        ),
        (
            (IMAGES, TARGETS, ["ant", "ant", "bee"]),
            ValueError,
            "every class needs a name of its own. Got 'ant' more than once. Rename or remove it.",
        ),
        (
            (IMAGES, TARGETS, NAMES, "ToFloat"),
            TypeError,
            "transform must be callable. Got str. Pass for example transforms.ToFloat() (with the brackets).",
        ),
        (
            (IMAGES, TARGETS, NAMES, transforms.ToFloat),
            TypeError,
            "transform must be callable. Got the class ToFloat. "
            "Pass for example transforms.ToFloat() (with the brackets).",
        ),
    ],
)
def test_wrong_arguments(arguments, error, message):
    with raises(error, f"ArrayDataset: {message}"):
        ArrayDataset(*arguments)


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        (5, IndexError, "index must be smaller than the length 5. Got 5. Pass a smaller number."),
        (-6, IndexError, "index must be smaller than the length 5. Got -6. Pass a smaller number."),
        ([0, 5], IndexError, "indexes must be smaller than the length 5. Got 5. Pass smaller numbers."),
        (
            np.array([True]),
            ValueError,
            "a mask must be as long as the dataset, 5. Got 1. Compute the mask from this dataset's own arrays.",
        ),
        (
            1.0,
            TypeError,
            "index must be an int, a slice, a mask or a row of ints. Got float. "
            "Pass for example dataset[0] or dataset[[3, 1]].",
        ),
        (
            [0.5],
            TypeError,
            "index must be an int, a slice, a mask or a row of ints. Got float64 of shape (1,). "
            "Pass for example dataset[0] or dataset[[3, 1]].",
        ),
    ],
)
def test_wrong_index(index, error, message):
    with raises(error, f"ArrayDataset: {message}"):
        dataset()[index]


def test_check_dataset():
    check_dataset("split", dataset())
    with raises(
        TypeError,
        "split: dataset must be an ArrayDataset. Got tuple. "
        "Wrap arrays as data.ArrayDataset(images, targets).",
    ):
        check_dataset("split", (IMAGES, TARGETS))
