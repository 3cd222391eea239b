"""While a kernel of ours is compiled, Python's garbage collector rests.

A compiler makes millions of small objects that are needed until it is done. The collector goes through them
again and again, and finds nothing to collect: that would be a twentieth of a first training step.
"""

from __future__ import annotations

import gc

from numba.core import event


class CollectorRests(event.Listener):
    """Numba tells when it begins to compile and when it is done: the collector stops, and goes on.

    What a kernel calls is compiled within it. Numba compiles for one thread at a time.

    >>> from minicnn.kernels.board import lead
    >>> listener, about = CollectorRests(), {"dispatcher": lead}
    >>> listener.on_start(event.Event("numba:compile", event.EventStatus.START, about))
    >>> gc.isenabled()
    False
    >>> listener.on_end(event.Event("numba:compile", event.EventStatus.END, about))
    >>> gc.isenabled()
    True
    """

    def __init__(self) -> None:
        self.depth = 0
        self.was_collecting = False

    def on_start(self, event: event.Event) -> None:
        """Stop the collector, if the first of our kernels is begun."""
        if is_ours(event):
            if self.depth == 0:
                self.was_collecting = gc.isenabled()
                gc.disable()
            self.depth += 1

    def on_end(self, event: event.Event) -> None:
        """Let it go on, if it did before, once that kernel is done."""
        if is_ours(event):
            self.depth -= 1
            if self.depth == 0 and self.was_collecting:
                gc.enable()


def is_ours(event: event.Event) -> bool:
    """Return whether a kernel of this package is compiled, and not one of somebody else.

    >>> from minicnn.kernels.board import lead
    >>> is_ours(event.Event("numba:compile", event.EventStatus.START, {"dispatcher": lead}))
    True
    """
    return event.data["dispatcher"].py_func.__module__.startswith("minicnn.")
