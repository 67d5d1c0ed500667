"""Tiers of annotations with times: choosing the segments, and the fields of a segment.

Formats that hold tiers (ELAN, SLAN-tool) read their files into `Tiers`; what a recipe says
of tiers and columns means the same for all of them.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import accumulate, takewhile
from operator import itemgetter
from pathlib import Path

from kslds.corpora import Annotation, Source
from kslds.corpora.table import listed, nearest
from kslds.errors import AnnotationError, RecipeError

FIELDS = (
    "gloss", "emotion", "sentence", "translation", "translation_kk", "signer", "annotator",
    "session",
)  # fmt: skip
"""What `Source.columns` may map to the name or pattern of a tier."""

OURS = "kslds-"
"""How the linguistic types begin that `kslds elan export` writes."""

Span = tuple[int | None, int | None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Tier:
    """A tier and what is on it."""

    name: str
    type_name: str
    stereotype: str | None
    """The constraint of its linguistic type, as ``Symbolic_Association``; None without one."""
    has_parent: bool
    participant: str | None
    """Its own or, where it states none, that of the nearest tier above that does."""
    annotator: str | None
    stands_for: str | None = None
    """The tier that its segments are said to be of, empty for none; None means `name`."""
    notes: list[Note] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, eq=False)
class Note:
    """One annotation of a tier."""

    key: str
    tier: Tier
    value: str | None
    slots: tuple[str, str] | None
    """The time slots of an annotation that has its own; the others have a parent."""
    parent_key: str | None
    previous_key: str | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Tiers:
    """What one file holds, every annotation with its time."""

    path: Path
    recording: str
    origin_ms: int
    """What to add to a time of the document to get the time in the recording."""
    tiers: Sequence[Tier]
    """In the order of the file."""
    spans: Mapping[Note, Span]
    """Start and end, ms of the document; None where no time follows."""
    parents: Mapping[Note, Note]
    """Of the annotations that refer to one; free of cycles."""
    problems: Mapping[Note, tuple[str, str]]
    """Code and reason of the annotations that have no usable time."""
    columns: tuple[str, str]
    """What the format calls start and end, for messages."""
    annotator: str | None = None
    """Who drew all of it, in place of what the tiers say; None leaves it to them."""


def check_columns(source: Source) -> None:
    """Refuse a recipe that maps a field which tiers do not have.

    Raises:
        RecipeError: `source.columns` names such a field.
    """
    for name in source.columns:
        if name not in FIELDS:
            near = nearest(name, FIELDS)
            raise RecipeError(
                f"the recipe's columns map an unknown field {name!r}; "
                f"tiers can be mapped to {', '.join(FIELDS)}.",
                hint=f"Did you mean {near!r}?" if near else None,
            )


@lru_cache(maxsize=1)
def names_of(files: tuple[Path, ...]) -> Mapping[Path, str]:
    """The names of files, with the folders in which files of one name differ."""
    alike: dict[str, list[Path]] = {}
    for path in files:
        alike.setdefault(path.name, []).append(path)
    names: dict[Path, str] = {}
    for name, paths in alike.items():
        above = [path.absolute().parts[:-1] for path in paths]
        same = takewhile(lambda parts: len(set(parts)) == 1, zip(*above, strict=False))
        common = sum(1 for _ in same)
        for path, parts in zip(paths, above, strict=True):
            names[path] = "/".join([*parts[common:], name])
    return names


def segments(document: Tiers, source: Source) -> Iterator[Annotation]:
    """Yield the annotations of the tiers that a recipe chooses, in the order of the file.

    `source.tiers` chooses the tiers whose annotations become segments, by name, by pattern
    (``*_gloss``) or by linguistic type (``type:sign*``). Where it is empty, the tier that
    `source.columns` maps to ``gloss`` is read, else the tier called gloss, else the only
    top-level tier (not counting an empty one called default).

    The value of a segment is its label, unless `source.columns` gives the segment's tier to
    another field or maps ``gloss`` to another tier. A mapped field takes its value from the
    annotation that is symbolically associated with the segment, else from the segment's
    nearest ancestor that is or has an annotation there, else from the annotation that overlaps
    the segment most (what `kslds elan export` wrote beside one segment is no other's). Where a
    pattern matches tiers of several participants, those of the segment's participant count. A
    participant is the signer where no tier is mapped to it, and so for the annotator. Of a
    mapped pattern a file need not have any tier; a plain name is held to be in every file.

    `Annotation.source` is the name of the file and the annotation's key; files of one name are
    told apart by their folders.

    Raises:
        AnnotationError: The file has no tier of a name that the recipe gives.
    """
    file = names_of(source.files).get(document.path, document.path.name)
    tiers = _segment_tiers(document, source)
    mapped = {name: _Field(document, pattern) for name, pattern in source.columns.items()}

    def value(name: str, note: Note, default: str | None) -> str | None:
        return mapped[name].value(note) if name in mapped else default

    for tier in tiers:
        is_other_field = any(tier in other.tiers for other in mapped.values())
        for note in tier.notes:
            start, end = (
                None if time is None else str(time + document.origin_ms)
                for time in document.spans[note]
            )
            yield Annotation(
                source=f"{file}:{note.key}",
                recording=document.recording,
                start=start,
                end=end,
                unit="ms",
                start_column=document.columns[0],
                end_column=document.columns[1],
                label=value("gloss", note, None if is_other_field else note.value),
                emotion=value("emotion", note, None),
                sentence=value("sentence", note, None),
                translation=value("translation", note, None),
                translation_kk=value("translation_kk", note, None),
                signer=value("signer", note, tier.participant),
                session=value("session", note, None),
                tier=tier.name if tier.stands_for is None else tier.stands_for or None,
                annotator=value("annotator", note, document.annotator or tier.annotator),
                problem=document.problems.get(note),
            )


# Choosing tiers and finding values


def _segment_tiers(document: Tiers, source: Source) -> list[Tier]:
    patterns = source.tiers or tuple(v for k, v in source.columns.items() if k == "gloss")
    if patterns:
        chosen = {tier for pattern in patterns for tier in _matching(document, pattern)}
        if not chosen:
            raise _no_tier(document, f"that matches {listed(patterns)}", patterns[0])
        return [tier for tier in document.tiers if tier in chosen]
    named = [tier for tier in document.tiers if tier.name.casefold() == "gloss"]
    if named:
        return named
    top = [tier for tier in document.tiers if not tier.has_parent]
    # ELAN gives every new document a tier called default, which many leave empty.
    top = [tier for tier in top if tier.notes or tier.name != "default"] or top
    if len(top) != 1:
        raise _no_tier(document, "called gloss, nor a single top-level tier", "")
    return top


def _matching(document: Tiers, pattern: str) -> list[Tier]:
    """The tiers of this name, type or pattern.

    Raises:
        AnnotationError: It is a plain name, and the file has no such tier.
    """
    wanted = unicodedata.normalize("NFC", pattern)
    exact = [tier for tier in document.tiers if tier.name == wanted]
    if exact:
        return exact
    if wanted.startswith("type:"):
        names = [f"type:{tier.type_name}" for tier in document.tiers]
    else:
        names = [tier.name for tier in document.tiers]
    if wanted not in names and not any(mark in wanted for mark in "*?["):
        raise _no_tier(document, repr(wanted), wanted)
    return [
        tier
        for tier, name in zip(document.tiers, names, strict=True)
        if name == wanted or fnmatchcase(name, wanted)
    ]


def _no_tier(document: Tiers, which: str, wanted: str) -> AnnotationError:
    names = [tier.name for tier in document.tiers]
    if wanted.startswith("type:"):
        names = [*dict.fromkeys(f"type:{tier.type_name}" for tier in document.tiers)]
    near = nearest(wanted, names)
    return AnnotationError(
        f"the file {document.path} has no tier {which}; "
        f"it has: {listed(names) if names else 'no tiers at all'}.",
        hint=f"Did you mean {near!r}?"
        if near
        else 'Name the tiers to read in the recipe, as in tiers = ["NAME", "PATTERN*"].',
    )


class _Field:
    """A mapped field of one document."""

    def __init__(self, document: Tiers, pattern: str) -> None:
        self.tiers = _matching(document, pattern)
        self._document = document
        self._by_name = any(
            tier.name == unicodedata.normalize("NFC", pattern) for tier in self.tiers
        )
        self._indices: dict[str | None, _Index] = {}

    def value(self, note: Note) -> str | None:
        if note.tier in self.tiers:
            return note.value
        participant = note.tier.participant
        if participant not in self._indices:
            self._indices[participant] = _Index(self._document, self._tiers_for(participant))
        return self._indices[participant].value(note)

    def _tiers_for(self, participant: str | None) -> Sequence[Tier]:
        if self._by_name:
            return self.tiers
        same = [tier for tier in self.tiers if tier.participant == participant]
        shared = [tier for tier in self.tiers if tier.participant is None]
        return same or shared or ([] if participant else self.tiers)


class _Index:
    """The values of some tiers, by annotation and by time."""

    def __init__(self, document: Tiers, tiers: Sequence[Tier]) -> None:
        notes = [note for tier in tiers for note in tier.notes if note.value is not None]
        self._document = document
        self._by_note = {note: note.value for note in notes}
        for note in notes:
            child = note
            # An annotation speaks for what it is symbolically associated with, and so on up.
            while child.tier.stereotype == "Symbolic_Association":
                parent = document.parents.get(child)
                if parent is None or parent in self._by_note:
                    break
                self._by_note[parent] = note.value
                child = parent
        # What kslds wrote beside a segment is that segment's alone, whatever overlaps it.
        shared = [note for note in notes if not note.tier.type_name.startswith(OURS)]
        spans = [(*document.spans[note], note.value) for note in shared]
        known = [(s, e, value) for s, e, value in spans if s is not None and e is not None]
        self._spans = sorted(known, key=itemgetter(0))
        self._starts = [start for start, _, _ in self._spans]
        self._latest_ends = list(accumulate((end for _, end, _ in self._spans), max))

    def value(self, note: Note) -> str | None:
        ancestor: Note | None = note
        while ancestor is not None:
            if ancestor in self._by_note:
                return self._by_note[ancestor]
            ancestor = self._document.parents.get(ancestor)
        start, end = self._document.spans[note]
        if start is None or end is None:
            return None
        best, longest = None, 0
        first = bisect_right(self._latest_ends, start)
        for other_start, other_end, value in self._spans[first : bisect_left(self._starts, end)]:
            overlap = min(end, other_end) - max(start, other_start)
            if overlap > longest:
                best, longest = value, overlap
        return best


def text_of(text: str | None) -> str | None:
    """Text as NFC without blanks around; None where nothing is left."""
    return unicodedata.normalize("NFC", text or "").strip() or None
