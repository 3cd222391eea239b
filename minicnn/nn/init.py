"""Initial values of parameters: each fills a Parameter in place, with torch's formulas.

Sources: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks"
(2010); He et al., "Delving deep into rectifiers" (2015); the defaults are those of
``torch.nn.modules.linear`` and ``torch.nn.modules.conv``.
"""

from __future__ import annotations

import math

import numpy as np

from minicnn.nn.module import Parameter


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
            parameter.data[...] = rng.uniform(-bound, bound, parameter.data.shape)
