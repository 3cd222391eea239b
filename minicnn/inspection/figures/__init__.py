"""Pictures of what a model has learned and what it does; none is shown, each returns what it drew on."""

from minicnn.inspection.figures.arithmetic import plot_convolution, plot_terms
from minicnn.inspection.figures.gradients import plot_gradients
from minicnn.inspection.figures.histogram import ActivationHistogram
from minicnn.inspection.figures.importance import plot_occlusion, plot_receptive_field, plot_saliency
from minicnn.inspection.figures.layers import plot_feature_maps, plot_filters
from minicnn.inspection.figures.pooling import plot_pool_winners
from minicnn.inspection.figures.softmax import plot_softmax
from minicnn.inspection.figures.values import plot_values
from minicnn.inspection.figures.way import plot_way

__all__ = [
    "ActivationHistogram",
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
]
