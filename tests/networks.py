"""Random networks of every layer, for tests that must hold for any net."""

from __future__ import annotations

import numpy as np

from minicnn import nn

ACTIVATIONS = (
    nn.ReLU,
    lambda: nn.LeakyReLU(0.1),
    nn.ELU,
    nn.GELU,
    lambda: nn.GELU("tanh"),
    nn.SiLU,
    nn.ReLU6,
    nn.Hardsigmoid,
    nn.Hardswish,
    lambda: nn.Hardtanh(-0.5, 2),
    lambda: nn.Clamp(-2, 0.5),
    nn.Sigmoid,
    nn.Tanh,
    nn.Identity,
)


def choose(rng: np.random.Generator, *options):
    """Return one of the options."""
    return options[rng.integers(len(options))]


def random_convolution(channels: int, rng: np.random.Generator, dtype) -> nn.Conv2d:
    """Return a convolution with random kernel, stride, padding, dilation, groups and padding mode."""
    kernel = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    stride = choose(rng, 1, 1, 2, (1, 2), (2, 1))
    groups = choose(rng, 1, 1, channels) if channels > 1 else 1
    padding = choose(rng, 0, 1, (1, 0), 2) if stride != 1 else choose(rng, 0, 1, 2, "same", "valid")
    mode = choose(rng, "zeros", "zeros", "reflect", "replicate", "circular")
    return nn.Conv2d(
        channels,
        groups * int(rng.integers(1, 4)),
        kernel,
        stride,
        padding,
        dilation=choose(rng, 1, 1, (2, 1)),
        groups=groups,
        bias=bool(rng.integers(2)),
        padding_mode=mode,
        dtype=dtype,
        rng=rng,
    )


def random_pooling(rng: np.random.Generator) -> nn.Module:
    """Return one of the pooling layers."""
    return choose(
        rng,
        nn.MaxPool2d(2),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.MaxPool2d(2, stride=1, dilation=(1, 2)),
        nn.MaxPool2d((2, 3), ceil_mode=True),
        nn.AvgPool2d(2),
        nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=bool(rng.integers(2)), ceil_mode=True),
        nn.AvgPool2d((2, 1), divisor_override=3),
        nn.AdaptiveAvgPool2d((3, 2)),
    )


def random_network(
    rng: np.random.Generator, dtype=np.float32, batch: int = 3
) -> tuple[nn.Sequential, np.ndarray, np.ndarray]:
    """Return a net with weights, buffers and mode drawn at random, its images and its targets."""
    channels, height, width = int(rng.integers(1, 4)), int(rng.integers(9, 13)), int(rng.integers(9, 13))
    images = rng.normal(size=(batch, channels, height, width)).astype(dtype)
    layers: list[nn.Module] = []

    def shape() -> tuple[int, ...]:
        with nn.no_grad():
            return nn.Sequential(*layers).eval()(images).shape

    for _ in range(int(rng.integers(1, 3))):
        if min(shape()[2:]) < 5:  # a kernel of 3 with dilation 2 would not fit
            break
        layers.append(random_convolution(shape()[1], rng, dtype))
        if rng.integers(2):
            layers.append(nn.BatchNorm2d(shape()[1], affine=bool(rng.integers(2)), dtype=dtype))
        if not rng.integers(3):
            groups = shape()[1] if rng.integers(2) else 1
            layers.append(nn.GroupNorm(groups, shape()[1], affine=bool(rng.integers(2)), dtype=dtype))
        layers.append(choose(rng, lambda: nn.PReLU(shape()[1], dtype=dtype), *ACTIVATIONS)())
        if rng.integers(2):
            body = nn.Sequential(
                nn.Conv2d(shape()[1], shape()[1], 3, padding=1, dtype=dtype, rng=rng), nn.ReLU()
            )
            shortcut = nn.Conv2d(shape()[1], shape()[1], 1, dtype=dtype, rng=rng) if rng.integers(2) else None
            layers.append(nn.Residual(body, shortcut))
        if min(shape()[2:]) >= 4:
            layers.append(random_pooling(rng))
        if rng.integers(2):
            layers.append(nn.Dropout2d(0.3, rng=rng))
    layers.append(nn.Flatten())
    layers.append(nn.Linear(shape()[1], 6, bias=bool(rng.integers(2)), dtype=dtype, rng=rng))
    layers.append(nn.BatchNorm1d(6, dtype=dtype))
    layers.append(choose(rng, lambda: nn.PReLU(dtype=dtype), *ACTIVATIONS)())
    layers.append(nn.Dropout(0.4, rng=rng))
    layers.append(nn.Linear(6, 4, dtype=dtype, rng=rng))
    if not rng.integers(4):
        layers.append(choose(rng, nn.Softmax(dim=1), nn.LogSoftmax(dim=-1)))
    model = nn.Sequential(*layers)
    for parameter in model.parameters():
        if parameter.data.ndim == 1:
            parameter.data[...] = rng.normal(size=parameter.data.shape)
    model.train(bool(rng.integers(2)) and batch > 1)
    return model, images, rng.integers(4, size=batch)
