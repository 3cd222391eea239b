"""A score: calls of kernels, written down once and played again without Python between them.

From one kernel to the next Python takes a few microseconds, and ten times as many where the kernels have left
nothing else in the caches. But for arrays of the same shapes it says the same every time, except for where they lie:

    heard       empty() -> a    walk(input, weight, a)         empty() -> b    walk(a, weight2, b)
    written     walk(input, weight, place 0)   walk(place 0, weight2, output)
    played      memory for all places and the output; both calls, with the addresses of today

A `Recorder` hears what `memory` gives away and what `threads.share` calls, in its own thread. Numbers that NumPy makes
between two calls it does not hear. So a score is written only if all arrays of all calls are known: the input; what
`memory` gave; what stays as it is (weights, and plans, which are whole numbers).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator

import numpy as np

from minicnn.kernels.board import ARGUMENTS, COUNT, ENTRY, FAILED, PIECES, SIZE, call, lead, new_board
from minicnn.kernels.compiling import compiled

HEAD = 4  # numbers before a call's arguments: entry, size, pieces for each thread, how many arguments
HERE, INPUT, PLACES, OUTPUT = range(4)  # what a number is added to; HERE to nothing
WORD = 8  # bytes of a number that is written down; a flag has as many, and all flags lie before the places
LINE = 64  # bytes of a line of the cache: places are so far apart, or a multiple of it

listening: dict[int, Recorder] = {}  # by the thread whose calls they hear; hardly ever is there any


@compiled
def play(words, origins, input, places, output, flags, threads, board):
    """Make all calls of a score; return whether all could be made, and none of so many `flags` is raised."""
    for i in range(flags):
        places[i] = 0
    begins = (
        np.int64(0),
        np.int64(input.ctypes.data),
        np.int64(places.ctypes.data),
        np.int64(output.ctypes.data),
    )
    at = 0
    while at < len(words):
        size, pieces, count = words[at + 1], min(words[at + 2] * threads, words[at + 1]), words[at + 3]
        board[ENTRY] = words[at]
        at += HEAD
        for i in range(count):
            board[ARGUMENTS + i] = words[at + i] + begins[origins[at + i]]
        at += count
        if pieces > 1:
            board[SIZE], board[PIECES] = size, pieces
            lead(board)
        elif call(board, 0, size) != 0:
            board[FAILED] = 1
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

    def score(self, input: np.ndarray, output: np.ndarray, weights: list[np.ndarray]) -> Score | None:
        """Return the score of what was heard; None if there were other numbers than those, or too many.

        Whoever plays it must see to it that all `weights` are still the same arrays.
        """
        if self.size > self.largest:
            return None
        stay = {address(array) for array in (*weights, *self.constants)}
        if address(input) in stay or address(output) not in map(address, self.given):
            return None
        begins, room = {address(input): (INPUT, 0)}, WORD * len(self.flags)
        for number, flag in enumerate(self.flags):
            begins[address(flag)] = PLACES, WORD * number
        for array in self.given:
            if address(array) == address(output):
                begins[address(array)] = OUTPUT, 0
                continue
            room += -room % LINE
            begins[address(array)] = PLACES, room
            room += array.nbytes
        numbers, held = [], []
        for head, arguments, arrays in self.calls:
            fixed = [array for array in arrays if address(array) not in begins]
            if not all(a.size == 0 or a.dtype == np.int64 or address(a) in stay for a in fixed):
                return None
            held += fixed
            moved = {address(array): begins[address(array)] for array in arrays if address(array) in begins}
            numbers += [(HERE, number) for number in head]
            numbers += [moved.get(number, (HERE, number)) for number in arguments.tolist()]
        numbers, room = np.array(numbers, np.int64).reshape(-1, 2), room + -room % WORD
        return Score(numbers, room, len(self.flags), output, held, self.work)


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
    room : int
        Bytes of all places, and the flags before them.
    flags : int
        How many there are.
    shape, dtype
        Of the output.
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
    >>> score = recorder.score(numbers, output, weights=[])
    >>> others, places = np.array([-5.0, 6.0]), np.empty(score.room // WORD, np.int64)
    >>> score.play(others, places, output, threads=1, board=new_board())
    True
    >>> output
    array([0., 6.])
    """

    def __init__(self, numbers, room, flags, output, held, work) -> None:
        self.origins, self.words = np.ascontiguousarray(numbers.T)
        self.room, self.flags = room, flags
        self.shape, self.dtype = output.shape, output.dtype
        self.held, self.work = held, work

    def play(self, input, places, output, threads: int, board) -> bool:
        """Fill `output`, with so many threads that look at the board; return False if it cannot be trusted."""
        arrays = input.ravel(), places, output.ravel()
        return play(self.words, self.origins, *arrays, self.flags, threads, board)
