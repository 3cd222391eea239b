"""The bug museum: defects that CNN code in the field really had, as switchable mutants of our own.

    with museum.defect("flipped kernel"):
        ...                                     # every Conv2d now convolves with its kernel turned around

or, for a whole run of the suite, ``pytest --defect "flipped kernel"``. Each exhibit is a function that
takes the right operation and returns the wrong one. tests/test_museum.py proves that the suite
catches every one of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from minicnn import functional, kernels, nn, optim
from minicnn.kernels import loops
from minicnn.parameter import Parameter


@dataclass(frozen=True)
class Exhibit:
    """One defect: what it spoils, how, and the tests that must notice."""

    owner: object  # the module or class whose attributes are replaced
    attributes: tuple[str, ...]
    spoil: Callable  # takes the right functions, returns as many wrong ones
    caught_by: str  # the test file that looks there


DEFECTS: dict[str, Exhibit] = {}


def exhibit(name: str, owner: object, *attributes: str, caught_by: str) -> Callable:
    """Put the decorated function into the museum."""

    def put(spoil: Callable) -> Callable:
        DEFECTS[name] = Exhibit(owner, attributes, spoil, caught_by)
        return spoil

    return put


@contextlib.contextmanager
def defect(name: str) -> Iterator[None]:
    """Let one operation be wrong inside the block, and right again after it, whatever happens."""
    found = DEFECTS[name]
    right = [getattr(found.owner, attribute) for attribute in found.attributes]
    wrong = found.spoil(*right)
    try:
        replace(found, wrong if isinstance(wrong, tuple) else (wrong,))
        yield
    finally:
        replace(found, right)


def replace(found: Exhibit, functions: Sequence[Callable]) -> None:
    """Put `functions` in the places that the exhibit is about."""
    for attribute, function in zip(found.attributes, functions, strict=True):
        setattr(found.owner, attribute, function)


# Convolution

CONV = "tests/nn/test_conv.py"


@exhibit("flipped kernel", kernels, "conv2d", caught_by=CONV)
def flipped_kernel(right):
    """Mathematics' convolution in place of the cross-correlation that networks call by that name."""

    def conv2d(input, weight, bias, *geometry):
        return right(input, np.ascontiguousarray(weight[:, :, ::-1, ::-1]), bias, *geometry)

    return conv2d


@exhibit("height and width mixed up", kernels, "conv2d", caught_by=CONV)
def height_and_width(right):
    """Stride, padding and dilation taken as (width, height): square settings never show it."""

    def conv2d(input, weight, bias, stride, padding, dilation, groups):
        return right(input, weight, bias, stride[::-1], padding[::-1], dilation[::-1], groups)

    return conv2d


@exhibit("stride and groups swapped", kernels, "conv2d", caught_by=CONV)
def stride_and_groups(right):
    """Two neighbouring arguments in the wrong order: right as long as both are 1."""

    def conv2d(input, weight, bias, stride, padding, dilation, groups):
        if len(weight) % stride[0] or input.shape[1] != weight.shape[1] * stride[0]:
            stride = (1, 1)  # such groups do not fit: the strides are lost
            return right(input, weight, bias, stride, padding, dilation, groups)
        return right(input, weight, bias, (groups, groups), padding, dilation, stride[0])

    return conv2d


@exhibit("bias forgotten", kernels, "conv2d", caught_by=CONV)
def bias_forgotten(right):
    """Invisible while the bias still has its first value, if that is zero."""

    def conv2d(input, weight, bias, *geometry):
        return right(input, weight, None, *geometry)

    return conv2d


@exhibit("stride missing in the input gradient", kernels, "conv2d_grad_input", caught_by=CONV)
def stride_missing(right):
    """Every window's gradient goes back to where it would have stood with stride 1."""

    def conv2d_grad_input(grad_output, weight, input_shape, stride, padding, dilation, groups):
        if tuple(stride) == (1, 1):
            return right(grad_output, weight, input_shape, stride, padding, dilation, groups)
        return loops.conv2d_grad_input(grad_output, weight, input_shape, (1, 1), padding, dilation, groups)

    return conv2d_grad_input


@exhibit("= for += in the weight gradient", kernels, "conv2d_grad_weight", caught_by=CONV)
def assigned_not_added(right):
    """The last image overwrites what the others gave: a batch of one never shows it."""

    def conv2d_grad_weight(grad_output, input, *rest):
        return right(grad_output[-1:], input[-1:], *rest)

    return conv2d_grad_weight


@exhibit("mean over the batch in the weight gradient", kernels, "conv2d_grad_weight", caught_by=CONV)
def mean_for_sum(right):
    """The loss has divided by N already; to divide once more makes every step N times too small."""

    def conv2d_grad_weight(grad_output, *rest):
        return right(grad_output, *rest) / grad_output.dtype.type(max(len(grad_output), 1))

    return conv2d_grad_weight


@exhibit("mean over the batch in the bias gradient", kernels, "conv2d_grad_bias", caught_by=CONV)
def mean_for_sum_of_bias(right):
    """The same slip, where it is harder to see."""

    def conv2d_grad_bias(grad_output):
        return right(grad_output) / grad_output.dtype.type(max(len(grad_output), 1))

    return conv2d_grad_bias


# Pooling

POOLING = "tests/nn/test_pooling.py"


@exhibit("pooling backward on the unpadded input", kernels, "max_pool2d", caught_by=POOLING)
def places_in_the_padded_plane(right):
    """Winners counted in the padded plane, used in the unpadded one: each lands a few cells off."""

    def max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode):
        output, indices = right(input, kernel_size, stride, padding, dilation, ceil_mode)
        height, width = input.shape[2:]
        row, column = np.divmod(indices, max(width, 1))
        shifted = (row + padding[0]) * (width + 2 * padding[1]) + column + padding[1]
        return output, np.where(indices < 0, indices, np.minimum(shifted, height * width - 1))

    return max_pool2d


@exhibit("ties counted twice in max pooling", nn.MaxPool2d, "forward", "backward", caught_by=POOLING)
def ties_twice(right_forward, right_backward):
    """The gradient goes to every cell that equals the maximum: behind a ReLU, zeros tie all the time."""

    def forward(self, input):
        result = right_forward(self, input)
        if nn.is_grad_enabled():
            output = result[0] if self.return_indices else result
            self.saved.update(input=input, output=output)
        return result

    def backward(self, grad_output):
        right_backward(self, grad_output)  # the same checks
        images, output = self.saved["input"], self.saved["output"]
        grad_input = np.zeros_like(images)
        height, width = images.shape[-2:]
        for place in np.ndindex(output.shape):
            *plane, y, x = place
            for k, m in np.ndindex(*self.kernel_size):
                i = y * self.stride[0] + k * self.dilation[0] - self.padding[0]
                j = x * self.stride[1] + m * self.dilation[1] - self.padding[1]
                cell = (*plane, i, j)
                if 0 <= i < height and 0 <= j < width and images[cell] == output[place]:
                    grad_input[cell] += grad_output[place]
        return grad_input

    return forward, backward


# Softmax and the losses

CROSS_ENTROPY = "tests/nn/test_cross_entropy.py"


@exhibit(
    "one maximum for the whole batch in softmax", functional, "softmax", caught_by="tests/nn/test_softmax.py"
)
def one_maximum(right):
    """Stable for a single row; in a batch, a row of small logits underflows to 0/0."""

    def softmax(logits, axis=-1):
        right(logits, axis)  # the same checks
        with np.errstate(invalid="ignore"):
            exponentials = np.exp(logits - logits.max(initial=-np.inf))
            return exponentials / exponentials.sum(axis=axis, keepdims=True)

    return softmax


@exhibit(
    "sum over the batch in cross-entropy",
    nn.CrossEntropyLoss,
    "backward",
    caught_by="tests/nn/test_cross_entropy.py",
)
def sum_for_mean(right):
    """The gradient of the sum, beside the value of the mean."""

    def backward(self, grad_output=None):
        grad = right(self, grad_output)
        return grad * grad.dtype.type(len(grad)) if self.reduction == "mean" and grad.ndim > 1 else grad

    return backward


# The linear layer, batch norm, what is learned


@exhibit("ReLU lets the gradient of 0 pass", nn.ReLU, "backward", caught_by="tests/nn/test_activations.py")
def relu_at_zero(right):
    """``x >= 0`` for ``x > 0``: after a layer whose outputs are often 0, dead units learn again."""

    def backward(self, grad_output):
        return right(self, grad_output) + np.where(self.recall(grad_output)["output"] == 0, grad_output, 0)

    return backward


@exhibit(
    "linear weight transposed in backward", kernels, "linear_grad_weight", caught_by="tests/nn/test_linear.py"
)
def transposed(right):
    """Square layers, of all things, do not complain of the shape."""

    def linear_grad_weight(grad_output, input):
        grad = right(grad_output, input)
        return np.ascontiguousarray(grad.T).reshape(grad.shape)

    return linear_grad_weight


@exhibit("running variance biased", nn.BatchNorm2d, "forward", caught_by="tests/nn/test_normalization.py")
def biased_running_variance(right):
    """``/ m`` for ``/ (m - 1)``: training is right, evaluation is a little off."""

    def forward(self, input):
        if not (self.training and self.track_running_stats):
            return right(self, input)
        before = self.running_var.copy()
        output = right(self, input)
        m = input.size // self.num_features
        if m > 1:
            self.running_var[...] -= (self.running_var - before) / m
        return output

    return forward


@exhibit(
    "gradients overwritten, not accumulated", Parameter, "accumulate", caught_by="tests/nn/test_module.py"
)
def overwritten(right):
    """Two rounds of backward without zero_grad then count as one."""

    def accumulate(self, grad):
        self.grad = None
        right(self, grad)

    return accumulate


@exhibit("Adam without bias correction", optim.Adam, "update", caught_by="tests/optim/test_against_torch.py")
def no_bias_correction(right):
    """The running means begin at 0, and nothing makes up for it in the first steps."""

    def update(self, parameter, grad, state, group):
        if not state:  # so many steps have passed that the corrections are 1
            zeros = np.zeros_like(parameter.data)
            state.update(step=10**9, exp_avg=zeros, exp_avg_sq=zeros.copy(), max_exp_avg_sq=zeros.copy())
        right(self, parameter, grad, state, group)

    return update
