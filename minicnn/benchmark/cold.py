"""Cold start and memory: what a fresh process pays, each measured in a process of its own.

A child is a few lines of Python that print one JSON object. Its clock starts when it is spawned, so that the
interpreter and all imports count. An empty cache is a new folder in NUMBA_CACHE_DIR; the full one is the same
folder afterwards.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from statistics import median

from minicnn import get_num_threads
from minicnn.benchmark.entrants import is_installed

IMPORT = """
import json, sys, time
began = time.perf_counter()
import {library}
print(json.dumps({{"seconds": time.perf_counter() - began}}))
"""

FIRST_STEP = """
import json, time
from minicnn.benchmark.nets import NETS
from minicnn.benchmark.entrants.ours import Ours
net = NETS["MNIST net"]
Ours().net(net.build(rng=0), *net.batch(64)).step()
print(json.dumps({"ended": time.time()}))
"""

FIRST_STEP_TORCH = """
import json, time
import numpy as np
import torch
from torch import nn
torch.set_num_threads(THREADS)
model = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 49, 10),
)
images, targets = torch.randn(64, 1, 28, 28), torch.randint(0, 10, (64,))
optimizer = torch.optim.Adam(model.parameters(), fused=True)
optimizer.zero_grad()
nn.functional.cross_entropy(model(images), targets).backward()
optimizer.step()
print(json.dumps({"ended": time.time()}))
"""

# After one step of a single image (which loads all code), the peak is set back; what three real steps then
# add is theirs. Freed pages that the process keeps are in the peak of both sides.
MEMORY = """
import json
from minicnn.benchmark.cold import peak_of_steps
print(json.dumps(peak_of_steps({entrant!r}, {net!r}, {size}, {threads})))
"""


def child(code: str, **environment: str) -> dict:
    """Run Python code in a fresh process and return the JSON object of its last line, with "seconds".

    Raises
    ------
    RuntimeError
        If the child fails.

    Examples
    --------
    >>> child("print('[ignored]'); print('{}')")["seconds"] < 60
    True
    """
    began = time.time()
    settings = os.environ | {"MINICNN_NUM_THREADS": str(get_num_threads())} | environment
    done = subprocess.run([sys.executable, "-c", code], env=settings, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise RuntimeError(
            f"bench: a fresh process must be able to run minicnn. Got {lines[-1]}. Run minicnn tour first."
        )
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return {"seconds": found.get("ended", time.time()) - began} | found


def start(runs: int, progress=None) -> dict:
    """Return import times, and times from nothing to the end of a first training step, in seconds.

    Parameters
    ----------
    runs : int
        Each time is the median of so many processes; the empty cache is filled once a run.
    progress : callable or None
        Called with a text after each measurement.

    Returns
    -------
    dict
        ``import`` by library, ``first_step`` with ``empty cache`` and ``full cache``, and ``torch`` if it
        is installed.

    Examples
    --------
    >>> IMPORT.format(library="numpy").count("import numpy")
    1
    """
    libraries = ["minicnn", "numba", *(name for name in ("torch",) if is_installed(name))]
    seconds: dict[str, list[float]] = {name: [] for name in [*libraries, "empty", "full", "first torch"]}
    threads = str(get_num_threads())
    for run in range(runs + 1):
        found: dict[str, float] = {}
        for library in libraries:
            found[library] = child(IMPORT.format(library=library))["seconds"]
            if progress is not None:
                progress(f"import {library}")
        with tempfile.TemporaryDirectory() as folder:
            if run or runs == 1:  # the round that is thrown away needs no empty cache
                found["empty"] = child(FIRST_STEP, NUMBA_CACHE_DIR=folder)["seconds"]
                found["full"] = child(FIRST_STEP, NUMBA_CACHE_DIR=folder)["seconds"]
        if "torch" in libraries:
            found["first torch"] = child(FIRST_STEP_TORCH.replace("THREADS", threads))["seconds"]
        if progress is not None:
            progress("first training step")
        if run or runs == 1:  # the first round reads the files from the disk
            for name, value in found.items():
                seconds[name].append(value)
        if runs == 1:
            break
    first_step = {"empty cache": median(seconds["empty"]), "full cache": median(seconds["full"])}
    if seconds["first torch"]:
        first_step["torch"] = median(seconds["first torch"])
    return {"import": {name: median(seconds[name]) for name in libraries}, "first_step": first_step}


def memory(nets, size: int, progress=None) -> list[dict]:
    """Return, net by net, the megabytes that a training step adds at its peak: ours, and torch's least.

    >>> memory([], 256)
    []
    """
    from minicnn.benchmark.entrants import Ours

    names = [Ours.name, *(("torch eager", "torch channels_last") if is_installed("torch") else ())]
    rows = []
    for net in nets:
        row: dict = {"net": net, "N": size, "step": {}, "process": {}}
        for name in names:
            threads = get_num_threads()
            found = child(MEMORY.format(entrant=name, net=net, size=size, threads=threads))
            row["step"][name], row["process"][name] = found["step"], found["process"]
            if progress is not None:
                progress(f"memory of {net}, {name}")
        torches = [found for name, found in row["step"].items() if name != Ours.name]
        row["ratio"] = row["step"][Ours.name] / min(torches) if torches else None
        rows.append(row)
    return rows


def peak_of_steps(entrant: str, net: str, size: int, threads: int) -> dict[str, float]:
    """Take three training steps in this process; return the peak that they add, and the whole, in megabytes.

    >>> found = peak_of_steps("ours", "MNIST net", 2, threads=1)
    >>> found["process"] > found["step"] >= 0
    True
    """
    from minicnn.benchmark.entrants import Ours
    from minicnn.benchmark.nets import NETS

    if entrant == Ours.name:
        racer = Ours()
    else:
        import torch

        from minicnn.benchmark.entrants.pytorch import Torch

        torch.set_num_threads(threads)
        racer = Torch(entrant.removeprefix("torch "))
    chosen = NETS[net]
    model = chosen.build(rng=0)
    racer.net(model, *chosen.batch(1)).step()
    runner = racer.net(model, *chosen.batch(size))
    before = reset_peak()
    for _ in range(3):
        runner.step()
    peak = peak_megabytes()
    return {"step": max(peak - before, 0.0), "process": peak}


def reset_peak() -> float:
    """Set the process's peak back to what it holds now, where Linux allows it; return that, in megabytes.

    >>> reset_peak() > 0
    True
    """
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        return peak_megabytes()
    return status_megabytes("VmRSS")


def peak_megabytes() -> float:
    """Return the most memory that this process has held, in megabytes.

    >>> peak_megabytes() > 0
    True
    """
    try:
        return status_megabytes("VmHWM")
    except OSError:
        import resource

        unit = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def status_megabytes(field: str) -> float:
    """Return a field of Linux's /proc/self/status, in megabytes."""
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) / 1024
    raise OSError(f"/proc/self/status: the field {field} is needed. Got none. Use Linux.")
