"""train: learn from labelled images and save the classifier."""

from __future__ import annotations

import argparse

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
        "--lr", type=float, default=LARGEST_RATE, help="the largest learning rate of the cycle (%(default)s)"
    )
    parser.add_argument(
        "--shift", type=int, default=SHIFT, metavar="PIXELS", help="move images by up to this (%(default)s)"
    )
    parser.add_argument(
        "--size", type=positive, metavar="PIXELS", help="resize a folder's images to a square"
    )
    parser.add_argument("--seed", type=int, default=0, help="same seed, same weights (default: 0)")
    parser.add_argument(
        "--checkpoint", metavar="FILE", help="keep the run here; the same command goes on where it stopped"
    )


def positive(text: str) -> int:
    """Return a command-line argument as an int of at least 1.

    >>> positive("3")
    3
    """
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


def run(arguments: argparse.Namespace) -> None:
    """Load, train, measure, save."""
    from minicnn.commands.common import load_data
    from minicnn.commands.recipe import train_classifier
    from minicnn.metrics import classification_table

    train, test = load_data(arguments.data, arguments.size)
    print(
        f"{arguments.data}: {len(train):,} training and {len(test):,} test images, {len(train.classes)} classes"
    )
    classifier, _ = train_classifier(
        train,
        test,
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        lr=arguments.lr,
        shift=arguments.shift,
        seed=arguments.seed,
        checkpoint=arguments.checkpoint,
    )
    labels = [test.classes[target] for target in test.targets]
    print(classification_table(labels, classifier.predict(test.images), test.classes))
    classifier.save(arguments.out)
    print(f"saved to {arguments.out}")
