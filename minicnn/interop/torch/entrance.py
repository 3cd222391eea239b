"""What a torch model must be before a forward of it is looked at."""

from __future__ import annotations

from collections.abc import Iterator

from minicnn.interop.torch.library import import_torch

# Where wrappers keep the model; they change when or where it runs, and not what it computes.
WRAPPED = {"OptimizedModule": "_orig_mod", "DataParallel": "module", "DistributedDataParallel": "module"}
# Modules of torch.nn.utils whose hooks compute a parameter before each forward, and what ends that.
REMOVE = {
    "prune": "prune.remove",
    "weight_norm": "remove_weight_norm",
    "spectral_norm": "remove_spectral_norm",
}


def unwrapped(module, who: str):
    """Return the model inside ``torch.compile``, ``DataParallel`` and ``DistributedDataParallel``.

    Raises
    ------
    ValueError
        If a layer is no Python code any more, or computes a parameter before each forward.

    Examples
    --------
    >>> from minicnn.interop.torch.library import is_installed
    >>> def inside():
    ...     torch = import_torch()
    ...     return str(unwrapped(torch.nn.DataParallel(torch.nn.Tanh()), "from_torch"))
    >>> inside() if is_installed() else "Tanh()"
    'Tanh()'
    """
    torch = import_torch()
    for path, layer in module.named_modules():
        if isinstance(layer, torch.jit.ScriptModule):
            raise ValueError(
                f"{who}: a model must be Python code. Got {shown(path, layer)}, compiled by torch.jit. "
                "Pass the model from before torch.jit.script or torch.jit.trace."
            )
        for name, remove in computed(layer):
            raise ValueError(
                f"{who}: every parameter must be the layer's own. Got one that torch computes anew, {name} of "
                f'{shown(path, layer)}. Call torch.nn.utils.{remove}(layer, "{name}") first.'
            )
    while type(module).__module__.startswith("torch.") and type(module).__name__ in WRAPPED:
        module = getattr(module, WRAPPED[type(module).__name__])
    return module


def computed(layer) -> Iterator[tuple[str, str]]:
    """Yield the parameters that a layer computes before each forward, each with the function that ends that.

    >>> from minicnn.interop.torch.library import is_installed
    >>> list(computed(import_torch().nn.ReLU())) if is_installed() else []
    []
    """
    for hook in layer._forward_pre_hooks.values():
        kind = type(hook).__module__.removeprefix("torch.nn.utils.")
        if kind in REMOVE:
            yield hook._tensor_name if kind == "prune" else hook.name, REMOVE[kind]
    if import_torch().nn.utils.parametrize.is_parametrized(layer):
        for name in layer.parametrizations:
            yield name, "parametrize.remove_parametrizations"


def check_hooks(module) -> None:
    """Raise unless a torch module and all inside it are without hooks on forward.

    >>> from minicnn.interop.torch.library import is_installed
    >>> check_hooks(import_torch().nn.ReLU()) if is_installed() else None

    Raises
    ------
    ValueError
        If there is one. Such a hook may change what forward takes and gives, and only torch calls it.
    """
    for name, layer in module.named_modules():
        kinds = {"forward pre-hook": layer._forward_pre_hooks, "forward hook": layer._forward_hooks}
        for kind, hooks in kinds.items():
            if hooks:
                raise ValueError(
                    "from_torch: a model must be without forward hooks, which do not come along. "
                    f"Got a {kind} on {shown(name, layer)}. Remove the hook, or write what it does into forward."
                )


def shown(name: str, layer) -> str:
    """Return how a layer is called in a message.

    >>> shown("0.conv", object()), shown("", object())
    ('object "0.conv"', 'the model itself')
    """
    return f'{type(layer).__name__} "{name}"' if name else "the model itself"
