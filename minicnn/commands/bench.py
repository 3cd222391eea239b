"""bench: race minicnn against PyTorch and others on this machine."""

from __future__ import annotations

import argparse
import sys

DESCRIPTION = """Race minicnn against PyTorch (eager, channels_last, torch.compile), JAX and the packages written from
scratch, as far as they are installed: whole nets, convolutions, other operations, cold start and memory. Who does
not give the right numbers is struck out first. Prints a table, and writes bench.json and bench.png."""
EXAMPLES = """examples:
  minicnn bench --quick                       less than a minute
  minicnn bench                               everything, 30 runs each; up to an hour if all libraries take part
  minicnn bench --only convolutions --out results
  minicnn bench --ladder                      loops, im2col, jitted, fast: four ways to one convolution

Close other programs first. The number of threads is MINICNN_NUM_THREADS, or all cores; torch gets as many.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `minicnn bench` takes.

    >>> parser = argparse.ArgumentParser(); add_arguments(parser)
    >>> parsed = parser.parse_args(["--quick", "--only", "nets"])
    >>> parsed.quick, parsed.ladder, parsed.only, parsed.out
    (True, False, 'nets', 'minicnn-bench')
    """
    only = ("nets", "convolutions", "operations", "cold")
    parser.add_argument(
        "--quick", action="store_true", help="fewer cases and runs, only minicnn and eager torch"
    )
    parser.add_argument("--only", choices=only, help="only this part (default: all)")
    parser.add_argument("--ladder", action="store_true", help="time the four rungs of the kernels instead")
    parser.add_argument("--out", default="minicnn-bench", metavar="FOLDER", help="default: %(default)s")


def run(arguments: argparse.Namespace) -> None:
    """Race, print, write."""
    from tqdm import tqdm

    from minicnn import benchmark
    from minicnn.benchmark.ladder import ladder_text

    if arguments.ladder:
        print(ladder_text(benchmark.climb(runs=10 if arguments.quick else 30)))
        return
    settings = benchmark.Settings.quick(arguments.only) if arguments.quick else None
    settings = settings or benchmark.Settings(only=arguments.only)
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    with tqdm(total=settings.steps(), desc="race", unit="case", leave=False, disable=not on_terminal) as bar:

        def progress(text: str) -> None:
            bar.set_postfix_str(text, refresh=False)
            bar.update()

        results = benchmark.run(settings, progress)
    print(benchmark.text(results))
    print()
    for path in benchmark.save(results, arguments.out):
        print(f"written to {path}")
