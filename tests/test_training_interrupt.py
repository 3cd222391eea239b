"""Ctrl-C: the running step is finished, and what was learned is kept."""

from __future__ import annotations

import signal
import threading

import numpy as np
import pytest

from minicnn import data, nn, optim
from minicnn.training.interrupt import DeferredInterrupt
from tests.test_training import assert_same_bits, network, quiet, script_validation, two_classes


def press() -> None:
    signal.raise_signal(signal.SIGINT)


class PressInForward(nn.Module):
    """Presses Ctrl-C in the middle of the forward pass with this number, some times."""

    def __init__(self, at: int, times: int = 1) -> None:
        super().__init__()
        self.at, self.times, self.calls = at, times, 0

    def forward(self, input):
        self.calls += 1
        for _ in range(self.times * (self.calls == self.at)):
            press()
        return input

    def backward(self, grad_output):
        return grad_output


@pytest.fixture(autouse=True)
def python_handles_ctrl_c():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("times", [1, 2])
def test_the_step_is_finished_and_kept(times):
    train = two_classes(20)  # 3 batches of 8, 8, 4
    model = nn.Sequential(network(), PressInForward(at=5, times=times))
    history = quiet(model, train, epochs=4)
    assert history.interrupted
    assert len(history) == 1
    assert "interrupted in epoch 2" in repr(history)

    expected, steps = network(), 0
    criterion, optimizer = nn.CrossEntropyLoss(), optim.Adam(expected.parameters(), lr=1e-3)
    loader = data.DataLoader(train, batch_size=8, shuffle=True, rng=0)
    while steps < 5:
        for images, targets in loader:
            criterion(expected(images), targets)
            optimizer.zero_grad()
            expected.backward(criterion.backward())
            optimizer.step()
            steps += 1
            if steps == 5:
                break
    assert_same_bits(model[0], expected)


def test_the_third_press_raises_at_once():
    model = nn.Sequential(network(), PressInForward(at=2, times=3))
    with pytest.raises(KeyboardInterrupt):
        quiet(model, two_classes())
    assert model[1].calls == 2


def test_in_validation_the_epoch_is_not_counted():
    train = two_classes(20)
    model = nn.Sequential(network(), PressInForward(at=8))  # 3 + 1, then 3 + 1: the second validation
    history = quiet(model, train, validation=train, epochs=4)
    assert history.interrupted
    assert len(history) == len(history.val_loss) == 1


def test_the_best_weights_are_restored(monkeypatch):
    script_validation(monkeypatch, [0.5, 0.9])
    weights = []

    def remember(state):
        weights.append(state.model.state_dict())

    model, train = nn.Sequential(network(), PressInForward(at=8)), two_classes(20)
    history = quiet(model, train, validation=train, epochs=4, keep_best=True, callbacks=[remember])
    assert len(history) == 2
    assert history.interrupted
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, weights[0][name])


def test_a_keyboard_interrupt_from_elsewhere_ends_it_as_well():
    def interrupt(state):
        raise KeyboardInterrupt

    history = quiet(network(), two_classes(), epochs=4, callbacks=[interrupt])
    assert history.interrupted
    assert len(history) == 1


def test_outside_the_main_thread_and_with_a_handler_of_ones_own_nothing_is_touched():
    results = []
    thread = threading.Thread(target=lambda: results.append(quiet(network(), two_classes())))
    thread.start()
    thread.join()
    assert len(results[0]) == 2

    presses = []
    signal.signal(signal.SIGINT, lambda number, frame: presses.append(number))
    with DeferredInterrupt() as interrupt:
        press()
        interrupt.check()
    assert presses == [signal.SIGINT]
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_after_the_block_ctrl_c_raises_again():
    with DeferredInterrupt():
        press()
    with pytest.raises(KeyboardInterrupt):
        press()
