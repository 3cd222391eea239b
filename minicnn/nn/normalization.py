"""Batch normalisation: every channel gets mean 0 and variance 1, then a scale and a shift it learns."""

from __future__ import annotations

import numpy as np

from minicnn import checks
from minicnn.nn.module import Module, Parameter


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
        self.eps = checks.as_number(self.who, "eps", eps)
        if not self.eps > 0:
            raise ValueError(
                f"{self.who}: eps must be greater than 0. Got {eps}. Pass a small number such as 1e-5."
            )
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
        use_batch = self.training or not self.track_running_stats
        if use_batch:
            mean, variance = self._batch_statistics(input)
        else:  # copies, because they are saved and the next training batch changes the buffers
            mean, variance = self.running_mean.copy(), self.running_var.copy()
        inv_std = 1 / np.sqrt(variance + self.eps)
        normalised = (input - _along(mean, input)) * _along(inv_std, input)
        output = normalised
        if self.affine:
            output = normalised * _along(self.weight.data, input) + _along(self.bias.data, input)
        self.save(
            output, normalised=normalised, mean=mean, variance=variance, inv_std=inv_std, use_batch=use_batch
        )
        return output

    @checks.without_warnings
    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return the gradient of the input; add to `weight.grad` and `bias.grad`."""
        saved = self.recall(grad_output)
        normalised = saved["normalised"]
        grad_normalised = grad_output
        if self.affine:
            self.weight.accumulate(_sum(grad_output * normalised))
            self.bias.accumulate(_sum(grad_output))
            grad_normalised = grad_output * _along(self.weight.data, grad_output)
        inv_std = _along(saved["inv_std"], grad_output)
        direct = grad_normalised * inv_std
        if not saved["use_batch"]:  # the running statistics do not depend on this input
            return direct
        # A number also moves the mean, by 1/m, and thereby all m numbers of its channel, the other way ...
        through_mean = -inv_std * _along(_mean(grad_normalised), grad_output)
        # ... and the variance, by 2/m of its distance from the mean, which draws all of them together.
        pull = _along(_mean(grad_normalised * normalised), grad_output)
        through_variance = -inv_std * normalised * pull
        return direct + through_mean + through_variance

    def _batch_statistics(self, input: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the batch's mean and biased variance, and bring the running ones forward."""
        m = input.size // self.num_features
        if m == 1:
            raise ValueError(
                f"{self.who}: training needs more than one value in each channel. Got shape {input.shape}. "
                "Pass a larger batch (DataLoader(..., drop_last=True)), or call model.eval() first."
            )
        mean = _mean(input)
        variance = _mean(np.square(input - _along(mean, input)))
        if self.training and self.track_running_stats:
            self.num_batches_tracked[...] += 1
            if m:
                factor = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
                self.running_mean[...] = (1 - factor) * self.running_mean + factor * mean
                self.running_var[...] = (1 - factor) * self.running_var + factor * (variance * (m / (m - 1)))
        return mean, variance

    def _check_input(self, input: np.ndarray) -> None:
        checks.as_float_array(self.who, "input", input)
        if input.ndim not in self.axes:
            raise ValueError(
                f"{self.who}: input must be {self.layout}. Got shape {input.shape}. "
                "Put the layer where its input has these axes."
            )
        if input.shape[1] != self.num_features:
            raise ValueError(
                f"{self.who}: input must have {self.num_features} channels (axis 1). Got {input.shape[1]} in "
                f"shape {input.shape}. Build the layer with num_features={input.shape[1]}."
            )
        if self.affine:
            checks.check_same_dtype(self.who, "input", input, self.weight.data.dtype)
        elif self.track_running_stats:
            checks.check_same_dtype(self.who, "input", input, self.running_mean.dtype)

    def arguments(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


def _along(channels: np.ndarray, array: np.ndarray) -> np.ndarray:
    """Return one number a channel in a shape that lies along axis 1 of `array`."""
    return channels.reshape(1, -1, *[1] * (array.ndim - 2))  # (1, C, 1, ...)


def _sum(array: np.ndarray) -> np.ndarray:
    """Return the sum of every channel, added up in float64 as torch does, in the array's dtype."""
    return array.sum(axis=(0, *range(2, array.ndim)), dtype=np.float64).astype(array.dtype)  # (C,)


def _mean(array: np.ndarray) -> np.ndarray:
    """Return the mean of every channel, likewise; 0 if there are no numbers."""
    m = max(array.size // array.shape[1], 1)
    total = array.sum(axis=(0, *range(2, array.ndim)), dtype=np.float64)  # (C,)
    return (total / m).astype(array.dtype)


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
