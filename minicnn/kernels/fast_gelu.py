"""GELU on the fast rung: how likely a standard normal draw lies below x, of a vector of float32 at once.

Far out the likelihood falls like the bell curve, and what is left is smooth: near enough to r times a polynomial,
with r = 2 / (|x| + 2), which squeezes all |x| into 0 to 1:

    Φ(-a) = e^(-a²/2) · r · p(r)           Φ(a) = 1 - Φ(-a)

    a              0       1       2       5
    e^(-a²/2)      1     .607    .135   3.7e-6
    r              1     .667    .500    .286
    p(r)          .5     .392    .336    .269
    Φ(-a)         .5     .159    .023   2.9e-7

The polynomial is found by interpolation, in float64. The square is made in two parts: at a = 5 its rounding alone
would change the likelihood by eight units in the last place. float64 is left to the C library.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numba import njit

from minicnn.kernels import activations
from minicnn.kernels.board import handed_out
from minicnn.kernels.compiling import compiled
from minicnn.kernels.fast_activations import filled
from minicnn.kernels.masks import load_some, store_some
from minicnn.kernels.memory import empty
from minicnn.kernels.registers import lanes_of
from minicnn.kernels.threads import EXPONENTIAL
from minicnn.kernels.vector import (
    add,
    broadcast,
    divide,
    exp,
    larger,
    multiply,
    multiply_add,
    smaller,
    spread,
    subtract,
    winner,
)

END = 14  # beyond it Φ(-a) is less than any float32
SPLIT = 2**12 + 1  # half the digits of a float32
DEGREE = 11  # of the polynomial: off by less than a tenth of the last digit
DENSITY = np.float32([1 / math.sqrt(2 * math.pi)])  # of the normal distribution at 0


@lru_cache(maxsize=1)
def terms() -> np.ndarray:
    """Return the polynomial's coefficients, that of the highest power first, behind two numbers that stretch r.

    >>> stretch, shift, *coefficients = terms().tolist()
    >>> r = 2 / (1 + 2)
    >>> round(math.exp(-0.5) * r * float(np.polyval(coefficients, stretch * r + shift)), 6)     # Φ(-1)
    0.158655
    """
    least = 2 / (END + 2)
    stretch, shift = 2 / (1 - least), (least + 1) / (least - 1)  # from least .. 1 to -1 .. 1

    def rest(u):
        a = 2 / ((u - shift) / stretch) - 2
        return [math.erfc(x / math.sqrt(2)) / 2 * math.exp(x * x / 2) * (x + 2) / 2 for x in np.maximum(a, 0)]

    series = np.polynomial.chebyshev.chebinterpolate(rest, DEGREE)
    return np.float32([stretch, shift, *np.polynomial.chebyshev.cheb2poly(series)[::-1]])


@njit(inline="always")
def bell(x, like):
    """Return ``-|x|``, -END at least, and ``e^(-x²/2)``: what the square has lost by rounding is made good.

    Times 4097 and back, a number keeps the upper half of its digits; products of halves are exact.
    """
    zero, half = spread(like, 0), divide(spread(like, 1), spread(like, 2))
    a = larger(spread(like, -END), smaller(x, subtract(zero, x)))  # NaN stays
    square, shifted = multiply(a, a), multiply(a, spread(like, SPLIT))
    high = subtract(shifted, subtract(shifted, a))
    low = subtract(a, high)
    lost = add(subtract(multiply(high, high), square), multiply(add(high, high), low))
    lost = add(lost, multiply(low, low))
    height = exp(multiply(subtract(zero, square), half))
    return a, subtract(height, multiply(height, multiply(lost, half)))


@compiled
def _gelu(input, below, output, terms, lanes, board, start, stop):
    """Fill output, and `below` with Φ; all arrays are flat."""
    if handed_out(board, start, stop):
        return
    zero, one, two = spread(input, 0), spread(input, 1), spread(input, 2)
    stretch, shift = broadcast(terms, 0), broadcast(terms, 1)
    for i in range(start, stop, lanes):
        x = load_some(input, i, stop - i)
        a, height = bell(x, input)
        r = divide(two, subtract(two, a))
        u, p = multiply_add(r, stretch, shift), broadcast(terms, 2)
        for power in range(3, len(terms)):
            p = multiply_add(p, u, broadcast(terms, power))
        tail = multiply(height, multiply(r, p))
        likely = winner(x, zero, subtract(one, tail), tail)
        store_some(below, i, likely, stop - i)
        store_some(output, i, multiply(x, likely), stop - i)


@compiled
def _gelu_backward(grad_output, below, input, grad_input, density, lanes, board, start, stop):
    """Fill grad_input; `density` holds the height of the bell curve at 0."""
    if handed_out(board, start, stop):
        return
    top = broadcast(density, 0)
    for i in range(start, stop, lanes):
        x = load_some(input, i, stop - i)
        _, height = bell(x, input)
        slope = multiply_add(x, multiply(height, top), load_some(below, i, stop - i))
        store_some(grad_input, i, multiply(load_some(grad_output, i, stop - i), slope), stop - i)


def gelu(input):
    """Return ``input · Φ(input)``, and ``Φ(input)``.

    >>> gelu(np.float32([1, -1]))[0].round(4)           # 1·0.8413, -1·0.1587
    array([ 0.8413, -0.1587], dtype=float32)
    """
    if input.dtype != np.float32:
        return activations.gelu(input)
    output = empty(input.shape, input.dtype)
    constants = output.ravel(), terms(), lanes_of(input.dtype)
    return output, filled(_gelu, (input,), constants, 2 * EXPONENTIAL)


def gelu_backward(grad_output, input, below):
    """Return ``grad_output · (Φ + input · φ)``, with ``φ = exp(-input²/2) / √(2π)``.

    >>> gelu_backward(np.float32([1]), np.float32([0]), np.float32([0.5]))
    array([0.5], dtype=float32)
    """
    if input.dtype != np.float32:
        return activations.gelu_backward(grad_output, input, below)
    constants = DENSITY, lanes_of(input.dtype)
    return filled(_gelu_backward, (grad_output, below, input), constants, 2 * EXPONENTIAL)
