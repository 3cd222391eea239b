"""Layers, containers and losses, with torch's names, arguments and defaults."""

from minicnn.nn import init
from minicnn.nn.activations import ReLU, Tanh
from minicnn.nn.containers import Residual, Sequential
from minicnn.nn.grad_mode import is_grad_enabled, no_grad
from minicnn.nn.linear import Flatten, Linear
from minicnn.nn.module import Module, Parameter

__all__ = [
    "Flatten",
    "Linear",
    "Module",
    "Parameter",
    "ReLU",
    "Residual",
    "Sequential",
    "Tanh",
    "init",
    "is_grad_enabled",
    "no_grad",
]
