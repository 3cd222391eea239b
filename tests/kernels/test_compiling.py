"""What is done about the time that a kernel takes to be compiled."""

from __future__ import annotations

import gc
import re
import subprocess
import sys

import pytest
from numba import config, njit, types
from numba.extending import intrinsic

from minicnn.kernels.compiling import KEPT, can_be_kept, compact, separate

seen = []


@intrinsic
def note(typing):
    """Note, whenever the compiler comes by, whether the collector is at work; compiled it does nothing."""

    def generate(context, builder, signature, arguments):
        seen.append(gc.isenabled())
        return context.get_dummy_value()

    return types.void(), generate


def compiled_as_if_in(module: str, fails: bool = False) -> bool:
    """Compile a kernel that says it stands in `module`; return whether the collector was at work meanwhile."""
    seen.clear()

    @njit
    def callee():
        note()

    def kernel(number):
        callee()
        note()
        return number + ("one" if fails else 1)

    kernel.__module__ = callee.py_func.__module__ = module
    njit(kernel)(1)
    assert len(set(seen)) == 1
    return seen[0]


def test_the_collector_rests_while_a_kernel_of_ours_is_compiled():
    assert not compiled_as_if_in("minicnn.kernels.tiles")
    assert gc.isenabled()


def test_it_does_not_for_somebody_elses():
    assert compiled_as_if_in("minicnn_and_more")
    assert gc.isenabled()


def test_somebody_elses_may_stand_in_no_module():
    made: dict = {}
    exec("def kernel(number):\n    return number + 1", made)  # as some write their kernels
    assert made["kernel"].__module__ is None
    assert njit(made["kernel"])(1) == 2


def test_whoever_has_stopped_it_finds_it_stopped():
    gc.disable()
    try:
        assert not compiled_as_if_in("minicnn.kernels.tiles")
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_it_goes_on_if_a_kernel_cannot_be_compiled():
    with pytest.raises(Exception, match="Failed in nopython mode"):
        compiled_as_if_in("minicnn.kernels.tiles", fails=True)
    assert gc.isenabled()


def test_a_compact_function_is_marked_and_what_it_calls_stays_as_it_is():
    @njit
    def inner(number):
        separate()
        return number * 3

    @njit
    def outer(number):
        compact()
        return inner(number) + 1

    assert outer(2) == 7
    assert "optsize" in outer.inspect_llvm((types.int64,))
    assert "optsize" not in inner.inspect_llvm((types.int64,))
    assert re.search(r"call i32 @_Z\w*inner", outer.inspect_llvm((types.int64,)))


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
def test_who_needs_neither_narrow_walks_nor_panels_does_not_compile_them():
    code = """
import numpy as np
from minicnn import kernels
from minicnn.kernels.narrow import long_tiles, walk_narrow
from minicnn.kernels.panels import walk_panels
x, w, geometry = np.ones((2, 2, 5, 5)), np.ones((3, 2, 3, 3)), ((1, 1), (1, 1), (1, 1), 1)
kernels.conv2d_grad_input(kernels.conv2d(x, w, None, *geometry), w, x.shape, *geometry)
print(*(len(kernel.signatures) for kernel in (walk_narrow, long_tiles, walk_panels)))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["0", "0", "0"]


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
def test_where_nothing_can_be_written_kernels_are_compiled_all_the_same_and_a_warning_says_so():
    code = """
import tempfile, warnings

def refuse(*args, **kwargs):
    raise PermissionError("read-only")

tempfile.TemporaryFile = refuse  # with it Numba tries whether it can write
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    import minicnn
for warning in told:
    print(warning.category.__name__, warning.message)
import numpy as np
from minicnn import kernels
print(kernels.relu(np.array([3.0, -4.0])))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == [
        "RuntimeWarning minicnn: compiled kernels need a folder to be kept in. Got none that can be written, so every "
        "process compiles them anew, which takes seconds. Set NUMBA_CACHE_DIR to a folder that can be written.",
        "[3. 0.]",
    ]


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
def test_where_there_is_a_folder_they_are_kept():
    from minicnn.kernels import tiles

    assert KEPT is can_be_kept(compiled_as_if_in)
    assert bool(tiles.walk._cache.cache_path) is KEPT
