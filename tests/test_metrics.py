"""Metrics by hand, against scikit-learn, and what stands in the pictures."""

import numpy as np
import pytest
import sklearn.metrics
from matplotlib import pyplot
from matplotlib.text import Text
from sklearn.calibration import calibration_curve

from minicnn import metrics
from minicnn.functional import softmax
from minicnn.labels import ABSTAINS

# Truth and prediction of eight animals: cat 3 (2 found), dog 4 (3 found), owl 1 (not found).
TARGETS = np.array(["cat", "cat", "cat", "dog", "dog", "dog", "dog", "owl"])
PREDICTIONS = np.array(["cat", "cat", "dog", "dog", "dog", "dog", "cat", "dog"])
CLASSES = ["cat", "dog", "owl"]


@pytest.fixture(autouse=True)
def closed_figures():
    """No figure of one test is there in the next."""
    yield
    pyplot.close("all")


def draw(classes: int = 5, count: int = 300, seed: int = 0):
    """Return targets, predictions and probabilities of a mediocre classifier."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, count)
    logits = rng.normal(size=(count, classes))
    logits[np.arange(count), targets] += 1.5
    return targets, logits.argmax(axis=1), softmax(logits, axis=1)


# By hand


def test_counts_by_hand():
    assert metrics.accuracy(TARGETS, PREDICTIONS) == 5 / 8
    matrix = metrics.confusion_matrix(TARGETS, PREDICTIONS)
    np.testing.assert_array_equal(matrix, [[2, 1, 0], [1, 3, 0], [0, 1, 0]])
    np.testing.assert_array_equal(metrics.precision(TARGETS, PREDICTIONS), [2 / 3, 3 / 5, 0])  # of a column
    np.testing.assert_array_equal(metrics.recall(TARGETS, PREDICTIONS), [2 / 3, 3 / 4, 0])  # of a row
    # 2·(2/3)(2/3)/(4/3) = 2/3; 2·(3/5)(3/4)/(27/20) = 2/3
    np.testing.assert_allclose(metrics.f1(TARGETS, PREDICTIONS), [2 / 3, 2 / 3, 0], rtol=1e-15)
    assert metrics.balanced_accuracy(TARGETS, PREDICTIONS) == pytest.approx((2 / 3 + 3 / 4) / 3, rel=1e-15)
    assert metrics.f1(TARGETS, PREDICTIONS, average="macro") == pytest.approx(4 / 9, rel=1e-15)


def test_expected_calibration_error_by_hand():
    # two bins: (0, 0.5] holds nothing; (0.5, 1]: confidences 0.75, 1, 0.75, 0.5+; right, wrong, right, right
    probabilities = np.array([[0.75, 0.25], [1.0, 0.0], [0.25, 0.75], [0.375, 0.625]])
    targets = [0, 1, 1, 1]
    mean_confidence = (0.75 + 1 + 0.75 + 0.625) / 4
    error = metrics.expected_calibration_error(targets, probabilities, bins=2)
    assert error == pytest.approx(mean_confidence - 3 / 4, rel=1e-15)
    # four bins: (0.5, 0.75] has 3 with confidence 2.125/3, all right; (0.75, 1] has 1 with 1.0, wrong
    error = metrics.expected_calibration_error(targets, probabilities, bins=4)
    assert error == pytest.approx(3 / 4 * (1 - 2.125 / 3) + 1 / 4 * 1, rel=1e-15)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below():
    edge = metrics.calibration_bins([0], np.array([[0.5, 0.5]]), bins=2)
    np.testing.assert_array_equal(edge.count, [1, 0])
    np.testing.assert_array_equal(edge.edges, [0, 0.5, 1])
    assert np.isnan(edge.accuracy[1])


def test_a_calibrated_model_has_no_error_and_a_boastful_one_has():
    rng = np.random.default_rng(0)
    probabilities = softmax(rng.normal(size=(20_000, 3)), axis=1)
    targets = (probabilities.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1)  # drawn from them
    boastful = softmax(3 * np.log(probabilities), axis=1)
    assert metrics.expected_calibration_error(targets, probabilities) < 0.02
    assert metrics.expected_calibration_error(targets, boastful) > 0.2


# Against scikit-learn


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("average", [None, "macro"])
def test_counts_are_those_of_scikit_learn(seed, average):
    targets, predictions, _ = draw(seed=seed)
    assert metrics.accuracy(targets, predictions) == sklearn.metrics.accuracy_score(targets, predictions)
    expected = sklearn.metrics.confusion_matrix(targets, predictions)
    np.testing.assert_array_equal(metrics.confusion_matrix(targets, predictions), expected)
    expected = sklearn.metrics.balanced_accuracy_score(targets, predictions)
    assert metrics.balanced_accuracy(targets, predictions) == pytest.approx(expected, rel=1e-12)
    for ours, theirs in [
        (metrics.precision, sklearn.metrics.precision_score),
        (metrics.recall, sklearn.metrics.recall_score),
        (metrics.f1, sklearn.metrics.f1_score),
    ]:
        expected = theirs(targets, predictions, average=average)
        np.testing.assert_array_equal(ours(targets, predictions, average=average), expected)


def test_curves_are_those_of_scikit_learn():
    targets, _, probabilities = draw()
    ours = metrics.precision_recall_curve(targets, probabilities[:, 2], positive=2)
    theirs = sklearn.metrics.precision_recall_curve(targets == 2, probabilities[:, 2])
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
    ours = metrics.average_precision(targets, probabilities[:, 2], positive=2)
    assert ours == sklearn.metrics.average_precision_score(targets == 2, probabilities[:, 2])


def test_calibration_bins_are_those_of_scikit_learn():
    targets, predictions, probabilities = draw(classes=3)
    found = metrics.calibration_bins(targets, probabilities, bins=10)
    right, confidence = predictions == targets, probabilities.max(axis=1)
    expected_accuracy, expected_confidence = calibration_curve(right, confidence, n_bins=10)
    np.testing.assert_allclose(found.accuracy[found.count > 0], expected_accuracy, rtol=1e-12)
    np.testing.assert_allclose(found.confidence[found.count > 0], expected_confidence, rtol=1e-12)


# Labels, indexes, and both


@pytest.mark.parametrize("order", [["cat", "dog", "owl"], ["owl", "cat", "dog"]])
def test_labels_and_indexes_give_the_same(order):
    targets = np.array([order.index(name) for name in TARGETS])
    for predictions in (PREDICTIONS, np.array([order.index(name) for name in PREDICTIONS])):
        assert metrics.accuracy(targets, predictions, order) == 5 / 8
        by_class = dict(zip(order, metrics.recall(targets, predictions, order), strict=True))
        assert by_class == {"cat": 2 / 3, "dog": 3 / 4, "owl": 0}


def test_a_class_that_does_not_occur_has_its_row():
    matrix = metrics.confusion_matrix(["cat"], ["dog"], ["ant", "cat", "dog"])
    np.testing.assert_array_equal(matrix, [[0, 0, 0], [0, 0, 1], [0, 0, 0]])
    # neither ant nor dog, which is only predicted, counts: recall of cat 1/2
    assert metrics.balanced_accuracy(["cat", "cat"], ["cat", "dog"], ["ant", "cat", "dog"]) == 1 / 2


def test_abstentions_are_a_column_of_their_own():
    predictions = ["cat", ABSTAINS, "dog"]
    matrix = metrics.confusion_matrix(["cat", "cat", "dog"], predictions, ["cat", "dog", ABSTAINS])
    np.testing.assert_array_equal(matrix, [[1, 0, 1], [0, 1, 0], [0, 0, 0]])


def test_abstentions_beside_integer_classes():
    targets, predictions = (
        [20, 10, 10],
        np.array([20, ABSTAINS, 10], dtype=object),
    )  # as Classifier gives them
    matrix = metrics.confusion_matrix(targets, predictions, [20, 10, ABSTAINS])
    np.testing.assert_array_equal(matrix, [[1, 0, 0], [0, 1, 1], [0, 0, 0]])
    matrix = metrics.confusion_matrix(targets, predictions)  # 10, 20, (abstains)
    np.testing.assert_array_equal(matrix, [[1, 0, 1], [0, 1, 0], [0, 0, 0]])
    assert metrics.accuracy(targets, predictions) == 2 / 3
    silent = np.array([ABSTAINS] * 3, dtype=object)
    classes = [*np.array([10, 20]), ABSTAINS]
    np.testing.assert_array_equal(metrics.confusion_matrix(targets, silent, classes)[:, 2], [2, 1, 0])
    assert metrics.classification_table(targets, predictions, classes).splitlines()[3].split()[0] == ABSTAINS


def test_one_class_is_enough():
    np.testing.assert_array_equal(metrics.confusion_matrix([1, 1], [1, 1]), [[2]])
    assert metrics.classification_table([1], [1]).splitlines()[1].split() == ["1", *["1.000"] * 3, "1"]


def test_object_arrays_of_one_kind_and_lists_are_labels_too():
    assert metrics.accuracy(TARGETS.astype(object), list(PREDICTIONS)) == 5 / 8
    assert metrics.accuracy([0, 1], np.array([0, 1], dtype=object)) == 1
    assert metrics.accuracy(np.array([np.int64(3), 1], dtype=object), [3, 0]) == 1 / 2
    assert metrics.accuracy(np.array([True, False]), [True, True]) == 1 / 2


def test_float32_probabilities_are_accepted():
    targets, _, probabilities = draw()
    error = metrics.expected_calibration_error(targets, probabilities.astype(np.float32))
    assert error == pytest.approx(metrics.expected_calibration_error(targets, probabilities), abs=1e-6)


def test_the_table():
    lines = metrics.classification_table(TARGETS, PREDICTIONS, CLASSES).splitlines()
    assert lines[0] == "class              precision  recall      F1  images"
    assert lines[1] == "cat                    0.667   0.667   0.667       3"
    assert lines[5] == "macro                  0.422   0.472   0.444       8"
    assert lines[6] == "accuracy               0.625"
    assert lines[8:] == [
        "most often: cat taken for dog (1), dog taken for cat (1), owl taken for dog (1)",
        "never predicted: owl",
    ]


def test_the_table_of_a_perfect_classifier_has_no_complaints_and_long_names_stay_aligned():
    classes = ["a name that is rather long", "b"]
    lines = metrics.classification_table([0, 1], [0, 1], classes).splitlines()
    assert lines[-1].startswith("balanced accuracy")
    assert {len(line) for line in lines[:3]} == {len(lines[0])}


# Pictures


def words(ax) -> list[str]:
    """Return what is written into the axes."""
    return [text.get_text() for text in ax.texts]


def test_confusion_matrix_has_names_counts_and_titles():
    ax = metrics.plot_confusion_matrix(TARGETS, PREDICTIONS, CLASSES)
    assert [text.get_text() for text in ax.get_xticklabels()] == CLASSES
    assert [text.get_text() for text in ax.get_yticklabels()] == CLASSES
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == (
        "predicted",
        "true class",
        "8 images, 62.5% right",
    )
    assert words(ax) == ["2", "1", "0", "1", "3", "0", "0", "1", "0"]
    assert ax.texts[1].get_position() == (1, 0)  # column dog of row cat
    shares = metrics.plot_confusion_matrix(TARGETS, PREDICTIONS, CLASSES, normalize=True)
    assert words(shares)[:3] == ["0.67", "0.33", "0.00"]


def test_numbers_stand_out_from_their_cells():
    ax = metrics.plot_confusion_matrix([0] * 9 + [1], [0] * 9 + [1], CLASSES[:2])
    colours = {text.get_text(): text.get_color() for text in ax.texts}
    assert colours == {"9": "white", "1": "white", "0": "#888888"}  # white on dark, grey for nothing


def test_many_classes_have_no_numbers():
    targets = np.arange(30)
    assert words(metrics.plot_confusion_matrix(targets, targets)) == []


def test_precision_recall_has_a_curve_for_each_class_with_targets():
    targets, _, probabilities = draw(classes=3)
    ax = metrics.plot_precision_recall(np.minimum(targets, 1), probabilities, CLASSES)
    names = [text.get_text().split()[0] for text in ax.get_legend().get_texts()]
    assert names == ["cat", "dog"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("recall", "precision")


def test_long_class_names_leave_room_for_the_matrix():
    classes = ["American Staffordshire terrier", "dog"]
    axes = metrics.plot_confusion_matrix([0, 1], [0, 1], classes)
    shown = [
        [label.get_text() for label in labels] for labels in (axes.get_xticklabels(), axes.get_yticklabels())
    ]
    assert shown == [["American Staffords…", "dog"]] * 2
    axes = metrics.plot_precision_recall([0, 1], np.array([[0.9, 0.1], [0.4, 0.6]]), classes)
    assert axes.get_legend().get_texts()[0].get_text() == "American Staffords…  1.000"


def test_class_names_are_no_formulas():
    classes = ["$\\frac$ off", "$5 to $10"]
    for ax in (
        metrics.plot_confusion_matrix([0, 1], [0, 1], classes),
        metrics.plot_precision_recall([0, 1], np.eye(2), classes),
    ):
        ax.figure.draw_without_rendering()
        texts = [text for text in ax.findobj(Text) if "$" in text.get_text()]
        assert texts
        assert not any(text.get_parse_math() for text in texts)


def test_reliability_shows_count_and_share_of_every_filled_bin():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6]])
    ax = metrics.plot_reliability([0, 1, 1], probabilities, bins=4)
    assert words(ax) == ["1", "2"]
    assert [bar.get_height() for bar in ax.patches] == [1.0, 0.5]
    assert ax.get_title() == "Expected calibration error 0.367"


@pytest.mark.parametrize("plot", ["confusion_matrix", "precision_recall", "reliability"])
def test_plots_draw_into_the_given_axes_and_nothing_is_clipped(plot, tmp_path):
    targets, predictions, probabilities = draw(classes=3)
    given = predictions if plot == "confusion_matrix" else probabilities
    figure, ax = pyplot.subplots(layout="constrained")
    names = ["T-shirt/top", "Ankle boot", "Trouser"]
    assert getattr(metrics, f"plot_{plot}")(targets, given, names, ax=ax) is ax
    assert pyplot.get_fignums() == [figure.number]
    figure.savefig(tmp_path / "plot.png")
    box = ax.get_tightbbox(figure.canvas.get_renderer())
    assert box.x0 >= -1
    assert box.y0 >= -1
    assert box.x1 <= figure.bbox.width + 1
    assert box.y1 <= figure.bbox.height + 1
