"""evaluate: measure a saved classifier on labelled images."""

from __future__ import annotations

import argparse

DESCRIPTION = "Print the accuracy and a table by class of a saved classifier on the test part of a data set."
EXAMPLES = """examples:
  minicnn evaluate digits.safetensors --data mnist-5k
  minicnn evaluate animals.safetensors --data photos --confusion confusion.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `minicnn evaluate` takes.

    >>> parser = argparse.ArgumentParser(); add_arguments(parser)
    >>> parser.parse_args(["m.safetensors", "--data", "mnist-5k"]).data
    'mnist-5k'
    """
    parser.add_argument("model", metavar="MODEL", help="a classifier that `minicnn train` or `tour` saved")
    parser.add_argument("--data", required=True, metavar="NAME_OR_FOLDER", help="as in `minicnn train`")
    parser.add_argument("--confusion", metavar="PNG", help="also draw the confusion matrix")


def run(arguments: argparse.Namespace) -> None:
    """Load the model and the images, predict, print."""
    from pathlib import Path

    import numpy as np

    from minicnn import metrics
    from minicnn.commands.common import (
        check_as_they_are,
        check_can_be_drawn,
        knows_colours,
        load_classifier,
        load_data,
        save_figure,
    )
    from minicnn.commands.refusals import check_parts_fit

    if arguments.confusion:
        check_can_be_drawn("--confusion", arguments.confusion)
    classifier = load_classifier(arguments.model)
    known, colours = classifier.image_shape, knows_colours(classifier)
    _, test = load_data(arguments.data, None if known is None else known[:2], colours)
    if tuple(classifier.classes_) != tuple(test.classes):
        raise ValueError(
            f"{arguments.data}: the classes must be the model's {', '.join(map(str, classifier.classes_))}. "
            f"Got {', '.join(test.classes)}. Evaluate on the data that the model was made for."
        )
    if known is not None and (test.images.shape[1:3], test.images.ndim == 4) != (known[:2], colours):
        wanted, found = ("x".join(map(str, shape)) for shape in (known, test.images.shape[1:]))
        raise ValueError(
            f"{arguments.data}: the images must be of the model's size and colours, {wanted}. Got {found}. "
            "Only the images of a folder are brought to them."
        )
    if known is None and classifier.transform is not None:
        check_as_they_are(classifier, [arguments.data], [test.images[0]])
    check_parts_fit(arguments.model, classifier, test.images[:1])
    probabilities = classifier.predict_proba(test.images)
    lost = int(np.isnan(probabilities).any(axis=1).sum())
    if lost:
        raise ValueError(
            f"{arguments.model}: a label needs finite logits. Got NaN or infinite ones for {lost} of {len(test)} "
            "images, whose labels mean nothing. `minicnn trace` shows in which layer they begin."
        )
    labels = [test.classes[target] for target in test.targets]
    predicted = classifier.predict(test.images)
    print(metrics.classification_table(labels, predicted, test.classes))
    error = metrics.expected_calibration_error(labels, probabilities, test.classes)
    print(f"expected calibration error {error:.4f}")
    if arguments.confusion:
        save_figure(metrics.plot_confusion_matrix(labels, predicted, test.classes), Path(arguments.confusion))
        print(f"drawn to {arguments.confusion}")
