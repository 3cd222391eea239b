"""Conv2d: filters that slide over an image."""

from __future__ import annotations

import math

import numpy as np

from minicnn import checks, kernels
from minicnn.kernels.geometry import conv_output_sizes
from minicnn.nn import init
from minicnn.nn.module import Module, Parameter
from minicnn.nn.padding import NUMPY_MODES, check_pads, pad2d, pad2d_backward, split_padding

LARGEST_WEIGHT = 2**31  # numbers; more is a slip of the pen, and would not fit into memory


class Conv2d(Module):
    """Slide `out_channels` filters over an image.

    ``y[n, o, r, s] = b[o] + Σ_{c,k,l} x[n, c, r·stride + k·dilation - padding, s·... ] · w[o, c, k, l]``:
    what torch calls a convolution; the filter is not flipped.

    Backward, with ``G = ∂L/∂y``: ``∂L/∂w[o, c, k, l]`` is the sum of ``G[n, o, r, s]`` times the pixel that
    this weight met there; ``∂L/∂x`` at a pixel is the sum of ``G · w`` over all windows that it is in;
    ``∂L/∂b[o] = Σ G[:, o]``.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int or pair (height, width)
    padding : int, pair, "same" or "valid"
        Cells around the image, on each side. "same" keeps the size at stride 1 (with an even kernel the
        odd cell goes to the right and to the bottom); "valid" is 0.
    groups : int
        Channels and filters fall into so many blocks, and a filter sees the channels of its own block.
    bias : bool
    padding_mode : "zeros", "reflect", "replicate" or "circular"
    dtype : float32 or float64
        Of the parameters; the input must have the same.
    rng : numpy.random.Generator, int or None
        Where the initial values come from: both parameters uniform in ±1/√fan_in, as in
        ``torch.nn.modules.conv._ConvNd.reset_parameters``.

    Attributes
    ----------
    weight : Parameter of shape (out_channels, in_channels / groups, K_h, K_w)
    bias : Parameter of shape (out_channels,), or None

    Notes
    -----
    Input `(N, C_in, H, W)` or `(C_in, H, W)`, output `(N, C_out, H_out, W_out)` or `(C_out, H_out, W_out)`
    with ``H_out = ⌊(H + 2·padding - dilation·(K_h - 1) - 1) / stride⌋ + 1``.

    A cell of zero padding adds nothing, not even to an infinite weight.

    Raises
    ------
    ValueError
        If the channels do not fit, or the kernel is larger than the padded input.
    TypeError
        If the input's dtype is not the parameters'.

    Examples
    --------
    >>> layer = Conv2d(1, 1, kernel_size=(1, 2), rng=0)
    >>> layer.weight.data[...], layer.bias.data[...] = [[[[10, 1]]]], [0.5]
    >>> layer(np.float32([[[[1, 2, 3]]]]))                  # 1·10 + 2·1 + 0.5, 2·10 + 3·1 + 0.5
    array([[[[12.5, 23.5]]]], dtype=float32)
    >>> layer.backward(np.float32([[[[1, 2]]]]))            # 1·10, 1·1 + 2·10, 2·1
    array([[[[10., 21.,  2.]]]], dtype=float32)
    >>> layer.weight.grad, layer.bias.grad                  # 1·1 + 2·2, 1·2 + 2·3; 1 + 2
    (array([[[[5., 8.]]]], dtype=float32), array([3.], dtype=float32))
    """

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        bias=True,
        padding_mode="zeros",
        dtype=np.float32,
        *,
        rng=None,
    ) -> None:
        super().__init__()
        self.in_channels = checks.as_int(self.who, "in_channels", in_channels, minimum=1)
        self.out_channels = checks.as_int(self.who, "out_channels", out_channels, minimum=1)
        self.kernel_size, self.stride, self.dilation = kernel_size, stride, dilation
        self.groups = checks.as_int(self.who, "groups", groups, minimum=1)
        self.padding, self.padding_mode = padding, padding_mode
        self._check_arguments()
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        if math.prod(shape) >= LARGEST_WEIGHT:
            raise ValueError(
                f"{self.who}: the weight must hold fewer than 2^31 numbers. Got shape {shape}. "
                "Use a smaller kernel or fewer channels."
            )
        dtype, rng = checks.as_float_dtype(self.who, dtype), checks.as_rng(self.who, rng)
        self.weight = Parameter(np.empty(shape, dtype))
        self.bias = Parameter(np.empty(self.out_channels, dtype)) if bias else None
        init.default_(self.weight, self.bias, rng)

    @checks.without_warnings
    def forward(self, input: np.ndarray) -> np.ndarray:
        """Return `(N, C_out, H_out, W_out)` for an input `(N, C_in, H, W)`."""
        images, weight, bias, *geometry = self.convolution_of(input)
        output = kernels.conv2d(images, weight, bias, *geometry)
        output = output if input.ndim == 4 else output[0]
        border = self.pads()[0], self.padding_mode
        self.save(output, input=images, weight=weight, geometry=tuple(geometry), border=border)
        return output

    @checks.without_warnings
    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Return the gradient of the input; add to `weight.grad` and `bias.grad`."""
        self._backward_parameters(grad_output)
        saved, (pads, mode) = self.saved, self.saved["border"]
        grads = grad_output if grad_output.ndim == 4 else grad_output[None]  # (N, C_out, H_out, W_out)
        grad_input = kernels.conv2d_grad_input(
            grads, saved["weight"], saved["input"].shape, *saved["geometry"]
        )
        if pads is not None:
            grad_input = pad2d_backward(grad_input, pads, mode)
        return grad_input if grad_output.ndim == 4 else grad_input[0]

    @checks.without_warnings
    def _backward_parameters(self, grad_output: np.ndarray) -> None:
        saved = self.recall(grad_output)
        grads = grad_output if grad_output.ndim == 4 else grad_output[None]  # (N, C_out, H_out, W_out)
        shape, geometry = saved["weight"].shape, saved["geometry"]
        self.weight.accumulate(kernels.conv2d_grad_weight(grads, saved["input"], shape, *geometry))
        if self.bias is not None:
            self.bias.accumulate(kernels.conv2d_grad_bias(grads))

    def convolution_of(self, input: np.ndarray) -> tuple:
        """Return what `kernels.conv2d` is called with, once the input is seen to fit.

        >>> layer = Conv2d(1, 2, 3, padding=1, bias=False)
        >>> images, weight, bias, *geometry = layer.convolution_of(np.zeros((1, 5, 5), np.float32))
        >>> images.shape, bias, geometry
        ((1, 1, 5, 5), None, [(1, 1), (1, 1), (1, 1), 1])
        """
        self._check_arguments()  # somebody may have set other ones
        self._check_input(input)
        images = input if input.ndim == 4 else input[None]  # (N, C_in, H, W)
        pads, padding = self.pads()
        if pads is not None:
            check_pads(self.who, pads, self.padding_mode, images.shape[2:])
            images = pad2d(images, pads, self.padding_mode)
        self._check_fits(images.shape[2:], padding)
        bias = None if self.bias is None else self.bias.data
        return images, self.weight.data, bias, self.stride, padding, self.dilation, self.groups

    def pads(self) -> tuple[tuple | None, tuple[int, int]]:
        """Return what `pad2d` has to add (None for nothing), and what the kernels take as zero padding.

        >>> Conv2d(1, 1, 3, padding=1).pads()
        (None, (1, 1))
        """
        return split_padding(self.padding, self.padding_mode, self.kernel_size, self.dilation)

    def _check_arguments(self) -> None:
        """Raise unless the arguments fit together, as they are now; numbers that stand for pairs become pairs."""
        checks.set_pairs(self, kernel_size=1, stride=1, dilation=1)
        if not isinstance(self.padding_mode, str) or self.padding_mode not in NUMPY_MODES:
            raise ValueError(
                f"{self.who}: padding_mode must be one of {', '.join(NUMPY_MODES)}. Got "
                f"{self.padding_mode!r}. Choose one of these."
            )
        by_name = isinstance(self.padding, str)
        if by_name and self.padding not in ("same", "valid"):
            raise ValueError(
                f'{self.who}: padding must be an int, a pair, "same" or "valid". Got {self.padding!r}. '
                "Choose one of these."
            )
        if by_name and self.padding == "same" and self.stride != (1, 1):
            raise ValueError(
                f'{self.who}: padding="same" needs stride 1. Got stride {self.stride}. '
                "Give the padding as a number."
            )
        if not by_name:
            checks.set_pairs(self, padding=0)
        for name in ("in_channels", "out_channels"):
            if getattr(self, name) % self.groups:
                raise ValueError(
                    f"{self.who}: {name} must be divisible by groups. Got {getattr(self, name)} and "
                    f"{self.groups}. Choose a number of groups that divides both channels."
                )

    def _check_input(self, input: np.ndarray) -> None:
        checks.as_float_array(self.who, "input", input)
        if input.ndim not in (3, 4):
            raise ValueError(
                f"{self.who}: input must be (N, C, H, W) or (C, H, W). Got shape {input.shape}. "
                "Give every image its channel axis, such as images[:, None]."
            )
        channels = input.shape[-3]
        if channels != self.in_channels:
            plural, advice = "" if self.in_channels == 1 else "s", "Build"
            if input.ndim == 3 and self.in_channels == 1:
                advice = "Pass grey images as images[:, None], or build"
            elif input.ndim == 4 and input.shape[3] == self.in_channels < min(input.shape[1:3]):
                advice = "Pass images whose channels stand last as images.transpose(0, 3, 1, 2), or build"
            raise ValueError(
                f"{self.who}: input must have {self.in_channels} channel{plural} (axis {input.ndim - 3}). "
                f"Got {channels} in shape {input.shape}. {advice} the layer with in_channels={channels}."
            )
        dtype = self.weight.data.dtype
        checks.check_same_dtype(self.who, "input", input, dtype)
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        checks.check_own_array(self.who, "weight", self.weight.data, shape, dtype)
        if self.bias is not None:
            checks.check_own_array(self.who, "bias", self.bias.data, (self.out_channels,), dtype)

    def _check_fits(self, size: tuple[int, int], padding: tuple[int, int]) -> None:
        """Raise ValueError if the output would be empty; `size` is that of the image as it is padded."""
        if min(conv_output_sizes(size, self.kernel_size, self.stride, padding, self.dilation)) < 1:
            raise ValueError(
                f"{self.who}: the kernel must fit into the padded input. Got kernel "
                f"{self.kernel_size} with dilation {self.dilation} for {size[0] + 2 * padding[0]}x"
                f"{size[1] + 2 * padding[1]} cells. Use a smaller kernel or more padding."
            )

    def arguments(self) -> str:
        words = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        words.append(f"stride={self.stride}")
        if self.padding != (0, 0):
            words.append(f"padding={self.padding!r}")
        if self.dilation != (1, 1):
            words.append(f"dilation={self.dilation}")
        if self.groups != 1:
            words.append(f"groups={self.groups}")
        if self.bias is None:
            words.append("bias=False")
        if self.padding_mode != "zeros":
            words.append(f"padding_mode={self.padding_mode!r}")
        return ", ".join(words)
