"""The fast rung: convolution, linear layer and pooling as they are used; see the files they come from."""

from minicnn.kernels.fast_conv import conv2d, conv2d_grad_input
from minicnn.kernels.fast_grad import conv2d_grad_bias, conv2d_grad_weight
from minicnn.kernels.fast_linear import linear, linear_grad_input, linear_grad_weight
from minicnn.kernels.fast_pooling import max_pool2d, max_pool2d_backward

__all__ = [
    "conv2d",
    "conv2d_grad_bias",
    "conv2d_grad_input",
    "conv2d_grad_weight",
    "linear",
    "linear_grad_input",
    "linear_grad_weight",
    "max_pool2d",
    "max_pool2d_backward",
]
