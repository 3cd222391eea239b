"""What `fit` shows: a bar while an epoch runs, if there is a terminal, and one line when it is over."""

from __future__ import annotations

import sys

from tqdm import tqdm

from minicnn.training.evaluation import Tally
from minicnn.training.history import History, epoch_line


class Progress:
    """A bar on stderr and lines on stdout; neither if `shown` is False.

    A bar that moves makes no sense in a log file or a notebook's output, so without a terminal there are
    only the lines.

    Examples
    --------
    >>> history = History()
    >>> history.append(loss=0.5, accuracy=0.75, lr=0.001, seconds=2.0)
    >>> Progress(shown=True, epochs=5).epoch(history)
    epoch 1/5  loss 0.5000  accuracy 0.7500  lr 0.001  2.0 s
    """

    def __init__(self, shown: bool, epochs: int) -> None:
        self.shown, self.epochs = shown, epochs

    def bar(self, epoch: int, batches: int) -> tqdm:
        """Return the bar of an epoch (from 1), to be used in a `with` block."""
        on_terminal = self.shown and sys.stderr is not None and sys.stderr.isatty()
        text = f"epoch {epoch:>{len(str(self.epochs))}}/{self.epochs}"
        return tqdm(total=batches, desc=text, unit="batch", leave=False, disable=not on_terminal)

    def batch(self, bar: tqdm, tally: Tally) -> None:
        """Move the bar by one batch."""
        if not bar.disable:
            bar.set_postfix_str(f"loss {tally.loss:.4f}, accuracy {tally.accuracy:.4f}", refresh=False)
            bar.update()

    def epoch(self, history: History) -> None:
        """Print the newest epoch."""
        if self.shown:
            print(epoch_line(history, self.epochs), flush=True)
