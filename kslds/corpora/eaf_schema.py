"""What the schema of EAF 3.0 allows, and where a document is not as it says.

The schema is EAFv3.0.xsd of The Language Archive. Together with what `kslds.corpora.elan_check`
tells of tiers, types, vocabularies and time slots, nothing that it refuses goes unsaid.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kslds.corpora.eaf import Node

ROOT = "ANNOTATION_DOCUMENT"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What EAF 3.0 allows an element to have."""

    required: tuple[str, ...] = ()
    """Attributes that have to be there."""
    optional: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    """In the order that the schema asks for."""


def _kind(required: str = "", optional: str = "", children: str = "") -> Kind:
    parts = (tuple(text.split()) for text in (required, optional, children))
    return Kind(**dict(zip(("required", "optional", "children"), parts, strict=True)))


_OF_NOTES = "EXT_REF LANG_REF CVE_REF"
_OF_LINKS = "REF_LINK_NAME EXT_REF LANG_REF CVE_REF REF_TYPE"
KINDS: Mapping[str, Kind] = {
    ROOT: _kind(
        "DATE AUTHOR VERSION", "FORMAT",
        "LICENSE HEADER TIME_ORDER TIER LINGUISTIC_TYPE LOCALE LANGUAGE CONSTRAINT "
        "CONTROLLED_VOCABULARY LEXICON_REF REF_LINK_SET EXTERNAL_REF",
    ),
    "LICENSE": _kind("", "LICENSE_URL"),
    "HEADER": _kind(
        "", "MEDIA_FILE TIME_UNITS", "MEDIA_DESCRIPTOR LINKED_FILE_DESCRIPTOR PROPERTY"
    ),
    "MEDIA_DESCRIPTOR": _kind(
        "MEDIA_URL MIME_TYPE", "RELATIVE_MEDIA_URL TIME_ORIGIN EXTRACTED_FROM"
    ),
    "LINKED_FILE_DESCRIPTOR": _kind(
        "LINK_URL MIME_TYPE", "RELATIVE_LINK_URL TIME_ORIGIN ASSOCIATED_WITH"
    ),
    "PROPERTY": _kind("", "NAME"),
    "TIME_ORDER": _kind("", "", "TIME_SLOT"),
    "TIME_SLOT": _kind("TIME_SLOT_ID", "TIME_VALUE"),
    "TIER": _kind(
        "TIER_ID LINGUISTIC_TYPE_REF",
        "PARTICIPANT ANNOTATOR DEFAULT_LOCALE PARENT_REF EXT_REF LANG_REF", "ANNOTATION",
    ),
    "ANNOTATION": _kind("", "", "ALIGNABLE_ANNOTATION REF_ANNOTATION"),
    "ALIGNABLE_ANNOTATION": _kind(
        "ANNOTATION_ID TIME_SLOT_REF1 TIME_SLOT_REF2", f"SVG_REF {_OF_NOTES}", "ANNOTATION_VALUE"
    ),
    "REF_ANNOTATION": _kind(
        "ANNOTATION_ID ANNOTATION_REF", f"PREVIOUS_ANNOTATION {_OF_NOTES}", "ANNOTATION_VALUE"
    ),
    "ANNOTATION_VALUE": _kind(),
    "LINGUISTIC_TYPE": _kind(
        "LINGUISTIC_TYPE_ID",
        "TIME_ALIGNABLE CONSTRAINTS GRAPHIC_REFERENCES CONTROLLED_VOCABULARY_REF EXT_REF "
        "LEXICON_REF",
    ),
    "LOCALE": _kind("LANGUAGE_CODE", "COUNTRY_CODE VARIANT"),
    "LANGUAGE": _kind("LANG_ID", "LANG_DEF LANG_LABEL"),
    "CONSTRAINT": _kind("STEREOTYPE", "DESCRIPTION"),
    "CONTROLLED_VOCABULARY": _kind("CV_ID", "EXT_REF", "DESCRIPTION CV_ENTRY_ML"),
    "DESCRIPTION": _kind("LANG_REF"),
    "CV_ENTRY_ML": _kind("CVE_ID", "EXT_REF", "CVE_VALUE"),
    "CVE_VALUE": _kind("LANG_REF", "DESCRIPTION"),
    "LEXICON_REF": _kind(
        "LEX_REF_ID NAME TYPE URL LEXICON_ID LEXICON_NAME", "DATCAT_ID DATCAT_NAME"
    ),
    "REF_LINK_SET": _kind(
        "LINK_SET_ID", "LINK_SET_NAME EXT_REF LANG_REF CV_REF", "CROSS_REF_LINK GROUP_REF_LINK"
    ),
    "CROSS_REF_LINK": _kind("REF_LINK_ID REF1 REF2", f"DIRECTIONALITY {_OF_LINKS}"),
    "GROUP_REF_LINK": _kind("REF_LINK_ID REFS", _OF_LINKS),
    "EXTERNAL_REF": _kind("EXT_REF_ID TYPE VALUE"),
}  # fmt: skip
"""Every element of EAF 3.0, as its schema has it (EAFv3.0.xsd)."""

IDS = ("TIME_SLOT_ID", "ANNOTATION_ID", "LANGUAGE_CODE", "LANG_ID", "STEREOTYPE", "EXT_REF_ID",
       "LEX_REF_ID", "LINK_SET_ID", "REF_LINK_ID")  # fmt: skip
"""Attributes whose values must all differ throughout a document (``xs:ID``)."""

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


def beyond_schema(root: Node) -> Iterator[str]:
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
    annotated = {value for place in notes for value in values.get(place, ())}
    linked = {value for place in links for value in values.get(place, ())} | annotated
    for place, used in values.items():
        attribute = place.rpartition("@")[2]
        if attribute in ("REF1", "REF2", "REFS"):
            known = linked
        elif attribute == "ANNOTATION_REF":
            known = annotated
        elif attribute in _NAMED_BY:
            known = values.get(_NAMED_BY[attribute], set())
        else:
            continue
        lost = {key for value in used for key in value.split()} - known
        for key in lost:
            found["lost"][f"{attribute} {key!r:.60}"] += 1
    for key, attributes in places.items():
        # Of slots and annotations the check tells as errors, for they are lost.
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
            or (name in {*_NAMED_BY, "ANNOTATION_REF"} and not value.strip())
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
