"""How every kind of layer explains its numbers; each file joins the registry when it is imported."""

from minicnn.inspection.explainers import (
    activations,
    conv,
    group_norm,
    label,
    linear,
    losses,
    normalization,
    operations,
    pooling,
    softmax,
)
from minicnn.inspection.explainers.registry import REGISTRY, Explainer, register

__all__ = [
    "REGISTRY",
    "Explainer",
    "activations",
    "conv",
    "group_norm",
    "label",
    "linear",
    "losses",
    "normalization",
    "operations",
    "pooling",
    "register",
    "softmax",
]
