"""The stages of a Sequential that learns as scores: one from there, and one for the way back.

As in `replay`, the kernels that the stages call for the second input of a kind are written down. From the third one on
they are called from compiled code, and all arrays that the layers would have made, and save, lie one behind the other:

    there    image                                      ->  made: output of each layer, winners of each pooling
    back     gradient of the last output, image, made   ->  gradients of all parameters (and of the image)

The way back is written down when it is gone for the first time after a forward that was played, and if all gradients
are new: what is added to those of an earlier step nobody hears. The numbers are the same bits.

Nobody needs to know: each layer's `saved` holds what it always does, and whatever is not as it was (a weight that is
another array now, a layer that has been used otherwise since, another array in its `saved`, a gradient that does not
lie in one piece, a sum that is not finite) is left to the stages.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from minicnn import kernels
from minicnn.nn.replay import LARGE, Weights
from minicnn.nn.stages import Stage, kind_of

UNHEARD = object()  # in place of a score, where nobody has listened yet


def learn(stages: Iterable[Stage], input: np.ndarray) -> np.ndarray:
    """Return the last stage's output; the layers keep what backward needs.

    >>> from minicnn.nn import ReLU
    >>> learn([Stage([ReLU()])], np.float32([3, -4]))
    array([3., 0.], dtype=float32)
    """
    for stage in stages:
        input = stage(input, True)
    return input


def go_back(stages: list[Stage], grad_output: np.ndarray) -> np.ndarray:
    """Return the gradient of the first stage's input; add to the gradients of all parameters."""
    for stage in reversed(stages):
        grad_output = stage.backward(grad_output)
    return grad_output


def go_back_to_parameters(stages: list[Stage], grad_output: np.ndarray) -> None:
    """Add to the gradients of all parameters, and compute no more than that takes."""
    first = next((number for number, stage in enumerate(stages[:-1]) if stage.learns), len(stages) - 1)
    grad_output = go_back(stages[first + 1 :], grad_output)
    if stages:
        stages[first].backward_parameters(grad_output)


class Heard(NamedTuple):
    """What a Lesson has written down, all at once or not at all: an error may come in between, or another thread.

    Attributes
    ----------
    weights : Weights
        Those for which it holds.
    known : list of tuple
        Each stage, what it knows of its input, and how many arrays it makes.
    score : Score or None
        Of the way there; None if there can be none.
    ways_back : dict
        By whether the whole way is gone: a score, or None if there can be none.
    """

    weights: Weights
    known: list[tuple]
    score: object
    ways_back: dict


class Lesson:
    """What some stages do for inputs of a kind when they are to learn from them, and on the way back.

    The stages must be such as `repeats`, and have seen an input of the kind.

    Examples
    --------
    >>> from minicnn.nn import Linear
    >>> from minicnn.nn.stages import LinearStage
    >>> stage = LinearStage([Linear(2, 4)])
    >>> stage.layers[0].weight.data[...] = 2
    >>> stage.layers[0].bias.data[...] = 0
    >>> images = np.float32([[3, 4]])
    >>> lesson = Lesson([stage])
    >>> [output is not None for output in (stage(images), lesson.forward(images)[0])]
    [True, True]
    >>> output, step = lesson.forward(images)
    >>> output, stage.layers[0].saved["input"] is images
    (array([[14., 14., 14., 14.]], dtype=float32), True)
    >>> step.backward(np.float32([[1, 10, 0, 0]]), whole=True)
    [array([[22., 22.]], dtype=float32)]
    """

    def __init__(self, stages: list[Stage]) -> None:
        self.stages, self.weights, self.heard = stages, Weights(stages), None

    def forward(self, input: np.ndarray) -> tuple[np.ndarray, Step | None]:
        """Return the last stage's output, and how to go back from it; None if only the stages know."""
        heard = self.heard
        if (
            not self.weights.hold()
        ):  # perhaps so at every step: then each score would be paid for, and none played
            self.weights = Weights(self.stages)
            return learn(self.stages, input), None
        if heard is None or heard.weights is not self.weights:
            return self._listen(input), None
        made = None if heard.score is None else kernels.perform(heard.score, input)
        if made is None:
            return learn(self.stages, input), None
        output, arrays, begin = input, heard.score.arrays_in(made), 0
        for stage, known, count in heard.known:
            output = stage.keep(known, output, *arrays[begin : begin + count])
            begin += count
        return output, Step(self.stages, heard, input, made, output)

    def _listen(self, input: np.ndarray) -> np.ndarray:
        """Return the output; write down what the stages do for it."""
        weights, found = self.weights, []
        output, wanted = input, []
        with kernels.Recorder(LARGE) as recorder:
            for stage in self.stages:
                kind, output = kind_of(output), stage(output, True)
                known = stage.known.get(kind)
                made = [] if known is None else stage.made(output)
                found.append((stage, known, len(made)))
                wanted += made
        passed = all(known is not None for _, known, _ in found)
        score = recorder.score(input, wanted, weights.arrays) if passed else None
        self.heard = Heard(weights, found, score, {})
        return output


class Step:
    """One forward of a Lesson that was played, from which a way leads back."""

    def __init__(self, stages: list[Stage], heard: Heard, input, made, output: np.ndarray) -> None:
        self.stages, self.heard, self.input, self.made = stages, heard, input, made
        self.shape, self.dtype = output.shape, output.dtype
        layers = [layer for stage in stages for layer in stage.layers]
        self.saved = [(layer, layer.saved, dict(layer.saved)) for layer in layers]

    def __reduce__(self) -> tuple:
        """Where arrays lie does not hold for copies: they have no step."""
        return type(None), ()

    def backward(self, grad_output: np.ndarray, whole: bool) -> list[np.ndarray] | None:
        """Add to the gradients of all parameters; None if the stages have to do so.

        Return a list of the gradient of the input if the `whole` way is to be gone, else an empty one.
        """
        ways, fits = self.heard.ways_back, kind_of(grad_output) == (self.shape, self.dtype)
        score = ways.get(whole, UNHEARD) if fits and grad_output.flags.carray else None
        if score is None or not self._holds():
            return None
        parameters = self.heard.weights.parameters
        if score is UNHEARD:
            if any(parameter.grad is not None for parameter in parameters):
                return None  # what is added to them nobody hears
            ways[whole], found = self._listen(grad_output, whole)
            return found
        made = kernels.perform(score, grad_output, self.input, self.made)
        if made is None:
            return None
        grads = score.arrays_in(made)
        for parameter, grad in zip(parameters, grads):  # noqa: B905
            parameter.accumulate(grad)
        return grads[len(parameters) :]

    def _holds(self) -> bool:
        """Return whether no layer has been used otherwise since, and nobody has put anything else into its `saved`."""
        try:
            for layer, saved, found in self.saved:
                if layer.saved is not saved or saved != found:
                    return False
        except ValueError:  # what is another array is compared number by number
            return False
        return True

    def _listen(self, grad_output: np.ndarray, whole: bool) -> tuple:
        """Go back by the stages; return the score of the way, or None, and a list of the input's gradient."""
        weights, found = self.heard.weights, []
        with kernels.Recorder(LARGE) as recorder:
            if whole:
                found = [go_back(self.stages, grad_output)]
            else:
                go_back_to_parameters(self.stages, grad_output)
        wanted = [*(parameter.grad for parameter in weights.parameters), *found]
        if any(grad is None for grad in wanted):
            return None, found
        return recorder.score(grad_output, wanted, weights.arrays, self.input, self.made), found
