"""Beside PyTorch: models carried over and compared. torch is imported when a function needs it."""

from minicnn.interop.torch.comparison import Comparison, assert_close, compare
from minicnn.interop.torch.convert import from_torch
from minicnn.interop.torch.export import to_torch, torch_output
from minicnn.interop.torch.library import is_installed
from minicnn.interop.torch.watching import watch
from minicnn.interop.torch.weights import load_torch_weights

__all__ = [
    "Comparison",
    "assert_close",
    "compare",
    "from_torch",
    "is_installed",
    "load_torch_weights",
    "to_torch",
    "torch_output",
    "watch",
]
