"""Batch normalisation: every channel gets mean 0 and variance 1, then a scale and a shift it learns."""

from __future__ import annotations

import numpy as np

from minicnn import checks, kernels
from minicnn.nn.module import Module, Parameter


def as_eps(who: str, eps) -> float:
    """Return what is added to a variance as a float greater than 0.

    >>> as_eps("BatchNorm2d", 1e-5)
    1e-05
    """
    number = checks.as_number(who, "eps", eps)
    if not number > 0:
        raise ValueError(f"{who}: eps must be greater than 0. Got {eps}. Pass a small number such as 1e-5.")
    return number


def check_channels(who: str, input: np.ndarray, fits: bool, layout: str, **argument: int) -> None:
    """Raise ValueError unless the axes of the input fit the layout, and the channels the layer's argument.

    >>> check_channels("BatchNorm1d", np.zeros((2, 3)), True, "(N, C)", num_features=3)
    """
    ((name, channels),) = argument.items()
    if not fits:
        raise ValueError(
            f"{who}: input must be {layout}. Got shape {input.shape}. "
            "Put the layer where its input has these axes."
        )
    if input.shape[1] != channels:
        raise ValueError(
            f"{who}: input must have {channels} channels (axis 1). Got {input.shape[1]} in "
            f"shape {input.shape}. Build the layer with {name}={input.shape[1]}."
        )


class _BatchNorm(Module):
    """What BatchNorm1d and BatchNorm2d share: all but the number of axes.

    Axis 1 holds the channels. A channel's numbers, m of them, lie along all other axes.
    """

    buffer_names = ("running_mean", "running_var", "num_batches_tracked")
    axes: tuple[int, ...] = ()  # how many axes the input may have
    layout = ""  # how messages write its shape

    def __init__(
        self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True, dtype=np.float32
    ) -> None:
        super().__init__()
        self.num_features = checks.as_int(self.who, "num_features", num_features, minimum=1)
        self.eps = as_eps(self.who, eps)
        self.momentum = None if momentum is None else checks.as_number(self.who, "momentum", momentum)
        self.affine, self.track_running_stats = bool(affine), bool(track_running_stats)
        dtype = checks.as_float_dtype(self.who, dtype)
        self.weight = Parameter(np.ones(self.num_features, dtype)) if affine else None
        self.bias = Parameter(np.zeros(self.num_features, dtype)) if affine else None
        self.running_mean = np.zeros(self.num_features, dtype) if track_running_stats else None
        self.running_var = np.ones(self.num_features, dtype) if track_running_stats else None
        self.num_batches_tracked = np.zeros((), np.int64) if track_running_stats else None

    @checks.without_warnings
    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return ``(input - mean) · inv_std · weight + bias``, channel by channel."""
        self._check_input(input)
        use_batch, given = self.training or not self.track_running_stats, None
        if use_batch:
            self._check_count(input)
        else:  # copies, because they are saved and the next training batch changes the buffers
            given = self.running_mean.copy(), self.running_var.copy()
        weight, bias = self._scale_and_shift(input.dtype)
        output, mean, variance, inv_std = kernels.batch_norm(input, given, weight, bias, self.eps)
        if self.training and self.track_running_stats:
            self._follow(mean, variance, input.size // self.num_features)
        self.save(output, input=input, mean=mean, variance=variance, inv_std=inv_std, use_batch=use_batch)
        return output

    @checks.without_warnings
    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return the gradient of the input; add to `weight.grad` and `bias.grad`."""
        saved = self.recall(grad_output)
        weight, _ = self._scale_and_shift(grad_output.dtype)
        channel = saved["mean"], saved["inv_std"], weight
        grad_input, grad_weight, grad_bias = kernels.batch_norm_backward(
            grad_output, saved["input"], *channel, saved["use_batch"]
        )
        if self.affine:
            self.weight.accumulate(grad_weight)
            self.bias.accumulate(grad_bias)
        return grad_input

    def _scale_and_shift(self, dtype) -> tuple[np.ndarray, np.ndarray]:
        """Return weight and bias, or what stands for them: ones and zeros."""
        if self.affine:
            return self.weight.data, self.bias.data
        return np.ones(self.num_features, dtype), np.zeros(self.num_features, dtype)

    def _follow(self, mean: np.ndarray, variance: np.ndarray, m: int) -> None:
        """Bring the running statistics forward to those of a batch with m numbers a channel."""
        self.num_batches_tracked[...] += 1
        if m:
            factor = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
            self.running_mean[...] = (1 - factor) * self.running_mean + factor * mean
            self.running_var[...] = (1 - factor) * self.running_var + factor * (variance * (m / (m - 1)))

    def _check_count(self, input: np.ndarray) -> None:
        if input.size == self.num_features:
            raise ValueError(
                f"{self.who}: training needs more than one value in each channel. Got shape {input.shape}. "
                "Pass a larger batch (DataLoader(..., drop_last=True)), or call model.eval() first."
            )

    def _check_input(self, input: np.ndarray) -> None:
        checks.as_float_array(self.who, "input", input)
        fits = input.ndim in self.axes
        check_channels(self.who, input, fits, self.layout, num_features=self.num_features)
        if self.affine:
            checks.check_same_dtype(self.who, "input", input, checks.own_array(self, "weight").dtype)
            for name in ("weight", "bias"):
                own = checks.own_array(self, name)
                checks.check_own_array(self.who, name, own, (self.num_features,), input.dtype)
        elif self.track_running_stats:
            checks.check_same_dtype(self.who, "input", input, self.running_mean.dtype)
        if self.track_running_stats:
            for name in ("running_mean", "running_var"):
                checks.check_own_array(self.who, name, getattr(self, name), (self.num_features,), input.dtype)

    def arguments(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """Normalise every feature over the batch, then scale and shift it: ``y = x̂ · weight + bias``.

    ``x̂ = (x - mean) · inv_std`` with ``inv_std = 1 / √(variance + eps)``. While training, mean and
    variance are the batch's: ``mean = Σ x / m``, ``variance = Σ (x - mean)² / m`` over the m numbers of a
    channel. In evaluation they are the running ones.

    Backward, with ``G = ∂L/∂y`` and ``g = G · weight``: ``∂L/∂weight = Σ G x̂``, ``∂L/∂bias = Σ G``, and
    ``∂L/∂x = inv_std · (g - Σ g / m - x̂ · Σ g x̂ / m)``: the direct path, the path through the mean, and the
    path through the variance. In evaluation only the direct one is there.

    After every training batch ``running = (1 - momentum) · running + momentum · batch``; the variance that
    goes in there is the unbiased one, ``Σ (x - mean)² / (m - 1)``, as in torch.

    Parameters
    ----------
    num_features : int
        C, the number of channels.
    eps : float
        Keeps the root away from 0.
    momentum : float or None
        The weight of the newest batch; None takes the plain average of all batches so far.
    affine : bool
        Whether there are `weight` and `bias`.
    track_running_stats : bool
        Whether running statistics are kept; if not, evaluation uses the batch's as well.
    dtype : float32 or float64
        Of parameters and buffers; the input must have the same.

    Attributes
    ----------
    weight, bias : Parameter of shape (C,), or None
        Ones and zeros at first.
    running_mean, running_var : ndarray of shape (C,), or None
    num_batches_tracked : ndarray of shape (), int64, or None

    Notes
    -----
    Input and output `(N, C)` or `(N, C, L)`.

    Source: Ioffe and Szegedy, "Batch normalization" (2015).

    Raises
    ------
    ValueError
        If the input has other axes or another number of channels, or only one number a channel in training.
    TypeError
        If the input's dtype is not the layer's.

    Examples
    --------
    >>> layer = BatchNorm1d(1, eps=3.0, dtype=np.float64)
    >>> layer(np.array([[1.0], [3.0]]))         # mean 2, variance 1: (1 - 2) / √(1 + 3), (3 - 2) / √(1 + 3)
    array([[-0.5],
           [ 0.5]])
    >>> layer.running_mean, layer.running_var   # 0.9·0 + 0.1·2, 0.9·1 + 0.1·2 (unbiased: 2 / (2 - 1))
    (array([0.2]), array([1.1]))
    >>> layer.backward(np.array([[8.0], [0.0]]))    # 1/2·(8 - 4 - 0.5·2), 1/2·(0 - 4 + 0.5·2)
    array([[ 1.5],
           [-1.5]])
    """

    axes = (2, 3)
    layout = "(N, C) or (N, C, L)"


class BatchNorm2d(_BatchNorm):
    """Normalise every channel over the batch and all pixels, then scale and shift it.

    Formulas, parameters, attributes and errors are those of `BatchNorm1d`; here a channel has
    ``m = N · H · W`` numbers.

    Notes
    -----
    Input and output `(N, C, H, W)`.

    Examples
    --------
    >>> layer = BatchNorm2d(1, eps=3.0)
    >>> layer(np.float32([[[[1, 3]]], [[[1, 3]]]]))     # mean 2, variance 1
    array([[[[-0.5,  0.5]]],
           [[[-0.5,  0.5]]]], dtype=float32)
    """

    axes = (4,)
    layout = "(N, C, H, W)"
