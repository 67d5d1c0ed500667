"""Segments into ELAN files, and a linguist's corrections back from them."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kslds import ingest
from kslds.clips import ClipOptions, trim
from kslds.commands.elan import elan_app
from kslds.corpora import eaf
from kslds.corpora.elan_check import check, files_in
from kslds.corpora.elan_export import export
from kslds.errors import AnnotationError, MissingFile, UsageError
from kslds.manifest import Dataset
from kslds.schema import Clip, Recording, Segment, Sign
from kslds.validate import Rules, validate
from tests.painting import record
from tests.test_elan import DATA, needs_data, ref, tier, timed
from tests.test_elan import eaf as document

COLUMNS = {
    "emotion": "type:kslds-emotion*",
    "sentence": "type:kslds-sentence*",
    "translation": "type:kslds-translation*",
    "translation_kk": "type:kslds-kk-translation*",
}
ROWS = """
s/a.mp4,әке,100,500,S1,A,sad,ӘКЕ КЕЛДІ,Father came,gloss
s/a.mp4,әпке,500,900,S1,A,,,,gloss
s/a.mp4,су,950,990,S2,A,,,,gloss
b.mp4,әке,0,300,S1,A,,,,gloss
b.mp4,мысық,200,400,S1,A,,,,gloss
b.mp4,,400,600,S1,A,,БАР,There is,
"""
HEADER = "recording,gloss,start,end,signer,annotator,emotion,sentence,translation,tier\n"


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elan") / "media"
    (folder / "s").mkdir(parents=True)
    options = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p")
    record(folder / "s" / "a.mp4", num_frames=30, options=options)
    record(folder / "b.mp4", num_frames=31, options=options)
    return folder


@pytest.fixture
def dataset(tmp_path: Path, media: Path) -> Dataset:
    (tmp_path / "rows.csv").write_text(HEADER + ROWS.lstrip(), encoding="utf-8")
    return read(tmp_path / "dataset", media, "table", tmp_path / "rows.csv")


def read(root: Path, media: Path, adapter: str, *files: Path, **options: object) -> Dataset:
    dataset = Dataset(root, create=True)
    ingest.ingest(
        dataset,
        options=ingest.IngestOptions(
            media=(str(media),),
            adapter=adapter,
            annotations=tuple(map(str, files)),
            **options,  # type: ignore[arg-type]
        ),
    )
    (root / "kslds.toml").write_text(f'[ingest]\nmedia = "{media}"\n')
    return dataset


def read_back(root: Path, media: Path, *files: Path, tiers: str = "type:kslds-gloss") -> Dataset:
    return read(root, media, "elan", *files, tiers=(tiers,), columns=COLUMNS)


def labels(dataset: Dataset) -> set[tuple[object, ...]]:
    """The segments, ids included, without where they were read."""
    return {
        tuple(value for name, value in dataclasses.asdict(row).items() if name != "source")
        for row in dataset.read("segments", Segment)
    }


def valid(data: bytes) -> None:
    etree = pytest.importorskip("lxml.etree")
    if DATA.is_dir():
        schema = etree.XMLSchema(etree.parse(str(DATA / "EAFv3.0.xsd")))
        schema.assertValid(etree.fromstring(data))


# New files


def test_two_translations_go_out_and_come_back_each_in_its_field(
    tmp_path: Path, media: Path
) -> None:
    (tmp_path / "rows.csv").write_text(
        "recording,sentence,start,end,signer,translation,translation_kk\n"
        "b.mp4,БАР,0,300,S1,There is,Бар\nb.mp4,ЖОҚ,400,600,S1,,Жоқ\n", encoding="utf-8",
    )  # fmt: skip
    before = read(tmp_path / "dataset", media, "table", tmp_path / "rows.csv")
    export(before, out=tmp_path / "out", media={"b.mp4": media / "b.mp4"})
    valid((tmp_path / "out" / "b.eaf").read_bytes())
    after = read_back(tmp_path / "again", media, tmp_path / "out" / "b.eaf")
    assert {(s.translation, s.translation_kk) for s in after.read("segments", Segment)} == {
        ("There is", "Бар"), (None, "Жоқ"),
    }  # fmt: skip


def test_segments_go_out_and_come_back_the_same(
    tmp_path: Path, media: Path, dataset: Dataset
) -> None:
    out = tmp_path / "out"
    written = export(dataset, out=out, media={"s/a.mp4": media / "s" / "a.mp4"})
    assert [(w.path.relative_to(out).as_posix(), w.tiers, w.annotations) for w in written] == [
        ("b.eaf", 3, 3),
        ("s/a.eaf", 2, 3),
    ]
    found = eaf.read_document(out / "s" / "a.eaf")
    assert list(found.tiers) == [
        "gloss@s1", "gloss@s1-emotion", "gloss@s1-sentence", "gloss@s1-translation", "gloss@s2",
    ]  # fmt: skip
    assert found.tiers["gloss@s2"].get("PARTICIPANT") == "s2"
    assert found.tiers["gloss@s2"].get("ANNOTATOR") == "a"
    (descriptor,) = found.root.all("MEDIA_DESCRIPTOR")
    assert (out / "s" / descriptor.get("RELATIVE_MEDIA_URL")).resolve() == (
        media / "s" / "a.mp4"
    ).resolve()
    assert str(tmp_path) not in (out / "b.eaf").read_text(encoding="utf-8")
    # Overlapping segments are on two tiers, for ELAN allows none on one; those of no tier, too.
    assert list(eaf.read_document(out / "b.eaf").tiers) == [
        "gloss", "gloss-2", "gloss-3", "gloss-3-sentence", "gloss-3-translation",
    ]  # fmt: skip
    for path in sorted(out.rglob("*.eaf")):
        valid(path.read_bytes())
        assert check(path).findings == []

    again = read_back(tmp_path / "again", media, out)
    assert labels(again) == labels(dataset)
    assert len(again.read("segments", Segment)) == 6


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory, media: Path) -> Path:
    """Recordings of one name, a folder for each session."""
    folder = tmp_path_factory.mktemp("sessions") / "data"
    for session, file in (("s1", "s/a.mp4"), ("s2", "b.mp4")):
        (folder / session).mkdir(parents=True)
        shutil.copy(media / file, folder / session / "video.mp4")
    return folder


@pytest.fixture
def of_sessions(tmp_path: Path, sessions: Path) -> Dataset:
    table = tmp_path / "rows.csv"
    rows = (
        "s1/video.mp4,әке,0,500,S1,A,sad,,,gloss",
        "s1/video.mp4,су,100,600,S1,A,,,,",
        "s2/video.mp4,мысық,0,300,S2,A,,,,gloss",
        "s2/video.mp4,мысық,400,600,S2,A,sad,,,gloss",
        "s2/video.mp4,су,400,600,S2,A,,,,gloss-emotion",
    )
    table.write_text(HEADER + "\n".join(rows), encoding="utf-8")
    return read(tmp_path / "first", sessions, "table", table)


@pytest.mark.parametrize("linked", [True, False])
def test_recordings_of_one_name_come_back_whole(
    tmp_path: Path, sessions: Path, of_sessions: Dataset, linked: bool
) -> None:
    found = ingest.find_media([str(sessions)]).files if linked else {}
    export(of_sessions, out=tmp_path / "out", media=found, prefix="k-")
    again = read_back(tmp_path / "again", sessions, tmp_path / "out")
    assert labels(again) == labels(of_sessions)
    assert len(labels(again)) == 5
    # A tier that she renames, or whose property is lost, is called as it is.
    path = tmp_path / "out" / "s2" / "video.eaf"
    text = path.read_text(encoding="utf-8").replace("kslds-tier:", "other:")
    path.write_text(text, encoding="utf-8")
    renamed = read_back(tmp_path / "renamed", sessions, path).read("segments", Segment)
    assert sorted(row.tier or "" for row in renamed) == ["k-gloss", "k-gloss", "k-gloss-emotion-2"]


def test_documents_of_one_name(tmp_path: Path, sessions: Path, of_sessions: Dataset) -> None:
    source = tmp_path / "source"
    for session in ("s1", "s2"):
        (source / session).mkdir(parents=True)
        text = document(
            tier("signs", "top", timed("a0", "a", "b", session)),
            slots="a=0 b=500",
            media='<MEDIA_DESCRIPTOR MEDIA_URL="file:///x/video.mp4" '
            'RELATIVE_MEDIA_URL="./video.mp4" MIME_TYPE="video/mp4"/>',
        )
        (source / session / "ann.eaf").write_text(text, encoding="utf-8")
    into = files_in([source])
    written = export(of_sessions, out=tmp_path / "out", into=into)
    assert [(w.path.relative_to(tmp_path / "out").as_posix(), w.recording) for w in written] == [
        ("s1/ann.eaf", "s1/video.mp4"),
        ("s2/ann.eaf", "s2/video.mp4"),
    ]
    again = read_back(tmp_path / "again", sessions, tmp_path / "out")
    assert labels(again) == labels(of_sessions)
    theirs = read_back(tmp_path / "theirs", sessions, tmp_path / "out", tiers="signs")
    files = {r.recording_id: r.source_file for r in theirs.read("recordings", Recording)}
    assert {
        (row.source, files[row.recording_id], row.label) for row in theirs.read("segments", Segment)
    } == {("s1/ann.eaf:a0", "s1/video.mp4", "s1"), ("s2/ann.eaf:a0", "s2/video.mp4", "s2")}


def test_what_has_one_tier_keeps_even_its_segment_ids(tmp_path: Path, media: Path) -> None:
    table = tmp_path / "rows.csv"
    table.write_text(HEADER + "b.mp4,әке,33,300,S1,A,sad,,,hand\n", encoding="utf-8")
    dataset = read(tmp_path / "one", media, "table", table)
    export(dataset, out=tmp_path / "out")
    again = read_back(tmp_path / "two", media, tmp_path / "out")
    validate(dataset, lexicon=None, rules=Rules())
    trim(dataset, options=ClipOptions(), unknown="keep")
    validate(again, lexicon=None, rules=Rules())
    trim(again, options=ClipOptions(), unknown="keep")
    assert again.read("clips", Clip) == dataset.read("clips", Clip)
    (clip,) = again.read("clips", Clip)
    assert (clip.first_frame, clip.last_frame) == (1, 8)


def test_the_same_dataset_gives_the_same_bytes(tmp_path: Path, dataset: Dataset) -> None:
    for name in ("one", "two"):
        export(dataset, out=tmp_path / name)
    for path in (tmp_path / "one").rglob("*.eaf"):
        twin = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert path.read_bytes() == twin.read_bytes()
    export(dataset, out=tmp_path / "one")  # nothing to do, and no complaint


def test_the_vocabulary_holds_the_signs(tmp_path: Path, dataset: Dataset) -> None:
    (by_label,) = export(dataset, out=tmp_path / "labels")[:1]
    found = eaf.read_document(by_label.path)
    assert [n.text for n in found.root.all("CVE_VALUE")] == ["мысық", "су", "әке", "әпке"]
    dataset.write(
        "signs",
        [
            Sign(gloss_id="ake", kk="әке", ru="отец", en="father"),
            Sign(gloss_id="ake-2", kk="әке"),
            Sign(gloss_id="mysyq", kk="мысық"),
        ],
    )
    (by_sign,) = export(dataset, out=tmp_path / "signs")[:1]
    found = eaf.read_document(by_sign.path)
    assert [(n.text, n.get("DESCRIPTION")) for n in found.root.all("CVE_VALUE")] == [
        ("әке", "отец / father"), ("әке (ake-2)", ""), ("мысық", ""),
    ]  # fmt: skip
    entries = {n.children[0].text: n.get("CVE_REF") for n in found.root.all("ALIGNABLE_ANNOTATION")}
    assert entries == {"әке": "ake", "мысық": "mysyq", "": ""}
    valid(by_sign.path.read_bytes())


# Into what she has

HERS = document(
    tier("Glosse links", "sign", timed("a7", "ts9", "ts4", "BIL "), PARTICIPANT="S9")
    + tier("note", "note", ref("a8", "a7", "&lt;?&amp;&gt; \n\t"), parent="Glosse links"),
    slots="ts9=250 ts2 ts4=9000",
    media='<MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/x/b.mp4" MIME_TYPE="video/mp4" '
    'TIME_ORIGIN="{origin}"/><PROPERTY NAME="lastUsedAnnotationId">41</PROPERTY>',
)


def hers(folder: Path, *, origin: int = 0) -> Path:
    path = folder / "hers.eaf"
    path.write_text(HERS.replace("{origin}", str(origin)), encoding="utf-8")
    return path


def test_her_file_is_kept_and_her_corrections_come_back(
    tmp_path: Path, media: Path, dataset: Dataset
) -> None:
    source = hers(tmp_path)
    before = eaf.read_document(source)
    bytes_before = source.read_bytes()
    written = export(dataset, out=tmp_path / "out", into=[source])
    path = tmp_path / "out" / "hers.eaf"
    assert [w.path for w in written] == [path, tmp_path / "out" / "s" / "a.eaf"]
    assert source.read_bytes() == bytes_before
    after = eaf.read_document(path)
    valid(path.read_bytes())
    for tag in eaf.SECTIONS:
        if tag not in ("HEADER", "TIME_ORDER"):
            assert after.section(tag)[: len(before.section(tag))] == before.section(tag)
    values = [slot.get("TIME_VALUE") for slot in after.root.all("TIME_SLOT")]
    # A new slot stands before the first that is later; hers are in their old order.
    assert values == ["0", "200", "250", "", "300", "400", "400", "600", "9000"]
    assert [(n.get("NAME"), n.text) for n in after.root.all("PROPERTY")] == [
        ("lastUsedAnnotationId", "46"), ("kslds-tier:gloss-2", "gloss"), ("kslds-tier:gloss-3", ""),
    ]  # fmt: skip
    assert "a42" in eaf.ids(after.root)

    # She moves a boundary, corrects a label and deletes an annotation.
    text = path.read_text(encoding="utf-8")
    text = text.replace('TIME_VALUE="600"', 'TIME_VALUE="700"').replace(">мысық<", ">су<", 2)
    path.write_text(text, encoding="utf-8")
    again = read_back(tmp_path / "again", media, path)
    found = {(r.label, r.sentence, r.start_ms, r.end_ms) for r in again.read("segments", Segment)}
    assert found == {("әке", None, 0, 300), ("су", None, 200, 400), (None, "БАР", 400, 700)}


def test_her_external_vocabulary_goes_with_her_file(tmp_path: Path, dataset: Dataset) -> None:
    source = hers(tmp_path)
    ecv = '<EXTERNAL_REF EXT_REF_ID="e1" TYPE="ecv" VALUE="file:./cv/v.ecv"/></ANNOTATION_DOCUMENT>'
    text = source.read_text(encoding="utf-8").replace("</ANNOTATION_DOCUMENT>", ecv)
    source.write_text(text, encoding="utf-8")
    vocabulary = tmp_path / "cv" / "v.ecv"
    vocabulary.parent.mkdir()
    vocabulary.write_text("<CV_RESOURCE/>")
    out = tmp_path / "out"
    export(dataset, out=out, into=[source])
    assert (out / "cv" / "v.ecv").read_bytes() == vocabulary.read_bytes()
    assert check(out / "hers.eaf").findings == []
    (out / "cv" / "v.ecv").write_text("<CV_RESOURCE />")
    with pytest.raises(UsageError, match=r"v\.ecv is there already"):
        export(dataset, out=out, into=[source])
    export(dataset, out=out, into=[source], replace=True)
    assert (out / "cv" / "v.ecv").read_bytes() == vocabulary.read_bytes()


def test_times_are_moved_by_the_origin_of_her_recording(
    tmp_path: Path, media: Path, dataset: Dataset
) -> None:
    with pytest.raises(UsageError, match=r"hers\.eaf: a segment at 0 ms lies before the TIME_OR"):
        export(dataset, out=tmp_path / "out", into=[hers(tmp_path, origin=100)])
    assert not (tmp_path / "out").exists()
    export(dataset, out=tmp_path / "out", into=[hers(tmp_path, origin=-1000)])
    again = read_back(tmp_path / "again", media, tmp_path / "out")
    assert labels(again) == labels(dataset)


def test_an_earlier_export_is_replaced_only_when_asked(
    tmp_path: Path, media: Path, dataset: Dataset
) -> None:
    export(dataset, out=tmp_path, into=[hers(tmp_path)], replace=True)
    once = (tmp_path / "hers.eaf").read_bytes()
    with pytest.raises(UsageError, match=r"has a tier 'gloss' already.*--replace; corrections"):
        export(dataset, out=tmp_path, into=[tmp_path / "hers.eaf"])
    export(dataset, out=tmp_path, into=[tmp_path / "hers.eaf"], replace=True)
    twice = eaf.read_document(tmp_path / "hers.eaf")
    assert len(list(twice.root.all("TIME_SLOT"))) == once.count(b"<TIME_SLOT ")
    assert len(list(twice.root.all("PROPERTY"))) == once.count(b"<PROPERTY ") == 3
    assert sorted(twice.tiers) == [
        "Glosse links", "gloss", "gloss-2", "gloss-3", "gloss-3-sentence",
        "gloss-3-translation", "note",
    ]  # fmt: skip
    valid((tmp_path / "hers.eaf").read_bytes())
    assert labels(read_back(tmp_path / "again", media, tmp_path)) == labels(dataset)
    export(dataset, out=tmp_path / "more", into=[tmp_path / "hers.eaf"], prefix="new ")
    assert "new gloss" in eaf.read_document(tmp_path / "more" / "hers.eaf").tiers

    changed = (tmp_path / "s" / "a.eaf").read_bytes().replace("әпке".encode(), "әке".encode())
    (tmp_path / "s" / "a.eaf").write_bytes(changed)
    with pytest.raises(UsageError, match=r"a\.eaf is there already.*Corrections may be in it"):
        export(dataset, out=tmp_path)
    assert (tmp_path / "s" / "a.eaf").read_bytes() == changed


def test_her_own_tiers_are_never_replaced(tmp_path: Path, dataset: Dataset) -> None:
    source = hers(tmp_path)
    text = source.read_text(encoding="utf-8").replace("Glosse links", "gloss")
    source.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"has a tier 'gloss' already.*otherwise with --prefix\."):
        export(dataset, out=tmp_path / "out", into=[source], replace=True)
    export(dataset, out=tmp_path, into=[], replace=True)
    path = tmp_path / "b.eaf"
    text = path.read_text(encoding="utf-8")
    key = next(eaf.read_document(path).root.all("ALIGNABLE_ANNOTATION")).get("ANNOTATION_ID")
    child = tier("hers", "kslds-gloss", ref("x1", key, "x"), parent="gloss")
    path.write_text(text.replace("    <LINGUISTIC", child + "<LINGUISTIC", 1), encoding="utf-8")
    with pytest.raises(UsageError, match=r"tier 'hers' hangs on one that would be replaced"):
        export(dataset, out=tmp_path / "out", into=[path], replace=True)
    link = f'<REF_LINK_SET LINK_SET_ID="s"><GROUP_REF_LINK REF_LINK_ID="l" REFS="{key}"/></REF_LINK_SET>'
    path.write_text(text.replace("</ANNOTATION_DOC", link + "</ANNOTATION_DOC"), encoding="utf-8")
    with pytest.raises(UsageError, match="a link refers to a tier that would be replaced"):
        export(dataset, out=tmp_path / "out", into=[path], replace=True)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("b.mp4", "c.mp4", r"is about 'c\.mp4', which is no recording of the dataset"),
        ('"milliseconds"', '"PAL-frames"', "counts time in 'PAL-frames'"),
        ('VERSION="3.0"', 'VERSION="3.1"', r"is EAF 3\.1; kslds writes up to 3\.0"),
        ("<TIME_ORDER>", "<TIME_ORDER>text", "text beside the elements of TIME_ORDER"),
    ],
)
def test_documents_that_cannot_be_added_to(
    tmp_path: Path, dataset: Dataset, old: str, new: str, message: str
) -> None:
    source = hers(tmp_path)
    text = source.read_text(encoding="utf-8").replace(old, new)
    source.write_text(text.replace('FORMAT="3.0" ', ""), encoding="utf-8")
    with pytest.raises((UsageError, AnnotationError), match=message):
        export(dataset, out=tmp_path / "out", into=[source])


def test_two_documents_of_one_recording(tmp_path: Path, dataset: Dataset) -> None:
    source = hers(tmp_path)
    twin = tmp_path / "twin.eaf"
    shutil.copy(source, twin)
    with pytest.raises(UsageError, match=r"are about the same recording.*one file for each"):
        export(dataset, out=tmp_path / "out", into=[source, twin])


def test_names_that_leave_the_folder_or_collide(tmp_path: Path, dataset: Dataset) -> None:
    rows = dataset.read("recordings", Recording)
    names = iter(["x.mp4", "x.mov"])
    dataset.write("recordings", [dataclasses.replace(r, source_file=next(names)) for r in rows])
    written = export(dataset, out=tmp_path / "out")
    assert sorted(w.path.name for w in written) == ["x.eaf", "x.mp4.eaf"]
    dataset.write("recordings", [dataclasses.replace(r, source_file="../x.mp4") for r in rows[:1]])
    with pytest.raises(RuntimeError, match="leads out of its media folder"):
        export(dataset, out=tmp_path / "out")


def test_a_label_that_xml_cannot_hold(tmp_path: Path, dataset: Dataset) -> None:
    rows = dataset.read("segments", Segment)
    dataset.write("segments", [dataclasses.replace(r, label="a\x0bb") for r in rows])
    with pytest.raises(AnnotationError, match=r"holds the character U\+000B, which no XML file"):
        export(dataset, out=tmp_path / "out")


# The commands


def test_the_export_command(tmp_path: Path, dataset: Dataset) -> None:
    source = hers(tmp_path)
    run = CliRunner().invoke(
        elan_app,
        ["export", str(dataset.root), "--into", str(source), "--prefix", "k-", "--format", "json"],
    )
    assert run.exit_code == 0, run.output
    rows = json.loads(run.stdout)
    assert [(Path(r["file"]).name, r["annotations"]) for r in rows] == [
        ("hers.eaf", 3),
        ("a.eaf", 3),
    ]
    found = eaf.read_document(dataset.root / "elan" / "s" / "a.eaf")
    (descriptor,) = found.root.all("MEDIA_DESCRIPTOR")
    assert (dataset.root / "elan" / "s" / descriptor.get("MEDIA_URL")).is_file()
    assert "k-gloss@s2" in found.tiers
    (dataset.root / "kslds.toml").unlink()
    source.unlink()
    again = CliRunner().invoke(elan_app, ["export", str(dataset.root), "--into", str(source)])
    assert again.exit_code == 1
    assert "there is no file or folder" in again.stderr


def test_findings_of_her_file_are_said_when_it_is_added_to(
    tmp_path: Path, dataset: Dataset
) -> None:
    source = hers(tmp_path)
    command = ["export", str(dataset.root), "--into", str(source), "--out", str(tmp_path / "out")]
    fine = CliRunner().invoke(elan_app, command)
    assert fine.exit_code == 0, fine.output
    assert "error" not in fine.stderr
    assert "warning" not in fine.stderr
    text = source.read_text(encoding="utf-8")
    text = text.replace('LINGUISTIC_TYPE_REF="', 'COLOUR="red" LINGUISTIC_TYPE_REF="un', 1)
    source.write_text(text.replace(' VERSION="3.0"', ""), "utf-8")
    said = CliRunner().invoke(elan_app, [*command, "--replace"])
    assert said.exit_code == 0, said.output
    words = " ".join(said.stderr.split())
    assert (
        f"{tmp_path / 'out' / 'hers.eaf'}, as {source} before it: error: tier 'Glosse li" in words
    )
    assert "warning: has what EAF 3.0 does not know" in words
    assert "attribute 'COLOUR' of TIER" in words
    assert "VERSION" not in words  # which the new file has
    ecv = '<EXTERNAL_REF EXT_REF_ID="e1" TYPE="ecv" VALUE="file:./v.ecv"/></ANNOTATION_DOCUMENT>'
    source.write_text(text.replace("</ANNOTATION_DOCUMENT>", ecv), encoding="utf-8")
    words = " ".join(CliRunner().invoke(elan_app, [*command, "--replace"]).stderr.split())
    assert (
        f"{tmp_path / 'out' / 'hers.eaf'}, as {source} before it: warning: the external v" in words
    )


def test_the_check_command(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    hers(folder)
    good = CliRunner().invoke(elan_app, ["check", str(folder)])
    assert good.exit_code == 0, good.output
    assert "Glosse links" in good.stdout
    (folder / "empty.eaf").write_bytes(b"")
    (folder / ".hidden.eaf").write_bytes(b"")
    bad = CliRunner().invoke(elan_app, ["check", str(folder), "--format", "json"])
    assert bad.exit_code == 1
    empty, fine = json.loads(bad.stdout)
    assert empty["findings"][0]["severity"] == "error"
    assert "is empty (0 bytes)" in empty["findings"][0]["message"]
    assert fine["tiers"] == {"Glosse links": 1, "note": 1}
    assert fine["participants"] == ["S9"]
    table = CliRunner().invoke(elan_app, ["check", str(folder)])
    assert "2 file(s)" in table.stdout
    assert table.exit_code == 1
    assert CliRunner().invoke(elan_app, ["check", str(tmp_path / "none")]).exit_code == 1


def test_files_are_found_once(tmp_path: Path) -> None:
    path = hers(tmp_path)
    assert files_in([path, tmp_path]) == [path]
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingFile, match=r"no \.eaf file was found"):
        files_in([tmp_path / "empty"])


# What is wrong with a file

GOOD = document(
    tier("gloss", "top", timed("a1", "a", "b", "x"), timed("a2", "b", "c", "y")),
    slots="a=0 b=10 c=20",
)


@pytest.mark.parametrize(
    ("old", "new", "severity", "message"),
    [
        ("", "", None, ""),
        ('TIME_VALUE="10"', "", None, ""),
        ('TIME_VALUE="20"', "", "error", "K120 a2: the time slot 'c' has no value"),
        ('TIME_VALUE="20"', 'TIME_VALUE="5"', "error", "no time between start and end: 'a2'"),
        ('"a2" TIME_SLOT_REF1="b"', '"a2" TIME_SLOT_REF1="a"', "warning", "overlap what is before: 'a2'"),
        ('"a2"', '"a1"', "error", "several annotations are called 'a1'"),
        ('REF2="c"', 'REF2="z"', "error", "time slots that are not there: 'z'"),
        ('TYPE_REF="top"', 'TYPE_REF="tip"', "error", "there is no linguistic type 'tip'"),
        ("<TIER ", '<TIER PARENT_REF="up" ', "error", "there is no parent tier 'up'"),
        ('CV_ID="phases"', 'CV_ID="p"', "error", "type 'phase': there is no vocabulary 'phases'"),
        ("<LANGUAGE ", "<NEWS/><LANGUAGE ", "warning",
         "what EAF 3.0 does not know, and what ELAN may lose: element 'NEWS' in ANNOTATION_DOC"),
        ("<TIER ", '<TIER COLOUR="red" ', "warning", "attribute 'COLOUR' of TIER"),
        ("<TIME_SLOT ", "<MARK/><TIME_SLOT ", "warning", "element 'MARK' in TIME_ORDER"),
        ("<ANNOTATION_VALUE>x", "<ANNOTATION_VALUE>y</ANNOTATION_VALUE><ANNOTATION_VALUE>x",
         "warning", "more than one ANNOTATION_VALUE in ALIGNABLE_ANNOTATION"),
        ("<ANNOTATION_VALUE>x</ANNOTATION_VALUE>", "", "warning",
         "lacks what EAF 3.0 asks for: element ANNOTATION_VALUE in ALIGNABLE_ANNOTATION"),
        ("<TIER ", '<TIER LANG_REF="zz" ', "warning", "refers to what is not there: LANG_REF 'zz'"),
        ("<TIER ", '<TIER EXT_REF="zz" ', "warning", "refers to what is not there: EXT_REF 'zz'"),
        ("<TIER ", '<TIER xml:lang="kk" ', "warning", "it could not be written back without loss"),
        ('VERSION="3.0"', 'VERSION="3.1"', "warning", "is EAF 3.1; kslds writes up to 3.0"),
        ('SLOT_ID="a"', 'SLOT_ID="7"', "warning", "not allow: TIME_SLOT_ID '7' of TIME_SLOT"),
        ('SLOT_ID="b"', 'SLOT_ID="a2"', "warning", "has ids that are not the only ones: 'a2' (2)"),
        ('VERSION="3.0"', "", "warning", "states no VERSION"),
        ("</ANNOTATION_DOC", '<EXTERNAL_REF EXT_REF_ID="e" TYPE="ecv" VALUE="https://x.org/a.ecv"/></ANNOTATION_DOC',
         "warning", "'https://x.org/a.ecv' is not beside the file; it is not fetched"),
        ("<MEDIA_DESCRIPTOR", "<X", "warning", "names no recording"),
        ('TIME_VALUE="10"', 'TIME_VALUE="9.5"', "warning", "whose value is no whole number: '9.5'"),
        ("<TIME_ORDER>", "<TIME_ORDER/><TIME_ORDER>", "warning", "more than one 'TIME_ORDER'"),
        ("</ANNOTATION_DOC", "", "error", "not well-formed XML"),
    ],
)  # fmt: skip
def test_findings(tmp_path: Path, old: str, new: str, severity: str | None, message: str) -> None:
    path = tmp_path / "f.eaf"
    path.write_text(GOOD.replace(old, new, 1) if old else GOOD, encoding="utf-8")
    found = [(f.severity, f.message) for f in check(path).findings]
    if severity is None:
        assert found == []
    else:
        assert any(kind == severity and message in text for kind, text in found), found


@needs_data
def test_the_real_files_are_checked() -> None:
    found = {c.path.name: c for c in map(check, files_in([DATA]))}
    assert {name for name, c in found.items() if c.num_errors} == {"readelan_example_empty.eaf"}
    assert found["pympi_sample_3.0.eaf"].num_annotations > 5000
    slan = check(DATA.parent / "slan" / "current_staticfiles__etfexport__project.eaf")
    assert "SLAN-tool" in slan.findings[0].message
