"""Schedulers: the learning rate as a function of the epoch, of the batch, or of how training goes."""

from minicnn.optim.lr_scheduler.base import LRScheduler
from minicnn.optim.lr_scheduler.decay import CosineAnnealingLR, ExponentialLR, MultiStepLR, StepLR
from minicnn.optim.lr_scheduler.one_cycle import OneCycleLR
from minicnn.optim.lr_scheduler.plateau import ReduceLROnPlateau

__all__ = [
    "CosineAnnealingLR",
    "ExponentialLR",
    "LRScheduler",
    "MultiStepLR",
    "OneCycleLR",
    "ReduceLROnPlateau",
    "StepLR",
]
