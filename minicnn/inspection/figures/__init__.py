"""Pictures of what a model has learned and what it does; none is shown, each returns what it drew on."""

from minicnn.inspection.figures.arithmetic import plot_convolution, plot_terms
from minicnn.inspection.figures.layers import plot_feature_maps, plot_filters
from minicnn.inspection.figures.pooling import plot_pool_winners
from minicnn.inspection.figures.softmax import plot_softmax

__all__ = [
    "plot_convolution",
    "plot_feature_maps",
    "plot_filters",
    "plot_pool_winners",
    "plot_softmax",
    "plot_terms",
]
