"""TheRuSLan: a table of the user's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from kslds import recipe
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


def test_from_files_to_frames(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    record(tmp_path / "media/a.mp4", num_frames=20)
    dataset = cut(tmp_path, "theruslan", write(tmp_path, {"a.csv": TEXT}), columns=COLUMNS)
    assert spans(dataset) == {("a.mp4", 5, 8), ("a.mp4", 15, 17)}
