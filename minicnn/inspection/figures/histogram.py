"""Activations by layer while a model learns: a callback for `fit` that can draw what it saw."""

from __future__ import annotations

import math

import numpy as np

from minicnn import nn
from minicnn.checks import cast
from minicnn.inspection.attribution import check_images
from minicnn.inspection.figures.canvas import as_figure
from minicnn.inspection.receptive import MOVED, SAME_ORDER
from minicnn.inspection.record import recording, unchanged
from minicnn.inspection.table import dead_units
from minicnn.metrics.figures import COLOURS, LINES

BINS = 50  # about so many for each layer; each is a power of two wide, so that epochs can be joined exactly
ONLY_MOVED = SAME_ORDER | MOVED | {"Identity"}


class ActivationHistogram:
    """Counts the activations of each layer after every epoch, and the share of its units that are dead.

    A unit is dead if it is a channel (or column) of a ReLU that gives zero for each of the images. The
    same images are used every time, in evaluation mode; training goes on as if nothing had happened, to
    the bit.

    Parameters
    ----------
    images : ndarray of shape (N, C, H, W)
        Some that the model knows how to take, such as ``train.transform(train.images[:256])``.
    layers : sequence of str, optional
        Names of layers; by default all but those that only move numbers.

    Attributes
    ----------
    epochs : list of int
        When was counted: 0 is before the training.
    counts : dict of str to list of (width, first, ndarray of int)
        For each layer and epoch: bin k of width w holds the numbers from ``(first + k)·w`` to
        ``(first + k + 1)·w``, the latter left out.
    dead : dict of str to list of float
        For each ReLU and epoch.

    Raises
    ------
    TypeError, ValueError
        If the images are none, or, when it is called, if a layer is not there.

    Examples
    --------
    >>> from minicnn import data
    >>> from minicnn.training import fit
    >>> images = np.float32([[0, 1], [1, 0], [0, 2], [2, 0]]).reshape(4, 1, 1, 2)
    >>> train = data.ArrayDataset(images, np.array([0, 1, 0, 1]))
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(2, 3, rng=0), nn.ReLU(), nn.Linear(3, 2, rng=1))
    >>> histogram = ActivationHistogram(images)
    >>> histogram.record(model)                                 # before the training
    >>> history = fit(model, train, epochs=2, rng=0, progress=False, callbacks=[histogram])
    >>> histogram.epochs, list(histogram.counts)
    ([0, 1, 2], ['1', '2', '3'])
    >>> [int(counts.sum()) for _, _, counts in histogram.counts["2"]]              # 4 images · 3 units
    [12, 12, 12]
    >>> [round(share, 2) for share in histogram.dead["2"]]      # one of three units
    [0.33, 0.33, 0.33]
    >>> len(histogram.plot().axes)                              # three layers, dead units, colour bar
    5
    """

    def __init__(self, images: np.ndarray, layers=None) -> None:
        check_images("ActivationHistogram", nn.Identity(), images)
        self.images = images
        self.layers = None if layers is None else [str(name) for name in np.atleast_1d(layers)]
        self.epochs: list[int] = []
        self.kinds: dict[str, str] = {}
        self.counts: dict[str, list[tuple[float, int, np.ndarray]]] = {}
        self.dead: dict[str, list[float]] = {}

    def __call__(self, state) -> None:
        """Count after an epoch; `fit` calls this."""
        self.record(state.model, state.epoch)

    def record(self, model: nn.Module, epoch: int = 0) -> None:
        """Count now.

        >>> histogram = ActivationHistogram(np.float32([[[[1, -2]]], [[[3, -4]]]]))
        >>> histogram.record(nn.Sequential(nn.ReLU()))
        >>> width, first, counts = histogram.counts["0"][0]
        >>> width * first, int(counts[0]), int(counts.sum())    # from 0: two zeros of four numbers
        (0.0, 2, 4)
        """
        with nn.no_grad(), unchanged(model), recording(model) as steps:
            model.eval()(self.images)
        found = {step.name: step for step in steps}
        for name in self.layers or ():
            if name not in found:
                raise ValueError(
                    f"ActivationHistogram: layers must name layers of the model. Got {name!r}. "
                    f"Choose among {', '.join(map(repr, found))}."
                )
        self.epochs.append(epoch)
        for name, step in found.items():
            if name not in self.layers if self.layers else step.kind in ONLY_MOVED:
                continue
            self.kinds[name] = step.kind
            self.counts.setdefault(name, []).append(count(step.output))
            dead = dead_units(step)
            if dead is not None:
                self.dead.setdefault(name, []).append(float(dead.mean()))

    def plot(self, figure=None):
        """Draw the histogram of each layer over the epochs, and the share of dead units of each ReLU.

        Parameters
        ----------
        figure : matplotlib Figure or SubFigure, optional
            By default a new one, which pyplot does not know of.

        Returns
        -------
        matplotlib Figure or SubFigure

        Raises
        ------
        RuntimeError
            If nothing was counted yet.
        """
        if not self.epochs:
            raise RuntimeError(
                "ActivationHistogram: plot needs at least one epoch. Got none. "
                "Pass this object to fit in callbacks=[...] first."
            )
        panels = len(self.counts) + bool(self.dead)
        rows = -(-panels // 3)
        columns = -(-panels // rows)
        figure = as_figure("ActivationHistogram", figure, (3.2 * columns + 1, 2.4 * rows + 0.6))
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax in axes[panels:]:
            ax.remove()
        edges = np.append(np.arange(len(self.epochs)), len(self.epochs)) - 0.5
        for ax, (name, counted) in zip(axes, self.counts.items(), strict=False):
            values, shares = joined(counted)
            picture = ax.pcolormesh(edges, values, shares.T, cmap="viridis", norm=share_norm())
            ax.axhline(0, color="white", linewidth=0.6, linestyle=":")
            ax.set(title=f'{self.kinds[name]} "{name}"', ylabel="activation")
        if self.dead:
            draw_dead(axes[len(self.counts)], self.dead, self.kinds)
        positions = range(0, len(self.epochs), -(-len(self.epochs) // 8))
        for number, ax in enumerate(axes[:panels]):
            ax.set_xticks(positions, [self.epochs[position] for position in positions])
            ax.set_xlabel("epoch" if number + columns >= panels else "")
            ax.title.set_fontsize("medium")
        figure.colorbar(
            picture,
            ax=axes[:panels].tolist(),
            label="share of the layer's activations",
            aspect=30,
            extend="min",
        )
        return figure


def draw_dead(ax, dead: dict, kinds: dict) -> None:
    """Draw a line for each layer: its share of dead units by epoch."""
    for number, (name, shares) in enumerate(dead.items()):
        colour, line = COLOURS[number % len(COLOURS)], LINES[number % len(LINES)]
        label = f'{kinds[name]} "{name}"'
        ax.plot(range(len(shares)), shares, color=colour, linestyle=line, marker="o", label=label)
    largest = max(max(shares) for shares in dead.values())
    ax.set_ylim(-0.02 * max(largest, 0.1), max(1.5 * largest, 0.1))  # room for the legend
    ax.yaxis.set_major_formatter(lambda share, position: f"{share:.0%}" if share <= 1 else "")
    ax.set(title="dead units", ylabel="share of the units")
    ax.legend(fontsize="small", loc="upper right")
    ax.grid(alpha=0.3)


def share_norm():
    """Return a logarithmic scale of shares, from one in a thousand to all."""
    from matplotlib.colors import LogNorm

    return LogNorm(vmin=1e-3, vmax=1, clip=True)


def count(array: np.ndarray) -> tuple[float, int, np.ndarray]:
    """Return the width of the bins, the number of the first one, and how many numbers lie in each.

    >>> count(np.array([0.0, 0.5, 0.6, 63.9]))[:2], count(np.array([-1.0, np.nan, 99.0]))[:2]
    ((2.0, 0), (2.0, -1))
    """
    finite = cast(array[np.isfinite(array)]).ravel()
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    width = 2.0 ** math.ceil(math.log2(max(high - low, abs(high) * 1e-6, 1e-30) / BINS))
    places = np.floor(finite / width).astype(np.int64)
    first = math.floor(low / width)
    return width, first, np.bincount(places - first, minlength=1)


def joined(counted: list) -> tuple[np.ndarray, np.ndarray]:
    """Return the edges of bins that fit all epochs, and each epoch's share in each bin, (epochs, bins).

    >>> edges, shares = joined([(1.0, 0, np.array([1, 2, 1])), (2.0, -1, np.array([3, 1]))])
    >>> edges.tolist(), shares.tolist()                         # 1 + 2 of 4 lie from 0 to 2
    ([-2.0, 0.0, 2.0, 4.0], [[0.0, 0.75, 0.25], [0.75, 0.25, 0.0]])
    """
    widest = max(width for width, _, _ in counted)
    placed = []
    for width, first, counts in counted:
        ratio = widest / width  # a power of two, so that no bin is cut; may be too large for an int64
        placed.append((((first + np.arange(len(counts))) // ratio).astype(np.int64), counts))
    low = min(int(places[0]) for places, _ in placed)
    bins = max(int(places[-1]) for places, _ in placed) - low + 1
    shares = np.stack(
        [np.bincount(places - low, counts, bins) / max(counts.sum(), 1) for places, counts in placed]
    )
    return widest * (low + np.arange(bins + 1)), shares  # (bins + 1,), (epochs, bins)
