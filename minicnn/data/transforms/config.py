"""config_of and from_config: a transform as plain data, and again from what its `config()` wrote."""

from __future__ import annotations

from minicnn.data.transforms.base import Transform
from minicnn.data.transforms.fixed import Compose, OneHot, ToFloat
from minicnn.data.transforms.normalize import Normalize
from minicnn.data.transforms.random import RandomCrop, RandomHorizontalFlip, RandomRotation

KINDS = {
    kind.__name__: kind
    for kind in (ToFloat, Normalize, OneHot, RandomHorizontalFlip, RandomCrop, RandomRotation)
}


def config_of(who: str, transform) -> dict:
    """Return a transform as plain data from which `from_config` can rebuild it, for `who` writes it to a file.

    >>> config_of("to_onnx", ToFloat())
    {'kind': 'ToFloat', 'dtype': 'float32'}
    """
    for step in transform.transforms if type(transform) is Compose else [transform]:
        if type(step) not in KINDS.values():  # a subclass may do anything, and nobody could rebuild it
            raise TypeError(
                f"{who}: transform must be one of minicnn.data.transforms. Got {type(step).__name__}. "
                "Compose it of those, or save with transform=None."
            )
    config = transform.config()
    from_config(config)  # raises where an attribute was given a value that no constructor takes
    return config


def from_config(config: dict) -> Transform:
    """Return the transform that `config` describes.

    Parameters
    ----------
    config : dict
        What ``transform.config()`` gave, also after a way through JSON.

    Raises
    ------
    ValueError
        If the kind is unknown, or arguments are missing, too many or out of range.
    TypeError
        If an argument is of the wrong type.

    Examples
    --------
    >>> config = Compose([ToFloat(), Normalize(0.25, 0.5)]).config()
    >>> config["transforms"][0]
    {'kind': 'ToFloat', 'dtype': 'float32'}
    >>> from_config(config)
    Compose([
      ToFloat(dtype=float32),
      Normalize(mean=(0.25,), std=(0.5,)),
    ])
    """
    if not (isinstance(config, dict) and config.get("kind") == "Compose"):
        return _single(config)
    steps = config.get("transforms")
    if config.keys() != {"kind", "transforms"} or not isinstance(steps, list):
        raise ValueError(
            "transforms.from_config: a Compose must have a list of transforms. Got "
            f"{sorted(map(str, config))} with {type(steps).__name__}. Pass what config() returned."
        )
    return Compose([_single(step) for step in steps])  # a Compose holds no other, so nothing nests


def _single(config) -> Transform:
    kind = config.get("kind") if isinstance(config, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        got = repr(kind) if isinstance(config, dict) else type(config).__name__
        raise ValueError(
            f"transforms.from_config: kind must be one of {', '.join(['Compose', *KINDS])}. Got {got:.40}. "
            "Pass what config() returned."
        )
    arguments = {name: value for name, value in config.items() if name != "kind"}
    if arguments.keys() != set(KINDS[kind].fields):
        raise ValueError(
            f"transforms.from_config: {kind} must have the arguments {list(KINDS[kind].fields)}. "
            f"Got {sorted(map(str, arguments))}. Pass what config() returned."
        )
    return KINDS[kind](**arguments)
