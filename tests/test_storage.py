"""Reading from anywhere: folders, web servers, what fsspec knows; and the cache on disk."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import pickle
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

import kslds
from kslds import storage
from kslds.errors import CorruptData, HubError, IncompleteDataset, MissingFile, UsageError
from kslds.storage import Cache, Storage
from tests.shard_tools import sample, write_shards


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(
        tmp_path_factory.mktemp("shards"), [sample(f"c{n}", number=10 * n) for n in range(12)]
    )


class Server(ThreadingHTTPServer):
    """A plain web server over a folder, with ranges and faults."""

    root: Path
    ranges = True
    failures = 0
    asked: list[str]


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.server.asked.append(self.headers.get("Range") or "")
        path = self.server.root / self.path.lstrip("/")
        if self.server.failures:
            self.server.failures -= 1
            return self._answer(503, b"later")
        if not path.is_file():
            return self._answer(404, b"no")
        data = path.read_bytes()
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        if wanted and self.server.ranges:
            return self._answer(206, data[int(wanted[1]) : int(wanted[2]) + 1])
        return self._answer(200, data)

    def _answer(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


@contextmanager
def serving(root: Path, handler: type[_Handler]) -> Iterator[Server]:
    with Server(("127.0.0.1", 0), handler) as server:
        server.root, server.asked = root, []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def web(root: Path) -> Iterator[Server]:
    with serving(root, _Handler) as server:
        yield server


def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def read_all(path: str | Path, **options: Any) -> dict[str, bytes]:
    return {s["key"]: s["video"].tobytes() for s in kslds.load(path, num_frames=2, **options)}


def test_a_web_server_and_fsspec_give_what_a_folder_gives(root: Path, web: Server) -> None:
    local = read_all(root)
    assert len(set(local.values())) == 12
    assert read_all(address(web), shuffle=True) == local
    assert sum(1 for asked in web.asked if asked) == 12  # every sample by its range
    memory = fsspec.filesystem("memory")
    memory.put(str(root / "shards"), "/ds/shards", recursive=True)
    assert read_all("memory://ds") == local
    assert list(read_all("memory://ds", shuffle=True)) == list(read_all(root, shuffle=True))


def test_fields_from_afar_take_a_request_or_two_a_shard(root: Path, web: Server) -> None:
    stream = kslds.load(address(web), num_frames=2, where="clip_id != 'c3'", balance="gloss_id")
    assert [f["key"] for f in stream.fields()] == [f"c{n}" for n in range(12) if n != 3]
    assert sum(1 for asked in web.asked if asked) == 1  # of the first, which tells the columns
    assert len(web.asked) <= 4 + 3 * 2  # with an index for each of two passes over three shards


def test_a_web_server_may_stumble(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    web.failures = 2
    assert len(Storage(address(web)).read("shards/jpeg/index.json")) > 100
    web.failures = 99
    with pytest.raises(HubError, match="the server answers 503"):
        Storage(address(web)).read("shards/jpeg/index.json")


def test_a_web_server_s_refusals_are_clear(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with pytest.raises(IncompleteDataset, match="no finished shards"):
        kslds.load(f"{address(web)}/elsewhere")
    web.ranges = False
    with pytest.raises(HubError, match="whole file where a range was asked for"):
        read_all(address(web))
    with pytest.raises(HubError, match="cannot be read"):
        kslds.load("http://127.0.0.1:1/ds")


class _Bucket(_Handler):
    """As S3 answers: a bucket called "lab", and another that is closed."""

    def do_GET(self) -> None:
        if self.path.startswith("/closed/"):
            return self._refuse(403, "AccessDenied")
        self.path = self.path.partition("?")[0].removeprefix("/lab/ds")
        return super().do_GET()

    def _answer(self, status: int, data: bytes) -> None:
        return self._refuse(404, "NoSuchKey") if status == 404 else super()._answer(status, data)

    do_HEAD = do_GET

    def _refuse(self, status: int, code: str) -> None:
        super()._answer(status, f"<Error><Code>{code}</Code></Error>".encode())


def test_a_bucket_of_s3_gives_what_a_folder_gives(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("s3fs")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with serving(root, _Bucket) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address(server))
        assert read_all("s3://lab/ds", shuffle=True) == read_all(root)
        assert sum(1 for asked in server.asked if asked) == 12  # every sample by its range
        with pytest.raises(IncompleteDataset, match="no finished shards"):
            kslds.load("s3://lab/elsewhere")
        with pytest.raises(
            HubError, match=r"^s3://closed/ds/shards/.* cannot be read: PermissionError"
        ):
            kslds.load("s3://closed/ds")


def test_a_password_is_not_repeated(web: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with pytest.raises(IncompleteDataset) as refused:
        kslds.load(address(web).replace("//", "//user:secret@") + "/elsewhere")
    assert "secret" not in str(refused.value)
    for failures, options in ((99, {}), (0, {"shuffle": True})):
        web.failures, web.ranges = failures, False
        with pytest.raises(HubError) as failed:
            read_all(address(web).replace("//", "//user:secret@"), **options)
        assert "127.0.0.1" in str(failed.value)
        assert "secret" not in str(failed.value)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("nosuch://bucket/ds", "'nosuch://bucket/ds' cannot be opened: ValueError: Protocol not"),
        ("generic://bad", "'generic://bad' cannot be opened: TypeError"),
        ("ftp://user:secret@127.0.0.1:1/x", "'ftp://127.0.0.1:1/x' cannot be opened: .*refused"),
        ("s3://", "'s3://' is not an address"),
        ("://x", "'://x' is not an address"),
    ],
)
def test_an_address_that_nothing_opens_is_refused(address: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        kslds.load(address)


def test_the_hub_may_be_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(HubError, match="hf://datasets/a/b cannot be opened: ConnectError"):
        kslds.load("hf://datasets/a/b")


def test_ranges_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(bytes(range(100)))
    files = Storage(str(tmp_path))
    assert files.read("f", start=90, size=5) == bytes(range(90, 95))
    assert files.read("f", start=98, size=50) == bytes([98, 99])
    assert len(files.read("f")) == 100
    with pytest.raises(MissingFile, match="there is no g"):
        files.read("g", start=0, size=1)
    copy = pickle.loads(pickle.dumps(files))  # noqa: S301
    assert copy.read("f", start=1, size=1) == b"\1"


def test_few_files_are_held_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_OPEN_FILES", 3)
    files = Storage(str(tmp_path))
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        pytest.skip("this system does not list open files")
    before = len(list(descriptors.iterdir()))
    for number in range(20):
        (tmp_path / f"{number}").write_bytes(b"x" * number)
        assert len(files.read(f"{number}", start=0, size=99)) == number
    assert len(list(descriptors.iterdir())) <= before + 3


# --------------------------------------------------------------------------- the cache


def test_what_was_read_once_is_not_fetched_again(web: Server, tmp_path: Path) -> None:
    first = read_all(address(web), cache=tmp_path / "cache")
    asked = len(web.asked)
    assert read_all(address(web), cache=tmp_path / "cache") == first
    assert (
        len(web.asked) == asked + 5
    )  # index.json, of h264 in vain, and the indexes of three shards
    names = [p.name for p in (tmp_path / "cache").glob("*/*")]
    assert len(names) == 12
    assert not [name for name in names if name.endswith(".tmp")]


def test_damage_in_the_cache_is_repaired(root: Path, tmp_path: Path) -> None:
    first = read_all(root, cache=tmp_path)
    for number, path in enumerate(sorted(tmp_path.glob("*/*"))):
        path.write_bytes(path.read_bytes()[: 100 * (number % 3)])
    assert read_all(root, cache=tmp_path) == first
    kept = {path: path.read_bytes() for path in tmp_path.glob("*/*")}
    assert min(map(len, kept.values())) > 1000


def test_damage_in_the_source_is_not_kept(root: Path, tmp_path: Path) -> None:
    copy = write_shards(tmp_path / "ds", [sample("c0")])
    tar = copy / "shards" / "jpeg" / "train-00000.tar"
    data = bytearray(tar.read_bytes())
    data[700] ^= 1
    tar.write_bytes(data)
    with pytest.raises(CorruptData):
        read_all(copy, cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*/*"))


def test_what_was_not_read_for_longest_goes_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "c", max_bytes=10_000)
    names = [f"{n:02x}" * 32 for n in range(12)]
    for number, name in enumerate(names):
        cache.put(name, bytes(1000))
        path = tmp_path / "c" / name[:2] / name
        os.utime(path, ns=(number, number))
        if number == 5:
            assert cache.get(names[0]) == bytes(1000)  # read just now
    there = [
        number for number, name in enumerate(names) if (tmp_path / "c" / name[:2] / name).exists()
    ]
    assert 0 in there
    assert 1 not in there
    assert 11 in there
    assert len(there) <= 10
    assert cache.get("ff" * 32) is None


def _fill(folder: str, seed: int) -> None:
    cache = Cache(Path(folder), max_bytes=200_000)
    rng = np.random.Generator(np.random.PCG64(seed))
    for n in rng.integers(0, 60, size=300).tolist():
        name, data = f"{n:064x}", bytes([n]) * (5000 + n)
        found = cache.get(name)
        if found is not None and found != data:
            raise SystemExit(1)
        cache.put(name, data)


def test_several_processes_share_a_cache(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_fill, args=(str(tmp_path), n)) for n in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    files = list(tmp_path.glob("*/*"))
    assert files
    assert not [f for f in files if f.name.endswith(".tmp")]


@pytest.mark.parametrize("size", [0, -1, "1", float("nan"), 1e9])
def test_a_cache_needs_a_size(root: Path, tmp_path: Path, size: Any) -> None:
    with pytest.raises(UsageError, match="cache_gb="):
        kslds.load(root, cache=tmp_path, cache_gb=size)


def test_an_interpreter_ends_quietly_with_clients_open(web: Server) -> None:
    program = (
        "import sys, kslds\n"
        "stream = kslds.load(sys.argv[1], num_frames=1, batch_size=2)\n"
        "iterator = iter(stream)\n"
        "batch = next(iterator)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, address(web)], capture_output=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("size", [700, 30_000])
def test_a_cache_keeps_to_its_bound_while_several_fill_it(tmp_path: Path, size: int) -> None:
    bound, sharing = 200_000, [Cache(tmp_path, max_bytes=200_000) for _ in range(4)]
    most = 0
    for number in range(600):
        cache = sharing[number % 4]
        cache.put(hashlib.sha256(b"%d" % number).hexdigest(), bytes(size))
        most = max(most, sum(path.stat().st_size for path in tmp_path.glob("*/*")))
    assert bound * 0.8 < most <= bound * (1 + 4 / 64) + 4 * size


def test_a_cache_is_made_smaller_by_who_wants_less(tmp_path: Path) -> None:
    for number in range(20):
        Cache(tmp_path, max_bytes=10**6).put(
            hashlib.sha256(b"%d" % number).hexdigest(), bytes(9000)
        )
    Cache(tmp_path, max_bytes=50_000).put("ab" * 32, bytes(9000))
    assert sum(path.stat().st_size for path in tmp_path.glob("*/*")) <= 50_000


def test_a_cache_deletes_nothing_but_its_own(tmp_path: Path) -> None:
    others = [tmp_path / "photos" / "a.jpg", tmp_path / "ab" / "b.jpg", tmp_path / "cd" / "abcd"]
    for path in others:
        path.parent.mkdir()
        path.write_bytes(bytes(5000))
    (tmp_path / "ab" / "abc").mkdir()
    (tmp_path / "ab" / "abd").symlink_to(others[0])
    cache = Cache(tmp_path, max_bytes=3000)
    for number in range(10):
        cache.put(hashlib.sha256(b"%d" % number).hexdigest(), bytes(1000))
    assert all(path.is_file() for path in others)
    assert (tmp_path / "ab" / "abc").is_dir()
    assert (tmp_path / "ab" / "abd").is_symlink()
    own = [path for path in tmp_path.glob("*/*") if len(path.name) == 64]
    assert 1 <= len(own) <= 3
