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


def run(arguments: argparse.Namespace) -> None:
    """Load, trace, explain, print."""
    from minicnn.commands.trace import traced

    t = traced(arguments)
    index = arguments.at
    if not arguments.of.endswith(".grad") and arguments.layer != "loss":
        index = (0, *index)  # there is one image
    try:
        explanation = t.explain(arguments.layer, index, arguments.of)
    except KeyError as error:
        raise ValueError(error.args[0]) from None
    print(explanation)
    if arguments.code:
        print(explanation.as_numpy() if arguments.code == "numpy" else explanation.as_torch())
