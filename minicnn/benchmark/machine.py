"""Which machine, which versions, how many threads: without them a time says nothing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time

from minicnn import __version__, get_num_threads
from minicnn.benchmark.entrants import PEERS, is_installed
from minicnn.kernels.threads import cores

LIBRARIES = ("numpy", "numba", "llvmlite", "torch", "jax", *PEERS)


def describe() -> dict:
    """Return processor, cores, system, versions, thread counts and how busy the machine is.

    >>> found = describe()
    >>> sorted(found)
    ['busy', 'cores', 'processor', 'system', 'threads', 'versions']
    >>> found["versions"]["minicnn"] == __version__
    True
    """
    versions = {"python": platform.python_version(), "minicnn": __version__}
    for library in LIBRARIES:
        if is_installed(library):
            versions[library] = importlib.metadata.version(library)
    threads = {"minicnn": get_num_threads()}
    if is_installed("torch"):
        import torch

        threads["torch"] = torch.get_num_threads()
    return {
        "processor": processor(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": versions,
        "threads": threads,
        "busy": cores_kept_busy(),
    }


def cores_kept_busy(seconds: float = 0.5) -> float | None:
    """Return how many cores other programs use while this one sleeps; None where the system does not tell.

    >>> busy = cores_kept_busy(seconds=0.02)
    >>> busy is None or busy >= 0
    True
    """
    try:
        began, used = ticks(), time.process_time()
        time.sleep(seconds)
        others = (ticks() - began) / os.sysconf("SC_CLK_TCK") - (time.process_time() - used)
    except (OSError, AttributeError, ValueError):  # only Linux tells
        return None
    return max(others, 0.0) / seconds


def ticks() -> int:
    """Return the time that all cores have computed since the system began, in the system's ticks.

    >>> from pathlib import Path
    >>> not Path("/proc/stat").exists() or ticks() > 0
    True
    """
    with open("/proc/stat") as file:
        user, nice, system, _idle, _waiting, *interrupts_and_stolen = map(int, file.readline().split()[1:9])
    return user + nice + system + sum(interrupts_and_stolen)


def processor() -> str:
    """Return the processor's name as the system tells it, and the vectors it has.

    >>> bool(processor())
    True
    """
    import llvmlite.binding as llvm

    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
        name = names[0] if names else name
    except OSError:
        pass  # not Linux
    features = llvm.get_host_cpu_features()
    vectors = [text for key, text in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if features.get(key)]
    return f"{name} ({llvm.get_host_cpu_name()}{', ' + vectors[0] if vectors else ''})"


def one_line(machine: dict) -> str:
    """Return machine, versions and threads in one line.

    >>> one_line(describe()).count("threads")
    1
    """
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    counts = ", ".join(f"{name} {count}" for name, count in machine["threads"].items())
    return f"{machine['processor']}, {machine['cores']} cores, {machine['system']}; {versions}; threads: {counts}"


def warning(machine: dict) -> str:
    """Return a sentence if other programs were busy when the race began, else "".

    >>> warning({"busy": 0.1, "cores": 2}), warning({"busy": None, "cores": 2})
    ('', '')
    """
    if machine["busy"] is None or machine["busy"] < 0.3 * machine["cores"]:
        return ""
    return (
        f"Other programs kept {machine['busy']:.1f} cores busy when the race began: "
        "times of this run say little, repeat it on a quiet machine."
    )
