"""evaluate: exact whatever the batches are, and the model is left as it was."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from minicnn import data, nn
from minicnn.training import evaluate
from tests.helpers import draws, raises


def as_dataset(images, targets) -> data.ArrayDataset:
    return data.ArrayDataset(np.asarray(images), np.asarray(targets))


def test_by_hand():
    # Flatten passes the logits. -log softmax: log(1 + 1) twice; log(1 + 3); accuracy 2 of 3.
    images = np.log(np.array([[5.0, 5.0], [7.0, 7.0], [1.0, 3.0]]))
    numbers = evaluate(nn.Flatten(), as_dataset(images, [0, 0, 0]))
    assert numbers == {"loss": pytest.approx((2 * math.log(2) + math.log(4)) / 3), "accuracy": 2 / 3}


CRITERIA = [
    nn.CrossEntropyLoss(),
    nn.CrossEntropyLoss(weight=np.array([1.0, 5.0, 0.5])),
    nn.CrossEntropyLoss(weight=np.array([1.0, 5.0, 0.5]), ignore_index=1, label_smoothing=0.1),
    nn.CrossEntropyLoss(ignore_index=2),
]


@pytest.mark.parametrize("criterion", CRITERIA, ids=range(len(CRITERIA)))
@pytest.mark.parametrize("batch_size", [1, 2, 5, 7, 23, 100])
def test_the_mean_does_not_depend_on_the_batches(criterion, batch_size):
    logits, targets = draws((23, 3)) * 3, np.arange(23) % 3
    numbers = evaluate(nn.Flatten(), as_dataset(logits, targets), batch_size=batch_size, criterion=criterion)
    assert numbers["loss"] == pytest.approx(criterion(logits, targets), rel=1e-12)
    counts = targets != criterion.ignore_index
    assert numbers["accuracy"] == (logits.argmax(axis=1) == targets)[counts].mean()


def test_a_batch_of_ignored_targets_does_not_count():
    logits = draws((4, 3))
    criterion = nn.CrossEntropyLoss(ignore_index=1)
    numbers = evaluate(nn.Flatten(), as_dataset(logits, [1, 1, 0, 2]), batch_size=2, criterion=criterion)
    assert numbers["loss"] == pytest.approx(criterion(logits[2:], np.array([0, 2])), rel=1e-12)


def test_sums_are_divided_by_the_number_of_samples():
    logits, targets = draws((7, 3)), np.arange(7) % 3
    criterion = nn.CrossEntropyLoss(reduction="sum")
    numbers = evaluate(nn.Flatten(), as_dataset(logits, targets), batch_size=2, criterion=criterion)
    assert numbers["loss"] == pytest.approx(nn.CrossEntropyLoss()(logits, targets), rel=1e-12)


def test_class_probabilities_as_targets():
    logits = np.array([[2.0, 1.0], [2.0, 1.0]])
    numbers = evaluate(nn.Flatten(), as_dataset(logits, [[0.9, 0.1], [0.2, 0.8]]))
    assert numbers["accuracy"] == 0.5


def test_one_logit():
    logits, targets = np.array([[2.0], [-1.0], [0.0], [3.0]]), np.array([[1.0], [1.0], [0.0], [1.0]])
    numbers = evaluate(
        nn.Flatten(), as_dataset(logits, targets), batch_size=3, criterion=nn.BCEWithLogitsLoss()
    )
    assert numbers["accuracy"] == 0.75
    assert numbers["loss"] == pytest.approx(nn.BCEWithLogitsLoss()(logits, targets))
    probabilities = np.array([[0.9], [0.2], [0.5], [0.7]])
    numbers = evaluate(nn.Flatten(), as_dataset(probabilities, targets), criterion=nn.BCELoss())
    assert numbers["accuracy"] == 0.75


def test_regression_has_no_accuracy():
    values = np.array([[1.0], [2.0]])
    numbers = evaluate(nn.Flatten(), as_dataset(values, values + 1), criterion=nn.MSELoss())
    assert numbers["loss"] == 1
    assert math.isnan(numbers["accuracy"])


def test_no_images_give_nan():
    numbers = evaluate(nn.Flatten(), as_dataset(np.zeros((0, 3)), np.zeros(0, np.int64)))
    assert math.isnan(numbers["loss"])
    assert math.isnan(numbers["accuracy"])


def test_a_criterion_of_ones_own():
    def share_of_wrong_ones(logits, targets):
        return float((logits.argmax(axis=1) != targets).mean())

    logits = np.array([[2.0, 1.0], [2.0, 1.0], [2.0, 1.0]])
    numbers = evaluate(
        nn.Flatten(), as_dataset(logits, [0, 1, 1]), batch_size=2, criterion=share_of_wrong_ones
    )
    assert numbers["loss"] == pytest.approx(2 / 3)
    assert numbers["accuracy"] == pytest.approx(1 / 3)


def test_a_class_is_no_criterion():
    message = (
        "evaluate: criterion must be an object with __call__. Got the class CrossEntropyLoss. "
        "Pass for example nn.CrossEntropyLoss()."
    )
    with raises(TypeError, message):
        evaluate(nn.Flatten(), as_dataset(draws((2, 3)), [0, 1]), criterion=nn.CrossEntropyLoss)


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Linear(3, 4, rng=0), nn.BatchNorm1d(4), nn.Dropout(0.5, rng=0), nn.Linear(4, 2))
    model[1].eval()  # frozen by its owner
    dataset = as_dataset(draws((5, 3), np.float32), np.zeros(5, np.int64))
    model(dataset.images)
    before = {name: array.tobytes() for name, array in model.state_dict().items()}
    state, saved = model[2].rng.bit_generator.state, [module.saved for module in model.modules()]
    assert evaluate(model, dataset) == evaluate(model, dataset)
    assert [module.training for module in model.modules()] == [True, True, False, True, True]
    assert {name: array.tobytes() for name, array in model.state_dict().items()} == before
    assert model[2].rng.bit_generator.state == state
    assert all(a is b for a, b in zip(saved, [module.saved for module in model.modules()], strict=True))


def test_the_mode_comes_back_after_an_error():
    model = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5))
    with pytest.raises(ValueError, match="input must have 3 features"):
        evaluate(model, as_dataset(np.zeros((2, 4), np.float32), [0, 0]))
    assert all(module.training for module in model.modules())


def test_a_loader_brings_its_own_batches():
    sizes = []

    class Watch(nn.Module):
        def forward(self, input):
            sizes.append(len(input))
            return input

    dataset = as_dataset(draws((5, 3)), [0, 1, 2, 0, 1])
    evaluate(Watch(), data.DataLoader(dataset, batch_size=2))
    evaluate(Watch(), dataset, batch_size=3)
    assert sizes == [2, 2, 1, 3, 2]


def test_errors():
    dataset = as_dataset(np.zeros((1, 2)), [0])
    message = (
        "evaluate: model must be a minicnn module. Got int. "
        "Pass layers such as nn.ReLU() (with the brackets)."
    )
    with pytest.raises(TypeError, match=re.escape(message)):
        evaluate(3, dataset)
    message = "evaluate: batch_size must be at least 1. Got 0. Pass a larger number."
    with pytest.raises(ValueError, match=re.escape(message)):
        evaluate(nn.Flatten(), dataset, batch_size=0)
    message = (
        "evaluate: the criterion must give one number a batch. Got MSELoss with reduction='none'. "
        "Use reduction='mean'."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        evaluate(nn.Flatten(), dataset, criterion=nn.MSELoss(reduction="none"))
