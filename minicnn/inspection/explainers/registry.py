"""How each kind of layer explains its numbers: the one place that a new layer joins.

An explainer is a set of functions, one for each array of a step that can be asked about:

    output(step, index)              -> Explanation of step.output[index]
    grad_input(step, index)          -> Explanation of step.grad_input[index]; a layer with several inputs is
                                        asked with a third argument, such as "grad_input 1", for another's
    grads = {"weight": f, "bias": f}    f(step, index) -> Explanation of that parameter's gradient
    macs(step)                       -> multiply-adds of the forward pass

`step` is an inspection.record.Step: everything is recomputed from the arrays in it, in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

REGISTRY: dict[str, Explainer] = {}


@dataclass(frozen=True)
class Explainer:
    """The functions that explain one kind of layer.

    >>> Explainer(output=print, grad_input=print).macs(None)
    0
    """

    output: Callable
    grad_input: Callable
    grads: dict[str, Callable] = field(default_factory=dict)
    macs: Callable = lambda step: 0


def register(*kinds: str, **functions) -> None:
    """Let the layers of these class names be explained by `functions`.

    >>> register("Doubled", output=print, grad_input=print)
    >>> REGISTRY.pop("Doubled").grads
    {}
    """
    for kind in kinds:
        REGISTRY[kind] = Explainer(**functions)
