"""Every adapter and every bad file that people have: read as it was meant, or named.

A file is refused with its name, the line where there is one, and what was expected; a row
becomes a problem that says where it stands. Nothing ends in a traceback or in no rows at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kslds import ingest
from kslds.corpora import ADAPTERS, MARKS, Annotation, Source, read_annotations
from kslds.errors import KsldsError
from kslds.manifest import Dataset
from tests.corpus_tools import write
from tests.painting import record


@dataclass(frozen=True, kw_only=True)
class Case:
    """A small good file of an adapter."""

    adapter: str
    name: str
    text: str
    media: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    tiers: tuple[str, ...] = ()
    beside: str = ""
    """The case whose file has to be there too."""


_WLASL = """[
{{"gloss": "book", "instances": [
{{"fps": 25, "frame_start": 1, "frame_end": -1, "signer_id": 118, "split": "train",
  "url": "http://x/y.mp4", "video_id": "{}"}},
{{"fps": 25, "frame_start": 2, "frame_end": 20, "signer_id": 7, "split": "val",
  "url": "http://x/y.mp4", "video_id": "{}"}}]}},
{{"gloss": "й", "instances": []}}]
"""
_MSASL = """[
{"url": "https://www.youtube.com/watch?v=KlqWOoJXKEQ", "start": 0, "end": 83, "fps": 30.0,
 "text": "beer", "clean_text": "beer", "org_text": "beer", "box": [0, 0, 1, 1], "label": 1,
 "signer_id": 7, "signer": 0, "file": "BEER"},
{"url": "https://www.youtube.com/watch?v=KlqWOoJXKEZ", "start": 3, "end": 83, "fps": 30.0,
 "text": "й", "clean_text": "й", "org_text": "й", "box": [0, 0, 1, 1], "label": 0,
 "signer_id": 8, "signer": 0, "file": "Й"}]
"""
_TAKE = "videos/train/happy/su/sign_su__happy__participant_001__2024-01-01T10-00-0{0}_r01.mp4"
_EMO = (
    '{{"video_id": "v{0}", "participant_id": "participant_001", "gloss": "су", "emotion": "happy",'
    ' "file_path": "' + _TAKE + '", "split": "train", "duration_sec": 2.5}}\n'
)
_ID = "44e8d2a0-7e01-450b-90b0-beb7400d2c1{}"
_EAF = """<?xml version="1.0"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2024-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0">
<HEADER TIME_UNITS="milliseconds"><MEDIA_DESCRIPTOR MEDIA_URL="file:///a.mp4"
MIME_TYPE="video/mp4"/></HEADER>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="0"/>
<TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="500"/></TIME_ORDER>
<TIER LINGUISTIC_TYPE_REF="d" TIER_ID="gloss"><ANNOTATION>
<ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
<ANNOTATION_VALUE>СӨЗ</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="d" TIME_ALIGNABLE="true" GRAPHIC_REFERENCES="false"/>
</ANNOTATION_DOCUMENT>
"""
_SLAN = (
    '{"TIERS": [{"TIER": {"TIER_ID": "row_1", "TIER_TYPE": "t", "TIER_NAME": "gloss",\n'
    '"ANNOTATIONS": [{"ANNOTATION_ID": "0", "BEGIN_TIME": 66, "END_TIME": 2166, "VALUE": "СӨЗ",\n'
    '"TYPE": "x"}]}}]}'
)

CASES = {
    "table": Case(
        adapter="table", name="a.csv",
        text='recording,gloss,start,end,signer,sentence\n001.mp4,сөз,0,100,007,"Мен, ""сен"""\n'
        "002.mp4,ұл,0,200,007,x\n",
    ),
    "table, mapped": Case(
        adapter="table", name="b.tsv", text="file\tword\tfrom\tto\n001.mp4\tсөз\t0\t9\n"
        "002.mp4\tұл\t0\t20\n",
        columns={"recording": "file", "gloss": "word", "start": "from", "end": "to"},
    ),
    "theruslan": Case(
        adapter="theruslan", name="c.csv",
        text="recording,gloss,start,end\n001.mp4,хлеб,0,100\n002.mp4,мёд,0,200\n",
    ),
    "jsonl": Case(
        adapter="jsonl", name="d.jsonl",
        text='{"recording": "001.mp4", "gloss": "сөз", "start": "0", "end": 5}\n'
        '{"recording": "002.mp4", "gloss": "ұл", "start": 0, "end": 5}\n',
    ),
    "jsonl, array": Case(
        adapter="jsonl", name="d.json",
        text='[{"recording": "001.mp4", "gloss": "сөз", "start": "0", "end": 5},\n'
        '{"recording": "002.mp4", "gloss": "ұл", "start": 0, "end": 5}]\n',
    ),
    "slovo": Case(
        adapter="slovo", name="annotations.csv",
        text="attachment_id\ttext\tuser_id\theight\twidth\tlength\ttrain\n"
        f"{_ID.format(1)}\tЭ\t007\t9\t9\t76.0\tTrue\n{_ID.format(2)}\tюла\tu2\t9\t9\t76.0\tFalse\n",
    ),
    "slovo, frames": Case(
        adapter="slovo", name="SLOVO_DATAFRAME.tsv", options={"videos": "untrimmed"},
        text="attachment_id\ttext\tuser_id\tlength\tbegin\tend\n"
        f"{_ID.format(1)}\tЭ\t007\t76.0\t3\t55\n{_ID.format(2)}\tюла\tu2\t76.0\t4\t65\n",
    ),
    "autsl": Case(
        adapter="autsl", name="train_labels.csv",
        text="signer0_sample1,41\nsigner0_sample2,104\nsigner007_sample3,3\n",
    ),
    "autsl, signs": Case(
        adapter="autsl", name="SignList_ClassId_TR_EN.csv", beside="autsl",
        text="ClassId,TR,EN\n3,abla,й\n41,x,y\n104,u,z\n",
    ),
    "wlasl": Case(
        adapter="wlasl", name="WLASL_v0.3.json", text=_WLASL.format("00335", "00336")
    ),
    "wlasl, subset": Case(
        adapter="wlasl", name="nslt_100.json", beside="wlasl", options={"subset": "100"},
        text='{"00335": {"subset": "train", "action": [77, 1, 55]},\n'
        '"00336": {"subset": "val", "action": [27, 1, 51]}}\n',
    ),
    "wlasl, missing": Case(
        adapter="wlasl", name="missing.txt", beside="wlasl", text="00335\n00336\n"
    ),
    "ms-asl": Case(adapter="ms-asl", name="MSASL_test.json", text=_MSASL),
    "ms-asl, classes": Case(
        adapter="ms-asl", name="MSASL_classes.json", beside="ms-asl", text='["hello",\n"й"]\n'
    ),
    "lsa64": Case(
        adapter="lsa64", name="classes.csv", text="01|Opaque|R|\n02|Reй|R|\n",
        media=("001_001_001.mp4", "002_001_001.mp4"),
    ),
    "videofolder": Case(
        adapter="videofolder", name="metadata.csv", media=("a/x.mp4", "b/y.mp4"),
        text="file_name,label,signer\na/x.mp4,сөз,007\nb/y.mp4,ұл,008\n",
    ),
    "videofolder, json": Case(
        adapter="videofolder", name="metadata.jsonl", media=("a/x.mp4", "b/y.mp4"),
        text='{"file_name": "a/x.mp4", "label": "сөз"}\n{"file_name": "b/y.mp4", "label": "ұл"}\n',
    ),
    "phoenix": Case(
        adapter="phoenix", name="PHOENIX-2014-T.dev.corpus.csv",
        text="name|video|start|end|speaker|orth|translation\n"
        'a-1|a-1/1/*.png|-1|-1|Signer08|DRUCK "TIEF|й luft\n'
        "b-2|b-2/1/*.png|-1|-1|Signer08|WIND|wind\n",
    ),
    "ksl-emo": Case(
        adapter="ksl-emo", name="metadata.jsonl", text=_EMO.format(1) + _EMO.format(2),
        media=(_TAKE.format(1), _TAKE.format(2)),
    ),
    "krsl": Case(
        adapter="krsl", name="elan.tsv", options={"delay": "none"},
        media=("gen_q-dev_upala-alt.mp4",),
        text="Время начала - миллисекунды\tВремя окончания - миллисекунды\thead\tbrows\tФайл\n"
        "300\t866\t\tbr_raise\tgen_q_neut_dev.upala_alt.eaf\n"
        "866\t2000\tnod\t\tgen_q_neut_dev.upala_alt.eaf\n",
    ),
    "krsl, videos": Case(
        adapter="krsl", name="meta_video.tsv", beside="krsl", media=("gen_q-dev_upala-alt.mp4",),
        text="\tfps\tframe_count\tvideo_name\n0\t30.0\t60\tgen_q-dev_upala-alt\n"
        "1\t28.222\t52\tgen_q-dev_upala-й\n",
    ),
    "fluentsigners": Case(
        adapter="fluentsigners-50", name="gloss_annotation.csv",
        media=("P0_S000_00.mp4", "P03_S001_00.mp4"),
        text='ID,Gloss\n000,ЗДРАВСТВУЙТЕ\n1,"ПРИВЕТ, ТЫ"\n',
    ),
    "fluentsigners, kazakh": Case(
        adapter="fluentsigners-50", name="kazakh.json", options={"language": "kk"},
        media=("P0_S000_00.mp4", "P03_S001_00.mp4"), text='{"0": "Сәлем",\n"1": "Қалайсың"}\n',
    ),
    "fluentsigners, list": Case(
        adapter="fluentsigners-50", name="split1.txt", beside="fluentsigners",
        media=("P0_S000_00.mp4", "P03_S001_00.mp4"), text="P0_S000_00 train\nP3_S001_00 test\n",
    ),
    "online-school": Case(
        adapter="online-school", name="l.vtt", media=("l.mp4",),
        text="WEBVTT\n\n00:00.000 --> 00:02.000\nСәлем\n\n00:02.000 --> 00:04.000\nй\n",
    ),
    "online-school, srt": Case(
        adapter="online-school", name="l.srt", media=("l.mp4",),
        text="1\n00:00:00,000 --> 00:00:02,000\nСәлем\n\n2\n00:00:02,000 --> 00:00:04,000\nй\n",
    ),
    "online-school, json": Case(
        adapter="online-school", name="l.json", media=("l.mp4",),
        text='[{"start": 0, "end": 2.5, "text": "Сәлем"},\n{"start": 3, "end": 4, "text": "й"}]',
    ),
    "online-school, signers": Case(
        adapter="online-school", name="who.csv", media=("l.mp4",), beside="online-school",
        text="recording,signer\nl.mp4,айша\n",
    ),
    "elan": Case(adapter="elan", name="e.eaf", text=_EAF, tiers=("gloss",)),
    "slan": Case(adapter="slan", name="project.json", text=_SLAN),
}  # fmt: skip

PLAIN = [name for name, case in CASES.items() if case.adapter not in ("elan", "slan")]
"""What is not XML, and not what SLAN-tool writes."""


def read(folder: Path, case: Case, data: bytes, *, name: str = "") -> list[Annotation]:
    files = {name or case.name: data}
    if case.beside:
        files[CASES[case.beside].name] = CASES[case.beside].text.encode()
    source = Source(
        files=write(folder, files), columns=case.columns, options=case.options,
        tiers=case.tiers, media=case.media,
    )  # fmt: skip
    return list(read_annotations(case.adapter, source))


def refused(folder: Path, case: Case, data: bytes, *, name: str = "") -> str:
    """How it is refused; the name of the file is in it, and the folder taken out."""
    with pytest.raises(KsldsError) as error:
        read(folder, case, data, name=name)
    assert (name or case.name) in str(error.value)
    return str(error.value).replace(f"{folder}/", "")


def named(folder: Path, case: Case, text: str) -> str:
    """What is said of the one thing that is wrong, whether the file is refused or a row."""
    try:
        (bad,) = (row for row in read(folder, case, text.encode()) if row.problem)
    except KsldsError as error:
        return str(error).replace(f"{folder}/", "")
    code, reason = bad.problem or ("", "")
    return f"{bad.source}: {code} {reason}"


def test_every_adapter_has_a_case() -> None:
    assert {case.adapter for case in CASES.values()} == set(ADAPTERS)


@pytest.mark.parametrize("name", CASES)
def test_the_good_files_are_good(name: str, tmp_path: Path) -> None:
    found = read(tmp_path, CASES[name], CASES[name].text.encode())
    assert found
    codes = {row.problem[0] for row in found if row.problem}
    assert codes == ({"K103"} if name == "wlasl, missing" else set())


MEANT: Mapping[str, Callable[[str], bytes]] = {
    "UTF-8 with a mark": lambda text: text.encode("utf-8-sig"),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16, high byte first": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "CR": lambda text: text.replace("\n", "\r").encode(),
    "empty lines at the end": lambda text: (text + "\n\n\n").encode(),
}


@pytest.mark.parametrize("form", MEANT)
@pytest.mark.parametrize("name", CASES)
def test_other_encodings_and_line_ends_are_read_the_same(
    name: str, form: str, tmp_path: Path
) -> None:
    case = CASES[name]
    good = read(tmp_path, case, case.text.encode())
    assert read(tmp_path, case, MEANT[form](case.text)) == good


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "name",
    [n for n in PLAIN if re.fullmatch(r".*\.(csv|tsv)", CASES[n].name) and n != "phoenix"],
)
def test_another_separator_is_found(name: str, mark: str, tmp_path: Path) -> None:
    case = CASES[name]
    good = read(tmp_path, case, case.text.encode())
    own = max(",\t|", key=case.text.splitlines()[0].count)
    quoted = '"'.join(  # what is quoted stays
        part if i % 2 else part.replace(own, mark) for i, part in enumerate(case.text.split('"'))
    )
    assert read(tmp_path, case, quoted.encode()) == good
    assert (quoted == case.text) == (mark == own)


WRONG: Mapping[str, tuple[Callable[[str], bytes], str]] = {
    "CP1251": (
        lambda text: text.replace("ө", "о").replace("ұ", "у").replace("ә", "а")
        .replace("Қ", "К").replace("ң", "н").replace("Ө", "О").encode("cp1251"),
        r"\(line [1-9]\) is not UTF-8; expected UTF-8",
    ),
    "UTF-16 without a mark": (lambda text: text.encode("utf-16-le"), "line 1: a NUL character"),
    "UTF-16 high byte first, without": (
        lambda text: text.encode("utf-16-be"), "line 1: a NUL character"
    ),
    "UTF-32": (lambda text: text.encode("utf-32"), "line 1: a NUL character"),
    "a web page": (lambda _: b"<!DOCTYPE html>\n<html>404</html>", "a web page.*fetch the file"),
    "an Excel sheet": (lambda _: b"PK\x03\x04" + bytes(40), "an Excel.*Save the sheet as CSV"),
    "a pointer": (lambda _: b"version https://git-lfs.github.com/spec/v1\noid 1\n", "Git LFS"),
    "noise": (lambda _: bytes(range(1, 256)) * 3, r"\(line 2\) is not UTF-8"),
    "a NUL": (lambda text: (text + "\nab\0c").encode(), r"line [1-9][0-9]?: a NUL character"),
}  # fmt: skip


@pytest.mark.parametrize("defect", WRONG)
@pytest.mark.parametrize("name", PLAIN)
def test_what_is_no_text_is_named_with_its_line(name: str, defect: str, tmp_path: Path) -> None:
    case = CASES[name]
    damage, said = WRONG[defect]
    data = damage(case.text)
    if data == case.text.encode():
        pytest.skip("has no letter outside ASCII")
    assert re.search(said, refused(tmp_path, case, data), re.DOTALL)


@pytest.mark.parametrize("defect", WRONG)
@pytest.mark.parametrize("name", ["elan", "slan"])
def test_what_is_no_text_is_named_by_those_that_read_xml(
    name: str, defect: str, tmp_path: Path
) -> None:
    case = CASES[name]
    if defect.startswith("UTF"):
        pytest.skip("JSON and XML may be in any of these")
    refused(tmp_path, case, WRONG[defect][0](case.text))


@pytest.mark.parametrize("data", [b"", b"\n \n", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", [n for n in CASES if n != "wlasl, missing"])
def test_an_empty_file_is_named(name: str, data: bytes, tmp_path: Path) -> None:
    said = refused(tmp_path, CASES[name], data)
    assert re.search("empty|expected|no element found", said)


@pytest.mark.parametrize("name", CASES)
def test_a_file_of_another_corpus_is_named(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    # A lesson may have tables and ELAN files beside it, and a table is a table.
    also = {"online-school": {"table", "theruslan", "elan"}, "theruslan": {"table"},
            "table": {"theruslan"}}.get(case.adapter, set())  # fmt: skip
    for other in CASES.values():
        if other.adapter == case.adapter or other.adapter in also:
            continue
        said = refused(tmp_path, case, other.text.encode(), name=other.name)
        # No file is called by what a parser alone says of it.
        assert re.search(
            r"expected|has no column|is not JSON|XML|an ELAN file|export it again",
            said,
            re.IGNORECASE,
        ), said


@pytest.mark.parametrize("other", MARKS)
def test_a_table_of_a_known_corpus_says_whose_it_is(other: str, tmp_path: Path) -> None:
    text = ",".join(sorted(MARKS[other])) + "\n1,2,3,4,5\n"
    said = refused(tmp_path, CASES["table"], text.encode(), name="x.csv")
    assert f"adapter = {other!r}" in said
    assert "on line 1" in said


def _last(text: str) -> str:
    return [line for line in text.splitlines() if line.strip()][-1]


@pytest.mark.parametrize("name", [n for n in PLAIN if not n.startswith("online-school")])
def test_a_row_that_breaks_off_is_named_with_its_line(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    if name == "wlasl, missing":
        pytest.skip("a shorter id is an id")
    text = case.text.rstrip("\n") + "\n" + _last(case.text)[:4] + "\n"
    line = len(text.splitlines())
    said = named(tmp_path, case, text)
    assert re.match(
        rf"{re.escape(case.name)}(:{line}: K1\d\d | is not JSON: .* line {line},|.*[, :]{line}[ :])",
        said,
    )


@pytest.mark.parametrize("name", [n for n in PLAIN if CASES[n].name.endswith((".csv", ".tsv"))])
def test_a_row_with_more_cells_than_the_header_is_named(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    mark = max(",\t|", key=case.text.splitlines()[0].count)
    text = case.text.rstrip("\n") + f"{mark}x{mark}y\n"
    line = len(text.splitlines())
    if name == "lsa64":
        pytest.skip("has columns of any number")
    said = named(tmp_path, case, text)
    assert re.match(rf"{re.escape(case.name)}(:{line}: K124 |(, line |:){line}:)", said)


@pytest.mark.parametrize("name", ["table", "slovo", "phoenix", "krsl", "theruslan"])
def test_a_header_alone_is_no_build(name: str, tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    record(tmp_path / "media/a.mp4", num_frames=5)
    case = CASES[name]
    (path,) = write(tmp_path, {case.name: case.text.splitlines()[0] + "\n"})
    options = ingest.IngestOptions(
        media=(str(tmp_path / "media"),), adapter=case.adapter, annotations=(str(path),),
        options=case.options,
    )  # fmt: skip
    with pytest.raises(KsldsError, match=rf"{re.escape(case.name)} has no row of annotations"):
        ingest.ingest(Dataset(tmp_path / "out", create=True), options=options)


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("table", {("signer", "007"), ("recording", "001.mp4"), ("sentence", 'Мен, "сен"')}),
        ("slovo", {("signer", "007")}),
        ("autsl", {("signer", "signer007")}),
        ("wlasl", {("source", "WLASL_v0.3.json:00335")}),
        ("videofolder", {("signer", "007")}),
        ("lsa64", {("signer", "001")}),
    ],
)
def test_zeros_in_front_stay(name: str, columns: set[tuple[str, str]], tmp_path: Path) -> None:
    found = read(tmp_path, CASES[name], CASES[name].text.encode())
    for column, value in columns:
        assert value in {getattr(row, column) for row in found}


@pytest.mark.parametrize("name", ["slovo", "slovo, frames", "autsl", "phoenix", "ksl-emo"])
def test_a_key_that_is_there_twice_names_both_lines(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    lines = case.text.splitlines()
    found = read(tmp_path, case, (case.text + lines[-1] + "\n").encode())
    (bad,) = (row for row in found if row.problem)
    assert bad.source == f"{case.name}:{len(lines) + 1}"
    assert bad.problem
    assert bad.problem[0] == "K119"
    assert f"{case.name}:{len(lines)}" in bad.problem[1]


@pytest.mark.parametrize(
    "text", ['{"recording": "a", "recording": "b"}', '{"video_id": 1, "video_id": 2}']
)
def test_a_key_twice_in_one_object_is_named(text: str, tmp_path: Path) -> None:
    for name in ("jsonl", "videofolder, json", "ksl-emo"):
        case = CASES[name]
        found = read(tmp_path, case, (case.text + text + "\n").encode())
        (bad,) = (row for row in found if row.problem)
        assert bad.source == f"{case.name}:3"
        assert bad.problem
        assert re.search("the key '.*' occurs twice in one object", bad.problem[1])


def test_metadata_may_be_an_array(tmp_path: Path) -> None:
    case = CASES["ksl-emo"]
    array = f"[{case.text.strip().replace(chr(10), ',' + chr(10))}]"
    assert read(tmp_path, case, array.encode()) == read(tmp_path, case, case.text.encode())
