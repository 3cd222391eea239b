"""Pooling: which cells a window covers, which of them wins, or what each is divided by."""

from __future__ import annotations

import numpy as np

from minicnn.checks import cast
from minicnn.inspection.explainers.common import explain_sum, group_with, reduced_by, times
from minicnn.inspection.explainers.conv import as_pair, batched
from minicnn.inspection.explainers.registry import register
from minicnn.inspection.explanation import Explanation, as_terms, number


def window(step, cell: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the input rows and columns that output cell (y, x) covers, padding left out.

    >>> from minicnn import nn
    >>> from minicnn.inspection.record import Step
    >>> step = Step("0", "MaxPool2d", nn.MaxPool2d(3, stride=2, padding=1), np.zeros((1, 1, 5, 5)), None)
    >>> [places.tolist() for places in window(step, (0, 1))]
    [[0, 1], [1, 2, 3]]
    """
    found = []
    for axis, o in enumerate(cell):
        size = step.input.shape[axis - 2]
        if step.kind == "AdaptiveAvgPool2d":
            cells = step.output.shape[axis - 2]
            places = np.arange(o * size // cells, -(-(o + 1) * size // cells))
        else:
            layer = step.module
            stride = as_pair(layer.kernel_size if layer.stride is None else layer.stride)[axis]
            dilation = as_pair(getattr(layer, "dilation", 1))[axis]
            taps = np.arange(as_pair(layer.kernel_size)[axis]) * dilation
            places = o * stride - as_pair(layer.padding)[axis] + taps
        found.append(places[(places >= 0) & (places < size)])
    return found[0], found[1]


def windows_over(step, place: tuple[int, int]) -> list[tuple[int, int]]:
    """Return every output cell whose window covers input cell (i, j)."""
    height, width = step.output.shape[-2:]
    rows = [y for y in range(height) if place[0] in window(step, (y, 0))[0]]
    columns = [x for x in range(width) if place[1] in window(step, (0, x))[1]]
    return [(y, x) for y in rows for x in columns]


def cells_of(step, index: tuple) -> tuple[dict, np.ndarray]:
    """Return the places and the values of the window of output[n, c, y, x], in reading order."""
    n, c, y, x = (0, *index)[-4:]
    rows, columns = window(step, (y, x))
    row, column = (grid.ravel() for grid in np.meshgrid(rows, columns, indexing="ij"))
    return {"row": row, "column": column}, cast(batched(step.input)[n, c, row, column])


def winner(values: np.ndarray) -> int:
    """Return the position of the maximum: the first of equals; the last NaN, if there is one.

    >>> winner(np.array([1.0, 5.0, 5.0])), winner(np.array([np.nan, 5.0]))
    (1, 0)
    """
    missing = np.flatnonzero(np.isnan(values))
    return int(missing[-1]) if missing.size else int(values.argmax())


def max_output(step, index: tuple) -> Explanation:
    """output[n, c, y, x] = the largest input of the window"""
    places, values = cells_of(step, index)
    wins = np.arange(len(values)) == winner(values)
    terms = as_terms(places, np.where(wins, values, 0), np.where(wins, "wins", ""), input=values, wins=wins)
    return explain_sum(
        step,
        "output",
        index,
        "the largest input of the window",
        terms,
        steps=tie(values),
        expression="input.max()" if not np.isnan(values).any() else "input.sum()",
    )


def tie(values: np.ndarray) -> list[str]:
    """Return the sentence that says what happens in a tie or with NaN, if there is one.

    >>> tie(np.array([3.0, 3.0]))
    ['  tie: 2 cells hold 3; the first in reading order wins and gets the whole gradient']
    """
    if np.isnan(values).any():
        return ["  NaN: it counts as the largest; the last one in reading order wins"]
    equal = int((values == values.max()).sum())
    if equal < 2:
        return []
    held = number(values.max())
    return [f"  tie: {equal} cells hold {held}; the first in reading order wins and gets the whole gradient"]


def max_grad_input(step, index: tuple) -> Explanation:
    """grad_input[n, c, i, j] = Σ grad_output over the windows in which (i, j) wins"""
    n, c, i, j = (0, *index)[-4:]
    cells = windows_over(step, (i, j))
    wins = np.zeros(len(cells))
    for position, cell in enumerate(cells):
        places, values = cells_of(step, (n, c, *cell))
        best = winner(values)
        wins[position] = (places["row"][best], places["column"][best]) == (i, j)
    return weighed_windows(
        step, index, cells, "wins", wins, "Σ grad_output of the windows that this cell wins"
    )


def weighed_windows(step, index: tuple, cells: list, name: str, factors, rule: str) -> Explanation:
    """Return the input gradient as the sum of the windows' gradients, each times a factor."""
    n, c, *_ = (0, *index)[-4:]
    rows, columns = np.array(cells, int).reshape(-1, 2).T
    grads = cast(batched(step.grad_output)[n, c, rows, columns])
    factors = np.asarray(factors, np.float64)
    product = np.where(factors == 0, 0, grads * factors)
    terms = as_terms({"row": rows, "column": columns}, product, grad_output=grads, **{name: factors})
    return explain_sum(step, "grad_input", index, rule, terms, expression=times("grad_output", name, terms))


def largest(step, index: tuple) -> Explanation:
    """output = the largest input over the axes"""
    places, part = reduced_by(step, index)
    values, shares = (cast(array[part]).ravel() for array in (step.input, step.module.shares(step.input)))
    missing = np.isnan(values)
    wins = missing / missing.sum() if missing.any() else shares
    product = np.where(wins == 0, 0, values * wins)
    terms = as_terms(places, product, np.where(wins == 0, "", "wins"), input=values, wins=wins)
    rule = f"the largest input over each {' and '.join(places)}"
    expression = "input.sum()" if missing.any() else "input.max()"
    return explain_sum(step, "output", index, rule, terms, steps=equals(step, values), expression=expression)


def equals(step, values: np.ndarray) -> list[str]:
    """Return the sentence that says who of equals gets the gradient, if there are equals."""
    if step.module.ties == "first" and not np.isnan(values).any():
        return tie(values)
    held = int((values == values.max()).sum())
    return [f"  tie: {held} cells hold {number(values.max())} and share the gradient"] if held > 1 else []


def largest_grad(step, index: tuple) -> Explanation:
    """grad_input = grad_output · the share that this number has in the maximum"""
    where = group_with(step, index)
    grad, share = float(step.grad_output[where]), float(step.module.shares(step.input)[index])
    product = 0.0 if share == 0 else grad * share
    terms = as_terms({}, [product], grad_output=[grad], share=[share])
    rule = f"grad_output[{', '.join(map(str, where))}] · the share in the maximum"
    return explain_sum(
        step, "grad_input", index, rule, terms, expression=times("grad_output", "share", terms)
    )


register("Max", output=largest, grad_input=largest_grad)


def divisor(step, cell: tuple[int, int]) -> int:
    """Return what the sum of the window of output cell (y, x) is divided by."""
    layer = step.module
    rows, columns = window(step, cell)
    if step.kind == "AdaptiveAvgPool2d":
        return rows.size * columns.size
    if layer.divisor_override is not None:
        return layer.divisor_override
    if not layer.count_include_pad:
        return rows.size * columns.size
    area = 1  # counts the padding in the window, but nothing beyond the padding
    for axis, o in enumerate(cell):
        kernel, padding = as_pair(layer.kernel_size)[axis], as_pair(layer.padding)[axis]
        stride = as_pair(layer.kernel_size if layer.stride is None else layer.stride)[axis]
        start = o * stride - padding
        area *= min(start + kernel, step.input.shape[axis - 2] + padding) - start
    return area


def average_output(step, index: tuple) -> Explanation:
    """output[n, c, y, x] = Σ input of the window / divisor"""
    places, values = cells_of(step, index)
    share = 1 / divisor(step, index[-2:])
    terms = as_terms(places, values * share, input=values, share=share)
    rule = f"Σ input · 1/{divisor(step, index[-2:])}"
    return explain_sum(step, "output", index, rule, terms, expression="(input * share).sum()", operations=2)


def average_grad_input(step, index: tuple) -> Explanation:
    """grad_input[n, c, i, j] = Σ grad_output / divisor over the windows that (i, j) is in"""
    cells = windows_over(step, index[-2:])
    shares = [1 / divisor(step, cell) for cell in cells]
    return weighed_windows(step, index, cells, "share", shares, "Σ grad_output / divisor of the window")


register(
    "MaxPool2d",
    output=max_output,
    grad_input=max_grad_input,
)
register(
    "AvgPool2d",
    "AdaptiveAvgPool2d",
    output=average_output,
    grad_input=average_grad_input,
)
