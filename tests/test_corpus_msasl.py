"""MS-ASL: frames at the rate of each video, names of files that are up to the user."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from kslds.corpora import END, Annotation
from kslds.corpora.msasl import _rate
from kslds.errors import AnnotationError, RecipeError
from tests.corpus_tools import DATA, codes, cut, dropped, rows, spans, write
from tests.painting import record

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the folder ../shared/data is absent")


def row(url: str = "www.youtube.com/watch?v=AAA", **more: Any) -> dict[str, Any]:
    return {
        "org_text": "X", "clean_text": "x", "text": "first", "label": 0, "start": 30, "end": 60,
        "start_time": 1.001, "end_time": 2.002, "fps": 29.97, "signer_id": 4, "signer": -1,
        "file": "a file", "url": url, "box": [0.0, 0.0, 1.0, 1.0], "width": 640.0,
        "height": 360.0, **more,
    }  # fmt: skip


def one(folder: Path, value: dict[str, Any], **values: object) -> Annotation:
    (found,) = rows("ms-asl", write(folder, {"MSASL_val.json": json.dumps([value])}), **values)
    return found


def test_frames_become_exact_milliseconds(tmp_path: Path) -> None:
    assert one(tmp_path, row()) == Annotation(
        source="MSASL_val.json:0",
        recording="AAA",
        start="1001",
        end="2002",
        unit="ms",
        label="first",
        signer="4",
        split="val",
    )


def test_a_rounded_rate_does_not_miss_the_first_frame(tmp_path: Path) -> None:
    """Frame 10,000 at 30000/1001 begins at 333,666 ms; by 29.97 it would be 333,667."""
    found = one(tmp_path, row(start=10_000, end=10_100))
    assert found.start == str(1000 * 10_000 * 1001 // 30000) == "333666"
    assert 1000 * 10_000 // Fraction("29.97") == 333_667


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("29.97", Fraction(30000, 1001)), ("23.976", Fraction(24000, 1001)),
        ("23.98", Fraction(24000, 1001)), ("59.94", Fraction(60000, 1001)),
        ("30.0", Fraction(30)), ("30", Fraction(30)), ("15", Fraction(15)),
        ("29.89", Fraction("29.89")), ("0", None), ("nan", None), ("1e3", None), ("-25", None),
    ],
)  # fmt: skip
def test_rates(text: str, rate: Fraction | None) -> None:
    assert _rate(text) == rate


def test_the_signer_and_the_label_that_are_asked_for(tmp_path: Path) -> None:
    assert one(tmp_path, row(signer=9), options={"signer": "signer"}).signer == "9"
    assert one(tmp_path, row(), options={"signer": "signer"}).signer is None
    files = write(
        tmp_path,
        {"MSASL_train.json": json.dumps([row(label=1), row(label=2)]),
         "MSASL_classes.json": '["бір", "екі"]', "MSASL_synonym.json": '[["бір", "екі"]]'},
    )  # fmt: skip
    good, bad = rows("ms-asl", files)
    assert (good.label, good.split) == ("екі", "train")
    assert bad.problem == ("K118", "MSASL_classes.json has no class '2'")


@pytest.mark.parametrize(
    ("name", "recording"),
    [
        ("{youtube_id}.mp4", "AAA.mp4"), ("{file}", "a file"), ("{split}/{index}_{label}", "val/0_0"),
        ("clip_{text}", "clip_first"),
    ],
)  # fmt: skip
def test_files_are_named_as_the_user_says(tmp_path: Path, name: str, recording: str) -> None:
    assert one(tmp_path, row(), options={"name": name}).recording == recording


def test_rows_without_a_rate(tmp_path: Path) -> None:
    repacked = {k: v for k, v in row().items() if k not in ("fps", "start_time", "end_time")}
    found = one(tmp_path, repacked)
    assert found.problem is not None
    assert found.problem[0] == "K111"
    assert "neither fps nor start_time" in found.problem[1]
    whole = one(tmp_path, repacked, options={"videos": "clips", "name": "{index}"})
    assert (whole.start, whole.end, whole.problem) == ("0", END, None)
    seconds = one(tmp_path, {**repacked, "start_time": 1.001, "end_time": 2.5})
    assert (seconds.start, seconds.end, seconds.unit) == ("1.001", "2.5", "s")


@pytest.mark.parametrize(
    ("subset", "labels"),
    [("all", [0, 99, 100, 499, 999]), ("100", [0, 99]), ("200", [0, 99, 100]),
     ("500", [0, 99, 100, 499]), ("1000", [0, 99, 100, 499, 999])],
)  # fmt: skip
def test_a_subset_is_the_first_classes(tmp_path: Path, subset: str, labels: list[int]) -> None:
    every = [row(label=label, text=f"word {label}") for label in (99, 0, 999, 100, 499)]
    files = write(tmp_path, {"MSASL_val.json": json.dumps(every)})
    found = rows("ms-asl", files, options={"subset": subset})
    assert sorted(n.label or "" for n in found) == sorted(f"word {label}" for label in labels)
    with pytest.raises(RecipeError, match="subset = '300' is not one of all, 100, 200, 500, 1000"):
        rows("ms-asl", files, options={"subset": "300"})


def test_cut_files_have_a_name_for_each_row(tmp_path: Path) -> None:
    """Else every row of a video would be the whole video, with a label of its own."""
    files = write(tmp_path, {"MSASL_val.json": json.dumps([row(), row(start=90, text="second")])})
    with pytest.raises(RecipeError, match="one file for all rows of a video"):
        rows("ms-asl", files, options={"videos": "clips"})
    with pytest.raises(RecipeError, match=r"'a file', of two rows, MSASL_val.json:0 and .*:1"):
        rows("ms-asl", files, options={"videos": "clips", "name": "{file}"})
    named = rows("ms-asl", files, options={"videos": "clips", "name": "{youtube_id}_{index}"})
    assert [n.recording for n in named] == ["AAA_0", "AAA_1"]
    assert [n.recording for n in rows("ms-asl", files)] == ["AAA", "AAA"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"fps": 0}, "K111"), ({"fps": float("nan")}, "K111"), ({"start": "x"}, "K111"),
        ({"end": None}, "K111"), ({"url": "example.org"}, "K103"), ({"url": None}, "K103"),
        ({"start": 1.5}, "K111"),
    ],
)  # fmt: skip
def test_bad_rows(tmp_path: Path, change: dict[str, Any], code: str) -> None:
    assert codes([one(tmp_path, row(**change))]) == {"MSASL_val.json:0": code}


def test_files_and_options_that_do_not_fit(tmp_path: Path) -> None:
    rest = json.dumps([row()])
    files = write(
        tmp_path,
        {"rows.json": rest, "MSASL_val.json": rest, "MSASL_classes.json": '["a"]',
         "w.json": '[{"gloss": "x", "instances": []}]', "mixed.json": '[{"url": 1}, "a"]'},
    )  # fmt: skip
    unnamed, good, classes, other, mixed = files
    with pytest.raises(AnnotationError, match="does not say of which side"):
        rows("ms-asl", [unnamed])
    with pytest.raises(AnnotationError, match="looks like a file for adapter = 'wlasl'"):
        rows("ms-asl", [other])
    with pytest.raises(AnnotationError, match="expected rows with url"):
        rows("ms-asl", [mixed])
    with pytest.raises(RecipeError, match="no file has rows"):
        rows("ms-asl", [classes])
    for name in ("{nothing}", "fixed", "{file.__class__}", "{file!r}", "{", "{0}"):
        with pytest.raises(RecipeError, match=r"name = "):
            rows("ms-asl", [good], options={"name": name})


def test_from_files_to_frames(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    record(media / "AAA.mp4", num_frames=70, rate=Fraction(30000, 1001))
    record(media / "-B_.mp4", num_frames=70, rate=Fraction(15))
    values = [row(), row("https://youtu.be/-B_"), row("https://youtu.be/gone")]
    dataset = cut(tmp_path, "ms-asl", write(tmp_path, {"MSASL_test.json": json.dumps(values)}))
    # The second video was fetched at half the rate: the same time, half the frames.
    assert spans(dataset) == {("AAA.mp4", 30, 59), ("-B_.mp4", 16, 30)}
    assert dropped(dataset) == {"K103"}


@needs_data
def test_the_published_excerpt() -> None:
    found = rows("ms-asl", [DATA / "msasl_test.excerpt.json"])
    assert len(found) == 60
    assert codes(found) == {}
    first, tenth, last = found[0], found[9], found[-1]
    assert (first.label, first.start, first.end, first.signer) == ("beer", "0", "1968", "20")
    assert (tenth.label, tenth.source) == ("happy", "msasl_test.excerpt.json:9")
    assert (last.label, last.split) == ("nose", "test")
    # Every boundary lies within a millisecond and a half of the seconds that the file states.
    stated = json.loads((DATA / "msasl_test.excerpt.json").read_text(encoding="utf-8"))
    for annotation, values in zip(found, stated, strict=True):
        for side in ("start", "end"):
            seconds = Fraction(str(values[f"{side}_time"]))
            exact = Fraction(getattr(annotation, side))
            assert abs(1000 * seconds - exact) <= Fraction(3, 2)
