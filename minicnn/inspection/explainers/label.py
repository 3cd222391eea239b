"""The last step: from probabilities through argmax to an index, and from the index to a name."""

from __future__ import annotations

import numpy as np

from minicnn.checks import cast
from minicnn.inspection.explainers.registry import register
from minicnn.inspection.explanation import Explanation, as_terms, number


def output(step, index: tuple) -> Explanation:
    """index = argmax of the row's probabilities; label = classes[index]"""
    n = index[0]
    logits, probabilities = cast(step.saved["logits"][n]), cast(step.input[n])
    classes = step.saved.get("classes")
    chosen = np.arange(len(probabilities)) == step.output[n]
    position = np.arange(len(probabilities))
    terms = as_terms(
        {"class": position},
        np.where(chosen, position, 0),
        None if classes is None else list(classes),
        logit=logits,
        probability=probabilities,
        chosen=chosen,
    )
    best = int(probabilities.argmax()) if not np.isnan(probabilities).any() else int(step.output[n])
    lines = [
        f"  largest probability: {number(probabilities[best])} at index {best}",
        f"  label: {classes[best] if classes is not None else best}",
    ]
    equal = np.flatnonzero(probabilities == probabilities[best])
    if len(equal) > 1:
        lines.append(f"  tie: indexes {', '.join(map(str, equal))} are equal; argmax takes the first")
    if not np.isfinite(logits).all():
        lines.append("  a logit is not finite: this label means nothing")
    threshold = step.saved.get("abstain_below")
    if threshold is not None and probabilities[best] < threshold:
        lines.append(f"  below {threshold}: the classifier abstains")
    return Explanation(
        f"label: output[{n}]",
        "argmax(probability)",
        terms,
        float(step.output[n]),
        float(np.finfo(np.float64).eps),
        steps=lines,
        expression="probability.argmax()",
    )


def no_gradient(step, index: tuple) -> Explanation:
    """argmax has no gradient: it jumps from index to index."""
    raise ValueError(
        "label: grad_input does not exist, because argmax jumps. Got of='grad_input'. "
        "Ask for the gradient of the loss instead."
    )


register("Label", output=output, grad_input=no_gradient)
