"""The kernels of the way back, compiled by a second process while this one compiles the way forward.

A first training step needs some forty kernels. Numba compiles one at a time, on one core, and keeps each in a folder,
where it looks before it compiles one:

    alone           forward ................... loss .. backward ..................... step
    with a second   forward ................... loss .. (found) . step
                        import . backward .............. step

Neither waits for the other, and each takes what it finds. If the second cannot be started, or fails, nothing is lost:
this one compiles what it calls, as it always did.

The second starts when a kernel is compiled after somebody made an optimizer, which is what people do who are about to
train: once for an installation, as later processes find all kernels. It ends with its work, or with this process.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from functools import partial
from pathlib import Path

import numpy as np
from numba.core.event import Event, Listener

from minicnn.kernels import threads
from minicnn.kernels.compiling import KEPT

CODE = "import sys; sys.path[:] = {path!r}; from minicnn.kernels import ahead; ahead.compile_backward()"


def compile_backward() -> None:
    """Call what a training step calls in a convolution's way back and in Adam, the longest to compile first.

    All arrays are zeros, float32. What the other process reaches first, as a linear layer's gradients, is left to
    it; and so are sums of a bias, which it compiles for two dtypes: two processes that put one function's kernels
    for several dtypes into the folder at the same moment could take one for the other.

    >>> compile_backward()
    """
    from minicnn import kernels  # it imports this module

    zeros = partial(np.zeros, dtype=np.float32)
    sums, pooled, image = zeros((8, 16, 14, 14)), zeros((8, 16, 7, 7)), zeros((8, 1, 14, 14))
    winners, geometry = np.zeros(pooled.shape, np.uint8), ((1, 1), (1, 1), (1, 1), 1)
    kernels.conv2d_grad_parameters(pooled, winners, sums.shape, image, (16, 1, 3, 3), *geometry, bias=False)
    kernels.conv2d_grad_weight(sums, sums, (16, 16, 3, 3), *geometry)
    for channels in 1, 16:
        kernels.conv2d_grad_input(sums, zeros((16, channels, 3, 3)), (8, channels, 14, 14), *geometry)
    kernels.conv2d_grad_sums(pooled, winners, sums.shape)
    kernels.relu_backward(sums, sums)
    kernels.adam(*(zeros(4) for _ in range(4)), None, 0.001, (0.9, 0.999), 1e-8, 1)


def is_worthwhile() -> bool:
    """Return whether a second process has a core, a Python to run in, and a folder to put kernels into.

    Where Python is part of another program, `sys.executable` may be that program. A worker of multiprocessing has
    one thread, and siblings.

    >>> is_worthwhile() in (True, False)
    True
    """
    return KEPT and threads.get_num_threads() > 1 and Path(sys.executable or "").stem.startswith("python")


class SecondProcess(Listener):
    """Starts the second process when Numba says that it compiles, if a training step is expected by then.

    >>> second = SecondProcess()
    >>> second.expected, second.begun, second.process
    (False, False, None)
    """

    def __init__(self) -> None:
        self.expected, self.begun = False, False
        self.process = None

    def on_start(self, event: Event) -> None:
        """Start it before the first kernel of this package, which is compiled meanwhile."""
        ours = str(event.data["dispatcher"].py_func.__module__).startswith("minicnn.")
        if ours and self.expected and not self.begun:
            self.begun = True
            if is_worthwhile():
                self.start(CODE.format(path=sys.path))

    def on_end(self, event: Event) -> None:
        """Nothing: the second goes on."""

    def start(self, code: str) -> None:
        """Let another Python run the code, silently, until this process ends."""
        import subprocess  # here, because hardly any process needs it

        window = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # Windows would open one
        how = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL) | {"creationflags": window}
        how["env"] = os.environ | {"MINICNN_NUM_THREADS": "1"}
        with contextlib.suppress(OSError):  # this user may have no more processes
            self.process = subprocess.Popen([sys.executable, "-c", code], **how)
            atexit.register(self.stop, os.getpid())

    def stop(self, owner: int) -> None:
        """End it, if this process is the one that started it and not a copy."""
        if os.getpid() == owner:
            self.process.terminate()
            self.process.wait()


second = SecondProcess()


def expect_training() -> None:
    """Let the second process start with the first kernel that has to be compiled from now on.

    >>> expect_training()
    >>> second.expected
    True
    """
    second.expected = True
