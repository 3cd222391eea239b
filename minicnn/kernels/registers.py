"""The machine's vector registers: how large and how many they are, and the name that Numba has for what is in one."""

from __future__ import annotations

import os
import platform

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.extending import models, register_model


def register_bytes() -> int:
    """Return the size of the machine's vector registers: 64 with AVX-512, 32 with AVX2, else 16.

    >>> register_bytes() in (16, 32, 64)
    True
    """
    features = os.environ.get("NUMBA_CPU_FEATURES")
    if features is not None:
        found = {name[1:] for name in features.split(",") if name.startswith("+")}
    else:
        found = {name for name, present in llvmlite.binding.get_host_cpu_features().items() if present}
    if "avx512f" in found:
        return 64
    return 32 if "avx2" in found else 16


REGISTER_BYTES = register_bytes()
LINE = (
    64  # bytes of a line of the cache; a vector that begins anywhere may lie in two, and takes as long as two
)
ON_ARM = platform.machine().lower() in ("aarch64", "arm64")
REGISTERS = 32 if REGISTER_BYTES == 64 or ON_ARM else 16


def lanes_of(dtype) -> int:
    """Return how many numbers of a dtype one register holds.

    >>> import numpy as np
    >>> lanes_of(np.dtype(np.float32)) == 2 * lanes_of(np.dtype(np.float64))
    True
    """
    return REGISTER_BYTES // dtype.itemsize


class VectorType(types.Type):
    """Numba's name for one register full of floats.

    >>> VectorType(types.float64).name == f"vector of {REGISTER_BYTES // 8} float64"
    True
    """

    def __init__(self, dtype) -> None:
        self.dtype = dtype
        self.lanes = REGISTER_BYTES * 8 // dtype.bitwidth
        super().__init__(name=f"vector of {self.lanes} {dtype}")


@register_model(VectorType)
class VectorModel(models.PrimitiveModel):
    """What a vector is for LLVM: <lanes x float>.

    >>> VectorModel.__bases__[0].__name__
    'PrimitiveModel'
    """

    def __init__(self, manager, vector_type) -> None:
        element = ir.FloatType() if vector_type.dtype == types.float32 else ir.DoubleType()
        super().__init__(manager, vector_type, ir.VectorType(element, vector_type.lanes))
