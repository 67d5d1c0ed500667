"""Annotations from ELAN files (.eaf, formats 2.3 to 3.0).

The XML is read here and not through pympi-ling: version 1.71 fails on files without VERSION
or a schema location, fails on queries over time slots without a value, and gives each piece
of a symbolic subdivision the whole interval of its parent.

Annotations without times of their own get them the way ELAN shows them:

- A time slot without a value is placed by its neighbours: annotations of one tier that share
  slots form a chain, and the open slots between two known ones divide the time between them
  evenly, rounded down to whole milliseconds. Parent tiers are settled first, so the pieces
  of a piece divide what that piece was given.
- The pieces of a symbolic subdivision divide their parent's interval evenly, in the order
  that PREVIOUS_ANNOTATION gives. Any other annotation that refers to a parent has the
  parent's interval.
"""

from __future__ import annotations

import os
import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import accumulate, pairwise
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from defusedxml import DefusedXmlException, ElementTree
from rapidfuzz import fuzz, process, utils

from kslds.corpora import Annotation, Source
from kslds.corpora.times import parse_time
from kslds.errors import AnnotationError, MissingFile, RecipeError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

FIELDS = ("gloss", "emotion", "sentence", "translation", "signer", "annotator", "session")
"""What `Source.columns` may map to the name or pattern of a tier."""

_MAX_BYTES = 256 << 20
_VIDEO_SUFFIXES = (
    ".3gp", ".avi", ".dv", ".flv", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg",
    ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv",
)  # fmt: skip

_Span = tuple[int | None, int | None]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Tier:
    name: str
    type_name: str
    stereotype: str | None
    """The constraint of its linguistic type, as ``Symbolic_Association``; None without one."""
    has_parent: bool
    participant: str | None
    """Its own or, where it states none, that of the nearest tier above that does."""
    annotator: str | None
    notes: list[_Note] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Note:
    """One annotation of a tier."""

    key: str
    tier: _Tier
    value: str | None
    slots: tuple[str, str] | None
    """The time slots of an annotation that has its own; the others have a parent."""
    parent_key: str | None
    previous_key: str | None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Document:
    path: Path
    recording: str
    origin_ms: int
    """What to add to a time of the document to get the time in the recording."""
    tiers: Sequence[_Tier]
    """In the order of the file."""
    spans: Mapping[_Note, _Span]
    """Start and end, ms of the document; None where no time follows."""
    parents: Mapping[_Note, _Note]
    """Of the annotations that refer to one; free of cycles."""


def read(source: Source) -> Iterator[Annotation]:
    """Yield the annotations of the chosen tiers, file by file, in the order of the file.

    `source.tiers` chooses the tiers whose annotations become segments, by name, by pattern
    (``*_gloss``) or by linguistic type (``type:sign*``). Where it is empty, the tier that
    `source.columns` maps to ``gloss`` is read, else the tier called gloss, else the only
    top-level tier (not counting an empty one called default).

    The value of a segment is its label, unless `source.columns` gives the segment's tier to
    another field or maps ``gloss`` to another tier. A mapped field takes its value from the
    annotation that is symbolically associated with the segment, else from the segment's
    nearest ancestor that is or has an annotation there, else from the annotation that overlaps
    the segment most. Where a pattern matches tiers of several participants, those of the
    segment's participant count. PARTICIPANT is the signer and ANNOTATOR the annotator where
    no tier is mapped to them. Of a mapped pattern a file need not have any tier; a plain name
    is held to be in every file.

    The recording is the first video that the header names, as a path below the file's folder
    or as a bare name; a file that names no media is taken to be about a recording of its own
    name.

    Raises:
        MissingFile: A file is not there.
        AnnotationError: A file is not an ELAN document, or has no tier of a name that the
            recipe gives.
        RecipeError: `source.columns` maps a field that ELAN files do not have.
    """
    for name in source.columns:
        if name not in FIELDS:
            near = _nearest(name, FIELDS)
            raise RecipeError(
                f"the recipe's columns map an unknown field {name!r}; "
                f"tiers can be mapped to {', '.join(FIELDS)}.",
                hint=f"Did you mean {near!r}?" if near else None,
            )
    for path in source.files:
        yield from _annotations(_document(path), source)


def _annotations(document: _Document, source: Source) -> Iterator[Annotation]:
    tiers = _segment_tiers(document, source)
    mapped = {name: _Field(document, pattern) for name, pattern in source.columns.items()}

    def value(name: str, note: _Note, default: str | None) -> str | None:
        return mapped[name].value(note) if name in mapped else default

    for tier in tiers:
        is_other_field = any(tier in other.tiers for other in mapped.values())
        for note in tier.notes:
            start, end = (
                None if time is None else str(time + document.origin_ms)
                for time in document.spans[note]
            )
            yield Annotation(
                source=f"{document.path.name}:{note.key}",
                recording=document.recording,
                start=start,
                end=end,
                unit="ms",
                start_column="TIME_SLOT_REF1",
                end_column="TIME_SLOT_REF2",
                label=value("gloss", note, None if is_other_field else note.value),
                emotion=value("emotion", note, None),
                sentence=value("sentence", note, None),
                translation=value("translation", note, None),
                signer=value("signer", note, tier.participant),
                session=value("session", note, None),
                tier=tier.name,
                annotator=value("annotator", note, tier.annotator),
                problem=_problem(document, note),
            )


def _problem(document: _Document, note: _Note) -> tuple[str, str] | None:
    start, end = document.spans[note]
    if start is not None and end is not None:
        return None
    if note.slots is not None:
        slot = note.slots[0] if start is None else note.slots[1]
        reason = f"the time slot {slot!r} has no value and none follows from its neighbours"
    elif note in document.parents:
        reason = f"its parent {note.parent_key!r} has no times"
    else:
        reason = f"its parent {note.parent_key!r} is not on a tier above"
    return "K120", f"{document.path.name}:{note.key}: {reason}"


# Choosing tiers and finding values


def _segment_tiers(document: _Document, source: Source) -> list[_Tier]:
    patterns = source.tiers or tuple(v for k, v in source.columns.items() if k == "gloss")
    if patterns:
        chosen = {tier for pattern in patterns for tier in _matching(document, pattern)}
        if not chosen:
            raise _no_tier(document, f"that matches {_listed(patterns)}", patterns[0])
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


def _matching(document: _Document, pattern: str) -> list[_Tier]:
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


def _no_tier(document: _Document, which: str, wanted: str) -> AnnotationError:
    names = [tier.name for tier in document.tiers]
    if wanted.startswith("type:"):
        names = [*dict.fromkeys(f"type:{tier.type_name}" for tier in document.tiers)]
    near = _nearest(wanted, names)
    return AnnotationError(
        f"the file {document.path} has no tier {which}; "
        f"it has: {_listed(names) if names else 'no tiers at all'}.",
        hint=f"Did you mean {near!r}?"
        if near
        else 'Name the tiers to read in the recipe, as in tiers = ["NAME", "PATTERN*"].',
    )


class _Field:
    """A mapped field of one document."""

    def __init__(self, document: _Document, pattern: str) -> None:
        self.tiers = _matching(document, pattern)
        self._document = document
        self._by_name = any(
            tier.name == unicodedata.normalize("NFC", pattern) for tier in self.tiers
        )
        self._indices: dict[str | None, _Index] = {}

    def value(self, note: _Note) -> str | None:
        if note.tier in self.tiers:
            return note.value
        participant = note.tier.participant
        if participant not in self._indices:
            self._indices[participant] = _Index(self._document, self._tiers_for(participant))
        return self._indices[participant].value(note)

    def _tiers_for(self, participant: str | None) -> Sequence[_Tier]:
        if self._by_name:
            return self.tiers
        same = [tier for tier in self.tiers if tier.participant == participant]
        shared = [tier for tier in self.tiers if tier.participant is None]
        return same or shared or ([] if participant else self.tiers)


class _Index:
    """The values of some tiers, by annotation and by time."""

    def __init__(self, document: _Document, tiers: Sequence[_Tier]) -> None:
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
        spans = [(*document.spans[note], note.value) for note in notes]
        known = [(s, e, value) for s, e, value in spans if s is not None and e is not None]
        self._spans = sorted(known, key=itemgetter(0))
        self._starts = [start for start, _, _ in self._spans]
        self._latest_ends = list(accumulate((end for _, end, _ in self._spans), max))

    def value(self, note: _Note) -> str | None:
        ancestor: _Note | None = note
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


# Reading the file


def _document(path: Path) -> _Document:
    root = _root(path)
    header = root.find("HEADER")
    units = "milliseconds" if header is None else header.get("TIME_UNITS", "milliseconds")
    if units != "milliseconds":
        raise AnnotationError(
            f"{path} counts time in {units!r:.60}; expected milliseconds.",
            hint="Convert its times to milliseconds, as every current ELAN writes them.",
        )
    recording, origin_ms = _media(root, path)
    slots = {
        slot.get("TIME_SLOT_ID", ""): _milliseconds(slot, "TIME_VALUE", path)
        for slot in root.iterfind("TIME_ORDER/TIME_SLOT")
    }
    tiers = _tiers(root)
    spans, parents = _times([tier for _, tier in tiers], slots)
    return _Document(
        path=path,
        recording=recording,
        origin_ms=origin_ms,
        tiers=[tier for _, tier in sorted(tiers, key=itemgetter(0))],
        spans=spans,
        parents=parents,
    )


def _root(path: Path) -> Element:
    broken = "Open it in ELAN and save it again, or restore a backup that ELAN keeps (.eaf.001)."
    try:
        stream = path.open("rb")
    except FileNotFoundError as error:
        raise MissingFile(
            f"the annotation file {path} does not exist.",
            hint="Correct `annotations` in the recipe.",
        ) from error
    except OSError as error:
        raise AnnotationError(f"{path} cannot be opened: {error.strerror}.") from error
    with stream:
        size = os.fstat(stream.fileno()).st_size
        if size == 0:
            raise AnnotationError(f"{path} is empty (0 bytes); expected an EAF file.", hint=broken)
        if size > _MAX_BYTES:
            raise AnnotationError(
                f"{path} is larger than {_MAX_BYTES >> 20} MiB; that is not a file ELAN wrote.",
                hint="Name the right file in the recipe.",
            )
        try:
            root = ElementTree.parse(stream, forbid_dtd=True).getroot()
        except ElementTree.ParseError as error:
            raise AnnotationError(
                f"{path} is not well-formed XML: {error}.", hint=broken
            ) from error
        except DefusedXmlException as error:
            raise AnnotationError(
                f"{path} declares a document type or entities, which EAF files never do; "
                "it was not read further.",
                hint="Ask for the file that ELAN wrote.",
            ) from error
        except (LookupError, ValueError) as error:
            raise AnnotationError(f"{path} cannot be decoded: {error}.", hint=broken) from error
    if root is None or root.tag != "ANNOTATION_DOCUMENT":
        raise AnnotationError(
            f"{path} is not an EAF file: its outermost element is not ANNOTATION_DOCUMENT.",
            hint="Name the .eaf file in the recipe.",
        )
    return root


def _media(root: Element, path: Path) -> tuple[str, int]:
    """The recording that the header names, and its TIME_ORIGIN."""
    named: list[tuple[int, str, Element]] = []
    for descriptor in root.iterfind("HEADER/MEDIA_DESCRIPTOR"):
        urls = descriptor.get("RELATIVE_MEDIA_URL", ""), descriptor.get("MEDIA_URL", "")
        name = _media_name(urls[0]) or _media_name(urls[1])
        mime = descriptor.get("MIME_TYPE", "").casefold()
        if mime.startswith("video/") or name.casefold().endswith(_VIDEO_SUFFIXES):
            rank = 0
        else:
            rank = 2 if mime.startswith("audio/") else 1
        if name:
            named.append((rank, name, descriptor))
    if not named:
        return unicodedata.normalize("NFC", path.stem), 0
    _, name, descriptor = min(named, key=itemgetter(0))
    # "An offset in milliseconds, sets a virtual starting point for the media player, a new
    # point where media time is 0" (MediaDescriptor.timeOrigin in ELAN's source; its players
    # seek to `time + offset`): the document's zero is this far into the media file.
    return name, _milliseconds(descriptor, "TIME_ORIGIN", path) or 0


def _media_name(url: str) -> str:
    """A media URL as a path below the file's folder, or as a bare name where it leads out."""
    # Some files have `file:/./name` for a relative path.
    url = re.sub(r"^file:(/+(?=\.{1,2}/))?", "", unquote(url).replace("\0", ""))
    parts = [part for part in re.split(r"[/\\]", url) if part not in ("", ".")]
    is_absolute = url.startswith(("/", "\\")) or any(part.endswith(":") for part in parts[:1])
    if is_absolute or ".." in parts:
        parts = [part for part in parts[-1:] if part != ".." and not part.endswith(":")]
    return unicodedata.normalize("NFC", "/".join(parts))


def _milliseconds(element: Element, attribute: str, path: Path) -> int | None:
    text = element.get(attribute)
    if not text:
        return None
    try:
        return parse_time(text, unit="ms").ms
    except ValueError as error:
        key = element.get("TIME_SLOT_ID")
        raise AnnotationError(
            f"{path}: {element.tag}{f' {key!r}' if key else ''} has a bad {attribute}: {error}.",
            hint="Open it in ELAN, correct it and save it again.",
        ) from error


def _tiers(root: Element) -> list[tuple[int, _Tier]]:
    """The tiers with their place in the file, each after the tier above it."""
    types: dict[str | None, Element] = {
        kind.attrib["LINGUISTIC_TYPE_ID"]: kind
        for kind in root.iterfind("LINGUISTIC_TYPE[@LINGUISTIC_TYPE_ID]")
    }
    vocabularies = _vocabularies(root)
    tiers: dict[int, _Tier] = {}
    by_name: dict[str | None, _Tier] = {}
    for place, element in _parents_first(root.findall("TIER")):
        parent = by_name.get(element.get("PARENT_REF"))
        kind = types.get(element.get("LINGUISTIC_TYPE_REF"))
        participant = _text(element.get("PARTICIPANT"))
        annotator = _text(element.get("ANNOTATOR"))
        tier = _Tier(
            name=_text(element.get("TIER_ID")) or "",
            type_name=_text(element.get("LINGUISTIC_TYPE_REF")) or "",
            stereotype=None if kind is None else kind.get("CONSTRAINTS"),
            has_parent="PARENT_REF" in element.attrib,
            participant=parent.participant if participant is None and parent else participant,
            annotator=parent.annotator if annotator is None and parent else annotator,
        )
        cv = None if kind is None else kind.get("CONTROLLED_VOCABULARY_REF")
        vocabulary = vocabularies.get(cv, {})
        language = element.get("LANG_REF", "")
        for number, item in enumerate(element.iterfind("ANNOTATION/*"), start=1):
            entry = vocabulary.get(item.get("CVE_REF"), {})
            listed = entry.get(language) or next(filter(None, entry.values()), None)
            aligned = item.tag == "ALIGNABLE_ANNOTATION"
            note = _Note(
                key=item.get("ANNOTATION_ID") or f"{place}.{number}",
                tier=tier,
                value=_inner_text(item.find("ANNOTATION_VALUE")) or listed,
                slots=(item.get("TIME_SLOT_REF1", ""), item.get("TIME_SLOT_REF2", ""))
                if aligned
                else None,
                parent_key=item.get("ANNOTATION_REF"),
                previous_key=item.get("PREVIOUS_ANNOTATION"),
            )
            tier.notes.append(note)
        tiers[place] = tier
        by_name.setdefault(element.get("TIER_ID", ""), tier)
    return list(tiers.items())


def _parents_first(elements: Sequence[Element]) -> list[tuple[int, Element]]:
    places: dict[str, int] = {}
    for place, element in enumerate(elements):
        places.setdefault(element.get("TIER_ID", ""), place)
    children: dict[int | None, list[int]] = {}
    for place, element in enumerate(elements):
        above = element.get("PARENT_REF")
        parent = None if above is None else places.get(above)
        children.setdefault(parent, []).append(place)
    order = children.get(None, [])
    for place in order:  # grows while it is read
        order.extend(children.get(place, []))
    # Tiers above each other in a circle are reached from nowhere.
    order.extend(sorted(set(range(len(elements))).difference(order)))
    return [(place, elements[place]) for place in order]


def _vocabularies(root: Element) -> dict[str | None, dict[str | None, dict[str, str | None]]]:
    """Vocabulary to entry to language to value."""
    return {
        vocabulary.attrib["CV_ID"]: {
            entry.attrib["CVE_ID"]: {
                value.get("LANG_REF", ""): _inner_text(value)
                for value in entry.findall("CVE_VALUE") or [entry]
            }
            for entry in vocabulary
            if "CVE_ID" in entry.attrib
        }
        for vocabulary in root.iterfind("CONTROLLED_VOCABULARY[@CV_ID]")
    }


# Giving every annotation its time


def _times(
    tiers: Sequence[_Tier], slots: Mapping[str, int | None]
) -> tuple[dict[_Note, _Span], dict[_Note, _Note]]:
    """Times and parents of all annotations; the tiers come in an order of parents first."""
    times = dict(slots)
    by_key: dict[str, _Note] = {}
    spans: dict[_Note, _Span] = {}
    parents: dict[_Note, _Note] = {}
    for tier in tiers:
        _place_open_slots(tier, times)
        pieces: dict[_Note, list[_Note]] = {}
        for note in tier.notes:
            if note.slots is not None:
                spans[note] = times.get(note.slots[0]), times.get(note.slots[1])
            elif (parent := by_key.get(note.parent_key or "")) is not None:
                parents[note] = parent
                pieces.setdefault(parent, []).append(note)
            else:
                spans[note] = None, None
        for parent, notes in pieces.items():
            if tier.stereotype == "Symbolic_Subdivision":
                spans.update(_divided(spans[parent], _in_sequence(notes)))
            else:
                spans.update(dict.fromkeys(notes, spans[parent]))
        for note in tier.notes:
            by_key.setdefault(note.key, note)
    return spans, parents


def _place_open_slots(tier: _Tier, times: dict[str, int | None]) -> None:
    """Give times to the slots that follow from their neighbours on this tier."""
    followers: dict[str, str] = {}
    for note in tier.notes:
        if note.slots is not None:
            followers.setdefault(*note.slots)
    for begin in [slot for slot in followers if times.get(slot) is not None]:
        chain = [begin]
        # A slot is taken out as it is passed, which also ends a chain that bites its tail.
        while (slot := followers.pop(chain[-1], None)) is not None:
            chain.append(slot)
            if times.get(slot) is not None:
                break
        start, end = times[begin], times.get(chain[-1])
        if start is not None and end is not None:
            times.update(zip(chain, _marks(start, end, len(chain) - 1), strict=True))


def _divided(span: _Span, notes: Sequence[_Note]) -> dict[_Note, _Span]:
    start, end = span
    if start is None or end is None:
        return dict.fromkeys(notes, (None, None))
    marks = _marks(start, end, len(notes))
    return dict(zip(notes, pairwise(marks), strict=True))


def _marks(start: int, end: int, parts: int) -> list[int]:
    """The ends of equal parts of an interval: `parts` + 1 times, rounded down."""
    return [start + (end - start) * part // parts for part in range(parts + 1)]


def _in_sequence(notes: Sequence[_Note]) -> list[_Note]:
    """Annotations in the order of PREVIOUS_ANNOTATION, else of the file."""
    keys = {note.key for note in notes}
    followers = {note.previous_key: note for note in reversed(notes) if note.previous_key in keys}
    sequence: dict[_Note, None] = {}
    for head in notes:
        if head.previous_key not in keys:
            note: _Note | None = head
            while note is not None:
                sequence[note] = None
                note = followers.pop(note.key, None)
    return [*sequence, *(note for note in notes if note not in sequence)]


def _text(text: str | None) -> str | None:
    return unicodedata.normalize("NFC", text or "").strip() or None


def _inner_text(element: Element | None) -> str | None:
    return None if element is None else _text("".join(element.itertext()))


def _nearest(name: str, known: Sequence[str]) -> str | None:
    found = process.extractOne(
        name, known, scorer=fuzz.ratio, processor=utils.default_process, score_cutoff=60
    )
    return found[0] if found else None


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"{name!r:.60}" for name in names[:20])
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown
