"""A checkpoint of another call, a damaged or a foreign file: refused, and nothing is changed."""

from __future__ import annotations

import os
import re

import numpy as np
import pytest

from minicnn import checkpoint, data, nn, optim
from minicnn.checkpoint import files
from minicnn.training import fit
from minicnn.training.packing import pack, unpack
from tests.helpers import draws, raises
from tests.test_training import network, two_classes
from tests.test_training_resume import Noise, adam_and_steps, kill_in, plateau, run, sgd


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


def faster_adam(model):
    return {"optimizer": optim.Adam(model.parameters(), lr=0.5)}


def another(path, name: str, before: str, now: str):
    return pytest.raises(
        ValueError,
        match="^"
        + re.escape(f"fit: checkpoint {str(path)!r} must come from the same call. Got another {name}: ")
        + f"{before} in the file, {now} in the call"
        + re.escape(". Pass what was passed before, or another path.")
        + "$",
    )


@pytest.mark.parametrize(
    ("options", "name", "before", "now"),
    [
        ({"batch_size": 4}, "batch_size", "8", "4"),
        ({"rng": 8}, "rng", "7", "8"),
        ({"keep_best": False}, "keep_best", "True", "False"),
        ({"early_stopping": 3}, "early_stopping", "None", "3"),
        (
            {"criterion": nn.CrossEntropyLoss(label_smoothing=0.1)},
            "criterion.label_smoothing",
            r"0\.0",
            r"0\.1",
        ),
        ({"class_weights": [1, 2]}, "criterion.weight", "None", r"'float32 \(2,\) crc \d+'"),
        (
            {"validation": two_classes(9, seed=4)},
            "validation set.images",
            r"'float32 \(9, 3\) crc \d+'",
            r"'float32 \(9, 3\) crc \d+'",
        ),
        ({"validation": None, "keep_best": False}, "validation set", r"\{'length': 9, .*", "None"),
        ({"build": sgd}, "optimizer.class", "'Adam'", "'SGD'"),
        ({"build": faster_adam}, "optimizer.groups.0.lr", r"0\.001", r"0\.5"),
        ({"build": plateau}, "optimizer.class", "'Adam'", "'AdamW'"),
    ],
)
def test_another_call_is_refused(options, name, before, now, path):
    run(path, epochs=1)
    whole = path.read_bytes()
    with another(path, name, before, now):
        run(path, **options)
    assert path.read_bytes() == whole


def test_another_scheduler_is_refused(path):
    run(path, adam_and_steps, epochs=1)

    def other_steps(model):
        optimizer = optim.Adam(model.parameters(), lr=0.01, amsgrad=True)
        return {"scheduler": optim.lr_scheduler.StepLR(optimizer, 3, gamma=0.5)}

    with another(path, "scheduler.step_size", "2", "3"):
        run(path, other_steps)


def test_another_model_or_data_set_is_refused(path):
    fit(nn.Linear(3, 2, rng=0), two_classes(6), epochs=1, rng=0, checkpoint=path, progress=False)
    with another(path, "model.0", r"'Linear\(3, 2, bias=True\)'", r"'Linear\(3, 2, bias=False\)'"):
        fit(nn.Linear(3, 2, bias=False), two_classes(6), epochs=1, rng=0, checkpoint=path, progress=False)
    with another(path, "training set.images", ".*", ".*"):
        fit(nn.Linear(3, 2), two_classes(6, seed=9), epochs=1, rng=0, checkpoint=path, progress=False)


@pytest.mark.parametrize("kind", [int, np.int64])
def test_another_seed_of_a_loader_is_refused(kind, path):
    def train_with(seed):
        loader = data.DataLoader(two_classes(6), shuffle=True, rng=kind(seed))
        fit(nn.Linear(3, 2, rng=0), loader, epochs=1, checkpoint=path, progress=False)

    train_with(1)
    with another(path, "rng", "1", "2"):
        train_with(2)


def test_fewer_epochs_than_are_done(path):
    run(path, epochs=3)
    message = (
        f"fit: checkpoint {str(path)!r} must not be past the last epoch. Got 3 epochs in the file, epochs=2 "
        "in the call. Pass a larger number, or another path."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        run(path, epochs=2)


def test_a_damaged_checkpoint_is_refused_and_changes_nothing(path):
    run(path, epochs=2)
    path.write_bytes(path.read_bytes()[:-5])
    model = network()
    before = model.state_dict()
    message = (
        f"fit: {str(path)!r} must be a whole file that fit wrote. Got bytes that do not fit their checksum. "
        "Write it again, or fetch it again."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        fit(model, two_classes(20), checkpoint=path, progress=False)
    assert all(np.array_equal(array, before[name]) for name, array in model.state_dict().items())


def lose_an_array(run: dict) -> None:
    del run["model"]["0.weight"]


def change_a_shape(run: dict) -> None:
    run["optimizer"]["state"][0]["exp_avg"] = np.zeros(7, np.float32)


def change_a_generator(run: dict) -> None:
    run["generators"]["loader"] = {"bit_generator": "PCG64"}


def lose_the_epoch(run: dict) -> None:
    del run["epoch"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lose_an_array, "ValueError"),
        (change_a_shape, "ValueError"),
        (change_a_generator, "KeyError"),
        (lose_the_epoch, "KeyError"),
    ],
)
def test_a_forged_checkpoint_is_refused_and_changes_nothing(change, error, path):
    run(path, epochs=1)
    content, tensors = files.read(path, "training", "fit", "fit")
    forged = unpack(content["run"], tensors)
    change(forged)
    tensors = {}
    files.write(path, "training", tensors, {"run": pack(forged, tensors)})

    model, train = network(), two_classes(20)
    options = {"validation": two_classes(9, seed=3), "batch_size": 8, "rng": 7, "keep_best": True}
    before, states = model.state_dict(), model[3].rng.bit_generator.state
    message = (
        f"fit: {str(path)!r} must be a whole file that fit wrote. Got contents that do not fit ({error}). "
        "Write it again, or fetch it again."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        fit(model, train, checkpoint=path, transform=Noise(), progress=False, **options)
    assert all(np.array_equal(array, before[name]) for name, array in model.state_dict().items())
    assert model[3].rng.bit_generator.state == states


def test_a_saved_model_is_no_checkpoint(path):
    checkpoint.save(path, nn.Linear(3, 2))
    with raises(
        ValueError,
        f"fit: {str(path)!r} must be a run that fit can go on with. Got a model that checkpoint.save wrote. Pass "
        "another name, and the run begins from the beginning.",
    ):
        run(path)


def test_a_path_that_cannot_be_written_is_found_out_at_once(tmp_path):
    with pytest.raises(FileNotFoundError):
        run(tmp_path / "no folder" / "run.safetensors", callbacks=[kill_in(1, 1)])


def test_what_a_killed_writer_left_is_removed(path):
    leftover = path.with_name(path.name + ".0123abcd.partial")
    other = path.with_name("other.partial")
    leftover.write_bytes(b"half")
    other.write_bytes(b"somebody else's")
    run(path, epochs=1)
    assert sorted(os.listdir(path.parent)) == [other.name, path.name]


# Packing


def test_packing_loses_nothing(path):
    state = {
        "step": 3,
        "betas": (0.9, 0.1 + 0.2),
        "state": {0: {"mean": draws((2, 3), np.float32), "step": np.float64(0.1)}, 1: {}},
        "list": [None, True, float("inf"), -0.0, 2**127 + 1, "é", (), {}, np.zeros((), np.int64)],
    }
    tensors = {}
    packed = pack(state, tensors)
    files.write(path, "test", tensors, {"packed": packed})
    content, tensors = files.read(path, "test", "test", "test")
    found = unpack(content["packed"], tensors)
    assert repr(found) == repr(state)
    assert type(found["state"][0]["step"]) is np.float64
    assert np.isnan(unpack(pack(float("nan"), tensors), tensors))


def test_packing_refuses_what_it_would_lose():
    message = (
        "fit: a checkpoint holds numbers, text, arrays, lists, tuples and dicts. Got set in a state_dict. "
        "Leave checkpoint out, or keep plain data there."
    )
    with pytest.raises(TypeError, match=re.escape(message)):
        pack({"a": [{1}]}, {})
