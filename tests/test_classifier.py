"""Classifier by hand: logits that are known, labels that follow from them, and what it refuses."""

import copy
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from minicnn import nn
from minicnn.classifier import ABSTAINS, Classifier
from minicnn.classifier.estimator import INFERENCE_BATCH

ANIMALS = ["ant", "bee", "cat"]
# Flatten passes rows as they are, so that these are the logits. exp(z): 1 2 5; 4 1 3; 1 1 1
LOGITS = np.log([[1.0, 2.0, 5.0], [4.0, 1.0, 3.0], [1.0, 1.0, 1.0]])


class Halve:
    """A transform: uint8 (N, H, W) to float32 (N, 1, H, W), divided by 2."""

    def __call__(self, images):
        assert images.dtype == np.uint8
        return images[:, np.newaxis].astype(np.float32) / 2


def rows(classes=ANIMALS, **options) -> Classifier:
    """Return a classifier whose input rows are its logits."""
    return Classifier(nn.Flatten(), classes, **options)


def single(threshold=0.5, **options) -> Classifier:
    """Return a classifier with one logit: z = 2x - 1."""
    layer = nn.Linear(1, 1, dtype=np.float64)
    layer.weight.data[...], layer.bias.data[...] = 2, -1
    return Classifier(layer, ["cat", "dog"], threshold=threshold, **options)


# By hand


def test_softmax_chain_by_hand():
    clf = rows()
    np.testing.assert_array_equal(clf.decision_function(LOGITS), LOGITS)
    expected = [[1 / 8, 2 / 8, 5 / 8], [4 / 8, 1 / 8, 3 / 8], [1 / 3, 1 / 3, 1 / 3]]
    np.testing.assert_allclose(clf.predict_proba(LOGITS), expected, rtol=1e-15)
    np.testing.assert_array_equal(clf.predict(LOGITS), ["cat", "ant", "ant"])  # of a tie the first
    assert clf.score(LOGITS, ["cat", "cat", "ant"]) == 2 / 3
    assert clf.score(LOGITS, ["cat", "cat", "ant"], sample_weight=[1, 2, 1]) == 2 / 4


def test_sigmoid_chain_by_hand():
    clf, x = single(), np.array([[0.0], [0.5], [1.0]])  # z = -1, 0, 1
    np.testing.assert_array_equal(clf.decision_function(x), [-1, 0, 1])
    p = 1 / (1 + np.exp(1.0))
    np.testing.assert_allclose(clf.predict_proba(x), [[1 - p, p], [0.5, 0.5], [p, 1 - p]], rtol=1e-15)
    np.testing.assert_array_equal(clf.predict(x), ["cat", "cat", "dog"])  # p must exceed the threshold


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (0, ["dog"] * 3),
        (0.2, ["dog"] * 3),
        (0.3, ["cat", "dog", "dog"]),
        (0.8, ["cat"] * 3),
        (1, ["cat"] * 3),
    ],
)
def test_the_threshold_moves_the_decision(threshold, expected):
    x = np.array([[0.0], [0.5], [1.0]])  # probability of dog 0.27, 0.5, 0.73
    np.testing.assert_array_equal(single(threshold).predict(x), expected)


def test_integer_classes_keep_their_kind():
    labels = rows([10, 30, 20]).predict(LOGITS)
    np.testing.assert_array_equal(labels, [20, 10, 10])
    assert labels.dtype == np.int64


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_of_probabilities_sum_to_one_and_keep_the_dtype(dtype):
    logits = (100 * np.random.default_rng(0).normal(size=(500, 7))).astype(dtype)
    probabilities = rows(list("abcdefg")).predict_proba(logits)
    assert probabilities.dtype == dtype
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=0, atol=8 * np.finfo(dtype).eps)


def test_the_larger_logit_wins_even_where_probabilities_are_equal():
    logits = np.array([[0.0, 1e-20]])
    assert rows(["a", "b"]).predict_proba(logits).tolist() == [[0.5, 0.5]]
    assert rows(["a", "b"]).predict(logits) == ["b"]


# Abstaining


def test_abstaining_by_hand():
    clf = rows(abstain_below=0.5)
    np.testing.assert_array_equal(clf.predict(LOGITS), ["cat", "ant", ABSTAINS])  # 5/8, 4/8, 1/3
    assert clf.score(LOGITS, ["cat", "ant", "ant"]) == 2 / 3
    assert rows(abstain_below=1 / 3).predict(LOGITS[2:]) == ["ant"]


def test_the_dtype_of_labels_does_not_depend_on_whether_one_is_withheld():
    assert rows(abstain_below=0.5).predict(LOGITS[:1]).dtype == "<U10"
    labels = rows([10, 30, 20], abstain_below=0.5).predict(LOGITS)
    assert labels.dtype == object
    assert labels.tolist() == [20, 10, ABSTAINS]


def test_one_logit_abstains_by_the_probability_of_the_class_that_it_names():
    x = np.array([[0.0], [0.4], [1.0]])  # cat 0.73, cat 0.55, dog 0.73
    np.testing.assert_array_equal(single(abstain_below=0.6).predict(x), ["cat", ABSTAINS, "dog"])


def test_nan_logits_are_abstained_from():
    assert rows(abstain_below=0).predict(np.array([[0, np.nan, 1]])) == [ABSTAINS]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_labels_from_logits_that_are_not_finite_bring_a_warning(bad):
    logits = LOGITS.copy()
    logits[1, 1] = bad
    message = (
        "Classifier: a label needs finite logits. Got NaN or infinite ones for 1 of 3 images, whose labels "
        "mean nothing. Look at explain(images)."
    )
    with pytest.warns(RuntimeWarning, match=f"^{re.escape(message)}$") as caught:
        assert rows().predict(logits)[0] == "cat"
    assert caught[0].filename == __file__
    assert np.isnan(rows().predict_proba(logits)[1]).all()


def test_a_logit_of_minus_infinity_is_a_probability_of_zero():
    np.testing.assert_array_equal(rows(["a", "b"]).predict_proba(np.array([[-np.inf, 3.0]])), [[0, 1]])
    assert rows(["a", "b"]).predict(np.array([[-np.inf, 3.0]])) == ["b"]


# What goes in


def test_uint8_images_are_prepared_and_float_images_are_not():
    clf = Classifier(nn.Flatten(), ANIMALS, transform=Halve())
    raw = np.uint8([[[2, 4, 8]], [[8, 4, 2]]])  # (2, 1, 3)
    prepared = np.float32([[[[1, 2, 4]]], [[[4, 2, 1]]]])  # (2, 1, 1, 3)
    np.testing.assert_array_equal(clf.decision_function(raw), [[1, 2, 4], [4, 2, 1]])
    np.testing.assert_array_equal(clf.decision_function(prepared), [[1, 2, 4], [4, 2, 1]])


@pytest.mark.parametrize("count", [0, 1, INFERENCE_BATCH - 1, INFERENCE_BATCH, 2 * INFERENCE_BATCH + 1])
def test_any_number_of_images(count):
    logits = np.random.default_rng(0).normal(size=(count, 3))
    clf = rows()
    np.testing.assert_array_equal(clf.decision_function(logits), logits)
    assert clf.predict(logits).shape == (count,)
    assert clf.predict(logits).dtype == "<U3"
    assert clf.predict_proba(logits).shape == (count, 3)
    assert len(clf.explain(logits[:2])) == min(count, 2)


def test_strided_reversed_and_read_only_arrays():
    wide = np.random.default_rng(0).normal(size=(6, 6))
    wide.setflags(write=False)
    view = wide[::-2, ::2]
    np.testing.assert_array_equal(rows().decision_function(view), view.copy())


def test_models_with_chance_predict_in_eval_mode_and_stay_in_training_mode():
    model = nn.Sequential(nn.Dropout(0.9), nn.Flatten())
    clf = Classifier(model, ANIMALS)
    np.testing.assert_array_equal(clf.decision_function(LOGITS), LOGITS)
    assert all(module.training for module in model.modules())
    assert all(not module.saved for module in model.modules())


def test_the_mode_of_each_layer_stays_as_it_was():
    model = nn.Sequential(nn.BatchNorm1d(3, dtype=np.float64), nn.Dropout(0.5))
    model[0].eval()
    before = copy.deepcopy(model.state_dict())
    Classifier(model, ANIMALS).predict(LOGITS)
    assert [module.training for module in model.modules()] == [True, False, True]
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_what_a_training_step_saved_is_still_there():
    layer = nn.Linear(3, 3, dtype=np.float64, rng=0)
    layer(LOGITS)
    Classifier(layer, ANIMALS).predict(LOGITS[:1])
    assert layer.backward(np.ones((3, 3))).shape == (3, 3)


def test_threads_predict_at_a_time_while_the_model_is_in_training_mode():
    model = nn.Sequential(nn.Dropout(0.9), nn.Flatten())
    clf, logits = Classifier(model, ANIMALS), np.random.default_rng(0).normal(size=(50, 3))
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(clf.decision_function, [logits] * 100):
            np.testing.assert_array_equal(found, logits)
    assert model.training


# Errors, in full

ERRORS = [
    (
        lambda: rows(["ant", "bee"]).predict(LOGITS),
        ValueError,
        "Classifier: each logit needs one class name, or a single logit two. Got 2 names for 3 logits. Pass "
        "the classes the model was trained with.",
    ),
    (
        lambda: Classifier(nn.Linear(1, 1), ANIMALS).predict(np.float32([[1]])),
        ValueError,
        "Classifier: each logit needs one class name, or a single logit two. Got 3 names for 1 logit. Pass "
        "the classes the model was trained with.",
    ),
    (
        lambda: rows(["ant", "ant", "bee"]).predict_proba(LOGITS),
        ValueError,
        "Classifier: every class needs a name of its own. Got 'ant' more than once. Rename or remove it.",
    ),
    (
        lambda: rows("abc").predict_proba(LOGITS),
        TypeError,
        "Classifier: classes must be a list of names, all text or all integers. Got 'abc'. Pass for example "
        "['cat', 'dog'].",
    ),
    (
        lambda: rows(threshold=0.4).predict(LOGITS),
        ValueError,
        "Classifier: a threshold needs a model with one logit. Got threshold=0.4 and 3 logits. Leave it at "
        "0.5: the largest logit wins.",
    ),
    (
        lambda: single(threshold=1.5).predict(np.zeros((1, 1))),
        ValueError,
        "Classifier: threshold must be a number from 0 to 1. Got 1.5. Pass a probability.",
    ),
    (
        lambda: rows(abstain_below="0.5").predict(LOGITS),
        TypeError,
        "Classifier: abstain_below must be a number from 0 to 1. Got '0.5' (str). Pass a float.",
    ),
    (
        lambda: rows(abstain_below=np.nan).predict(LOGITS),
        ValueError,
        "Classifier: abstain_below must be a number from 0 to 1. Got nan. Pass a probability.",
    ),
    (
        lambda: rows(None).predict(LOGITS),
        NotFittedError,
        "Classifier: predict needs class names or a fit. Got classes=None and a model of which nothing is "
        "known. Pass classes=train.classes, or call fit(X, y) first.",
    ),
    (
        lambda: Classifier("resnet", ANIMALS).predict(LOGITS),
        TypeError,
        "Classifier: model must be a minicnn module. Got str. Pass for example nn.Sequential(...).",
    ),
    (
        lambda: rows().predict(np.zeros((2, 5, 5), np.uint8)),
        TypeError,
        "Classifier: uint8 images need a transform. Got uint8 of shape (2, 5, 5) and transform=None. Pass "
        "transform=dataset.transform, or prepared float images.",
    ),
    (
        lambda: rows(transform=Halve()).predict(np.zeros((5, 5), np.uint8)),
        ValueError,
        "Classifier: uint8 images must be (N, H, W) or (N, H, W, C). Got shape (5, 5). For a single image "
        "pass image[np.newaxis].",
    ),
    (
        lambda: rows(transform=Halve()).predict(np.zeros((2, 5, 5), np.int64)),
        TypeError,
        "Classifier: images must be uint8, float32 or float64. Got int64 of shape (2, 5, 5). Pass raw uint8 "
        "images, or prepared ones with .astype(np.float32).",
    ),
    (
        lambda: rows().predict(np.zeros(3)),
        ValueError,
        "Classifier: images must be a batch, such as (N, C, H, W) or (N, features). Got shape (3,). For a "
        "single image pass image[np.newaxis].",
    ),
    (
        lambda: Classifier(nn.ReLU(), ANIMALS).predict(np.zeros((2, 3, 4, 4))),
        ValueError,
        "Classifier: the model must give one row of numbers for each image. Got shape (2, 3, 4, 4) for "
        "images of shape (2, 3, 4, 4). Pass a batch (N, C, H, W), and end the model with nn.Flatten() and "
        "nn.Linear(...).",
    ),
    (
        lambda: rows().score(LOGITS, ["ant", "bee"]),
        ValueError,
        "Classifier: X and y must have the same length, at least 1. Got 3 and 2. Pass one target for each "
        "image.",
    ),
    (
        lambda: rows().score(LOGITS, [0, 1, 2]),
        TypeError,
        "Classifier: y must be of the kind of the classes, such as 'ant'. Got int64. For class indexes take "
        "labels_of(indexes, classes).",
    ),
    (
        lambda: rows().score(LOGITS, ["ant", "bee", "cow"]),
        ValueError,
        "Classifier: y must be among the 3 classes ['ant', 'bee', 'cat']. Got 'cow'. Correct the label, or "
        "add it to classes.",
    ),
    (
        lambda: rows().fit(LOGITS, [0.5, 1.5, 2.5]),
        ValueError,
        "Classifier: y must be labels of shape (N,), text or whole numbers. Got float64 of shape (3,). "
        "For numbers that are measured use Regressor.",
    ),
    (
        lambda: rows().fit(LOGITS, np.eye(3)),
        ValueError,
        "Classifier: y must be labels of shape (N,), text or whole numbers. Got float64 of shape (3, 3). "
        "For numbers that are measured use Regressor.",
    ),
    (
        lambda: rows().fit(LOGITS[:0], []),
        ValueError,
        "Classifier: X and y must have the same length, at least 1. Got 0 and 0. Pass one target for each "
        "image.",
    ),
    (
        lambda: rows(None).fit(LOGITS, [1, 2, 2]),
        ValueError,
        "Classifier: each logit needs one class name, or a single logit two. Got 2 names for 3 logits. Pass "
        "the classes the model was trained with.",
    ),
    (
        lambda: rows(epochs=0).fit(LOGITS, ANIMALS),
        ValueError,
        "Classifier: epochs must be at least 1. Got 0. Pass a larger number.",
    ),
]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    ERRORS,
    ids=[f"{n}-{message[12:50]}" for n, (*_, message) in enumerate(ERRORS)],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        call()


# Warnings, in full


def test_numbers_sorted_as_text_bring_a_warning():
    names = ["0", "1", "10", "2", "3", "4", "5", "6", "7", "8", "9"]
    message = (
        "Classifier: class names that are numbers should stand in the order of the numbers. Got '10' before "
        "'2', the order of text: class 2 is called '10'. If the targets are counted 0, 1, 2, ..., pass "
        "sorted(classes, key=int)."
    )
    logits = np.eye(11)
    for call in (
        lambda clf: clf.predict(logits),
        lambda clf: clf.predict_proba(logits),
        lambda clf: clf.explain(logits),
        lambda clf: clf.score(logits, names),
        lambda clf: clf.classes_,
    ):
        with pytest.warns(UserWarning, match=f"^{re.escape(message)}$") as caught:
            call(rows(names))
        assert caught[0].filename == __file__
    rows(sorted(names, key=int)).predict(logits)  # no warning: warnings are errors


@pytest.mark.parametrize("last", [nn.Softmax(dim=1), nn.Sigmoid()], ids=["softmax", "sigmoid"])
def test_a_model_that_ends_in_probabilities_brings_a_warning(last):
    name = type(last).__name__
    message = (
        f'Classifier: the model must end in logits. Got {name} "1.0" as its last layer, so that '
        "probabilities are squeezed twice. Leave it out: predict_proba applies it."
    )
    model = nn.Sequential(nn.Flatten(), nn.Sequential(copy.deepcopy(last)))
    with pytest.warns(UserWarning, match=f"^{re.escape(message)}$") as caught:
        Classifier(model, ANIMALS).predict_proba(LOGITS)
    assert caught[0].filename == __file__
    Classifier(nn.Sequential(nn.Flatten(), nn.LogSoftmax(dim=1)), ANIMALS).predict(LOGITS)  # changes nothing
