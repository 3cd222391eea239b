"""checkpoint=: killed at any moment and started again, a run ends with the same bits."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from minicnn import data, optim
from minicnn.training import fit
from tests.test_training import assert_same_bits, network, script_validation, two_classes


class Noise:
    """A transform that draws."""

    def __call__(self, images, rng=None):
        return images + rng.normal(size=images.shape).astype(images.dtype)


class Killed(Exception):
    pass


def kill_in(epoch: int, batch: int):
    """Return a callback that raises in the middle of an epoch (from 1), as if the process had died there."""

    class Kill:
        def __call__(self, state):
            pass

        def on_batch_end(self, state):
            if (state.epoch + 1, state.batch) == (epoch, batch):
                raise Killed

    return Kill()


def sgd(model):
    return {"optimizer": optim.SGD(model.parameters(), lr=0.1, momentum=0.9)}


def adam_and_steps(model):
    optimizer = optim.Adam(model.parameters(), lr=0.01, amsgrad=True)
    return {"scheduler": optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5)}


def rmsprop_and_one_cycle(model):
    optimizer = optim.RMSprop(model.parameters(), lr=0.01)
    return {"scheduler": optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.02, total_steps=15)}


def plateau(model):
    optimizer = optim.AdamW(model.parameters(), lr=0.01)
    return {"scheduler": optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)}


def defaults(model):
    return {}


def run(path, build=defaults, epochs: int = 5, callbacks=(), **options):
    """Do what a script does from its first line on: build everything anew, and fit."""
    model = network()
    given = {"validation": two_classes(9, seed=3), "batch_size": 8, "rng": 7, "keep_best": True}
    given |= build(model) | options
    history = fit(
        model,
        two_classes(20),
        epochs=epochs,
        transform=Noise(),
        checkpoint=path,
        callbacks=callbacks,
        progress=False,
        **given,
    )
    return model, history


def numbers_of(history) -> dict:
    return {name: numbers for name, numbers in history.as_dict().items() if name != "seconds"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


@pytest.mark.parametrize("build", [defaults, sgd, adam_and_steps, rmsprop_and_one_cycle, plateau])
def test_a_run_that_was_killed_ends_with_the_same_bits(build, path):
    expected, history = run(None, build)
    for epoch, batch in [(1, 2), (2, 1), (4, 3), (4, 1)]:
        with pytest.raises(Killed):
            run(path, build, callbacks=[kill_in(epoch, batch)])
    model, resumed = run(path, build)
    assert_same_bits(model, expected)
    assert numbers_of(resumed) == numbers_of(history)
    assert len(resumed.seconds) == 5


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_killed_while_the_file_is_written(failing, path, monkeypatch):
    expected, _ = run(None)
    whole = getattr(os, failing)
    for survived in (0, 1, 3, 2):
        calls = []

        def die(*arguments, calls=calls, survived=survived):
            calls.append(arguments)
            if len(calls) > survived:
                raise Killed
            return whole(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(os, failing, die)
            with pytest.raises(Killed):
                run(path)
    assert_same_bits(run(path)[0], expected)


def test_more_epochs_go_on_where_fewer_ended(path):
    expected, history = run(None, epochs=5)
    run(path, epochs=2)
    model, resumed = run(path, epochs=5)
    assert_same_bits(model, expected)
    assert numbers_of(resumed) == numbers_of(history)


def test_a_finished_run_is_only_read(path):
    expected, history = run(path)
    model, again = run(path, callbacks=[kill_in(1, 1)])
    assert_same_bits(model, expected)
    assert again.as_dict() == history.as_dict()


def test_the_same_objects_go_on_in_the_same_session(path):
    """A notebook cell that calls fit is run again after Ctrl-C: model and optimizer have moved meanwhile."""
    expected, _ = run(None, rmsprop_and_one_cycle)
    model, train = network(), two_classes(20)
    options = {
        "rng": 7,
        "validation": two_classes(9, seed=3),
        "batch_size": 8,
        "epochs": 5,
        "transform": Noise(),
    }
    options |= rmsprop_and_one_cycle(model)
    options |= {"checkpoint": path, "progress": False, "keep_best": True}

    def interrupt(state):
        if state.epoch == 2:
            raise KeyboardInterrupt

    history = fit(model, train, callbacks=[interrupt], **options)
    assert history.interrupted
    history = fit(model, train, **options)
    assert not history.interrupted
    assert len(history) == 5
    assert_same_bits(model, expected)


def test_early_stopping_counts_on_and_stays_stopped(path, monkeypatch):
    options = {"early_stopping": 3, "epochs": 9}
    script_validation(monkeypatch, [0.5, 0.6, 0.7])
    with pytest.raises(Killed):
        run(path, callbacks=[kill_in(4, 1)], **options)
    script_validation(monkeypatch, [0.8])
    model, history = run(path, **options)
    assert history.val_loss == [0.5, 0.6, 0.7, 0.8]
    assert history.stopped_early
    again, history = run(path, **options)
    assert history.stopped_early
    assert_same_bits(again, model)


def test_a_sampler_goes_on_drawing(path):
    def weighted(callbacks=(), checkpoint=None):
        model, train = network(), two_classes(20)
        sampler = data.WeightedRandomSampler(np.arange(1.0, 21.0), 20, rng=1)
        loader = data.DataLoader(train, batch_size=8, sampler=sampler, rng=2)
        fit(model, loader, epochs=3, checkpoint=checkpoint, callbacks=callbacks, progress=False)
        return model

    expected = weighted()
    with pytest.raises(Killed):
        weighted([kill_in(2, 2)], path)
    assert_same_bits(weighted(checkpoint=path), expected)


def test_one_generator_for_everything(path):
    def shared(callbacks=(), checkpoint=None):
        rng = np.random.default_rng(5)
        model = network(rng)
        fit(
            model,
            two_classes(20),
            epochs=3,
            rng=rng,
            checkpoint=checkpoint,
            callbacks=callbacks,
            progress=False,
        )
        return model

    expected = shared()
    with pytest.raises(Killed):
        shared([kill_in(3, 1)], path)
    assert_same_bits(shared(checkpoint=path), expected)


# Killed for real

SCRIPT = """
import sys, time
import numpy as np
from minicnn import data, nn, optim
from minicnn.training import fit

class Slow:
    def __call__(self, state): pass
    def on_batch_end(self, state): time.sleep(0.002)

rng = np.random.default_rng(0)
images = rng.normal(size=(160, 50)).astype(np.float32)
train = data.ArrayDataset(images, rng.integers(0, 5, 160))
model = nn.Sequential(nn.Linear(50, 2000, rng=1), nn.BatchNorm1d(2000), nn.ReLU(), nn.Dropout(0.3, rng=2),
                      nn.Linear(2000, 5, rng=3))
optimizer = optim.Adam(model.parameters(), lr=1e-3)
scheduler = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=12 * 10)
print("started", flush=True)
history = fit(model, train, validation=train, epochs=12, batch_size=16, scheduler=scheduler, rng=4,
              keep_best=True, checkpoint=sys.argv[1] if len(sys.argv) > 2 else None, callbacks=[Slow()],
              progress=False)
np.savez(sys.argv[-1], loss=history.loss, val_loss=history.val_loss, **model.state_dict())
"""


@pytest.mark.slow
def test_killed_at_random_moments(path, tmp_path):
    def start(*arguments):
        return subprocess.Popen(
            [sys.executable, "-c", SCRIPT, *map(str, arguments)], stdout=subprocess.PIPE, text=True
        )

    def finish(process) -> float:
        with process:
            assert process.stdout.readline() == "started\n"
            started = time.perf_counter()
            assert process.wait(timeout=120) == 0
            return time.perf_counter() - started

    duration = finish(start(tmp_path / "whole.npz"))
    rng, kills = np.random.default_rng(), 0
    while kills < 8:
        with start(path, tmp_path / "resumed.npz") as process:
            assert process.stdout.readline() == "started\n"
            try:
                process.wait(timeout=float(rng.uniform(0, duration / 5)))
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
            else:
                break
    if kills == 8:
        finish(start(path, tmp_path / "resumed.npz"))
    with np.load(tmp_path / "whole.npz") as whole, np.load(tmp_path / "resumed.npz") as resumed:
        assert whole.files == resumed.files
        for name in whole.files:
            assert whole[name].tobytes() == resumed[name].tobytes(), name
    assert [name for name in os.listdir(tmp_path) if name.endswith(".partial")] == []
