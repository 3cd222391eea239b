"""Sequential, Residual and Identity: layers in a row, layers that the input also goes around, no layer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import numpy as np

from minicnn import checks
from minicnn.nn.fusion import stages_of
from minicnn.nn.grad_mode import is_grad_enabled
from minicnn.nn.lessons import go_back, go_back_to_parameters
from minicnn.nn.module import Module
from minicnn.nn.stages import Stage
from minicnn.nn.state import check_places
from minicnn.nn.tree import check_module, edits


def every_place(self: Module, prefix: str = "") -> Iterator[tuple[str, Module]]:
    """Yield a container and all below it as often as they stand there.

    >>> from minicnn import nn
    >>> [place for place, _ in every_place(Sequential(nn.ReLU(), nn.Tanh()), "body")]
    ['body', 'body.0', 'body.1']
    """
    yield prefix, self
    for key, child in self.children().items():
        yield from child._places(f"{prefix}.{key}" if prefix else key)


class Sequential(Module):
    """Apply modules one after another: ``y = f_k(... f_1(x))``; backward visits them in reverse.

    Parameters
    ----------
    *modules : Module, or one OrderedDict of str to Module
        Children are called "0", "1", ... or by the keys.

    Examples
    --------
    >>> from minicnn import nn
    >>> model = Sequential(nn.Flatten(), nn.ReLU())
    >>> model
    Sequential(
      (0): Flatten(start_dim=1, end_dim=-1)
      (1): ReLU()
    )
    >>> output = model(np.float32([[[1, -2]]]))
    >>> model.backward(np.float32([[10, 20]]))
    array([[[10.,  0.]]], dtype=float32)
    """

    _places = every_place

    def __init__(self, *modules) -> None:
        super().__init__()
        named = dict(enumerate(modules))
        if len(modules) == 1 and isinstance(modules[0], OrderedDict):
            named = modules[0]
        for key, module in named.items():
            self.add_module(str(key), module)

    def add_module(self, name: str, module: Module) -> None:
        """Set `module` as the last child, or in place of the one called `name`.

        Raises
        ------
        ValueError
            If it already has a place here: a layer remembers one forward, that of its last call, and
            backward through the earlier one would use it.
        """
        check_module(self.who, f"child {name!r}", module)
        others = [pair for pair in self.named_modules() if pair[0].split(".")[0] != name]
        check_places(self.who, [*others, *((name, inner) for inner in module.modules())])
        super().add_module(name, module)

    def append(self, module: Module) -> Sequential:
        """Put one more module at the end, called by its number; return the model.

        >>> from minicnn import nn
        >>> Sequential(nn.Flatten()).append(nn.Linear(4, 2))
        Sequential(
          (0): Flatten(start_dim=1, end_dim=-1)
          (1): Linear(4, 2, bias=True)
        )
        """
        number = len(self)
        while str(number) in self.children():  # another one has been removed
            number += 1
        self.add_module(str(number), module)
        return self

    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return the last module's output."""
        edit, stages = edits(), stages_of(self)
        if not is_grad_enabled():
            return stages.infer(input)
        output, step = stages.learn(input)
        self.saved = {"stages": stages, "edit": edit, "step": step}
        return output

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return the gradient of the first module's input."""
        played = self._played(grad_output, whole=True)
        return go_back(self._latest_stages(), grad_output) if played is None else played[0]

    def _backward_parameters(self, grad_output: np.ndarray) -> None:
        if self._played(grad_output, whole=False) is None:
            go_back_to_parameters(self._latest_stages(), grad_output)

    def _played(self, grad_output: np.ndarray, whole: bool) -> list[np.ndarray] | None:
        """Go back from the last forward as `Step.backward` does, if there is one, and nobody has begun to watch."""
        step = self.saved.get("step")
        if step is None or self.saved["edit"] != edits():
            return None
        return step.backward(grad_output, whole)

    def _latest_stages(self) -> list[Stage]:
        """Return what the last forward ran."""
        if "stages" not in self.saved:
            return stages_of(self)
        stages = self.saved["stages"]
        return stages if self.saved["edit"] == edits() else [stage.unless_watched() for stage in stages]

    def __iter__(self) -> Iterator[Module]:
        return iter(self.children().values())

    def __len__(self) -> int:
        return len(self.children())

    def __getitem__(self, index):
        """Return one child by its place, or a part of the model (the same layers) by a slice."""
        children = list(self.children().items())
        if not isinstance(index, slice):
            return children[index][1]
        part = Sequential()
        vars(part).update(children[index])  # setattr would rename the layers, and messages with them
        return part


class Residual(Module):
    """Add what a body computes to what goes around it: ``y = body(x) + shortcut(x)``.

    Both paths receive the whole of `grad_output`, and their gradients of the input are summed.

    Parameters
    ----------
    body : Module
    shortcut : Module or None
        None lets `x` pass as it is; a strided 1x1 convolution changes its shape to the body's.

    Notes
    -----
    Source: He et al., "Deep residual learning for image recognition" (2015).

    Examples
    --------
    >>> from minicnn import nn
    >>> block = Residual(nn.ReLU())
    >>> block(np.float32([[3, -4]]))                   # relu(x) + x
    array([[ 6., -4.]], dtype=float32)
    >>> block.backward(np.float32([[10, 10]]))         # 10·[x > 0] + 10
    array([[20., 10.]], dtype=float32)
    """

    _places = every_place

    def __init__(self, body: Module, shortcut: Module | None = None) -> None:
        super().__init__()
        check_module(self.who, "body", body)
        if shortcut is not None:
            check_module(self.who, "shortcut", shortcut)
        self.body = body
        self.shortcut = shortcut
        check_places(self.who, self._places())

    @checks.without_warnings
    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return ``body(input) + shortcut(input)``."""
        transformed = self.body(input)
        passed = input if self.shortcut is None else self.shortcut(input)
        if transformed.shape != passed.shape:
            raise ValueError(
                f"{self.who}: body and shortcut must give the same shape. Got {transformed.shape} and "
                f"{passed.shape}. Give Residual a shortcut that ends in the body's shape."
            )
        output = transformed + passed
        self.save(output)
        return output

    @checks.without_warnings
    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return the sum of both paths' gradients of the input."""
        self.recall(grad_output)
        grad_passed = grad_output if self.shortcut is None else self.shortcut.backward(grad_output)
        return self.body.backward(grad_output) + grad_passed


class Identity(Module):
    """Return the input as it is: ``y = x``; a place holder where a layer may be wanted later.

    Backward: ``∂L/∂x = ∂L/∂y``. All arguments are taken and ignored, as in torch.

    Examples
    --------
    >>> layer = Identity()
    >>> layer(np.float32([3, -4]))
    array([ 3., -4.], dtype=float32)
    >>> layer.backward(np.float32([10, 20]))
    array([10., 20.], dtype=float32)
    """

    def __init__(self, *ignored, **also_ignored) -> None:
        super().__init__()

    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return `input`."""
        checks.as_float_array(self.who, "input", input)
        self.save(input)
        return input

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return `grad_output`."""
        self.recall(grad_output)
        return grad_output
