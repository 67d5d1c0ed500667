"""Bytes of a dataset on any storage: a folder, the Hub, a web server, or what fsspec knows.

Files are read whole or by ranges, from any number of threads. What was opened belongs to the
process that opened it, so that forked and spawned workers each open their own.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG
from typing import Any, Protocol, cast
from urllib.parse import quote

from kslds.errors import HubError, MissingFile, UsageError

_OPEN_FILES = 128
_TRIES = 4
_TIMEOUT_S = 30


class _Reader(Protocol):
    def read(self, name: str, start: int | None, size: int | None) -> bytes:
        """A range of a file; the whole file where start is None."""


class Storage:
    """The files below one address.

    Args:
        path: A folder, ``hf://datasets/org/name@tag``, ``https://…`` (a web server that answers
            ranges), ``s3://…`` or another address that fsspec knows.

    Raises:
        HubError: There is no such repository on the Hub.
        UsageError: Nothing that is installed opens such an address.
    """

    def __init__(self, path: str) -> None:
        self.is_local = "://" not in path and "::" not in path
        scheme, _, rest = path.partition("://")
        if not self.is_local and not (scheme and rest.strip("/")):
            raise UsageError(f"{path!r:.60} is not an address, such as s3://bucket/folder.")
        found = _hub_revision(path)
        self._root = str(Path(path).absolute()) if self.is_local else found.rstrip("/")
        self.path = _without_password(found)
        """For people."""
        self._opened: tuple[int, _Reader] | None = None
        self._reader()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "is_local": self.is_local, "_root": self._root}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _opened=None)

    def _reader(self) -> _Reader:
        opened = self._opened
        if opened is None or opened[0] != os.getpid():
            # Threads that come here at once may each open it; all but one are let go again.
            opened = self._opened = (os.getpid(), self._open())
        return opened[1]

    def _open(self) -> _Reader:
        if self.is_local:
            return _Folder(self._root)
        if re.match("https?://", self.path, re.IGNORECASE):
            return _Web(self._root)
        return _Fsspec(self._root)

    def read(self, name: str, *, start: int | None = None, size: int | None = None) -> bytes:
        """A file's bytes, or a range of them; fewer where the file ends before.

        Args:
            name: The file, relative to the address.
            start: First byte of the range; None for the whole file.
            size: Bytes of the range.

        Raises:
            MissingFile: There is no such file.
            HubError: A web server refuses, or does not answer ranges.
        """
        with self._there(name):
            return self._reader().read(name, start, size)

    def read_parts(self, name: str, spans: Iterable[tuple[int, int]]) -> list[bytes]:
        """Several ranges of a file, each by its first byte and its size, as `read` gives them."""
        with self._there(name):
            reader = self._reader()
            if isinstance(reader, _Folder):  # which costs less than so many calls
                return reader.parts(name, spans)
            return [reader.read(name, start, size) for start, size in spans]

    @contextmanager
    def _there(self, name: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise MissingFile(f"there is no {name} in {self.path}.") from error


class _Handle:
    """An open file that closes when nobody reads it any more."""

    def __init__(self, path: str) -> None:
        self.number = os.open(path, os.O_RDONLY)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        # Bound here, because modules are gone when the last files close at the end of a process.
        if hasattr(self, "number"):
            close(self.number)


class _Folder:
    def __init__(self, root: str) -> None:
        self._root = root
        self._handles: OrderedDict[str, _Handle] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, name: str, start: int | None, size: int | None) -> bytes:
        if start is None or size is None:
            return Path(self._root, name).read_bytes()
        return self.parts(name, [(start, size)])[0]

    def parts(self, name: str, spans: Iterable[tuple[int, int]]) -> list[bytes]:
        with self._lock:
            handle = self._handles.get(name)
            if handle is None:
                handle = self._handles[name] = _Handle(f"{self._root}/{name}")
                if len(self._handles) > _OPEN_FILES:
                    self._handles.popitem(last=False)
        return [os.pread(handle.number, size, start) for start, size in spans]


class _Fsspec:
    def __init__(self, path: str) -> None:
        import fsspec

        try:
            self._fs, self._root = fsspec.core.url_to_fs(path)
        except Exception as error:  # of any package that fsspec brings in
            at = _without_password(path)
            raise UsageError(
                f"{at!r} cannot be opened: {type(error).__name__}: {error!s:.200}."
            ) from error
        # A file of the Hub would fetch megabytes more than the range, in case they follow.
        self._options = {"cache_type": "none"} if path.startswith("hf://") else {}

    def read(self, name: str, start: int | None, size: int | None) -> bytes:
        path = f"{self._root}/{name}"
        end = None if start is None or size is None else start + size
        options = {} if end is None else {"start": start, "end": end, **self._options}
        try:
            return cast(bytes, self._fs.cat_file(path, **options))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise
        except Exception as error:  # of any package that fsspec brings in
            at = self._fs.unstrip_protocol(path)
            raise HubError(
                f"{at} cannot be read: {type(error).__name__}: {error!s:.200}.",
                hint="Check the address, and that you are signed in there.",
            ) from error


class _Web:
    """A plain web server; fsspec's own reader needs packages that nothing else here needs."""

    def __init__(self, root: str) -> None:
        import httpx2

        self._root = root
        self._client = httpx2.Client(follow_redirects=True, timeout=_TIMEOUT_S)
        self._failures = (httpx2.TransportError,)
        self._process = os.getpid()

    def __del__(self, process: Callable[[], int] = os.getpid) -> None:
        # In a forked process this would say goodbye on the connections of its parent. Bound here,
        # because modules are gone when the last clients close at the end of a process.
        if self._process == process():
            self._client.close()

    def read(self, name: str, start: int | None, size: int | None) -> bytes:
        ranged = start is not None and size is not None
        # Compressed bytes would be other bytes than the index counts.
        headers = {"Accept-Encoding": "identity"}
        if start is not None and size is not None:
            headers["Range"] = f"bytes={start}-{start + size - 1}"
        url = f"{self._root}/{quote(name)}"
        at = _without_password(url)
        for attempt in range(_TRIES):
            time.sleep(attempt * 0.5)
            last = attempt == _TRIES - 1
            try:
                with self._client.stream("GET", url, headers=headers) as answer:
                    status = answer.status_code
                    if status == (206 if ranged else 200):
                        return answer.read()
            except self._failures as error:
                if last:
                    raise HubError(f"{at} cannot be read: {error}.") from error
                continue
            if status in (404, 410):
                raise FileNotFoundError(at)
            if status == 200:
                raise HubError(
                    f"{at}: the server sends the whole file where a range was asked for.",
                    hint="Use a server that answers ranges, or download the dataset.",
                )
            if status < 500 and status != 429:
                break
        raise HubError(f"{at} cannot be read: the server answers {status}.")


def _without_password(address: str) -> str:
    """``scheme://name:password@host/…`` without the name and the password."""
    return re.sub(r"//[^/]*@", "//", address) if "://" in address else address


def _hub_revision(path: str) -> str:
    """``hf://datasets/org/name@tag`` with the tag resolved to a commit, once for all reads."""
    if not path.startswith("hf://"):
        return path
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    body = path.removeprefix("hf://").removeprefix("datasets/").rstrip("/")
    repo, _, revision = body.partition("@")
    if repo.count("/") != 1:
        raise UsageError(
            f"{path!r}: expected hf://datasets/org/name or hf://datasets/org/name@tag."
        )
    try:
        info = HfApi().dataset_info(repo, revision=revision or None)
    except (HfHubHTTPError, HFValidationError, httpx2.HTTPError, OSError) as error:
        raise HubError(
            f"{path} cannot be opened: {type(error).__name__}: {str(error).splitlines()[0]}",
            hint="Check the name; a gated dataset needs access and a login: hf auth login",
        ) from error
    return f"hf://datasets/{repo}@{info.sha}"


_ENTRY = re.compile(r"([0-9a-f]{2})/(\1[0-9a-f]*|\..*\.tmp)")
"""What a cache writes: a name of hex digits in a folder named by the first two."""


class Cache:
    """Bytes kept in a folder under the hash that names them; several processes may share it.

    Each entry is one file that appears whole or not at all. When all of them take more than
    `max_bytes`, those that were not read for longest are deleted. Each process looks at what is
    there when it has put a 64th of `max_bytes` since it last did: so N processes may together be
    over it by N / 64, and an entry each.

    Args:
        folder: Where the files lie; it is made when there is something to keep.
        max_bytes: How much to keep.
    """

    _LOOKS = 64

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self._folder = folder.absolute()
        self._max_bytes = max_bytes
        self._unseen = max_bytes  # nobody has looked yet

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / name

    def get(self, name: str) -> bytes | None:
        """What was put under a name, if it is still there."""
        path = self._path(name)
        try:
            data = path.read_bytes()
            os.utime(path)  # The time of the last reading decides what goes first.
        except OSError:
            return None
        return data

    def put(self, name: str, data: bytes) -> None:
        """Keep bytes under a name of hex digits."""
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        number, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
        try:
            with os.fdopen(number, "wb") as file:
                file.write(data)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        # Counted by several processes at once, so each looks now and then at what is there.
        self._unseen += len(data)
        if self._unseen * self._LOOKS > self._max_bytes:
            self._unseen = 0
            self._make_room()

    def _make_room(self) -> None:
        found = []
        for path in self._folder.glob("[0-9a-f][0-9a-f]/*"):
            with suppress(OSError):  # Another process may delete it meanwhile.
                status = path.lstat()
                # The folder may hold what is not the cache's. What a killed process left
                # half-written counts, and goes when it is old.
                if _ENTRY.fullmatch(f"{path.parent.name}/{path.name}") and S_ISREG(status.st_mode):
                    found.append((status.st_mtime_ns, path, status.st_size))
        total = sum(size for _, _, size in found)
        if total <= self._max_bytes:
            return
        for _, path, size in sorted(found):
            if total <= self._max_bytes * 9 // 10:
                break
            path.unlink(missing_ok=True)
            total -= size


def name_of(*hashes: bytes) -> str:
    """The name under which bytes with these hashes are cached together."""
    return hashlib.sha256(b"".join(hashes)).hexdigest()
