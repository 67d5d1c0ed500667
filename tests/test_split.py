"""Whole signers to sides; a split that leaks is not written."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kslds import split
from kslds.errors import AnnotationError, IncompleteDataset, RecipeError, SplitLeak, UsageError
from kslds.manifest import Dataset
from kslds.schema import Clip


def clip(
    number: int, signer: str | None, *, recording: str | None = None, frames: str | None = None
) -> Clip:
    return Clip(
        clip_id=f"c{number:03d}", segment_id=f"seg_{number}", source_file="x.mp4",
        recording_id=recording or f"rec_{signer}", signer_id=signer, gloss_id="su",
        start_ms=0, end_ms=10, first_frame=0, last_frame=1, first_pts=0, last_pts=1, num_frames=2,
        fps_num=25, fps_den=1, width=8, height=8, frames_sha256=frames or f"{number:064d}",
    )  # fmt: skip


def dataset(root: Path, clips: list[Clip]) -> Dataset:
    made = Dataset(root, create=True)
    made.write("clips", clips)
    return made


@given(
    signers=st.integers(2, 40),
    train=st.integers(1, 99),
    seed=st.integers(0, 1000),
)
def test_signers_are_divided_by_the_stated_fraction(signers: int, train: int, seed: int) -> None:
    options = split.SplitOptions(
        fractions={"train": train / 100, "test": (100 - train) / 100}, seed=seed
    )
    names = [f"s{i:02d}" for i in range(signers)]
    sides = split.by_signer(names, options=options)["signer"]
    counts = {side: list(sides.values()).count(side) for side in ("train", "test")}
    assert sum(counts.values()) == signers
    wanted = train * signers / 100
    assert min(counts.values()) >= 1
    assert abs(counts["train"] - min(max(wanted, 1), signers - 1)) <= 0.5
    shuffled = random.Random(seed).sample(names, len(names))
    assert split.by_signer(shuffled, options=options)["signer"] == sides


def test_the_paper_s_fraction_of_nine_signers() -> None:
    options = split.SplitOptions(fractions={"train": 0.6, "test": 0.4}, seed=17)
    sides = split.by_signer([f"s{i}" for i in range(9)], options=options)["signer"]
    assert sorted(sides.values()).count("train") == 5


def test_a_split_is_a_table_and_a_text_list(tmp_path: Path) -> None:
    made = dataset(tmp_path, [clip(i, f"s{i % 5}") for i in range(20)])
    counts = split.split(made, options=split.SplitOptions(fractions={"train": 0.6, "test": 0.4}))
    assert counts == {"signer": {"train": 12, "test": 8}}
    table = made.splits["signer"]
    lines = (tmp_path / "reports" / "splits" / "signer.csv").read_text().splitlines()
    assert lines[0] == "signer_id,split"
    assert {tuple(line.split(",")) for line in lines[1:]} == set(
        zip(table.value, table.split, strict=True)
    )
    assert lines[1:] == sorted(lines[1:])


def test_reordered_rows_give_the_same_split(tmp_path: Path) -> None:
    clips = [clip(i, f"s{i % 7}") for i in range(21)]
    options = split.SplitOptions()
    one, two = dataset(tmp_path / "a", clips), dataset(tmp_path / "b", clips[::-1])
    split.split(one, options=options)
    split.split(two, options=options)
    assert one.path("splits/signer").read_bytes() == two.path("splits/signer").read_bytes()


@pytest.mark.parametrize(
    ("clips", "what"),
    [
        ([clip(0, "s0", recording="rec_x"), clip(1, "s1", recording="rec_x")], "recording rec_x"),
        ([clip(0, "s0", frames="f" * 64), clip(1, "s1", frames="f" * 64)], "clip with identical"),
    ],
)
def test_a_leak_is_refused_and_nothing_is_written(
    tmp_path: Path, clips: list[Clip], what: str
) -> None:
    made = dataset(tmp_path, clips)
    options = split.SplitOptions(fractions={"train": 0.5, "test": 0.5})
    with pytest.raises(SplitLeak, match=what):
        split.split(made, options=options)
    assert made.splits == {}


def test_a_list_is_followed_and_what_it_leaves_out_is_dropped(tmp_path: Path) -> None:
    made = dataset(tmp_path, [clip(i, f"s{i}") for i in range(3)])
    listed = tmp_path / "list.csv"
    listed.write_text("signer_id,split\ns0,train\ns1,test\n")
    counts = split.split(made, options=split.SplitOptions(by="list", file=str(listed)))
    assert counts == {"list": {"train": 1, "test": 1}}
    assert list(made.dropped.code) == ["K401"]
    assert made.provenance["stages"]["split"] == {"in": 3, "out": 2, "dropped": 1}


def test_a_list_with_a_signer_on_two_sides_is_refused(tmp_path: Path) -> None:
    made = dataset(tmp_path, [clip(i, f"s{i}") for i in range(3)])
    listed = tmp_path / "list.csv"
    listed.write_text("signer_id,split\ns0,train\ns0,test\n")
    with pytest.raises(SplitLeak, match=r"list\.csv:3: signer 's0' is on two sides"):
        split.split(made, options=split.SplitOptions(by="list", file=str(listed)))


def test_each_signer_is_left_out_once_and_each_fold_tests_others(tmp_path: Path) -> None:
    made = dataset(tmp_path, [clip(i, f"s{i % 6}") for i in range(12)])
    splits = split.split(made, options=split.SplitOptions(by="loso"))
    assert len(splits) == 6
    assert all(counts == {"train": 10, "test": 2} for counts in splits.values())
    folds = split.split(made, options=split.SplitOptions(by="kfold", folds=3))
    assert sorted(folds) == ["fold-0", "fold-1", "fold-2"] == sorted(made.splits)
    tested = [v for frame in made.splits.values() for v in frame.value[frame.split == "test"]]
    assert sorted(tested) == [f"s{i}" for i in range(6)]


def test_a_class_on_one_side_only_is_said(tmp_path: Path) -> None:
    clips = [clip(0, "s0"), dataclasses.replace(clip(1, "s1"), gloss_id="ake")]
    made = dataset(tmp_path, clips)
    split.split(made, options=split.SplitOptions(fractions={"train": 0.5, "test": 0.5}))
    assert set(made.issues.code) == {"K403"}
    assert len(made.issues) == 2


def test_clips_without_a_signer_and_too_few_signers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(IncompleteDataset, match=r"1 clip\(s\) have no signer"):
        split.split(dataset(tmp_path / "a", [clip(0, None)]), options=split.SplitOptions())
    with pytest.raises(UsageError, match=r"1 signer\(s\) cannot fill the 2 sides"):
        split.split(dataset(tmp_path / "b", [clip(0, "s0")]), options=split.SplitOptions())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "clip"}, "is not one of"),
        ({"fractions": {"train": 0.5, "test": 0.4}}, "add up"),
        ({"fractions": {"train": 1.5, "test": -0.5}}, "add up"),
        ({"fractions": {"../x": 1.0}}, "name of a side"),
        ({"by": "kfold", "folds": 1}, "folds"),
        ({"by": "list"}, "needs the key file"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        split.SplitOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("side", ["../../up", "/abs", "a/b", ""])
def test_a_side_that_would_leave_the_dataset_is_refused(tmp_path: Path, side: str) -> None:
    made = dataset(tmp_path, [clip(i, f"s{i}") for i in range(2)])
    listed = tmp_path / "list.csv"
    listed.write_text(f"signer_id,split\ns0,train\ns1,{side}\n")
    with pytest.raises(AnnotationError, match=r"list\.csv:3"):
        split.split(made, options=split.SplitOptions(by="list", file=str(listed)))
    assert made.splits == {}
