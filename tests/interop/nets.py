"""Torch nets as people write them, for the tests of everything that stands beside torch.

`NETS` maps a name to (function that builds the net, shape of its input). `chains` of them convert to a
Sequential, the others to a Graph.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class Traditional(nn.Module):
    """Every layer an attribute, activations too; with or without the softmax inside."""

    def __init__(self, classes: int = 4, softmax: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, kernel_size=3, padding=1)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(kernel_size=2, stride=2)
        self.conv2 = nn.Conv2d(16, 32, kernel_size=3, padding=1)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(kernel_size=2, stride=2)
        self.fc1 = nn.Linear(32 * 7 * 7, classes)
        if softmax:
            self.softmax = nn.Softmax(dim=1)

    def forward(self, images):
        maps = self.pool1(self.relu1(self.conv1(images)))
        maps = self.pool2(self.relu2(self.conv2(maps)))
        scores = self.fc1(maps.view(maps.size(0), -1))
        return self.softmax(scores) if hasattr(self, "softmax") else scores


class SoftmaxHead(nn.Module):
    """Two Linear layers; the probabilities come from a function."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(10, 5), nn.Linear(5, 3)

    def forward(self, rows):
        return F.softmax(self.fc2(F.relu(self.fc1(rows))), dim=1)


class SigmoidHead(nn.Module):
    """One probability."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(5, 1)

    def forward(self, rows):
        return torch.sigmoid(self.fc1(rows))


class Regression(nn.Module):
    """One number, as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(10, 1)

    def forward(self, rows):
        return self.fc1(rows)


class Shallow(nn.Module):
    """One convolution, and a view that fixes the number of columns."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, kernel_size=3, padding=1)
        self.fc1 = nn.Linear(16 * 32 * 32, 10)

    def forward(self, images):
        maps = F.relu(self.conv1(images))
        return self.fc1(maps.view(-1, 16 * 32 * 32))


class Deeper(nn.Module):
    """Two convolutions, one pooling layer that is used twice, two Linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=3, padding=1)
        self.pool = nn.MaxPool2d(2, 2)
        self.fc1, self.fc2 = nn.Linear(64 * 8 * 8, 128), nn.Linear(128, 10)

    def forward(self, images):
        maps = self.pool(F.relu(self.conv1(images)))
        maps = self.pool(F.relu(self.conv2(maps)))
        return self.fc2(F.relu(self.fc1(maps.view(-1, 64 * 8 * 8))))


class Simple(nn.Module):
    """One convolution, torch.relu, one pooling layer, for two classes or more."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, kernel_size=3, padding=1)
        self.pool = nn.MaxPool2d(2, 2)
        self.fc1 = nn.Linear(16 * 14 * 14, classes)

    def forward(self, images):
        maps = self.pool(torch.relu(self.conv1(images)))
        return self.fc1(maps.view(-1, 16 * 14 * 14))


class LeNet5(nn.Module):
    """LeCun et al., 1998, with tanh and mean pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2),
            nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Linear(16 * 5 * 5, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10)
        )

    def forward(self, images):
        return self.classifier(torch.flatten(self.features(images), 1))


class SmallVGG(nn.Module):
    """Blocks of convolutions built by a loop, batch norm, dropout in the head."""

    def __init__(self) -> None:
        super().__init__()
        layers, channels = [], 3
        for width in (8, 8, "pool", 16, 16, "pool"):
            if width == "pool":
                layers.append(nn.MaxPool2d(2))
                continue
            convolution = nn.Conv2d(channels, width, 3, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            channels = width
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((2, 2))
        self.classifier = nn.Sequential(nn.Linear(64, 20), nn.ReLU(True), nn.Dropout(0.0), nn.Linear(20, 5))

    def forward(self, images):
        maps = self.avgpool(self.features(images))
        return self.classifier(maps.flatten(1))


class BasicBlock(nn.Module):
    """Two convolutions with batch norm, and what goes around them."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, maps):
        identity = maps
        result = self.relu(self.bn1(self.conv1(maps)))
        result = self.bn2(self.conv2(result))
        if self.downsample is not None:
            identity = self.downsample(maps)
        result += identity
        return self.relu(result)


class ResNet18(nn.Module):
    """He et al., 2015, with fewer channels for small images."""

    def __init__(self, width: int = 4, classes: int = 7) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = self.stage(width, width, 1)
        self.layer2 = self.stage(width, 2 * width, 2)
        self.layer3 = self.stage(2 * width, 4 * width, 2)
        self.layer4 = self.stage(4 * width, 8 * width, 2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(8 * width, classes)

    @staticmethod
    def stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
        return nn.Sequential(BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs))

    def forward(self, images):
        maps = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        maps = self.layer4(self.layer3(self.layer2(self.layer1(maps))))
        return self.fc(torch.flatten(self.avgpool(maps), 1))


class Inception(nn.Module):
    """Four paths side by side, joined along the channels; a mean over the pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 2, 1)
        self.three = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Conv2d(2, 3, 3, padding=1))
        self.five = nn.Sequential(nn.Conv2d(3, 2, 1), nn.SiLU(), nn.Conv2d(2, 2, 5, padding=2))
        self.pooled = nn.Conv2d(3, 2, 1)
        self.fc = nn.Linear(9, 4)

    def forward(self, images):
        around = F.max_pool2d(images, kernel_size=3, stride=1, padding=1)
        paths = [self.one(images), self.three(images), self.five(images), self.pooled(around)]
        maps = F.leaky_relu(torch.cat(paths, dim=1), 0.2)
        return F.log_softmax(self.fc(maps.mean((2, 3))), dim=-1)


class Shared(nn.Module):
    """One convolution that is used three times."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.head = nn.Linear(2 * 6 * 5, 3)

    def forward(self, images):
        maps = images
        for _ in range(3):
            maps = torch.tanh(self.conv(maps))
        return self.head(maps.reshape(maps.shape[0], -1))


class Functions(nn.Module):
    """Functions and methods where others write layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 3, 3)
        self.second = nn.Conv2d(3, 4, 3)
        self.last = nn.Linear(4, 3)

    def forward(self, images):
        maps = F.pad(2 * images - 0.5, (1, 2, 0, 1), mode="reflect")
        maps = F.gelu(F.avg_pool2d(self.first(maps), 2))
        maps = F.pad(F.silu(self.second(maps).relu() + 1), (1, 1))
        maps = F.dropout(maps, 0.5, training=False)
        columns = F.adaptive_avg_pool2d(maps, 1).squeeze(-1).squeeze(2)
        return self.last(columns / 3).view(-1, 3)


class ByLists(nn.Module):
    """Layers in a ModuleList, run by a loop, with a function in between."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(1, 2, 3), nn.Conv2d(2, 3, 3), nn.Conv2d(3, 2, 3)])
        self.norms = nn.ModuleDict({"last": nn.BatchNorm2d(2)})

    def forward(self, images):
        for convolution in self.convs:
            images = torch.relu(convolution(images))
        return self.norms["last"](images)


class TwoHeads(nn.Module):
    """A part of the model takes two tensors and returns two."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(4, 4)
        self.mix = Mixer()

    def forward(self, rows):
        left, right = self.mix(self.stem(rows), rows)
        return left + 0.5 * right


class Mixer(nn.Module):
    """Two tensors in, two out."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, first, second):
        return self.left(first), self.right(second)


class InPlace(nn.Module):
    """An activation that writes over its input, which is read again afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.again = nn.Linear(4, 4)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, rows):
        rows = self.fc(rows)
        return self.again(self.relu(rows)) + rows


class Mobile(nn.Module):
    """Activations with bounds, around convolutions channel by channel; an inverted residual of MobileNetV2."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, bias=False), nn.BatchNorm2d(4), nn.Hardswish())
        self.wide = nn.Sequential(nn.Conv2d(4, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(inplace=True))
        self.deep = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.narrow = nn.Sequential(nn.Conv2d(8, 4, 1), nn.PReLU(4))
        self.act = nn.PReLU()
        self.fc = nn.Linear(4, 3)

    def forward(self, images):
        maps = self.stem(images)
        maps = F.hardswish(maps + self.narrow(F.relu6(6 * self.deep(self.wide(maps)))))
        return self.fc(self.act(F.adaptive_avg_pool2d(maps, 1).flatten(1)))


class SqueezeExcitation(nn.Module):
    """A gate for every channel, from the means of all channels."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.gate = nn.Sequential(
            nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels), nn.Sigmoid()
        )

    def forward(self, maps):
        images, channels, _, _ = maps.size()
        gates = self.gate(self.pool(maps).view(images, channels)).view(images, channels, 1, 1)
        return maps * gates


class Attention(nn.Module):
    """Products of all three kinds: a gate a channel, one map for all channels, and two paths of one shape."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)
        self.excite = SqueezeExcitation(4, 2)
        self.look = nn.Conv2d(4, 1, 3, padding=1)
        self.left, self.right = nn.Conv2d(4, 5, 1), nn.Conv2d(4, 5, 1)
        self.fc = nn.Linear(5, 3)

    def forward(self, images):
        maps = F.relu(self.norm(self.stem(images)))
        maps = maps + self.excite(maps)
        maps = torch.mul(torch.sigmoid(self.look(maps)), maps)
        maps = self.left(maps).mul(torch.sigmoid(self.right(maps)))
        maps = maps * maps
        return self.fc(maps.mean((2, 3)))


class Groups(nn.Module):
    """Norms that see one image at a time: of groups of channels, of every channel, as layers and as functions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 6, 3, bias=False), nn.GroupNorm(2, 6, eps=1e-3), nn.ReLU(inplace=True)
        )
        self.style = nn.Sequential(nn.Conv2d(6, 4, 3, padding=1), nn.InstanceNorm2d(4))
        self.learned = nn.InstanceNorm2d(4, affine=True)
        self.fc = nn.Linear(4, 3)

    def forward(self, images):
        maps = F.relu(self.style(self.stem(images)))
        maps = maps + self.learned(maps)
        maps = F.instance_norm(F.group_norm(maps, 2, eps=0.1) * maps)
        return self.fc(F.group_norm(F.max_pool2d(maps, 3).flatten(2).amax(2), num_groups=1))


CHAINS = {
    "traditional": (Traditional, (2, 3, 28, 28)),
    "traditional, softmax inside": (lambda: Traditional(softmax=True), (2, 3, 28, 28)),
    "softmax head": (SoftmaxHead, (3, 10)),
    "sigmoid head": (SigmoidHead, (3, 5)),
    "regression": (Regression, (3, 10)),
    "shallow": (Shallow, (2, 3, 32, 32)),
    "deeper": (Deeper, (2, 3, 32, 32)),
    "simple, two classes": (Simple, (2, 3, 28, 28)),
    "simple, four classes": (lambda: Simple(4), (2, 3, 28, 28)),
    "LeNet-5": (LeNet5, (2, 1, 28, 28)),
    "small VGG": (SmallVGG, (3, 3, 12, 12)),
    "ResNet-18": (ResNet18, (2, 3, 33, 35)),
    "functions": (Functions, (2, 1, 12, 11)),
    "by lists": (ByLists, (2, 1, 9, 9)),
}
GRAPHS = {
    "Inception": (Inception, (2, 3, 6, 5)),
    "shared": (Shared, (2, 2, 6, 5)),
    "two heads": (TwoHeads, (3, 4)),
    "in place": (InPlace, (3, 4)),
    "mobile": (Mobile, (3, 3, 9, 8)),
    "groups": (Groups, (3, 3, 9, 8)),
    "attention": (Attention, (3, 3, 9, 8)),
}
NETS = CHAINS | GRAPHS
