"""Memory that is used again: only when nobody looks at it any more, and no more than may wait."""

from __future__ import annotations

import gc
import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from minicnn import nn, no_grad
from minicnn.kernels import memory
from minicnn.kernels.memory import KEPT, WORTH_KEEPING, Memory, Pool, empty, zeros

LARGE = (2, WORTH_KEEPING)  # float32
BYTES = 8 * WORTH_KEEPING


@pytest.fixture
def pool(monkeypatch):
    fresh = Pool()
    monkeypatch.setattr(memory, "_pool", fresh)
    return fresh


def address(array):
    return array.__array_interface__["data"][0]


def test_what_nobody_has_is_used_again(pool):
    first = empty(LARGE, np.float32)
    place = address(first)
    del first
    assert pool.size == BYTES
    again = empty((WORTH_KEEPING, 2), np.float32)
    assert address(again) == place
    assert again.flags.carray
    assert type(again) is np.ndarray
    assert pool.size == 0
    assert not pool.waiting


@pytest.mark.parametrize(
    "look",
    [
        lambda array: array[1:],
        lambda array: array.reshape(-1)[3:5],
        lambda array: array.T[::2],
        lambda array: memoryview(array),
        lambda array: array.view(np.int32).ravel().reshape(-1, 2),
        lambda array: np.asarray(array.view(np.matrix)),
        lambda array: array.base.base[1:],
    ],
)
def test_nothing_is_used_again_while_somebody_looks_at_a_part(pool, look):
    array = empty(LARGE, np.float32)
    array[...] = 7
    part = look(array)
    del array
    other = empty(LARGE, np.float32)
    other[...] = 8
    assert (np.asarray(part) != 8).all()
    del part
    assert pool.size == BYTES  # the first one's, and not the other's


def test_a_part_of_the_lease_gives_nothing_back_when_it_goes(pool):
    array = empty(LARGE, np.float32)
    part = array.base.base[1:]
    assert type(part) is type(array.base.base) is not np.ndarray
    del part
    assert pool.size == 0
    del array
    assert pool.size == BYTES


def test_torch_holds_it_too(pool):
    torch = pytest.importorskip("torch")
    array = empty(LARGE, np.float32)
    array[...] = 7
    tensor = torch.from_numpy(array)
    del array
    empty(LARGE, np.float32)[...] = 8
    assert bool((tensor == 7).all())


def test_another_size_gets_memory_of_its_own(pool):
    del pool  # only to have a fresh one
    small, large = empty(LARGE, np.float32), empty((4, LARGE[1]), np.float32)
    del small
    assert not np.shares_memory(empty((4, LARGE[1]), np.float32), large)


def test_zeros_are_zeros_where_something_stood(pool):
    array = empty(LARGE, np.float32)
    array[...] = 7
    place = address(array)
    del array
    again = zeros(LARGE, np.float32)
    assert address(again) == place
    assert not again.any()


def test_no_more_waits_than_may_and_the_oldest_goes_first():
    pool = Pool()
    sizes = KEPT // 2, KEPT // 4, KEPT // 4 - 1, KEPT // 8
    for size in sizes:
        pool.take_back(Memory(size))
    assert list(pool.waiting) == list(sizes[1:])
    assert pool.size == sum(sizes[1:])
    pool.take_back(Memory(KEPT + 1))
    assert pool.size == 0
    assert not pool.waiting


def test_a_busy_pool_keeps_nobody_waiting(pool):
    array = empty(LARGE, np.float32)
    with pool.busy:
        del array  # goes
        assert empty(LARGE, np.float32).shape == LARGE  # is new, and goes too
    assert pool.size == 0


def _use_the_pool(answers):
    array = empty(LARGE, np.float32)
    del array
    answers.put(memory._pool.size)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_forked_from_a_busy_parent_has_a_pool(pool):
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    with pool.busy:
        child = context.Process(target=_use_the_pool, args=(answers,))
        child.start()
    assert answers.get(timeout=60) == BYTES
    child.join()


def test_a_training_step_needs_no_new_memory_and_no_collector(pool, monkeypatch):
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, rng=0), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 26 * 26, 10, rng=0)
    )
    images, grad = np.ones((16, 1, 28, 28), np.float32), np.ones((16, 10), np.float32)
    lend, found = pool.lend, []

    def watched(size):
        found.append(size in pool.waiting)
        return lend(size)

    monkeypatch.setattr(pool, "lend", watched)
    gc.disable()
    try:
        for step in range(6):  # the first ones by layers, the others from a score
            found.clear()
            model.zero_grad()
            model(images)
            model.backward(grad)
            assert len(found) >= 3
            assert all(found) or step in (0, 2, 3)
    finally:
        gc.enable()


def test_threads_that_share_the_pool_do_not_share_outputs(pool):
    del pool
    layer = nn.Conv2d(1, 8, 3, padding=1, bias=False, rng=0)
    images = [np.full((2, 1, 64, 64), number, np.float32) for number in range(8)]
    with no_grad():
        alone = [layer(image) for image in images]

    def compute(number):
        with no_grad():
            return all((layer(images[number]) == alone[number]).all() for _ in range(20))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(compute, range(8)))


def test_large_outputs_begin_with_a_line_of_the_cache(pool):
    arrays = [pool.lend(2**17 + odd) for odd in range(5)]
    assert [array.ctypes.data % 64 for array in arrays] == [0] * 5
    assert [array.size for array in arrays] == [2**17 + odd for odd in range(5)]
