"""save and load: a model with its class names and its preprocessing, in one file."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minicnn import checks, labels, nn
from minicnn.checkpoint import architecture, files
from minicnn.data import transforms
from minicnn.data.transforms.config import config_of


class SavedModel(NamedTuple):
    """What `load` found in a file.

    Attributes
    ----------
    model : nn.Module
        In evaluation mode.
    classes : list of str or of int, or None
        The name of class 0, 1, 2, ...
    transform : callable or None
        From raw images to the model's input.
    extra : dict or None
        Whatever else was saved.

    Examples
    --------
    >>> SavedModel(nn.ReLU(), ["cat", "dog"], None, None).classes
    ['cat', 'dog']
    """

    model: nn.Module
    classes: list | None
    transform: object | None
    extra: dict | None


def save(path, model: nn.Module, *, classes=None, transform=None, extra: dict | None = None) -> None:
    """Write `model` to a safetensors file, with all that is needed to use it again.

    Parameters
    ----------
    path : str or path
        What is there already is replaced in one step: if anything goes wrong, it stays as it was.
    model : nn.Module
        Of modules of `minicnn.nn` only. A Parameter that has several names keeps them.
    classes : sequence of str or of int, optional
        The name of class 0, 1, 2, ...
    transform : a transform of `minicnn.data.transforms`, optional
        None of your own, and no Compose that holds one: a file cannot rebuild it.
    extra : dict, optional
        Anything else that is plain data; tuples come back as lists.

    Raises
    ------
    TypeError
        If a module, the transform or something in `extra` cannot be written down as plain data, or `extra`
        is no dict.
    ValueError
        If a module holds more than its constructor made, an attribute of the transform is out of range, or
        class names come twice.

    Notes
    -----
    Not kept: gradients, hooks, the mode (training or evaluation) and the generators of dropout layers.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, rng=0))
    >>> save(folder.name + "/pets.safetensors", model, classes=["cat", "dog"])
    >>> loaded = load(folder.name + "/pets.safetensors")
    >>> loaded.classes, np.array_equal(loaded.model[1].weight.data, model[1].weight.data)
    (['cat', 'dog'], True)
    >>> folder.cleanup()
    """
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"checkpoint.save: model must be a minicnn module. Got {checks.called(model)}. "
            "Pass for example nn.Sequential(...)."
        )
    if extra is not None and not isinstance(extra, dict):
        raise TypeError(
            f"checkpoint.save: extra must be a dict. Got {type(extra).__name__}. "
            'Pass for example {"note": "trained on Monday"}.'
        )
    content = {
        "architecture": architecture.describe(model),
        "shared": architecture.shared_parameters(model),
        "classes": None if classes is None else labels.as_classes("checkpoint.save", classes).tolist(),
        "transform": None if transform is None else config_of("checkpoint.save", transform),
        "extra": extra,
    }
    check_plain("checkpoint.save", content)
    files.write(path, "model", model.state_dict(), content)


def load(path) -> SavedModel:
    """Return the model, class names, transform and extra data that `save` wrote.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    SavedModel
        Also a tuple: ``model, classes, transform, extra = load(path)``.

    Raises
    ------
    OSError
        If there is no such file, or it cannot be read.
    ValueError
        If the file is cut off, foreign or changed anywhere; nothing of it is used then. Memory stays
        within a few times the length of the file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     load(file.name)                                             # doctest: +ELLIPSIS
    Traceback (most recent call last):
    minicnn.checkpoint.files.RefusedFile: checkpoint.load: '...' must be a whole file that checkpoint.save \
wrote. Got 0 bytes. \
Write it again, or fetch it again.
    """
    content, tensors = files.read(path, "model", "checkpoint.load", "checkpoint.save")
    try:
        return _restore(content, tensors)
    except Exception as error:  # whatever is wrong in a file that somebody else may have made
        reason = files.TOO_DEEP if isinstance(error, RecursionError) else str(error).rstrip(".")
        reason = reason or type(error).__name__
        raise files.refusal(path, "checkpoint.load", "checkpoint.save", reason) from error


def _restore(content: dict, tensors: dict[str, np.ndarray]) -> SavedModel:
    description, shared = content["architecture"], content["shared"]
    architecture.check_description(description)
    needed = architecture.tensors_of(description)
    found = {name: (array.shape, str(array.dtype)) for name, array in tensors.items()}
    if needed != found:  # before anything is built: a description may ask for any size
        wrong = sorted(name for name in needed.keys() | found.keys() if needed.get(name) != found.get(name))
        raise ValueError(f"tensors that do not fit the architecture, {wrong[0]!r:.40} for one")
    model = architecture.build(description)
    model.load_state_dict(tensors)
    architecture.share_parameters(model, shared)
    classes, config, extra = content["classes"], content["transform"], content["extra"]
    if classes is not None:
        classes = labels.as_classes("checkpoint.load", classes).tolist()
    if extra is not None and not isinstance(extra, dict):
        raise ValueError("extra data that are no dict")
    transform = None if config is None else transforms.from_config(config)
    return SavedModel(model.eval(), classes, transform, extra)


def check_plain(who: str, value, where: str = "") -> None:
    """Raise TypeError unless JSON can hold `value` and give it back.

    >>> check_plain("checkpoint.save", {"extra": {"lr": 0.1, "best": np.float64(0.5)}})
    >>> check_plain("checkpoint.save", {"extra": {"when": {1, 2}}})
    Traceback (most recent call last):
    TypeError: checkpoint.save: extra.when must be plain data. Got set. Use dicts with text as keys, lists, \
text, numbers, True, False and None.
    """
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        for key, inner in value.items():
            check_plain(who, inner, f"{where}.{key}" if where else key)
    elif isinstance(value, list | tuple):
        for position, inner in enumerate(value):
            check_plain(who, inner, f"{where}[{position}]")
    elif not (value is None or isinstance(value, str | bool | int | float)):
        got = "a dict with other keys than text" if isinstance(value, dict) else type(value).__name__
        raise TypeError(
            f"{who}: {where} must be plain data. Got {got}. "
            "Use dicts with text as keys, lists, text, numbers, True, False and None."
        )
