"""ELAN documents (.eaf) read whole, changed and written back without loss.

A `Document` holds every element and attribute of the file; only comments and the layout of the
XML go. What is written is EAF 3.0. Files of older versions become 3.0 as they are read, the
way ELAN upgrades them: the entries of a vocabulary get ids and the language ``und``
(undetermined), descriptions become elements, and attributes of the header that 3.0 no longer
knows become properties. A document without DATE gets that of the epoch: nothing here asks
for the time, so one document is always written as the same bytes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from defusedxml import DefusedXmlException, ElementTree

from kslds.corpora.eaf_schema import IDS, KINDS, ROOT
from kslds.errors import AnnotationError, MissingFile
from kslds.manifest import write_bytes

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element, ParseError

EPOCH = "1970-01-01T00:00:00+00:00"
"""DATE of a document that states none."""

STEREOTYPES: Mapping[str, str] = {
    "Time_Subdivision": "Time subdivision of parent annotation's time interval, "
    "no time gaps allowed within this interval",
    "Symbolic_Subdivision": "Symbolic subdivision of a parent annotation. "
    "Annotations refering to the same parent are ordered",
    "Symbolic_Association": "1-1 association with a parent annotation",
    "Included_In": "Time alignable annotations within the parent annotation's time interval, "
    "gaps are allowed",
}
"""The constraints that linguistic types may have, described in ELAN's words."""

SECTIONS = KINDS[ROOT].children
"""The elements below the outermost one, in the order that the schema asks for."""

_HOLD_TEXT = frozenset({
    "ANNOTATION_VALUE", "CROSS_REF_LINK", "CVE_VALUE", "CV_ENTRY", "DESCRIPTION",
    "GROUP_REF_LINK", "LICENSE", "PROPERTY",
})  # fmt: skip

_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_MAX_BYTES = 256 << 20
_MAX_DEPTH = 20
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Node:
    """One element: its attributes sorted by name, and either text or children."""

    tag: str
    attributes: tuple[tuple[str, str], ...] = ()
    text: str = ""
    children: tuple[Node, ...] = ()

    def get(self, name: str, default: str = "") -> str:
        """The value of an attribute."""
        return next((value for key, value in self.attributes if key == name), default)

    def with_attributes(self, **values: str | None) -> Node:
        """The same element with some attributes set; None takes one away."""
        merged = {**dict(self.attributes), **values}
        kept = sorted((key, value) for key, value in merged.items() if value is not None)
        return replace(self, attributes=tuple(kept))

    def all(self, tag: str) -> Iterator[Node]:
        """This element and all below it that have the tag, in the order of the file."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            if node.tag == tag:
                yield node
            waiting.extend(reversed(node.children))


def node(tag: str, *content: Node | str, **attributes: str | None) -> Node:
    """An element with children or a text; attributes that are None are left out."""
    text = "".join(item for item in content if isinstance(item, str))
    children = tuple(item for item in content if isinstance(item, Node))
    return Node(tag, text=text, children=children).with_attributes(**attributes)


@dataclass(frozen=True, kw_only=True)
class Document:
    """An ELAN document of format 3.0."""

    root: Node
    """The element ANNOTATION_DOCUMENT, its children in the order of `SECTIONS`."""

    def section(self, tag: str) -> tuple[Node, ...]:
        """The elements of one kind below the outermost one."""
        return tuple(child for child in self.root.children if child.tag == tag)

    def with_section(self, tag: str, nodes: Iterable[Node]) -> Document:
        """The same document with all elements of one kind replaced."""
        rest = [child for child in self.root.children if child.tag != tag]
        return Document(root=replace(self.root, children=_in_order([*rest, *nodes], SECTIONS)))

    @property
    def header(self) -> Node:
        """The element HEADER."""
        return self.section("HEADER")[0]

    @property
    def tiers(self) -> Mapping[str, Node]:
        """The tiers by name, in the order of the file."""
        return {tier.get("TIER_ID"): tier for tier in self.section("TIER")}


def read_document(path: Path) -> Document:
    """Read an ELAN file of any version up to 3.0, losing nothing.

    Raises:
        MissingFile: The file is not there.
        AnnotationError: The file is not an ELAN document, is of a newer version, or holds
            something that could not be written back.
    """
    return document_of(parse(path), path)


def document_of(root: Element, path: Path) -> Document:
    """The document that a file holds, of which the outermost element was read.

    Raises:
        AnnotationError: It is of a newer version, or holds what could not be written back.
    """
    version = root.get("VERSION") or root.get("FORMAT") or ""
    if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})*", version) and _number(version) > (3, 0):
        raise AnnotationError(
            f"{path} is EAF {version}; kslds writes up to 3.0 and would lose what is new in it.",
            hint="Save it as EAF 3.0, or export to a new file.",
        )
    try:
        return _upgraded(_node(root))
    except ValueError as error:
        raise AnnotationError(
            f"{path} holds {error}; it could not be written back without loss.",
            hint="Open it in ELAN and save it again.",
        ) from error


def write_document(document: Document, path: Path) -> None:
    """Write a document as EAF 3.0, atomically; the same document gives the same bytes.

    Raises:
        AnnotationError: A text holds a character that XML cannot.
    """
    try:
        data = to_bytes(document)
    except ValueError as error:
        raise AnnotationError(
            f"{path} was not written: {error}.", hint="Take the character out of the text."
        ) from error
    write_bytes(path, data)


def to_bytes(document: Document) -> bytes:
    """A document as the bytes of its file.

    Raises:
        ValueError: A text holds a character that XML cannot.
    """
    schema = ' xmlns:xsi="' + _XSI + '" xsi:noNamespaceSchemaLocation="' + _SCHEMA + '"'
    head, *lines = _lines(document.root, 0)
    head = head.removesuffix(">") + schema + ">"
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *lines, ""]).encode()


def parse(path: Path, *, root_tag: str = ROOT) -> Element:
    """The outermost element of an XML file that ELAN wrote.

    Args:
        path: The file, at most 256 MiB; declarations of entities are refused unread.
        root_tag: What the outermost element has to be.

    Raises:
        MissingFile: The file is not there.
        AnnotationError: The file is not such a file.
    """
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
                f"{path} is not well-formed XML: {not_xml(error)}.", hint=broken
            ) from error
        except DefusedXmlException as error:
            raise AnnotationError(
                f"{path} declares a document type or entities, which EAF files never do; "
                "it was not read further.",
                hint="Ask for the file that ELAN wrote.",
            ) from error
        except (LookupError, ValueError) as error:
            raise AnnotationError(f"{path} cannot be decoded: {error}.", hint=broken) from error
    if root is None or root.tag != root_tag:
        raise AnnotationError(
            f"{path} is not an {'ELAN vocabulary' if root_tag != ROOT else 'EAF file'}: "
            f"its outermost element is not {root_tag}.",
            hint="Name the .eaf file in the recipe.",
        )
    return root


def not_xml(error: ParseError) -> str:
    """Why a text is no XML, and where; columns are counted from 1, as editors do."""
    line, column = error.position
    what = _NOT_WELL_FORMED.get(error.code) or str(error).partition(":")[0]
    return f"{what} at line {line}, column {column + 1}"


_NOT_WELL_FORMED = {
    2: "expected <, with which XML begins",
    3: "the text breaks off; expected the end of every element",
    4: "expected a character that can stand there; letters may be in another encoding than the "
    "file states (UTF-8 where it states none), or & and < stand for themselves",
    5: "the text breaks off in a tag; expected >",
    7: "expected the end of the element that began last",
    8: "expected every attribute of an element once",
    9: "expected nothing after the outermost element",
    11: "expected &amp;, &lt;, &gt;, &quot; or a number after &",
    18: "expected an encoding that is known",
    19: "expected the encoding that the file states",
    20: "the text breaks off; expected the end of the CDATA section",
    27: "expected a prefix that is declared",
}
"""Codes of the parser, in our words."""


# From XML and to XML


def _node(element: Element, depth: int = 0) -> Node:
    tag = element.tag
    if not isinstance(tag, str) or tag.startswith("{"):
        raise ValueError(f"the foreign element {tag!r:.60}")
    if depth > _MAX_DEPTH:
        raise ValueError(f"elements within each other {_MAX_DEPTH} deep")
    attributes = {k: v for k, v in element.attrib.items() if not k.startswith(f"{{{_XSI}}}")}
    foreign = next((name for name in attributes if name.startswith("{")), None)
    if foreign:
        raise ValueError(f"the foreign attribute {foreign!r:.60} of {tag}")
    text = element.text or ""
    children = tuple(_node(child, depth + 1) for child in element)
    if children or tag not in _HOLD_TEXT:
        if text.strip() or any((child.tail or "").strip() for child in element):
            raise ValueError(f"text beside the elements of {tag}")
        text = ""
    return Node(tag, tuple(sorted(attributes.items())), text, children)


def _lines(node: Node, depth: int) -> Iterator[str]:
    pad = "    " * depth
    attributes = "".join(
        f' {name}="{_escaped(value, _IN_ATTRIBUTES)}"' for name, value in node.attributes
    )
    if node.children or node.tag == ROOT:
        yield f"{pad}<{node.tag}{attributes}>"
        for child in node.children:
            yield from _lines(child, depth + 1)
        yield f"{pad}</{node.tag}>"
    elif node.text:
        yield f"{pad}<{node.tag}{attributes}>{_escaped(node.text, _IN_TEXT)}</{node.tag}>"
    else:
        yield f"{pad}<{node.tag}{attributes}/>"


_IN_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_IN_ATTRIBUTES = _IN_TEXT | str.maketrans({'"': "&quot;", "\t": "&#9;", "\n": "&#10;"})


def _escaped(text: str, table: dict[int, str]) -> str:
    wrong = _NOT_XML.search(text)
    if wrong:
        raise ValueError(f"{text!r:.60} holds the character U+{ord(wrong[0]):04X}")
    return text.translate(table)


# From older versions


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in f"{version}.0".split(".")[:2])


def _in_order(nodes: Iterable[Node], order: tuple[str, ...]) -> tuple[Node, ...]:
    """Sorted by kind; what the schema does not know stays, at the end."""
    places = {tag: place for place, tag in enumerate(order)}
    return tuple(sorted(nodes, key=lambda child: places.get(child.tag, len(order))))


def _upgraded(root: Node) -> Document:
    date = root.get("DATE")
    is_date = _is_date(date)
    root = root.with_attributes(
        AUTHOR=root.get("AUTHOR"), DATE=date if is_date else EPOCH, FORMAT="3.0", VERSION="3.0"
    )
    sections = list(root.children)
    for tag in ("HEADER", "TIME_ORDER"):
        _one(sections, tag)
    if date and not is_date:
        place = next(i for i, child in enumerate(sections) if child.tag == "HEADER")
        stated = node("PROPERTY", date, NAME="DATE")
        sections[place] = replace(
            sections[place], children=(*sections[place].children, stated), text=""
        )
    undetermined: list[Node] = []

    def language() -> str:
        if not undetermined:
            undetermined.append(undetermined_language(root))
        return undetermined[0].get("LANG_ID")

    for place, child in enumerate(sections):
        if child.tag == "HEADER":
            sections[place] = _header(child)
        elif child.tag == "CONTROLLED_VOCABULARY":
            sections[place] = _vocabulary(child, language)
        elif child.tag in _CONSTRAINED:
            name = _CONSTRAINED[child.tag]
            sections[place] = child.with_attributes(**{name: stereotype(child.get(name) or None)})
    known = {child.get("LANG_ID") for child in sections if child.tag == "LANGUAGE"}
    sections += [child for child in undetermined if child.get("LANG_ID") not in known]
    named = {child.get("STEREOTYPE") for child in sections if child.tag == "CONSTRAINT"}
    used = {child.get("CONSTRAINTS") for child in sections if child.tag == "LINGUISTIC_TYPE"}
    sections += [
        node("CONSTRAINT", STEREOTYPE=name, DESCRIPTION=text)
        for name, text in STEREOTYPES.items()
        if name in used - named
    ]
    return Document(root=replace(root, children=_in_order(sections, SECTIONS)))


_CONSTRAINED: Mapping[str, str] = {"LINGUISTIC_TYPE": "CONSTRAINTS", "CONSTRAINT": "STEREOTYPE"}


def _is_date(text: str) -> bool:
    """Is this a date as the schema asks for (``xs:dateTime``)?"""
    try:
        return _DATE.fullmatch(text) is not None and bool(datetime.fromisoformat(text))
    except ValueError:
        return False


def _one(sections: list[Node], tag: str) -> None:
    """Make one of several elements of a kind, with the children of all; add it if there is none."""
    first, *others = [child for child in sections if child.tag == tag] or [Node(tag)]
    merged = {name: value for item in (*reversed(others), first) for name, value in item.attributes}
    children = tuple(child for item in (first, *others) for child in item.children)
    one = replace(Node(tag).with_attributes(**merged), children=children, text="")
    sections[:] = [child for child in sections if child.tag != tag] + [one]


def _header(header: Node) -> Node:
    children = []
    for child in header.children:
        url = {"MEDIA_DESCRIPTOR": "MEDIA_URL", "LINKED_FILE_DESCRIPTOR": "LINK_URL"}.get(child.tag)
        if url is not None:
            mime = child.get("MIME_TYPE", "unknown")
            child = child.with_attributes(**{url: child.get(url), "MIME_TYPE": mime})
        children.append(child)
    kept = []
    for name, value in header.attributes:
        if name in ("MEDIA_FILE", "TIME_UNITS"):
            kept.append((name, value))
        else:  # such as SVG_FILE of EAF 2.1
            children.append(node("PROPERTY", value, NAME=name))
    return replace(
        header, attributes=tuple(kept), children=_in_order(children, KINDS["HEADER"].children)
    )


def stereotype(text: str | None) -> str | None:
    """The name of a constraint as EAF has it; some tools write ELAN's own, with blanks."""
    name = "_".join((text or "").split())
    return name if name in STEREOTYPES else text


def ids(root: Node) -> set[str]:
    """Every id of a document: those of slots, annotations, languages and whatever has one."""
    taken: set[str] = set()
    waiting = [root]
    for item in waiting:  # grows while it is read
        taken.update(value for name, value in item.attributes if name in IDS)
        waiting.extend(item.children)
    return taken


def undetermined_language(root: Node) -> Node:
    """The language ``und``: the document's, or a new one whose id is not yet taken."""
    for item in root.children:
        if item.tag == "LANGUAGE" and item.get("LANG_DEF") == _UND["LANG_DEF"]:
            return item
    taken = ids(root)
    name = next(n for n in ("und", *(f"und-{i}" for i in range(len(taken) + 1))) if n not in taken)
    return node("LANGUAGE", LANG_ID=name, **_UND)


_UND = {
    "LANG_DEF": "http://cdb.iso.org/lg/CDB-00130975-001",
    "LANG_LABEL": "undetermined (und)",
}
"""As ELAN describes it."""


def _vocabulary(vocabulary: Node, language: Callable[[], str]) -> Node:
    """A vocabulary of before 2.8, with one language and entries without ids, as one of 3.0."""
    children: list[Node] = []
    attributes = dict(vocabulary.attributes)
    description = attributes.pop("DESCRIPTION", None)
    if description is not None:
        children.append(node("DESCRIPTION", description, LANG_REF=language()))
    taken = {child.get("CVE_ID") for child in vocabulary.children}
    free = (name for name in map("cveid{}".format, range(1 << 62)) if name not in taken)
    for child in vocabulary.children:
        if child.tag == "CV_ENTRY":
            entry = dict(child.attributes)
            value = node(
                "CVE_VALUE",
                child.text,
                LANG_REF=entry.pop("LANG_REF", None) or language(),
                DESCRIPTION=entry.pop("DESCRIPTION", None),
            )
            entry.setdefault("CVE_ID", next(free))
            child = node("CV_ENTRY_ML", value, **entry)
        elif child.tag == "CV_ENTRY_ML":
            values = (_spoken(value, language) for value in child.children)
            child = replace(child, children=tuple(values))
            if not child.get("CVE_ID"):
                child = child.with_attributes(CVE_ID=next(free))
        children.append(_spoken(child, language))
    ordered = _in_order(children, KINDS["CONTROLLED_VOCABULARY"].children)
    return node("CONTROLLED_VOCABULARY", *ordered, **attributes)


def _spoken(item: Node, language: Callable[[], str]) -> Node:
    """A value or description of a vocabulary, which has to be in some language."""
    if item.tag not in ("CVE_VALUE", "DESCRIPTION") or item.get("LANG_REF"):
        return item
    return item.with_attributes(LANG_REF=language())
