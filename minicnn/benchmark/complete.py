"""MNIST complete: train on all 60,000 images until the 10,000 test images are labelled 99.0 % right."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

GOAL = 0.99
EPOCHS, BATCH_SIZE, LARGEST_RATE, WEIGHT_DECAY = 4, 64, 6e-3, 0.02


def find() -> Path | None:
    """Return the folder that holds MNIST, or None if it would have to be downloaded.

    >>> folder = find()
    >>> folder is None or folder.is_dir()
    True
    """
    from minicnn.data import store

    return store.find("mnist") or store.find("mnist", "../shared/data")


def train(epochs: int = EPOCHS, images: int | None = None, progress=None) -> dict | None:
    """Train the MNIST net and return its accuracy after every epoch, with the seconds of training until then.

    Parameters
    ----------
    epochs : int
    images : int or None
        Only the first so many, for a trial.
    progress : callable or None
        Called with a text after each epoch.

    Returns
    -------
    dict or None
        ``accuracy`` and ``seconds`` (lists, one entry an epoch) and ``seconds_to_goal`` (or None if the
        goal was missed); None if MNIST is not on this machine. Measuring the accuracy is not counted.

    Examples
    --------
    >>> found = train(epochs=1, images=64)
    >>> found is None or len(found["seconds"]) == 1
    True
    """
    from minicnn import data, nn, optim
    from minicnn.models import mnist_cnn
    from minicnn.training import evaluate

    folder = find()
    if folder is None:
        return None
    training, test = data.load("mnist", folder)
    if images is not None:
        training, test = training[:images], test[:images]
    weights_rng, order_rng = np.random.default_rng(0).spawn(2)
    model, criterion = mnist_cnn(rng=weights_rng), nn.CrossEntropyLoss()
    loader = data.DataLoader(training, batch_size=BATCH_SIZE, shuffle=True, rng=order_rng)
    optimizer = optim.AdamW(model.parameters(), weight_decay=WEIGHT_DECAY)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, LARGEST_RATE, total_steps=epochs * len(loader))
    accuracies, seconds, spent = [], [], 0.0
    for epoch in range(epochs):
        began = time.perf_counter()
        model.train()
        for batch, targets in loader:
            optimizer.zero_grad()
            criterion(model(batch), targets)
            model.backward_parameters(criterion.backward())
            optimizer.step()
            schedule.step()
        spent += time.perf_counter() - began
        accuracies.append(float(evaluate(model, test)["accuracy"]))
        seconds.append(spent)
        if progress is not None:
            progress(f"MNIST complete, epoch {epoch + 1}: {accuracies[-1]:.2%}")
    reached = [s for s, accuracy in zip(seconds, accuracies, strict=True) if accuracy >= GOAL]
    return {"accuracy": accuracies, "seconds": seconds, "seconds_to_goal": reached[0] if reached else None}
