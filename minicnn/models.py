"""Four small nets to teach, train and race with; each is a Sequential that can be read in one glance."""

from __future__ import annotations

import numpy as np

from minicnn import checks, nn


def mnist_cnn(classes: int = 10, *, image_shape=(1, 28, 28), dtype=np.float32, rng=None) -> nn.Sequential:
    """Return two blocks of convolution, ReLU and pooling, then one linear layer: the net of the tour.

    Parameters
    ----------
    classes : int
        Number of logits.
    image_shape : tuple of int
        (C, H, W) of the images; H and W are halved twice, rounding down.
    dtype : float32 or float64
    rng : numpy.random.Generator, int or None
        Where the initial weights come from.

    Examples
    --------
    >>> model = mnist_cnn(rng=0)
    >>> model(np.zeros((2, 1, 28, 28), np.float32)).shape
    (2, 10)
    >>> sum(parameter.data.size for parameter in model.parameters())
    20490
    """
    channels, height, width = image_shape
    rng = checks.as_rng("mnist_cnn", rng)
    return nn.Sequential(
        nn.Conv2d(channels, 16, kernel_size=3, padding=1, dtype=dtype, rng=rng),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, kernel_size=3, padding=1, dtype=dtype, rng=rng),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * (height // 4) * (width // 4), classes, dtype=dtype, rng=rng),
    )


def simple_cnn(classes: int = 4, *, dtype=np.float32, rng=None) -> nn.Sequential:
    """Return `mnist_cnn` for colour images of 28x28 and four classes.

    >>> simple_cnn(rng=0)(np.zeros((2, 3, 28, 28), np.float32)).shape
    (2, 4)
    """
    return mnist_cnn(classes, image_shape=(3, 28, 28), dtype=dtype, rng=rng)


def shallow_cnn(classes: int = 10, *, dtype=np.float32, rng=None) -> nn.Sequential:
    """Return one convolution and one linear layer for 32x32 colour images: many weights, little depth.

    >>> shallow_cnn(rng=0)(np.zeros((2, 3, 32, 32), np.float32)).shape
    (2, 10)
    """
    rng = checks.as_rng("shallow_cnn", rng)
    return nn.Sequential(
        nn.Conv2d(3, 16, kernel_size=3, padding=1, dtype=dtype, rng=rng),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * 32 * 32, classes, dtype=dtype, rng=rng),
    )


def deeper_cnn(classes: int = 10, *, dtype=np.float32, rng=None) -> nn.Sequential:
    """Return two blocks and a hidden linear layer for 32x32 colour images.

    >>> deeper_cnn(rng=0)(np.zeros((2, 3, 32, 32), np.float32)).shape
    (2, 10)
    """
    rng = checks.as_rng("deeper_cnn", rng)
    return nn.Sequential(
        nn.Conv2d(3, 32, kernel_size=3, padding=1, dtype=dtype, rng=rng),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, kernel_size=3, padding=1, dtype=dtype, rng=rng),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 8 * 8, 128, dtype=dtype, rng=rng),
        nn.ReLU(),
        nn.Linear(128, classes, dtype=dtype, rng=rng),
    )
