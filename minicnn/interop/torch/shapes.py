"""Torch's functions and methods that give another shape, take a part or turn axes; see `operations`."""

from __future__ import annotations

import itertools
import math

from minicnn import nn


class Unsupported(Exception):
    """Why an operation cannot be converted; `from_torch` adds where it stands.

    >>> raise Unsupported("two tensors")
    Traceback (most recent call last):
    minicnn.interop.torch.shapes.Unsupported: two tensors
    """


class BatchSize(int):
    """A number that changes with the number of images.

    >>> BatchSize(8) == 8
    True
    """


def need(condition: bool, reason: str) -> None:
    """Raise Unsupported unless `condition` holds.

    >>> need(True, "")
    """
    if not condition:
        raise Unsupported(reason)


def flatten(input, start_dim=0, end_dim=-1):
    return nn.Flatten(start_dim, end_dim)


def reshape(input, *shape):
    sizes = list(shape[0] if isinstance(shape[0], tuple | list) else shape)
    if isinstance(sizes[0], BatchSize) and sizes[0] == input.shape[0]:
        sizes[0] = 0  # as many as there are images
    for axis, size in enumerate(sizes):
        if isinstance(size, BatchSize):  # such as N·H·W rows: whatever is left
            need(-1 not in sizes, "a shape in which two sizes depend on the batch")
            sizes[axis] = -1
    rest = math.prod(input.shape[1:])
    if sizes[0] == -1 and math.prod(sizes[1:]) == rest:  # view(-1, K), where K is all that one image has
        sizes[0] = 0
    if len(sizes) == 2 and sizes[0] == 0 and sizes[1] in (-1, rest):
        return nn.Flatten()
    return nn.Reshape(sizes)


def unsqueeze(input, dim):
    return nn.Unsqueeze(dim)


def permute(input, *dims):
    dims = dims[0] if isinstance(dims[0], tuple | list) else dims
    need(dims[0] in (0, -len(input.shape)), "another axis first than that of the images")
    return nn.Permute(dims)


def transpose(input, dim0, dim1):
    dims = list(range(len(input.shape)))
    dims[dim0], dims[dim1] = dims[dim1], dims[dim0]
    return permute(input, dims)


def expand(input, *sizes):
    return None  # a product spreads its inputs anyway; `from_torch` sees to it that one follows


def getitem(input, index):
    entries = list(index) if isinstance(index, tuple) else [index]
    kinds = (int, slice, type(None), type(...))
    need(all(isinstance(entry, kinds) for entry in entries), "anything but slices, numbers and None")
    dots = [place for place, entry in enumerate(entries) if entry is ...] or [len(entries)]
    left = len(input.shape) - sum(isinstance(entry, int | slice) for entry in entries)
    entries[dots[0] : dots[0] + 1] = [slice(None)] * left
    need(entries[0] == slice(None), "a part of the images, or an axis before them")
    layers, axis = [], 0
    for entry in entries:
        if isinstance(entry, int):
            layers += [nn.Slice(axis, entry, entry + 1 or None), nn.Squeeze(axis)]
            continue
        if entry is None:
            layers.append(nn.Unsqueeze(axis))
        elif entry != slice(None):
            layers.append(nn.Slice(axis, entry.start, entry.stop, entry.step or 1))
        axis += 1
    return layers[0] if len(layers) == 1 else nn.Sequential(*layers) if layers else None


def split(input, split_size_or_sections, dim=0):
    need(dim % len(input.shape) != 0, "the axis of the images")
    sizes, whole = split_size_or_sections, input.shape[dim]
    if isinstance(sizes, int):
        sizes = [min(sizes, whole - start) for start in range(0, whole, sizes)]
    stops = list(itertools.accumulate(sizes))
    return [nn.Slice(dim, stop - size, stop) for size, stop in zip(sizes, stops, strict=True)]


def chunk(input, chunks, dim=0):
    return split(input, -(-input.shape[dim] // chunks), dim)


def squeeze(input, dim=None):
    return nn.Squeeze(dim)
