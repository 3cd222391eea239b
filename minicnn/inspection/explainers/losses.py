"""Losses: one number made of all rows, and its gradient, row by row."""

from __future__ import annotations

import numpy as np

from minicnn import functional
from minicnn.checks import cast
from minicnn.inspection.explainers.common import axis_names, explain_sum, reach
from minicnn.inspection.explainers.registry import register
from minicnn.inspection.explanation import Explanation, as_terms, number
from minicnn.nn.class_losses import class_axis

SHOWN_ROWS = 4  # rows whose log-sum-exp is written out


def divisor(step, shape: tuple, weight_sum: float | None = None) -> float:
    """Return what the sum of the losses is divided by: 1, unless the reduction is the mean; NaN for nothing."""
    if step.module.reduction != "mean":
        return 1.0
    return (float(np.prod(shape)) if weight_sum is None else float(weight_sum)) or np.nan


def mean_of_nothing(step, index: tuple, rule: str) -> Explanation:
    """Explain a mean over no target."""
    return explain_sum(step, "output", index, rule, as_terms({}, [np.nan], "0 / 0: no target counts"))


def outer_grad(step, index: tuple) -> float:
    """Return the gradient that came from above: 1, unless the losses are not reduced."""
    return 1.0 if step.grad_output is None else float(np.asarray(step.grad_output)[index])


def log_softmax(logits: np.ndarray, axis: int) -> np.ndarray:
    """Return log-probabilities in float64.

    >>> log_softmax(np.zeros((1, 2)), 1).round(4)
    array([[-0.6931, -0.6931]])
    """
    with np.errstate(invalid="ignore"):
        shifted = cast(logits) - cast(logits).max(axis=axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


def truth_of(step) -> np.ndarray:
    """Return what each class ought to have, times its weight: 1 at the target, if nothing else was saved."""
    if "truth" in step.saved:
        return cast(step.saved["truth"])
    return functional.one_hot(step.saved["targets"], step.input.shape[1], dtype=np.float64)


def names_of_rows(axes: int) -> tuple[str, ...]:
    """Return what the axes of the targets are called, of which each counts as a row for softmax.

    >>> names_of_rows(1), names_of_rows(3)
    (('row',), ('row', 'd1', 'd2'))
    """
    return ("row", *(f"d{axis}" for axis in range(1, axes)))[:axes]


def row_sums(logits: np.ndarray, rows: list[tuple[int, ...]]) -> list[str]:
    """Return how the log-sum-exp of the first of these rows comes about.

    >>> row_sums(np.zeros((8, 2)), [(7,)])
    ['  row 7: log Σ exp(z) = 0 + log(2) = 0.69314718']
    """
    lines = []
    for row in rows[:SHOWN_ROWS]:
        z = cast(np.moveaxis(logits, class_axis(logits), -1)[row])
        top, powers = z.max(), np.exp(z - z.max()).sum()
        place = ", ".join(f"{name} {i}" for name, i in zip(names_of_rows(len(row)), row, strict=True))
        start = f"  {place}: " if row else "  "
        lines.append(
            f"{start}log Σ exp(z) = {number(top)} + log({number(powers)}) = {number(top + np.log(powers))}"
        )
    return lines + (["  ..."] if len(rows) > SHOWN_ROWS else [])


def cross_entropy_output(step, index: tuple) -> Explanation:
    """loss = Σ truth·(log Σ exp(z) - z) / Σ weight, over rows and classes"""
    logits, truth = step.input, truth_of(step)
    axis = class_axis(logits)
    surprise = -log_softmax(logits, axis)
    share = 1 / divisor(step, truth.shape, step.saved["weight_sum"])
    rows = list(np.ndindex(truth.shape[:axis] + truth.shape[axis + 1 :]))
    if step.module.reduction == "none":  # one loss: the terms of its own row
        rows = [index]
        keep = np.zeros(truth.shape, bool)
        keep[(*index[:axis], slice(None), *index[axis:])] = True
        truth = np.where(keep, truth, 0)
    places = np.nonzero(truth)
    names = names_of_rows(truth.ndim - 1)
    names = (*names[:axis], "class", *names[axis:])
    terms = as_terms(
        dict(zip(names, places, strict=True)),
        truth[places] * surprise[places] * share,
        truth=truth[places] * share,
        surprise=surprise[places],
    )
    magnitude = float((np.abs(truth[places]) * (surprise[places] + reach(logits))).sum() * share)
    rule = "Σ truth·(log Σ exp(z) - z)" + (", truth divided by the weights' sum" if share != 1 else "")
    if np.isnan(share):
        return mean_of_nothing(step, index, rule)
    return explain_sum(
        step,
        "output",
        index,
        rule,
        terms,
        operations=8 + logits.shape[axis],
        magnitude=magnitude,
        steps=row_sums(logits, rows),
        expression="(truth * surprise).sum()",
    )


def cross_entropy_grad_input(step, index: tuple) -> Explanation:
    """grad[n, j] = (p[n, j]·Σ_k truth[n, k] - truth[n, j]) / Σ weight"""
    logits, truth = step.input, truth_of(step)
    axis = class_axis(logits)
    place = index[:axis] + index[axis + 1 :]
    row = (*index[:axis], slice(None), *index[axis + 1 :])
    p = np.exp(log_softmax(logits[row], 0))[index[axis]]
    share = outer_grad(step, place) / divisor(step, truth.shape, step.saved["weight_sum"])
    targets = step.saved["targets"]
    if targets.dtype.kind != "f" and targets[place] == step.module.ignore_index:
        share = 0.0  # also where none counts
    total = truth[row].sum()
    weight = total or 1.0  # without it the truth sums to one, as the probabilities do
    belief, own, share = p * (total / weight), truth[index] / weight, share * weight
    terms = as_terms(
        {},
        [belief * share, -own * share],
        ["probability", "truth"],
        belief=[belief, -own],
        share=[share, share],
    )
    lines = [
        *row_sums(logits, [place]),
        f"  p = exp(z - log Σ exp(z)) = {number(p)}, truth = {number(own)}",
    ]
    span = 1 + reach(logits[row])
    return explain_sum(
        step,
        "grad_input",
        index,
        "(p - truth)·share, share = weight / Σ weight",
        terms,
        operations=8 + logits.shape[axis],
        magnitude=float((abs(belief) * span + abs(own)) * abs(share)),
        steps=lines,
        expression="(belief * share).sum()",
    )


register("CrossEntropyLoss", output=cross_entropy_output, grad_input=cross_entropy_grad_input)


def nll_output(step, index: tuple) -> Explanation:
    """loss = Σ -weight·x[target] / Σ weight"""
    scores, weights = cast(step.saved["scores"]), cast(step.saved["weights"])
    axis = class_axis(scores)
    picked = np.expand_dims(step.saved["index"], axis)
    values = np.take_along_axis(scores, picked, axis).squeeze(axis)
    share = 1 / divisor(step, weights.shape, step.saved["weight_sum"])
    places = [index] if step.module.reduction == "none" else list(np.ndindex(values.shape))
    places = tuple(np.array(places, int).reshape(len(places), values.ndim).T)
    where = dict(zip(names_of_rows(values.ndim), places, strict=True))
    values, weights = values[places], weights[places] * share
    product = np.where(weights == 0, 0, -weights * values)
    terms = as_terms(where, product, score=values, weight=weights)
    return explain_sum(
        step, "output", index, "Σ -weight·score of the target", terms, expression="-(weight * score).sum()"
    )


def nll_grad_input(step, index: tuple) -> Explanation:
    """grad[n, j] = -weight/Σ weight where j is the target, else 0"""
    axis = class_axis(step.input)
    row = index[:axis] + index[axis + 1 :]
    weight = float(step.saved["weights"][row])
    share = outer_grad(step, row) / divisor(step, step.saved["weights"].shape, step.saved["weight_sum"])
    target = bool(step.saved["index"][row] == index[axis])
    note = "the target's class" if target else "another class"
    terms = as_terms(
        {}, [-weight * share if target and weight else 0.0], note, weight=[weight], share=[share]
    )
    return explain_sum(step, "grad_input", index, "-weight·share at the target", terms, operations=4)


register("NLLLoss", output=nll_output, grad_input=nll_grad_input)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-x)) in float64.

    >>> sigmoid(np.array([0.0]))
    array([0.5])
    """
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def squared(x, t, step):
    """Return losses and slopes of (x - t)²."""
    return (x - t) ** 2, 2 * (x - t)


def distance(x, t, step):
    """Return losses and slopes of |x - t|."""
    return np.abs(x - t), np.sign(x - t)


def binary(x, t, step):
    """Return losses and slopes of the binary cross-entropy of probabilities."""
    with np.errstate(divide="ignore"):
        likely, unlikely = np.maximum(np.log(x), -100), np.maximum(np.log1p(-x), -100)
    w = cast(step.saved["weight"])
    return w * ((t - 1) * unlikely - t * likely), w * (x - t) / np.maximum(x * (1 - x), 1e-12)


def binary_logits(x, t, step):
    """Return losses and slopes of the binary cross-entropy of logits."""
    w, v = cast(step.saved["weight"]), cast(step.saved["pos_weight"])
    log_term = np.log1p(np.exp(-np.abs(x))) + np.maximum(-x, 0)
    losses = w * ((1 - t) * x + (1 + (v - 1) * t) * log_term)
    return losses, w * ((1 - t) * sigmoid(x) - v * t * sigmoid(-x))


PAIRWISE = {
    "MSELoss": (squared, "(x - target)²", "2·(x - target)"),
    "L1Loss": (distance, "|x - target|", "sign(x - target)"),
    "BCELoss": (binary, "-w·(t·log p + (1 - t)·log(1 - p))", "w·(p - t) / (p·(1 - p))"),
    "BCEWithLogitsLoss": (
        binary_logits,
        "-w·(v·t·log σ(z) + (1 - t)·log σ(-z))",
        "w·((1 - t)·σ(z) - v·t·σ(-z))",
    ),
}


def pairwise_output(step, index: tuple) -> Explanation:
    """loss = Σ l(x, target) / count"""
    function, rule, _ = PAIRWISE[step.kind]
    x, t = cast(step.input), cast(step.saved["targets"])
    losses, _ = function(x, t, step)
    share = 1 / divisor(step, x.shape)
    places = [index] if step.module.reduction == "none" else np.ndindex(x.shape)
    places = np.array(list(places), int).reshape(-1, x.ndim).T
    picked = tuple(places)
    rule = f"Σ {rule}" + (" / count" if share != 1 else "")
    if np.isnan(share):
        return mean_of_nothing(step, index, rule)
    terms = as_terms(
        dict(zip(axis_names(x.ndim), places, strict=True)),
        losses[picked] * share,
        input=x[picked],
        target=t[picked],
    )
    magnitude = float((np.abs(losses[picked]) + scale_of(x[picked], t[picked], losses[picked])).sum() * share)
    return explain_sum(step, "output", index, rule, terms, operations=12, magnitude=magnitude)


def scale_of(x: np.ndarray, t: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """Return how strongly each loss feels the rounding of its operands.

    >>> scale_of(np.array([3.0]), np.array([1.0]), np.array([4.0]))
    array([8.])
    """
    return (np.abs(x) + np.abs(t)) * np.sqrt(np.abs(losses))


def pairwise_grad_input(step, index: tuple) -> Explanation:
    """grad = slope / count"""
    function, _, rule = PAIRWISE[step.kind]
    x, t = cast(step.input), cast(step.saved["targets"])
    _, slopes = function(x, t, step)
    share = outer_grad(step, index) / divisor(step, x.shape)
    slope = float(np.broadcast_to(slopes, x.shape)[index])
    terms = as_terms({}, [slope * share], "slope", slope=[slope], share=[share])
    size = abs(slope) + reach(x[index]) + reach(t[index])
    if step.kind == "BCELoss":  # 1 - p loses digits near 1
        size = abs(slope) * (2 + 1 / max(1 - x[index], 1e-12) + 1 / max(x[index], 1e-12))
    return explain_sum(
        step,
        "grad_input",
        index,
        f"{rule}" + (" / count" if share != 1 else ""),
        terms,
        operations=12,
        magnitude=float(size * abs(share)),
        expression="(slope * share).sum()",
    )


for kind in PAIRWISE:
    register(kind, output=pairwise_output, grad_input=pairwise_grad_input)
