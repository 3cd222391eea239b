"""How good a classifier is: counts of right and wrong, by class, and whether its probabilities mean anything.

Targets and predictions are arrays of shape (N,): labels, or class indexes (integers beside `classes` of
text). The truth comes first. Where scikit-learn has the measure, scikit-learn computes it; it is imported
at the first call, so that importing this package is quick.
"""

from minicnn.metrics.calibration import calibration_bins, expected_calibration_error
from minicnn.metrics.counts import (
    accuracy,
    balanced_accuracy,
    confusion_matrix,
    f1,
    precision,
    recall,
)
from minicnn.metrics.curves import average_precision, precision_recall_curve
from minicnn.metrics.figures import plot_confusion_matrix, plot_precision_recall, plot_reliability
from minicnn.metrics.table import classification_table

__all__ = [
    "accuracy",
    "average_precision",
    "balanced_accuracy",
    "calibration_bins",
    "classification_table",
    "confusion_matrix",
    "expected_calibration_error",
    "f1",
    "plot_confusion_matrix",
    "plot_precision_recall",
    "plot_reliability",
    "precision",
    "precision_recall_curve",
    "recall",
]
