"""The stages of a Sequential as one score: when no gradient is wanted, Python has its say for the second input only.

What the stages do for an input depends on its shape and dtype alone (see `stages`). The kernels that they call for
the second input of a kind are written down, and called for the next ones from compiled code (the picture stands in
`kernels/score.py`). The numbers are the same bits.

Nobody needs to know: whatever is not as it was (a weight that is another array now, an input that does not lie in
one piece or is read-only, a sum that is not finite) is left to the stages; of the sum one hears at the end only.
"""

from __future__ import annotations

import numpy as np

from minicnn import kernels
from minicnn.nn.stages import Stage

LARGE = 2**24  # bytes that kernels hand on: where there are more, Python takes no time worth speaking of


class Weights:
    """The parameters of some stages, and the arrays that they have now.

    >>> from minicnn.nn import Linear
    >>> layer = Linear(2, 1)
    >>> weights = Weights([Stage([layer])])
    >>> layer.weight.data = np.float32([[1, 2]])
    >>> len(weights.arrays), weights.hold()
    (2, False)
    """

    def __init__(self, stages: list[Stage]) -> None:
        layers = (layer for stage in stages for layer in stage.layers)
        self.parameters = list(
            dict.fromkeys(parameter for layer in layers for parameter in layer.parameters())
        )
        self.arrays = [parameter.data for parameter in self.parameters]

    def hold(self) -> bool:
        """Return whether all parameters still have these arrays."""
        for parameter, data in zip(self.parameters, self.arrays):  # noqa: B905, SIM110  (all() would take three times as long)
            if parameter.data is not data:
                return False
        return True


class Replay:
    """What some stages did for an input, to be done again for others of its shape and dtype.

    Examples
    --------
    >>> from minicnn.nn import Linear, no_grad
    >>> from minicnn.nn.stages import LinearStage
    >>> stage = LinearStage([Linear(2, 4)])
    >>> stage.layers[0].weight.data[...] = 2
    >>> stage.layers[0].bias.data[...] = 0
    >>> with no_grad():
    ...     output, replay = record([stage], np.float32([[1, 10]]))
    >>> replay(np.float32([[3, 4]]))
    array([[14., 14., 14., 14.]], dtype=float32)
    """

    def __init__(self, score, weights: Weights) -> None:
        self.score, self.weights = score, weights

    def holds(self) -> bool:
        """Return whether all parameters still have the arrays for which this was recorded."""
        return self.weights.hold()

    def __call__(self, input: np.ndarray) -> np.ndarray | None:
        """Return the output for an input in one piece; None if the stages have to see to it."""
        made = kernels.perform(self.score, input)
        return None if made is None else self.score.arrays_in(made)[0]


def record(stages: list[Stage], input: np.ndarray) -> tuple[np.ndarray, Replay | None]:
    """Return the last stage's output, and how to compute it for other inputs; None if only the stages know.

    The stages must be such as `repeats`.
    """
    weights, output = Weights(stages), input
    with kernels.Recorder(LARGE) as recorder:
        for stage in stages:
            output = stage(output, False)
    score = recorder.score(input, [output], weights.arrays)
    return output, None if score is None else Replay(score, weights)
