"""The command as a process of its own: what the environment says to it, and who reads what it prints."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from minicnn import nn
from minicnn.classifier import Classifier
from minicnn.cli import COMMANDS, lasting_stream, main
from minicnn.data import transforms
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


@pytest.fixture
def photos(tmp_path):
    """The path of a folder of 8x8 images in two classes."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(5):
            pixels = rng.integers(0, 256, size=(8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    return str(tmp_path / "photos")


def without_readers(*arguments, lines: int = 0, stderr=subprocess.PIPE) -> tuple[int, bytes | None]:
    """Run a command whose reader leaves after some lines; return its exit code, and what stderr holds then."""
    command = [sys.executable, "-m", "minicnn", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr) as process:
        for _ in range(lines):
            process.stdout.readline()
        process.stdout.close()
        printed = None if process.stderr is None else process.stderr.read()
    return process.returncode, printed


@pytest.mark.parametrize("lines", [0, 1, 2])
def test_training_goes_on_when_nobody_reads_along(lines, photos, tmp_path):
    read, unread = tmp_path / "read.safetensors", tmp_path / "unread.safetensors"
    options = ["train", "--data", photos, "--epochs", "4", "--out"]
    assert main([*options, str(read)]) == 0
    assert without_readers(*options, str(unread), lines=lines) == (0, b"")
    assert unread.read_bytes() == read.read_bytes()


def test_training_goes_on_when_nobody_hears_its_warnings_either(photos, tmp_path):
    for old, new in (("cat", "10"), ("dog", "9")):  # sorted as text they would bring a warning
        (tmp_path / "photos" / old).rename(tmp_path / "photos" / new)
    out = tmp_path / "m.safetensors"
    options = ["--data", photos, "--epochs", "2", "--out", str(out)]
    assert without_readers("train", *options, stderr=subprocess.STDOUT) == (0, None)
    assert out.exists()


def test_the_picture_is_drawn_when_nobody_reads_the_table(photos, tmp_path):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2, rng=0))
    Classifier(model, ["cat", "dog"], transforms.ToFloat(), image_shape=(8, 8)).save(tmp_path / "m")
    picture = tmp_path / "confusion.png"
    options = [str(tmp_path / "m"), "--data", photos, "--confusion", str(picture)]
    assert without_readers("evaluate", *options) == (0, b"")
    assert picture.exists()


def test_a_stream_of_a_notebook_stays_as_it_is():
    class OutStream(io.TextIOBase):
        def fileno(self):
            return 1

    for stream in (None, OutStream(), io.StringIO(), io.TextIOWrapper(io.BytesIO())):
        assert lasting_stream(stream) is stream


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device here is always full")
def test_a_full_disk_is_told_in_one_line(photos, tmp_path):
    command = [sys.executable, "-m", "minicnn", "train", "--data", photos, "--out", str(tmp_path / "m")]
    with open("/dev/full", "w") as full:
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (result.returncode, result.stderr) == (1, "minicnn train: [Errno 28] No space left on device\n")
