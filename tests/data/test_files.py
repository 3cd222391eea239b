"""The helpers of these tests reject what they should."""

import gzip

import numpy as np
import pytest

from tests.data.files import memory_below, zeros_gzipped


def test_memory_below_sees_python_and_numpy():
    with pytest.raises(AssertionError, match="bytes in use"), memory_below(10**6):
        bytes(2 * 10**6)
    with pytest.raises(AssertionError, match="bytes in use"), memory_below(10**6):
        np.empty(2 * 10**6, np.uint8)
    with memory_below(10**6):
        bytes(10**5)


def test_zeros_gzipped_is_what_it_says():
    assert gzip.decompress(zeros_gzipped(2**20 + 7, b"ab")) == b"ab" + bytes(2**20 + 7)
