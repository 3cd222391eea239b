"""fit: numbers recomputed by hand, and everything that stands around the loop."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from minicnn import data, nn, optim
from minicnn.training import fit
from tests.helpers import draws


def two_classes(count: int = 20, features: int = 3, dtype=np.float32, seed: int = 0) -> data.ArrayDataset:
    """Return points with a noisy boundary between class 0 and class 1."""
    images = draws((count, features), dtype, seed)
    targets = (images.sum(axis=1) + draws(count, seed=seed + 1) > 0).astype(np.int64)
    return data.ArrayDataset(images, targets, classes=["no", "yes"])


def network(rng: int = 0, dtype=np.float32) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(3, 8, dtype=dtype, rng=rng),
        nn.BatchNorm1d(8, dtype=dtype),
        nn.ReLU(),
        nn.Dropout(0.25, rng=rng),
        nn.Linear(8, 2, dtype=dtype, rng=rng),
    )


def quiet(model, train, **options):
    return fit(model, train, **({"progress": False, "rng": 0, "epochs": 2, "batch_size": 8} | options))


def assert_same_bits(model, other) -> None:
    ours, theirs = model.state_dict(), other.state_dict()
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert ours[name].tobytes() == theirs[name].tobytes(), name


def script_validation(monkeypatch, losses) -> None:
    """Let the validation losses be these, one an epoch."""
    scripted = iter(losses)

    def run(model, loader, criterion, between):
        return {"loss": next(scripted), "accuracy": 0.5}

    monkeypatch.setattr("minicnn.training.loop.run", run)


# By hand


def test_one_step_by_hand():
    model = nn.Linear(2, 2)
    model.weight.data[...], model.bias.data[...] = 0, 0
    train = data.ArrayDataset(np.float32([[4, 0], [0, 8]]), np.array([0, 1]))
    history = fit(
        model, train, epochs=1, optimizer=optim.SGD(model.parameters(), lr=2.0), rng=0, progress=False
    )
    # Logits 0, so p = 1/2 each, and (p - onehot) / 2 = [[-1/4, 1/4], [1/4, -1/4]]. Of the weight:
    # [[-1/4·4, 1/4·8], [1/4·4, -1/4·8]] = [[-1, 2], [1, -2]]; of the bias: -1/4 + 1/4 = 0.
    np.testing.assert_array_equal(model.weight.data, np.float32([[2, -4], [-2, 4]]))
    np.testing.assert_array_equal(model.bias.data, np.float32([0, 0]))
    assert history.loss == [pytest.approx(math.log(2), rel=1e-6)]
    assert history.accuracy == [0.5]  # both logits are 0: the first of equals, class 0
    assert history.lr == [2.0]
    assert history.val_loss == history.val_accuracy == []
    assert len(history.seconds) == 1


def test_fit_is_the_loop_of_the_readme():
    train, test = two_classes(20), two_classes(13, seed=5)
    model, ours = network(), network()
    history = quiet(ours, train, validation=test, epochs=3)

    criterion, optimizer = nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=1e-3)
    loader = data.DataLoader(train, batch_size=8, shuffle=True, rng=0)
    for epoch in range(3):
        total, right = 0.0, 0
        model.train()
        for images, targets in loader:
            logits = model(images)
            loss = criterion(logits, targets)
            optimizer.zero_grad()
            model.backward(criterion.backward())
            optimizer.step()
            total += loss * len(targets)
            right += int((logits.argmax(axis=1) == targets).sum())
        assert history.loss[epoch] == total / 20
        assert history.accuracy[epoch] == right / 20
        model.eval()
        logits = model(test.images)
        assert history.val_loss[epoch] == pytest.approx(criterion(logits, test.targets), rel=1e-6)
        assert history.val_accuracy[epoch] == (logits.argmax(axis=1) == test.targets).mean()
    assert_same_bits(ours, model)
    assert ours.training


def test_a_model_in_evaluation_mode_is_switched_to_training():
    model, other = network().eval(), network()
    quiet(model, two_classes())
    quiet(other, two_classes())
    assert_same_bits(model, other)
    assert all(module.training for module in model.modules())


def test_same_seed_same_bits_other_seed_other_bits():
    train = two_classes()
    models = [network() for _ in range(3)]
    histories = [quiet(model, train, rng=seed) for model, seed in zip(models, (4, 4, 5), strict=True)]
    assert_same_bits(models[0], models[1])
    assert histories[0].loss == histories[1].loss
    assert histories[0].loss != histories[2].loss


def test_float64_all_through_and_no_silent_cast():
    model = network(dtype=np.float64)
    history = quiet(model, two_classes(dtype=np.float64))
    assert {array.dtype for array in model.state_dict().values() if array.ndim} == {np.dtype(np.float64)}
    assert all(isinstance(loss, float) for loss in history.loss)
    message = 'Linear "0": input must be float64, as the layer\'s parameters are. Got float32.'
    with pytest.raises(TypeError, match=re.escape(message)):
        quiet(model, two_classes())


def test_a_transform_takes_the_place_of_the_datasets_own():
    class Shift:
        def __init__(self, by):
            self.by = by

        def __call__(self, images, rng=None):
            return images + np.float32(self.by)

    train = two_classes()
    own = data.ArrayDataset(train.images, train.targets, transform=Shift(1))
    moved = data.ArrayDataset(train.images + np.float32(2), train.targets)
    model, other = network(), network()
    quiet(model, own, transform=Shift(2))
    quiet(other, moved)
    assert_same_bits(model, other)


def test_a_loader_brings_its_own_batches():
    train = two_classes()
    model, other = network(), network()
    quiet(model, train, batch_size=5, rng=3)
    loader = data.DataLoader(train, batch_size=5, shuffle=True, rng=3)
    fit(other, loader, epochs=2, progress=False)
    assert_same_bits(model, other)


# Schedulers


def test_a_scheduler_steps_after_each_epoch():
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    history = quiet(model, two_classes(), epochs=5, scheduler=scheduler)
    assert history.lr == [1, 1, 0.5, 0.5, 0.25]


def test_one_cycle_steps_after_each_batch():
    model, train = network(), two_classes(20)  # 3 batches
    optimizer, twin = optim.SGD(model.parameters(), lr=1.0), optim.SGD(network().parameters(), lr=1.0)
    scheduler = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.5, total_steps=6)
    alone = optim.lr_scheduler.OneCycleLR(twin, max_lr=0.5, total_steps=6)
    rates = []
    for _ in range(6):
        rates.append(twin.param_groups[0]["lr"])
        twin.step()
        alone.step()
    seen = []

    class Watch:
        def __call__(self, state):
            pass

        def on_batch_end(self, state):
            seen.append(state.optimizer.param_groups[0]["lr"])

    history = quiet(model, train, optimizer=optimizer, scheduler=scheduler, callbacks=[Watch()])
    assert history.lr == [rates[2], rates[5]]
    assert seen[:5] == rates[1:]


def test_plateau_is_given_the_validation_loss(monkeypatch):
    script_validation(monkeypatch, [3.0, 2.0, 2.5, 2.5, 1.0])
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    scheduler = optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    train = two_classes()
    history = quiet(model, train, validation=train, epochs=5, scheduler=scheduler)
    assert history.lr == [1, 1, 1, 0.5, 0.25]  # 2.5 is no gain, twice


# Early stopping and the best weights


def test_early_stopping_by_hand(monkeypatch):
    script_validation(monkeypatch, [0.9, 0.7, 0.8, 0.7, math.nan, 0.1])
    train = two_classes()
    history = quiet(network(), train, validation=train, epochs=9, early_stopping=3)
    # Lowest after epoch 2; an equal one and NaN are no gain, so epochs 3, 4, 5 are three in a row.
    assert history.val_loss[:4] == [0.9, 0.7, 0.8, 0.7]
    assert len(history) == 5
    assert history.stopped_early
    assert history.best_epoch == 2
    assert not history.interrupted


@pytest.mark.parametrize("keep_best", [False, True])
def test_best_weights(keep_best, monkeypatch):
    script_validation(monkeypatch, [0.9, 0.2, 0.5, 0.2])
    weights = []

    def remember(state):
        weights.append(state.model.state_dict())

    model, train = network(), two_classes()
    quiet(model, train, validation=train, epochs=4, keep_best=keep_best, callbacks=[remember])
    expected = network()
    expected.load_state_dict(weights[1 if keep_best else 3])
    assert_same_bits(model, expected)


# Class weights


def test_class_weights():
    train = data.ArrayDataset(draws((4, 3), np.float32), np.array([0, 0, 0, 1]), classes=["a", "b"])
    seen = []

    def remember(state):
        seen.append(state.criterion.weight)

    for given in ("balanced", [1, 2], np.array([1.0, 2.0])):
        quiet(network(), train, class_weights=given, callbacks=[remember], epochs=1)
    assert all(weight.dtype == np.float32 for weight in seen)
    np.testing.assert_array_equal(seen[0], np.float32([4 / (2 * 3), 4 / (2 * 1)]))
    np.testing.assert_array_equal(seen[1], np.float32([1, 2]))
    np.testing.assert_array_equal(seen[2], np.float32([1, 2]))
