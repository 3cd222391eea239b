"""History: what happened in each epoch."""

from __future__ import annotations

import math

import numpy as np

COLUMNS = ("loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds")
# A longer table shows its beginning and its end.
MOST_ROWS = 24
# Blue and vermilion, apart for colour-blind eyes too (Okabe and Ito, 2008).
COLOURS = ("#0072B2", "#D55E00")


class History:
    """The numbers of every complete epoch, as lists of equal length.

    Attributes
    ----------
    loss, accuracy : list of float
        Mean over the training batches while the weights were changing. The accuracy is NaN where there
        are no classes to compare (see `evaluate`).
    val_loss, val_accuracy : list of float
        On the validation set after the epoch; empty without one.
    lr : list of float
        Learning rate of the epoch's last step, in the optimizer's first group.
    seconds : list of float
        Duration, validation included.
    interrupted : bool
        Whether Ctrl-C ended the training; the epoch in which it came is not in the lists.
    stopped_early : bool
        Whether `early_stopping` or a callback ended it.

    Examples
    --------
    >>> history = History()
    >>> history.append(loss=0.5, accuracy=0.75, val_loss=0.6, val_accuracy=0.7, lr=0.001, seconds=2.04)
    >>> history.append(loss=0.25, accuracy=0.9, val_loss=0.7, val_accuracy=0.65, lr=0.001, seconds=2.0)
    >>> history
    epoch    loss  accuracy  val_loss  val_accuracy     lr  seconds
        1  0.5000    0.7500    0.6000        0.7000  0.001      2.0
        2  0.2500    0.9000    0.7000        0.6500  0.001      2.0
    >>> len(history), history.best_epoch, history.loss
    (2, 1, [0.5, 0.25])
    """

    def __init__(self) -> None:
        self.loss: list[float] = []
        self.accuracy: list[float] = []
        self.val_loss: list[float] = []
        self.val_accuracy: list[float] = []
        self.lr: list[float] = []
        self.seconds: list[float] = []
        self.interrupted = False
        self.stopped_early = False

    def __len__(self) -> int:
        return len(self.loss)

    @property
    def best_epoch(self) -> int | None:
        """The epoch (from 1) with the lowest validation loss, the first of equals; None without one."""
        losses = [math.inf if math.isnan(loss) else loss for loss in self.val_loss]
        return losses.index(min(losses)) + 1 if losses else None

    def append(self, **numbers: float) -> None:
        """Add one epoch: a number for each list."""
        for name, number in numbers.items():
            getattr(self, name).append(float(number))

    def as_dict(self) -> dict[str, list[float]]:
        """Return the lists by name, for pandas or JSON; those that are empty are left out.

        >>> history = History()
        >>> history.append(loss=0.5, accuracy=0.75, lr=0.001, seconds=2.0)
        >>> history.as_dict()
        {'loss': [0.5], 'accuracy': [0.75], 'lr': [0.001], 'seconds': [2.0]}
        """
        return {name: list(getattr(self, name)) for name in COLUMNS if getattr(self, name)}

    def state_dict(self) -> dict:
        """Return everything, for a checkpoint."""
        return {name: getattr(self, name) for name in (*COLUMNS, "interrupted", "stopped_early")}

    def load_state_dict(self, state: dict) -> None:
        """Go on from what `state_dict` returned."""
        for name in (*COLUMNS, "interrupted", "stopped_early"):
            setattr(self, name, state[name])

    def __repr__(self) -> str:
        columns = {"epoch": [str(epoch + 1) for epoch in range(len(self))]}
        columns |= {name: [_text(name, number) for number in v] for name, v in self.as_dict().items()}
        rows = list(zip(*columns.values(), strict=True))
        if len(rows) > MOST_ROWS:
            rows = [*rows[: MOST_ROWS // 2], ("...",) * len(columns), *rows[-MOST_ROWS // 2 :]]
        widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
        lines = [
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in (columns, *rows)
        ]
        if self.interrupted:
            lines.append(f"interrupted in epoch {len(self) + 1}")
        if self.stopped_early:
            lines.append(f"stopped early after epoch {len(self)}")
        return "\n".join(lines)

    def plot(self, ax=None):
        """Draw loss and accuracy by epoch, training beside validation.

        Parameters
        ----------
        ax : one or two matplotlib Axes, optional
            On a single one the accuracy has its scale on the right. By default a new figure with two
            panels, or one if there is no accuracy.

        Returns
        -------
        ndarray of matplotlib Axes
            Those that were drawn on: of the loss, then of the accuracy.

        Examples
        --------
        >>> history = History()
        >>> history.append(loss=0.5, accuracy=0.75, val_loss=0.6, val_accuracy=0.7, lr=0.001, seconds=2.0)
        >>> [axes.get_ylabel() for axes in history.plot()]
        ['loss', 'accuracy']
        """
        panels = ["loss"] if all(map(math.isnan, self.accuracy)) else ["loss", "accuracy"]
        axes = _axes(ax, len(panels))
        shared = len(axes) < len(panels)
        if shared:
            axes.append(axes[0].twinx())
        lines = []
        for panel, axis, own in zip(panels, axes, COLOURS, strict=False):
            colours = (own, own) if shared else COLOURS  # one colour a scale, or one for each curve
            lines.append(self._plot_panel(panel, axis, colours, panel if shared else ""))
            if shared:
                axis.yaxis.label.set_color(own)
        if shared:
            axes[1].grid(False)
            axes[0].legend(handles=lines[0] + lines[1], frameon=False, loc="center right")
        else:
            for axis, drawn in zip(axes, lines, strict=False):
                axis.legend(handles=drawn, frameon=False)
        return np.array(axes[: len(panels)], dtype=object)

    def _plot_panel(self, panel: str, axis, colours: tuple[str, str], suffix: str) -> list:
        """Draw training and validation of one quantity; return the lines."""
        lines, epochs = [], np.arange(1, len(self) + 1)
        styles = (("training", panel, "-", "o"), ("validation", f"val_{panel}", "--", "s"))
        for colour, (part, name, line, marker) in zip(colours, styles, strict=True):
            numbers = getattr(self, name)
            if numbers:
                label = f"{part} {suffix}".strip()
                lines += axis.plot(epochs, numbers, line, color=colour, marker=marker, ms=4, label=label)
        axis.set_xlabel("epoch")
        axis.set_ylabel(panel)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
        return lines


def _axes(ax, count: int) -> list:
    """Return matplotlib Axes as a list: those given, or new ones side by side."""
    if ax is not None:
        axes = list(np.ravel(np.array(ax, dtype=object)))
        if len(axes) > 2:
            raise ValueError(
                f"History.plot: ax must be one Axes or two. Got {len(axes)}. Pass two, or leave ax out."
            )
        return axes
    from matplotlib import pyplot

    _, new = pyplot.subplots(1, count, figsize=(4.5 * count, 3.2), squeeze=False, layout="constrained")
    return list(new[0])


def _text(name: str, number: float) -> str:
    """Return a number as it stands in a table."""
    if name == "seconds":
        return f"{number:.1f}"
    return f"{number:.3g}" if name == "lr" else f"{number:.4f}"


def epoch_line(history: History, epochs: int) -> str:
    """Return the newest epoch as one line; an accuracy that is NaN is left out, as there are no classes.

    >>> history = History()
    >>> history.append(loss=0.5, accuracy=float("nan"), val_loss=0.6, lr=0.001, seconds=2.0)
    >>> epoch_line(history, 10)
    'epoch  1/10  loss 0.5000  val_loss 0.6000  lr 0.001  2.0 s'
    """
    newest = {name: numbers[-1] for name, numbers in history.as_dict().items()}
    for name in ("accuracy", "val_accuracy"):
        if math.isnan(newest.get(name, 0)):
            del newest[name]
    shown = [f"{name} {_text(name, number)}" for name, number in newest.items()]
    head = f"epoch {len(history):>{len(str(epochs))}}/{epochs}"
    return "  ".join([head, *shown]).replace("  seconds ", "  ") + " s"
