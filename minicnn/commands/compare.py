"""compare: bring a torch CNN over from a script and hold every number beside torch's."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

from minicnn.commands.train import natural, positive

DESCRIPTION = """Load a torch.nn.Module from a Python file (which runs the file), bring it over, and compare forward,
loss and backward, array by array: equal, rounding, or differs. Images and targets are drawn at random; the loss is
CrossEntropyLoss, or BCEWithLogitsLoss if the net gives one number an image. If anything differs by more than
rounding, the first number that parts is explained on both sides, and the exit code is 1."""
EXAMPLES = """examples:
  minicnn compare net.py:Net                                the class Net in net.py, built without arguments
  minicnn compare net.py:make_net --input 3,32,32           or a function that returns a module, or a module
  minicnn compare net.py:Net --weights net.pt               with trained weights (a state_dict; .pt or .safetensors)
  minicnn compare net.py:Net --steps 20 --optimizer sgd     and 20 steps of training beside each other
  minicnn compare net.py:Net --exact                        in small integers: every bit must agree
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `minicnn compare` takes.

    >>> parser = argparse.ArgumentParser(); add_arguments(parser)
    >>> parser.parse_args(["net.py:Net", "--input", "3,32,32"]).input
    (3, 32, 32)
    """
    parser.add_argument(
        "module", metavar="SCRIPT.py:NAME", help="a file, and a class, function or module in it"
    )
    parser.add_argument(
        "--input",
        type=shape,
        default=(1, 28, 28),
        metavar="C,H,W",
        help="shape of an image (default: 1,28,28)",
    )
    parser.add_argument(
        "--batch", type=positive, default=4, metavar="N", help="number of images (default: 4)"
    )
    parser.add_argument("--weights", metavar="FILE", help="a state_dict to load first, .pt or .safetensors")
    parser.add_argument(
        "--steps", type=natural, default=0, metavar="K", help="train both for K steps as well"
    )
    parser.add_argument(
        "--optimizer", choices=["sgd", "adam", "adamw"], default="adam", help="for --steps (default: adam)"
    )
    parser.add_argument("--exact", action="store_true", help="small integers in place of weights and images")
    parser.add_argument(
        "--eval", action="store_true", help="in evaluation mode: dropout off, running statistics"
    )
    parser.add_argument(
        "--seed", type=natural, default=0, help="of the random images and targets (default: 0)"
    )


def shape(text: str) -> tuple[int, ...]:
    """Return "3,32,32" as a tuple.

    >>> shape("3,32,32")
    (3, 32, 32)
    """
    sizes = tuple(int(part) for part in text.split(","))
    if len(sizes) != 3 or min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"must be channels, height and width such as 3,32,32, got {text}")
    return sizes


def load_module(place: str):
    """Return the torch module that ``SCRIPT.py:NAME`` stands for.

    >>> load_module("net.py")
    Traceback (most recent call last):
    ValueError: compare: the module must be named as SCRIPT.py:NAME. Got net.py. Add a colon and the name of its class.
    """
    path, colon, name = place.rpartition(":")
    if not colon or not name.isidentifier():
        raise ValueError(
            f"compare: the module must be named as SCRIPT.py:NAME. Got {place}. "
            "Add a colon and the name of its class."
        )
    script = run_script(path)
    if not hasattr(script, name):
        raise ValueError(
            f"compare: {path} must define {name}. Got no such name. Choose a class, a function or a module in it."
        )
    found = getattr(script, name)
    from minicnn.interop.torch.library import import_torch

    torch = import_torch()
    if not isinstance(found, torch.nn.Module) and callable(found):
        try:
            found = found()
        except TypeError as error:
            raise ValueError(
                f"compare: {name} must be built without arguments. Got {error}. "
                "Write a function that builds it, and name that."
            ) from error
    if not isinstance(found, torch.nn.Module):
        raise ValueError(
            f"compare: {name} must be or return a torch.nn.Module. Got {type(found).__name__}. "
            "Name the class of the network."
        )
    return found


def run_script(path: str):
    """Return a Python file as a module; what stands under ``if __name__ == "__main__"`` does not run."""
    if not Path(path).is_file():
        raise FileNotFoundError(2, "No such file", path)
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None:
        raise ValueError(
            f"compare: the script must be a Python file, whose name ends with .py. Got {path}. "
            "For a notebook, put the class into such a file."
        )
    script = importlib.util.module_from_spec(spec)
    folder = str(Path(path).resolve().parent)
    sys.path.insert(0, folder)  # the script's own imports, as when Python runs it
    sys.modules[spec.name] = script
    try:
        spec.loader.exec_module(script)
    finally:
        sys.path.remove(folder)
        del sys.modules[spec.name]
    return script


def run(arguments: argparse.Namespace) -> int | None:
    """Load, bring over, compare, print; return 1 if anything differs."""
    import copy

    import numpy as np

    from minicnn import nn
    from minicnn.interop.torch import compare, from_torch, load_torch_weights

    network = load_module(arguments.module)
    network.train(not arguments.eval)
    rng = np.random.default_rng(arguments.seed)
    images = rng.normal(size=(arguments.batch, *arguments.input)).astype(np.float32)
    model = from_torch(network, images)
    if arguments.weights:
        load_torch_weights(model, arguments.weights)
        network.load_state_dict({name: as_tensor(array) for name, array in model.state_dict().items()})
    logits = copy.deepcopy(model)(images)  # the model itself keeps its statistics
    if logits.ndim != 2:
        raise ValueError(
            f"compare: the module must give one row of logits for each image. Got an output of shape {logits.shape}. "
            "Compare it in Python, with a criterion that fits."
        )
    targets, criterion = rng.integers(0, logits.shape[1], arguments.batch), None
    if logits.shape[1] == 1:  # yes or no: over a single class a cross-entropy and its gradients are zero
        targets = rng.integers(0, 2, logits.shape).astype(logits.dtype)
        criterion = nn.BCEWithLogitsLoss()
    comparison = compare(
        model,
        network,
        images,
        targets,
        criterion,
        steps=arguments.steps,
        optimizer=arguments.optimizer,
        exact=arguments.exact,
    )
    print(comparison)
    if comparison.ok:
        return None
    print(f"\n{comparison.likely_cause}")
    return 1


def as_tensor(array):
    """Return a copy of an array as torch's tensor."""
    from minicnn.interop.torch.library import import_torch

    return import_torch().from_numpy(array.copy())
