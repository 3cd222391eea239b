"""The reader of CIFAR-10's binary version."""

import os

import numpy as np
import pytest

from minicnn import data
from minicnn.data import cifar
from tests.data.files import cifar_bytes, memory_below
from tests.helpers import raises


def test_by_hand(tmp_path):
    # The first plane is red, then green, then blue; in a plane, row by row: byte 1 + 0·1024 + 1·32 + 2 is
    # the red of row 1, column 2.
    record = bytearray(3073)
    record[0] = 9
    record[1 + 0 * 1024 + 1 * 32 + 2] = 10
    record[1 + 1 * 1024 + 1 * 32 + 2] = 20
    record[1 + 2 * 1024 + 1 * 32 + 2] = 30
    (tmp_path / "a.bin").write_bytes(record)
    dataset = cifar.read_file(tmp_path / "a.bin")
    assert dataset.images.shape == (1, 32, 32, 3)
    assert dataset.images[0, 1, 2].tolist() == [10, 20, 30]
    assert dataset.images.sum() == 60
    assert dataset.targets.tolist() == [9]
    assert dataset.classes[9] == "truck"


def test_transform_gives_planes_again(tmp_path):
    (tmp_path / "a.bin").write_bytes(cifar_bytes([3]))
    dataset = cifar.read_file(tmp_path / "a.bin")
    image, target = dataset[0]
    planes = np.frombuffer(cifar_bytes([3])[1:], np.uint8).reshape(3, 32, 32) / 255
    mean, std = np.array(cifar.MEAN).reshape(3, 1, 1), np.array(cifar.STD).reshape(3, 1, 1)
    np.testing.assert_allclose(image, (planes - mean) / std, rtol=0, atol=1e-6)
    assert (image.dtype, target) == (np.float32, 3)


def test_folder_joins_files_in_natural_order(tmp_path):
    for name, labels in (("data_batch_10.bin", [1]), ("data_batch_2.bin", [5, 6]), ("test_batch.bin", [7])):
        (tmp_path / name).write_bytes(cifar_bytes(labels))
    (tmp_path / "batches.meta.txt").write_text("airplane")
    train, test = cifar.read(tmp_path)
    assert train.targets.tolist() == [5, 6, 1]
    assert test.targets.tolist() == [7]
    assert repr(train.transform) == repr(test.transform)


def test_partial_folder(tmp_path):
    (tmp_path / "test_batch_first3.bin").write_bytes(cifar_bytes([0, 1, 2]))
    train, test = cifar.read(str(tmp_path))
    assert (len(train), len(test)) == (0, 3)
    assert train.images.shape == (0, 32, 32, 3)
    assert list(data.DataLoader(train, batch_size=2)) == []


def test_folder_without_such_files(tmp_path):
    (tmp_path / "other.bin").write_bytes(cifar_bytes([0]))
    with raises(
        ValueError,
        "cifar.read: the folder must hold data_batch*.bin or test_batch*.bin. "
        f"Got none in {str(tmp_path)!r}. Unpack cifar-10-binary.tar.gz and pass its folder.",
    ):
        cifar.read(tmp_path)
    path = tmp_path / "other.bin"
    with raises(
        ValueError,
        f"cifar.read: path must name a folder. Got {str(path)!r}, which is none. Pass the path of a folder.",
    ):
        cifar.read(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0", cifar_bytes([1])[:-1], cifar_bytes([1]) + b"\0", b"\0\0" + cifar_bytes([1, 2])],
    ids=["empty", "one byte", "cut off", "too long", "CIFAR-100 has two label bytes"],
)
def test_no_whole_records(tmp_path, content):
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(content)
    message = (
        f"cifar.read_file: {str(path)!r} must hold whole records of 3073 bytes, up to 1 GiB. "
        f"Got {len(content)} bytes. Fetch it again."
    )
    with raises(ValueError, message):
        cifar.read_file(path)
    with raises(ValueError, message):
        cifar.read(tmp_path)


def test_label_out_of_range(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(cifar_bytes([0, 9, 10, 255]))
    with raises(
        ValueError,
        f"cifar.read_file: {str(path)!r} must begin each record with a label from 0 to 9. "
        "Got 10 in record 2. Fetch the file again: the binary version of CIFAR-10.",
    ):
        cifar.read_file(path)


def test_a_file_of_a_terabyte_takes_no_memory(tmp_path):
    path = tmp_path / "a.bin"
    with path.open("wb") as file:
        file.truncate(3073 * 2**28)  # a hole: nothing is on the disk
    with memory_below(10**6), pytest.raises(ValueError, match="up to 1 GiB"):
        cifar.read_file(path)


def test_memory_is_three_times_the_file(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(cifar_bytes([0] * 1000))
    with memory_below(3 * path.stat().st_size):
        cifar.read_file(path)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        cifar.read_file(tmp_path / "a.bin")


def test_real_images():
    folder = os.path.join(os.environ.get("MINICNN_DATA", ""), "cifar10_subset")
    if not os.path.isdir(folder):
        pytest.skip("MINICNN_DATA names no folder with cifar10_subset")
    train, test = cifar.read(folder)
    assert (len(train), len(test)) == (4000, 1000)
    assert (train.classes[train.targets[0]], test.classes[test.targets[0]]) == ("frog", "cat")  # as known
    measured = data.transforms.Normalize.fit(train)
    np.testing.assert_allclose(measured.mean, cifar.MEAN, atol=0.006)  # of 4,000 images in 50,000
    np.testing.assert_allclose(measured.std, cifar.STD, atol=0.006)
    # neighbouring pixels are alike in a picture that is put together rightly
    pixels = train.images[:100].astype(float)
    for axis in (1, 2):
        assert np.abs(np.diff(pixels, axis=axis)).mean() < 0.3 * pixels.std()
