"""The steps of a gradient check: their order on the way back, the branches they took, the number they explain."""

from __future__ import annotations

import numpy as np

from minicnn.inspection.explainers import REGISTRY
from minicnn.inspection.explanation import Explanation
from minicnn.inspection.kinks import branches
from minicnn.inspection.record import Step
from minicnn.inspection.trace import Trace

MOST_ASKED = 1000  # numbers on kinks that are explained in search of the wrong one


def backward_order(steps: list[Step]) -> list[Step]:
    """Return the steps in the order of the way back, each block after the layers inside it.

    >>> from minicnn import nn
    >>> names = ["0", "1.body", "1", "2"]
    >>> modules = [nn.ReLU(), nn.ReLU(), nn.Residual(nn.ReLU()), nn.ReLU()]
    >>> steps = [Step(name, "", module, None, None) for name, module in zip(names, modules)]
    >>> [step.name for step in backward_order(steps)]
    ['2', '1.body', '1', '0']
    """
    order, waiting = [], []
    for step in reversed(steps):
        while waiting and not is_inside(step.name, waiting[-1].name):
            order.append(waiting.pop())
        (waiting if step.module.children() else order).append(step)
    return order + waiting[::-1]


def is_inside(name: str, block: str) -> bool:
    """Say whether a layer stands inside a block; "#2" behind a name counts its calls.

    >>> is_inside("1.body.0", "1"), is_inside("1.body#2", "1#2"), is_inside("10", "1"), is_inside("0", "")
    (True, True, False, True)
    """
    place = block.split("#")[0]
    return not place or name.startswith(f"{place}.")


def explanation_of(step: Step, of: str, index, doubtful: np.ndarray) -> Explanation | None:
    """Return the explanation of a wrong number; without an index, of the first doubtful one that is not ok.

    >>> from minicnn import nn
    >>> step = Step("0", "ReLU", nn.ReLU(), np.array([1.0, 2]), None, np.array([3.0, 4]), np.array([3.0, 0]))
    >>> explanation_of(step, "grad_input", None, np.array([[0], [1]])).title
    'ReLU "0": grad_input[1]'
    """
    if step.kind not in REGISTRY or step.array(of) is None:
        return None
    ask = Trace([step]).explain
    if index is not None:
        return ask(step.name, index, of)
    told = (ask(step.name, tuple(place), of) for place in doubtful[:MOST_ASKED])
    return next((explanation for explanation in told if not explanation.ok), None)


def explicable(local: Step, step: Step) -> Step:
    """Return the local step under the model's name, its kind one that has an explanation.

    >>> from minicnn import nn
    >>> class Special(nn.ReLU):
    ...     pass
    >>> explicable(Step("", "Special", Special(), None, None), Step("4", "Special", None, None, None)).who
    'ReLU "4"'
    """
    known = (kind.__name__ for kind in type(local.module).__mro__ if kind.__name__ in REGISTRY)
    local.name, local.origin, local.kind = step.name, step.origin, next(known, local.kind)
    return local


def branches_of(steps: list[Step], prefix: str = "") -> list[tuple[str, np.ndarray]]:
    """Return the branches that the numbers took in each layer that has any.

    `prefix` is the place in the model of the block that the steps were recorded in.

    >>> from minicnn import nn
    >>> branches_of([Step("0", "ReLU", nn.ReLU(), np.array([-2.0, 3.0]), None)], "4.body")
    [('ReLU "4.body.0"', array([-1.,  1.]))]
    """
    found = []
    for step in steps:
        taken = branches(step.module, step.input)
        if taken is not None:
            name = ".".join(part for part in (prefix, step.name) if part)
            found.append((f'{step.kind} "{name}"' if name else step.kind, taken))
    return found
