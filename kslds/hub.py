"""Publishing a dataset to the Hugging Face Hub.

The Hub takes files one commit at a time, so an upload can end half way. The order is
therefore: check everything on disk, close the gate, upload shards and Parquet, and only
then commit card, indexes and the manifest `kslds.json` together. A repository whose
manifest is missing or old holds no finished release. The release is read back before
it gets its tag; a tag is never moved.
"""

from __future__ import annotations

import glob
import hashlib
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import httpx2  # what huggingface_hub 2.x speaks HTTP with; it lets these errors through
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    HfFileSystem,
    get_token,
)
from huggingface_hub.hf_api import RepoFile

from kslds import engine, schema
from kslds import release as releases
from kslds.errors import HubError, UsageError
from kslds.manifest import Dataset, readable_json
from kslds.release import File, Release
from kslds.release import card as card

T = TypeVar("T")

MANIFEST = "kslds.json"
"""The file at the top of a repository that lists a release: files, sizes, hashes, signers."""

_FOLDERS = ("shards", "parquet")
_SMALL = 1 << 20
_MOST_DOWNLOADS = 200
_ATTEMPTS = 3
_TRANSIENT = (408, 429, 500, 502, 503, 504)
_AGAIN = "Run the command again; what is uploaded already is not sent twice."
_GATES: Mapping[str | None, str | bool] = {
    "auto": "auto",
    "manual": "manual",
    "none": False,
    None: False,
}


@dataclass(frozen=True, kw_only=True)
class Publication:
    """A release on the Hub that was read back and found complete.

    Args:
        repo: Repository, `org/name`.
        tag: The tag that names the release.
        revision: The commit the tag points to.
        url: Page of the release.
        files: Files in the manifest, which is not counted.
        bytes: Their size.
        changed: False where the release was on the Hub already.
    """

    repo: str
    tag: str
    revision: str
    url: str
    files: int
    bytes: int
    changed: bool


def publish(
    dataset: Dataset,
    *,
    repo: str,
    tag: str | None = None,
    private: bool = False,
    gated: str | None = "manual",
    language: Sequence[str] = ("sgn",),
    progress: engine.Progress | None = None,
) -> Publication:
    """Publish a dataset as a gated, tagged release, and read it back.

    Run again after an interruption it sends only what is missing; run again on a
    finished release it verifies it and changes nothing.

    Args:
        dataset: A dataset whose shards are built.
        repo: Repository to publish to, `org/name`; created where it does not exist.
        tag: Name of the release; `v` and 8 digits of the dataset's hash by default.
        private: Keep the repository to its owners.
        gated: Who gets access: `manual` (the owners decide on each request), `auto`
            (whoever agrees to the terms) or `none` (everybody).
        language: ISO 639 codes of the signed and written languages; `sgn` is any sign
            language.
        progress: Told about files checked, uploaded and verified.

    Raises:
        UsageError: The repository's or tag's name is not valid, or no licence is known.
        IncompleteDataset: Shards are missing, or older than the tables.
        CorruptData: A shard does not match its recorded hash.
        ConsentError: A signer in the shards has not agreed to publication.
        HubError: The Hub refused, could not be reached, or holds something else.
    """
    gate, tag = _check_names(repo, tag=tag, gated=gated, language=language)
    release = releases.read_release(dataset)
    releases.check_consent(dataset, release)
    tag = tag or f"v{release.dataset_sha256[:8]}"
    text = card(dataset, repo=repo, tag=tag, gated=gated, language=language, release=release)
    data = releases.check_files(dataset, release, progress=progress)

    documents = {"README.md": text.encode()}
    for folder in release.folders:
        path = f"{folder}/index.json"
        documents[path] = (dataset.root / path).read_bytes()
    files = [*data, *(_described(path, content) for path, content in documents.items())]
    files.sort(key=lambda file: file.path)
    manifest = _manifest(dataset, release, repo=repo, files=files)

    hub = _Hub(repo)
    hub.open(private=private, gate=gate)
    revision = hub.tags().get(tag)
    changed = revision is None
    if revision is None:
        documents[MANIFEST] = manifest
        revision = hub.upload(dataset.root, data, documents, tag=tag, progress=progress)
    elif hub.read(MANIFEST, revision=revision) != manifest:
        raise HubError(
            f"the tag {tag!r} of {repo} names another release, and tags are not moved.",
            hint="Choose another name with --tag.",
        )
    complete = [*files, _described(MANIFEST, manifest)]
    hub.verify(complete, revision=revision, progress=progress)
    hub.tag(tag, revision=revision)
    return Publication(
        repo=repo,
        tag=tag,
        revision=revision,
        url=f"{hub.api.endpoint}/datasets/{repo}/tree/{tag}",
        files=len(files),
        bytes=sum(file.size for file in files),
        changed=changed,
    )


def _check_names(
    repo: str, *, tag: str | None, gated: str | None, language: Sequence[str]
) -> tuple[str | bool, str | None]:
    well_formed = re.fullmatch(r"\b[\w.-]{1,96}\b/\b[\w.-]{1,96}\b", repo, re.ASCII)
    if not well_formed or "--" in repo or ".." in repo or repo.endswith(".git"):
        raise UsageError(
            f"{repo!r} is not the name of a repository.",
            hint="Write it as org/name, in letters, digits and single '-', '_' or '.'.",
        )
    if tag is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", tag):
        raise UsageError(
            f"{tag!r} is not the name of a release.", hint="Use letters, digits, '.', '_', '-'."
        )
    if gated not in _GATES:
        raise UsageError(f"gated is {gated!r}; expected 'manual', 'auto' or 'none'.")
    for code in language:
        if not re.fullmatch(r"[a-z]{2,3}", code):
            raise UsageError(
                f"{code!r} is not an ISO 639 language code.",
                hint="Use 'sgn' for a sign language that has none.",
            )
    return _GATES[gated], tag


def _described(path: str, data: bytes) -> File:
    return File(path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest())


def _version() -> str:
    try:
        return version("kslds")
    except PackageNotFoundError:  # run from a clone that is not installed
        return "unknown"


def _manifest(dataset: Dataset, release: Release, *, repo: str, files: Iterable[File]) -> bytes:
    return readable_json(
        {
            "format_version": schema.FORMAT_VERSION,
            "name": release.name or repo.split("/")[-1],
            "dataset_sha256": release.dataset_sha256,
            "tool": f"kslds {_version()}",
            "licence": releases.licences(dataset, release),
            "splits": {
                split: {"samples": len(side.clips), "signers": sorted(side.signers)}
                for split, side in release.sides.items()
            },
            "files": [{"path": f.path, "size": f.size, "sha256": f.sha256} for f in files],
        }
    )


# --------------------------------------------------------------------------- the Hub


class _Hub:
    """One dataset repository; whatever the client raises becomes a `HubError`."""

    def __init__(self, repo: str) -> None:
        self.repo = repo
        self.api = HfApi(library_name="kslds", library_version=_version())
        self.where: Any = {"repo_id": repo, "repo_type": "dataset"}
        # Its own instance: instances are shared otherwise, and remember listings.
        self.files_at = HfFileSystem(endpoint=self.api.endpoint, skip_instance_cache=True)

    def _try(self, doing: str, call: Callable[[], T], *, attempts: int = _ATTEMPTS) -> T:
        """Call the client; more than once only what does no harm when done twice."""
        for attempt in range(1, attempts + 1):
            try:
                return call()
            except (httpx2.HTTPError, OSError, RuntimeError, ValueError) as error:
                status = getattr(getattr(error, "response", None), "status_code", None)
                passing = status in _TRANSIENT or isinstance(error, httpx2.TransportError)
                if attempt == attempts or not passing:
                    raise HubError(
                        f"{doing} {self.repo} failed: {_redacted(error)}", hint=self._hint(status)
                    ) from error
                time.sleep(attempt)
        raise HubError(f"{doing} {self.repo} failed.", hint=_AGAIN)

    def _hint(self, status: int | None) -> str:
        organisation = self.repo.split("/")[0]
        if status is None:
            return f"Check the connection to {self.api.endpoint}. {_AGAIN}"
        return {
            401: "Log in with: hf auth login, or set HF_TOKEN to a token that may write.",
            403: f"Your token may not write to {organisation!r}: use one with write access, or "
            "ask the owners to add you.",
            404: "Check the name of the repository, and that your token may see it.",
            409: "Something else created it in the meantime. " + _AGAIN,
            412: "Somebody else changed the repository meanwhile. " + _AGAIN,
            429: "The Hub asks for a pause. Wait some minutes. " + _AGAIN,
        }.get(status, _AGAIN)

    def open(self, *, private: bool, gate: str | bool) -> None:
        """Create the repository where it is missing, and close its gate before any data."""
        self._try(
            "creating",
            lambda: self.api.create_repo(**self.where, private=private or None, exist_ok=True),
        )
        self._try(
            "setting the access to",
            lambda: self.api.update_repo_settings(
                **self.where,
                gated=gate,  # type: ignore[arg-type]
                private=private or None,
            ),
        )
        found = self._try("reading", lambda: self.api.dataset_info(self.repo))
        if found.gated != gate or (private and not found.private):
            raise HubError(
                f"{self.repo} did not take its access settings: gated is {found.gated!r}, private "
                f"is {found.private!r}. Nothing was uploaded.",
                hint="Look at the settings page of the repository.",
            )

    def tags(self) -> dict[str, str]:
        """Commit of each tag."""
        refs = self._try("listing the tags of", lambda: self.api.list_repo_refs(**self.where))
        return {tag.name: tag.target_commit for tag in refs.tags}

    def files(self, revision: str) -> dict[str, RepoFile]:
        """Every file at a commit, by path."""
        entries = self._try(
            "listing",
            lambda: list(self.api.list_repo_tree(**self.where, recursive=True, revision=revision)),
        )
        return {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}

    def read(self, path: str, *, revision: str) -> bytes | None:
        """The bytes of one file at a commit; None where there is no such file."""

        def download() -> bytes | None:
            try:
                data: bytes = self.files_at.read_bytes(f"datasets/{self.repo}@{revision}/{path}")
            except FileNotFoundError:
                return None
            return data

        return self._try(f"reading {path} of", download)

    def upload(
        self,
        root: Path,
        data: Sequence[File],
        documents: Mapping[str, bytes],
        *,
        tag: str,
        progress: engine.Progress | None,
    ) -> str:
        """Upload the data, then everything that declares it, in one last commit.

        Each commit names its parent, so that a commit by somebody else in between is an
        error and not a mixture.
        """
        wanted = {file.path for file in data}
        head = self._try("reading", lambda: self.api.dataset_info(self.repo)).sha
        if progress is not None:
            progress("upload", 0, len(data))
        done = 0
        for folder in _FOLDERS:
            mine = {path for path in wanted if path.startswith(f"{folder}/")}
            if not mine:
                continue
            local = {p.relative_to(root).as_posix() for p in (root / folder).rglob("*")}
            others = sorted(path.removeprefix(f"{folder}/") for path in local - mine)
            head = self._upload_folder(root / folder, head, ignored=others, tag=tag)
            done += len(mine)
            if progress is not None:
                progress("upload", done, len(data))
        present = self.files(head or "main")
        stale = [p for p in present if p.startswith(("shards/", "parquet/"))]
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            CommitOperationAdd(path, content) for path, content in documents.items()
        ]
        operations += [
            CommitOperationDelete(path) for path in stale if path not in wanted | documents.keys()
        ]
        # Not repeated by itself: after a lost answer the second try would have another parent.
        commit = self._try(
            "committing to",
            lambda: self.api.create_commit(
                **self.where,
                operations=operations,
                commit_message=f"Release {tag}",
                parent_commit=head,
            ),
            attempts=1,
        )
        return str(commit.oid)

    def _upload_folder(
        self, folder: Path, head: str | None, *, ignored: Sequence[str], tag: str
    ) -> str:
        commit = self._try(
            f"uploading {folder.name} to",
            lambda: self.api.upload_folder(
                **self.where,
                folder_path=folder,
                path_in_repo=folder.name,
                commit_message=f"Data of release {tag}: {folder.name}",
                ignore_patterns=[glob.escape(path) for path in ignored],
                parent_commit=head,
            ),
            attempts=1,
        )
        return str(commit.oid)

    def verify(
        self, files: Sequence[File], *, revision: str, progress: engine.Progress | None
    ) -> None:
        """Compare what the Hub holds at a commit with what was sent.

        Large files are compared by the size and SHA-256 that the Hub keeps for them; the
        others, and small large-file objects up to a number, are downloaded and hashed.
        """
        listed = self.files(revision)
        strays = {p for p in listed if p.startswith(("shards/", "parquet/"))}
        strays -= {file.path for file in files}
        if strays:
            raise HubError(
                f"{self.repo} holds {min(strays)}, which is no part of the release.", hint=_AGAIN
            )
        small = 0

        def check(job: tuple[File, bool]) -> None:
            file, download = job
            there = listed.get(file.path)
            if there is None:
                self._mismatch(file, "it is missing")
            elif there.size != file.size:
                self._mismatch(file, f"it has {there.size} bytes instead of {file.size}")
            elif there.lfs is not None and there.lfs.sha256 != file.sha256:
                self._mismatch(file, "its SHA-256 is another one")
            elif download:
                data = self.read(file.path, revision=revision)
                if data is None or _described(file.path, data) != file:
                    self._mismatch(file, "other bytes come back")

        jobs = []
        for file in files:
            there = listed.get(file.path)
            is_large = there is not None and there.lfs is not None
            small += is_large and file.size <= _SMALL
            download = not is_large or (file.size <= _SMALL and small <= _MOST_DOWNLOADS)
            jobs.append((file, download))
        for _ in engine.run(check, jobs, stage="verify", workers=4, progress=progress):
            pass

    def _mismatch(self, file: File, what: str) -> None:
        raise HubError(
            f"{self.repo}: {file.path} is not what was uploaded: {what}. The release is not "
            "tagged.",
            hint=_AGAIN,
        )

    def tag(self, name: str, *, revision: str) -> None:
        """Tag a commit; a tag that exists must point to it already."""
        self._try(
            "tagging",
            lambda: self.api.create_tag(**self.where, tag=name, revision=revision, exist_ok=True),
        )
        if self.tags().get(name) != revision:
            raise HubError(
                f"the tag {name!r} of {self.repo} points to another commit than {revision}.",
                hint="Choose another name with --tag.",
            )


def _redacted(error: Exception) -> str:
    """What the Hub or the network said, on one line, without secrets."""
    text = getattr(error, "server_message", None) or str(error) or type(error).__name__
    text = " ".join(str(text).split())[:500]
    for secret in filter(None, [get_token()]):
        text = text.replace(secret, "***")
    text = re.sub(r"\bhf_\w+", "***", text)
    return re.sub(r"(https?://[^\s?]+)\?\S+", r"\1", text)
