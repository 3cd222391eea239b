"""Where both libraries compute in turn, torch keeps to one thread: on a busy machine its idle ones take the time."""

import pytest
import torch


@pytest.fixture(autouse=True)
def one_torch_thread(request: pytest.FixtureRequest):
    """Hold torch to one thread in the tests of `compare`."""
    if not request.path.name.startswith("test_compare"):
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
