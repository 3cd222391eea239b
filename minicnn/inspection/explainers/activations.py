"""Activations: the branch that was taken, or the formula that was used, one number at a time.

The table holds each curve and its slope as code. That code is what is computed here, in float64, and
also what `as_numpy` prints: `x` is the input, other names are the layer's own arguments.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from minicnn.checks import cast
from minicnn.inspection.explainers.common import explain_sum, reach
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
    branches: bool = False  # whether the sign of x decides which formula holds


GATE = "(1 / (1 + math.exp(-abs(x))) if x >= 0 else math.exp(x) / (1 + math.exp(x)))"
BELOW = "0.5 * math.erfc(-x / math.sqrt(2))"
BEND = "math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))"
CURVES = {
    "ReLU": Curve("0.0 if x <= 0 else x", "0.0 if x <= 0 else 1.0", "max(input, 0)", True),
    "LeakyReLU": Curve(
        "x if x > 0 else negative_slope * x",
        "1.0 if x > 0 else negative_slope",
        "input if input > 0 else negative_slope·input",
        True,
    ),
    "ELU": Curve(
        "alpha * math.expm1(x) if x <= 0 else x",
        "alpha * math.exp(x) if x <= 0 else 1.0",
        "input if input > 0 else alpha·(exp(input) - 1)",
        True,
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
    "Tanh": Curve("math.tanh(x)", "1 - math.tanh(x) ** 2", "tanh(input)"),
}
ARGUMENTS = {"LeakyReLU": ("negative_slope",), "ELU": ("alpha",)}


def curve_of(step) -> Curve:
    """Return the curve of a step's layer."""
    if step.kind == "GELU" and step.module.approximate == "tanh":
        return CURVES["GELU tanh"]
    return CURVES[step.kind]


def names_of(step, x: float) -> dict[str, float]:
    """Return the names that the curve's code uses, with their values."""
    return {"x": x} | {name: float(getattr(step.module, name)) for name in ARGUMENTS.get(step.kind, ())}


def branch(step, x: float) -> list[str]:
    """Return which branch was taken, as a line, for the curves that have two."""
    if not curve_of(step).branches:
        return []
    return [f"  branch: input = {number(x)} is {'positive' if x > 0 else 'not positive'}"]


def torch_code(step, x: float, grad: float | None) -> str:
    """Return torch's own lines for the value (or, with `grad`, for the input gradient)."""
    lines = [
        "import torch",
        f"x = torch.tensor({literal(x, 'torch')}, dtype=torch.float64, requires_grad=True)",
        f"y = torch.nn.{step.kind}({step.module.arguments()})(x)",
    ]
    if grad is None:
        return "\n".join([*lines, "print(float(y.detach()))"])
    given = f"torch.tensor({literal(grad, 'torch')}, dtype=torch.float64)"
    return "\n".join([*lines, f"y.backward({given})", "print(float(x.grad))"])


def output(step, index: tuple) -> Explanation:
    """output = f(input)"""
    x, curve = float(step.input[index]), curve_of(step)
    names = names_of(step, x)
    value = eval(curve.value, {"math": math}, names)  # our own code, from the table above
    terms = as_terms({}, [value], "f(input)", input=[x])
    exact = step.kind == "ReLU"
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
        steps=branch(step, x),
        torch_lines=torch_code(step, x, None),
    )


def rounding_of(x: float, value: float) -> float:
    """Return how large a number was rounded on the way: exp and its kin feel the rounding of x itself."""
    return max(abs(value), min(abs(x), 1.0)) if math.isfinite(x) else abs(value)


def grad_input(step, index: tuple) -> Explanation:
    """grad_input = grad_output · f'(input)"""
    x, grad, curve = float(step.input[index]), float(step.grad_output[index]), curve_of(step)
    names = names_of(step, x)
    slope = eval(curve.slope, {"math": math}, names)  # our own code, from the table above
    exact = step.kind == "ReLU"
    product = 0.0 if exact and slope == 0 else grad * slope
    terms = as_terms({}, [product], "grad_output · slope", grad_output=[grad], slope=[slope])
    return explain_sum(
        step,
        "grad_input",
        index,
        f"grad_output · slope of {curve.rule}",
        terms,
        operations=1 if exact else 8,
        magnitude=abs(product) if exact else abs(grad) * max(abs(slope), 1.0),
        expression="0.0 if x <= 0 else grad" if exact else f"grad * ({curve.slope})",
        constants={**names, "grad": grad},
        steps=branch(step, x),
        torch_lines=torch_code(step, x, grad),
    )


for kind in ("ReLU", "LeakyReLU", "ELU", "GELU", "SiLU", "Sigmoid", "Tanh"):
    register(kind, output=output, grad_input=grad_input)


def row_of(array: np.ndarray, index: tuple, axis: int) -> np.ndarray:
    """Return the row along `axis` that an index lies in, as float64.

    >>> row_of(np.array([[1.0, 2], [3, 4]]), (0, 1), axis=0)
    array([2., 4.])
    """
    place = list(index)
    place[axis] = slice(None)
    return cast(array[tuple(place)])


def softmax_steps(logits: np.ndarray, classes=None) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return the softmax's arithmetic as lines, with the shifted logits and their exponentials.

    >>> lines, shifted, powers = softmax_steps(np.array([1.0, 3.0]))
    >>> shifted.tolist()
    [-2.0, 0.0]
    """
    top = logits.max()
    with np.errstate(invalid="ignore"):
        shifted = logits - top
        powers = np.exp(shifted)
    names = classes if classes is not None else range(len(logits))
    lines = [f"  largest logit: {number(top)}"]
    for name, z, s, e in zip(names, logits, shifted, powers, strict=True):
        lines.append(f"  {name}: {number(z)} - {number(top)} = {number(s)},  exp = {number(e)}")
    return [*lines, f"  sum of exp: {number(powers.sum())}"], shifted, powers


def softmax_output(step, index: tuple) -> Explanation:
    """output[.., i] = exp(z_i - max) / Σ_j exp(z_j - max)"""
    axis, classes = step.module.dim, step.saved.get("classes")
    logits = row_of(step.input, index, axis)
    lines, shifted, powers = softmax_steps(logits, classes)
    own = np.arange(len(logits)) == index[axis]
    shares = powers / powers.sum()
    terms = as_terms(
        {"class": np.arange(len(logits))}, np.where(own, shares, 0), logit=logits, exp=powers, chosen=own
    )
    return explain_sum(
        step,
        "output",
        index,
        "exp(logit - max) / Σ exp(logit - max)",
        terms,
        operations=4,
        magnitude=float(shares[own].sum() * (2 + abs(shifted[own]).sum())),
        steps=lines,
        expression="(exp * chosen).sum() / exp.sum()",
    )


def log_softmax_output(step, index: tuple) -> Explanation:
    """output[.., i] = z_i - max - log Σ_j exp(z_j - max)"""
    axis = step.module.dim
    logits = row_of(step.input, index, axis)
    lines, shifted, powers = softmax_steps(logits)
    terms = as_terms({}, [shifted[index[axis]], -np.log(powers.sum())], ["logit - max", "-log Σ exp"])
    return explain_sum(
        step,
        "output",
        index,
        "logit - max - log Σ exp(logit - max)",
        terms,
        operations=4 + len(logits),
        magnitude=float(np.abs(logits[index[axis]]) + np.abs(logits.max()) + np.log(powers.sum())),
        steps=lines,
    )


def softmax_grad_input(step, index: tuple) -> Explanation:
    """grad_input[i] = p_i · (G_i - Σ_j G_j·p_j)"""
    axis = step.module.dim
    share = softmax_shares(step, index)
    grads = row_of(step.grad_output, index, axis)
    own = share[index[axis]]
    kronecker = (np.arange(len(share)) == index[axis]).astype(float)
    terms = as_terms(
        {"class": np.arange(len(share))},
        grads * own * (kronecker - share),
        grad_output=grads,
        p=share,
        slope=own * (kronecker - share),
    )
    magnitude = float(np.abs(grads * own * (kronecker + share)).sum())
    return explain_sum(
        step,
        "grad_input",
        index,
        "Σ_j grad_output_j · p_i·([i = j] - p_j)",
        terms,
        operations=8,
        magnitude=magnitude * (1 + logit_span(step, index)),
        expression="(grad_output * slope).sum()",
    )


def log_softmax_grad_input(step, index: tuple) -> Explanation:
    """grad_input[i] = G_i - p_i·Σ_j G_j"""
    axis = step.module.dim
    share = softmax_shares(step, index)[index[axis]]
    grads = row_of(step.grad_output, index, axis)
    kronecker = (np.arange(len(grads)) == index[axis]).astype(float)
    terms = as_terms(
        {"class": np.arange(len(grads))},
        grads * (kronecker - share),
        grad_output=grads,
        slope=kronecker - share,
    )
    magnitude = float(np.abs(grads * (kronecker + share * (1 + logit_span(step, index)))).sum())
    return explain_sum(
        step,
        "grad_input",
        index,
        "Σ_j grad_output_j · ([i = j] - p_i)",
        terms,
        operations=8,
        magnitude=magnitude,
        expression="(grad_output * slope).sum()",
    )


def softmax_shares(step, index: tuple) -> np.ndarray:
    """Return the softmax of the row that an index lies in."""
    _, _, powers = softmax_steps(row_of(step.input, index, step.module.dim))
    return powers / powers.sum()


def logit_span(step, index: tuple) -> float:
    """Return the largest magnitude among the row's logits: exp feels their rounding that many times."""
    return reach(row_of(step.input, index, step.module.dim))


register("Softmax", output=softmax_output, grad_input=softmax_grad_input)
register("LogSoftmax", output=log_softmax_output, grad_input=log_softmax_grad_input)
