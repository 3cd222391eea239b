"""Layers, containers and losses, with torch's names, arguments and defaults."""

from minicnn.nn import init
from minicnn.nn.activations import ELU, GELU, LeakyReLU, ReLU, Sigmoid, SiLU, Tanh
from minicnn.nn.arithmetic import Affine, Mean
from minicnn.nn.average_pooling import AdaptiveAvgPool2d, AvgPool2d
from minicnn.nn.axes import Permute, Slice, Unsqueeze
from minicnn.nn.binary_losses import BCELoss, BCEWithLogitsLoss
from minicnn.nn.class_losses import NLLLoss
from minicnn.nn.containers import Identity, Residual, Sequential
from minicnn.nn.conv import Conv2d
from minicnn.nn.cross_entropy import CrossEntropyLoss
from minicnn.nn.dropout import Dropout, Dropout2d
from minicnn.nn.grad_mode import enable_grad, is_grad_enabled, no_grad
from minicnn.nn.graph import Graph
from minicnn.nn.group_norm import GroupNorm
from minicnn.nn.hard_activations import Clamp, Hardsigmoid, Hardswish, Hardtanh, ReLU6
from minicnn.nn.joins import Add, Concatenate, Multiply
from minicnn.nn.linear import Flatten, Linear
from minicnn.nn.losses import L1Loss, Loss, MSELoss
from minicnn.nn.maximum import Max
from minicnn.nn.module import Module, Parameter
from minicnn.nn.normalization import BatchNorm1d, BatchNorm2d
from minicnn.nn.pooling import MaxPool2d
from minicnn.nn.prelu import PReLU
from minicnn.nn.shapes import Pad2d, Reshape, Squeeze
from minicnn.nn.softmax import LogSoftmax, Softmax

__all__ = [
    "ELU",
    "GELU",
    "AdaptiveAvgPool2d",
    "Add",
    "Affine",
    "AvgPool2d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Clamp",
    "Concatenate",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "Dropout2d",
    "Flatten",
    "Graph",
    "GroupNorm",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "Identity",
    "L1Loss",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "Loss",
    "MSELoss",
    "Max",
    "MaxPool2d",
    "Mean",
    "Module",
    "Multiply",
    "NLLLoss",
    "PReLU",
    "Pad2d",
    "Parameter",
    "Permute",
    "ReLU",
    "ReLU6",
    "Reshape",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Squeeze",
    "Tanh",
    "Unsqueeze",
    "enable_grad",
    "init",
    "is_grad_enabled",
    "no_grad",
]
