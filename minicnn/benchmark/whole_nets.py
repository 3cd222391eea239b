"""Whole nets: forward alone, and a full training step, of every net at every batch size.

Once an entrant has been judged, its rate of learning is 0, so that every step is the same work. A net that is trained
on the same images a thousand times knows them; its gradients become so small that they underflow, and with such
numbers many CPUs compute a hundred times more slowly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from minicnn import get_num_threads, set_num_threads
from minicnn.benchmark import judge
from minicnn.benchmark.entrants.ours import Ours
from minicnn.benchmark.limits import compute
from minicnn.benchmark.nets import Net
from minicnn.benchmark.race import Racer, race
from minicnn.benchmark.result import outcome
from minicnn.kernels import jitted

PASSES = ("forward", "training step")


def contest(
    entrants: list,
    nets: list[Net],
    batch_sizes,
    runs: int,
    patience: float,
    faults: dict[str, str],
    progress=None,
) -> Iterator[dict]:
    """Judge and race every net at every batch size; yield one row for each pass.

    Parameters
    ----------
    entrants : list
    nets : list of Net
    batch_sizes : sequence of int
    runs : int
    patience : float
        See `race`.
    faults : dict of str to str
        Who was struck out on the obstacle courses, and why.
    progress : callable or None
        Called with a text after each net.

    Examples
    --------
    >>> from minicnn.benchmark.nets import NETS
    >>> rows = list(contest([Ours()], [NETS["MNIST net"]], [1], runs=2, patience=1, faults={}))
    >>> [(row["net"], row["N"], row["pass"]) for row in rows]
    [('MNIST net', 1, 'forward'), ('MNIST net', 1, 'training step')]
    """
    for net in nets:
        for size in batch_sizes:
            model, (images, targets) = net.build(rng=0), net.batch(size)
            wanted = judge.expected(model, images, targets, jitted)
            runners, struck_out = {}, dict(faults)
            for entrant in entrants:
                if entrant.name not in faults:
                    runner, fault = judge.attempt(entrant, model, images, targets, wanted, judge.NETS)
                    runners[entrant.name] = runner
                    if fault:
                        struck_out[entrant.name] = fault
            standing = {name: runner for name, runner in runners.items() if name not in struck_out}
            for runner in standing.values():
                runner.hold()
            for name, method in zip(PASSES, ("forward", "step"), strict=True):
                racers = [Racer(who, getattr(runner, method)) for who, runner in standing.items()]
                times = race(racers, runs, patience=patience)
                yield {"net": net.name, "N": size, "pass": name} | outcome(times, struck_out)
            if progress is not None:
                progress(f"{net.name}, N = {size}")


def threads_gain(net: Net, size: int, runs: int, count: int) -> dict:
    """Race `count` threads of ours against one, over a training step, a forward pass, and arithmetic alone.

    More than arithmetic alone, which takes its turn between the passes, nothing can gain: that tells what cores there
    were at that time.

    >>> from minicnn.benchmark.nets import NETS
    >>> sorted(threads_gain(NETS["MNIST net"], 1, runs=2, count=2))
    ['N', 'arithmetic alone', 'forward', 'net', 'threads', 'training step']
    """
    runner = Ours().net(net.build(rng=0), *net.batch(size))
    runner.hold()
    before = get_num_threads()
    found = {"net": net.name, "N": size, "threads": count}
    try:
        runs_of = {"forward": runner.forward, "training step": runner.step, "arithmetic alone": compute}
        racers = [
            Racer(f"{name}, {threads}", run, before=partial(use, threads, runner))
            for name, run in runs_of.items()
            for threads in (1, count)
        ]
        times = race(racers, runs)
        for name in runs_of:
            found[name] = times[f"{name}, 1"].median / times[f"{name}, {count}"].median
    finally:
        set_num_threads(before)
    return found


def use(count: int, runner) -> None:
    """Set the number of threads, and wake them: the first call after a change starts them."""
    set_num_threads(count)
    runner.forward()


def cost_per_image(net: Net, small: int, large: int, runs: int) -> dict:
    """Return how much an image of a large batch costs, in that of small batches: 1.0 is flat.

    Both take the same images in one run, in small batches or all at once. One small batch again and again would come
    from the caches, where a large one finds no room: that the images come from memory is no matter of the batch.

    >>> from minicnn.benchmark.nets import NETS
    >>> sorted(cost_per_image(NETS["MNIST net"], 1, 2, runs=2))
    ['forward', 'large', 'net', 'small', 'training step']
    """
    images, targets = net.batch(large)
    batches = [(images[at : at + small], targets[at : at + small]) for at in range(0, large, small)]
    whole, parts = Ours().net(net.build(rng=0), images, targets), Ours().net(net.build(rng=0), *batches[0])
    whole.hold()
    parts.hold()
    found = {"net": net.name, "small": small, "large": large}
    for name, method in zip(PASSES, ("forward", "step"), strict=True):
        run = partial(in_batches, parts, batches, getattr(parts, method))
        times = race([Racer("whole", getattr(whole, method)), Racer("parts", run)], runs)
        found[name] = times["whole"].median / times["parts"].median
    return found


def in_batches(runner, batches: list[tuple], run: Callable[[], object]) -> None:
    """Give `runner` one batch after the other, and `run`."""
    for runner.images, runner.targets in batches:
        run()
