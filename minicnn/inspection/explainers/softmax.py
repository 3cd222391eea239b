"""Softmax and log-softmax: numbers that depend on the whole row of logits they stand in."""

from __future__ import annotations

import numpy as np

from minicnn.checks import cast
from minicnn.inspection.explainers.common import explain_sum, reach
from minicnn.inspection.explainers.registry import register
from minicnn.inspection.explanation import Explanation, as_terms, number


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
