"""Who races. An entrant has a name, a kind ("ours", "torch", "jax" or "peer") and builds a runner for a net:

    entrant.net(model, images, targets) -> runner
    runner.forward()   -> logits as an ndarray          runner.gradients() -> the last step's, by name
    runner.step()      takes one full training step     runner.weights()   -> by name
    runner.hold()      lets every step from now on leave the weights as they are

The names are those of our parameters, and the arrays have our shapes. A library is imported when its
entrant is asked for, and only if it is installed.
"""

from __future__ import annotations

import importlib.util

from minicnn.benchmark.entrants.ours import Ours

TORCH_MISSING = "torch is not installed, so ours runs alone: pip install 'minicnn[torch]' to race against it."
NOT_INSTALLED, LEFT_OUT = "not installed", "left out of a quick race"
PEERS = ("mygrad", "pydynet", "neuralnetlib")

__all__ = ["PEERS", "TORCH_MISSING", "Ours", "entrants", "is_installed"]


def is_installed(library: str) -> bool:
    """Say whether a library can be imported, without importing it.

    >>> is_installed("numpy"), is_installed("no_such_library")
    (True, False)
    """
    return importlib.util.find_spec(library) is not None


def entrants(everyone: bool = True) -> tuple[list, dict[str, str]]:
    """Return all entrants that this machine can field, ours first, and why the others are absent.

    Parameters
    ----------
    everyone : bool
        Whether those take part who need minutes: `torch.compile` and JAX, which compile every case, and the
        packages written from scratch.

    Examples
    --------
    >>> found, absent = entrants(everyone=False)
    >>> found[0].name, absent["jax jit"]
    ('ours', 'left out of a quick race')
    """
    found, absent = [Ours()], {}
    if is_installed("torch"):
        from minicnn.benchmark.entrants.pytorch import FORMS, Torch, has_compiler

        found += [Torch(form) for form in FORMS]
        if not has_compiler():
            absent["torch.compile"] = "no C++ compiler"
    else:
        absent["torch"] = TORCH_MISSING
    if is_installed("jax"):
        from minicnn.benchmark.entrants.jax_jit import Jax

        found.append(Jax())
    else:
        absent["jax jit"] = NOT_INSTALLED
    for library in PEERS:
        if is_installed(library):
            from minicnn.benchmark.entrants.peers import peer

            found.append(peer(library))
        else:
            absent[library] = NOT_INSTALLED
    if not everyone:
        absent |= dict.fromkeys(("torch.compile", "jax jit", *PEERS), LEFT_OUT)
    return [entrant for entrant in found if entrant.name not in absent], absent
