"""Arrays that end where memory ends, or begin where it begins: a number read or written beside them, and it crashes."""

from __future__ import annotations

import subprocess
import sys

import pytest

WALLED = """
import ctypes, mmap, sys
import numpy as np
from minicnn.kernels import fast, fast_activations, fast_averaging, fast_conv, fast_gelu, fast_pointwise, fast_softmax
from tests.kernels.rungs import EDGES, GRID, Conv, normal

at_the_end, page, kept = sys.argv[1] == "end", mmap.PAGESIZE, []
libc = ctypes.CDLL(None, use_errno=True)


def walled(shape, dtype):
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = -(-size // page) * page
    memory = mmap.mmap(-1, room + page)
    kept.append(memory)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    wall = address + room if at_the_end else address
    assert libc.mprotect(ctypes.c_void_p(wall), ctypes.c_size_t(page), 0) == 0
    begin = room - size if at_the_end else page
    return np.frombuffer(memory, dtype, int(np.prod(shape)), begin).reshape(shape)


def drawn(shape, dtype, seed):
    array = walled(shape, dtype)
    array[...] = normal(shape, dtype, seed)
    return array


def zeros(shape, dtype):
    array = walled(shape, dtype)
    array[...] = 0
    return array


fast_conv.empty = fast_pointwise.empty = fast_conv.zeros = zeros
fast_activations.empty = fast_averaging.empty = fast_gelu.empty = fast_softmax.empty = zeros
CASES = [
    *EDGES,
    *GRID[::7],
    Conv((3, 4, 14, 14), (8, 4, 3, 3), padding=(1, 1)),
    Conv((3, 4, 28, 15), (8, 4, 3, 3), stride=(2, 2), padding=(1, 1)),
    Conv((3, 4, 63, 34), (8, 4, 5, 5), stride=(2, 2), padding=(2, 2)),
    Conv((3, 4, 28, 28), (4, 1, 3, 3), padding=(1, 1), groups=4),
    Conv((3, 4, 28, 28), (8, 4, 1, 1), stride=(2, 2)),
    Conv((9, 5, 7, 7), (6, 5, 1, 1)),
    Conv((3, 5, 14, 14), (6, 5, 1, 1)),
    Conv((20, 64, 7, 7), (64, 64, 3, 3), padding=(1, 1)),
]
for case in CASES:
    for dtype in (np.float32, np.float64):
        x, w, b, g = case.arrays(drawn, dtype)
        fast.conv2d(x, w, b, *case.geometry)
        fast.conv2d_grad_input(g, w, x.shape, *case.geometry)
        fast.conv2d_grad_weight(g, x, w.shape, *case.geometry)
    print(case)
for dtype in (np.float32, np.float64):
    for shape in ((1, 1), (1, 10), (7, 3), (5, 33), (40, 16)):
        x, g, rung = drawn(shape, dtype, 0), drawn(shape, dtype, 1), fast_activations
        rung.elu_backward(g, rung.elu(x, 1.0), 1.0)
        rung.leaky_relu_backward(g, rung.leaky_relu(x, 0.1), 0.1)
        rung.sigmoid_backward(g, rung.sigmoid(x))
        rung.silu_backward(g, *rung.silu(x))
        fast_gelu.gelu_backward(g, *fast_gelu.gelu(x))
        fast_softmax.cross_entropy(x, np.zeros(len(x), np.int64), g)
        fast_softmax.cross_entropy_backward(g, np.zeros(len(x), np.int64), x.ravel()[: len(x)])
        rows, columns = (np.array([[0, count], [count // 2, count]]) for count in shape)
        windows = rows, columns, np.ones((2, 2), dtype)
        averages = fast_averaging.average(x[None, None], *windows)
        fast_averaging.average_backward(averages, *windows, (1, 1, *shape))
        print(shape)
if sys.argv[2] == "beside":
    array = walled((7,), np.float32)
    print("beside", flush=True)
    ctypes.string_at(array.ctypes.data + (array.nbytes if at_the_end else -1), 1)
"""


def run(where: str, what: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", WALLED, where, what], capture_output=True, text=True)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is closed by a call of Linux")
@pytest.mark.parametrize("where", ["end", "begin"])
def test_no_kernel_reads_or_writes_beside_an_array(where):
    result = run(where, "all")
    assert result.returncode == 0, result.stdout.splitlines()[-1:] + result.stderr.splitlines()
    crashed = run(where, "beside")
    assert crashed.stdout.splitlines()[-1] == "beside"
    assert crashed.returncode < 0
