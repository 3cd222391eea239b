"""What a recorder hears can be played; what it does not hear is never played."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from numba import config

if config.DISABLE_JIT:
    pytest.skip("a score holds the addresses of compiled code", allow_module_level=True)

from numba import njit

from minicnn.kernels import threads
from minicnn.kernels.board import UNDER_WAY, handed_out
from minicnn.kernels.fast_relu import relu
from minicnn.kernels.memory import empty, flag, nothing, zeros
from minicnn.kernels.score import Recorder, listening
from minicnn.kernels.threads import share


@njit(nogil=True)
def add_up(left, right, pair, twice, number, total, board, start, stop):
    """Fill total[start:stop]; `left` has two axes."""
    if handed_out(board, start, stop):
        return
    for i in range(start, stop):
        total[i] = left[0, i] + right[i] * pair[0] + pair[1] + (total.size if twice else 0) + number


@njit(nogil=True)
def frown(input, odd, output, board, start, stop):
    """Copy numbers, and raise the flag at one that is negative."""
    if handed_out(board, start, stop):
        return
    for i in range(start, stop):
        output[i] = input[i]
        if input[i] < 0:
            odd[0] = 1


@njit(nogil=True)
def stumble(input, output, board, start, stop):
    """Copy numbers, and raise an error at one that is negative."""
    if handed_out(board, start, stop):
        return
    for i in range(start, stop):
        output[i] = input[i]
        if input[i] < 0:
            raise KeyError("stumbled")


@njit(nogil=True)
def count_up(input, done, output, board, start, stop):
    """Copy numbers, and count how often each has been done."""
    if handed_out(board, start, stop):
        return
    for i in range(start, stop):
        output[i] = input[i]
        done[i] += 1


@njit(nogil=True)
def ask(input, teams, output, board, start, stop):
    """Copy numbers, and add how many calls and scores of a team's board are under way."""
    if handed_out(board, start, stop):
        return
    for i in range(start, stop):
        output[i] = input[i] + teams[UNDER_WAY]


def heard(run, input, weights=()):
    """Return the score of a function, and its output."""
    with Recorder() as recorder:
        output = run(input)
    assert not listening
    return recorder.score(input, [output], list(weights)), output


def perform(score, input):
    """Return the one array that a score has made, or None."""
    made = threads.perform(score, input)
    return None if made is None else score.arrays_in(made)[0]


def sum_of(input, right, work=1):
    total = empty(input.shape, input.dtype)
    share(add_up, (input.reshape(1, -1), right, (2, 0.5), True, np.float32(0.25), total), len(input), work)
    return total


@pytest.mark.parametrize("work", [1, 10**9])
def test_arguments_of_all_kinds(work):
    weight = np.arange(5.0)
    score, _ = heard(lambda input: relu(sum_of(input, weight, work)), np.zeros(5), [weight])
    others = np.array([10.0, -100, 20, 30, 40])
    # others + 2·weight + 0.5 + 5 + 0.25
    for _ in range(3):
        np.testing.assert_array_equal(perform(score, others), [15.75, 0, 29.75, 41.75, 53.75])
    weight *= 10
    np.testing.assert_array_equal(perform(score, others), [15.75, 0, 65.75, 95.75, 125.75])


def test_while_the_team_serves_somebody_else():
    score, expected = heard(lambda input: sum_of(input, nothing(5, np.dtype(float)), 10**9), np.ones(5))
    with threads._in_use:
        np.testing.assert_array_equal(perform(score, np.ones(5)), expected)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_every_number_is_done_once(size):
    """Also where there are fewer numbers than threads."""
    done, before = np.zeros(size), threads.get_num_threads()

    def run(input):
        output = empty(input.shape, input.dtype)
        share(count_up, (input, done, output), size, 10**9, ranges=4)
        return output

    score, _ = heard(run, np.ones(size), [done])
    try:
        for count in (1, 2, 3, 8):
            threads.set_num_threads(count)
            perform(score, np.ones(size))
    finally:
        threads.set_num_threads(before)
    np.testing.assert_array_equal(done, 5)


@njit(nogil=True)
def add_pair(pair, output, board, start, stop):
    """Fill output[start:stop] with the sums of two arrays."""
    if handed_out(board, start, stop):
        return
    for i in range(start, stop):
        output[i] = pair[0][i] + pair[1][i]


def sum_of_pair(one, other):
    output = empty(one.shape, one.dtype)
    share(add_pair, ((one, other), output), len(one), 1)
    return output


def test_arrays_in_a_tuple():
    score, _ = heard(lambda input: sum_of_pair(input, relu(input)), np.ones(3))
    np.testing.assert_array_equal(perform(score, np.array([3.0, -4, 5])), [6, -4, 10])


UNHEARD = {
    "NumPy's output": lambda input: relu(input) + 1,
    "the input": lambda input: input,
    "NumPy between two kernels": lambda input: relu(relu(input) * 2),
    "a weight that nobody named": lambda input: sum_of(input, np.ones(5)),
    "memory that NumPy fills": lambda input: sum_of(input, zeros((5,), float)),
    "a weight in a tuple": lambda input: sum_of_pair(input, np.ones(5)),
    "a part of an array": lambda input: sum_of(input, relu(np.ones(10))[5:]),
}


@pytest.mark.parametrize("name", UNHEARD)
def test_what_is_not_heard(name):
    assert heard(UNHEARD[name], np.ones(5))[0] is None


def test_an_input_among_the_weights():
    numbers = np.ones(5)
    assert heard(relu, numbers, [numbers])[0] is None


def test_zeros_that_nobody_changes():
    score, output = heard(lambda input: sum_of(input, nothing(5, np.dtype(float))), np.ones(5))
    np.testing.assert_array_equal(perform(score, np.ones(5)), output)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_flags(dtype):
    def run(input):
        output = empty(input.shape, dtype)
        share(frown, (input, flag(dtype), output), len(input), 1)
        return relu(output)

    score, _ = heard(run, np.ones(3, dtype))
    for numbers, raises in [([1, 2, 3], False), ([1, -2, 3], True), ([1, 2, 3], False)]:
        output = perform(score, np.array(numbers, dtype))
        assert (output is None) == raises


@pytest.mark.parametrize("work", [1, 10**9])
def test_errors(work):
    def run(input):
        output = empty(input.shape, input.dtype)
        share(stumble, (input, output), len(input), work)
        return output

    score, _ = heard(run, np.ones(8))
    for numbers, fails in [(np.ones(8), False), (-np.ones(8), True), (np.ones(8), False)]:
        assert (perform(score, numbers) is None) == fails
    np.testing.assert_array_equal(
        sum_of(np.ones(2), np.zeros(2), 10**9), [3.75, 3.75]
    )  # the board is as before


def test_helpers_stay_for_the_whole_score(threads_restored):
    """A call that is not shared may take long; those after it are."""

    def asked(input, work):
        output = empty(input.shape, input.dtype)
        share(ask, (input, board, output), len(input), work)
        return output

    threads.set_num_threads(2)
    board = threads._current_team().board
    score, _ = heard(lambda input: asked(asked(input, 1), 10**9), np.zeros(8))
    for _ in range(2):  # the score alone; the score, and the call that waits for its pieces
        np.testing.assert_array_equal(perform(score, np.zeros(8)), np.full(8, 1 + 2))
    assert board[UNDER_WAY] == 0


def test_other_threads_are_not_heard():
    def work():
        relu(np.ones(3)), zeros((3,), float), flag(float), nothing(3, np.dtype(float))
        done.append(True)

    done = []
    with Recorder() as recorder:
        other = threading.Thread(target=work)
        other.start()
        other.join()
        relu(np.ones(3))
    assert done
    assert recorder.flags == recorder.constants == []
    assert len(recorder.calls) == len(recorder.given) == 1


def test_one_recorder_inside_another():
    """The outer one has not heard everything."""
    numbers = np.ones(3)
    with Recorder() as outer:
        first = relu(numbers)
        with Recorder() as inner:
            second = relu(numbers)
        relu(numbers)
    assert not listening
    assert outer.score(numbers, [first], []) is None
    assert inner.score(numbers, [second], []) is not None


def test_an_error_ends_the_recording():
    with pytest.raises(ZeroDivisionError), Recorder():
        1 / 0  # noqa: B018
    assert not listening
