"""PReLU: a leaky ReLU whose slope is learned."""

from __future__ import annotations

import numpy as np

from minicnn import checks
from minicnn.nn.module import Module, Parameter


class PReLU(Module):
    """Let positive numbers pass, and multiply the others by a learned slope: ``y = x if x > 0 else w · x``.

    There is one slope ``w`` for all numbers, or one for each channel (axis 1). Backward, with ``G = ∂L/∂y``:
    ``∂L/∂x = G if x > 0 else w · G``; ``∂L/∂w = Σ G · x`` over the numbers with this slope that are not positive.

    Parameters
    ----------
    num_parameters : int
        1, or the number of channels.
    init : float
        The slope that learning begins with.
    dtype : numpy.float32 or numpy.float64

    Attributes
    ----------
    weight : Parameter of shape (num_parameters,)

    Notes
    -----
    Input and output: float array of any shape; (N, C, ...) for one slope a channel.

    Source: He et al., "Delving deep into rectifiers" (2015).

    Raises
    ------
    ValueError
        If there are several slopes and the input has not as many channels.
    TypeError
        If input and slopes are not of one dtype.

    Examples
    --------
    >>> layer = PReLU(2, init=0.5)
    >>> layer(np.float32([[3, 3], [-4, -8]]))           # 3, 3, 0.5·(-4), 0.5·(-8)
    array([[ 3.,  3.],
           [-2., -4.]], dtype=float32)
    >>> layer.backward(np.float32([[10, 10], [20, 1]])) # 10, 10, 0.5·20, 0.5·1
    array([[10. , 10. ],
           [10. ,  0.5]], dtype=float32)
    >>> layer.weight.grad                               # 20·(-4), 1·(-8)
    array([-80.,  -8.], dtype=float32)
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, dtype=np.float32) -> None:
        super().__init__()
        self.num_parameters = checks.as_int(self.who, "num_parameters", num_parameters, minimum=1)
        self.init = checks.as_number(self.who, "init", init)
        self.weight = Parameter(
            np.full(self.num_parameters, self.init, checks.as_float_dtype(self.who, dtype))
        )

    @checks.without_warnings
    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return the input, with numbers that are not positive multiplied by the slope."""
        self._check_input(input)
        slope = self._slope(input)
        output = np.where(input > 0, input, slope * input)
        self.save(output, input=input)
        return output

    @checks.without_warnings
    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return the gradient of the input; add to `weight.grad`."""
        input = self.recall(grad_output)["input"]
        given = np.where(input > 0, 0, grad_output * input)
        axes = tuple(axis for axis in range(input.ndim) if axis != 1 or self.num_parameters == 1)
        self.weight.accumulate(given.sum(axis=axes).reshape(self.num_parameters))
        return np.where(input > 0, grad_output, self._slope(input) * grad_output)

    def _slope(self, input: np.ndarray) -> np.ndarray:
        """Return the slopes, along axis 1 of the input if there are several."""
        if self.num_parameters == 1:
            return self.weight.data[0]
        return self.weight.data.reshape(-1, *(1,) * (input.ndim - 2))

    def _check_input(self, input: np.ndarray) -> None:
        checks.as_float_array(self.who, "input", input)
        slopes = checks.own_array(self, "weight")
        checks.check_same_dtype(self.who, "input", input, slopes.dtype)
        checks.check_own_array(self.who, "weight", slopes, (self.num_parameters,), input.dtype)
        if self.num_parameters > 1 and (input.ndim < 2 or input.shape[1] != self.num_parameters):
            got = f"{input.shape[1]} in shape {input.shape}" if input.ndim > 1 else f"shape {input.shape}"
            raise ValueError(
                f"{self.who}: input must have {self.num_parameters} channels (axis 1). Got {got}. "
                "Build the layer with num_parameters=1, or with the number of channels."
            )

    def arguments(self) -> str:
        return f"num_parameters={self.num_parameters}"
