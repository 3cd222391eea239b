"""Beside PyTorch: models carried over and compared. torch is imported when a function needs it."""

from minicnn.interop.torch.export import to_torch

__all__ = ["to_torch"]
