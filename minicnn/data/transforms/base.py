"""Transform: what all transforms share, so that they print and can be written down."""

from __future__ import annotations

import inspect

import numpy as np

from minicnn import checks


class Transform:
    """The base of the transforms: a callable from a batch to a new batch.

    A transform names the arguments of its constructor in `fields` and keeps them as attributes of these
    names; `config` and the printed form come from there. One of your own works wherever images are prepared,
    but not in files: `from_config` and `checkpoint.save` know those of this package only.

    Examples
    --------
    >>> class Invert(Transform):
    ...     fields = ("top",)
    ...     def __init__(self, top): self.top = top
    ...     def __call__(self, images, rng=None): return self.top - images
    >>> Invert(1.0), Invert(1.0)(np.float32([0.25]))
    (Invert(top=1.0), array([0.75], dtype=float32))
    """

    fields: tuple[str, ...] = ()

    def __call__(self, images: np.ndarray, rng=None) -> np.ndarray:
        """Return the transformed batch. Every transform writes its own."""
        raise TypeError(
            f"{type(self).__name__}: __call__ is missing. Got a transform without one. "
            "Define __call__(images, rng=None)."
        )

    def config(self) -> dict:
        """Return the transform as plain data for JSON; `from_config` is the way back.

        >>> from minicnn.data.transforms import Normalize
        >>> Normalize(mean=0.25, std=0.5).config()
        {'kind': 'Normalize', 'mean': [0.25], 'std': [0.5]}
        """
        arguments = {name: as_plain(getattr(self, name)) for name in self.fields}
        return {"kind": type(self).__name__, **arguments}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)}' for name in self.fields)})"


def as_plain(value):
    """Return what JSON can hold: tuples as lists, a dtype by its name, transforms by their config.

    >>> as_plain((np.dtype(np.float32), 2))
    ['float32', 2]
    """
    if isinstance(value, tuple | list):
        return [as_plain(item) for item in value]
    if isinstance(value, Transform):
        return value.config()
    return str(value) if isinstance(value, np.dtype) else value


def apply(transform, images: np.ndarray, rng=None) -> np.ndarray:
    """Return ``transform(images)``, with `rng` handed over if the transform has an argument of this name.

    >>> apply(np.negative, np.float32([1, 2]))
    array([-1., -2.], dtype=float32)
    """
    try:  # a Transform need not be asked: asking takes longer than most of them
        takes_rng = isinstance(transform, Transform) or "rng" in inspect.signature(transform).parameters
    except ValueError:  # written in C, and it does not tell
        takes_rng = False
    return transform(images, rng=rng) if takes_rng else transform(images)


def check_transform(who: str, what: str, transform) -> None:
    """Raise TypeError unless `transform` can be called on a batch: any function, but no class of transforms.

    >>> check_transform("DataLoader", "transform", Transform)
    Traceback (most recent call last):
    TypeError: DataLoader: transform must be callable. Got the class Transform. \
Pass for example transforms.ToFloat() (with the brackets).
    """
    # np.float32 is a class, too, but makes arrays; what a class of transforms makes must be called again
    unmade = isinstance(transform, type) and any("__call__" in vars(base) for base in transform.__mro__)
    if unmade or not callable(transform):
        got = f"the class {transform.__name__}" if unmade else type(transform).__name__
        raise TypeError(
            f"{who}: {what} must be callable. Got {got}. "
            "Pass for example transforms.ToFloat() (with the brackets)."
        )


def check_batch(who: str, images) -> None:
    """Raise unless `images` are a float batch (N, C, H, W).

    >>> check_batch("RandomCrop", np.zeros((8, 28, 28), np.float32))
    Traceback (most recent call last):
    ValueError: RandomCrop: images must be a batch (N, C, H, W). Got shape (8, 28, 28). Put ToFloat before it.
    """
    if isinstance(images, np.ndarray) and images.dtype == np.uint8:
        raise TypeError(f"{who}: images must be float32 or float64. Got uint8. Put ToFloat before it.")
    checks.as_float_array(who, "images", images)
    if images.ndim != 4:
        raise ValueError(
            f"{who}: images must be a batch (N, C, H, W). Got shape {images.shape}. Put ToFloat before it."
        )
