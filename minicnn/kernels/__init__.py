"""The ladder of convolution and pooling: one set of functions on four rungs.

| rung      | how                                   | for                                    |
|-----------|---------------------------------------|----------------------------------------|
| `loops`   | plain Python loops, sums in float64   | what "right" means                     |
| `im2col`  | NumPy: windows as rows, one product   | how libraries did it for years         |
| `jitted`  | Numba: sums of long shifted rows      | to be read                             |
| `fast`    | tiles of sums kept in registers       | to be used                             |

All have the same names, arguments and results, and check nothing: `minicnn.nn` checks before it calls.
Arguments named `stride`, `padding`, `dilation` and `kernel_size` are pairs (height, width).

    conv2d(input, weight, bias, stride, padding, dilation, groups)                       -> output
    conv2d_grad_input(grad_output, weight, input_shape, stride, padding, dilation, groups)   -> grad_input
    conv2d_grad_weight(grad_output, input, weight_shape, stride, padding, dilation, groups)  -> grad_weight
    conv2d_grad_bias(grad_output)                 of (N, C_out, ...), a linear layer's too -> grad_bias
    max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode)                 -> output, indices
    max_pool2d_backward(grad_output, indices, input_shape)                               -> grad_input
    linear(input, weight, bias)                                                          -> output
    linear_grad_input(grad_output, weight)                                               -> grad_input
    linear_grad_weight(grad_output, input)                                               -> grad_weight
    relu(input)                                                                          -> output
    relu_backward(grad_output, output)                                                   -> grad_input
    leaky_relu(input, slope)                                                             -> output
    leaky_relu_backward(grad_output, input, slope)                                       -> grad_input
    elu(input, alpha)                                                                    -> output
    elu_backward(grad_output, input, alpha)                                              -> grad_input
    sigmoid(input)                                                                       -> output
    sigmoid_backward(grad_output, output)                                                -> grad_input
    silu(input)                                                                          -> output, gate
    silu_backward(grad_output, input, gate)                                              -> grad_input
    gelu(input)                                                                          -> output, below
    gelu_backward(grad_output, input, below)                                             -> grad_input
    average(input, rows, columns, divisors)                                              -> output
    average_backward(grad_output, rows, columns, divisors, input_shape)                  -> grad_input
    batch_norm(input, given, weight, bias, eps)                      -> output, mean, variance, inv_std
    batch_norm_backward(grad_output, input, mean, inv_std, weight, own)
                                                                     -> grad_input, grad_weight, grad_bias
    are_classes(indexes, classes)                                                        -> bool
    cross_entropy(logits, targets, probabilities)                    -> losses; fills probabilities
    cross_entropy_backward(probabilities, targets, factors)                              -> grad_logits
    adam(data, grad, mean, square, largest, lr, betas, eps, step)                        in place

`bias` may be None. `indices` (int64) count row·W + column in the unpadded plane, as in torch.
The layers call these names here, so the rung is chosen in this one place.
"""

from numba import config
from numba.core import event

if config.DISABLE_JIT:  # vectors need the compiler; loops can be stepped through
    from minicnn.kernels import activations as curves
    from minicnn.kernels import averaging as averages
    from minicnn.kernels import elementwise as relus
    from minicnn.kernels import jitted as rung
    from minicnn.kernels import norm as norms
    from minicnn.kernels import softmax as softmaxes
    from minicnn.kernels.activations import gelu, gelu_backward
    from minicnn.kernels.elementwise import adam
else:
    from minicnn.kernels import ahead, score, threads
    from minicnn.kernels import fast as rung
    from minicnn.kernels import fast_activations as curves
    from minicnn.kernels import fast_averaging as averages
    from minicnn.kernels import fast_grad as grads
    from minicnn.kernels import fast_norm as norms
    from minicnn.kernels import fast_relu as relus
    from minicnn.kernels import fast_softmax as softmaxes
    from minicnn.kernels.compiling import CollectorRests
    from minicnn.kernels.fast_adam import adam
    from minicnn.kernels.fast_gelu import gelu, gelu_backward
    from minicnn.kernels.stale import forget_if_stale
    from minicnn.kernels.tiles import walk

    forget_if_stale(walk)
    event.register("numba:compile", CollectorRests())
    event.register("numba:compile", ahead.second)

conv2d = rung.conv2d
conv2d_grad_input = rung.conv2d_grad_input
conv2d_grad_weight = rung.conv2d_grad_weight
conv2d_grad_bias = rung.conv2d_grad_bias
max_pool2d = rung.max_pool2d
max_pool2d_backward = rung.max_pool2d_backward
linear = rung.linear
linear_grad_input = rung.linear_grad_input
linear_grad_weight = rung.linear_grad_weight
relu = relus.relu
relu_backward = relus.relu_backward
leaky_relu = curves.leaky_relu
leaky_relu_backward = curves.leaky_relu_backward
elu = curves.elu
elu_backward = curves.elu_backward
sigmoid = curves.sigmoid
sigmoid_backward = curves.sigmoid_backward
silu = curves.silu
silu_backward = curves.silu_backward
are_classes = softmaxes.are_classes
average = averages.average
average_backward = averages.average_backward
batch_norm = norms.batch_norm
batch_norm_backward = norms.batch_norm_backward
cross_entropy = softmaxes.cross_entropy
cross_entropy_backward = softmaxes.cross_entropy_backward

FUSES = not config.DISABLE_JIT  # whether there are the following, which do several of these at once
if FUSES:
    prepared_conv2d = relus.prepared_conv2d
    conv2d_grad_sums = grads.conv2d_grad_sums
    conv2d_grad_parameters = grads.conv2d_grad_parameters
    Recorder, perform = score.Recorder, threads.perform
    expect_training = ahead.expect_training

__all__ = [
    "adam",
    "are_classes",
    "average",
    "average_backward",
    "batch_norm",
    "batch_norm_backward",
    "conv2d",
    "conv2d_grad_bias",
    "conv2d_grad_input",
    "conv2d_grad_weight",
    "cross_entropy",
    "cross_entropy_backward",
    "elu",
    "elu_backward",
    "gelu",
    "gelu_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "linear",
    "linear_grad_input",
    "linear_grad_weight",
    "max_pool2d",
    "max_pool2d_backward",
    "relu",
    "relu_backward",
    "sigmoid",
    "sigmoid_backward",
    "silu",
    "silu_backward",
]
