"""Two models side by side, number by number: ours and torch's."""

from minicnn.interop.torch.comparison.causes import LikelyCause
from minicnn.interop.torch.comparison.compare import assert_close, compare
from minicnn.interop.torch.comparison.lockstep import Drift, StepDrift
from minicnn.interop.torch.comparison.result import Comparison, Difference
from minicnn.interop.torch.comparison.rows import Row

__all__ = ["Comparison", "Difference", "Drift", "LikelyCause", "Row", "StepDrift", "assert_close", "compare"]
