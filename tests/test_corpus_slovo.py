"""Slovo: both annotation files, trimmed and untrimmed recordings."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from pathlib import Path

import pytest

from kslds import lexicon, recipe
from kslds.corpora import END, Annotation
from kslds.corpora.slovo import NON_MIRRORABLE
from kslds.errors import AnnotationError, RecipeError
from kslds.validate import _slugs
from tests.corpus_tools import DATA, codes, cut, dropped, rows, spans, write
from tests.painting import record

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the folder ../shared/data is absent")
ID = "00000000-0000-4000-8000-00000000000{}"
LISTED = "attachment_id\ttext\tuser_id\theight\twidth\tlength\ttrain\n" + "".join(
    f"{key}\t{text}\t{user}\t1920\t1080\t{length}\t{train}\n"
    for key, text, user, length, train in (
        (ID.format(1), "Ё", "u1", "20.0", "True"),
        (ID.format(2), "бір", "u2", "30.0", "False"),
        (ID.format(3), "екі", "u2", "50.0", "True"),
        ("no" + ID.format(1), "no_event", "u1", "10.0", "True"),
        ("no" + ID.format(3), "no_event", "u2", "9.0", "True"),
    )
)
FRAMED = "attachment_id\ttext\tuser_id\theight\twidth\tlength\tbegin\tend\n" + "".join(
    f"{key}\t{text}\t{user}\t640\t360\t60.0\t{begin}\t{end}\n"
    for key, text, user, begin, end in (
        (ID.format(1), "Ё", "u1", 10, 30),
        (ID.format(2), "бір!", "u2", 5, 35),
        (ID.format(3), "екі", "u2", 4, 40),
    )
)
FILES = {"annotations.csv": LISTED, "SLOVO_DATAFRAME.tsv": FRAMED}


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, ...]:
    return write(tmp_path, FILES)


def real(folder: Path) -> tuple[Path, ...]:
    return write(
        folder,
        {
            "annotations.csv": gzip.decompress((DATA / "slovo_annotations.csv.gz").read_bytes()),
            "SLOVO_DATAFRAME.tsv": gzip.decompress((DATA / "slovo_dataframe.tsv.gz").read_bytes()),
        },
    )


def test_trimmed_clips_are_whole_files(files: tuple[Path, ...]) -> None:
    found = rows("slovo", files)
    assert found[0] == Annotation(
        source="annotations.csv:2",
        recording=f"train/{ID.format(1)}.mp4",
        start="0",
        end=END,
        unit="frame",
        label="Ё",
        signer="u1",
        split="train",
    )
    assert [row.label for row in found] == ["Ё", "бір", "екі", "no_event", "no_event"]
    assert [row.split for row in found] == ["train", "test", "train", "train", "train"]
    assert found[3].recording == f"train/no{ID.format(1)}.mp4"
    assert codes(found) == {}


def test_one_file_is_enough_for_trimmed_clips(files: tuple[Path, ...]) -> None:
    assert len(rows("slovo", files[:1])) == 5
    (first, *others) = rows("slovo", files[1:])
    assert (first.recording, first.split) == (f"{ID.format(1)}.mp4", None)
    assert len(others) == 2


def test_untrimmed_clips_are_frames_of_the_recording(files: tuple[Path, ...]) -> None:
    found = rows("slovo", files, options={"videos": "untrimmed"})
    one, two, three, before, before_three = found
    assert (one.recording, one.start, one.end) == (f"train/{ID.format(1)}.mp4", "10", "30")
    assert (two.recording, two.start, two.end) == (f"test/{ID.format(2)}.mp4", "5", "35")
    assert (before.recording, before.start, before.end) == (one.recording, "0", "10")
    assert (before.label, before.split) == ("no_event", "train")
    assert three.problem == (
        "K127",
        "SLOVO_DATAFRAME.tsv:4 gives it 36 frames, [4, 40) at 360p, but the trimmed clip has 50: "
        "the recording runs at another rate",
    )
    assert before_three.problem is not None
    assert "[0, 4) at 360p, but the trimmed clip has 9" in before_three.problem[1]


def test_frames_of_another_rate_are_kept_on_request_and_right_at_360p(
    files: tuple[Path, ...],
) -> None:
    kept = rows("slovo", files, options={"videos": "untrimmed", "mismatch": "keep"})[2]
    assert (kept.problem, kept.start, kept.end) == (None, "4", "40")
    assert [code for code, _ in kept.notes] == ["K127"]
    small = rows("slovo", files, options={"videos": "360p"})[2]
    assert (small.problem, small.notes, small.end) == (None, (), "40")


def test_labels_that_differ_are_said_and_one_file_decides(files: tuple[Path, ...]) -> None:
    row = rows("slovo", files)[1]
    assert row.label == "бір"
    assert row.notes == (("K127", "label 'бір' is 'бір!' at SLOVO_DATAFRAME.tsv:3"),)
    row = rows("slovo", files, options={"labels": "dataframe"})[1]
    assert row.label == "бір!"
    assert row.notes == (("K127", "label 'бір!' is 'бір' at annotations.csv:3"),)


def test_clips_without_a_sign_can_be_left_out(files: tuple[Path, ...]) -> None:
    found = rows("slovo", files, options={"no_event": "drop"})
    assert [row.label for row in found] == ["Ё", "бір", "екі"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("mark", ["\t", ",", ";"])
def test_encodings_and_separators(tmp_path: Path, encoding: str, mark: str) -> None:
    text = LISTED.replace("\t", mark).replace("\n", "\r\n").encode(encoding)
    found = rows("slovo", write(tmp_path, {"annotations.csv": text}))
    assert [row.label for row in found] == ["Ё", "бір", "екі", "no_event", "no_event"]


def test_another_encoding_is_refused(tmp_path: Path) -> None:
    (path,) = write(tmp_path, {"annotations.csv": LISTED.replace("і", "и").encode("cp1251")})
    with pytest.raises(AnnotationError, match="is not UTF-8"):
        rows("slovo", [path])


def test_a_spreadsheet_may_have_saved_the_file(tmp_path: Path) -> None:
    text = LISTED.replace("True", "TRUE").replace("False", "FALSE").replace("\t", ";")
    found = rows("slovo", write(tmp_path, {"annotations.csv": text}))
    assert [row.split for row in found] == ["train", "test", "train", "train", "train"]
    assert codes(found) == {}


def test_bad_rows(tmp_path: Path) -> None:
    text = LISTED + (
        f"{ID.format(1)}\tЁ\tu1\t1\t1\t20.0\tTrue\n"
        f"{ID.format(7)}\tа\tu1\t1\t1\t20.0\tmaybe\n"
        "\tа\tu1\t1\t1\t20.0\tTrue\n"
        f"{ID.format(8)}\tа\tu1\t1\t1\t20.0\n"
    )
    found = rows("slovo", write(tmp_path, {"a.csv": text}))
    assert codes(found) == {"a.csv:7": "K119", "a.csv:8": "K124", "a.csv:9": "K103", "a.csv:10": "K124"}  # fmt: skip
    problems = {row.source: row.problem[1] for row in found if row.problem}
    assert "already listed at a.csv:2" in problems["a.csv:7"]
    assert "'maybe' is not True or False" in problems["a.csv:8"]
    assert "6 cells, but the header has 7" in problems["a.csv:10"]


def test_a_clip_that_no_file_bounds_is_named(tmp_path: Path) -> None:
    text = LISTED + f"{ID.format(9)}\tа\tu1\t1\t1\t20.0\tTrue\n"
    files = write(tmp_path, {"annotations.csv": text, "b.tsv": FRAMED})
    found = rows("slovo", files, options={"videos": "untrimmed"})
    assert codes(found)["annotations.csv:7"] == "K111"


def test_files_and_options_that_do_not_fit(tmp_path: Path, files: tuple[Path, ...]) -> None:
    (other,) = write(tmp_path, {"x.csv": "ClassId,TR,EN\n0,a,b\n"})
    with pytest.raises(AnnotationError, match=r"x.csv has 'ClassId', 'TR', 'EN'.*train.*'autsl'"):
        rows("slovo", [other])
    (half,) = write(tmp_path, {"y.csv": "attachment_id,text,user_id\n"})
    with pytest.raises(
        AnnotationError, match=r"expected the columns attachment_id.*, on line 1\."
    ) as error:
        rows("slovo", [half])
    assert "looks like" not in str(error.value)
    with pytest.raises(RecipeError, match=r"no option 'video'.*videos, labels"):
        rows("slovo", files, options={"video": "x"})
    with pytest.raises(RecipeError, match="'raw' is not one of trimmed, untrimmed, 360p"):
        rows("slovo", files, options={"videos": "raw"})
    with pytest.raises(RecipeError, match=r"Add SLOVO_DATAFRAME\.tsv"):
        rows("slovo", files[:1], options={"videos": "untrimmed"})


def test_from_files_to_frames(tmp_path: Path) -> None:
    media = tmp_path / "media"
    for side, number, frames in (("train", 1, 40), ("test", 2, 41)):
        (media / side).mkdir(parents=True)
        record(media / side / f"{ID.format(number)}.mp4", num_frames=frames)
    files = write(tmp_path, FILES)
    dataset = cut(tmp_path, "slovo", files, options={"videos": "untrimmed"})
    one, two = f"train/{ID.format(1)}.mp4", f"test/{ID.format(2)}.mp4"
    assert spans(dataset) == {(one, 10, 29), (one, 0, 9), (two, 5, 34)}
    assert dropped(dataset) == {"K127"}
    assert set(dataset.segments.published_split) == {"train", "test"}
    assert "K127" in set(dataset.issues.code)
    whole = tmp_path / "whole"
    whole.mkdir()
    (whole / "media").symlink_to(media)
    assert spans(cut(whole, "slovo", files[:1])) == {(one, 0, 39), (two, 0, 40)}


def test_the_recipe_names_the_signs_that_must_not_be_mirrored() -> None:
    found = recipe.read("slovo")
    assert found.lexicon.file == "slovo-mirror"
    words = lexicon.load("slovo-mirror")
    assert words.problems == ()
    assert {sign.ru: sign.mirror_safe for sign in words.signs} == dict.fromkeys(
        NON_MIRRORABLE, False
    )
    # The same keys as labels get that no lexicon names: a build with it and one without agree.
    assert [words.match(label).gloss_id for label in NON_MIRRORABLE] == [
        lexicon.slug(label) for label in NON_MIRRORABLE
    ]


# --------------------------------------------------------------------------- the real files


@needs_data
def test_the_published_files(tmp_path: Path) -> None:
    found = rows("slovo", real(tmp_path))
    assert len(found) == 20_400
    assert len({row.label for row in found}) == 1_001
    assert len({row.signer for row in found}) == 194
    assert Counter(row.split for row in found) == {"train": 15_300, "test": 5_100}
    assert sum(row.label == "no_event" for row in found) == 400
    assert sum(bool(row.notes) for row in found) == 60
    assert codes(found) == {}
    first, tenth, last = found[0], found[9], found[-1]
    assert first.recording == "train/44e8d2a0-7e01-450b-90b0-beb7400d2c1e.mp4"
    assert (first.label, first.source) == ("Ё", "annotations.csv:2")
    assert (tenth.label, tenth.source) == ("З", "annotations.csv:11")
    assert (last.label, last.split, last.source) == ("no_event", "test", "annotations.csv:20401")
    assert last.recording == "test/no5393ec0c-85a4-4980-a2da-e84259050d83.mp4"


@needs_data
def test_the_published_bounds(tmp_path: Path) -> None:
    files = real(tmp_path)
    found = rows("slovo", files, options={"videos": "untrimmed"})
    odd = [row for row in found if row.problem]
    assert set(codes(odd).values()) == {"K127"}
    assert Counter(row.label == "no_event" for row in odd) == {False: 368, True: 400 - 377}
    first = found[0]
    assert (first.start, first.end) == ("36", "112")
    small = rows("slovo", files, options={"videos": "360p", "no_event": "drop"})
    assert len(small) == 20_000
    assert codes(small) == {}


@needs_data
def test_all_labels_stay_apart(tmp_path: Path) -> None:
    labels = sorted({row.label or "" for row in rows("slovo", real(tmp_path)[:1])})
    keys = dict(_slugs(labels, taken=()))
    assert len(labels) == len(set(keys.values())) == 1_001
    with (tmp_path / "all.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["gloss_id", "ru"])
        writer.writerows([key, label] for label, key in keys.items())
    words = lexicon.load(tmp_path / "all.csv")
    assert {label: words.match(label, suggest=False).gloss_id for label in labels} == keys
    pairs = (("Е", "Ё"), ("С", "с"), ("Я", "я"), ("веселый", "весёлый"), ("желтый", "жёлтый"), ("все", "всё"))  # fmt: skip
    for one, other in pairs:
        assert keys[one] != keys[other]
    # The small lexicon of the recipe takes no label but its own four.
    mirror = lexicon.load("slovo-mirror")
    taken = {label for label in labels if mirror.match(label, suggest=False).how != "none"}
    assert taken == set(NON_MIRRORABLE)


@needs_data
def test_a_published_recording_is_cut_at_its_sign(tmp_path: Path) -> None:
    files = real(tmp_path)
    found = rows("slovo", files, options={"videos": "untrimmed"})
    row = next(row for row in found if "/f17a6060-" in row.recording)
    (tmp_path / "media").mkdir()
    name = row.recording.rsplit("/", 1)[-1]
    (tmp_path / "media" / name).write_bytes((DATA.parent / "real/slovo_privet.mp4").read_bytes())
    dataset = cut(tmp_path, "slovo", files, options={"videos": "untrimmed"})
    assert spans(dataset) == {(name, 2, 64)}
    (segment,) = dataset.segments.itertuples()
    assert segment.label == row.label == "Привет"
