"""tour: learn real digits and see every step, in a minute."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

DESCRIPTION = """Train a small CNN on 4,000 real handwritten digits, test it on 1,000 others, follow some of its
numbers by hand, and turn images into labels. Pictures and the saved classifier go into a folder."""
EXAMPLES = """examples:
  minicnn tour
  minicnn tour --seed 7 --out my-tour
  minicnn tour --epochs 3                     quicker, and less accurate
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `minicnn tour` takes.

    >>> parser = argparse.ArgumentParser(); add_arguments(parser)
    >>> parser.parse_args([]).out
    'minicnn-tour'
    """
    from minicnn.commands.recipe import EPOCHS
    from minicnn.commands.train import natural, positive

    parser.add_argument("--out", default="minicnn-tour", metavar="FOLDER", help="default: %(default)s")
    parser.add_argument("--epochs", type=positive, default=EPOCHS, metavar="N", help="default: %(default)s")
    parser.add_argument("--seed", type=natural, default=0, help="another seed, another net (default: 0)")


def run(arguments: argparse.Namespace) -> None:
    """Walk through all stops of the tour."""
    from minicnn import data, metrics
    from minicnn.commands.common import check_can_be_written
    from minicnn.commands.recipe import train_classifier

    started = time.perf_counter()
    folder = Path(arguments.out)
    folder.mkdir(parents=True, exist_ok=True)
    saved = folder / "digits.safetensors"
    check_can_be_written("--out", str(saved))

    heading(1, "The data: real digits, inside the package")
    train, test = data.load("mnist-5k")
    print(
        f"{len(train):,} images to learn from and {len(test):,} to test on, 28x28 pixels, grey, labels 0 to 9"
    )

    heading(2, "Learning")
    classifier, history = train_classifier(train, test, epochs=arguments.epochs, seed=arguments.seed)
    print(classifier.model)

    heading(3, "The test")
    labels = [test.classes[target] for target in test.targets]
    predicted = classifier.predict(test.images)
    print(f"test accuracy {metrics.accuracy(labels, predicted, test.classes):.1%}")
    print(metrics.classification_table(labels, predicted, test.classes))

    heading(4, "From numbers to labels")
    print(classifier.explain(chosen_images(test, predicted)))

    heading(5, "Four numbers, followed by hand")
    least_sure = np.argsort(classifier.predict_proba(test.images).max(axis=1))[:4]
    for explanation in by_hand(classifier.model, test, least_sure):
        print(explanation, end="\n\n")

    heading(6, "Beside PyTorch")
    print(beside_torch(classifier.model, test.transform(test.images[:64])))

    heading(7, "Kept for you")
    classifier.save(saved)
    for path in sorted([saved, *draw(folder, classifier, history, test, predicted)]):
        print(f"  {path}")
    print(f"\nThe tour took {time.perf_counter() - started:.0f} seconds. Next: your own image,")
    print(f"  minicnn predict {saved} IMAGE.png --explain")


def heading(number: int, title: str) -> None:
    """Print the title of a stop.

    >>> heading(1, "The data")
    <BLANKLINE>
    1  The data
    -----------
    """
    print(f"\n{number}  {title}\n{'-' * (len(title) + 3)}")


def chosen_images(test, predicted: np.ndarray) -> np.ndarray:
    """Return two images that were labelled rightly, and one wrongly if there is one.

    >>> from minicnn import data
    >>> _, test = data.load("mnist-5k")
    >>> chosen_images(test, np.array(["0"] * 1000)).shape
    (3, 28, 28)
    """
    right = np.array([test.classes[target] for target in test.targets]) == predicted
    chosen = [*np.flatnonzero(right)[:2], *np.flatnonzero(~right)[:1]]
    return test.images[chosen]


def by_hand(model, test, chosen=(0, 1, 2, 3)) -> list:
    """Return four explanations: a convolution, a pooling winner, a probability, a gradient of the loss.

    `chosen` are the test images of the batch; the numbers belong to the first.

    >>> from minicnn import data
    >>> from minicnn.models import mnist_cnn
    >>> [explanation.ok for explanation in by_hand(mnist_cnn(rng=0), data.load("mnist-5k")[1])]
    [True, True, True, True]
    """
    from minicnn.inspection import trace

    chosen = list(chosen)
    t = trace(model, test.transform(test.images[chosen]), test.targets[chosen], classes=test.classes)
    channel = int(np.argmax(t["2"].output[0].max(axis=(1, 2))))
    row, column = np.unravel_index(np.argmax(t["2"].output[0, channel]), t["2"].output.shape[2:])
    target = int(test.targets[chosen[0]])
    found = [
        t.explain("0", (0, channel, 2 * row, 2 * column)),
        t.explain("2", (0, channel, row, column)),
        t.explain("softmax", (0, target)),
        t.explain("loss", (0, target), of="grad_input"),
    ]
    wrong = [explanation for explanation in found if not explanation.ok]
    if wrong:
        raise RuntimeError(
            f"tour: a number and its explanation must agree. Got {wrong[0]}. Please report this."
        )
    return found


def beside_torch(model, images: np.ndarray) -> str:
    """Return in words how far our logits and torch's lie apart, or that torch is not installed.

    >>> from minicnn.models import mnist_cnn
    >>> print(beside_torch(mnist_cnn(rng=0), np.zeros((2, 1, 28, 28), np.float32)).split(",")[0])  # doctest: +SKIP
    The same weights in torch
    """
    from minicnn import no_grad
    from minicnn.interop.torch import is_installed, torch_output

    if not is_installed():
        return "torch is not installed, so there is nothing to compare with: pip install 'minicnn[torch]'"
    with no_grad():
        ours = model.eval()(images)
    theirs = torch_output(model, images)
    difference, largest = np.abs(ours - theirs).max(), np.abs(theirs).max()
    same = int((ours.argmax(axis=1) == theirs.argmax(axis=1)).sum())
    return (
        f"The same weights in torch, the same {len(images)} images: logits up to {largest:.3g} differ by at most "
        f"{difference:.1e},\nwhich is rounding, and {same} of {len(images)} labels are the same."
    )


def draw(folder: Path, classifier, history, test, predicted: np.ndarray) -> list[Path]:
    """Write confusion.png, history.png, filters.png and way.png; return their paths."""
    from minicnn import metrics
    from minicnn.commands.common import save_figure
    from minicnn.inspection import plot_filters, trace

    labels = [test.classes[target] for target in test.targets]
    image = chosen_images(test, predicted)[-1:]
    target = test.targets[(test.images == image).all(axis=(1, 2))][:1]
    t = trace(classifier.model, test.transform(image), target, classes=test.classes)
    drawn = {
        folder / "confusion.png": metrics.plot_confusion_matrix(labels, predicted, test.classes),
        folder / "history.png": history.plot(),
        folder / "filters.png": plot_filters(classifier.model[0]),
        folder / "way.png": t.plot(),
    }
    for path, figure in drawn.items():
        save_figure(figure, path)
    return list(drawn)
