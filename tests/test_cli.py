"""The command, as somebody types it: what it prints, its exit codes, and its errors in one line."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from minicnn import data
from minicnn.cli import COMMANDS, build_parser, main


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A classifier trained for one epoch through the command, and the folder it lies in."""
    folder = tmp_path_factory.mktemp("cli")
    path = folder / "digits.safetensors"
    assert main(["train", "--data", "mnist-5k", "--epochs", "1", "--out", str(path)]) == 0
    return path


def save_digit(path, size=None, mode="L", invert=False):
    """Write the first test image as a file."""
    image = data.load("mnist-5k")[1].images[0]
    picture = Image.fromarray(255 - image if invert else image).convert(mode)
    picture = picture if size is None else picture.resize(size)
    picture.save(path)
    return str(path)


def test_train_prints_a_table_and_saves(trained, capsys):
    assert trained.exists()
    assert main(["evaluate", str(trained), "--data", "mnist-5k"]) == 0
    printed = capsys.readouterr().out
    assert "balanced accuracy" in printed
    assert "expected calibration error" in printed


def test_evaluate_draws_the_confusion_matrix(trained, tmp_path):
    picture = tmp_path / "confusion.png"
    assert main(["evaluate", str(trained), "--data", "mnist-5k", "--confusion", str(picture)]) == 0
    with Image.open(picture) as opened:
        assert opened.format == "PNG"


def test_predict_takes_grey_and_colour_of_any_size(trained, tmp_path, capsys):
    grey = save_digit(tmp_path / "grey.png")
    colour = save_digit(tmp_path / "colour.jpg", size=(64, 50), mode="RGB")
    assert main(["predict", str(trained), grey, colour]) == 0
    captured = capsys.readouterr()
    first, second = captured.out.splitlines()
    assert first.startswith(grey)
    assert second.startswith(colour)
    assert first.count("%") == 3
    assert captured.err == f"warning: {colour}: resized from 50x64 to 28x28, the size the model knows\n"


def test_predict_warns_of_a_bright_border_and_inverts(trained, tmp_path, capsys):
    dark, bright = save_digit(tmp_path / "a.png"), save_digit(tmp_path / "b.png", invert=True)
    assert main(["predict", str(trained), bright]) == 0
    assert "bright border, but the model was trained on dark ones; try --invert" in capsys.readouterr().err
    assert main(["predict", str(trained), bright, "--invert"]) == 0
    inverted = capsys.readouterr().out.replace("b.png", "a.png")
    assert main(["predict", str(trained), dark]) == 0
    assert capsys.readouterr().out == inverted


def test_predict_explains(trained, tmp_path, capsys):
    assert main(["predict", str(trained), save_digit(tmp_path / "a.png"), "--explain"]) == 0
    assert "argmax: index" in capsys.readouterr().out


def test_trace_prints_a_row_for_every_layer(trained, tmp_path, capsys):
    image = save_digit(tmp_path / "a.png")
    assert main(["trace", str(trained), image, "--target", "0"]) == 0
    printed = capsys.readouterr().out
    assert [line.split()[1] for line in printed.splitlines()[1:]] == [
        *("Conv2d", "ReLU", "MaxPool2d", "Conv2d", "ReLU", "MaxPool2d", "Flatten", "Linear"),
        *("CrossEntropyLoss", "Softmax", "Label"),
    ]


@pytest.mark.parametrize(
    ("options", "title"),
    [
        ([], "label: output[0]"),
        (["--layer", "0", "--at", "3,5,7"], 'Conv2d "0": output[0, 3, 5, 7]'),
        (
            ["--target", "0", "--layer", "0", "--at", "3,0,1,1", "--of", "weight.grad"],
            'Conv2d "0": weight.grad',
        ),
        (["--layer", "softmax", "--at", "7", "--code", "numpy"], 'Softmax "softmax": output[0, 7]'),
    ],
)
def test_explain_takes_one_number_apart(options, title, trained, tmp_path, capsys):
    assert main(["explain", str(trained), save_digit(tmp_path / "a.png"), *options]) == 0
    assert capsys.readouterr().out.startswith(title)


def test_explain_names_the_layers_there_are(trained, tmp_path, capsys):
    assert (
        main(["explain", str(trained), save_digit(tmp_path / "a.png"), "--layer", "conv1", "--at", "0,0,0"])
        == 1
    )
    assert capsys.readouterr().err == (
        "minicnn explain: Trace: a step must have been recorded. Got 'conv1'. "
        "Choose one of '0', '1', '2', '3', '4', '5', '6', '7', 'softmax', 'label'.\n"
    )


ALONE = "is a single number of the image, without a place"
WITHOUT = "Leave --at out, or name a layer with --layer"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--layer", "0", "--at", "3,5"],
            'output of Conv2d "0" needs 3 numbers below 16, 28, 28. Got 3,5. Count from 0, as in --at 0,0,0',
        ),
        (
            ["--layer", "0", "--at", "3,5,28"],
            'output of Conv2d "0" needs 3 numbers below 16, 28, 28. Got 3,5,28. Count from 0, as in --at 0,0,0',
        ),
        (
            ["--layer", "0"],
            'output of Conv2d "0" needs 3 numbers below 16, 28, 28. Got none. Count from 0, as in --at 0,0,0',
        ),
        (
            ["--layer", "softmax", "--at", "10"],
            'output of Softmax "softmax" needs 1 number below 10. Got 10. Count from 0, as in --at 0',
        ),
        (
            ["--target", "0", "--layer", "0", "--of", "bias.grad", "--at", "0,1"],
            'bias.grad of Conv2d "0" needs 1 number below 16. Got 0,1. Count from 0, as in --at 0',
        ),
        (["--at", "3,5,7"], f'output of Label "label" {ALONE}. Got 3,5,7. {WITHOUT}'),
        (
            ["--target", "0", "--layer", "loss", "--at", "3"],
            f'output of CrossEntropyLoss "loss" {ALONE}. Got 3. {WITHOUT}',
        ),
    ],
)
def test_a_place_is_refused_as_it_was_typed(options, message, trained, tmp_path, capsys):
    assert main(["explain", str(trained), save_digit(tmp_path / "a.png"), *options]) == 1
    assert capsys.readouterr().err == f"minicnn explain: --at: {message}.\n"


def test_a_folder_of_images_is_learned(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name, level in (("dark", 60), ("bright", 190)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(10):
            pixels = rng.integers(level - 20, level + 20, size=(12, 9, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    out, photos = str(tmp_path / "m.safetensors"), str(tmp_path / "photos")
    assert main(["train", "--data", photos, "--epochs", "8", "--batch-size", "4", "--out", out]) == 0
    assert main(["predict", out, f"{photos}/dark/0.png"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[1] == "dark"
    assert main(["evaluate", out, "--data", photos]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["predict", "nowhere.safetensors", "a.png"],
            "minicnn predict: nowhere.safetensors: No such file or directory",
        ),
        (
            ["predict", "predict", "a.png"],
            "minicnn predict: predict: No such file or directory",
        ),  # a name of a file
        (
            ["train", "--data", "minst"],
            "minicnn train: --data: the name must be one of mnist-5k, mnist, fashion-mnist, cifar10, or that of a "
            "folder. Got 'minst'. Pass one of these, or the path of a folder of images.\n",
        ),
    ],
)
def test_errors_are_one_line_and_exit_code_1(arguments, message, capsys):
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith(message)
    assert captured.err.count("\n") == 1


def test_other_classes_are_refused(trained, tmp_path, capsys):
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    for number in range(5):
        save_digit(tmp_path / "photos" / "cat" / f"{number}.png")
    assert main(["evaluate", str(trained), "--data", str(tmp_path / "photos")]) == 1
    assert "the classes must be the model's 0, 1, 2, 3, 4, 5, 6, 7, 8, 9. Got cat." in capsys.readouterr().err


def test_a_file_that_is_no_image_is_refused(trained, tmp_path, capsys):
    (tmp_path / "a.png").write_text("not an image")
    assert main(["predict", str(trained), str(tmp_path / "a.png")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [[], ["fly"], ["train"], ["train", "--data", "mnist-5k", "--epochs", "0"]]
)
def test_a_wrong_command_line_is_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: minicnn" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        build_parser().parse_args([command, "--help"])
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    assert "examples:" in printed
    assert f"minicnn {command}" in printed


def test_python_dash_m():
    result = subprocess.run(
        [sys.executable, "-m", "minicnn", "--version"], capture_output=True, text=True, check=True
    )
    assert result.stdout.startswith("minicnn ")


def test_without_docstrings():
    help_without = [sys.executable, "-OO", "-m", "minicnn", "--help"]
    assert "tour" in subprocess.run(help_without, capture_output=True, text=True, check=True).stdout


def command_for_explain(trained, tmp_path):
    image = save_digit(tmp_path / "digit.png")
    return [sys.executable, "-m", "minicnn", "explain", str(trained), image, "--layer", "0", "--at", "1,2,3"]


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])  # the second where the locale is C
def test_a_stream_without_greek_letters_gets_question_marks(errors, trained, tmp_path):
    own = {**os.environ, "PYTHONIOENCODING": f"ascii:{errors}", "PYTHONUTF8": "0"}
    result = subprocess.run(
        command_for_explain(trained, tmp_path), capture_output=True, text=True, env=own, check=True
    )
    assert result.stderr == ""
    assert result.stdout.startswith('Conv2d "0": output[0, 1, 2, 3] = ? input?weight + bias')


def test_who_has_read_enough_of_it_hears_nothing(trained, tmp_path):
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command_for_explain(trained, tmp_path), **pipe) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.slow
def test_the_tour(tmp_path, capsys):
    (tmp_path / "tour").mkdir()
    (tmp_path / "tour" / "letter.txt").write_text("not of the tour")
    assert main(["tour", "--epochs", "2", "--out", str(tmp_path / "tour")]) == 0
    printed = capsys.readouterr().out
    assert "The same weights in torch" in printed
    assert printed.count("computed") == 4
    written = {path for path in (tmp_path / "tour").iterdir() if path.name != "letter.txt"}
    names = {"confusion.png", "history.png", "filters.png", "way.png", "digits.safetensors"}
    assert {path.name for path in written} == names
    kept = printed.split("7  Kept for you\n---------------\n")[1].split("\n\n")[0]
    assert kept.splitlines() == [f"  {path}" for path in sorted(written)]
