"""Softmax and its relatives as plain functions: stable, batched, over any axis.

Each one first moves the numbers to where `exp` cannot overflow: softmax does not change when the same
number is taken from all logits, and minus the largest, no exponent is above 0.

    logits       1000   999    800         exp overflows at 89 in float32, at 710 in float64
    minus max       0    -1   -200
    exp             1  0.37      0
    / sum        0.73  0.27      0
"""

from __future__ import annotations

import numpy as np

from minicnn import checks
from minicnn.kernels import activations


def softmax(logits: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return ``p_i = exp(z_i - max z) / Σ_j exp(z_j - max z)`` along one axis.

    Parameters
    ----------
    logits : ndarray of any shape with one axis or more, float32 or float64
        The scores z. Every row along `axis` is taken by itself, with its own maximum.
    axis : int
        Along which the probabilities sum to 1.

    Returns
    -------
    ndarray of the shape and dtype of `logits`
        A row that holds NaN or +∞, or nothing but -∞, becomes NaN, as in torch.

    Raises
    ------
    TypeError
        If `logits` is not float32 or float64.
    ValueError
        If there is no such axis.

    Examples
    --------
    >>> softmax(np.log([[1.0, 3.0], [2.0, 2.0]])).round(4)        # 1/(1+3), 3/(1+3); 2/(2+2), 2/(2+2)
    array([[0.25, 0.75],
           [0.5 , 0.5 ]])
    >>> softmax(np.array([1000.0, 999.0, 800.0])).round(4)
    array([0.7311, 0.2689, 0.    ])
    """
    axis = _checked_axis("softmax", logits, axis)
    with np.errstate(over="ignore", invalid="ignore"):  # ∞ - ∞ is NaN and means to be; z - max may be -∞
        exponentials = np.exp(logits - logits.max(axis=axis, keepdims=True, initial=-np.inf))
        return exponentials / exponentials.sum(axis=axis, keepdims=True)


def naive_softmax(logits: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return ``exp(z_i) / Σ_j exp(z_j)``, the formula as it stands in books: for teaching only.

    It is right until `exp` overflows, at logits above 88.7 in float32 and 709.8 in float64; from there
    on it gives ∞/∞, which is NaN. NumPy warns of the overflow, and here the warning is let through.

    Examples
    --------
    >>> naive_softmax(np.log([1.0, 3.0])).round(4)
    array([0.25, 0.75])
    >>> with np.errstate(over="ignore", invalid="ignore"):
    ...     naive_softmax(np.array([1000.0, 999.0, 800.0]))
    array([nan, nan, nan])
    """
    axis = _checked_axis("naive_softmax", logits, axis)
    exponentials = np.exp(logits)
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


def log_softmax(logits: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return ``log p_i = (z_i - max z) - log Σ_j exp(z_j - max z)`` along one axis.

    Never the logarithm of a softmax: that is -∞ as soon as the probability rounds to 0.

    Parameters, special values and errors are those of `softmax`.

    Examples
    --------
    >>> log_softmax(np.array([0.0, -10_000.0]))            # exp(-10000) is 0 in float64, its log is not lost
    array([     0., -10000.])
    """
    axis = _checked_axis("log_softmax", logits, axis)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        shifted = logits - logits.max(axis=axis, keepdims=True, initial=-np.inf)
        return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


def logsumexp(x: np.ndarray, axis: int, keepdims: bool = False) -> np.ndarray:
    """Return ``max x + log Σ_j exp(x_j - max x)`` along one axis.

    Parameters
    ----------
    x : ndarray of any shape with one axis or more, float32 or float64
    axis : int
        The axis that is summed.
    keepdims : bool
        Whether it stays, with length 1.

    Returns
    -------
    ndarray of the dtype of `x`, without `axis`
        NaN if a row holds NaN, else ∞ if it holds ∞; -∞ for an empty row or one of nothing but -∞.

    Raises
    ------
    TypeError
        If `x` is not float32 or float64.
    ValueError
        If there is no such axis.

    Examples
    --------
    >>> logsumexp(np.log([[1.0, 3.0], [2.0, 6.0]]), axis=1).round(4)        # log 4, log 8
    array([1.3863, 2.0794])
    >>> logsumexp(np.array([1e4, 0.0]), axis=0)                # exp(10000) overflows; this does not
    array(10000.)
    """
    axis = _checked_axis("logsumexp", x, axis, what="x")
    largest = x.max(axis=axis, keepdims=True, initial=-np.inf)
    largest = np.where(np.isinf(largest), 0, largest)  # ∞ - ∞ would hide that the sum is ∞ (or exp gives 0)
    with np.errstate(over="ignore", divide="ignore"):
        result = largest + np.log(np.exp(x - largest).sum(axis=axis, keepdims=True))
    return result if keepdims else result.squeeze(axis)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return ``1 / (1 + exp(-x))`` for every number, without overflow on either side.

    With ``e = exp(-|x|) ≤ 1`` it is ``1 / (1 + e)`` for x ≥ 0 and ``e / (1 + e)`` for x < 0.

    Parameters
    ----------
    x : ndarray of any shape, float32 or float64

    Raises
    ------
    TypeError
        If `x` is not float32 or float64.

    Examples
    --------
    >>> sigmoid(np.array([0.0, np.log(3), -1e4, 1e4])).round(4)        # 1/2, 1/(1 + 1/3), 0, 1
    array([0.5 , 0.75, 0.  , 1.  ])
    """
    checks.as_float_array("sigmoid", "x", x)
    return activations.sigmoid(x)


def one_hot(targets: np.ndarray, num_classes: int, dtype=np.float32) -> np.ndarray:
    """Return rows of zeros with a 1 at the target's index.

    Parameters
    ----------
    targets : ndarray of any shape, integer
        Class indexes, from 0 to ``num_classes - 1``.
    num_classes : int
    dtype : float32 or float64

    Returns
    -------
    ndarray of shape (*targets.shape, num_classes)

    Raises
    ------
    TypeError
        If `targets` is no integer array.
    ValueError
        If an index is out of range.

    Examples
    --------
    >>> one_hot(np.array([2, 0]), num_classes=3)
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """
    num_classes = checks.as_int("one_hot", "num_classes", num_classes, minimum=1)
    dtype = checks.as_float_dtype("one_hot", dtype)
    if not isinstance(targets, np.ndarray) or targets.dtype.kind not in "iu":
        got = targets.dtype if isinstance(targets, np.ndarray) else type(targets).__name__
        raise TypeError(
            f"one_hot: targets must be an array of integer class indexes. Got {got}. "
            "Convert them with np.asarray(targets, dtype=np.int64)."
        )
    wrong = targets[(targets < 0) | (targets >= num_classes)]
    if wrong.size:
        raise ValueError(
            f"one_hot: targets must lie in 0 to {num_classes - 1}. Got {wrong.flat[0]}. "
            "Pass a larger num_classes, or number the classes from 0."
        )
    return (targets[..., np.newaxis] == np.arange(num_classes)).astype(dtype)  # (..., num_classes)


def _checked_axis(who: str, array: np.ndarray, axis: int, what: str = "logits") -> int:
    checks.as_float_array(who, what, array)
    return checks.as_axis(who, what, array, axis)
