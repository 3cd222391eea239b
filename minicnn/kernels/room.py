"""Room for the buffers of a kernel: arrays that begin with a line of the cache.

A vector of 64 bytes is a line, if it begins where one begins; else it lies in two, and takes as long as two. Where
memory is asked for, it begins at any multiple of 16 or 32 bytes.
"""

from __future__ import annotations

import numpy as np

from minicnn.kernels.compiling import compiled
from minicnn.kernels.registers import LINE


@compiled
def room(size, like):
    """Return an empty flat array of so many numbers of an array's dtype.

    >>> room(3, np.zeros(1)).ctypes.data % 64
    0
    """
    bytes_each = like.itemsize
    memory = np.empty(size + LINE // bytes_each, like.dtype)
    begin = -memory.ctypes.data % LINE // bytes_each
    return memory[begin : begin + size]
