"""Where every number comes from: trace a model on images, then ask."""

from minicnn.inspection.chain import Story, chain
from minicnn.inspection.check_gradients import check_gradients
from minicnn.inspection.explainers import REGISTRY
from minicnn.inspection.explanation import Explanation
from minicnn.inspection.gradient_report import GradientCheck, GradientRow
from minicnn.inspection.record import Step
from minicnn.inspection.trace import Trace, trace
from minicnn.inspection.what_if import Change, WhatIf, what_if

__all__ = [
    "REGISTRY",
    "Change",
    "Explanation",
    "GradientCheck",
    "GradientRow",
    "Step",
    "Story",
    "Trace",
    "WhatIf",
    "chain",
    "check_gradients",
    "trace",
    "what_if",
]
