"""How kernels are compiled, and what keeps the time that it takes short.

    @compiled       let Numba compile the function that follows, so that it runs while other threads have Python's
                    lock; the code is kept for the next process, in a folder beside the source or in the user's own
    @inner          the same, for a function that only kernels call: what would let Python call it is compiled as
                    long as a tenth of the rest
    compact()       let LLVM keep the function that this stands in small: its vectors are written out, look for
                    no others. A large one is compiled in two thirds of the time; an innermost loop would be a
                    tenth slower.
    separate()      let LLVM call the function that this stands in, and not copy it into a caller that is compact

A compiler also makes millions of small objects that are needed until it is done. Python's garbage collector
goes through them again and again, and finds nothing to collect: that would be a twentieth of a first training
step. So it rests while a kernel of ours is compiled.
"""

from __future__ import annotations

import gc
import warnings
from functools import partial

from numba import njit, types
from numba.core.event import Event, Listener
from numba.extending import intrinsic

NOWHERE = (
    "minicnn: compiled kernels need a folder to be kept in. Got none that can be written, so every process compiles "
    "them anew, which takes seconds. Set NUMBA_CACHE_DIR to a folder that can be written."
)


def can_be_kept(function) -> bool:
    """Return whether Numba finds a folder for what it compiles of a file's functions; warn if it does not.

    A package that was installed by somebody else, for a user without a home, as in a container: there is none.

    >>> can_be_kept(can_be_kept)
    True
    """
    try:
        njit(cache=True)(function)
    except RuntimeError:
        warnings.warn(NOWHERE, RuntimeWarning, stacklevel=2)
        return False
    return True


KEPT = can_be_kept(can_be_kept)
compiled = partial(njit, cache=KEPT, nogil=True, no_cfunc_wrapper=True)
inner = partial(compiled, no_cpython_wrapper=True)


def _marked(attribute: str):
    """Return the intrinsic that gives the function that it stands in one of LLVM's attributes."""

    def intrinsic_of(typing):
        def generate(context, builder, signature, arguments):
            builder.function.attributes.add(attribute)
            return context.get_dummy_value()

        return types.void(), generate

    return intrinsic(intrinsic_of)


compact, separate = _marked("optsize"), _marked("noinline")


class CollectorRests(Listener):
    """Numba tells when it begins to compile and when it is done: the collector stops, and goes on.

    What a kernel calls is compiled within it. Numba compiles for one thread at a time.

    >>> from numba.core.event import EventStatus
    >>> from minicnn.kernels.board import lead
    >>> listener, about = CollectorRests(), {"dispatcher": lead}
    >>> listener.on_start(Event("numba:compile", EventStatus.START, about))
    >>> gc.isenabled()
    False
    >>> listener.on_end(Event("numba:compile", EventStatus.END, about))
    >>> gc.isenabled()
    True
    """

    def __init__(self) -> None:
        self.kernel = None  # for which the collector was stopped

    def on_start(self, event: Event) -> None:
        """Stop the collector for a kernel of this package, if it is at work."""
        kernel = event.data["dispatcher"]
        if gc.isenabled() and str(kernel.py_func.__module__).startswith("minicnn."):
            self.kernel = kernel
            gc.disable()

    def on_end(self, event: Event) -> None:
        """Let it go on once that kernel is done."""
        if event.data["dispatcher"] is self.kernel:
            self.kernel = None
            gc.enable()
