"""Merging built datasets: signs, signers, duplicates, licences, packs, and all that follows."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import kslds
from kslds import pack, release, report, schema, split, validate, withdrawal
from kslds import recipe as recipes
from kslds.cli import app as cli
from kslds.commands.merge import merge as command
from kslds.errors import (
    AnnotationError,
    ConsentError,
    IncompleteDataset,
    RecipeError,
    UsageError,
)
from kslds.licences import LICENCES, combine, licence_kind, strictest
from kslds.manifest import Dataset
from kslds.merge import MergeOptions
from kslds.merge.alike import Known, Trace, traces
from kslds.schema import Clip, Dropped, Issue, Recording, Segment, Sign, Signer
from kslds.shards import ShardOptions
from tests.painting import ffmpeg, record

Rows = Sequence[tuple[str, str, int, str] | tuple[str, str, int, str, int]]
"""File, gloss, first frame, signer; frame after the last, if not the twelfth after the first."""

LAB: Rows = (
    ("a.mp4", "әке", 0, "anna"), ("a.mp4", "әпке", 15, "anna"),
    ("b.mp4", "әке", 0, "bek"), ("b.mp4", "әпке", 15, "dana"),
    ("same.mp4", "әке", 0, "anna"),
)  # fmt: skip
SCHOOL: Rows = (
    ("c.mp4", "әке", 0, "anna"), ("c.mp4", "ата", 15, "anna"),
    ("again.mp4", "әке", 0, "cora"), ("again.mp4", "әпке", 15, "cora"),
    ("remuxed.mkv", "әпке", 15, "bek"), ("remuxed.mkv", "ата", 22, "bek"),
)  # fmt: skip


def build(
    root: Path, rows: Rows, *, name: str, licence: str, lexicon: str | None = "nspcrsie"
) -> Dataset:
    with (root / "annotations.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("recording", "gloss", "start", "end", "unit", "signer"))
        writer.writerows((f, g, a, *(end or (a + 12,)), "frame", s) for f, g, a, s, *end in rows)
    people = sorted({row[3] for row in rows})
    (root / "signers.csv").write_text(
        "signer_id,consent_scope\n" + "".join(f"{p},publication\n" for p in people)
    )
    words = f'[lexicon]\nfile = "{lexicon}"\n' if lexicon else ""
    (root / "recipe.toml").write_text(
        f"""name = "{name}"
licence = "{licence}"
[ingest]
media = "media"
annotations = "annotations.csv"
signers = "signers.csv"
{words}[clips]
size = 64
[split]
fractions = {{ train = 0.5, test = 0.5 }}
[shards]
encodings = ["h264"]
formats = ["webdataset"]
""",
        encoding="utf-8",
    )
    dataset = Dataset(root / "dataset", create=True)
    recipes.run_ingest(dataset, recipes.read(root / "recipe.toml"))
    recipe = recipes.of(dataset)
    validate.stop_on_errors(recipes.run_validate(dataset, recipe))
    recipes.run_resize(dataset, recipe, workers=2)
    return dataset


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`lab` and `school`: one recording in both, one clip in both; tests must not change them."""
    root = tmp_path_factory.mktemp("merge")
    options = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "12")
    lab, school = root / "lab" / "media", root / "school" / "media"
    lab.mkdir(parents=True)
    school.mkdir(parents=True)
    for path, filters in (
        (lab / "a.mp4", "null"), (lab / "b.mp4", "hflip"), (lab / "same.mp4", "negate"),
        (school / "c.mp4", "hflip,negate"),
    ):  # fmt: skip
        record(path, num_frames=40, options=options, filters=filters)
    shutil.copy(lab / "same.mp4", school / "again.mp4")
    ffmpeg("-i", lab / "b.mp4", "-c", "copy", school / "remuxed.mkv")
    build(root / "lab", LAB, name="lab", licence="CC-BY-4.0")
    build(root / "school", SCHOOL, name="school", licence="CC-BY-NC-4.0")
    return root


def merged(
    out: Path, *roots: Path, name: str = "both", encodings: tuple[str, ...] = ("h264",),
    **options: Any,
) -> Dataset:  # fmt: skip
    dataset = Dataset(out, create=True)
    recipe = recipes.of(dataset)
    if recipe.merge is None:
        shards = ShardOptions(encodings=encodings, formats=("webdataset",))
        recipe = recipes.Recipe(name=name, shards=shards)
    folders = tuple(str(root) for root in roots)
    recipe = dataclasses.replace(recipe, merge=MergeOptions(datasets=folders, **options))
    recipes.run_merge(dataset, recipe)
    return dataset


@pytest.fixture
def lab(built: Path) -> Path:
    return built / "lab" / "dataset"


@pytest.fixture
def school(built: Path) -> Path:
    return built / "school" / "dataset"


def snapshot(root: Path) -> dict[str, bytes]:
    """Every file but those that say where the folder lies."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name not in ("kslds.toml", ".lock")
    }


def sheet(path: Path, *rows: str) -> str:
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return str(path)


# --------------------------------------------------------------------------- end to end


def test_merged_split_sharded_and_loaded(lab: Path, school: Path, tmp_path: Path) -> None:
    dataset = merged(tmp_path / "out", lab, school)
    dropped = dataset.read("dropped", Dropped)
    assert {(d.stage, d.code) for d in dropped} == {
        ("merge-recordings", "K701"), ("merge-segments", "K701"), ("merge-segments", "K704")
    }  # fmt: skip
    assert dataset.provenance["stages"] == {
        "merge-recordings": {"in": 6, "out": 5, "dropped": 1},
        # Of the school, both segments of the common recording and one common clip stay behind.
        "merge-segments": {"in": 11, "out": 8, "dropped": 3, "frames": 96},
    }
    signers = {s.signer_id for s in dataset.read("signers", Signer)}
    assert signers == {"lab-anna", "lab-bek", "lab-dana", "school-anna", "school-bek",
                       "school-cora"}  # fmt: skip
    recordings = {r.source_file: r for r in dataset.read("recordings", Recording)}
    assert recordings["school/c.mp4"].corpus == "school"
    assert recordings["school/c.mp4"].licence == "CC-BY-NC-4.0"
    assert recordings["lab/a.mp4"].licence == "CC-BY-4.0"
    assert dataset.provenance["licence"] == "CC-BY-NC-4.0"
    assert set(dataset.clips["gloss_id"]) == {
        "lab-ake", "lab-apke", "school-ake", "school-ata"
    }  # fmt: skip
    assert "әке" in set(dataset.signs["kk"])
    # The common recording and the common clip have signers of two names: said.
    assert len([i for i in dataset.read("issues", Issue) if i.code == "K702"]) == 2
    assert dataset.verify() > 0
    short = [i.message for i in dataset.read("issues", Issue) if i.code == "K712"]
    assert short == [
        f"{name}: {number} clip(s) could not be compared with those of other datasets: shorter "
        "than 560 ms, or nothing moves" for name, number in (("lab", 5), ("school", 4))
    ]  # fmt: skip

    people = sheet(tmp_path / "people.csv", "corpus,signer_id,person", "lab,anna,p1",
                   "school,cora,p1", "lab,dana,p2", "school,bek,p2", "lab,bek,p2")  # fmt: skip
    dataset = merged(tmp_path / "out", school, lab, same_signers=people)
    assert not [i for i in dataset.read("issues", Issue) if i.code == "K702"]
    recipe = recipes.of(dataset)
    counts = split.split(dataset, options=recipe.split)
    assert sum(counts["signer"].values()) == 8
    recipes.run_shard(dataset, recipe)
    report.report(dataset)
    page = (dataset.root / "reports" / "index.html").read_text(encoding="utf-8")
    assert "Not done yet" not in page
    samples = [
        sample
        for side in counts["signer"]
        for sample in kslds.load(str(dataset.root), split=side, num_frames=4)
    ]
    assert len(samples) == 8
    assert {s["signer_id"] for s in samples} == {"p1", "p2", "school-anna"}
    assert {s["source_file"].split("/")[0] for s in samples} == {"lab", "school"}
    assert {(s["corpus"], s["licence"]) for s in samples} == {
        ("lab", "CC-BY-4.0"), ("school", "CC-BY-NC-4.0")
    }  # fmt: skip
    assert {s["video"].shape[0] for s in samples} == {4}
    sides = {s["signer_id"]: set() for s in samples}
    for side in counts["signer"]:
        for sample in kslds.load(str(dataset.root), split=side, num_frames=4):
            sides[sample["signer_id"]].add(side)
    assert all(len(found) == 1 for found in sides.values())


def test_the_order_of_datasets_changes_no_byte_and_a_second_run_nothing(
    lab: Path, school: Path, tmp_path: Path
) -> None:
    one = merged(tmp_path / "one", lab, school)
    first = snapshot(one.root)
    assert snapshot(merged(tmp_path / "two", school, lab).root) == first
    times = {p: p.stat().st_mtime_ns for p in one.root.rglob("*.*") if p.is_file()}
    merged(one.root, school, lab)
    assert snapshot(one.root) == first
    assert {p: p.stat().st_mtime_ns for p in times} == times


def test_a_second_run_keeps_the_split_and_the_shards(
    lab: Path, school: Path, tmp_path: Path
) -> None:
    people = sheet(tmp_path / "people.csv", "corpus,signer_id,person", "lab,bek,p2", "lab,dana,p2")
    (tmp_path / "recipe.toml").write_text(
        f"""name = "both"
[merge]
datasets = ["{school}", "{lab}"]
labels = "together"
same_signers = "people.csv"
[split]
fractions = {{ train = 0.5, test = 0.5 }}
[shards]
formats = ["webdataset"]
"""
    )
    dataset = recipes.build(recipes.read(tmp_path / "recipe.toml"), out=tmp_path / "out")
    before = snapshot(dataset.root)
    merged(dataset.root, lab, school, labels="together", same_signers=people)
    assert snapshot(dataset.root) == before
    assert "shard" in dataset.provenance["stages"]
    # What merging wrote is a recipe too.
    recipes.build(recipes.read(dataset.root / "kslds.toml"), out=dataset.root)
    assert snapshot(dataset.root) == before


def test_lost_packs_and_tables_are_made_again(lab: Path, school: Path, tmp_path: Path) -> None:
    dataset = merged(tmp_path / "out", lab, school)
    before = snapshot(dataset.root)
    tars = sorted((dataset.root / "clips").rglob("*.tar"))
    tars[0].unlink()
    tars[1].unlink()
    tars[1].write_bytes(b"cut")
    dataset.path("timings").unlink()
    merged(dataset.root, lab, school)
    assert snapshot(dataset.root) == before
    # The datasets themselves have lost nothing.
    for root in (lab, school):
        for tar in sorted((root / "clips").rglob("*.tar")):
            pack.verify(tar)


def test_packs_are_linked_where_the_disk_can(
    lab: Path, school: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    linked = merged(tmp_path / "one", lab, school)
    (pack_of_a,) = {c.recording_id for c in linked.read("clips", Clip) if "/a." in c.source_file}
    (tar,) = (linked.root / "clips" / "h264").glob(f"{pack_of_a}-*.tar")
    assert tar.samefile(lab / "clips" / "h264" / tar.name)

    def refuse(*paths: object) -> None:
        raise OSError("another disk")

    monkeypatch.setattr("os.link", refuse)
    copied = merged(tmp_path / "two", lab, school)
    assert not (copied.root / tar.relative_to(linked.root)).samefile(tar)
    assert snapshot(copied.root) == snapshot(linked.root)


def test_a_merged_dataset_can_be_merged(lab: Path, school: Path, tmp_path: Path) -> None:
    both = merged(tmp_path / "both", lab, school)
    copy = tmp_path / "lab2"
    shutil.copytree(lab, copy)
    Dataset(copy).update_provenance(name="lab2")
    again = merged(tmp_path / "again", both.root, copy, name="all")
    assert len(again.clips) == len(both.clips)  # all of lab2 is in lab already
    assert "both-lab-anna" in set(again.signers["signer_id"])
    found = {r.source_file: (r.corpus, r.licence) for r in again.read("recordings", Recording)}
    assert found["both/school/c.mp4"] == ("both/school", "CC-BY-NC-4.0")
    assert found["both/lab/a.mp4"] == ("both/lab", "CC-BY-4.0")
    (from_both, _) = again.provenance["merged_from"]
    assert from_both["licences"] == ["CC-BY-4.0", "CC-BY-NC-4.0"]


def test_what_a_merged_dataset_holds_twice_is_found_again_and_what_was_said_stays(
    altered: Path, lab: Path, school: Path, tmp_path: Path
) -> None:
    folders = [altered / name / "dataset" for name in ("one", "two")]
    both = merged(tmp_path / "both", *folders)
    exact = merged(tmp_path / "exact", lab, school, name="exact")
    again = merged(tmp_path / "again", both.root, exact.root, name="again")
    said = sorted(i.message for i in again.read("issues", Issue) if i.code == "K709")
    assert [text.partition(":")[0] for text in said] == [
        "both/two/cut.mkv shows what both/one/r1.mp4 does",
        "both/two/mirrored.avi shows what both/one/r2.mp4 does, mirrored",
        "both/two/small.mp4 shows what both/one/r0.mp4 does",
    ]
    twice = sorted(i.message for i in again.read("issues", Issue) if i.code == "K702")
    assert len(twice) == 2
    assert all(text.startswith("in exact: ") for text in twice)
    # Nothing of it is lost a merge later, and the copies can still be left out.
    left = merged(tmp_path / "left", again.root, lab, name="left", similar="drop")
    dropped = [d for d in left.read("dropped", Dropped) if d.code == "K709"]
    assert len(dropped) == 3
    assert len(left.clips) == len(again.clips) - 3
    said = [i.message for i in left.read("issues", Issue) if i.code == "K702"]
    assert sum("in again: in exact: " in text for text in said) == 2


# --------------------------------------------------------------------------- signs


def test_signs_of_one_key_are_one_sign_only_when_told(
    lab: Path, school: Path, tmp_path: Path
) -> None:
    dataset = merged(tmp_path / "out", lab, school, labels="together")
    assert set(dataset.clips["gloss_id"]) == {"ake", "apke", "ata"}
    (sign,) = [s for s in dataset.read("signs", Sign) if s.gloss_id == "ake"]
    assert sign.ru == "отец"


@pytest.mark.parametrize(
    ("unmapped", "glosses", "codes"),
    [("keep", {"father", "lab-apke", "school-ata"}, set()), ("drop", {"father"}, {"K703"})],
)
def test_a_table_aligns_the_signs(
    lab: Path, school: Path, tmp_path: Path, unmapped: str, glosses: set[str], codes: set[str]
) -> None:
    table = sheet(tmp_path / "signs.csv", "corpus,gloss_id,label,merged_id", "lab,ake,,father",
                  "school,,әке,father", "lab,apke,,", "lab,nobody,,x")  # fmt: skip
    dataset = merged(tmp_path / "out", lab, school, map=table, unmapped=unmapped)
    assert set(dataset.clips["gloss_id"]) == glosses
    assert set(dataset.segments["gloss_id"]) == glosses
    found = {d.code for d in dataset.read("dropped", Dropped)}
    assert found - {"K701", "K704", "K109"} == codes
    (issue,) = [i for i in dataset.read("issues", Issue) if i.code == "K705"]
    assert "'nobody'" in issue.message
    books = dataset.provenance["stages"]["merge-segments"]
    assert books["in"] == books["out"] + books["dropped"] == 11


def test_what_all_datasets_call_plausible_is_so_in_the_merged_one(
    lab: Path, school: Path, tmp_path: Path
) -> None:
    parts = [tmp_path / "lab", tmp_path / "school"]
    for whole, part in zip((lab, school), parts, strict=True):
        shutil.copytree(whole, part)
    rules = recipes.ValidateOptions(min_ms=600)  # clips last 400 ms

    def short(dataset: Dataset) -> bool:
        return "K312" in {i.code for i in dataset.read("issues", Issue)}

    assert not short(merged(tmp_path / "before", *parts))
    recipe = dataclasses.replace(recipes.of(Dataset(parts[0])), validate=rules)
    recipes.write(recipe, root=parts[0])
    assert not short(merged(tmp_path / "one", *parts))
    recipe = dataclasses.replace(recipes.of(Dataset(parts[1])), validate=rules)
    recipes.write(recipe, root=parts[1])
    assert short(merged(tmp_path / "both", *parts))


def test_a_label_of_the_table_may_have_the_apostrophe_of_a_csv_that_kslds_wrote(
    tmp_path: Path,
) -> None:
    for name, filters in (("ca", "null"), ("cb", "hflip")):
        (tmp_path / name / "media").mkdir(parents=True)
        record(tmp_path / name / "media" / "a.mp4", num_frames=40, filters=filters)
        rows = (("a.mp4", "-мен", 0, "p"), ("a.mp4", "су", 15, "p"))
        build(tmp_path / name, rows, name=name, licence="CC-BY-4.0", lexicon=None)
    table = sheet(tmp_path / "map.csv", "corpus,label,merged_id", "ca,'-мен,with", "cb,-мен,with",
                  "ca,су,water", "cb,су,water")  # fmt: skip
    roots = [tmp_path / name / "dataset" for name in ("ca", "cb")]
    dataset = merged(tmp_path / "out", *roots, map=table, unmapped="error")
    assert list(dataset.clips["gloss_id"].value_counts().items()) == [("with", 2), ("water", 2)]


def test_signers_whom_a_collection_publishes_are_not_taken_for_names(
    tmp_path: Path, lab: Path
) -> None:
    media = tmp_path / "media" / "KRSL20" / "kuda_q"
    media.mkdir(parents=True)
    options = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "12")
    for number, name in enumerate(("a_mira", "b_gul", "c_olga")):
        filters = f"eq=brightness={0.1 * (number + 1)}"
        record(media / f"{name}.mp4", num_frames=40, options=options, filters=filters)
    (tmp_path / "recipe.toml").write_text(
        'name = "krsl"\nlicence = "CC-BY-4.0"\n[ingest]\nmedia = "media"\nadapter = "krsl"\n'
        "[clips]\nsize = 64\n"
    )
    own = Dataset(tmp_path / "krsl", create=True)
    recipes.run_ingest(own, recipes.read(tmp_path / "recipe.toml"))
    recipes.run_validate(own, recipes.of(own))
    recipes.run_resize(own, recipes.of(own), workers=2)
    names = {"lab-anna", "lab-bek", "lab-dana", "krsl-olga"}

    def named(dataset: Dataset) -> set[str]:
        return {i.key for i in dataset.read("issues", Issue) if i.code == "K325"}

    assert named(own) == {"olga"}
    both = merged(tmp_path / "both", lab, own.root)
    assert set(both.signers["signer_id"]) >= names | {"krsl-mira", "krsl-gul"}
    assert named(both) == names
    recipes.run_validate(both, recipes.of(both))  # the datasets that it was merged from aside
    assert named(both) == names
    again = merged(tmp_path / "again", both.root, own.root, name="again")
    assert named(again) == {f"both-{name}" for name in names}


@pytest.mark.parametrize(
    ("row", "nearest"),
    [
        ("ca,,Замoк", "the label 'замок'"),  # a Latin o, and a capital
        ("ca,,к т о", "the label 'кто'"),
        ("cb,,Замок", "the label 'Замок!'"),
        ("ca,кто,", "the label 'кто'"),  # in the wrong column
        ("ca,zamok_,", "the gloss_id 'zamok'"),
        ("ca,,слон", None),
    ],
)
def test_what_a_row_of_the_table_may_mean_is_named(
    labelled: Path, tmp_path: Path, row: str, nearest: str | None
) -> None:
    table = sheet(tmp_path / "signs.csv", "corpus,gloss_id,label,merged_id", f"{row},x")
    folders = [labelled / name / "dataset" for name in ("ca", "cb")]
    dataset = merged(tmp_path / "out", *folders, map=table)
    (found,) = [i.message for i in dataset.read("issues", Issue) if i.code == "K705"]
    assert found.partition("; nearest: ")[2] == (nearest or "")


def test_signs_that_the_table_lacks_can_stop_the_merge(
    lab: Path, school: Path, tmp_path: Path
) -> None:
    table = sheet(tmp_path / "signs.csv", "corpus,gloss_id,merged_id", "lab,ake,father")
    with pytest.raises(UsageError, match=r"does not map 4 sign.s.: apke of lab, ake of school"):
        merged(tmp_path / "out", lab, school, map=table, unmapped="error")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("corpus,gloss_id", "lab,ake"), "no column 'merged_id'"),
        (("corpus,gloss_id,merged_id", "home,ake,x"), "line 2: there is no corpus 'home'"),
        (("corpus,gloss_id,merged_id", "lab,ake,Vater!"), "line 2: 'Vater!' cannot be the key"),
        (("corpus,gloss_id,merged_id", "lab,,x"), "line 2: which sign of lab"),
        (("corpus,gloss_id,merged_id", "lab,ake,x", "lab,ake,y"), "'ake' of lab is mapped to 'x'"),
    ],
)
def test_a_table_of_signs_that_is_wrong_is_refused(
    lab: Path, school: Path, tmp_path: Path, rows: tuple[str, ...], message: str
) -> None:
    with pytest.raises(AnnotationError, match=message):
        merged(tmp_path / "out", lab, school, map=sheet(tmp_path / "signs.csv", *rows))


def test_different_signs_never_get_one_key(lab: Path, school: Path, tmp_path: Path) -> None:
    table = sheet(tmp_path / "signs.csv", "corpus,gloss_id,merged_id", "school,ake,lab-ake")
    with pytest.raises(UsageError, match="would both be called 'lab-ake'"):
        merged(tmp_path / "out", lab, school, map=table)


# --------------------------------------------------------------------------- people


def changed(root: Path, tmp_path: Path, **values: Any) -> Path:
    """A copy of a dataset in which one signer's row is another."""
    copy = tmp_path / f"copy-{root.parent.name}"
    shutil.copytree(root, copy)
    dataset = Dataset(copy)
    rows = [
        dataclasses.replace(s, **values) if s.signer_id == values["signer_id"] else s
        for s in dataset.read("signers", Signer)
    ]
    dataset.write("signers", rows)
    return copy


def test_who_withdrew_does_not_cross_even_in_a_pack_with_others(
    lab: Path, school: Path, tmp_path: Path
) -> None:
    before = merged(tmp_path / "out", lab, school)
    names = sorted(before.signers["signer_id"])
    sides = sheet(tmp_path / "list.csv", "signer_id,split", *(f"{name},train" for name in names))
    split.split(before, options=split.SplitOptions(by="list", file=sides))
    recipes.run_shard(before, recipes.of(before))
    gone = {c.clip_id for c in before.read("clips", Clip) if c.signer_id == "lab-dana"}
    assert gone
    less = changed(lab, tmp_path, signer_id="dana", consent_withdrawn=True)
    dataset = merged(tmp_path / "out", less, school)
    assert "lab-dana" not in set(dataset.signers["signer_id"])
    assert gone.isdisjoint(dataset.clips["clip_id"])
    dropped = [d for d in dataset.read("dropped", Dropped) if d.code == "K324"]
    # remuxed.mkv of the school shows the same frames, as somebody else's.
    assert sorted(d.reason.split(":")[0] for d in dropped) == [
        "lab/annotations.csv", "school/annotations.csv"
    ]  # fmt: skip
    assert len(gone) == 1
    frames = {c.frames_sha256 for c in before.read("clips", Clip) if c.clip_id in gone}
    assert frames.isdisjoint(dataset.clips["frames_sha256"])
    # b.mp4 shows two people: its pack is written anew without one of them.
    shown = {
        member.key
        for tar in (dataset.root / "clips").rglob("*.tar")
        for member in pack.read_index(tar)[0]
    }
    assert shown == set(dataset.clips["clip_id"])
    assert not (dataset.root / "shards" / "h264" / "index.json").exists()


def test_one_person_who_withdrew_somewhere_is_gone_everywhere(
    lab: Path, school: Path, tmp_path: Path
) -> None:
    less = changed(lab, tmp_path, signer_id="anna", consent_withdrawn=True)
    people = sheet(tmp_path / "people.csv", "corpus,signer_id,person", "lab,anna,p1",
                   "school,anna,p1")  # fmt: skip
    dataset = merged(tmp_path / "out", less, school, same_signers=people)
    assert "p1" not in set(dataset.signers["signer_id"])
    assert "school/c.mp4" not in set(dataset.recordings["source_file"])
    # Nor is the name of a file, which may be that of a person.
    assert "/c.mp4" not in json.dumps(dataset.provenance)
    assert "/remuxed.mkv" in json.dumps(dataset.provenance)
    books = dataset.provenance["stages"]
    assert all(b["in"] == b["out"] + b["dropped"] for b in books.values())


@pytest.mark.parametrize("name", ["lab", "zoo"])
def test_no_copy_crosses_of_what_was_withdrawn(
    lab: Path, school: Path, tmp_path: Path, name: str
) -> None:
    # same.mp4 of lab's anna is again.mp4 of school's cora, before or after it by name.
    less = changed(lab, tmp_path, signer_id="anna", consent_withdrawn=True)
    Dataset(less).update_provenance(name=name)
    dataset = merged(tmp_path / "out", less, school)
    files = set(dataset.recordings["source_file"])
    assert "school/again.mp4" not in files
    assert "school/c.mp4" in files
    reasons = [d.reason for d in dataset.read("dropped", Dropped) if d.code == "K324"]
    assert sum(reason.startswith("school") for reason in reasons) == 3  # it and two segments
    assert "/again.mp4" not in json.dumps(dataset.provenance)


def withdrawn_from(folder: Path, tmp_path: Path, who: str) -> Path:
    """A dataset that was built again after somebody had withdrawn."""
    copy = tmp_path / f"less-{folder.name}"
    shutil.copytree(folder, copy)
    rows = (copy / "signers.csv").read_text().splitlines()[1:]
    (copy / "signers.csv").write_text(
        "signer_id,consent_scope,consent_withdrawn\n"
        + "".join(f"{row},{str(row.startswith(f'{who},')).lower()}\n" for row in rows)
    )
    rebuild(copy)
    return copy / "dataset"


def rebuild(folder: Path) -> Dataset:
    dataset = Dataset(folder / "dataset")
    recipes.run_ingest(dataset, recipes.read(folder / "recipe.toml"))
    recipes.run_validate(dataset, recipes.of(dataset))
    recipes.run_resize(dataset, recipes.of(dataset), workers=2)
    return dataset


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("name", ["lab", "zoo"])
def test_no_copy_crosses_of_what_was_withdrawn_before_the_last_build(
    built: Path, school: Path, tmp_path: Path, name: str, keep: bool
) -> None:
    less = withdrawn_from(built / "lab", tmp_path, "anna")
    if not keep:  # the recordings are deleted, as they should be
        for file in ("a.mp4", "same.mp4"):
            (less.parent / "media" / file).unlink()
        rebuild(less.parent)
    Dataset(less).update_provenance(name=name)
    dataset = merged(tmp_path / "out", less, school)
    assert "school/again.mp4" not in set(dataset.recordings["source_file"])
    dropped = {d.code for d in dataset.read("dropped", Dropped) if d.reason.startswith("school")}
    assert dropped >= {"K324"}
    assert "/again.mp4" not in json.dumps(dataset.provenance)
    # Nor does one that is merged into the merged dataset later.
    late = tmp_path / "late"
    shutil.copytree(school, late)
    Dataset(late).update_provenance(name="late")
    again = merged(tmp_path / "again", dataset.root, late, name="again")
    assert "late/again.mp4" not in set(again.recordings["source_file"])


def test_a_dataset_is_not_published_that_was_merged_before_somebody_withdrew(
    built: Path, school: Path, tmp_path: Path
) -> None:
    shutil.copytree(built / "lab", tmp_path / "old")
    part = tmp_path / "old" / "dataset"
    both = merged(tmp_path / "out", part, school)
    parts = [str(part), str(school), str(tmp_path / "elsewhere")]
    withdrawal.stop_if_unheeded(both, signers=None, parts=parts)

    less = withdrawn_from(built / "lab", tmp_path, "dana")  # bek is on that recording too
    shutil.rmtree(part)
    shutil.copytree(less, part)
    with pytest.raises(ConsentError, match=r"from 1 recording\(s\) of .*old/dataset since it"):
        withdrawal.stop_if_unheeded(both, signers=None, parts=parts)
    answer = CliRunner().invoke(cli, ["publish", str(both.root), "--repo", "org/name"])
    assert answer.exit_code == 1
    assert "somebody has withdrawn consent" in answer.stderr
    both = merged(tmp_path / "out", part, school)
    withdrawal.stop_if_unheeded(both, signers=None, parts=parts)


@pytest.mark.parametrize("name", ["school", "abc"])
def test_of_a_recording_that_one_of_several_withdrew_from_no_copy_crosses(
    built: Path, tmp_path: Path, name: str
) -> None:
    # Who is who on the copy, nobody can tell.
    copy = tmp_path / name
    (copy / "media").mkdir(parents=True)
    shutil.copy(built / "lab" / "media" / "b.mp4", copy / "media" / "two.mp4")
    record(copy / "media" / "own.mp4", num_frames=40, filters="vflip",
           options=("-c:v", "libx264", "-pix_fmt", "yuv420p"))  # fmt: skip
    build(copy, (("two.mp4", "әке", 0, "x"), ("two.mp4", "әпке", 15, "y"),
                 ("own.mp4", "ата", 3, "x")), name=name, licence="CC-BY-4.0")  # fmt: skip
    less = withdrawn_from(built / "lab", tmp_path, "dana")
    dataset = merged(tmp_path / "out", less, copy / "dataset")
    files = {"lab/a.mp4", "lab/b.mp4", "lab/same.mp4", f"{name}/own.mp4"}
    assert set(dataset.recordings["source_file"]) == files
    assert "lab-dana" not in set(dataset.clips["signer_id"])


def test_a_recording_of_somebody_who_withdrew_under_another_name_is_told(
    built: Path, tmp_path: Path
) -> None:
    less = withdrawn_from(built / "lab", tmp_path, "anna")
    folder = less.parent
    assert "K139" not in set(Dataset(less).issues["code"])
    (folder / "media" / "same.mp4").rename(folder / "media" / "new.mp4")
    rows = (folder / "annotations.csv").read_text(encoding="utf-8")
    rows = rows.replace("same.mp4,әке,0,12,frame,anna", "new.mp4,әке,0,12,frame,bek")
    (folder / "annotations.csv").write_text(rows, encoding="utf-8")
    for _ in range(2):
        dataset = rebuild(folder)
        (found,) = [i for i in dataset.read("issues", Issue) if i.code == "K139"]
        assert found.message == "new.mp4: anna has withdrawn from it"
    # Whoever consents again is forgotten.
    signers = (folder / "signers.csv").read_text().replace(",true", ",false")
    (folder / "signers.csv").write_text(signers)
    dataset = rebuild(folder)
    assert "K139" not in set(dataset.issues["code"])
    assert dataset.provenance["withdrawn"] == {}


def test_a_licence_for_all_that_asks_for_less_is_warned_of(
    lab: Path, school: Path, tmp_path: Path
) -> None:
    (tmp_path / "recipe.toml").write_text(
        f'name = "all"\nlicence = "CC-BY-4.0"\n[merge]\ndatasets = ["{lab}", "{school}"]\n'
        '[shards]\nencodings = ["h264"]\n'
    )
    dataset = Dataset(tmp_path / "out", create=True)
    for _ in range(2):
        recipes.run_merge(dataset, recipes.read(tmp_path / "recipe.toml"))
        found = [i.message for i in dataset.read("issues", Issue) if i.code == "K710"]
        assert found == ["the recipe states CC-BY-4.0 for all, the recordings CC-BY-NC-4.0"]
    assert dataset.provenance["licence"] == "CC-BY-4.0"
    for enough in ("CC-BY-NC-SA-4.0", "cc by-nc 4.0"):
        recipe = dataclasses.replace(recipes.read(tmp_path / "recipe.toml"), licence=enough)
        recipes.run_merge(dataset, recipe)
        assert "K710" not in {i.code for i in dataset.read("issues", Issue)}


def test_one_person_has_the_narrowest_consent(lab: Path, school: Path, tmp_path: Path) -> None:
    less = changed(lab, tmp_path, signer_id="anna", consent_scope="internal", age_band="18-29")
    people = sheet(tmp_path / "people.csv", "corpus,signer_id,person", "lab,anna,p1",
                   "school,anna,p1")  # fmt: skip
    dataset = merged(tmp_path / "out", less, school, same_signers=people)
    (signer,) = [s for s in dataset.read("signers", Signer) if s.signer_id == "p1"]
    assert (signer.consent_scope, signer.age_band) == ("internal", "18-29")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("lab,ana,p1",), "lab has no signer 'ana'"),
        (("lab,anna,p1", "lab,anna,p2"), "anna of lab is two persons"),
        (("lab,anna,school-bek",), "would both be called 'school-bek'"),
    ],
)
def test_a_table_of_persons_that_is_wrong_is_refused(
    lab: Path, school: Path, tmp_path: Path, rows: tuple[str, ...], message: str
) -> None:
    people = sheet(tmp_path / "people.csv", "corpus,signer_id,person", *rows)
    with pytest.raises((AnnotationError, UsageError), match=message):
        merged(tmp_path / "out", lab, school, same_signers=people)


def test_keys_stay_keys(lab: Path, school: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(lab, copy)
    dataset = Dataset(copy)
    long = "s" * schema.MAX_KEY_CHARS
    rename = {"anna": long}
    for name, record_type in (("signers", Signer), ("segments", Segment), ("clips", Clip),
                              ("recordings", Recording)):  # fmt: skip
        rows = dataset.read(name, record_type)
        dataset.write(name, [
            dataclasses.replace(r, signer_id=rename.get(r.signer_id, r.signer_id)) for r in rows
        ])  # fmt: skip
    found = merged(tmp_path / "out", copy, school).signers["signer_id"]
    assert all(len(key) <= schema.MAX_KEY_CHARS for key in found)
    assert len(set(found)) == 6


# --------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("key", "old", "new"),
    [
        ("size", "size = 64", "size = 32"),
        ("fit", 'fit = "pad"', 'fit = "stretch"'),
        ("fps", 'fps = "source"', "fps = 25"),
    ],
)
def test_clips_of_two_kinds_are_refused(
    lab: Path, school: Path, tmp_path: Path, key: str, old: str, new: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(school, copy)
    text = (copy / "kslds.toml").read_text(encoding="utf-8")
    assert text.count(old) == 1
    (copy / "kslds.toml").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(UsageError, match=f"lab has {key} = .*, school has") as error:
        merged(tmp_path / "out", lab, copy)
    assert f"Set {key} in the recipe" in str(error.value)


def test_other_encodings_names_and_unfinished_datasets_are_refused(
    lab: Path, school: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(school, copy)
    recipe = recipes.of(Dataset(copy))
    both = dataclasses.replace(recipe.shards, encodings=("h264", "jpeg"))
    recipes.write(dataclasses.replace(recipe, shards=both), root=copy)
    with pytest.raises(UsageError, match="encodings = h264, school has h264, jpeg"):
        merged(tmp_path / "out", lab, copy)
    recipes.write(recipe, root=copy)
    recipes.run_trim(Dataset(copy), recipes.of(Dataset(copy)))
    with pytest.raises(IncompleteDataset, match="have not been rendered"):
        merged(tmp_path / "out", lab, copy)
    with pytest.raises(UsageError, match="2 datasets are called 'lab'"):
        merged(tmp_path / "out", lab, lab)
    other = tmp_path / "other"
    shutil.copytree(school, other)
    with pytest.raises(UsageError, match="a dataset that was not merged"):
        merged(other, lab, school)


def test_a_merged_dataset_cannot_be_cut_anew(lab: Path, school: Path, tmp_path: Path) -> None:
    dataset = merged(tmp_path / "out", lab, school)
    recipe = recipes.of(dataset)
    before = snapshot(dataset.root)
    for stage in (recipes.run_ingest, recipes.run_trim, recipes.run_resize):
        with pytest.raises(UsageError, match="merged from others"):
            stage(dataset, recipe)
    recipes.run_validate(dataset, recipe)
    assert snapshot(dataset.root) == before


@pytest.mark.parametrize(
    "options",
    [{"labels": "x"}, {"unmapped": "x"}, {"unmapped": "drop"}, {"datasets": ("a",)}],
)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=r"\[merge\]"):
        MergeOptions(**{"datasets": ("a", "b"), **options})


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`ca` and `cb`, built without a lexicon; one recording is in both. Not to be changed."""
    root = tmp_path_factory.mktemp("labelled")
    options = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "12")
    for name in ("ca", "cb"):
        (root / name / "media").mkdir(parents=True)
        path = root / name / "media" / f"{name}.mp4"
        record(path, num_frames=80, options=options,
               filters="null" if name == "ca" else "hflip")  # fmt: skip
    record(root / "ca" / "media" / "both.mp4", num_frames=80, options=options, filters="negate")
    shutil.copy(root / "ca" / "media" / "both.mp4", root / "cb" / "media" / "both.mp4")
    rows = {
        "ca": (("с", 0), ("кто", 15), ("замок", 30)),
        "cb": (("С", 0), ("с", 15), ("кто?", 30), ("Замок!", 45)),
    }
    both = {
        "ca": (("кот", 0), ("дом", 15), ("кто", 30)),
        "cb": (("собака", 1), ("дом", 15), ("кто", 50)),
    }
    for name, licence in (("ca", "CC-BY-4.0"), ("cb", "CC-BY-4.0")):
        own = [(f"{name}.mp4", label, at, "p") for label, at in rows[name]]
        own += [("both.mp4", label, at, "q") for label, at in both[name]]
        build(root / name, own, name=name, licence=licence, lexicon=None)
    return root


def test_without_a_lexicon_labels_are_put_together_as_written(
    labelled: Path, tmp_path: Path
) -> None:
    roots = [labelled / name / "dataset" for name in ("ca", "cb")]
    keys = {}
    for name, root in zip(("ca", "cb"), roots, strict=True):
        dataset = kslds.open(root)
        keys[name] = dict(zip(dataset.segments["label"], dataset.segments["gloss_id"],
                                      strict=True))  # fmt: skip
    # The keys alone would unite these, and separate the small letter from itself.
    assert keys["ca"]["с"] == keys["cb"]["С"] == "s" != keys["cb"]["с"]
    assert keys["ca"]["кто"] == "kto"

    dataset = merged(tmp_path / "out", *roots, labels="together")
    signs = {tuple(s.aliases): s.gloss_id for s in dataset.read("signs", Sign)}
    assert sorted(signs) == [("Замок!",), ("С",), ("дом",), ("замок",), ("кот",), ("кто",),
                             ("кто?",), ("с",)]  # fmt: skip
    assert signs["с",] == "s"
    assert signs["кто",] == "kto"
    assert signs["С",].startswith("s_")
    files = dataset.clips.groupby("gloss_id")["source_file"].agg(set)
    assert files["s"] == {"ca/ca.mp4", "cb/cb.mp4"}


def test_numbers_of_classes_stay_apart(tmp_path: Path) -> None:
    options = ("-c:v", "libx264", "-pix_fmt", "yuv420p")
    for name, filters in (("pa", "null"), ("pb", "hflip")):
        (tmp_path / name / "media").mkdir(parents=True)
        record(tmp_path / name / "media" / f"{name}.mp4", num_frames=40, options=options,
               filters=filters)  # fmt: skip
    record(tmp_path / "pa" / "media" / "x.mp4", num_frames=20, options=options, filters="vflip")
    shutil.copy(tmp_path / "pa" / "media" / "x.mp4", tmp_path / "pb" / "media" / "x.mp4")
    for name in ("pa", "pb"):
        rows = [
            (f"{name}.mp4", "41", 0, "s"),
            (f"{name}.mp4", "да", 15, "s"),
            ("x.mp4", "41", 2, "s"),
        ]
        build(tmp_path / name, rows, name=name, licence="CC0-1.0", lexicon=None)
    folders = [tmp_path / name / "dataset" for name in ("pa", "pb")]
    dataset = merged(tmp_path / "out", *folders, labels="together")
    assert set(dataset.clips["gloss_id"]) == {"pa-41", "pb-41", "da"}
    assert "K708" not in set(dataset.issues["code"])
    table = sheet(tmp_path / "signs.csv", "corpus,label,merged_id", "pa,41,x", "pb,41,x")
    dataset = merged(tmp_path / "mapped", *folders, labels="together", map=table)
    assert set(dataset.clips["gloss_id"]) == {"x", "da"}


def test_two_labels_of_one_recording_are_named(labelled: Path, tmp_path: Path) -> None:
    roots = [labelled / name / "dataset" for name in ("ca", "cb")]
    for labels in ("together", "apart"):
        dataset = merged(tmp_path / labels, *roots, labels=labels)
        (found,) = [i for i in dataset.read("issues", Issue) if i.code == "K708"]
        # The same labels, and labels of other times, do not disagree.
        assert found.message.startswith("'кот' of ca is 'собака' in cb (1 segment(s), first ca/")
        assert found.key in set(dataset.segments["segment_id"])
    table = sheet(tmp_path / "signs.csv", "corpus,label,merged_id", "ca,кот,pet", "cb,собака,pet")
    dataset = merged(tmp_path / "mapped", *roots, map=table)
    assert not [i for i in dataset.read("issues", Issue) if i.code == "K708"]
    # No clip of the mapped sign crosses from cb: still said.
    assert "K705" in {i.code for i in dataset.read("issues", Issue)}


def test_two_labels_of_one_clip_are_named(lab: Path, school: Path, tmp_path: Path) -> None:
    table = sheet(tmp_path / "signs.csv", "corpus,label,merged_id", "lab,әпке,sister",
                  "school,әпке,aunt")  # fmt: skip
    dataset = merged(tmp_path / "out", lab, school, map=table)
    messages = [i.message for i in dataset.read("issues", Issue) if i.code == "K708"]
    assert len(messages) == 1
    assert "school/annotations.csv:6" in messages[0]


# --------------------------------------------------------------------------- licences


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("CC0-1.0", "CC0"), ("CC-BY-4.0", "CC-BY"), ("cc by-sa 4.0", "CC-BY-SA"),
        ("CC-BY-NC-SA-3.0", "CC-BY-NC-SA"), ("CC-BY-NC-ND-4.0", "CC-BY-NC-ND"),
        ("C-UDA-1.0", "academic use only"), ("academic use only", "academic use only"),
        ("MIT", "MIT"), ("Apache License 2.0", "Apache-2.0"), ("BSD-3-Clause", "BSD"),
        ("BSD-4-Clause", None), ("GPL-3.0", None),
        ("https://creativecommons.org/licenses/by-nc-sa/4.0/", "CC-BY-NC-SA"),
        ("http://creativecommons.org/licenses/by/3.0/deed.ru", "CC-BY"),
        ("https://creativecommons.org/publicdomain/zero/1.0/legalcode", "CC0"),
        ("https://creativecommons.org/about/", None),
        ("variant of CC BY-SA 4.0", None), ("CC-BY-XX", None), (None, None), ("", None),
    ],
)  # fmt: skip
def test_kinds_of_licences(text: str | None, kind: str | None) -> None:
    assert licence_kind(text) == kind
    assert kind is None or kind in LICENCES


@pytest.mark.parametrize(
    ("licences", "stated"),
    [
        (["CC0-1.0", "CC-BY-4.0"], "CC-BY-4.0"),
        (["CC-BY-4.0", "CC-BY-NC-SA-4.0", "MIT"], "CC-BY-NC-SA-4.0"),
        # What permits more stands behind; what asks for other things is joined.
        (["MIT", "CC-BY-NC-4.0"], "CC-BY-NC-4.0"),
        (["MIT", "Apache-2.0"], "Apache-2.0 AND MIT"),
        (["GPL-3.0", "CC-BY-NC-4.0"], "CC-BY-NC-4.0 AND GPL-3.0"),
        (["GPL-3.0", "CC0-1.0"], "GPL-3.0"),
        (["CC-BY-NC-4.0", "CC-BY-ND-4.0"], "CC-BY-NC-ND-4.0"),
        (["CC-BY-SA-4.0", "CC-BY-NC-4.0"], "CC-BY-NC-SA-4.0"),
        (["CC-BY-SA-3.0", "CC-BY-NC-4.0"], "CC-BY-NC-4.0 AND CC-BY-SA-3.0"),
        (["CC-BY-SA-4.0", "CC-BY-ND-4.0"], "CC-BY-ND-4.0 AND CC-BY-SA-4.0"),
        (["variant of CC BY-SA 4.0", "CC-BY-NC-SA-4.0"],
         "CC-BY-NC-SA-4.0 AND variant of CC BY-SA 4.0"),
        (["CC-BY-NC-SA-4.0", "C-UDA-1.0"], "C-UDA-1.0 AND CC-BY-NC-SA-4.0"),
        (["CC-BY-3.0", "CC-BY-4.0"], "CC-BY-3.0 AND CC-BY-4.0"),
        (["https://creativecommons.org/licenses/by-sa/4.0/", "CC-BY-NC-4.0"], "CC-BY-NC-SA-4.0"),
        (["CC-BY-SA-4.0", "CC-BY-NC-4.0 AND GPL-3.0"], "CC-BY-NC-SA-4.0 AND GPL-3.0"),
        (["CC-BY-SA-4.0"], "CC-BY-SA-4.0"),
        # What is not stated cannot be outdone: nothing may be stated for all.
        (["CC0-1.0", None], None),
        ([], None),
    ],
)  # fmt: skip
def test_the_licence_of_all_loses_no_restriction(
    licences: list[str | None], stated: str | None
) -> None:
    assert strictest(licences) == stated
    assert strictest(licences[::-1]) == stated


def test_licences_that_do_not_combine() -> None:
    assert combine("CC0-1.0", "CC-BY-SA-4.0")
    assert combine("MIT", "CC-BY-SA-4.0")
    assert combine("CC-BY-NC-4.0", "CC-BY-NC-SA-4.0")
    assert combine("CC-BY-NC-4.0", "C-UDA-1.0")
    for other in ("CC-BY-NC-SA-4.0", "CC-BY-NC-4.0", "CC-BY-ND-4.0", "C-UDA-1.0"):
        assert combine("CC-BY-SA-4.0", other) is False
        assert combine(other, "CC-BY-SA-4.0") is False
    # Nothing is known of these two: that is no yes.
    assert combine("CC-BY-SA-4.0", "house rules") is None


def test_what_is_wrong_with_licences_is_said(lab: Path, school: Path, tmp_path: Path) -> None:
    copies = []
    for root, licence in ((lab, "CC-BY-SA-4.0"), (school, None)):
        copy = tmp_path / root.parent.name
        shutil.copytree(root, copy)
        dataset = Dataset(copy)
        rows = dataset.read("recordings", Recording)
        changed_rows = [
            dataclasses.replace(r, licence=licence or ("CC-BY-NC-SA-4.0" if i else None))
            for i, r in enumerate(rows)
        ]
        dataset.write("recordings", changed_rows)
        dataset.update_provenance(licence=None)
        copies.append(copy)
    dataset = merged(tmp_path / "out", *copies)
    messages = [i.message for i in dataset.read("issues", Issue) if i.code in ("K706", "K707")]
    assert "lab is under CC-BY-SA-4.0, school under CC-BY-NC-SA-4.0" in "".join(messages)
    assert (
        "school: no licence is stated (1 recording(s)); their clips may not be passed on"
        in messages
    )
    assert dataset.provenance["licence"] is None
    (_, of_school) = dataset.provenance["merged_from"]
    assert of_school["licences"] == [None, "CC-BY-NC-SA-4.0"]
    assert "not stated, CC-BY-NC-SA-4.0" in report.report(dataset).read_text(encoding="utf-8")


def test_what_has_no_licence_may_not_be_passed_on(lab: Path, school: Path, tmp_path: Path) -> None:
    copy = tmp_path / "school"
    shutil.copytree(school, copy)
    rows = Dataset(copy).read("recordings", Recording)
    Dataset(copy).write("recordings", [dataclasses.replace(row, licence=None) for row in rows])
    Dataset(copy).update_provenance(licence=None)
    (tmp_path / "recipe.toml").write_text(
        f"""name = "all"
licence = "CC-BY-4.0"
[merge]
datasets = ["{lab}", "{copy}"]
[split]
fractions = {{ train = 0.5, test = 0.5 }}
"""
    )
    dataset = recipes.build(recipes.read(tmp_path / "recipe.toml"), out=tmp_path / "out")
    assert dataset.provenance["licence"] is None
    messages = [i.message for i in dataset.read("issues", Issue) if i.code in ("K707", "K710")]
    assert sorted(messages) == [
        "school: no licence is stated (2 recording(s)); their clips may not be passed on",
        "the recipe states CC-BY-4.0 for all, but some recordings are without a licence",
    ]
    page = (dataset.root / "reports" / "index.html").read_text(encoding="utf-8")
    assert "not stated: what has none may not be passed on" in page
    found = {
        (s["corpus"], s["licence"] or None)
        for side in ("train", "test") for s in kslds.load(str(dataset.root), split=side)
    }  # fmt: skip
    assert found == {("lab", "CC-BY-4.0"), ("school", None)}
    wrong = "licence of 2 recording.s. of school is not known: what has none may not be passed on"
    with pytest.raises(UsageError, match=wrong) as error:
        release.licences(dataset, release.read_release(dataset))
    assert "build that dataset and merge again" in str(error.value)


def test_the_card_states_the_licence_of_all(lab: Path, school: Path, tmp_path: Path) -> None:
    dataset = merged(tmp_path / "out", lab, school)
    split.split(dataset, options=recipes.of(dataset).split)
    recipes.run_shard(dataset, recipes.of(dataset))
    card = release.card(dataset, repo="org/name", tag="v1")
    assert "license: cc-by-nc-4.0\n" in card
    assert (
        "Each clip is under the licence that its sample states: CC-BY-4.0, CC-BY-NC-4.0. "
        "Whoever uses all of them keeps to CC-BY-NC-4.0."
    ) in card


# --------------------------------------------------------------------------- the command


def test_a_merge_that_is_refused_leaves_nothing(lab: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(command)
    run = CliRunner()
    for out in (tmp_path / "out", tmp_path / "above" / "out"):
        result = run.invoke(app, [str(lab), str(lab), "--out", str(out)])
        assert result.exit_code == 2, result.output
        assert "2 datasets are called 'lab'" in result.stderr
    assert list(tmp_path.iterdir()) == []
    # A folder that was there stays, and so does all that is in it.
    (tmp_path / "mine" / "notes").mkdir(parents=True)
    run.invoke(app, [str(lab), str(lab), "--out", str(tmp_path / "mine")])
    assert [p.name for p in (tmp_path / "mine").rglob("*")] == ["notes"]


def test_the_command(lab: Path, school: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(command)
    run = CliRunner()
    out = tmp_path / "out"
    result = run.invoke(app, [str(school), str(lab), "--out", str(out), "--format", "json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["clips"]["number"] == 8
    assert json.loads(result.stdout)["name"] == "out"
    result = run.invoke(app, [str(lab), "--out", str(out)])
    assert result.exit_code == 2
    result = run.invoke(app, [str(lab), str(school), "--out", str(lab)])
    assert result.exit_code == 2
    assert "one of the datasets" in result.stderr


# --------------------------------------------------------------------------- the same, changed


def wander(path: Path, *, seed: int, num_frames: int = 75) -> None:
    """Record a hand of light that moves along a path of its own, before a wall of its own."""
    rng = np.random.default_rng(seed)
    wall = np.kron(rng.integers(40, 110, (9, 16)), np.ones((20, 20))).astype(np.float64)
    turns = rng.uniform(0.3, 1.5, 4)
    begins = rng.uniform(0, 6, 4)
    y, x = np.mgrid[0:180, 0:320]
    frames = []
    for t in np.arange(num_frames) / 25:
        a, b, c, d = np.sin(2 * np.pi * turns * t + begins)
        hand = np.exp(
            -(((x - 160 - 60 * a - 30 * c) / 25) ** 2 + ((y - 90 - 40 * b - 20 * d) / 25) ** 2)
        )
        frames.append((wall * (1 - hand) + 230 * hand).astype(np.uint8))
    raw = path.with_suffix(".raw")
    raw.write_bytes(np.stack(frames).tobytes())
    ffmpeg("-f", "rawvideo", "-pix_fmt", "gray", "-s", "320x180", "-r", "25", "-i", raw,
           "-c:v", "libx264", "-pix_fmt", "yuv420p", path)  # fmt: skip
    raw.unlink()


@pytest.fixture(scope="module")
def altered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`one` has four recordings; `two` has three of them, changed, and one of its own."""
    root = tmp_path_factory.mktemp("changed")
    one, two = root / "one" / "media", root / "two" / "media"
    one.mkdir(parents=True)
    two.mkdir(parents=True)
    for number in range(4):
        wander(one / f"r{number}.mp4", seed=number)
    wander(two / "own.mp4", seed=9)
    for source, target, options in (
        ("r0", "small.mp4", ("-vf", "scale=160:90", "-c:v", "libx264", "-crf", "32")),
        ("r1", "cut.mkv", ("-ss", "0.6", "-c:v", "libx264", "-r", "20")),
        ("r2", "mirrored.avi", ("-vf", "hflip", "-c:v", "mpeg4", "-q:v", "6")),
    ):
        ffmpeg("-i", one / f"{source}.mp4", *options, two / target)
    first = [(f"r{n}.mp4", 5, 65, "anna") for n in range(4)]
    second = [("small.mp4", 8, 60, "bek"), ("cut.mkv", 2, 40, "bek"),
              ("mirrored.avi", 10, 65, "cora"), ("own.mp4", 5, 65, "cora")]  # fmt: skip
    for name, rows in (("one", first), ("two", second)):
        marked = [(f, "әке", a, s, b) for f, a, b, s in rows]
        build(root / name, marked, name=name, licence="CC-BY-4.0")
    return root


def test_recordings_that_were_changed_are_found(altered: Path, tmp_path: Path) -> None:
    folders = [altered / name / "dataset" for name in ("one", "two")]
    dataset = merged(tmp_path / "warned", *folders)
    assert len(dataset.clips) == 8
    found = sorted(i.message for i in dataset.read("issues", Issue) if i.code == "K709")
    assert [text.partition(":")[0] for text in found] == [
        "two/cut.mkv shows what one/r1.mp4 does",
        "two/mirrored.avi shows what one/r2.mp4 does, mirrored",
        "two/small.mp4 shows what one/r0.mp4 does",
    ]
    assert "the signers are one-anna and two-bek" in found[0]
    # The later dataset is the one whose name comes later, wherever it is named.
    again = merged(tmp_path / "again", *folders[::-1])
    assert snapshot(again.root) == snapshot(dataset.root)

    ignored = merged(tmp_path / "ignored", *folders, similar="ignore")
    assert "K709" not in {i.code for i in ignored.read("issues", Issue)}
    assert len(ignored.clips) == 8


def test_recordings_that_were_changed_can_be_left_out(altered: Path, tmp_path: Path) -> None:
    folders = [altered / name / "dataset" for name in ("one", "two")]
    people = sheet(tmp_path / "people.csv", "corpus,signer_id,person",
                   "one,anna,p1", "two,bek,p1")  # fmt: skip
    dataset = merged(tmp_path / "out", *folders, similar="drop", same_signers=people)
    assert sorted(dataset.clips["source_file"]) == [
        "one/r0.mp4", "one/r1.mp4", "one/r2.mp4", "one/r3.mp4", "two/own.mp4"
    ]  # fmt: skip
    codes = [d.code for d in dataset.read("dropped", Dropped)]
    assert (codes.count("K709"), codes.count("K109")) == (3, 3)
    twice = [i.message for i in dataset.read("issues", Issue) if i.code == "K702"]
    assert [text.rpartition("but ")[2] for text in twice] == ["the signers are p1 and two-cora"]
    held = {m.key for tar in (dataset.root / "clips").glob("*/*.tar")
            for m in pack.read_index(tar)[0]}  # fmt: skip
    assert held == set(dataset.clips["clip_id"])


@pytest.mark.parametrize("name", ["one", "zoo"])
def test_what_was_changed_of_somebody_who_withdrew_does_not_cross(
    altered: Path, tmp_path: Path, name: str
) -> None:
    less = changed(altered / "one" / "dataset", tmp_path, signer_id="anna", consent_withdrawn=True)
    Dataset(less).update_provenance(name=name)
    dataset = merged(tmp_path / "out", less, altered / "two" / "dataset")
    assert set(dataset.clips["source_file"]) == {"two/own.mp4"}
    reasons = [d.reason for d in dataset.read("dropped", Dropped) if d.code == "K324"]
    assert sum("shows what one of somebody who has withdrawn does" in r for r in reasons) == 3
    ignored = merged(tmp_path / "ignored", less, altered / "two" / "dataset", similar="ignore")
    assert len(ignored.clips) == 4


def test_still_and_short_clips_are_not_compared(altered: Path) -> None:
    dataset = Dataset(altered / "one" / "dataset")
    clips = {c.clip_id: c for c in dataset.read("clips", Clip)}
    (first, *_) = traces(dataset, encoding="h264", clips=clips, stage="compare", progress=None)
    still = dataclasses.replace(first, picture=np.repeat(first.picture[:1], 50, axis=0))
    short = dataclasses.replace(first, picture=first.picture[:9])
    for unusable in (still, short):
        known = Known()
        known.add([unusable])
        assert known.find([unusable]) == known.find([first]) == []
    known = Known()
    known.add([first])
    assert known.find([dataclasses.replace(first, picture=first.picture[7:20])]) == []  # 520 ms
    (pair,) = known.find([dataclasses.replace(first, picture=first.picture[7:40])])
    assert (pair.shared_ms, pair.mirrored) == (33 * 40, False)


def sign(rng: np.random.Generator, wall: np.ndarray) -> np.ndarray:
    """2 s of 16 × 16 fields: two hands rise from where they rest, move, and go back."""
    y, x = np.mgrid[0:16, 0:16]
    t = np.arange(50) / 25
    up = np.clip(t / 0.5, 0, 1) * np.clip((t[-1] - t) / 0.5, 0, 1)
    picture = np.broadcast_to(wall, (50, 16, 16))
    for side in (5, 10):
        turns, begins = rng.uniform(0.3, 1.6, 2), rng.uniform(0, 6, 2)
        a, b = np.sin(2 * np.pi * np.outer(turns, t) + begins[:, None])
        place = side + up * (rng.uniform(-2, 2) + a), 14 - up * (rng.uniform(5, 9) + b)
        across, down = (p[:, None, None] for p in place)
        hand = np.exp(-(((x - across) / 1.3) ** 2) - ((y - down) / 1.6) ** 2)
        picture = picture * (1 - hand) + 200 * hand
    return picture.reshape(50, 256)


def test_copies_are_found_among_many_clips(altered: Path) -> None:
    # So many that a moment is looked for among those that are most like it only.
    rng = np.random.default_rng(5)
    walls = rng.integers(40, 110, (10, 16, 16))
    clip = Dataset(altered / "one" / "dataset").read("clips", Clip)[0]

    def trace(name: str, picture: np.ndarray) -> Trace:
        changed = dataclasses.replace(clip, clip_id=name)
        return Trace(clip=changed, picture=picture.astype(np.float16))

    pictures = [sign(rng, walls[n % 10]) for n in range(3200)]
    known = Known()
    known.add([trace(f"k{n}", picture) for n, picture in enumerate(pictures)])
    copies = []
    for n in range(0, 3200, 40):
        copy = pictures[n] * rng.uniform(0.9, 1.1) + rng.normal(0, 1, (50, 256))
        mirrored = copy.reshape(50, 16, 16)[:, :, ::-1].reshape(50, 256)
        copies += [trace(f"c{n}", copy[8:40]), trace(f"m{n}", mirrored)]
    copies += [trace(f"new{n}", sign(rng, walls[n % 10])) for n in range(40)]
    found = {p.other.clip_id: (p.one.clip_id, p.mirrored) for p in known.find(copies)}
    assert len(found) >= 158  # of 160
    assert all(name[1:] == twin[1:] and (name[0] == "m") == mirrored
               for name, (twin, mirrored) in found.items())  # fmt: skip


def test_changed_recordings_are_found_in_jpeg_as_well(altered: Path, tmp_path: Path) -> None:
    folders = []
    for name in ("one", "two"):
        copy = tmp_path / name
        shutil.copytree(altered / name, copy)
        recipe = (copy / "recipe.toml").read_text().replace('["h264"]', '["jpeg"]')
        recipe = recipe.replace("train = 0.5, test = 0.5", "train = 1")
        (copy / "recipe.toml").write_text(recipe)
        recipes.build(recipes.read(copy / "recipe.toml"), out=copy / "jpeg")
        folders.append(copy / "jpeg")
    dataset = merged(tmp_path / "out", *folders, encodings=("jpeg",))
    assert [i.code for i in dataset.read("issues", Issue)].count("K709") == 3
