"""DataLoader: every image once, in an order that a seed decides, transformed a batch at a time."""

import copy

import numpy as np
import pytest
import torch

from minicnn.data import ArrayDataset, DataLoader, WeightedRandomSampler, load, transforms
from tests.helpers import raises

IMAGES = np.arange(7, dtype=np.uint8).reshape(7, 1, 1)
DATASET = ArrayDataset(IMAGES, np.arange(7), transform=transforms.ToFloat())


def targets_of(loader) -> list[list[int]]:
    return [targets.tolist() for _, targets in loader]


# By hand


def test_batches_in_order():
    loader = DataLoader(DATASET, 3)
    assert targets_of(loader) == [[0, 1, 2], [3, 4, 5], [6]]
    assert len(loader) == 3
    images, targets = next(iter(loader))
    assert (images.shape, images.dtype, targets.dtype) == ((3, 1, 1, 1), np.float32, np.int64)
    np.testing.assert_array_equal(images.ravel(), np.float32([0, 1, 2]) / np.float32(255))


def test_drop_last():
    loader = DataLoader(DATASET, 3, drop_last=True)
    assert targets_of(loader) == [[0, 1, 2], [3, 4, 5]]
    assert len(loader) == 2
    assert targets_of(DataLoader(DATASET, 8, drop_last=True)) == []


@pytest.mark.parametrize("count", range(8))
@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("drop_last", [False, True])
def test_lengths_are_those_of_torch(count, batch_size, drop_last):
    ours = DataLoader(DATASET[:count], batch_size, drop_last=drop_last)
    theirs = torch.utils.data.DataLoader(torch.arange(count), batch_size, drop_last=drop_last)
    assert len(ours) == len(theirs) == len(list(ours))
    assert targets_of(ours) == [batch.tolist() for batch in theirs]


def test_images_and_targets_stay_together():
    for images, targets in DataLoader(DATASET, 2, shuffle=True, rng=0):
        np.testing.assert_array_equal(np.rint(images.ravel() * 255), targets)


# Chance


def test_each_epoch_is_a_new_permutation():
    loader = DataLoader(DATASET, 7, shuffle=True, rng=0)
    epochs = [targets_of(loader)[0] for _ in range(4)]
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)


def test_same_seed_same_batches():
    transform = transforms.Compose([transforms.ToFloat(), transforms.RandomCrop(1, padding=1)])
    first, again, other = (
        [batch for _ in range(2) for batch in DataLoader(DATASET, 3, True, transform=transform, rng=rng)]
        for rng in (5, np.random.default_rng(5), 6)
    )
    # a generator goes on where it was, an int begins anew: so compare the first epoch
    for (images, targets), (other_images, other_targets) in zip(first[:3], again[:3], strict=True):
        np.testing.assert_array_equal(images, other_images)
        np.testing.assert_array_equal(targets, other_targets)
    assert [t.tolist() for _, t in first] != [t.tolist() for _, t in other]


def test_the_generator_can_be_saved_and_restored():
    transform = transforms.Compose([transforms.ToFloat(), transforms.RandomCrop(1, padding=1)])
    loader = DataLoader(DATASET, 3, shuffle=True, transform=transform, rng=1)
    list(loader)
    state = copy.deepcopy(loader.rng.bit_generator.state)
    expected = list(loader)
    resumed = DataLoader(DATASET, 3, shuffle=True, transform=transform, rng=99)
    resumed.rng.bit_generator.state = state
    for (images, targets), (others, other_targets) in zip(resumed, expected, strict=True):
        np.testing.assert_array_equal(images, others)
        np.testing.assert_array_equal(targets, other_targets)


def test_transforms_draw_anew_for_each_batch():
    dataset = ArrayDataset(np.ones((40, 1, 3, 3), np.float32), np.zeros(40, np.int64))
    loader = DataLoader(dataset, 20, transform=transforms.RandomCrop(3, padding=2), rng=0)
    first, second = (images for images, _ in loader)
    assert not np.array_equal(first, second)


# Transforms


def test_the_datasets_transform_is_used_and_can_be_replaced():
    assert DataLoader(DATASET).transform is DATASET.transform
    raw, _ = next(iter(DataLoader(DATASET, 7, transform=transforms.Compose([]))))
    np.testing.assert_array_equal(raw, IMAGES)
    doubled, _ = next(iter(DataLoader(DATASET, 7, transform=lambda images: 2.0 * images)))
    np.testing.assert_array_equal(doubled, 2.0 * IMAGES)


def test_batches_are_copies():
    raw, targets = next(iter(DataLoader(DATASET, 7, transform=transforms.Compose([]))))
    raw[:], targets[:] = 9, 9
    assert IMAGES[3, 0, 0] == 3
    assert DATASET.targets[3] == 3


def test_one_hot_targets():
    _, targets = next(iter(DataLoader(DATASET, 2, target_transform=transforms.OneHot(7))))
    np.testing.assert_array_equal(targets, np.eye(7, dtype=np.float32)[:2])


def test_float64_all_through():
    train, _ = load("mnist-5k")
    transform = transforms.Compose([transforms.ToFloat(np.float64), *train.transform.transforms[1:]])
    images, _ = next(iter(DataLoader(train, 4, transform=transform)))
    assert images.dtype == np.float64
    single, _ = next(iter(DataLoader(train, 4)))
    np.testing.assert_allclose(single, images, rtol=0, atol=1e-6)


# Samplers


def test_sampler_gives_the_order():
    loader = DataLoader(DATASET, 2, sampler=[6, 0, 0, 3, 5])
    assert targets_of(loader) == [[6, 0], [0, 3], [5]]
    assert len(loader) == 3
    assert targets_of(DataLoader(DATASET, 2, sampler=[])) == []


def test_weighted_sampler_evens_out_classes():
    dataset = ArrayDataset(np.zeros((110, 1), np.float32), np.repeat([0, 1], [100, 10]))
    weights = 1 / np.bincount(dataset.targets)[dataset.targets]
    loader = DataLoader(dataset, 50, sampler=WeightedRandomSampler(weights, 2000, rng=0))
    counts = sum(np.bincount(targets, minlength=2) for _, targets in loader)
    assert counts.sum() == 2000
    assert abs(counts[0] - 1000) < 5 * np.sqrt(2000) / 2  # five standard deviations
    assert len(loader) == 40


def test_sampler_is_asked_anew_each_epoch():
    loader = DataLoader(DATASET, 7, sampler=WeightedRandomSampler(np.ones(7), 7, replacement=False, rng=0))
    first, second = targets_of(loader), targets_of(loader)
    assert first != second
    assert sorted(first[0]) == sorted(second[0]) == list(range(7))


# Errors


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"dataset": IMAGES},
            TypeError,
            "dataset must be an ArrayDataset. Got ndarray. Wrap arrays as data.ArrayDataset(images, targets).",
        ),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1. Got 0. Pass a larger number."),
        ({"batch_size": 2.5}, TypeError, "batch_size must be an integer. Got 2.5 (float). Pass an int."),
        (
            {"shuffle": True, "sampler": [1]},
            ValueError,
            "shuffle and sampler exclude each other. Got both. Leave shuffle out: the sampler gives the order.",
        ),
        (
            {"sampler": 3},
            TypeError,
            "sampler must be iterable and have a length. Got int. Pass for example WeightedRandomSampler(...).",
        ),
        (
            {"transform": "ToFloat"},
            TypeError,
            "transform must be callable. Got str. Pass for example transforms.ToFloat() (with the brackets).",
        ),
        (
            {"target_transform": transforms.OneHot},
            TypeError,
            "target_transform must be callable. Got the class OneHot. "
            "Pass for example transforms.ToFloat() (with the brackets).",
        ),
        (
            {"target_transform": 3},
            TypeError,
            "target_transform must be callable. Got int. Pass for example transforms.ToFloat() (with the brackets).",
        ),
    ],
)
def test_wrong_arguments(options, error, message):
    with raises(error, f"DataLoader: {message}"):
        DataLoader(**{"dataset": DATASET, **options})


def test_wrong_indexes_from_a_sampler():
    with raises(
        ValueError,
        "DataLoader: the sampler must give indexes from 0 to 6. Got -1. Build it for this dataset.",
    ):
        list(DataLoader(DATASET, sampler=[0, -1]))
    with raises(
        TypeError,
        "DataLoader: the sampler must give integers. Got float64 of shape (2,). Yield one index at a time.",
    ):
        list(DataLoader(DATASET, sampler=[0.0, 1.0]))


def test_repr():
    assert repr(DataLoader(DATASET, 2, True)) == (
        "DataLoader(ArrayDataset(7 images (1, 1) uint8), batch_size=2, shuffle=True)"
    )
