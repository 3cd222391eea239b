"""Files that somebody has made with care, so that their checksum fits: refused as well, in little memory."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import tracemalloc

import numpy as np
import pytest

from minicnn import checkpoint, nn
from minicnn.checkpoint import architecture, files
from tests.helpers import raises


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def refused(path, reason: str):
    """Expect the one error with which a file is refused."""
    return pytest.raises(
        ValueError,
        match="^"
        + re.escape(
            f"checkpoint.load: {str(path)!r} must be a whole file that checkpoint.save wrote. Got {reason}. "
            "Write it again, or fetch it again."
        )
        + "$",
    )


def forge(path, change, kind: str = "model", tensors=None, model=None) -> None:
    """Write a file whose checksum fits, but with a content that `change` has altered."""
    model = nn.Sequential(nn.Linear(3, 2, rng=0)) if model is None else model
    content = {
        "architecture": architecture.describe(model),
        "shared": {},
        "classes": None,
        "transform": None,
        "extra": None,
    }
    change(content)
    files.write(path, kind, model.state_dict() if tensors is None else tensors, content)


def with_fitting_checksum(header: bytes, tensors: bytes = b"") -> bytes:
    data = len(header).to_bytes(8, "little") + header + tensors
    start, end = files.digest_span(header)
    return data[:start] + files.digest_of(data, (start, end)).encode() + data[end:]


def header_with(text: str, entries: str = "") -> bytes:
    quoted = json.dumps('{"sha256":"' + 64 * "0" + '"' + text + "}")
    return ('{"__metadata__":{"minicnn":' + quoted + "}" + entries + "}").encode()


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (header_with(""), "a header that makes no sense (KeyError)"),
        (header_with("", "]"), "a header that makes no sense (JSONDecodeError)"),
        (
            header_with(',"kind":"model","version":2,"content":{}'),
            "kind 'model' of version 2 (not 'model' of version 1)",
        ),
        (header_with(',"kind":"model","version":1,"content":[]'), "a header that makes no sense (content)"),
        (header_with(',"kind":' + "[" * 100_000), "a header nested deeper than Python can follow"),
        (header_with("", ',"a":' + "[" * 100_000), "a header nested deeper than Python can follow"),
        (header_with(',"kind":' + "9" * 5000), "a header that makes no sense (ValueError)"),
        (
            header_with(
                ',"kind":"model","version":1,"content":{}',
                ',"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}',
            ),
            "a header that makes no sense (SafetensorError)",
        ),
    ],
)
def test_forged_headers(header, reason, path):
    path.write_bytes(with_fitting_checksum(header))
    with refused(path, reason):
        checkpoint.load(path)


def test_another_kind_of_file(path):
    forge(path, lambda content: None, kind="training")
    with raises(
        ValueError,
        f"checkpoint.load: {str(path)!r} must be a model that checkpoint.save wrote. Got a run that fit can go on "
        "with. Pass the file that was saved when training had ended.",
    ):
        checkpoint.load(path)
    forge(path, lambda content: None, kind=["training"])
    with refused(path, "kind ['training'] of version 1 (not 'model' of version 1)"):
        checkpoint.load(path)


def put(*keys_and_value):
    """Return a change that sets ``content[key][key]... = value``."""
    *keys, last, value = keys_and_value

    def change(content):
        for key in keys:
            content = content[key]
        content[last] = value

    return change


LINEAR = ("architecture", "children", "0")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (put("architecture", None), "a module without kind and arguments"),
        (
            put("architecture", {"kind": "ReLU", "arguments": {}, "more": 1}),
            "a module without kind and arguments",
        ),
        (put("architecture", {"kind": "ReLU"}), "a ReLU without arguments"),
        (put("architecture", {"kind": ["ReLU"]}), "a module of the unknown kind ['ReLU']"),
        (put(*LINEAR, "kind", "Module"), "a module of the unknown kind 'Module'"),
        (put(*LINEAR, "kind", "__class__"), "a module of the unknown kind '__class__'"),
        (put(*LINEAR, "kind", "init"), "a module of the unknown kind 'init'"),
        (
            put(*LINEAR, "arguments", {"in_features": 3}),
            "a Linear with unknown arguments [] and without ['out_features']",
        ),
        (put(*LINEAR, "arguments", "rng", 0), "a Linear with unknown arguments ['rng'] and without []"),
        (
            put(*LINEAR, "children", {"a": {"kind": "ReLU", "arguments": {}}}),
            "a Linear with unknown arguments ['a'] and without []",
        ),
        (
            put(*LINEAR, "arguments", "in_features", 10**12),
            "tensors that do not fit the architecture, '0.weight' for one",
        ),
        (
            put(*LINEAR, "arguments", "out_features", 10**12),
            "tensors that do not fit the architecture, '0.bias' for one",
        ),
        (
            put(*LINEAR, "arguments", "in_features", -3),
            "Linear: in_features must be at least 1. Got -3. Pass a larger number",
        ),
        (
            put(*LINEAR, "arguments", "in_features", "333"),
            "Linear: in_features must be an integer. Got '333' (str). Pass an int",
        ),
        (
            put(*LINEAR, "arguments", "dtype", "float64"),
            "tensors that do not fit the architecture, '0.bias' for one",
        ),
        (
            put(*LINEAR, "arguments", "bias", False),
            "tensors that do not fit the architecture, '0.bias' for one",
        ),
        (put("architecture", "children", {}), "tensors that do not fit the architecture, '0.bias' for one"),
        (
            put("classes", ["cat", "cat"]),
            "checkpoint.load: every class needs a name of its own. Got 'cat' more than once. "
            "Rename or remove it",
        ),
        (put("extra", [1]), "extra data that are no dict"),
        (put("shared", {"0.weight": "nothing"}), "'nothing'"),
        (put("shared", [1]), "'list' object has no attribute 'items'"),
    ],
)
def test_forged_contents(change, reason, path):
    forge(path, change)
    with refused(path, reason):
        checkpoint.load(path)


def test_a_child_cannot_take_the_name_of_a_method(path):
    relu = {"kind": "ReLU", "arguments": {}}
    forge(path, put("architecture", "children", {"forward": relu}), model=nn.Sequential())
    reason = "Sequential: a child needs a free name without a dot. Got 'forward'. Choose another name"
    with refused(path, reason):
        checkpoint.load(path)


@pytest.mark.parametrize("kind", ["Conv2d", "Dropout", "BatchNorm2d", "AdaptiveAvgPool2d", "Residual"])
def test_forged_arguments_never_raise_anything_else(kind, path):
    absurd = [None, True, -1, 0, 10**30, 1.5, float("nan"), "same", [], [1, 2, 3], [[1]], {"a": 1}]
    names = architecture.arguments_of(architecture.kinds()[kind])
    for name in names:
        for value in absurd:
            arguments = dict.fromkeys(names, 1) | {name: value}
            forge(path, put("architecture", {"kind": kind, "arguments": arguments}), tensors={})
            with contextlib.suppress(ValueError):  # some are fine, and the others may raise nothing else
                checkpoint.load(path)


def test_deep_nesting_is_refused(path):
    description = {"kind": "ReLU", "arguments": {}}
    for _ in range(2000):
        description = {"kind": "Sequential", "arguments": {}, "children": {"0": description}}
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        forge(path, put("architecture", description), tensors={})
    finally:
        sys.setrecursionlimit(limit)
    with refused(path, "a header nested deeper than Python can follow"):
        checkpoint.load(path)


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"0.weight": np.zeros((2, 3), np.float32)},
        {"0.weight": np.zeros((3, 2), np.float32), "0.bias": np.zeros(2, np.float32)},
        {"0.weight": np.zeros((2, 3)), "0.bias": np.zeros(2)},
        {"0.weight": np.zeros((2, 3), np.float32), "0.bias": np.zeros(2, np.float32), "1.bias": np.zeros(2)},
    ],
    ids=["none", "missing", "transposed", "float64", "more"],
)
def test_tensors_that_do_not_fit(tensors, path):
    forge(path, lambda content: None, tensors=tensors)
    with pytest.raises(ValueError, match="Got tensors that do not fit the architecture"):
        checkpoint.load(path)


def test_memory_stays_bounded(path):
    forge(path, put(*LINEAR, "arguments", {"in_features": 10**6, "out_features": 10**6}))
    tracemalloc.start()
    with pytest.raises(ValueError, match="do not fit"):
        checkpoint.load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_a_pair_that_differs_is_not_shared(path):
    model = nn.Sequential(nn.Linear(2, 2, rng=0), nn.Linear(2, 2, rng=1))
    forge(path, put("shared", {"1.weight": "0.weight"}), model=model)
    with refused(path, "two values for the one parameter '0.weight' and '1.weight'"):
        checkpoint.load(path)


def test_too_many_modules(path, monkeypatch):
    monkeypatch.setattr(architecture, "MOST_MODULES", 3)
    checkpoint.save(path, nn.Sequential(nn.ReLU(), nn.ReLU()))
    message = "describe: a model may have 3 modules. Got 4. Save it in several parts."
    with pytest.raises(ValueError, match=re.escape(message)):
        checkpoint.save(path, nn.Sequential(nn.ReLU(), nn.ReLU(), nn.ReLU()))
    monkeypatch.setattr(architecture, "MOST_MODULES", 2)
    with refused(path, "more than 2 modules"):
        checkpoint.load(path)
