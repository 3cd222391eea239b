"""trace: show what every layer makes of one image."""

from __future__ import annotations

import argparse

DESCRIPTION = """Print a table of one image's way through a saved classifier: shapes, sizes, ranges, dead units, and
where NaN or infinity appears first. With --target the way back is recorded too."""
EXAMPLES = """examples:
  minicnn trace digits.safetensors seven.png
  minicnn trace digits.safetensors seven.png --target 7          with the gradients of the cross-entropy
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `minicnn trace` takes.

    >>> parser = argparse.ArgumentParser(); add_arguments(parser)
    >>> parser.parse_args(["m.safetensors", "a.png", "--target", "7"]).target
    '7'
    """
    parser.add_argument("model", metavar="MODEL", help="a classifier that `minicnn train` or `tour` saved")
    parser.add_argument("image", metavar="IMAGE", help="a PNG or JPEG file")
    parser.add_argument("--target", metavar="LABEL", help="the right label; records the gradients")
    parser.add_argument("--invert", action="store_true", help="swap dark and bright first")


def traced(arguments: argparse.Namespace):
    """Return the classifier in a file, and the Trace of the image in a file through it."""
    import numpy as np

    from minicnn import nn
    from minicnn.commands.common import images_like, load_classifier
    from minicnn.commands.refusals import check_parts_fit
    from minicnn.inspection import trace

    classifier = load_classifier(arguments.model)
    classes = [str(name) for name in classifier.classes_]
    if arguments.target is not None and arguments.target not in classes:
        raise ValueError(
            f"--target: the label must be one of {', '.join(classes)}. Got {arguments.target}. Choose one."
        )
    raw = images_like(classifier, [arguments.image], arguments.invert)
    check_parts_fit(arguments.model, classifier, raw)
    logits = classifier.decision_function(raw)
    targets, criterion = None, None
    if arguments.target is not None:
        targets = np.array([classes.index(arguments.target)])
        if logits.ndim == 1:  # one logit for two classes
            targets, criterion = targets[:, np.newaxis].astype(logits.dtype), nn.BCEWithLogitsLoss()
    t = trace(classifier.model.eval(), classifier.transform(raw), targets, criterion, classes)
    return classifier, t


def run(arguments: argparse.Namespace) -> None:
    """Load, trace, print."""
    print(traced(arguments)[1])
