"""Built-in sets that are fetched: against a server on this machine, with small files in the official formats."""

import gzip
import hashlib
import http.server
import os
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from gnomon.errors import DataError, DownloadError
from gnomon.sources import SourceSpec, open_source
from gnomon.sources.download import CIFAR10, MNIST, Published, Remote, cache_folder, fetched, open_builtin
from source_files import write_tar

CONTENT = os.urandom(600_000)


@dataclass
class Server:
    """What the server gives, how it misbehaves, and what it was asked for."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    sent: dict[str, list[int]] = field(default_factory=dict)
    ranges: list[str | None] = field(default_factory=list)
    knows_ranges: bool = True
    breaks_off: int = 0
    """So many answers end after half of their bytes."""

    def published(self, *names: str) -> Published:
        return Published(tuple(remote(name, self.files[name]) for name in names), (self.address,))

    def reply(self, name: str, wanted: str | None) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        self.ranges.append(wanted)
        body = self.files.get(name.lstrip("/"))
        if body is None:
            return 404, {}, b""
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.knows_ranges else 0
        if start and start >= len(body):
            return 416, {}, b""
        headers = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if start else {}
        return (206 if start else 200), headers, body[start:]


@pytest.fixture
def server() -> Iterator[Server]:
    told = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = told.reply(self.path, self.headers["Range"])
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if told.breaks_off:
                told.breaks_off -= 1
                body = body[: len(body) // 2]
            self.wfile.write(body)
            told.sent.setdefault(self.path.lstrip("/"), []).append(len(body))

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        told.address = f"http://127.0.0.1:{running.server_address[1]}/"
        yield told
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_given_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GNOMON_DATA", raising=False)


def remote(name: str, content: bytes) -> Remote:
    return Remote(name, len(content), hashlib.sha256(content).hexdigest())


def fetch(server: Server, folder: Path, expected: bytes = CONTENT) -> Path:
    return fetched(remote("x.bin", expected), (server.address,), folder, set_name="x")


def leftovers(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"x.bin.lock"}


# --- Downloading -----------------------------------------------------------------------------------------------------


def test_a_file_is_downloaded_once_and_its_progress_told(server: Server, tmp_path: Path) -> None:
    server.files["x.bin"] = CONTENT
    told: list[tuple[str, int, int]] = []
    for _ in range(2):
        path = fetched(
            remote("x.bin", CONTENT),
            (server.address,),
            tmp_path / "new" / "cache",
            set_name="x",
            progress=lambda *args: told.append(args),
        )
        assert path.read_bytes() == CONTENT
    assert server.ranges == [None]
    assert leftovers(path.parent) == {"x.bin"}
    assert told[-1] == ("x.bin", len(CONTENT), len(CONTENT))
    assert [received for _, received, _ in told] == sorted({received for _, received, _ in told})


def test_a_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.files["x.bin"] = CONTENT
    (tmp_path / "x.bin.part").write_bytes(CONTENT[:400_000])
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.ranges == ["bytes=400000-"]
    assert server.sent["x.bin"] == [200_000]


def test_a_server_that_knows_no_ranges_gives_all_again(server: Server, tmp_path: Path) -> None:
    server.files["x.bin"] = CONTENT
    server.knows_ranges = False
    (tmp_path / "x.bin.part").write_bytes(CONTENT[:400_000])
    assert fetch(server, tmp_path).read_bytes() == CONTENT


def test_a_whole_part_is_only_checked(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.bin.part").write_bytes(CONTENT)
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.ranges == []


def test_a_broken_beginning_is_thrown_away_and_fetched_anew(server: Server, tmp_path: Path) -> None:
    server.files["x.bin"] = CONTENT
    (tmp_path / "x.bin.part").write_bytes(b"\x00" * 400_000)
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.ranges == ["bytes=400000-", None]


def test_an_answer_that_breaks_off_is_continued(server: Server, tmp_path: Path) -> None:
    server.files["x.bin"] = CONTENT
    server.breaks_off = 2
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.sent["x.bin"] == [300_000, 150_000, 150_000]


def test_what_is_truncated_for_good_is_an_error_and_kept_to_go_on(server: Server, tmp_path: Path) -> None:
    server.files["x.bin"] = CONTENT
    server.breaks_off = 99
    with pytest.raises(DownloadError, match="ended after 300,000 of 600,000 bytes"):
        fetch(server, tmp_path)
    assert leftovers(tmp_path) == {"x.bin.part"}
    server.breaks_off = 0
    assert fetch(server, tmp_path).read_bytes() == CONTENT


def test_a_shorter_file_on_the_server_ends(server: Server, tmp_path: Path) -> None:
    server.files["x.bin"] = CONTENT[:1000]
    with pytest.raises(DownloadError, match="ended after 1,000 of 600,000 bytes"):
        fetch(server, tmp_path)
    assert len(server.ranges) <= 3


def test_other_bytes_are_never_kept(server: Server, tmp_path: Path) -> None:
    server.files["x.bin"] = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    with pytest.raises(DownloadError, match="gave other bytes than were published: SHA-256") as caught:
        fetch(server, tmp_path)
    assert remote("", CONTENT).sha256 in str(caught.value)
    assert leftovers(tmp_path) == set()
    assert len(server.ranges) == 1


def test_a_longer_file_is_not_taken(server: Server, tmp_path: Path) -> None:
    server.files["x.bin"] = CONTENT * 3
    most = 0

    def progress(name: str, received: int, size: int) -> None:
        nonlocal most
        most = max(most, received)

    with pytest.raises(DownloadError, match="more than 600,000 bytes"):
        fetched(remote("x.bin", CONTENT), (server.address,), tmp_path, set_name="x", progress=progress)
    assert most == len(CONTENT) + 1
    assert leftovers(tmp_path) == set()


def test_not_found_and_offline_say_what_to_do(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"x\.bin can't be downloaded: the server answers 404") as caught:
        fetch(server, tmp_path)
    assert "GNOMON_DATA" in caught.value.remedy
    assert str(tmp_path / "x.bin") in caught.value.remedy
    assert "600,000 bytes" in caught.value.remedy
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        server.address = f"http://127.0.0.1:{unused.getsockname()[1]}/"
    with pytest.raises(DownloadError, match="refused"):
        fetch(server, tmp_path)
    assert leftovers(tmp_path) == set()


def test_the_next_address_is_tried_and_all_failures_are_named(server: Server, tmp_path: Path) -> None:
    server.files["b/x.bin"] = CONTENT
    wanted = remote("x.bin", CONTENT)
    addresses = [f"{server.address}{folder}/" for folder in "ab"]
    assert fetched(wanted, addresses, tmp_path, set_name="x").read_bytes() == CONTENT
    server.files.clear()
    with pytest.raises(DownloadError) as caught:
        fetched(wanted, addresses, tmp_path / "other", set_name="x")
    assert len(caught.value.problems) == 2


def test_a_damaged_file_in_the_cache_is_fetched_again(server: Server, tmp_path: Path) -> None:
    server.files["x.bin"] = CONTENT
    (tmp_path / "x.bin").write_bytes(b"\x00" * len(CONTENT))
    assert fetch(server, tmp_path).read_bytes() == CONTENT


def test_a_cache_that_can_not_be_written_is_an_error(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DownloadError, match="can't be kept in"):
        fetch(server, tmp_path / "file" / "cache")


@pytest.mark.parametrize("place", ["x.bin", "x/x.bin"])
def test_the_users_own_folder_comes_first(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    path = tmp_path / "mine" / place
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    monkeypatch.setenv("GNOMON_DATA", str(tmp_path / "mine"))
    assert fetch(server, tmp_path / "cache") == path
    path.write_bytes(CONTENT[:10])
    with pytest.raises(DownloadError, match="is not the published file: 10 bytes, expected 600,000"):
        fetch(server, tmp_path / "cache")
    assert path.read_bytes() == CONTENT[:10], "the user's file is left alone"
    assert server.ranges == []


def test_where_files_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNOMON_CACHE", "/a")
    assert cache_folder() == Path("/a")
    monkeypatch.delenv("GNOMON_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert cache_folder() == Path("/b/gnomon/downloads")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache/gnomon/downloads"


def test_the_published_files_are_named_completely() -> None:
    for remote_file in (*CIFAR10.files, *MNIST.files):
        assert len(bytes.fromhex(remote_file.sha256)) == 32
        assert remote_file.size > 0
    assert all(
        address.startswith("https://") and address.endswith("/") for address in CIFAR10.addresses + MNIST.addresses
    )


# --- The formats -----------------------------------------------------------------------------------------------------


def idx(array: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.tobytes(), mtime=0)


def mnist_files(num_train: int = 4, num_test: int = 3) -> dict[str, bytes]:
    arrays = [
        np.arange(num_train * 28 * 28, dtype=np.uint64).astype(np.uint8).reshape(-1, 28, 28),
        np.array([3, 1, 3, 1], np.uint8),
        np.full((num_test, 28, 28), 7, np.uint8),
        np.array([1, 3, 1], np.uint8),
    ]
    return {remote_file.name: idx(array) for remote_file, array in zip(MNIST.files, arrays, strict=True)}


def test_mnist_is_read_from_idx(server: Server, tmp_path: Path) -> None:
    server.files = mnist_files()
    published = server.published(*server.files)
    source = open_builtin("mnist", published=published, cache=tmp_path)
    assert [(row.key, row.label, row.split) for row in source.rows] == [
        ("train/0", "3", "train"),
        ("train/1", "1", "train"),
        ("train/2", "3", "train"),
        ("train/3", "1", "train"),
        ("test/0", "1", "test"),
        ("test/1", "3", "test"),
        ("test/2", "1", "test"),
    ]
    expected = np.arange(784, 1568, dtype=np.uint64).astype(np.uint8).reshape(28, 28)
    assert np.array_equal(source.read(1), expected)
    assert np.array_equal(source.read(6), np.full((28, 28), 7))
    assert source.name == "mnist"
    assert open_builtin("mnist", published=published, cache=tmp_path).fingerprint == source.fingerprint


def cifar10_archive(tmp_path: Path, *, per_batch: int = 2, last: bytes = b"") -> bytes:
    names = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]
    planes = np.repeat(np.array([10, 20, 30], np.uint8), 1024)
    planes[1] = 99  # red of the second pixel of the first line
    records = b"".join(bytes([label]) + planes.tobytes() for label in (0, 9)[:per_batch])
    members = {f"cifar-10-batches-bin/{name}": records for name in names}
    members["cifar-10-batches-bin/test_batch.bin"] += last
    return write_tar(tmp_path / "made.tar.gz", members, "w:gz").read_bytes()


def test_cifar10_is_read_from_records(server: Server, tmp_path: Path) -> None:
    server.files["cifar-10-binary.tar.gz"] = cifar10_archive(tmp_path)
    source = open_builtin("cifar10", published=server.published("cifar-10-binary.tar.gz"), cache=tmp_path)
    assert [row.split for row in source.rows] == ["train"] * 10 + ["test"] * 2
    assert [row.label for row in source.rows[-2:]] == ["airplane", "truck"]
    image = source.read(11)
    assert image.shape == (32, 32, 3)
    assert image[0, :2].tolist() == [[10, 20, 30], [99, 20, 30]]
    assert image[1, 0].tolist() == [10, 20, 30]


@pytest.mark.parametrize(
    ("last", "problem"), [(b"x", "no multiple of 3,073"), (bytes([10]) + bytes(3072), "names a class 10")]
)
def test_cifar10_of_another_form_is_refused(server: Server, tmp_path: Path, last: bytes, problem: str) -> None:
    server.files["cifar-10-binary.tar.gz"] = cifar10_archive(tmp_path, last=last)
    with pytest.raises(DataError, match=problem):
        open_builtin("cifar10", published=server.published("cifar-10-binary.tar.gz"), cache=tmp_path)


def test_cifar10_without_a_batch_is_refused(server: Server, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x", {"data_batch_1.bin": bytes(3073)}, "w:gz")
    server.files["x"] = path.read_bytes()
    with pytest.raises(DataError, match=r"it lacks data_batch_2\.bin"):
        open_builtin("cifar10", published=server.published("x"), cache=tmp_path / "cache")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (gzip.compress(b"\x00\x00\x08\x01\x00\x00\x00\x04abc"), "holds 4 bytes, and holds less"),
        (gzip.compress(b"\x00\x00\x08\x01\x00\x00\x00\x04abcde"), "holds 4 bytes, and holds more"),
        (gzip.compress(b"\x00\x00\x08\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), "it says that it holds"),
        (gzip.compress(b"\x00\x00\x0d\x01"), "not as an idx file"),
        (gzip.compress(b"\x00\x00\x08\x03\x00"), "can't be read"),
        (b"no gzip", "can't be read"),
    ],
)
def test_an_idx_file_of_another_form_is_refused(server: Server, tmp_path: Path, content: bytes, problem: str) -> None:
    server.files = {**mnist_files(), "train-labels-idx1-ubyte.gz": content}
    with pytest.raises(DataError, match=problem):
        open_builtin("mnist", published=server.published(*server.files), cache=tmp_path)


def test_the_name_alone_finds_the_files_of_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"something else")
    monkeypatch.setenv("GNOMON_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DownloadError, match="is not the published file"):
        open_source(SourceSpec(location="mnist"))
