"""What from_torch cannot take: one error that names the operation and the line of the model's code."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minicnn.interop.torch import from_torch
from tests.helpers import raises
from tests.interop import families
from tests.interop.families import stochastic_depth

ADVICE = "Write it with layers and functions that minicnn.nn has."


class Net(torch.nn.Module):
    """A layer, and then what a subclass does."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = torch.nn.Linear(4, 4)
        self.rnn = torch.nn.GRU(4, 4)
        self.scale = torch.nn.Parameter(torch.ones(4))


class Sums(Net):
    def forward(self, rows):
        return torch.cumsum(self.fc(rows), 0)


class Permutes(Net):
    def forward(self, rows):
        return self.fc(rows).permute(1, 0)


class Transposes(Net):
    def forward(self, rows):
        return self.fc(rows).transpose(1, 0)


class Multiplies(Net):
    def forward(self, rows):
        return self.fc(rows) * rows.mean(0)


class Subtracts(Net):
    def forward(self, rows):
        return self.fc(rows) - rows.mean(0, keepdim=True)


class Broadcasts(Net):
    def forward(self, rows):
        return self.fc(rows) + rows.mean(0, keepdim=True)


class Learns(Net):
    def forward(self, rows):
        return self.fc(rows) * self.scale


class Recurs(Net):
    def forward(self, rows):
        return self.rnn(rows)[0]


class TwoOutputs(Net):
    def forward(self, rows):
        return self.fc(rows), rows


class TwoInputs(Net):
    def forward(self, rows, others):
        return self.fc(rows) + others


class Strange(Net):
    def forward(self, rows):
        return F.max_pool2d(rows[None], 2, return_indices=True)[0]


class Halves(Net):
    def forward(self, rows):
        return self.fc(rows).to(torch.float16)


class WritesOver(Net):
    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.ReLU(inplace=True), torch.nn.Linear(4, 4))

    def forward(self, rows):
        rows = self.fc(rows)
        return self.body(rows) + rows


class Branches(Net):
    def forward(self, rows):
        if rows.sum() > 0:
            return self.fc(rows)
        return rows


class Loops(Net):
    def forward(self, rows):
        return sum(list(self.fc(rows)))


class Asserts(Net):
    def forward(self, rows):
        assert rows.shape == (2, 4)
        return self.fc(rows)


class Chooses(Net):
    def forward(self, rows):
        half = rows.shape[0] // 2
        if half == 1:
            return self.fc(rows)
        return rows


class Sized(Net):
    def forward(self, rows):
        if rows.size()[:1] == (2,):
            return self.fc(rows)
        return rows


class CountsAxes(Net):
    def forward(self, rows):
        if rows.size(rows.dim() - 2) == 2:
            return self.fc(rows)
        return rows


class Scales(Net):
    def forward(self, rows):
        _count, _width = rows.shape
        if rows.mean() > rows.size(1):
            return self.fc(rows)
        return rows


class Lengths(Net):
    def forward(self, rows):
        return self.fc(rows).reshape(len(rows), -1)


class Counts(Net):
    def forward(self, rows):
        return self.fc(rows) * float(rows.max())


class Looks(Net):
    def forward(self, rows):
        return self.fc(rows)[torch.nonzero(rows)]


class Chunks(Net):
    def forward(self, rows):
        left, _ = torch.chunk(rows, 2, dim=0)
        return self.fc(left)


class Spreads(Net):
    def forward(self, rows):
        return self.fc(rows) + rows.mean(1, keepdim=True).expand_as(rows)


class SpreadsBoth(Net):
    def forward(self, rows):
        mean = rows.mean(1, keepdim=True).expand(2, 4)
        return mean * mean


class Picks(Net):
    def forward(self, rows):
        return self.fc(rows)[:, [1, 0]]


class Masks(Net):
    def forward(self, rows):
        return self.fc(rows)[rows > 0]


class Maximum(Net):
    def forward(self, rows):
        return self.fc(rows).max(dim=1)[1]


class Largest(Net):
    def forward(self, rows):
        return self.fc(rows) * rows.max()


class Uneven(Net):
    def forward(self, rows):
        return F.adaptive_max_pool2d(rows[:, None, None], (2, 3))


class UnevenLayer(Net):
    def __init__(self) -> None:
        super().__init__()
        self.pool = torch.nn.AdaptiveMaxPool2d((2, 3))

    def forward(self, rows):
        return self.pool(rows.view(1, 2, 4))


class SumsThenAsks(Net):
    def forward(self, rows):
        rows = torch.cumsum(self.fc(rows), 1)
        assert rows.dim() == 2
        return rows


class DropsImages(Net):
    def forward(self, rows):
        return stochastic_depth(self.fc(rows), 0.5, self.training)


class Inner(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.ReLU(), Sums())

    def forward(self, rows):
        return self.net(rows)


def line_of(kind, text: str) -> str:
    """Return a line of this file as messages call it."""
    lines, start = inspect.getsourcelines(kind)
    (offset,) = [i for i, line in enumerate(lines) if text in line]
    return f'{__file__}, line {start + offset}: "{lines[offset].strip()}"'


@pytest.mark.parametrize(
    ("kind", "what", "text"),
    [
        (Sums, "torch.cumsum", "cumsum"),
        (SumsThenAsks, "torch.cumsum", "cumsum"),  # and not the question that it asks then
        (Looks, "torch.nonzero", "nonzero"),
        (Permutes, "x.permute with another axis first than that of the images", "permute"),
        (Transposes, "x.transpose with another axis first than that of the images", "transpose"),
        (Multiplies, "operator.mul with shapes (2, 4) and (4,)", "* rows"),
        (Subtracts, "operator.sub with shapes (2, 4) and (1, 4)", "- rows"),
        (Broadcasts, "operator.add with shapes (2, 4) and (1, 4)", "+ rows"),
        (Learns, "self.scale as a value", "self.scale"),
        (Recurs, 'torch.nn.GRU "rnn"', "self.rnn"),
        (TwoOutputs, "a forward that returns a tuple", "def forward"),
        (TwoInputs, "a second input 'others' of forward", "def forward"),
        (Strange, "x[...] with a part of the images, or an axis before them", "rows[None]"),
        (Chunks, "torch.chunk with the axis of the images", "torch.chunk"),
        (Spreads, "x.expand_as for anything but a product", "expand_as"),
        (SpreadsBoth, "x.expand for anything but a product", "expand(2, 4)"),
        (Masks, "x[...]", "[rows > 0]"),
        (Picks, "x[...] with anything but slices, numbers and None", "[:, [1, 0]]"),
        (Maximum, "x.max with result 1 of it", "max("),
        (Largest, "x.max with anything but one axis", "max()"),
        (Uneven, "F.adaptive_max_pool2d with parts of unequal size, 2x3 of 1x4", "adaptive"),
        (
            UnevenLayer,
            'torch.nn.AdaptiveMaxPool2d "pool" with parts of unequal size, 2x3 of 2x4',
            "pool(rows",
        ),
        (WritesOver, '"body", which writes over a value that is read later', "self.body(rows)"),
        (Halves, "x.to to another dtype", "float16"),
    ],
)
def test_an_operation_that_we_have_not(kind, what, text):
    place = line_of(kind, text)
    message = f"from_torch: every operation must be one that minicnn has. Got {what} in {place}. {ADVICE}"
    with raises(ValueError, message):
        from_torch(kind(), np.zeros((2, 4), np.float32))


def test_inside_a_function_that_is_one_operation_to_torch():
    place = line_of(stochastic_depth, "torch.empty").replace(__file__, families.__file__)
    message = (
        f"from_torch: every operation must be one that minicnn has. Got torch.empty in {place}. {ADVICE}"
    )
    with raises(ValueError, f"{message} If it is for training only, call .eval() first."):
        from_torch(DropsImages(), np.zeros((2, 4), np.float32))
    module = DropsImages().eval()
    del module.rnn, module.scale
    assert list(from_torch(module, np.zeros((2, 4), np.float32)).children()) == ["fc"]


def test_further_down():
    message = (
        "from_torch: every operation must be one that minicnn has. Got torch.cumsum in "
        f"{line_of(Sums, 'cumsum')}. {ADVICE}"
    )
    with raises(ValueError, message):
        from_torch(Inner(), np.zeros((2, 4), np.float32))


@pytest.mark.parametrize(
    ("kind", "what", "text"),
    [
        (Branches, "control flow that depends on data", "if rows"),
        (Scales, "control flow that depends on data", "if rows"),
        (Loops, "control flow that depends on data", "list("),
        (Asserts, "a decision on the number of images, which changes,", "assert rows"),
        (Chooses, "a decision on the number of images, which changes,", "if half"),
        (Sized, "a decision on the number of images, which changes,", "if rows.size"),
        (CountsAxes, "a decision on the number of images, which changes,", "if rows.size(rows"),
        (Lengths, "len() of a tensor, which cannot be followed as x.size(0) can be,", "len("),
        (Counts, "TypeError (float() argument must be a string or a real number, not 'Proxy')", "float("),
    ],
)
def test_a_path_that_depends_on_data(kind, what, text):
    message = (
        f"from_torch: forward must do the same for every input. Got {what} in {line_of(kind, text)}. "
        "Take it out of forward, or convert the parts on both sides of it."
    )
    with raises(ValueError, message):
        from_torch(kind(), np.zeros((2, 4), np.float32))


class FitsNot(Net):
    def forward(self, rows):
        rows = self.fc(rows.reshape(-1, 8))
        assert rows.dim() == 2
        return rows


def test_what_does_not_pass_before_a_question_of_shape_is_refused_as_without_it():
    message = (
        "from_torch: the example input must pass through the model. Got a and b must have same reduction dim, but "
        f"got [1, 8] X [4, 4] in {line_of(FitsNot, 'self.fc')}. Pass an input that the model takes."
    )
    with raises(ValueError, message):
        from_torch(FitsNot(), np.zeros((2, 4), np.float32))


def test_a_layer_in_a_sequential():
    message = (
        'from_torch: every operation must be one that minicnn has. Got torch.nn.LSTM "1" in Sequential. '
        f"{ADVICE}"
    )
    with raises(ValueError, message):
        from_torch(torch.nn.Sequential(torch.nn.ReLU(), torch.nn.LSTM(4, 4)), np.zeros((2, 4), np.float32))


def test_the_example_must_fit():
    text = "Got a and b must have same reduction dim, but got [2, 3] X [4, 4] in"
    rule = "from_torch: the example input must pass through the model."
    with raises(ValueError, f"{rule} {text} Sequential. Pass an input that the model takes."):
        from_torch(
            torch.nn.Sequential(torch.nn.Linear(4, 4)).append(torch.nn.ReLU()), np.zeros((2, 3), np.float32)
        )
    place = line_of(Sums, "cumsum")
    with raises(ValueError, f"{rule} {text} {place}. Pass an input that the model takes."):
        from_torch(Sums(), np.zeros((2, 3), np.float32))


def test_a_parameter_of_the_models_own():
    class Own(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.unused = torch.nn.Linear(4, 4), torch.nn.Parameter(torch.ones(1))

        def forward(self, rows):
            return self.fc(rows)

    message = (
        "from_torch: every parameter and buffer must belong to a layer. Got unused besides. "
        "Put what is new into a layer that minicnn has."
    )
    with raises(ValueError, message):
        from_torch(Own(), np.zeros((2, 4), np.float32))


def test_half_precision():
    message = (
        'from_torch: parameters must be float32 or float64. Got bfloat16 for Linear: "weight". '
        "Convert the model first with .float()."
    )
    with raises(TypeError, message):
        from_torch(torch.nn.Linear(4, 4).bfloat16(), torch.zeros(2, 4, dtype=torch.bfloat16))


def test_arguments():
    with raises(
        TypeError, "from_torch: module must be a torch.nn.Module. Got int. Pass torch's model itself."
    ):
        from_torch(3, np.zeros(2))
    message = "from_torch: example_input must be an array or a tensor. Got list. Pass for example a batch of images."
    with raises(TypeError, message):
        from_torch(torch.nn.ReLU(), [1.0])
