"""What ELAN files hold, and what is wrong with them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from kslds.corpora.eaf import STEREOTYPES, document_of, parse
from kslds.corpora.eaf_schema import beyond_schema
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
        yield (
            "error",
            "exported by SLAN-tool: its times are ten times too small; "
            'adapter = "slan" offers a repair',
        )
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
        for message in beyond_schema(document.root):
            yield "warning", message


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
