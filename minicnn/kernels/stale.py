"""Compiled kernels that are out of date.

Numba keeps what it has compiled, and looks at one file to see whether it still holds: the one in which the
function stands. Ours call functions in other files. A kernel that was compiled with an earlier `rows.lay_out`
would go on with it, and hand it what the new one takes. So beside the compiled kernels lies a note of which
sources they were made from; if it says something else, Numba has to begin anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

SOURCES = Path(__file__).parent
NOTE = "sources"


def fingerprint(folder: Path) -> str:
    """Return a text that changes with any Python file in a folder: its name, its size, or when it was written.

    >>> len(fingerprint(SOURCES)), fingerprint(SOURCES) == fingerprint(SOURCES.parent)
    (40, False)
    """
    found = hashlib.sha1(usedforsecurity=False)
    for path in sorted(folder.glob("*.py")):
        about = path.stat()
        found.update(f"{path.name} {about.st_size} {about.st_mtime_ns}\n".encode())
    return found.hexdigest()


def forget(folder: Path, sources: Path = SOURCES) -> None:
    """Delete Numba's indexes in `folder` unless the note beside them names these sources; write the note.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> forget(folder)
    >>> (folder / NOTE).read_text() == fingerprint(SOURCES)
    True
    """
    now, note = fingerprint(sources), folder / NOTE
    with contextlib.suppress(OSError):
        if note.read_text() == now:
            return
    with contextlib.suppress(OSError):  # where nothing can be written, Numba keeps nothing
        folder.mkdir(parents=True, exist_ok=True)
        for index in folder.glob("*.nbi"):
            index.unlink(missing_ok=True)
        written = folder / f"{NOTE}.{os.getpid()}"
        written.write_text(now)
        written.replace(note)


def forget_if_stale(kernel) -> None:
    """Do so where Numba keeps a kernel and its neighbours; nothing, if it keeps none.

    >>> forget_if_stale(print)
    """
    place = getattr(getattr(kernel, "_cache", None), "cache_path", None)
    if place is not None:
        forget(Path(place))
