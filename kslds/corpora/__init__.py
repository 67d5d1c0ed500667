"""Annotation formats and collections: one module each, listed in `ADAPTERS`.

An adapter is a function ``read(source: Source) -> Iterator[Annotation]``. It
yields what the files say, unresolved: times are text in a unit, labels are as
written. Resolving times against frames and labels against the lexicon is the
same for all of them and happens later.
"""

from __future__ import annotations

import dataclasses
import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from kslds.codes import CODES
from kslds.errors import AnnotationError, KsldsError, RecipeError
from kslds.schema import KEY_PATTERN

UNITS = ("ms", "s", "frame", "timecode")

END = "end"
"""Stands for the end of the recording where a row states an end."""


@dataclass(frozen=True, kw_only=True, slots=True)
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
    translation_kk: str | None = None
    spoken: str | None = None
    """What is said meanwhile, as speech recognition has it: the translation of the segment that
    overlaps it most, if that has none. A row of nothing but this is no segment."""
    spoken_kk: str | None = None
    """The same in Kazakh, for `translation_kk`, where `spoken` is in another language."""
    signer: str | None = None
    session: str | None = None
    tier: str | None = None
    annotator: str | None = None
    split: str | None = None
    """The side on which the collection itself publishes the row; of several benchmarks
    ``name=side`` each, with blanks between."""
    duration_ms: int | None = None
    """How long the collection says that the recording is."""
    notes: tuple[tuple[str, str], ...] = ()
    """Codes and messages of what should be known of the row; it is used all the same."""
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
    """What only one adapter knows, as ``{ subset = "100" }``; an unknown key is an error."""
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


_SEVERAL = re.compile(rf"({KEY_PATTERN})=({KEY_PATTERN})")


def benchmarks(published: str) -> dict[str, str]:
    """Name of each benchmark → its side, of an `Annotation.split`; none where that is one side."""
    named = [_SEVERAL.fullmatch(word) for word in published.split()]
    return {match[1]: match[2] for match in named if match} if all(named) else {}


FOLDER_SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "table": (".csv", ".tsv", ".txt"),
    "elan": (".eaf",),
    "slan": (".json", ".xml", ".eaf", ".txt"),
    "slovo": (".csv", ".tsv"),
    "autsl": (".csv",),
    "theruslan": (".csv", ".tsv", ".txt"),
    "wlasl": (".json", ".txt"),
    "ms-asl": (".json",),
    "lsa64": (".csv", ".txt"),
    "jsonl": (".jsonl", ".ndjson", ".json"),
    "videofolder": (".csv", ".tsv", ".jsonl"),
    "phoenix": (".csv",),
    "ksl-emo": (".jsonl", ".json"),
    "krsl": (".csv", ".tsv", ".txt"),
    "fluentsigners-50": (".csv", ".json", ".tsv", ".txt"),
    "online-school": (".csv", ".eaf", ".json", ".srt", ".tsv", ".vtt"),
}
"""What an adapter reads where a folder is named instead of files; other adapters get all."""

FROM_NAMES = frozenset({"lsa64", "videofolder", "ksl-emo", "krsl", "fluentsigners-50", "theruslan"})
"""Adapters that read the names of media files and need no annotation file."""

PUBLISHED_SIGNERS: Mapping[str, frozenset[str]] = {
    "krsl": frozenset({"alt", "gul", "kar", "makh", "mira", "shyr", "tanya", "vik", "x"}),
}
"""Adapter → the keys under which its collection publishes its signers. They give nothing away that
is not public, even where they could be names."""

Adapter = Callable[[Source], Iterator[Annotation]]

ADAPTERS: Mapping[str, str] = {
    "table": "kslds.corpora.table:read",
    "elan": "kslds.corpora.elan:read",
    "slan": "kslds.corpora.slan:read",
    "slovo": "kslds.corpora.slovo:read",
    "autsl": "kslds.corpora.autsl:read",
    "theruslan": "kslds.corpora.theruslan:read",
    "wlasl": "kslds.corpora.wlasl:read",
    "ms-asl": "kslds.corpora.msasl:read",
    "lsa64": "kslds.corpora.lsa64:read",
    "jsonl": "kslds.corpora.jsonl:read",
    "videofolder": "kslds.corpora.videofolder:read",
    "phoenix": "kslds.corpora.phoenix:read",
    "ksl-emo": "kslds.corpora.ksl_emo:read",
    "krsl": "kslds.corpora.krsl:read",
    "fluentsigners-50": "kslds.corpora.fluentsigners:read",
    "online-school": "kslds.corpora.onlineschool:read",
}
"""Name to ``module:function``; recipes may also name their own ``package.module:function``."""


def adapter(name: str) -> Adapter:
    """The adapter of this name.

    Raises:
        RecipeError: The name is unknown, its module cannot be imported, or it is no function.
    """
    target = ADAPTERS.get(name, name)
    module, _, function = target.partition(":")
    if not module or not function:
        raise RecipeError(
            f"unknown adapter {name!r}; known are {', '.join(sorted(ADAPTERS))}.",
            hint='Name one of them, or your own function as "package.module:function".',
        )
    try:
        read = getattr(importlib.import_module(module), function)
    except Exception as error:  # whatever a module of the user raises
        raise RecipeError(
            f"the adapter {target!r} cannot be imported: {type(error).__name__}: {error}."
        ) from error
    if not callable(read):
        raise RecipeError(f"the adapter {target!r} is not a function.")
    return cast(Adapter, read)


def read_annotations(name: str, source: Source) -> Iterator[Annotation]:
    """What an adapter yields; one from outside may be wrong in any way, and is told so.

    Raises:
        AnnotationError: It fails, or yields something else than annotations.
    """
    read = adapter(name)
    if name in ADAPTERS:
        yield from read(source)
        return
    number = 0
    try:
        for number, row in enumerate(read(source), start=1):
            wrong = _wrong(row)
            if wrong:
                raise AnnotationError(
                    f"the adapter {name!r}, annotation {number}: {wrong}.", hint=_ADAPTER
                )
            yield row
    except KsldsError:
        raise
    except Exception as error:
        raise AnnotationError(
            f"the adapter {name!r} failed after {number} annotation(s): "
            f"{type(error).__name__}: {error}.",
            hint=_ADAPTER,
        ) from error


_ADAPTER = (
    "An adapter takes a kslds.corpora.Source and yields kslds.corpora.Annotation; "
    "see docs/recipes.md."
)


def _wrong(row: object) -> str | None:
    """What is wrong with what should be an annotation."""
    if not isinstance(row, Annotation):
        return f"expected an Annotation, found {type(row).__name__}"
    for f in dataclasses.fields(row):
        value = getattr(row, f.name)
        if f.name == "problem":
            if value is not None and not _coded(value):
                return f"problem = {value!r:.60}, expected a code of kslds and a reason"
        elif f.name == "notes":
            if not isinstance(value, tuple) or not all(map(_coded, value)):
                return f"notes = {value!r:.60}, expected codes of kslds and messages"
        elif f.name == "duration_ms":
            if value is not None and type(value) is not int:
                return f"duration_ms = {value!r:.60}, expected a whole number or None"
        elif isinstance(value, str) and not value.isascii() and _broken(value):
            return f"{f.name} = {value!r:.60}, expected text that can be written as UTF-8"
        elif not isinstance(value, str) and (value is not None or f.type == "str"):
            return f"{f.name} = {value!r:.60}, expected text{'' if f.type == 'str' else ' or None'}"
    return None


def _broken(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)


def _coded(value: object) -> bool:
    return (
        isinstance(value, tuple)
        and [type(part) for part in value] == [str, str]
        and value[0] in CODES
    )


MARKS: Mapping[str, frozenset[str]] = {
    "slovo": frozenset({"attachment_id", "user_id"}),
    "autsl": frozenset({"ClassId", "TR", "EN"}),
    "slan": frozenset({"TIERS"}),
    "wlasl": frozenset({"gloss", "instances"}),
    "ms-asl": frozenset({"org_text", "clean_text", "box"}),
    "videofolder": frozenset({"file_name"}),
    "phoenix": frozenset({"name", "video", "speaker", "orth", "translation"}),
    "ksl-emo": frozenset({"video_id", "participant_id"}),
    "krsl": frozenset({"Файл", "Время начала - миллисекунды"}),
    "fluentsigners-50": frozenset({"ID", "Gloss"}),
}
"""Columns or keys by which the files of an adapter are known."""


def known_as(found: Iterable[str], *, other_than: str | None = None) -> str | None:
    """The adapter whose files have these columns or keys, if there is one."""
    names = set(found)
    fits = (name for name, marks in MARKS.items() if marks <= names and name != other_than)
    return next(fits, None)


def wrong_file(
    path: Path,
    *,
    found: Iterable[str],
    expected: str,
    adapter: str | None = None,
    line: int | None = None,
) -> AnnotationError:
    """The error for a file that is not what its adapter reads.

    Args:
        path: The file.
        found: The columns or keys that it has.
        expected: What it should have, as the end of a sentence.
        adapter: The adapter that refuses it, which is then not recommended.
        line: Where that is, in a file that has lines.
    """
    names = list(dict.fromkeys(found))
    fits = known_as(names, other_than=adapter)
    shown = ", ".join(f"{name!r:.40}" for name in names[:12]) or "nothing of the kind"
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    where = "" if line is None else f", on line {line}"
    return AnnotationError(
        f"{path} has {shown}{more}; expected {expected}{where}.",
        hint=f"It looks like a file for adapter = {fits!r}."
        if fits
        else "Take it out of `annotations`, or name the adapter that it is for.",
    )


def choose(source: Source, *, adapter: str, known: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """The adapter's options: what the recipe says, else the first value of each.

    Args:
        source: Holds the options of the recipe.
        adapter: For messages.
        known: Option → the values that it may have; one that starts with ``{`` or is empty
            stands for any text.

    Raises:
        RecipeError: The recipe has an option or a value that is not known.
    """
    chosen = {name: values[0] for name, values in known.items()}
    for name, value in source.options.items():
        if name not in known:
            raise RecipeError(
                f"[ingest] options: the adapter {adapter!r} has no option {name!r:.40}.",
                hint=f"It has {', '.join(known) or 'none'}.",
            )
        free = not known[name][0] or known[name][0].startswith("{")
        if not free and value not in known[name]:
            raise RecipeError(
                f"[ingest] options: {name} = {value!r:.40} is not one of {', '.join(known[name])}."
            )
        chosen[name] = value
    return chosen
