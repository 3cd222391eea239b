"""Initial values: what is asked of the generator, against torch's formulas; how the draws are spread."""

import math

import numpy as np
import pytest
import torch

from minicnn import nn
from minicnn.nn import Parameter, init
from tests.helpers import raises

SHAPES = [(4, 3), (8, 6, 3, 3), (5, 1, 2, 7), (16, 2, 1, 1)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
# The share of N uniform draws below a point has a standard deviation of at most 1/(2 √N); five of them.
FIVE_DEVIATIONS = 2.5


class Asked(np.random.Generator):
    """A generator that writes down which distribution it was asked for, and gives ones."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))
        self.asked = []

    def uniform(self, low=0.0, high=1.0, size=None):
        self.asked.append(("uniform", low, high))
        return np.ones(size)

    def normal(self, loc=0.0, scale=1.0, size=None):
        self.asked.append(("normal", loc, scale))
        return np.ones(size)


def asked_for(fill, shape, *arguments, **options) -> tuple:
    """Return the one distribution that `fill` drew a parameter of this shape from."""
    parameter, generator = Parameter(np.zeros(shape)), Asked()
    assert fill(parameter, *arguments, rng=generator, **options) is parameter
    np.testing.assert_array_equal(parameter.data, np.ones(shape))
    (distribution,) = generator.asked
    return distribution


def torch_fans(shape) -> tuple[int, int]:
    return torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))


def assert_uniform(values: np.ndarray, bound: float) -> None:
    """Raise unless the values lie in ±bound and as many as should lie below each of nine points."""
    assert np.abs(values).max() <= bound, "outside the bound"
    for share in np.arange(0.1, 1, 0.1):
        below = (values < bound * (2 * share - 1)).mean()
        assert abs(below - share) * math.sqrt(values.size) < FIVE_DEVIATIONS, f"{below} below, not {share}"


# By hand


def test_by_hand():
    # fan_in = 3·4 = 12, fan_out = 2·4 = 8: √3·√2/√12 = 1/√2, √2/√8 = 1/2, √(6/20), √(2/20)
    shape = (2, 3, 2, 2)
    for fill, options, expected in [
        (init.kaiming_uniform_, {}, ("uniform", -math.sqrt(0.5), math.sqrt(0.5))),
        (init.kaiming_normal_, {"mode": "fan_out"}, ("normal", 0, 0.5)),
        (init.xavier_uniform_, {}, ("uniform", -math.sqrt(0.3), math.sqrt(0.3))),
        (init.xavier_normal_, {"gain": 10}, ("normal", 0, math.sqrt(10))),
    ]:
        found = asked_for(fill, shape, **options)
        assert found[0] == expected[0]
        np.testing.assert_allclose(found[1:], expected[1:], rtol=1e-14)


def test_constants():
    parameter = Parameter(np.full((2, 3), 9, np.float32))
    data = parameter.data
    assert init.zeros_(parameter) is parameter
    np.testing.assert_array_equal(data, np.zeros((2, 3)))
    np.testing.assert_array_equal(init.ones_(parameter).data, np.ones((2, 3)))
    np.testing.assert_array_equal(init.constant_(parameter, -0.5).data, np.full((2, 3), -0.5))
    assert parameter.data is data
    assert data.dtype == np.float32


# Against torch


@pytest.mark.parametrize(
    "nonlinearity", ["linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"]
)
def test_gains_are_torchs(nonlinearity):
    assert init.calculate_gain(nonlinearity) == pytest.approx(torch.nn.init.calculate_gain(nonlinearity))
    assert init.calculate_gain("leaky_relu", 0.3) == pytest.approx(
        torch.nn.init.calculate_gain("leaky_relu", 0.3)
    )


@every_shape
@pytest.mark.parametrize("mode", ["fan_in", "fan_out"])
@pytest.mark.parametrize(
    ("a", "nonlinearity"), [(0, "leaky_relu"), (math.sqrt(5), "leaky_relu"), (0, "relu")]
)
def test_kaiming_is_torchs(shape, mode, a, nonlinearity):
    fan = dict(zip(("fan_in", "fan_out"), torch_fans(shape), strict=True))[mode]
    std = torch.nn.init.calculate_gain(nonlinearity, a) / math.sqrt(fan)
    kind, low, high = asked_for(init.kaiming_uniform_, shape, a, mode, nonlinearity)
    assert (kind, low, high) == (
        "uniform",
        pytest.approx(-math.sqrt(3) * std),
        pytest.approx(math.sqrt(3) * std),
    )
    assert asked_for(init.kaiming_normal_, shape, a, mode, nonlinearity) == ("normal", 0, pytest.approx(std))


@every_shape
@pytest.mark.parametrize("gain", [1.0, 5 / 3])
def test_xavier_is_torchs(shape, gain):
    std = gain * math.sqrt(2 / sum(torch_fans(shape)))
    kind, low, high = asked_for(init.xavier_uniform_, shape, gain)
    assert (kind, low, high) == (
        "uniform",
        pytest.approx(-math.sqrt(3) * std),
        pytest.approx(math.sqrt(3) * std),
    )
    assert asked_for(init.xavier_normal_, shape, gain) == ("normal", 0, pytest.approx(std))


@pytest.mark.parametrize("name", ["kaiming_uniform_", "kaiming_normal_", "xavier_uniform_", "xavier_normal_"])
def test_spread_of_real_draws_is_torchs(name):
    ours = getattr(init, name)(Parameter(np.zeros((200, 20, 5, 5), np.float32)), rng=0).data
    theirs = getattr(torch.nn.init, name)(
        torch.empty(200, 20, 5, 5), generator=torch.Generator().manual_seed(0)
    )
    assert ours.dtype == np.float32
    # 100,000 draws: the standard deviation of each spread is about 0.2 %
    assert ours.std() == pytest.approx(theirs.numpy().std(), rel=0.015)
    assert abs(ours.mean()) < 0.02 * ours.std()
    if "uniform" in name:
        assert_uniform(ours, float(theirs.abs().max()) * 1.001)


# The layers' own default


def test_linear_default():
    layer = nn.Linear(100, 400, rng=0)
    theirs = torch.nn.Linear(100, 400)
    assert_uniform(layer.weight.data, 0.1)
    assert_uniform(layer.bias.data, 0.1)
    assert float(theirs.weight.detach().abs().max()) == pytest.approx(0.1, rel=1e-3)
    assert float(theirs.bias.detach().abs().max()) == pytest.approx(0.1, rel=0.02)


def test_conv2d_default():
    layer = nn.Conv2d(16, 200, (5, 1), groups=4, rng=0)  # fan_in = 16/4·5·1 = 20
    theirs = torch.nn.Conv2d(16, 200, (5, 1), groups=4)
    assert_uniform(layer.weight.data, 1 / math.sqrt(20))
    assert_uniform(layer.bias.data, 1 / math.sqrt(20))
    assert float(theirs.weight.detach().abs().max()) == pytest.approx(1 / math.sqrt(20), rel=0.01)


def test_uniform_helper_rejects_other_spreads():
    rng = np.random.default_rng(0)
    assert_uniform(rng.uniform(-1, 1, 10_000), 1)
    for wrong in (
        rng.uniform(-1, 1, 10_000) * 1.1,
        rng.uniform(-0.9, 0.9, 10_000),
        rng.normal(0, 0.2, 10_000),
    ):
        with pytest.raises(AssertionError):
            assert_uniform(wrong, 1)


# Chance


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_seed_same_numbers(dtype):
    for fill in (
        init.kaiming_uniform_,
        init.kaiming_normal_,
        init.xavier_uniform_,
        init.uniform_,
        init.normal_,
    ):
        first = fill(Parameter(np.zeros((4, 5))), rng=7).data
        second = fill(Parameter(np.zeros((4, 5), dtype)), rng=np.random.default_rng(7)).data
        np.testing.assert_array_equal(second, first.astype(dtype))
        assert (fill(Parameter(np.zeros((4, 5))), rng=8).data != first).any()


# Errors


def test_errors():
    for name in ("kaiming_uniform_", "kaiming_normal_", "xavier_uniform_", "xavier_normal_"):
        with raises(
            ValueError,
            f"{name}: the parameter must have two axes or more, (out, in, ...). Got shape (3,). "
            "For a bias use zeros_ or uniform_.",
        ):
            getattr(init, name)(Parameter(np.zeros(3)))
    weight = Parameter(np.zeros((3, 2)))
    with raises(
        ValueError, 'kaiming_normal_: mode must be "fan_in" or "fan_out". Got \'fan\'. Pass one of them.'
    ):
        init.kaiming_normal_(weight, mode="fan")
    with raises(
        ValueError,
        "calculate_gain: nonlinearity must be one of ['linear', 'conv2d', 'sigmoid', 'tanh', 'relu', 'selu', "
        "'leaky_relu']. Got 'gelu'. Pass the one that follows the layer, or \"linear\".",
    ):
        init.kaiming_uniform_(weight, nonlinearity="gelu")
    with raises(TypeError, "calculate_gain: param must be a number. Got '0' (str). Pass a float."):
        init.calculate_gain("leaky_relu", "0")


def test_parameters_without_entries():
    for fill in (init.kaiming_uniform_, init.xavier_normal_):
        assert fill(Parameter(np.zeros((0, 0)))).data.shape == (0, 0)
