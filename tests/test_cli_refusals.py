"""Files that a command cannot use: refused in one line, in the words of the command line."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minicnn import checkpoint, nn
from minicnn.checkpoint import files
from minicnn.classifier import Classifier, Regressor
from minicnn.cli import main
from minicnn.data import transforms
from tests.test_cli_train import write_photos

MODEL = "MODEL: the file must be a classifier that `minicnn train` or `tour` saved. Got "
PARTS = "MODEL: image_shape, transform, model and class names of a classifier must fit each other. Got "
RUN = "--checkpoint: the file must be a run that --checkpoint kept before, or not be there yet. Got "
ANOTHER = "Pass another name, and the run begins from the beginning."


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder to work in: it holds photos/, 8x8, and an image, a.png."""
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path / "photos", cat=5, dog=5)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    return tmp_path


def net(outputs: int = 2) -> nn.Sequential:
    """Return a model of 8x8 grey images."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, outputs, rng=0))


def said(capsys, command: str, *arguments: str) -> str:
    """Run a command that must fail with exit code 1, and return its line without its name."""
    assert main([command, *arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"minicnn {command}: ")
    return line.removeprefix(f"minicnn {command}: ")


def with_model(command: str, model: str) -> list[str]:
    return [command, model, *(["--data", "photos"] if command == "evaluate" else ["a.png"])]


COMMANDS = pytest.mark.parametrize("command", ["predict", "trace", "explain", "evaluate"])


# What is no classifier


@COMMANDS
@pytest.mark.parametrize(("kind", "what"), [("PNG", "a PNG image"), ("JPEG", "a JPEG image")])
def test_an_image_in_place_of_the_model(kind, what, command, capsys):
    Image.new("L", (8, 8)).save("image", kind)
    message = f"{MODEL}'image': {what}. Name the model first, and images after it."
    assert said(capsys, *with_model(command, "image")) == message


@COMMANDS
def test_a_bare_model_is_no_classifier(command, capsys):
    checkpoint.save("bare", net(), classes=["cat", "dog"])
    assert said(capsys, *with_model(command, "bare")) == (
        f"{MODEL}'bare': a bare model, as minicnn.checkpoint.save leaves it. In Python, save it with "
        "Classifier(model, classes, transform, image_shape=...).save(path)."
    )


def test_a_regressor_gives_no_labels(capsys):
    Regressor(net(1), transform=transforms.ToFloat()).save("heights")
    assert said(capsys, "predict", "heights", "a.png") == (
        f"{MODEL}'heights': a Regressor, which gives no labels. In Python, Regressor.load reads it."
    )


def test_a_run_is_no_classifier(capsys):
    files.write("run", "training", {}, {"run": {}})
    message = f"{MODEL}'run': a run that --checkpoint keeps. Pass the file that --out named."
    assert said(capsys, "predict", "run", "a.png") == message


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"abc", "3 bytes. Train it again, or fetch it again."),
        (
            b"PK\x03\x04" + bytes(100),
            "a zip archive, such as torch saves. minicnn.interop.torch brings a net over in Python.",
        ),
    ],
)
def test_a_foreign_file_in_place_of_the_model(content, what, folder, capsys):
    (folder / "m").write_bytes(content)
    assert said(capsys, "predict", "m", "a.png") == f"{MODEL}'m': {what}"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such pipes here")
def test_a_pipe_in_place_of_the_model_is_not_waited_for(capsys):
    os.mkfifo("pipe")
    message = f"{MODEL}'pipe': no regular file. Train it again, or fetch it again."
    assert said(capsys, "predict", "pipe", "a.png") == message


@pytest.mark.parametrize(
    ("part", "value", "error"),
    [
        ("classes", None, "TypeError"),
        ("threshold", "half", "TypeError"),
        ("threshold", 2, "ValueError"),
        ("image_shape", [8], "ValueError"),
        ("image_shape", [8, 0], "ValueError"),
        ("image_shape", "88", "TypeError"),
        ("kinds", "unknown", "KeyError"),
    ],
)
def test_a_classifier_that_somebody_made_with_care(part, value, error, capsys):
    extra = {
        "kind": "Classifier",
        "threshold": 0.5,
        "abstain_below": None,
        "image_shape": [8, 8],
        part: value,
    }
    classes = extra.pop("classes", ["cat", "dog"])
    if error == "KeyError":
        del extra["threshold"]
    checkpoint.save("m", net(), classes=classes, extra=extra)
    message = f"{MODEL}'m': parts that do not fit ({error}). Train it again, or fetch it again."
    assert said(capsys, "predict", "m", "a.png") == message


# Parts that do not fit each other


GREY = transforms.ToFloat()
COLOUR = transforms.Compose([GREY, transforms.Normalize([0.5] * 3, [0.5] * 3)])


@COMMANDS
@pytest.mark.parametrize(
    ("outputs", "options", "size", "reason"),
    [
        (
            3,
            {"transform": GREY, "image_shape": (8, 8)},
            "8x8",
            "Classifier: each logit needs one class name, or a single logit two. Got 2 names for 3 logits. Pass the "
            "classes the model was trained with",
        ),
        (
            2,
            {"image_shape": (8, 8)},
            "8x8",
            "Classifier: uint8 images need a transform. Got uint8 of shape (1, 8, 8) and transform=None. Pass "
            "transform=dataset.transform, or prepared float images",
        ),
        (
            2,
            {"transform": GREY, "image_shape": (9, 7)},
            "9x7",
            'Linear "1": input must have 64 features (last axis). Got shape (1, 63). Build the layer with '
            "in_features=63",
        ),
        (
            2,
            {"transform": GREY, "image_shape": (8, 8, 3)},
            "8x8x3",
            'Linear "1": input must have 64 features (last axis). Got shape (1, 192). Build the layer with '
            "in_features=192",
        ),
        (
            2,
            {"transform": COLOUR, "image_shape": (8, 8)},
            "8x8",
            "Normalize: images must have 3 channels, one for each mean. Got 1 in shape (1, 1, 8, 8). Use "
            "Normalize.fit(dataset) to measure them",
        ),
        (
            2,
            {"transform": GREY, "threshold": 0.7},
            "8x8",
            "Classifier: a threshold needs a model with one logit. Got threshold=0.7 and 2 logits. Leave it at 0.5: "
            "the largest logit wins",
        ),
    ],
)
def test_parts_that_do_not_fit_each_other(outputs, options, size, reason, command, capsys):
    Classifier(net(outputs), ["cat", "dog"], **options).save("m")
    assert said(capsys, *with_model(command, "m")) == (
        f"{PARTS}'m', which fails on an image of {size} ({reason}). Mend it in Python, and save it again."
    )


def test_evaluate_without_image_shape_names_the_folder(capsys):
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2, rng=0))
    Classifier(model, ["cat", "dog"], GREY).save("m")
    assert said(capsys, "evaluate", "m", "--data", "photos") == (
        "photos: images must have the size and the colours that the model was made for, which its file does not "
        "name. Got shape (8, 8). Bring the image to them, or save the classifier with "
        "image_shape=train.images.shape[1:]."
    )


@pytest.mark.parametrize(("shape", "wanted"), [((8, 8), "8x8"), ((28, 28, 3), "28x28x3")])
def test_a_data_set_of_another_size_is_not_put_on_the_model(shape, wanted, capsys):
    model = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), 10, rng=0))
    Classifier(model, [*"0123456789"], GREY, image_shape=shape).save("m")
    assert said(capsys, "evaluate", "m", "--data", "mnist-5k") == (
        f"mnist-5k: the images must be of the model's size and colours, {wanted}. Got 28x28. "
        "Only the images of a folder are brought to them."
    )


# Weights that are no numbers


@pytest.fixture
def without_numbers():
    """The path of a classifier whose weights are NaN."""
    model = net()
    model[1].weight.data[...] = np.nan
    Classifier(model, ["cat", "dog"], GREY, image_shape=(8, 8)).save("m")
    return "m"


def lost(path: str, count: int) -> str:
    return (
        f"{path}: a label needs finite logits. Got NaN or infinite ones for {count} of {count} images, whose labels "
        "mean nothing."
    )


WHERE = "`minicnn trace` shows in which layer they begin."


def test_labels_of_nan_mean_nothing(without_numbers, capsys):
    assert main(["predict", without_numbers, "a.png"]) == 0
    assert capsys.readouterr() == ("a.png  cat  (no probabilities)\n", f"warning: {lost('m', 1)} {WHERE}\n")


def test_labels_of_nan_are_not_measured(without_numbers, capsys):
    assert said(capsys, "evaluate", without_numbers, "--data", "photos") == f"{lost('m', 2)} {WHERE}"
    assert capsys.readouterr().out == ""


def test_trace_shows_where_nan_begins(without_numbers, capsys):
    assert main(["trace", without_numbers, "a.png"]) == 0
    out, err = capsys.readouterr()
    assert (out.splitlines()[2].split()[0], out.count("first NaN in output"), err) == ("1", 1, "")


def test_a_training_that_ends_in_nan(capsys):
    assert main(["train", "--data", "photos", "--lr", "1e30", "--epochs", "2", "--out", "m"]) == 0
    assert capsys.readouterr().err == f"warning: {lost('m', 2)} Train again with a smaller --lr.\n"


# Folders and runs


@pytest.mark.parametrize("parts", [["."], ["train", "test"]])
def test_images_of_mixed_sizes(parts, folder, capsys):
    for part in parts:
        for name in ("cat", "dog"):
            (folder / "mixed" / part / name).mkdir(parents=True)
            for number in range(5):
                size = (4, 6) if number == 3 else (6, 5)  # width, height
                Image.new("L", size).save(folder / "mixed" / part / name / f"{number}.png")
    path = str(Path("mixed", parts[0]))
    wrong = str(Path(path, "cat", "3.png"))
    message = (
        f"{path}: images must be of one size, 5x6 as the first. Got 6x4 in {wrong!r}. Resize them, or "
        "train with --size, for example --size 32."
    )
    assert said(capsys, "train", "--data", "mixed") == message
    assert main(["train", "--data", "mixed", "--size", "8", "--epochs", "1"]) == 0


@pytest.mark.parametrize(
    ("path", "what"),
    [("a.png", "a PNG image"), ("saved", "a saved model"), ("short", "3 bytes")],
)
def test_a_file_that_is_no_run(path, what, folder, capsys):
    (folder / "short").write_bytes(b"abc")
    checkpoint.save("saved", net())
    assert (
        said(capsys, "train", "--data", "photos", "--checkpoint", path) == f"{RUN}{path!r}: {what}. {ANOTHER}"
    )
