"""Annotations from ELAN files (.eaf, formats 2.3 to 3.0).

Annotations without times of their own get them the way ELAN shows them:

- A time slot without a value is placed by its neighbours: annotations of one tier that share
  slots form a chain, and the open slots between two known ones divide the time between them
  evenly, rounded down to whole milliseconds. Parent tiers are settled first, so the pieces
  of a piece divide what that piece was given.
- The pieces of a symbolic subdivision divide their parent's interval evenly, in the order
  that PREVIOUS_ANNOTATION gives. Any other annotation that refers to a parent has the
  parent's interval.

`kslds.corpora.eaf` reads and writes whole documents; why neither goes through another package
is told in `docs/format.md`.
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote

from kslds.corpora import About, Annotation, Source, choose
from kslds.corpora.eaf import parse, stereotype
from kslds.corpora.tiers import FIELDS as FIELDS
from kslds.corpora.tiers import (
    Note,
    Span,
    Tier,
    Tiers,
    check_columns,
    names_of,
    segments,
    text_of,
)
from kslds.corpora.times import parse_time
from kslds.errors import AnnotationError
from kslds.folders import Finder

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

ABOUT = About(
    title="ELAN",
    what="Annotation files (.eaf) of the annotation tool ELAN, formats 2.3 to 3.0: tiers of "
    "intervals beside a recording. Tiers, participants, annotators, controlled vocabularies "
    "(in the file or in an .ecv file beside it) and the time origin of the media are read; "
    "`kslds elan export` writes a dataset's segments back.",
    size="Any number of files; one is read in a few milliseconds.",
    licence="That of your files; ELAN itself is GPL-3.0.",
    citation="ELAN, The Language Archive, Max Planck Institute for Psycholinguistics, Nijmegen. "
    "https://archive.mpi.nl/tla/elan",
    access="Name the folder of the .eaf files as `annotations`. Each names its recording in its "
    "header; the first video that is there counts, by its path relative to the .eaf file or by "
    "its name.",
    defects=(
        (
            "Time slots may have no value (1,572 of the 7,182 of pympi's sample file).",
            "Open slots between two known ones divide the time evenly, as ELAN shows them; "
            "an annotation that nothing places is dropped with K120.",
        ),
        (
            "Files of before 2.8 fail the schema of EAF 3.0 (DESCRIPTION of a vocabulary).",
            "They are read, and written back as valid 3.0 with nothing lost.",
        ),
        (
            "Files that SLAN-tool exports look like ELAN's, with times ten times too small.",
            'They are refused; use adapter = "slan".',
        ),
        (
            "A save that was cut short leaves an empty or broken file.",
            "Among other files it is one dropped row with K123; alone it stops the build.",
        ),
    ),
)

SLAN_DATE = "2021-07-08T16:51:56+06:00"
"""DATE of every file that SLAN-tool exports; they have no VERSION, and wrong times."""

_RATES: Mapping[str, Fraction] = {
    "milliseconds": Fraction(1000),
    "PAL-frames": Fraction(25),
    "NTSC-frames": Fraction(30000, 1001),
}
"""TIME_UNITS to units per second."""

TIER_PROPERTY = "kslds-tier:"
"""With the name of a tier, a property of the header: the tier of a dataset that the segments on
it are of, empty for none."""

_VIDEO_SUFFIXES = (
    ".3gp", ".avi", ".dv", ".flv", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg",
    ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv",
)  # fmt: skip

_Entries = Mapping[str | None, Mapping[str, str | None]]
"""Of a controlled vocabulary: entry to language to value."""


def read(source: Source) -> Iterator[Annotation]:
    """Yield the annotations of the chosen tiers, file by file, in the order of the file.

    `kslds.corpora.tiers.segments` says how tiers are chosen and fields are found.
    PARTICIPANT is the signer and ANNOTATOR the annotator; a child tier without them has those
    of its parent. With the option ``annotator`` the annotator is instead the ``folder`` that the
    file lies in, or the ``author`` of the document.

    The recording is the first that the header names and `source.media` has: videos first (by
    MIME_TYPE or file ending), sounds last. `Links` tells how it is found. If none is there, the
    first counts; a file that names no media is taken to be about a recording of its own name.
    Times are moved by the TIME_ORIGIN of that recording.

    The value of an annotation that only names an entry of a vocabulary is looked up in the
    file, or in the external vocabulary (.ecv) below the file's folder; none is ever fetched.

    A file that is not an ELAN document is one annotation with a `problem`.

    Raises:
        MissingFile: A file is not there.
        AnnotationError: The only file is not an ELAN document, or a file has no tier of a name
            that the recipe gives.
        RecipeError: `source.columns` maps a field that ELAN files do not have, or
            `source.options` has something unknown.
    """
    check_columns(source)
    who = choose(source, adapter="elan", known={"annotator": ("tier", "folder", "author")})
    external: dict[Path, Element] = {}
    links = Links(source)
    for path in source.files:
        try:
            root = parse(path)
            if is_slan(root):
                raise AnnotationError(
                    f"{path} was exported by SLAN-tool, whose .eaf times are ten times too small.",
                    hint='Read it with adapter = "slan", which offers a repair.',
                )
            document = replace(
                tiers_of(root, path, external=external, links=links),
                annotator=_annotator(root, path, who["annotator"]),
            )
        except AnnotationError as error:
            if len(source.files) == 1:
                raise
            name = names_of(source.files)[path]
            reason = str(error).replace(str(path), name)
            yield Annotation(
                source=name, recording="", start=None, end=None, unit="ms",
                problem=("K123", reason),
            )  # fmt: skip
        else:
            yield from segments(document, source)


def _annotator(root: Element, path: Path, how: str) -> str | None:
    if how == "folder":
        return text_of(path.absolute().parent.name)
    return text_of(root.get("AUTHOR")) if how == "author" else None


def is_slan(root: Element) -> bool:
    """Is this document an export of SLAN-tool, not of ELAN?"""
    return root.get("DATE") == SLAN_DATE and "VERSION" not in root.attrib


def tiers_of(
    root: Element,
    path: Path,
    *,
    scale: int = 1,
    external: dict[Path, Element] | None = None,
    links: Links | None = None,
) -> Tiers:
    """The tiers of an ELAN document, every annotation with its time.

    Args:
        root: The outermost element.
        path: The file, for messages, its media and its external vocabularies.
        scale: What to multiply the times with.
        external: External vocabularies that were read before; those read now are added.
        links: Finds the recording; without it, its name is as the header has it.

    Raises:
        AnnotationError: A time is not a number, or an external vocabulary is broken.
    """
    header = root.find("HEADER")
    units = "milliseconds" if header is None else header.get("TIME_UNITS", "milliseconds")
    rate = _RATES.get(units)
    if rate is None:
        raise AnnotationError(
            f"{path} counts time in {units!r:.60}; expected {', '.join(_RATES)}.",
            hint="Convert its times to milliseconds, as every current ELAN writes them.",
        )
    recording, origin_ms = media(root, path, links=links)
    factor = 1000 * scale / rate
    slots: dict[str, int | None] = {}
    doubtful: set[str] = set()
    for slot in root.iterfind("TIME_ORDER/TIME_SLOT"):
        value = _number(slot, "TIME_VALUE", path)
        # Rounded down, so that `start_ms <= floor(1000 * pts)` holds for the frame that is meant.
        time = None if value is None else value * factor.numerator // factor.denominator
        key = slot.get("TIME_SLOT_ID", "")
        if slots.setdefault(key, time) != time:
            doubtful.add(key)
    tiers = _tiers(root, _Vocabularies(root, path, {} if external is None else external))
    slots.update(dict.fromkeys(doubtful))
    spans, parents = _times([tier for _, tier in tiers], slots, doubtful)
    problems = {
        note: ("K120", _why(note, spans[note], parents, doubtful))
        for _, tier in tiers
        for note in tier.notes
        if None in spans[note]
    }
    return Tiers(
        path=path,
        recording=recording,
        origin_ms=origin_ms,
        tiers=[tier for _, tier in sorted(tiers, key=itemgetter(0))],
        spans=spans,
        parents=parents,
        problems=problems,
        columns=("TIME_SLOT_REF1", "TIME_SLOT_REF2"),
    )


def _why(note: Note, span: Span, parents: Mapping[Note, Note], doubtful: Collection[str]) -> str:
    """Why an annotation has no times."""
    if note.slots is not None:
        twice = next((slot for slot in note.slots if slot in doubtful), None)
        if twice is not None:
            return f"the time slot {twice!r} is there more than once, with different values"
        slot = note.slots[0] if span[0] is None else note.slots[1]
        return f"the time slot {slot!r} has no value and none follows from its neighbours"
    if note in parents:
        return f"its parent {note.parent_key!r} has no times"
    return f"its parent {note.parent_key!r} is not on a tier above"


# Reading the file


def media(root: Element, path: Path, *, links: Links | None = None) -> tuple[str, int]:
    """The recording that the header names, and its TIME_ORIGIN in ms."""
    links = links or Links(Source(files=(path,)))
    named: list[tuple[int, str, Element]] = []
    for descriptor in root.iterfind("HEADER/MEDIA_DESCRIPTOR"):
        urls = descriptor.get("RELATIVE_MEDIA_URL", ""), descriptor.get("MEDIA_URL", "")
        name = links.recording(urls, path)
        mime = descriptor.get("MIME_TYPE", "").casefold()
        if mime.startswith("video/") or name.casefold().endswith(_VIDEO_SUFFIXES):
            rank = 0
        else:
            rank = 2 if mime.startswith("audio/") else 1
        if name:
            named.append((rank, name, descriptor))
    if not named:
        return unicodedata.normalize("NFC", path.stem), 0
    named.sort(key=itemgetter(0))
    _, name, descriptor = next((item for item in named if links.has(item[1])), named[0])
    # "An offset in milliseconds, sets a virtual starting point for the media player, a new
    # point where media time is 0" (MediaDescriptor.timeOrigin in ELAN's source; its players
    # seek to `time + offset`): the document's zero is this far into the media file.
    return name, _number(descriptor, "TIME_ORIGIN", path) or 0


class Links:
    """Which recordings the annotation files of one source name.

    A URL below the folder of the annotation file means the media file there, if there is one.
    Else a URL means the media file that ends its path with the same folders and name; a path
    that leads out of the folder is compared only, and nothing there is looked for. Where
    neither is found, the bare name counts, for annotation files and media are often moved apart.
    """

    def __init__(self, source: Source) -> None:
        self._media = frozenset(source.media)
        self._finder = Finder({name: name for name in source.media})
        self._alike: dict[str, list[Path]] = defaultdict(list)
        for path in source.files:
            self._alike[path.name].append(path.parent)
        self._taken: dict[tuple[str, str], bool] = {}

    def has(self, recording: str) -> bool:
        """Is there a media file that this may mean?"""
        return self._finder.find(recording)[1] != "K103"

    def recording(self, urls: tuple[str, str], path: Path) -> str:
        """The media file that a RELATIVE_MEDIA_URL and a MEDIA_URL mean, else their name.

        Args:
            urls: As the document has them.
            path: The document.
        """
        first = urls[0] if local_name(urls[0]) else urls[1]
        name = local_name(first)
        if not self._media or not name:
            return name
        folder = path.parent
        below = _place(name, folder)
        if _place(first, folder) == below and _is_file(folder / name):
            found = self._tail(below, least=0)
            if found:
                return found
        for place in (*(_place(url, folder) for url in urls), below):
            found = self._tail(place, least=1)
            if found:
                return found
        if self._is_of_others(name, path):
            return f"{folder.absolute().name}/{name}"
        return name

    def _tail(self, place: str, *, least: int) -> str | None:
        """The media file that agrees with a path in most folders, and in so many at least."""
        parts = place.split("/")[-_MAX_FOLDERS:]
        tails = ("/".join(parts[start:]) for start in range(len(parts) - least))
        return next((tail for tail in tails if tail in self._media), None)

    def _is_of_others(self, name: str, path: Path) -> bool:
        """Do files of this name belong to the folders of other documents called alike?

        With a folder for each session, a recording that is missing must not be taken from the
        next folder. A document that is called like its recording may be a copy.
        """
        if PurePosixPath(name).stem == unicodedata.normalize("NFC", path.stem):
            return False
        key = path.name, name
        if key not in self._taken:
            places = (_place(name, folder) for folder in self._alike[path.name])
            self._taken[key] = any(self._tail(place, least=1) for place in places)
        return self._taken[key]


_MAX_FOLDERS = 64
"""So many parts of a path are compared with the names of media files."""


def local_name(url: str) -> str:
    """A URL as a path below the file's folder, or as a bare name where it leads out."""
    parts, is_absolute = _parts(url)
    if is_absolute or ".." in parts:
        parts = [part for part in parts[-1:] if part != ".." and not part.endswith(":")]
    return "/".join(parts)


def _parts(url: str) -> tuple[list[str], bool]:
    """The parts of the path of a URL, and whether it is absolute."""
    # Some files have `file:/./name` for a relative path.
    url = re.sub(r"^file:(/+(?=\.{1,2}/))?", "", unquote(url).replace("\0", ""))
    url = unicodedata.normalize("NFC", url)
    parts = [part for part in re.split(r"[/\\]", url) if part not in ("", ".")]
    return parts, url.startswith(("/", "\\")) or any(part.endswith(":") for part in parts[:1])


def _place(url: str, folder: Path) -> str:
    """The absolute path that a URL in a document of this folder means, to compare it only."""
    parts, is_absolute = _parts(url)
    above = "" if is_absolute else unicodedata.normalize("NFC", folder.absolute().as_posix())
    return posixpath.normpath("/".join([above, *parts])) if parts else ""


def _number(element: Element, attribute: str, path: Path) -> int | None:
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


def _tiers(root: Element, vocabularies: _Vocabularies) -> list[tuple[int, Tier]]:
    """The tiers with their place in the file, each after the tier above it."""
    told = {
        item.get("NAME", "").removeprefix(TIER_PROPERTY): text_of(item.text) or ""
        for item in root.iterfind("HEADER/PROPERTY")
        if item.get("NAME", "").startswith(TIER_PROPERTY)
    }
    types: dict[str | None, Element] = {
        kind.attrib["LINGUISTIC_TYPE_ID"]: kind
        for kind in root.iterfind("LINGUISTIC_TYPE[@LINGUISTIC_TYPE_ID]")
    }
    tiers: dict[int, Tier] = {}
    by_name: dict[str | None, Tier] = {}
    for place, element in _parents_first(root.findall("TIER")):
        parent = by_name.get(element.get("PARENT_REF"))
        kind = types.get(element.get("LINGUISTIC_TYPE_REF"))
        participant = text_of(element.get("PARTICIPANT"))
        annotator = text_of(element.get("ANNOTATOR"))
        tier = Tier(
            name=text_of(element.get("TIER_ID")) or "",
            type_name=text_of(element.get("LINGUISTIC_TYPE_REF")) or "",
            stereotype=None if kind is None else stereotype(kind.get("CONSTRAINTS")),
            has_parent="PARENT_REF" in element.attrib,
            participant=parent.participant if participant is None and parent else participant,
            annotator=parent.annotator if annotator is None and parent else annotator,
            stands_for=told.get(element.get("TIER_ID", "")),
        )
        cv = None if kind is None else kind.get("CONTROLLED_VOCABULARY_REF")
        language = element.get("LANG_REF", "")
        for number, item in enumerate(element.iterfind("ANNOTATION/*"), start=1):
            value = _inner_text(item.find("ANNOTATION_VALUE"))
            if value is None and cv is not None:
                spoken = item.get("LANG_REF") or language
                value = vocabularies.value(cv, item, language=spoken)
            aligned = item.tag == "ALIGNABLE_ANNOTATION"
            note = Note(
                key=item.get("ANNOTATION_ID") or f"{place}.{number}",
                tier=tier,
                value=value,
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


class _Vocabularies:
    """The controlled vocabularies of a document; external ones are read when they are asked."""

    def __init__(self, root: Element, path: Path, external: dict[Path, Element]) -> None:
        self._path = path
        self._external = external
        self._references = {
            item.get("EXT_REF_ID"): (item.get("TYPE"), item.get("VALUE", ""))
            for item in root.iterfind("EXTERNAL_REF")
        }
        self._elements = {
            item.get("CV_ID"): item for item in root.iterfind("CONTROLLED_VOCABULARY[@CV_ID]")
        }
        self._read: dict[str, _Entries] = {}

    def value(self, name: str, item: Element, *, language: str) -> str | None:
        """The value of the entry that an annotation names, in a language where it has that."""
        # EAF 2.7 names the entry of an external vocabulary by a reference.
        references = (self._references.get(key) for key in item.get("EXT_REF", "").split())
        named = [value for kind, value in filter(None, references) if kind == "cve_id"]
        key = item.get("CVE_REF") or next(iter(named), None)
        if key is None:
            return None
        if name not in self._read:
            self._read[name] = self._entries(name)
        entry = self._read[name].get(key, {})
        return entry.get(language) or next(filter(None, entry.values()), None)

    def _entries(self, name: str) -> _Entries:
        element = self._elements.get(name)
        if element is None:
            return {}
        kind, url = self._references.get(element.get("EXT_REF"), (None, ""))
        if kind == "ecv":
            path = external_vocabulary(self._path, url)
            if path is None:
                return {}
            if path not in self._external:
                self._external[path] = parse(path, root_tag="CV_RESOURCE")
            found = self._external[path].iterfind("CONTROLLED_VOCABULARY[@CV_ID]")
            element = next((item for item in found if item.get("CV_ID") == name), element)
        return {
            entry.attrib["CVE_ID"]: {
                value.get("LANG_REF", ""): _inner_text(value)
                for value in entry.findall("CVE_VALUE") or [entry]
            }
            for entry in element
            if "CVE_ID" in entry.attrib
        }


def external_vocabulary(path: Path, url: str) -> Path | None:
    """The .ecv file that a document names, where it lies below the document's folder.

    Only the part of a URL below the folder counts, else the bare name: nothing is fetched and
    nothing outside the folder is opened.

    Args:
        path: The .eaf file.
        url: As the document has it.
    """
    name = local_name(url)
    if not name.casefold().endswith(".ecv"):
        return None
    found = path.parent / name
    inside = found.resolve().is_relative_to(path.parent.resolve())
    return found if inside and _is_file(found) else None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False


# Giving every annotation its time


def _times(
    tiers: Sequence[Tier], slots: Mapping[str, int | None], doubtful: Collection[str]
) -> tuple[dict[Note, Span], dict[Note, Note]]:
    """Times and parents of all annotations; the tiers come in an order of parents first."""
    times = dict(slots)
    by_key: dict[str, Note] = {}
    spans: dict[Note, Span] = {}
    parents: dict[Note, Note] = {}
    for tier in tiers:
        _place_open_slots(tier, times, doubtful)
        pieces: dict[Note, list[Note]] = {}
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


def _place_open_slots(tier: Tier, times: dict[str, int | None], doubtful: Collection[str]) -> None:
    """Give times to the slots that follow from their neighbours on this tier."""
    followers: dict[str, str] = {}
    for note in tier.notes:
        if note.slots is not None and not any(slot in doubtful for slot in note.slots):
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


def _divided(span: Span, notes: Sequence[Note]) -> dict[Note, Span]:
    start, end = span
    if start is None or end is None:
        return dict.fromkeys(notes, (None, None))
    marks = _marks(start, end, len(notes))
    return dict(zip(notes, pairwise(marks), strict=True))


def _marks(start: int, end: int, parts: int) -> list[int]:
    """The ends of equal parts of an interval: `parts` + 1 times, rounded down."""
    return [start + (end - start) * part // parts for part in range(parts + 1)]


def _in_sequence(notes: Sequence[Note]) -> list[Note]:
    """Annotations in the order of PREVIOUS_ANNOTATION, else of the file."""
    keys = {note.key for note in notes}
    followers = {note.previous_key: note for note in reversed(notes) if note.previous_key in keys}
    sequence: dict[Note, None] = {}
    for head in notes:
        if head.previous_key not in keys:
            note: Note | None = head
            while note is not None:
                sequence[note] = None
                note = followers.pop(note.key, None)
    return [*sequence, *(note for note in notes if note not in sequence)]


def _inner_text(element: Element | None) -> str | None:
    return None if element is None else text_of("".join(element.itertext()))
