"""fetch: a file from the first mirror that has it whole; nothing half-done is ever left in its place."""

from __future__ import annotations

import hashlib
import http.client
import os
import secrets
import sys
import urllib.error
import urllib.request
from pathlib import Path

CHUNK = 2**16
TIMEOUT = 20  # seconds without a byte


class NotWhole(Exception):
    """What came is not what was asked for.

    >>> raise NotWhole("12 bytes")
    Traceback (most recent call last):
    minicnn.data.download.NotWhole: 12 bytes
    """


def fetch(urls, target: Path, length: int, md5: str) -> list[str]:
    """Write what one of `urls` gives to `target`, once it is seen to be whole.

    Parameters
    ----------
    urls : sequence of str
        Mirrors, tried in this order.
    target : Path
        Its folder is made if it is not there. The bytes go into a file beside it first, which then takes
        its name in one step.
    length : int
        In bytes. A mirror that sends more is cut off, so the disk cannot fill up.
    md5 : str
        In hexadecimal digits.

    Returns
    -------
    list of str
        Empty if it worked; else what was wrong with each mirror.

    Raises
    ------
    OSError
        If the folder cannot be made.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> source, target = Path(folder.name, "source"), Path(folder.name, "new", "target")
    >>> source.write_bytes(b"pixels")
    6
    >>> fetch([source.as_uri()], target, 6, md5_of(source)), target.read_bytes()
    ([], b'pixels')
    >>> fetch([source.as_uri()], target, 6, 32 * "0")                   # doctest: +ELLIPSIS
    ['file:///...source: another content (its md5 is wrong)']
    >>> folder.cleanup()
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    reasons = []
    for url in urls:
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        try:
            _download(url, part, target.name, length, md5)
            os.replace(part, target)
            return []
        except (OSError, http.client.HTTPException, NotWhole) as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()  # it is also the answer, with an open connection
            told = error.reason if type(error) is urllib.error.URLError else error
            reasons.append(f"{url}: {str(told) or type(error).__name__}")
        finally:
            part.unlink(missing_ok=True)
    return reasons


def _download(url: str, part: Path, name: str, length: int, md5: str) -> None:
    from tqdm import tqdm

    request = urllib.request.Request(url, headers={"User-Agent": "minicnn"})
    digest, received = hashlib.md5(usedforsecurity=False), 0
    bar = tqdm(total=length, desc=name, unit="B", unit_scale=True, leave=False, disable=None)
    with bar, urllib.request.urlopen(request, timeout=TIMEOUT) as response, part.open("xb") as file:
        while chunk := response.read(CHUNK):
            received += len(chunk)
            if received > length:
                raise NotWhole(f"more than the {length} bytes that it should have")
            digest.update(chunk)
            file.write(chunk)
            bar.update(len(chunk))
        if received < length:
            raise NotWhole(f"{received} of {length} bytes")
        if digest.hexdigest() != md5:
            raise NotWhole("another content (its md5 is wrong)")


def md5_of(path) -> str:
    """Return the md5 of a file.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     md5_of(file.name)
    'd41d8cd98f00b204e9800998ecf8427e'
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def cache_folder() -> Path:
    """Return where files that can be fetched again belong: `~/.cache/minicnn` and its like.

    `LOCALAPPDATA` on Windows, `~/Library/Caches` on macOS, else `XDG_CACHE_HOME` or `~/.cache`.

    >>> cache_folder().name
    'minicnn'
    """
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME", "")
        if not os.path.isabs(base):  # the standard says to ignore a relative one
            base = Path.home() / ".cache"
    return Path(base) / "minicnn"
