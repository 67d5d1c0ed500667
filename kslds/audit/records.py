"""What reading a published annotation set gives: rows, files, problems, and lists beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import pandas as pd


class Row(NamedTuple):
    """One row of a file, as written; None where the file says nothing."""

    place: int | str
    """The line, or the place as people write it."""
    id: str | None = None
    """The key of the row, where the file has one."""
    recording: str | None = None
    label: str | None = None
    signer: str | None = None
    split: str | None = None
    start: str | None = None
    end: str | None = None
    unit: str | None = None
    """One of `kslds.corpora.UNITS`; None where nothing says it."""
    length: str | None = None
    """Stated length in `unit`, or of the recording or of the clip: the file does not say which."""
    width: str | None = None
    height: str | None = None
    fps: str | None = None


FIELDS = Row._fields[1:]


@dataclass(frozen=True, kw_only=True)
class File:
    """A file that was read."""

    name: str
    bytes: int
    sha256: str
    rows: int
    format: str
    """The adapter, or how the file was recognised."""
    columns: Mapping[str, str]
    """Field → column it was read from; ``side`` is told by the file's name."""
    unused: tuple[str, ...] = ()
    """Columns that nothing was read from."""
    sentences: bool = False
    """Is a row a sentence rather than a clip, which has no signer and no side?"""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to read."""

    adapter: str = "auto"
    columns: Mapping[str, str] = field(default_factory=dict)
    """Field (`FIELDS`, or ``gloss``) → column, where the names do not tell."""
    unit: str | None = None
    """The unit of boundaries that nothing else tells."""
    tiers: tuple[str, ...] = ()
    """Tiers to read, by name or pattern, from files that have tiers."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What only the adapter knows, as `[ingest] options` of a recipe."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A row of which the file itself tells that it cannot be used."""

    code: str
    place: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A file that holds no rows, but what classes there are, or which videos are gone."""

    kind: str
    """``classes``, ``synonyms`` or ``missing``."""
    rows: int
    entries: Mapping[str, tuple[str, ...]]
    """Class, or key of a video, → its names, one for each of `columns`."""
    columns: tuple[str, ...] = ()
    places: Mapping[str, int] = field(default_factory=dict)
    """Class or key → its line, or its place in an array from 1."""
    twice: tuple[tuple[int, str], ...] = ()
    """Line and key of what was listed before."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """All rows of all files.

    `frame` has `Row`'s fields; ``file`` is a position in `files`; ``start``, ``end`` and
    ``length`` are whole ms or frames, ``width`` and ``height`` pixels (Int64, null where
    unknown); ``fps`` is a number.
    """

    files: tuple[File, ...]
    frame: pd.DataFrame
    problems: tuple[Problem, ...]
    listings: Mapping[int, Listing] = field(default_factory=dict)
    """Position in `files` → the list that this file holds instead of rows."""

    def place(self, row: int) -> str:
        """Where a row was read, as ``name:line``."""
        place = self.frame["place"].iat[row]
        file = int(self.frame["file"].to_numpy()[row])
        return place if isinstance(place, str) else f"{self.files[file].name}:{place!s}"
