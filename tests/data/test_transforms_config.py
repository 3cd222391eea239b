"""Transforms as plain data, and back."""

import json

import numpy as np
import pytest

from minicnn.data import transforms
from minicnn.data.transforms import (
    Compose,
    Normalize,
    OneHot,
    RandomCrop,
    RandomHorizontalFlip,
    RandomRotation,
    ToFloat,
    Transform,
    from_config,
)
from tests.helpers import raises

ALL = [
    ToFloat(),
    ToFloat(np.float64),
    Normalize((0.1, 1 / 3, 2e-20), (1, 0.2, 3)),
    OneHot(7),
    RandomHorizontalFlip(0.3),
    RandomCrop((28, 20), padding=(2, 0)),
    RandomRotation(12.5),
    RandomRotation((-3, 9)),
    Compose([]),
    Compose([ToFloat(), RandomCrop(28, padding=2), Normalize(0.1309, 0.308)]),
]


@pytest.mark.parametrize("transform", ALL, ids=repr)
def test_config_comes_back_through_json(transform):
    config = transform.config()
    again = from_config(json.loads(json.dumps(config)))
    assert type(again) is type(transform)
    assert repr(again) == repr(transform)
    assert again.config() == config


def test_every_transform_is_among_them():
    kinds = {getattr(transforms, name) for name in transforms.__all__}
    kinds = {kind for kind in kinds if isinstance(kind, type) and kind is not Transform}
    assert {type(transform) for transform in ALL} == kinds


def test_config_by_hand():
    assert ALL[-1].config() == {
        "kind": "Compose",
        "transforms": [
            {"kind": "ToFloat", "dtype": "float32"},
            {"kind": "RandomCrop", "size": [28, 28], "padding": [2, 2]},
            {"kind": "Normalize", "mean": [0.1309], "std": [0.308]},
        ],
    }


KINDS = "Compose, ToFloat, Normalize, OneHot, RandomHorizontalFlip, RandomCrop, RandomRotation"


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        (
            {"kind": "Blur"},
            ValueError,
            f"transforms.from_config: kind must be one of {KINDS}. Got 'Blur'. Pass what config() returned.",
        ),
        (
            {"kind": "Compose", "transforms": [{"kind": "Compose", "transforms": []}]},
            ValueError,
            f"transforms.from_config: kind must be one of {KINDS}. Got 'Compose'. Pass what config() returned.",
        ),
        (
            {"kind": ["ToFloat"]},
            ValueError,
            f"transforms.from_config: kind must be one of {KINDS}. Got ['ToFloat']. Pass what config() returned.",
        ),
        (
            None,
            ValueError,
            f"transforms.from_config: kind must be one of {KINDS}. Got NoneType. Pass what config() returned.",
        ),
        (
            {"kind": "Compose", "transforms": "ToFloat"},
            ValueError,
            "transforms.from_config: a Compose must have a list of transforms. "
            "Got ['kind', 'transforms'] with str. Pass what config() returned.",
        ),
        (
            {"kind": "Normalize", "mean": [0]},
            ValueError,
            "transforms.from_config: Normalize must have the arguments ['mean', 'std']. "
            "Got ['mean']. Pass what config() returned.",
        ),
        (
            {"kind": "ToFloat", "dtype": "float32", "extra": 1},
            ValueError,
            "transforms.from_config: ToFloat must have the arguments ['dtype']. "
            "Got ['dtype', 'extra']. Pass what config() returned.",
        ),
        (
            {"kind": "Normalize", "mean": [0], "std": [-1]},
            ValueError,
            "Normalize: std must be positive. Got -1.0. Use Normalize.fit(dataset) to measure it.",
        ),
        (
            {"kind": "ToFloat", "dtype": "int8"},
            TypeError,
            "ToFloat: dtype must be float32 or float64. Got int8. Pass np.float32 or np.float64.",
        ),
        (
            {"kind": "RandomCrop", "size": "large", "padding": 0},
            TypeError,
            "RandomCrop: size must be an integer. Got 'large' (str). Pass an int.",
        ),
    ],
)
def test_wrong_config(config, error, message):
    with raises(error, message):
        from_config(config)
