"""LeakyReLU, ELU, the sigmoid and SiLU on the fast rung: one pass, where NumPy makes one for every operation.

Which of two numbers is to be taken cannot be foreseen; a CPU that guesses wrong every second time loses more time
than the numbers take. So both are made, a vector at a time, and one is kept:

    x                2    -1     0    -3
    1 or e^x         1    .37    1    .05
    1 + e^-|x|     1.14  1.37    2   1.05
    sigmoid         .88   .27   .5    .05

All names and results are those of `activations`, but for the last digit or two where there is an exponential, and
for 0 where that is too small for full precision.
"""

from __future__ import annotations

import numpy as np

from minicnn.kernels.board import handed_out
from minicnn.kernels.compiling import compiled
from minicnn.kernels.masks import load_some, store_some
from minicnn.kernels.memory import empty
from minicnn.kernels.planes import ready
from minicnn.kernels.registers import lanes_of
from minicnn.kernels.threads import EXPONENTIAL, FETCH, share
from minicnn.kernels.vector import (
    add,
    broadcast,
    divide,
    exp,
    expm1,
    multiply,
    read,
    smaller,
    spread,
    subtract,
    winner,
    write,
)


@compiled
def _leaky_relu(numbers, input, output, slope, board, start, stop):
    """Fill output with the numbers, times `slope` where the input is not positive; all arrays are flat."""
    if handed_out(board, start, stop):
        return
    for i in range(start, stop):
        number = read(numbers, i)
        write(output, i, number if read(input, i) > 0 else number * slope)


@compiled
def _elu(input, output, alpha, lanes, board, start, stop):
    """Fill output; `alpha` is an array of one number."""
    if handed_out(board, start, stop):
        return
    zero, scale = spread(input, 0), broadcast(alpha, 0)
    for i in range(start, stop, lanes):
        x = load_some(input, i, stop - i)
        low = smaller(x, zero)  # NaN stays
        store_some(output, i, winner(x, zero, x, multiply(scale, expm1(low))), stop - i)


@compiled
def _elu_backward(grad_output, input, grad_input, alpha, lanes, board, start, stop):
    if handed_out(board, start, stop):
        return
    zero, scale = spread(input, 0), broadcast(alpha, 0)
    for i in range(start, stop, lanes):
        x, grad = load_some(input, i, stop - i), load_some(grad_output, i, stop - i)
        low = smaller(x, zero)
        below = multiply(grad, multiply(scale, exp(low)))
        store_some(grad_input, i, winner(x, zero, add(grad, low), below), stop - i)


@compiled
def _sigmoid(input, output, weighed, lanes, board, start, stop):
    """Fill output, and `weighed` with ``input · output`` unless it is empty."""
    if handed_out(board, start, stop):
        return
    zero, one = spread(input, 0), spread(input, 1)
    for i in range(start, stop, lanes):
        x = load_some(input, i, stop - i)
        small = exp(smaller(x, subtract(zero, x)))
        y = divide(winner(x, zero, one, small), add(one, small))
        store_some(output, i, y, stop - i)
        if len(weighed) > 0:
            store_some(weighed, i, multiply(x, y), stop - i)


@compiled
def _sigmoid_backward(grad_output, output, grad_input, board, start, stop):
    if handed_out(board, start, stop):
        return
    one = output.dtype.type(1)
    for i in range(start, stop):
        y = read(output, i)
        write(grad_input, i, read(grad_output, i) * (y * (one - y)))


@compiled
def _silu_backward(grad_output, gate, input, grad_input, board, start, stop):
    if handed_out(board, start, stop):
        return
    one = gate.dtype.type(1)
    for i in range(start, stop):
        s = read(gate, i)
        write(grad_input, i, read(grad_output, i) * (s * (one + read(input, i) * (one - s))))


def filled(kernel, arrays, constants, work):
    """Return an array like the last one, which the kernel has filled; `work` is what a number takes.

    >>> filled(_leaky_relu, (np.array([10.0, 20.0]), np.array([3.0, -4.0])), (0.5,), work=6)
    array([10., 10.])
    """
    output = empty(arrays[-1].shape, arrays[-1].dtype)
    flat = [ready(array).ravel() for array in arrays]
    share(kernel, (*flat, output.ravel(), *constants), output.size, work * output.size)
    return output


def leaky_relu(input, slope):
    """Return the input, with numbers that are not positive multiplied by the slope.

    >>> leaky_relu(np.array([3.0, -4.0]), 0.5)
    array([ 3., -2.])
    """
    return leaky_relu_backward(input, input, slope)


def leaky_relu_backward(grad_output, input, slope):
    """Return `grad_output`, multiplied by the slope where the input is not positive.

    >>> leaky_relu_backward(np.array([10.0, 20.0]), np.array([3.0, -4.0]), 0.5)
    array([10., 10.])
    """
    return filled(_leaky_relu, (grad_output, input), (input.dtype.type(slope),), 3 * FETCH)


def elu(input, alpha):
    """Return the input where it is positive, else ``alpha · (exp(input) - 1)``.

    >>> elu(np.array([3.0, np.log(0.25)]), 1.0)
    array([ 3.  , -0.75])
    """
    constants = np.array([alpha], input.dtype), lanes_of(input.dtype)
    return filled(_elu, (input,), constants, EXPONENTIAL)


def elu_backward(grad_output, input, alpha):
    """Return `grad_output` where the input is positive, else times ``alpha · exp(input)``.

    >>> elu_backward(np.array([10.0, 20.0]), np.array([3.0, np.log(0.25)]), 1.0)
    array([10.,  5.])
    """
    constants = np.array([alpha], input.dtype), lanes_of(input.dtype)
    return filled(_elu_backward, (grad_output, input), constants, EXPONENTIAL)


def sigmoid(input):
    """Return ``1 / (1 + exp(-input))``, without overflow on either side.

    >>> sigmoid(np.array([0.0, np.log(3), -1e4, np.inf]))
    array([0.5 , 0.75, 0.  , 1.  ])
    """
    nobody = np.empty(0, input.dtype)
    return filled(_sigmoid, (input,), (nobody, lanes_of(input.dtype)), EXPONENTIAL)


def sigmoid_backward(grad_output, output):
    """Return ``grad_output · output · (1 - output)``.

    >>> sigmoid_backward(np.array([10.0, 16.0]), np.array([0.5, 0.75]))
    array([2.5, 3. ])
    """
    return filled(_sigmoid_backward, (grad_output, output), (), 3 * FETCH)


def silu(input):
    """Return ``input · gate``, and the gate: the sigmoid of the input.

    >>> silu(np.array([0.0, np.log(3)]))
    (array([0.        , 0.82395922]), array([0.5 , 0.75]))
    """
    output = empty(input.shape, input.dtype)
    gate = filled(_sigmoid, (input,), (output.ravel(), lanes_of(input.dtype)), EXPONENTIAL)
    return output, gate


def silu_backward(grad_output, input, gate):
    """Return ``grad_output · gate · (1 + input · (1 - gate))``.

    >>> silu_backward(np.array([10.0, 10.0]), np.array([0.0, 4.0]), np.array([0.5, 0.75]))
    array([ 5., 15.])
    """
    return filled(_silu_backward, (grad_output, gate, input), (), 4 * FETCH)
