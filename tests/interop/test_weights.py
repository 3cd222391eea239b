"""load_torch_weights: from memory and from files, all or nothing; nothing in a file is executed."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
import safetensors.torch
import torch

from minicnn import nn
from minicnn.interop.torch import from_torch, library, load_torch_weights, to_torch, watch
from tests.helpers import raises
from tests.interop.test_from_torch import built

SAVE = "Save it with torch.save(model.state_dict(), path)."


def model() -> nn.Sequential:
    """Return a small model of ours."""
    return nn.Sequential(nn.Linear(3, 2, rng=0), nn.BatchNorm1d(2))


def other_state() -> dict:
    """Return a state_dict of torch for it, with other values."""
    return to_torch(nn.Sequential(nn.Linear(3, 2, rng=1), nn.BatchNorm1d(2))).state_dict()


@pytest.mark.parametrize("kind", ["tensors", "arrays", ".pt", ".pth", ".safetensors"])
def test_values_arrive(kind, tmp_path):
    source, ours = other_state(), model()
    if kind == "tensors":
        load_torch_weights(ours, source)
    elif kind == "arrays":
        load_torch_weights(ours, {name: value.numpy() for name, value in source.items()})
    else:
        path = tmp_path / f"weights{kind}"
        save = safetensors.torch.save_file if kind == ".safetensors" else torch.save
        save(source, path)
        load_torch_weights(ours, str(path) if kind == ".pt" else path)
    for name, value in ours.state_dict().items():
        np.testing.assert_array_equal(value, source[name].numpy())


def test_the_state_of_a_resnet_can_be_exchanged():
    module, input = built("ResNet-18")
    ours = from_torch(module, input)
    changed = {name: value + 1 for name, value in module.state_dict().items()}
    load_torch_weights(ours, changed)
    module.load_state_dict({name: torch.from_numpy(value) for name, value in ours.state_dict().items()})
    assert all(torch.equal(value, changed[name]) for name, value in module.state_dict().items())


def unchanged_after(weights, error, message) -> None:
    """Assert that loading fails with this message, and leaves every value as it was."""
    ours = model()
    before = ours.state_dict()
    with raises(error, message):
        load_torch_weights(ours, weights)
    for name, value in ours.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_all_or_nothing():
    state = other_state()
    unchanged_after(
        {**state, "1.extra": state["1.bias"]},
        ValueError,
        "Sequential: load_state_dict needs the model's own names. Got missing [], unknown ['1.extra']. "
        "Build the model as it was when it was saved.",
    )
    unchanged_after(
        {**state, "1.bias": torch.zeros(3)},
        ValueError,
        "Sequential: load_state_dict needs 1.bias of shape (2,). Got (3,). "
        "Build the model as it was when it was saved.",
    )
    unchanged_after(
        {**state, "1.bias": torch.zeros(2, dtype=torch.float64)},
        TypeError,
        "Sequential: load_state_dict needs 1.bias as float32. Got float64. "
        "Convert the model first with model.astype(np.float64).",
    )
    unchanged_after(
        {**state, "1.bias": torch.zeros(2, dtype=torch.bfloat16)},
        TypeError,
        'load_torch_weights: parameters must be float32 or float64. Got bfloat16 for "1.bias". '
        "Convert the model first with .float().",
    )
    for prefix in ("module.", "_orig_mod.", "module._orig_mod."):
        unchanged_after(
            {f"{prefix}{name}": value for name, value in state.items()},
            ValueError,
            f"load_torch_weights: names must be the model's own. Got names that begin with '{prefix}'. "
            f"Strip it with name.removeprefix('{prefix}').",
        )
    unchanged_after(
        {"model": state},
        TypeError,
        "load_torch_weights: weights must be tensors or arrays by name. Got OrderedDict for 'model'. "
        "Pass the state_dict alone.",
    )
    unchanged_after(
        3,
        TypeError,
        "load_torch_weights: weights must be a state_dict or a path. Got int. Pass torch_model.state_dict().",
    )


class Malicious:
    """Runs a command when it is unpickled."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_no_code_is_run(writer, tmp_path):
    path, sign = tmp_path / "weights.pt", tmp_path / "was_here"
    if writer == "torch":
        torch.save(Malicious(sign), path)
    else:
        path.write_bytes(pickle.dumps(Malicious(sign)))
    with pytest.raises(ValueError, match="must hold a state_dict and nothing else"):
        load_torch_weights(model(), path)
    assert not sign.exists()


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_damaged_files(suffix, tmp_path):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(b"no weights at all")
    with pytest.raises(ValueError, match=r"must hold a state_dict and nothing else\. Got ") as caught:
        load_torch_weights(model(), path)
    assert str(caught.value).endswith(SAVE)
    with pytest.raises(FileNotFoundError):
        load_torch_weights(model(), tmp_path / f"missing{suffix}")


def test_a_file_that_holds_a_tensor(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(torch.zeros(2), path)
    unchanged_after(
        path,
        ValueError,
        f"load_torch_weights: '{path}' must hold a state_dict and nothing else. Got a Tensor. {SAVE}",
    )


def test_without_torch(monkeypatch, tmp_path):
    monkeypatch.setattr(library, "is_installed", lambda: False)
    message = (
        "minicnn.interop.torch: torch is needed here. Got no installed torch. "
        "Install it with pip install 'minicnn[torch]'."
    )
    path = tmp_path / "weights.pt"
    path.touch()
    for call in (
        lambda: from_torch(None, None),
        lambda: to_torch(model()),
        lambda: watch(None).__enter__(),
        lambda: load_torch_weights(model(), path),
    ):
        with raises(RuntimeError, message):
            call()
    safetensors.torch.save_file(other_state_by_hand(), tmp_path / "weights.safetensors")
    load_torch_weights(model(), tmp_path / "weights.safetensors")


def other_state_by_hand() -> dict:
    """Return values for `model` without asking `to_torch`."""
    return {name: torch.from_numpy(value) for name, value in model().state_dict().items()}
