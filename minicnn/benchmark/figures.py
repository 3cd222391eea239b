"""What the race must show: every figure with what it must be, what it aims at, and what was measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from minicnn.benchmark.entrants import PEERS
from minicnn.benchmark.race import geometric_mean


@dataclass(frozen=True)
class Figure:
    """One line: a figure, its limits in words, what was measured in words, and whether it was met.

    `met` is None if nothing was measured.

    Examples
    --------
    >>> Figure("import minicnn", "<= 0.9 s", "<= 0.5 s", "0.70 s", True).verdict
    'met'
    """

    name: str
    must: str
    aim: str
    measured: str
    met: bool | None

    @property
    def verdict(self) -> str:
        return {True: "met", False: "MISSED", None: "not measured"}[self.met]

    def as_dict(self) -> dict:
        """Return what `bench.json` keeps."""
        names = ("name", "must", "aim", "measured", "verdict")
        return {name: getattr(self, name) for name in names}


def figures(results: dict) -> list[Figure]:
    """Return all figures of a race, in the order in which they are promised.

    Parameters
    ----------
    results : dict
        What `minicnn.benchmark.run` has gathered so far; parts may be missing.

    Examples
    --------
    >>> found = figures({})
    >>> len(found), {figure.verdict for figure in found}
    (15, {'not measured'})
    """
    nets, sweep = results.get("nets", []), results.get("convolutions", [])
    steps = [row for row in nets if row["pass"] == "training step"]
    forwards = [row for row in nets if row["pass"] == "forward"]
    tiles = [row for row in sweep if row["full_tile"] and "share" in row]
    return [
        _least("training step, each net, each N: best torch / ours", steps, 1.0, 1.5),
        _mean("the same, geometric mean", steps, 1.5, 2.0),
        _least("forward, each net, each N", forwards, 1.0, 1.5),
        _least("forward at N = 1", [row for row in forwards if row["N"] == 1], 2.0, 3.0),
        _mean("convolution sweep, geometric mean of all three passes", sweep, 1.0, 1.5),
        _least("worst shape of the sweep", sweep, 0.6, 1.0),
        _least("share of the sgemm rate, 3x3, 16 or more channels, N = 64", tiles, 0.6, 0.85, "share"),
        _peers(nets),
        *_cold(results.get("cold", {})),
        _memory(results.get("memory", [])),
        _threads(results.get("threads")),
        _flat(results.get("cost_per_image", [])),
        _complete(results.get("complete")),
    ]


def case(row: dict) -> str:
    """Return in a few words which case a row is.

    >>> case({"net": "DeeperCNN", "N": 64, "pass": "forward"})
    'DeeperCNN, N = 64'
    """
    if "net" in row:
        return f"{row['net']}, N = {row['N']}"
    return f"{row['shape']}, {row['pass']}"


def _number(value: float) -> str:
    return f"{value:.2f}"


def _percent(value: float) -> str:
    return f"{value:.0%}"


def _least(name: str, rows: list, must: float, aim: float, key: str = "ratio") -> Figure:
    """Return a figure for the lowest number of all rows: all of them must reach it."""
    form: Callable[[float], str] = _percent if key == "share" else _number
    limits = f">= {form(must)}", f">= {form(aim)}"
    rows = [row for row in rows if row.get(key) is not None]
    if not rows:
        return Figure(name, *limits, "", None)
    worst = min(rows, key=lambda row: row[key])
    reached = sum(row[key] >= must for row in rows)
    measured = f"lowest {form(worst[key])} ({case(worst)}); {reached} of {len(rows)} reach it"
    return Figure(name, *limits, measured, reached == len(rows))


def _mean(name: str, rows: list, must: float, aim: float) -> Figure:
    ratios = [row["ratio"] for row in rows if row["ratio"] is not None]
    limits = f">= {must:.2f}", f">= {aim:.2f}"
    if not ratios:
        return Figure(name, *limits, "", None)
    mean = geometric_mean(ratios)
    return Figure(name, *limits, f"{mean:.2f} over {len(ratios)} cases", mean >= must)


def _peers(rows: list) -> Figure:
    """Return the figure of the packages written from scratch, over all cases in which one still stands."""
    name, limits = "every from-scratch peer, every case: its time / ours", (">= 5.00", ">= 20.00")
    found = [(row["ratios"][peer], peer, row) for row in rows for peer in PEERS if peer in row["ratios"]]
    if not found:
        return Figure(name, *limits, "", None)
    least, peer, row = min(found, key=lambda triple: triple[0])
    return Figure(name, *limits, f"lowest {least:.1f} ({peer}, {case(row)}, {row['pass']})", least >= 5)


def _cold(cold: dict) -> list[Figure]:
    names = ("first training step from an empty cache, imports included", "the same with a full cache")
    wanted = (("empty cache", 12.0, 6.0), ("full cache", 1.5, 0.8))
    found = []
    for name, (key, must, aim) in zip(names, wanted, strict=True):
        seconds = cold.get("first_step", {}).get(key)
        text = "" if seconds is None else f"{seconds:.2f} s"
        if seconds is not None and "torch" in cold["first_step"]:
            text += f" (torch {cold['first_step']['torch']:.2f} s)"
        met = None if seconds is None else seconds <= must
        found.append(Figure(name, f"<= {must} s", f"<= {aim} s", text, met))
    seconds = cold.get("import", {})
    text = ", ".join(f"{library} {value:.2f} s" for library, value in seconds.items())
    met = seconds["minicnn"] <= 0.9 if seconds else None
    return [*found, Figure("import minicnn", "<= 0.9 s", "<= numba's own + 0.1 s", text, met)]


def _memory(rows: list) -> Figure:
    name, limits = (
        "peak memory of a training step, each net, N = 256: ours / torch's",
        ("<= 1.00", "<= 0.70"),
    )
    rows = [row for row in rows if row["ratio"] is not None]
    if not rows:
        return Figure(name, *limits, "", None)
    worst = max(rows, key=lambda row: row["ratio"])
    fit = sum(row["ratio"] <= 1 for row in rows)
    return Figure(
        name,
        *limits,
        f"highest {worst['ratio']:.2f} ({worst['net']}); {fit} of {len(rows)} reach it",
        fit == len(rows),
    )


def _threads(gain: dict | None) -> Figure:
    name, limits = "2 threads against 1, DeeperCNN, N = 64", (">= 1.7", ">= 1.9")
    if gain is None:
        return Figure(name, *limits, "", None)
    measured = ", ".join(
        f"{name} {gain[name]:.2f}" for name in ("training step", "forward", "arithmetic alone")
    )
    return Figure(name, *limits, measured, min(gain["training step"], gain["forward"]) >= 1.7)


def _flat(rows: list) -> Figure:
    name, must = "cost per image from N = 64 to N = 1024: large / small", "0.90 to 1.10"
    if not rows:
        return Figure(name, must, "", "", None)
    ratios = [(row[key], row["net"], key) for row in rows for key in ("forward", "training step")]
    worst = max(ratios)
    least = min(ratios)
    measured = f"{least[0]:.2f} ({least[1]}, {least[2]}) to {worst[0]:.2f} ({worst[1]}, {worst[2]})"
    return Figure(name, must, "", measured, least[0] >= 0.9 and worst[0] <= 1.1)


def _complete(found: dict | None) -> Figure:
    name, limits = "MNIST complete: training until 99.0 % of the test images", ("<= 30 s", "<= 12 s")
    if found is None:
        return Figure(name, *limits, "", None)
    best, seconds = max(found["accuracy"]), found["seconds_to_goal"]
    if seconds is None:
        return Figure(name, *limits, f"{best:.2%} after {found['seconds'][-1]:.1f} s", False)
    return Figure(name, *limits, f"{seconds:.1f} s (in the end {best:.2%})", seconds <= 30)
