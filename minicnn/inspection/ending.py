"""The end of a classifier: from logits to probabilities, and to the label."""

from __future__ import annotations

import numpy as np

from minicnn import functional, nn
from minicnn.inspection.record import Step


def gives_logits(output: np.ndarray) -> bool:
    """Return whether a model's output is a row for each image, of several classes.

    >>> gives_logits(np.zeros((5, 10))), gives_logits(np.zeros((5, 1)))
    (True, False)
    """
    return output.ndim == 2 and output.shape[1] > 1


def class_steps(steps: list[Step], output: np.ndarray, names: tuple[str, ...] | None) -> list[Step]:
    """Return the steps "softmax" and "label" behind a model's `steps`, or with the softmax that is among them.

    >>> softmax, label = class_steps([], np.log([[1.0, 3.0]]), ("cat", "dog"))
    >>> softmax.output, label.output
    (array([[0.25, 0.75]]), array([1]))
    """
    own = (
        step
        for step in steps
        if step.kind == "Softmax" and step.output is output and step.module.dim in (1, -1)
    )
    last = next(own, None)
    logits = output if last is None else last.input  # (N, C)
    probabilities = functional.softmax(output, axis=1) if last is None else output  # (N, C)
    module = nn.Softmax(dim=1) if last is None else last.module
    index = probabilities.argmax(axis=1)  # (N,)
    return [
        Step("softmax", "Softmax", module, logits, probabilities, saved={"classes": names}),
        Step("label", "Label", None, probabilities, index, saved={"logits": logits, "classes": names}),
    ]
