"""Ctrl-C that waits until a training step is complete, so that no parameter is left half updated."""

from __future__ import annotations

import signal
import threading

# Who presses so often wants out at once, whatever state the model is in.
PRESSES_TO_FORCE = 3


class DeferredInterrupt:
    """Within this block Ctrl-C is only noted, and `check` raises KeyboardInterrupt where it is safe.

    Signals reach Python's main thread only, and only where nobody else has set a handler for Ctrl-C is
    there one to replace; otherwise this block does nothing.

    Attributes
    ----------
    presses : int
        How often Ctrl-C came so far.
    forced : bool
        True once the third came; that one raises at once.

    Examples
    --------
    >>> before = signal.signal(signal.SIGINT, signal.default_int_handler)      # as in a terminal
    >>> with DeferredInterrupt() as interrupt:
    ...     signal.raise_signal(signal.SIGINT)
    ...     print("the step is finished")
    ...     try:
    ...         interrupt.check()
    ...     except KeyboardInterrupt:
    ...         print("now it is safe")
    the step is finished
    now it is safe
    >>> handler = signal.signal(signal.SIGINT, before)
    """

    def __init__(self) -> None:
        self.presses = 0
        self._before = None

    @property
    def forced(self) -> bool:
        return self.presses >= PRESSES_TO_FORCE

    def __enter__(self) -> DeferredInterrupt:
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *exception) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, number, frame) -> None:
        self.presses += 1
        if self.forced:
            raise KeyboardInterrupt

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C came."""
        if self.presses:
            raise KeyboardInterrupt
