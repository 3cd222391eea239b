"""The binary version of CIFAR-10: records of 3073 bytes, no header.

    label | 1024 bytes red | 1024 bytes green | 1024 bytes blue       each plane row by row, 32 x 32

On disk the channels come first; `images` have them last, (N, 32, 32, 3), as all raw images here.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from minicnn.data.dataset import ArrayDataset
from minicnn.data.files import check_is_file, check_is_folder
from minicnn.data.natural import natural_key
from minicnn.data.transforms import Compose, Normalize, ToFloat

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
# Of the 50,000 training images, as published; four digits as everybody uses them.
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
RECORD = 1 + 3 * 32 * 32
LARGEST = 2**30


def read(path) -> tuple[ArrayDataset, ArrayDataset]:
    """Return (train, test) from a folder of CIFAR-10 files, all of them or some.

    Parameters
    ----------
    path : str or path
        A folder. Files called ``data_batch*.bin`` are joined to the training part, in natural order, files
        called ``test_batch*.bin`` to the test part. A part without files is empty.

    Returns
    -------
    tuple of two ArrayDataset
        Images uint8 (N, 32, 32, 3) in RGB, the ten classes, and the transform
        ``Compose([ToFloat(), Normalize(MEAN, STD)])``.

    Raises
    ------
    OSError
        If a file cannot be read.
    ValueError
        If `path` is no folder or has no such files, or a file is damaged, as in `read_file`.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> record = bytes([6]) + bytes(1024 * [10]) + bytes(1024 * [20]) + bytes(1024 * [30])
    >>> Path(folder.name, "data_batch_1.bin").write_bytes(2 * record)
    6146
    >>> train, test = read(folder.name)
    >>> len(train), len(test), train.images[0, 0, 0], train.classes[train.targets[0]]
    (2, 0, array([10, 20, 30], dtype=uint8), 'frog')
    >>> folder.cleanup()
    """
    check_is_folder("cifar.read", path)
    parts = [
        sorted(Path(path).glob(pattern), key=lambda file: natural_key(file.name))
        for pattern in ("data_batch*.bin", "test_batch*.bin")
    ]
    if not any(parts):
        raise ValueError(
            "cifar.read: the folder must hold data_batch*.bin or test_batch*.bin. "
            f"Got none in {str(path)!r}. Unpack cifar-10-binary.tar.gz and pass its folder."
        )
    train, test = (_joined([read_file(file) for file in part]) for part in parts)
    return train, test


def read_file(path) -> ArrayDataset:
    """Return the images of one CIFAR-10 file; see `read` for a folder of them.

    Raises
    ------
    OSError
        If there is no such file, or it cannot be read.
    ValueError
        If the file is not a whole number of records, at least one and at most 1 GiB together, or a label is
        not in 0 to 9. Memory stays within three times the length of the file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     read_file(file.name)                                        # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: cifar.read_file: '...' must hold whole records of 3073 bytes, up to 1 GiB. Got 0 bytes. \
Fetch it again.
    """
    check_is_file("cifar.read_file", path)
    with Path(path).open("rb") as file:
        length = os.fstat(file.fileno()).st_size
        if length == 0 or length % RECORD or length > LARGEST:
            raise ValueError(
                f"cifar.read_file: {str(path)!r} must hold whole records of {RECORD} bytes, up to 1 GiB. "
                f"Got {length} bytes. Fetch it again."
            )
        records = np.fromfile(file, np.uint8, count=length).reshape(-1, RECORD)  # (N, 3073)
    targets = records[:, 0]
    if targets.max() >= len(CLASSES):
        record = int(np.argmax(targets >= len(CLASSES)))
        raise ValueError(
            f"cifar.read_file: {str(path)!r} must begin each record with a label from 0 to 9. Got "
            f"{targets[record]} in record {record}. Fetch the file again: the binary version of CIFAR-10."
        )
    planes = records[:, 1:].reshape(-1, 3, 32, 32)  # (N, C, H, W)
    images = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))  # (N, H, W, C)
    return _dataset(images, targets)


def _dataset(images: np.ndarray, targets: np.ndarray) -> ArrayDataset:
    return ArrayDataset(images, targets, CLASSES, Compose([ToFloat(), Normalize(MEAN, STD)]))


def _joined(datasets: list[ArrayDataset]) -> ArrayDataset:
    if not datasets:
        return _dataset(np.empty((0, 32, 32, 3), np.uint8), np.empty(0, np.uint8))
    if len(datasets) == 1:
        return datasets[0]
    images = np.concatenate([dataset.images for dataset in datasets])  # (N, H, W, C)
    return _dataset(images, np.concatenate([dataset.targets for dataset in datasets]))
