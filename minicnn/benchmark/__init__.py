"""The race: minicnn beside PyTorch, JAX and the packages written from scratch, on this machine.

    entrants/      who races; each builds a runner for a net, a convolution, a layer
    judge.py       what is right: who is wrong is struck out before the race
    race.py        turns, warm-up, medians
    whole_nets.py, convolutions.py, layers.py, cold.py, complete.py, limits.py     what is raced and measured
    contest.py     all of it, as plain data          report.py, figures.py, picture.py     what is shown of it
    ladder.py      the four rungs of the kernels, beside each other

`minicnn bench` is this package on the command line.
"""

from minicnn.benchmark.contest import Settings, run
from minicnn.benchmark.figures import Figure, figures
from minicnn.benchmark.ladder import climb
from minicnn.benchmark.race import Racer, Times, race
from minicnn.benchmark.report import save, text

__all__ = ["Figure", "Racer", "Settings", "Times", "climb", "figures", "race", "run", "save", "text"]
