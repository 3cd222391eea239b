"""What `fit` is given, checked; and what it takes where nothing is given."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minicnn import checks, data, nn, optim


def check_counts(epochs: int, batch_size: int, early_stopping: int | None) -> None:
    """Raise unless epochs, batch size and patience are positive integers.

    >>> check_counts(0, 64, None)
    Traceback (most recent call last):
    ValueError: fit: epochs must be at least 1. Got 0. Pass a larger number.
    """
    checks.as_int("fit", "epochs", epochs, minimum=1)
    checks.as_int("fit", "batch_size", batch_size, minimum=1)
    if early_stopping is not None:
        checks.as_int("fit", "early_stopping", early_stopping, minimum=1)


def check_object(who: str, what: str, value, needed: tuple[str, ...], example: str) -> None:
    """Raise TypeError unless `value` is an object, no class, with all that is used of it.

    Losses, optimizers and schedulers of one's own need no more than that.

    >>> check_object("fit", "scheduler", optim.lr_scheduler.StepLR, ("step",), "StepLR(optimizer, 10)")
    Traceback (most recent call last):
    TypeError: fit: scheduler must be an object with step. Got the class StepLR. \
Pass for example StepLR(optimizer, 10).
    """
    if isinstance(value, type) or not all(hasattr(value, name) for name in needed):
        got = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
        raise TypeError(
            f"{who}: {what} must be an object with {', '.join(needed)}. Got {got}. Pass for example {example}."
        )


def check_validation(validation, early_stopping: int | None, keep_best: bool, scheduler) -> None:
    """Raise ValueError if something looks at the validation loss and there is none.

    >>> check_validation(None, early_stopping=3, keep_best=False, scheduler=None)
    Traceback (most recent call last):
    ValueError: fit: early_stopping looks at the validation loss. Got validation=None. \
Pass a validation set (data.split makes one).
    """
    plateau = isinstance(scheduler, optim.lr_scheduler.ReduceLROnPlateau)
    named = {"early_stopping": early_stopping, "keep_best": keep_best, "ReduceLROnPlateau": plateau}
    wanted = [name for name, value in named.items() if value]
    if validation is None and wanted:
        raise ValueError(
            f"fit: {wanted[0]} looks at the validation loss. Got validation=None. "
            "Pass a validation set (data.split makes one)."
        )


def as_callbacks(callbacks) -> tuple[Callable, ...]:
    """Return callbacks as a tuple.

    >>> as_callbacks(print)
    Traceback (most recent call last):
    TypeError: fit: callbacks must be a list of callables. Got builtin_function_or_method. \
Pass callbacks=[your_function].
    """
    listed = tuple(callbacks) if isinstance(callbacks, list | tuple) else (None,)
    wrong = [callback for callback in listed if not callable(callback)]
    if wrong:
        got = callbacks if wrong == [None] and listed == (None,) else wrong[0]
        raise TypeError(
            f"fit: callbacks must be a list of callables. Got {type(got).__name__}. "
            "Pass callbacks=[your_function]."
        )
    return listed


def as_training_loader(train, batch_size: int, transform, rng):
    """Return the batches of the training set in random order; a loader as it is.

    >>> train = data.ArrayDataset(np.zeros((10, 2), np.float32), np.zeros(10, np.int64))
    >>> loader = as_training_loader(train, batch_size=4, transform=None, rng=0)
    >>> len(loader), loader.shuffle, as_training_loader(loader, 64, None, None) is loader
    (3, True, True)
    """
    if isinstance(train, data.DataLoader):
        if transform is not None or rng is not None:
            raise ValueError(
                "fit: a DataLoader brings its own transform and generator. Got transform or rng besides. "
                "Pass them to the DataLoader."
            )
        loader = train
    else:
        options = {} if transform is None else {"transform": transform}
        loader = data.DataLoader(train, batch_size=batch_size, shuffle=True, rng=rng, **options)
    check_batches("train", loader)
    return loader


def check_batches(what: str, loader: data.DataLoader) -> None:
    """Raise ValueError for a loader without a batch: the mean of nothing is NaN.

    >>> empty = data.ArrayDataset(np.zeros((0, 2), np.float32), np.zeros(0, np.int64))
    >>> check_batches("validation", data.DataLoader(empty, batch_size=256))
    Traceback (most recent call last):
    ValueError: fit: validation must give at least one batch. Got 0 images in batches of 256. \
Pass more images, or smaller batches.
    """
    if len(loader) == 0:
        raise ValueError(
            f"fit: {what} must give at least one batch. Got {len(loader.dataset)} images in batches of "
            f"{loader.batch_size}. Pass more images, or smaller batches."
        )


def as_criterion(criterion, class_weights, dataset, model: nn.Module):
    """Return the loss: the given one, or a cross-entropy with class weights.

    >>> as_criterion(None, [1, 3], None, nn.Linear(2, 2, dtype=np.float64)).weight
    array([1., 3.])
    """
    if criterion is not None:
        check_object("fit", "criterion", criterion, ("__call__", "backward"), "nn.CrossEntropyLoss()")
        if class_weights is not None:
            raise ValueError(
                "fit: class_weights belong to the default criterion. Got a criterion besides. "
                "Pass criterion=nn.CrossEntropyLoss(weight=...)."
            )
        return criterion
    if class_weights is None:
        return nn.CrossEntropyLoss()
    if isinstance(class_weights, str) and class_weights == "balanced":
        class_weights = balanced_weights(dataset)
    if isinstance(class_weights, str):
        raise ValueError(
            f"fit: class_weights must be 'balanced' or one number a class. Got {class_weights!r}. "
            "Pass class_weights='balanced'."
        )
    dtype = next((parameter.data.dtype for parameter in model.parameters()), np.float32)
    return nn.CrossEntropyLoss(weight=np.asarray(class_weights, dtype))


def balanced_weights(dataset) -> np.ndarray:
    """Return ``N / (C · N_c)`` for each class c: all classes weigh the same, and N images N in all.

    >>> images, targets = np.zeros((4, 1), np.float32), np.array([0, 0, 0, 1])
    >>> balanced_weights(data.ArrayDataset(images, targets)).round(3).tolist()     # 4 / (2·3), 4 / (2·1)
    [0.667, 2.0]
    """
    targets = np.asarray(dataset.targets)
    if targets.ndim != 1 or targets.dtype.kind not in "iu":
        raise TypeError(
            "fit: class_weights='balanced' needs integer class indexes of shape (N,). "
            f"Got targets {targets.dtype} of shape {targets.shape}. Pass the weights as an array."
        )
    classes = dataset.classes
    counts = np.bincount(targets, minlength=0 if classes is None else len(classes))  # (C,)
    if not counts.all():
        raise ValueError(
            "fit: class_weights='balanced' needs images of every class. "
            f"Got none of class {int(counts.argmin())}. Pass the weights as an array."
        )
    return len(targets) / (len(counts) * counts)  # (C,)


def as_optimizer(optimizer, scheduler, model: nn.Module):
    """Return the optimizer: the given one, the scheduler's, or Adam with lr 1e-3.

    >>> model = nn.Linear(2, 2)
    >>> as_optimizer(None, None, model).param_groups[0]["lr"]
    0.001
    >>> sgd = optim.SGD(model.parameters(), lr=0.1)
    >>> as_optimizer(None, optim.lr_scheduler.StepLR(sgd, 1), model) is sgd
    True
    """
    if optimizer is not None:
        needed = ("param_groups", "step", "zero_grad")
        check_object("fit", "optimizer", optimizer, needed, "optim.SGD(model.parameters())")
    if scheduler is not None:
        check_object("fit", "scheduler", scheduler, ("step",), "optim.lr_scheduler.StepLR(optimizer, 10)")
    own = getattr(scheduler, "optimizer", None)
    if optimizer is None:
        optimizer = optim.Adam(model.parameters(), lr=1e-3) if own is None else own
    elif own is not None and own is not optimizer:
        raise ValueError(
            f"fit: the scheduler must belong to the optimizer. Got a {type(scheduler).__name__} of another "
            "one. Build it as scheduler = StepLR(optimizer, ...)."
        )
    learned = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    if learned.isdisjoint(id(parameter) for parameter in model.parameters()):
        raise ValueError(
            "fit: the optimizer must hold parameters of the model. Got an optimizer with none of them. "
            "Build it after the model, from model.parameters()."
        )
    return optimizer
