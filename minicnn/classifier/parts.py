"""What a file holds of a classifier beside its model and its transform."""

from __future__ import annotations

from minicnn import checks
from minicnn.checkpoint import SavedModel
from minicnn.checkpoint.files import refusal
from minicnn.classifier.decision import Decision


def parts_of(saved: SavedModel, path) -> dict:
    """Return classes, threshold, abstain_below and image_shape, as `Classifier` takes them.

    >>> extra = {"threshold": 0.5, "abstain_below": None, "image_shape": [28, 28]}
    >>> parts_of(SavedModel(None, ["cat", "dog"], None, extra), "pets.safetensors")
    {'classes': ['cat', 'dog'], 'threshold': 0.5, 'abstain_below': None, 'image_shape': (28, 28)}
    """
    try:
        parts = {"classes": list(saved.classes)}
        parts |= {name: saved.extra[name] for name in ("threshold", "abstain_below", "image_shape")}
        Decision(saved.classes, parts["threshold"], parts["abstain_below"])
        if parts["image_shape"] is not None:
            H, W, *C = (checks.as_int("Classifier", "image_shape", size, 1) for size in parts["image_shape"])
            parts["image_shape"] = (H, W, *C)
    except (KeyError, TypeError, ValueError) as error:  # somebody made the file with care
        reason = f"parts that do not fit ({type(error).__name__})"
        raise refusal(path, "Classifier.load", "Classifier.save", reason) from error
    return parts
