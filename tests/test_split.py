"""Whole signers to sides; a split that leaks is not written."""

from __future__ import annotations

import csv
import dataclasses
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kslds import split
from kslds.errors import (
    AnnotationError,
    CorruptData,
    IncompleteDataset,
    MissingFile,
    RecipeError,
    SplitLeak,
    UsageError,
)
from kslds.manifest import Dataset, key_of
from kslds.schema import Clip, Issue, Signer, SplitRow


def clip(
    number: int, signer: str | None, *, recording: str | None = None, frames: str | None = None
) -> Clip:
    return Clip(
        clip_id=f"c{number:03d}", segment_id=f"seg_{number}", source_file=f"x{number}.mp4",
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
        (
            [clip(0, "s0", recording="rec_x"), clip(1, "s1", recording="rec_x")],
            r"recording rec_x .*\(x0\.mp4, 0-10 ms, signer s0\).*\(x1\.mp4, 0-10 ms, signer s1\)",
        ),
        (
            [clip(0, "s0", frames="f" * 64), clip(1, "s1", frames="f" * 64)],
            r"clip with identical frames f{64} .*x0\.mp4.*x1\.mp4",
        ),
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


def test_leaving_out_more_signers_than_splits_can_be_made_is_refused() -> None:
    options = split.SplitOptions(by="loso")
    assert len(split.leave_one_out([f"s{i}" for i in range(1000)], options=options)) == 1000
    with pytest.raises(UsageError, match="leaving out one of 1001 signers") as caught:
        split.leave_one_out([f"s{i}" for i in range(1001)], options=options)
    assert "kfold" in str(caught.value)


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
        ({"fractions": {"Train": 1.0}}, "'Train' cannot be the name of a side"),
        ({"fractions": {"a" * 101: 1.0}}, "name of a side"),
        ({"fractions": {"a\n": 1.0}}, "name of a side"),
        ({"fractions": {"train²": 1.0}}, "name of a side"),
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


# --------------------------------------------------------------------------- lists


def by_list(made: Dataset, text: str | bytes, *, suffix: str = ".csv") -> dict[str, dict[str, int]]:
    listed = made.root / f"list{suffix}"
    listed.write_bytes(text.encode() if isinstance(text, str) else text)
    return split.split(made, options=split.SplitOptions(by="list", file=str(listed)))


def people(root: Path, *names: str) -> Dataset:
    return dataset(root, [clip(i, key_of(name, prefix="signer")) for i, name in enumerate(names)])


def test_names_in_a_list_are_read_as_in_the_annotations(tmp_path: Path) -> None:
    made = people(tmp_path, "Subject 07", "Айгерім")
    counts = by_list(made, "signer_id,split\nSubject 07,train\n Айгерім ,test\n")
    assert counts == {"list": {"train": 1, "test": 1}}
    assert "Айгерім" not in (tmp_path / "reports" / "splits" / "list.csv").read_text()


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".csv", "\ufeffsigner_id;split\r\ns0;train\r\n\r\ns1;test\r\n"),
        (".tsv", "split\tnote\tsigner_id\ntrain\tx\ts0\ntest\t\ts1\n"),
        (".csv", "signer_id,split\ns0,train\ns1,test\n".encode("utf-16")),
    ],
)
def test_lists_may_be_written_in_several_ways(
    tmp_path: Path, suffix: str, text: str | bytes
) -> None:
    counts = by_list(people(tmp_path, "s0", "s1"), text, suffix=suffix)
    assert counts == {"list": {"train": 1, "test": 1}}


def test_a_list_that_names_nobody_is_an_error(tmp_path: Path) -> None:
    made = people(tmp_path, "s0", "s1")
    message = r"list\.csv names no signer of this dataset: it lists p7, p8; the dataset has s0, s1"
    with pytest.raises(AnnotationError, match=message):
        by_list(made, "signer_id,split\np7,train\np8,test\n")
    with pytest.raises(AnnotationError, match="it lists nobody"):
        by_list(made, "signer_id,split\n")
    assert made.splits == {}


def test_a_listed_signer_without_clips_is_one_warning(tmp_path: Path) -> None:
    made = people(tmp_path, "s0", "s1")
    by_list(made, "signer_id,split\ns0,train\ns1,test\ns2,test\ns3,train\n")
    (issue,) = made.read("issues", Issue)
    assert (issue.code, issue.severity, issue.key) == ("K404", "warning", "s2")
    assert issue.message == "there is no clip of 2 listed signer(s): s2, s3"
    assert sorted(made.splits["list"].value) == ["s0", "s1"]
    by_list(made, "signer_id,split\ns0,train\ns1,test\n")
    assert made.read("issues", Issue) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("signer_id,split\nАйна,train\n".encode("cp1251"), r"list\.csv.*not UTF-8.*UTF-8"),
        ("signer_id,split\n" + "s" * 140_000 + ",train\n", r"list\.csv.*line 2.*(limit|more than)"),
        ("signer_id,split\ns0,tr\0ain\n", r"list\.csv.*line 2.*NUL"),
        ("signer_id,split\ns0,train,test\n", r"list\.csv.*2.*3 cells.*header has 2"),
        ('signer_id,split\ns0,"train\n', r"list\.csv.*line 2.*quoted"),
        ("signer_id,side\ns0,train\n", r"list\.csv.*split.*signer_id,? ?.*side"),
        ("signer_id,split,split\ns0,train,test\n", r"list\.csv.*split"),
        ("signer_id,split\n,train\n", r"list\.csv:2.*'signer_id' is empty"),
        ("signer_id,split\ns0\n", r"list\.csv.*2.*1 cells"),
        ("signer_id,split\ns0,Train\n", r"list\.csv:2.*'Train' cannot be the name of a side"),
        ("", r"list\.csv is empty"),
    ],
)
def test_a_list_that_cannot_be_read_says_where(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    with pytest.raises(AnnotationError, match=message) as caught:
        by_list(people(tmp_path, "s0", "s1"), text)
    assert caught.value.hint


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    options = split.SplitOptions(by="list", file=str(tmp_path / "no.csv"))
    with pytest.raises(MissingFile, match=r"no\.csv"):
        split.split(people(tmp_path, "s0"), options=options)


def test_a_long_name_is_a_short_key(tmp_path: Path) -> None:
    assert key_of("a" * 100, prefix="signer") == "a" * 100
    assert len(key_of("a" * 101, prefix="signer")) == len("signer_12345678")
    made = people(tmp_path, "a" * 5000, "b")
    split.split(made, options=split.SplitOptions(by="loso"))
    assert len(made.splits) == 2


# --------------------------------------------------------------------------- ages, sentences


def aged(root: Path, **bands: str | None) -> Dataset:
    made = dataset(root, [clip(i, signer) for i, signer in enumerate(sorted(bands) * 2)])
    made.write("signers", [Signer(signer_id=s, age_band=b) for s, b in bands.items()])
    return made


def test_by_age_whole_bands_are_on_one_side(tmp_path: Path) -> None:
    bands = {f"s{i}": ("18-29", "30-49", "50-69", "70-")[i % 4] for i in range(8)}
    made = aged(tmp_path, **bands)
    options = split.SplitOptions(by="age", fractions={"train": 0.75, "test": 0.25})
    assert split.split(made, options=options) == {"age": {"train": 12, "test": 4}}
    table = made.splits["age"]
    assert set(table.unit) == {"signer_id"}
    sides = [{bands[s] for s in table.value[table.split == side]} for side in ("train", "test")]
    assert sides[0].isdisjoint(sides[1])
    assert (len(sides[0]), len(sides[1])) == (3, 1)
    seeds = [
        tuple(split.by_age(bands, options=dataclasses.replace(options, seed=s))["age"].values())
        for s in range(8)
    ]
    assert len(set(seeds)) > 1


def test_by_age_a_signer_without_a_band_is_named(tmp_path: Path) -> None:
    made = aged(tmp_path, s0="18-29", s1=None, s2="30-49")
    with pytest.raises(IncompleteDataset, match=r"1 signer\(s\) have no age band: s1"):
        split.split(made, options=split.SplitOptions(by="age"))
    with pytest.raises(UsageError, match=r"1 age band\(s\) cannot fill the 2 sides"):
        split.split(aged(tmp_path / "b", s0="x", s1="x"), options=split.SplitOptions(by="age"))


def said(number: int, signer: str, sentence: str | None, **values: str) -> Clip:
    return dataclasses.replace(clip(number, signer, **values), sentence=sentence)


def test_by_sentence_a_sentence_is_on_one_side_and_it_is_said_that_signers_are_not(
    tmp_path: Path,
) -> None:
    clips = [said(i, f"s{i % 2}", f'МЕН "СУ", {i // 2}') for i in range(10)]
    made = dataset(tmp_path, clips)
    options = split.SplitOptions(by="sentence", fractions={"train": 0.8, "test": 0.2})
    assert split.split(made, options=options) == {"sentence": {"train": 8, "test": 2}}
    table = made.splits["sentence"]
    assert set(table.unit) == {"sentence"}
    assert set(table.value) == {c.sentence for c in clips}
    unit, sides = made.sides("sentence")
    assert (unit, sides) == ("sentence", dict(zip(table.value, table.split, strict=True)))
    (issue,) = made.read("issues", Issue)
    assert (issue.code, issue.severity) == ("K405", "warning")
    assert issue.message == "it assigns sentences: 2 of 2 signer(s) are on several sides"
    with (tmp_path / "reports" / "splits" / "sentence.csv").open(newline="") as file:
        assert {row["sentence"]: row["split"] for row in csv.DictReader(file)} == sides
    risky = dataset(tmp_path, [said(i, f"s{i}", f"=СУ {i}") for i in range(4)])
    split.split(risky, options=options)
    lines = (tmp_path / "reports" / "splits" / "sentence.csv").read_text().splitlines()
    assert [line[:2] for line in lines[1:]] == ["'="] * 4
    split.split(made, options=split.SplitOptions())
    assert set(made.splits) == {"signer"}
    assert "K405" not in set(made.issues.code)


def test_by_sentence_needs_sentences_and_refuses_copies(tmp_path: Path) -> None:
    half = split.SplitOptions(by="sentence", fractions={"train": 0.5, "test": 0.5})
    with pytest.raises(IncompleteDataset, match=r"1 clip\(s\) have no sentence, .* x1\.mp4"):
        split.split(
            dataset(tmp_path / "a", [said(0, "s0", "A"), said(1, "s0", None)]), options=half
        )
    copies = [said(0, "s0", "A", frames="f" * 64), said(1, "s1", "B", frames="f" * 64)]
    with pytest.raises(SplitLeak, match="identical frames"):
        split.split(dataset(tmp_path / "b", copies), options=half)


def test_a_table_that_does_not_say_what_it_assigns_is_refused(tmp_path: Path) -> None:
    made = dataset(tmp_path, [clip(0, "s0")])
    rows = [SplitRow(split="train", unit="shoe_size", value="43")]
    made.write("splits/mine", rows, record=SplitRow)
    with pytest.raises(CorruptData, match=r"mine\.parquet"):
        made.sides("mine")


# --------------------------------------------------------------------------- as published


def published(number: int, signer: str, side: str | None) -> Clip:
    return dataclasses.replace(clip(number, signer), published_split=side)


def test_a_published_split_that_keeps_signers_apart_assigns_signers(tmp_path: Path) -> None:
    rows = [published(0, "a", "Train"), published(1, "a", "Train"), published(2, "b", "Dev set")]
    made = dataset(tmp_path, rows)
    assert split.split(made, options=split.SplitOptions(by="published")) == {
        "published": {"train": 2, "dev_set": 1}
    }
    assert made.sides("published") == ("signer_id", {"a": "train", "b": "dev_set"})
    assert "K405" not in set(made.issues.code)


def test_a_published_split_that_leaks_is_repeated_and_said(tmp_path: Path) -> None:
    rows = [
        published(0, "a", "train"), published(1, "a", "test"), published(2, "b", "train"),
        published(3, "b", None),
    ]  # fmt: skip
    made = dataset(tmp_path, rows)
    assert split.split(made, options=split.SplitOptions(by="published")) == {
        "published": {"train": 2, "test": 1}
    }
    assert made.sides("published")[0] == "clip_id"
    (issue,) = (i for i in made.read("issues", Issue) if i.code == "K405")
    assert issue.message == "it assigns single clips: 1 of 2 signer(s) are on several sides"
    assert list(made.dropped.code) == ["K401"]


def test_without_published_sides_the_rule_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no annotation says on which side"):
        split.split(dataset(tmp_path, [clip(0, "a")]), options=split.SplitOptions(by="published"))
