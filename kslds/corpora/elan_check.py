"""What ELAN files hold, and what is wrong with them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from kslds.corpora.eaf import IDS, KINDS, STEREOTYPES, Node, document_of, parse
from kslds.corpora.elan import external_vocabulary, is_slan, tiers_of
from kslds.corpora.table import listed
from kslds.corpora.tiers import Tiers
from kslds.errors import AnnotationError, MissingFile

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_WHOLE = re.compile("[0-9]{1,10}")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is wrong, or worth a look, in one file."""

    severity: str
    """``error``: something is lost or not usable; ``warning``: have a look."""
    message: str


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What one file holds."""

    path: Path
    version: str | None = None
    recording: str | None = None
    tiers: Mapping[str, int] | None = None
    """Name → number of annotations; None where the file cannot be read."""
    participants: Sequence[str] = ()
    annotators: Sequence[str] = ()
    findings: Sequence[Finding] = ()
    """Errors first."""

    @property
    def num_annotations(self) -> int:
        """Annotations on all tiers."""
        return sum((self.tiers or {}).values())

    @property
    def num_errors(self) -> int:
        """Findings that are errors."""
        return sum(finding.severity == "error" for finding in self.findings)


def files_in(paths: Sequence[Path]) -> list[Path]:
    """The .eaf files named, and those in the folders named, sorted within each.

    Raises:
        MissingFile: One is not there, or there is no .eaf file at all.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = (p for p in path.rglob("*") if p.suffix.lower() == ".eaf")
            found += sorted(p for p in inside if p.is_file() and not p.name.startswith("."))
        elif path.exists():
            found.append(path)
        else:
            raise MissingFile(f"there is no file or folder {str(path)!r}.")
    if not found:
        raise MissingFile(f"no .eaf file was found in {', '.join(map(str, paths))}.")
    return list(dict.fromkeys(found))


def check(path: Path, *, external: dict[Path, Element] | None = None) -> Checked:
    """What a file holds and what is wrong with it; a file that cannot be read is a finding.

    Args:
        path: The file.
        external: External vocabularies that were read before; those read now are added.
    """
    try:
        root = parse(path)
        tiers = tiers_of(root, path, external=external)
    except (AnnotationError, MissingFile) as error:
        message = error.what.replace(str(path), path.name)
        return Checked(path=path, findings=[Finding(severity="error", message=message)])
    numbers: dict[str, int] = {}
    for tier in tiers.tiers:
        numbers[tier.name] = numbers.get(tier.name, 0) + len(tier.notes)
    return Checked(
        path=path,
        version=root.get("VERSION") or root.get("FORMAT"),
        recording=tiers.recording,
        tiers=numbers,
        participants=sorted({t.participant for t in tiers.tiers if t.participant}),
        annotators=sorted({t.annotator for t in tiers.tiers if t.annotator}),
        findings=sorted(
            (
                Finding(severity=severity, message=message)
                for severity, message in [*_structure(root, path), *_times(tiers)]
            ),
            key=lambda finding: finding.severity,
        ),
    )


def _structure(root: Element, path: Path) -> Iterator[tuple[str, str]]:
    if is_slan(root):
        yield "error", "exported by SLAN-tool: its times are ten times too small"
    elif "VERSION" not in root.attrib:
        yield "warning", "states no VERSION"
    several = [tag for tag in ("HEADER", "TIME_ORDER") if len(root.findall(tag)) > 1]
    if several:
        yield "warning", f"has more than one {listed(several)}"
    odd = [
        value
        for slot in root.iterfind("TIME_ORDER/TIME_SLOT")
        if not _WHOLE.fullmatch(value := slot.get("TIME_VALUE", "0"))
    ]
    if odd:
        yield "warning", f"time slots whose value is no whole number: {listed(odd)}"
    if root.find("HEADER/MEDIA_DESCRIPTOR") is None:
        yield "warning", "names no recording; taken to be about one of its own name"
    for what, attribute, element in (
        ("tiers", "TIER_ID", "TIER"),
        ("linguistic types", "LINGUISTIC_TYPE_ID", "LINGUISTIC_TYPE"),
        ("vocabularies", "CV_ID", "CONTROLLED_VOCABULARY"),
        ("time slots", "TIME_SLOT_ID", "TIME_ORDER/TIME_SLOT"),
        ("annotations", "ANNOTATION_ID", "TIER/ANNOTATION/*"),
    ):
        found = Counter(item.get(attribute, "") for item in root.iterfind(element))
        twice = sorted(name for name, number in found.items() if number > 1)
        if twice:
            yield "error", f"several {what} are called {listed(twice)}"
        if "" in found:
            yield "error", f"{what} without {attribute}"
    yield from _references(root)
    yield from _entries(root)
    yield from _external(root, path)
    try:
        document = document_of(root, path)
    except AnnotationError as error:
        yield "warning", error.what.replace(str(path), "the file")
    else:
        for message in _beyond_schema(document.root):
            yield "warning", message


_CHOICES = {
    ("HEADER", "TIME_UNITS"): {"milliseconds", "PAL-frames", "NTSC-frames"},
    ("EXTERNAL_REF", "TYPE"): {"iso12620", "ecv", "cve_id", "lexen_id", "resource_url"},
    ("CROSS_REF_LINK", "DIRECTIONALITY"): {"undirected", "unidirectional", "bidirectional"},
    ("LINGUISTIC_TYPE", "TIME_ALIGNABLE"): {"true", "false", "1", "0"},
    ("LINGUISTIC_TYPE", "GRAPHIC_REFERENCES"): {"true", "false", "1", "0"},
}
_NEEDED = {
    "ANNOTATION": "ALIGNABLE_ANNOTATION REF_ANNOTATION",
    "ALIGNABLE_ANNOTATION": "ANNOTATION_VALUE",
    "REF_ANNOTATION": "ANNOTATION_VALUE",
    "CV_ENTRY_ML": "CVE_VALUE",
}
"""Elements that have to hold another; all but the last hold one only."""
_NAMED_BY = {
    "LANG_REF": "LANGUAGE/@LANG_ID",
    "EXT_REF": "EXTERNAL_REF/@EXT_REF_ID",
    "DEFAULT_LOCALE": "LOCALE/@LANGUAGE_CODE",
    "LEXICON_REF": "LEXICON_REF/@LEX_REF_ID",
    "CONSTRAINTS": "CONSTRAINT/@STEREOTYPE",
    "PREVIOUS_ANNOTATION": "REF_ANNOTATION/@ANNOTATION_ID",
}
"""Attributes that name something else of the document, and what."""
_ID = re.compile(r"[^\W\d][\w.\-·]*")
"""What XML takes for an id (``xs:ID``)."""
_ORIGIN = re.compile("[+-]?[0-9]+")


def _beyond_schema(root: Node) -> Iterator[str]:
    """Where a document of 3.0 is not as the schema has it, so far as nothing else tells."""
    found: dict[str, Counter[str]] = {what: Counter() for what in _BEYOND}
    values: dict[str, set[str]] = {}
    places: dict[str, list[str]] = {}
    waiting = [root]
    for item in waiting:  # grows while it is read
        for name, value in item.attributes:
            values.setdefault(f"{item.tag}/@{name}", set()).add(value)
            if name in IDS:
                places.setdefault(value, []).append(name)
        for what, told in _odd(item):
            found[what][told] += 1
        waiting.extend(child for child in item.children if child.tag in KINDS)
    notes = ("ALIGNABLE_ANNOTATION/@ANNOTATION_ID", "REF_ANNOTATION/@ANNOTATION_ID")
    links = ("CROSS_REF_LINK/@REF_LINK_ID", "GROUP_REF_LINK/@REF_LINK_ID")
    linked = {value for place in (*notes, *links) for value in values.get(place, ())}
    for place, used in values.items():
        attribute = place.rpartition("@")[2]
        if attribute in ("REF1", "REF2", "REFS"):
            known = linked
        elif attribute in _NAMED_BY:
            known = values.get(_NAMED_BY[attribute], set())
        else:
            continue
        lost = {key for value in used for key in value.split()} - known
        for key in lost:
            found["lost"][f"{attribute} {key!r:.60}"] += 1
    for key, attributes in places.items():
        # Of slots and annotations `_structure` tells, for they are lost.
        if len(attributes) > 1 and {*attributes} not in ({"TIME_SLOT_ID"}, {"ANNOTATION_ID"}):
            found["twice"][f"{key!r:.60}"] = len(attributes)
    for what, message in _BEYOND.items():
        texts = [f"{text} ({n})" if n > 1 else text for text, n in sorted(found[what].items())]
        if texts:
            more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
            yield f"{message}: {', '.join(texts[:_SHOWN])}{more}"


_SHOWN = 20
_BEYOND = {
    "unknown": "has what EAF 3.0 does not know, and what ELAN may lose",
    "missing": "lacks what EAF 3.0 asks for",
    "value": "has values that EAF 3.0 does not allow",
    "lost": "refers to what is not there",
    "twice": "has ids that are not the only ones",
}


def _odd(item: Node) -> Iterator[tuple[str, str]]:
    """What is wrong with one element: a key of `_BEYOND`, and in words."""
    kind = KINDS[item.tag]
    names = [name for name, _ in item.attributes]
    for name in names:
        if name not in kind.required and name not in kind.optional:
            yield "unknown", f"attribute {name!r:.60} of {item.tag}"
    for name in kind.required:
        if name not in names:
            yield "missing", f"attribute {name!r} of {item.tag}"
    for name, value in item.attributes:
        allowed = _CHOICES.get((item.tag, name))
        if (
            (name in IDS and not _ID.fullmatch(value))
            or (name in _NAMED_BY and not value.strip())
            or (name == "TIME_ORIGIN" and not _ORIGIN.fullmatch(value))
            or (allowed is not None and value not in allowed)
        ):
            yield "value", f"{name} {value!r:.60} of {item.tag}"
    entries = Counter(child.get("CVE_ID") for child in item.children if child.tag == "CV_ENTRY_ML")
    for key, number in entries.items():
        if number > 1:
            yield "twice", f"{key!r:.60} of vocabulary {item.get('CV_ID')!r:.60}"
    tags = Counter(child.tag for child in item.children)
    for tag, number in tags.items():
        if tag not in kind.children:
            yield "unknown", f"element {tag!r:.60} in {item.tag}"
        elif number > 1 and item.tag in _NEEDED and item.tag != "CV_ENTRY_ML":
            yield "unknown", f"more than one {tag} in {item.tag}"
    needed = _NEEDED.get(item.tag, "").split()
    if needed and not tags.keys() & set(needed):
        yield "missing", f"element {' or '.join(needed)} in {item.tag}"


def _entries(root: Element) -> Iterator[tuple[str, str]]:
    """Annotations that name an entry which their vocabulary, in the file, does not have."""
    entries = {
        item.get("CV_ID"): {entry.get("CVE_ID") for entry in item.iterfind("*")}
        for item in root.iterfind("CONTROLLED_VOCABULARY")
        if "EXT_REF" not in item.attrib
    }
    of_type = {
        kind.get("LINGUISTIC_TYPE_ID"): kind.get("CONTROLLED_VOCABULARY_REF")
        for kind in root.iterfind("LINGUISTIC_TYPE")
    }
    for tier in root.iterfind("TIER"):
        known = entries.get(of_type.get(tier.get("LINGUISTIC_TYPE_REF")))
        used = (note.get("CVE_REF") for note in tier.iterfind("ANNOTATION/*"))
        lost = [] if known is None else sorted({key for key in used if key} - known)
        if lost:
            name = tier.get("TIER_ID", "")
            yield "warning", f"tier {name!r:.60}: its vocabulary has no entry {listed(lost)}"


def _references(root: Element) -> Iterator[tuple[str, str]]:
    """What is referred to and is not there."""
    names = {tier.get("TIER_ID") for tier in root.iterfind("TIER")}
    types = {kind.get("LINGUISTIC_TYPE_ID"): kind for kind in root.iterfind("LINGUISTIC_TYPE")}
    vocabularies = {item.get("CV_ID") for item in root.iterfind("CONTROLLED_VOCABULARY")}
    for tier in root.iterfind("TIER"):
        name = tier.get("TIER_ID", "")
        above = tier.get("PARENT_REF")
        if above is not None and above not in names:
            yield "error", f"tier {name!r:.60}: there is no parent tier {above!r:.60}"
        kind = types.get(tier.get("LINGUISTIC_TYPE_REF"))
        if kind is None:
            missing = tier.get("LINGUISTIC_TYPE_REF")
            yield "error", f"tier {name!r:.60}: there is no linguistic type {missing!r:.60}"
        elif above is not None and kind.get("CONSTRAINTS") not in STEREOTYPES:
            yield "warning", f"tier {name!r:.60}: has a parent, but its type has no constraint"
    for type_name, kind in types.items():
        vocabulary = kind.get("CONTROLLED_VOCABULARY_REF")
        if vocabulary is not None and vocabulary not in vocabularies:
            yield "error", f"type {type_name!r:.60}: there is no vocabulary {vocabulary!r:.60}"
    slots = {slot.get("TIME_SLOT_ID") for slot in root.iterfind("TIME_ORDER/TIME_SLOT")}
    used = {
        item.get(name)
        for item in root.iterfind("TIER/ANNOTATION/ALIGNABLE_ANNOTATION")
        for name in ("TIME_SLOT_REF1", "TIME_SLOT_REF2")
    }
    lost = sorted(f"{slot}" for slot in used - slots)
    if lost:
        yield "error", f"time slots that are not there: {listed(lost)}"


def _external(root: Element, path: Path) -> Iterator[tuple[str, str]]:
    for item in root.iterfind("EXTERNAL_REF"):
        url = item.get("VALUE", "")
        if item.get("TYPE") == "ecv" and external_vocabulary(path, url) is None:
            yield (
                "warning",
                f"the external vocabulary {url!r:.80} is not beside the file; it is not fetched",
            )


def _times(tiers: Tiers) -> Iterator[tuple[str, str]]:
    if tiers.problems:
        note, (code, reason) = next(iter(tiers.problems.items()))
        number = len(tiers.problems)
        more = f" (and {number - 1} more)" if number > 1 else ""
        yield "error", f"{code} {note.key}: {reason}{more}"
    for tier in tiers.tiers:
        spans = []
        bad = []
        for note in tier.notes:
            start, end = tiers.spans[note]
            if start is None or end is None:
                continue
            if end <= start:
                bad.append(note.key)
            spans.append((start, end, note.key))
        if bad:
            yield "error", f"tier {tier.name!r:.60}: no time between start and end: {listed(bad)}"
        if tier.stereotype == "Symbolic_Association":
            continue
        spans.sort()
        overlaps = [b[2] for a, b in pairwise(spans) if b[0] < a[1]]
        if overlaps:
            yield "warning", f"tier {tier.name!r:.60}: overlap what is before: {listed(overlaps)}"
