"""The linear layer as NumPy's matrix product: the lower rungs share it.

They are silent for another reason, too: OpenBLAS now and then reports an invalid number where there is none.
"""

from __future__ import annotations

from minicnn.kernels.loops import silent


@silent
def linear(input, weight, bias):
    """Return ``input @ weight.T + bias``, (N, O), for rows (N, I).

    >>> import numpy as np
    >>> linear(np.array([[10.0, 100.0]]), np.array([[2.0, 3.0]]), np.array([1.0]))
    array([[321.]])
    """
    output = input @ weight.T
    return output if bias is None else output + bias


@silent
def linear_grad_input(grad_output, weight):
    """Return ``grad_output @ weight``, (N, I).

    >>> import numpy as np
    >>> linear_grad_input(np.array([[5.0]]), np.array([[2.0, 3.0]]))
    array([[10., 15.]])
    """
    return grad_output @ weight


@silent
def linear_grad_weight(grad_output, input):
    """Return ``grad_output.T @ input``, (O, I).

    >>> import numpy as np
    >>> linear_grad_weight(np.array([[5.0]]), np.array([[10.0, 100.0]]))
    array([[ 50., 500.]])
    """
    return grad_output.T @ input
