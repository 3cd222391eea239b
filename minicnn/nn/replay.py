"""The stages of a Sequential as one score: when no gradient is wanted, Python has its say for the second input only.

What the stages do for an input depends on its shape and dtype alone (see `stages`). The kernels that they call for
the second input of a kind are written down, and called for the next ones from compiled code (the picture stands in
`kernels/score.py`). The numbers are the same bits.

Nobody needs to know: whatever is not as it was (a weight that is another array now, an input that does not lie in
one piece, a sum that is not finite) is left to the stages.
"""

from __future__ import annotations

import numpy as np

from minicnn import kernels
from minicnn.nn.stages import Stage

LARGE = 2**23  # bytes that kernels hand on: where there are more, Python takes no time worth speaking of


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

    def __init__(self, score, parameters: list) -> None:
        self.score = score
        self.weights = [(parameter, parameter.data) for parameter in parameters]

    def __call__(self, input: np.ndarray) -> np.ndarray | None:
        """Return the output; None if the stages have to see to it."""
        if not input.flags.carray:
            return None
        for parameter, data in self.weights:
            if parameter.data is not data:
                return None
        return kernels.perform(self.score, input)


def record(stages: list[Stage], input: np.ndarray) -> tuple[np.ndarray, Replay | None]:
    """Return the last stage's output, and how to compute it for other inputs; None if only the stages know.

    The stages must be such as `repeats`.
    """
    output = input
    with kernels.Recorder() as recorder:
        for stage in stages:
            output = stage(output, False)
    parameters = [parameter for stage in stages for layer in stage.layers for parameter in layer.parameters()]
    score = recorder.score(input, output, [parameter.data for parameter in parameters])
    return output, Replay(score, parameters) if score is not None and score.room <= LARGE else None
