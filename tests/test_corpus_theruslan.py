"""TheRuSLan: a table of the user's own, or names of files taken apart as the user says."""

from __future__ import annotations

from pathlib import Path

import pytest

from kslds import recipe
from kslds.corpora import END
from kslds.errors import AnnotationError, RecipeError
from tests.corpus_tools import cut, rows, spans, write
from tests.painting import record

COLUMNS = {"recording": "file", "gloss": "sign"}
TEXT = "file,sign,start,end,unit,signer\na.mp4,сүт,5,9,frame,S01\na.mp4,нан,0.5,0.6,s,S01\n"


def test_rows_are_read_as_the_recipe_maps_them(tmp_path: Path) -> None:
    found = rows("theruslan", write(tmp_path, {"a.csv": TEXT}), columns=COLUMNS, unit="s")
    assert [(r.recording, r.label, r.start, r.end, r.unit, r.signer) for r in found] == [
        ("a.mp4", "сүт", "5", "9", "frame", "S01"),
        ("a.mp4", "нан", "0.5", "0.6", "s", "S01"),
    ]


def test_the_heading_in_the_recipe_is_what_it_maps(tmp_path: Path) -> None:
    made = recipe.read("theruslan").ingest
    assert made is not None
    heading = "file,sign,start,end,unit,signer,session\n"
    files = write(tmp_path, {"a.csv": heading + "a.avi,x,0,1,s,S01,1\n"})
    (row,) = rows("theruslan", files, columns=made.columns, unit=made.unit)
    assert (row.session, row.signer) == ("1", "S01")


def test_what_does_not_fit(tmp_path: Path) -> None:
    files = write(tmp_path, {"a.csv": "x,y\n1,2\n"})
    with pytest.raises(AnnotationError, match="has no column 'file'"):
        rows("theruslan", files, columns=COLUMNS)
    with pytest.raises(RecipeError, match="has no option 'subset'"):
        rows("theruslan", files, options={"subset": "1"})


MEDIA = (
    "S01/bread_1_color.mp4", "S01/bread_1_depth.mp4", "S01/hot_dog_2_color.mp4",
    "S02/bread_1_color.mp4", "readme/x.mp4",
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("{signer}/{gloss}_1_color",
         [("S01", "bread", None), ("S02", "bread", None)]),
        ("{signer}/{gloss}_{repetition}_color.mp4",
         [("S01", "bread", None), ("S02", "bread", None)]),  # hot_dog has the mark in it
        ("{signer}/hot_{gloss}_*", [("S01", "dog", None)]),
        ("{session}/{gloss}_{signer}_depth", [("1", "bread", "S01")]),
        ("{signer}/{gloss}",
         [("S01", "bread_1_color", None), ("S01", "bread_1_depth", None),
          ("S01", "hot_dog_2_color", None), ("S02", "bread_1_color", None),
          ("readme", "x", None)]),
    ],
)  # fmt: skip
def test_names_are_taken_apart_as_the_recipe_says(
    name: str, found: list[tuple[str, str, str | None]]
) -> None:
    read = rows("theruslan", [], media=MEDIA, options={"name": name})
    assert [(r.signer, r.label, r.session) for r in read] == found
    assert {(r.start, r.end, r.problem) for r in read} == {("0", END, None)}


@pytest.mark.parametrize(
    "name",
    ["{gloss}", "{signer}{gloss}", "{signer}/{signer}_{gloss}", "{signer}/{sign}", "{signer}*/{gloss}",
     "{signer/{gloss}"],
)  # fmt: skip
def test_a_name_that_cannot_be_taken_apart_is_refused(name: str) -> None:
    with pytest.raises(RecipeError, match=r"has to be made of \{signer\} and \{gloss\}"):
        rows("theruslan", [], media=MEDIA, options={"name": name})


def test_a_table_or_names_and_not_both(tmp_path: Path) -> None:
    name = {"name": "{signer}/{gloss}_{repetition}"}
    with pytest.raises(RecipeError, match=r"needs either annotations.*it has neither"):
        rows("theruslan", [], media=MEDIA)
    with pytest.raises(RecipeError, match="it has both"):
        rows("theruslan", write(tmp_path, {"a.csv": TEXT}), media=MEDIA, options=name)
    with pytest.raises(AnnotationError, match=r"none of the 1 media files, such as 'x.mp4', is"):
        rows("theruslan", [], media=("x.mp4",), options=name)


def test_files_that_are_examples_are_whole_clips(tmp_path: Path) -> None:
    for path, frames in (("S01/bread_1.mp4", 20), ("S02/bread_1.mp4", 21), ("S02/notes.mp4", 9)):
        (tmp_path / "media" / path).parent.mkdir(parents=True, exist_ok=True)
        record(tmp_path / "media" / path, num_frames=frames)
    options = {"name": "{signer}/{gloss}_{repetition}"}
    dataset = cut(tmp_path, "theruslan", [], options=options)
    assert spans(dataset) == {("S01/bread_1.mp4", 0, 19), ("S02/bread_1.mp4", 0, 20)}
    assert set(dataset.segments.signer_id) == {"s01", "s02"}
    assert [row.key for row in dataset.issues.itertuples() if row.code == "K109"] == [
        "S02/notes.mp4"
    ]


def test_from_files_to_frames(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    record(tmp_path / "media/a.mp4", num_frames=20)
    dataset = cut(tmp_path, "theruslan", write(tmp_path, {"a.csv": TEXT}), columns=COLUMNS)
    assert spans(dataset) == {("a.mp4", 5, 8), ("a.mp4", 15, 17)}
