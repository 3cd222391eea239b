"""What a callback sees of a training run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minicnn import nn
from minicnn.training.history import History


@dataclass(eq=False, repr=False)
class TrainingState:
    """Everything of a run that `fit` hands to its callbacks; they may change what they find.

    Attributes
    ----------
    model : nn.Module
    criterion, optimizer : the objects in use, also when `fit` chose them
    scheduler : the scheduler, or None
    loader : data.DataLoader
        Gives the training batches.
    history : History
        Its lists hold the epoch that has just ended.
    epoch : int
        Epochs that are complete; in `on_batch_end` the running one does not count yet.
    batch : int
        The batch in its epoch, from 1; the last one at the end of an epoch.
    images, targets, logits : ndarray
        Of that batch.
    loss : float
        Of that batch.
    stop : bool
        A callback sets it to True to end training after this epoch.

    Examples
    --------
    >>> from minicnn import data, nn
    >>> from minicnn.training import fit
    >>> train = data.ArrayDataset(np.eye(4, dtype=np.float32), np.array([0, 1, 0, 1]))
    >>> def watch(state):
    ...     print(state.epoch, state.logits.shape)
    ...     state.stop = state.epoch == 2
    >>> history = fit(nn.Linear(4, 2, rng=0), train, rng=0, callbacks=[watch], progress=False)
    1 (4, 2)
    2 (4, 2)
    """

    model: nn.Module
    criterion: object
    optimizer: object
    scheduler: object | None
    loader: object
    history: History
    epoch: int = 0
    batch: int = 0
    images: np.ndarray | None = None
    targets: np.ndarray | None = None
    logits: np.ndarray | None = None
    loss: float = float("nan")
    stop: bool = False
