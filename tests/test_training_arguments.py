"""fit refuses what makes no sense, in full sentences, before it trains."""

from __future__ import annotations

import re

import numpy as np
import pytest

from minicnn import data, nn, optim
from minicnn.training import fit
from tests.helpers import draws
from tests.test_training import network, two_classes


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "fit: epochs must be at least 1. Got 0. Pass a larger number."),
        ({"batch_size": 0}, ValueError, "fit: batch_size must be at least 1. Got 0. Pass a larger number."),
        (
            {"early_stopping": 0},
            ValueError,
            "fit: early_stopping must be at least 1. Got 0. Pass a larger number.",
        ),
        (
            {"early_stopping": 2},
            ValueError,
            "fit: early_stopping looks at the validation loss. Got validation=None. "
            "Pass a validation set (data.split makes one).",
        ),
        (
            {"keep_best": True},
            ValueError,
            "fit: keep_best looks at the validation loss. Got validation=None. "
            "Pass a validation set (data.split makes one).",
        ),
        (
            {"callbacks": print},
            TypeError,
            "fit: callbacks must be a list of callables. Got builtin_function_or_method. "
            "Pass callbacks=[your_function].",
        ),
        (
            {"callbacks": [3]},
            TypeError,
            "fit: callbacks must be a list of callables. Got int. Pass callbacks=[your_function].",
        ),
        (
            {"criterion": nn.CrossEntropyLoss(reduction="none")},
            ValueError,
            "fit: the criterion must give one number a batch. Got CrossEntropyLoss with reduction='none'. "
            "Use reduction='mean'.",
        ),
        (
            {"criterion": nn.CrossEntropyLoss(), "class_weights": "balanced"},
            ValueError,
            "fit: class_weights belong to the default criterion. Got a criterion besides. "
            "Pass criterion=nn.CrossEntropyLoss(weight=...).",
        ),
        (
            {"criterion": nn.CrossEntropyLoss},
            TypeError,
            "fit: criterion must be an object with __call__, backward. Got the class CrossEntropyLoss. "
            "Pass for example nn.CrossEntropyLoss().",
        ),
        (
            {"criterion": print, "class_weights": "balanced"},
            TypeError,
            "fit: criterion must be an object with __call__, backward. Got builtin_function_or_method. "
            "Pass for example nn.CrossEntropyLoss().",
        ),
        (
            {"optimizer": optim.SGD},
            TypeError,
            "fit: optimizer must be an object with param_groups, step, zero_grad. Got the class SGD. "
            "Pass for example optim.SGD(model.parameters()).",
        ),
        (
            {"optimizer": "adam"},
            TypeError,
            "fit: optimizer must be an object with param_groups, step, zero_grad. Got str. "
            "Pass for example optim.SGD(model.parameters()).",
        ),
        (
            {"scheduler": optim.lr_scheduler.StepLR},
            TypeError,
            "fit: scheduler must be an object with step. Got the class StepLR. "
            "Pass for example optim.lr_scheduler.StepLR(optimizer, 10).",
        ),
        (
            {"validation": two_classes(0), "early_stopping": 1},
            ValueError,
            "fit: validation must give at least one batch. Got 0 images in batches of 256. "
            "Pass more images, or smaller batches.",
        ),
        (
            {"validation": data.DataLoader(two_classes(3), batch_size=4, drop_last=True)},
            ValueError,
            "fit: validation must give at least one batch. Got 3 images in batches of 4. "
            "Pass more images, or smaller batches.",
        ),
        (
            {"callbacks": (watch for watch in [print])},
            TypeError,
            "fit: callbacks must be a list of callables. Got generator. Pass callbacks=[your_function].",
        ),
        (
            {"class_weights": "even"},
            ValueError,
            "fit: class_weights must be 'balanced' or one number a class. Got 'even'. "
            "Pass class_weights='balanced'.",
        ),
    ],
)
def test_arguments_are_checked(options, error, message):
    with pytest.raises(error, match="^" + re.escape(message) + "$"):
        fit(network(), two_classes(), **options)


def test_a_model_is_needed():
    message = (
        "fit: model must be a minicnn module. Got type. Pass layers such as nn.ReLU() (with the brackets)."
    )
    with pytest.raises(TypeError, match=re.escape(message)):
        fit(nn.ReLU, two_classes())


def test_images_are_needed():
    message = (
        "fit: train must give at least one batch. Got 0 images in batches of 64. "
        "Pass more images, or smaller batches."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        fit(network(), two_classes(0))


def test_a_loader_and_its_arguments_exclude_each_other():
    message = (
        "fit: a DataLoader brings its own transform and generator. Got transform or rng besides. "
        "Pass them to the DataLoader."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        fit(network(), data.DataLoader(two_classes()), rng=0)


def test_plateau_needs_validation():
    optimizer = optim.SGD(network().parameters(), lr=1.0)
    message = (
        "fit: ReduceLROnPlateau looks at the validation loss. Got validation=None. "
        "Pass a validation set (data.split makes one)."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        fit(network(), two_classes(), scheduler=optim.lr_scheduler.ReduceLROnPlateau(optimizer))


def test_optimizer_scheduler_and_model_belong_together():
    model = network()
    message = (
        "fit: the optimizer must hold parameters of the model. Got an optimizer with none of them. "
        "Build it after the model, from model.parameters()."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        fit(model, two_classes(), optimizer=optim.SGD(network().parameters(), lr=1.0))
    one, other = (optim.SGD(model.parameters(), lr=1.0) for _ in range(2))
    message = (
        "fit: the scheduler must belong to the optimizer. Got a StepLR of another one. "
        "Build it as scheduler = StepLR(optimizer, ...)."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        fit(model, two_classes(), optimizer=one, scheduler=optim.lr_scheduler.StepLR(other, 1))


class Halved:
    """A loss, an optimizer and a scheduler of one's own: no more than fit calls."""

    def __init__(self, model) -> None:
        self.loss = nn.CrossEntropyLoss()
        self.param_groups, self.epochs = [{"params": list(model.parameters()), "lr": 0.5}], 0

    def __call__(self, logits, targets):
        return self.loss(logits, targets) / 2

    def backward(self):
        return self.loss.backward() / 2

    def zero_grad(self):
        for parameter in self.param_groups[0]["params"]:
            parameter.grad = None

    def step(self):
        self.epochs += 1


def test_a_loss_an_optimizer_and_a_scheduler_of_ones_own():
    model = network()
    own = {name: Halved(model) for name in ("criterion", "optimizer", "scheduler")}
    history = fit(model, two_classes(6), epochs=2, progress=False, **own)
    assert history.lr == [0.5, 0.5]
    assert own["scheduler"].epochs == 2


def test_balanced_weights_need_every_class():
    images = draws((3, 3), np.float32)
    train = data.ArrayDataset(images, np.array([0, 2, 2]), classes=["a", "b", "c"])
    message = (
        "fit: class_weights='balanced' needs images of every class. Got none of class 1. "
        "Pass the weights as an array."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        fit(network(), train, class_weights="balanced")
    train = data.ArrayDataset(images, np.zeros((3, 2), np.float32))
    message = (
        "fit: class_weights='balanced' needs integer class indexes of shape (N,). "
        "Got targets float32 of shape (3, 2). Pass the weights as an array."
    )
    with pytest.raises(TypeError, match=re.escape(message)):
        fit(network(), train, class_weights="balanced")
