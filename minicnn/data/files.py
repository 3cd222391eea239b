"""What the readers share: a look at the path before it is opened."""

from __future__ import annotations

from pathlib import Path


def check_is_file(who: str, path) -> None:
    """Raise ValueError if `path` is there but no file: a folder, or a pipe or device, which never end.

    >>> check_is_file("idx.read", "/")
    Traceback (most recent call last):
    ValueError: idx.read: path must name a file. Got '/', which is none. Pass the path of a file.
    """
    if Path(path).exists() and not Path(path).is_file():
        raise ValueError(
            f"{who}: path must name a file. Got {str(path)!r}, which is none. Pass the path of a file."
        )


def check_is_folder(who: str, path) -> None:
    """Raise ValueError unless `path` is a folder.

    >>> check_is_folder("ImageFolder", "no/such/folder")
    Traceback (most recent call last):
    ValueError: ImageFolder: path must name a folder. Got 'no/such/folder', which is none. Pass the path of \
a folder.
    """
    if not Path(path).is_dir():
        raise ValueError(
            f"{who}: path must name a folder. Got {str(path)!r}, which is none. Pass the path of a folder."
        )
