"""What stands between layers: sums and products of paths, joined channels, constants, means, shapes, padding."""

from __future__ import annotations

import math

import numpy as np

from minicnn.checks import cast, without_warnings
from minicnn.inspection.explainers.common import axis_names, explain_sum, group_with, moved, reduced_by
from minicnn.inspection.explainers.registry import register
from minicnn.inspection.explanation import Explanation, as_terms, number
from minicnn.nn.joins import spread_axes


def place(name: str, index) -> str:
    """Return an array's name with an index, as it is written in code.

    >>> place("input 1", (0, 3))
    'input 1[0, 3]'
    """
    return f"{name}[{', '.join(str(int(i)) for i in index)}]"


def added(step, index: tuple) -> Explanation:
    """output = Σ of the inputs at this place"""
    values = [float(array[index]) for array in step.parts.values()]
    return explain_sum(step, "output", index, "Σ inputs", as_terms({}, values, list(step.parts)))


def passed(step, index: tuple, of: str = "grad_input") -> Explanation:
    """grad_input = grad_output, for every input"""
    terms = as_terms({}, [step.grad_output[index]], "the whole gradient goes to every input")
    return explain_sum(step, of, index, place("grad_output", index), terms)


register("Add", output=added, grad_input=passed)


def as_spread(index, shape) -> tuple:
    """Return the place in an input of this shape that stands at a place of the output.

    >>> as_spread((0, 2, 5, 7), (1, 3, 1, 1))
    (0, 2, 0, 0)
    """
    return tuple(0 if size == 1 else i for i, size in zip(index, shape, strict=True))


@without_warnings
def multiplied(step, index: tuple) -> Explanation:
    """output = input 0 · input 1, each at the place that stands here"""
    places = [as_spread(index, array.shape) for array in step.parts.values()]
    first, second = (cast(array)[at] for array, at in zip(step.parts.values(), places, strict=True))
    terms = as_terms({}, [first * second], first=[first], second=[second])
    rule = " · ".join(place(name, at) for name, at in zip(step.parts, places, strict=True))
    return explain_sum(step, "output", index, rule, terms, expression="(first * second).sum()")


@without_warnings
def multiplied_grad(step, index: tuple, of: str = "grad_input") -> Explanation:
    """grad_input = Σ grad_output · the other input, over the places that this number was spread to"""
    name = "input 1" if of == "grad_input 1" else "input 0"
    other_name = "input 0" if name == "input 1" else "input 1"
    other, shape = step.parts[other_name], step.output.shape
    axes = spread_axes(step.parts[name].shape, shape)
    where = tuple(slice(None) if axis in axes else i for axis, i in enumerate(index))
    grads = cast(step.grad_output[where])
    factors = cast(np.broadcast_to(other, shape)[where])
    names = [axis_names(len(shape))[axis] for axis in axes]
    grid = {key: places.ravel() for key, places in zip(names, np.indices(np.shape(grads)), strict=True)}
    grads, factors = np.ravel(grads), np.ravel(factors)
    terms = as_terms(grid, grads * factors, grad_output=grads, factor=factors)
    rule = (
        f"Σ grad_output·{other_name} over each {' and '.join(names)}"
        if names
        else (f"{place('grad_output', index)} · {place(other_name, as_spread(index, other.shape))}")
    )
    return explain_sum(step, of, index, rule, terms, expression="(grad_output * factor).sum()")


register("Multiply", output=multiplied, grad_input=multiplied_grad)


def joined_output(step, index: tuple) -> Explanation:
    """output = the input whose part of the axis this is"""
    axis, rest = step.module.dim % step.output.ndim, list(index)
    names = iter(step.parts)
    name = next(names)
    while rest[axis] >= step.parts[name].shape[axis]:
        rest[axis] -= step.parts[name].shape[axis]
        name = next(names)
    terms = as_terms({}, [step.parts[name][tuple(rest)]], "moved, not changed")
    return explain_sum(step, "output", index, place(name, rest), terms)


def joined_grad(step, index: tuple, of: str = "grad_input") -> Explanation:
    """grad_input = grad_output, at the place where this input's part begins and so much further"""
    axis, rest = step.module.dim % step.output.ndim, list(index)
    for name in step.parts:
        if of in ("grad_input", f"grad_{name}"):
            break
        rest[axis] += step.parts[name].shape[axis]
    terms = as_terms({}, [step.grad_output[tuple(rest)]], "moved, not changed")
    return explain_sum(step, of, index, place("grad_output", rest), terms)


register("Concatenate", output=joined_output, grad_input=joined_grad)


def scaled(step, index: tuple) -> Explanation:
    """output = factor · input + shift"""
    factor, shift = step.module.factor, step.module.shift
    operands = {"input": [step.input[index], 1], "constant": [factor, shift]}
    product = np.multiply(operands["input"], operands["constant"])
    terms = as_terms({}, product, ["", "shift"], **operands)
    return explain_sum(
        step, "output", index, "factor·input + shift", terms, expression="(input * constant).sum()"
    )


def scaled_grad(step, index: tuple) -> Explanation:
    """grad_input = factor · grad_output"""
    grad, factor = float(step.grad_output[index]), step.module.factor
    terms = as_terms({}, [grad * factor], grad_output=[grad], factor=[factor])
    return explain_sum(
        step, "grad_input", index, "factor·grad_output", terms, expression="(grad_output * factor).sum()"
    )


register("Affine", output=scaled, grad_input=scaled_grad)


def mean_output(step, index: tuple) -> Explanation:
    """output = Σ input / n"""
    places, part = reduced_by(step, index)
    values = cast(step.input[part]).ravel()
    terms = as_terms(places, values / values.size, input=values)
    rule = f"Σ input / {number(values.size)}"
    return explain_sum(step, "output", index, rule, terms, expression="input.mean()", operations=2)


def mean_grad(step, index: tuple) -> Explanation:
    """grad_input = grad_output / n"""
    where = group_with(step, index)
    count = step.input.size // step.output.size
    grad = float(step.grad_output[where])
    terms = as_terms({}, [grad / count], grad_output=[grad], n=[count])
    rule = f"{place('grad_output', where)} / {count}"
    return explain_sum(step, "grad_input", index, rule, terms, expression="(grad_output / n).sum()")


register("Mean", output=mean_output, grad_input=mean_grad)
register(
    "Reshape",
    "Squeeze",
    output=lambda step, index: moved(step, "output", index),
    grad_input=lambda step, index: moved(step, "grad_input", index),
)


def origins(module, shape) -> np.ndarray:
    """Return, for every place of the output of a layer that moves numbers, how many numbers stand before its own.

    >>> from minicnn import nn
    >>> origins(nn.Slice(1, 2), (2, 3)).tolist()
    [[2], [5]]
    """
    return module.moved(np.arange(math.prod(shape)).reshape(shape))


def taken(step, index: tuple) -> Explanation:
    """output = the number of the input that stands here now"""
    source = np.unravel_index(origins(step.module, step.input.shape)[index], step.input.shape)
    terms = as_terms({}, [step.input[source]], "moved, not changed")
    return explain_sum(step, "output", index, place("input", source), terms)


def taken_grad(step, index: tuple) -> Explanation:
    """grad_input = grad_output where this number stands now; 0 if it was not taken"""
    here = np.ravel_multi_index(index, step.input.shape)
    found = np.argwhere(origins(step.module, step.input.shape) == here)
    if not len(found):
        return explain_sum(step, "grad_input", index, "0", as_terms({}, [0.0], "not taken"))
    terms = as_terms({}, [step.grad_output[tuple(found[0])]], "moved, not changed")
    return explain_sum(step, "grad_input", index, place("grad_output", found[0]), terms)


register("Slice", "Permute", "Unsqueeze", output=taken, grad_input=taken_grad)


def sources(step) -> tuple[np.ndarray, np.ndarray]:
    """Return, for every output row and column, the input row and column it holds; -1 for none."""
    left, right, top, bottom = step.module.padding
    modes = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    found = []
    for size, pads in zip(step.input.shape[-2:], ((top, bottom), (left, right)), strict=True):
        if step.module.mode == "zeros":
            found.append(np.pad(np.arange(size), pads, constant_values=-1))
        else:
            found.append(np.pad(np.arange(size), pads, modes[step.module.mode]))
    return found[0], found[1]


def padded_output(step, index: tuple) -> Explanation:
    """output = the pixel that this cell was copied from, or the constant"""
    rows, columns = sources(step)
    *front, y, x = index
    source = (*front, rows[y], columns[x])
    outside = min(source[-2:]) < 0
    value, rule = (step.module.value, "value") if outside else (step.input[source], place("input", source))
    terms = as_terms({}, [value], "padding" if outside else "moved, not changed")
    return explain_sum(step, "output", index, rule, terms)


def padded_grad(step, index: tuple) -> Explanation:
    """grad_input = Σ grad_output over the cells that hold this pixel"""
    rows, columns = sources(step)
    *front, i, j = index
    cells = [(y, x) for y in np.flatnonzero(rows == i) for x in np.flatnonzero(columns == j)]
    row, column = np.array(cells, int).reshape(-1, 2).T
    grads = cast(step.grad_output[(*front, row, column)])
    rule = "Σ grad_output of the cells that hold this pixel"
    return explain_sum(step, "grad_input", index, rule, as_terms({"row": row, "column": column}, grads))


register("Pad2d", output=padded_output, grad_input=padded_grad)
