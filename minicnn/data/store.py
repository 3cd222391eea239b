"""The datasets on this machine: found, or downloaded and unpacked."""

from __future__ import annotations

import gzip
import os
import secrets
import shutil
import tarfile
import zlib
from pathlib import Path

from minicnn.data import cifar
from minicnn.data.download import cache_folder, fetch, md5_of
from minicnn.data.sources import ARCHIVE, SOURCES, Source


def find(name: str, root=None) -> Path | None:
    """Return the folder on this machine that has all files of a dataset, or None.

    >>> find("mnist", root="no/such/folder")
    """
    source = SOURCES[name]
    own = os.environ.get("MINICNN_DATA") if root is None else root
    if own:
        if _has_all(Path(own, source.folder), source):
            return Path(own, source.folder)
        if _has_all(Path(own), source) and _is_no_namesake(Path(own), source):
            return Path(own)
    cached = cache_folder() / source.folder
    return cached if root is None and _has_all(cached, source) else None


def _has_all(folder: Path, source: Source) -> bool:
    return all((folder / file).is_file() for file in source.files)


def _is_no_namesake(folder: Path, source: Source) -> bool:
    """Return whether files that other datasets call alike are those of this one."""
    known = [(folder / file, md5) for file, (_, md5) in source.downloads.items() if file in source.files]
    return all(md5_of(file) == md5 for file, md5 in known)


def download(name: str, root=None) -> Path:
    """Fetch all files of a dataset that are not there yet; return their folder.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     download("mnist", root=file.name)                           # doctest: +ELLIPSIS
    Traceback (most recent call last):
    NotADirectoryError: ...
    """
    source = SOURCES[name]
    folder = (cache_folder() if root is None else Path(root)) / source.folder
    for file, (length, md5) in source.downloads.items():
        if (folder / file).is_file() and md5_of(folder / file) == md5:
            continue
        reasons = fetch([mirror + file for mirror in source.mirrors], folder / file, length, md5)
        if reasons:
            raise ConnectionError(
                f"load: {name!r} is not on this machine and must be downloaded. Got no whole {file!r} "
                f"({'; '.join(reasons)}). Go online, or put {', '.join(source.files)} into {str(folder)!r}."
            )
    if ARCHIVE in source.downloads:
        unpack(folder / ARCHIVE, source.files)
        (folder / ARCHIVE).unlink()
    return folder


def unpack(archive: Path, names) -> None:
    """Take the files called `names` out of an archive, into its folder, and nothing else.

    Each must be no longer than a file of CIFAR-10, 10,000 records, wherever in the archive it lies.

    >>> unpack(Path("no/such/archive.tar.gz"), ["test_batch.bin"])
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'no/such/archive.tar.gz'
    """
    missing = set(names)
    try:
        with tarfile.open(archive, "r:gz") as opened:
            for member in opened:
                name = Path(member.name).name
                if name in missing and member.isreg() and member.size <= 10000 * cifar.RECORD:
                    _take_out(opened, member, archive.with_name(name))
                    missing.remove(name)
                    if not missing:
                        return
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        reason = f"a damaged archive ({error})"
    else:
        reason = f"none called {', '.join(sorted(missing))}"
    raise ValueError(
        f"load: {str(archive)!r} must hold the files of CIFAR-10. Got {reason}. Remove it and load again."
    )


def _take_out(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with archive.extractfile(member) as inside, part.open("xb") as file:
            shutil.copyfileobj(inside, file)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
