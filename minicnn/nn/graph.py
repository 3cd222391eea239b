"""Graph: layers whose outputs go to several places and meet again."""

from __future__ import annotations

import re

import numpy as np

from minicnn import checks
from minicnn.nn.grad_mode import is_grad_enabled
from minicnn.nn.module import Module

INPUT = "x"  # what the lines of a graph call its input


class Graph(Module):
    """Apply modules in a given order to given values: ``x3 = add(x2, x)`` after ``x2 = conv(x1)``.

    Backward visits the nodes in reverse. A value that several nodes read gets the sum of their gradients.

    Parameters
    ----------
    nodes : sequence of (output, module, input, ...), all str
        In the order of execution. `module` is the name of a child, "block.conv" for one further down.
        "x" is the graph's input, and the last node's output is the graph's output. A module may stand in
        several nodes: each call keeps what its own backward needs, and the gradients of parameters add up.
    **children : Module
        `Add` and `Concatenate` take several inputs, `Multiply` two, all others one.

    Raises
    ------
    ValueError
        If a node reads a value that is not there yet, or names a module that is not there.
    TypeError
        If the nodes are no rows of names, or a child is no module.

    Examples
    --------
    >>> from minicnn import nn
    >>> model = Graph([("x1", "relu", "x"), ("x2", "add", "x1", "x")], relu=nn.ReLU(), add=nn.Add())
    >>> model
    Graph(
      (relu): ReLU()
      x1 = relu(x)
      x2 = x1 + x  # add
      return x2
    )
    >>> model(np.float32([[3, -4]]))                    # relu(x) + x
    array([[ 6., -4.]], dtype=float32)
    >>> model.backward(np.float32([[10, 10]]))          # 10·[x > 0] + 10
    array([[20., 10.]], dtype=float32)
    """

    def __init__(self, nodes, **children: Module) -> None:
        super().__init__()
        for name, module in children.items():
            self.add_module(name, module)
        self.nodes = self._checked(nodes)

    def find(self, path: str) -> Module:
        """Return the module of this dotted name.

        >>> from minicnn import nn
        >>> Graph([("x1", "net.0", "x")], net=nn.Sequential(nn.Tanh())).find("net.0")
        Tanh()
        """
        found = self
        for part in path.split("."):
            found = found.children()[part]
        return found

    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return the last node's output."""
        values, calls = {INPUT: input}, []
        for name, path, *read in self.nodes:
            module = self.find(path)
            arrays = tuple(values[other] for other in read)
            values[name] = module(arrays if joins(module) else arrays[0])
            if is_grad_enabled():  # the next call of the same module would overwrite what it saved
                calls.append([(below, below.saved) for below in module.modules()])
        output = values[self.nodes[-1][0]]
        self.save(output, calls=calls)
        return output

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return the gradient of the input: the sum over all nodes that read it."""
        return self._visit(grad_output)[INPUT]

    def _backward_parameters(self, grad_output: np.ndarray) -> None:
        self._visit(grad_output, wants_input=False)

    @checks.without_warnings
    def _visit(self, grad_output: np.ndarray, wants_input: bool = True) -> dict[str, np.ndarray]:
        """Go through the nodes in reverse; return the gradients that no node is left to take."""
        calls = self.recall(grad_output)["calls"]
        grads = {self.nodes[-1][0]: grad_output}
        for (name, path, *read), call in zip(reversed(self.nodes), reversed(calls), strict=True):
            if name not in grads:  # nothing that the output depends on has read this value
                continue
            for below, saved in call:
                below.saved = saved
            module = self.find(path)
            if not wants_input and set(read) == {INPUT}:
                module.backward_parameters(grads.pop(name))
                continue
            given = module.backward(grads.pop(name))
            for other, grad in zip(read, given if joins(module) else (given,), strict=True):
                grads[other] = grads[other] + grad if other in grads else grad
        return grads

    def _checked(self, nodes) -> tuple[tuple[str, ...], ...]:
        """Return the nodes as tuples of names, once it is seen that each can be run after those before."""
        rows = tuple(tuple(node) if isinstance(node, tuple | list) else () for node in nodes)
        if not rows or any(len(row) < 3 or not all(isinstance(part, str) for part in row) for row in rows):
            raise TypeError(
                f"{self.who}: nodes must be rows of names (output, module, input, ...). Got {nodes!r:.80}. "
                'Pass for example [("x1", "conv1", "x")].'
            )
        known = {INPUT}
        for name, path, *read in rows:
            line = f"{name} = {path}({', '.join(read)})"
            missing = [other for other in read if other not in known]
            if missing or name in known:
                fault = f"{missing[0]!r} before it is computed" if missing else f"{name!r} computed twice"
                raise ValueError(
                    f"{self.who}: a node must read values that are there, and compute a new one. Got {fault} "
                    f"in {line!r}. Put the nodes in the order in which they run."
                )
            known.add(name)
            try:
                module = self.find(path)
            except KeyError:
                raise ValueError(
                    f"{self.who}: a node must name one of the graph's modules. Got {path!r} in {line!r}. "
                    f"Choose one of {[p for p, _ in self.named_modules() if p]}."
                ) from None
            if len(read) > 1 and not joins(module):
                raise ValueError(
                    f"{self.who}: a {type(module).__name__} takes one input. Got {len(read)} in {line!r}. "
                    "Join them by Add, Multiply or Concatenate first."
                )
        return rows

    def lines(self) -> list[str]:
        """Return the graph as lines of code, one a node.

        >>> from minicnn import nn
        >>> Graph([("x1", "net.0", "x")], net=nn.Sequential(nn.Tanh())).lines()
        ['x1 = net[0](x)', 'return x1']
        """
        found = []
        for name, path, *read in self.nodes:
            module = self.find(path)
            if hasattr(module, "written"):
                found.append(f"{name} = {module.written(*read)}  # {path}")
            else:
                place = re.sub(r"[.](\d+)", r"[\1]", path)
                found.append(f"{name} = {place}({', '.join(read)})")
        return [*found, f"return {self.nodes[-1][0]}"]

    def __repr__(self) -> str:
        shown = {key: child for key, child in self.children().items() if not hasattr(child, "written")}
        lines = [f"  ({key}): " + repr(child).replace("\n", "\n  ") for key, child in shown.items()]
        return "\n".join(["Graph(", *lines, *(f"  {line}" for line in self.lines()), ")"])


def joins(module: Module) -> bool:
    """Say whether a module takes a tuple of arrays.

    >>> from minicnn import nn
    >>> joins(nn.Add()), joins(nn.ReLU())
    (True, False)
    """
    return getattr(module, "joins", False)
