"""explain: say where one number of one image comes from."""

from __future__ import annotations

import argparse

DESCRIPTION = """Take one number of an image's way through a saved classifier apart, term by term. Without --layer the
way from logits to the label is explained."""
EXAMPLES = """examples:
  minicnn explain digits.safetensors seven.png                            from logits to the label
  minicnn explain digits.safetensors seven.png --layer 0 --at 3,5,7       filter 3, row 5, column 7
  minicnn explain digits.safetensors seven.png --layer softmax --at 7     one probability
  minicnn explain digits.safetensors seven.png --target 7 --layer 0 --at 3,0,1,1 --of weight.grad
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `minicnn explain` takes.

    >>> parser = argparse.ArgumentParser(); add_arguments(parser)
    >>> parser.parse_args(["m.safetensors", "a.png", "--layer", "0", "--at", "3,5,7"]).at
    (3, 5, 7)
    """
    from minicnn.commands import trace

    trace.add_arguments(parser)
    parser.add_argument("--layer", default="label", metavar="NAME", help="a name that `minicnn trace` shows")
    parser.add_argument("--at", type=place, default=(), metavar="I,J,...", help="which number of that layer")
    parser.add_argument(
        "--of", default="output", help="output (the default), grad_input, weight.grad or bias.grad"
    )
    parser.add_argument("--code", choices=("numpy", "torch"), help="also print lines that compute the number")


def place(text: str) -> tuple[int, ...]:
    """Return "3,5,7" as a tuple.

    >>> place("3,5,7")
    (3, 5, 7)
    """
    return tuple(int(part) for part in text.split(","))


def check_place(what: str, at: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """Raise ValueError, in terms of what was typed, unless `at` is a place in an array of this shape.

    >>> check_place('output of Conv2d "0"', (3, 5), (6, 28, 28))
    Traceback (most recent call last):
    ValueError: --at: output of Conv2d "0" needs 3 numbers below 6, 28, 28. Got 3,5. Count from 0, as in --at 0,0,0.
    """
    from minicnn.inspection.trace import as_index

    try:
        as_index("--at", what, at, shape)
    except ValueError:
        got, zeros = (",".join(map(str, numbers)) or "none" for numbers in (at, [0] * len(shape)))
        if not shape:
            raise ValueError(
                f"--at: {what} is a single number of the image, without a place. Got {got}. "
                "Leave --at out, or name a layer with --layer."
            ) from None
        raise ValueError(
            f"--at: {what} needs {len(shape)} number{'s' * (len(shape) > 1)} below {', '.join(map(str, shape))}. "
            f"Got {got}. Count from 0, as in --at {zeros}."
        ) from None


def run(arguments: argparse.Namespace) -> None:
    """Load, trace, explain, print."""
    import numpy as np

    from minicnn.commands.trace import traced

    classifier, t = traced(arguments)
    name, of, at = arguments.layer, arguments.of, arguments.at
    if name == "label" and t.steps[-1].name != name:  # one logit, which a threshold decides
        if arguments.code:
            raise ValueError(
                "--code: code belongs to one number, and a label of one logit is no sum. "
                f"Got --code {arguments.code}. Name a number with --layer and --at."
            )
        print(classifier.explain(t.layers[0].input))
        return
    of_images = not of.endswith(".grad") and name != "loss"
    try:
        step = t[name]
    except KeyError as error:
        raise ValueError(error.args[0]) from None
    array = step.array(of)
    if array is not None:
        check_place(f"{of} of {step.who}", at, np.shape(array)[of_images:])
    explanation = t.explain(name, (0, *at) if of_images else at, of)  # there is one image
    print(explanation)
    if arguments.code:
        print(explanation.as_numpy() if arguments.code == "numpy" else explanation.as_torch())
