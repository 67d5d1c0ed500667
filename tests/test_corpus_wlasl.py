"""WLASL: boundaries at 25 frames per second in videos of any rate, and lists that disagree."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from kslds import clips
from kslds.corpora import END, Annotation
from kslds.corpora.wlasl import youtube_id
from kslds.errors import AnnotationError, RecipeError
from kslds.schema import Clip
from tests.corpus_tools import DATA, codes, cut, dropped, rows, spans, write
from tests.painting import read_number, record
from tests.test_clips import frames_of

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the folder ../shared/data is absent")


def instance(video_id: str, start: int = 1, end: int = -1, **more: Any) -> dict[str, Any]:
    return {
        "bbox": [1, 2, 3, 4], "fps": 25, "frame_start": start, "frame_end": end,
        "signer_id": 7, "split": "train", "url": "https://example.org/a.mp4",
        "video_id": video_id, **more,
    }  # fmt: skip


TUBE = {"url": "https://www.youtube.com/watch?v=abcDEF-_123"}
WORDS = [
    {"gloss": "first", "instances": [
        instance("00335"),
        instance("00336", 26, 50, **TUBE, signer_id=-1, split="val"),
    ]},
    {"gloss": "second", "instances": [instance("00400", 5, 9, split="test")]},
]  # fmt: skip
SUBSET = {
    "00336": {"subset": "test", "action": [0, 26, 50]},
    "00400": {"subset": "test", "action": [1, 5, 9]},
    "99999": {"subset": "train", "action": [0, 1, 5]},
}
FILES = {"WLASL_v0.3.json": json.dumps(WORDS), "nslt_100.json": json.dumps(SUBSET)}


def test_instances_become_exact_milliseconds(tmp_path: Path) -> None:
    found = rows("wlasl", write(tmp_path, FILES))
    assert found[0] == Annotation(
        source="WLASL_v0.3.json:00335",
        recording="00335",
        start="0",
        end=END,
        unit="ms",
        start_column="frame_start",
        end_column="frame_end",
        label="first",
        signer="7",
        split="train",
    )
    tube, last = found[1:]
    # Frames 26 to 50 at 25 per second, the last included, are the second from 1.0 to 2.0.
    assert (tube.recording, tube.start, tube.end) == ("abcDEF-_123", "1000", "2000")
    assert (tube.signer, tube.split, tube.label) == (None, "val", "first")
    assert (last.start, last.end, last.recording) == ("160", "360", "00400")


def test_cut_clips_are_whole_files(tmp_path: Path) -> None:
    found = rows("wlasl", write(tmp_path, FILES), options={"videos": "clips"})
    assert [(row.recording, row.start, row.end) for row in found] == [
        ("00335", "0", END), ("00336", "0", END), ("00400", "0", END),
    ]  # fmt: skip


def test_a_subset_chooses_and_tells_the_side(tmp_path: Path) -> None:
    found = rows("wlasl", write(tmp_path, FILES), options={"subset": "100"})
    assert [(row.source, row.split) for row in found] == [
        ("WLASL_v0.3.json:00336", "test"), ("WLASL_v0.3.json:00400", "test"),
        ("nslt_100.json:99999", "train"),
    ]  # fmt: skip
    ((code, message),) = found[0].notes
    assert code == "K127"
    assert "'test' in nslt_100.json, which was followed, and 'val' here" in message
    assert found[1].notes == ()
    assert codes(found) == {"nslt_100.json:99999": "K127"}


def test_ids_of_a_subset_that_lost_their_zeros(tmp_path: Path) -> None:
    words = [{"gloss": "book", "instances": [instance("00335")]}]
    subset = {"335": {"subset": "val", "action": [0, 1, 50]}}
    files = write(
        tmp_path,
        {"WLASL_v0.3.json": json.dumps(words), "nslt_100.json": json.dumps(subset),
         "missing.txt": "335\n"},
    )  # fmt: skip
    (found,) = rows("wlasl", files, options={"subset": "100"})
    assert (found.recording, found.split) == ("00335", "val")
    assert found.problem is not None
    assert found.problem == ("K103", "'00335' is absent, and missing.txt lists '00335'")


def test_one_id_on_two_sides(tmp_path: Path) -> None:
    subset = {key: {"subset": side, "action": [0, 1, 50]}
              for key, side in (("335", "val"), ("00335", "test"))}  # fmt: skip
    files = write(tmp_path, {**FILES, "nslt_100.json": json.dumps(subset)})
    with pytest.raises(AnnotationError, match=r"'00335' twice.* 'val' and 'test'"):
        rows("wlasl", files, options={"subset": "100"})


def test_missing_videos_are_known_to_be_missing(tmp_path: Path) -> None:
    files = write(tmp_path, {**FILES, "missing.txt": "00335\r\n00400\r\n", "wlasl_class_list.txt": "0\tfirst\n"})  # fmt: skip
    found = rows("wlasl", files, media=("raw_videos/00400.mp4",))
    assert codes(found) == {"WLASL_v0.3.json:00335": "K103"}
    (problem,) = [row.problem for row in found if row.problem]
    assert problem[1] == "'00335' is absent, and missing.txt lists '00335'"


def test_bad_instances(tmp_path: Path) -> None:
    bad = [
        instance("00001", 0, 5), instance("00002", 1, 0), instance("00003", 1, 5, fps=30),
        instance("00004"), instance("00004"), instance(""), "text",
        instance("00005", url="https://www.youtube.com/"),
        {**instance("00006"), "frame_end": "x"}, {**instance("00007"), "frame_end": None},
        {**instance("335"), "video_id": 335},
    ]  # fmt: skip
    files = write(tmp_path, {"w.json": json.dumps([{"gloss": "x", "instances": bad}])})
    found = rows("wlasl", files)
    assert [row.problem[0] if row.problem else None for row in found] == [
        "K111", "K111", "K111", None, "K119", "K103", "K103", "K103", "K111", "K111", None,
    ]  # fmt: skip
    assert found[-1].recording == "00335"
    assert [row.source for row in found[5:7]] == [
        "w.json:[0].instances[5]",
        "w.json:[0].instances[6]",
    ]
    assert found[0].problem is not None
    assert "frames 0 to 5; expected numbers from 1" in found[0].problem[1]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    text = json.dumps(WORDS, ensure_ascii=False).replace("first", "бір").encode(encoding)
    assert rows("wlasl", write(tmp_path, {"w.json": text}))[0].label == "бір"


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    for name, adapter in (("WLASL_v0.3.json", "wlasl"), ("MSASL_val.json", "ms-asl")):
        with pytest.raises(AnnotationError, match=rf"{name} is empty; expected a JSON document"):
            rows(adapter, write(tmp_path, {name: "\n"}))
        with pytest.raises(AnnotationError, match="a NUL character") as raised:
            rows(adapter, write(tmp_path, {name: "[\0]"}))
        assert "CSV" not in str(raised.value)


def test_files_and_options_that_do_not_fit(tmp_path: Path) -> None:
    names = write(
        tmp_path,
        {**FILES, "m.json": '[{"org_text": "", "clean_text": "", "box": []}]', "bad.json": "[1,",
         "cut.json": '{"a": {"subset": "x"}}', "twice.json": '{"a": 1, "a": 2}', "notes.txt": "x"},
    )  # fmt: skip
    words, subset, other, bad, keys, twice, notes = names
    with pytest.raises(AnnotationError, match="looks like a file for adapter = 'ms-asl'"):
        rows("wlasl", [other])
    with pytest.raises(AnnotationError, match=r"bad.json is not JSON: .* at line 1"):
        rows("wlasl", [bad])
    with pytest.raises(AnnotationError, match="expected a list of objects with gloss"):
        rows("wlasl", [keys])
    with pytest.raises(AnnotationError, match="the key 'a' occurs twice"):
        rows("wlasl", [twice])
    with pytest.raises(AnnotationError, match=r"expected missing\.txt or JSON"):
        rows("wlasl", [notes])
    with pytest.raises(RecipeError, match=r"needs nslt_300\.json"):
        rows("wlasl", [words, subset], options={"subset": "300"})
    with pytest.raises(RecipeError, match="it holds the glosses"):
        rows("wlasl", [subset])
    with pytest.raises(RecipeError, match="'10' is not one of all, 100"):
        rows("wlasl", [words], options={"subset": "10"})


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("www.youtube.com/watch?v=a-b_c", "a-b_c"), ("https://youtu.be/xyz?t=3", "xyz"),
        ("http://www.youtube.com/embed/q1?x", "q1"), ("https://www.youtube.com/watch?t=1&v=Z", "Z"),
        ("https://www.youtube.com/", None), ("http://[", None), ("watch?v=../x", None), ("", None),
    ],
)  # fmt: skip
def test_ids_of_videos(url: str, key: str | None) -> None:
    assert youtube_id(url) == key


def test_from_files_to_frames(tmp_path: Path) -> None:
    """Seconds 1 to 2 and 0.16 to 0.36: at 30 frames per second, frames 30 to 59 and 5 to 10."""
    media = tmp_path / "media"
    media.mkdir()
    record(media / "abcDEF-_123.mp4", num_frames=70)
    record(media / "00400.mp4", num_frames=15)
    record(media / "00335.mp4", num_frames=8, rate=Fraction(30000, 1001))
    dataset = cut(tmp_path, "wlasl", write(tmp_path, FILES))
    assert spans(dataset) == {
        ("abcDEF-_123.mp4", 30, 59), ("00400.mp4", 5, 10), ("00335.mp4", 0, 7),
    }  # fmt: skip
    assert dropped(dataset) == set()


@pytest.mark.parametrize("rate", ["24000/1001", "15", "24", "25", "30000/1001", "48", "50", "60"])
def test_the_frames_that_are_cut_are_those_of_the_stated_time(tmp_path: Path, rate: str) -> None:
    """Frame n of the annotation shows from (n - 1) / 25 s on; the pictures say which they are."""
    media = tmp_path / "media"
    media.mkdir()
    fps = Fraction(rate)
    record(media / "00335.mp4", num_frames=90, rate=fps)
    bounds = {"first": (1, 1), "second": (8, 31), "third": (33, -1)}
    words = [
        {"gloss": gloss, "instances": [instance("00335", *frames)]}
        for gloss, frames in bounds.items()
    ]
    # One id each, as the collection has it; all are in one file here, as if it were from YouTube.
    for number, word in enumerate(words):
        word["instances"][0] |= {"video_id": f"0033{number}", "url": "https://youtu.be/00335"}
    files = write(tmp_path, {"WLASL_v0.3.json": json.dumps(words)})
    dataset = cut(tmp_path, "wlasl", files)
    clips.resize(
        dataset,
        media={"00335.mp4": media / "00335.mp4"},
        options=clips.ClipOptions(size=64, fit="stretch"),
    )
    shown = {}
    for clip in dataset.read("clips", Clip):
        shown[clip.gloss_id] = [read_number(frame) for frame in frames_of(dataset, clip.clip_id)]
    for gloss, (first, last) in bounds.items():
        start, end = 40 * (first - 1), 40 * last if last > 0 else 10**6
        assert shown[gloss] == [n for n in range(90) if start <= 1000 * n // fps < end], gloss


@needs_data
def test_the_published_excerpts() -> None:
    words, subset = DATA / "wlasl_v0.3.excerpt.json", DATA / "wlasl_nslt_100.excerpt.json"
    found = rows("wlasl", [words])
    assert len(found) == 72
    assert codes(found) == {}
    assert {row.label for row in found} >= {"book", "drink", "fine"}
    first, tenth, last = found[0], found[9], found[-1]
    assert (first.recording, first.start, first.end, first.signer) == ("69241", "0", END, "118")
    assert (tenth.label, last.label) == ("drink", "fine")
    known = {row.source.rpartition(":")[2]: row for row in found}
    cut_row = known["70212"]
    assert (cut_row.recording, cut_row.start, cut_row.end) == ("hjS0dQDgbjo", "85960", "89960")
    chosen = rows("wlasl", [words, subset], options={"subset": "100"})
    assert len(chosen) == 60  # the two excerpts have no id in common
    assert set(codes(chosen).values()) == {"K127"}
