"""fit of Classifier and Regressor: Ctrl-C goes on to the caller, a second fit forgets the first, kinds of labels."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, cross_val_score

from minicnn import nn, optim
from minicnn.classifier import Classifier, Regressor
from tests.helpers import raises

X = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)


class StopIn(optim.Adam):
    """An optimizer at whose step with this number somebody presses Ctrl-C."""

    def __init__(self, parameters, lr, at=15):
        super().__init__(parameters, lr=lr)
        self.left = at

    def step(self):
        super().step()
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def classifier(**options) -> Classifier:
    return Classifier(nn.Linear(4, 2, rng=0), **{"batch_size": 4, "epochs": 5, "rng": 0, **options})


@pytest.mark.parametrize("kind", [Classifier, Regressor])
@pytest.mark.parametrize(
    ("given", "got"),
    [
        ("sgd", "'sgd'"),
        (
            optim.SGD([nn.Parameter(np.zeros(1))], lr=0.1),
            repr(optim.SGD([nn.Parameter(np.zeros(1))], lr=0.1)),
        ),
    ],
)
def test_an_optimizer_is_built_anew_in_each_fit(kind, given, got):
    with raises(
        TypeError,
        f"{kind.__name__}: optimizer must be a class, or a function of parameters and lr. Got {got}. "
        "Pass for example optim.SGD (without brackets).",
    ):
        kind(nn.Linear(4, 1, rng=0), optimizer=given).fit(X, Y)


# Ctrl-C


def test_ctrl_c_goes_on_and_what_was_learned_is_kept():
    clf = classifier(optimizer=StopIn)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, Y)
    assert clf.history_.interrupted
    assert len(clf.history_) == 1
    assert clf.classes_.tolist() == [0, 1]
    assert not np.array_equal(clf.model_.weight.data, clf.model.weight.data)
    assert clf.predict(X).shape == (40,)


def test_after_ctrl_c_the_classes_are_those_of_the_model():
    clf = classifier(epochs=1).fit(X, Y + 7)
    with pytest.raises(KeyboardInterrupt):
        clf.set_params(optimizer=StopIn, epochs=5).fit(X, Y)
    assert clf.classes_.tolist() == [0, 1]


def test_ctrl_c_in_a_regressor():
    reg = Regressor(nn.Linear(4, 1, rng=0), batch_size=4, epochs=5, optimizer=StopIn, rng=0)
    with pytest.raises(KeyboardInterrupt):
        reg.fit(X, X[:, 0])
    assert reg.history_.interrupted
    assert reg.predict(X).shape == (40,)


def test_no_score_comes_from_a_fit_that_was_stopped():
    with pytest.raises(KeyboardInterrupt):
        cross_val_score(classifier(optimizer=StopIn), X, Y, cv=2)
    with pytest.raises(KeyboardInterrupt):
        GridSearchCV(classifier(optimizer=StopIn), {"lr": [0.1, 0.01]}, cv=2).fit(X, Y)


# A second fit


@pytest.mark.parametrize(("kind", "outputs", "y"), [(Classifier, 2, Y), (Regressor, 1, X[:, 0])])
def test_a_second_fit_may_have_another_width(kind, outputs, y):
    fitted = kind(nn.Linear(4, outputs, rng=0), epochs=1, rng=0).fit(X, y)
    fitted.set_params(model=nn.Linear(3, outputs, rng=0)).fit(X[:, :3], y)
    assert fitted.n_features_in_ == 3
    assert fitted.predict(X[:, :3]).shape == (40,)
    with raises(
        ValueError,
        f"{kind.__name__}: X must have the columns it had in fit. X has 4 features, but {kind.__name__} is "
        "expecting 3 features as input. Pass the same columns.",
    ):
        fitted.predict(X)


def test_a_second_fit_on_images_has_no_columns_to_compare():
    clf = classifier().fit(X, Y)
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 2, rng=0))
    clf.set_params(model=model).fit(np.zeros((40, 1, 2, 3), np.float32), Y)
    assert not hasattr(clf, "n_features_in_")
    assert clf.predict(np.zeros((2, 6), np.float32)).shape == (2,)


def test_a_fit_that_fails_leaves_the_fit_before_it():
    clf = classifier().fit(X, Y)
    before = clf.predict(X)
    with pytest.raises(ValueError, match="one target for each image"):
        clf.fit(X[:, :3], Y[:3])
    assert clf.n_features_in_ == 4
    np.testing.assert_array_equal(clf.predict(X), before)


# Labels


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, bool, object, np.uint8])
def test_whole_numbers_of_every_kind_are_labels(dtype):
    y = Y.astype(bool).astype(dtype) if dtype is object else Y.astype(dtype)
    clf = classifier().fit(X, y)
    assert clf.classes_.tolist() == [0, 1]
    assert clf.classes_.dtype == clf.predict(X).dtype
    np.testing.assert_array_equal(clf.predict(X), classifier().fit(X, Y).predict(X))
    assert clf.score(X, y) == clf.score(X, Y)


@pytest.mark.parametrize("dtype", [np.float64, bool])
def test_scikit_learn_scores_them_as_integers(dtype):
    scores = cross_val_score(classifier(), X, Y.astype(dtype), cv=2, scoring="accuracy")
    np.testing.assert_array_equal(scores, cross_val_score(classifier(), X, Y, cv=2))


def test_given_classes_and_whole_floats():
    assert classifier(classes=[1, 0]).fit(X, Y.astype(float)).classes_.tolist() == [1, 0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_labels_must_be_finite(bad):
    y = Y.astype(float)
    y[3] = bad
    with raises(
        ValueError,
        f"Classifier: y must have a label for each image. Got {bad} at index 3. "
        "Leave out the images without a label.",
    ):
        classifier().fit(X, y)


@pytest.mark.parametrize("bad", [0.5, 1e300])
def test_numbers_that_are_measured_are_no_labels(bad):
    y = Y.astype(float)
    y[3] = bad
    with raises(
        ValueError,
        "Classifier: y must be labels of shape (N,), text or whole numbers. Got float64 of shape (40,). "
        "For numbers that are measured use Regressor.",
    ):
        classifier().fit(X, y)
