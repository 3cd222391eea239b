"""Batch norm and dropout: numbers that depend on the rest of the batch, or on chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minicnn.checks import cast
from minicnn.inspection.explainers.common import explain_sum
from minicnn.inspection.explainers.registry import register
from minicnn.inspection.explanation import Explanation, as_terms, number


@dataclass(frozen=True)
class Together:
    """Numbers that are normalised together, and weight and bias of the one asked for: all in float64.

    `swell` says how much larger than a normalised number the rounding of an input is: numbers far from
    zero that lie close together lose their digits when the mean is taken away.
    """

    values: np.ndarray  # (m,)
    mean: float
    inv_std: float
    weight: float
    bias: float
    place: str  # where the numbers stand, such as "channel"; empty if mean and variance are running ones
    swell: float

    @property
    def normalised(self) -> np.ndarray:
        return (self.values - self.mean) * self.inv_std

    @property
    def lines(self) -> list[str]:
        """The statistics as lines."""
        source = f"of the {self.values.size} numbers of this {self.place}" if self.place else "running"
        return [
            f"  mean = {number(self.mean)}, 1/√(variance + eps) = {number(self.inv_std)} ({source})",
            f"  weight = {number(self.weight)}, bias = {number(self.bias)}",
        ]


def together(step, channel: int, values: np.ndarray, place: str) -> Together:
    """Return some numbers of a step, with their own statistics or, without a place, the running ones."""
    mean = values.mean() if place else float(step.saved["mean"][channel])
    variance = values.var() if place else float(step.saved["variance"][channel])
    inv_std = 1 / np.sqrt(variance + step.module.eps)
    affine = "weight" in step.parameters
    return Together(
        values,
        float(mean),
        float(inv_std),
        float(step.parameters["weight"][channel]) if affine else 1.0,
        float(step.parameters["bias"][channel]) if affine else 0.0,
        place,
        float(1 + (np.abs(values).max(initial=0) + abs(mean)) * inv_std),
    )


def channel_values(array: np.ndarray, channel: int) -> np.ndarray:
    """Return all numbers of one channel, in order.

    >>> channel_values(np.arange(8.0).reshape(2, 2, 2), 1).tolist()
    [2.0, 3.0, 6.0, 7.0]
    """
    return cast(array[:, channel]).ravel()


def channel_of(step, channel: int) -> Together:
    """Return what batch norm knows of one channel."""
    place = "channel" if step.saved["use_batch"] else ""
    return together(step, channel, channel_values(step.input, channel), place)


def scaled(step, index: tuple, known: Together) -> Explanation:
    """Explain an output: (input - mean) / √(variance + eps) · weight + bias."""
    x, scale = float(step.input[index]), known.weight * known.inv_std
    normalised = (x - known.mean) * known.inv_std
    terms = as_terms(
        {},
        [x * scale, -known.mean * scale, known.bias],
        ["input", "mean", "bias"],
        operand=[x, -known.mean, known.bias],
        scale=[scale, scale, 1],
    )
    return explain_sum(
        step,
        "output",
        index,
        "input·scale - mean·scale + bias, scale = weight/√(variance + eps)",
        terms,
        operations=8,
        magnitude=(abs(known.weight) * (1 + abs(normalised)) * known.swell + abs(known.bias)),
        steps=[*known.lines, f"  normalised: {number(normalised)}"],
        expression="(operand * scale).sum()",
    )


def three_paths(
    step, index: tuple, known: Together, grads: np.ndarray, own: float, scale: float, rule: str, letter: str
) -> Explanation:
    """Explain a gradient of the input: scale · (own - mean(grads) - normalised · mean(grads·normalised)).

    `letter` is what the rule calls `grads`.
    """
    normalised = (float(step.input[index]) - known.mean) * known.inv_std
    pull = float((grads * known.normalised).mean()) if known.place else 0.0
    push = float(grads.mean()) if known.place else 0.0
    notes = ["direct", "through the mean", "through the variance"]
    factor = [own, -push, -normalised * pull]
    terms = as_terms({}, np.multiply(factor, scale), notes, factor=factor, scale=scale)
    steps = [*known.lines, f"  normalised: {number(normalised)}"]
    if known.place:
        steps.append(f"  mean of {letter}: {number(push)}, mean of {letter}·normalised: {number(pull)}")
    else:
        steps.append("  running statistics do not depend on the input: only the direct path is open")
    typical = float(np.abs(grads).mean() * (1 + np.abs(known.normalised).max()) * (1 + abs(normalised)))
    return explain_sum(
        step,
        "grad_input",
        index,
        rule,
        terms,
        operations=16,
        magnitude=abs(scale) * (abs(own) + (typical if known.place else 0)) * known.swell,
        steps=steps,
        expression="(factor * scale).sum()",
    )


def output(step, index: tuple) -> Explanation:
    """output = (input - mean) / √(variance + eps) · weight + bias"""
    return scaled(step, index, channel_of(step, index[1]))


def grad_input(step, index: tuple) -> Explanation:
    """grad_input = weight·inv_std · (G - mean(G) - normalised · mean(G·normalised))"""
    channel, own = channel_of(step, index[1]), float(step.grad_output[index])
    grads, scale = channel_values(step.grad_output, index[1]), channel.weight * channel.inv_std
    rule = "weight/√(variance + eps) · (G - mean(G) - normalised·mean(G·normalised))"
    return three_paths(step, index, channel, grads, own, scale, rule, "G")


def grad_weight(step, index: tuple) -> Explanation:
    """weight.grad[c] = Σ G · normalised"""
    channel = channel_of(step, index[0])
    grads, normalised = channel_values(step.grad_output, index[0]), channel.normalised
    terms = as_terms(places_of(step), grads * normalised, grad_output=grads, normalised=normalised)
    return explain_sum(
        step,
        "weight.grad",
        index,
        "Σ grad_output·normalised",
        terms,
        operations=8,
        magnitude=float((np.abs(grads) * (1 + np.abs(normalised))).sum() * channel.swell),
        steps=channel.lines,
        expression="(grad_output * normalised).sum()",
    )


def grad_bias(step, index: tuple) -> Explanation:
    """bias.grad[c] = Σ G"""
    terms = as_terms(places_of(step), channel_values(step.grad_output, index[0]))
    return explain_sum(step, "bias.grad", index, "Σ grad_output", terms)


def places_of(step) -> dict[str, np.ndarray]:
    """Return image, and row and column where there are any, of a channel's numbers in order."""
    shape = (step.input.shape[0], *step.input.shape[2:])
    known = {1: ("image",), 2: ("image", "position"), 3: ("image", "row", "column")}
    names = known.get(len(shape)) or ("image", *(f"axis {axis}" for axis in range(2, len(shape) + 1)))
    return dict(zip(names, (place.ravel() for place in np.indices(shape)), strict=True))


register(
    "BatchNorm1d",
    "BatchNorm2d",
    output=output,
    grad_input=grad_input,
    grads={"weight": grad_weight, "bias": grad_bias},
    macs=lambda step: step.output.size,
)


def masked(step, of: str, index: tuple) -> Explanation:
    """Explain dropout: the number times its mask, 0 or 1/(1 - p)."""
    given = {"output": ("input", step.input), "grad_input": ("grad_output", step.grad_output)}[of]
    name, array = given
    mask = step.saved.get("mask")
    factor = 1.0 if mask is None else float(np.broadcast_to(mask, array.shape)[index])
    if mask is None:
        note, rule = "evaluation: passes", name
    else:
        note, rule = ("kept" if factor else "dropped"), f"{name}·mask, mask = 0 or 1/(1 - {step.module.p})"
    value = float(array[index])
    terms = as_terms({}, [value * factor], note, **{name: [value]}, mask=[factor])
    return explain_sum(step, of, index, rule, terms, expression=f"({name} * mask).sum()")


register(
    "Dropout",
    "Dropout2d",
    output=lambda step, index: masked(step, "output", index),
    grad_input=lambda step, index: masked(step, "grad_input", index),
)


def added(step, of: str, index: tuple) -> Explanation:
    """Explain a residual block: what the body gave, and what the shortcut let pass."""
    parts = dict(step.parts if of == "output" else step.grad_parts)
    if "shortcut" not in parts:
        parts["input as it is" if of == "output" else "grad_output as it is"] = (
            step.input if of == "output" else step.grad_output
        )
    values = [float(array[index]) for array in parts.values()]
    return explain_sum(step, of, index, "body + shortcut", as_terms({}, values, list(parts)))


register(
    "Residual",
    output=lambda step, index: added(step, "output", index),
    grad_input=lambda step, index: added(step, "grad_input", index),
)
