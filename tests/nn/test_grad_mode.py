"""no_grad and enable_grad: what is saved, for how long, and in which thread."""

import threading

import numpy as np
import pytest

import minicnn
from minicnn import nn


def test_no_grad_saves_nothing_and_keeps_the_old():
    layer = nn.ReLU()
    with minicnn.no_grad():
        assert not nn.is_grad_enabled()
        layer(np.ones(3))
    assert nn.is_grad_enabled()
    assert layer.saved == {}
    layer(np.array([1.0, -1]))
    with nn.no_grad():
        layer(np.array([-1.0, 1]))
    np.testing.assert_array_equal(layer.backward(np.array([10.0, 20])), [10, 0])


def test_no_grad_ends_with_an_error_and_nests():
    with pytest.raises(ZeroDivisionError), nn.no_grad(), nn.no_grad():
        raise ZeroDivisionError
    assert nn.is_grad_enabled()
    with nn.no_grad():
        with nn.no_grad():
            pass
        assert not nn.is_grad_enabled()


def test_enable_grad_inside_no_grad():
    layer = nn.ReLU()
    with nn.no_grad():
        with nn.enable_grad():
            layer(np.ones(3))
        assert not nn.is_grad_enabled()
    np.testing.assert_array_equal(layer.backward(np.ones(3)), np.ones(3))


def test_no_grad_holds_for_its_thread_only():
    inside, done, seen = threading.Event(), threading.Event(), []

    def infer():
        with nn.no_grad():
            inside.set()
            done.wait(10)
            seen.append(nn.is_grad_enabled())

    thread = threading.Thread(target=infer)
    thread.start()
    assert inside.wait(10)
    layer = nn.ReLU()
    layer(np.ones(3))
    done.set()
    thread.join()
    assert seen == [False]
    assert "output" in layer.saved


def test_a_function_may_be_decorated_and_called_twice():
    layer = nn.ReLU()

    @minicnn.no_grad()
    def infer():
        layer(np.ones(2))
        return dict(layer.saved)

    assert [infer(), infer()] == [{}, {}]
    layer(np.ones(2))
    assert layer.saved
