"""Regressor: a model whose outputs are the answer, as a scikit-learn estimator."""

from __future__ import annotations

import numpy as np
from sklearn.base import RegressorMixin

from minicnn import nn
from minicnn.classifier.estimator import ModelEstimator


class Regressor(RegressorMixin, ModelEstimator):
    """A model with a linear output and its preprocessing: images in, numbers out.

    Parameters
    ----------
    model : nn.Module
        Gives K numbers an image; with K = 1 `predict` returns shape (N,).
    transform, epochs, batch_size, lr, optimizer, rng, progress
        As in `Classifier`.
    criterion : loss, optional
        By default `MSELoss`.

    Attributes
    ----------
    model_ : nn.Module
        The trained copy, after `fit`. Before it, `model` itself predicts.
    history_ : History
        Of `fit`.

    Raises
    ------
    TypeError
        If images are neither uint8, float32 nor float64, or uint8 without a `transform`.
    ValueError
        If `y` does not have the shape of the model's outputs.

    Notes
    -----
    Nothing is scaled: targets far from 0 or much larger than 1 are learned slowly. Divide them before
    `fit`, or wrap this in ``sklearn.compose.TransformedTargetRegressor``. `y` is converted to the dtype of
    the model's output. `score` is scikit-learn's R².

    Examples
    --------
    >>> layer = nn.Linear(2, 1)
    >>> layer.weight.data[...], layer.bias.data[...] = [[2, 3]], 1
    >>> Regressor(layer).predict(np.float32([[10, 100]]))            # 2·10 + 3·100 + 1
    array([321.], dtype=float32)
    """

    def __init__(
        self,
        model,
        transform=None,
        *,
        epochs=10,
        batch_size=64,
        lr=1e-3,
        optimizer=None,
        criterion=None,
        rng=None,
        progress=False,
    ) -> None:
        self.model = model
        self.transform = transform
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.optimizer = optimizer
        self.criterion = criterion
        self.rng = rng
        self.progress = progress

    def fit(self, X, y) -> Regressor:
        """Train a copy of `model` on images `X` and numbers `y`, (N,) or (N, K); return the estimator.

        Ctrl-C ends the training as in `Classifier.fit`.

        >>> x = np.linspace(-1, 1, 64, dtype=np.float32)[:, np.newaxis]
        >>> line = Regressor(nn.Linear(1, 1, rng=0), epochs=200, lr=0.1, rng=0).fit(x, 3 * x[:, 0] + 1)
        >>> line.predict(np.float32([[0], [1]])).round(2)            # 1, 3 + 1
        array([1., 4.], dtype=float32)
        """
        X, y = self._checked_images(X), np.asarray(y)
        self._check_lengths(X, y)
        if y.dtype.kind not in "iuf" or not np.isfinite(y).all():
            raise ValueError(
                f"Regressor: y must be finite numbers. Got {y.dtype}, or NaN or infinity among them. "
                "For labels use Classifier."
            )
        model = self._fresh_model(X, y)
        output = self._outputs(model, X[:1])
        targets = y.reshape(len(y), 1) if y.ndim == 1 else y  # (N, K)
        if targets.shape[1:] != output.shape[1:]:
            raise ValueError(
                f"Regressor: y must have one column for each output of the model. Got shape {y.shape} and "
                f"{output.shape[1]} outputs. Pass (N, {output.shape[1]}), or change the last layer."
            )
        self._train(model, X, targets.astype(output.dtype), nn.MSELoss(), None)
        return self

    def predict(self, X) -> np.ndarray:
        """Return the model's outputs, (N,) for one output, else (N, K).

        >>> Regressor(nn.Flatten()).predict(np.array([[1.0, 2.0]]))
        array([[1., 2.]])
        """
        output = self._outputs(self._trained(), self._images_to_predict(X))
        return output[:, 0] if output.shape[1] == 1 else output

    def save(self, path) -> None:
        """Write model and transform to a safetensors file."""
        self._save(path, None)

    @classmethod
    def load(cls, path) -> Regressor:
        """Return the regressor that `save` wrote to `path`."""
        loaded = cls._load(path)
        return cls(loaded.model, transform=loaded.transform)
