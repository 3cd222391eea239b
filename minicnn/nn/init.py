"""Initial values of parameters: each function fills a Parameter in place, with torch's names and formulas.

A layer multiplies by `fan_in` numbers for each output and passes each input to `fan_out` outputs; the draws
are scaled so that activations (or gradients) neither grow nor fade from layer to layer. For a weight of
shape ``(out, in, ...)``, ``fan_in = in · window`` and ``fan_out = out · window``.

Sources: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks"
(2010; xavier); He et al., "Delving deep into rectifiers" (2015; kaiming); the layers' own default is that of
``torch.nn.modules.linear`` and ``torch.nn.modules.conv``.
"""

from __future__ import annotations

import math

import numpy as np

from minicnn import checks
from minicnn.parameter import Parameter

GAINS = {"linear": 1.0, "conv2d": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}


def default_(weight: Parameter, bias: Parameter | None, rng: np.random.Generator) -> None:
    """Fill `weight` and `bias` uniformly in ±1/√fan_in, the default of Linear and Conv2d.

    >>> weight = Parameter(np.zeros((8, 1, 2, 2)))
    >>> default_(weight, None, np.random.default_rng(0))
    >>> bool(abs(weight.data).max() <= 0.5)             # 1/√(1·2·2)
    True
    """
    bound = 1 / math.sqrt(math.prod(weight.data.shape[1:]))
    for parameter in (weight, bias):
        if parameter is not None:
            uniform_(parameter, -bound, bound, rng=rng)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return the factor that makes up for what a nonlinearity takes from the spread.

    Parameters
    ----------
    nonlinearity : str
        "linear", "conv2d", "sigmoid": 1; "tanh": 5/3; "relu": √2; "selu": 3/4;
        "leaky_relu": √(2 / (1 + slope²)).
    param : float or None
        The slope of "leaky_relu", 0.01 if None.

    Raises
    ------
    ValueError
        If the name is another one.

    Examples
    --------
    >>> calculate_gain("tanh") == 5 / 3, calculate_gain("leaky_relu", 1.0)
    (True, 1.0)
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else checks.as_number("calculate_gain", "param", param)
        return math.sqrt(2 / (1 + slope**2))
    if nonlinearity not in GAINS:
        raise ValueError(
            f"calculate_gain: nonlinearity must be one of {[*GAINS, 'leaky_relu']}. Got {nonlinearity!r}. "
            'Pass the one that follows the layer, or "linear".'
        )
    return GAINS[nonlinearity]


def kaiming_uniform_(
    parameter: Parameter, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", *, rng=None
) -> Parameter:
    """Fill uniformly in ±bound with ``bound = √3 · gain / √fan``, for layers before a ReLU.

    Parameters
    ----------
    parameter : Parameter of shape (out, in, ...)
    a : float
        The slope if `nonlinearity` is "leaky_relu".
    mode : "fan_in" or "fan_out"
        Whether the forward or the backward pass keeps its spread.
    nonlinearity : str
        As in `calculate_gain`.
    rng : numpy.random.Generator, int or None

    Returns
    -------
    Parameter
        The same one.

    Raises
    ------
    ValueError
        If the parameter has fewer than two axes, or `mode` or `nonlinearity` is unknown.

    Examples
    --------
    >>> weight = kaiming_uniform_(Parameter(np.zeros((8, 6))), rng=0)
    >>> bool(abs(weight.data).max() <= 1)               # √3 · √2 / √6
    True
    """
    bound = math.sqrt(3) * _kaiming_std("kaiming_uniform_", parameter, a, mode, nonlinearity)
    return uniform_(parameter, -bound, bound, rng=rng)


def kaiming_normal_(
    parameter: Parameter, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", *, rng=None
) -> Parameter:
    """Fill with normal draws of mean 0 and ``std = gain / √fan``; arguments as in `kaiming_uniform_`.

    >>> weight = kaiming_normal_(Parameter(np.zeros((100, 200))), rng=0)
    >>> float(weight.data.std().round(2))               # √2 / √200
    0.1
    """
    std = _kaiming_std("kaiming_normal_", parameter, a, mode, nonlinearity)
    return normal_(parameter, 0, std, rng=rng)


def xavier_uniform_(parameter: Parameter, gain: float = 1.0, *, rng=None) -> Parameter:
    """Fill uniformly in ±bound with ``bound = gain · √(6 / (fan_in + fan_out))``, for tanh and sigmoid.

    Parameters
    ----------
    parameter : Parameter of shape (out, in, ...)
    gain : float
        See `calculate_gain`.
    rng : numpy.random.Generator, int or None

    Returns
    -------
    Parameter
        The same one.

    Raises
    ------
    ValueError
        If the parameter has fewer than two axes.

    Examples
    --------
    >>> weight = xavier_uniform_(Parameter(np.zeros((8, 16))), rng=0)
    >>> bool(abs(weight.data).max() <= 0.5)             # √(6 / (16 + 8))
    True
    """
    fan_in, fan_out = _fans("xavier_uniform_", parameter)
    bound = gain * math.sqrt(6 / max(fan_in + fan_out, 1))
    return uniform_(parameter, -bound, bound, rng=rng)


def xavier_normal_(parameter: Parameter, gain: float = 1.0, *, rng=None) -> Parameter:
    """Fill with normal draws, ``std = gain · √(2 / (fan_in + fan_out))``; arguments as in `xavier_uniform_`.

    >>> weight = xavier_normal_(Parameter(np.zeros((100, 100))), rng=0)
    >>> float(weight.data.std().round(2))               # √(2 / 200)
    0.1
    """
    fan_in, fan_out = _fans("xavier_normal_", parameter)
    return normal_(parameter, 0, gain * math.sqrt(2 / max(fan_in + fan_out, 1)), rng=rng)


def uniform_(parameter: Parameter, a: float = 0.0, b: float = 1.0, *, rng=None) -> Parameter:
    """Fill with draws that are equally likely anywhere from `a` to `b`.

    >>> weight = uniform_(Parameter(np.zeros(100)), 2, 3, rng=0)
    >>> bool(weight.data.min() >= 2 and weight.data.max() <= 3)
    True
    """
    parameter.data[...] = checks.as_rng("uniform_", rng).uniform(a, b, parameter.data.shape)
    return parameter


def normal_(parameter: Parameter, mean: float = 0.0, std: float = 1.0, *, rng=None) -> Parameter:
    """Fill with normal draws.

    >>> weight = normal_(Parameter(np.zeros(10_000)), mean=5, std=2, rng=0)
    >>> float(weight.data.mean().round(1)), float(weight.data.std().round(1))
    (5.0, 2.0)
    """
    parameter.data[...] = checks.as_rng("normal_", rng).normal(mean, std, parameter.data.shape)
    return parameter


def constant_(parameter: Parameter, val: float) -> Parameter:
    """Fill with one number.

    >>> constant_(Parameter(np.zeros(2)), 7).data
    array([7., 7.])
    """
    parameter.data[...] = val
    return parameter


def zeros_(parameter: Parameter) -> Parameter:
    """Fill with 0.

    >>> zeros_(Parameter(np.ones(2))).data
    array([0., 0.])
    """
    return constant_(parameter, 0)


def ones_(parameter: Parameter) -> Parameter:
    """Fill with 1.

    >>> ones_(Parameter(np.zeros(2))).data
    array([1., 1.])
    """
    return constant_(parameter, 1)


def _fans(who: str, parameter: Parameter) -> tuple[int, int]:
    """Return fan_in and fan_out."""
    shape = parameter.data.shape
    if len(shape) < 2:
        raise ValueError(
            f"{who}: the parameter must have two axes or more, (out, in, ...). Got shape {shape}. "
            "For a bias use zeros_ or uniform_."
        )
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def _kaiming_std(who: str, parameter: Parameter, a: float, mode: str, nonlinearity: str) -> float:
    """Return ``gain / √fan``."""
    fans = dict(zip(("fan_in", "fan_out"), _fans(who, parameter), strict=True))
    if mode not in fans:
        raise ValueError(f'{who}: mode must be "fan_in" or "fan_out". Got {mode!r}. Pass one of them.')
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fans[mode], 1))  # no fan: nothing to fill
