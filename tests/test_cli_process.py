"""The command as a process of its own: what the environment says to it, and who reads what it prints."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from minicnn.cli import COMMANDS, main
from minicnn.kernels import threads


def needed(command: str) -> list[str]:
    """Return the shortest command line of a command; what it names is not there."""
    model, image = "m.safetensors", "a.png"
    more = {
        "train": ["--data", "photos"],
        "predict": [model, image],
        "evaluate": [model, "--data", "photos"],
        "trace": [model, image],
        "explain": [model, image],
        "compare": ["net.py:Net"],
    }
    return [command, *more.get(command, [])]


def wrong_threads(value: str) -> str:
    return (
        "MINICNN_NUM_THREADS: the number of threads must be an integer of at least 1. "
        f"Got {value!r}. Set it to the number of cores to use."
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_number_of_threads_is_told_by_every_command(command, monkeypatch, capsys):
    monkeypatch.setenv("MINICNN_NUM_THREADS", "abc")
    monkeypatch.setattr(threads, "_threads", 0)  # as after an import with this value
    monkeypatch.setattr(COMMANDS[command], "run", lambda parsed: pytest.fail("the command began"))
    assert main(needed(command)) == 2
    assert capsys.readouterr() == ("", f"minicnn {command}: {wrong_threads('abc')}\n")


@pytest.mark.parametrize("value", ["abc", "0", "-1", "1.5", " "])
def test_a_wrong_number_of_threads_is_one_line_of_the_process(value):
    own = {**os.environ, "MINICNN_NUM_THREADS": value}
    command = [sys.executable, "-m", "minicnn", *needed("predict")]
    result = subprocess.run(command, capture_output=True, text=True, env=own, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"minicnn predict: {wrong_threads(value)}\n"
