"""Tensors and a JSON object in one safetensors file: written whole or not at all, read whole or not at all.

    8 bytes            length of the header
    header (JSON)      {"__metadata__": {"minicnn": "{\\"sha256\\":\\"...\\", ...}"}, "0.weight": {...}, ...}
    bytes              the tensors, end to end

The checksum is taken over the whole file with its own 64 digits written as zeros, so that not one byte,
not even a blank in the header, can change unnoticed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from pathlib import Path

import numpy as np
import safetensors.numpy

VERSION = 1
# Of each kind of file, what it is, and what to do if another kind was wanted: see `read`.
KINDS = {
    "model": ("a model that checkpoint.save wrote", "Pass the file that was saved when training had ended."),
    "training": (
        "a run that fit can go on with",
        "Pass another name, and the run begins from the beginning.",
    ),
}
# Older versions of Python give up while they read such a header, newer ones while they build the model.
TOO_DEEP = "a header nested deeper than Python can follow"
NO_DIGEST = "0" * 64
# JSON inside JSON: the inner quotes are escaped. Text of a user cannot look like this, its quotes are
# escaped twice.
DIGEST = re.compile(rb'\\"sha256\\":\\"([0-9a-f]{64})\\"')
# A header holds names and shapes. The largest nets need some hundred kB; more would only cost memory.
LONGEST_HEADER = 32 * 2**20


class OtherKind(ValueError):
    """The kind of a file that is whole, but not of the kind that is asked for.

    >>> raise OtherKind("training")
    Traceback (most recent call last):
    minicnn.checkpoint.files.OtherKind: training
    """


class RefusedFile(ValueError):
    """A file is not what was asked for; `reason` says what was found instead.

    >>> refusal("a.safetensors", "checkpoint.load", "checkpoint.save", "0 bytes").reason
    '0 bytes'
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class DamagedFile(ValueError):
    """The reason why a file is refused; `read` puts it into its message.

    >>> raise DamagedFile("3 bytes")
    Traceback (most recent call last):
    minicnn.checkpoint.files.DamagedFile: 3 bytes
    """


def write(path, kind: str, tensors: dict[str, np.ndarray], content: dict) -> None:
    """Write tensors and JSON content to `path`, in place of what was there, in one step.

    Parameters
    ----------
    path : str or path
    kind : str
        What the file is ("model", "training"); `read` asks for it.
    tensors : dict of str to ndarray
    content : dict
        Must be plain: dicts with text as keys, lists, text, numbers, True, False, None.

    Raises
    ------
    ValueError
        If names and JSON take more than 32 MiB.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> write(folder.name + "/a.safetensors", "demo", {"x": np.float32([1, 2])}, {"note": "hello"})
    >>> read(folder.name + "/a.safetensors", "demo", "demo", "this example")
    ({'note': 'hello'}, {'x': array([1., 2.], dtype=float32)})
    >>> folder.cleanup()
    """
    head = {"sha256": NO_DIGEST, "kind": kind, "version": VERSION}
    text = json.dumps(head | {"content": content}, separators=(",", ":"), ensure_ascii=True)
    # safetensors reads memory from the first number on, whatever the strides.
    tensors = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    data = bytearray(safetensors.numpy.save(tensors, metadata={"minicnn": text}))
    header = header_of(data)
    if len(header) > LONGEST_HEADER:
        raise ValueError(
            f"checkpoint: names and descriptions may take {LONGEST_HEADER} bytes. Got {len(header)}. "
            "Keep large things out of extra."
        )
    start, end = digest_span(header)
    data[start:end] = digest_of(data, (start, end)).encode()
    replace(path, data)


def read(path, kind: str, who: str, writer: str) -> tuple[dict, dict[str, np.ndarray]]:
    """Return the content and the tensors of a file that `write` wrote.

    Parameters
    ----------
    path : str or path
    kind : str
        As it was given to `write`.
    who, writer : str
        For the message: who reads, and what writes such files.

    Raises
    ------
    OSError
        If there is no such file, or it cannot be read.
    RefusedFile
        If the file is not exactly as `write` left it, or is of another kind; a ValueError. Memory stays
        within a few times the length of the file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     read(file.name, "model", "checkpoint.load", "checkpoint.save")      # doctest: +ELLIPSIS
    Traceback (most recent call last):
    minicnn.checkpoint.files.RefusedFile: checkpoint.load: ... Got 0 bytes. Write it again, or fetch it again.
    """
    try:
        return _read(Path(path), kind)
    except OtherKind as found:
        (wanted, advice), (got, _) = KINDS[kind], KINDS[str(found)]
        raise RefusedFile(f"{who}: {str(path)!r} must be {wanted}. Got {got}. {advice}", got) from None
    except DamagedFile as reason:
        raise refusal(path, who, writer, reason) from None


def refusal(path, who: str, writer: str, reason) -> RefusedFile:
    """Return the one error with which a file is refused.

    >>> refusal("a.safetensors", "checkpoint.load", "checkpoint.save", "0 bytes")
    RefusedFile("checkpoint.load: 'a.safetensors' must be a whole file that checkpoint.save wrote. Got 0 \
bytes. Write it again, or fetch it again.")
    """
    return RefusedFile(
        f"{who}: {str(path)!r} must be a whole file that {writer} wrote. Got {reason}. "
        "Write it again, or fetch it again.",
        str(reason),
    )


def _read(path: Path, kind: str) -> tuple[dict, dict[str, np.ndarray]]:
    if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe or a device never ends
        raise DamagedFile("no regular file")
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(8)
        check_length(start, size)
        data = start + file.read(size - 8)
    header = header_of(data)
    span = digest_span(header)
    if digest_of(data, span).encode() != data[span[0] : span[1]]:
        raise DamagedFile("bytes that do not fit their checksum")
    try:
        whole = json.loads(json.loads(header)["__metadata__"]["minicnn"])
        found, version, content = whole["kind"], whole["version"], whole["content"]
        if (found, version) == (kind, VERSION):
            tensors = safetensors.numpy.load(data)
    except RecursionError:
        raise DamagedFile(TOO_DEEP) from None
    except Exception as error:  # the checksum fits, so somebody made the file with care: trust nothing
        raise DamagedFile(f"a header that makes no sense ({type(error).__name__})") from None
    if (found, version) != (kind, VERSION):
        if version == VERSION and isinstance(found, str) and found in KINDS:
            raise OtherKind(found)
        raise DamagedFile(
            f"kind {found!r:.40} of version {version!r:.40} (not {kind!r} of version {VERSION})"
        )
    if not isinstance(content, dict):
        raise DamagedFile("a header that makes no sense (content)")
    return content, tensors


def check_length(start: bytes, size: int) -> None:
    """Raise DamagedFile unless the header, whose length the first 8 bytes tell, lies inside the file.

    >>> check_length(bytes([200, 0, 0, 0, 0, 0, 0, 0]), 100)
    Traceback (most recent call last):
    minicnn.checkpoint.files.DamagedFile: 100 bytes, but a header of 200
    """
    if size < 8 or len(start) < 8:
        raise DamagedFile(f"{size} bytes")
    length = int.from_bytes(start, "little")
    if length > min(size - 8, LONGEST_HEADER):
        raise DamagedFile(f"{size} bytes, but a header of {length}")


def header_of(data: bytes | bytearray) -> bytes:
    """Return the JSON between the length and the tensors.

    >>> header_of(bytes([2, 0, 0, 0, 0, 0, 0, 0]) + b"{}rest")
    b'{}'
    """
    return bytes(data[8 : 8 + int.from_bytes(data[:8], "little")])


def digest_span(header: bytes) -> tuple[int, int]:
    """Return where in the file the checksum stands, as (start, end).

    >>> digest_span(b'{"__metadata__":{}}')
    Traceback (most recent call last):
    minicnn.checkpoint.files.DamagedFile: a file without minicnn's checksum
    """
    found = [match.span(1) for match in DIGEST.finditer(header)]
    if len(found) != 1:
        raise DamagedFile("a file without minicnn's checksum")
    return 8 + found[0][0], 8 + found[0][1]


def digest_of(data: bytes | bytearray, span: tuple[int, int]) -> str:
    """Return the sha256 of `data` with zeros where the checksum stands.

    >>> digest_of(b"ab????", (2, 6)) == hashlib.sha256(b"ab" + 64 * b"0").hexdigest()
    True
    """
    digest = hashlib.sha256()
    view = memoryview(data)
    digest.update(view[: span[0]])
    digest.update(NO_DIGEST.encode())
    digest.update(view[span[1] :])
    return digest.hexdigest()


def replace(path, data: bytes | bytearray) -> None:
    """Put `data` at `path`: at every moment the old file is there whole, or the new one.

    An OSError names `path`, not the file beside it in which the data arrive.

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> replace(folder.name + "/a", b"new")
    >>> Path(folder.name, "a").read_bytes(), os.listdir(folder.name)
    (b'new', ['a'])
    >>> folder.cleanup()
    """
    try:
        _replace(Path(os.path.realpath(path)), data)  # a link stays a link
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None


def _replace(path: Path, data: bytes | bytearray) -> None:
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with partial.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave the new name with no bytes behind it
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    if hasattr(os, "O_DIRECTORY"):  # make the new name last, too; Windows has no such call
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def remove_leftovers(path) -> None:
    """Remove what writers of `path` left behind when they were killed.

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> leftover = Path(folder.name, "a.0123abcd.partial")
    >>> leftover.write_bytes(b"half")
    4
    >>> remove_leftovers(folder.name + "/a")
    >>> leftover.exists()
    False
    >>> folder.cleanup()
    """
    path = Path(os.path.realpath(path))
    pattern = re.compile(re.escape(path.name) + r"\.[0-9a-f]{8}\.partial")
    if path.parent.is_dir():
        for other in path.parent.iterdir():
            if pattern.fullmatch(other.name):
                other.unlink(missing_ok=True)
