"""Whether a forward pass keeps what backward needs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


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
    return _switched(False)


def enable_grad() -> contextlib.AbstractContextManager[None]:
    """Within this block a forward pass saves what backward needs, also inside `no_grad`.

    Examples
    --------
    >>> with no_grad(), enable_grad():
    ...     is_grad_enabled()
    True
    """
    return _switched(True)


@contextlib.contextmanager
def _switched(enabled: bool) -> Iterator[None]:
    before = _mode.enabled
    _mode.enabled = enabled
    try:
        yield
    finally:
        _mode.enabled = before
