"""Group norm: numbers that depend on those of their group, some channels of one image."""

from __future__ import annotations

import numpy as np

from minicnn.checks import cast
from minicnn.inspection.explainers.common import explain_sum
from minicnn.inspection.explainers.normalization import (
    Together,
    channel_values,
    grad_bias,
    places_of,
    scaled,
    three_paths,
    together,
)
from minicnn.inspection.explainers.registry import register
from minicnn.inspection.explanation import Explanation, as_terms, number


def channels_of(step, channel: int) -> slice:
    """Return the channels of a channel's group.

    >>> from minicnn import nn
    >>> from minicnn.inspection.record import Step
    >>> channels_of(Step("1", "GroupNorm", nn.GroupNorm(2, 6), None, None), 4)
    slice(3, 6, None)
    """
    size = step.module.num_channels // step.module.num_groups
    first = channel // size * size
    return slice(first, first + size)


def group_of(step, index: tuple) -> Together:
    """Return what group norm knows of the group in which a number stands."""
    values = cast(step.input[index[0], channels_of(step, index[1])]).ravel()  # (m,)
    return together(step, index[1], values, "group")


def output(step, index: tuple) -> Explanation:
    """output = (input - mean) / √(variance + eps) · weight + bias"""
    return scaled(step, index, group_of(step, index))


def grad_input(step, index: tuple) -> Explanation:
    """grad_input = inv_std · (g - mean(g) - normalised · mean(g·normalised)), g = grad_output·weight"""
    group, channels = group_of(step, index), channels_of(step, index[1])
    grads = cast(step.grad_output[index[0], channels])  # (C/G, ...)
    if "weight" in step.parameters:
        weight = cast(step.parameters["weight"][channels])
        grads = grads * weight.reshape(-1, *(1,) * (grads.ndim - 1))
    own = float(step.grad_output[index]) * group.weight
    rule = "(g - mean(g) - normalised·mean(g·normalised)) / √(variance + eps), g = grad_output·weight"
    explanation = three_paths(step, index, group, grads.ravel(), own, group.inv_std, rule, "g")
    explanation.steps.append(f"  g: {number(own)}, from grad_output {number(float(step.grad_output[index]))}")
    return explanation


def grad_weight(step, index: tuple) -> Explanation:
    """weight.grad[c] = Σ grad_output · (input - mean) / √(variance + eps), each image with its own statistics"""
    groups = cast(step.input[:, channels_of(step, index[0])]).reshape(len(step.input), -1)  # (N, m)
    inv_std = 1 / np.sqrt(groups.var(axis=1) + step.module.eps)  # (N,)
    mean, count = groups.mean(axis=1), step.input[0, 0].size
    swell = 1 + (np.abs(groups).max(axis=1) + np.abs(mean)) * inv_std
    input, grads = (channel_values(array, index[0]) for array in (step.input, step.grad_output))  # (N·H·W,)
    mean, inv_std, swell = (np.repeat(array, count) for array in (mean, inv_std, swell))
    normalised = (input - mean) * inv_std
    operands = {"grad_output": grads, "input": input, "mean": mean, "inv_std": inv_std}
    return explain_sum(
        step,
        "weight.grad",
        index,
        "Σ grad_output·(input - mean)·inv_std, inv_std = 1/√(variance + eps) of each image's group",
        as_terms(places_of(step), grads * normalised, **operands),
        operations=8,
        magnitude=float((np.abs(grads) * (1 + np.abs(normalised)) * swell).sum()),
        expression="(grad_output * (input - mean) * inv_std).sum()",
    )


register(
    "GroupNorm",
    output=output,
    grad_input=grad_input,
    grads={"weight": grad_weight, "bias": grad_bias},
    macs=lambda step: step.output.size,
)
