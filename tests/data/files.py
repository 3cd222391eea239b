"""Files for the tests of the readers: whole ones, and ways to damage them."""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from minicnn.data import idx


def idx_bytes(array: np.ndarray, shape=None) -> bytes:
    """Return `array` as IDX; with `shape`, a header that promises this instead."""
    shape = array.shape if shape is None else shape
    return struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape) + array.tobytes()


def write_idx_folder(folder: Path, train: int = 6, test: int = 3, classes: int = 3) -> Path:
    """Write the four files of a small MNIST with 2x3 images: pixel values and labels count up."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", train), ("test", test)):
        images_name, labels_name = idx.FILES[part]
        images = np.arange(count * 6, dtype=np.uint8).reshape(count, 2, 3)
        labels = (np.arange(count) % classes).astype(np.uint8)
        (folder / images_name).write_bytes(gzip.compress(idx_bytes(images)))
        (folder / labels_name).write_bytes(gzip.compress(idx_bytes(labels)))
    return folder


def zeros_gzipped(count: int, start: bytes = b"") -> bytes:
    """Return a gzip file of `start` and then `count` zeros, without ever holding them."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block, pieces = bytes(2**20), [packer.compress(start)]
    pieces += [packer.compress(block) for _ in range(count // len(block))]
    pieces += [packer.compress(bytes(count % len(block))), packer.flush()]
    return b"".join(pieces)


def cifar_bytes(labels, seed: int = 0) -> bytes:
    """Return CIFAR-10 records with random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 3072), dtype=np.uint8)
    return np.concatenate([np.array(labels, np.uint8)[:, None], pixels], axis=1).tobytes()


def packed(array: np.ndarray, kind: str = "PNG") -> bytes:
    """Return an image file of this kind."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind)
    return buffer.getvalue()


def write_files(folder: Path, files: dict[str, bytes | np.ndarray]) -> Path:
    """Write files with their folders; an array becomes a PNG."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(packed(content) if isinstance(content, np.ndarray) else content)
    return folder


@contextmanager
def memory_below(limit: int):
    """Raise if more than `limit` bytes are in use at any moment inside."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < limit, f"{peak} bytes in use, {limit} allowed"
