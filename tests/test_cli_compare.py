"""minicnn compare: a script with a torch module, as people have them lying about."""

from __future__ import annotations

import re

import pytest
import torch

from minicnn.cli import main

SCRIPT = """
import torch
from torch import nn
import torch.nn.functional as F
from sizes import HIDDEN

class Net(nn.Module):
    def __init__(self, hidden=HIDDEN):
        super().__init__()
        self.conv = nn.Conv2d(1, hidden, 3)
        self.fc = nn.Linear(hidden * 36, 3)

    def forward(self, x):
        return self.fc(torch.flatten(F.relu(self.conv(x)), 1))

class Drops(Net):
    def forward(self, x):
        return self.fc(self.drop(torch.flatten(F.relu(self.conv(x)), 1)))

    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)

class Yes(Net):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(self.fc.in_features, 1)

class Needy(nn.Module):
    def __init__(self, size):
        super().__init__()

class Map(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
    def forward(self, x):
        return self.conv(x)

class Undecided(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x

def make():
    return Net(2)

ready = make()
number = 3
if __name__ == "__main__":
    raise SystemExit("the script itself must not run")
"""


@pytest.fixture
def script(tmp_path):
    (tmp_path / "sizes.py").write_text("HIDDEN = 4\n", encoding="utf-8")
    path = tmp_path / "net.py"
    path.write_text(SCRIPT, encoding="utf-8")
    return path


def compared(script, name, *options):
    return main(["compare", f"{script}:{name}", "--input", "1,8,8", *options])


@pytest.mark.parametrize("name", ["Net", "make", "ready"])
def test_a_class_a_function_or_a_module(name, script, capsys):
    assert compared(script, name) == 0
    printed = capsys.readouterr().out
    assert "0 differ" in printed.splitlines()[0]
    assert "conv" in printed
    assert "fc" in printed


def test_one_logit_has_a_loss_that_learns(script, capsys):
    """A cross-entropy over one class is 0, whatever the logit: all gradients would be equal, and zero."""
    assert compared(script, "Yes", "--steps", "2") == 0
    printed = capsys.readouterr().out
    assert "BCEWithLogitsLoss" in printed
    assert float(re.search(r"^  2 +\S+ +(\S+)", printed, re.MULTILINE)[1]) > 0.1  # the loss of step 2


def test_a_negative_seed_is_refused(script, capsys):
    with pytest.raises(SystemExit):
        compared(script, "Net", "--seed", "-1")
    assert "argument --seed: must be at least 0, got -1" in capsys.readouterr().err


def test_options(script, capsys):
    assert compared(script, "Net", "--steps", "2", "--optimizer", "sgd", "--batch", "3", "--eval") == 0
    assert compared(script, "Net", "--exact") == 0
    assert "(3, 4, 6, 6)" in capsys.readouterr().out


def test_weights_from_a_file(script, tmp_path, capsys):
    weights = {"conv.weight": torch.ones(4, 1, 3, 3), "conv.bias": torch.zeros(4)}
    weights |= {"fc.weight": torch.ones(3, 144), "fc.bias": torch.zeros(3)}
    torch.save(weights, tmp_path / "net.pt")
    assert compared(script, "Net", "--weights", str(tmp_path / "net.pt")) == 0
    torch.save({"conv.weight": torch.ones(4, 1, 3, 3)}, tmp_path / "part.pt")
    assert compared(script, "Net", "--weights", str(tmp_path / "part.pt")) == 1
    assert "missing" in capsys.readouterr().err


def test_numbers_that_differ_end_in_exit_code_1(script, capsys, monkeypatch):
    from minicnn import kernels

    right = kernels.conv2d_grad_weight
    monkeypatch.setattr(kernels, "conv2d_grad_weight", lambda *arrays: right(*arrays) / 2)
    assert compared(script, "Net") == 1
    printed = capsys.readouterr().out
    assert "conv" in printed
    assert "likely cause: " in printed


def test_dropout_is_told_from_a_fault(script, capsys):
    assert compared(script, "Drops") == 1
    printed = capsys.readouterr().out
    assert "likely cause: dropout draws numbers of its own on either side (drop)" in printed
    assert printed.endswith(
        "call eval() on both models, or give dropout p = 0; on the command line pass --eval\n"
    )
    assert compared(script, "Drops", "--eval") == 0


ERRORS = {
    "Absent": "minicnn compare: {path} must define Absent. Got no such name. "
    "Choose a class, a function or a module in it.",
    "number": "minicnn compare: number must be or return a torch.nn.Module. Got int. "
    "Name the class of the network.",
    "Map": "minicnn compare: the module must give one row of logits for each image. Got an output of shape "
    "(4, 2, 6, 6). Compare it in Python, with a criterion that fits.",
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name, script, capsys):
    assert compared(script, name) == 1
    assert capsys.readouterr().err == ERRORS[name].format(path=script) + "\n"


def test_a_class_that_wants_arguments(script, capsys):
    assert compared(script, "Needy") == 1
    error = capsys.readouterr().err
    assert error.startswith("minicnn compare: Needy must be built without arguments. Got ")
    assert error.endswith("Write a function that builds it, and name that.\n")


def test_what_cannot_be_brought_over_is_named_with_its_line(script, capsys):
    assert compared(script, "Undecided") == 1
    error = capsys.readouterr().err
    assert "net.py, line " in error
    assert "x if x.sum() > 0 else -x" in error


def test_no_such_script(capsys):
    assert main(["compare", "nowhere.py:Net"]) == 1
    assert capsys.readouterr().err == "minicnn compare: nowhere.py: No such file\n"
    assert main(["compare", "nowhere.py"]) == 1
    assert "SCRIPT.py:NAME" in capsys.readouterr().err


def test_a_file_that_is_no_script(tmp_path, capsys):
    notebook = tmp_path / "net.ipynb"
    notebook.write_text("{}")
    assert main(["compare", f"{notebook}:Net"]) == 1
    assert capsys.readouterr().err == (
        "minicnn compare: the script must be a Python file, whose name ends with .py. "
        f"Got {notebook}. For a notebook, put the class into such a file.\n"
    )


@pytest.mark.parametrize("options", [["--input", "8,8"], ["--input", "1,0,8"], ["--batch", "0"]])
def test_wrong_options(options, script):
    with pytest.raises(SystemExit) as stopped:
        compared(script, "Net", *options)
    assert stopped.value.code == 2
