"""Whether a forward pass keeps what backward needs."""

from __future__ import annotations

import contextlib
import threading


class _Mode(threading.local):
    """One switch a thread, so that inference in one does not stop training in another."""

    enabled = True


_mode = _Mode()


def is_grad_enabled() -> bool:
    """Say whether forward passes in this thread keep what backward needs.

    >>> is_grad_enabled()
    True
    """
    return _mode.enabled


def no_grad() -> contextlib.AbstractContextManager[None]:
    """Within this block a forward pass saves nothing: less memory, and no backward for it.

    What an earlier forward saved stays as it is.

    Examples
    --------
    >>> import numpy as np
    >>> from minicnn import nn
    >>> layer = nn.ReLU()
    >>> with no_grad():
    ...     output = layer(np.float32([-1, 2]))
    >>> layer.saved
    {}
    """
    return _Switched(False)


def enable_grad() -> contextlib.AbstractContextManager[None]:
    """Within this block a forward pass saves what backward needs, also inside `no_grad`.

    Examples
    --------
    >>> with no_grad(), enable_grad():
    ...     is_grad_enabled()
    True
    """
    return _Switched(True)


class _Switched(contextlib.ContextDecorator):
    """A class, because a generator would take longer than a small layer."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self.before: list[bool] = []

    def __enter__(self) -> None:
        self.before.append(_mode.enabled)
        _mode.enabled = self.enabled

    def __exit__(self, *error) -> None:
        _mode.enabled = self.before.pop()

    def _recreate_cm(self) -> _Switched:
        return _Switched(self.enabled)  # a decorated function may run in several threads at once
