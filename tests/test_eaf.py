"""ELAN documents are written back as they were read."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kslds.corpora import Source, adapter, eaf
from kslds.corpora.eaf import EPOCH, Document, Node, node
from kslds.corpora.elan_check import check
from kslds.errors import AnnotationError, MissingFile, RecipeError
from kslds.recipe import read as read_recipe
from tests.test_elan import DATA, needs_data, notes, tier, timed
from tests.test_elan import eaf as document

# Any text that XML can hold, with what has to be escaped made likely.
TEXTS = st.text(
    st.one_of(
        st.sampled_from("<>&\"' \t\n\rәӨ]"),
        st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"],
                      exclude_characters="\ufffe\uffff"),
    ),
    max_size=8,
)  # fmt: skip
NAMES = TEXTS.filter(str.strip)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """A document in which every element of EAF 3.0 may occur, valid by its schema."""

    def some(**values: st.SearchStrategy[str]) -> dict[str, str]:
        """Optional attributes: each may be missing."""
        return {name: draw(value) for name, value in values.items() if draw(st.booleans())}

    def flags(*names: str) -> dict[str, str]:
        return some(**{name: st.sampled_from(["true", "false"]) for name in names})

    def sets(value: st.SearchStrategy[Any], most: int = 3) -> list[Any]:
        return draw(st.lists(value, max_size=most))

    uri = st.sampled_from(["", "./a.mp4", "file:///C:/x%20y/a.mp4", "https://example.org/?a=1"])
    whole = st.integers(-(10**6), 10**6).map(str)
    languages = [f"l{i}" for i in range(draw(st.integers(1, 3)))]
    locales = [f"loc{i}" for i in range(draw(st.integers(0, 2)))]
    refs = [f"er{i}" for i in range(draw(st.integers(1, 3)))]
    slots = [f"ts{i}" for i in range(draw(st.integers(2, 6)))]
    lang, ref, slot = st.sampled_from(languages), st.sampled_from(refs), st.sampled_from(slots)
    cvs = draw(st.lists(NAMES, unique=True, max_size=2))
    lexicons = [f"lr{i}" for i in range(draw(st.integers(0, 2)))]
    types = draw(st.lists(NAMES, unique=True, min_size=1, max_size=3))
    tiers = draw(st.lists(NAMES, unique=True, max_size=4))

    def among(values: list[str]) -> st.SearchStrategy[str]:
        return st.sampled_from(values)

    def optional(values: list[str], name: str) -> dict[str, str]:
        return some(**{name: among(values)}) if values else {}

    nodes: list[Node] = []
    aligned: list[str] = []
    tier_nodes = []
    for place, name in enumerate(tiers):
        inside = []
        for _ in range(draw(st.integers(0, 3))):
            key = f"a{len(nodes) + 1}"
            common = some(EXT_REF=ref, LANG_REF=lang, CVE_REF=TEXTS)
            value = node("ANNOTATION_VALUE", draw(TEXTS))
            if place == 0 or not aligned or draw(st.booleans()):
                item = node("ALIGNABLE_ANNOTATION", value, ANNOTATION_ID=key,
                            TIME_SLOT_REF1=draw(slot), TIME_SLOT_REF2=draw(slot),
                            **common, **some(SVG_REF=TEXTS))  # fmt: skip
                aligned.append(key)
            else:
                item = node("REF_ANNOTATION", value, ANNOTATION_ID=key,
                            ANNOTATION_REF=draw(among(aligned)), **common)  # fmt: skip
            nodes.append(item)
            inside.append(node("ANNOTATION", item))
        tier_nodes.append(node(
            "TIER", *inside, TIER_ID=name, LINGUISTIC_TYPE_REF=draw(among(types)),
            **some(PARTICIPANT=TEXTS, ANNOTATOR=TEXTS, LANG_REF=lang, EXT_REF=ref),
            **optional(locales, "DEFAULT_LOCALE"), **optional(tiers[:place], "PARENT_REF"),
        ))  # fmt: skip

    header = node(
        "HEADER",
        *(node("MEDIA_DESCRIPTOR", MEDIA_URL=draw(uri), MIME_TYPE=draw(TEXTS),
               **some(RELATIVE_MEDIA_URL=uri, TIME_ORIGIN=whole, EXTRACTED_FROM=uri))
          for _ in range(draw(st.integers(0, 2)))),
        *(node("LINKED_FILE_DESCRIPTOR", LINK_URL=draw(uri), MIME_TYPE=draw(TEXTS),
               **some(RELATIVE_LINK_URL=uri, TIME_ORIGIN=whole, ASSOCIATED_WITH=uri))
          for _ in range(draw(st.integers(0, 2)))),
        *(node("PROPERTY", text, **some(NAME=TEXTS)) for text in sets(TEXTS)),
        **some(MEDIA_FILE=TEXTS, TIME_UNITS=among(["milliseconds", "PAL-frames", "NTSC-frames"])),
    )  # fmt: skip
    vocabularies = [
        node("CONTROLLED_VOCABULARY",
             *(node("DESCRIPTION", text, LANG_REF=draw(lang)) for text in sets(TEXTS, 2)),
             *(node("CV_ENTRY_ML",
                    *(node("CVE_VALUE", text, LANG_REF=draw(lang), **some(DESCRIPTION=TEXTS))
                      for text in draw(st.lists(TEXTS, min_size=1, max_size=2))),
                    CVE_ID=f"c{i}", **some(EXT_REF=ref))
               for i in range(draw(st.integers(0, 2)))),
             CV_ID=name, **some(EXT_REF=ref))
        for name in cvs
    ]  # fmt: skip
    link_sets = [
        node("REF_LINK_SET",
             *(node("GROUP_REF_LINK", text, REF_LINK_ID=f"k{i}{j}", REFS=" ".join(aligned),
                    **some(REF_LINK_NAME=TEXTS, REF_TYPE=TEXTS, CVE_REF=TEXTS, LANG_REF=lang))
               for j, text in enumerate(sets(TEXTS, 2)) if len(aligned) == 1),
             LINK_SET_ID=f"rl{i}", **some(LINK_SET_NAME=TEXTS, EXT_REF=ref, LANG_REF=lang,
                                          CV_REF=TEXTS))
        for i in range(draw(st.integers(0, 2)))
    ]  # fmt: skip
    root = node(
        "ANNOTATION_DOCUMENT",
        *(node("LICENSE", text, **some(LICENSE_URL=uri)) for text in sets(TEXTS, 2)),
        header,
        node("TIME_ORDER", *(node("TIME_SLOT", TIME_SLOT_ID=key,
                                  **some(TIME_VALUE=st.integers(0, 2**32 - 1).map(str)))
                             for key in slots)),
        *tier_nodes,
        *(node("LINGUISTIC_TYPE", LINGUISTIC_TYPE_ID=name,
               **flags("TIME_ALIGNABLE", "GRAPHIC_REFERENCES"), **some(EXT_REF=ref),
               **optional(list(eaf.STEREOTYPES), "CONSTRAINTS"),
               **optional(cvs, "CONTROLLED_VOCABULARY_REF"), **optional(lexicons, "LEXICON_REF"))
          for name in types),
        *(node("LOCALE", LANGUAGE_CODE=key, **some(COUNTRY_CODE=TEXTS, VARIANT=TEXTS))
          for key in locales),
        *(node("LANGUAGE", LANG_ID=key, **some(LANG_DEF=TEXTS, LANG_LABEL=TEXTS))
          for key in languages),
        *(node("CONSTRAINT", STEREOTYPE=key, **some(DESCRIPTION=TEXTS))
          for key in eaf.STEREOTYPES),
        *vocabularies,
        *(node("LEXICON_REF", LEX_REF_ID=key, NAME=draw(TEXTS), TYPE=draw(TEXTS), URL=draw(TEXTS),
               LEXICON_ID=draw(TEXTS), LEXICON_NAME=draw(TEXTS),
               **some(DATCAT_ID=TEXTS, DATCAT_NAME=TEXTS))
          for key in lexicons),
        *link_sets,
        *(node("EXTERNAL_REF", EXT_REF_ID=key, VALUE=draw(TEXTS),
               TYPE=draw(among(["iso12620", "ecv", "cve_id", "lexen_id", "resource_url"])))
          for key in refs),
        AUTHOR=draw(TEXTS), DATE="2024-02-29T23:59:59+06:00", FORMAT="3.0", VERSION="3.0",
    )  # fmt: skip
    return Document(root=root)


def again(data: bytes) -> Document:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f.eaf"
        path.write_bytes(data)
        return eaf.read_document(path)


def read(folder: Path, text: str | bytes) -> Document:
    path = folder / "f.eaf"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return eaf.read_document(path)


def schema() -> Any:
    etree = pytest.importorskip("lxml.etree")
    return etree.XMLSchema(etree.parse(str(DATA / "EAFv3.0.xsd")))


def valid(data: bytes, by: Any = None) -> None:
    etree = pytest.importorskip("lxml.etree")
    (by or schema()).assertValid(etree.fromstring(data))


# There and back


@settings(deadline=None, max_examples=150)
@given(documents())
def test_what_is_written_is_read_back_the_same(written: Document) -> None:
    data = eaf.to_bytes(written)
    found = again(data)
    assert found == written
    assert eaf.to_bytes(found) == data


@needs_data
def test_what_is_written_is_valid() -> None:
    by = schema()

    @settings(deadline=None, max_examples=100)
    @given(documents())
    def each(written: Document) -> None:
        valid(eaf.to_bytes(written), by)

    each()


# What the check tells is what the schema refuses


def told(data: bytes) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f.eaf"
        path.write_bytes(data)
        return [finding.message for finding in check(path).findings]


@settings(deadline=None, max_examples=100)
@given(documents())
def test_of_a_valid_document_the_check_says_nothing_of_the_schema(written: Document) -> None:
    messages = told(eaf.to_bytes(written))
    assert not [m for m in messages if "EAF 3.0" in m or "not the only" in m or "refers to" in m]


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[Node, Node]:
    """A valid document, and it again with one element changed, lost, or put in twice."""
    root = draw(documents()).root
    place = draw(st.integers(0, len(walk(root)) - 1))
    how = draw(st.sampled_from(["lose", "twice", "change", "add"]))
    numbers = count()

    def spoil(item: Node) -> list[Node]:
        number = next(numbers)
        item = replace(item, children=tuple(new for c in item.children for new in spoil(c)))
        if number != place:
            return [item]
        if how == "change" and item.attributes:
            name, value = draw(st.tuples(
                st.sampled_from([name for name, _ in item.attributes]),
                st.sampled_from(["", "zz", "1", "a b", "-1", None]),
            ))  # fmt: skip
            return [item.with_attributes(**{name: value})]
        if how in ("change", "add") or item.tag == "ANNOTATION_DOCUMENT":
            return [item.with_attributes(COLOUR="red")]
        return [item, item] if how == "twice" else []

    return root, spoil(root)[0]


@needs_data
def test_what_the_schema_refuses_the_check_tells() -> None:
    etree = pytest.importorskip("lxml.etree")
    by = schema()
    refused = 0

    @settings(deadline=None, max_examples=200, derandomize=True)
    @given(spoiled())
    def tell(roots: tuple[Node, Node]) -> None:
        nonlocal refused
        before, after = (eaf.to_bytes(Document(root=root)) for root in roots)
        known = told(before)
        unreadable = any("has a bad TIME_" in message for message in known)
        if not unreadable and not by.validate(etree.fromstring(eaf.to_bytes(again(after)))):
            refused += 1
            assert told(after) != known, by.error_log.last_error

    tell()
    assert refused > 50


@st.composite
def older(draw: st.DrawFn) -> Node:
    """A document as of before 2.8: vocabularies of one language, sections in any order."""
    document = draw(documents())
    sections = []
    for section in document.root.children:
        if section.tag == "CONTROLLED_VOCABULARY":
            about = [c.text for c in section.children if c.tag == "DESCRIPTION"]
            entries = []
            for entry in (c for c in section.children if c.tag == "CV_ENTRY_ML"):
                value = entry.children[0]
                entries.append(node("CV_ENTRY", value.text, EXT_REF=entry.get("EXT_REF") or None,
                                    DESCRIPTION=dict(value.attributes).get("DESCRIPTION"),
                                    CVE_ID=draw(st.sampled_from([entry.get("CVE_ID"), None]))))  # fmt: skip
            section = node("CONTROLLED_VOCABULARY", *entries, CV_ID=section.get("CV_ID"),
                           DESCRIPTION=about[0] if about else None)  # fmt: skip
        if section.tag == "HEADER":
            kept = (c.with_attributes(MIME_TYPE=None) if draw(st.booleans()) else c
                    for c in section.children)  # fmt: skip
            section = section.with_attributes(SVG_FILE=draw(TEXTS))
            section = node("HEADER", *kept, **dict(section.attributes))
        if section.tag != "CONSTRAINT" or draw(st.booleans()):
            sections.append(section)
    version = draw(st.sampled_from(["2.3", "2.4", "2.5", "2.6", "2.7", None]))
    root = node("ANNOTATION_DOCUMENT", *draw(st.permutations(sections)), VERSION=version)
    return root.with_attributes(**draw(st.fixed_dictionaries({}, optional={
        "AUTHOR": TEXTS, "FORMAT": st.just("2.7"), "DATE": st.sampled_from(
            ["2006-06-13T15:09:43+01:00", "2006-06-13T15:09:43", "13.6.2006", "2006-13-13T00:00:00"]
        ),
    })))  # fmt: skip


def said(root: Node) -> Counter[str]:
    """Every text and every attribute's value of a document, but for its version."""
    words: Counter[str] = Counter()
    for item in walk(root):
        words[item.text] += 1
        words.update(v for k, v in item.attributes if k not in ("VERSION", "FORMAT"))
    return words


def walk(root: Node) -> list[Node]:
    return [root, *(item for child in root.children for item in walk(child))]


@settings(deadline=None, max_examples=100)
@given(older())
def test_older_documents_lose_nothing(written: Node) -> None:
    found = again(eaf.to_bytes(Document(root=written)))
    before, after = said(written), said(found.root)
    before.pop("", None)
    assert before <= after
    assert [t.get("TIER_ID") for t in found.section("TIER")] == [
        c.get("TIER_ID") for c in written.children if c.tag == "TIER"
    ]
    data = eaf.to_bytes(found)
    assert again(data) == found
    assert eaf.to_bytes(again(data)) == data


@needs_data
def test_older_documents_become_valid() -> None:
    by = schema()

    @settings(deadline=None, max_examples=100)
    @given(older())
    def each(written: Node) -> None:
        valid(eaf.to_bytes(again(eaf.to_bytes(Document(root=written)))), by)

    each()


REAL = sorted(p for p in DATA.parent.glob("*/*.eaf") if p.stat().st_size)


@needs_data
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_real_files_come_back_whole_and_valid(path: Path, tmp_path: Path) -> None:
    etree = pytest.importorskip("lxml.etree")
    found = eaf.read_document(path)
    eaf.write_document(found, tmp_path / "f.eaf")
    data = (tmp_path / "f.eaf").read_bytes()
    assert eaf.read_document(tmp_path / "f.eaf") == found
    valid(data)

    def everything(document: Any) -> list[tuple[Any, ...]]:
        return sorted(
            (e.tag, sorted((k, v) for k, v in e.attrib.items()), (e.text or "").strip())
            for e in document.iter(etree.Element)
            if e.tag != "ANNOTATION_DOCUMENT"
        )

    # By another parser, so that a mistake of reading cannot hide itself.
    before, after = everything(etree.parse(str(path))), everything(etree.fromstring(data))
    assert after == before


@needs_data
def test_a_file_of_elan_keeps_its_very_lines() -> None:
    path = DATA / "poio_turkish.eaf"
    lines = [
        eaf.to_bytes(eaf.read_document(path)).decode().splitlines(),
        path.read_text().splitlines(),
    ]
    differing = [(a, b) for a, b in zip(*lines, strict=True) if a != b]
    assert all("ANNOTATION_DOCUMENT" in a or "<ANNOTATION_VALUE/>" in a for a, b in differing)


# Files of before 3.0


OLD = f"""<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="x" DATE="2006-06-13T15:09:43+01:00" FORMAT="2.3" VERSION="2.3">
<HEADER MEDIA_FILE="a.mpg" TIME_UNITS="milliseconds" SVG_FILE="a.svg">
  <PROPERTY NAME="n">v</PROPERTY><MEDIA_DESCRIPTOR MEDIA_URL="a.mpg"/></HEADER>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="und"/><TIME_SLOT TIME_SLOT_ID="b" TIME_VALUE="9"/></TIME_ORDER>
{tier("t", "lt", timed("a1", "und", "b", "R"))}
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="lt" CONTROLLED_VOCABULARY_REF="hand"/>
<LOCALE LANGUAGE_CODE="en" COUNTRY_CODE="US"/>
<CONTROLLED_VOCABULARY CV_ID="hand" DESCRIPTION="which hand">
  <CV_ENTRY DESCRIPTION="right" EXT_REF="er1">R</CV_ENTRY><CV_ENTRY CVE_ID="cveid0">L</CV_ENTRY>
</CONTROLLED_VOCABULARY>
<CONTROLLED_VOCABULARY CV_ID="empty" DESCRIPTION=""/>
<EXTERNAL_REF EXT_REF_ID="er1" TYPE="iso12620" VALUE="DC-1"/>
</ANNOTATION_DOCUMENT>"""


def test_an_old_document_becomes_one_of_3_0(tmp_path: Path) -> None:
    found = read(tmp_path, OLD)
    assert (found.root.get("VERSION"), found.root.get("FORMAT")) == ("3.0", "3.0")
    assert found.root.get("DATE") == "2006-06-13T15:09:43+01:00"
    # "und" is the id of a time slot here, and ids are unique in a document.
    assert [n.get("LANG_ID") for n in found.section("LANGUAGE")] == ["und-0"]
    hand, empty = found.section("CONTROLLED_VOCABULARY")
    assert hand == node(
        "CONTROLLED_VOCABULARY",
        node("DESCRIPTION", "which hand", LANG_REF="und-0"),
        node("CV_ENTRY_ML", node("CVE_VALUE", "R", LANG_REF="und-0", DESCRIPTION="right"),
             CVE_ID="cveid1", EXT_REF="er1"),
        node("CV_ENTRY_ML", node("CVE_VALUE", "L", LANG_REF="und-0"), CVE_ID="cveid0"),
        CV_ID="hand",
    )  # fmt: skip
    assert empty.children == (node("DESCRIPTION", LANG_REF="und-0"),)
    assert [
        (n.tag, n.get("NAME") or n.get("MIME_TYPE"), n.text) for n in found.header.children
    ] == [
        ("MEDIA_DESCRIPTOR", "unknown", ""),
        ("PROPERTY", "n", "v"),
        ("PROPERTY", "SVG_FILE", "a.svg"),
    ]
    data = eaf.to_bytes(found)
    assert again(data) == found
    if DATA.is_dir():
        valid(data)


def test_the_language_that_is_there_is_used(tmp_path: Path) -> None:
    language = ('<LANGUAGE LANG_ID="x" LANG_DEF="http://cdb.iso.org/lg/CDB-00130975-001"/>'
                "<CONTROLLED_VOCABULARY CV_ID")  # fmt: skip
    found = read(tmp_path, OLD.replace("<CONTROLLED_VOCABULARY CV_ID", language, 1))
    assert [n.get("LANG_ID") for n in found.section("LANGUAGE")] == ["x"]
    assert next(found.root.all("CVE_VALUE")).get("LANG_REF") == "x"


def test_what_a_document_lacks_is_added_without_a_clock(tmp_path: Path) -> None:
    found = read(tmp_path, f"<ANNOTATION_DOCUMENT>{tier('t', 'top')}</ANNOTATION_DOCUMENT>")
    assert found.root.get("DATE") == EPOCH
    assert [child.tag for child in found.root.children] == ["HEADER", "TIME_ORDER", "TIER"]
    assert list(found.tiers) == ["t"]


def test_what_the_schema_would_refuse_becomes_valid_without_loss(tmp_path: Path) -> None:
    text = """<ANNOTATION_DOCUMENT DATE="13.06.2006 15:09" VERSION="2.6">
<HEADER MEDIA_FILE=""><LINKED_FILE_DESCRIPTOR LINK_URL="a.tsconf"/></HEADER>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="1"/></TIME_ORDER>
<HEADER TIME_UNITS="milliseconds"><PROPERTY NAME="n">v</PROPERTY><MEDIA_DESCRIPTOR/></HEADER>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="2"/></TIME_ORDER>
<TIER TIER_ID="t" LINGUISTIC_TYPE_REF="lt"/>
<TIER TIER_ID="u" LINGUISTIC_TYPE_REF="with blanks" PARENT_REF="t"/>
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="lt" CONTROLLED_VOCABULARY_REF="cv"/>
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="with blanks" CONSTRAINTS="Symbolic Association"/>
<CONTROLLED_VOCABULARY CV_ID="cv"><DESCRIPTION>what</DESCRIPTION>
<CV_ENTRY_ML><CVE_VALUE>one</CVE_VALUE></CV_ENTRY_ML></CONTROLLED_VOCABULARY>
</ANNOTATION_DOCUMENT>"""
    found = read(tmp_path, text)
    assert found.root.get("DATE") == EPOCH
    assert [(n.tag, n.get("NAME"), n.text) for n in found.header.children] == [
        ("MEDIA_DESCRIPTOR", "", ""),
        ("LINKED_FILE_DESCRIPTOR", "", ""),
        ("PROPERTY", "n", "v"),
        ("PROPERTY", "DATE", "13.06.2006 15:09"),
    ]
    assert found.header.get("TIME_UNITS") == "milliseconds"
    assert [n.get("TIME_SLOT_ID") for n in found.section("TIME_ORDER")[0].children] == [
        "ts1",
        "ts2",
    ]
    assert found.section("LINGUISTIC_TYPE")[1].get("CONSTRAINTS") == "Symbolic_Association"
    assert [n.get("STEREOTYPE") for n in found.section("CONSTRAINT")] == ["Symbolic_Association"]
    (entry,) = found.root.all("CV_ENTRY_ML")
    assert (entry.get("CVE_ID"), entry.children[0].text) == ("cveid0", "one")
    data = eaf.to_bytes(found)
    assert again(data) == found
    if DATA.is_dir():
        valid(data)


def test_what_the_schema_does_not_know_is_kept(tmp_path: Path) -> None:
    text = document(tier("t", "top", NEW="1"), tail="<NEWS A='1'><ITEM/></NEWS>")
    found = read(tmp_path, text)
    assert found.tiers["t"].get("NEW") == "1"
    assert found.root.children[-1] == node("NEWS", node("ITEM"), A="1")
    assert again(eaf.to_bytes(found)) == found


# What is refused


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('VERSION="3.0"', 'VERSION="3.1"', "is EAF 3.1; kslds writes up to 3.0"),
        ('VERSION="3.0"', 'VERSION="4"', "is EAF 4; kslds"),
        ("<TIME_ORDER>", "<TIME_ORDER>lost", "text beside the elements of TIME_ORDER"),
        ("</TIME_ORDER>", "</TIME_ORDER>lost", "text beside the elements of ANNOTATION_DOCUMENT"),
        (">x<", ">x<b/>y<", "text beside the elements of ANNOTATION_VALUE"),
        (">x<", ">" + "<b>" * 50_000 + "</b>" * 50_000 + "<", "elements within each other 20 deep"),
        ("<TIME_ORDER>", '<TIME_ORDER xmlns="urn:x">', "the foreign element '{urn:x}TIME_ORDER'"),
        ("<TIME_ORDER>", '<TIME_ORDER xml:lang="kk">', "the foreign attribute"),
        ("<ANNOTATION_DOCUMENT", "<!DOCTYPE x><ANNOTATION_DOCUMENT", "declares a document type"),
    ],
)  # fmt: skip
def test_what_could_not_be_written_back_is_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    text = document(tier("t", "top", timed("a1", "a", "b", "x")), slots="a=0 b=1")
    with pytest.raises(AnnotationError) as error:
        read(tmp_path, text.replace(old, new, 1))
    assert message in str(error.value)


@pytest.mark.parametrize("text", ["\x00", "a\x0b", "\ud800", "\ufffe"])
def test_characters_that_xml_cannot_hold(tmp_path: Path, text: str) -> None:
    root = node("ANNOTATION_DOCUMENT", node("HEADER", node("PROPERTY", text)), node("TIME_ORDER"))
    path = tmp_path / "f.eaf"
    with pytest.raises(AnnotationError, match=rf"f\.eaf was not written: .*U\+{ord(text[-1]):04X}"):
        eaf.write_document(Document(root=root), path)
    assert not path.exists()


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MissingFile):
        eaf.read_document(tmp_path / "none.eaf")


# External vocabularies, as the adapter reads them

ECV = """<CV_RESOURCE><LANGUAGE LANG_ID="kaz"/>
<CONTROLLED_VOCABULARY CV_ID="phases"><CV_ENTRY_ML CVE_ID="e1">
<CVE_VALUE LANG_REF="kaz">ұстау</CVE_VALUE></CV_ENTRY_ML></CONTROLLED_VOCABULARY></CV_RESOURCE>"""


def with_external(url: str, entry: str = 'CVE_REF="e1"', value: str = "") -> str:
    return document(
        tier("gloss", "phase", timed("a1", "a", "b", value, " " + entry)),
        slots="a=0 b=1",
        tail='<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="phase" CONTROLLED_VOCABULARY_REF="phases"/>'
        '<CONTROLLED_VOCABULARY CV_ID="phases" EXT_REF="er1"/>'
        f'<EXTERNAL_REF EXT_REF_ID="er1" TYPE="ecv" VALUE="{url}"/>'
        '<EXTERNAL_REF EXT_REF_ID="er2" TYPE="cve_id" VALUE="e1"/>',
    )


@pytest.mark.parametrize(
    ("url", "label"),
    [
        ("v.ecv", "ұстау"),
        ("./sub/v.ecv", "ұстау"),
        ("file:/home/somebody/Documents/v.ecv", "ұстау"),
        ("https://example.org/vocabularies/v.ecv", "ұстау"),
        ("sub\\v.ecv", "ұстау"),
        ("../outside.ecv", None),
        ("%2e%2e/outside.ecv", None),
        ("sub/../../outside.ecv", None),
        ("link.ecv", None),
        ("v.xml", None),
        ("none.ecv", None),
        ("", None),
    ],
)
def test_external_vocabularies_are_files_below_the_folder(
    tmp_path: Path, url: str, label: str | None
) -> None:
    folder = tmp_path / "inside"
    (folder / "sub").mkdir(parents=True)
    for place in (
        folder / "v.ecv",
        folder / "sub" / "v.ecv",
        folder / "v.xml",
        tmp_path / "outside.ecv",
    ):
        place.write_text(ECV, encoding="utf-8")
    (folder / "link.ecv").symlink_to(tmp_path / "outside.ecv")
    (found,) = notes(folder, with_external(url))
    assert found.label == label


def test_an_entry_may_be_named_by_a_reference_as_in_2_7(tmp_path: Path) -> None:
    (tmp_path / "v.ecv").write_text(ECV, encoding="utf-8")
    (found,) = notes(tmp_path, with_external("v.ecv", 'EXT_REF="er1 er2"'))
    assert found.label == "ұстау"
    (found,) = notes(tmp_path, with_external("v.ecv", value="as typed"))
    assert found.label == "as typed"


@pytest.mark.parametrize("text", ["", "<CV_RESOURCE>", "<!DOCTYPE x><CV_RESOURCE/>", "<X/>"])
def test_a_broken_external_vocabulary_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "v.ecv").write_text(text, encoding="utf-8")
    with pytest.raises(AnnotationError, match=r"v\.ecv"):
        notes(tmp_path, with_external("v.ecv"))
    # Where no value has to be looked up, it is not read.
    assert notes(tmp_path, with_external("v.ecv", value="x"))[0].label == "x"


@pytest.mark.parametrize(
    ("units", "times"),
    [
        ("PAL-frames", ("80", "2600")),
        ("NTSC-frames", ("66", "2168")),  # 2 * 1001/30 = 66.7, 65 * 1001/30 = 2168.8
        ("milliseconds", ("2", "65")),
    ],
)
def test_documents_that_count_frames(tmp_path: Path, units: str, times: tuple[str, str]) -> None:
    text = document(tier("gloss", "top", timed("a1", "a", "b", "x")), slots="a=2 b=65")
    (found,) = notes(tmp_path, text.replace("milliseconds", units))
    assert (found.start, found.end) == times


def test_the_adapter_has_no_options_and_goes_on_after_a_broken_file(tmp_path: Path) -> None:
    text = document(tier("gloss", "top", timed("a1", "a", "b", "x")), slots="a=2 b=65")
    (tmp_path / "a.eaf").write_text(text, encoding="utf-8")
    (tmp_path / "b.eaf").write_text(text.replace(' VERSION="3.0"', "").replace(
        "2026-01-01T00:00:00+05:00", "2021-07-08T16:51:56+06:00"), encoding="utf-8")  # fmt: skip
    files = (tmp_path / "a.eaf", tmp_path / "b.eaf")
    good, bad = adapter("elan")(Source(files=files))
    assert (good.label, good.problem) == ("x", None)
    assert bad.problem is not None
    assert bad.problem[0] == "K123"
    assert bad.problem[1].startswith("b.eaf was exported by SLAN-tool")
    with pytest.raises(
        RecipeError, match=r"the adapter 'elan' has no option 'repair'.*It has annotator"
    ):
        list(adapter("elan")(Source(files=files, options={"repair": "x"})))


def test_the_bundled_recipe_is_for_this_adapter() -> None:
    recipe = read_recipe("elan")
    assert recipe.ingest is not None
    assert (recipe.ingest.adapter, recipe.ingest.tiers) == ("elan", ("*gloss*",))


@pytest.mark.parametrize("ref", ["a1", "", " ", "1", "zz"])
def test_a_note_about_nothing_is_told(ref: str) -> None:
    notes = f'<REF_ANNOTATION ANNOTATION_ID="a2" ANNOTATION_REF="{ref}">'
    document = f"""<ANNOTATION_DOCUMENT AUTHOR="" DATE="2024-02-29T23:59:59+06:00" FORMAT="3.0"
      VERSION="3.0"><HEADER/><TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts0"/>
      <TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="900"/></TIME_ORDER>
    <TIER TIER_ID="gloss" LINGUISTIC_TYPE_REF="t"><ANNOTATION><ALIGNABLE_ANNOTATION
      ANNOTATION_ID="a1" TIME_SLOT_REF1="ts0" TIME_SLOT_REF2="ts1"><ANNOTATION_VALUE>су
      </ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
    <TIER TIER_ID="note" LINGUISTIC_TYPE_REF="n" PARENT_REF="gloss"><ANNOTATION>{notes}
      <ANNOTATION_VALUE/></REF_ANNOTATION></ANNOTATION></TIER>
    <LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="t" TIME_ALIGNABLE="true"/>
    <LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="n" CONSTRAINTS="Symbolic_Association"/>
    <CONSTRAINT STEREOTYPE="Symbolic_Association"/></ANNOTATION_DOCUMENT>"""
    about = [message for message in told(document.encode()) if "ANNOTATION_REF" in message]
    assert len(about) == (ref != "a1")
    assert all(f"ANNOTATION_REF {ref!r}" in message for message in about)
