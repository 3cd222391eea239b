"""The stages of a Sequential; when no gradient is wanted, a large batch goes through them in slices of images.

What one stage writes, the next one reads. Of a thousand images that is more than the CPU's caches hold: it goes
out to memory and comes back. What a few images leave is still in the cache:

    whole       conv of 1024 images  ──  64 MiB, out to memory and back  ──  linear of 1024 images

    slices      conv of 64 images    ──  4 MiB in the cache  ──  linear of 64 images
                conv of 64 images    ──  4 MiB, the same     ──  linear of 64 images
                ...

The numbers are the same bits, for an image's numbers do not depend on what else is in the batch. Nobody needs to
know: the first input of its kind goes through whole, so what a layer has to say is about all of it; and the slices
are put together again before the first stage that may look at several images, or that somebody watches.

It pays where memory is slower than the stages are, in a net of few multiply-adds. With one thread, at 64 MiB:

    multiply-adds for each byte between two stages      9       21      38      45      75      150
    time in slices, of that as a whole                  0.67    0.83    0.92    0.90    0.97    0.99
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import numpy as np

from minicnn import kernels
from minicnn.nn.lessons import Lesson, Step, learn
from minicnn.nn.replay import record
from minicnn.nn.stages import Stage, kind_of, remember

LARGE = 2**23  # bytes between two stages: no more than that stays in most caches anyway
CACHED = 2**22  # bytes between two stages that a slice may have; half or twice as many take up to 10 % longer
WORK = 32  # multiply-adds for each byte: with more, to begin and end every slice may cost what is saved
SMALLER = 4  # times at least is what slices end in, for it is copied once more
UNKNOWN = object()  # in place of what was recorded, where that has not been tried yet


class Stages(list):
    """Stages that run one after another, and what is known of the large inputs that have passed all of them.

    Examples
    --------
    >>> from minicnn.nn import Flatten, Linear
    >>> from minicnn.nn.stages import FlattenStage, LinearStage
    >>> stages = Stages([FlattenStage([Flatten()]), LinearStage([Linear(2, 1, bias=False)])])
    >>> stages[1].layers[0].weight.data[...] = [[2, 3]]
    >>> images = np.full((2**13, 2, 1), 10, np.float32)
    >>> for _ in range(2):
    ...     assert (stages.infer(images) == 50).all()
    >>> stages.known                                    # slices can go through both, but would not pay
    {((8192, 2, 1), dtype('float32')): (0, 2)}
    """

    def __init__(self, stages: Iterable[Stage]) -> None:
        super().__init__(stages)
        self.known: dict = {}  # by the input's kind: how many images a slice has, 0 for none; how many stages take it
        self.replays: dict = {}  # by the input's kind: what was recorded, or None if nothing can be
        self.lessons: dict = {}  # by the input's kind

    def __reduce__(self) -> tuple:
        """What is known, and where arrays lie, does not hold for copies."""
        return Stages, (list(self),)

    @cached_property
    def repeats(self) -> bool:
        """Whether all stages do the same for every input of a kind."""
        return kernels.FUSES and all(stage.repeats for stage in self)

    def learn(self, input: np.ndarray) -> tuple[np.ndarray, Step | None]:
        """Return the last stage's output, and how to go back from it; None if only the stages know."""
        kind = kind_of(input)
        if kind is None or not (self.repeats and input.flags.carray):
            return learn(self, input), None
        lesson = self.lessons.get(kind)
        if lesson is None:
            output = learn(self, input)
            remember(self.lessons, kind, Lesson(list(self)))
            return output, None
        return lesson.forward(input)

    def infer(self, input: np.ndarray) -> np.ndarray:
        """Return the last stage's output; nothing is kept for backward."""
        kind = kind_of(input)
        known = self.known.get(kind)
        if known is None:
            return self._infer_first(kind, input)
        images, end = known
        if images:
            slices = (input[begin : begin + images] for begin in range(0, len(input), images))
            return run(self[end:], np.concatenate([run(self[:end], part) for part in slices]))
        return self._infer_again(kind, input)

    def _infer_again(self, kind: tuple, input: np.ndarray) -> np.ndarray:
        if not (self.repeats and input.flags.carray):
            return run(self, input)
        replay = self.replays.get(kind, UNKNOWN)
        if replay is UNKNOWN or (replay is not None and not replay.holds()):
            output, replay = record(self, input)
            remember(self.replays, kind, replay)
            return output
        output = None if replay is None else replay(input)
        return run(self, input) if output is None else output

    def _infer_first(self, kind: tuple | None, input: np.ndarray) -> np.ndarray:
        """Return it for the first input of its kind; remember how the next ones should go."""
        if kind is None or not kind[0]:
            return run(self, input)
        images, written, last, total = 0, [], 0, 0
        for number, stage in enumerate(self):
            output = stage(input, False)
            work = stage.work(input, output) if number == len(written) else None
            if work is not None:  # for this stage as for all before it
                written.append(0 if np.may_share_memory(input, output) else output.nbytes)
                last, total = output.nbytes, total + work
            input = output
        if written:
            images = images_of_a_slice(kind[0][0], max(written), last, total)
        remember(self.known, kind, (images, len(written)))
        return input


def run(stages: Iterable[Stage], input: np.ndarray) -> np.ndarray:
    """Return the last stage's output; nothing is kept for backward.

    >>> from minicnn.nn import ReLU
    >>> run([Stage([ReLU()]), Stage([ReLU()])], np.float32([3, -4]))
    array([3., 0.], dtype=float32)
    """
    for stage in stages:
        input = stage(input, False)
    return input


def images_of_a_slice(images: int, largest: int, last: int, work: int) -> int:
    """Return how many images to take at once, so that all slices are alike but for the last one; 0 for none.

    Parameters
    ----------
    images : int
        In the batch.
    largest : int
        Bytes that go from one stage to the next, where they are most.
    last : int
        Bytes that come out.
    work : int
        Multiply-adds of all stages.

    Examples
    --------
    >>> images_of_a_slice(1024, 2**26, 40_960, 2**29), images_of_a_slice(1000, 2**26, 40_000, 2**29)
    (64, 63)
    >>> images_of_a_slice(128, 2**23, 5_120, 2**26), images_of_a_slice(1024, 2**26, 2**26, 2**29)
    (0, 0)
    """
    if largest <= LARGE or last * SMALLER > largest or work > WORK * largest:
        return 0
    slices = -(-largest // CACHED)
    return -(-images // slices)
