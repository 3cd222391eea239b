"""minicnn train: what it could know before training it says before training, and what it learned it keeps."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

import minicnn.training
from minicnn.classifier import Classifier
from minicnn.cli import main
from minicnn.commands.common import load_data


@pytest.fixture
def no_training(monkeypatch):
    """Fail the test if the training begins."""

    def fit(*arguments, **options):
        pytest.fail("training began")

    monkeypatch.setattr(minicnn.training, "fit", fit)


def write_photos(folder, **counts):
    """Write a folder of 8x8 images for each class, as many as `counts` says, and return its path."""
    rng = np.random.default_rng(0)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 256, size=(8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return str(folder)


def refused(capsys, *arguments) -> str:
    """Run a command that must fail with exit code 1, and return its only line."""
    assert main(list(arguments)) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


@pytest.mark.usefixtures("no_training")
def test_a_place_without_a_folder_is_refused_before_training(tmp_path, capsys):
    path = str(tmp_path / "nowhere" / "x.safetensors")
    assert refused(capsys, "train", "--data", "mnist-5k", "--out", path) == (
        "minicnn train: --out: path must lie in a folder that can be written to. "
        f"Got {path!r}. Make the folder, or pass another path."
    )


@pytest.mark.usefixtures("no_training")
def test_a_folder_that_may_not_be_written_is_refused_before_training(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    path = str(tmp_path / "x.safetensors")
    assert refused(capsys, "train", "--data", "mnist-5k", "--out", path) == (
        "minicnn train: --out: path must lie in a folder that can be written to. "
        f"Got {path!r}. Make the folder, or pass another path."
    )


@pytest.mark.usefixtures("no_training")
def test_the_tour_looks_at_its_folder_first(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    assert refused(capsys, "tour", "--out", str(tmp_path)) == (
        "minicnn tour: --out: path must lie in a folder that can be written to. "
        f"Got {str(tmp_path / 'digits.safetensors')!r}. Make the folder, or pass another path."
    )


@pytest.mark.usefixtures("no_training")
def test_a_folder_in_place_of_the_file_is_refused_before_training(tmp_path, capsys):
    assert refused(capsys, "train", "--data", "mnist-5k", "--out", str(tmp_path)) == (
        f"minicnn train: --out: path must name a file. Got {str(tmp_path)!r}, which is none. "
        "Pass the path of a file."
    )


def test_evaluate_looks_at_the_place_of_its_picture_first(tmp_path, capsys):
    path = str(tmp_path / "nowhere" / "c.png")
    assert refused(capsys, "evaluate", "m.safetensors", "--data", "mnist-5k", "--confusion", path) == (
        "minicnn evaluate: --confusion: path must lie in a folder that can be written to. "
        f"Got {path!r}. Make the folder, or pass another path."
    )


@pytest.mark.parametrize("name", ["confusion", "confusion.xyz"])
def test_a_picture_needs_a_name_that_says_its_kind(name, tmp_path, capsys):
    path, better = str(tmp_path / name), str(tmp_path / "confusion.png")
    assert refused(capsys, "evaluate", "m.safetensors", "--data", "mnist-5k", "--confusion", path) == (
        "minicnn evaluate: --confusion: path must end as the names of pictures do. "
        f"Got {path!r}. Pass for example {better!r}."
    )


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    ("checkpoint", "rule"),
    [
        (
            "nowhere/run.safetensors",
            "path must lie in a folder that can be written to. Got 'nowhere/run.safetensors'. "
            "Make the folder, or pass another path.",
        ),
        ("", "path must name a file. Got '', which is none. Pass the path of a file."),
        (
            "./m.safetensors",
            "path must be another than that of --out, which replaces it. Got './m.safetensors' and "
            "'m.safetensors'. Pass another path.",
        ),
    ],
)
def test_the_place_of_the_checkpoint_is_looked_at_first(checkpoint, rule, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ["train", "--data", "mnist-5k", "--out", "m.safetensors", "--checkpoint", checkpoint]
    assert refused(capsys, *command) == f"minicnn train: --checkpoint: {rule}"


@pytest.mark.usefixtures("no_training")
def test_a_data_set_of_a_size_of_its_own_is_not_resized(tmp_path, capsys):
    out = str(tmp_path / "m.safetensors")
    assert refused(capsys, "train", "--data", "mnist-5k", "--size", "64", "--out", out) == (
        "minicnn train: --size: only the images of a folder are resized. Got 64 for mnist-5k, whose images are "
        "28x28. Leave --size out."
    )


def test_a_folder_without_folders_does_not_hide_a_data_set_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mnist-5k" / ".hidden").mkdir(parents=True)
    assert len(load_data("mnist-5k")[0]) == 4000
    write_photos(tmp_path / "mnist-5k", cat=5, dog=5)
    assert load_data("mnist-5k")[0].classes == ("cat", "dog")


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(("count", "images"), [(0, "1 image"), (1, "2 images")])
def test_too_few_images_for_a_test_are_refused_before_training(count, images, tmp_path, capsys):
    folder = write_photos(tmp_path / "photos", cat=1, **({"dog": count} if count else {}))
    assert refused(capsys, "train", "--data", folder, "--out", str(tmp_path / "m")) == (
        f"minicnn train: {folder}: a fifth of the images must be at least one to test on. Got {images}. "
        "Add images, or divide them into the folders train and test."
    )


@pytest.mark.usefixtures("no_training")
def test_a_single_class_is_refused_before_training(tmp_path, capsys):
    folder = write_photos(tmp_path / "photos", cat=10)
    assert main(["train", "--data", folder, "--out", str(tmp_path / "m")]) == 1
    assert capsys.readouterr().err == (
        "minicnn train: there must be at least two classes to tell apart. Got only 'cat'. "
        "Add images of another class.\n"
    )


@pytest.mark.usefixtures("no_training")
def test_a_class_that_is_in_the_test_only_is_refused_before_training(tmp_path, capsys):
    folder = write_photos(tmp_path / "photos", cat=1, cow=1, dog=1)
    assert main(["train", "--data", folder, "--out", str(tmp_path / "m")]) == 1
    assert capsys.readouterr().err == (
        "minicnn train: every class must have an image to learn from. Got none of 'cat', as a fifth of the "
        "images is kept to test on. Add images of it.\n"
    )


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    ("command", "option", "value", "message"),
    [
        ("train", "--lr", "-1", "must be a number above 0, got -1"),
        ("train", "--lr", "0", "must be a number above 0, got 0"),
        ("train", "--lr", "nan", "must be a number above 0, got nan"),
        ("train", "--lr", "inf", "must be a number above 0, got inf"),
        ("train", "--lr", "fast", "invalid rate value: 'fast'"),
        ("train", "--seed", "-1", "must be at least 0, got -1"),
        ("train", "--shift", "-1", "must be at least 0, got -1"),
        ("train", "--epochs", "0", "must be at least 1, got 0"),
        ("tour", "--seed", "-1", "must be at least 0, got -1"),
        ("predict", "--top", "0", "must be at least 1, got 0"),
        ("compare", "--steps", "-2", "must be at least 0, got -2"),
    ],
)
def test_a_number_out_of_range_is_a_wrong_command_line(
    command, option, value, message, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    needed = {"train": ["--data", "mnist-5k"], "predict": ["m", "a.png"], "compare": ["net.py:Net"]}
    with pytest.raises(SystemExit) as stopped:
        main([command, *needed.get(command, []), option, value])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.endswith(f"error: argument {option}: {message}\n")


def test_the_classifier_is_saved_before_it_is_measured(tmp_path, monkeypatch):
    def broken(*arguments):
        raise ValueError("no table")

    monkeypatch.setattr("minicnn.metrics.classification_table", broken)
    out = tmp_path / "m.safetensors"
    folder = write_photos(tmp_path / "photos", cat=5, dog=5)
    assert main(["train", "--data", folder, "--epochs", "1", "--out", str(out)]) == 1
    assert Classifier.load(out).classes_.tolist() == ["cat", "dog"]


def test_who_stops_the_training_keeps_what_was_learned(tmp_path, monkeypatch, capsys):
    fit = minicnn.training.fit

    def stop_in_epoch_3(state):
        if state.epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(minicnn.training, "fit", lambda *a, **o: fit(*a, callbacks=[stop_in_epoch_3], **o))
    out = tmp_path / "m.safetensors"
    folder = write_photos(tmp_path / "photos", cat=5, dog=5)
    assert main(["train", "--data", folder, "--epochs", "30", "--out", str(out)]) == 130
    assert f"\nstopped in epoch 3 of 30\nsaved to {out}\n" in capsys.readouterr().out
    assert Classifier.load(out).classes_.tolist() == ["cat", "dog"]


@pytest.mark.parametrize(
    ("options", "got", "advice"),
    [
        (["--epochs", "3"], "--epochs 3 in place of 2", "Pass --epochs 2"),
        (["--epochs", "1"], "--epochs 1 in place of 2", "Pass --epochs 2"),
        (["--lr", "0.02"], "--lr 0.02 in place of 0.01", "Pass --lr 0.01"),
        (["--shift", "0"], "--shift 0 in place of 2", "Pass --shift 2"),
        (["--batch-size", "4"], "--batch-size 4 in place of 64", "Pass --batch-size 64"),
        (["--seed", "1"], "--seed 1 in place of another", "Pass what was passed before"),
        (["--size", "9"], "other images, classes or --size for --data photos", "Pass what was passed before"),
        (
            ["--data", "more"],
            "other images, classes or --size for --data more",
            "Pass what was passed before",
        ),
    ],
)
def test_a_run_goes_on_with_the_options_it_was_begun_with(
    options, got, advice, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path / "photos", cat=5, dog=5)
    write_photos(tmp_path / "more", cat=6, dog=5)
    command = ["train", "--data", "photos", "--epochs", "2", "--out", "m", "--checkpoint", "run"]
    assert main(command) == 0
    capsys.readouterr()
    assert main([*command, *options]) == 1
    assert capsys.readouterr().err == (
        "minicnn train: --checkpoint: 'run' goes on with the options that it was begun with. "
        f"Got {got}. {advice}, or another --checkpoint.\n"
    )


def test_ctrl_c_elsewhere_has_the_same_exit_code(monkeypatch, capsys):
    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("minicnn.commands.common.load_data", stop)
    assert main(["train", "--data", "mnist-5k"]) == 130
    assert capsys.readouterr().err == "minicnn train: stopped\n"
