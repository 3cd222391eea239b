"""What all explainers share: how a number is called, and an Explanation of it from a step."""

from __future__ import annotations

import numpy as np

from minicnn.inspection.explanation import Explanation, as_terms


def explain_sum(step, of: str, index: tuple, rule: str, terms: np.ndarray, **more) -> Explanation:
    """Return the Explanation of one number of a step's array `of` as the sum of `terms`.

    >>> from minicnn.inspection.record import Step
    >>> step = Step("3", "ReLU", None, None, output=np.float32([7]))
    >>> explain_sum(step, "output", (0,), "input", as_terms({}, [7.0])).title
    'ReLU "3": output[0]'
    """
    array = step.array(of)
    title = f"{step.who}: {of}[{', '.join(map(str, index))}]" if index else f"{step.who}: {of}"
    return Explanation(title, rule, terms, float(array[index]), eps_of(array, step.input), **more)


def axis_names(axes: int) -> tuple[str, ...]:
    """Return what the axes of an array are called.

    >>> axis_names(4), axis_names(3)
    (('image', 'channel', 'row', 'column'), ('axis 0', 'axis 1', 'axis 2'))
    """
    known = {1: ("row",), 2: ("row", "column"), 4: ("image", "channel", "row", "column")}
    return known.get(axes) or tuple(f"axis {axis}" for axis in range(axes))


def reduced_by(step, index: tuple) -> tuple[dict[str, np.ndarray], tuple]:
    """Return the numbers that output[index] of a layer with axes `dim`, such as Mean, is made of.

    They come as their places along those axes, by name, and as the index of that part of the input.

    >>> from minicnn import nn
    >>> from minicnn.inspection.record import Step
    >>> reduced_by(Step("0", "Mean", nn.Mean(1), np.zeros((5, 3)), None), (4,))
    ({'column': array([0, 1, 2])}, (4, slice(None, None, None)))
    """
    axes, left, shape = (
        sorted(dim % step.input.ndim for dim in step.module.dim),
        list(index),
        step.input.shape,
    )
    if not step.module.keepdim:
        for axis in axes:
            left.insert(axis, 0)
    part = tuple(slice(None) if axis in axes else i for axis, i in enumerate(left))
    names = [axis_names(len(shape))[axis] for axis in axes]
    grids = np.indices([shape[axis] for axis in axes])
    return {name: grid.ravel() for name, grid in zip(names, grids, strict=True)}, part


def group_with(step, index: tuple) -> tuple:
    """Return where the output stands that input[index] of a layer with axes `dim` is a part of.

    >>> from minicnn import nn
    >>> from minicnn.inspection.record import Step
    >>> group_with(Step("0", "Mean", nn.Mean(1, keepdim=True), np.zeros((5, 3)), None), (4, 2))
    (4, 0)
    """
    axes = {dim % step.input.ndim for dim in step.module.dim}
    if step.module.keepdim:
        return tuple(0 if axis in axes else i for axis, i in enumerate(index))
    return tuple(i for axis, i in enumerate(index) if axis not in axes)


def eps_of(*arrays: np.ndarray) -> float:
    """Return the spacing at 1 of the coarsest floats among the arrays: those that rounding comes from.

    >>> eps_of(np.zeros(1)), eps_of(np.zeros(1), np.zeros(1, np.float32))
    (2.220446049250313e-16, 1.1920928955078125e-07)
    """
    return max(float(np.finfo(a.dtype).eps) for a in arrays if a is not None and a.dtype.kind == "f")


def reach(numbers) -> float:
    """Return the largest finite magnitude: how far the rounding of these numbers is felt.

    >>> reach([1.0, -3.0, -np.inf]), reach([])
    (3.0, 0.0)
    """
    numbers = np.asarray(numbers, np.float64)
    return float(np.abs(numbers[np.isfinite(numbers)]).max(initial=0))


def times(one: str, other: str, terms: np.ndarray) -> str:
    """Return code for Σ one·other, or for the sum of the products where 0 times NaN or infinity counts as 0.

    >>> times("input", "weight", as_terms({}, [0.0], "padding", input=[0.0], weight=[np.nan]))
    'product.sum()'
    """
    odd = (terms["product"] == 0) & ~(np.isfinite(terms[one]) & np.isfinite(terms[other]))
    return "product.sum()" if odd.any() else f"({one} * {other}).sum()"


def moved(step, of: str, index: tuple) -> Explanation:
    """Explain a number that a layer only carries to another place, as Flatten does.

    >>> from minicnn.inspection.record import Step
    >>> step = Step("0", "Flatten", None, np.array([[[1.0, 2]]]), np.array([[1.0, 2]]))
    >>> moved(step, "output", (0, 1)).rule
    'input[0, 0, 1]'
    """
    source_name, source = {
        "output": ("input", step.input),
        "grad_input": ("grad_output", step.grad_output),
    }[of]
    place = np.unravel_index(np.ravel_multi_index(index, step.array(of).shape), source.shape)
    rule = f"{source_name}[{', '.join(str(int(p)) for p in place)}]"
    return explain_sum(step, of, index, rule, as_terms({}, [source[place]], "moved, not changed"))
