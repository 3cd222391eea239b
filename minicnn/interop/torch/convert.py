"""from_torch: an ordinary torch.nn.Module as a minicnn module with the same names and weights."""

from __future__ import annotations

import numpy as np

from minicnn import nn
from minicnn.interop.torch.conversion import Conversion, without_values
from minicnn.interop.torch.entrance import check_hooks, unwrapped
from minicnn.interop.torch.library import check_torch_module, import_torch


def from_torch(module, example_input) -> nn.Module:
    """Return a minicnn module that computes what a torch module computes.

    Parameters
    ----------
    module : torch.nn.Module
        Made of layers that minicnn has, and of functions, methods, sums, products, slices, constants and joins
        between them. It is left as it is. What ``torch.compile`` or ``DataParallel`` wraps is taken without the
        wrapper.
    example_input : ndarray or torch.Tensor
        What the model takes, of any batch size. Only shape and dtype are used.

    Returns
    -------
    Module
        A `Sequential` where the model is a chain, else a `Graph`; with torch's names, copies of its
        parameters and buffers, and the mode (training or evaluation) of every layer.

    Raises
    ------
    RuntimeError
        If torch is not installed.
    ValueError
        If the model has an operation or a layer that minicnn has not, a forward whose path depends on data, hooks
        on forward, or parameters that torch computes anew. The message names it and the line of the model's code.
    TypeError
        If `module` is no torch module, or its parameters are neither float32 nor float64.

    Notes
    -----
    A fixed decision, such as ``if self.training``, is taken as it stands now, one on the shape of an image as it is
    for the example's (so are the windows of adaptive max pooling, unless to 1x1), and arguments of forward beyond the
    first have their defaults.

    Examples
    --------
    >>> from minicnn.interop.torch.library import is_installed
    >>> def converted():
    ...     import torch
    ...     return from_torch(torch.nn.Sequential(torch.nn.Linear(2, 1)), np.zeros((1, 2), np.float32))
    >>> converted() if is_installed() else nn.Sequential(nn.Linear(2, 1))
    Sequential(
      (0): Linear(2, 1, bias=True)
    )
    """
    torch = import_torch()
    check_torch_module("from_torch", "module", module)
    if not isinstance(example_input, np.ndarray | torch.Tensor):
        raise TypeError(
            f"from_torch: example_input must be an array or a tensor. Got {type(example_input).__name__}. "
            "Pass for example a batch of images."
        )
    inside = unwrapped(module, "from_torch")
    check_hooks(module)
    module = inside
    example = torch.as_tensor(
        np.array(example_input) if isinstance(example_input, np.ndarray) else example_input
    )
    with torch.inference_mode(False):  # there, tensors do not count how often they are written over
        conversion = Conversion(torch, module, without_values(module))
        model = conversion.convert("", torch.empty_like(example, device="meta"), type(module).__name__)
    lost = sorted(module.state_dict().keys() ^ model.state_dict().keys())
    if lost:
        raise ValueError(
            f"from_torch: every parameter and buffer must belong to a layer. Got {', '.join(lost)} besides. "
            "Put what is new into a layer that minicnn has."
        )
    return model
