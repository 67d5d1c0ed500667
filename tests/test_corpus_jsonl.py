"""JSON lines and JSON arrays, with the fields of tables."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from kslds.corpora import Annotation
from kslds.errors import AnnotationError, MissingFile, RecipeError
from tests.corpus_tools import codes, cut, dropped, rows, spans, write
from tests.painting import record

LINE = '{"recording": "a.mp4", "gloss": "бір", "start": 5, "end": 10, "unit": "frame"}\n'
NAMES = {"recording": "file", "gloss": "text", "start": "from", "end": "to"}


def read(folder: Path, text: str | bytes, **values: object) -> list[Annotation]:
    return rows("jsonl", write(folder, {"a.jsonl": text}), **values)


def test_every_field_is_read(tmp_path: Path) -> None:
    text = (
        '{"recording": "00335", "gloss": "мысық", "start": 0.1, "end": "1.50", "unit": "s", '
        '"signer": 7, "emotion": "happy", "sentence": "МЫСЫҚ", "translation": "a cat", '
        '"tier": "hands", "annotator": "nn", "session": true, "spare": {"x": [1]}}\n'
    )
    assert read(tmp_path, text) == [
        Annotation(
            source="a.jsonl:1",
            recording="00335",
            start="0.1",
            end="1.50",
            unit="s",
            label="мысық",
            signer="7",
            emotion="happy",
            sentence="МЫСЫҚ",
            translation="a cat",
            tier="hands",
            annotator="nn",
            session="true",
        )
    ]


def test_keys_are_mapped_as_columns_are(tmp_path: Path) -> None:
    text = '{"file": "a.mp4", "text": "x", "from": 1, "to": 2, "gloss": "unused"}\n'
    (row,) = read(tmp_path, text, columns=NAMES, unit="frame")
    assert (row.recording, row.label, row.start, row.end) == ("a.mp4", "x", "1", "2")
    assert (row.start_column, row.end_column, row.unit) == ("from", "to", "frame")


def test_lines_and_arrays_mean_the_same(tmp_path: Path) -> None:
    lines = read(tmp_path, "\n" + LINE + "\r\n\n" + LINE.replace("бір", "екі"))
    array = read(tmp_path, f" [{LINE},\n{LINE.replace('бір', 'екі')}]")
    assert [row.label for row in lines] == [row.label for row in array] == ["бір", "екі"]
    assert [row.source for row in lines] == ["a.jsonl:2", "a.jsonl:5"]
    assert [row.source for row in array] == ["a.jsonl:1", "a.jsonl:2"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_and_normal_forms(tmp_path: Path, encoding: str) -> None:
    text = unicodedata.normalize("NFD", LINE.replace("бір", "йод")).encode(encoding)
    assert read(tmp_path, text)[0].label == "йод"


def test_bad_rows_are_rows(tmp_path: Path) -> None:
    bad = [
        LINE.replace('"бір"', '["бір"]'), LINE.replace("5", '{"s": 1}'), "[1]\n", "not json\n",
        LINE.replace('"a.mp4"', "null"), LINE.replace("5", "null"), LINE.replace("frame", "weeks"),
        LINE[:-2] + ', "gloss": "x"}\n', LINE.replace("бір", "\\ud800"), '{"recording": "b"}\n',
        LINE.replace("бір", "\\u0000"), "[" * 100_000 + "\n", '"text"\n',
    ]  # fmt: skip
    found = read(tmp_path, LINE + "".join(bad) + LINE)
    assert len(found) == len(bad) + 2
    assert list(codes(found).values()) == [
        "K124", "K124", "K124", "K124", "K103", "K111", "K111",
        "K124", "K124", "K111", "K124", "K124", "K124",
    ]  # fmt: skip
    reasons = {row.source: row.problem[1] for row in found if row.problem}
    assert reasons["a.jsonl:2"] == "key 'gloss': an array; expected text or a number"
    assert reasons["a.jsonl:4"] == "an array instead of an object"
    assert "the line is not JSON: expected a value" in reasons["a.jsonl:5"]
    assert "the key 'gloss' occurs twice" in reasons["a.jsonl:9"]
    assert "nested too deeply" in reasons["a.jsonl:13"]
    assert found[-1].problem is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"), ("recording,gloss,start,end\n", "line 1: the line is not JSON"),
        ('{"file": "a", "label": "x"}\n', "has no column 'recording', 'start', 'end', 'gloss'"),
        ("{\n" + LINE + "}\n", "line 1: the line is not JSON"), ("[1, 2", "is not JSON"),
        ('{"attachment_id": "x", "user_id": "y"}\n', "adapter = 'slovo'"),
        ('[{"gloss": "x", "instances": []}]', "adapter = 'wlasl'"),
        (LINE.replace("бір", "кот").encode("cp1251"), "is not UTF-8"),
        (b"PK\x03\x04...", "is not a text table"),
    ],
)  # fmt: skip
def test_files_that_are_something_else(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(AnnotationError) as error:
        read(tmp_path, text)
    assert message in str(error.value)


def test_what_the_recipe_names_wrongly(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="unknown field 'glos'"):
        read(tmp_path, LINE, columns={"glos": "x"})
    with pytest.raises(RecipeError, match="no option 'subset'"):
        read(tmp_path, LINE, options={"subset": "x"})
    with pytest.raises(MissingFile):
        rows("jsonl", [tmp_path / "absent.jsonl"])


def test_from_files_to_frames(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    record(tmp_path / "media/a.mp4", num_frames=20)
    text = LINE + LINE.replace("5", "12").replace("10", "18") + LINE.replace("a.mp4", "b.mp4")
    dataset = cut(tmp_path, "jsonl", write(tmp_path, {"a.jsonl": text}))
    assert spans(dataset) == {("a.mp4", 5, 9), ("a.mp4", 12, 17)}
    assert dropped(dataset) == {"K103"}


def test_a_table_in_place_of_json_is_shown(tmp_path: Path) -> None:
    (path,) = write(tmp_path, {"WLASL.json": "attachment_id\ttext\n"})
    with pytest.raises(AnnotationError, match=r"it begins with 'attachment_id\\ttext'.*a table"):
        rows("wlasl", [path])
