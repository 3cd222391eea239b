"""Classifier: logits -> probabilities -> index -> label, as a scikit-learn estimator."""

from __future__ import annotations

import numpy as np
from sklearn.base import ClassifierMixin

from minicnn import labels, nn
from minicnn.classifier.decision import Decision, as_labels
from minicnn.classifier.estimator import ModelEstimator, warn_if_probabilities
from minicnn.classifier.explain import Chains, explain_logits
from minicnn.classifier.parts import parts_of


class Classifier(ClassifierMixin, ModelEstimator):
    """A model, its preprocessing and its class names: images in, labels out.

    A model that is trained already predicts at once, if `classes` is given. `fit` trains a copy of it,
    `model_`, and leaves `model` as it was; so the estimator can be cloned and works inside
    `cross_val_score` and `GridSearchCV`.

    Parameters
    ----------
    model : nn.Module
        Gives logits: C numbers an image for C classes (softmax), or one for two classes (sigmoid). No
        softmax or sigmoid at its end.
    classes : sequence of str or of int, optional
        The name of class 0, 1, 2, ..., in the order of the logits. Without it `fit` takes the values in
        `y`, sorted.
    transform : callable, optional
        Prepares raw images, as a dataset's `transform`. It is applied to uint8 images and to no others.
    threshold : float
        One logit only: the probability that the second class must exceed.
    abstain_below : float, optional
        Where the most probable class has a smaller probability than this, `predict` says
        ``ABSTAINS = "(abstains)"`` in place of a label; `score` counts that as wrong.
    image_shape : tuple of int, optional
        (H, W) or (H, W, C) of the raw uint8 images that the model was made for. Prediction does not look at
        it; it is kept with the model, so that an image from a file can be brought to that size.
    epochs, batch_size : int
        For `fit`.
    lr : float
        The learning rate, for `fit`.
    optimizer : callable, optional
        Called as ``optimizer(parameters, lr=lr)``; by default `optim.Adam`.
    criterion : loss, optional
        By default `CrossEntropyLoss`, with one logit `BCEWithLogitsLoss`.
    rng : numpy.random.Generator, int or None
        Where the order of the images in `fit` comes from.
    progress : bool
        Whether `fit` shows a progress bar.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        The labels in the order of the columns of `predict_proba`.
    model_ : nn.Module
        The trained copy, after `fit`.
    history_ : History
        Of `fit`.

    Raises
    ------
    TypeError
        If images are neither uint8, float32 nor float64, or uint8 without a `transform`.
    ValueError
        If the number of names does not fit the number of logits, a name comes twice, or a label in `y` is
        not among the classes.

    Notes
    -----
    Images may be ``(N, H, W)`` or ``(N, H, W, C)``, uint8, which `transform` prepares; or float32 or
    float64 in any shape that the model takes, ``(N, C, H, W)`` or ``(N, features)``: these are taken as
    prepared and reach the model as they are.

    In `y` whole floats and bools count as the integers that they equal: `predict` gives integers then.

    Names that are numbers in the order of text ("10" before "2") bring a UserWarning.

    Scorers of scikit-learn that read probabilities (`neg_log_loss`, `roc_auc_ovr`) expect `classes` to be
    sorted; without `classes` they are. `roc_auc` with two logits needs
    ``make_scorer(roc_auc_score, response_method="predict_proba")``.

    Prediction changes nothing in the model, so that several threads may predict at a time.

    Examples
    --------
    >>> layer = nn.Linear(2, 3)
    >>> layer.weight.data[...], layer.bias.data[...] = [[1, 0], [0, 1], [1, 1]], 0
    >>> clf = Classifier(layer, classes=["ant", "bee", "cat"])
    >>> x = np.float32([[2, -1], [-1, 2], [1, 1]])
    >>> clf.decision_function(x)                 # the logits: x0, x1, x0 + x1
    array([[ 2., -1.,  1.],
           [-1.,  2.,  1.],
           [ 1.,  1.,  2.]], dtype=float32)
    >>> clf.predict(x)
    array(['ant', 'bee', 'cat'], dtype='<U3')
    >>> trained = Classifier(layer, epochs=2, rng=0).fit(x, [10, 20, 30])
    >>> trained.classes_
    array([10, 20, 30])
    """

    def __init__(
        self,
        model,
        classes=None,
        transform=None,
        *,
        threshold=0.5,
        abstain_below=None,
        image_shape=None,
        epochs=10,
        batch_size=64,
        lr=1e-3,
        optimizer=None,
        criterion=None,
        rng=None,
        progress=False,
    ) -> None:
        self.model = model
        self.classes = classes
        self.transform = transform
        self.threshold = threshold
        self.abstain_below = abstain_below
        self.image_shape = image_shape
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.optimizer = optimizer
        self.criterion = criterion
        self.rng = rng
        self.progress = progress

    # Training

    def fit(self, X, y) -> Classifier:
        """Train a copy of `model` on images `X` and labels `y`, both of length N; return the estimator.

        Ctrl-C ends the training after the running step and raises KeyboardInterrupt; `model_`, which has
        learned so far, predicts then.

        >>> clf = Classifier(nn.Linear(2, 2), classes=["cat", "dog"], epochs=1, rng=0)
        >>> clf.fit(np.eye(2, dtype=np.float32), ["dog", "cat"]).score(np.eye(2), ["dog", "dog"])
        Traceback (most recent call last):
        TypeError: Linear: input must be float32, as the layer's parameters are. Got float64. Convert the \
input with .astype(np.float32), or the model with model.astype(np.float64).
        """
        X, y = self._checked_images(X), as_labels(y)
        self._check_lengths(X, y)
        classes = np.unique(y) if self.classes is None else self._given_classes(stacklevel=2)
        indexes = labels.indexes_of(y, classes, "Classifier", "y")  # (N,)
        model = self._fresh_model(X, y)
        warn_if_probabilities("Classifier", model)
        logits = self._outputs(model, X[:1])
        Decision(classes, self.threshold, self.abstain_below).check(logits)
        if logits.shape[1] == 1:
            targets = indexes[:, np.newaxis].astype(logits.dtype)  # (N, 1)
            self._train(model, X, targets, nn.BCEWithLogitsLoss(), classes)
        else:
            self._train(model, X, indexes, nn.CrossEntropyLoss(), classes)
        return self

    # Prediction

    @property
    def classes_(self) -> np.ndarray:
        """The labels in the order of the columns of `predict_proba`."""
        fitted = vars(self).get("_fitted_classes")
        if fitted is not None:
            return fitted
        if self.classes is None:
            raise self._not_fitted("classes_")
        return self._given_classes(stacklevel=2)

    def decision_function(self, X) -> np.ndarray:
        """Return the logits, (N, C); (N,) for a model with one logit.

        >>> layer = nn.Linear(1, 1)
        >>> layer.weight.data[...], layer.bias.data[...] = 2, -1
        >>> Classifier(layer, classes=["cat", "dog"]).decision_function(np.float32([[3]]))     # 2·3 - 1
        array([5.], dtype=float32)
        """
        logits, _ = self._decide(X, "decision_function")
        return logits[:, 0] if logits.shape[1] == 1 else logits

    def predict_proba(self, X) -> np.ndarray:
        """Return the probability of each class, (N, C); rows sum to 1.

        >>> layer = nn.Linear(1, 1)
        >>> layer.weight.data[...], layer.bias.data[...] = 0, np.log(3)
        >>> Classifier(layer, classes=["cat", "dog"]).predict_proba(np.float32([[7]]))    # 1/(1+3), 3/(1+3)
        array([[0.25, 0.75]], dtype=float32)
        """
        logits, decision = self._decide(X, "predict_proba")
        return decision.probabilities(logits)

    def predict(self, X) -> np.ndarray:
        """Return the label of each image, (N,).

        With `abstain_below` an entry may be ``"(abstains)"``; beside integer labels the array then has
        dtype object.

        Warns
        -----
        RuntimeWarning
            If logits are NaN or infinite, so that labels mean nothing.

        Examples
        --------
        >>> clf = Classifier(nn.Flatten(), classes=["cat", "dog"], abstain_below=0.7)
        >>> clf.predict(np.log([[1.0, 4.0], [2.0, 3.0]]))           # 4/5; 3/5
        array(['dog', '(abstains)'], dtype='<U10')
        """
        logits, decision = self._decide(X, "predict")
        return decision.labels(logits)

    def score(self, X, y, sample_weight=None) -> float:
        """Return the accuracy, the share of images whose label is that in `y`; abstentions are wrong.

        >>> Classifier(nn.Flatten(), classes=["cat", "dog"]).score(np.eye(2), ["cat", "cat"])
        0.5
        """
        logits, decision = self._decide(X, "score")
        y = as_labels(y)
        self._check_lengths(logits, y)
        right = decision.indexes(logits) == labels.indexes_of(y, decision.classes, "Classifier", "y")
        return float(np.average(right & ~decision.abstains(logits), weights=sample_weight))

    def explain(self, X, top_k: int = 3) -> Chains:
        """Return, for each image, the whole chain from its logits to its label; print it to read it.

        Parameters
        ----------
        X : images, as for `predict`
        top_k : int
            How many of the most probable classes are ranked.

        Returns
        -------
        Chains
            A tuple of `SoftmaxChain` or `SigmoidChain`, which prints as a page and shows as tables in a
            notebook. Its `notes` say where classes tie, a logit is not finite, or the label is withheld.

        Examples
        --------
        >>> clf = Classifier(nn.Flatten(), classes=["cat", "dog"])
        >>> clf.explain(np.log([[1.0, 3.0]]))
        image 0: 2 logits -> softmax -> argmax -> label
          index  class  logit z  z - max  exp(z - max)  probability  rank
              0  cat     0.0000  -1.0986      0.333333     0.250000     2
              1  dog     1.0986   0.0000      1.000000     0.750000     1
          max 1.0986, sum of exp 1.333333, probability = exp / sum
          argmax: index 1 -> class 'dog' -> label 'dog'
          top 2: 'dog' 0.750000, 'cat' 0.250000
        """
        return explain_logits(*self._decide(X, "explain"), top_k)

    # Files

    def save(self, path) -> None:
        """Write model, class names, transform, threshold and `abstain_below` to a safetensors file.

        What `fit` takes (epochs, learning rate, ...) is not kept.
        """
        if not self.__sklearn_is_fitted__():
            raise self._not_fitted("save")
        self._save(
            path,
            self.classes_.tolist(),
            threshold=float(self.threshold),
            abstain_below=None if self.abstain_below is None else float(self.abstain_below),
            image_shape=None if self.image_shape is None else [int(size) for size in self.image_shape],
        )

    @classmethod
    def load(cls, path) -> Classifier:
        """Return the classifier that `save` wrote to `path`."""
        loaded = cls._load(path)
        return cls(loaded.model, transform=loaded.transform, **parts_of(loaded, path))

    # Checks

    def _decide(self, X, method: str) -> tuple[np.ndarray, Decision]:
        """Return the logits of `X`, and the rule that makes labels of them."""
        if not self.__sklearn_is_fitted__():
            raise self._not_fitted(method)
        classes = vars(self).get("_fitted_classes")
        if classes is None:
            classes = self._given_classes(stacklevel=3)
        decision, model = Decision(classes, self.threshold, self.abstain_below), self._trained()
        warn_if_probabilities("Classifier", model, stacklevel=3)
        logits = self._outputs(model, self._images_to_predict(X))
        decision.check(logits)
        return logits, decision

    def _given_classes(self, stacklevel: int) -> np.ndarray:
        classes = labels.as_classes("Classifier", self.classes)
        labels.warn_if_sorted_as_text("Classifier", classes, stacklevel=stacklevel + 1)
        return classes

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_") or self.classes is not None
