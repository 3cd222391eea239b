"""What a torch model must be before a forward of it is looked at."""

from __future__ import annotations


def check_hooks(module) -> None:
    """Raise unless a torch module and all inside it are without hooks on forward.

    >>> from minicnn.interop.torch.library import import_torch, is_installed
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
