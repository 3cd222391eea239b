"""Files that are cut off, foreign or changed are refused, and a write that fails changes nothing."""

from __future__ import annotations

import errno
import os
import re

import numpy as np
import pytest
import safetensors.numpy

from minicnn import checkpoint, nn


def small_model(rng=0) -> nn.Sequential:
    return nn.Sequential(
        nn.Residual(nn.Sequential(nn.Linear(3, 3, rng=rng), nn.BatchNorm1d(3), nn.Dropout(0.5))),
        nn.Linear(3, 2, rng=rng),
    )


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


# Writing: whole or not at all


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_no_litter(failing, path, monkeypatch):
    checkpoint.save(path, nn.Sequential(nn.Linear(2, 2, rng=0)))
    before = path.read_bytes()

    def fail(*arguments):
        raise OSError(errno.ENOSPC, "disk full", "a name of no interest")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OSError, match=f"disk full: {str(path)!r}$"):
        checkpoint.save(path, nn.Sequential(nn.Linear(2, 2, rng=1)))
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_a_link_stays_a_link(path, tmp_path):
    link = tmp_path / "latest"
    link.symlink_to(path)
    checkpoint.save(link, nn.ReLU())
    assert link.is_symlink()
    assert checkpoint.load(path).extra is None


def test_a_missing_file_or_a_folder_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        checkpoint.load(tmp_path / "nowhere")
    with pytest.raises(IsADirectoryError):
        checkpoint.load(tmp_path)


# Damaged files


def test_every_truncation_is_refused(path, tmp_path):
    checkpoint.save(path, small_model(), classes=["cat", "dog"])
    data, cut = path.read_bytes(), tmp_path / "cut"
    length = int.from_bytes(data[:8], "little")
    for end in range(len(data)):
        cut.write_bytes(data[:end])
        if end < 8:
            reason = f"{end} bytes"
        elif end < 8 + length:
            reason = f"{end} bytes, but a header of {length}"
        else:
            reason = "bytes that do not fit their checksum"
        with refused(cut, reason):
            checkpoint.load(cut)


def test_bytes_at_the_end_are_refused(path):
    checkpoint.save(path, small_model())
    path.write_bytes(path.read_bytes() + b"\0")
    with refused(path, "bytes that do not fit their checksum"):
        checkpoint.load(path)


def test_every_changed_byte_is_refused(path, tmp_path):
    checkpoint.save(path, small_model(), classes=["cat", "dog"])
    data, other = path.read_bytes(), tmp_path / "other"
    rng = np.random.default_rng(0)
    for position in {*range(0, len(data), 7), *range(16), *range(len(data) - 16, len(data))}:
        changed = bytearray(data)
        # One bit, another letter, and blanks, which JSON would not care about.
        for value in {data[position] ^ 1 << int(rng.integers(8)), data[position] ^ 32, 10, 32} - {
            data[position]
        }:
            changed[position] = value
            other.write_bytes(changed)
            with pytest.raises(
                ValueError, match=re.escape(f"checkpoint.load: {str(other)!r} must be a whole file")
            ):
                checkpoint.load(other)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 bytes"),
        (b"PK\x03\x04" + bytes(100), "104 bytes, but a header of 67324752"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "108 bytes, but a header of 727905341920923785"),
        (bytes([2]) + bytes(7) + b"{}", "a file without minicnn's checksum"),
        (b"\xff" * 64, "64 bytes, but a header of 18446744073709551615"),
        (safetensors.numpy.save({"a": np.zeros(3)}), "a file without minicnn's checksum"),
        (safetensors.numpy.save({}, {"minicnn": "{}"}), "a file without minicnn's checksum"),
    ],
)
def test_foreign_files(data, reason, path):
    path.write_bytes(data)
    with refused(path, reason):
        checkpoint.load(path)


def test_a_pipe_is_refused_without_waiting(path):
    os.mkfifo(path)
    with refused(path, "no regular file"):
        checkpoint.load(path)
