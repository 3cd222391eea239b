"""bench.png: how many times as fast as the best torch, net by net and shape by shape."""

from __future__ import annotations

import textwrap

import numpy as np

from minicnn.benchmark import machine

OURS, GREY, DARK = "#0072b2", "#bbbbbb", "#333333"
SIZES = ("#9ecae1", "#4292c6", "#2171b5", "#08306b")  # batch sizes, from the smallest
PASS_MARKS = {"forward": "o", "input gradient": "s", "weight gradient": "^"}


def draw(results: dict):
    """Return a Figure without a screen behind it.

    Parameters
    ----------
    results : dict
        What `minicnn.benchmark.run` returns, with nets or convolutions.

    Examples
    --------
    >>> row = {"net": "A", "N": 1, "pass": "forward", "ratio": 2.0, "ratios": {"torch eager": 2.0}}
    >>> len(draw({"machine": machine.describe(), "nets": [row]}).axes)
    2
    """
    from matplotlib.figure import Figure

    nets = [row for row in results.get("nets", []) if row["ratio"] is not None]
    sweep = [row for row in results.get("convolutions", []) if row["ratio"] is not None]
    rows = len({row["shape"] for row in sweep})
    heights = ([3.4] if nets else []) + ([0.6 + 0.2 * rows] if sweep else [])
    figure = Figure(figsize=(11, sum(heights) + 1.5), layout="constrained")
    parts = np.atleast_1d(figure.subfigures(len(heights) or 1, 1, height_ratios=heights or [1]))
    if nets:
        axes = parts[0].subplots(1, 2, sharey=True)
        for ax, name in zip(axes, ("forward", "training step"), strict=True):
            plot_nets([row for row in nets if row["pass"] == name], name, ax=ax)
            scale(ax.yaxis, [row["ratio"] for row in nets])  # one scale for both
    if sweep:
        plot_sweep(sweep, ax=parts[-1].subplots())
    title = (
        "How many times as fast as PyTorch: its fastest form's time / minicnn's, above 1 minicnn is faster"
    )
    figure.suptitle(title, fontsize="medium", fontweight="bold")
    note = machine.one_line(results["machine"])
    if machine.warning(results["machine"]):
        note += f". {machine.warning(results['machine'])}"
    figure.supxlabel("\n".join(textwrap.wrap(note, 150)), fontsize=7, color=DARK)
    return figure


def plot_nets(rows: list[dict], name: str, *, ax):
    """Draw one bar for each net and batch size, and return the axes.

    >>> from matplotlib.figure import Figure
    >>> row = {"net": "A", "N": 1, "ratio": 2.0}
    >>> plot_nets([row], "forward", ax=Figure().subplots()).get_title("left")
    'forward'
    """
    nets = list(dict.fromkeys(row["net"] for row in rows))
    sizes = sorted({row["N"] for row in rows})
    width = 0.8 / max(len(sizes), 1)
    colours = SIZES[-len(sizes) :] if len(sizes) <= len(SIZES) else [OURS] * len(sizes)
    for place, size in enumerate(sizes):
        found = {row["net"]: row["ratio"] for row in rows if row["N"] == size}
        at = [i + (place - (len(sizes) - 1) / 2) * width for i, net in enumerate(nets) if net in found]
        values = [found[net] for net in nets if net in found]
        heights = [value - 1 for value in values]  # slower than torch hangs down from the line at 1
        bars = ax.bar(at, heights, width * 0.92, bottom=1, color=colours[place], label=f"N = {size}")
        ax.bar_label(bars, [f"{value:.1f}" for value in values], padding=1, fontsize=6.5)
    ax.set_yscale("log")
    ax.axhline(1, color=DARK, linewidth=0.8)
    ax.set_xticks(range(len(nets)), nets, fontsize="small")
    ax.set_title(name, loc="left")
    ax.yaxis.set_tick_params(labelleft=True)
    if sizes:
        ax.legend(
            ncols=len(sizes), fontsize="x-small", loc="lower right", bbox_to_anchor=(1, 0.99), frameon=False
        )
    tidy(ax)
    return ax


def plot_sweep(rows: list[dict], *, ax):
    """Draw one line for each shape with a mark for each pass, and return the axes.

    >>> from matplotlib.figure import Figure
    >>> row = {"shape": "1x1x8x8 -> 1, 3x3", "pass": "forward", "ratio": 2.0}
    >>> plot_sweep([row], ax=Figure().subplots()).get_yticklabels()[0].get_text()
    '1x1x8x8 -> 1, 3x3'
    """
    shapes = list(dict.fromkeys(row["shape"] for row in rows))
    for mark, colour, name in zip(PASS_MARKS.values(), (OURS, "#d55e00", "#009e73"), PASS_MARKS, strict=True):
        found = [(row["ratio"], shapes.index(row["shape"])) for row in rows if row["pass"] == name]
        if found:
            ax.plot(*zip(*found, strict=True), mark, color=colour, markersize=5, label=name)
    scale(ax.xaxis, [row["ratio"] for row in rows])
    ax.axvline(1, color=DARK, linewidth=0.8)
    ax.set_yticks(range(len(shapes)), shapes, fontsize=7)
    ax.set_ylim(len(shapes) - 0.4, -0.6)
    ax.set_title("convolutions: images x channels x height x width -> filters, window", loc="left")
    ax.legend(ncols=3, fontsize="x-small", loc="lower right", bbox_to_anchor=(1, 0.99), frameon=False)
    tidy(ax)
    ax.grid(axis="y", color=GREY, linewidth=0.3)
    return ax


def scale(axis, values: list[float]) -> None:
    """Set a logarithmic axis with plain numbers at the doublings, from below 1 to above it."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low = min([0.5, *values]) / 1.3
    high = max([2.0, *values]) * 1.6
    ticks = 2.0 ** np.arange(np.ceil(np.log2(low)), np.floor(np.log2(high)) + 1)
    (axis.axes.set_xscale if axis.axis_name == "x" else axis.axes.set_yscale)("log")
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    (axis.axes.set_xlim if axis.axis_name == "x" else axis.axes.set_ylim)(low, high)


def tidy(ax) -> None:
    """Take away the frame that says nothing; keep light lines to read along."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_axisbelow(True)
    ax.grid(axis="both" if ax.get_xscale() == "log" else "y", color=GREY, linewidth=0.4)
