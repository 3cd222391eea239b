"""Optimizers and schedulers, with torch's names, arguments and defaults."""

from minicnn.optim import lr_scheduler
from minicnn.optim.adam import Adam, AdamW
from minicnn.optim.optimizer import Optimizer, clip_grad_norm_
from minicnn.optim.sgd import SGD, RMSprop

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "clip_grad_norm_", "lr_scheduler"]
