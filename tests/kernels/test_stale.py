"""Compiled kernels do not outlive the sources that they were made from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from numba import config

from minicnn.kernels import stale, tiles


@pytest.fixture
def sources(tmp_path):
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "rows.py").write_text("a = 1\n")
    (folder / "tiles.py").write_text("b = 2\n")
    return folder


@pytest.fixture
def compiled(tmp_path, sources):
    """A folder with an index that was written with these sources."""
    folder = tmp_path / "compiled"
    stale.forget(folder, sources)
    (folder / "tiles.walk-81.py311.nbi").write_bytes(b"index")
    return folder


def indexes(folder):
    return [path.name for path in folder.glob("*.nbi")]


def test_nothing_is_forgotten_while_nothing_changes(compiled, sources):
    stale.forget(compiled, sources)
    assert indexes(compiled) == ["tiles.walk-81.py311.nbi"]


def edit(folder):
    (folder / "rows.py").write_text("a = 10\n")


def touch(folder):
    os.utime(folder / "rows.py", ns=(0, 1))


def add(folder):
    (folder / "more.py").write_text("")


def remove(folder):
    (folder / "rows.py").unlink()


@pytest.mark.parametrize("change", [edit, touch, add, remove])
def test_any_change_of_any_source_forgets_all(change, compiled, sources):
    change(sources)
    stale.forget(compiled, sources)
    assert indexes(compiled) == []
    (compiled / "new.nbi").write_bytes(b"index")
    stale.forget(compiled, sources)  # and once is enough
    assert indexes(compiled) == ["new.nbi"]


def test_what_was_kept_before_there_were_notes_is_forgotten(compiled, sources):
    (compiled / stale.NOTE).unlink()
    stale.forget(compiled, sources)
    assert indexes(compiled) == []


def test_a_folder_that_cannot_be_written_stops_nobody(tmp_path, sources):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    stale.forget(blocked / "within", sources)


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
def test_the_kernels_have_their_note():
    folder = Path(tiles.walk._cache.cache_path)
    assert (folder / stale.NOTE).read_text() == stale.fingerprint(stale.SOURCES)
