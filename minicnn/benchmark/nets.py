"""The nets that race, and the obstacle courses that every entrant must pass before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minicnn import models, nn


@dataclass(frozen=True)
class Net:
    """A net by name, how to build it, and the shape of one image.

    Examples
    --------
    >>> net = NETS["SimpleCNN"]
    >>> net.batch(2)[0].shape, net.classes
    ((2, 3, 28, 28), 4)
    """

    name: str
    build: Callable[..., nn.Sequential]
    image_shape: tuple[int, int, int]
    classes: int

    def batch(self, size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return images (size, C, H, W), float32, and targets (size,): the same for the same seed."""
        rng = np.random.default_rng(seed)
        images = rng.normal(size=(size, *self.image_shape)).astype(np.float32)
        return images, rng.integers(0, self.classes, size)


def strided(rng=None) -> nn.Sequential:
    """Return stride 2, padding, an odd size and an overlapping pool.

    >>> strided(rng=0)(np.zeros((1, 2, 13, 9), np.float32)).shape
    (1, 3)
    """
    rng = np.random.default_rng(rng)
    return nn.Sequential(
        nn.Conv2d(2, 4, kernel_size=3, stride=2, padding=1, rng=rng),  # 13x9 -> 7x5
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),  # 7x5 -> 3x2
        nn.Flatten(),
        nn.Linear(4 * 3 * 2, 3, rng=rng),
    )


def overlapping(rng=None) -> nn.Sequential:
    """Return two convolutions, one 5x5, and pooling of negative numbers at every place.

    >>> overlapping(rng=0)(np.zeros((1, 1, 9, 7), np.float32)).shape
    (1, 5)
    """
    rng = np.random.default_rng(rng)
    return nn.Sequential(
        nn.Conv2d(1, 3, kernel_size=5, padding=2, rng=rng),  # 9x7
        nn.MaxPool2d(2, stride=1),  # 8x6
        nn.Conv2d(3, 4, kernel_size=3, rng=rng),  # 6x4
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 6 * 4, 5, rng=rng),
    )


NETS = {
    net.name: net
    for net in (
        Net("SimpleCNN", models.simple_cnn, (3, 28, 28), 4),
        Net("ShallowCNN", models.shallow_cnn, (3, 32, 32), 10),
        Net("DeeperCNN", models.deeper_cnn, (3, 32, 32), 10),
        Net("MNIST net", models.mnist_cnn, (1, 28, 28), 10),
    )
}
COURSES = (Net("strided", strided, (2, 13, 9), 3), Net("overlapping", overlapping, (1, 9, 7), 5))
