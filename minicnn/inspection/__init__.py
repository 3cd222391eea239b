"""Where every number comes from: trace a model on images, then ask."""

from minicnn.inspection.chain import Story, chain
from minicnn.inspection.explainers import REGISTRY
from minicnn.inspection.explanation import Explanation
from minicnn.inspection.record import Step
from minicnn.inspection.trace import Trace, trace

__all__ = ["REGISTRY", "Explanation", "Step", "Story", "Trace", "chain", "trace"]
