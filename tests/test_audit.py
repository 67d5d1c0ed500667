"""Audits: one folder per code with files that cause it, the readers, the page, the real files."""

from __future__ import annotations

import csv
import gzip
import json
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from kslds import schema
from kslds.audit import Audit, Options, audit, files, write
from kslds.codes import CODES
from kslds.commands import audit as command
from kslds.errors import AnnotationError, MissingFile, UsageError
from kslds.manifest import Dataset

FOLDERS = sorted(p for p in (Path(__file__).parent / "audit").iterdir() if p.is_dir())
CORPORA = Path(__file__).parents[2] / "shared" / "data" / "corpora"
published = pytest.mark.skipif(not CORPORA.is_dir(), reason="../shared/data is not there")

app = typer.Typer(rich_markup_mode=None)
app.command()(command.audit)


def lines(result: Audit) -> list[str]:
    return [
        line
        for f in result.findings
        for line in (
            f"{f.severity} {f.code} {f.title}, {f.count} {f.unit}: {f.message}",
            *(f"    {e.where}: {e.text}" for e in f.examples),
        )
    ]


def codes(result: Audit) -> dict[str, int]:
    return {f.code: f.count for f in result.findings}


def table(path: Path, *rows: str, header: str = "id,gloss,signer,split") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


# --------------------------------------------------------------------------- what is found


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_every_defect_is_found_with_its_place(folder: Path) -> None:
    files = sorted(p for p in folder.iterdir() if p.name != "expected.txt")
    result = audit(files)
    assert lines(result) == (folder / "expected.txt").read_text(encoding="utf-8").splitlines()
    assert set(re.findall(r"K\d{3}", folder.name)) <= set(codes(result))


def test_every_code_of_the_audit_has_a_folder() -> None:
    held = {code for folder in FOLDERS for code in re.findall(r"K\d{3}", folder.name)}
    assert {code for code in CODES if code.startswith("K6")} <= held


def test_a_clean_set_has_no_finding_and_says_what_was_checked(tmp_path: Path) -> None:
    rows = [
        f"clip_{s}{g}{n},{gloss},{signer},{side}"
        for s, (signer, side) in enumerate(
            [("ann", "train"), ("ben", "train"), ("cid", "test"), ("dan", "test")]
        )
        for g, gloss in enumerate(("су", "әке"))
        for n in range(2)
    ]
    result = audit([table(tmp_path / "a.csv", *rows)])
    assert result.findings == ()
    assert result.facts.verdict == "yes"
    assert result.facts.headline == "2 train, 2 test signers, nobody on two sides."
    assert "No key is on two sides." in result.facts.fine
    assert "Boundaries: no file states any." in result.facts.skipped


def test_a_leak_is_counted_per_pair_of_sides(tmp_path: Path) -> None:
    rows = ["1,a,ann,train", "2,a,ben,val", "3,a,ann,test", "4,b,ben,test", "5,b,cid,test"]
    facts = audit([table(tmp_path / "a.csv", *rows)]).facts
    told = {(k.of, k.side): (len(k.shared), k.signers, k.rows, k.of_rows) for k in facts.leaks}
    assert told == {
        ("train", "val"): (0, 1, 0, 1),
        ("train", "test"): (1, 3, 1, 3),
        ("val", "test"): (1, 3, 1, 3),
    }
    assert facts.headline.startswith("1 of 3 test signers also train; 1 of 3 test rows (33.3 %)")


def test_signers_that_are_not_named_are_not_judged(tmp_path: Path) -> None:
    rows = ["1,a,ann,train", "2,a,ben,test", "3,a,-1,test"]
    facts = audit([table(tmp_path / "a.csv", *rows)]).facts
    assert facts.headline.endswith("Not judged: 1 row without a signer or a side.")
    nobody = audit([table(tmp_path / "b.csv", "1,a,,train", "2,a,,test")]).facts
    assert (nobody.verdict, nobody.signers) == ("unknown", 0)


def test_files_named_after_sides_are_sides_and_not_versions(tmp_path: Path) -> None:
    train = table(tmp_path / "train.csv", "1,a,ann", "2,b,ann", header="id,gloss,signer")
    test = table(tmp_path / "test.csv", "1,a,ben", "3,b,ben", header="id,gloss,signer")
    result = audit([train, test])
    assert [(s.name, s.rows) for s in result.facts.sides] == [("train", 2), ("test", 2)]
    assert codes(result)["K402"] == 1  # the key 1
    assert result.facts.repeated == 0


def test_a_second_version_is_compared_and_fills_gaps(tmp_path: Path) -> None:
    first = table(tmp_path / "a.csv", "1,a,ann", "2,b,ben", header="id,gloss,signer")
    second = table(tmp_path / "b.csv", "1,7,train", "2,9,test", header="id,gloss,split")
    result = audit([first, second])
    assert (result.facts.rows, result.facts.repeated) == (2, 2)
    assert result.facts.verdict == "yes"
    assert any("one to one" in text for text in result.facts.fine)  # numbers name the classes


def test_seconds_and_frames_are_read_in_their_unit(tmp_path: Path) -> None:
    header = "id,gloss,signer,start_time,end_time"
    path = table(tmp_path / "a.csv", "1,a,ann,0.5,1.52", "2,a,ben,2.0,2.1", header=header)
    assert codes(audit([path]))["K312"] == 1
    header = "id,gloss,signer,start,end,unit"
    path = table(tmp_path / "b.csv", "1,a,ann,0,3,frame", "2,a,ben,0,30,", header=header)
    (short,) = [f for f in audit([path]).findings if f.code == "K312"]
    assert "30 frames a second, which no file states" in short.message
    header = "id,gloss,signer,start,end"
    path = table(tmp_path / "c.csv", "1,a,ann,0,3", "2,a,ben,0,30", header=header)
    assert "K312" not in codes(audit([path]))  # 3 of what?
    assert codes(audit([path], options=Options(unit="frame")))["K312"] == 1


# --------------------------------------------------------------------------- what is read


def test_a_gzip_file_is_read_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "annotations.csv.gz"
    path.write_bytes(gzip.compress("id\tgloss\tsigner\n1\tсу\tann\n".encode()))
    result = audit([path])
    assert result.facts.rows == 1
    assert result.files[0].name == "annotations.csv.gz"
    monkeypatch.setattr(files, "MAX_UNPACKED", 10)
    with pytest.raises(AnnotationError, match="unpacks to more than"):
        audit([path])


def test_a_cut_gzip_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"id,gloss\n1,a\n" * 1000)[:-20])
    with pytest.raises(AnnotationError, match="not a whole gzip file"):
        audit([path])


def test_wlasl_is_recognised_and_counts_from_one(tmp_path: Path) -> None:
    def clip(video: str, signer: int, split: str, start: int, end: int) -> dict[str, object]:
        return {"video_id": video, "signer_id": signer, "split": split, "fps": 25,
                "frame_start": start, "frame_end": end, "url": f"https://example.org/{video}"}  # fmt: skip

    document = [
        {
            "gloss": "book",
            "instances": [clip("00335", 1, "train", 1, -1), clip("336", 1, "test", 5, 4)],
        }
    ]
    path = tmp_path / "WLASL.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    result = audit([path])
    assert result.files[0].format == "wlasl"
    (empty,) = [f for f in result.findings if f.code == "K113"]  # 1-based [5, 4] is empty
    assert empty.examples[0].where == "WLASL.json[0].instances[1]"
    assert result.facts.verdict == "no"


def test_ms_asl_takes_the_label_from_its_text(tmp_path: Path) -> None:
    row = {"org_text": "PALE ALE", "clean_text": "ale", "text": "beer", "label": 805, "signer_id": 3, "signer": -1,
           "start": 0, "end": 59, "fps": 29.97, "url": "example.org/1", "width": 640.0}  # fmt: skip
    path = tmp_path / "MSASL_test.json"
    other = {**row, "clean_text": "beer", "start": 60, "end": 90}
    path.write_text(json.dumps([row, other]), encoding="utf-8")
    result = audit([path])
    assert result.files[0].format == "ms-asl"
    assert (result.facts.classes, result.facts.signers) == (1, 1)
    assert [side.name for side in result.facts.sides] == ["test"]


def test_autsl_has_no_header_and_its_names_tell_the_signer(tmp_path: Path) -> None:
    train, test = tmp_path / "train_labels.csv", tmp_path / "test_labels.csv"
    train.write_bytes(b"signer0_sample1,41\r\nsigner1_sample1,41\r\n")
    test.write_bytes(b"signer2_sample1,41\r\nsigner2_sample2\r\n")
    result = audit([train, test])
    assert {f.format for f in result.files} == {"autsl"}
    assert (result.facts.verdict, result.facts.signers) == ("yes", 3)
    (bad,) = [f for f in result.findings if f.code == "K124"]
    assert bad.examples[0].where == "test_labels.csv:2"


def test_jsonl_rows_have_their_line(tmp_path: Path) -> None:
    path = tmp_path / "metadata.jsonl"
    path.write_text(
        '{"gloss": "су", "participant_id": "p1", "start_ms": 9, "end_ms": 2}\n\n{"gloss": "а"}\n'
    )
    result = audit([path])
    (reversed_,) = [f for f in result.findings if f.code == "K112"]
    assert reversed_.examples[0].where == "metadata.jsonl:1"
    (missing,) = [f for f in result.findings if f.code == "K321"]
    assert missing.examples[0].where == "metadata.jsonl:3"


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "1,су,x,ann", header="nr,palavra,junk,who")
    with pytest.raises(AnnotationError, match="none of its columns is known to hold the label"):
        audit([path])
    columns = {"gloss": "palavra", "signer": "who", "id": "nr"}
    result = audit([path], options=Options(columns=columns))
    assert (result.facts.classes, result.facts.signers) == (1, 1)
    assert result.files[0].unused == ("junk",)


def test_other_formats_come_through_their_adapter(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text(
        "from kslds.corpora import Annotation\n"
        "def read(source):\n"
        "    for i, signer in enumerate(['ann', 'ann']):\n"
        "        yield Annotation(source=f'x:{i}', recording=f'{i}.mp4', start='9', end='5',\n"
        "            unit='ms', label='су', signer=signer, split=['train', 'test'][i])\n"
    )
    path = tmp_path / "x.bin"
    path.write_bytes(b"anything")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        result = audit([path], options=Options(adapter="theirs:read"))
    assert result.facts.verdict == "no"
    assert codes(result)["K112"] == 2


def test_an_adapter_gets_all_files_at_once(tmp_path: Path) -> None:
    (tmp_path / "joined.py").write_text(
        "from kslds.corpora import Annotation\n"
        "def read(source):\n"
        "    assert source.options == {'subset': 'x'}\n"
        "    for i, path in enumerate(source.files):\n"
        "        yield Annotation(source=f'{path.name}:{i}:left', recording='a.mp4', start='0',\n"
        "            end='900', unit='ms', label=path.read_text(), signer='ann')\n"
    )
    files = [tmp_path / "a.dat", tmp_path / "b.dat"]
    for path in files:
        path.write_text(path.stem)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        result = audit(files, options=Options(adapter="joined:read", settings={"subset": "x"}))
    assert [(f.name, f.rows) for f in result.files] == [("a.dat", 1), ("b.dat", 1)]
    assert result.facts.classes == 2


def test_a_dataset_made_by_kslds_is_audited_from_its_tables(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "d", create=True)
    dataset.write("recordings", [])
    segment = {"recording_id": "rec_1", "start_ms": 0, "end_ms": 900, "label": "су"}
    dataset.write("segments", [
        schema.Segment(segment_id=f"seg_{i}", signer_id=s, source=f"a.csv:{i}", **segment)
        for i, s in enumerate(("ann", "ben", "ann"))
    ])  # fmt: skip
    rows = [schema.SplitRow(split=side, unit="signer_id", value=signer)
            for signer, side in (("ann", "train"), ("ben", "test"))]  # fmt: skip
    dataset.write("splits/main", rows, record=schema.SplitRow)
    result = audit([dataset.root])
    assert result.files[0].format == "kslds"
    assert result.facts.verdict == "yes"
    assert [(s.name, s.rows) for s in result.facts.sides] == [("train", 2), ("test", 1)]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.json", b"{]", "is not JSON"),
        ("a.json", b"[" * 100_000, "is not JSON"),
        ("a.json", b'{"a": 1}', "expected a list of objects"),
        ("a.json", b"[1]", "holds no row"),
        ("a.json", b'[{"gloss": "\\ud800"}]', "not text"),
        ("a.json", b"[]", "holds no row"),
        ("a.json", b'[{"gloss": "a", "instances": 5}]', "has no list of instances"),
        ("a.json", b'{"1": {"subset": "train", "action": 3}}', "expected action as"),
        ("a.csv", b"gloss,signer\n", "holds no row"),
        ("a.csv", b"", "is empty"),
        ("a.csv", b"\xff\xff\xff", "is not UTF-8"),
        ("a.csv", b"gloss,signer\na\0b,c\n", "NUL"),
    ],
)
def test_files_that_cannot_be_read_are_refused(
    tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(AnnotationError, match=message):
        audit([path])


def test_wrong_use_is_told(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "1,a,ann,train")
    with pytest.raises(UsageError, match="name the annotation files"):
        audit([])
    with pytest.raises(UsageError, match="the fields are gloss"):
        audit([path], options=Options(columns={"colour": "x"}))
    with pytest.raises(UsageError, match="not one of ms"):
        audit([path], options=Options(unit="hours"))
    with pytest.raises(UsageError, match="unknown adapter"):
        audit([path], options=Options(adapter="nothing"))
    with pytest.raises(AnnotationError, match="is not a file of slovo"):
        audit([path], options=Options(adapter="slovo"))
    with pytest.raises(AnnotationError, match="without a header"):
        audit([path], options=Options(adapter="autsl"))
    with pytest.raises(MissingFile):
        audit([tmp_path / "none.csv"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingFile, match="is not a kslds dataset and has no annotation file"):
        audit([tmp_path / "empty"])
    with pytest.raises(UsageError, match="--tier is for files with tiers"):
        audit([path], options=Options(tiers=("gloss",)))


def eaf(path: Path, **tiers: str) -> Path:
    """An ELAN file with one annotation on each tier."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        '<ANNOTATION_DOCUMENT><HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"/><TIME_ORDER>'
        '<TIME_SLOT TIME_SLOT_ID="t1" TIME_VALUE="0"/>'
        '<TIME_SLOT TIME_SLOT_ID="t2" TIME_VALUE="900"/></TIME_ORDER>'
        + "".join(
            f'<TIER TIER_ID="{name}" LINGUISTIC_TYPE_REF="l" PARTICIPANT="ann"><ANNOTATION>'
            f'<ALIGNABLE_ANNOTATION ANNOTATION_ID="{name}1" TIME_SLOT_REF1="t1" '
            f'TIME_SLOT_REF2="t2"><ANNOTATION_VALUE>{value}</ANNOTATION_VALUE>'
            "</ALIGNABLE_ANNOTATION></ANNOTATION></TIER>"
            for name, value in tiers.items()
        )
        + '<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="l"/></ANNOTATION_DOCUMENT>',
        encoding="utf-8",
    )
    return path


def test_a_folder_of_elan_files_and_one_of_them_without_the_tier(tmp_path: Path) -> None:
    one = eaf(tmp_path / "a" / "one.eaf", gloss="су", mouth="x")
    eaf(tmp_path / "b" / "one.eaf", gloss="тау", mouth="y")
    odd = eaf(tmp_path / "odd.eaf", left="z", right="w")
    (tmp_path / "readme.txt").write_text("notes")
    result = audit([tmp_path])
    assert {f.name: (f.rows, f.format) for f in result.files} == {
        "a/one.eaf": (1, "elan"), "b/one.eaf": (1, "elan"), "odd.eaf": (0, "elan"),
    }  # fmt: skip
    assert (result.facts.rows, result.facts.classes) == (2, 2)
    (finding,) = [f for f in result.findings if f.code == "K123"]
    assert [e.where for e in finding.examples] == ["odd.eaf"]
    assert "has no tier called gloss" in finding.examples[0].text
    with pytest.raises(AnnotationError, match=r"has no tier called gloss.*as in --tier NAME"):
        audit([odd])

    run = CliRunner().invoke(app, [str(one), str(odd), "--tier", "m*", "--tier",
                                   "l*", "--format", "json"])  # fmt: skip
    held = json.loads(run.stdout)
    assert [file["rows"] for file in held["files"]] == [1, 1], run.stderr


def test_a_folder_is_read_by_what_its_adapter_reads(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    table(tmp_path / "set" / "train.csv", "1,a,ann,train")
    table(tmp_path / "set" / "test.csv", "2,a,bob,test")
    (tmp_path / "set" / "video.mp4").write_bytes(b"x")
    assert [f.name for f in audit([tmp_path / "set"]).files] == ["test.csv", "train.csv"]


def ksl_emo_folder(folder: Path) -> Path:
    """Two takes by name; the metadata call the sign of the second one otherwise."""
    videos = folder / "videos" / "train" / "happy" / "su"
    videos.mkdir(parents=True)
    rows = []
    for number, gloss in enumerate(("su", "adam")):
        name = f"sign_su__happy__participant_00{number}__2025-01-01T10-00-00_r01.mp4"
        (videos / name).write_bytes(b"x")
        rows.append({"video_id": f"v{number}", "participant_id": f"participant_00{number}",
                     "file_path": f"videos/train/happy/su/{name}", "gloss": gloss,
                     "emotion": "happy"})  # fmt: skip
    (folder / "meta.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder


@pytest.mark.parametrize("order", [("videos", "meta.jsonl"), ("meta.jsonl", "videos")])
def test_names_of_files_are_compared_with_metadata(tmp_path: Path, order: tuple[str, str]) -> None:
    folder = ksl_emo_folder(tmp_path)
    result = audit([folder / name for name in order], options=Options(adapter="ksl-emo"))
    (finding,) = [f for f in result.findings if f.code == "K132"]
    assert (finding.count, finding.examples[0].where) == (1, "meta.jsonl:2")
    assert "the name says the sign 'su', the metadata say 'adam'" in finding.examples[0].text
    assert {f.name: f.rows for f in result.files} == {"meta.jsonl": 1, "videos": 0}


def test_a_folder_is_read_by_the_names_of_its_videos(tmp_path: Path) -> None:
    result = audit([ksl_emo_folder(tmp_path)], options=Options(adapter="ksl-emo"))
    assert result.facts.rows == 2
    assert "K118" not in codes(result)  # meta.jsonl is no video with a strange name


def test_lists_of_fluentsigners_are_audited_without_videos(tmp_path: Path) -> None:
    (tmp_path / "glosses.csv").write_text("ID,Gloss\n0,СУ ІШУ\n1,АНА\n", encoding="utf-8")
    (tmp_path / "train.txt").write_text("P0_S000_00\nP03_S000_00\n")
    (tmp_path / "test.txt").write_text("P3_S001_00\nP4_S002_00\n")
    lists = [tmp_path / "train.txt", tmp_path / "test.txt"]
    for names in ([tmp_path / "glosses.csv", *lists], lists):
        result = audit(names, options=Options(adapter="fluentsigners-50"))
        assert (result.facts.rows, result.facts.classes, result.facts.signers) == (4, 3, 3)
        (leak,) = [f for f in result.findings if f.code == "K402"]
        assert leak.message == (
            "1 of 2 test signers also train; 1 of 2 test rows (50.0 %) are theirs."
        )
        assert leak.examples[0].where == "test.txt:1"

    (tmp_path / "videos").mkdir()
    for name in ("P0_S000_00", "P3_S000_00", "P3_S001_00"):
        (tmp_path / "videos" / f"{name}.mp4").write_bytes(b"x")
    result = audit(
        [tmp_path / "glosses.csv", *lists, tmp_path / "videos"],
        options=Options(adapter="fluentsigners-50"),
    )
    assert {f.name: f.rows for f in result.files}["videos"] == 3
    assert {"K402", "K103"} <= set(codes(result))  # P4_S002_00 is listed and not there


def test_a_list_of_the_names_of_videos_is_read_as_a_folder_is(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("001_001_001.mp4\n002_001_001.mp4\n")
    (tmp_path / "signs.txt").write_text("01|Opaque|R|\n02|Red|R|\n")
    both = [tmp_path / "names.txt", tmp_path / "signs.txt"]
    result = audit(both, options=Options(adapter="lsa64"))
    assert {f.name: f.rows for f in result.files} == {"names.txt": 2, "signs.txt": 0}
    both[1].write_text("01|Opaque|R|\n01|Red|R|\n")  # it is read, too
    with pytest.raises(AnnotationError, match=r"signs\.txt, line 2: .* occurs twice"):
        audit(both, options=Options(adapter="lsa64"))


# --------------------------------------------------------------------------- lists beside the rows


def autsl_folder(folder: Path, *, signs: str) -> Path:
    """As many rows as are published, by 31, 6 and 6 signers, and the list of signs."""
    folder.mkdir()
    (folder / "SignList_ClassId_TR_EN.csv").write_text(signs, encoding="utf-8")
    first = 0
    for side, count, signers in (
        ("train_labels", 28_142, 31), ("validation_labels", 4_418, 6), ("test_labels", 3_742, 6)
    ):  # fmt: skip
        rows = (f"signer{first + i % signers}_sample{i},{i // 31 % 226}" for i in range(count))
        (folder / f"{side}.csv").write_text("\r\n".join(rows) + "\r\n")
        first += signers
    return folder


def test_a_folder_of_autsl_is_disjoint_and_its_list_holds_no_rows(tmp_path: Path) -> None:
    names = "".join(f"{i},ad{i},{'you' if i in (7, 9) else f'name{i}'}\r\n" for i in range(225))
    result = audit([autsl_folder(tmp_path / "AUTSL", signs="ClassId,TR,EN\r\n" + names)])
    facts = result.facts
    assert (facts.rows, facts.classes, facts.signers, facts.verdict) == (36_302, 226, 43, "yes")
    assert facts.headline == "31 train, 6 validation, 6 test signers, nobody on two sides."
    assert {f.format: f.rows for f in result.files if "list" in f.format} == {
        "list of classes": 225
    }
    told = {f.title: (f.count, f.examples[0].where, f.examples[0].text) for f in result.findings}
    assert told["one name for several classes"] == (
        1, "SignList_ClassId_TR_EN.csv:11", "'you' is 7, 9",
    )  # fmt: skip
    count, where, text = told["classes that SignList_ClassId_TR_EN.csv lacks"]
    assert (count, text) == (1, "225")
    assert where == "train_labels.csv:6976"
    assert "K406" not in codes(result)
    assert result.number("error") == 0


def test_the_lists_of_other_collections_are_known_too(tmp_path: Path) -> None:
    rows = table(tmp_path / "rows.csv", "1,book,ann,train", "00002,dog,ben,test")
    (tmp_path / "wlasl_class_list.txt").write_text("0\tbook\n1\tdrink\n1\tdrink\n")
    (tmp_path / "missing.txt").write_text("00001\n77777\n")
    (tmp_path / "MSASL_classes.json").write_text('["book", "drink"]')
    (tmp_path / "MSASL_synonym.json").write_text('[["book", "novel"]]')
    names = ("wlasl_class_list.txt", "missing.txt", "MSASL_classes.json", "MSASL_synonym.json")
    result = audit([rows, *(tmp_path / name for name in names)])
    assert [f.format for f in result.files] == [
        "table", "list of classes", "list of absent videos", "list of classes", "list of synonyms",
    ]  # fmt: skip
    assert (result.facts.rows, result.facts.classes) == (2, 2)
    (absent,) = [f for f in result.findings if f.code == "K103"]
    assert absent.message == "missing.txt lists the videos of 1 of 2 rows as absent (1 train)."
    (twice,) = [f for f in result.findings if f.code == "K608"]
    assert (twice.examples[0].where, twice.examples[0].text) == ("wlasl_class_list.txt:3", "1")
    lacking = [f for f in result.findings if f.title == "classes that MSASL_classes.json lacks"]
    assert [e.text for f in lacking for e in f.examples] == ["dog"]
    with pytest.raises(AnnotationError, match=r"missing\.txt: no row of annotations, only a list"):
        audit([tmp_path / "missing.txt"])


def test_a_translation_is_not_another_label(tmp_path: Path) -> None:
    gloss = table(tmp_path / "gloss.csv", "0,ПРИВЕТ", "1,САНКТ-ПEТЕРБУРГ", "100,ДОМ",
                  header="ID,Gloss")  # fmt: skip
    text = table(tmp_path / "text.csv", "0,Привет", "1,Петербург", header="ID,Translation")
    for order in ([gloss, text], [text, gloss]):
        result = audit(order)
        assert (result.facts.rows, result.facts.classes) == (3, 3)
        found = {(f.code, f.message) for f in result.findings}
        assert ("K127", "1 key of gloss.csv is not in text.csv.") in found
        assert [code for code, _ in found if code in ("K601", "K127")] == ["K127"]
        assert "K303" in codes(result)


def test_a_subset_need_not_have_every_class(tmp_path: Path) -> None:
    one = {
        "signer_id": 1,
        "split": "train",
        "fps": 25,
        "frame_start": 1,
        "frame_end": -1,
        "url": "a",
    }
    whole = [
        {"gloss": gloss, "instances": [{**one, "video_id": key} for key in keys]}
        for gloss, keys in (("book", ["00335", "00336"]), ("drink", ["00400"]))
    ]
    part = {key: {"subset": "train", "action": [0, 1, 9]} for key in ("00335", "70000")}
    (tmp_path / "WLASL_v0.3.json").write_text(json.dumps(whole))
    (tmp_path / "nslt_100.json").write_text(json.dumps(part))
    (tmp_path / "nslt_300.json").write_text(json.dumps({**part, "00336": part["00335"]}))
    paths = [tmp_path / f"{name}.json" for name in ("WLASL_v0.3", "nslt_100", "nslt_300")]
    for order in (paths, paths[::-1]):
        result = audit(order)
        # drink is not one of the first 100 classes; 00336 is missing of book, which is.
        said = {f.message for f in result.findings if f.code == "K127"}
        assert "1 key of WLASL_v0.3.json is not in nslt_100.json." in said or order != paths
        assert not any("2 keys of WLASL_v0.3.json" in text for text in said)
        assert result.facts.rows == 4
    result = audit(paths)
    assert (result.facts.classes, codes(result)["K127"]) == (2, 1)


def fluentsigners(folder: Path) -> None:
    table(folder / "gloss_annotation.csv", "0,ПРИВЕТ", "1,САНКТ-ПEТЕРБУРГ", header="ID,Gloss")
    table(folder / "russian_translation.csv", "0,Привет", header="ID,Translation")
    (folder / "kazakh.json").write_text('{"0": "Сәлем"}', encoding="utf-8")


@pytest.mark.parametrize(
    ("names", "adapter"),
    [
        (["gloss_annotation.csv"], "auto"),
        (["gloss_annotation.csv", "russian_translation.csv"], "auto"),
        (["."], "auto"),
        (["."], "fluentsigners-50"),
        (["gloss_annotation.csv"], "fluentsigners-50"),
    ],
)
def test_tables_of_sentences_name_no_signers(
    tmp_path: Path, names: list[str], adapter: str
) -> None:
    fluentsigners(tmp_path)
    result = audit([tmp_path / name for name in names], options=Options(adapter=adapter))
    assert (result.facts.rows, result.facts.classes, result.number("error")) == (2, 2, 0)
    assert codes(result).keys().isdisjoint({"K321", "K612", "K613", "K118"})
    assert codes(result)["K303"] == 1
    assert [s for s in result.facts.skipped if s.startswith("Signers and sides of 2 rows")]
    if len(names) > 1 or names == ["."]:  # sentence 1 has no translation
        assert {"K127", "K133"} & codes(result).keys()


def test_lists_of_sides_are_recognised(tmp_path: Path) -> None:
    fluentsigners(tmp_path)
    (tmp_path / "split1.txt").write_text("P0_S000_00 train\nP0_S001_00 test\n")
    result = audit([tmp_path / "split1.txt", tmp_path / "gloss_annotation.csv"])
    assert (result.facts.rows, result.facts.verdict) == (2, "no")
    assert {f.format for f in result.files} == {"fluentsigners-50"}
    (tmp_path / "split2.txt").write_text("P0_S000_00 test\nP0_S001_00 train\n")
    with pytest.raises(AnnotationError, match="several benchmarks: split1, split2"):
        audit([tmp_path / "split1.txt", tmp_path / "split2.txt"])
    media = tmp_path / "videos"
    media.mkdir()
    for name in ("P0_S000_00.mp4", "P00_S001_00.mp4"):
        (media / name).touch()
    paths = [media, tmp_path / "gloss_annotation.csv", tmp_path / "split1.txt"]
    options = Options(adapter="fluentsigners-50")
    assert audit(paths, options=options).facts.verdict == "no"
    with pytest.raises(AnnotationError, match="videos has the sides of several benchmarks: split1"):
        audit([*paths, tmp_path / "split2.txt"], options=options)


def test_boundaries_of_k_rsl_are_held_against_the_list_of_videos(tmp_path: Path) -> None:
    head = ["Время начала - миллисекунды", "Время окончания - миллисекунды", "brows", "Файл"]
    rows = [["300", "866", "br_raise"], ["900", "2134", "br_low"]]  # 64 frames at 30: 2133 ms
    table(tmp_path / "elan.tsv", *("\t".join([*r, "gen_q_neut_dev.upala_alt.eaf"]) for r in rows),
          header="\t".join(head))  # fmt: skip
    table(tmp_path / "meta_video.tsv", "0\t30.0\t64\tgen_q-dev_upala-alt",
          header="\tfps\tframe_count\tvideo_name")  # fmt: skip
    result = audit([tmp_path / "elan.tsv", tmp_path / "meta_video.tsv"])
    (said,) = [f for f in result.findings if f.code == "K114"]
    assert [(e.where, e.text) for e in said.examples] == [
        ("elan.tsv:3:brows", "[900, 2134) ms, the length is 2133"),
    ]


def test_what_is_said_meanwhile_is_no_row(tmp_path: Path) -> None:
    table(tmp_path / "glosses.csv", "lesson1.mp4,A,200,1000,i1", "lesson1.mp4,B,1000,1900,i2",
          header="recording,gloss,start,end,signer")  # fmt: skip
    text = "WEBVTT\n\n00:00.000 --> 00:01.000\nбір\n"
    (tmp_path / "lesson1.vtt").write_text(text, encoding="utf-8")
    result = audit([tmp_path], options=Options(adapter="online-school"))
    assert (result.facts.rows, result.number("error")) == (2, 0)
    (tmp_path / "lesson2.vtt").write_text(text, encoding="utf-8")  # which has no glosses
    assert audit([tmp_path], options=Options(adapter="online-school")).facts.rows == 3


def test_a_file_that_is_none_of_the_collection_is_named(tmp_path: Path) -> None:
    for name in ("001_001_001.mp4", "001_002_001.mp4", "notes.mp4", "readme.txt"):
        (tmp_path / name).touch()
    result = audit([tmp_path], options=Options(adapter="lsa64"))
    assert result.facts.rows == 2
    (said,) = [f for f in result.findings if f.code == "K109"]
    assert (said.message, said.unit) == ("1 file: no annotation names this recording.", "files")
    assert [e.where for e in said.examples] == ["notes.mp4"]


def test_what_is_stated_is_stated_of_a_file(tmp_path: Path) -> None:
    """An id of the subset that the whole lacks is no row of the whole."""
    instance = {"signer_id": 1, "split": "train", "fps": 25, "frame_start": 1, "frame_end": -1}
    whole = [{"gloss": "book", "instances": [{**instance, "video_id": "00335", "url": "a"}]}]
    part = {key: {"subset": "train", "action": [0, 1, 9]} for key in ("00335", "00336")}
    (tmp_path / "WLASL_v0.3.json").write_text(json.dumps(whole))
    (tmp_path / "nslt_100.json").write_text(json.dumps(part))
    result = audit([tmp_path / "WLASL_v0.3.json", tmp_path / "nslt_100.json"])
    assert [f.message for f in result.findings if f.code == "K406"] == [
        "WLASL_v0.3.json as published: rows: 1, stated 21,083; classes: 1, stated 2,000.",
        "nslt_100.json as published: rows: 2, stated 2,038; classes: 1, stated 100.",
    ]


def test_the_elan_export_of_k_rsl_is_recognised(tmp_path: Path) -> None:
    head = ["Время начала - миллисекунды", "Время окончания - миллисекунды", "head", "brows",
            "right-hand", "left-hand", "body", "Файл", "Путь к файлу"]  # fmt: skip
    row = ["300", "866", "", "", "ДЕВОЧКА", "", "", "gen_q_neut_dev.upala_alt.eaf", ""]
    path = tmp_path / "export.tsv"
    path.write_text("\n".join("\t".join(cells) for cells in (head, row)) + "\n", encoding="utf-8")
    result = audit([path])
    assert [f.format for f in result.files] == ["krsl"]
    assert (result.facts.rows, result.facts.classes, result.facts.signers) == (1, 1, 1)


# --------------------------------------------------------------------------- what is written


def test_the_page_is_one_file_that_text_cannot_break_into(tmp_path: Path) -> None:
    path = table(
        tmp_path / "a.csv", "1,<script>alert(1)</script>,=cmd,train", "2,b,=cmd,test", "2,b,x,test"
    )
    result = audit([path])
    page = write(result, out=tmp_path / "out").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page or "alert(1)" not in page
    assert not re.search(r'(?:src|href)="(?!#|findings\.csv|audit\.json)', page)
    assert "default-src &#x27;none&#x27;" in page
    assert "1 of 2 test signers also train" in page
    with (tmp_path / "out" / "findings.csv").open(encoding="utf-8-sig", newline="") as file:
        cells = list(csv.DictReader(file))
    assert {row["code"] for row in cells} == set(codes(result))
    assert not any(cell.startswith("=") for row in cells for cell in row.values())
    told = json.loads((tmp_path / "out" / "audit.json").read_bytes())
    assert told["facts"]["verdict"] == "no"
    assert told["files"][0]["sha256"] == result.files[0].sha256


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", *(f"{i},w{i % 7},s{i % 5},train" for i in range(40)))
    for name in ("one", "two"):
        write(audit([path]), out=tmp_path / name)
    for name in ("audit.html", "audit.json", "findings.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_command_exits_1_on_errors_and_0_without(tmp_path: Path) -> None:
    leak = table(tmp_path / "leak.csv", "1,a,ann,train", "2,a,ann,test")
    done = CliRunner().invoke(app, [str(leak), "--out", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert "signer-independent: no — 1 of 1 test signer also train" in done.stdout
    assert (tmp_path / "out" / "audit.html").is_file()
    clean = table(tmp_path / "clean.csv", "1,a,ann,train", "2,a,ben,test")
    done = CliRunner().invoke(app, [str(clean), "--format", "json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["facts"]["verdict"] == "yes"
    done = CliRunner().invoke(app, [str(clean), "--column", "gloss"])
    assert done.exit_code == 2


# --------------------------------------------------------------------------- real files


@published
def test_slovo_leaks_signers() -> None:
    result = audit([CORPORA / "slovo_annotations.csv.gz"])
    facts = result.facts
    assert (facts.rows, facts.classes, facts.signers) == (20_400, 1_001, 194)
    (leak,) = facts.leaks
    assert (len(leak.shared), leak.signers) == (92, 174)
    assert (leak.rows, leak.of_rows) == (3_448, 5_100)
    assert (leak.signs_rows, leak.signs_of_rows) == (3_390, 5_000)
    assert leak.same_class == 19
    assert facts.by_signer is not None
    assert facts.by_signer.most == 3_692
    found = codes(result)
    assert (found["K402"], found["K601"], found["K609"], found["K610"]) == (92, 6, 400, 19)
    assert "K508" not in found


@published
def test_the_two_files_of_slovo_disagree() -> None:
    files = [CORPORA / "slovo_annotations.csv.gz", CORPORA / "slovo_dataframe.tsv.gz"]
    for order in (files, files[::-1]):
        result = audit(order)
        assert (result.facts.rows, result.facts.repeated) == (20_400, 20_000)
        assert sorted(f.count for f in result.findings if f.code == "K127") == [60, 368, 400]
        (leak,) = result.facts.leaks
        assert (len(leak.shared), leak.rows) == (92, 3_448)
        (alike,) = [f for f in result.findings if f.code == "K609"]
        assert "377 exactly as long as what comes before its begin" in alike.message
        (folded,) = [f for f in result.findings if f.code == "K601"]
        assert "'Ё' (20) / 'Е' (20)" in [e.text for e in folded.examples]  # counted once


@published
def test_autsl_is_split_by_signer() -> None:
    names = ("autsl_train_labels.excerpt.csv", "autsl_test_labels.excerpt.csv")
    result = audit([CORPORA / name for name in names])
    assert result.facts.verdict == "yes"
    assert result.number("error") == 0


@published
def test_wlasl_is_not() -> None:
    result = audit([CORPORA / "wlasl_v0.3.excerpt.json"])
    assert result.facts.headline == (
        "3 of 4 test signers also train; 8 of 9 test rows (88.9 %) are theirs."
    )


def test_blanks_behind_every_separator_are_no_part_of_labels(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "1, дом, ann, train", "2,  дом , bob, test",
                 header="id, gloss, signer, split")  # fmt: skip
    result = audit([path])
    assert codes(result)["K605"] == 1  # the one before the separator
    assert result.facts.verdict == "yes"


def test_a_reason_that_the_message_states_is_not_said_again(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "1,дом,9,3", header="id,gloss,start_ms,end_ms")
    result = audit([path])
    page = write(result, out=tmp_path / "out").read_text(encoding="utf-8")
    assert "<strong>1 row: the end is before the start.</strong>" in page
    assert "<p>The end is before the start.</p>" not in page
    assert "<strong>1</strong> row<" in page


def test_the_files_of_an_export_are_read_side_by_side(tmp_path: Path) -> None:
    head = "file_name,gloss_id,label,sentence,signer_id,start_ms,end_ms,first_frame,num_frames"
    for side, signer in (("train", "p1"), ("test", "p2")):
        (tmp_path / side).mkdir()
        table(
            tmp_path / side / "metadata.csv",
            f"{side}1.mp4,,,МЕН КЕЛДІМ,{signer},0,1000,0,30",
            f"{side}2.mp4,su,0,,{signer},1000,1900,30,27",
            header=head,
        )
    found = audit([tmp_path])
    assert {"K114", "K118", "K127", "K613"}.isdisjoint(codes(found))
    assert [(s.name, s.rows) for s in found.facts.sides] == [("train", 2), ("test", 2)]
    assert found.facts.verdict == "yes"
