"""Parameter: an array that is learned, beside its gradient."""

from __future__ import annotations

import operator

import numpy as np

from minicnn import checks


class Parameter:
    """An array that is learned, and the gradient of the loss with respect to it.

    Attributes
    ----------
    data : ndarray of any shape, float32 or float64
        The value. Optimizers change it in place; what is set in its place must have the same shape.
    grad : ndarray of the same shape and dtype, or None
        The sum of all gradients since the last `zero_grad`.

    Examples
    --------
    >>> weight = Parameter(np.float32([1, 2]))
    >>> weight.accumulate(np.float32([10, 20])); weight.accumulate(np.float32([1, 2]))
    >>> weight.grad
    array([11., 22.], dtype=float32)
    """

    __slots__ = ("_data", "grad")

    def __init__(self, data: np.ndarray) -> None:
        self._data = checks.as_float_array("Parameter", "data", data)
        self.grad: np.ndarray | None = None

    def _set_data(self, data: np.ndarray) -> None:
        checks.as_float_array("Parameter", "data", data)
        if data.shape != self._data.shape:  # the kernels of a layer go by the layer's own numbers
            raise ValueError(
                f"Parameter: data must keep its shape {self._data.shape}. Got {data.shape}. "
                "Build a layer of the other size."
            )
        self._data = data

    data = property(operator.attrgetter("_data"), _set_data)

    def accumulate(self, grad: np.ndarray) -> None:
        """Add `grad` to what is there; the first one is kept as it is, without a copy.

        >>> temperature = Parameter(np.array(1.0))
        >>> temperature.accumulate(np.array(2.0)); temperature.accumulate(np.array(3.0))
        >>> temperature.grad                        # an array, though NumPy makes a plain number of the sum
        array(5.)
        """
        self.grad = grad if self.grad is None else np.asarray(self.grad + grad)

    def __repr__(self) -> str:
        return f"Parameter(shape={self.data.shape}, dtype={self.data.dtype})"
