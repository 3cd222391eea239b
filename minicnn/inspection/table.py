"""The trace as a table: a row a step, so that what is odd stands out."""

from __future__ import annotations

import numpy as np

from minicnn.inspection.explainers import REGISTRY


def columns_of(step) -> list[str]:
    """Return the cells of one step, in the order of HEADER."""
    output = np.asarray(step.output)
    explainer = REGISTRY.get(step.kind)
    arrays = {id(value): value for value in step.saved.values() if isinstance(value, np.ndarray)}
    for parameter in step.parameters.values():  # is there anyway
        arrays.pop(id(parameter), None)
    return [
        step.name,
        step.kind,
        "x".join(map(str, np.shape(step.input))),
        "x".join(map(str, output.shape)) or "1",
        count(sum(value.size for value in step.parameters.values())),
        count(explainer.macs(step) if explainer else 0),
        count(sum(array.nbytes for array in arrays.values())),
        span(output),
        average(output),
        span(step.grad_input),
        average(step.grad_input),
        dead_share(step),
    ]


HEADER = (
    "step",
    "kind",
    "input",
    "output",
    "parameters",
    "multiply-adds",
    "bytes kept",
    "output range",
    "output mean",
    "grad_input range",
    "grad_input mean",
    "dead",
)
LEFT = 4  # so many columns are set to the left; the rest are numbers


def count(value: int) -> str:
    """Return a number with thousands set apart, or a dash for none.

    >>> count(1254400), count(0)
    ('1,254,400', '-')
    """
    return f"{value:,}" if value else "-"


def span(array) -> str:
    """Return the smallest and the largest finite number of an array.

    >>> span(np.float32([-1.5, 2, np.nan])), span(None)
    ('-1.5 .. 2', '-')
    """
    if array is None or np.asarray(array).dtype.kind != "f":
        return "-"
    finite = np.asarray(array)[np.isfinite(array)]
    return f"{finite.min():.3g} .. {finite.max():.3g}" if finite.size else "-"


def average(array) -> str:
    """Return the mean of the finite numbers of an array.

    >>> average(np.float32([1, 2, np.inf])), average(None)
    ('1.5', '-')
    """
    if array is None:
        return "-"
    finite = np.asarray(array)[np.isfinite(array)]
    return f"{finite.mean(dtype=np.float64):.3g}" if finite.size and finite.dtype.kind == "f" else "-"


def dead_share(step) -> str:
    """Return the share of units (channels or columns) that give zero for every image; ReLU and ReLU6 only.

    >>> from minicnn.inspection.record import Step
    >>> dead_share(Step("0", "ReLU", None, None, np.float32([[0, 1], [0, 2]])))
    '50%'
    """
    dead = dead_units(step)
    return "-" if dead is None else f"{dead.mean():.0%}"


def dead_units(step) -> np.ndarray | None:
    """Return which channels or columns give zero for every image, (C,); None where it is no ReLU.

    >>> from minicnn.inspection.record import Step
    >>> dead_units(Step("0", "ReLU", None, None, np.float32([[0, 1], [0, 2]])))
    array([ True, False])
    """
    if step.kind not in ("ReLU", "ReLU6") or step.output.ndim < 2 or not step.output.size:
        return None
    others = tuple(axis for axis in range(step.output.ndim) if axis != 1)
    return (step.output == 0).all(axis=others)  # (C,)


def marks(steps) -> list[str]:
    """Return, for each step, what first went wrong there: NaN or infinity, forward or backward."""
    found = ["" for _ in steps]
    for name, test in (("NaN", np.isnan), ("infinity", np.isinf)):
        for way, order in (("output", range(len(steps))), ("grad_input", reversed(range(len(steps))))):
            for position in order:
                array = getattr(steps[position], way)
                if array is not None and np.asarray(array).dtype.kind == "f" and test(array).any():
                    found[position] += f"  <- first {name} in {way}"
                    break
    return found


def summary_table(trace) -> str:
    """Return the whole table as text.

    >>> from minicnn import nn
    >>> from minicnn.inspection import trace
    >>> print(summary_table(trace(nn.Sequential(nn.ReLU()), np.float32([[1, -2]]))).splitlines()[1][:36])
    0        ReLU     1x2    1x2
    """
    rows = [list(HEADER), *(columns_of(step) for step in trace.steps)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADER))]
    notes = ["", *marks(trace.steps)]
    lines = []
    for row, note in zip(rows, notes, strict=True):
        cells = [
            cell.ljust(width) if i < LEFT else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(("  ".join(cells) + note).rstrip())
    return "\n".join(lines)
