"""Who races. An entrant has a name, a kind ("ours", "torch", "jax" or "peer") and builds a runner for a net:

    entrant.net(model, images, targets) -> runner
    runner.forward()   -> logits as an ndarray          runner.gradients() -> the last step's, by name
    runner.step()      takes one full training step     runner.weights()   -> by name

The names are those of our parameters, and the arrays have our shapes. A library is imported when its
entrant is asked for, and only if it is installed.
"""

from __future__ import annotations

import importlib.util

from minicnn.benchmark.entrants.ours import Ours

TORCH_MISSING = "torch is not installed, so ours runs alone: pip install 'minicnn[torch]' to race against it."
PEERS = ("mygrad", "pydynet", "neuralnetlib")

__all__ = ["PEERS", "TORCH_MISSING", "Ours", "entrants", "is_installed"]


def is_installed(library: str) -> bool:
    """Say whether a library can be imported, without importing it.

    >>> is_installed("numpy"), is_installed("no_such_library")
    (True, False)
    """
    return importlib.util.find_spec(library) is not None


def entrants(compiled: bool = True) -> tuple[list, dict[str, str]]:
    """Return all entrants that this machine can field, ours first, and why the others are absent.

    Parameters
    ----------
    compiled : bool
        Whether `torch.compile` and JAX, which need many seconds to compile, take part.

    Examples
    --------
    >>> found, absent = entrants(compiled=False)
    >>> found[0].name
    'ours'
    >>> "torch.compile" in absent
    True
    """
    found, absent = [Ours()], {}
    if is_installed("torch"):
        from minicnn.benchmark.entrants.pytorch import FORMS, Torch, has_compiler

        found += [Torch(form) for form in FORMS if form != "compile"]
        if compiled and has_compiler():
            found.append(Torch("compile"))
        else:
            absent["torch.compile"] = "no C++ compiler" if compiled else "left out: it compiles for minutes"
    else:
        absent["torch"] = TORCH_MISSING
    if is_installed("jax") and compiled:
        from minicnn.benchmark.entrants.jax_jit import Jax

        found.append(Jax())
    else:
        absent["jax"] = "left out: it compiles for seconds" if is_installed("jax") else "not installed"
    for library in PEERS:
        if is_installed(library):
            from minicnn.benchmark.entrants.peers import peer

            found.append(peer(library))
        else:
            absent[library] = "not installed"
    return found, absent
