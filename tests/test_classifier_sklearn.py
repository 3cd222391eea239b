"""Classifier inside scikit-learn: its own checks, cloning, cross-validation, grid search, pickling."""

import pickle
import re

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.metrics import make_scorer, roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks

from minicnn import nn, optim
from minicnn.classifier import Classifier


class AnyWidth(Classifier):
    """Builds its linear model for the data it gets, because scikit-learn's checks feed many widths."""

    def __init__(self, model=None, *, epochs=60, lr=0.1, rng=0):
        super().__init__(model, epochs=epochs, lr=lr, rng=rng)

    def _fresh_model(self, X, y):
        return nn.Linear(X.shape[1], len(np.unique(y)), dtype=X.dtype, rng=0)


def blobs(count=60, classes=3, seed=0):
    """Return points around well separated centres, float32, and the index of the centre."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % classes
    centres = 3 * np.eye(classes, 4)
    return (centres[y] + rng.normal(size=(count, 4))).astype(np.float32), y


def blob_classifier(classes=3, **options) -> Classifier:
    """Return a linear classifier of blobs that learns in a blink."""
    options = {"epochs": 20, "lr": 0.05, "batch_size": 16, "rng": 0, **options}
    return Classifier(nn.Linear(4, classes, rng=0), **options)


# The checks of scikit-learn that an estimator of images can pass. The others feed lists, integers or
# sparse matrices, which are not cast silently here; or take the parameter `transform` for a method.
CHECKS = {
    "check_classifiers_one_label",
    "check_classifiers_one_label_sample_weights",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_dont_overwrite_parameters",
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_estimators_fit_returns_self",
    "check_estimators_overwrite_params",
    "check_estimators_partial_fit_n_features",
    "check_fit1d",
    "check_fit2d_1feature",
    "check_fit2d_1sample",
    "check_fit_check_is_fitted",
    "check_fit_score_takes_y",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_n_features_in",
    "check_no_attributes_set_in_init",
    "check_non_transformer_estimators_n_iter",
    "check_parameters_default_constructible",
    "check_pipeline_consistency",
    "check_positive_only_tag_during_fit",
    "check_readonly_memmap_input",
    "check_set_params",
    "check_supervised_y_no_nan",
    "check_valid_tag_types",
}


def test_the_checks_of_scikit_learn_that_fit_images(monkeypatch):
    monkeypatch.setattr(estimator_checks, "_yield_transformer_checks", lambda estimator: iter(()))
    results = estimator_checks.check_estimator(AnyWidth(), on_skip=None, on_fail=None)
    failed = [r for r in results if r["check_name"] in CHECKS and r["status"] != "passed"]
    assert not failed, "\n".join(f"{r['check_name']}: {r['exception']!r}" for r in failed)
    assert {r["check_name"] for r in results} >= CHECKS


def test_fit_leaves_the_model_alone_and_learns():
    X, y = blobs()
    clf = blob_classifier()
    before = clf.model.state_dict()
    assert clf.fit(X, y) is clf
    assert clf.score(X, y) > 0.9
    for name, array in clf.model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    assert len(clf.history_) == 20
    assert not clf.model_.training
    assert all(not module.saved for module in clf.model_.modules())
    assert all(parameter.grad is None for parameter in clf.model_.parameters())


def test_the_same_rng_gives_the_same_model_bit_for_bit():
    X, y = blobs()
    one, other = blob_classifier().fit(X, y), blob_classifier().fit(X, y)
    np.testing.assert_array_equal(one.decision_function(X), other.decision_function(X))
    assert not np.array_equal(one.decision_function(X), blob_classifier(rng=1).fit(X, y).decision_function(X))


@pytest.mark.parametrize("names", [["ant", "bee", "cat"], [10, 20, 30]], ids=["text", "integers"])
def test_labels_of_every_kind(names):
    X, y = blobs()
    y = np.array(names)[y]
    clf = blob_classifier().fit(X, y)
    assert clf.classes_.tolist() == names
    assert clf.predict(X).dtype == y.dtype
    assert (clf.predict(X) == y).mean() > 0.9
    assert clf.fit(X, y.astype(object)).score(X, y.astype(object)) > 0.9


def test_given_classes_keep_their_order():
    X, y = blobs()
    clf = blob_classifier().set_params(classes=["cat", "ant", "bee"])
    names = np.array(["cat", "ant", "bee"])[y]
    clf.fit(X, names)
    assert clf.classes_.tolist() == ["cat", "ant", "bee"]
    np.testing.assert_array_equal(
        clf.predict_proba(X).argmax(axis=1), clf.decision_function(X).argmax(axis=1)
    )
    assert clf.score(X, names) > 0.9


@pytest.mark.parametrize("threshold", [0.5, 0.9])
def test_one_logit_learns_two_classes(threshold):
    X, y = blobs(classes=2)
    y = np.array(["no", "yes"])[y]
    clf = blob_classifier(1, threshold=threshold, epochs=40).fit(X, y)
    assert clf.decision_function(X).shape == (60,)
    assert clf.predict_proba(X).shape == (60, 2)
    positive = clf.predict_proba(X)[:, 1] > threshold
    np.testing.assert_array_equal(clf.predict(X) == "yes", positive)
    if threshold == 0.5:
        assert clf.score(X, y) > 0.9


def test_a_criterion_and_an_optimizer_of_ones_own():
    X, y = blobs()
    weights = np.float32([1, 1, 1000])
    clf = blob_classifier(optimizer=optim.SGD, criterion=nn.CrossEntropyLoss(weight=weights)).fit(X, y)
    assert (clf.predict(X) == 2).mean() > 0.5  # only a third are of class 2


def test_images_of_every_accepted_shape():
    rng = np.random.default_rng(0)
    y = np.arange(32) % 2
    raw = (100 * y[:, None, None] + rng.integers(0, 100, (32, 6, 5))).astype(np.uint8)  # (N, H, W)

    def prepare(images):
        return images[:, np.newaxis].astype(np.float32) / 255  # (N, 1, H, W)

    model = nn.Sequential(nn.Flatten(), nn.Linear(30, 2, rng=0))
    clf = Classifier(model, transform=prepare, epochs=20, lr=0.05, rng=0).fit(raw, y)
    assert clf.score(raw, y) > 0.9
    prepared = prepare(raw)
    for images in (
        prepared,
        prepared[:, 0],
        prepared.reshape(32, 30),
    ):  # (N, C, H, W), (N, H, W), (N, features)
        np.testing.assert_array_equal(clf.predict(images), clf.predict(raw))


# Its protocol


def test_parameters_and_clone():
    clf = blob_classifier()
    assert is_classifier(clf)
    assert clf.get_params()["epochs"] == 20
    assert clf.set_params(epochs=3).epochs == 3
    copied = clone(clf.fit(*blobs()))
    assert not hasattr(copied, "model_")
    assert copied.model is not clf.model
    assert not hasattr(copied, "classes_")


def test_a_fitted_classifier_can_be_pickled_and_stays_small():
    X, y = blobs()
    clf = blob_classifier().fit(X, y)
    text = pickle.dumps(clf)
    np.testing.assert_array_equal(pickle.loads(text).predict_proba(X), clf.predict_proba(X))
    assert len(text) < 20_000


def test_cross_validation_and_scorers():
    X, y = blobs()
    assert cross_val_score(blob_classifier(), X, y, cv=3).mean() > 0.9
    assert cross_val_score(blob_classifier(), X, y, cv=3, scoring="neg_log_loss").mean() > -0.5
    assert cross_val_score(blob_classifier(), X, y, cv=3, scoring="roc_auc_ovr").mean() > 0.9
    assert cross_val_predict(blob_classifier(), X, y, cv=3, method="predict_proba").shape == (60, 3)


def test_roc_auc_with_one_logit_and_with_two():
    X, y = blobs(classes=2)
    assert cross_val_score(blob_classifier(1), X, y, cv=3, scoring="roc_auc").mean() > 0.9
    scorer = make_scorer(roc_auc_score, response_method="predict_proba")
    assert cross_val_score(blob_classifier(2), X, y, cv=3, scoring=scorer).mean() > 0.9


def test_grid_search():
    X, y = blobs()
    models = [
        nn.Linear(4, 3, rng=0),
        nn.Sequential(nn.Linear(4, 8, rng=0), nn.ReLU(), nn.Linear(8, 3, rng=0)),
    ]
    search = GridSearchCV(blob_classifier(), {"lr": [1e-6, 0.05], "model": models}, cv=2).fit(X, y)
    assert search.best_params_["lr"] == 0.05
    assert search.best_score_ > 0.9
    assert search.predict(X[:2]).shape == (2,)


def test_in_a_pipeline_and_inside_other_estimators():
    X, y = blobs()
    as_float32 = FunctionTransformer(lambda array: array.astype(np.float32))
    assert make_pipeline(as_float32, blob_classifier()).fit(X.astype(np.float64), y).score(X, y) > 0.9
    calibrated = CalibratedClassifierCV(blob_classifier(), cv=2, method="sigmoid").fit(X, y)
    assert calibrated.score(X, y) > 0.9


@pytest.mark.slow
def test_processes_share_the_work():
    X, y = blobs()
    alone = cross_val_score(blob_classifier(), X, y, cv=3)
    np.testing.assert_array_equal(cross_val_score(blob_classifier(), X, y, cv=3, n_jobs=2), alone)
    search = GridSearchCV(blob_classifier(), {"lr": [1e-6, 0.05]}, cv=2, n_jobs=2).fit(X, y)
    assert search.best_params_ == {"lr": 0.05}


# Files


@pytest.mark.parametrize("names", [["ant", "bee", "cat"], [10, 20, 30]], ids=["text", "integers"])
def test_save_and_load(tmp_path, names):
    X, y = blobs()
    clf = blob_classifier(abstain_below=0.4).fit(X, np.array(names)[y])
    clf.save(tmp_path / "blobs.safetensors")
    loaded = Classifier.load(tmp_path / "blobs.safetensors")
    np.testing.assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))
    np.testing.assert_array_equal(loaded.predict(X), clf.predict(X))
    assert loaded.classes_.tolist() == names
    assert loaded.abstain_below == 0.4


def test_threshold_is_saved(tmp_path):
    clf = Classifier(nn.Linear(4, 1), ["no", "yes"], threshold=0.25)
    clf.save(tmp_path / "one.safetensors")
    loaded = Classifier.load(tmp_path / "one.safetensors")
    assert (loaded.threshold, loaded.abstain_below) == (0.25, None)


def test_save_needs_names(tmp_path):
    message = (
        "Classifier: save needs class names or a fit. Got classes=None and a model of which nothing is "
        "known. Pass classes=train.classes, or call fit(X, y) first."
    )
    with pytest.raises(AttributeError, match=f"^{re.escape(message)}$"):
        blob_classifier().save(tmp_path / "blobs.safetensors")
