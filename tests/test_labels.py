"""Index to label and back; the ways in which a list of class names can be wrong."""

import re
import warnings

import numpy as np
import pytest

from minicnn.labels import as_classes, indexes_of, labels_of, warn_if_sorted_as_text

LAND = ["forest", "urban", "water", "field"]


def test_labels_of_indexes_and_back():
    np.testing.assert_array_equal(
        labels_of([3, 1, 2, 0, 3], LAND), ["field", "urban", "water", "forest", "field"]
    )
    np.testing.assert_array_equal(labels_of([[3], [0]], LAND), [["field"], ["forest"]])
    np.testing.assert_array_equal(indexes_of(["field", "forest"], LAND), [3, 0])
    assert indexes_of(["field"], LAND).dtype == np.int64
    assert labels_of([], LAND).shape == (0,)
    assert labels_of(np.int8(2), LAND) == "water"


def test_labels_may_be_integers():
    np.testing.assert_array_equal(labels_of(np.uint8([1, 0]), [10, 30]), [30, 10])
    np.testing.assert_array_equal(indexes_of([30, 10], [10, 30]), [1, 0])


def test_classes_keep_their_order_and_kind():
    assert as_classes("X", LAND).tolist() == LAND
    assert as_classes("X", np.array(LAND, dtype=object)).dtype.kind == "U"
    assert as_classes("X", range(3)).tolist() == [0, 1, 2]
    assert as_classes("X", ("b", "a")).tolist() == ["b", "a"]


ERRORS = [
    (
        lambda: labels_of([0, 4], LAND),
        ValueError,
        "labels_of: indexes must lie in 0 to 3, as there are 4 classes. Got 4. Pass the classes the model "
        "was trained with.",
    ),
    (
        lambda: labels_of([-1], LAND),
        ValueError,
        "labels_of: indexes must lie in 0 to 3, as there are 4 classes. Got -1. Pass the classes the model "
        "was trained with.",
    ),
    (
        lambda: labels_of(np.zeros((2, 4), np.float32), LAND),
        TypeError,
        "labels_of: indexes must be integers. Got float32 of shape (2, 4). From logits or probabilities take "
        ".argmax(axis=1) first.",
    ),
    (
        lambda: labels_of([True], LAND),
        TypeError,
        "labels_of: indexes must be integers. Got bool of shape (1,). From logits or probabilities take "
        ".argmax(axis=1) first.",
    ),
    (
        lambda: indexes_of(["lake"], LAND),
        ValueError,
        "indexes_of: labels must be among the 4 classes ['forest', 'urban', 'water', 'field']. Got 'lake'. "
        "Correct the label, or add it to classes.",
    ),
    (
        lambda: indexes_of([2], LAND),
        TypeError,
        "indexes_of: labels must be of the kind of the classes, such as 'forest'. Got int64. For class "
        "indexes take labels_of(indexes, classes).",
    ),
    (
        lambda: as_classes("Classifier", 5),
        TypeError,
        "Classifier: classes must be a list of names, all text or all integers. Got 5. Pass for example "
        "['cat', 'dog'].",
    ),
    (
        lambda: as_classes("Classifier", "cat"),
        TypeError,
        "Classifier: classes must be a list of names, all text or all integers. Got 'cat'. Pass for example "
        "['cat', 'dog'].",
    ),
    (
        lambda: as_classes("Classifier", ["cat", 1]),
        TypeError,
        "Classifier: classes must be a list of names, all text or all integers. Got ['cat', 1]. Pass for "
        "example ['cat', 'dog'].",
    ),
    (
        lambda: as_classes("Classifier", []),
        ValueError,
        "Classifier: classes must hold at least one name. Got none. Pass a name for each class.",
    ),
    (
        lambda: as_classes("Classifier", ["cat", "dog", "cat"]),
        ValueError,
        "Classifier: every class needs a name of its own. Got 'cat' more than once. Rename or remove it.",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), ERRORS, ids=[message[:60] for *_, message in ERRORS])
def test_errors(call, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        call()


def test_numbers_in_the_order_of_text_bring_a_warning():
    message = (
        "Classifier: class names that are numbers should stand in the order of the numbers. Got '10' before "
        "'2', the order of text: class 2 is called '10'. If the targets are counted 0, 1, 2, ..., pass "
        "sorted(classes, key=int)."
    )
    with pytest.warns(UserWarning, match=f"^{re.escape(message)}$") as caught:
        warn_if_sorted_as_text("Classifier", np.array(["0", "1", "10", "2"]), stacklevel=1)
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    "classes",
    [["0", "1", "2", "10"], ["0", "1", "2"], ["a", "b10", "b2"], ["10", "0", "1", "2"], [0, 1, 10, 2]],
    ids=str,
)
def test_other_orders_bring_none(classes):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_sorted_as_text("Classifier", np.array(classes))
