"""A score: calls of kernels, written down once and played again without Python between them.

From one kernel to the next Python takes a few microseconds, and ten times as many where the kernels have left
nothing else in the caches. But for arrays of the same shapes it says the same every time, except for where they lie:

    heard       empty() -> a    walk(input, weight, a)         empty() -> b    walk(a, weight2, b)
    written     walk(input, weight, place 0)   walk(place 0, weight2, what is wanted)
    played      memory for all places, and for what is wanted; both calls, with the addresses of today

A `Recorder` hears what `memory` gives away and what `threads.share` calls, in its own thread. Numbers that NumPy makes
between two calls it does not hear. So a score is written only if all arrays of all calls are known: the input; what
`memory` gave; what stays as it is (weights, and plans, which are whole numbers). On the way back through a net there
are also the images, and what was made on the way there.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator

import numpy as np

from minicnn.kernels.board import (
    ARGUMENTS,
    COUNT,
    ENTRY,
    FAILED,
    PIECES,
    SIZE,
    UNDER_WAY,
    call,
    count,
    lead,
    new_board,
)
from minicnn.kernels.compiling import compiled
from minicnn.kernels.registers import LINE

HEAD = 4  # numbers before a call's arguments: entry, size, pieces for each thread, how many arguments
HERE, INPUT, PLACES, MADE, OTHER, BEFORE = range(6)  # what a number is added to; HERE to nothing
WORD = 8  # bytes of a number that is written down; a flag has as many, and all flags lie before the places

listening: dict[int, Recorder] = {}  # by the thread whose calls they hear; hardly ever is there any


@compiled
def play(words, origins, input, places, made, other, before, flags, threads, board):
    """Make all calls of a score; return whether all could be made, and none of so many `flags` is raised."""
    count(board, UNDER_WAY, 1)
    for i in range(flags):
        places[i] = 0
    begins = (
        np.int64(0),
        np.int64(input.ctypes.data),
        np.int64(places.ctypes.data),
        np.int64(made.ctypes.data),
        np.int64(other.ctypes.data),
        np.int64(before.ctypes.data),
    )
    at = 0
    while at < len(words):
        size, length = words[at + 1], words[at + 3]
        pieces = min(words[at + 2] * threads, size) if threads > 1 else 1
        board[ENTRY] = words[at]
        at += HEAD
        for i in range(length):
            board[ARGUMENTS + i] = words[at + i] + begins[origins[at + i]]
        at += length
        if pieces > 1:
            board[SIZE], board[PIECES] = size, pieces
            lead(board)
        elif call(board, 0, size) != 0:
            board[FAILED] = 1
    count(board, UNDER_WAY, -1)
    fine = board[FAILED] == 0
    board[FAILED] = 0
    for i in range(flags):
        fine &= places[i] == 0
    return fine


class Recorder:
    """Hears its own thread from the beginning of a `with` block to its end.

    Parameters
    ----------
    largest : int
        Bytes. If kernels hand on more, there will be no score, and nothing more is kept.

    Attributes
    ----------
    given : list of ndarray
        Memory in which anything may stand, until a kernel has filled it.
    flags : list of ndarray
        Single numbers, zero before the first call, that a kernel raises if something is not as it should be.
    constants : list of ndarray
        Arrays that nobody changes.
    calls : list of (tuple of int, ndarray of int64, list of ndarray)
        What stands before a call's arguments; the arguments as on a board; the arrays among them.
    work : int
        Multiply-adds of the calls that are worth being shared.

    Examples
    --------
    >>> from minicnn.kernels.fast_relu import relu
    >>> with Recorder() as recorder:
    ...     output = relu(relu(np.array([3.0, -4.0])))
    >>> len(recorder.given), len(recorder.calls)
    (2, 2)
    """

    def __init__(self, largest: int = 2**30) -> None:
        self.largest, self.size, self.before = largest, 0, None
        self.given: list[np.ndarray] = []
        self.flags: list[np.ndarray] = []
        self.constants: list[np.ndarray] = []
        self.calls: list[tuple] = []
        self.work = 0

    def __enter__(self) -> Recorder:
        self.before = listening.get(threading.get_ident())
        if self.before is not None:
            self.before.size = math.inf  # it does not hear what comes now
        listening[threading.get_ident()] = self
        return self

    def __exit__(self, *error) -> None:
        listening.pop(threading.get_ident(), None)  # in a forked child there is none
        if self.before is not None:
            listening[threading.get_ident()] = self.before

    def hear_array(self, what: str, array: np.ndarray) -> None:
        """Keep an array among `given`, `flags` or `constants`, until all are too large together."""
        self.size += array.nbytes
        if self.size <= self.largest:
            getattr(self, what).append(array)
        else:
            self.given, self.flags, self.constants, self.calls = [], [], [], []

    def hear_call(self, kernel: Callable, arguments: tuple, size: int, pieces: int, work: int) -> None:
        """Write down a call; `pieces` are for each thread, 0 if the call is not worth being shared."""
        if self.size > self.largest:
            return
        board = new_board()
        kernel(*arguments, board, 0, 0)  # writes on the board how it was called, and finds no pieces to do
        head = int(board[ENTRY]), size, pieces, int(board[COUNT])
        self.calls.append((head, board[ARGUMENTS : ARGUMENTS + board[COUNT]], list(arrays_in(arguments))))
        self.work += work if pieces else 0

    def score(self, input, wanted: list, weights: list, other=None, before=None) -> Score | None:
        """Return the score of what was heard; None if there were other numbers than those, or too many.

        Whoever plays it must see to it that all `weights` are still the same arrays.

        Parameters
        ----------
        input : ndarray
        wanted : list of ndarray
            What the calls have made, and shall make again.
        weights : list of ndarray
        other : ndarray or None
            A second input.
        before : ndarray or None
            What an earlier score has made, all in one.
        """
        if self.size > self.largest:
            return None
        stay, given = {address(array) for array in (*weights, *self.constants)}, set(map(address, self.given))
        inputs = [array for array in (input, other) if array is not None]
        begins = {address(array): (origin, 0) for array, origin in zip(inputs, (INPUT, OTHER), strict=False)}
        apart = len(begins) == len(inputs) and not any(begin_of(array, {}, before) for array in inputs)
        if not apart or begins.keys() & (stay | given) or not given.issuperset(map(address, wanted)):
            return None
        for number, flag in enumerate(self.flags):
            begins[address(flag)] = PLACES, WORD * number
        rooms = {PLACES: WORD * len(self.flags), MADE: 0}
        chosen = set(map(address, wanted))
        for array in self.given:
            origin = MADE if address(array) in chosen else PLACES
            rooms[origin] += -rooms[origin] % LINE
            begins[address(array)] = origin, rooms[origin]
            rooms[origin] += array.nbytes
        numbers, held = [], []
        for head, arguments, arrays in self.calls:
            moved = {address(array): found for array in arrays if (found := begin_of(array, begins, before))}
            fixed = [array for array in arrays if address(array) not in moved]
            if not all(a.size == 0 or a.dtype == np.int64 or address(a) in stay for a in fixed):
                return None
            held += fixed
            numbers += [(HERE, number) for number in head]
            numbers += [moved.get(number, (HERE, number)) for number in arguments.tolist()]
        wanted = [(begins[address(array)][1], array.shape, array.dtype) for array in wanted]
        numbers, rooms = np.array(numbers, np.int64).reshape(-1, 2), (rooms[PLACES], rooms[MADE])
        return Score(numbers, rooms, len(self.flags), wanted, held, self.work)


def begin_of(array: np.ndarray, begins: dict, before: np.ndarray | None) -> tuple[int, int] | None:
    """Return what an array's address has to be added to, and what is added; None if it stays.

    >>> made = np.zeros(3, np.int64)
    >>> begin_of(made[1:], {address(made): (PLACES, 0)}, None), begin_of(made[1:], {}, before=made)
    (None, (5, 8))
    """
    if before is not None and 0 <= address(array) - address(before) < before.nbytes:
        return BEFORE, address(array) - address(before)
    return begins.get(address(array))


def arrays_in(arguments: tuple) -> Iterator[np.ndarray]:
    """Yield all arrays among arguments, those in tuples too.

    >>> [array.size for array in arrays_in((np.zeros(3), 1, (2.0, (np.zeros(5),))))]
    [3, 5]
    """
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            yield argument
        elif isinstance(argument, tuple):
            yield from arrays_in(argument)


def address(array: np.ndarray) -> int:
    """Return where an array's first number lies.

    >>> array = np.zeros(3)
    >>> address(array[1:]) - address(array)
    8
    """
    return array.__array_interface__["data"][0]


class Score:
    """Calls that can be made again, for another input of the same shape and dtype.

    Attributes
    ----------
    origins, words : ndarray of int64
        All calls end to end: numbers, and what each is added to.
    rooms : pair of int
        Words of all places, the flags before them; and of what is wanted.
    flags : int
        How many there are.
    wanted : list of tuple
        Of each array that is wanted where it begins, in bytes, its shape and dtype.
    held : list of ndarray
        Arrays that have to stay where they are.
    work : int
        Multiply-adds of the calls that are worth being shared.

    Examples
    --------
    >>> from minicnn.kernels.fast_relu import relu
    >>> numbers = np.array([3.0, -4.0])
    >>> with Recorder() as recorder:
    ...     output = relu(numbers)
    >>> score = recorder.score(numbers, [output], weights=[])
    >>> places, made = (np.empty(room, np.int64) for room in score.rooms)
    >>> others = np.array([-5.0, 6.0])
    >>> score.play(others, places, made, others, made, threads=1, board=new_board())
    True
    >>> score.arrays_in(made)
    [array([0., 6.])]
    """

    def __init__(self, numbers, rooms, flags, wanted, held, work) -> None:
        self.origins, self.words = np.ascontiguousarray(numbers.T)
        self.rooms = tuple(-(-room // WORD) for room in rooms)
        self.flags, self.wanted = flags, wanted
        self.held, self.work = held, work

    def play(self, input, places, made, other, before, threads: int, board) -> bool:
        """Fill places and `made`, with so many threads that look at the board; return whether to trust them."""
        arrays = input.ravel(), places, made, other.ravel(), before
        return play(self.words, self.origins, *arrays, self.flags, threads, board)

    def arrays_in(self, made) -> list[np.ndarray]:
        """Return the arrays that are wanted."""
        return [np.ndarray(shape, dtype, made, begin) for begin, shape, dtype in self.wanted]
