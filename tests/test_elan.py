import re
import time
import unicodedata
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kslds.corpora import Annotation, Source, adapter
from kslds.corpora.elan import read
from kslds.errors import AnnotationError, MissingFile, RecipeError

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "elan"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the folder ../shared/data is absent")

VIDEO = '<MEDIA_DESCRIPTOR MEDIA_URL="file:///media/v.mp4" MIME_TYPE="video/mp4"/>'
TYPES = """
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="top" TIME_ALIGNABLE="true"/>
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="sign" TIME_ALIGNABLE="true"/>
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="timed" CONSTRAINTS="Time_Subdivision" TIME_ALIGNABLE="true"/>
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="within" CONSTRAINTS="Included_In" TIME_ALIGNABLE="true"/>
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="pieces" CONSTRAINTS="Symbolic_Subdivision"
                 TIME_ALIGNABLE="false"/>
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="note" CONSTRAINTS="Symbolic_Association"
                 TIME_ALIGNABLE="false"/>
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="feeling" CONSTRAINTS="Symbolic_Association"
                 CONTROLLED_VOCABULARY_REF="emotions" TIME_ALIGNABLE="false"/>
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="phase" CONTROLLED_VOCABULARY_REF="phases"
                 TIME_ALIGNABLE="true"/>
"""

TAIL = f"""{TYPES}
<LANGUAGE LANG_ID="eng"/><LANGUAGE LANG_ID="kaz"/>
<CONTROLLED_VOCABULARY CV_ID="phases">
  <CV_ENTRY_ML CVE_ID="e1"><CVE_VALUE LANG_REF="eng">hold</CVE_VALUE></CV_ENTRY_ML>
</CONTROLLED_VOCABULARY>
<CONTROLLED_VOCABULARY CV_ID="emotions">
  <CV_ENTRY_ML CVE_ID="e1"><CVE_VALUE LANG_REF="eng">happy</CVE_VALUE>
    <CVE_VALUE LANG_REF="kaz">қуаныш</CVE_VALUE></CV_ENTRY_ML>
</CONTROLLED_VOCABULARY>
"""


def eaf(body: str, *, slots: str = "", media: str = VIDEO, tail: str = TAIL) -> str:
    """A document; `slots` such as ``a=0 b=1500 c`` (a slot without a value)."""
    order = []
    for slot in slots.split():
        name, _, value = slot.partition("=")
        order.append(
            f'<TIME_SLOT TIME_SLOT_ID="{name}"' + (f' TIME_VALUE="{value}"/>' if value else "/>")
        )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-01-01T00:00:00+05:00" FORMAT="3.0" VERSION="3.0">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">{media}</HEADER>
<TIME_ORDER>{"".join(order)}</TIME_ORDER>
{body}{tail}
</ANNOTATION_DOCUMENT>"""


def tier(name: str, kind: str, *notes: str, parent: str = "", **attributes: str) -> str:
    if parent:
        attributes["PARENT_REF"] = parent
    extra = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
    inner = "".join(f"<ANNOTATION>{note}</ANNOTATION>" for note in notes)
    return f'<TIER TIER_ID={quoteattr(name)} LINGUISTIC_TYPE_REF="{kind}"{extra}>{inner}</TIER>'


def timed(key: str, begin: str, end: str, value: str, extra: str = "") -> str:
    return (
        f'<ALIGNABLE_ANNOTATION ANNOTATION_ID="{key}" TIME_SLOT_REF1="{begin}" '
        f'TIME_SLOT_REF2="{end}"{extra}><ANNOTATION_VALUE>{value}</ANNOTATION_VALUE>'
        "</ALIGNABLE_ANNOTATION>"
    )


def ref(key: str, parent: str, value: str, *, previous: str = "", extra: str = "") -> str:
    link = f' PREVIOUS_ANNOTATION="{previous}"' if previous else ""
    return (
        f'<REF_ANNOTATION ANNOTATION_ID="{key}" ANNOTATION_REF="{parent}"{link}{extra}>'
        f"<ANNOTATION_VALUE>{value}</ANNOTATION_VALUE></REF_ANNOTATION>"
    )


def notes(folder: Path, text: str | bytes, *tiers: str, **columns: str) -> list[Annotation]:
    path = folder / "f.eaf"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read(Source(files=(path,), tiers=tiers, columns=columns)))


def times(found: list[Annotation]) -> list[tuple[str | None, str | None, str | None]]:
    return [(note.label, note.start, note.end) for note in found]


def failure(folder: Path, text: str | bytes, *tiers: str, **columns: str) -> str:
    with pytest.raises(AnnotationError) as error:
        notes(folder, text, *tiers, **columns)
    assert str(folder / "f.eaf") in str(error.value)
    return str(error.value)


ONE = eaf(tier("gloss", "top", timed("a1", "a", "b", "мысық")), slots="a=100 b=900")


# What an annotation carries


def test_an_aligned_annotation(tmp_path: Path) -> None:
    text = eaf(
        tier("Gloss", "sign", timed("a1", "a", "b", " мысық "), PARTICIPANT="S1", ANNOTATOR="NN"),
        slots="a=100 b=900",
    )
    assert notes(tmp_path, text) == [
        Annotation(
            source="f.eaf:a1",
            recording="v.mp4",
            start="100",
            end="900",
            unit="ms",
            start_column="TIME_SLOT_REF1",
            end_column="TIME_SLOT_REF2",
            label="мысық",
            tier="Gloss",
            signer="S1",
            annotator="NN",
        )
    ]


def test_text_is_nfc_and_an_empty_value_is_none(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "йод")
    text = eaf(
        tier("gloss", "top", timed("a1", "a", "b", decomposed), timed("a2", "b", "c", " \n ")),
        slots="a=0 b=10 c=20",
    )
    assert [note.label for note in notes(tmp_path, text)] == ["йод", None]


def test_child_tiers_take_participant_and_annotator_from_above(tmp_path: Path) -> None:
    text = eaf(
        tier("child", "note", ref("a2", "a1", "x"), parent="mid", ANNOTATOR="MM")
        + tier("mid", "note", ref("a1", "a0", "y"), parent="top")
        + tier("top", "top", timed("a0", "a", "b", "z"), PARTICIPANT="S1", ANNOTATOR="NN"),
        slots="a=0 b=10",
    )
    found = notes(tmp_path, text, "child")[0]
    assert (found.signer, found.annotator, found.start, found.end) == ("S1", "MM", "0", "10")


@pytest.mark.parametrize(
    ("option", "annotators"),
    [("tier", ["t1", None]), ("folder", ["Айгүл", "b 2"]), ("author", ["А. Б.", None])],
)
def test_annotators_may_be_folders_or_authors(
    tmp_path: Path, option: str, annotators: list[str | None]
) -> None:
    text = eaf(tier("gloss", "top", timed("a1", "a", "b", "x")), slots="a=0 b=10")
    one, other = tmp_path / "Айгүл" / "r.eaf", tmp_path / "b 2" / "r.eaf"
    for path in (one, other):
        path.parent.mkdir()
    signed = text.replace('AUTHOR=""', 'AUTHOR="А. Б."').replace("<TIER ", '<TIER ANNOTATOR="t1" ')
    assert signed.count("А. Б.") == signed.count("t1") == 1
    one.write_text(signed, encoding="utf-8")
    other.write_text(text, encoding="utf-8")
    source = Source(files=(one, other), options={"annotator": option})
    assert [note.annotator for note in adapter("elan")(source)] == annotators


def test_files_are_read_one_after_the_other(tmp_path: Path) -> None:
    for name in ("a.eaf", "b.eaf"):
        (tmp_path / name).write_text(ONE)
    source = Source(files=(tmp_path / "a.eaf", tmp_path / "b.eaf"))
    assert [note.source for note in adapter("elan")(source)] == ["a.eaf:a1", "b.eaf:a1"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1251"])
def test_declared_encodings(tmp_path: Path, encoding: str) -> None:
    text = ONE.replace("UTF-8", encoding.removesuffix("-sig")).replace("қ", "к")
    assert notes(tmp_path, text.replace("мысық", "мысык").encode(encoding))[0].label == "мысык"


def test_a_file_without_version_or_types_and_with_slots_last(tmp_path: Path) -> None:
    text = (
        "<ANNOTATION_DOCUMENT>"
        + tier("row", "none", timed("a1", "a", "b", "x"))
        + '<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="a" TIME_VALUE="1"/>'
        '<TIME_SLOT TIME_SLOT_ID="b" TIME_VALUE="2"/></TIME_ORDER></ANNOTATION_DOCUMENT>'
    )
    (found,) = notes(tmp_path, text)
    assert (found.recording, found.start, found.end) == ("f", "1", "2")


# Media


@pytest.mark.parametrize(
    ("relative", "url", "recording"),
    [
        ("./v.mp4", "file:///C:/Users/x/v.mp4", "v.mp4"),
        ("sub/dir/v.mp4", "", "sub/dir/v.mp4"),
        ("file:./sub/v.mp4", "", "sub/v.mp4"),
        ("file:/./sub/v.mp4", "", "sub/v.mp4"),
        ("../../media/v.mp4", "", "v.mp4"),
        ("file:/../media/v.mp4", "", "v.mp4"),
        ("sub/../../v.mp4", "", "v.mp4"),
        ("%2e%2e/%2e%2e/etc/passwd", "", "passwd"),
        ("..\\videos\\v.mp4", "", "v.mp4"),
        ("sub\\v.mp4", "", "sub/v.mp4"),
        ("", "file:///Users/x/my%20v%C3%A9.mp4", "my vé.mp4"),
        ("", "file:///C:/x/v.mp4", "v.mp4"),
        ("", "C:\\x\\v.mp4", "v.mp4"),
        ("", "//server/share/v.mp4", "v.mp4"),
        ("", "https://example.org/a/v.mp4", "v.mp4"),
        ("./", "file:///x/v.mp4", "v.mp4"),
        ("..", "", "f"),
        ("", "", "f"),
        ("./100%.mp4", "", "100%.mp4"),
        ("./a%00b.mp4", "", "ab.mp4"),
        ("./и\u0306од.mp4", "", "йод.mp4"),
    ],
)
def test_names_of_recordings(tmp_path: Path, relative: str, url: str, recording: str) -> None:
    media = (
        f"<MEDIA_DESCRIPTOR MEDIA_URL={quoteattr(url)} RELATIVE_MEDIA_URL={quoteattr(relative)} "
        'MIME_TYPE="video/mp4"/>'
    )
    text = ONE.replace(VIDEO, media)
    assert notes(tmp_path, text)[0].recording == recording


@pytest.mark.parametrize(
    ("media", "recording"),
    [
        ([("a.wav", "audio/x-wav"), ("v.mp4", "video/mp4"), ("w.mp4", "video/mp4")], "v.mp4"),
        ([("a.wav", "audio/x-wav"), ("v.MOV", "unknown")], "v.MOV"),
        ([("a.wav", "audio/x-wav"), ("v.xyz", "unknown")], "v.xyz"),
        ([("a.wav", "audio/x-wav")], "a.wav"),
        ([("", "video/mp4"), ("v", "video/*")], "v"),
        ([], "f"),
    ],
)
def test_the_first_video_is_the_recording(
    tmp_path: Path, media: list[tuple[str, str]], recording: str
) -> None:
    header = "".join(
        f'<MEDIA_DESCRIPTOR MEDIA_URL="{url}" MIME_TYPE="{mime}"/>' for url, mime in media
    )
    assert notes(tmp_path, ONE.replace(VIDEO, header))[0].recording == recording


def linking(folder: Path, names: dict[str, str], *media: str) -> list[tuple[str, str]]:
    """What is read of files with these links, RELATIVE_MEDIA_URL and after ``|`` MEDIA_URL."""
    files = []
    for name, link in names.items():
        relative, _, url = link.partition("|")
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = (
            f"<MEDIA_DESCRIPTOR MEDIA_URL={quoteattr(url)} "
            f'RELATIVE_MEDIA_URL={quoteattr(relative)} MIME_TYPE="video/mp4"/>'
        )
        path.write_text(ONE.replace(VIDEO, descriptor), encoding="utf-8")
        files.append(path)
    found = read(Source(files=tuple(files), media=media))
    return [(note.source, note.recording) for note in found]


@pytest.mark.parametrize("url", ["./v.mp4", "|file:///old/v.mp4", "./v.mp4|file:///x/s2/v.mp4"])
def test_a_folder_for_each_session(tmp_path: Path, url: str) -> None:
    names = ("s1/v.mp4", "s2/v.mp4", "v.mp4")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = linking(tmp_path, {"s1/ann.eaf": url, "s2/ann.eaf": url}, *names)
    if url == "|file:///old/v.mp4":
        assert linking(tmp_path, {"ann.eaf": url}, *names) == [("ann.eaf:a1", "v.mp4")]
    assert found == [("s1/ann.eaf:a1", "s1/v.mp4"), ("s2/ann.eaf:a1", "s2/v.mp4")]
    # The media folder may be one above, or be another one with the same folders in it.
    above = linking(tmp_path, {"s1/ann.eaf": url}, "p/s1/v.mp4", f"{tmp_path.name}/s1/v.mp4")
    assert above == [("ann.eaf:a1", f"{tmp_path.name}/s1/v.mp4")]
    apart = linking(tmp_path / "apart", {"s1/ann.eaf": "./v.mp4"}, *names)
    assert apart == [("ann.eaf:a1", "s1/v.mp4")]


def test_a_file_beside_the_document_comes_before_an_old_path(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").touch()
    names = {"ann.eaf": "./v.mp4|file:///old/s1/v.mp4"}
    assert linking(tmp_path, names, "s1/v.mp4", "v.mp4") == [("ann.eaf:a1", "v.mp4")]
    (tmp_path / "v.mp4").unlink()
    assert linking(tmp_path, names, "s1/v.mp4", "v.mp4") == [("ann.eaf:a1", "s1/v.mp4")]


@pytest.mark.parametrize(
    ("link", "recording"),
    [
        ("../media/s2/v.mp4", "s2/v.mp4"),
        ("..\\media\\s2\\v.mp4", "s2/v.mp4"),
        ("|file:///D:/media/s2/v.mp4", "s2/v.mp4"),
        ("|D:\\media\\s2\\v.mp4", "s2/v.mp4"),
        ("../s2/v%2Emp4", "s2/v.mp4"),
        ("s2/v.mp4", "s2/v.mp4"),
        ("../../../../../../../../etc/passwd", "passwd"),
        ("../other/v.mp4", "v.mp4"),
        ("./" + "x" * 300 + ".mp4", "x" * 300 + ".mp4"),
        ("./" + "x/" * 50_000 + "v.mp4", "x/" * 50_000 + "v.mp4"),
    ],
)
def test_paths_that_lead_out_are_only_compared(tmp_path: Path, link: str, recording: str) -> None:
    found = linking(tmp_path, {"ann/a.eaf": link}, "s1/v.mp4", "s2/v.mp4")
    assert found == [("a.eaf:a1", recording)]


def test_a_missing_recording_is_not_taken_from_the_next_folder(tmp_path: Path) -> None:
    names = {"s1/ann.eaf": "./v.mp4", "s2/ann.eaf": "./v.mp4"}
    assert linking(tmp_path, names, "s2/v.mp4") == [
        ("s1/ann.eaf:a1", "s1/v.mp4"),
        ("s2/ann.eaf:a1", "s2/v.mp4"),
    ]
    # Of a document that is called like its recording, a copy may lie elsewhere.
    names = {"first/v.eaf": "./v.mp4", "second/v.eaf": "./v.mp4"}
    assert [name for _, name in linking(tmp_path, names, "first/v.mp4")] == ["first/v.mp4", "v.mp4"]
    names = {"first/ann.eaf": "./v.mp4", "second/ann.eaf": "./v.mp4"}
    assert [name for _, name in linking(tmp_path, names, "m/v.mp4")] == ["v.mp4", "v.mp4"]


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    names = ("x/s1/ann.eaf", "x/s2/ann.eaf", "x/s2/deep/ann.eaf", "y/other.eaf")
    found = linking(tmp_path, dict.fromkeys(names, "v.mp4"))
    assert [source for source, _ in found] == [
        "s1/ann.eaf:a1", "s2/ann.eaf:a1", "s2/deep/ann.eaf:a1", "other.eaf:a1",
    ]  # fmt: skip
    (tmp_path / names[1]).write_bytes(b"")
    rows = list(read(Source(files=tuple(tmp_path / name for name in names))))
    assert rows[1].source == "s2/ann.eaf"
    assert rows[1].problem == ("K123", "s2/ann.eaf is empty (0 bytes); expected an EAF file. "
                               "Open it in ELAN and save it again, or restore a backup that "
                               "ELAN keeps (.eaf.001).")  # fmt: skip


@pytest.mark.parametrize(
    ("media", "recording", "start"),
    [
        ((), "front.mp4", "100"),
        (("side.mp4",), "side.mp4", "600"),
        (("side.mp4", "d/front.mp4"), "front.mp4", "100"),
        (("d/side.mp4", "e/side.mp4"), "side.mp4", "600"),
        (("top.mp4",), "front.mp4", "100"),
    ],
)
def test_the_first_video_that_is_there(
    tmp_path: Path, media: tuple[str, ...], recording: str, start: str
) -> None:
    path = tmp_path / "f.eaf"
    header = '<MEDIA_DESCRIPTOR MEDIA_URL="file:///x/front.mp4" MIME_TYPE="video/mp4"/>' + (
        '<MEDIA_DESCRIPTOR MEDIA_URL="file:///x/side.mp4" MIME_TYPE="video/mp4" TIME_ORIGIN="500"/>'
    )
    path.write_text(ONE.replace(VIDEO, header), encoding="utf-8")
    (found,) = read(Source(files=(path,), media=media))
    assert (found.recording, found.start) == (recording, start)


def test_what_was_written_beside_one_segment_is_no_others(tmp_path: Path) -> None:
    body = (
        tier("one", "kslds-gloss", timed("a1", "a", "b", "x"))
        + tier("two", "kslds-gloss", timed("a2", "a", "b", "y"))
        + tier("one-emotion", "{}", ref("a3", "a1", "sad"), parent="one")
    )
    kinds = TAIL.replace('"note"', '"kslds-emotion"')
    written = eaf(body.format("kslds-emotion"), slots="a=0 b=10", tail=kinds)
    found = notes(tmp_path, written, "type:kslds-gloss", emotion="one-emotion")
    assert [note.emotion for note in found] == ["sad", None]
    found = notes(tmp_path, written.replace("kslds-emotion", "mood"), "type:kslds-gloss",
                  emotion="one-emotion")  # fmt: skip
    assert [note.emotion for note in found] == ["sad", "sad"]


def test_the_time_origin_of_the_recording_is_added(tmp_path: Path) -> None:
    media = (
        '<MEDIA_DESCRIPTOR MEDIA_URL="a.wav" MIME_TYPE="audio/x-wav" TIME_ORIGIN="7"/>'
        '<MEDIA_DESCRIPTOR MEDIA_URL="v.mp4" MIME_TYPE="video/mp4" TIME_ORIGIN="5000"/>'
    )
    (found,) = notes(tmp_path, ONE.replace(VIDEO, media))
    assert (found.start, found.end) == ("5100", "5900")


# Times


def test_open_slots_of_a_time_subdivision_divide_the_time_evenly(tmp_path: Path) -> None:
    text = eaf(
        tier("sentence", "top", timed("a0", "a", "f", "s"))
        + tier(
            "gloss",
            "timed",
            timed("a1", "a", "b", "1"),
            timed("a2", "b", "c", "2"),
            timed("a3", "c", "d", "3"),
            timed("a4", "d", "e", "4"),
            timed("a5", "e", "f", "5"),
            parent="sentence",
        ),
        slots="a=1000 b c d=2000 e f=2501",
    )
    assert times(notes(tmp_path, text)) == [
        ("1", "1000", "1333"),
        ("2", "1333", "1666"),
        ("3", "1666", "2000"),
        ("4", "2000", "2250"),
        ("5", "2250", "2501"),
    ]


def test_a_subdivision_of_a_subdivision_starts_from_what_its_parent_was_given(
    tmp_path: Path,
) -> None:
    text = eaf(
        tier("part", "timed", timed("c1", "b", "x", "1"), timed("c2", "x", "c", "2"), parent="word")
        + tier(
            "word",
            "timed",
            timed("b1", "a", "b", "w1"),
            timed("b2", "b", "c", "w2"),
            timed("b3", "c", "d", "w3"),
            parent="sentence",
        )
        + tier("sentence", "top", timed("a1", "a", "d", "s")),
        slots="a=0 b x c d=900",
    )
    assert times(notes(tmp_path, text, "part")) == [("1", "300", "450"), ("2", "450", "600")]


def test_included_annotations_have_their_own_times(tmp_path: Path) -> None:
    text = eaf(
        tier("top", "top", timed("a1", "a", "d", "s"))
        + tier("gloss", "within", timed("a2", "b", "c", "x"), parent="top"),
        slots="a=0 b=100 c=200 d=900",
    )
    assert times(notes(tmp_path, text)) == [("x", "100", "200")]


@pytest.mark.parametrize(
    ("slots", "start", "end", "slot"),
    [
        ("a b=10", None, "10", "a"),
        ("a=0 b", "0", None, "b"),
        ("a b", None, None, "a"),
        ("b=10", None, "10", "a"),
    ],
)
def test_a_slot_that_nothing_places_is_a_problem(
    tmp_path: Path, slots: str, start: str | None, end: str | None, slot: str
) -> None:
    text = eaf(
        tier("gloss", "top", timed("a1", "a", "b", "x"), timed("a2", "c", "d", "y")),
        slots=slots + " c=20 d=30",
    )
    bad, good = notes(tmp_path, text)
    assert (bad.start, bad.end) == (start, end)
    assert bad.problem == (
        "K120",
        f"the time slot {slot!r} has no value and none follows from its neighbours",
    )
    assert (good.start, good.end, good.problem) == ("20", "30", None)


def test_symbolic_subdivisions_divide_their_parent_in_sequence(tmp_path: Path) -> None:
    text = eaf(
        tier("sentence", "top", timed("a1", "a", "b", "s"), timed("a2", "b", "c", "t"))
        + tier(
            "gloss",
            "pieces",
            ref("b3", "a1", "3", previous="b2"),
            ref("b9", "a2", "only"),
            ref("b1", "a1", "1"),
            ref("b2", "a1", "2", previous="b1"),
            parent="sentence",
        ),
        slots="a=100 b=200 c=300",
    )
    assert times(notes(tmp_path, text)) == [
        ("3", "166", "200"),
        ("only", "200", "300"),
        ("1", "100", "133"),
        ("2", "133", "166"),
    ]


NESTED = eaf(
    tier("sentence", "top", timed("a1", "a", "b", "s"))
    + tier("word", "pieces", ref("b1", "a1", "w"), ref("b2", "a1", "x", previous="b1"),
           parent="sentence")
    + tier("morph", "pieces", ref("c1", "b2", "m"), ref("c2", "b2", "n", previous="c1"),
           parent="word")
    + tier("gloss", "note", ref("d1", "c2", "g"), parent="morph"),
    slots="a=0 b=400",
)  # fmt: skip


def test_pieces_without_a_known_predecessor_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = eaf(
        tier("s", "top", timed("a1", "a", "b", "s"))
        + tier("gloss", "pieces", ref("b2", "a1", "2", previous="gone"), ref("b1", "a1", "1"),
               ref("b3", "a1", "3", previous="b2"), parent="s"),
        slots="a=0 b=30",
    )  # fmt: skip
    assert times(notes(tmp_path, text, "gloss")) == [
        ("2", "0", "10"),
        ("1", "20", "30"),
        ("3", "10", "20"),
    ]


def test_a_slot_with_two_values_gives_no_time(tmp_path: Path) -> None:
    text = eaf(
        tier("s", "top", timed("a1", "a", "b", "1"), timed("a2", "b", "c", "2"),
             timed("a3", "c", "d", "3"))
        + tier("gloss", "pieces", ref("b1", "a1", "p"), parent="s"),
        slots="a=0 b=500 b=700 c d=900 d=900",
    )  # fmt: skip
    why = "the time slot 'b' is there more than once, with different values"
    found = notes(tmp_path, text, "s")
    assert [n.problem for n in found[:2]] == [("K120", why)] * 2
    assert (found[2].problem, found[2].start, found[2].end) == (
        ("K120", "the time slot 'c' has no value and none follows from its neighbours"), None, "900",
    )  # fmt: skip
    assert notes(tmp_path, text, "gloss")[0].problem == ("K120", "its parent 'a1' has no times")


def test_a_constraint_may_be_written_with_blanks(tmp_path: Path) -> None:
    text = eaf(
        tier("s", "top", timed("a1", "a", "b", "s"))
        + tier("gloss", "x", ref("b1", "a1", "1"), ref("b2", "a1", "2", previous="b1"), parent="s"),
        slots="a=0 b=20",
    ).replace("<LANGUAGE ", '<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="x" '
              'CONSTRAINTS="Symbolic Subdivision"/><LANGUAGE ', 1)  # fmt: skip
    assert times(notes(tmp_path, text, "gloss")) == [("1", "0", "10"), ("2", "10", "20")]


def test_keys_that_are_there_twice(tmp_path: Path) -> None:
    text = eaf(
        tier("s", "top", timed("a1", "a", "b", "s"), timed("a1", "b", "c", "t"))
        + tier("gloss", "pieces", ref("b1", "a1", "1"), ref("b1", "a1", "2", previous="b1"),
               parent="s"),
        slots="a=0 b=20 c=100",
    )  # fmt: skip
    assert times(notes(tmp_path, text, "gloss")) == [("1", "0", "10"), ("2", "10", "20")]


def test_symbolic_tiers_nest(tmp_path: Path) -> None:
    assert times(notes(tmp_path, NESTED, "*")) == [
        ("s", "0", "400"),
        ("w", "0", "200"),
        ("x", "200", "400"),
        ("m", "200", "300"),
        ("n", "300", "400"),
        ("g", "300", "400"),
    ]


def test_any_depth_of_nesting(tmp_path: Path) -> None:
    depth = 3000
    body = tier("t0", "top", timed("a0", "a", "b", "x")) + "".join(
        tier(f"t{i}", "note", ref(f"a{i}", f"a{i - 1}", str(i)), parent=f"t{i - 1}")
        for i in range(1, depth)
    )
    found = notes(
        tmp_path, eaf(body, slots="a=5 b=6"), f"t{depth - 1}", sentence="t0", emotion="t1"
    )
    assert times(found) == [(str(depth - 1), "5", "6")]
    assert (found[0].sentence, found[0].emotion) == ("x", "1")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (tier("gloss", "note", ref("a1", "a9", "x"), parent="top"), "'a9' is not on a tier above"),
        (tier("gloss", "note", ref("a1", "a1", "x"), parent="gloss"), "'a1' is not on a tier"),
        (
            tier("gloss", "note", ref("a1", "a2", "x"), parent="other")
            + tier("other", "note", ref("a2", "a1", "y"), parent="gloss"),
            "'a2' is not on a tier above",
        ),
        (
            tier("gloss", "pieces", ref("a1", "a2", "x"), parent="open")
            + tier("open", "top", timed("a2", "a", "b", "y")),
            "'a2' has no times",
        ),
    ],
)  # fmt: skip
def test_a_parent_that_gives_no_times_is_a_problem(tmp_path: Path, body: str, reason: str) -> None:
    (found,) = notes(tmp_path, eaf(body, slots="a=1 b"), "gloss")
    assert (found.start, found.end) == (None, None)
    assert found.problem is not None
    assert found.problem[0] == "K120"
    assert found.problem[1].startswith(f"its parent {reason}")


def test_circles_end(tmp_path: Path) -> None:
    text = eaf(
        tier("top", "top", timed("a1", "a", "b", "s"), timed("a2", "b", "c", "x"),
             timed("a3", "c", "b", "y"))
        + tier("gloss", "pieces", ref("b1", "a1", "1", previous="b2"),
               ref("b2", "a1", "2", previous="b1"), ref("b3", "a1", "3"), parent="top"),
        slots="a=0 b c",
    )  # fmt: skip
    assert all(note.problem for note in notes(tmp_path, text, "top", "gloss"))
    found = notes(tmp_path, text.replace('"b"/>', '"b" TIME_VALUE="300"/>'), "gloss")
    assert sorted(times(found), key=lambda row: int(row[1] or 0)) == [
        ("3", "0", "100"),
        ("1", "100", "200"),
        ("2", "200", "300"),
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 10**5), st.integers(1, 40))
def test_pieces_cover_their_parent_evenly(
    tmp_path: Path, start: int, length: int, parts: int
) -> None:
    chain = " ".join(f"m{i}" for i in range(1, parts))
    text = eaf(
        tier("s", "top", timed("a1", "m0", f"m{parts}", "s"))
        + tier(
            "symbolic",
            "pieces",
            *(ref(f"b{i}", "a1", str(i), previous=f"b{i - 1}" if i else "") for i in range(parts)),
            parent="s",
        )
        + tier(
            "timed",
            "timed",
            *(timed(f"c{i}", f"m{i}", f"m{i + 1}", str(i)) for i in range(parts)),
            parent="s",
        ),
        slots=f"m0={start} {chain} m{parts}={start + length}",
    )
    symbolic, open_slots = notes(tmp_path, text, "symbolic"), notes(tmp_path, text, "timed")
    assert times(symbolic) == times(open_slots)
    marks = [int(note.start or 0) for note in symbolic] + [int(symbolic[-1].end or 0)]
    assert [note.end for note in symbolic] == [str(mark) for mark in marks[1:]]
    assert (marks[0], marks[-1]) == (start, start + length)
    lengths = [end - begin for begin, end in pairwise(marks)]
    assert max(lengths) - min(lengths) <= 1


# Controlled vocabularies


@pytest.mark.parametrize(
    ("value", "entry", "language", "expected"),
    [
        ("", "e1", "", "happy"),
        ("", "e1", "kaz", "қуаныш"),
        ("", "e1", "rus", "happy"),
        ("glad", "e1", "kaz", "glad"),
        ("", "e2", "", None),
        ("", "", "", None),
    ],
)
def test_an_empty_value_is_looked_up_in_its_vocabulary(
    tmp_path: Path, value: str, entry: str, language: str, expected: str | None
) -> None:
    link = f' CVE_REF="{entry}"' if entry else ""
    languages = {"LANG_REF": language} if language else {}
    text = eaf(
        tier("gloss", "phase", timed("a1", "a", "b", "", ' CVE_REF="e1"'))
        + tier(
            "emotion", "feeling", ref("b1", "a1", value, extra=link), parent="gloss", **languages
        ),
        slots="a=0 b=10",
    )
    (found,) = notes(tmp_path, text, emotion="emotion")
    assert (found.label, found.emotion) == ("hold", expected)


def test_the_language_of_an_annotation_goes_before_that_of_its_tier(tmp_path: Path) -> None:
    for own, expected in (("", "happy"), (' LANG_REF="kaz"', "қуаныш")):
        text = eaf(
            tier("gloss", "feeling", timed("a1", "a", "b", "", f' CVE_REF="e1"{own}'),
                 LANG_REF="eng"),
            slots="a=0 b=10",
        )  # fmt: skip
        assert [note.label for note in notes(tmp_path, text)] == [expected]


def test_vocabularies_of_before_2_8(tmp_path: Path) -> None:
    old = '<CONTROLLED_VOCABULARY CV_ID="phases"><CV_ENTRY>x</CV_ENTRY></CONTROLLED_VOCABULARY>'
    text = eaf(tier("gloss", "phase", timed("a1", "a", "b", "")), slots="a=0 b=1", tail=TYPES + old)
    assert notes(tmp_path, text)[0].label is None


# Choosing tiers

TWO_SIGNERS = eaf(
    tier(
        "A_gloss", "sign", timed("a1", "a", "b", "x1"), timed("a2", "b", "c", "x2"), PARTICIPANT="A"
    )
    + tier("B_gloss", "sign", timed("a3", "a", "c", "y1"), PARTICIPANT="B")
    + tier("A_emotion", "top", timed("a4", "a", "b", "happy"), PARTICIPANT="A")
    + tier("B_emotion", "top", timed("a5", "a", "c", "sad"), PARTICIPANT="B")
    + tier("light", "top", timed("a6", "a", "c", "dim")),
    slots="a=0 b=100 c=300",
)


@pytest.mark.parametrize(
    ("tiers", "labels"),
    [
        (("A_gloss",), ["x1", "x2"]),
        (("B_gloss", "A_gloss"), ["x1", "x2", "y1"]),
        (("*_gloss",), ["x1", "x2", "y1"]),
        (("type:sign",), ["x1", "x2", "y1"]),
        (("type:s*", "light"), ["x1", "x2", "y1", "dim"]),
        (("[AB]_gloss", "C_*", "B_gloss"), ["x1", "x2", "y1"]),
    ],
)
def test_tiers_are_chosen_by_name_pattern_or_type(
    tmp_path: Path, tiers: tuple[str, ...], labels: list[str]
) -> None:
    assert [note.label for note in notes(tmp_path, TWO_SIGNERS, *tiers)] == labels


def test_a_name_with_pattern_marks_is_a_name_first(tmp_path: Path) -> None:
    text = eaf(
        tier("[ab]", "top", timed("a1", "a", "b", "name"))
        + tier("a", "top", timed("a2", "a", "b", "pattern")),
        slots="a=0 b=1",
    )
    assert [note.label for note in notes(tmp_path, text, "[ab]")] == ["name"]


def test_names_are_compared_as_nfc_and_with_case(tmp_path: Path) -> None:
    text = eaf(
        tier(unicodedata.normalize("NFD", "Қимыл й"), "top", timed("a1", "a", "b", "x")),
        slots="a=0 b=1",
    )
    assert len(notes(tmp_path, text, "Қимыл й")) == 1
    assert "has no tier 'қимыл й'" in failure(tmp_path, text, "қимыл й")


def test_the_default_tiers(tmp_path: Path) -> None:
    gloss = tier("GLOSS", "top", timed("a1", "a", "b", "g"))
    other = tier("other", "top", timed("a2", "a", "b", "o"))
    child = tier("child", "note", ref("a3", "a2", "c"), parent="other")
    default = tier("default", "top")
    for body, label in [
        (other + gloss, "g"),
        (child + other, "o"),
        (default + other, "o"),
    ]:
        found = notes(tmp_path, eaf(body, slots="a=0 b=1"))
        assert [note.label for note in found] == [label]
    assert notes(tmp_path, eaf(default)) == []
    mapped = notes(tmp_path, eaf(gloss + other, slots="a=0 b=1"), gloss="oth*")
    assert [note.label for note in mapped] == ["o"]
    message = failure(tmp_path, eaf(other + tier("third", "top"), slots="a=0 b=1"))
    assert "f.eaf has no tier called gloss, nor a single top-level tier; " in message
    assert "it has: 'other', 'third'. Name the tiers to read" in message


@pytest.mark.parametrize(
    ("tiers", "columns", "message"),
    [
        (("A_Glos",), {}, "has no tier 'A_Glos'; it has: 'A_gloss', 'B_gloss', "),
        (("a_gloss", "B_gloss"), {}, "Did you mean 'A_gloss'?"),
        (("C_*", "D_*"), {}, "has no tier that matches 'C_*', 'D_*'; it has: "),
        (("type:signs",), {}, "no tier 'type:signs'; it has: 'type:sign', 'type:top'. Did you "),
        (("A_gloss",), {"emotion": "C_emotion"}, "has no tier 'C_emotion'; it has: "),
        ((), {"gloss": "glosses"}, "has no tier 'glosses'; it has: "),
    ],
)  # fmt: skip
def test_a_missing_tier_is_named_with_the_tiers_there_are(
    tmp_path: Path, tiers: tuple[str, ...], columns: dict[str, str], message: str
) -> None:
    assert message in failure(tmp_path, TWO_SIGNERS, *tiers, **columns)


def test_a_file_without_tiers(tmp_path: Path) -> None:
    assert "it has: no tiers at all" in failure(tmp_path, eaf(""), "gloss")


def test_an_unknown_field_is_an_error_of_the_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"unknown field 'emotions'.*Did you mean 'emotion'\?"):
        notes(tmp_path, ONE, emotions="x")


# Mapped fields


def test_fields_come_from_the_same_participant(tmp_path: Path) -> None:
    found = notes(tmp_path, TWO_SIGNERS, "*_gloss", emotion="*_emotion", session="lig*")
    assert [(note.label, note.signer, note.emotion, note.session) for note in found] == [
        ("x1", "A", "happy", "dim"),
        ("x2", "A", None, "dim"),
        ("y1", "B", "sad", "dim"),
    ]
    named = notes(tmp_path, TWO_SIGNERS, "B_gloss", emotion="A_emotion")
    assert [note.emotion for note in named] == ["happy"]
    assert [note.emotion for note in notes(tmp_path, TWO_SIGNERS, "B_gloss", emotion="A_*")] == [
        None
    ]


def test_tiers_without_participants_are_everyones(tmp_path: Path) -> None:
    text = TWO_SIGNERS.replace(' PARTICIPANT="B"', "")
    found = notes(tmp_path, text, "*_gloss", emotion="?_emotion")
    assert [note.emotion for note in found] == ["happy", None, "sad"]
    found = notes(tmp_path, text, "B_gloss", emotion="A_emo*")
    assert [note.emotion for note in found] == ["happy"]


def test_an_associated_value_goes_before_one_that_overlaps(tmp_path: Path) -> None:
    text = eaf(
        tier("s", "top", timed("a1", "a", "c", "sentence"))
        + tier("translation", "note", ref("a2", "a1", "a cat"), parent="s")
        + tier("gloss", "pieces", ref("b1", "a1", "1"), ref("b2", "a1", "2", previous="b1"),
               parent="s")
        + tier("hand", "note", ref("c2", "b2", "left"), parent="gloss")
        + tier("emotion", "feeling", ref("d2", "c2", "happy"), ref("d1", "b1", "sad"),
               parent="hand")
        + tier("free", "top", timed("e1", "a", "b", "near"), timed("e2", "b", "c", "far")),
        slots="a=0 b=60 c=100",
    )  # fmt: skip
    found = notes(
        tmp_path, text, "gloss", emotion="emotion", sentence="s", translation="translation",
        session="free", annotator="hand",
    )  # fmt: skip
    assert [
        (n.label, n.emotion, n.sentence, n.translation, n.session, n.annotator) for n in found
    ] == [
        ("1", "sad", "sentence", "a cat", "near", None),
        ("2", "happy", "sentence", "a cat", "far", "left"),
    ]


def test_the_largest_overlap_wins_and_touching_is_none(tmp_path: Path) -> None:
    text = eaf(
        tier("gloss", "top", timed("a1", "b", "e", "x"), timed("a2", "f", "g", "y"))
        + tier(
            "emotion",
            "top",
            timed("c1", "a", "c", "short"),
            timed("c2", "c", "d", "long"),
            timed("c3", "d", "f", "medium"),
            timed("c4", "a", "b", "before"),
            timed("c5", "b", "b", "nothing"),
        ),
        slots="a=0 b=100 c=120 d=170 e=200 f=300 g=400",
    )
    found = notes(tmp_path, text, emotion="emotion")
    assert [note.emotion for note in found] == ["long", None]


def test_of_equal_overlaps_the_first_counts(tmp_path: Path) -> None:
    text = eaf(
        tier("gloss", "top", timed("a1", "a", "c", "x"))
        + tier("emotion", "top", timed("c2", "b", "c", "2"), timed("c1", "a", "b", "1")),
        slots="a=0 b=50 c=100",
    )
    assert notes(tmp_path, text, emotion="emotion")[0].emotion == "1"


@pytest.mark.parametrize("below_first", [True, False])
def test_a_near_value_goes_before_those_below(tmp_path: Path, below_first: bool) -> None:
    below = ref("b1", "a1", "below"), ref("b2", "a2", "under")
    near = ref("a1", "g1", "near"), ref("a2", "g2", "")
    tiers = [
        tier("x emotion", "note", *below, parent="emotion"),
        tier("emotion", "note", *near, parent="gloss"),
        tier("gloss", "top", timed("g1", "a", "b", "1"), timed("g2", "b", "c", "2")),
    ]
    text = eaf("".join(tiers if below_first else reversed(tiers)), slots="a=0 b=50 c=100")
    found = notes(tmp_path, text, "gloss", emotion="*emotion")
    assert [(note.label, note.emotion) for note in found] == [("1", "near"), ("2", "under")]
    found = notes(tmp_path, text, "emotion", emotion="*emotion")
    assert [(note.label, note.emotion) for note in found] == [(None, "near"), (None, None)]


def test_empty_values_do_not_count(tmp_path: Path) -> None:
    text = eaf(
        tier("gloss", "top", timed("a1", "a", "c", "x"))
        + tier("emotion", "top", timed("c1", "a", "b", ""), timed("c2", "b", "c", "sad")),
        slots="a=0 b=90 c=100",
    )
    assert notes(tmp_path, text, emotion="emotion")[0].emotion == "sad"


def test_a_segment_tier_may_be_the_sentences(tmp_path: Path) -> None:
    text = eaf(
        tier("sentence", "top", timed("a1", "a", "c", "МЕН БАР"))
        + tier("main sign", "top", timed("a2", "a", "b", "МЕН")),
        slots="a=0 b=90 c=100",
    )
    (found,) = notes(tmp_path, text, "sentence", sentence="sentence")
    assert (found.label, found.sentence) == (None, "МЕН БАР")
    (found,) = notes(tmp_path, text, "sentence", sentence="sentence", gloss="main sign")
    assert (found.label, found.sentence) == ("МЕН", "МЕН БАР")


def test_the_signer_may_be_a_tier(tmp_path: Path) -> None:
    text = TWO_SIGNERS.replace('"light"', '"who"')
    assert [note.signer for note in notes(tmp_path, text, "A_gloss", signer="who")] == ["dim"] * 2


# What cannot be read


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty (0 bytes)"),
        (ONE[: ONE.index("<TIER") + 20], "is not well-formed XML: the text breaks off in a tag; "),
        (ONE.replace("</TIER>", ""), "expected the end of the element that began last at line "),
        (ONE.replace("мысық", "&nbsp;"), "&quot; or a number after & at line "),
        (
            ONE.encode().replace("мысық".encode(), b"\xff\xfe"),
            "may be in another encoding than the file",
        ),
        (ONE.replace("UTF-8", "klingon"), "f.eaf"),
        ("gloss,start,end", "expected <, with which XML begins at line 1, column 1."),
        ("<TextGrid/>", "is not an EAF file"),
        (
            ONE.replace('"milliseconds"', '"days"'),
            "counts time in 'days'; expected milliseconds, PAL-",
        ),
        (
            ONE.replace('"100"', '"1e2"'),
            "TIME_SLOT 'a' has a bad TIME_VALUE: '1e2' is not a time in ms",
        ),
        (ONE.replace('"100"', f'"{"9" * 5000}"'), "TIME_SLOT 'a' has a bad TIME_VALUE"),
        (
            ONE.replace("MIME_TYPE", 'TIME_ORIGIN="soon" MIME_TYPE'),
            "MEDIA_DESCRIPTOR has a bad TIME_ORIGIN: 'soon'",
        ),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    assert message in failure(tmp_path, text)


LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10 if i else "lol"}">' for i in range(10))


@pytest.mark.parametrize(
    "declaration",
    [
        f"<!DOCTYPE x [{LAUGHS}]>",
        '<!DOCTYPE x [<!ENTITY l9 SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE x SYSTEM "file:///etc/passwd">',
        "<!DOCTYPE x>",
    ],
)
def test_declarations_are_refused_at_once(tmp_path: Path, declaration: str) -> None:
    text = ONE.replace("<ANNOTATION_DOCUMENT", declaration + "<ANNOTATION_DOCUMENT", 1)
    begun = time.process_time()
    message = failure(tmp_path, text.replace("мысық", "&l9;" if "l9" in declaration else "x"))
    assert "declares a document type or entities" in message
    assert time.process_time() - begun < 1


def test_deeply_nested_elements_do_no_harm(tmp_path: Path) -> None:
    text = ONE.replace("мысық", "<b>" * 100_000 + "x" + "</b>" * 100_000)
    assert notes(tmp_path, text)[0].label == "x"


def test_missing_too_large_and_folder(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=r"none\.eaf does not exist"):
        list(read(Source(files=(tmp_path / "none.eaf",))))
    with pytest.raises(AnnotationError, match="cannot be opened"):
        list(read(Source(files=(tmp_path,))))
    with (tmp_path / "big.eaf").open("wb") as stream:
        stream.truncate((256 << 20) + 1)
    with pytest.raises(AnnotationError, match=r"big\.eaf is larger than 256 MiB"):
        list(read(Source(files=(tmp_path / "big.eaf",))))


# Real files


@needs_data
@pytest.mark.parametrize(
    "name",
    [
        "poio_turkish.eaf",
        "pympi_sample_2.8.eaf",
        "pympi_sample_3.0.eaf",
        "readelan_example.eaf",
        "readelan_example_no_annotations.eaf",
    ],
)
def test_every_annotation_of_a_real_file_is_read_once(name: str) -> None:
    text = (DATA / name).read_text(encoding="utf-8")
    found = list(read(Source(files=(DATA / name,), tiers=("*",))))
    expected = {}
    for header, body in re.findall(r"<TIER\b([^>]*[^/])>(.*?)</TIER>", text, re.DOTALL):
        (tier_id,) = re.findall(r'TIER_ID="([^"]*)"', header)
        expected[tier_id] = len(re.findall(r"<(?:ALIGNABLE|REF)_ANNOTATION\b", body))
    counts: dict[str, int] = {}
    for note in found:
        counts[note.tier or ""] = counts.get(note.tier or "", 0) + 1
    assert counts == expected
    assert len(found) == len(re.findall(r'\bANNOTATION_ID="', text))
    assert all(note.problem is None for note in found)
    values = re.findall(r"<ANNOTATION_VALUE>\s*\S.*?</ANNOTATION_VALUE>", text)
    assert sum(note.label is not None for note in found) == len(values)
    assert all(int(note.start or -1) < int(note.end or -1) for note in found)


@needs_data
def test_the_open_slots_of_a_real_file() -> None:
    path = DATA / "pympi_sample_3.0.eaf"
    begun = time.process_time()
    words = list(
        read(Source(files=(path,), tiers=("words-timesub",), columns={"sentence": "text"}))
    )
    assert time.process_time() - begun < 1
    assert len(words) == 1995
    sentences = list(read(Source(files=(path,), tiers=("text",))))
    evenly = 0
    for number, sentence in enumerate(sentences):
        five = words[5 * number : 5 * number + 5]
        assert f"{sentence.label}".endswith(f" {five[-1].label}")
        assert {word.sentence for word in five} == {sentence.label}
        assert (five[0].start, five[-1].end) == (sentence.start, sentence.end)
        assert all(word.end == following.start for word, following in pairwise(five))
        lengths = [int(word.end or 0) - int(word.start or 0) for word in five]
        evenly += lengths == [600] * 5
    # 24 of the inner slots have values: the 4 of 6 sentences. The other 1,572 are open.
    assert evenly == 399 - 6


@needs_data
def test_the_other_real_files() -> None:
    with pytest.raises(AnnotationError, match=r"readelan_example_empty\.eaf is empty"):
        list(read(Source(files=(DATA / "readelan_example_empty.eaf",))))
    source = Source(
        files=(DATA / "readelan_example.eaf",), columns={"emotion": "pos", "sentence": "syn*"}
    )
    assert [(n.recording, n.label, n.emotion, n.sentence, n.signer) for n in read(source)] == [
        ("video_01.mp4", "I", "pronoun", "subject", "s001"),
        ("video_01.mp4", "like", "verb", "predicate", "s001"),
        ("video_01.mp4", "cats", "noun", "object", "s001"),
    ]


@needs_data
def test_the_documents_of_these_tests_are_what_elan_writes() -> None:
    etree = pytest.importorskip("lxml.etree")
    schema = etree.XMLSchema(etree.parse(str(DATA / "EAFv3.0.xsd")))
    for text in (ONE, TWO_SIGNERS, NESTED):
        assert schema.validate(etree.fromstring(text.encode())), schema.error_log
