"""Regressor: numbers in, numbers out; by hand, inside scikit-learn, and what it refuses."""

import re

import numpy as np
import pytest
from sklearn.base import clone, is_regressor
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import cross_val_score
from sklearn.preprocessing import StandardScaler

from minicnn import checkpoint, nn
from minicnn.classifier import Classifier, Regressor
from tests.helpers import raises


def line(**options) -> Regressor:
    """Return a regressor whose model is 2·x0 + 3·x1 + 1."""
    layer = nn.Linear(2, 1, dtype=np.float64)
    layer.weight.data[...], layer.bias.data[...] = [[2, 3]], 1
    return Regressor(layer, **options)


def plane(count=96):
    """Return points and 3·x0 - 2·x1 + 1, without noise."""
    X = np.random.default_rng(0).normal(size=(count, 2))
    return X, 3 * X[:, 0] - 2 * X[:, 1] + 1


def test_predict_by_hand():
    X = np.array([[10.0, 100.0], [0.0, -1.0]])
    np.testing.assert_array_equal(line().predict(X), [321, -2])
    assert line().score(X, [321, -2]) == 1
    assert line().score(X, [-2, 321]) < 0
    assert line().predict(X[:0]).shape == (0,)


def test_several_outputs_stay_columns():
    X = np.array([[1.0, 2.0]])
    np.testing.assert_array_equal(Regressor(nn.Flatten()).predict(X), X)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fit_finds_the_plane_and_leaves_the_model_alone(dtype):
    X, y = plane()
    reg = Regressor(nn.Linear(2, 1, dtype=dtype, rng=0), epochs=60, lr=0.1, rng=0)
    before = reg.model.state_dict()
    reg.fit(X.astype(dtype), y)
    np.testing.assert_allclose(reg.model_.weight.data, [[3, -2]], rtol=0.02)
    assert reg.predict(X.astype(dtype)).dtype == dtype
    assert reg.score(X.astype(dtype), y) > 0.999
    for name, array in reg.model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_fit_with_several_targets_and_with_integers():
    X, y = plane()
    reg = Regressor(nn.Linear(2, 2, dtype=np.float64, rng=0), epochs=60, lr=0.1, rng=0)
    assert reg.fit(X, np.stack([y, -y], axis=1)).score(X, np.stack([y, -y], axis=1)) > 0.999
    assert line(rng=0, epochs=1).fit(X, np.round(y).astype(int)).predict(X).shape == y.shape


def test_inside_scikit_learn():
    X, y = plane()
    reg = Regressor(nn.Linear(2, 1, dtype=np.float64, rng=0), epochs=60, lr=0.1, rng=0)
    assert is_regressor(reg)
    assert clone(reg).get_params()["lr"] == 0.1
    assert cross_val_score(reg, X, y, cv=3).min() > 0.99
    scaled = TransformedTargetRegressor(reg, transformer=StandardScaler())
    assert cross_val_score(scaled, X, 1e6 * y, cv=3).min() > 0.99


def test_save_and_load(tmp_path):
    X, _ = plane()
    line().save(tmp_path / "line.safetensors")
    np.testing.assert_array_equal(Regressor.load(tmp_path / "line.safetensors").predict(X), line().predict(X))
    message = (
        "Classifier: load needs a file that Classifier.save wrote. Got "
        f"{str(tmp_path / 'line.safetensors')!r} with kind 'Regressor'. Use the class that saved it, or "
        "checkpoint.load."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Classifier.load(tmp_path / "line.safetensors")


def test_what_load_refuses(tmp_path):
    path, model = tmp_path / "bare", nn.Linear(2, 1)
    checkpoint.save(path, model)
    for kind in (Classifier, Regressor):
        name = kind.__name__
        message = (
            f"{name}: load needs a file that {name}.save wrote. Got {str(path)!r}, a bare model of checkpoint.save. "
            f"Save it with {name}(model, ...).save, or use checkpoint.load."
        )
        with raises(ValueError, message):
            kind.load(path)
    checkpoint.save(path, model, classes=["no", "yes"], extra={"kind": "Classifier", "threshold": 0.5})
    message = (
        f"Classifier.load: {str(path)!r} must be a whole file that Classifier.save wrote. Got parts that do not fit "
        "(KeyError). Write it again, or fetch it again."
    )
    with raises(ValueError, message):
        Classifier.load(path)


X, Y = plane(4)
ERRORS = [
    (
        lambda: line().fit(X, ["a", "b", "c", "d"]),
        ValueError,
        "Regressor: y must be finite numbers. Got <U1, or NaN or infinity among them. For labels use "
        "Classifier.",
    ),
    (
        lambda: line().fit(X, [1, 2, np.nan, 4]),
        ValueError,
        "Regressor: y must be finite numbers. Got float64, or NaN or infinity among them. For labels use "
        "Classifier.",
    ),
    (
        lambda: line().fit(X, np.zeros((4, 2))),
        ValueError,
        "Regressor: y must have one column for each output of the model. Got shape (4, 2) and 1 outputs. "
        "Pass (N, 1), or change the last layer.",
    ),
    (
        lambda: line().fit(X, Y[:3]),
        ValueError,
        "Regressor: X and y must have the same length, at least 1. Got 4 and 3. Pass one target for each "
        "image.",
    ),
    (
        lambda: line().predict(X.astype(int)),
        TypeError,
        "Regressor: images must be uint8, float32 or float64. Got int64 of shape (4, 2). Pass raw uint8 "
        "images, or prepared ones with .astype(np.float32).",
    ),
    (
        lambda: Regressor(None).predict(X),
        TypeError,
        "Regressor: model must be a minicnn module. Got NoneType. Pass for example nn.Sequential(...).",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), ERRORS, ids=[message[11:60] for *_, message in ERRORS])
def test_errors(call, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        call()
