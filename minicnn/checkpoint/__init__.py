"""A model in one file: its weights, and in the metadata its architecture, class names and preprocessing.

    digits.safetensors
      {"sha256": ...}                              noticed: any byte that is not as it was written
      {"architecture": {"kind": "Sequential", ...}}   -> layers of minicnn.nn, and of nothing else
      {"classes": ["cat", "dog"], "transform": ...}   -> index to name, raw image to input
      tensors "0.weight", "0.bias", ...               -> load_state_dict

Nothing in such a file is ever executed: there is no pickle. `files` knows bytes, `architecture` knows
layers, `model` joins them. The file is safetensors, which many other programs read.
"""

from minicnn.checkpoint.architecture import build, describe
from minicnn.checkpoint.model import SavedModel, load, save

__all__ = ["SavedModel", "build", "describe", "load", "save"]
