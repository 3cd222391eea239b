"""torch modules for those of ours that torch has no layer for."""

from __future__ import annotations

import functools

from minicnn import nn
from minicnn.interop.torch.library import import_torch

FIELDS = {
    "Affine": ["factor", "shift"],
    "Clamp": ["min", "max"],
    "Max": ["dim", "keepdim", "ties"],
    "Mean": ["dim", "keepdim"],
    "Permute": ["dims"],
    "Reshape": ["shape"],
    "Slice": ["dim", "start", "stop", "step"],
    "Squeeze": ["dim"],
    "Unsqueeze": ["dim"],
}


@functools.cache
def namesakes() -> dict[str, type]:
    """Return the torch module classes, by the names of ours. torch.jit.script takes all of them."""
    torch = import_torch()

    class Residual(torch.nn.Module):
        """Add a body and an optional shortcut."""

        def __init__(self, body, shortcut=None):
            super().__init__()
            self.body = body
            self.shortcut = shortcut

        def forward(self, input):
            passed = input if self.shortcut is None else self.shortcut(input)
            return self.body(input) + passed

    class Affine(torch.nn.Module):
        """Multiply by a constant and add another."""

        def __init__(self, factor: float, shift: float):
            super().__init__()
            self.factor, self.shift = factor, shift

        def forward(self, input):
            return input * self.factor + self.shift

    class Clamp(torch.nn.Module):
        """Keep numbers within bounds."""

        def __init__(self, min: float | None, max: float | None):
            super().__init__()
            self.min, self.max = min, max

        def forward(self, input):
            return torch.clamp(input, self.min, self.max)

    class Max(torch.nn.Module):
        """Keep the largest number over some axes."""

        def __init__(self, dim: tuple[int, ...], keepdim: bool, ties: str):
            super().__init__()
            self.dim, self.keepdim, self.ties = list(dim), keepdim, ties

        def forward(self, input):
            if self.ties == "shared":
                return torch.amax(input, self.dim, self.keepdim)
            axes = [dim % input.dim() for dim in self.dim]
            for back in range(input.dim()):  # the first along the last axis, then along the one before
                axis = input.dim() - 1 - back
                if axis in axes:
                    input = torch.max(input, axis, keepdim=True)[0]
            return input if self.keepdim else torch.squeeze(input, axes)

    class Mean(torch.nn.Module):
        """Take the mean over some axes."""

        def __init__(self, dim: tuple[int, ...], keepdim: bool):
            super().__init__()
            self.dim, self.keepdim = list(dim), keepdim

        def forward(self, input):
            return input.mean(self.dim, self.keepdim)

    class Reshape(torch.nn.Module):
        """Give another shape; 0 keeps an axis."""

        def __init__(self, shape: tuple[int, ...]):
            super().__init__()
            self.shape = list(shape)

        def forward(self, input):
            sizes: list[int] = []
            for axis, size in enumerate(self.shape):
                sizes.append(input.size(axis) if size == 0 else size)
            return input.reshape(sizes)

    class Squeeze(torch.nn.Module):
        """Drop axes of length 1."""

        def __init__(self, dim: tuple[int, ...] | None):
            super().__init__()
            self.dim = list(range(9)) if dim is None else list(dim)
            self.every = dim is None

        def forward(self, input):
            return torch.squeeze(input) if self.every else torch.squeeze(input, self.dim)

    class Permute(torch.nn.Module):
        """Put the axes into another order."""

        def __init__(self, dims: tuple[int, ...]):
            super().__init__()
            self.dims = list(dims)

        def forward(self, input):
            return input.permute(self.dims)

    class Slice(torch.nn.Module):
        """Take a part of one axis."""

        def __init__(self, dim: int, start: int | None, stop: int | None, step: int):
            super().__init__()
            self.dim, self.start, self.stop, self.step = dim, start, stop, step

        def forward(self, input):
            places = torch.arange(input.size(self.dim), device=input.device)
            return input.index_select(self.dim, places[self.start : self.stop : self.step])

    class Unsqueeze(torch.nn.Module):
        """Put in an axis of length 1."""

        def __init__(self, dim: int):
            super().__init__()
            self.dim = dim

        def forward(self, input):
            return input.unsqueeze(self.dim)

    kinds = Residual, Affine, Clamp, Max, Mean, Permute, Reshape, Slice, Squeeze, Unsqueeze
    return {kind.__name__: kind for kind in kinds}


def operation_of(module) -> nn.Module | None:
    """Return our module for a torch module of one of these classes but Residual, else None."""
    kind = type(module).__name__
    if kind not in FIELDS or type(module) is not namesakes()[kind]:
        return None
    if kind == "Squeeze" and module.every:
        return nn.Squeeze()
    return getattr(nn, kind)(*(getattr(module, name) for name in FIELDS[kind]))
