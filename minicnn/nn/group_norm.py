"""Group normalisation: some channels of one image get mean 0 and variance 1, whatever else is in the batch."""

from __future__ import annotations

import numpy as np

from minicnn import checks, kernels
from minicnn.nn.module import Module, Parameter
from minicnn.nn.normalization import as_eps, check_channels


class GroupNorm(Module):
    """Normalise each group of channels of each image, then scale and shift every channel: ``y = x̂ · weight + bias``.

    The C channels are dealt out in order to G groups, C/G to each; a group has ``m = C/G · H · W`` numbers. With
    one group this is layer norm (over an image), with a group for every channel instance norm.

    ``x̂ = (x - mean) · inv_std`` with ``mean = Σ x / m``, ``variance = Σ (x - mean)² / m`` over the group and
    ``inv_std = 1 / √(variance + eps)``, in training and in evaluation alike: nothing is shared between images, and
    there are no running statistics.

    Backward, with ``G = ∂L/∂y`` and ``g = G · weight``: ``∂L/∂weight = Σ G x̂`` and ``∂L/∂bias = Σ G`` over all
    numbers of the channel, and ``∂L/∂x = inv_std · (g - Σ g / m - x̂ · Σ g x̂ / m)`` with sums over the group: the
    direct path, the path through the mean, and the path through the variance.

    Parameters
    ----------
    num_groups : int
        The number of groups; it divides `num_channels`.
    num_channels : int
        C, the number of channels.
    eps : float
        Keeps the root away from 0.
    affine : bool
        Whether there are `weight` and `bias`.
    dtype : float32 or float64
        Of parameters; the input must have the same.

    Attributes
    ----------
    weight, bias : Parameter of shape (C,), or None
        Ones and zeros at first.

    Notes
    -----
    Input and output `(N, C)`, or `(N, C, ...)` with any further axes, such as `(N, C, H, W)`.

    Source: Wu and He, "Group normalization" (2018).

    Raises
    ------
    ValueError
        If `num_groups` does not divide `num_channels`, or the input has other axes or another number of channels, or
        only one number a group.
    TypeError
        If the input's dtype is not the layer's.

    Examples
    --------
    >>> layer = GroupNorm(2, 4, eps=3.0)            # groups: channels 0 and 1, channels 2 and 3
    >>> layer.weight.data[...] = [1, 2, 1, 2]
    >>> layer(np.float32([[1, 3, 10, 12]]))         # means 2 and 11, variances 1: ±1 / √(1 + 3), times the weight
    array([[-0.5,  1. , -0.5,  1. ]], dtype=float32)
    >>> layer.backward(np.float32([[8, 0, 0, 4]]))  # 1/2·(8 - 4 - 0.5·2), 1/2·(0 - 4 + 0.5·2), and the other way round
    array([[ 1.5, -1.5, -1.5,  1.5]], dtype=float32)
    >>> layer.weight.grad                           # 8·(-0.5), 0·0.5, 0·(-0.5), 4·0.5
    array([-4.,  0.,  0.,  2.], dtype=float32)
    """

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, dtype=np.float32
    ) -> None:
        super().__init__()
        self.num_groups = checks.as_int(self.who, "num_groups", num_groups, minimum=1)
        self.num_channels = checks.as_int(self.who, "num_channels", num_channels, minimum=1)
        self._check_groups()
        self.eps = as_eps(self.who, eps)
        self.affine = bool(affine)
        dtype = checks.as_float_dtype(self.who, dtype)
        self.weight = Parameter(np.ones(self.num_channels, dtype)) if affine else None
        self.bias = Parameter(np.zeros(self.num_channels, dtype)) if affine else None

    # For the kernels of batch norm, an image's group is a channel of its own, and the batch a single image.

    @checks.without_warnings
    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return ``(input - mean) · inv_std · weight + bias``, with mean and inv_std of each group."""
        self._check_input(input)
        groups = self._groups(input)  # (1, N·G, m)
        ones, zeros = np.ones(groups.shape[1], input.dtype), np.zeros(groups.shape[1], input.dtype)
        output, *statistics = kernels.batch_norm(groups, None, ones, zeros, self.eps)
        output = output.reshape(input.shape)  # (N, C, ...)
        if self.affine:
            output = output * along(self.weight.data, input) + along(self.bias.data, input)
        mean, variance, inv_std = (array.reshape(-1, self.num_groups) for array in statistics)  # (N, G)
        self.save(output, input=input, mean=mean, variance=variance, inv_std=inv_std)
        return output

    @checks.without_warnings
    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return the gradient of the input; add to `weight.grad` and `bias.grad`."""
        saved = self.recall(grad_output)
        input, grad = saved["input"], grad_output
        groups = self._groups(input)  # (1, N·G, m)
        mean, inv_std = saved["mean"].ravel(), saved["inv_std"].ravel()  # (N·G,)
        if self.affine:
            normalised = ((groups - along(mean, groups)) * along(inv_std, groups)).reshape(input.shape)
            axes = (0, *range(2, input.ndim))
            for parameter, terms in ((self.weight, grad_output * normalised), (self.bias, grad_output)):
                parameter.accumulate(terms.sum(axis=axes, dtype=np.float64).astype(input.dtype))
            grad = grad_output * along(self.weight.data, input)
        ones = np.ones_like(mean)
        grad_input, *_ = kernels.batch_norm_backward(self._groups(grad), groups, mean, inv_std, ones, True)
        return grad_input.reshape(input.shape)

    def _groups(self, array: np.ndarray) -> np.ndarray:
        """Return the numbers of each group in a row of their own; where there is no image, G empty rows."""
        return array.reshape(1, max(len(array), 1) * self.num_groups, -1)  # (1, N·G, m)

    def _check_groups(self) -> None:
        if self.num_channels % self.num_groups:
            raise ValueError(
                f"{self.who}: num_channels must be divisible by num_groups. Got {self.num_channels} and "
                f"{self.num_groups}. Choose a number of groups that divides the channels."
            )

    def _check_input(self, input: np.ndarray) -> None:
        self._check_groups()  # somebody may have set another number
        checks.as_float_array(self.who, "input", input)
        fits, layout = input.ndim > 1, "(N, C, ...)"
        check_channels(self.who, input, fits, layout, num_channels=self.num_channels)
        if input.size == len(input) * self.num_groups > 0:
            raise ValueError(
                f"{self.who}: a group must have more than one value, for one alone is its own mean. Got shape "
                f"{input.shape} in {self.num_groups} groups. Choose fewer groups, or a place before the pooling."
            )
        if self.affine:
            checks.check_same_dtype(self.who, "input", input, checks.own_array(self, "weight").dtype)
            for name in ("weight", "bias"):
                own = checks.own_array(self, name)
                checks.check_own_array(self.who, name, own, (self.num_channels,), input.dtype)

    def arguments(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


def along(channels: np.ndarray, array: np.ndarray) -> np.ndarray:
    """Return one number a channel in a shape that lies along axis 1 of `array`.

    >>> along(np.array([1.0, 2.0]), np.zeros((5, 2, 3))).shape
    (2, 1)
    """
    return channels.reshape(-1, *(1,) * (array.ndim - 2))  # (C, 1, ...)
