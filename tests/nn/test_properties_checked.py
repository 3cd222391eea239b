"""The property tests once more, in a process in which compiled code checks every index."""

from __future__ import annotations

import pytest

from tests.kernels.test_modes import run

CHECKED = """
import numpy as np, pytest
from minicnn.kernels import jitted
planes, weight, output = np.ones((1, 1, 9)), np.ones((1, 1)), np.ones((1, 1, 3, 3))
with pytest.raises(IndexError):  # a longer row than there are cells: proof that indexes are checked
    jitted._conv2d(planes, weight, np.ones(1), np.array([0]), 4, output)
code = pytest.main(["-q", "-p", "no:cacheprovider", "-x", "tests/nn/test_properties.py"])
assert code == 0, code
"""


@pytest.mark.slow
def test_no_index_leaves_its_array_whatever_is_fed(tmp_path):
    said = run(CHECKED, NUMBA_BOUNDSCHECK="1", NUMBA_CACHE_DIR=str(tmp_path))
    assert " passed" in said
    assert "skipped" not in said
