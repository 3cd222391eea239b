"""A picture of the tour: one image's way to its label."""

from __future__ import annotations

import numpy as np


def plot_prediction(classifier, image: np.ndarray, truth: str):
    """Draw an image, and beside it the way from its logits to its probabilities; return the figure.

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
    >>> figure = plot_prediction(classifier, test.images[:1], "0")
    >>> [ax.get_title() for ax in figure.axes[:2]]
    ['the image: a 0', 'logit z']
    """
    from matplotlib.figure import Figure

    from minicnn.inspection import plot_softmax

    logits, label = classifier.decision_function(image), str(classifier.predict(image)[0])
    figure = Figure(figsize=(14, 3.6), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 3.6])
    ax = left.subplots()
    ax.imshow(image[0], cmap="gray", vmin=0, vmax=255)
    ax.set(xlabel="column", ylabel="row")
    ax.set_title(f"the image: a {truth}", fontsize="medium")
    left.suptitle(f"label: {label}", fontsize="medium")
    plot_softmax(logits, classes=[str(name) for name in classifier.classes_], figure=right)
    return figure
