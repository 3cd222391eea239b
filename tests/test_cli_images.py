"""Images from files meet a saved classifier: in the size and the colours that it knows, or in plain words."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from minicnn import nn
from minicnn.classifier import Classifier
from minicnn.cli import main
from minicnn.data import transforms


@pytest.fixture
def saved(tmp_path):
    """The path of a classifier of grey 4x4 images, saved without image_shape."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2, rng=0))
    Classifier(model, classes=["cat", "dog"], transform=transforms.ToFloat()).save(tmp_path / "m")
    return str(tmp_path / "m")


def write_image(path, size, mode="L") -> str:
    """Write a dark image of (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (size[1], size[0])).save(path)
    return str(path)


def not_taken(command: str, path: str, shape) -> str:
    return (
        f"minicnn {command}: {path}: images must have the size and the colours that the model was made for, which "
        f"its file does not name. Got shape {shape}. Bring the image to them, or save the classifier with "
        "image_shape=train.images.shape[1:].\n"
    )


def test_images_of_the_right_size_need_no_image_shape(saved, tmp_path, capsys):
    paths = [write_image(tmp_path / name, (4, 4)) for name in ("a.png", "b.png")]
    assert main(["predict", saved, *paths]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize("command", ["predict", "trace", "explain"])
@pytest.mark.parametrize(("size", "mode", "shape"), [((6, 5), "L", (6, 5)), ((4, 4), "RGB", (4, 4, 3))])
def test_an_image_that_the_model_does_not_take(command, size, mode, shape, saved, tmp_path, capsys):
    path = write_image(tmp_path / "a.png", size, mode)
    assert main([command, saved, path]) == 1
    assert capsys.readouterr().err == not_taken(command, path, shape)


@pytest.mark.parametrize(
    ("biases", "line"),
    [
        ([0, 0, 0], "a  (a 33.3%, b 33.3%)"),  # of equals the first
        ([200, 80, 0], "a  (a 100.0%, b 0.0%)"),  # e⁻¹²⁰ and e⁻²⁰⁰ are 0 in float32
        ([np.nan, 0, 0], "a  (no probabilities)"),
    ],
)
def test_classes_are_ranked_as_the_label_is_chosen(biases, line, tmp_path, capsys):
    layer = nn.Linear(16, 3)
    layer.weight.data[...], layer.bias.data[...] = 0, biases
    model = nn.Sequential(nn.Flatten(), layer)
    saved = Classifier(model, ["a", "b", "c"], transforms.ToFloat(), image_shape=(4, 4))
    saved.save(tmp_path / "m")
    path = write_image(tmp_path / "a.png", (4, 4))
    assert main(["predict", str(tmp_path / "m"), path, "--top", "2"]) == 0
    assert capsys.readouterr().out == f"{path}  {line}\n"


def test_the_image_of_another_size_is_named(saved, tmp_path, capsys):
    good, bad = write_image(tmp_path / "a.png", (4, 4)), write_image(tmp_path / "b.png", (6, 5))
    assert main(["predict", saved, good, bad]) == 1
    assert capsys.readouterr().err == not_taken("predict", bad, (6, 5))


@pytest.mark.parametrize(
    ("classes", "transform", "message"),
    [
        (
            ["cat", "dog", "cow"],
            transforms.ToFloat(),
            "each logit needs one class name, or a single logit two. Got 3 names for 2 logits. Pass the "
            "classes the model was trained with",
        ),
        (
            ["cat", "dog"],
            None,
            "uint8 images need a transform. Got uint8 of shape (1, 4, 4) and transform=None. Pass "
            "transform=dataset.transform, or prepared float images",
        ),
    ],
)
@pytest.mark.parametrize("command", ["predict", "trace", "explain"])
def test_what_is_wrong_with_the_classifier_is_not_put_on_the_image(
    command, classes, transform, message, tmp_path, capsys
):
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2, rng=0))
    Classifier(model, classes=classes, transform=transform).save(tmp_path / "m")
    saved = str(tmp_path / "m")
    assert main([command, saved, write_image(tmp_path / "a.png", (4, 4))]) == 1
    assert capsys.readouterr().err == (
        f"minicnn {command}: MODEL: image_shape, transform, model and class names of a classifier must fit each other. "
        f"Got {saved!r}, which fails on an image of 4x4 (Classifier: {message}). Mend it in Python, and save it "
        "again.\n"
    )


@pytest.fixture
def one_logit(tmp_path):
    """Paths of a classifier with one logit for two classes, z = 2·x + 1, and of an image of one pixel, 0.2."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 1, rng=0))
    model[1].weight.data[...], model[1].bias.data[...] = 2, 1
    Classifier(model, classes=["no", "yes"], transform=transforms.ToFloat()).save(tmp_path / "m")
    Image.new("L", (1, 1), 51).save(tmp_path / "a.png")
    return [str(tmp_path / "m"), str(tmp_path / "a.png")]


@pytest.mark.parametrize(("label", "slope"), [("no", "0.802183"), ("yes", "-0.197816")])
def test_the_target_of_one_logit_goes_through_a_sigmoid(label, slope, one_logit, capsys):
    # sigmoid(2·0.2 + 1) = 0.8021838885, minus 0 or 1
    assert main(["trace", *one_logit, "--target", label]) == 0
    assert "BCEWithLogitsLoss" in capsys.readouterr().out
    options = ["--layer", "loss", "--of", "grad_input", "--at", "0,0"]
    assert main(["explain", *one_logit, "--target", label, *options]) == 0
    assert slope in capsys.readouterr().out


def test_the_label_of_one_logit_is_explained(one_logit, capsys):
    assert main(["explain", *one_logit]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("image 0: 1 logit -> sigmoid -> threshold -> label\n")
    assert "p > threshold 0.5" in shown
    assert main(["explain", *one_logit, "--code", "numpy"]) == 1
    assert capsys.readouterr().err == (
        "minicnn explain: --code: code belongs to one number, and a label of one logit is no sum. "
        "Got --code numpy. Name a number with --layer and --at.\n"
    )


def test_a_model_of_any_size_takes_one_size_at_a_time(tmp_path, capsys):
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2, rng=0))
    Classifier(model, classes=["cat", "dog"], transform=transforms.ToFloat()).save(tmp_path / "m")
    one, other = write_image(tmp_path / "a.png", (4, 4)), write_image(tmp_path / "b.png", (6, 5))
    assert main(["predict", str(tmp_path / "m"), one, other]) == 1
    assert capsys.readouterr().err == (
        f"minicnn predict: {other}: images must be of one shape, (4, 4) as the first, where the model's file "
        "names none. Got shape (6, 5). Pass the images one by one, or save the classifier with "
        "image_shape=train.images.shape[1:].\n"
    )


@pytest.mark.parametrize("parts", [[""], ["train", "test"]])
@pytest.mark.parametrize(("shape", "mode"), [((4, 4, 3), "L"), ((4, 4), "RGB")])
def test_evaluate_reads_the_colours_that_the_model_knows(shape, mode, parts, tmp_path, capsys):
    for part in parts:
        for name in ("cat", "dog"):
            for number in range(5):
                write_image(tmp_path / "photos" / part / name / f"{number}.png", (6, 5), mode)
    features = int(np.prod(shape))
    model = nn.Sequential(nn.Flatten(), nn.Linear(features, 2, rng=0))
    halves = [0.5] * (features // 16)  # one a channel
    prepare = transforms.Compose([transforms.ToFloat(), transforms.Normalize(halves, halves)])
    Classifier(model, classes=["cat", "dog"], transform=prepare, image_shape=shape).save(tmp_path / "m")
    assert main(["evaluate", str(tmp_path / "m"), "--data", str(tmp_path / "photos")]) == 0
    assert "balanced accuracy" in capsys.readouterr().out
