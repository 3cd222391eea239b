"""Where every number comes from: trace a model on images, then ask."""

from minicnn.inspection.attribution import occlusion, saliency
from minicnn.inspection.chain import Story, chain
from minicnn.inspection.check_gradients import check_gradients
from minicnn.inspection.explainers import REGISTRY
from minicnn.inspection.explanation import Explanation
from minicnn.inspection.figures import (
    ActivationHistogram,
    plot_convolution,
    plot_feature_maps,
    plot_filters,
    plot_gradients,
    plot_occlusion,
    plot_pool_winners,
    plot_receptive_field,
    plot_saliency,
    plot_softmax,
    plot_terms,
    plot_values,
    plot_way,
)
from minicnn.inspection.gradient_report import GradientCheck, GradientRow
from minicnn.inspection.receptive import receptive_field
from minicnn.inspection.record import Step
from minicnn.inspection.trace import Trace, trace
from minicnn.inspection.what_if import Change, WhatIf, what_if
from minicnn.inspection.worksheets import Grade, Mark, Worksheet, grade, worksheet

__all__ = [
    "REGISTRY",
    "ActivationHistogram",
    "Change",
    "Explanation",
    "Grade",
    "GradientCheck",
    "GradientRow",
    "Mark",
    "Step",
    "Story",
    "Trace",
    "WhatIf",
    "Worksheet",
    "chain",
    "check_gradients",
    "grade",
    "occlusion",
    "plot_convolution",
    "plot_feature_maps",
    "plot_filters",
    "plot_gradients",
    "plot_occlusion",
    "plot_pool_winners",
    "plot_receptive_field",
    "plot_saliency",
    "plot_softmax",
    "plot_terms",
    "plot_values",
    "plot_way",
    "receptive_field",
    "saliency",
    "trace",
    "what_if",
    "worksheet",
]
