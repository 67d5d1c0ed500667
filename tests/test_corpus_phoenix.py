"""Tables with pipes, without quoting, as PHOENIX-2014T publishes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kslds.corpora import END, Annotation
from kslds.errors import AnnotationError, MissingFile, RecipeError
from tests.corpus_tools import codes, cut, dropped, rows, spans, write
from tests.painting import record

NAME = "PHOENIX-2014-T.dev.corpus.csv"
HEADER = "name|video|start|end|speaker|orth|translation\n"
TEXT = HEADER + (
    'day_1-2|day_1-2/1/*.png|-1|-1|Signer01|REGEN "STARK"|"es regnet stark , sagt er\n'
    "day_1-3|day_1-3/1/*.png|-1|-1|Signer08|SONNE|die sonne scheint\n"
)


def test_sentences_are_whole_recordings_and_quotes_are_text(tmp_path: Path) -> None:
    found = rows("phoenix", write(tmp_path, {NAME: TEXT}))
    assert found[0] == Annotation(
        source=f"{NAME}:2",
        recording="day_1-2",
        start="0",
        end=END,
        unit="ms",
        sentence='REGEN "STARK"',
        translation='"es regnet stark , sagt er',
        signer="Signer01",
        split="dev",
    )
    assert len(found) == 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings_and_line_ends(tmp_path: Path, encoding: str, end: str) -> None:
    text = TEXT.replace("scheint", "schön").replace("\n", end).encode(encoding)
    assert rows("phoenix", write(tmp_path, {NAME: text}))[1].translation == "die sonne schön"


def test_other_bounds_are_in_the_unit_of_the_recipe(tmp_path: Path) -> None:
    text = HEADER + "a|x|5|9|s|A|b\na|x|9|-1|s|B|b\n"
    found = rows("phoenix", write(tmp_path, {"own.csv": text}), unit="frame")
    assert [(r.start, r.end, r.unit, r.split) for r in found] == [
        ("5", "9", "frame", None), ("9", END, "frame", None),
    ]  # fmt: skip


def test_bad_rows(tmp_path: Path) -> None:
    text = TEXT + "day_1-2|x|-1|-1|s|A|b\n|x|-1|-1|s|A|b\na|x|-1|-1|s|A|b|c\na|x|-1\n\n"
    found = rows("phoenix", write(tmp_path, {NAME: text}))
    assert codes(found) == {
        f"{NAME}:4": "K119", f"{NAME}:5": "K103", f"{NAME}:6": "K124", f"{NAME}:7": "K124",
    }  # fmt: skip


def test_what_does_not_fit(tmp_path: Path) -> None:
    other, comma, empty = write(
        tmp_path,
        {"o.tsv": "attachment_id\tuser_id\n", "c.csv": TEXT.replace("|", ","), "e.csv": ""},
    )
    with pytest.raises(AnnotationError, match="looks like a file for adapter = 'slovo'"):
        rows("phoenix", [other])
    with pytest.raises(AnnotationError, match=r"has 'name', 'video'.*the columns name\|video"):
        rows("phoenix", [comma])
    with pytest.raises(AnnotationError, match="is empty; expected the columns name"):
        rows("phoenix", [empty])
    with pytest.raises(RecipeError, match="no option 'split'"):
        rows("phoenix", [comma], options={"split": "x"})
    with pytest.raises(MissingFile):
        rows("phoenix", [tmp_path / "absent.csv"])


def test_from_files_to_frames(tmp_path: Path) -> None:
    (tmp_path / "media/dev").mkdir(parents=True)
    record(tmp_path / "media/dev/day_1-2.mp4", num_frames=20)
    dataset = cut(tmp_path, "phoenix", write(tmp_path, {NAME: TEXT}))
    assert spans(dataset) == {("dev/day_1-2.mp4", 0, 19)}
    assert dropped(dataset) == {"K103"}  # the other sentence has not been made a recording
    (row,) = dataset.segments.itertuples()
    assert (row.sentence, row.published_split) == ('REGEN "STARK"', "dev")


def test_a_file_of_another_separator_and_an_empty_one(tmp_path: Path) -> None:
    header = "name|video|start|end|speaker|orth|translation\n"
    for mark in (",", ";", "\t"):
        files = write(tmp_path, {"train.csv": header.replace("|", mark)})
        with pytest.raises(AnnotationError, match=r"\|translation between pipes, on line 1"):
            rows("phoenix", files)
    with pytest.raises(AnnotationError, match="is empty; expected the columns name"):
        rows("phoenix", write(tmp_path, {"train.csv": "\n"}))
