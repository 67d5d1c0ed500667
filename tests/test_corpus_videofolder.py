"""Folders of classes, with and without sides and metadata."""

from __future__ import annotations

from pathlib import Path

import pytest

from kslds.corpora import END, Annotation
from kslds.errors import AnnotationError, RecipeError
from tests.corpus_tools import codes, cut, dropped, rows, spans, write
from tests.painting import record


def labels(*media: str, **values: object) -> list[tuple[str | None, str | None]]:
    return [(row.split, row.label) for row in rows("videofolder", (), media=media, **values)]


def test_a_class_folder_is_the_label() -> None:
    assert rows("videofolder", (), media=("әке/1.mp4",)) == [
        Annotation(
            source="әке/1.mp4:1",
            recording="әке/1.mp4",
            start="0",
            end=END,
            unit="ms",
            label="әке",
        )
    ]


def test_sides_are_told_from_classes() -> None:
    assert labels("test/a/1.mp4", "train/b/2.mp4", "x/3.mp4") == [
        ("test", "a"), ("train", "b"), (None, "x"),
    ]  # fmt: skip
    assert labels("part1/a/1.mp4", options={"layout": "split"}) == [("part1", "a")]
    assert labels("test/1.mp4", options={"layout": "class"}) == [(None, "test")]


def test_files_outside_a_class_are_named() -> None:
    found = rows("videofolder", (), media=("1.mp4", "train/2.mp4"))
    assert codes(found) == {"1.mp4:1": "K118", "train/2.mp4:1": "K118"}


CSV = "file_name,label,signer_id,emotion,start_ms,split\na.mp4,бір,s1,happy,120,x\nb.mp4,екі,s2,,0,x\n"
JSON = '{"file_name": "a.mp4", "gloss": "бір", "signer": "s1", "emotion": "happy"}\n{"file_name": "b.mp4", "gloss": "екі", "signer": "s2"}\n'  # fmt: skip


@pytest.mark.parametrize(("name", "text"), [("metadata.csv", CSV), ("metadata.jsonl", JSON)])
def test_metadata_beside_the_clips(tmp_path: Path, name: str, text: str) -> None:
    files = write(tmp_path, {f"out/train/{name}": text})
    media = ("test/b.mp4", "train/a.mp4", "train/b.mp4", "train/c/d.mp4")
    found = rows("videofolder", files, media=media)
    shown = [(r.recording, r.split, r.label, r.signer, r.emotion, r.start, r.end) for r in found]
    assert shown == [
        ("test/b.mp4", "test", None, None, None, "0", END),
        ("train/a.mp4", "train", "бір", "s1", "happy", "0", END),
        ("train/b.mp4", "train", "екі", "s2", None, "0", END),
        ("train/c/d.mp4", "train", "c", None, None, "0", END),
    ]
    assert codes(found) == {"test/b.mp4:1": "K118"}


def test_metadata_may_bound_and_be_mapped(tmp_path: Path) -> None:
    text = "file_name;слово;start;end;unit\nx/a.mp4;бір;3;6;frames\nx/a.mp4;екі;6;;frames\n"
    files = write(tmp_path, {"metadata.csv": text})
    found = rows("videofolder", files, media=("x/a.mp4",), columns={"gloss": "слово"})
    assert [(r.label, r.start, r.end, r.unit) for r in found] == [
        ("бір", "3", "6", "frame"), ("екі", "6", END, "frame"),
    ]  # fmt: skip


def test_metadata_names_files_that_are_not_there(tmp_path: Path) -> None:
    files = write(tmp_path, {"metadata.csv": "file_name,label\ngone.mp4,x\n,y\n"})
    found = rows("videofolder", files, media=("a/1.mp4",))
    assert [(r.recording, r.label) for r in found if not r.problem] == [
        ("a/1.mp4", "a"), ("gone.mp4", "x"),
    ]  # fmt: skip
    assert codes(found) == {"metadata.csv:3": "K103"}


def test_nested_values_are_bad_rows(tmp_path: Path) -> None:
    text = (
        '{"file_name": "a.mp4", "label": "x"}\n{"file_name": "b.mp4", "label": ["x"]}\nnot json\n'
    )
    found = rows("videofolder", write(tmp_path, {"m.jsonl": text}), media=("a.mp4",))
    assert codes(found) == {"m.jsonl:2": "K124", "m.jsonl:3": "K124"}


def test_a_sentence_is_not_labelled_by_its_folder(tmp_path: Path) -> None:
    files = write(tmp_path, {"metadata.csv": "file_name,sentence\nday1/a.mp4,МЕН КЕЛДІМ\n"})
    (row,) = rows("videofolder", files, media=("day1/a.mp4",))
    assert (row.label, row.sentence, row.problem) == (None, "МЕН КЕЛДІМ", None)


def test_files_and_options_that_do_not_fit(tmp_path: Path) -> None:
    other, good = write(
        tmp_path, {"o.csv": "attachment_id,user_id\n1,2\n", "g.csv": "file_name,label\na,b\n"}
    )
    with pytest.raises(AnnotationError, match="looks like a file for adapter = 'slovo'"):
        rows("videofolder", [other])
    with pytest.raises(AnnotationError, match="expected a column 'слово'"):
        rows("videofolder", [good], columns={"gloss": "слово"})
    with pytest.raises(RecipeError, match="unknown field 'word'"):
        rows("videofolder", [good], columns={"word": "label"})
    with pytest.raises(RecipeError, match="'deep' is not one of auto, class, split"):
        rows("videofolder", [good], options={"layout": "deep"})


def test_from_files_to_frames(tmp_path: Path) -> None:
    for name, frames in (("train/a/1.mp4", 12), ("test/a/2.mp4", 13), ("3.mp4", 14)):
        (tmp_path / "media" / name).parent.mkdir(parents=True, exist_ok=True)
        record(tmp_path / "media" / name, num_frames=frames)
    dataset = cut(tmp_path, "videofolder", ())
    assert spans(dataset) == {("train/a/1.mp4", 0, 11), ("test/a/2.mp4", 0, 12)}
    assert dropped(dataset) == {"K118"}
    assert sorted(dataset.segments.published_split) == ["test", "train"]


def test_a_header_alone_says_nothing_of_any_file(tmp_path: Path) -> None:
    files = write(tmp_path, {"metadata.csv": "file_name,gloss\n"})
    (row,) = rows("videofolder", files, media=("su/a.mp4",))
    assert (row.label, row.problem) == ("su", None)
