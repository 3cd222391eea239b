"""Linear: sums over columns and rows. Flatten and Identity: numbers that only move."""

from __future__ import annotations

import numpy as np

from minicnn.checks import cast
from minicnn.inspection.explainers.common import explain_sum, moved
from minicnn.inspection.explainers.registry import register
from minicnn.inspection.explanation import NOWHERE, Explanation, as_terms


def input_places(step, count: int) -> dict[str, np.ndarray]:
    """Return what each input column stands for: behind a Flatten, its channel, row and column too.

    >>> from minicnn.inspection.record import Step
    >>> step = Step("1", "Linear", None, None, None, origin=(2, 1, 2))
    >>> {name: places.tolist() for name, places in input_places(step, 4).items()}
    {'feature': [0, 1, 2, 3], 'channel': [0, 0, 1, 1], 'row': [0, 0, 0, 0], 'column': [0, 1, 0, 1]}
    """
    places = {"feature": np.arange(count)}
    if step.origin is not None and np.prod(step.origin) == count:
        origin = np.unravel_index(places["feature"], step.origin)
        places |= dict(zip(("channel", "row", "column"), origin, strict=True))
    return places


def row_places(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return the image, and the place on axes behind it, of each row of features in order.

    >>> {name: places.tolist() for name, places in row_places((2, 2)).items()}, row_places(())
    ({'image': [0, 0, 1, 1], 'axis 1': [0, 1, 0, 1]}, {'image': array([0])})
    """
    names = ("image", *(f"axis {axis}" for axis in range(1, len(shape))))
    return dict(zip(names, (grid.ravel() for grid in np.indices(shape or (1,))), strict=True))


def output(step, index: tuple) -> Explanation:
    """output[n, j] = Σ_i input[n, i] · weight[j, i] + bias[j]"""
    *row, j = index
    values, weights = cast(step.input[tuple(row)]), cast(step.parameters["weight"][j])
    places, note, rule = input_places(step, len(values)), np.full(len(values), "", "U4"), "Σ input·weight"
    if "bias" in step.parameters:  # a last term: 1 · bias
        values, weights = np.append(values, 1), np.append(weights, step.parameters["bias"][j])
        places = {name: np.append(place, NOWHERE) for name, place in places.items()}
        note, rule = np.append(note, "bias"), "Σ input·weight + bias"
    terms = as_terms(places, values * weights, note, input=values, weight=weights)
    return explain_sum(step, "output", index, rule, terms, expression="(input * weight).sum()")


def grad_input(step, index: tuple) -> Explanation:
    """grad_input[n, i] = Σ_j grad_output[n, j] · weight[j, i]"""
    *row, i = index
    grads, weights = cast(step.grad_output[tuple(row)]), cast(step.parameters["weight"][:, i])
    terms = as_terms({"output": np.arange(len(grads))}, grads * weights, grad_output=grads, weight=weights)
    return explain_sum(
        step, "grad_input", index, "Σ grad_output·weight", terms, expression="(grad_output * weight).sum()"
    )


def grad_weight(step, index: tuple) -> Explanation:
    """weight.grad[j, i] = Σ_n grad_output[n, j] · input[n, i]"""
    j, i = index
    grads, values = cast(step.grad_output[..., j]).ravel(), cast(step.input[..., i]).ravel()
    terms = as_terms(row_places(step.grad_output.shape[:-1]), grads * values, grad_output=grads, input=values)
    return explain_sum(
        step, "weight.grad", index, "Σ grad_output·input", terms, expression="(grad_output * input).sum()"
    )


def grad_bias(step, index: tuple) -> Explanation:
    """bias.grad[j] = Σ_n grad_output[n, j]"""
    grads = cast(step.grad_output[..., index[0]]).ravel()
    terms = as_terms(row_places(step.grad_output.shape[:-1]), grads)
    return explain_sum(step, "bias.grad", index, "Σ grad_output", terms)


register(
    "Linear",
    output=output,
    grad_input=grad_input,
    grads={"weight": grad_weight, "bias": grad_bias},
    macs=lambda step: step.output.size * step.parameters["weight"].shape[1],
)
register(
    "Flatten",
    "Identity",
    output=lambda step, index: moved(step, "output", index),
    grad_input=lambda step, index: moved(step, "grad_input", index),
)
