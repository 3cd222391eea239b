"""IDX, the format of MNIST: a header that promises a shape, and the bytes.

    0 0 8 ndim            magic number; 8 stands for unsigned bytes
    size, size, ...       ndim unsigned 32-bit numbers, the most significant byte first
    bytes                 as many as the product of the sizes

Nothing in a file is believed: memory is taken for what the header promises only after it is seen that the
file can hold that much, and a byte more or less than promised is an error.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np

from minicnn.data.dataset import ArrayDataset
from minicnn.data.files import check_is_file

GZIP_MAGIC = b"\x1f\x8b"
HIGHEST_RATIO = 1032  # deflate needs at least one byte for 1032 bytes
LARGEST = 2**30
CHUNK = 2**20
FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


def read(path, largest: int = LARGEST) -> np.ndarray:
    """Return the array in an IDX file of unsigned bytes, gzipped or not.

    Parameters
    ----------
    path : str or path
    largest : int
        The most bytes that the array may have; more needs your consent.

    Returns
    -------
    ndarray, uint8, of the shape in the header

    Raises
    ------
    OSError
        If there is no such file, or it cannot be read.
    ValueError
        If the file is cut off, too long, damaged, of another format or larger than `largest`. No more
        memory is used than the array would have, whatever the file.

    Notes
    -----
    Source of the format: LeCun, Cortes and Burges, "The MNIST database of handwritten digits".

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name, "labels-idx1-ubyte")
    >>> path.write_bytes(bytes([0, 0, 8, 1,  0, 0, 0, 3,  7, 2, 1]))
    11
    >>> read(path)
    array([7, 2, 1], dtype=uint8)
    >>> folder.cleanup()
    """
    check_is_file("idx.read", path)
    with Path(path).open("rb") as file:
        length = os.fstat(file.fileno()).st_size
        zipped = file.read(2) == GZIP_MAGIC
        file.seek(0)
        try:
            return _read(gzip.GzipFile(fileobj=file) if zipped else file, length, zipped, largest)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise _refusal(path, f"damaged gzip data ({str(error).rstrip('.')})") from None
        except _WrongContent as reason:
            raise _refusal(path, reason) from None


class _WrongContent(Exception):
    """What is wrong with a file, to be put into the message."""


def _read(stream, length: int, zipped: bool, largest: int) -> np.ndarray:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:3] != b"\0\0\x08" or magic[3] == 0:
        raise _WrongContent(f"{magic.hex(' ') or 'nothing'} at its beginning")
    header = stream.read(4 * magic[3])
    if len(header) < 4 * magic[3]:
        raise _WrongContent(f"a header of {4 + len(header)} bytes where {4 + 4 * magic[3]} were announced")
    shape = struct.unpack(f">{magic[3]}I", header)
    promised = math.prod(shape)
    possible = HIGHEST_RATIO * length if zipped else length
    if promised > possible:
        raise _WrongContent(f"{length} bytes, which cannot hold the {promised} that its header promises")
    if promised > largest:
        raise _WrongContent(f"{promised} promised by its header, more than largest={largest}")
    data = np.empty(promised, np.uint8)
    filled = 0
    while filled < promised:
        count = stream.readinto(memoryview(data)[filled : filled + CHUNK])
        if not count:
            raise _WrongContent(f"{filled} of the {promised} bytes that its header promises")
        filled += count
    if stream.read(1):  # at the end this also compares gzip's checksum
        raise _WrongContent(f"more than the {promised} bytes that its header promises")
    try:
        return data.reshape(shape)
    except ValueError:  # sizes of 0 and 1 may stand beside others, and in any number
        raise _WrongContent(f"{len(shape)} axes, too many or too long for an array") from None


def _refusal(path, got) -> ValueError:
    return ValueError(
        f"idx.read: {str(path)!r} must be a whole IDX file of unsigned bytes. Got {got}. Fetch it again."
    )


def read_folder(path, classes=None, transform=None) -> tuple[ArrayDataset, ArrayDataset]:
    """Return (train, test) from the four files that MNIST is made of.

    Parameters
    ----------
    path : str or path
        A folder with `train-images-idx3-ubyte.gz`, `train-labels-idx1-ubyte.gz` and the same for `t10k`.
    classes : sequence of str, optional
    transform : callable, optional
        Both go into both datasets.

    Raises
    ------
    OSError
        If a file is missing.
    ValueError
        If a file is damaged, or the files do not fit together: images where labels should be, other numbers
        of images than of labels, a label without a name.

    Examples
    --------
    >>> train, test = read_folder(Path(__file__).parent / "mnist-5k")
    >>> train, test
    (ArrayDataset(4000 images (28, 28) uint8), ArrayDataset(1000 images (28, 28) uint8))
    """
    return tuple(_read_pair(Path(path), *names, classes, transform) for names in FILES.values())


def _read_pair(folder: Path, images_name: str, labels_name: str, classes, transform) -> ArrayDataset:
    images, labels = read(folder / images_name), read(folder / labels_name)
    for name, array, what, ndim in (
        (images_name, images, "images (N, H, W)", 3),
        (labels_name, labels, "labels (N,)", 1),
    ):
        if array.ndim != ndim:
            raise ValueError(
                f"idx.read_folder: {str(folder / name)!r} must hold {what}. Got shape {array.shape}. "
                "See whether files of images and labels were swapped."
            )
    if len(images) != len(labels):
        raise ValueError(
            f"idx.read_folder: there must be one label for each image. Got {len(images)} in {images_name!r} "
            f"and {len(labels)} in {labels_name!r}. See whether files of train and t10k were swapped."
        )
    if classes is not None and labels.size and labels.max() >= len(classes):
        raise ValueError(
            f"idx.read_folder: labels in {str(folder / labels_name)!r} must lie in 0 to {len(classes) - 1}. "
            f"Got {labels.max()}. Fetch the file again."
        )
    return ArrayDataset(images, labels, classes, transform)
