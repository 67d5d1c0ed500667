"""A Hugging Face Hub on this machine: the protocol that `huggingface_hub` 2.x speaks.

It serves dataset repositories over a socket, with commits, branches, tags, gating,
Git LFS and Xet uploads, ranged downloads, and faults on demand. Everything is kept in
memory and gone when it stops.

::

    with serving() as hub:
        subprocess.run([...], env={**os.environ, **hub.environment()})
        assert "README.md" in hub.repos["org/name"].head.files

By hand: ``python hub_server.py [PORT]`` prints the environment to set, then serves.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import http.server
import json
import re
import socket
import struct
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

OWNER, STRANGER = "hf_owner_of_the_repository", "hf_somebody_without_access"
ANYONE = "the local Xet store asks for no token"
DATE = "2026-01-01T00:00:00.000Z"
LFS_SUFFIXES = (".tar", ".parquet", ".mp4", ".zip", ".npz")
# What the Hub's own error message lists for `license`, shortened to data and text licences.
LICENSES = re.findall(
    r"\S+",
    """
    apache-2.0 mit bsd-3-clause cc cc0-1.0 cc-by-2.0 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0
    cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0
    cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0
    cdla-permissive-2.0 odc-by odbl pddl unlicense gfdl unknown other
    """,
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file of a commit. An LFS file's bytes lie in `Hub.objects`, under `lfs`."""

    oid: str
    size: int
    lfs: str | None = None
    data: bytes = b""

    def info(self, path: str) -> dict[str, Any]:
        lfs = {"lfs": {"oid": self.lfs, "size": self.size, "pointerSize": 130}} if self.lfs else {}
        return {"type": "file", "oid": self.oid, "size": self.size, "path": path, **lfs}


@dataclass(frozen=True, kw_only=True)
class Commit:
    oid: str
    title: str
    parent: str | None
    files: dict[str, Entry]


@dataclass(kw_only=True)
class Repo:
    id: str
    private: bool = False
    gated: str | bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def head(self) -> Commit:
        return self.commits[self.branches["main"]]

    def find(self, revision: str) -> Commit:
        oid = self.branches.get(revision) or self.tags.get(revision)
        if oid is None and re.fullmatch(r"[0-9a-f]{7,40}", revision):
            oid = next((known for known in self.commits if known.startswith(revision)), None)
        if oid is None:
            raise Refusal(404, "Invalid rev id", code="RevisionNotFound")
        return self.commits[oid]

    def commit(self, title: str, files: dict[str, Entry], *, branch: str = "main") -> Commit:
        parent = self.branches.get(branch)
        listed = sorted((path, entry.oid) for path, entry in files.items())
        content = json.dumps([len(self.commits), title, parent, listed])
        oid = hashlib.sha1((self.id + content).encode(), usedforsecurity=False).hexdigest()
        self.commits[oid] = Commit(oid=oid, title=title, parent=parent, files=files)
        self.branches[branch] = oid
        return self.commits[oid]

    @property
    def history(self) -> list[Commit]:
        """The commits of `main`, oldest first."""
        chain, oid = [], self.branches.get("main")
        while oid is not None:
            chain.append(self.commits[oid])
            oid = self.commits[oid].parent
        return chain[::-1]


@dataclass(kw_only=True)
class Fault:
    """The next `times` requests that match are dropped (`status` None) or refused."""

    pattern: str
    times: int
    status: int | None


class Refusal(Exception):
    """An answer other than success."""

    def __init__(self, status: int, message: str, *, code: str | None = None, **body: Any) -> None:
        super().__init__(message)
        self.status, self.message, self.body = status, message, {"error": message, **body}
        self.headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}


class Hub:
    """The state of the Hub, and the server in front of it."""

    def __init__(self, *, namespaces: tuple[str, ...] = ("org",)) -> None:
        self.namespaces = namespaces
        self.cas = tempfile.TemporaryDirectory(prefix="hub_cas_")
        self.lock = threading.RLock()
        self._server: _Server | None = None
        self.port = 0
        self.reset()

    def reset(self) -> None:
        """Forget everything but what the Xet store holds."""
        self.repos: dict[str, Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.after_commit: Callable[[Repo], None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self, *, token: str | None = OWNER, xet: bool = False) -> dict[str, str]:
        """What a client's environment needs to talk to this server."""
        variables = {"HF_ENDPOINT": self.url, "HF_HUB_DISABLE_TELEMETRY": "1"}
        variables |= {"HF_HUB_DISABLE_XET": "" if xet else "1"}
        return variables | ({"HF_TOKEN": token} if token else {})

    def start(self, port: int = 0) -> None:
        """Serve, in a thread; after `stop` on the same port, with everything still there."""
        self._server = _Server(self, port or self.port)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Stop serving; connections are cut and new ones refused."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def fail(self, pattern: str, *, times: int = 1, status: int | None = 500) -> None:
        """Refuse, or drop, the next requests whose ``METHOD /path`` matches the pattern."""
        self.faults.append(Fault(pattern=pattern, times=times, status=status))

    def fault(self, request: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.pattern, request):
                    fault.times -= 1
                    return fault
        return None

    def content(self, entry: Entry) -> bytes:
        """A file's bytes; those uploaded through Xet are fetched from its store once."""
        if entry.lfs is None:
            return entry.data
        if entry.lfs not in self.objects:
            self.objects[entry.lfs] = self._from_xet(entry)
        return self.objects[entry.lfs]

    # Xet: the client writes chunks to a store of its own, here a folder (`local://`). The
    # store's index, in files named *.mdb, says which Xet hash belongs to which SHA-256.

    def xet_hash(self, sha256: str) -> str | None:
        """The Xet hash of a file in the store, by its SHA-256.

        A file's record in the index is a header of 48 bytes (hash, flags, number of
        segments), 48 bytes for each segment (twice where bit 31 says that they are
        verified), then its SHA-256 (where bit 30 says so). Hashes are stored as four
        little-endian 64-bit words.
        """
        needle = _swap_words(bytes.fromhex(sha256))
        for path in sorted(Path(self.cas.name).glob("xet/xorbs/shards/*.mdb")):
            data = path.read_bytes()
            at = data.find(needle)
            while at >= 0:
                for start in range(at - 96, -1, -48):
                    flags, segments = struct.unpack_from("<II", data, start + 32)
                    length = 48 * (1 + segments * (1 + (flags >> 31)))
                    if segments and flags >> 30 & 1 and start + length == at:
                        return _swap_words(data[start : start + 32]).hex()
                at = data.find(needle, at + 1)
        return None

    def _from_xet(self, entry: Entry) -> bytes:
        import hf_xet

        info = hf_xet.XetFileInfo(self.xet_hash(entry.lfs or ""), entry.size)
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "file"
            with hf_xet.XetSession().new_file_download_group(
                endpoint=f"local://{self.cas.name}", token=ANYONE, token_expiry_unix_secs=2**33
            ) as group:
                group.start_download_file(info, str(target))
            return target.read_bytes()


def _swap_words(data: bytes) -> bytes:
    return b"".join(data[at : at + 8][::-1] for at in range(0, len(data), 8))


def git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def regular(data: bytes) -> Entry:
    return Entry(oid=git_oid(data), size=len(data), data=data)


@contextmanager
def serving(**options: Any) -> Iterator[Hub]:
    """A Hub on a free port, for the time of the block."""
    hub = Hub(**options)
    hub.start()
    try:
        yield hub
    finally:
        hub.stop()
        hub.cas.cleanup()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, hub: Hub, port: int) -> None:
        self.hub = hub
        self.open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def server_close(self) -> None:
        super().server_close()
        for connection in list(self.open):
            _cut(connection)


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other side was faster


Answer = tuple[int, Any, dict[str, str]]
_ROUTES: list[tuple[re.Pattern[str], Callable[..., Answer | Any]]] = []
_REPO = r"(?P<repo>[^/]+/[^/]+)"


def route(pattern: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function for ``METHOD /path``; named groups become its arguments."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        expression = pattern.replace("{repo}", _REPO).replace("{rev}", "(?P<rev>[^/]+)")
        _ROUTES.append((re.compile(expression), function))
        return function

    return register


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server.open.add(self.connection)

    def finish(self) -> None:
        self.server.open.discard(self.connection)
        super().finish()

    def log_message(self, *_: Any) -> None:
        """Say nothing; `Hub.requests` is the log."""

    def answer(self) -> None:
        hub = self.hub = self.server.hub
        split = urllib.parse.urlsplit(self.path)
        self.query = urllib.parse.parse_qs(split.query)
        request = f"{self.command} {split.path}"
        self.body = self._read_body()
        hub.requests.append(request)
        fault = hub.fault(request)
        if fault is not None and fault.status is None:
            _cut(self.connection)
            self.close_connection = True
            return
        try:
            if fault is not None:
                raise Refusal(fault.status or 500, "the test asked for this")
            with hub.lock:
                status, body, headers = self._dispatch(request)
        except Refusal as refusal:
            status, body, headers = refusal.status, refusal.body, refusal.headers
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers = {"Content-Type": "application/json", **headers}
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

    def _dispatch(self, request: str) -> Answer:
        for pattern, function in _ROUTES:
            match = pattern.fullmatch(request)
            if match:
                arguments = {k: urllib.parse.unquote(v) for k, v in match.groupdict("").items()}
                if "repo" in arguments:
                    arguments["repo"] = self._repo(arguments["repo"])  # type: ignore[assignment]
                answer = function(self, **arguments)
                return answer if isinstance(answer, tuple) else (200, answer, {})
        raise Refusal(404, f"no such endpoint: {request}", code="EntryNotFound")

    def _read_body(self) -> bytes:
        if "chunked" not in (self.headers.get("Transfer-Encoding") or ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().strip(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    # who asks

    @property
    def token(self) -> str | None:
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None

    def _repo(self, repo_id: str) -> Repo:
        repo = self.hub.repos.get(repo_id)
        if repo is None or (repo.private and self.token != OWNER):
            # As on the Hub, a stranger cannot tell a private repository from a missing one.
            status = 404 if self.token in (OWNER, STRANGER) else 401
            raise Refusal(status, "Repository not found", code="RepoNotFound")
        return repo

    def may_write(self) -> None:
        if self.token not in (OWNER, STRANGER):
            raise Refusal(401, "Invalid username or password.")
        if self.token != OWNER:
            raise Refusal(403, "You don't have the rights to write to this repository")

    def may_read(self, repo: Repo) -> None:
        if repo.gated and self.token != OWNER:
            status = 403 if self.token == STRANGER else 401
            raise Refusal(status, f"Access to dataset {repo.id} is restricted.", code="GatedRepo")


# repositories


@route(r"GET /api/whoami-v2")
def whoami(request: _Handler) -> Any:
    request.may_write()
    orgs = [{"type": "org", "name": name} for name in request.hub.namespaces]
    return {"type": "user", "name": "owner", "orgs": orgs, "auth": {}}


@route(r"POST /api/repos/create")
def create(request: _Handler) -> Any:
    request.may_write()
    asked = json.loads(request.body)
    repo_id = f"{asked.get('organization') or 'owner'}/{asked['name']}"
    url = f"{request.hub.url}/datasets/{repo_id}"
    if repo_id in request.hub.repos:
        raise Refusal(409, "You already created this dataset repo", url=url)
    if repo_id.split("/")[0] not in request.hub.namespaces:
        raise Refusal(403, "You don't have the rights to create a dataset under this namespace")
    repo = Repo(id=repo_id, private=asked.get("visibility") == "private")
    rules = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_SUFFIXES)
    repo.commit("initial commit", {".gitattributes": regular(rules.encode())})
    request.hub.repos[repo_id] = repo
    return {"url": url, "name": repo_id}


@route(r"PUT /api/datasets/{repo}/settings")
def settings(request: _Handler, repo: Repo) -> Any:
    request.may_write()
    asked = json.loads(request.body)
    repo.gated = asked.get("gated", repo.gated)
    if "visibility" in asked:
        repo.private = asked["visibility"] == "private"
    return {"gated": repo.gated, "private": repo.private}


@route(r"GET /api/datasets/{repo}(/revision/{rev})?")
def info(request: _Handler, repo: Repo, rev: str) -> Any:
    commit = repo.find(rev or "main")
    return {
        "_id": repo.id,
        "id": repo.id,
        "author": repo.id.split("/")[0],
        "sha": commit.oid,
        "private": repo.private,
        "gated": repo.gated,
        "disabled": False,
        "createdAt": DATE,
        "lastModified": DATE,
        "tags": [],
        "downloads": 0,
        "likes": 0,
        "siblings": [{"rfilename": path} for path in sorted(commit.files)],
    }


@route(r"GET /api/datasets/{repo}/refs")
def refs(request: _Handler, repo: Repo) -> Any:
    def listed(kind: str, names: dict[str, str]) -> list[dict[str, str]]:
        return [
            {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": oid}
            for name, oid in names.items()
        ]

    return {
        "branches": listed("heads", repo.branches),
        "tags": listed("tags", repo.tags),
        "converts": [],
        "pullRequests": [],
    }


@route(r"GET /api/datasets/{repo}/commits/{rev}")
def commits(request: _Handler, repo: Repo, rev: str) -> Any:
    listed, oid = [], repo.find(rev).oid
    while oid:
        commit = repo.commits[oid]
        entry = {"id": commit.oid, "title": commit.title, "message": "", "date": DATE}
        listed.append({**entry, "authors": [{"user": "owner"}]})
        oid = commit.parent or ""
    return listed


@route(r"(?P<method>POST|DELETE) /api/datasets/{repo}/(?P<kind>tag|branch)/(?P<name>[^/]+)")
def reference(request: _Handler, method: str, repo: Repo, kind: str, name: str) -> Any:
    request.may_write()
    names = repo.tags if kind == "tag" else repo.branches
    if method == "DELETE":
        if name not in names:
            raise Refusal(404, f"no {kind} {name!r}", code="RevisionNotFound")
        del names[name]
        return {}
    asked = json.loads(request.body or b"{}")
    new, revision = (asked["tag"], name) if kind == "tag" else (name, asked.get("startingPoint"))
    if new in names:
        raise Refusal(409, f"Reference {new!r} already exists")
    names[new] = repo.find(revision or "main").oid
    return {}


# uploads


@route(r"POST /api/validate-yaml")
def validate_yaml(request: _Handler) -> Any:
    text = json.loads(request.body)["content"]
    block = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    card = yaml.safe_load(block[1]) if block else {}
    licences = card.get("license", "unknown")
    errors = [
        {"message": f'"license" must be one of {LICENSES}, not {licence!r}'}
        for licence in (licences if isinstance(licences, list) else [licences])
        if licence not in LICENSES
    ]
    errors += [
        {"message": f'"language" must be an ISO 639 code, not {code!r}'}
        for code in card.get("language", [])
        if not (isinstance(code, str) and re.fullmatch(r"[a-z]{2,3}|code|multilingual", code))
    ]
    return (400 if errors else 200), {"errors": errors, "warnings": []}, {}


@route(r"POST /api/datasets/{repo}/preupload/{rev}")
def preupload(request: _Handler, repo: Repo, rev: str) -> Any:
    request.may_write()
    commit = repo.find(rev)
    files = []
    for asked in json.loads(request.body)["files"]:
        known = commit.files.get(asked["path"])
        files.append(
            {
                "path": asked["path"],
                "uploadMode": "lfs" if asked["path"].endswith(LFS_SUFFIXES) else "regular",
                "shouldIgnore": False,
                "oid": (known.lfs or known.oid) if known else None,
            }
        )
    return {"files": files, "commitOid": commit.oid}


@route(r"POST /datasets/{repo}\.git/info/lfs/objects/batch")
def lfs_batch(request: _Handler, repo: Repo) -> Any:
    request.may_write()
    objects = []
    for asked in json.loads(request.body)["objects"]:
        answer = {"oid": asked["oid"], "size": asked["size"]}
        if asked["oid"] not in request.hub.objects:
            base = f"{request.hub.url}/_lfs/{asked['oid']}"
            answer["actions"] = {"upload": {"href": base}, "verify": {"href": f"{base}/verify"}}
        objects.append(answer)
    return {"transfer": "basic", "objects": objects}


@route(r"PUT /_lfs/(?P<oid>[0-9a-f]{64})")
def lfs_put(request: _Handler, oid: str) -> Any:
    if hashlib.sha256(request.body).hexdigest() != oid:
        raise Refusal(400, "the bytes do not match their hash")
    request.hub.objects[oid] = request.body
    return {}


@route(r"POST /_lfs/(?P<oid>[0-9a-f]{64})/verify")
def lfs_verify(request: _Handler, oid: str) -> Any:
    request.may_write()
    if oid not in request.hub.objects:
        raise Refusal(404, "no such object")
    return {}


@route(r"GET /api/datasets/{repo}/xet-(?P<kind>read|write)-token/{rev}")
def xet_token(request: _Handler, repo: Repo, kind: str, rev: str) -> Any:
    request.may_write() if kind == "write" else request.may_read(repo)
    url, expires = f"local://{request.hub.cas.name}", int(time.time()) + 3600
    headers = {
        "X-Xet-Cas-Url": url,
        "X-Xet-Access-Token": ANYONE,
        "X-Xet-Token-Expiration": str(expires),
    }
    return 200, {"casUrl": url, "accessToken": ANYONE, "exp": expires}, headers


@route(r"POST /api/datasets/{repo}/commit/{rev}")
def commit(request: _Handler, repo: Repo, rev: str) -> Any:
    request.may_write()
    hub, files = request.hub, dict(repo.find(rev).files)
    title = ""
    for line in request.body.splitlines():
        operation = json.loads(line)
        key, value = operation["key"], operation["value"]
        if key == "header":
            title = value["summary"]
            if value.get("parentCommit") not in (None, repo.branches[rev]):
                raise Refusal(412, "A commit has happened since. Please refresh and try again.")
        elif key == "file":
            files[value["path"]] = regular(base64.b64decode(value["content"]))
        elif key == "lfsFile":
            oid = value["oid"]
            if oid not in hub.objects and hub.xet_hash(oid) is None:
                raise Refusal(400, f"LFS pointer of {value['path']} points to nothing")
            pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\n".encode()
            files[value["path"]] = Entry(oid=git_oid(pointer), size=value["size"], lfs=oid)
        elif key == "deletedFile" and files.pop(value["path"], None) is None:
            raise Refusal(404, "A file with this name doesn't exist", code="EntryNotFound")
    made = repo.commit(title, files, branch=rev)
    if hub.after_commit is not None:
        hub.after_commit(repo)
    url = f"{hub.url}/datasets/{repo.id}/commit/{made.oid}"
    return {"success": True, "commitOid": made.oid, "commitUrl": url}


# reading


@route(r"GET /api/datasets/{repo}/tree/{rev}(/(?P<folder>.*))?")
def tree(request: _Handler, repo: Repo, rev: str, folder: str) -> Any:
    recursive = request.query.get("recursive", ["false"])[0].lower() == "true"
    prefix = f"{folder.strip('/')}/" if folder else ""
    listed: dict[str, Any] = {}
    for path, entry in sorted(repo.find(rev).files.items()):
        if not path.startswith(prefix):
            continue
        parts = path[len(prefix) :].split("/")
        for depth in range(1, len(parts) if recursive else min(2, len(parts))):
            name = prefix + "/".join(parts[:depth])
            listed[name] = {"type": "directory", "oid": "0" * 40, "size": 0, "path": name}
        if recursive or len(parts) == 1:
            listed[path] = entry.info(path)
    if prefix and not listed:
        raise Refusal(404, f"{folder} does not exist", code="EntryNotFound")
    return list(listed.values())


@route(r"POST /api/datasets/{repo}/paths-info/{rev}")
def paths_info(request: _Handler, repo: Repo, rev: str) -> Any:
    as_json = "json" in (request.headers.get("Content-Type") or "")
    form = json.loads(request.body) if as_json else urllib.parse.parse_qs(request.body.decode())
    files = repo.find(rev).files
    listed = []
    for path in form["paths"]:
        if path in files:
            listed.append(files[path].info(path))
        elif any(name.startswith(f"{path}/") for name in files):
            listed.append({"type": "directory", "oid": "0" * 40, "size": 0, "path": path})
    return listed


@route(r"(GET|HEAD) /datasets/{repo}/resolve/{rev}/(?P<path>.+)")
def resolve(request: _Handler, repo: Repo, rev: str, path: str) -> Answer:
    request.may_read(repo)
    commit = repo.find(rev)
    entry = commit.files.get(path)
    if entry is None:
        raise Refusal(404, "Entry not found", code="EntryNotFound")
    headers = {"X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
    if entry.lfs is None:
        return _ranged(request, entry.data, {**headers, "ETag": f'"{entry.oid}"'})
    # The Hub keeps large files on another host, and answers with the way there.
    headers |= {"X-Linked-Etag": f'"{entry.lfs}"', "X-Linked-Size": str(entry.size)}
    xet_hash = request.hub.xet_hash(entry.lfs)
    if xet_hash is not None:
        refresh = f"{request.hub.url}/api/datasets/{repo.id}/xet-read-token/{commit.oid}"
        headers |= {"X-Xet-Hash": xet_hash, "X-Xet-Refresh-Route": refresh}
    url = f"http://localhost:{request.hub.port}/_cdn/{_signed(path, entry)}"
    return 302, b"", {**headers, "Location": url}


def _signed(path: str, entry: Entry) -> str:
    """An address that needs no token, since nobody can guess it."""
    signature = hashlib.sha256(f"{OWNER}/{entry.lfs}".encode()).hexdigest()
    return f"{signature}/{entry.lfs}/{entry.size}/{path.split('/')[-1]}"


@route(r"(GET|HEAD) /_cdn/(?P<signature>\w+)/(?P<oid>\w+)/(?P<size>\d+)/(?P<name>[^/]+)")
def cdn(request: _Handler, signature: str, oid: str, size: str, name: str) -> Answer:
    entry = Entry(oid="", size=int(size), lfs=oid)
    if not _signed(name, entry).startswith(signature):
        raise Refusal(403, "not signed")
    return _ranged(request, request.hub.content(entry), {"ETag": f'"{oid}"'})


def _ranged(request: _Handler, data: bytes, headers: dict[str, str]) -> Answer:
    headers = {"Content-Type": "application/octet-stream", **headers}
    wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range") or "")
    if not wanted:
        return 200, data, headers
    first, last = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
    if first >= len(data):
        raise Refusal(416, "Range not satisfiable")
    headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
    return 206, data[first : last + 1], headers


def main() -> None:
    parser = argparse.ArgumentParser(description="A Hugging Face Hub on this machine.")
    parser.add_argument("port", type=int, nargs="?", default=0)
    hub = Hub()
    hub.start(parser.parse_args().port)
    for name, value in hub.environment().items():
        sys.stdout.write(f"export {name}={value}\n")
    sys.stdout.flush()
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        hub.stop()


if __name__ == "__main__":
    main()
