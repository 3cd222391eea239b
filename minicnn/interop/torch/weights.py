"""load_torch_weights: the values of a torch model, from memory or from a file, into ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors.numpy

from minicnn import nn
from minicnn.interop.torch.layers import as_array
from minicnn.interop.torch.library import import_torch

WHO = "load_torch_weights"


def load_torch_weights(model: nn.Module, state_dict_or_path) -> None:
    """Copy a torch model's parameters and buffers into `model`: all of them, or none.

    Parameters
    ----------
    model : Module
        With torch's names, as `from_torch` builds it.
    state_dict_or_path : dict of str to tensor or array, str or path
        What ``state_dict()`` of a torch model returns, or a file: ``.safetensors`` (read without torch), or any
        other that ``torch.save`` wrote. Of the latter only tensors are read, no code: ``weights_only=True``.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If names or shapes are not the model's, or the file holds anything else.
    TypeError
        If dtypes are not the model's.
    RuntimeError
        If the file is torch's own and torch is not installed.

    Examples
    --------
    >>> model = nn.Linear(2, 1)
    >>> load_torch_weights(model, {"weight": np.float32([[2, 3]]), "bias": np.float32([1])})
    >>> model(np.float32([[10, 100]]))
    array([[321.]], dtype=float32)
    """
    if isinstance(state_dict_or_path, Mapping):
        state = state_dict_or_path
    elif isinstance(state_dict_or_path, str | Path):
        state = read(Path(state_dict_or_path))
    else:
        raise TypeError(
            f"{WHO}: weights must be a state_dict or a path. Got {type(state_dict_or_path).__name__}. "
            "Pass torch_model.state_dict()."
        )
    arrays = {}
    for name, value in state.items():
        if not isinstance(value, np.ndarray) and not hasattr(value, "detach"):
            raise TypeError(
                f"{WHO}: weights must be tensors or arrays by name. Got {type(value).__name__} for {name!r}. "
                "Pass the state_dict alone."
            )
        arrays[name] = value if isinstance(value, np.ndarray) else as_array(value, f'"{name}"', WHO)
    own = model.state_dict().keys()
    first = next(iter(own), "")
    for prefix in [name.removesuffix(first) for name in map(str, arrays) if name.endswith(f".{first}")]:
        if {f"{prefix}{name}" for name in own} == arrays.keys():  # saved from a wrapped model
            raise ValueError(
                f"{WHO}: names must be the model's own. Got names that begin with {prefix!r}. "
                f"Strip it with name.removeprefix({prefix!r})."
            )
    model.load_state_dict(arrays)


def read(path: Path) -> Mapping:
    """Return what a file holds by name."""
    with path.open("rb"):  # no such file: the system's own error says so best
        pass
    try:
        if path.suffix == ".safetensors":
            return safetensors.numpy.load_file(path)
        state = import_torch().load(path, map_location="cpu", weights_only=True)
    except RuntimeError as error:
        if "torch is needed" in str(error):
            raise
        raise refusal(path, str(error)) from None
    except Exception as error:  # whatever is wrong in a file that somebody else may have made
        raise refusal(path, str(error) or type(error).__name__) from None
    if not isinstance(state, Mapping):
        raise refusal(path, f"a {type(state).__name__}")
    return state


def refusal(path: Path, reason: str) -> ValueError:
    """Return the error with which a file is refused.

    >>> refusal(Path("a.pt"), "a Tensor")
    ValueError("load_torch_weights: 'a.pt' must hold a state_dict and nothing else. Got a Tensor. \
Save it with torch.save(model.state_dict(), path).")
    """
    short = " ".join(reason.split())[:90].rstrip(".")
    return ValueError(
        f"{WHO}: {str(path)!r} must hold a state_dict and nothing else. Got {short}. "
        "Save it with torch.save(model.state_dict(), path)."
    )
