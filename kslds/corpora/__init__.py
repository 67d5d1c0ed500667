"""Annotation formats and collections: one module each, listed in `ADAPTERS`.

An adapter is a function ``read(source: Source) -> Iterator[Annotation]``. It
yields what the files say, unresolved: times are text in a unit, labels are as
written. Resolving times against frames and labels against the lexicon is the
same for all of them and happens later.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from kslds.errors import RecipeError

UNITS = ("ms", "s", "frame", "timecode")

END = "end"
"""Stands for the end of the recording where a row states an end."""


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """One annotated interval as its file states it."""

    source: str
    """Where it was read: file name and line (or annotation id), as ``annotations.csv:5``."""
    recording: str
    """The media file as the annotation names it."""
    start: str | None
    """Start in `unit`, as written. None where the format leaves it open (see `problem`)."""
    end: str | None
    """End in `unit`, as written, exclusive; or `END`."""
    unit: str
    """One of `UNITS`; ``timecode`` is ``HH:MM:SS.mmm``; frames count from 0, end exclusive."""
    start_column: str = "start"
    """What the file calls the start, for messages."""
    end_column: str = "end"
    label: str | None = None
    emotion: str | None = None
    sentence: str | None = None
    translation: str | None = None
    signer: str | None = None
    session: str | None = None
    tier: str | None = None
    annotator: str | None = None
    split: str | None = None
    """The side on which the collection itself publishes the row."""
    problem: tuple[str, str] | None = None
    """Code and reason where the format itself tells that the row cannot be used."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """What an adapter is given: the `[ingest]` part of a recipe, paths resolved."""

    files: tuple[Path, ...]
    """The annotation files, sorted."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Field of `Annotation` (``recording``, ``gloss``, ``start`` …) to column or tier name."""
    unit: str = "ms"
    """The unit of rows that do not state one."""
    tiers: tuple[str, ...] = ()
    """Tier names or glob patterns to read segments from (ELAN)."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What only one adapter knows, as ``{ subset = "asl100" }``; an unknown key is an error."""
    media: tuple[str, ...] = ()
    """Names of the media files, sorted; some collections say everything in them."""


@dataclass(frozen=True, kw_only=True)
class About:
    """A collection, for `docs/corpora.md`; its module names it ``ABOUT``."""

    title: str
    what: str
    size: str
    licence: str
    citation: str
    access: str
    """How to get it, and how its files are laid out."""
    defects: tuple[tuple[str, str], ...] = ()
    """What is wrong with it as published, and what kslds does about it."""


FOLDER_SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "table": (".csv", ".tsv", ".txt"),
    "elan": (".eaf",),
}
"""What an adapter reads where a folder is named instead of files; other adapters get all."""

FROM_NAMES = frozenset[str]()
"""Adapters that read the names of media files and need no annotation file."""

Adapter = Callable[[Source], Iterator[Annotation]]

ADAPTERS: Mapping[str, str] = {
    "table": "kslds.corpora.table:read",
    "elan": "kslds.corpora.elan:read",
}
"""Name to ``module:function``; recipes may also name their own ``package.module:function``."""


def adapter(name: str) -> Adapter:
    """The adapter of this name.

    Raises:
        RecipeError: The name is unknown or its module cannot be imported.
    """
    target = ADAPTERS.get(name, name)
    module, _, function = target.partition(":")
    if not function:
        raise RecipeError(
            f"unknown adapter {name!r}; known are {', '.join(sorted(ADAPTERS))}.",
            hint='Name one of them, or your own function as "package.module:function".',
        )
    try:
        return cast(Adapter, getattr(importlib.import_module(module), function))
    except (ImportError, AttributeError) as error:
        raise RecipeError(f"the adapter {target!r} cannot be imported: {error}.") from error
