"""The split of the K-RSL paper, which is not signer-independent and says so."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import pytest

from kslds import split
from kslds.errors import UsageError
from kslds.manifest import Dataset
from kslds.schema import Clip, Issue
from tests.test_split import clip, dataset


def clips() -> list[Clip]:
    """Ten classes by five signers, four takes each."""
    made = []
    for gloss in range(10):
        for signer in range(5):
            for _ in range(4):
                number = len(made)
                new = clip(number, f"s{signer}", recording=f"rec_{number}")
                made.append(dataclasses.replace(new, gloss_id=f"sign_{gloss}"))
    return made


def sides(made: Dataset) -> dict[str, str]:
    unit, found = made.sides("krsl-paper")
    assert unit == "clip_id"
    return found


def test_one_signer_of_each_class_is_the_test_side(tmp_path: Path) -> None:
    made = dataset(tmp_path, clips())
    counts = split.split(made, options=split.SplitOptions(by="krsl-paper"))
    assert counts == {"krsl-paper": {"train": 128, "test": 40, "val": 32}}
    of = sides(made)
    out = {(c.gloss_id, c.signer_id) for c in clips() if of[c.clip_id] == "test"}
    assert Counter(gloss for gloss, _ in out) == {f"sign_{n}": 1 for n in range(10)}
    assert len({signer for _, signer in out}) > 1  # drawn for each class anew
    assert not [c for c in clips() if of[c.clip_id] != "test" and (c.gloss_id, c.signer_id) in out]


def test_it_is_marked_as_not_signer_independent(tmp_path: Path) -> None:
    made = dataset(tmp_path, clips())
    split.split(made, options=split.SplitOptions(by="krsl-paper"))
    (issue,) = made.read("issues", Issue)
    assert issue.code == "K405"
    assert issue.message == "it assigns single clips: 5 of 5 signer(s) are on several sides"


def test_the_seed_decides_and_the_order_of_clips_does_not(tmp_path: Path) -> None:
    options = split.SplitOptions(by="krsl-paper", seed=3)
    found = []
    for number, rows in enumerate((clips(), clips()[::-1])):
        made = dataset(tmp_path / str(number), rows)
        split.split(made, options=options)
        found.append(sides(made))
    assert found[0] == found[1]
    split.split(made, options=dataclasses.replace(options, seed=4))
    assert sides(made) != found[0]


def test_clips_without_a_class_are_counted_and_refused(tmp_path: Path) -> None:
    sentence = dataclasses.replace(clip(2, "b"), gloss_id=None, sentence="МЕН КЕЛДІМ")
    made = dataset(tmp_path, [clip(0, "a"), clip(1, "b"), sentence])
    with pytest.raises(UsageError, match="needs a class for each clip; 1 of 3 have none"):
        split.split(made, options=split.SplitOptions(by="krsl-paper"))


def test_a_class_of_one_signer_is_refused(tmp_path: Path) -> None:
    made = dataset(tmp_path, [clip(0, "a"), clip(1, "a")])
    with pytest.raises(UsageError, match="classes of two signers; su has not"):
        split.split(made, options=split.SplitOptions(by="krsl-paper"))


def test_one_stretch_in_two_tiers_of_one_sign_is_on_one_side(tmp_path: Path) -> None:
    rows = [
        dataclasses.replace(c, frames_sha256=f"{number // 2:064x}", recording_id=f"rec_{number // 2}")
        for number, c in enumerate(clips())
    ]  # fmt: skip
    made = dataset(tmp_path, rows)
    split.split(made, options=split.SplitOptions(by="krsl-paper"))
    of = sides(made)
    assert all(of[a.clip_id] == of[b.clip_id] for a, b in zip(rows[::2], rows[1::2], strict=True))
    assert Counter(of.values()) == {"train": 128, "val": 32, "test": 40}


def test_one_stretch_with_two_labels_is_never_on_two_sides(tmp_path: Path) -> None:
    rows = []
    for number in range(40):
        one = clip(2 * number, f"s{number % 5}", recording=f"rec_{number}")
        rows.append(dataclasses.replace(one, gloss_id="br_raise"))
        other = dataclasses.replace(
            clip(2 * number + 1, f"s{number % 5}", recording=f"rec_{number}"),
            frames_sha256=one.frames_sha256,
        )
        rows.append(dataclasses.replace(other, gloss_id="nod"))
    made = dataset(tmp_path, rows)
    counts = split.split(made, options=split.SplitOptions(by="krsl-paper"))
    of = sides(made)
    out = {(c.gloss_id, c.signer_id) for c in rows if of.get(c.clip_id) == "test"}
    (one, first), (other, second) = sorted((str(g), str(s)) for g, s in out)
    assert (one, other, first != second) == ("br_raise", "nod", True)  # drawn by this seed
    # Each tests 8 clips; the same stretches with the other label, 16, can be on no side.
    assert counts["krsl-paper"]["test"] == 16
    assert len(of) == 64
    sideless = [c for c in rows if c.clip_id not in of]
    assert {(c.gloss_id, c.signer_id) for c in sideless} == {(one, second), (other, first)}
    assert {len({of.get(a.clip_id), of.get(b.clip_id)} - {None})
            for a, b in zip(rows[::2], rows[1::2], strict=True)} == {1}  # fmt: skip
    assert set(made.dropped.code) == {"K401"}
    assert made.dropped.reason.str.contains("shows the same frames with another label").all()
