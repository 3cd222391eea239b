"""Small nets of the families that torchvision has, in its own style, for from_torch and compare."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


def convolved(channels, filters, kernel_size=1, stride=1, groups=1, activation=None) -> nn.Sequential:
    """Return a convolution, a batch norm and an activation."""
    padding = kernel_size // 2
    convolution = nn.Conv2d(channels, filters, kernel_size, stride, padding, groups=groups, bias=False)
    layers = [convolution, nn.BatchNorm2d(filters)]
    return nn.Sequential(*layers, *([] if activation is None else [activation(inplace=True)]))


class Excitation(nn.Module):
    """A gate a channel, whose last activation is the family's own."""

    def __init__(self, channels, activation, gate) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1, self.fc2 = nn.Conv2d(channels, 2, 1), nn.Conv2d(2, channels, 1)
        self.activation, self.gate = activation(), gate()

    def forward(self, input):
        scale = self.activation(self.fc1(self.avgpool(input)))
        return self.gate(self.fc2(scale)) * input


class InvertedResidual(nn.Module):
    """A block of MobileNetV3."""

    def __init__(self, channels, wide, stride=1) -> None:
        super().__init__()
        self.block = nn.Sequential(
            convolved(channels, wide, activation=nn.Hardswish),
            convolved(wide, wide, 3, stride, groups=wide, activation=nn.Hardswish),
            Excitation(wide, nn.ReLU, nn.Hardsigmoid),
            convolved(wide, channels),
        )
        self.adds = stride == 1

    def forward(self, input):
        result = self.block(input)
        if self.adds:
            result += input
        return result


class MobileNetV3(nn.Module):
    """Howard et al., "Searching for MobileNetV3" (2019)."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            convolved(3, 4, 3, 2, activation=nn.Hardswish), InvertedResidual(4, 6), InvertedResidual(4, 8, 2)
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        head = nn.Linear(4, 6), nn.Hardswish(inplace=True), nn.Dropout(0.2, inplace=True), nn.Linear(6, 5)
        self.classifier = nn.Sequential(*head)
        self.classifier[2].eval()

    def forward(self, images):
        columns = torch.flatten(self.avgpool(F.hardsigmoid(self.features(images))), 1)
        return self.classifier(columns)


def stochastic_depth(input, p, training):
    """Drop whole images, while a net learns; torch.fx takes it for one operation, as torchvision's."""
    if not training or p == 0:
        return input
    size = [input.shape[0]] + [1] * (input.ndim - 1)
    noise = torch.empty(size, dtype=input.dtype)
    return input * noise.bernoulli_(1 - p).div_(1 - p)


torch.fx.wrap("stochastic_depth")


class StochasticDepth(nn.Module):
    """The function above as a layer."""

    def __init__(self, p) -> None:
        super().__init__()
        self.p = p

    def forward(self, input):
        return stochastic_depth(input, self.p, self.training)


class MBConv(nn.Module):
    """A block of EfficientNet."""

    def __init__(self, channels, wide) -> None:
        super().__init__()
        self.block = nn.Sequential(
            convolved(channels, wide, activation=nn.SiLU),
            convolved(wide, wide, 5, groups=wide, activation=nn.SiLU),
            Excitation(wide, lambda: nn.SiLU(inplace=True), nn.Sigmoid),
            convolved(wide, channels),
        )
        self.stochastic_depth = StochasticDepth(0.2)

    def forward(self, input):
        result = self.stochastic_depth(self.block(input))
        result += input
        return result


class EfficientNet(nn.Module):
    """Tan and Le, "EfficientNet" (2019); while nothing is dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(convolved(3, 4, 3, 2, activation=nn.SiLU), MBConv(4, 6), MBConv(4, 8))
        self.features[1].stochastic_depth.eval()
        self.features[2].stochastic_depth.p = 0
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(4, 5)

    def forward(self, images):
        return self.fc(torch.flatten(self.avgpool(self.features(images)), 1))


def channel_shuffle(x, groups):
    """Mix the channels of the groups, as torchvision does it."""
    batchsize, num_channels, height, width = x.size()
    x = x.view(batchsize, groups, num_channels // groups, height, width)
    x = torch.transpose(x, 1, 2).contiguous()
    return x.view(batchsize, num_channels, height, width)


class Shuffles(nn.Module):
    """A block of ShuffleNetV2 that keeps the size: one half of the channels passes as it is."""

    def __init__(self, channels) -> None:
        super().__init__()
        half = channels // 2
        self.branch = nn.Sequential(
            convolved(half, half, activation=nn.ReLU), convolved(half, half, 3, groups=half)
        )

    def forward(self, x):
        x1, x2 = x.chunk(2, dim=1)
        return channel_shuffle(torch.cat((x1, self.branch(x2)), dim=1), 2)


class ShuffleNetV2(nn.Module):
    """Ma et al., "ShuffleNet V2" (2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.maxpool = convolved(3, 6, 3, 2, activation=nn.ReLU), nn.MaxPool2d(3, 2, 1)
        self.stage2 = nn.Sequential(Shuffles(6), Shuffles(6))
        self.fc = nn.Linear(6, 5)

    def forward(self, images):
        return self.fc(self.stage2(self.maxpool(self.conv1(images))).mean([2, 3]))


class GoogLeNet(nn.Module):
    """Szegedy et al., "Going deeper with convolutions" (2014), with the images as its pretrained weights want them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = convolved(3, 4, 3, 2, activation=nn.ReLU)
        self.branch1 = convolved(4, 2, activation=nn.ReLU)
        self.branch2 = nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True), convolved(4, 3))
        self.fc = nn.Linear(5, 5)

    def forward(self, x):
        x_ch0 = torch.unsqueeze(x[:, 0], 1) * (0.229 / 0.5) + (0.485 - 0.5) / 0.5
        x_ch1 = torch.unsqueeze(x[:, 1], 1) * (0.224 / 0.5) + (0.456 - 0.5) / 0.5
        x_ch2 = torch.unsqueeze(x[:, 2], 1) * (0.225 / 0.5) + (0.406 - 0.5) / 0.5
        x = self.conv1(torch.cat((x_ch0, x_ch1, x_ch2), 1))
        x = torch.cat([self.branch1(x), self.branch2(x)], 1)
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, (1, 1)), 1))


class CBAM(nn.Module):
    """Woo et al., "CBAM" (2018): attention over the channels, then over the places."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = convolved(3, 4, 3, activation=nn.ReLU)
        self.avg_pool, self.max_pool = nn.AdaptiveAvgPool2d(1), nn.AdaptiveMaxPool2d(1)
        self.mlp = nn.Sequential(nn.Conv2d(4, 2, 1, bias=False), nn.ReLU(), nn.Conv2d(2, 4, 1, bias=False))
        self.look = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.fc = nn.Linear(4, 5)

    def forward(self, images):
        x = self.stem(images)
        x = torch.sigmoid(self.mlp(self.avg_pool(x)) + self.mlp(self.max_pool(x))) * x
        avg_out = torch.mean(x, dim=1, keepdim=True)
        max_out, _ = torch.max(x, dim=1, keepdim=True)
        x = torch.sigmoid(self.look(torch.cat([avg_out, max_out], dim=1))) * x
        return self.fc(torch.amax(x, (2, 3)) - F.adaptive_max_pool2d(-x, 1).flatten(1))


FAMILIES = {
    "MobileNetV3": (MobileNetV3, (3, 3, 17, 19)),
    "EfficientNet": (EfficientNet, (3, 3, 17, 19)),
    "ShuffleNetV2": (ShuffleNetV2, (3, 3, 17, 19)),
    "GoogLeNet": (GoogLeNet, (3, 3, 10, 11)),
    "CBAM": (CBAM, (3, 3, 8, 9)),
}
