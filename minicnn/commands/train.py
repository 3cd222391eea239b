"""train: learn from labelled images and save the classifier."""

from __future__ import annotations

import argparse
import math
import os

from minicnn.commands import STOPPED
from minicnn.commands.recipe import BATCH_SIZE, EPOCHS, LARGEST_RATE, SHIFT

DESCRIPTION = """Train the two-block CNN of the tour, and save it with its class names and preprocessing.

NAME_OR_FOLDER is mnist-5k (inside the package), mnist, fashion-mnist, cifar10 (downloaded once), or a
folder with one folder of PNG or JPEG images a class: it is split 80 : 20, unless it holds train/ and test/."""
EXAMPLES = """examples:
  minicnn train --data mnist-5k --out digits.safetensors
  minicnn train --data mnist --epochs 5 --checkpoint run.safetensors
  minicnn train --data photos --size 32 --out animals.safetensors
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `minicnn train` takes.

    >>> parser = argparse.ArgumentParser(); add_arguments(parser)
    >>> parser.parse_args(["--data", "mnist-5k"]).epochs
    15
    """
    parser.add_argument("--data", required=True, metavar="NAME_OR_FOLDER", help="what to learn from")
    parser.add_argument("--out", default="model.safetensors", metavar="FILE", help="default: %(default)s")
    parser.add_argument("--epochs", type=positive, default=EPOCHS, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--batch-size", type=positive, default=BATCH_SIZE, metavar="N", help="default: %(default)s"
    )
    parser.add_argument(
        "--lr", type=rate, default=LARGEST_RATE, help="the largest learning rate of the cycle (%(default)s)"
    )
    parser.add_argument(
        "--shift",
        type=natural,
        default=SHIFT,
        metavar="PIXELS",
        help="move images by up to this (%(default)s)",
    )
    parser.add_argument(
        "--size", type=positive, metavar="PIXELS", help="resize a folder's images to a square"
    )
    parser.add_argument("--seed", type=natural, default=0, help="same seed, same weights (default: 0)")
    parser.add_argument(
        "--checkpoint", metavar="FILE", help="keep the run here; the same command goes on where it stopped"
    )


def positive(text: str) -> int:
    """Return a command-line argument as an int of at least 1.

    >>> positive("3")
    3
    """
    return at_least(1, text)


def natural(text: str) -> int:
    """Return a command-line argument as an int of at least 0.

    >>> natural("0")
    0
    """
    return at_least(0, text)


def at_least(minimum: int, text: str) -> int:
    """Return a command-line argument as an int of at least `minimum`.

    >>> at_least(2, "3")
    3
    """
    number = int(text)
    if number < minimum:
        raise argparse.ArgumentTypeError(f"must be at least {minimum}, got {number}")
    return number


def rate(text: str) -> float:
    """Return a command-line argument as a finite number above 0.

    >>> rate("1e-2")
    0.01
    """
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, got {text}")
    return number


def run(arguments: argparse.Namespace) -> int | None:
    """Load, train, save, measure; Ctrl-C ends the training, and what was learned is saved."""
    from minicnn.checkpoint.files import RefusedFile
    from minicnn.commands.common import advised_labels, check_can_be_written, load_data
    from minicnn.commands.recipe import train_classifier
    from minicnn.commands.refusals import other_run, refused_run
    from minicnn.metrics import classification_table
    from minicnn.training.resume import OtherCall

    check_can_be_written("--out", arguments.out)
    if arguments.checkpoint is not None:
        check_can_be_written("--checkpoint", arguments.checkpoint)
        if os.path.realpath(arguments.checkpoint) == os.path.realpath(arguments.out):
            raise ValueError(
                "--checkpoint: path must be another than that of --out, which replaces it. "
                f"Got {arguments.checkpoint!r} and {arguments.out!r}. Pass another path."
            )
    train, test = load_data(arguments.data, arguments.size)
    height, width = train.images.shape[1:3]
    if arguments.size not in (None, height):
        raise ValueError(
            f"--size: only the images of a folder are resized. Got {arguments.size} for {arguments.data}, whose "
            f"images are {height}x{width}. Leave --size out."
        )
    print(
        f"{arguments.data}: {len(train):,} training and {len(test):,} test images, {len(train.classes)} classes"
    )
    try:
        classifier, history = train_classifier(
            train,
            test,
            epochs=arguments.epochs,
            batch_size=arguments.batch_size,
            lr=arguments.lr,
            shift=arguments.shift,
            seed=arguments.seed,
            checkpoint=arguments.checkpoint,
        )
    except OtherCall as error:
        raise other_run(arguments, error.name, error.before, error.now) from error
    except RefusedFile as error:
        raise refused_run(arguments.checkpoint, error.reason) from error
    classifier.save(arguments.out)  # first of all: whatever is done with it, it is not lost
    if history.interrupted:
        print(f"stopped in epoch {len(history) + 1} of {arguments.epochs}")
    print(f"saved to {arguments.out}")
    labels = [test.classes[target] for target in test.targets]
    predicted = advised_labels(classifier, test.images, arguments.out, "Train again with a smaller --lr.")
    print(classification_table(labels, predicted, test.classes))
    return STOPPED if history.interrupted else None
