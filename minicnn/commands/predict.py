"""predict: name what is in image files."""

from __future__ import annotations

import argparse

from minicnn.commands.train import positive

DESCRIPTION = """Print a label and its probability for each PNG or JPEG file.

Images may be grey or in colour and of any size: they are brought to what the model was trained on, with
a warning where that means resizing."""
EXAMPLES = """examples:
  minicnn predict digits.safetensors seven.png
  minicnn predict digits.safetensors scans/*.jpg --invert        dark digits on white paper
  minicnn predict digits.safetensors seven.png --explain         the whole way from logits to label
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `minicnn predict` takes.

    >>> parser = argparse.ArgumentParser(); add_arguments(parser)
    >>> parser.parse_args(["m.safetensors", "a.png", "b.png"]).images
    ['a.png', 'b.png']
    """
    parser.add_argument("model", metavar="MODEL", help="a classifier that `minicnn train` or `tour` saved")
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="PNG or JPEG files")
    parser.add_argument(
        "--top", type=positive, default=3, metavar="K", help="how many classes to name (%(default)s)"
    )
    parser.add_argument("--explain", action="store_true", help="print the whole chain for each image")
    parser.add_argument("--invert", action="store_true", help="swap dark and bright first")


def run(arguments: argparse.Namespace) -> None:
    """Load the model, read the images, print a line for each."""
    from minicnn.commands.common import advised_labels, images_like, load_classifier
    from minicnn.commands.refusals import check_parts_fit

    classifier = load_classifier(arguments.model)
    images = images_like(classifier, arguments.images, arguments.invert)
    check_parts_fit(arguments.model, classifier, images[:1])
    chains = classifier.explain(images, top_k=arguments.top)
    advice = "`minicnn trace` shows in which layer they begin."
    labels = advised_labels(classifier, images, arguments.model, advice)
    width = max(len(path) for path in arguments.images)
    for path, chain, label in zip(arguments.images, chains, labels, strict=True):
        ranked = ", ".join(f"{name} {probability:.1%}" for name, probability in chain.top)
        print(f"{path:{width}}  {label}  ({ranked or 'no probabilities'})")
        if arguments.explain:
            print(chain)
