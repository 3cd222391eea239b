"""From raw images to what a model takes, a batch at a time.

    uint8 (N, H, W[, C]) -> ToFloat -> float (N, C, H, W) -> RandomCrop, ... -> Normalize -> model

A transform is a callable ``(images, rng=None)`` that gives a new array; those without chance ignore `rng`.
Any function of a batch will do in its place. Put RandomCrop and RandomRotation before Normalize: they fill
with 0, which is black only there.
"""

from minicnn.data.transforms.base import Transform, apply
from minicnn.data.transforms.config import from_config
from minicnn.data.transforms.fixed import Compose, OneHot, ToFloat
from minicnn.data.transforms.normalize import Normalize
from minicnn.data.transforms.random import RandomCrop, RandomHorizontalFlip, RandomRotation

__all__ = [
    "Compose",
    "Normalize",
    "OneHot",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomRotation",
    "ToFloat",
    "Transform",
    "apply",
    "from_config",
]
