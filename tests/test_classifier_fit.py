"""fit of Classifier and Regressor: Ctrl-C goes on to the caller."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, cross_val_score

from minicnn import nn, optim
from minicnn.classifier import Classifier, Regressor

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
