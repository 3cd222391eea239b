"""What the library refuses in the terms of Python, said in those of the command line."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np

AGAIN = "Train it again, or fetch it again."
FIRST = "Name the model first, and images after it."
# The first bytes of files that people put where the model belongs.
SIGNATURES = {
    b"\x89PNG": ("a PNG image", FIRST),
    b"\xff\xd8\xff": ("a JPEG image", FIRST),
    b"PK\x03\x04": (
        "a zip archive, such as torch saves",
        "minicnn.interop.torch brings a net over in Python.",
    ),
}
# What the library says of a file, and what stands for it on the command line.
FOUND = {
    "a run that fit can go on with": ("a run that --checkpoint keeps", "Pass the file that --out named."),
    "a model that checkpoint.save wrote": ("a saved model", AGAIN),
    "a bare model of checkpoint.save": (
        "a bare model, as minicnn.checkpoint.save leaves it",
        "In Python, save it with Classifier(model, classes, transform, image_shape=...).save(path).",
    ),
    "a Regressor": ("a Regressor, which gives no labels", "In Python, Regressor.load reads it."),
}
# What differs between two runs, as `fit` names it, and the option that decides it; all else comes from --data.
OPTIONS = {
    "batch_size": "batch_size",
    "rng": "seed",
    "scheduler.total_steps": "epochs",
    "scheduler.base_lrs": "lr",
    "transform.transforms.1.padding": "shift",
}


def found_in(path: str, reason: str) -> tuple[str, str]:
    """Return what lies in a file that was refused for a reason, and what to do where a model was wanted.

    >>> found_in("nowhere", "a Regressor")
    ('a Regressor, which gives no labels', 'In Python, Regressor.load reads it.')
    """
    start = Path(path).read_bytes()[:4] if Path(path).is_file() else b""  # a pipe would never end
    for signature, found in SIGNATURES.items():
        if start.startswith(signature):
            return found
    return FOUND.get(reason, (reason, AGAIN))


def refused_model(path: str, reason: str) -> ValueError:
    """Return the error for a file that is no classifier.

    >>> raise refused_model("m.safetensors", "0 bytes")
    Traceback (most recent call last):
    ValueError: MODEL: the file must be a classifier that `minicnn train` or `tour` saved. Got 'm.safetensors': \
0 bytes. Train it again, or fetch it again.
    """
    found, advice = found_in(path, reason)
    return ValueError(
        "MODEL: the file must be a classifier that `minicnn train` or `tour` saved. "
        f"Got {path!r}: {found}. {advice}"
    )


def check_parts_fit(path: str, classifier, images: np.ndarray) -> None:
    """Raise ValueError unless raw images become logits, with a name for each.

    >>> from minicnn import nn
    >>> from minicnn.classifier import Classifier
    >>> clf = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), ["cat", "dog"])
    >>> check_parts_fit("m", clf, np.zeros((1, 2, 2), np.uint8))
    Traceback (most recent call last):
    ValueError: MODEL: image_shape, transform, model and class names of a classifier must fit each other. \
Got 'm', which fails on an image of 2x2 (Classifier: uint8 images need a transform. Got uint8 of shape (1, 2, 2) and \
transform=None. Pass transform=dataset.transform, or prepared float images). Mend it in Python, and save it again.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # they come again with the work itself
            classifier.decision_function(images)
    except (ValueError, TypeError) as error:
        size = "x".join(map(str, images.shape[1:]))
        raise ValueError(
            "MODEL: image_shape, transform, model and class names of a classifier must fit each other. "
            f"Got {path!r}, which fails on an image of {size} ({str(error).rstrip('.')}). "
            "Mend it in Python, and save it again."
        ) from error


def refused_run(path: str, reason: str) -> ValueError:
    """Return the error for a file that --checkpoint cannot go on with.

    >>> raise refused_run("run.safetensors", "0 bytes")
    Traceback (most recent call last):
    ValueError: --checkpoint: the file must be a run that --checkpoint kept before, or not be there yet. \
Got 'run.safetensors': 0 bytes. Pass another name, and the run begins from the beginning.
    """
    found, _ = found_in(path, reason)
    return ValueError(
        "--checkpoint: the file must be a run that --checkpoint kept before, or not be there yet. "
        f"Got {path!r}: {found}. Pass another name, and the run begins from the beginning."
    )


def other_run(arguments: argparse.Namespace, name: str, before, now) -> ValueError:
    """Return the error for a run that was begun with another value of an option.

    >>> now = argparse.Namespace(checkpoint="run.safetensors", epochs=3, data="mnist-5k")
    >>> raise other_run(now, "scheduler.total_steps", before=126, now=189)
    Traceback (most recent call last):
    ValueError: --checkpoint: 'run.safetensors' goes on with the options that it was begun with. Got --epochs 3 \
in place of 2. Pass --epochs 2, or another --checkpoint.
    """
    option = next((option for start, option in OPTIONS.items() if name.startswith(start)), "data")
    typed, shown = getattr(arguments, option), f"--{option.replace('_', '-')}"
    advice = "Pass what was passed before"
    got = f"{shown} {typed} in place of another"
    if option in ("epochs", "lr"):  # the scheduler counts steps, and begins with a part of the rate
        before = f"{typed * before / now:.6g}"
    if option in ("epochs", "lr", "batch_size", "shift"):
        got, advice = f"{shown} {typed} in place of {before}", f"Pass {shown} {before}"
    elif option == "data":
        got = f"other images, classes or --size for --data {typed}"
    return ValueError(
        f"--checkpoint: {arguments.checkpoint!r} goes on with the options that it was begun with. "
        f"Got {got}. {advice}, or another --checkpoint."
    )
