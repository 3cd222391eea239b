"""The whole race: who takes part, in what, how often; one function that runs it and returns plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from minicnn import get_num_threads
from minicnn.benchmark import cold, complete, convolutions, judge, layers, limits, machine, whole_nets
from minicnn.benchmark.entrants import entrants, is_installed
from minicnn.benchmark.nets import NETS

PARTS = ("nets", "convolutions", "operations", "cold")


@dataclass(frozen=True)
class Settings:
    """How much is raced.

    Parameters
    ----------
    only : str or None
        One of "nets", "convolutions", "operations", "cold"; None is all of them.
    runs : int
        Timed runs of each racer in each case.
    patience : float
        Seconds after which a slow racer leaves a case, with five runs at the least.
    batch_sizes : tuple of int
    everyone : bool
        Whether `torch.compile`, JAX and the packages written from scratch take part: they need minutes.
    nets, operations : int
        How many of each take part.
    every_shape : int
        1 takes all shapes of the sweep, 4 every fourth.
    memory_nets : tuple of str
    starts : int
        Fresh processes for each time of a cold start.
    large_batch : int
        What the cost of one image is compared with; 0 leaves this out.
    complete : bool
        Whether MNIST complete is trained, if it is on this machine.
    limit_size, limit_megabytes : int
        Size of the matrices and of the copied array that show the machine's limits.

    Examples
    --------
    >>> Settings().runs, Settings.quick().runs
    (30, 5)
    """

    only: str | None = None
    runs: int = 30
    patience: float = 8.0
    batch_sizes: tuple[int, ...] = (1, 32, 64, 256)
    everyone: bool = True
    nets: int = len(NETS)
    every_shape: int = 1
    operations: int = len(layers.OPERATIONS)
    memory_nets: tuple[str, ...] = tuple(NETS)
    starts: int = 5
    large_batch: int = 1024
    complete: bool = True
    limit_size: int = 1536
    limit_megabytes: int = 128

    @classmethod
    def quick(cls, only: str | None = None) -> Settings:
        """Return settings for less than a minute: fewer sizes and runs, nobody who needs minutes."""
        return cls(
            only=only,
            runs=5,
            patience=0.15,
            batch_sizes=(1, 64),
            everyone=False,
            every_shape=6,
            operations=6,
            memory_nets=(),
            starts=1,
            large_batch=0,
            complete=False,
            limit_size=1024,
            limit_megabytes=64,
        )

    def parts(self) -> tuple[str, ...]:
        """Return what is raced.

        >>> Settings(only="cold").parts()
        ('cold',)
        """
        return PARTS if self.only is None else (self.only,)

    def steps(self) -> int:
        """Return how often `progress` will be called.

        >>> Settings.quick("nets").steps()
        10
        """
        libraries, memories = (3, 3) if is_installed("torch") else (2, 1)
        rounds = self.starts + 1 if self.starts > 1 else 1
        counts = {
            "nets": 1 + self.nets * len(self.batch_sizes) + 1,
            "convolutions": len(convolutions.SWEEP[:: self.every_shape]),
            "operations": self.operations,
            "cold": rounds * (libraries + 1) + memories * len(self.memory_nets),
        }
        counts["nets"] += (self.nets if self.large_batch else 0) + (complete.EPOCHS if self.trains() else 0)
        return sum(counts[part] for part in self.parts())

    def trains(self) -> bool:
        """Say whether MNIST complete is trained in this run."""
        return self.complete and "nets" in self.parts() and complete.find() is not None


def run(settings: Settings | None = None, progress=None, field: tuple[list, dict] | None = None) -> dict:
    """Race all entrants of this machine, and return everything as plain data.

    Parameters
    ----------
    settings : Settings or None
    progress : callable or None
        Called with a short text after every step.
    field : pair of list and dict, or None
        Entrants, and why others are absent; by default what `entrants` finds.

    Returns
    -------
    dict
        ``machine``, ``settings``, ``absent``, ``limits`` (with nets or convolutions), and for each part
        that was raced ``nets``, ``threads``, ``cost_per_image``, ``complete``, ``convolutions``, ``layers``,
        ``cold``, ``memory``.

    Examples
    --------
    >>> from minicnn.benchmark.entrants import Ours
    >>> small = Settings(only="operations", runs=1, operations=1)
    >>> sorted(run(small, field=([Ours()], {})))
    ['absent', 'layers', 'machine', 'settings']
    """
    settings = Settings() if settings is None else settings
    if is_installed("torch"):
        import torch

        torch.set_num_threads(get_num_threads())
    racing, absent = entrants(settings.everyone) if field is None else field
    results: dict = {"machine": machine.describe(), "settings": asdict(settings), "absent": absent}
    parts, tell = settings.parts(), progress or (lambda text: None)
    if "nets" in parts:
        _race_nets(results, settings, racing, tell)
    if "convolutions" in parts:
        results["limits"] = limits.measure(settings.limit_size, settings.limit_megabytes)
        shapes = convolutions.SWEEP[:: settings.every_shape]
        product = limits.product_racer(results["limits"]["sgemm_by"], settings.limit_size)
        rows = list(convolutions.sweep(racing, shapes, settings.runs, settings.patience, tell, product))
        for row in rows:
            if "ours" in row["times"]:
                rate = row["flops"] / row["times"]["ours"]["median"] / 1e9
                limit = row.get("sgemm_gflops", results["limits"]["sgemm_gflops"])
                row |= {"gflops": rate, "share": rate / limit}
        results["convolutions"] = rows
    if "operations" in parts:
        chosen = layers.OPERATIONS[: settings.operations]
        results["layers"] = list(layers.contest(racing, chosen, settings.runs, settings.patience, tell))
    if "cold" in parts:
        results["cold"] = cold.start(settings.starts, tell)
        results["memory"] = cold.memory(settings.memory_nets, 256, tell)
    return results


def _race_nets(results: dict, settings: Settings, racing: list, tell) -> None:
    """Race the whole nets, and what is measured with them: threads, cost of an image, MNIST complete."""
    found = {entrant.name: judge.fault_on_courses(entrant) for entrant in racing}
    faults = {name: fault for name, fault in found.items() if fault}
    tell("the obstacle courses")
    chosen = list(NETS.values())[: settings.nets]
    rows = whole_nets.contest(
        racing, chosen, settings.batch_sizes, settings.runs, settings.patience, faults, tell
    )
    results["nets"] = list(rows)
    size = 64 if 64 in settings.batch_sizes else settings.batch_sizes[-1]
    net = NETS["DeeperCNN"]
    results["threads"] = whole_nets.threads_gain(net, size, settings.runs, count=2)
    tell("threads")
    if settings.large_batch:
        results["cost_per_image"] = []
        for net in chosen:
            cost = whole_nets.cost_per_image(net, size, settings.large_batch, settings.runs)
            results["cost_per_image"].append(cost)
            tell(f"cost of an image, {net.name}")
    if settings.trains():
        results["complete"] = complete.train(progress=tell)


def tiny(only: str | None = None) -> Settings:
    """Return the least that still goes through every part: for the tests.

    >>> tiny().runs
    2
    """
    return replace(
        Settings.quick(only),
        runs=2,
        patience=0.05,
        batch_sizes=(1,),
        nets=1,
        every_shape=len(convolutions.SWEEP),
        operations=2,
        memory_nets=("MNIST net",),
        limit_size=64,
        limit_megabytes=1,
    )
