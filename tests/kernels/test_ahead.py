"""The second process, which compiles the way back: when it starts, what it compiles, how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from numba.core.event import Event, EventStatus

from minicnn import optim
from minicnn.kernels import ahead
from minicnn.kernels.ahead import CODE, SecondProcess, is_worthwhile
from minicnn.parameter import Parameter
from tests.kernels.test_modes import run


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(ahead.threads, "get_num_threads", lambda: 2)
    monkeypatch.setattr(ahead, "KEPT", True)


@pytest.fixture
def started(monkeypatch, two_cores):
    """The codes that a second process was started with; none is."""
    codes: list[str] = []
    monkeypatch.setattr(SecondProcess, "start", lambda self, code: codes.append(code))
    return codes


def compiles(second: SecondProcess, module: str) -> None:
    """Tell `second` what Numba tells it when it compiles a function of a module."""
    about = {"dispatcher": SimpleNamespace(py_func=SimpleNamespace(__module__=module))}
    second.notify(Event("numba:compile", EventStatus.START, about))
    second.notify(Event("numba:compile", EventStatus.END, about))


def test_it_starts_with_the_first_kernel_after_an_optimizer_and_once(started):
    second = SecondProcess()
    compiles(second, "minicnn.kernels.tiles")
    assert started == []  # nobody has made an optimizer
    second.expected = True
    compiles(second, "somebody.elses")
    assert started == []
    compiles(second, "minicnn.kernels.tiles")
    compiles(second, "minicnn.kernels.rows")
    assert started == [CODE.format(path=sys.path)]


def test_it_does_not_start_where_it_is_not_worthwhile(monkeypatch, started):
    monkeypatch.setattr(ahead.threads, "get_num_threads", lambda: 1)
    second = SecondProcess()
    second.expected = True
    compiles(second, "minicnn.kernels.tiles")
    assert started == []


@pytest.mark.parametrize(("dtype", "expected"), [("float32", True), ("float64", False)])
def test_an_optimizer_of_float32_expects_training(monkeypatch, dtype, expected):
    monkeypatch.setattr(ahead.second, "expected", False)
    optim.SGD([Parameter(np.ones(2, dtype))], lr=0.1)
    assert ahead.second.expected is expected


def test_it_is_worthwhile_with_two_cores_a_python_and_a_folder(monkeypatch, two_cores):
    assert is_worthwhile()
    for executable in ("/opt/blender", "", None):
        with monkeypatch.context() as changed:
            changed.setattr(sys, "executable", executable)
            assert not is_worthwhile()
    monkeypatch.setattr(ahead, "KEPT", False)
    assert not is_worthwhile()


@pytest.fixture
def sleeping():
    second = SecondProcess()
    second.start("import time; time.sleep(600)")
    yield second
    ahead.atexit.unregister(second.stop)
    second.stop(os.getpid())


def test_it_ends_with_the_process_that_started_it_and_not_with_a_copy(sleeping):
    sleeping.stop(os.getpid() + 1)  # what a copy made by os.fork calls when it ends
    assert sleeping.process.poll() is None
    sleeping.stop(os.getpid())
    assert sleeping.process.poll() is not None


def test_nothing_happens_if_no_process_can_be_made(monkeypatch):
    def refuse(*_, **__):
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    second = SecondProcess()
    second.start("")
    assert second.process is None


TRAIN = """
import numpy as np
from numba.core.event import Listener, register
from minicnn import kernels, nn, optim
from minicnn.kernels import ahead

class Notes(Listener):
    def on_start(self, event):
        found.append(event.data["dispatcher"].py_func.__name__)
    def on_end(self, event):
        pass

found = []
register("numba:compile", Notes())
model = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1, rng=0), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(16, 32, 3, padding=1, rng=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 4, rng=2),
)
optimizer, loss = optim.Adam(model.parameters()), nn.CrossEntropyLoss()
loss(model(np.linspace(-1, 1, 8 * 64, dtype=np.float32).reshape(8, 1, 8, 8)), np.arange(8) % 4)
model.backward(loss.backward())
optimizer.step()
print(sum(float(p.data.sum(dtype="d")) for p in model.parameters()), ahead.second.process is not None, *found)
"""


@pytest.mark.slow
def test_a_step_finds_what_the_second_process_has_compiled(tmp_path):
    alone = run(TRAIN, NUMBA_CACHE_DIR=str(tmp_path / "alone"), MINICNN_NUM_THREADS="1").split()
    run(CODE.format(path=["", *sys.path]), NUMBA_CACHE_DIR=str(tmp_path / "kept"), MINICNN_NUM_THREADS="1")
    second = {path.name for path in (tmp_path / "kept").rglob("*.nbc")}
    after = run(TRAIN, NUMBA_CACHE_DIR=str(tmp_path / "kept"), MINICNN_NUM_THREADS="2").split()
    assert after[0] == alone[0]  # the same weights, bit for bit
    assert alone[1] == "False"
    ours = {"gather", "gather_by_position", "walk", "walk_narrow", "_relu_max_pool2d_backward", "_adam"}
    assert ours <= set(alone[2:])
    assert not ours & set(after[2:])
    assert after[2:].count("_add_rows") == 2  # for two dtypes, by one process
    assert [name for name in second if "_add_rows" in name or not name.endswith(".1.nbc")] == []


@pytest.mark.slow
def test_a_step_with_a_second_process_has_the_same_bits(tmp_path):
    found = run(TRAIN, NUMBA_CACHE_DIR=str(tmp_path / "both"), MINICNN_NUM_THREADS="2").split()
    again = run(TRAIN, NUMBA_CACHE_DIR=str(tmp_path / "both"), MINICNN_NUM_THREADS="1").split()
    assert found[1] == "True"
    assert found[0] == again[0]
