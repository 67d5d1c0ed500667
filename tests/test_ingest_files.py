"""Which files are found in folders, what is refused, and adapters from outside."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from kslds import clips, ingest
from kslds.errors import AnnotationError, KsldsError, MissingFile, RecipeError
from kslds.manifest import Dataset
from kslds.schema import Clip, Dropped, Issue, Recording, Segment, Signer
from tests.painting import record

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
HEADER = "recording,gloss,start,end,unit,signer\n"
EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-01-01T00:00:00+05:00" FORMAT="3.0" VERSION="3.0">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"/>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="a" TIME_VALUE="0"/><TIME_SLOT TIME_SLOT_ID="b" TIME_VALUE="200"/>
</TIME_ORDER>
<TIER LINGUISTIC_TYPE_REF="t" TIER_ID="gloss"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1"
 TIME_SLOT_REF1="a" TIME_SLOT_REF2="b"><ANNOTATION_VALUE>su</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION>
</ANNOTATION></TIER><LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="t" TIME_ALIGNABLE="true"/>
</ANNOTATION_DOCUMENT>"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("clip") / "a.mp4", num_frames=10, options=X264)


@pytest.fixture
def media(tmp_path: Path, clip: Path) -> Path:
    """A folder with the recording ``a.mp4`` of 10 frames."""
    folder = tmp_path / "media"
    folder.mkdir()
    shutil.copy(clip, folder / "a.mp4")
    return folder


def read(root: Path, rows: str = "", **options: object) -> Dataset:
    values: dict[str, object] = {"media": (str(root / "media"),)}
    if rows:
        (root / "annotations.csv").write_text(HEADER + rows, encoding="utf-8")
        values["annotations"] = (str(root / "annotations.csv"),)
    dataset = Dataset(root / "dataset", create=True)
    ingest.ingest(dataset, options=ingest.IngestOptions(**{**values, **options}))  # type: ignore[arg-type]
    return dataset


def drops(dataset: Dataset) -> dict[str, tuple[str, str]]:
    rows = dataset.read("dropped", Dropped)
    found = {row.key: (row.code, row.reason) for row in rows}
    assert len(found) == len(rows)
    return found


# --------------------------------------------------------------------------- links and folders


@pytest.mark.parametrize("pattern", ["media", "media/*", "media/**/*.mp4"])
def test_links_in_a_circle_are_dropped(tmp_path: Path, media: Path, pattern: str) -> None:
    (media / "b.mp4").symlink_to("c.mp4")
    (media / "c.mp4").symlink_to("b.mp4")
    (media / "self.mp4").symlink_to("self.mp4")
    dataset = read(tmp_path, media=(str(tmp_path / pattern),))
    circle = ("K104", "the link leads in a circle")
    assert drops(dataset) == {"b.mp4": circle, "c.mp4": circle, "self.mp4": circle}
    assert list(dataset.recordings.source_file) == ["a.mp4"]


def test_links_to_folders_are_not_followed(tmp_path: Path, media: Path, clip: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    shutil.copy(clip, outside / "b.mp4")
    (media / "out").symlink_to(outside)
    (media / "inner").mkdir()
    (media / "inner" / "up").symlink_to(media)
    (media / "again.mp4").symlink_to(media / "inner")
    dataset = read(tmp_path)
    assert drops(dataset) == {"out": ("K104", "the link to a folder leads out of the media folder")}
    assert list(dataset.recordings.source_file) == ["a.mp4"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser can list every folder")
def test_a_folder_that_cannot_be_listed_is_dropped(tmp_path: Path, media: Path) -> None:
    (media / "locked").mkdir()
    (media / "locked").chmod(0)
    try:
        dataset = read(tmp_path, annotations=(str(media),))
    finally:
        (media / "locked").chmod(0o700)
    rows = dataset.dropped
    assert sorted(zip(rows.stage, rows.key, rows.code, strict=True)) == [
        ("ingest-recordings", "locked", "K126"), ("ingest-segments", "locked", "K126"),
    ]  # fmt: skip
    assert list(dataset.recordings.source_file) == ["a.mp4"]


def test_a_folder_that_fails_to_be_listed_is_dropped(
    tmp_path: Path, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As above, for those who run the tests as the superuser."""
    (media / "locked").mkdir()
    real = os.scandir

    def scandir(path: str) -> object:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    dataset = read(tmp_path)
    monkeypatch.undo()
    assert drops(dataset) == {"locked": ("K126", "the folder cannot be listed: Permission denied")}


def test_a_pipe_is_no_recording(tmp_path: Path, media: Path) -> None:
    os.mkfifo(media / "b.mp4")
    assert drops(read(tmp_path)) == {"b.mp4": ("K107", "it is neither a file nor a folder")}


def test_what_kslds_wrote_is_not_read_again(tmp_path: Path, media: Path, clip: Path) -> None:
    (media / "annotations.csv").write_text(HEADER + "a.mp4,x,0,5,frame,s\n")
    for out in (media / "datasets" / "mine", media):  # below the folder, and the folder itself
        for pattern in ("", "**/*.csv"):
            dataset = Dataset(out, create=True)
            for name in ("reports/splits/signer.csv", "shards/x/y.csv"):
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                (out / name).write_text("signer_id,split\ns,train\n")
            (out / "clips").mkdir(exist_ok=True)
            (out / "clips" / "b.mp4").write_bytes(clip.read_bytes() + b"\0")
            (out / "kslds.toml").write_text("")
            options = ingest.IngestOptions(
                media=(str(media),),
                annotations=(os.path.join(media, pattern),),  # noqa: PTH118
            )
            ingest.ingest(dataset, options=options)
            assert list(dataset.recordings.source_file) == ["a.mp4"]
            assert list(dataset.segments.label) == ["x"]
            assert drops(dataset) == {}
        shutil.rmtree(media / "datasets", ignore_errors=True)


# --------------------------------------------------------------------------- names


def test_names_that_are_not_utf_8_are_dropped(tmp_path: Path, media: Path, clip: Path) -> None:
    for name in (b"\xff.mp4", b"\xfe.mp4", b"\xff.csv"):
        shutil.copy(clip, media / os.fsdecode(name))
    (media / "a.csv").write_text(HEADER + "a.mp4,x,0,5,frame,s\n\ufffd.mp4,x,0,5,frame,s\n")
    dataset = read(tmp_path, annotations=(str(media),))
    rows = dataset.dropped
    assert sorted(zip(rows.stage, rows.key, rows.code, strict=True)) == [
        ("ingest-recordings", "\ufffd.mp4", "K122"), ("ingest-recordings", "\ufffd.mp4", "K122"),
        ("ingest-segments", "a.csv:3", "K122"), ("ingest-segments", "\ufffd.csv", "K122"),
    ]  # fmt: skip
    assert list(dataset.segments.label) == ["x"]


def test_odd_names_are_found_as_they_are(tmp_path: Path, media: Path, clip: Path) -> None:
    for number, name in enumerate((" a.mp4", "b\\c.mp4", "c.mp4", " d.mp4")):
        (media / name).write_bytes(clip.read_bytes() + bytes(number + 1))
    rows = '" a.mp4",0,0,5,frame,s\na.mp4,1,0,5,frame,s\nb\\c.mp4,2,0,5,frame,s\nx\\c.mp4,3,0,5,frame,s\nd.mp4,4,0,5,frame,s\n'
    dataset = read(tmp_path, rows)
    names = dataset.recordings.set_index("recording_id").source_file
    found = dataset.segments.set_index("label").recording_id.map(names)
    assert drops(dataset) == {}
    assert [found[str(n)] for n in range(5)] == [
        " a.mp4", "a.mp4", "b\\c.mp4", "c.mp4", " d.mp4"
    ]  # fmt: skip


# --------------------------------------------------------------------------- damaged files


def test_a_damaged_elan_file_among_others_is_dropped(tmp_path: Path, media: Path) -> None:
    (media / "a.eaf").write_text(EAF)
    (media / "broken.eaf").write_text(EAF[:300])
    (media / "bomb.eaf").write_text('<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>')
    dataset = read(tmp_path, adapter="elan", annotations=(str(media),))
    found = drops(dataset)
    assert {name: code for name, (code, _) in found.items()} == {
        "broken.eaf": "K123", "bomb.eaf": "K123",
    }  # fmt: skip
    assert found["broken.eaf"][1].startswith("broken.eaf is not well-formed XML")
    assert list(dataset.segments.label) == ["su"]
    books = dataset.provenance["stages"]["ingest-segments"]
    assert (books["in"], books["out"], books["dropped"]) == (3, 1, 2)
    with pytest.raises(AnnotationError, match=r"broken\.eaf is not well-formed XML"):
        read(tmp_path, adapter="elan", annotations=(str(media / "broken.eaf"),))


def test_a_row_with_too_many_cells_is_dropped_and_its_place_said_once(
    tmp_path: Path, media: Path
) -> None:
    dataset = read(tmp_path, "a.mp4,x,0,5,frame,s\na.mp4,x,y,0,5,frame,s\na.mp4,x,0,,frame,s\n")
    assert drops(dataset) == {
        "annotations.csv:3": (
            "K124",
            "annotations.csv:3: 7 cells, but the header has 6; put quotation marks around a cell "
            "that holds the separator itself",
        ),
        "annotations.csv:4": (
            "K111", "annotations.csv:4: column 'end': is empty; expected a time in frame",
        ),
    }  # fmt: skip
    assert len(dataset.segments) == 1


# --------------------------------------------------------------------------- signers


def signers(root: Path, text: str | bytes) -> Dataset:
    path = root / "signers.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(root, "a.mp4,x,0,5,frame,s1\n", signers=str(path))


BAD_SIGNERS = {
    'signer_id,region,consent_withdrawn\ns1,"Astana,false\ns2,Almaty,true\n': "line 2: a quotation mark",
    'signer_id,region\ns1,"Astana\ns2,Almaty"\n': "line 2, column 'region': the cell has a line break",
    "signer_id,consent_withdrawn\ns1,false,true\n": "line 2: 3 cells, but the header has 2",
    "signer_id,consent_withdrawn\ns1\n": "line 2: 1 cells, but the header has 2",
    "signer_id,consent_withdrawn,consent_withdrawn\ns1,true,false\n": "several columns are named",
    "signer_id,withdrawn\ns1,true\n": "unknown column 'withdrawn'. Known columns: signer_id",
    "consent_withdrawn\ntrue\n": "no column 'signer_id'",
    "region\n": "no column 'signer_id'",
    "signer_id,region\ns1," + "x" * 140_000 + "\n": "starts on line 2 cannot be read",
    "signer_id,region\ns1,a\0b\n": "line 2: a NUL character",
    "signer_id,consent_withdrawn\ns1,maybe\n": "signers.csv:2, column 'consent_withdrawn': 'maybe'",
    "signer_id,consent_scope\ns1,public\n": "signers.csv:2, column 'consent_scope': 'public'",
    "signer_id,consent_date\ns1,15.01.2024\n": "column 'consent_date': '15.01.2024' is not a date",
    "signer_id,consent_date\ns1,2024-02-30\n": "'2024-02-30' is not a date",
    "signer_id,region\n,Astana\n": "signers.csv:2: the cell 'signer_id' is empty",
    "signer_id\ns1\nS1\n": "signers.csv:3: signer 's1' is listed twice, first on line 2",
    "": "is empty",
}  # fmt: skip


@pytest.mark.parametrize("text", BAD_SIGNERS, ids=range(len(BAD_SIGNERS)))
def test_any_defect_of_the_file_of_signers_stops(tmp_path: Path, media: Path, text: str) -> None:
    with pytest.raises(AnnotationError) as error:
        signers(tmp_path, text)
    assert BAD_SIGNERS[text] in str(error.value)
    assert "signers.csv" in str(error.value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_signers_as_a_spreadsheet_exports_them(tmp_path: Path, media: Path, encoding: str) -> None:
    text = (
        "signer_id;consent_date;consent_withdrawn;region\r\nS1;2024-01-15;NO;Алматы\r\ns2;;Yes;\r\n"
    )
    dataset = signers(tmp_path, text.encode(encoding))
    assert dataset.read("signers", Signer) == [
        Signer(signer_id="s1", consent_date="2024-01-15", region="Алматы"),
        Signer(signer_id="s2", consent_withdrawn=True),
    ]


# --------------------------------------------------------------------------- options, adapters


@pytest.mark.parametrize("key", ["media", "annotations", "signers"])
def test_an_empty_path_is_refused(key: str) -> None:
    values: dict[str, object] = {"media": ("m",), key: " " if key == "signers" else ("m", "")}
    with pytest.raises(RecipeError, match=rf"\[ingest\] {key} is empty"):
        ingest.IngestOptions(**values)  # type: ignore[arg-type]


def test_a_path_that_no_recipe_can_hold_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"\[ingest\] media: a path is not UTF-8"):
        ingest.IngestOptions(media=(os.fsdecode(b"m\xff"),))


ROW = "Annotation(source='x:1', recording='a', start='1', end='4', unit='frame', label='su'"
ADAPTERS = {
    "raise ValueError('no such thing')": (AnnotationError, "failed after 0 annotation(s): ValueError: no such thing"),
    f"yield {ROW})\n    1 / 0": (AnnotationError, "failed after 1 annotation(s): ZeroDivisionError"),
    "return None": (AnnotationError, "failed after 0 annotation(s): TypeError"),
    "yield {'recording': 'a'}": (AnnotationError, "annotation 1: expected an Annotation, found dict"),
    f"yield {ROW})\n    yield {ROW}, signer=5)": (AnnotationError, "annotation 2: signer = 5, expected text or None"),
    "yield Annotation(source='x', recording=None, start='1', end='2', unit='ms')":
        (AnnotationError, "recording = None, expected text"),
    "yield Annotation(source='x', recording='a', start=1, end=2, unit='ms')":
        (AnnotationError, "start = 1, expected text or None"),
    f"yield {ROW}, problem='bad')": (AnnotationError, "problem = 'bad', expected a code"),
    f"yield {ROW}, problem=('K999', 'bad'))": (AnnotationError, "problem = ('K999', 'bad'), expected a code"),
    f"yield {ROW}, notes=('K116', 'x'))": (AnnotationError, "notes = ('K116', 'x'), expected codes"),
    f"yield {ROW}, duration_ms='1')": (AnnotationError, "duration_ms = '1', expected a whole number"),
    "raise MissingFile('its own words')": (MissingFile, "its own words"),
}  # fmt: skip


@pytest.mark.parametrize("body", ADAPTERS, ids=range(len(ADAPTERS)))
def test_an_adapter_from_outside_is_told_what_is_wrong_with_it(
    tmp_path: Path, media: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    name = f"outside_{list(ADAPTERS).index(body)}"
    (tmp_path / f"{name}.py").write_text(
        "from kslds.corpora import Annotation\nfrom kslds.errors import MissingFile\n"
        f"def read(source):\n    {body}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    kind, message = ADAPTERS[body]
    with pytest.raises(kind) as error:
        read(tmp_path, "ignored", adapter=f"{name}:read")
    assert message in str(error.value)
    if kind is AnnotationError:
        assert f"the adapter '{name}:read'" in str(error.value)
        assert isinstance(error.value, KsldsError)
        assert "yields kslds.corpora.Annotation" in (error.value.hint or "")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (":x", "unknown adapter ':x'"),
        ("os:", "unknown adapter 'os:'"),
        ("os:sep", "'os:sep' is not a function"),
        (".os:sep", "cannot be imported: TypeError"),
        ("syntax_is_wrong:read", "cannot be imported: SyntaxError"),
    ],
)
def test_an_adapter_that_is_none_is_an_error_of_the_recipe(
    tmp_path: Path, media: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    (tmp_path / "syntax_is_wrong.py").write_text("def read(:\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(RecipeError) as error:
        read(tmp_path, "ignored", adapter=name)
    assert message in str(error.value)


def test_of_several_files_of_one_name_the_folders_decide(tmp_path: Path) -> None:
    media = tmp_path / "media"
    for folder, frames in (("a", 30), ("b", 40), ("b/c", 50)):
        (media / folder).mkdir(parents=True, exist_ok=True)
        record(media / folder / "v.mp4", num_frames=frames, options=("-c:v", "mpeg4"))
    table = tmp_path / "rows.csv"
    table.write_text(
        "recording,gloss,start,end\n../films/b/v.mp4,x,0,500\nv.mp4,y,0,500\n"
        "C:\\data\\b\\c\\v.mp4,z,0,500\n"
    )
    dataset = Dataset(tmp_path / "out", create=True)
    options = ingest.IngestOptions(media=(str(media),), annotations=(str(table),))
    ingest.ingest(dataset, options=options)
    names = {r.recording_id: r.source_file for r in dataset.read("recordings", Recording)}
    found = {s.label: names[s.recording_id] for s in dataset.read("segments", Segment)}
    assert found == {"x": "b/v.mp4", "z": "b/c/v.mp4"}
    assert list(dataset.dropped.code) == ["K121"]


def test_a_row_that_names_another_folder_means_no_file_of_the_same_name(tmp_path: Path) -> None:
    media = tmp_path / "media"
    (media / "s2" / "cat").mkdir(parents=True)
    record(media / "s2" / "cat" / "001.mp4", num_frames=30, options=("-c:v", "mpeg4"))
    table = tmp_path / "rows.csv"
    table.write_text(
        "recording,gloss,start,end\ns1/cat/001.mp4,x,0,500\ncat/001,y,0,500\n"
        f"{media}/s2/cat/001.mp4,z,0,500\n"
    )
    dataset = Dataset(tmp_path / "out", create=True)
    options = ingest.IngestOptions(media=(str(media),), annotations=(str(table),))
    ingest.ingest(dataset, options=options)
    assert sorted(str(s.label) for s in dataset.read("segments", Segment)) == ["y", "z"]
    assert list(dataset.dropped.code) == ["K103"]


@pytest.mark.parametrize("rate", [24, 25, 30, Fraction(30000, 1001)])
@pytest.mark.parametrize("made", [math.floor, math.ceil, round])
def test_however_times_were_rounded_the_frames_are_those_that_were_meant(
    tmp_path: Path, rate: Fraction, made: Callable[[Fraction], int]
) -> None:
    media = tmp_path / "media"
    media.mkdir()
    options = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
    record(media / "a.mp4", num_frames=90, rate=Fraction(rate), options=options)
    spans = [(k, k + 7) for k in range(1, 80)]
    lines = [f"a.mp4,x{a},{made(1000 * a / rate)},{made(1000 * b / rate)}" for a, b in spans]
    table = tmp_path / "rows.csv"
    table.write_text("recording,sentence,start,end\n" + "\n".join(lines))
    dataset = Dataset(tmp_path / "out", create=True)
    chosen = ingest.IngestOptions(media=(str(media),), annotations=(str(table),), rounding="any")
    ingest.ingest(dataset, options=chosen)
    clips.trim(dataset, options=clips.ClipOptions(), unknown="keep")
    got = sorted((c.first_frame, c.last_frame + 1) for c in dataset.read("clips", Clip))
    assert got == spans


def test_what_differs_only_by_signs_stays_apart_and_what_was_joined_is_said(
    tmp_path: Path,
) -> None:
    media = tmp_path / "media"
    media.mkdir()
    record(media / "a.mp4", num_frames=30, options=("-c:v", "mpeg4"))
    table = tmp_path / "rows.csv"
    table.write_text(
        "recording,gloss,start,end,signer,emotion\na.mp4,x,0,100,S1,+1\na.mp4,x,100,200,s1,-1\n"
        "a.mp4,x,200,300,s2,very sad\n"
    )
    dataset = Dataset(tmp_path / "out", create=True)
    options = ingest.IngestOptions(media=(str(media),), annotations=(str(table),))
    ingest.ingest(dataset, options=options)
    emotions = [s.emotion for s in dataset.read("segments", Segment)]
    assert len(set(emotions)) == 3
    assert "very_sad" in emotions
    assert list(dataset.issues[dataset.issues.code == "K134"].key) == ["s1"]


def test_one_signer_in_two_spellings_of_a_kazakh_name_is_one_signer(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    record(media / "a.mp4", num_frames=30, options=("-c:v", "mpeg4"))
    table = tmp_path / "rows.csv"
    table.write_text(
        "recording,gloss,start,end,signer\na.mp4,x,0,100,Айгүл С.\na.mp4,x,100,200,айгүл  с.\n"
        "a.mp4,x,200,300,Айгүл\n",
        encoding="utf-8",
    )
    dataset = Dataset(tmp_path / "out", create=True)
    options = ingest.IngestOptions(media=(str(media),), annotations=(str(table),))
    ingest.ingest(dataset, options=options)
    by_start = {s.start_ms: s.signer_id for s in dataset.read("segments", Segment)}
    first, second, other = by_start[0], by_start[100], by_start[200]
    assert first == second != other
    (issue,) = [i for i in dataset.read("issues", Issue) if i.code == "K134"]
    assert issue.key == first
    assert "as at rows.csv:2, rows.csv:3" in issue.message


def test_a_signer_whom_the_list_does_not_know_is_said_with_the_nearest(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    record(media / "a.mp4", num_frames=30, options=("-c:v", "mpeg4"))
    (tmp_path / "rows.csv").write_text("recording,gloss,start,end,signer\na.mp4,x,0,100,carl_1\n")
    (tmp_path / "signers.csv").write_text("signer_id,consent_scope\ncarla_1,research\n")
    dataset = Dataset(tmp_path / "out", create=True)
    options = ingest.IngestOptions(
        media=(str(media),),
        annotations=(str(tmp_path / "rows.csv"),),
        signers=str(tmp_path / "signers.csv"),
    )
    ingest.ingest(dataset, options=options)
    (message,) = dataset.issues[dataset.issues.code == "K136"].message
    assert message == "carl_1 is not in signers.csv (first at rows.csv:2); nearest: carla_1"
