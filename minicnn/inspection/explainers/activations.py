"""Activations: the branch that was taken, or the formula that was used, one number at a time.

The table holds each curve and its slope as code. That code is what is computed here, in float64, and
also what `as_numpy` prints: `x` is the input, other names are the layer's own arguments.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from minicnn.checks import cast
from minicnn.inspection.explainers.common import explain_sum
from minicnn.inspection.explainers.registry import register
from minicnn.inspection.explanation import Explanation, as_terms, literal, number


@dataclass(frozen=True)
class Curve:
    """A function of one number, and its slope.

    >>> CURVES["LeakyReLU"].slope
    '1.0 if x > 0 else negative_slope'
    """

    value: str
    slope: str
    rule: str
    bends: tuple[float | str, ...] = ()  # where another formula begins; a name is the layer's attribute
    closes: bool = False  # whether no gradient at all passes where the slope is 0, not even an infinite one


GATE = "(1 / (1 + math.exp(-abs(x))) if x >= 0 else math.exp(x) / (1 + math.exp(x)))"
BELOW = "0.5 * math.erfc(-x / math.sqrt(2))"
BEND = "math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))"
CURVES = {
    "ReLU": Curve("0.0 if x <= 0 else x", "0.0 if x <= 0 else 1.0", "max(input, 0)", (0,), True),
    "LeakyReLU": Curve(
        "x if x > 0 else negative_slope * x",
        "1.0 if x > 0 else negative_slope",
        "input if input > 0 else negative_slope·input",
        (0,),
    ),
    "PReLU": Curve(
        "x if x > 0 else weight * x",
        "1.0 if x > 0 else weight",
        "input if input > 0 else weight·input",
        (0,),
    ),
    "ELU": Curve(
        "alpha * math.expm1(x) if x <= 0 else x",
        "alpha * math.exp(x) if x <= 0 else 1.0",
        "input if input > 0 else alpha·(exp(input) - 1)",
        (0,),
    ),
    "GELU": Curve(
        f"x * {BELOW}",
        f"{BELOW} + x * math.exp(-x * x / 2) / math.sqrt(2 * math.pi)",
        "input·Φ(input), Φ the normal distribution function",
    ),
    "GELU tanh": Curve(
        f"0.5 * x * (1 + {BEND})",
        f"0.5 * (1 + {BEND}) + 0.5 * x * (1 - {BEND} ** 2) * math.sqrt(2 / math.pi) * (1 + 0.134145 * x * x)",
        "0.5·input·(1 + tanh(√(2/π)·(input + 0.044715·input³)))",
    ),
    "SiLU": Curve(f"x * {GATE}", f"{GATE} * (1 + x * (1 - {GATE}))", "input·sigmoid(input)"),
    "Sigmoid": Curve(GATE, f"{GATE} * (1 - {GATE})", "1 / (1 + exp(-input))"),
    "ReLU6": Curve(
        "min(max(x, 0.0), 6.0)",
        "1.0 if not (x <= 0 or x >= 6) else 0.0",
        "min(max(input, 0), 6)",
        (0, 6),
        True,
    ),
    "Hardsigmoid": Curve(
        "min(max(x + 3, 0.0), 6.0) / 6",
        "1 / 6 if -3 < x < 3 else 0.0",
        "min(max(input + 3, 0), 6) / 6",
        (-3, 3),
        True,
    ),
    "Hardswish": Curve(
        "x * min(max(x + 3, 0.0), 6.0) / 6",
        "0.0 if x <= -3 else 1.0 if x >= 3 else x / 3 + 0.5",
        "input·min(max(input + 3, 0), 6) / 6",
        (-3, 3),
        True,
    ),
    "Hardtanh": Curve(
        "min(max(x, min_val), max_val)",
        "1.0 if not (x <= min_val or x >= max_val) else 0.0",
        "min(max(input, min_val), max_val)",
        ("min_val", "max_val"),
        True,
    ),
    "Clamp": Curve(
        "min(max(x, low), high)",
        "1.0 if low <= x <= high else 0.0",
        "min(max(input, min), max)",
        ("low", "high"),
        True,
    ),
    "Tanh": Curve("math.tanh(x)", "1 - math.tanh(x) ** 2", "tanh(input)"),
}
KINDS = frozenset(CURVES) - {"GELU tanh"}  # of layers
# Nothing is computed: a number passes, or a constant stands in its place.
CHOSEN = {"ReLU", "ReLU6", "Hardtanh", "Clamp"}
ARGUMENTS = {"LeakyReLU": ("negative_slope",), "ELU": ("alpha",)}  # besides those among the bends


def curve_of(step) -> Curve:
    """Return the curve of a step's layer."""
    if step.kind == "GELU" and step.module.approximate == "tanh":
        return CURVES["GELU tanh"]
    return CURVES[step.kind]


def names_of(step, index: tuple) -> dict[str, float]:
    """Return the names that the curve's code uses, with their values."""
    found = {"x": float(step.input[index])}
    if step.kind == "PReLU":
        weight = step.parameters["weight"]
        found["weight"] = float(weight[index[1] if len(weight) > 1 else 0])
    for name in curve_of(step).bends:
        if isinstance(name, str):  # a bound is compared with numbers of the input's precision
            found[name] = float(step.input.dtype.type(getattr(step.module, name)))
    return found | {name: float(getattr(step.module, name)) for name in ARGUMENTS.get(step.kind, ())}


def branch(step, names: dict[str, float]) -> list[str]:
    """Return which branch was taken, as a line, for the curves that have several."""
    x, bends = names["x"], [names.get(place, place) for place in curve_of(step).bends]
    if not bends:
        return []
    if bends == [0]:
        return [f"  branch: input = {number(x)} is {'positive' if x > 0 else 'not positive'}"]
    low, high = bends
    where, inside = f"between {number(low)} and {number(high)}", low < x < high
    if step.kind == "Clamp":
        where, inside = f"from {number(low)} to {number(high)}", low <= x <= high
    return [f"  branch: input = {number(x)} is {'' if inside else 'not '}{where}"]


def torch_code(step, names: dict[str, float], grad: float | None) -> str:
    """Return torch's own lines for the value (or, with `grad`, for the input gradient)."""
    layer, x = f"{step.kind}({step.module.arguments()})", names["x"]
    if step.kind == "PReLU":  # for one number, its slope is a constant
        layer = f"LeakyReLU({literal(names['weight'], 'torch')})"
    call = f"nn.{layer}(x)"
    bounds = [literal(names[place], "torch") for place in curve_of(step).bends if place in names]
    if bounds:  # as rounded as the layer has them
        call = f"{'clamp' if step.kind == 'Clamp' else 'nn.functional.hardtanh'}(x, {', '.join(bounds)})"
    lines = [
        "import torch",
        f"x = torch.tensor({literal(x, 'torch')}, dtype=torch.float64, requires_grad=True)",
        f"y = torch.{call}",
    ]
    if grad is None:
        return "\n".join([*lines, "print(float(y.detach()))"])
    given = f"torch.tensor({literal(grad, 'torch')}, dtype=torch.float64)"
    return "\n".join([*lines, f"y.backward({given})", "print(float(x.grad))"])


def output(step, index: tuple) -> Explanation:
    """output = f(input)"""
    x, curve = float(step.input[index]), curve_of(step)
    names = names_of(step, index)
    value = eval(curve.value, {"math": math}, names)  # our own code, from the table above
    terms = as_terms({}, [value], "f(input)", input=[x])
    exact = step.kind in CHOSEN
    return explain_sum(
        step,
        "output",
        index,
        curve.rule,
        terms,
        operations=1 if exact else 8,
        magnitude=abs(value) if exact else rounding_of(x, value),
        expression=curve.value,
        constants=names,
        steps=branch(step, names),
        torch_lines=torch_code(step, names, None),
    )


def rounding_of(x: float, value: float) -> float:
    """Return how large a number was rounded on the way: exp and its kin feel the rounding of x itself."""
    return max(abs(value), min(abs(x), 1.0)) if math.isfinite(x) else abs(value)


def grad_input(step, index: tuple) -> Explanation:
    """grad_input = grad_output · f'(input)"""
    grad, curve = float(step.grad_output[index]), curve_of(step)
    names = names_of(step, index)
    slope = eval(curve.slope, {"math": math}, names)  # our own code, from the table above
    exact = step.kind in CHOSEN
    closed = curve.closes and slope == 0
    product = 0.0 if closed else grad * slope
    terms = as_terms({}, [product], "grad_output · slope", grad_output=[grad], slope=[slope])
    return explain_sum(
        step,
        "grad_input",
        index,
        f"grad_output · slope of {curve.rule}",
        terms,
        operations=1 if exact else 8,
        magnitude=abs(product) if exact else abs(grad) * max(abs(slope), 1.0),
        expression=curve.slope if closed else f"grad * ({curve.slope})",
        constants={**names, "grad": grad},
        steps=branch(step, names),
        torch_lines=torch_code(step, names, grad),
    )


def grad_slope(step, index: tuple) -> Explanation:
    """weight.grad[c] = Σ grad_output · input, over the numbers of channel c that are not positive"""
    several = len(step.parameters["weight"]) > 1
    own = (slice(None), slice(index[0], index[0] + 1)) if several else ()
    values, grads = (cast(array[own]) for array in (step.input, step.grad_output))
    bent = ~(values > 0)
    names = ("image", "channel", "row", "column", *(f"axis {axis}" for axis in range(4, bent.ndim)))
    places = dict(zip(names, np.nonzero(bent), strict=False))
    if several:
        places["channel"] = places["channel"] + index[0]
    values, grads = values[bent], grads[bent]
    terms = as_terms(places, grads * values, grad_output=grads, input=values)
    return explain_sum(
        step,
        "weight.grad",
        index,
        "Σ grad_output·input where input is not positive",
        terms,
        expression="(grad_output * input).sum()",
    )


for kind in sorted(KINDS):
    register(kind, output=output, grad_input=grad_input)
register("PReLU", output=output, grad_input=grad_input, grads={"weight": grad_slope})
