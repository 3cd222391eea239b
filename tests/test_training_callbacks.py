"""What fit tells while it runs: callbacks in their order, lines and a bar."""

from __future__ import annotations

import functools
import re

import pytest
from tqdm import tqdm

from minicnn.training import TrainingState
from tests.test_training import network, quiet, two_classes

# Callbacks


def test_the_order_of_callbacks_and_what_they_see():
    events = []

    class Watch:
        def __init__(self, name):
            self.name = name

        def __call__(self, state):
            assert isinstance(state, TrainingState)
            assert len(state.history) == state.epoch
            assert state.model.training
            events.append((self.name, "epoch", state.epoch, state.batch))

        def on_batch_end(self, state):
            assert state.images.shape == (len(state.targets), 3)
            assert state.logits.shape == (len(state.targets), 2)
            assert state.loss == state.criterion(state.logits, state.targets)
            events.append((self.name, "batch", state.epoch, state.batch))

    def plain(state):
        events.append(("plain", "epoch", state.epoch, state.batch))

    quiet(network(), two_classes(10), callbacks=[Watch("a"), plain, Watch("b")])
    expected = []
    for epoch in (0, 1):
        for batch in (1, 2):
            expected += [("a", "batch", epoch, batch), ("b", "batch", epoch, batch)]
        expected += [(name, "epoch", epoch + 1, 2) for name in ("a", "plain", "b")]
    assert events == expected


def test_a_callback_can_stop_and_what_it_raises_comes_out():
    def stop_after_two(state):
        state.stop = state.epoch == 2

    history = quiet(network(), two_classes(), epochs=9, callbacks=[stop_after_two])
    assert len(history) == 2
    assert history.stopped_early

    def fail(state):
        raise LookupError("from the callback")

    with pytest.raises(LookupError, match="from the callback"):
        quiet(network(), two_classes(), callbacks=[fail])


# What is printed


def test_one_line_an_epoch_and_no_bar_without_a_terminal(capsys):
    train = two_classes()
    history = quiet(network(), train, validation=train, epochs=2, progress=True)
    printed = capsys.readouterr()
    assert printed.err == ""
    number = r"\d\.\d{4}"
    pattern = (
        rf"epoch {{}}/2  loss {number}  accuracy {number}  val_loss {number}  val_accuracy {number}  "
        r"lr 0\.001  \d+\.\d s"
    )
    lines = printed.out.splitlines()
    assert len(lines) == 2
    for epoch, line in enumerate(lines, start=1):
        assert re.fullmatch(pattern.replace("{}", str(epoch)), line), line
    assert f"val_loss {history.val_loss[1]:.4f}" in lines[1]
    quiet(network(), train)
    assert capsys.readouterr() == ("", "")


def test_a_bar_with_loss_and_accuracy_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr("minicnn.training.progress.tqdm", functools.partial(tqdm, mininterval=0))
    quiet(network(), two_classes(), epochs=1, progress=True)
    bar = capsys.readouterr().err
    assert "epoch 1/1" in bar
    assert re.search(r"3/3 .*loss \d\.\d{4}, accuracy \d\.\d{4}", bar)
