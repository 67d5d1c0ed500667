"""A signer who withdraws is gone from all that can be loaded, even where a build stops."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import kslds
from kslds import pack, withdrawal
from kslds import recipe as recipes
from kslds.cli import app
from kslds.errors import (
    AnnotationError,
    ConsentError,
    IncompleteDataset,
    MissingFile,
    ValidationFailed,
)
from kslds.manifest import Dataset
from kslds.schema import Segment

GONE = "subject_03"


@pytest.fixture
def lab(small: Dataset, tmp_path: Path) -> Path:
    """The small dataset in `dataset`, with all that it was built from."""
    shutil.copytree(small.root.parent, tmp_path / "lab")
    return tmp_path / "lab"


def build(lab: Path) -> Dataset:
    return recipes.build(recipes.read(lab / "recipe.toml"), out=lab / "dataset", workers=2)


def withdraw(lab: Path, signer: str = GONE) -> None:
    rows = (lab / "signers.csv").read_text().splitlines()
    rows = [rows[0] + ",consent_withdrawn"] + [f"{r},{r.startswith(signer)}" for r in rows[1:]]
    (lab / "signers.csv").write_text("\n".join(rows) + "\n")


def replace(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def spoil(lab: Path) -> None:
    """An unknown label of another signer stops the next build in its validation."""
    replace(lab / "annotations.csv", "s0.mp4,әке,0,", "s0.mp4,nosuchsign,0,")


def shown(root: Path, signer_of: dict[str, str | None]) -> set[str | None]:
    """Everybody who is in a pack, a tar or a Parquet file, by the clips' keys."""
    clips: set[str] = set()
    for tar in [*root.glob("clips/*/*.tar"), *root.glob("shards/*/*.tar")]:
        clips |= {member.key for member in pack.read_index(tar)[0]}
    for path in root.glob("parquet/*.parquet"):
        clips |= set(pq.read_table(path, columns=["clip_id"])["clip_id"].to_pylist())
    return {signer_of[clip] for clip in clips}


def files(root: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(root)): p.read_bytes()
        for p in sorted(root.rglob("*"))
        if p.is_file() and p.name not in (".lock", "kslds.toml")
    }


def test_a_segment_and_its_clip_agree_on_the_key(small: Dataset) -> None:
    keys = {segment.clip_id for segment in small.read("segments", Segment)}
    assert keys == set(small.clips.clip_id)


def test_a_signer_who_withdrew_is_gone_even_if_the_build_stops(lab: Path) -> None:
    root = lab / "dataset"
    signer_of = withdrawal.signers_of_clips(Dataset(root))
    assert GONE in shown(root, signer_of)
    results = root / "reports" / "baselines" / "linear-probe-gloss"
    results.mkdir(parents=True)
    (results / "result.json").write_text("{}")
    foreign = root / "shards" / "h264" / "notes.txt"
    foreign.write_text("mine")
    withdraw(lab)
    spoil(lab)
    with pytest.raises(ValidationFailed):
        build(lab)
    assert shown(root, signer_of) == {f"subject_{n:02d}" for n in range(6)} - {GONE}
    assert not list(root.rglob("index.json"))
    assert not (root / "reports" / "contact-sheet.png").exists()
    assert not (root / "reports" / "index.html").exists()
    assert not results.exists()
    assert foreign.read_text() == "mine"
    with pytest.raises(IncompleteDataset, match="no finished shards"):
        kslds.load(root)
    replace(lab / "annotations.csv", "nosuchsign", "әке")
    build(lab)
    assert foreign.read_text() == "mine"
    foreign.unlink()
    fresh = recipes.build(recipes.read(lab / "recipe.toml"), out=lab / "fresh")
    assert files(root) == files(fresh.root)


def test_a_signer_who_is_not_there_any_more_is_gone_as_well(lab: Path) -> None:
    root = lab / "dataset"
    signer_of = withdrawal.signers_of_clips(Dataset(root))
    for name in ("annotations.csv", "signers.csv"):
        rows = (lab / name).read_text(encoding="utf-8").splitlines()
        kept = [row for row in rows if GONE not in row]
        (lab / name).write_text("\n".join(kept) + "\n", encoding="utf-8")
    spoil(lab)
    with pytest.raises(ValidationFailed):
        build(lab)
    assert GONE not in shown(root, signer_of)
    assert not list(root.rglob("index.json"))


def test_the_page_goes_first_so_that_a_killed_run_is_made_up_for(lab: Path) -> None:
    """Ingest ran and the process died: what the tables knew of the old clips is lost."""
    root = lab / "dataset"
    signer_of = withdrawal.signers_of_clips(Dataset(root))
    dataset = Dataset(root)
    withdraw(lab)
    recipe = recipes.read(lab / "recipe.toml")
    assert recipe.ingest is not None
    recipes.ingest.ingest(dataset, options=recipe.ingest)
    assert withdrawal.signers_of_clips(dataset) == {}
    withdrawal.retract(dataset, signer_of={})
    assert GONE not in shown(root, signer_of)
    assert len(list(root.glob("clips/h264/*.tar"))) == 5


def test_a_mistake_in_the_annotations_costs_no_rendered_clip(lab: Path) -> None:
    root = lab / "dataset"
    packs = {p: p.stat().st_mtime_ns for p in root.glob("clips/*/*")}
    spoil(lab)
    for _ in range(2):
        with pytest.raises(ValidationFailed):
            build(lab)
    assert {p: p.stat().st_mtime_ns for p in root.glob("clips/*/*")} == packs
    assert (root / "shards" / "h264" / "index.json").is_file()


def test_an_unchanged_build_touches_nothing(lab: Path) -> None:
    root = lab / "dataset"
    watched = [p for d in ("clips", "shards", "parquet") for p in (root / d).rglob("*")]
    watched += [root / "reports" / "index.html", root / "reports" / "contact-sheet.png"]
    before = {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in watched}
    build(lab)
    assert {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in watched} == before


@pytest.mark.parametrize("text", [None, "", "[]", '{"splits":{"train":{}}}'])
def test_shards_that_do_not_say_whom_they_show_are_deleted(lab: Path, text: str | None) -> None:
    root = lab / "dataset"
    index = root / "parquet" / "index.json"
    index.unlink() if text is None else index.write_text(text)
    results = root / "reports" / "baselines" / "mine"
    results.mkdir(parents=True)
    (results / "result.json").write_text("{}")
    withdrawal.retract(Dataset(root), signer_of={})
    assert not (root / "parquet").exists()
    assert (root / "shards" / "h264" / "index.json").is_file()
    assert (results / "result.json").is_file()  # numbers of signers who are all still there


def test_the_index_names_everybody_who_is_shown(lab: Path) -> None:
    """What `retract` goes by."""
    for index in (lab / "dataset").rglob("index.json"):
        sides = json.loads(index.read_bytes())["splits"].values()
        assert {s for side in sides for s in side["signers"]} == {
            f"subject_{n:02d}" for n in range(6)
        }


def write_withdrawn(lab: Path, name: str = GONE) -> None:
    path = lab / "raw" / "signers.csv"
    path = path if path.exists() else next(lab.rglob("signers.csv"))
    lines = path.read_text().splitlines()
    header = lines[0].split(",")
    if "consent_withdrawn" not in header:
        lines = [f"{line},{'consent_withdrawn' if i == 0 else ''}" for i, line in enumerate(lines)]
        header.append("consent_withdrawn")
    place = header.index("consent_withdrawn")
    rows = [line.split(",") for line in lines]
    for row in rows[1:]:
        if row[0] == GONE:
            row[0], row[place] = name, "true"
    path.write_text("\n".join(",".join(row) for row in rows) + "\n")


def test_nothing_is_published_before_a_build_has_read_of_the_withdrawal(
    lab: Path,
) -> None:
    dataset = build(lab)
    write_withdrawn(lab)
    answer = CliRunner().invoke(app, ["publish", str(dataset.root), "--repo", "org/name"])
    assert answer.exit_code == 1
    assert f"signers.csv says that {GONE} has withdrawn consent" in answer.stderr
    signers = str(next(lab.rglob("signers.csv")))
    with pytest.raises(ConsentError, match="still in this dataset"):
        withdrawal.stop_if_unheeded(dataset, signers=signers, parts=())
    withdrawal.stop_if_unheeded(build(lab), signers=signers, parts=())


@pytest.mark.parametrize("broken", ["annotations", "media"])
def test_they_are_gone_even_if_the_build_stops_before_it_reads_anything(
    lab: Path, broken: str
) -> None:
    write_withdrawn(lab)
    recipe = recipes.read(lab / "recipe.toml")
    assert recipe.ingest is not None
    gone = {"annotations": recipe.ingest.annotations, "media": recipe.ingest.media}[broken]
    for path in map(Path, gone):
        path.rename(path.with_name("elsewhere"))
    with pytest.raises(MissingFile):
        build(lab)
    with pytest.raises(IncompleteDataset):
        kslds.load(str(lab / "dataset"))
    assert not list((lab / "dataset" / "parquet").glob("*"))
    for table in (lab / "dataset" / "reports" / "splits").glob("*.csv"):
        assert GONE not in table.read_text()


def test_a_withdrawn_name_that_only_looks_like_a_signer_stops_the_build(lab: Path) -> None:
    write_withdrawn(lab, name=GONE.replace("s", "ѕ"))  # a Cyrillic letter
    with pytest.raises(AnnotationError, match="looks like 'subject_03', but is written otherwise"):
        build(lab)


def test_a_withdrawn_name_of_nobody_is_said(lab: Path) -> None:
    write_withdrawn(lab, name="subject_99")
    dataset = build(lab)
    assert list(dataset.issues[dataset.issues.code == "K135"].key) == ["subject_99"]
    assert GONE in set(dataset.clips.signer_id)
