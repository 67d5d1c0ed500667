"""A dataset's segments as tiers of ELAN documents, new ones or those that somebody has.

For every tier, annotator and signer of a recording there is one tier of the linguistic type
``kslds-gloss``, with the labels as values and the dataset's glosses as controlled vocabulary.
Emotion, sentence and translations are on tiers symbolically associated with it, of the types
``kslds-emotion`` and so on. The adapter ``elan`` reads the same segments back with::

    tiers   = ["type:kslds-gloss"]
    columns = { emotion = "type:kslds-emotion*", sentence = "type:kslds-sentence*",
                translation = "type:kslds-translation*",
                translation_kk = "type:kslds-kk-translation*" }

They are the same to the last field, their ids included, but for three things: `source` names the
new file; the side that a collection publishes (`published_split`) and the session have no place in
an ELAN file. Where a tier cannot have the name that the dataset gives it, a property
of the header tells that name (`elan.TIER_PROPERTY`). If whoever saves the file leaves the
property out, or renames the tier, the tier is called as in the file.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from operator import itemgetter
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from kslds.corpora import Source
from kslds.corpora.eaf import (
    EPOCH,
    STEREOTYPES,
    Document,
    Node,
    ids,
    node,
    parse,
    read_document,
    to_bytes,
    undetermined_language,
)
from kslds.corpora.eaf_schema import ROOT
from kslds.corpora.elan import TIER_PROPERTY, Links, external_vocabulary
from kslds.corpora.elan import media as media_of
from kslds.corpora.tiers import OURS, names_of
from kslds.errors import AnnotationError, CorruptData, UsageError
from kslds.manifest import Dataset, write_bytes
from kslds.schema import Recording, Segment, Sign

FIELDS: Mapping[str, str] = {
    "emotion": "emotion",
    "sentence": "sentence",
    "translation": "translation",
    "translation_kk": "kk-translation",
}
"""What has a tier of its own beside the glosses, and its linguistic type: none begins as another
does, so that patterns tell them apart."""

VOCABULARY = "kslds-glosses"
_TYPE = OURS + "{}"
_MIME = {
    ".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime",
    ".mpg": "video/mpeg", ".mpeg": "video/mpeg", ".webm": "video/webm",
}  # fmt: skip
_LAST_ID = "lastUsedAnnotationId"


@dataclass(frozen=True, kw_only=True)
class Exported:
    """One file that was written."""

    path: Path
    recording: str
    """The recording's `source_file`."""
    into: Path | None
    """The document that the tiers were added to; None for a new one."""
    tiers: int
    annotations: int
    """Segments; what is on associated tiers is not counted."""


def export(
    dataset: Dataset,
    *,
    out: Path,
    media: Mapping[str, Path] | None = None,
    into: Sequence[Path] = (),
    prefix: str = "",
    replace: bool = False,
) -> list[Exported]:
    """Write one .eaf for each recording that has segments; either all are written or none.

    Args:
        dataset: Its tables `segments`, `recordings` and, if validated, `signs` are read.
        out: The folder. A new file has its recording's path with the ending ``.eaf``.
        media: `source_file` → where the recording lies, for links relative to `out`; of those
            not listed the link is their name.
        into: Documents that get the tiers of their recording. What they hold stays as it is,
            but for the properties of kslds and the counter of annotation ids; the result is
            written to `out` under their name, those of one name in the folders in which they
            differ. The external vocabularies that lie beside them are written beside it.
        prefix: Put before the name of every tier.
        replace: Replace tiers and files that an earlier export wrote.

    Raises:
        UsageError: A document in `into` is of no recording of the dataset; a tier or file of
            the name is there and `replace` is not set, or the tier is not one of kslds.
        AnnotationError: A document cannot be read or written without loss.
        IncompleteDataset: There are no segments yet.
    """
    recordings = {row.recording_id: row for row in dataset.read("recordings", Recording)}
    segments: dict[str, list[Segment]] = defaultdict(list)
    for row in dataset.read("segments", Segment):
        segments[row.recording_id].append(row)
    names = names_of(tuple(into))
    given = _by_recording(into, recordings.values())
    glosses = _glosses(dataset, segments)
    results: dict[Path, tuple[bytes, Exported]] = {}
    vocabularies: dict[Path, bytes] = {}
    for recording_id, recording in sorted(recordings.items(), key=lambda i: i[1].source_file):
        rows = segments.get(recording_id)
        if not rows:
            continue
        source = given.get(recording_id)
        if source is None:
            path = _new_path(out, recording.source_file, taken=results)
            linked = (media or {}).get(recording.source_file)
            document = _new(recording.source_file, linked=linked, folder=path.parent)
            origin_ms = 0
        else:
            path = out / names[source]
            document, origin_ms = read_document(source), media_of(parse(source), source)[1]
            for target, data in _vocabularies_of(document, source, path):
                if vocabularies.setdefault(target, data) != data:
                    raise UsageError(
                        f"two vocabularies would be written to {target}.",
                        hint="Export their documents one after the other, to different folders.",
                    )
        tiers = _tiers(rows, prefix=prefix)
        where = str(source or path)
        document = _cleared(document, list(tiers), replace=replace, where=where)
        addition = _Addition(document, glosses, origin_ms=origin_ms, where=where)
        document = addition.document(tiers)
        try:
            data = to_bytes(document)
        except ValueError as error:
            raise AnnotationError(
                f"{where}: {error}, which no XML file can hold.", hint="Correct the label."
            ) from error
        if path in results:
            raise UsageError(
                f"two recordings would be written to {path}.",
                hint="Export them one after the other, to different folders.",
            )
        results[path] = data, Exported(
            path=path, recording=recording.source_file, into=source,
            tiers=len(tiers), annotations=len(rows),
        )  # fmt: skip
    files = vocabularies | {path: data for path, (data, _) in results.items()}
    for path, data in files.items():
        if path.exists() and not replace and path.read_bytes() != data:
            raise UsageError(
                f"{path} is there already, and is not what would be written.",
                hint="Corrections may be in it: read them first, then use --replace, or name "
                "another folder with --out.",
            )
    for path, data in files.items():
        write_bytes(path, data)
    return [exported for _, exported in results.values()]


def _vocabularies_of(
    document: Document, source: Path, target: Path
) -> Iterator[tuple[Path, bytes]]:
    """The external vocabularies of a document, for the folder that it is written to.

    They are named relative to it; without them, annotations that only name an entry lose their
    value.
    """
    for item in document.section("EXTERNAL_REF"):
        found = external_vocabulary(source, item.get("VALUE"))
        if item.get("TYPE") == "ecv" and found is not None:
            yield target.parent / found.relative_to(source.parent), found.read_bytes()


def _by_recording(paths: Iterable[Path], recordings: Collection[Recording]) -> dict[str, Path]:
    """recording_id → the document that is about it."""
    by_name: dict[str, set[str]] = defaultdict(set)
    for row in recordings:
        pure = PurePosixPath(row.source_file)
        for name in (row.source_file, pure.name, pure.stem):
            by_name[unicodedata.normalize("NFC", name)].add(row.recording_id)
    found: dict[str, Path] = {}
    files = tuple(paths)
    links = Links(Source(files=files, media=tuple(row.source_file for row in recordings)))
    for path in files:
        name, _ = media_of(parse(path), path, links=links)
        matches = by_name.get(name) or by_name.get(PurePosixPath(name).name) or set()
        if len(matches) != 1:
            raise UsageError(
                f"{path} is about {name!r:.80}, "
                f"which is {'more than one' if matches else 'no'} recording of the dataset.",
                hint="Name documents of the dataset's recordings only.",
            )
        (recording_id,) = matches
        if recording_id in found:
            raise UsageError(
                f"{found[recording_id]} and {path} are about the same recording.",
                hint="Name one file for each recording with --into, as one annotator's folder.",
            )
        found[recording_id] = path
    return found


def _new_path(out: Path, source_file: str, *, taken: Mapping[Path, object]) -> Path:
    relative = PurePosixPath(source_file)
    if relative.is_absolute() or ".." in relative.parts or not relative.name:
        raise CorruptData(f"the recording {source_file!r:.80} leads out of its media folder.")
    path = out / relative.with_suffix(".eaf")
    return out / f"{source_file}.eaf" if path in taken else path


def _new(source_file: str, *, linked: Path | None, folder: Path) -> Document:
    url = os.path.relpath(linked, folder) if linked else PurePosixPath(source_file).name
    url = quote(url if url.startswith("..") else f"./{url}", safe="/")
    suffix = PurePosixPath(source_file).suffix.lower()
    header = node(
        "HEADER",
        # No absolute path: it would tell of whoever exports, and be wrong everywhere else.
        node("MEDIA_DESCRIPTOR", MEDIA_URL=url, RELATIVE_MEDIA_URL=url,
             MIME_TYPE=_MIME.get(suffix, "video/*")),
        MEDIA_FILE="", TIME_UNITS="milliseconds",
    )  # fmt: skip
    root = node(ROOT, header, node("TIME_ORDER"), AUTHOR="", DATE=EPOCH, FORMAT="3.0",
                VERSION="3.0")  # fmt: skip
    return Document(root=root)


# The vocabulary


def _glosses(dataset: Dataset, segments: Mapping[str, Sequence[Segment]]) -> dict[str, Node]:
    """Value → entry, without the language: of the dataset's signs, else of its labels."""
    entries: dict[str, Node] = {}
    signs = dataset.read("signs", Sign) if dataset.has("signs") else []
    for sign in sorted(signs, key=lambda sign: sign.gloss_id):
        value = sign.kk or sign.gloss_id
        if value in entries:
            value = f"{value} ({sign.gloss_id})"
        entries[value] = node(
            "CV_ENTRY_ML",
            node("CVE_VALUE", value, DESCRIPTION=" / ".join(filter(None, (sign.ru, sign.en)))),
            CVE_ID=sign.gloss_id,
        )
    if not entries:
        for label in sorted({s.label for rows in segments.values() for s in rows if s.label}):
            key = f"label_{hashlib.sha256(label.encode()).hexdigest()[:12]}"
            entries[label] = node("CV_ENTRY_ML", node("CVE_VALUE", label), CVE_ID=key)
    return entries


# The tiers


def _tiers(rows: Iterable[Segment], *, prefix: str) -> dict[str, list[Segment]]:
    """Segments by the name of their tier, in time; no two of one tier overlap."""
    # Those of no tier come last, so that a tier of the dataset keeps its name.
    groups: dict[tuple[bool, str, str, str], list[Segment]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row.start_ms, row.end_ms, row.segment_id)):
        tier = row.tier or "gloss"
        groups[not row.tier, tier, row.signer_id or "", row.annotator or ""].append(row)
    tiers: dict[str, list[Segment]] = {}
    for (*which, signer, annotator), members in sorted(groups.items(), key=itemgetter(0)):
        others = [key for key in groups if [*key[:2]] == which]
        name = f"{prefix}{which[1]}"
        if len({key[2] for key in others}) > 1:
            name += f"@{signer or 'unknown'}"
        if len({key[3] for key in others}) > 1:
            name += f"@{annotator or 'unknown'}"
        lanes: list[list[Segment]] = []
        for row in members:  # ELAN has no annotations that overlap on one tier
            lane = next((lane for lane in lanes if lane[-1].end_ms <= row.start_ms), None)
            if lane is None:
                lanes.append([row])
            else:
                lane.append(row)
        for lane in lanes:
            tiers[_free(name, tiers)] = lane
    return tiers


def _free(name: str, taken: Iterable[str]) -> str:
    """A name that neither a tier has nor one of the tiers below it."""
    known = {other for tier in taken for other in _family(tier)}
    names = chain([name], (f"{name}-{number}" for number in count(2)))
    return next(free for free in names if known.isdisjoint(_family(free)))


def _family(name: str) -> list[str]:
    return [name, *(f"{name}-{field}" for field in FIELDS)]


def _cleared(document: Document, names: list[str], *, replace: bool, where: str) -> Document:
    """The document without the tiers that an earlier export wrote."""
    tiers = document.tiers
    units = document.header.get("TIME_UNITS", "milliseconds")
    if units != "milliseconds":
        raise UsageError(
            f"{where} counts time in {units!r:.40}, which cannot express milliseconds.",
            hint="Export to a new file.",
        )
    names += [f"{name}-{field}" for name in names for field in FIELDS]
    there = [name for name in names if name in tiers]
    foreign = [name for name in there if not _is_ours(tiers[name])]
    if foreign or (there and not replace):
        raise UsageError(
            f"{where} has a tier {(foreign or there)[0]!r:.80} already.",
            hint="Name the new tiers otherwise with --prefix"
            + ("." if foreign else ", or use --replace; corrections in the tier are then lost."),
        )
    gone = {item.get("ANNOTATION_ID") for name in there for item in _annotations(tiers[name])}
    kept = [tier for tier in document.section("TIER") if tier.get("TIER_ID") not in there]
    hanging = [tier.get("TIER_ID") for tier in kept if tier.get("PARENT_REF") in there]
    if hanging:
        raise UsageError(
            f"{where}: the tier {hanging[0]!r:.80} hangs on one that would be replaced.",
            hint="Use --prefix, so that new tiers are added beside it.",
        )
    links = [link for group in document.section("REF_LINK_SET") for link in group.children]
    for link in links:
        if gone & {link.get("REF1"), link.get("REF2"), *link.get("REFS").split()}:
            raise UsageError(f"{where}: a link refers to a tier that would be replaced.")
    used = {slot for tier in kept for item in _annotations(tier) for slot in _slots(item)}
    freed = {slot for name in there for item in _annotations(tiers[name]) for slot in _slots(item)}
    (order,) = document.section("TIME_ORDER")[:1]
    slots = [s for s in order.children if s.get("TIME_SLOT_ID") not in freed - used]
    return document.with_section("TIER", kept).with_section(
        "TIME_ORDER", [Node(order.tag, order.attributes, "", tuple(slots))]
    )


def _is_ours(tier: Node) -> bool:
    return tier.get("LINGUISTIC_TYPE_REF").startswith(_TYPE.format(""))


def _annotations(tier: Node) -> Iterator[Node]:
    return (item for annotation in tier.children for item in annotation.children)


def _slots(annotation: Node) -> tuple[str, str]:
    return annotation.get("TIME_SLOT_REF1"), annotation.get("TIME_SLOT_REF2")


class _Addition:
    """What is added to one document."""

    def __init__(
        self, document: Document, glosses: Mapping[str, Node], *, origin_ms: int, where: str
    ) -> None:
        self._before = document
        self._glosses = glosses
        self._origin_ms = origin_ms
        self._where = where
        known = ids(document.root)
        last = [p.text for p in document.header.children if p.get("NAME") == _LAST_ID]
        self._next_note = count(1 + max(_highest("a", known), *map(_decimal, last), 0))
        self._next_slot = count(1 + _highest("ts", known))
        self._slots: list[tuple[int, str]] = []
        self._last_note = 0

    def document(self, tiers: Mapping[str, Sequence[Segment]]) -> Document:
        """The document with the tiers."""
        nodes = [n for name, rows in tiers.items() for n in self._nodes(name, rows)]
        before = self._before
        language = undetermined_language(before.root)
        languages = before.section("LANGUAGE")
        if language not in languages:
            languages = (*languages, language)
        kinds = {"gloss", *(kind for f, kind in FIELDS.items() for rows in tiers.values()
                            for r in rows if getattr(r, f))}  # fmt: skip
        stereotype = "Symbolic_Association"
        constraints = before.section("CONSTRAINT")
        if stereotype not in {c.get("STEREOTYPE") for c in constraints}:
            constraints = (*constraints, node("CONSTRAINT", STEREOTYPE=stereotype,
                                              DESCRIPTION=STEREOTYPES[stereotype]))  # fmt: skip
        document = before.with_section("TIER", [*before.section("TIER"), *nodes])
        document = document.with_section("TIME_ORDER", [self._time_order()])
        document = document.with_section(
            "LINGUISTIC_TYPE", _with(before.section("LINGUISTIC_TYPE"), map(_type, sorted(kinds)))
        )
        document = document.with_section("LANGUAGE", languages)
        document = document.with_section("CONSTRAINT", constraints)
        vocabulary = self._vocabulary(language.get("LANG_ID"))
        document = document.with_section(
            "CONTROLLED_VOCABULARY", _with(before.section("CONTROLLED_VOCABULARY"), [vocabulary])
        )
        return document.with_section("HEADER", [self._header(tiers, document.tiers)])

    def _nodes(self, name: str, rows: Sequence[Segment]) -> Iterator[Node]:
        notes = []
        below: dict[str, list[Node]] = {field: [] for field in FIELDS}
        for row in rows:
            key = self._note_id()
            label = row.label or ""
            entry = self._glosses.get(label)
            notes.append(_annotation(
                "ALIGNABLE_ANNOTATION", label, ANNOTATION_ID=key,
                TIME_SLOT_REF1=self._slot(row.start_ms), TIME_SLOT_REF2=self._slot(row.end_ms),
                CVE_REF=entry.get("CVE_ID") if entry else None,
            ))  # fmt: skip
            for field in FIELDS:
                value = getattr(row, field)
                if value is not None:
                    below[field].append(_annotation(
                        "REF_ANNOTATION", value, ANNOTATION_ID=self._note_id(), ANNOTATION_REF=key
                    ))  # fmt: skip
        people = {"PARTICIPANT": rows[0].signer_id, "ANNOTATOR": rows[0].annotator}
        yield node("TIER", *notes, TIER_ID=name, LINGUISTIC_TYPE_REF=_TYPE.format("gloss"),
                   **people)  # fmt: skip
        for field, values in below.items():
            if values:
                yield node("TIER", *values, TIER_ID=f"{name}-{field}", PARENT_REF=name,
                           LINGUISTIC_TYPE_REF=_TYPE.format(FIELDS[field]), **people)  # fmt: skip

    def _note_id(self) -> str:
        self._last_note = next(self._next_note)
        return f"a{self._last_note}"

    def _slot(self, ms: int) -> str:
        value = ms - self._origin_ms
        if value < 0:
            raise UsageError(
                f"{self._where}: a segment at {ms} ms lies before the TIME_ORIGIN of the "
                f"recording, {self._origin_ms} ms, which ELAN cannot express.",
                hint="Export to a new file.",
            )
        key = f"ts{next(self._next_slot)}"
        self._slots.append((value, key))
        return key

    def _time_order(self) -> Node:
        """The slots in time; a new one goes before the first that is later."""
        (order,) = self._before.section("TIME_ORDER")[:1]
        new = [
            (value, node("TIME_SLOT", TIME_SLOT_ID=key, TIME_VALUE=str(value)))
            for value, key in sorted(self._slots, key=lambda slot: slot[0])
        ]
        merged: list[Node] = []
        place = 0
        for slot in order.children:
            known = slot.get("TIME_VALUE")
            while known and place < len(new) and new[place][0] < _decimal(known):
                merged.append(new[place][1])
                place += 1
            merged.append(slot)
        return node("TIME_ORDER", *merged, *(item for _, item in new[place:]))

    def _vocabulary(self, language: str) -> Node:
        entries = [
            node("CV_ENTRY_ML", entry.children[0].with_attributes(LANG_REF=language),
                 CVE_ID=entry.get("CVE_ID"))
            for entry in self._glosses.values()
        ]  # fmt: skip
        text = node("DESCRIPTION", "glosses of the dataset", LANG_REF=language)
        return node("CONTROLLED_VOCABULARY", text, *entries, CV_ID=VOCABULARY)

    def _header(self, new: Mapping[str, Sequence[Segment]], there: Collection[str]) -> Node:
        header = self._before.header
        counter = node("PROPERTY", str(self._last_note), NAME=_LAST_ID)
        children = [
            counter if child.get("NAME") == _LAST_ID else child for child in header.children
        ]
        if counter not in children:
            children.append(counter)
        valid = {TIER_PROPERTY + name for name in set(there).difference(new)}
        children = [
            child
            for child in children
            if not child.get("NAME").startswith(TIER_PROPERTY) or child.get("NAME") in valid
        ]
        children += [
            node("PROPERTY", rows[0].tier or "", NAME=TIER_PROPERTY + name)
            for name, rows in new.items()
            if rows[0].tier != name
        ]
        return Node(header.tag, header.attributes, "", tuple(children))


def _annotation(tag: str, value: str, **attributes: str | None) -> Node:
    return node("ANNOTATION", node(tag, node("ANNOTATION_VALUE", value), **attributes))


def _type(kind: str) -> Node:
    name = _TYPE.format(kind)
    if kind == "gloss":
        return node("LINGUISTIC_TYPE", LINGUISTIC_TYPE_ID=name, TIME_ALIGNABLE="true",
                    GRAPHIC_REFERENCES="false", CONTROLLED_VOCABULARY_REF=VOCABULARY)  # fmt: skip
    return node("LINGUISTIC_TYPE", LINGUISTIC_TYPE_ID=name, TIME_ALIGNABLE="false",
                GRAPHIC_REFERENCES="false", CONSTRAINTS="Symbolic_Association")  # fmt: skip


def _with(before: Iterable[Node], new: Iterable[Node]) -> list[Node]:
    """Elements of one kind, with those of the same id replaced and the others added."""
    added = {(item.get("CV_ID") or item.get("LINGUISTIC_TYPE_ID")): item for item in new}
    kept = [added.pop(i.get("CV_ID") or i.get("LINGUISTIC_TYPE_ID"), i) for i in before]
    return [*kept, *added.values()]


def _highest(prefix: str, known: Iterable[str]) -> int:
    numbers = (re.fullmatch(f"{prefix}([0-9]{{1,18}})", key) for key in known)
    return max((int(match[1]) for match in numbers if match), default=0)


def _decimal(text: str) -> int:
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else 0
