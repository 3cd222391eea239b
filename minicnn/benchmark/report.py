"""The report: a table to read, bench.json to keep, bench.png to show."""

from __future__ import annotations

import json
from pathlib import Path

from minicnn.benchmark import machine
from minicnn.benchmark.figures import case, figures
from minicnn.benchmark.result import as_text

SHORT = {"torch eager": "eager", "torch channels_last": "ch. last", "torch.compile": "compile"}


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return columns of text: the first on the left, the others on the right.

    >>> print(table(["net", "ours"], [["SimpleCNN", "1.20 ms"], ["MNIST net", "900 us"]]))
    net           ours
    ---------  -------
    SimpleCNN  1.20 ms
    MNIST net   900 us
    """
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(
            cell.rjust(w) if i else cell.ljust(w)
            for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def race_table(rows: list[dict], first: str, name_of) -> str:
    """Return the medians of all racers, a row a case; who was struck out has a cross.

    The spread is half the distance between the quartiles, of ours and of the best torch.

    >>> ours, torch = {"median": 2e-3, "quartiles": [1.9e-3, 2.1e-3]}, {"median": 6e-3, "quartiles": [6e-3, 6e-3]}
    >>> row = {"net": "A", "N": 1, "pass": "forward", "times": {"ours": ours, "torch eager": torch}}
    >>> row |= {"best_torch": "torch eager", "ratio": 3.0, "struck_out": {"mygrad": "wrong"}}
    >>> print(race_table([row], "net", case))
    net          ours    eager  mygrad  torch / ours    spread
    --------  -------  -------  ------  ------------  --------
    A, N = 1  2.00 ms  6.00 ms       x          3.00  ±5%, ±0%
    """
    names = list(dict.fromkeys(name for row in rows for name in (*row["times"], *row["struck_out"])))
    header = [first, *(SHORT.get(name, name) for name in names), "torch / ours", "spread"]
    shares = any("share" in row for row in rows)
    lines = []
    for row in rows:
        times = row["times"]
        crosses = dict.fromkeys(row["struck_out"], "x")
        cells = [as_text(times[name]["median"]) if name in times else crosses.get(name, "") for name in names]
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        spreads = [f"±{spread(times[name]):.0%}" for name in ("ours", row["best_torch"]) if name in times]
        share = [f"{row['share']:.0%}" if "share" in row else ""] if shares else []
        lines.append([name_of(row), *cells, ratio, ", ".join(spreads), *share])
    return table([*header, *(["of sgemm"] if shares else [])], lines)


def spread(times: dict) -> float:
    """Return half the distance between the quartiles, relative to the median.

    >>> spread({"median": 2.0, "quartiles": [1.5, 2.5]})
    0.25
    """
    low, high = times["quartiles"]
    return (high - low) / 2 / times["median"]


def text(results: dict) -> str:
    """Return the whole report as it is printed.

    Parameters
    ----------
    results : dict
        What `minicnn.benchmark.run` returns; parts may be missing.

    Examples
    --------
    >>> print(text({"machine": machine.describe(), "absent": {}}).splitlines()[-1][:22])
    MNIST complete: traini
    """
    blocks = [machine.one_line(results["machine"])]
    if machine.warning(results["machine"]):
        blocks.append(machine.warning(results["machine"]))
    if results["absent"]:
        blocks.append("Absent:\n" + "\n".join(f"  {name}: {why}" for name, why in results["absent"].items()))
    if "limits" in results:
        limits = results["limits"]
        blocks.append(
            f"This machine multiplies {limits['sgemm_gflops']:.0f} GFLOP/s (sgemm, {limits['sgemm_by']}) and "
            f"copies {limits['copy_gbytes_per_second']:.1f} GB/s."
        )
    for name in ("forward", "training step"):
        rows = [row for row in results.get("nets", []) if row["pass"] == name]
        if rows:
            blocks.append(f"Whole nets, {name} (medians)\n\n{race_table(rows, 'net', case)}")
    if results.get("convolutions"):
        blocks.append(f"Convolutions (medians)\n\n{race_table(results['convolutions'], 'shape', case)}")
    if results.get("layers"):
        named = race_table(results["layers"], "operation", lambda row: f"{row['operation']}, {case(row)}")
        blocks.append(f"Other operations (medians)\n\n{named}")
    if results.get("memory"):
        blocks.append(f"Peak memory of a training step\n\n{memory_table(results['memory'])}")
    if struck_out(results):
        blocks.append(
            "Struck out, because they are wrong or cannot do it (x):\n" + "\n".join(struck_out(results))
        )
    found = [[f.name, f.must, f.measured, f.verdict] for f in figures(results)]
    blocks.append(
        f"What the race must show\n\n{left_table(['figure', 'must', 'measured', 'verdict'], found)}"
    )
    return "\n\n".join(blocks)


def left_table(header: list[str], rows: list[list[str]]) -> str:
    """Return columns of text, all on the left.

    >>> print(left_table(["a", "b"], [["1", "22"]]))
    a  b
    1  22
    """
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
        for line in [header, *rows]
    )


def memory_table(rows: list[dict]) -> str:
    """Return what a training step adds at its peak, in megabytes, a row a net.

    >>> print(memory_table([{"net": "A", "N": 256, "step": {"ours": 10.4, "torch eager": 20.8}}]))
    net          ours  torch eager
    ----------  -----  -----------
    A, N = 256  10 MB        21 MB
    """
    names = list(rows[0]["step"])
    lines = [[f"{r['net']}, N = {r['N']}", *(f"{r['step'][name]:.0f} MB" for name in names)] for r in rows]
    return table(["net", *names], lines)


def struck_out(results: dict) -> list[str]:
    """Return a line for everyone who was struck out anywhere: who, where, why.

    >>> struck_out({"nets": [{"net": "A", "N": 1, "pass": "forward", "struck_out": {"mygrad": "logits differ"}}]})
    ['  mygrad: logits differ (A, N = 1)']
    """
    found = {}
    for row in [row for part in ("nets", "convolutions", "layers") for row in results.get(part, [])]:
        for name, why in row["struck_out"].items():
            found.setdefault(f"  {name}: {why}", []).append(case(row))
    return [
        f"{line} ({places[0]}{', ...' if len(set(places)) > 1 else ''})" for line, places in found.items()
    ]


def save(results: dict, folder: str | Path) -> list[Path]:
    """Write bench.json and bench.png into a folder, and return their paths.

    The JSON object holds all that `minicnn.benchmark.run` returned, and the ``figures``.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name:
    ...     paths = save({"machine": machine.describe(), "absent": {}}, name)
    ...     [path.name for path in paths]
    ['bench.json']
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "bench.json"]
    whole = results | {"figures": [figure.as_dict() for figure in figures(results)]}
    paths[0].write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    if results.get("nets") or results.get("convolutions"):
        from minicnn.benchmark.picture import draw

        paths.append(folder / "bench.png")
        draw(results).savefig(paths[1], dpi=150)
    return paths
