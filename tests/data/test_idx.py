"""The IDX reader: what is whole is read, anything else is one clear error, and memory stays bounded."""

import gzip
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minicnn.data import idx
from tests.data.files import idx_bytes, memory_below, write_idx_folder, zeros_gzipped
from tests.helpers import raises

PIXELS = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def refusal(path, got: str) -> str:
    return f"idx.read: {str(path)!r} must be a whole IDX file of unsigned bytes. Got {got}. Fetch it again."


def test_by_hand(tmp_path):
    # magic 0 0 8 2, sizes 2 and 3, row by row
    path = tmp_path / "a"
    path.write_bytes(bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255]))
    array = idx.read(path)
    assert array.tolist() == [[1, 2, 3], [4, 5, 255]]
    assert array.dtype == np.uint8
    array[0, 0] = 9  # it is the caller's own


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (1, 1, 1, 2), (0,), (0, 28, 28), (300, 2)])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_round_trip(tmp_path, shape, pack):
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    (tmp_path / "a").write_bytes(pack(idx_bytes(array)))
    np.testing.assert_array_equal(idx.read(str(tmp_path / "a")), array)


def test_several_gzip_members_are_one_file(tmp_path):
    whole = idx_bytes(PIXELS)
    (tmp_path / "a").write_bytes(gzip.compress(whole[:20]) + gzip.compress(whole[20:]))
    np.testing.assert_array_equal(idx.read(tmp_path / "a"), PIXELS)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        idx.read(tmp_path / "a")
    message = (
        f"idx.read: path must name a file. Got {str(tmp_path)!r}, which is none. Pass the path of a file."
    )
    with raises(ValueError, message):
        idx.read(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="must name a file"):
        idx.read(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("data", "got"),
    [
        (b"", "nothing at its beginning"),
        (b"\0\0", "00 00 at its beginning"),
        (b"\x89PNG\r\n", "89 50 4e 47 at its beginning"),
        (bytes([0, 0, 13, 1, 0, 0, 0, 0]), "00 00 0d 01 at its beginning"),  # 32-bit floats
        (bytes([0, 0, 8, 0]), "00 00 08 00 at its beginning"),  # no axis
        (bytes([0, 0, 8, 3, 0, 0, 0, 1]), "a header of 8 bytes where 16 were announced"),
        (idx_bytes(PIXELS[0, 0, :1], shape=(1,) * 255), "255 axes, too many or too long for an array"),
        (idx_bytes(PIXELS[:0], shape=(0, *[2**32 - 1] * 3)), "4 axes, too many or too long for an array"),
        (idx_bytes(PIXELS)[:30], "14 of the 24 bytes that its header promises"),
        (idx_bytes(PIXELS) + b"x", "more than the 24 bytes that its header promises"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_wrong_content(tmp_path, data, got, pack):
    (tmp_path / "a").write_bytes(pack(data))
    with raises(ValueError, refusal(tmp_path / "a", got)):
        idx.read(tmp_path / "a")


@pytest.mark.parametrize("cut", [1, 9, 10, 15, 40])
def test_gzip_cut_off(tmp_path, cut):
    whole = gzip.compress(idx_bytes(PIXELS))
    (tmp_path / "a").write_bytes(whole[:-cut])
    with pytest.raises(ValueError, match="must be a whole IDX file of unsigned bytes"):
        idx.read(tmp_path / "a")


def test_gzip_with_a_wrong_checksum(tmp_path):
    whole = bytearray(gzip.compress(idx_bytes(PIXELS)))
    whole[-8] ^= 1
    (tmp_path / "a").write_bytes(whole)
    with pytest.raises(ValueError, match=r"Got damaged gzip data \(CRC check failed"):
        idx.read(tmp_path / "a")


def test_text_behind_gzip(tmp_path):
    (tmp_path / "a").write_bytes(gzip.compress(idx_bytes(PIXELS)) + b"and more")
    with pytest.raises(ValueError, match="Got damaged gzip data"):
        idx.read(tmp_path / "a")


# Memory


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_header_that_promises_terabytes(tmp_path, pack):
    path = tmp_path / "a"
    path.write_bytes(pack(idx_bytes(PIXELS, shape=(2**20, 2**11, 2**11))))
    got = f"{path.stat().st_size} bytes, which cannot hold the {2**42} that its header promises"
    with memory_below(10**6), raises(ValueError, refusal(path, got)):
        idx.read(path)


def test_sizes_that_overflow_64_bits(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(idx_bytes(PIXELS, shape=(2**32 - 1,) * 3))
    with (
        memory_below(10**6),
        pytest.raises(ValueError, match=f"cannot hold the {(2**32 - 1) ** 3} "),
    ):
        idx.read(path)


def test_bomb_behind_a_small_promise(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(zeros_gzipped(100 * 2**20, idx_bytes(PIXELS)))  # 100 kB that swell to 100 MB
    with (
        memory_below(2 * 10**6),
        raises(ValueError, refusal(path, "more than the 24 bytes that its header promises")),
    ):
        idx.read(path)


def test_bomb_that_keeps_its_promise(tmp_path):
    path, promised = tmp_path / "a", 2 * 2**30
    path.write_bytes(zeros_gzipped(2**22, idx_bytes(np.zeros(0, np.uint8), shape=(2, 2**15, 2**15))))
    with path.open("ab") as file:
        file.truncate(promised // 1000)  # long enough to hold that much
    got = f"{promised} promised by its header, more than largest={2**30}"
    with memory_below(10**6), raises(ValueError, refusal(path, got)):
        idx.read(path)


def test_largest_is_a_choice(tmp_path):
    (tmp_path / "a").write_bytes(idx_bytes(PIXELS))
    assert idx.read(tmp_path / "a", largest=24).shape == (2, 3, 4)
    with raises(ValueError, refusal(tmp_path / "a", "24 promised by its header, more than largest=23")):
        idx.read(tmp_path / "a", largest=23)


def read_or_none(path):
    """Return the array, or None if the file is refused in due form; any other error goes through."""
    try:
        return idx.read(path)
    except ValueError as error:
        if not str(error).startswith(f"idx.read: {str(path)!r} must be a whole IDX file"):
            raise
        return None


WHOLE = gzip.compress(idx_bytes(PIXELS), mtime=0)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_damage_is_found_or_harmless(tmp_path_factory, data):
    damaged = bytearray(WHOLE)
    for place in data.draw(st.lists(st.integers(0, len(WHOLE) - 1), min_size=1, max_size=3)):
        damaged[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damage") / "a"
    path.write_bytes(damaged)
    array = read_or_none(path)
    if array is not None:  # gzip's own header holds a time and a name that mean nothing
        np.testing.assert_array_equal(array, PIXELS)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=64), st.booleans())
def test_any_bytes_are_read_or_refused(tmp_path_factory, content, with_magic):
    path = tmp_path_factory.mktemp("any") / "a"
    path.write_bytes(b"\0\0\x08" * with_magic + content)
    array = read_or_none(path)
    if array is not None:
        assert idx_bytes(array) == path.read_bytes()


# The four files


def test_read_folder(tmp_path):
    train, test = idx.read_folder(write_idx_folder(tmp_path), ["a", "b", "c"])
    assert (len(train), len(test)) == (6, 3)
    assert train.images[1].tolist() == [[6, 7, 8], [9, 10, 11]]
    assert test.targets.tolist() == [0, 1, 2]
    assert test.targets.dtype == np.int64
    assert train.classes == ("a", "b", "c")


def swap(folder, one: str, other: str) -> None:
    kept = (folder / one).read_bytes()
    (folder / one).write_bytes((folder / other).read_bytes())
    (folder / other).write_bytes(kept)


def test_images_and_labels_swapped(tmp_path):
    images, labels = idx.FILES["test"]
    swap(write_idx_folder(tmp_path), images, labels)
    with raises(
        ValueError,
        f"idx.read_folder: {str(tmp_path / images)!r} must hold images (N, H, W). Got shape (3,). "
        "See whether files of images and labels were swapped.",
    ):
        idx.read_folder(tmp_path)


def test_labels_that_are_images(tmp_path):
    images, labels = idx.FILES["train"]
    write_idx_folder(tmp_path)
    (tmp_path / labels).write_bytes((tmp_path / images).read_bytes())
    with raises(
        ValueError,
        f"idx.read_folder: {str(tmp_path / labels)!r} must hold labels (N,). Got shape (6, 2, 3). "
        "See whether files of images and labels were swapped.",
    ):
        idx.read_folder(tmp_path)


def test_train_and_test_swapped(tmp_path):
    swap(write_idx_folder(tmp_path), idx.FILES["train"][1], idx.FILES["test"][1])
    with raises(
        ValueError,
        "idx.read_folder: there must be one label for each image. Got 6 in 'train-images-idx3-ubyte.gz' "
        "and 3 in 'train-labels-idx1-ubyte.gz'. See whether files of train and t10k were swapped.",
    ):
        idx.read_folder(tmp_path)


def test_label_without_a_name(tmp_path):
    write_idx_folder(tmp_path, classes=3)
    with raises(
        ValueError,
        f"idx.read_folder: labels in {str(tmp_path / 'train-labels-idx1-ubyte.gz')!r} must lie in 0 to 1. "
        "Got 2. Fetch the file again.",
    ):
        idx.read_folder(tmp_path, ["a", "b"])


def test_a_file_is_missing(tmp_path):
    write_idx_folder(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match="t10k-images"):
        idx.read_folder(tmp_path)
