"""fetch and load, against a server on this machine that is honest, slow of wit, or hostile."""

import gzip
import hashlib
import http.server
import io
import os
import tarfile
import threading
from pathlib import Path

import pytest

from minicnn.data import download, load, sources, store
from minicnn.data.download import fetch, md5_of
from tests.data.files import cifar_bytes, memory_below, write_idx_folder
from tests.helpers import raises

CONTENT = bytes(range(256)) * 1000
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves what the path says; `server.files` for everything else."""

    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path.startswith("/missing"):
            self.send_error(404)
            return
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", "/good/" + self.path.removeprefix("/moved/"))
            self.end_headers()
            return
        content = self.server.files.get(Path(self.path).name, CONTENT)
        self.send_response(200)
        if self.path.startswith("/short"):
            self.send_header("Content-Length", str(len(content)))
            content = content[: len(content) // 2]
        self.end_headers()
        if self.path.startswith("/other"):
            content = bytes(reversed(content))
        try:
            self.wfile.write(content)
            while self.path.startswith("/endless"):
                self.wfile.write(bytes(2**16))
        except OSError:  # the client had enough
            self.server.cut_off = True

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def server(monkeypatch):
    """Return a server on the loopback interface; `server.url` is its address."""
    monkeypatch.setenv("no_proxy", "*")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.url = f"http://127.0.0.1:{running.server_address[1]}"
        running.files, running.asked, running.cut_off = {}, [], False
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def names_in(folder) -> list[str]:
    return sorted(path.name for path in Path(folder).rglob("*") if path.is_file())


@pytest.mark.parametrize("way", ["good", "moved"])
def test_a_whole_file(server, tmp_path, way):
    target = tmp_path / "new" / "folder" / "file"
    assert fetch([f"{server.url}/{way}/file"], target, len(CONTENT), MD5) == []
    assert target.read_bytes() == CONTENT
    assert names_in(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("missing", "HTTP Error 404: Not Found"),
        ("short", f"{len(CONTENT) // 2} of {len(CONTENT)} bytes"),
        ("other", "another content (its md5 is wrong)"),
        ("endless", f"more than the {len(CONTENT)} bytes that it should have"),
    ],
)
def test_a_bad_mirror_leaves_nothing_behind(server, tmp_path, way, reason):
    url = f"{server.url}/{way}/file"
    with memory_below(3 * 10**6):
        reasons = fetch([url], tmp_path / "file", len(CONTENT), MD5)
    assert reasons == [f"{url}: {reason}"]
    assert names_in(tmp_path) == []


def test_an_endless_answer_is_cut_off(server, tmp_path):
    fetch([f"{server.url}/endless/file"], tmp_path / "file", len(CONTENT), MD5)
    server.shutdown()
    server.server_close()  # waits for the thread that answers
    assert server.cut_off


def test_the_next_mirror_takes_over(server, tmp_path):
    urls = [f"{server.url}/{way}/file" for way in ("missing", "short", "other", "endless", "good", "never")]
    assert fetch(["http://127.0.0.1:9/file", *urls], tmp_path / "file", len(CONTENT), MD5) == []
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.asked == ["/missing/file", "/short/file", "/other/file", "/endless/file", "/good/file"]
    assert names_in(tmp_path) == ["file"]


def test_what_was_there_stays_if_nothing_better_comes(server, tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    fetch([f"{server.url}/short/file"], tmp_path / "file", len(CONTENT), MD5)
    assert (tmp_path / "file").read_bytes() == b"old"


def test_ctrl_c_leaves_nothing_behind(tmp_path, monkeypatch):
    class Interrupted(io.BytesIO):
        def read(self, size):
            if self.tell() > 0:
                raise KeyboardInterrupt
            return super().read(size)

    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: Interrupted(CONTENT))
    with pytest.raises(KeyboardInterrupt):
        fetch(["https://example.org/file"], tmp_path / "file", len(CONTENT), MD5)
    assert names_in(tmp_path) == []


def test_a_silent_server_is_not_waited_for_for_ever(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    answer = threading.Event()
    monkeypatch.setattr(Handler, "do_GET", lambda self: answer.wait(10))
    reasons = fetch([f"{server.url}/file"], tmp_path / "file", len(CONTENT), MD5)
    answer.set()
    assert reasons == [f"{server.url}/file: timed out"]


# load


@pytest.fixture
def mirrors(server, tmp_path, monkeypatch):
    """Let `mnist` and `cifar10` be small and come from the server; return a function that sets the ways."""
    monkeypatch.delenv("MINICNN_DATA", raising=False)
    monkeypatch.setattr(store, "cache_folder", lambda: tmp_path / "cache")
    original = write_idx_folder(tmp_path / "original", classes=10)
    server.files = {path.name: path.read_bytes() for path in original.iterdir()}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as packed:
        for number, name in enumerate(["batches.meta.txt", *sources.SOURCES["cifar10"].files]):
            content = cifar_bytes([number, number])
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    server.files[sources.ARCHIVE] = archive.getvalue()

    def serve(name: str, *ways: str) -> None:
        source = sources.SOURCES[name]
        known = {
            file: (len(server.files[file]), hashlib.md5(server.files[file]).hexdigest())
            for file in source.downloads
        }
        urls = tuple(f"{server.url}/{way}/" for way in ways)
        monkeypatch.setitem(sources.SOURCES, name, sources.Source(source.folder, urls, known, source.files))

    return serve


def test_mnist_is_downloaded_once(server, mirrors, tmp_path):
    mirrors("mnist", "missing", "good")
    train, test = load("mnist")
    assert (len(train), len(test)) == (6, 3)
    assert train.classes == tuple("0123456789")
    assert names_in(tmp_path / "cache") == sorted(sources.IDX_FILES)
    asked = len(server.asked)
    assert asked == 8  # four files, two mirrors
    load("mnist")
    assert len(server.asked) == asked


def test_what_has_come_already_is_not_fetched_again(server, mirrors, tmp_path):
    mirrors("mnist", "good")
    load("mnist", root=tmp_path / "mine")
    (tmp_path / "mine" / "mnist" / sources.IDX_FILES[2]).unlink()
    server.asked.clear()
    load("mnist", root=tmp_path / "mine")
    assert server.asked == [f"/good/{sources.IDX_FILES[2]}"]


def test_the_archive_is_unpacked_and_removed(mirrors, tmp_path):
    mirrors("cifar10", "good")
    train, test = load("cifar10")
    assert train.targets.tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert test.targets.tolist() == [6, 6]
    assert names_in(tmp_path / "cache") == sorted(sources.SOURCES["cifar10"].files)


def test_offline_is_one_clear_error(mirrors, server, tmp_path):
    mirrors("mnist", "missing", "short")
    folder, name = tmp_path / "cache" / "mnist", sources.IDX_FILES[0]
    length = len(server.files[name])
    with raises(
        ConnectionError,
        f"load: 'mnist' is not on this machine and must be downloaded. Got no whole {name!r} "
        f"({server.url}/missing/{name}: HTTP Error 404: Not Found; "
        f"{server.url}/short/{name}: {length // 2} of {length} bytes). "
        f"Go online, or put {', '.join(sources.IDX_FILES)} into {str(folder)!r}.",
    ):
        load("mnist")
    assert names_in(tmp_path / "cache") == []


# The archive


def packed(members: dict[str, bytes | tarfile.TarInfo]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            member = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            body = b"" if isinstance(content, tarfile.TarInfo) else content
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return buffer.getvalue()


def test_nothing_but_the_named_files_leaves_the_archive(tmp_path):
    link = tarfile.TarInfo("x/b.bin")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    folder = tmp_path / "inner"
    folder.mkdir()
    (folder / "a.tar.gz").write_bytes(packed({"../../a.bin": b"fine", "../evil": b"no", "x/b.bin": link}))
    with raises(
        ValueError,
        f"load: {str(folder / 'a.tar.gz')!r} must hold the files of CIFAR-10. Got none called b.bin. "
        "Remove it and load again.",
    ):
        store.unpack(folder / "a.tar.gz", ["a.bin", "b.bin"])
    assert names_in(tmp_path) == ["a.bin", "a.tar.gz"]
    assert (folder / "a.bin").read_bytes() == b"fine"


def test_a_member_that_is_too_long(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(packed({"a.bin": bytes(30730001)}))
    with pytest.raises(ValueError, match=r"Got none called a\.bin"):
        store.unpack(tmp_path / "a.tar.gz", ["a.bin"])
    assert names_in(tmp_path) == ["a.tar.gz"]


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", gzip.compress(b"no archive"), packed({"a.bin": cifar_bytes([1])})[:2000]],
    ids=["empty", "text", "no tar inside", "cut off"],
)
def test_a_damaged_archive(tmp_path, content):
    (tmp_path / "a.tar.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"must hold the files of CIFAR-10\. Got a damaged archive"):
        store.unpack(tmp_path / "a.tar.gz", ["a.bin"])
    assert names_in(tmp_path) == ["a.tar.gz"]


# The table


def test_sources_are_complete():
    for name, source in sources.SOURCES.items():
        assert len(source.mirrors) >= 2, name
        assert all(mirror.endswith("/") for mirror in source.mirrors)
        assert sum(mirror.startswith("https://") for mirror in source.mirrors) >= 2
        for length, md5 in source.downloads.values():
            assert length > 0
            assert len(bytes.fromhex(md5)) == 16


def test_md5_and_lengths_of_mnist(tmp_path):
    folder = Path(os.environ.get("MINICNN_DATA", ""), "mnist")
    if not (folder / sources.IDX_FILES[0]).is_file():
        pytest.skip("MINICNN_DATA names no folder with mnist")
    for name, (length, md5) in sources.SOURCES["mnist"].downloads.items():
        assert (folder / name).stat().st_size == length
        assert md5_of(folder / name) == md5
