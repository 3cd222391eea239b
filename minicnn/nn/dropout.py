"""Dropout: while training, units are switched off at random, so that none relies on another."""

from __future__ import annotations

import numpy as np

from minicnn import checks
from minicnn.nn.module import Module


class Dropout(Module):
    """Set each number to 0 with probability p, and make up for it: ``y = x · mask``.

    The mask holds 0 with probability p and ``1 / (1 - p)`` otherwise, so the mean of y is x. Backward:
    ``∂L/∂x = ∂L/∂y · mask``. In evaluation everything passes as it is.

    Parameters
    ----------
    p : float from 0 to 1
        The probability of a zero.
    rng : numpy.random.Generator, int or None
        Where the masks come from; kept as the attribute `rng`. float32 and float64 draw the same masks.

    Notes
    -----
    Input and output of any shape, float32 or float64. A dropped infinity becomes NaN (0 · ∞), as in torch.

    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting" (2014).

    Raises
    ------
    ValueError
        If `p` does not lie between 0 and 1.
    TypeError
        If the input is not a float32 or float64 array.

    Examples
    --------
    >>> layer = Dropout(0.75, rng=0)
    >>> layer(np.float32([1, 2, 3, 4]))                 # 1 / (1 - 0.75) = 4
    array([0., 0., 0., 0.], dtype=float32)
    >>> layer(np.float32([1, 2, 3, 4]))
    array([4., 8., 0., 0.], dtype=float32)
    >>> layer.backward(np.float32([10, 10, 10, 10]))    # the same numbers pass, times 4
    array([40., 40.,  0.,  0.], dtype=float32)
    >>> layer.eval()(np.float32([1, 2, 3, 4]))
    array([1., 2., 3., 4.], dtype=float32)
    """

    def __init__(self, p: float = 0.5, *, rng=None) -> None:
        super().__init__()
        self.p = checks.as_number(self.who, "p", p, low=0, high=1)
        self.rng = checks.as_rng(self.who, rng)

    def mask_shape(self, input: np.ndarray) -> tuple[int, ...]:
        """Return the shape of the draws: one for each number of the input.

        >>> Dropout().mask_shape(np.zeros((2, 3)))
        (2, 3)
        """
        return input.shape

    @checks.without_warnings
    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return ``input · mask`` with a new mask; in evaluation the input itself."""
        checks.as_float_array(self.who, "input", input)
        mask_shape = self.mask_shape(input)
        if not self.training:
            self.save(input, mask=None)
            return input
        scale = 1 / (1 - self.p) if self.p < 1 else 0
        mask = np.where(self.rng.random(mask_shape) < self.p, 0, scale).astype(input.dtype)
        output = np.asarray(input * mask)
        self.save(output, mask=mask)
        return output

    @checks.without_warnings
    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return ``grad_output · mask`` with the mask of the last forward."""
        mask = self.recall(grad_output)["mask"]
        return grad_output if mask is None else np.asarray(grad_output * mask)

    def arguments(self) -> str:
        return f"p={self.p}"


class Dropout2d(Dropout):
    """Set each channel to 0 as a whole with probability p: ``y = x · mask``, one draw a channel.

    Neighbouring pixels of a feature map are so alike that dropping single ones takes little away. The
    rest is as in `Dropout`.

    Notes
    -----
    Input `(N, C, H, W)` or `(C, H, W)`. (torch 2.13 still reads three axes as `(N, C, L)` and warns that
    this will change.)

    Raises
    ------
    ValueError
        If the input has neither 3 nor 4 axes, or if `p` does not lie between 0 and 1.
    TypeError
        If the input is not a float32 or float64 array.

    Examples
    --------
    >>> layer = Dropout2d(0.5, rng=0)
    >>> layer(np.float32([[[[1, 2]], [[3, 4]], [[5, 6]]]])).tolist()    # channel 0 is doubled, the others go
    [[[[2.0, 4.0]], [[0.0, 0.0]], [[0.0, 0.0]]]]
    """

    def mask_shape(self, input: np.ndarray) -> tuple[int, ...]:
        """Return the shape of the draws: one for each channel.

        >>> Dropout2d().mask_shape(np.zeros((2, 3, 7, 7)))
        (2, 3, 1, 1)
        """
        if input.ndim not in (3, 4):
            raise ValueError(
                f"{self.who}: input must be (N, C, H, W) or (C, H, W). Got shape {input.shape}. "
                "Use Dropout for inputs that are no images."
            )
        return (*input.shape[:-2], 1, 1)
