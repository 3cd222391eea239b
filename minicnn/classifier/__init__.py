"""From numbers to labels: a model, its preprocessing and its class names in one scikit-learn estimator.

images -> transform -> model -> logits -> softmax or sigmoid -> probabilities -> index -> label

Importing this package imports scikit-learn, about a second; ``import minicnn`` does not.
"""

from minicnn.classifier.chain import Chain, Chains
from minicnn.classifier.classifier import Classifier
from minicnn.classifier.decision import Decision
from minicnn.classifier.explain import SigmoidChain, SoftmaxChain, explain_logits
from minicnn.classifier.regressor import Regressor
from minicnn.labels import ABSTAINS, labels_of

__all__ = [
    "ABSTAINS",
    "Chain",
    "Chains",
    "Classifier",
    "Decision",
    "Regressor",
    "SigmoidChain",
    "SoftmaxChain",
    "explain_logits",
    "labels_of",
]
