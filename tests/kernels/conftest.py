"""What tests of threads share."""

from __future__ import annotations

import pytest

from minicnn import get_num_threads, set_num_threads
from minicnn.kernels import threads


@pytest.fixture
def threads_restored():
    """Leave the number of threads as it was."""
    before = get_num_threads()
    yield
    set_num_threads(before)


@pytest.fixture
def all_work_is_shared(monkeypatch, threads_restored):
    """Let the threads share what is too little to be worth it, too."""
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 0)
