"""Small integers in place of weights and inputs: their sums and products have no rounding."""

from __future__ import annotations

import copy

import numpy as np

from minicnn import nn
from minicnn.interop.torch.comparison.sides import Batch
from minicnn.interop.torch.library import import_torch

LARGEST = 2.0**53  # float64 holds every integer up to here
SMALL = 3  # weights and pixels lie below, on either side of zero


def with_integers(model: nn.Module, module, images: np.ndarray, rng=0) -> tuple[nn.Module, object, Batch]:
    """Return float64 copies of both models with the same integer weights, and a batch of integers.

    The loss is the sum of distances to integer targets, whose gradient is 1 or -1 everywhere.

    Parameters
    ----------
    model : Module
    module : torch.nn.Module
        Parameters go together by name, or by order where names differ.
    images : ndarray
        Only its shape is used.
    rng : Generator, int or None
    """
    rng, torch = np.random.default_rng(rng), import_torch()
    model = copy.deepcopy(model).astype(np.float64)
    module = copy.deepcopy(module).double()
    ours, theirs = dict(model.named_parameters()), dict(module.named_parameters())
    for name, other in partners(ours, theirs).items():
        values = whole_numbers(ours[name].data.shape, rng)
        ours[name].data[...] = values
        if theirs[other].numel() == values.size:
            with torch.no_grad():
                theirs[other].copy_(torch.from_numpy(values).reshape(theirs[other].shape))
    numbers = whole_numbers(images.shape, rng)
    with nn.no_grad():
        shape = copy.deepcopy(model)(numbers).shape
    return model, module, Batch(numbers, whole_numbers(shape, rng) + 0.5, nn.L1Loss(reduction="sum"))


def whole_numbers(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return small integers in float64.

    >>> whole_numbers((3,), np.random.default_rng(0)).tolist()
    [2.0, 1.0, 0.0]
    """
    return rng.integers(1 - SMALL, SMALL, shape).astype(np.float64)


def partners(ours: dict, theirs: dict) -> dict[str, str]:
    """Return, for our names, torch's: the same ones, or those at the same place.

    >>> partners({"0.weight": 1}, {"conv.weight": 2})
    {'0.weight': 'conv.weight'}
    """
    if ours.keys() & theirs.keys() or not ours:
        return {name: name for name in ours if name in theirs}
    return dict(zip(ours, theirs, strict=False))


def are_exact(*arrays: np.ndarray) -> bool:
    """Say whether arrays hold numbers that came about without rounding: multiples of one half, not too large.

    >>> are_exact(np.array([1.0, -2.5])), are_exact(np.array([0.1]))
    (True, False)
    """
    return all(
        (2 * array == np.rint(2 * array)).all() and (np.abs(array) < LARGEST / 2).all() for array in arrays
    )
