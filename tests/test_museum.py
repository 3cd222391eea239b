"""The suite catches every defect of the museum, and the explanations notice those in the kernels."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minicnn import kernels, nn
from minicnn.inspection import trace
from tests import museum

ROOT = Path(__file__).parents[1]
NAMED_IN_THE_FIELD = {
    "stride and groups swapped",
    "= for += in the weight gradient",
    "pooling backward on the unpadded input",
    "one maximum for the whole batch in softmax",
    "stride missing in the input gradient",
    "height and width mixed up",
    "flipped kernel",
    "mean over the batch in the weight gradient",
    "ties counted twice in max pooling",
    "running variance biased",
}


def test_the_museum_has_what_it_was_built_for():
    assert museum.DEFECTS.keys() >= NAMED_IN_THE_FIELD


@pytest.mark.parametrize("name", museum.DEFECTS)
def test_a_defect_is_there_inside_the_block_only(name):
    found = museum.DEFECTS[name]
    right = [getattr(found.owner, attribute) for attribute in found.attributes]
    with contextlib.suppress(KeyError), museum.defect(name):
        wrong = [getattr(found.owner, attribute) for attribute in found.attributes]
        raise KeyError
    assert all(spoiled is not function for spoiled, function in zip(wrong, right, strict=True))
    assert [getattr(found.owner, attribute) for attribute in found.attributes] == right


def run(name: str, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--tb=line"]
    command += ["-m", "not slow", "--defect", name, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", museum.DEFECTS)
def test_the_suite_catches(name):
    done = run(name, museum.DEFECTS[name].caught_by)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"^FAILED tests/.*::test_", done.stdout, re.MULTILINE), done.stdout
    assert " error" not in done.stdout.splitlines()[-1], done.stdout


NET_SEED = 3


def spoiled_numbers(name: str) -> list[str]:
    """Return which numbers of a small net no longer add up to their explanation."""
    rng = np.random.default_rng(NET_SEED)
    model = nn.Sequential(
        nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(1, 0), groups=2, dtype=np.float64, rng=rng),
        nn.ReLU(),
        nn.MaxPool2d(2, stride=1, padding=1),
        nn.AdaptiveAvgPool2d(2),  # some defects give other shapes
        nn.Flatten(),
        nn.Linear(4 * 2 * 2, 3, dtype=np.float64, rng=rng),
    )
    images = rng.integers(-2, 3, (2, 2, 5, 6)).astype(np.float64)
    with museum.defect(name):
        t = trace(model, images, targets=np.array([0, 2]))
    spoiled = []
    for step in t:
        for of in ("output", "grad_input", *(f"{key}.grad" for key in step.parameters)):
            array = step.array(of)
            if array is None:
                continue
            places = list(np.ndindex(np.shape(array)))
            if any(not t.explain(step.name, place, of=of).ok for place in places):
                spoiled.append(f"{step.name}: {of}")
    return spoiled


KERNEL_DEFECTS = [name for name, found in museum.DEFECTS.items() if found.owner is kernels]


@pytest.mark.parametrize("name", KERNEL_DEFECTS)
def test_an_explanation_notices_a_wrong_kernel(name):
    assert spoiled_numbers(name)
