"""What Classifier and Regressor share: images in, numbers out, training, a file."""

from __future__ import annotations

import copy
import warnings

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from minicnn import checkpoint, checks, nn, optim
from minicnn.checkpoint.files import RefusedFile
from minicnn.data import ArrayDataset
from minicnn.training import fit

# Images a forward pass takes at a time in inference: enough to be fast, little memory.
INFERENCE_BATCH = 256


def in_eval_mode(model: nn.Module) -> nn.Module:
    """Return `model` as it behaves in evaluation, without touching it.

    A model in training mode is copied, but its parameters and buffers are shared, so that the copy costs
    next to nothing and other threads see no change.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 1), nn.Dropout(0.5))
    >>> twin = in_eval_mode(model)
    >>> model.training, twin.training, twin[0].weight is model[0].weight
    (True, False, True)
    >>> in_eval_mode(twin) is twin
    True
    """
    if not any(module.training for module in model.modules()):
        return model
    shared = [*model.parameters(), *(buffer for _, buffer in model.named_buffers())]
    known = {id(array): array for array in shared}
    known.update((id(module.saved), {}) for module in model.modules())
    return copy.deepcopy(model, known).eval()


def forget(model: nn.Module) -> nn.Module:
    """Drop gradients and what the last forward saved, so that copies and pickles stay small.

    >>> layer = nn.Linear(2, 1)
    >>> output = layer(np.zeros((1, 2), np.float32))
    >>> forget(layer).saved
    {}
    """
    model.zero_grad()
    for module in model.modules():
        module.saved = {}
    return model


def warn_if_probabilities(who: str, model: nn.Module, stacklevel: int = 2) -> None:
    """Warn if a chain of layers ends in a softmax or sigmoid: it would be applied twice.

    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn_if_probabilities("Classifier", nn.Sequential(nn.Linear(2, 3), nn.Softmax(dim=1)))
    >>> print(caught[0].message)
    Classifier: the model must end in logits. Got Softmax "1" as its last layer, so that probabilities are \
squeezed twice. Leave it out: predict_proba applies it.
    """
    last = model
    while isinstance(last, nn.Sequential | nn.Graph) and last.children():
        last = last[-1] if isinstance(last, nn.Sequential) else last.find(last.nodes[-1][1])
    if isinstance(last, nn.Softmax | nn.Sigmoid):
        warnings.warn(
            f"{who}: the model must end in logits. Got {last.who} as its last layer, so that probabilities "
            "are squeezed twice. Leave it out: predict_proba applies it.",
            UserWarning,
            stacklevel=stacklevel + 1,
        )


class ModelEstimator(BaseEstimator):
    """The base of Classifier and Regressor; not used by itself.

    >>> ModelEstimator().__sklearn_is_fitted__()
    True
    """

    def __sklearn_is_fitted__(self) -> bool:
        return True  # a given model predicts as it is

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True  # NaN goes through, as everywhere in this package
        tags.requires_fit = False
        tags.non_deterministic = self.rng is None
        return tags

    @property
    def _who(self) -> str:
        return type(self).__name__

    def _given_model(self) -> nn.Module:
        if not isinstance(self.model, nn.Module):
            raise TypeError(
                f"{self._who}: model must be a minicnn module. Got {checks.called(self.model)}. "
                "Pass for example nn.Sequential(...)."
            )
        return self.model

    def _fresh_model(self, X: np.ndarray, y: np.ndarray) -> nn.Module:
        """Return the copy of `model` that `fit` trains."""
        return forget(copy.deepcopy(self._given_model()))

    def _trained(self) -> nn.Module:
        """Return the model that predicts: the one that `fit` trained, or the given one."""
        return self.model_ if hasattr(self, "model_") else self._given_model()

    def _checked_images(self, X) -> np.ndarray:
        X = np.asarray(X)
        if X.dtype == np.uint8:
            if self.transform is None:
                raise TypeError(
                    f"{self._who}: uint8 images need a transform. Got uint8 of shape {X.shape} and "
                    "transform=None. Pass transform=dataset.transform, or prepared float images."
                )
            if X.ndim not in (3, 4):
                raise ValueError(
                    f"{self._who}: uint8 images must be (N, H, W) or (N, H, W, C). Got shape {X.shape}. "
                    "For a single image pass image[np.newaxis]."
                )
        elif X.dtype not in checks.FLOATS:
            raise TypeError(
                f"{self._who}: images must be uint8, float32 or float64. Got {X.dtype} of shape {X.shape}. "
                "Pass raw uint8 images, or prepared ones with .astype(np.float32)."
            )
        elif X.ndim < 2:
            raise ValueError(
                f"{self._who}: images must be a batch, such as (N, C, H, W) or (N, features). Got shape "
                f"{X.shape}. For a single image pass image[np.newaxis]."
            )
        return X

    def _images_to_predict(self, X) -> np.ndarray:
        """Return checked images; rows must be as long as in the last fit, which another fit may change."""
        X = self._checked_images(X)
        features = getattr(self, "n_features_in_", None)
        if X.ndim == 2 and features is not None and X.shape[1] != features:
            raise ValueError(
                f"{self._who}: X must have the columns it had in fit. X has {X.shape[1]} features, but "
                f"{self._who} is expecting {features} features as input. Pass the same columns."
            )
        return X

    def _prepared(self, X: np.ndarray) -> np.ndarray:
        return self.transform(X) if X.dtype == np.uint8 else X

    def _outputs(self, model: nn.Module, X: np.ndarray) -> np.ndarray:
        """Return what `model` gives for checked images, (N, K), batch by batch."""
        model, parts = in_eval_mode(model), []
        with nn.no_grad():
            for start in range(0, max(len(X), 1), INFERENCE_BATCH):
                images = self._prepared(X[start : start + INFERENCE_BATCH])
                output = model(images)
                if output.ndim != 2 or len(output) != len(images):
                    raise ValueError(
                        f"{self._who}: the model must give one row of numbers for each image. Got shape "
                        f"{output.shape} for images of shape {images.shape}. Pass a batch (N, C, H, W), and "
                        "end the model with nn.Flatten() and nn.Linear(...)."
                    )
                parts.append(output)
        return np.concatenate(parts)  # (N, K)

    def _train(self, model: nn.Module, X: np.ndarray, targets: np.ndarray, criterion, classes) -> None:
        """Train `model` in place and keep it as `model_`, after Ctrl-C too; then Ctrl-C goes on to the caller."""
        checks.as_int(self._who, "epochs", self.epochs, minimum=1)
        criterion = copy.deepcopy(criterion if self.criterion is None else self.criterion)
        build = optim.Adam if self.optimizer is None else self.optimizer
        if not callable(build):
            raise TypeError(
                f"{self._who}: optimizer must be a class, or a function of parameters and lr. Got {build!r}. "
                "Pass for example optim.SGD (without brackets)."
            )
        transform = self.transform if X.dtype == np.uint8 else None
        self.history_ = fit(
            model,
            ArrayDataset(X, targets, classes=classes, transform=transform),
            epochs=self.epochs,
            batch_size=self.batch_size,
            criterion=criterion,
            optimizer=build(model.parameters(), lr=self.lr),
            rng=self.rng,
            progress=self.progress,
        )
        self.model_, self._fitted_classes = forget(model.eval()), classes
        vars(self).pop("n_features_in_", None)  # of a fit before
        if X.ndim == 2:
            self.n_features_in_ = X.shape[1]
        if self.history_.interrupted:  # else a cross-validation would go on, and score half a fit
            raise KeyboardInterrupt

    def _check_lengths(self, X: np.ndarray, y: np.ndarray) -> None:
        if len(X) != len(y) or len(X) == 0:
            raise ValueError(
                f"{self._who}: X and y must have the same length, at least 1. Got {len(X)} and {len(y)}. "
                "Pass one target for each image."
            )

    def _not_fitted(self, method: str) -> NotFittedError:
        return NotFittedError(
            f"{self._who}: {method} needs class names or a fit. Got classes=None and a model of which "
            "nothing is known. Pass classes=train.classes, or call fit(X, y) first."
        )

    def _save(self, path, classes, **extra) -> None:
        checkpoint.save(
            path,
            self._trained(),
            classes=classes,
            transform=self.transform,
            extra={"kind": self._who, **extra},
        )

    @classmethod
    def _load(cls, path):
        """Return what lies in a file that `save` of the same class wrote."""
        loaded = checkpoint.load(path)
        kind = (loaded.extra or {}).get("kind")
        if kind is None:
            raise RefusedFile(
                f"{cls.__name__}: load needs a file that {cls.__name__}.save wrote. Got {str(path)!r}, a bare "
                f"model of checkpoint.save. Save it with {cls.__name__}(model, ...).save, or use checkpoint.load.",
                "a bare model of checkpoint.save",
            )
        if kind != cls.__name__:
            raise RefusedFile(
                f"{cls.__name__}: load needs a file that {cls.__name__}.save wrote. Got {str(path)!r} with "
                f"kind {kind!r}. Use the class that saved it, or checkpoint.load.",
                f"a {kind!s:.40}",
            )
        return loaded
