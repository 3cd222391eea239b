"""Two pictures of the tour: the filters of the first layer, and one image's way to its label."""

from __future__ import annotations

import numpy as np

BLUE, GREY = "#0072b2", "#bbbbbb"


def plot_filters(weight: np.ndarray):
    """Draw every filter of a first layer on one scale, centred on zero, and return the axes.

    Parameters
    ----------
    weight : ndarray of shape (C_out, C_in, K_h, K_w)
        The first channel of each filter is drawn.

    Examples
    --------
    >>> plot_filters(np.zeros((6, 1, 3, 3))).shape
    (1, 6)
    """
    import matplotlib.pyplot as plt

    filters = weight[:, 0]
    columns = min(8, len(filters))
    rows = -(-len(filters) // columns)
    size = (1.25 * columns + 1, 1.4 * rows + 0.7)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    limit = float(np.abs(filters).max()) or 1.0
    for number, ax in enumerate(axes.flat):
        ax.set_axis_off()
        if number < len(filters):
            picture = ax.imshow(filters[number], cmap="RdBu_r", vmin=-limit, vmax=limit)
            ax.set_title(f"filter {number}", fontsize="small")
    figure.colorbar(picture, ax=axes, label="weight", shrink=0.9)
    figure.suptitle("What the first convolution looks for: red adds, blue takes away", fontsize="medium")
    return axes


def plot_prediction(classifier, image: np.ndarray, truth: str):
    """Draw an image, its logits, their exponentials and its probabilities, and return the axes.

    Parameters
    ----------
    classifier : Classifier
    image : ndarray of shape (1, H, W), uint8
    truth : str
        The right label.

    Examples
    --------
    >>> from minicnn import data
    >>> from minicnn.classifier import Classifier
    >>> from minicnn.models import mnist_cnn
    >>> _, test = data.load("mnist-5k")
    >>> classifier = Classifier(mnist_cnn(rng=0), test.classes, test.transform)
    >>> len(plot_prediction(classifier, test.images[:1], "0"))
    4
    """
    import matplotlib.pyplot as plt

    names = [str(name) for name in classifier.classes_]
    logits = classifier.decision_function(image)[0]
    probabilities = classifier.predict_proba(image)[0]
    label = str(classifier.predict(image)[0])
    _, axes = plt.subplots(1, 4, figsize=(12, 3.2), layout="constrained", width_ratios=[1, 1.1, 1.1, 1.1])
    axes[0].imshow(image[0], cmap="gray", vmin=0, vmax=255)
    axes[0].set(title=f"the image: a {truth}", xlabel="column", ylabel="row")
    stages = (
        ("logits", logits, "{:.1f}"),
        ("exp(logit - max)", np.exp(logits - logits.max()), "{:.2g}"),
        (f"probabilities -> label {label}", probabilities, "{:.1%}"),
    )
    best = int(np.argmax(logits))
    colours = [BLUE if index == best else GREY for index in range(len(names))]
    for ax, (title, values, form) in zip(axes[1:], stages, strict=True):
        bars = ax.barh(names, values, color=colours)
        shown = [form.format(value) if value >= 0.005 or title == "logits" else "" for value in values]
        ax.bar_label(bars, labels=shown, padding=2, fontsize="small")
        ax.invert_yaxis()
        ax.margins(x=0.28)
        ax.axvline(0, color="black", linewidth=0.8)
        ax.set(title=title, ylabel="class" if ax is axes[1] else "")
    return axes
