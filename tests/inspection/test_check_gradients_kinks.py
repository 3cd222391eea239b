"""check_gradients on kinks and ties: told apart from mistakes, and no hiding place for them."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from minicnn import nn
from minicnn.inspection import check_gradients
from minicnn.inspection.kinks import on_kink, windows_of
from tests.helpers import distinct

TARGETS = np.array([0, 2])


class ReLUWithoutItsMask(nn.ReLU):
    """Everything passes, as if nothing had been cut off."""

    def backward(self, grad_output):
        return grad_output


class Tripled(nn.Module):
    """Its backward forgets the factor 3."""

    def forward(self, input):
        output = 3 * input
        self.save(output)
        return output

    def backward(self, grad_output):
        return grad_output


def test_kink_of_relu_by_hand():
    # input 0: from the left the slope is 0, from the right 5; the difference sees 2.5, backward says 0
    model = nn.Sequential(nn.ReLU())
    result = check_gradients(model, np.array([[0.0, 1.0]]), np.array([[-5.0, 0.0]]), nn.MSELoss("sum"))
    assert result.ok
    (relu,) = [row for row in result.rows if row.who == 'ReLU "0"']
    # MSE's gradient: 2·(0 + 5) = 10, so the slopes are 0 and 10
    assert (relu.verdict, relu.kink.index, relu.kink.analytic) == ("right", (0, 0), 0)
    np.testing.assert_allclose([relu.kink.numeric, *relu.kink.sides], [5, 0, 10], atol=1e-5)
    line = 'ReLU "0": grad_input[0, 0]: analytic 0, numeric 5: ReLU "0" takes another branch on each side'
    assert f"{line} (slopes 0, 10)" in str(result)
    assert "on a kink the slope jumps, and backward gives one of its sides: that is no mistake" in str(result)


def test_on_a_kink_a_slope_outside_both_sides_is_wrong():
    class Doubled(nn.ReLU):
        def forward(self, input):
            self.slope = np.where(input == 0, 2.0, input > 0)
            return super().forward(input)

        def backward(self, grad_output):
            return self.slope * grad_output

    model = nn.Sequential(Doubled())
    result = check_gradients(model, np.array([[0.0, 1.0]]), np.array([[-5.0, 0.0]]), nn.MSELoss("sum"))
    assert result.first_wrong.who == 'Doubled "0"'


def test_tie_of_max_pooling_by_hand():
    # 7 stands twice: the first wins and gets the whole gradient 2·(7 - 4) = 6; the difference sees 3 and 3
    image = np.array([[[[7.0, 7.0], [1.0, 2.0]]]])
    result = check_gradients(nn.Sequential(nn.MaxPool2d(2)), image, np.full((1, 1, 1, 1), 4.0), nn.MSELoss())
    assert result.ok
    (pool,) = [row for row in result.rows if row.who.startswith("MaxPool2d")]
    ties = [finding for finding in pool.findings if finding.verdict == "kink"]
    assert [(tie.index, tie.analytic) for tie in ties] == [((0, 0, 0, 0), 6), ((0, 0, 0, 1), 0)]
    np.testing.assert_allclose([tie.numeric for tie in ties], [3, 3], atol=1e-5)
    assert 'MaxPool2d "0" takes another branch on each side' in str(result)


@pytest.mark.parametrize("size", [4, 12])
def test_ties_that_are_paid_twice(size):
    class Twice(nn.MaxPool2d):
        def forward(self, input):
            self.wide = np.repeat(np.repeat(super().forward(input), 2, axis=2), 2, axis=3) == input
            return super().forward(input)

        def backward(self, grad_output):
            return self.wide * np.repeat(np.repeat(grad_output, 2, axis=2), 2, axis=3)

    images = np.random.default_rng(0).integers(0, 3, (2, 1, size, size)).astype(np.float64)
    images[0, 0, :2, :2] = 7
    for kind, ok in ((nn.MaxPool2d, True), (Twice, False)):
        model = nn.Sequential(kind(2), nn.Flatten(), nn.Linear(size * size // 4, 3, dtype=np.float64, rng=0))
        result = check_gradients(model, images, TARGETS)
        assert result.ok is ok, str(result)
    # each cell alone lies between the sides of its tie; moved together, the cells show that it is too much
    assert (result.first_wrong.who, result.first_wrong.worst.index) == ('Twice "0"', None)
    assert result.first_wrong.explanation.title.startswith('MaxPool2d "0": grad_input[0, 0, 0, 1]')
    assert "tie" not in result.title
    assert "along a random direction" in str(result)


def test_kink_of_the_absolute_distance():
    class Upwards(nn.L1Loss):
        def backward(self, grad_output=None):
            return np.where(self.saved["difference"] < 0, -1.0, 1.0)

    predictions, targets = np.array([[1.0, 2]]), np.array([[1.0, 5]])
    # at its kink |x - t| has slopes -1 and 1; a difference sees 0, which L1Loss gives too
    assert check_gradients(nn.Sequential(nn.Identity()), predictions, targets, nn.L1Loss("sum")).ok
    result = check_gradients(nn.Sequential(nn.Identity()), predictions, targets, Upwards("sum"))
    assert result.ok
    assert (result.rows[0].kink.index, result.rows[0].kink.who) == ((0, 0), "L1Loss")
    np.testing.assert_allclose(result.rows[0].kink.sides, [-1, 1], atol=1e-5)


class Absolute(nn.Module):
    """|x|: a kink that no list of layers knows."""

    def forward(self, input):
        self.sign = np.where(input < 0, -1.0, 1.0)
        output = np.abs(input)
        self.save(output)
        return output

    def backward(self, grad_output):
        return self.sign * grad_output


@pytest.mark.parametrize("size", [4, 12])
def test_a_kink_of_an_unknown_layer(size):
    images = np.random.default_rng(0).integers(-1, 2, (2, 1, size, size)).astype(np.float64)
    model = nn.Sequential(Absolute(), nn.Flatten(), nn.Linear(size * size, 3, dtype=np.float64, rng=0))
    result = check_gradients(model, images, TARGETS)
    assert result.ok, str(result)
    (row,) = [row for row in result.rows if row.who == 'Absolute "0"']
    assert row.kink.who is None
    assert "the slope jumps" in str(result)
    off = nn.Sequential(
        Absolute(), Tripled(), nn.Flatten(), nn.Linear(size * size, 3, dtype=np.float64, rng=0)
    )
    assert check_gradients(off, images, TARGETS).first_wrong.who == 'Tripled "1"'


@pytest.mark.parametrize(
    "layer",
    [
        nn.ReLU(),
        nn.LeakyReLU(0.2),
        nn.ELU(0.5),
        nn.ReLU6(),
        nn.PReLU(dtype=np.float64),
        nn.Hardsigmoid(),
        nn.Hardswish(),
        nn.Hardtanh(-3, 3),
        nn.Clamp(0, 3),
        nn.Clamp(max=0),
        nn.MaxPool2d(3, 2, 1),
        nn.Max((2, 3), keepdim=True),
        nn.Max(-1, ties="shared"),
    ],
)
def test_images_full_of_kinks_and_ties(layer):
    images = 3 * np.random.default_rng(0).integers(-1, 2, (2, 1, 9, 9)).astype(np.float64)
    model = nn.Sequential(copy.deepcopy(layer), nn.Flatten(), nn.Linear(layer(images)[0].size, 3, rng=0))
    result = check_gradients(model.astype(np.float64), images, TARGETS)
    assert result.ok, str(result)
    (row,) = [
        row for row in result.rows if (row.who, row.of) == (f'{type(layer).__name__} "0"', "grad_input")
    ]
    assert row.kink is not None
    assert row.kink.who == row.who
    assert row.verdict in ("right", "kink")


def test_large_layers_full_of_kinks_still_show_their_mistakes():
    images = np.random.default_rng(0).integers(-2, 3, (2, 1, 12, 12)).astype(np.float64)
    model = nn.Sequential(ReLUWithoutItsMask(), nn.Flatten(), nn.Linear(144, 3, rng=0)).astype(np.float64)
    result = check_gradients(model, images, TARGETS)
    assert result.first_wrong.who == 'ReLUWithoutItsMask "0"'
    assert images[result.first_wrong.worst.index] < 0


def test_one_mistake_among_many_kinks():
    class OneOff(nn.ReLU):
        def backward(self, grad_output):
            grad_input = super().backward(grad_output)
            grad_input[0, 777] *= 2
            return grad_input

    images = np.random.default_rng(0).integers(-1, 2, (1, 900)).astype(np.float64)
    images[0, 777] = 1
    model = nn.Sequential(OneOff(), nn.Linear(900, 3, dtype=np.float64, rng=0))
    result = check_gradients(model, images, TARGETS[:1])
    assert (result.first_wrong.who, result.first_wrong.worst.index) == ('OneOff "0"', (0, 777))


def test_windows_are_those_of_the_layer():
    images = distinct((2, 3, 8, 7))
    for arguments in [(2,), (3, 2, 1), ((2, 3), 1, (0, 1), (2, 1)), (3, 2, 1, 1, False, True)]:
        layer = nn.MaxPool2d(*arguments)
        values, _ = windows_of(layer, images)
        np.testing.assert_array_equal(values.max(axis=-1).ravel(), layer(images).ravel())
        assert not on_kink(layer, images, 1e-6).any()
