"""What must be the same when a run goes on from its checkpoint, as plain data; and where two such parts."""

from __future__ import annotations

import zlib

import numpy as np

from minicnn.training.state import TrainingState

# What a scheduler moves in an optimizer's groups; without a scheduler these are constant as well.
SCHEDULED = ("lr", "initial_lr", "momentum", "betas", "base_momentum", "max_momentum", "min_lr", "max_lr")
# Attributes of a criterion, sampler or scheduler that change while it works.
MOVING = ("last_epoch", "best", "num_bad_epochs", "cooldown_counter", "started", "saved", "training", "name")


def facts_of(state: TrainingState) -> dict:
    """Return what must be the same when a run goes on, as plain data.

    >>> from minicnn import data, nn, optim
    >>> from minicnn.training.history import History
    >>> model = nn.Linear(2, 2)
    >>> loader = data.DataLoader(data.ArrayDataset(np.zeros((1, 2), np.float32), np.zeros(1, np.int64)))
    >>> adam = optim.Adam(model.parameters())
    >>> facts = facts_of(TrainingState(model, nn.MSELoss(), adam, None, loader, History()))
    >>> facts["model"], facts["batch_size"], facts["criterion"]
    (['Linear(2, 2, bias=True)'], 1, {'class': 'MSELoss', 'reduction': 'mean'})
    """
    model, loader, scheduled = state.model, state.loader, state.scheduler is not None
    moved = {"params", *(SCHEDULED if scheduled else ())}
    groups = [
        {"parameters": len(group["params"])} | {k: v for k, v in group.items() if k not in moved}
        for group in state.optimizer.param_groups
    ]
    return {
        "model": repr(model).splitlines(),
        "weights": {name: f"{array.dtype} {array.shape}" for name, array in model.state_dict().items()},
        "training set": dataset_facts(loader.dataset),
        "transform": transform_facts(loader.transform),
        "target_transform": transform_facts(loader.target_transform),
        "batch_size": loader.batch_size,
        "shuffle": loader.shuffle,
        "drop_last": loader.drop_last,
        "sampler": object_facts(loader.sampler),
        "rng": loader.seed,
        "criterion": object_facts(state.criterion),
        "optimizer": {"class": type(state.optimizer).__name__, "groups": groups},
        "scheduler": object_facts(state.scheduler),
        "generators": {n: type(g.bit_generator).__name__ for n, g in generators_of(state).items()},
    }


def object_facts(thing) -> dict | None:
    """Return the class of an object and those of its attributes that are plain data and do not move.

    >>> from minicnn import nn, optim
    >>> sgd = optim.SGD([nn.Parameter(np.float32([1]))], lr=0.5)
    >>> object_facts(optim.lr_scheduler.StepLR(sgd, step_size=3))
    {'class': 'StepLR', 'step_size': 3, 'gamma': 0.1, 'base_lrs': [0.5]}
    """
    if thing is None:
        return None
    found = {"class": type(thing).__name__}
    for name, value in vars(thing).items():
        if name in MOVING or name.startswith("_"):
            continue
        if isinstance(value, np.ndarray):
            found[name] = array_facts(value)
        elif type(value) in (bool, int, float, str, list):
            found[name] = value
    return found


def dataset_facts(dataset) -> dict:
    """Return how many images there are, and a checksum of images and targets.

    >>> class Dataset:
    ...     images, targets = np.zeros((2, 3), np.float32), np.array([0, 1])
    ...     def __len__(self): return 2
    >>> dataset_facts(Dataset())
    {'length': 2, 'images': 'float32 (2, 3) crc 2747386400', 'targets': 'int64 (2,) crc 538004427'}
    """
    arrays = {name: getattr(dataset, name, None) for name in ("images", "targets")}
    found = {name: array_facts(value) for name, value in arrays.items() if isinstance(value, np.ndarray)}
    return {"length": len(dataset)} | found


def array_facts(array: np.ndarray) -> str:
    """Return dtype, shape and a checksum of an array, as text.

    >>> array_facts(np.array([[1, 2]], np.uint8))
    'uint8 (1, 2) crc 3066839698'
    """
    return f"{array.dtype} {array.shape} crc {zlib.crc32(np.ascontiguousarray(array))}"


def transform_facts(transform):
    """Return a transform's own description, or, if it has none, its class.

    >>> transform_facts(lambda images: images)
    'function'
    """
    return transform.config() if hasattr(transform, "config") else type(transform).__name__


def generators_of(state: TrainingState) -> dict[str, np.random.Generator]:
    """Return every source of chance in a run, by name.

    >>> from minicnn import data, nn
    >>> from minicnn.training.history import History
    >>> loader = data.DataLoader(data.ArrayDataset(np.zeros((1, 2), np.float32), np.zeros(1, np.int64)))
    >>> model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    >>> sorted(generators_of(TrainingState(model, None, None, None, loader, History())))
    ['loader', 'model.1.rng']
    """
    loader = state.loader
    found = {"loader": loader.rng, "sampler": getattr(loader.sampler, "rng", None)}
    found |= {f"model.{name}": generator for name, generator in state.model.named_generators()}
    return {name: g for name, g in found.items() if g is not None}


def first_difference(name: str, before, now) -> tuple[str, object, object]:
    """Return where two nested values part, and what stands there in each.

    >>> first_difference("fit", {"groups": [{"lr": 0.1}]}, {"groups": [{"lr": 0.2}]})
    ('fit.groups.0.lr', 0.1, 0.2)
    """
    if isinstance(before, list) and isinstance(now, list):
        before, now = dict(enumerate(before)), dict(enumerate(now))
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return name, before, now
    key = next(key for key in [*now, *before] if before.get(key) != now.get(key))
    return first_difference(f"{name}.{key}".lstrip("."), before.get(key), now.get(key))
