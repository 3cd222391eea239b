"""What the metrics refuse, word for word."""

import numpy as np
import pytest

from minicnn import metrics
from minicnn.labels import ABSTAINS
from tests.helpers import raises

ERRORS = [
    (
        lambda: metrics.accuracy([0, 1], [0]),
        ValueError,
        "accuracy: targets and predictions must have the same length. Got 2 and 1. Pass one prediction for "
        "each target.",
    ),
    (
        lambda: metrics.f1([], []),
        ValueError,
        "f1: at least one target is needed. Got none. Pass arrays that are not empty.",
    ),
    (
        lambda: metrics.confusion_matrix([0], np.zeros((1, 2), np.float32)),
        TypeError,
        "confusion_matrix: predictions must be labels or class indexes of shape (N,). Got float32 of shape "
        "(1, 2). From logits or probabilities take .argmax(axis=1).",
    ),
    (
        lambda: metrics.accuracy(["cat"], [0]),
        TypeError,
        "accuracy: names and numbers can only be compared by way of classes. Got targets of <U3 and "
        "predictions of int64. Pass classes=.",
    ),
    (
        lambda: metrics.recall(["cat"], ["dog"], ["cat", "owl"]),
        ValueError,
        "recall: predictions must be among the 2 classes ['cat', 'owl']. Got 'dog'. Correct the label, or "
        "add it to classes.",
    ),
    (
        lambda: metrics.accuracy([0, 1], np.array([0, "cat"], dtype=object)),
        TypeError,
        "accuracy: predictions must be labels or class indexes of shape (N,). Got object of shape (2,). "
        "From logits or probabilities take .argmax(axis=1).",
    ),
    (
        lambda: metrics.confusion_matrix([0], [0], [0, "cat", ABSTAINS]),
        TypeError,
        "confusion_matrix: classes must be a list of names, all text or all integers. Got [0, 'cat']. "
        "Pass for example ['cat', 'dog'].",
    ),
    (
        lambda: metrics.confusion_matrix([0], np.array([0, ABSTAINS], dtype=object)[1:], [0]),
        TypeError,
        "confusion_matrix: predictions must be of the kind of the classes, such as 0. Got <U10. "
        "For class indexes take labels_of(indexes, classes).",
    ),
    (
        lambda: metrics.confusion_matrix([0, 1], np.array([0, ABSTAINS], dtype=object), [0, 1]),
        ValueError,
        "confusion_matrix: predictions must be among the 2 classes [0, 1]. Got '(abstains)'. Correct the "
        "label, or add it to classes.",
    ),
    (
        lambda: metrics.accuracy([0, 1], np.array([0, ABSTAINS], dtype=object), ["cat", "dog"]),
        ValueError,
        "accuracy: predictions must be among the 2 classes ['cat', 'dog']. Got 0. Correct the label, or add "
        "it to classes.",
    ),
    (
        lambda: metrics.recall([0], [2], ["cat", "owl"]),
        ValueError,
        "recall: predictions must lie in 0 to 1, as there are 2 classes. Got 2. Pass all classes.",
    ),
    (
        lambda: metrics.precision([0], [0], average="micro"),
        ValueError,
        "precision: average must be None or \"macro\". Got 'micro'. Pass one of the two.",
    ),
    (
        lambda: metrics.expected_calibration_error([0], np.array([[2.0, 1.0]])),
        ValueError,
        "expected_calibration_error: probabilities must lie in 0 to 1, and each row must sum to 1. Got row 0 "
        "with sum 3.0. From logits take functional.softmax(logits).",
    ),
    (
        lambda: metrics.calibration_bins([0], np.array([[np.nan, 1.0]])),
        ValueError,
        "calibration_bins: probabilities must lie in 0 to 1, and each row must sum to 1. Got row 0 with sum "
        "nan. From logits take functional.softmax(logits).",
    ),
    (
        lambda: metrics.calibration_bins([0], np.array([0.5])),
        TypeError,
        "calibration_bins: probabilities must be floats of shape (N, C). Got float64 of shape (1,). Pass "
        "what predict_proba returns.",
    ),
    (
        lambda: metrics.plot_precision_recall([0], np.array([[0.5, 0.5]]), ["cat"]),
        ValueError,
        "plot_precision_recall: there must be one name for each column of probabilities. Got 1 classes and "
        "2 columns. Pass the classes of the classifier.",
    ),
    (
        lambda: metrics.calibration_bins([0, 1], np.array([[0.5, 0.5]])),
        ValueError,
        "calibration_bins: targets and probabilities must have the same length, at least 1. Got 2 and 1. "
        "Pass one row for each target.",
    ),
    (
        lambda: metrics.precision_recall_curve([0, 1], np.zeros((2, 2))),
        TypeError,
        "precision_recall_curve: scores must be floats of shape (N,), those of one class. Got float64 of "
        "shape (2, 2). Pass one column, such as probabilities[:, 1].",
    ),
    (
        lambda: metrics.precision_recall_curve([0, 1], np.zeros(3)),
        ValueError,
        "precision_recall_curve: targets and scores must have the same length. Got 2 and 3. Pass one score "
        "for each target.",
    ),
    (
        lambda: metrics.average_precision([0, 1], np.array([0.5, np.nan])),
        ValueError,
        "average_precision: scores must be finite. Got nan at position 1. Find out where the model makes it.",
    ),
    (
        lambda: metrics.average_precision([0, 1], np.array([-np.inf, 0.5])),
        ValueError,
        "average_precision: scores must be finite. Got -inf at position 0. Find out where the model makes it.",
    ),
    (
        lambda: metrics.average_precision([0, 2], np.array([0.5, 0.1])),
        ValueError,
        "average_precision: at least one target must be the positive class 1. Got none among 2. Pass another "
        "positive=, or more data.",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), ERRORS, ids=[message[:60] for *_, message in ERRORS])
def test_errors(call, error, message):
    with raises(error, message):
        call()
