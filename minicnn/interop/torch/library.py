"""The one place that imports torch, and says what to do without it."""

from __future__ import annotations

import importlib.util


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
