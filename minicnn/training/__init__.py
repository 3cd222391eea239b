"""Training: fit, evaluate and the History of what happened.

    for each epoch
        for each batch          forward, loss, backward, step           loop.py
        evaluate                on the validation set, if there is one  evaluation.py
        scheduler, best weights, early stopping, callbacks              loop.py, best.py
        write the checkpoint    everything that the next epoch needs    resume.py

Ctrl-C is kept back until a step is complete (interrupt.py).
"""

from minicnn.training.evaluation import evaluate
from minicnn.training.history import History
from minicnn.training.loop import fit
from minicnn.training.state import TrainingState

__all__ = ["History", "TrainingState", "evaluate", "fit"]
