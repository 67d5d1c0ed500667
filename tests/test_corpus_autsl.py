"""AUTSL: label files without a header, and a list of signs whose names may repeat."""

from __future__ import annotations

from pathlib import Path

import pytest

from kslds.corpora import END, Annotation
from kslds.errors import AnnotationError, RecipeError
from tests.corpus_tools import DATA, codes, cut, dropped, rows, spans, write
from tests.painting import record

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the folder ../shared/data is absent")
SIGNS = "ClassId,TR,EN\r\n0,bir,one\r\n1,sen,you\r\n7,siz,you\r\n41,iki,two\r\n"
TRAIN = "signer0_sample1,41\r\nsigner0_sample2,7\r\nsigner12_sample1,1\r\n"
TEST = "signer40_sample1,0\n"
FILES = {"SignList_ClassId_TR_EN.csv": SIGNS, "train_labels.csv": TRAIN, "test_labels.csv": TEST}


def test_samples_are_whole_files(tmp_path: Path) -> None:
    found = rows("autsl", write(tmp_path, FILES))
    assert found[0] == Annotation(
        source="train_labels.csv:1",
        recording="train/signer0_sample1_color.mp4",
        start="0",
        end=END,
        unit="frame",
        label="iki",
        signer="signer0",
        tier="color",
        split="train",
    )
    assert [(row.label, row.signer) for row in found[1:]] == [
        ("siz", "signer0"), ("sen", "signer12"), ("bir", "signer40"),
    ]  # fmt: skip
    assert found[-1].recording == "test/signer40_sample1_color.mp4"


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        ("tr", ["iki", "siz", "sen", "bir"]),
        ("en", ["two", "you (7)", "you (1)", "one"]),
        ("class", ["41", "7", "1", "0"]),
    ],
)
def test_two_classes_of_one_name_stay_two(tmp_path: Path, names: str, labels: list[str]) -> None:
    found = rows("autsl", write(tmp_path, FILES), options={"names": names})
    assert [row.label for row in found] == labels


def test_colour_and_depth(tmp_path: Path) -> None:
    files = write(tmp_path, {"test_labels.csv": TEST})
    assert [row.recording for row in rows("autsl", files, options={"stream": "depth"})] == [
        "test/signer40_sample1_depth.mp4"
    ]
    both = rows("autsl", files, options={"stream": "both"})
    assert [(row.tier, row.label, row.problem) for row in both] == [
        ("color", "0", None), ("depth", "0", None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("train_labels.csv", "train"), ("validation_labels.csv", "val"),
        ("ground_truth_validation.csv", "val"), ("ground_truth_test.csv", "test"),
    ],
)  # fmt: skip
def test_the_name_tells_the_side(tmp_path: Path, name: str, side: str) -> None:
    (row,) = rows("autsl", write(tmp_path, {name: TEST}))
    assert (row.split, row.recording) == (side, f"{side}/signer40_sample1_color.mp4")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("contest_labels.csv", "does not say of which side"),
        ("retrain.csv", "does not say of which side"),
        ("my_train_test.csv", "names several sides, test and train"),
        ("train_val_labels.csv", "names several sides, train and val"),
    ],
)
def test_a_name_that_does_not_tell_one_side(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(AnnotationError, match=said):
        rows("autsl", write(tmp_path, {name: TEST}))


def test_bad_rows(tmp_path: Path) -> None:
    text = TRAIN + "signer0_sample1,7\nsigner1_sample1,226\nsigner1_sample2,x\nnobody,1\na,b,c\n"
    found = rows("autsl", write(tmp_path, {"train_labels.csv": text}))
    name = "train_labels.csv"
    assert codes(found) == {
        f"{name}:4": "K119", f"{name}:5": "K118", f"{name}:6": "K118",
        f"{name}:7": "K103", f"{name}:8": "K124",
    }  # fmt: skip
    few = write(tmp_path, {**FILES, "train_labels.csv": "signer0_sample1,5\n"})
    row = next(row for row in rows("autsl", few) if row.problem)
    assert row.problem == ("K118", "the list of signs has no class 5")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    found = rows("autsl", write(tmp_path, {"train_labels.csv": TRAIN.encode(encoding)}))
    assert [row.label for row in found] == ["41", "7", "1"]


def test_files_and_options_that_do_not_fit(tmp_path: Path) -> None:
    slovo = "attachment_id\ttext\tuser_id\ttrain\n"
    (other, unnamed, signs, twice) = write(
        tmp_path,
        {"o.csv": slovo, "labels.csv": TEST, "s.csv": SIGNS, "d.csv": SIGNS + "7,x,y\n"},
    )
    with pytest.raises(AnnotationError, match="looks like a file for adapter = 'slovo'"):
        rows("autsl", [other])
    with pytest.raises(AnnotationError, match="does not say of which side"):
        rows("autsl", [unnamed])
    with pytest.raises(AnnotationError, match=r"d.csv, line 6: expected a ClassId of its own"):
        rows("autsl", [twice])
    with pytest.raises(RecipeError, match="no file of labels"):
        rows("autsl", [signs])
    with pytest.raises(RecipeError, match="'infrared' is not one of color, depth, both"):
        rows("autsl", [signs], options={"stream": "infrared"})


def test_from_files_to_frames(tmp_path: Path) -> None:
    for name, frames in (("signer0_sample1_color", 12), ("signer0_sample2_color", 13)):
        (tmp_path / "media/train").mkdir(parents=True, exist_ok=True)
        record(tmp_path / "media/train" / f"{name}.mp4", num_frames=frames)
    dataset = cut(tmp_path, "autsl", write(tmp_path, FILES))
    assert spans(dataset) == {
        ("train/signer0_sample1_color.mp4", 0, 11), ("train/signer0_sample2_color.mp4", 0, 12),
    }  # fmt: skip
    assert dropped(dataset) == {"K103"}
    assert set(dataset.segments.published_split) == {"train"}


@needs_data
def test_the_published_excerpts() -> None:
    train = rows("autsl", [DATA / "autsl_train_labels.excerpt.csv"])
    assert len(train) == 200
    shown = [(row.recording, row.label) for row in (train[0], train[9], train[-1])]
    assert shown == [
        ("train/signer0_sample1_color.mp4", "41"),
        ("train/signer0_sample10_color.mp4", "19"),
        ("train/signer0_sample200_color.mp4", "204"),
    ]
    files = [DATA / "autsl_test_labels.excerpt.csv", DATA / "autsl_signlist.excerpt.csv"]
    test = rows("autsl", files)
    assert len(test) == 40
    assert {row.signer for row in test} == {"signer34"}
    assert {row.split for row in test} == {"test"}
    named = {row.recording: row.label for row in test if row.problem is None}
    assert named["test/signer34_sample3_color.mp4"] == "beraber"
    assert set(codes(test).values()) == {"K118"}  # the excerpt of the list ends at class 58
