"""The one place that imports torch, and says what to do without it."""

from __future__ import annotations

import importlib.util

from minicnn import checks


def is_installed() -> bool:
    """Say whether torch can be imported, without importing it.

    >>> is_installed() in (True, False)
    True
    """
    return importlib.util.find_spec("torch") is not None


def import_torch():
    """Return the module torch.

    Raises
    ------
    RuntimeError
        If torch is not installed.

    Examples
    --------
    >>> import_torch().__name__ if is_installed() else "torch"
    'torch'
    """
    if not is_installed():
        raise RuntimeError(
            "minicnn.interop.torch: torch is needed here. Got no installed torch. "
            "Install it with pip install 'minicnn[torch]'."
        )
    import torch

    return torch


def check_torch_module(who: str, what: str, value) -> None:
    """Raise TypeError unless `value` is a torch.nn.Module.

    >>> if is_installed():
    ...     check_torch_module("watch", "module", import_torch().nn.ReLU())
    """
    if not isinstance(value, import_torch().nn.Module):
        raise TypeError(
            f"{who}: {what} must be a torch.nn.Module. Got {checks.called(value)}. Pass torch's model itself."
        )
