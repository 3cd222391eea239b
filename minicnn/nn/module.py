"""Module: what every layer and every model is made of.

A layer is a class with two methods that stand one above the other:

    forward(input)        -> output        and self.save(output, ...) for what backward needs
    backward(grad_output) -> grad_input    and parameter.accumulate(...) for what it learns

There is no graph and no tape. `model.backward(grad)` is a plain call that goes from layer to layer.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minicnn import checks
from minicnn.nn import hooks
from minicnn.nn.grad_mode import is_grad_enabled
from minicnn.nn.tree import ModuleTree
from minicnn.parameter import Parameter


class Module(ModuleTree):
    """The base of all layers and models.

    Parameters, child modules and random generators are found among the attributes, in the order in
    which they were set; arrays that belong to the state but are not learned are named in
    `buffer_names`.

    Attributes
    ----------
    training : bool
        True after `train()`, False after `eval()`; dropout and batch norm behave accordingly.
    saved : dict
        What the last forward kept for backward, by name. The inspector reads it too.
    name : str
        Where the module stands in its model (`"0"`, `"features.3"`); empty for the model itself.

    Examples
    --------
    >>> from minicnn import nn
    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> [(name, parameter.data.shape) for name, parameter in model.named_parameters()]
    [('0.weight', (3, 4)), ('0.bias', (3,)), ('2.weight', (2, 3)), ('2.bias', (2,))]
    """

    def __init__(self) -> None:
        self.name = ""
        self.training = True
        self.saved: dict = {}

    # What a layer defines, and what it gets for it

    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return the output for `input`. Every layer writes its own."""
        raise TypeError(f"{self.who}: forward is missing. Got a module without one. Define forward(input).")

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return the gradient of the input, and add to the gradients of the parameters."""
        raise TypeError(
            f"{self.who}: backward is missing. Got a module without one. Define backward(grad_output)."
        )

    def backward_parameters(self, grad_output: np.ndarray) -> None:
        """Add to the gradients of the parameters as `backward` does; nobody asks for the input's gradient.

        The first layer of a model then has less to do: training does not change the images.

        >>> from minicnn import nn
        >>> layer = nn.Linear(2, 1, bias=False)
        >>> output = layer(np.float32([[3, 4]]))
        >>> layer.backward_parameters(np.float32([[10]]))
        >>> layer.weight.grad
        array([[30., 40.]], dtype=float32)
        """
        if "backward" in vars(self):  # somebody watches, and sees every gradient
            self.backward(grad_output)
        else:
            self._backward_parameters(grad_output)

    def _backward_parameters(self, grad_output: np.ndarray) -> None:
        """Do so; a layer that can save work writes its own."""
        self.backward(grad_output)

    def __call__(self, input: np.ndarray) -> np.ndarray:
        return self.forward(input)

    def save(self, output: np.ndarray, /, **needed) -> None:
        """Keep what backward needs, under its name, unless `no_grad` is on."""
        if is_grad_enabled():
            vars(self)["saved"] = {"output_shape": output.shape, "dtype": output.dtype, **needed}

    def recall(self, grad_output: np.ndarray) -> dict:
        """Return what forward saved, once `grad_output` is seen to fit the output."""
        if not self.saved:
            raise RuntimeError(
                f"{self.who}: backward needs a forward first. Call model(x), then the loss, then backward."
            )
        if "fused" in self.saved:  # computed together with its neighbours: now alone
            self.saved["fused"].unfold(self.who)
        self.check_grad_output(grad_output)
        return self.saved

    def check_grad_output(self, grad_output: np.ndarray) -> None:
        """Raise unless `grad_output` has the shape and dtype of the last forward's output."""
        checks.as_float_array(self.who, "grad_output", grad_output)
        if grad_output.shape != self.saved["output_shape"]:
            raise ValueError(
                f"{self.who}: grad_output must have the output's shape {self.saved['output_shape']}. "
                f"Got {grad_output.shape}. Pass the gradient of the last forward's output."
            )
        if grad_output.dtype != self.saved["dtype"]:
            raise TypeError(
                f"{self.who}: grad_output must be {self.saved['dtype']}, as the output is. "
                f"Got {grad_output.dtype}. Convert it with .astype(np.{self.saved['dtype']})."
            )

    # All layers at once

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    def train(self, mode: bool = True) -> Module:
        """Switch this module and all below it to training (or, with False, to evaluation)."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """Switch to evaluation: dropout passes through, batch norm uses its running statistics."""
        return self.train(False)

    def astype(self, dtype) -> Module:
        """Convert parameters and float buffers to float32 or float64 in place; gradients are dropped.

        >>> from minicnn import nn
        >>> nn.Linear(2, 1).astype(np.float64).weight
        Parameter(shape=(1, 2), dtype=float64)
        """
        dtype = checks.as_float_dtype(self.who, dtype)
        for module in self.modules():
            module.saved = {}
            for key, value in list(vars(module).items()):
                if isinstance(value, Parameter):
                    value.data, value.grad = value.data.astype(dtype), None
                elif key in module.buffer_names and value is not None and value.dtype.kind == "f":
                    setattr(module, key, value.astype(dtype))
        return self

    # Watch

    def register_forward_hook(self, hook: Callable) -> hooks.Handle:
        """Call ``hook(module, input, output)`` after every forward; see `minicnn.nn.hooks`."""
        return hooks.register(self, "forward", hook)

    def register_full_backward_hook(self, hook: Callable) -> hooks.Handle:
        """Call ``hook(module, grad_input, grad_output)`` after every backward; see `minicnn.nn.hooks`."""
        return hooks.register(self, "backward", hook)
