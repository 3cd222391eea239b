"""fit: the training loop, and what stands around it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from minicnn import nn, optim
from minicnn.training import arguments
from minicnn.training.best import Best
from minicnn.training.evaluation import Tally, as_loader, check_reduction, run
from minicnn.training.history import History
from minicnn.training.interrupt import DeferredInterrupt
from minicnn.training.progress import Progress
from minicnn.training.resume import RunFile
from minicnn.training.state import TrainingState

# Images a forward pass takes at a time where nothing is learned: enough to be fast, little memory.
VALIDATION_BATCH = 256


def fit(
    model: nn.Module,
    train,
    *,
    validation=None,
    epochs: int = 10,
    batch_size: int = 64,
    criterion=None,
    optimizer=None,
    scheduler=None,
    rng=None,
    checkpoint=None,
    callbacks: Sequence[Callable] = (),
    class_weights=None,
    early_stopping: int | None = None,
    keep_best: bool = False,
    progress: bool = True,
    transform=None,
) -> History:
    """Train `model` in place and return what happened.

    Each step is ``θ ← θ - update(∂L/∂θ)``, with the gradient of the criterion's mean over one batch; an
    epoch sees every image once, in a new order.

    Parameters
    ----------
    model : nn.Module
        Left in training mode.
    train : data.ArrayDataset or data.DataLoader
        A loader brings its own batch size, order, transform and generator (for example with a
        `WeightedRandomSampler`); `batch_size` is not used then.
    validation : data.ArrayDataset or data.DataLoader, optional
        Evaluated after each epoch, in evaluation mode, with its own transform.
    epochs : int
        Of the whole run: one that goes on from a checkpoint counts those that are done.
    batch_size : int
        The last batch of an epoch holds what remains.
    criterion : loss, optional
        By default ``nn.CrossEntropyLoss(weight=class_weights)``.
    optimizer : optimizer, optional
        By default the scheduler's, and without one ``optim.Adam(model.parameters(), lr=1e-3)``.
    scheduler : scheduler of `optim.lr_scheduler`, optional
        `OneCycleLR` steps after each batch, all others after each epoch; `ReduceLROnPlateau` is given the
        validation loss. (Any scheduler whose attribute `interval` is "batch" steps after each batch.)
    rng : numpy.random.Generator, int or None
        Where the order of the images and the transform's draws come from. Initial weights and dropout have
        generators of their own.
    checkpoint : str or path, optional
        A file that is written before the first epoch and after each, in one step. If it exists, training
        goes on from there, and ends with the same bits as a run that was never interrupted, wherever that
        one was killed. Pass the same arguments again; only `epochs` may grow.
    callbacks : list of callable
        Each is called as ``callback(state)`` with a `TrainingState` after each epoch: when validation,
        scheduler and history are done, before the checkpoint is written. If it has a method
        `on_batch_end`, that is called as ``on_batch_end(state)`` after each training step.
    class_weights : "balanced" or array of shape (C,), optional
        For the default criterion: what an error in each class counts. "balanced" is
        ``N / (C · N_c)``, with N_c images of class c in `train`.
    early_stopping : int, optional
        Stop once the validation loss has not been lower than ever before for so many epochs in a row.
    keep_best : bool
        Whether the model ends with the weights of the epoch with the lowest validation loss; else with
        those of the last step.
    progress : bool
        Whether to print one line an epoch, and on a terminal to show a bar with loss and accuracy.
    transform : callable, optional
        For the training images, in place of ``train.transform``: here random shifts and flips belong.

    Returns
    -------
    History

    Notes
    -----
    Ctrl-C ends the training after the running step: `fit` returns with ``history.interrupted`` and
    everything learned so far (with `keep_best` the best weights). The third Ctrl-C raises at once,
    whatever state the model is in.

    The images must have the dtype of the model: for a model in float64, let the transform end in one that
    gives float64.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or the images' dtype is not the model's.
    ValueError
        If there are no images to learn from or to validate, arguments contradict each other, or the
        checkpoint is damaged or belongs to another call.

    Examples
    --------
    >>> import numpy as np
    >>> from minicnn import data
    >>> images = np.float32([[0, 1], [1, 0], [0, 2], [2, 0]])
    >>> train = data.ArrayDataset(images, np.array([0, 1, 0, 1]))
    >>> model = nn.Linear(2, 2, rng=0)
    >>> history = fit(model, train, validation=train, epochs=30, batch_size=2, rng=0, progress=False,
    ...               optimizer=optim.SGD(model.parameters(), lr=0.5))
    >>> len(history), history.val_accuracy[-1], history.val_loss[-1] < history.val_loss[0]
    (30, 1.0, True)
    """
    nn.tree.check_module("fit", "model", model)
    arguments.check_counts(epochs, batch_size, early_stopping)
    arguments.check_validation(validation, early_stopping, keep_best, scheduler)
    callbacks = arguments.as_callbacks(callbacks)
    loader = arguments.as_training_loader(train, batch_size, transform, rng)
    criterion = arguments.as_criterion(criterion, class_weights, loader.dataset, model)
    check_reduction("fit", criterion)
    optimizer = arguments.as_optimizer(optimizer, scheduler, model)
    validating = None if validation is None else as_loader(validation, VALIDATION_BATCH)
    if validating is not None:
        arguments.check_batches("validation", validating)

    state = TrainingState(model, criterion, optimizer, scheduler, loader, History())
    best = Best(early_stopping, keep_best)
    file = None
    if checkpoint is not None:
        file = RunFile(checkpoint, state, best, validating)
        file.restore(epochs)
        file.save()  # now, because a path that cannot be written should not be found out after an hour
    shown = Progress(progress, epochs)
    with DeferredInterrupt() as interrupt:
        try:
            while state.epoch < epochs and not state.stop:
                interrupt.check()
                _run_epoch(state, best, validating, callbacks, shown, interrupt)
                if file is not None:
                    file.save()
        except KeyboardInterrupt:
            if interrupt.forced:
                raise
            state.history.interrupted = True
    state.history.stopped_early = state.stop and state.epoch < epochs
    best.restore(model)
    return state.history


def _run_epoch(state: TrainingState, best: Best, validating, callbacks, shown, interrupt) -> None:
    """Train on every batch once, evaluate, and do what comes after an epoch, in the documented order."""
    started = time.perf_counter()
    numbers = _train_epoch(state, callbacks, shown, interrupt)
    if validating is not None:
        found = run(state.model, validating, state.criterion, between=interrupt.check)
        numbers |= {"val_loss": found["loss"], "val_accuracy": found["accuracy"]}
        state.stop = best.update(found["loss"], state.model)
    step_scheduler(state.scheduler, "epoch", numbers.get("val_loss"))
    state.history.append(**numbers, seconds=time.perf_counter() - started)
    state.epoch += 1
    shown.epoch(state.history)
    for callback in callbacks:
        callback(state)


def _train_epoch(state: TrainingState, callbacks, shown, interrupt) -> dict[str, float]:
    """Take a step on every batch; return loss, accuracy and the last learning rate."""
    state.model.train()
    tally, lr = Tally(state.criterion), float("nan")
    with shown.bar(state.epoch + 1, len(state.loader)) as bar:
        for batch, (images, targets) in enumerate(state.loader, start=1):
            state.batch, state.images, state.targets = batch, images, targets
            lr = _train_step(state)
            tally.add(state.loss, state.logits, targets)
            shown.batch(bar, tally)
            for callback in callbacks:
                if hasattr(callback, "on_batch_end"):
                    callback.on_batch_end(state)
            interrupt.check()
    return {"loss": tally.loss, "accuracy": tally.accuracy, "lr": lr}


def _train_step(state: TrainingState) -> float:
    """Learn from the batch in `state`, and return the learning rate that was used."""
    state.logits = state.model(state.images)
    state.loss = state.criterion(state.logits, state.targets)
    state.optimizer.zero_grad()
    state.model.backward_parameters(state.criterion.backward())
    lr = state.optimizer.param_groups[0]["lr"]
    state.optimizer.step()
    step_scheduler(state.scheduler, "batch", None)
    return lr


def step_scheduler(scheduler, after: str, val_loss: float | None) -> None:
    """Move the learning rate if the scheduler's turn comes `after` a "batch" or an "epoch".

    >>> import numpy as np
    >>> optimizer = optim.SGD([nn.Parameter(np.float32([1]))], lr=1.0)
    >>> halve = optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    >>> step_scheduler(halve, "batch", None); step_scheduler(halve, "epoch", None)
    >>> optimizer.param_groups[0]["lr"]
    0.5
    """
    if scheduler is None or getattr(scheduler, "interval", "epoch") != after:
        return
    if isinstance(scheduler, optim.lr_scheduler.ReduceLROnPlateau):
        scheduler.step(val_loss)
    else:
        scheduler.step()
