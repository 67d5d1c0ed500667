"""Plain tars with an index beside them: the one container of clips and of shards.

A tar has no integrity of its own: cut at a block boundary it reads as a shorter,
valid one. The index (``x.tar`` → ``x.index.parquet``) names each member with its
offset, size and SHA-256, and both files are complete before the tar gets its name.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO

from kslds import schema
from kslds.errors import CorruptData
from kslds.manifest import read_parquet, sha256_file, write_atomic, write_parquet

BLOCK = 512

SHARD_NAME = re.compile(rf"{schema.KEY_PATTERN}-\d{{5}}\.(tar|parquet)")
"""The name of a shard, ``<side>-00000.tar``; it cannot lead out of its folder."""

_AGAIN = "Run the stage that writes it again: kslds resize DIR, or kslds shard DIR"


@dataclass(frozen=True, kw_only=True)
class Member:
    """One file inside a tar."""

    key: Annotated[str, "the sample; the member's name up to its first dot"]
    field: Annotated[str, "the member's name after its first dot: `mp4`, `json`, …"]
    offset: Annotated[int, "where the bytes start in the tar"]
    size: Annotated[int, "number of bytes"]
    sha256: Annotated[str, "SHA-256 of the bytes, hex"]
    text: Annotated[
        str | None, "in shards, the JSON itself, so that fields are read all at once"
    ] = None


def index_path(tar: Path) -> Path:
    """The index that belongs to a tar."""
    return tar.with_suffix(".index.parquet")


class PackWriter:
    """Appends members to a tar; use `writing` to open one."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.size = 0
        self.members: list[Member] = []

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)

    def add(self, key: str, *, field: str, data: bytes, is_text: bool = False) -> None:
        """Append one member, named ``<key>.<field>``; text stands in the index as well."""
        info = tarfile.TarInfo(f"{key}.{field}")
        info.size, info.mtime, info.mode = len(data), 0, 0o644
        self._write(info.tobuf(tarfile.USTAR_FORMAT))
        digest = hashlib.sha256(data).hexdigest()
        self.members.append(
            Member(
                key=key,
                field=field,
                offset=self.size,
                size=len(data),
                sha256=digest,
                text=data.decode() if is_text else None,
            )
        )
        self._write(data + bytes(-len(data) % BLOCK))

    def finish(self) -> str:
        """Write the end marker; returns the SHA-256 of the whole tar, hex."""
        self._write(bytes(2 * BLOCK))
        return self._digest.hexdigest()


@contextmanager
def writing(path: Path) -> Iterator[PackWriter]:
    """Write a tar and its index; both appear only when the block ends without an error.

    The index is renamed first, so that a tar under its final name always has one.
    """
    with write_atomic(path) as file:
        writer = PackWriter(file)
        yield writer
        digest = writer.finish()
        table = schema.to_table(Member, writer.members).replace_schema_metadata(
            {"tar_sha256": digest, "tar_size": str(writer.size)}
        )
        write_parquet(index_path(path), table)


def read_index(path: Path) -> tuple[list[Member], str, int]:
    """The members of a tar, and the SHA-256 and size the tar should have.

    Raises:
        CorruptData: The index is missing or unreadable, or the tar has another size.
    """
    index = index_path(path)
    try:
        table = read_parquet(index)
        members = schema.from_table(Member, table)
        metadata = table.schema.metadata or {}
        digest, size = metadata[b"tar_sha256"].decode(), int(metadata[b"tar_size"])
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptData(f"{index} is not an index: {error}.", hint=_AGAIN) from error
    if path.stat().st_size != size:
        raise CorruptData(
            f"{path} has {path.stat().st_size} bytes; its index says {size}.",
            hint=_AGAIN,
        )
    return members, digest, size


class PackReader:
    """Random access to the members of a tar by key and field."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.members, self.sha256, self.size = read_index(path)
        self._by_name = {(m.key, m.field): m for m in self.members}
        self._stack = ExitStack()
        self._file = self._stack.enter_context(path.open("rb"))

    def __enter__(self) -> PackReader:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def keys(self) -> list[str]:
        """Every key, in the order of the tar."""
        return list(dict.fromkeys(m.key for m in self.members))

    def read(self, key: str, *, field: str) -> bytes:
        """The bytes of one member, checked against their hash.

        Raises:
            KeyError: There is no such member.
            CorruptData: The bytes are not those that were written.
        """
        member = self._by_name[key, field]
        self._file.seek(member.offset)
        data = self._file.read(member.size)
        if hashlib.sha256(data).hexdigest() != member.sha256:
            raise CorruptData(
                f"{self.path}: the bytes of {key}.{field} changed since they were written.",
                hint=_AGAIN,
            )
        return data


def is_complete(path: Path) -> bool:
    """Are a tar and its index there, and has every byte of the tar stayed what it was?"""
    if not path.is_file():
        return False
    try:
        _, digest, _ = read_index(path)
    except CorruptData:
        return False
    return sha256_file(path) == digest


def verify(path: Path) -> None:
    """Check every byte of a tar against its index.

    Raises:
        CorruptData: Some byte differs.
    """
    members, digest, _ = read_index(path)
    if sha256_file(path) != digest:
        wrong = []
        with path.open("rb") as file:
            for m in members:
                file.seek(m.offset)
                if hashlib.sha256(file.read(m.size)).hexdigest() != m.sha256:
                    wrong.append(f"{m.key}.{m.field}")
        raise CorruptData(
            f"{path} does not match its hash; damaged: {', '.join(wrong[:5]) or 'headers'}.",
            hint=_AGAIN,
        )
    with tarfile.open(path, mode="r:") as tar:
        names = [info.name for info in tar]
    if names != [f"{m.key}.{m.field}" for m in members]:
        raise CorruptData(f"{path} and its index list different members.", hint=_AGAIN)
