"""The files of an audit: those of a folder, what a compressed one holds, ELAN files one by one."""

from __future__ import annotations

import dataclasses
import gzip
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from kslds.corpora import FOLDER_SUFFIXES, FROM_NAMES, Annotation, Source, read_annotations
from kslds.corpora.table import read_lines
from kslds.corpora.tiers import names_of
from kslds.errors import AnnotationError, MissingFile
from kslds.folders import find
from kslds.manifest import sha256_file
from kslds.probe import SUFFIXES

MAX_UNPACKED = 1 << 30
"""Most bytes that a compressed file may unpack to."""

_ANY = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".eaf")
"""What is read in a folder where no adapter is named."""


def expand(files: Sequence[Path], *, adapter: str) -> list[Path]:
    """Put the annotation files of a folder in its place, sorted.

    The folder of a dataset stays, and one of media files of which an adapter reads the names.

    Raises:
        MissingFile: A folder is no dataset and has no annotation file.
        AnnotationError: A file of a folder must not be read, as a link that leaves it.
    """
    found: list[Path] = []
    for path in files:
        if not path.is_dir() or (path / "tables").is_dir() or _has_names(path, adapter):
            found.append(path)
            continue
        suffixes = _ANY if adapter == "auto" else FOLDER_SUFFIXES.get(adapter)
        below = find(str(path), suffixes={*suffixes, ".gz"} if suffixes else None)
        if below.refused:
            raise AnnotationError(f"{path}: {below.refused[0].name!r}: {below.refused[0].reason}.")
        inside = [
            file for file in below.files
            if suffixes is None or Path(file.name.removesuffix(".gz")).suffix.lower() in suffixes
        ]  # fmt: skip
        if not inside:
            raise MissingFile(
                f"{path} is not a kslds dataset and has no annotation file"
                f"{' that ends in ' + ', '.join(suffixes) if suffixes else ''}.",
                hint="Name the files themselves, or their format with --adapter.",
            )
        found += inside
    return list(dict.fromkeys(found))


@contextmanager
def unpacked(path: Path) -> Iterator[tuple[Path, str, int]]:
    """A readable path, and the hash and size in bytes of the file as it was given.

    Raises:
        MissingFile: There is no such file.
        AnnotationError: It is compressed, and damaged or too large.
    """
    if path.is_dir():
        yield path, "", 0
        return
    if not path.is_file():
        raise MissingFile(f"there is no file {path}.", hint="kslds audit FILE … or a folder.")
    digest, size = sha256_file(path), path.stat().st_size
    if path.suffix != ".gz":
        yield path, digest, size
        return
    with tempfile.TemporaryDirectory(prefix="kslds-audit-") as folder:
        plain = Path(folder) / path.stem
        total = 0
        try:
            with gzip.open(path) as packed, plain.open("wb") as out:
                while chunk := packed.read(1 << 20):
                    total += len(chunk)
                    if total > MAX_UNPACKED:
                        raise AnnotationError(
                            f"{path} unpacks to more than {MAX_UNPACKED >> 20} MiB; "
                            "that is not a file of annotations."
                        )
                    out.write(chunk)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise AnnotationError(
                f"{path} is not a whole gzip file: {error}.", hint="Download it again."
            ) from error
        yield plain, digest, size


def divided(paths: Sequence[Path], *, adapter: str) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """The annotation files, and the media files that folders and lists of names tell of.

    A list is a text file whose first line is the name of a video; an adapter that reads names
    takes it for a folder that is not here. FluentSigners-50 publishes such lists as sides.

    Raises:
        AnnotationError: A list of names is not UTF-8.
    """
    files: list[Path] = []
    media: list[str] = []
    for path in paths:
        if path.is_dir():
            names = [p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()]
            media += [name for name in names if _is_video(name)]
        elif adapter in FROM_NAMES - {"fluentsigners-50"} and path.suffix.lower() == ".txt":
            names = [name for line in read_lines(path) if (name := line.strip())]
            if names and _is_video(names[0]):
                media += names
            else:
                files.append(path)
        else:
            files.append(path)
    return tuple(files), tuple(sorted(media))


def _has_names(folder: Path, adapter: str) -> bool:
    """Does the adapter read the names of the media files that lie here?"""
    return adapter in FROM_NAMES and any(_is_video(path.name) for path in folder.rglob("*"))


def _is_video(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def elan(source: Source) -> Iterator[Annotation]:
    """The annotations of ELAN files; one without the tier, among others, is a problem of its own.

    Raises:
        MissingFile: A file is not there.
        AnnotationError: No file can be read; it is that of the first one.
    """
    first: AnnotationError | None = None
    wrong = []
    for path, name in names_of(source.files).items():
        try:
            found = list(read_annotations("elan", dataclasses.replace(source, files=(path,))))
        except AnnotationError as error:
            first = first or error
            wrong.append((name, error.what.replace(str(path), name)))
            continue
        for row in found:
            yield dataclasses.replace(row, source=f"{name}:{row.source.rpartition(':')[2]}")
    if first is not None and len(wrong) == len(source.files):
        near = first.hint if "has no tier" not in first.what else None
        hint = near or "Name the tiers to read, as in --tier NAME --tier 'PATTERN*'."
        raise AnnotationError(first.what, hint=hint) from first
    for name, what in wrong:
        yield Annotation(
            source=name, recording="", start=None, end=None, unit="ms", problem=("K123", what)
        )
