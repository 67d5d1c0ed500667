"""LSA64: names of files that say everything."""

from __future__ import annotations

from pathlib import Path

import pytest

from kslds.corpora import END, Annotation
from kslds.errors import AnnotationError, RecipeError
from tests.corpus_tools import codes, cut, rows, spans, write
from tests.painting import record

MEDIA = ("all/001_001_001.mp4", "all/002_009_005.mp4", "all/064_010_002.mp4", "all/notes.mp4")
CLASSES = "01|Biri|R|\n02|Eki|B|\n64|Tort|R|\n"


def test_names_say_everything() -> None:
    found = rows("lsa64", (), media=MEDIA)
    assert found[0] == Annotation(
        source="all/001_001_001.mp4:1",
        recording="all/001_001_001.mp4",
        start="0",
        end=END,
        unit="frame",
        label="001",
        signer="001",
    )
    assert [(row.label, row.signer, row.split) for row in found[1:]] == [
        ("002", "009", None), ("064", "010", None),
    ]  # fmt: skip


def test_the_side_is_stated_only_on_request() -> None:
    found = rows("lsa64", (), media=MEDIA, options={"split": "openhands"})
    assert [row.split for row in found] == ["train", "val", "test"]


@pytest.mark.parametrize("text", [CLASSES, "1|Biri|Bir\r\n2|Eki|Eki\r\n64|Tort|Tort\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_list_of_classes_names_them(tmp_path: Path, text: str, encoding: str) -> None:
    found = rows("lsa64", write(tmp_path, {"c.txt": text.encode(encoding)}), media=MEDIA)
    assert [row.label for row in found] == ["Biri", "Eki", "Tort"]


def test_what_does_not_fit(tmp_path: Path) -> None:
    short, again, other = write(
        tmp_path,
        {"s.txt": "01|Biri|R|\n", "a.txt": "01|Biri|R|\n1|Eki|R|\n", "o.csv": "ID,Gloss\n"},
    )
    found = rows("lsa64", [short], media=MEDIA)
    assert codes(found) == {"all/002_009_005.mp4:1": "K118", "all/064_010_002.mp4:1": "K118"}
    with pytest.raises(AnnotationError, match=r"a.txt, line 2: .* occurs twice"):
        rows("lsa64", [again], media=MEDIA)
    with pytest.raises(AnnotationError, match=r"has 'ID', 'Gloss'; expected lines such as 01"):
        rows("lsa64", [other], media=MEDIA)
    with pytest.raises(AnnotationError, match=r"none of the 1 media files, such as 'x.mp4'"):
        rows("lsa64", (), media=("x.mp4",))
    with pytest.raises(RecipeError, match="'all' is not one of none, openhands"):
        rows("lsa64", (), media=MEDIA, options={"split": "all"})


def test_from_files_to_frames(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    record(tmp_path / "media/003_008_001.mp4", num_frames=14)
    record(tmp_path / "media/003_010_001.mp4", num_frames=15)
    dataset = cut(tmp_path, "lsa64", (), options={"split": "openhands"})
    assert spans(dataset) == {("003_008_001.mp4", 0, 13), ("003_010_001.mp4", 0, 14)}
    assert sorted(dataset.segments.published_split) == ["test", "train"]
