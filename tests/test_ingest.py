"""What is read from recordings and annotations, and what bad input gets."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from kslds import ingest
from kslds.errors import AnnotationError, MissingFile, RecipeError
from kslds.manifest import Dataset
from kslds.schema import Recording, Segment
from tests.painting import ffmpeg, record

X264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p")


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    return folder


def read(root: Path, rows: str = "", **options: object) -> Dataset:
    """Ingest `root`/media with annotation rows ``recording,gloss,start,end,unit,signer``."""
    values: dict[str, object] = {"media": (str(root / "media"),)}
    if rows:
        table = root / "annotations.csv"
        table.write_text("recording,gloss,start,end,unit,signer\n" + rows, encoding="utf-8")
        values["annotations"] = (str(table),)
    dataset = Dataset(root / "dataset", create=True)
    ingest.ingest(dataset, options=ingest.IngestOptions(**{**values, **options}))  # type: ignore[arg-type]
    return dataset


def drops(dataset: Dataset) -> dict[str, tuple[str, str]]:
    return {r.key: (r.code, r.reason) for r in dataset.dropped.itertuples()}


def test_a_recording_is_described(tmp_path: Path, media: Path) -> None:
    sound = ("-f", "lavfi", "-i", "sine=duration=1")
    record(media / "a.mp4", num_frames=30, options=(*X264, "-c:a", "aac"), inputs=sound)
    (row,) = read(tmp_path).read("recordings", Recording)
    assert row.recording_id == f"rec_{row.content_sha256[:12]}"
    assert (row.codec, row.width, row.height, row.num_frames) == ("h264", 320, 240, 30)
    assert (row.avg_fps_num, row.avg_fps_den, row.is_vfr) == (30, 1, False)
    assert row.has_audio
    assert row.end_ms == 1000
    assert row.size_bytes == (media / "a.mp4").stat().st_size


def test_adding_files_reads_only_them(
    tmp_path: Path, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(media / "a.mp4", num_frames=10, options=X264)
    read(tmp_path)
    record(media / "b.mp4", num_frames=12, options=X264)
    probed = []
    real = ingest.probe
    monkeypatch.setattr(ingest, "probe", lambda path: (probed.append(path.name), real(path))[1])
    dataset = read(tmp_path)
    assert probed == ["b.mp4"]
    assert sorted(dataset.recordings.source_file) == ["a.mp4", "b.mp4"]


def test_the_same_bytes_under_two_names_are_one_recording(tmp_path: Path, media: Path) -> None:
    record(media / "a.mp4", num_frames=10, options=X264)
    (media / "copy.mp4").write_bytes((media / "a.mp4").read_bytes())
    dataset = read(tmp_path, "copy.mp4,x,0,5,frame,s\na.mp4,y,5,9,frame,s\n")
    assert len(dataset.recordings) == 1
    assert drops(dataset) == {"copy.mp4": ("K105", "the same bytes as a.mp4")}
    assert dataset.segments.recording_id.nunique() == 1
    assert "copy.mp4 holds the same bytes as a.mp4" in set(dataset.issues.message)
    books = dataset.provenance["stages"]["ingest-recordings"]
    assert (books["in"], books["out"], books["dropped"]) == (2, 1, 1)


def test_capture_facts_are_reported_and_not_carried_on(tmp_path: Path, media: Path) -> None:
    tags = ("-metadata", "location=+51.1282+071.4307/", "-metadata", "creation_time=2024-05-06T07:08:09Z",
            "-metadata", "com.apple.quicktime.make=ExamplePhone", "-movflags", "use_metadata_tags")  # fmt: skip
    record(media / "a.mov", num_frames=10, options=(*X264, *tags))
    dataset = read(tmp_path, "a.mov,x,0,5,frame,s\n")
    (facts,) = json.loads((dataset.root / "reports" / "capture.json").read_text()).values()
    assert facts["location"] == "+51.1282+071.4307/"
    assert facts["device"] == "ExamplePhone"
    assert facts["date"].startswith("2024-05-06")
    assert "K110" in set(dataset.issues.code)
    for table in (dataset.root / "tables").rglob("*.parquet"):
        data = table.read_bytes()
        assert b"51.1282" not in data
        assert b"ExamplePhone" not in data


def test_tags_may_be_in_any_encoding(tmp_path: Path, media: Path) -> None:
    make = os.fsdecode("Камера".encode("cp1251"))
    tags = ("-metadata", f"com.apple.quicktime.make={make}", "-movflags", "use_metadata_tags")
    record(media / "a.mov", num_frames=10, options=(*X264, *tags))
    dataset = read(tmp_path, "a.mov,x,0,5,frame,s\n")
    (facts,) = json.loads((dataset.root / "reports" / "capture.json").read_text()).values()
    assert facts["device"] == "\ufffd" * 6


def test_the_four_units_mean_the_same_frames(tmp_path: Path, media: Path) -> None:
    record(media / "a.mp4", num_frames=90, options=X264)
    rows = (
        "a.mp4,f,30,60,frame,s\na.mp4,m,1000,2000,ms,s\na.mp4,s,1.0,2,s,s\n"
        'a.mp4,t,00:00:01.000,00:00:02.000,timecode,s\na.mp4,c,"1,0","2,0",s,s\n'
    )
    dataset = read(tmp_path, rows)
    assert {(s.start_ms, s.end_ms) for s in dataset.read("segments", Segment)} == {(1000, 2000)}
    assert set(dataset.issues.code) == {"K116"}


BAD_ROWS = {
    "a.mp4,x,abc,5,frame,s": (
        "K111",
        "column 'start': 'abc' is not a time in frame; expected a frame number",
    ),
    "a.mp4,x,1,nan,ms,s": (
        "K111",
        "column 'end': 'nan' is not a time in ms; expected milliseconds",
    ),
    "a.mp4,x,5,2,frame,s": ("K112", "the end (2) is before the start (5)"),
    "a.mp4,x,5,5,frame,s": ("K113", "start and end are both 5"),
    "a.mp4,x,5,12,frame,s": ("K114", "[5, 12) frame: the recording ends at 10"),
    "a.mp4,x,-2,5,frame,s": ("K114", "[-2, 5) frame"),
    "a.mp4,x,-90,200,ms,s": ("K114", "[-90, 200) ms: the recording starts at 0"),
    "a.mp4,x,0,900,ms,s": ("K114", "[0, 900) ms: the recording ends at 333"),
    "gone.mp4,x,0,5,frame,s": ("K103", "'gone.mp4' is not among the 1 file(s) of the media folder"),
    "A 00.mp4,x,0,5,frame,s": ("K103", "media folder"),
    "A_.mp4,x,0,5,frame,s": ("K103", "media folder; nearest: 'a.mp4'"),
    "../a.mp4x,x,0,5,frame,s": ("K103", "is not among"),
    "a.mp4,,0,5,frame,s": ("K118", "neither a label nor a sentence"),
    "a.mp4,x,,5,frame,s": ("K111", "start"),
    "a.mp4,x,0,5,weeks,s": ("K111", "'weeks'"),
}


@pytest.mark.parametrize("row", BAD_ROWS)
def test_a_bad_row_is_dropped_with_its_place_and_reason(
    tmp_path: Path, media: Path, row: str
) -> None:
    record(media / "a.mp4", num_frames=10, options=X264)
    dataset = read(tmp_path, f"a.mp4,good,0,9,frame,s\n{row}\n")
    code, reason = drops(dataset)["annotations.csv:3"]
    assert code == BAD_ROWS[row][0]
    assert "annotations.csv:3" in reason
    assert BAD_ROWS[row][1] in reason
    books = dataset.provenance["stages"]["ingest-segments"]
    assert (books["in"], books["out"], books["dropped"]) == (2, 1, 1)


@pytest.mark.parametrize(
    ("row", "span"), [("a.mp4,x,5,11,frame,s", (166, 333)), ("a.mp4,x,-1,5,frame,s", (0, 166)),
                      ("a.mp4,x,100,360,ms,s", (100, 333))],
)  # fmt: skip
def test_up_to_one_frame_outside_is_clipped_and_said(
    tmp_path: Path, media: Path, row: str, span: tuple[int, int]
) -> None:
    record(media / "a.mp4", num_frames=10, options=X264)
    dataset = read(tmp_path, row + "\n")
    (segment,) = dataset.read("segments", Segment)
    assert (segment.start_ms, segment.end_ms) == span
    assert set(dataset.issues.code) == {"K115"}


def test_a_row_twice_is_one_segment(tmp_path: Path, media: Path) -> None:
    record(media / "a.mp4", num_frames=10, options=X264)
    dataset = read(tmp_path, "a.mp4,x,0,9,frame,s\na.mp4,x,0,9,frame,s\na.mp4,y,0,9,frame,s\n")
    assert len(dataset.segments) == 2
    assert drops(dataset)["annotations.csv:3"][0] == "K119"


def test_files_that_are_no_recordings(tmp_path: Path, media: Path) -> None:
    record(media / "good.mp4", num_frames=10, options=X264)
    (media / "empty.mp4").write_bytes(b"")
    (media / "notes.mp4").write_text("Аннотации — см. таблицу\n" * 50, encoding="utf-8")
    (media / "noise.mp4").write_bytes(bytes(range(256)) * 40)
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac", media / "sound.mp4")
    secret = tmp_path / "secret.mp4"
    record(secret, num_frames=10, options=X264)
    (media / "list.mp4").write_text(f"#EXTM3U\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n")
    (media / "cat.mp4").write_text(f"ffconcat version 1.0\nfile '{secret}'\n")
    (media / "out.mp4").symlink_to(secret)
    (media / "nowhere.mp4").symlink_to(media / "missing.mp4")
    dataset = read(tmp_path, "list.mp4,x,0,5,frame,s\ngood.mp4,x,0,5,frame,s\n")
    codes = {name: code for name, (code, _) in drops(dataset).items()}
    assert codes == {
        "empty.mp4": "K106", "notes.mp4": "K107", "noise.mp4": "K101", "sound.mp4": "K102",
        "list.mp4": "K107", "cat.mp4": "K107", "out.mp4": "K104", "nowhere.mp4": "K104",
        "annotations.csv:2": "K107",
    }  # fmt: skip
    assert list(dataset.recordings.source_file) == ["good.mp4"]


def test_a_playlist_with_a_binary_start_is_not_followed(tmp_path: Path, media: Path) -> None:
    """Even past the look at the first bytes, ffmpeg is not allowed the playlist's demuxer."""
    secret = tmp_path / "secret.ts"
    record(secret, num_frames=10, options=X264)
    (media / "list.m2ts").write_bytes(
        b"#EXTM3U\n#\x01\n#EXTINF:1,\n" + str(secret).encode() + b"\n"
    )
    dataset = read(tmp_path)
    assert drops(dataset)["list.m2ts"][0] == "K101"
    assert dataset.recordings.empty


def test_a_one_frame_video_is_a_recording(tmp_path: Path, media: Path) -> None:
    record(media / "one.mp4", num_frames=1, options=X264)
    dataset = read(tmp_path, "one.mp4,x,0,1,frame,s\n")
    (row,) = dataset.read("recordings", Recording)
    assert row.num_frames == 1
    (segment,) = dataset.read("segments", Segment)
    assert segment.start_ms == 0
    assert segment.end_ms == row.end_ms > 0


def test_names_are_found_by_path_name_and_stem(tmp_path: Path, media: Path) -> None:
    (media / "day1").mkdir()
    (media / "day2").mkdir()
    record(media / "day1" / "a.mp4", num_frames=10, options=X264)
    record(media / "day2" / "a.mp4", num_frames=11, options=X264)
    record(media / "day2" / "Ә.mp4", num_frames=12, options=X264)
    rows = "day1/a.mp4,x,0,5,frame,s\na.mp4,x,0,5,frame,s\n\u04d8,x,0,5,frame,s\nday2\\a.mp4,x,0,5,frame,s\n"
    dataset = read(tmp_path, rows)
    assert {k: c for k, (c, _) in drops(dataset).items()} == {"annotations.csv:3": "K121"}
    assert "day1/a.mp4 or day2/a.mp4" in drops(dataset)["annotations.csv:3"][1]
    assert len(dataset.segments) == 3


def test_names_of_people_do_not_become_keys(tmp_path: Path, media: Path) -> None:
    record(media / "a.mp4", num_frames=10, options=X264)
    dataset = read(tmp_path, "a.mp4,x,0,5,frame,Айгерім Н.\na.mp4,y,5,9,frame,Subject 07\n")
    names = sorted(dataset.signers.signer_id)
    assert names[1] == "subject_07"
    assert names[0].startswith("signer_")
    assert names[0].isascii()


def test_missing_folders_files_and_columns_are_named(tmp_path: Path, media: Path) -> None:
    with pytest.raises(MissingFile, match="no recording was found"):
        read(tmp_path)
    record(media / "a.mp4", num_frames=10, options=X264)
    with pytest.raises(MissingFile, match="nosuch"):
        read(tmp_path, media=(str(tmp_path / "nosuch"),))
    with pytest.raises(MissingFile, match=r"signers\.csv"):
        read(tmp_path, signers=str(tmp_path / "signers.csv"))
    with pytest.raises(RecipeError, match="unknown adapter 'tabel'"):
        read(tmp_path, "a.mp4,x,0,5,frame,s\n", adapter="tabel")
    with pytest.raises(RecipeError, match="cannot be imported"):
        read(tmp_path, "a.mp4,x,0,5,frame,s\n", adapter="no.such:thing")
    with pytest.raises(AnnotationError, match="Label"):
        read(tmp_path, "a.mp4,x,0,5,frame,s\n", columns={"gloss": "Label"})
    (tmp_path / "signers.csv").write_text("signer_id,consent_scope\ns,everything\n")
    with pytest.raises(AnnotationError, match=r"signers\.csv:2, column 'consent_scope'"):
        read(tmp_path, signers=str(tmp_path / "signers.csv"))


def test_segments_of_a_signer_who_withdrew_are_dropped(tmp_path: Path, media: Path) -> None:
    record(media / "a.mp4", num_frames=10, options=X264)
    (tmp_path / "signers.csv").write_text(
        "signer_id,consent_scope,consent_withdrawn\ns1,publication,true\ns2,publication,false\n"
    )
    dataset = read(
        tmp_path,
        "a.mp4,x,0,5,frame,s1\na.mp4,x,5,9,frame,s2\n",
        signers=str(tmp_path / "signers.csv"),
    )
    assert list(dataset.segments.signer_id) == ["s2"]
    assert drops(dataset)["annotations.csv:2"][0] == "K324"


def test_a_folder_of_annotations_is_read_by_the_adapter_s_ending(
    tmp_path: Path, media: Path
) -> None:
    record(media / "a.mp4", num_frames=10, options=X264)
    (media / "a.csv").write_text("recording,gloss,start,end\na.mp4,x,0,200\n")
    (media / "a.pfsx").write_text("<preferences/>")
    dataset = read(tmp_path, annotations=(str(media),))
    assert list(dataset.segments.label) == ["x"]


def test_emotions_become_readable_keys(tmp_path: Path, media: Path) -> None:
    record(media / "a.mp4", num_frames=10, options=X264)
    (tmp_path / "e.csv").write_text(
        "recording,gloss,start,end,emotion\na.mp4,x,0,200,Грусть\n", encoding="utf-8"
    )
    dataset = read(tmp_path, annotations=(str(tmp_path / "e.csv"),))
    assert list(dataset.segments.emotion) == ["grust"]


def test_a_custom_adapter_is_called(
    tmp_path: Path, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(media / "a.mp4", num_frames=10, options=X264)
    (tmp_path / "my_adapter.py").write_text(
        "from kslds.corpora import Annotation\n"
        "def read(source):\n"
        "    yield Annotation(source='x:1', recording='a', start='1', end='4', unit='frame', label='su')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    dataset = read(tmp_path, "ignored", adapter="my_adapter:read")
    assert list(dataset.segments.label) == ["su"]


def test_a_transport_stream_with_sound_starts_where_players_start(
    tmp_path: Path, media: Path
) -> None:
    """Sound leads by half a second: zero is where the sound begins."""
    tone = ("-f", "lavfi", "-i", "sine=duration=2")
    path = record(tmp_path / "flat.mp4", num_frames=30, options=(*X264, "-c:a", "aac"), inputs=tone)
    ffmpeg("-itsoffset", "0.5", "-i", path, "-i", path, "-map", "0:v", "-map", "1:a", "-c", "copy",
           media / "late.mkv")  # fmt: skip
    dataset = read(tmp_path, "late.mkv,x,500,600,ms,s\n")
    (row,) = dataset.read("recordings", Recording)
    assert 1490 <= row.end_ms <= 1510
    assert os.path.getsize(media / "late.mkv") == row.size_bytes  # noqa: PTH202


def test_a_signer_listed_twice_cannot_undo_a_withdrawal(tmp_path: Path, media: Path) -> None:
    record(media / "a.mp4", num_frames=10, options=X264)
    (tmp_path / "signers.csv").write_text(
        "signer_id,consent_scope,consent_withdrawn\nS 1,publication,true\ns_1,publication,false\n"
    )
    with pytest.raises(AnnotationError, match=r"signers\.csv:3: signer 's_1' is listed twice"):
        read(tmp_path, "a.mp4,x,0,5,frame,s_1\n", signers=str(tmp_path / "signers.csv"))
