"""The kernels in processes of their own: without the compiler, with checked indexes, and once more."""

from __future__ import annotations

import hashlib
import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import config

from minicnn import kernels
from minicnn.kernels import jitted, pooling
from tests.kernels.rungs import COMPILED, RUNGS, Conv, normal
from tests.kernels.test_conv2d import backwards, not_aligned, results

ROOT = Path(__file__).parents[2]


def run(code: str, **environment: str) -> str:
    """Return what a fresh Python prints for `code`, from the repository's root."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


WITHOUT_COMPILER = """
import numpy as np
from minicnn import kernels, nn
from minicnn.kernels import jitted, loops
assert kernels.conv2d is jitted.conv2d
rng = np.random.default_rng(0)
for groups, fault in ((1, 0), (2, 0), (2, np.inf)):
    shapes = (2, 4, 5, 4), (5 * groups, 4 // groups, 3, 2), (2, 5 * groups, 3, 4)
    image, weight, grad = (rng.integers(-4, 5, shape).astype(np.float32) for shape in shapes)
    weight[0, 0, 0, 0] += fault
    how = (2, 1), (1, 1), (1, 2), groups
    for name, *first in (
        ("conv2d", image, weight, None),
        ("conv2d_grad_input", grad, weight, image.shape),
        ("conv2d_grad_weight", grad, image, weight.shape),
    ):
        actual, expected = (getattr(rung, name)(*first, *how) for rung in (jitted, loops))
        np.testing.assert_array_equal(actual, expected, err_msg=name)
image[0, 0, 1, 1] = np.nan
for window in (((3, 2), (1, 2), (1, 1), (1, 1), True), ((90, 90), (1, 1), (45, 45), (1, 1), False)):
    output, indices = jitted.max_pool2d(image[:1, :1], *window)
    if window[0] == (3, 2):
        for actual, expected in zip((output, indices), loops.max_pool2d(image[:1, :1], *window)):
            np.testing.assert_array_equal(actual, expected)
    jitted.max_pool2d_backward(output, indices, image[:1, :1].shape)
model = nn.Sequential(nn.Conv2d(1, 2, 3, rng=0), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2, 2))
model(np.ones((1, 1, 4, 4), np.float32))
print(model.backward(np.ones((1, 2), np.float32)).shape)
"""


def test_without_the_compiler_everything_runs():
    assert run(WITHOUT_COMPILER, NUMBA_DISABLE_JIT="1") == "(1, 1, 4, 4)"


CASE = Conv((3, 5, 9, 12), (6, 5, 3, 3), padding=(1, 1))


def fingerprint() -> str:
    """Return a hash of all bits that the compiled rungs make of the same draws."""
    digest = hashlib.sha256()
    for name in COMPILED:
        for dtype in (np.float32, np.float64):
            found = results(RUNGS[name], CASE, *CASE.arrays(normal, dtype))
            pooled = RUNGS[name].max_pool2d(found["output"], (3, 3), (2, 2), (1, 1), (1, 1), False)
            for array in (*found.values(), *pooled):
                digest.update(array.tobytes())
    return digest.hexdigest()


def test_another_process_makes_the_same_bits():
    code = "from tests.kernels.test_modes import fingerprint; print(fingerprint())"
    assert run(code) == fingerprint()


TRAINING = """
import hashlib
import numpy as np
from minicnn import nn, optim
own = {"rng": 0, "dtype": np.float64}
model = nn.Sequential(
    nn.Conv2d(3, 8, 3, padding=1, **own), nn.BatchNorm2d(8, dtype=np.float64), nn.ReLU(), nn.AvgPool2d(2),
    nn.Conv2d(8, 12, 3, stride=2, **own), nn.ReLU(), nn.Flatten(), nn.Linear(12 * 36, 10, **own),
)
rng = np.random.default_rng(0)
images, targets = rng.normal(size=(33, 3, 29, 29)), rng.integers(0, 10, 33)
criterion, optimizer = nn.CrossEntropyLoss(), optim.Adam(model.parameters())
for _ in range(2):
    optimizer.zero_grad()
    criterion(model(images), targets)
    digest = hashlib.sha256(model.backward(criterion.backward()).tobytes())
    optimizer.step()
for parameter in model.parameters():
    digest.update(parameter.data.tobytes())
print(digest.hexdigest())
"""


@pytest.mark.slow
@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
def test_kernels_that_were_just_compiled_make_the_same_bits_as_those_that_were_kept(tmp_path):
    runs = [run(TRAINING, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2)]
    assert runs[0] == runs[1]  # they were not with Numba 0.60


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
def test_one_compiled_version_for_each_dtype_serves_all_layouts():
    for dtype in (np.float32, np.float64):
        arrays = CASE.arrays(normal, dtype)
        for array in arrays:
            array.flags.writeable = False
        for change in (lambda array: array, np.asfortranarray, backwards, not_aligned):
            results(jitted, CASE, *map(change, arrays))
            output, indices = jitted.max_pool2d(change(arrays[0]), (2, 2), (2, 2), (0, 0), (1, 1), False)
            jitted.max_pool2d_backward(change(output), change(indices), CASE.input)
    for kernel in (
        jitted._conv2d,
        jitted._conv2d_grad_input,
        jitted._conv2d_grad_weight,
        pooling._max_pool2d,
        pooling._max_pool2d_backward,
    ):
        assert len(kernel.signatures) == 2, kernel


def test_no_kernel_may_assume_that_numbers_are_finite():
    found = 0
    for module in pkgutil.iter_modules(kernels.__path__, "minicnn.kernels."):
        if module.name.endswith(".fast") and config.DISABLE_JIT:
            continue
        for kernel in vars(importlib.import_module(module.name)).values():
            flags = getattr(kernel, "targetoptions", {}).get("fastmath", False)
            assert flags is False or flags <= {"contract", "reassoc", "nsz", "arcp"}, kernel
            found += bool(flags)
    assert found or config.DISABLE_JIT


CHECKED = """
import numpy as np, pytest
from minicnn.kernels import jitted
planes, weight, output = np.ones((1, 1, 9)), np.ones((1, 1)), np.ones((1, 1, 3, 3))
jitted._conv2d(planes, weight, np.ones(1), np.array([0]), 3, output)
with pytest.raises(IndexError):  # a longer row than there are cells: proof that indexes are checked
    jitted._conv2d(planes, weight, np.ones(1), np.array([0]), 4, output)
code = pytest.main([
    "-q", "-p", "no:cacheprovider", "-x", "-k", "not torch",
    "tests/kernels/test_conv2d.py", "tests/kernels/test_max_pool2d.py", "tests/kernels/test_linear.py",
])
assert code == 0, code
"""


@pytest.mark.slow
def test_no_index_leaves_its_array(tmp_path):
    run(CHECKED, NUMBA_BOUNDSCHECK="1", NUMBA_CACHE_DIR=str(tmp_path))
