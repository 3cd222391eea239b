"""What a file could not bring back is not saved, and an error names the path that was asked for."""

from __future__ import annotations

import re

import numpy as np
import pytest

from minicnn import checkpoint, data, nn
from minicnn.checkpoint import files
from minicnn.data import transforms
from minicnn.training import fit
from tests.helpers import raises


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


# What cannot be saved


class Own(nn.Module):
    def forward(self, input):
        return input


class OwnSequential(nn.Sequential):
    pass


class ReLU(nn.ReLU):
    """Has the name of a class of ours, and may do anything."""


@pytest.mark.parametrize("kind", [Own, OwnSequential, ReLU])
def test_own_classes_cannot_be_rebuilt(kind, path):
    message = (
        f'{kind.__name__} "0": only modules of minicnn.nn can be rebuilt from a file. Got the class '
        f"{kind.__module__}.{kind.__name__}. Build the model from nn.Sequential and nn.Residual, or save "
        "model.state_dict() alone."
    )
    with pytest.raises(TypeError, match=re.escape(message)):
        checkpoint.save(path, nn.Sequential(kind()))
    assert not path.exists()


def test_a_layer_that_holds_more_than_its_constructor_made_cannot_be_rebuilt(path):
    message = (
        "{}: a module can be rebuilt if all it holds comes from its constructor. Got ['{}'] besides. "
        "Put what is new into a layer of its own."
    )
    layer = nn.Linear(2, 2)
    layer.scale = nn.Parameter(np.ones(2, np.float32))
    with pytest.raises(ValueError, match=re.escape(message.format("Linear", "scale"))):
        checkpoint.save(path, layer)
    layer = nn.Linear(2, 2)
    layer.weight = nn.Parameter(np.ones((2, 3), np.float32))
    with pytest.raises(ValueError, match=re.escape(message.format("Linear", "weight"))):
        checkpoint.save(path, layer)
    layer = nn.ReLU()
    layer.inner = nn.ReLU()
    with pytest.raises(ValueError, match=re.escape(message.format("ReLU", "inner"))):
        checkpoint.save(path, layer)
    assert not path.exists()


def test_only_a_module_is_saved(path):
    message = (
        "checkpoint.save: model must be a minicnn module. Got dict. Pass for example nn.Sequential(...)."
    )
    with pytest.raises(TypeError, match=re.escape(message)):
        checkpoint.save(path, {})


class Invert(transforms.Transform):
    fields = ("top",)

    def __init__(self, top):
        self.top = top

    def __call__(self, images, rng=None):
        return self.top - images


class Normalize(transforms.Normalize):
    """Has the name of a transform of ours, and may do anything."""


class OwnCompose(transforms.Compose):
    pass


@pytest.mark.parametrize(
    ("transform", "got"),
    [
        (lambda images: images, "function"),
        (Invert(1.0), "Invert"),
        (Normalize(0.5, 0.5), "Normalize"),
        (OwnCompose([transforms.ToFloat()]), "OwnCompose"),
        (transforms.Compose([transforms.ToFloat(), Invert(1.0)]), "Invert"),
        (transforms.Compose([transforms.ToFloat(), np.negative]), "ufunc"),
    ],
)
def test_a_transform_of_ones_own_cannot_be_saved(transform, got, path):
    message = (
        f"checkpoint.save: transform must be one of minicnn.data.transforms. Got {got}. "
        "Compose it of those, or save with transform=None."
    )
    with raises(TypeError, message):
        checkpoint.save(path, nn.ReLU(), transform=transform)
    assert not path.exists()


def test_a_transform_that_was_spoiled_cannot_be_saved(path):
    transform = transforms.Normalize(0.5, 0.5)
    transform.std = (0.0,)
    message = "Normalize: std must be positive. Got 0.0. Use Normalize.fit(dataset) to measure it."
    with raises(ValueError, message):
        checkpoint.save(path, nn.ReLU(), transform=transform)
    assert not path.exists()


@pytest.mark.parametrize("extra", [["a"], "a", 1, False])
def test_extra_must_be_a_dict(extra, path):
    message = (
        f"checkpoint.save: extra must be a dict. Got {type(extra).__name__}. "
        'Pass for example {"note": "trained on Monday"}.'
    )
    with raises(TypeError, message):
        checkpoint.save(path, nn.ReLU(), extra=extra)
    assert not path.exists()


@pytest.mark.parametrize(
    ("extra", "where", "got"),
    [
        ({"a": [1, {2}]}, "extra.a[1]", "set"),
        ({"a": np.zeros(2)}, "extra.a", "ndarray"),
        ({"a": {1: 2}}, "extra.a", "a dict with other keys than text"),
    ],
)
def test_extra_must_be_plain(extra, where, got, path):
    message = (
        f"checkpoint.save: {where} must be plain data. Got {got}. Use dicts with text as keys, lists, text, "
        "numbers, True, False and None."
    )
    with pytest.raises(TypeError, match=re.escape(message)):
        checkpoint.save(path, nn.ReLU(), extra=extra)


def test_class_names_are_checked(path):
    message = (
        "checkpoint.save: every class needs a name of its own. Got 'cat' more than once. Rename or remove it."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        checkpoint.save(path, nn.ReLU(), classes=["cat", "cat"])


def test_too_long_a_description(path, monkeypatch):
    monkeypatch.setattr(files, "LONGEST_HEADER", 1000)
    message = (
        r"checkpoint: names and descriptions may take 1000 bytes\. Got \d+\. Keep large things out of extra\."
    )
    with pytest.raises(ValueError, match=message):
        checkpoint.save(path, nn.ReLU(), extra={"text": 1000 * "a"})
    assert not path.exists()


# Where it cannot be written


def unwritable(folder):
    """Return a path without a folder, one below a file, and a folder, with the error of each."""
    (folder / "file").write_bytes(b"")
    return [
        (folder / "no" / "x", FileNotFoundError),
        (folder / "file" / "x", NotADirectoryError),
        (folder, IsADirectoryError),
    ]


@pytest.mark.parametrize("number", range(3))
def test_an_error_names_the_path_that_was_asked_for(number, tmp_path):
    path, error = unwritable(tmp_path)[number]
    with pytest.raises(error) as raised:
        checkpoint.save(path, nn.ReLU())
    assert (raised.value.filename, raised.value.filename2) == (str(path), None)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_fit_names_the_path_that_was_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train = data.ArrayDataset(np.eye(2, dtype=np.float32), np.array([0, 1]))
    with pytest.raises(FileNotFoundError, match=r"\A\[Errno 2\] No such file or directory: 'no/x'\Z"):
        fit(nn.Linear(2, 2), train, checkpoint="no/x", progress=False)
