"""A run in a file: everything that the next epoch depends on, so that it comes out the same, bit for bit.

weights and buffers, the optimizer's and the scheduler's state, the state of every random generator (of the
loader, its sampler and the dropout layers), the history, the best weights, the early-stopping counter.
"""

from __future__ import annotations

import os

import numpy as np

from minicnn.checkpoint import files
from minicnn.training.best import Best
from minicnn.training.facts import dataset_facts, facts_of, first_difference, generators_of
from minicnn.training.packing import pack, unpack
from minicnn.training.state import TrainingState


class OtherCall(ValueError):
    """A checkpoint comes from another call of `fit`.

    Attributes
    ----------
    name : str
        What differs, as `facts_of` names it.
    before, now : object
        What stands there in the file, and in the call.

    Examples
    --------
    >>> error = OtherCall("fit: checkpoint 'a' must come from the same call.", "batch_size", 8, 4)
    >>> error.name, error.before, error.now
    ('batch_size', 8, 4)
    """

    def __init__(self, message: str, name: str = "", before=None, now=None) -> None:
        super().__init__(message)
        self.name, self.before, self.now = name, before, now


class RunFile:
    """The checkpoint of one run.

    Parameters
    ----------
    path : str or path
    state : TrainingState
    best : Best
    validating : data.DataLoader or None

    Examples
    --------
    >>> import tempfile
    >>> from minicnn import data, nn
    >>> from minicnn.training import fit
    >>> train = data.ArrayDataset(np.eye(4, dtype=np.float32), np.array([0, 1, 0, 1]))
    >>> def train_for(epochs, checkpoint=None):
    ...     model = nn.Sequential(nn.Linear(4, 2, rng=0), nn.Dropout(0.5, rng=0))
    ...     fit(model, train, epochs=epochs, batch_size=2, rng=0, checkpoint=checkpoint, progress=False)
    ...     return model[0].weight.data
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     halfway = train_for(2, folder + "/run.safetensors")
    ...     resumed = train_for(4, folder + "/run.safetensors")
    >>> np.array_equal(resumed, train_for(4))
    True
    """

    def __init__(self, path, state: TrainingState, best: Best, validating) -> None:
        self.path, self.state, self.best = path, state, best
        self.call = facts_of(state) | {
            "validation set": None if validating is None else dataset_facts(validating.dataset),
            "early_stopping": best.patience,
            "keep_best": best.keep,
        }

    def save(self) -> None:
        """Write the state at the end of an epoch, in one step."""
        tensors: dict[str, np.ndarray] = {}
        packed = pack({"call": self.call, **self._content()}, tensors)
        files.write(self.path, "training", tensors, {"run": packed})

    def restore(self, epochs: int) -> None:
        """Bring the run to where the file has it, if there is one.

        Raises
        ------
        ValueError
            If the file is damaged, belongs to another call, or is past `epochs` already; the run is as it
            was then.
        """
        files.remove_leftovers(self.path)
        if not os.path.exists(self.path):
            return
        content, tensors = files.read(self.path, "training", "fit", "fit")
        here = self._content()
        try:
            run = unpack(content["run"], tensors)
            before, done = dict(run["call"]), int(run["epoch"])
        except Exception as error:  # the checksum fits, so somebody made the file with care
            raise self._refusal(error) from error
        self._check_same_call(before)
        if done > epochs:
            raise ValueError(
                f"fit: checkpoint {str(self.path)!r} must not be past the last epoch. Got {done} epochs in "
                f"the file, epochs={epochs} in the call. Pass a larger number, or another path."
            )
        try:
            self._apply(run)
        except Exception as error:
            self._apply(here)
            raise self._refusal(error) from error

    def _content(self) -> dict:
        state = self.state
        return {
            "epoch": state.epoch,
            "stop": state.stop,
            "history": state.history.state_dict(),
            "best": self.best.state_dict(),
            "model": state.model.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "scheduler": None if state.scheduler is None else state.scheduler.state_dict(),
            "generators": {name: g.bit_generator.state for name, g in generators_of(state).items()},
        }

    def _apply(self, content: dict) -> None:
        state = self.state
        state.model.load_state_dict(content["model"])
        state.optimizer.load_state_dict(content["optimizer"])
        if state.scheduler is not None:
            state.scheduler.load_state_dict(content["scheduler"])
        for name, generator in generators_of(state).items():
            generator.bit_generator.state = content["generators"][name]
        state.history.load_state_dict(content["history"])
        self.best.load_state_dict(content["best"])
        state.epoch, state.stop = content["epoch"], content["stop"]

    def _check_same_call(self, before: dict) -> None:
        if before != self.call:
            name, was, now = first_difference("", before, self.call)
            raise OtherCall(
                f"fit: checkpoint {str(self.path)!r} must come from the same call. Got another {name}: "
                f"{was!r:.200} in the file, {now!r:.200} in the call. "
                "Pass what was passed before, or another path.",
                name,
                was,
                now,
            )

    def _refusal(self, error: Exception) -> ValueError:
        return files.refusal(self.path, "fit", "fit", f"contents that do not fit ({type(error).__name__})")
