"""History: a table, a picture, and the numbers behind both."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from minicnn.training import History
from minicnn.training.history import epoch_line

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture(autouse=True)
def no_windows():
    from matplotlib import pyplot

    pyplot.switch_backend("agg")
    yield
    pyplot.close("all")


def example(epochs: int = 3, validation: bool = True, accuracy: bool = True) -> History:
    history = History()
    for epoch in range(epochs):
        numbers = {"loss": 1 / (epoch + 1), "accuracy": 0.5 + 0.1 * epoch if accuracy else math.nan}
        if validation:
            numbers |= {"val_loss": 1 + abs(epoch - 1), "val_accuracy": 0.25 if accuracy else math.nan}
        history.append(**numbers, lr=0.001, seconds=1.25)
    return history


def test_the_table():
    history = example()
    assert repr(history) == (
        "epoch    loss  accuracy  val_loss  val_accuracy     lr  seconds\n"
        "    1  1.0000    0.5000    2.0000        0.2500  0.001      1.2\n"
        "    2  0.5000    0.6000    1.0000        0.2500  0.001      1.2\n"
        "    3  0.3333    0.7000    2.0000        0.2500  0.001      1.2"
    )
    history.interrupted = True
    assert repr(history).endswith("\ninterrupted in epoch 4")
    history.interrupted, history.stopped_early = False, True
    assert repr(history).endswith("\nstopped early after epoch 3")


def test_an_empty_table_and_a_long_one():
    assert repr(History()) == "epoch"
    lines = repr(example(100)).splitlines()
    assert len(lines) == 1 + 12 + 1 + 12
    assert [line.split()[0] for line in (lines[12], lines[13], lines[14], lines[-1])] == [
        "12",
        "...",
        "89",
        "100",
    ]


def test_best_epoch():
    history = example()
    assert history.best_epoch == 2
    history.val_loss = [math.nan, 0.5, 0.5]
    assert history.best_epoch == 2
    assert example(validation=False).best_epoch is None


def test_one_line():
    assert epoch_line(example(validation=False), 12) == (
        "epoch  3/12  loss 0.3333  accuracy 0.7000  lr 0.001  1.2 s"
    )


def test_a_loss_that_is_lost_is_shown():
    history = History()
    nan = math.nan
    history.append(loss=nan, accuracy=0.1, val_loss=nan, val_accuracy=nan, lr=0.001, seconds=1.0)
    assert epoch_line(history, 5) == "epoch 1/5  loss nan  accuracy 0.1000  val_loss nan  lr 0.001  1.0 s"


def test_two_panels():
    history = example()
    axes = history.plot()
    assert [axis.get_ylabel() for axis in axes] == ["loss", "accuracy"]
    for axis, name in zip(axes, ("loss", "accuracy"), strict=True):
        assert axis.get_xlabel() == "epoch"
        assert [text.get_text() for text in axis.get_legend().get_texts()] == ["training", "validation"]
        for line, numbers in zip(axis.get_lines(), (name, f"val_{name}"), strict=True):
            np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
            np.testing.assert_array_equal(line.get_ydata(), getattr(history, numbers))


def test_one_panel_where_there_is_no_accuracy():
    (axis,) = example(validation=False, accuracy=False).plot()
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["training"]


def test_on_given_axes():
    from matplotlib import pyplot

    _, two = pyplot.subplots(2)
    assert list(example().plot(two)) == list(two)
    _, one = pyplot.subplots()
    left, right = example().plot(ax=one)
    assert left is one
    assert right.get_ylabel() == "accuracy"
    names = [text.get_text() for text in one.get_legend().get_texts()]
    assert names == ["training loss", "validation loss", "training accuracy", "validation accuracy"]
    count = len(pyplot.get_fignums())
    assert count == 2


def test_three_axes_are_too_many():
    from matplotlib import pyplot

    _, three = pyplot.subplots(3)
    message = "History.plot: ax must be one Axes or two. Got 3. Pass two, or leave ax out."
    with pytest.raises(ValueError, match=re.escape(message)):
        example().plot(three)
