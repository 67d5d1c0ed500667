"""Validation: one folder per code with bad input and the expected messages, and the rest."""

from __future__ import annotations

import csv
import gzip
import re
import tempfile
import tomllib
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kslds import pack, schema
from kslds.codes import CODES
from kslds.errors import CorruptData, IncompleteDataset, UsageError
from kslds.lexicon import load
from kslds.manifest import Dataset, write_parquet
from kslds.schema import Clip, Issue, Recording, Segment, Sign, Signer
from kslds.validate import RECHECKED, Report, Rules, validate

FOLDERS = sorted(p for p in (Path(__file__).parent / "validation").iterdir() if p.is_dir())


# --------------------------------------------------------------------------- datasets by hand


def recording(recording_id: str = "rec_1", **values: Any) -> Recording:
    """A recording at 24 frames a second: one frame is 41.7 ms."""
    defaults: dict[str, Any] = {
        "source_file": f"{recording_id}.mp4", "content_sha256": "0" * 64, "size_bytes": 1,
        "container": "mov", "codec": "h264", "width": 640, "height": 480, "display_width": 640,
        "display_height": 480, "num_frames": 24, "time_base_num": 1, "time_base_den": 1000,
        "origin_pts": 0, "end_ms": 600_000, "avg_fps_num": 24, "avg_fps_den": 1,
        "is_vfr": False, "has_audio": False,
    }  # fmt: skip
    return Recording(recording_id=recording_id, **{**defaults, **values})


def segment(line: int, **values: Any) -> Segment:
    """A segment of a second, by default apart from that of every other line."""
    defaults: dict[str, Any] = {
        "segment_id": f"seg_{line:02}", "recording_id": "rec_1", "start_ms": line * 2000,
        "end_ms": line * 2000 + 1000, "source": f"annotations.csv:{line}",
    }  # fmt: skip
    return Segment(**{**defaults, **values})


def clip(**values: Any) -> Clip:
    defaults: dict[str, Any] = {
        "recording_id": "rec_1", "source_file": "rec_1.mp4", "start_ms": 0, "end_ms": 1000,
        "first_frame": 0, "last_frame": 23, "first_pts": 0, "last_pts": 958, "num_frames": 24,
        "fps_num": 24, "fps_den": 1,
    }  # fmt: skip
    return Clip(**{**defaults, **values})


def make(root: Path, *segments: Segment, signers: list[Signer] | None = None) -> Dataset:
    dataset = Dataset(root, create=True)
    named = sorted({s.signer_id for s in segments if s.signer_id})
    agreed = [Signer(signer_id=s, consent_scope="publication") for s in named]
    dataset.write("signers", agreed if signers is None else signers)
    dataset.write("recordings", [recording()])
    dataset.write("segments", segments)
    return dataset


def cells(path: Path) -> list[dict[str, Any]]:
    """The rows of a table of a test folder; an empty cell is left out."""
    if not path.is_file():
        return []
    numbers = {"start_ms", "end_ms", "width"}
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {k: int(v) if k in numbers else v for k, v in row.items() if v}
            for row in csv.DictReader(file)
        ]


def from_folder(folder: Path, *, root: Path) -> tuple[Dataset, Report]:
    rows = [segment(n, **row) for n, row in enumerate(cells(folder / "segments.csv"), start=2)]
    signers = [
        Signer(**{**row, "consent_withdrawn": "consent_withdrawn" in row})
        for row in cells(folder / "signers.csv")
    ]
    dataset = make(root, *rows, signers=signers or None)
    if recordings := cells(folder / "recordings.csv"):
        dataset.write("recordings", [recording(**row) for row in recordings])
    if clips := cells(folder / "clips.csv"):
        for row in clips:
            if tar := row.pop("pack", None):
                (root / "clips" / tar).parent.mkdir(parents=True, exist_ok=True)
                with pack.writing(root / "clips" / tar) as writer:
                    writer.add(row["clip_id"], field="mp4", data=b"video")
        dataset.write("clips", [clip(**row) for row in clips])
    lexicon = folder / "lexicon.csv"
    rules = folder / "rules.toml"
    return dataset, validate(
        dataset,
        lexicon=load(lexicon) if lexicon.is_file() else None,
        rules=Rules(**(tomllib.loads(rules.read_text()) if rules.is_file() else {})),
    )


def lines(report: Report) -> list[str]:
    return [f"{i.severity} {i.code} {i.key}: {i.message} → {i.hint}" for i in report.issues]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_expected_messages(folder: Path, tmp_path: Path) -> None:
    _, report = from_folder(folder, root=tmp_path)
    assert lines(report) == (folder / "expected.txt").read_text(encoding="utf-8").splitlines()
    assert folder.name[:4] in {issue.code for issue in report.issues}
    assert {issue.code for issue in report.issues} <= set(CODES)


def test_every_code_of_validation_has_a_folder() -> None:
    codes = {code for code in CODES if code.startswith("K3")} | set(RECHECKED)
    assert codes == {folder.name[:4] for folder in FOLDERS}


# --------------------------------------------------------------------------- labels


LEXICON = load("nspcrsie")
NO_LEXICON = Rules(min_signers=1)


def glosses(dataset: Dataset) -> dict[str, str | None]:
    """Source line → gloss_id."""
    return {s.source.split(":")[1]: s.gloss_id for s in dataset.read("segments", Segment)}


@pytest.mark.parametrize(
    ("unknown", "gloss_id", "severity"),
    [("error", None, "error"), ("drop", None, "warning"), ("keep", "stol", "info")],
)
def test_labels_are_resolved(
    unknown: str, gloss_id: str | None, severity: str, tmp_path: Path
) -> None:
    dataset = make(
        tmp_path,
        segment(2, label="су", signer_id="s1"),
        segment(3, label="Вода", signer_id="s2"),
        segment(4, label="стол", signer_id="s1", gloss_id="stale"),
        segment(5, sentence="МЕН СУ ІШУ", signer_id="s1", gloss_id="stale"),
    )
    report = validate(dataset, lexicon=LEXICON, rules=Rules(unknown=unknown, min_signers=1))
    assert glosses(dataset) == {"2": "su", "3": "su", "4": gloss_id, "5": None}
    own = Sign(gloss_id="stol", aliases=["стол"], source="label")
    assert dataset.read("signs", Sign) == ([own] if gloss_id else []) + [LEXICON.by_id["su"]]
    assert [(i.code, i.severity) for i in report.issues if i.code == "K301"] == [("K301", severity)]
    assert report.errors == (unknown == "error")
    assert report.warnings == (unknown == "drop")


def test_a_label_that_is_kept_never_joins_another_class(tmp_path: Path) -> None:
    labels = ["су", "Су!", "су!", "С У", "ΓΕΙΑ", "γεια", "бас"]
    dataset = make(
        tmp_path, *(segment(n, label=label, signer_id="s1") for n, label in enumerate(labels))
    )
    validate(dataset, lexicon=LEXICON, rules=Rules(unknown="keep"))
    found = glosses(dataset)
    assert found["0"] == "su"
    assert found["1"] == "su_1fe98697"
    assert len(set(found.values())) == len(labels)


def test_without_a_lexicon_every_label_is_a_class(tmp_path: Path) -> None:
    labels = ["Е", "Ё", "С", "с", "Я", "я", "веселый", "весёлый", "желтый", "жёлтый", "все", "всё"]
    rows = [segment(n, label=label, signer_id="s1") for n, label in enumerate(labels)]
    dataset = make(tmp_path, *rows)
    report = validate(dataset, lexicon=None, rules=NO_LEXICON)
    assert report.issues == ()
    signs = dataset.read("signs", Sign)
    assert sorted(s.aliases[0] for s in signs) == sorted(labels)
    assert len({s.gloss_id for s in signs}) == len(labels)
    assert {s.source for s in signs} == {"label"}


def test_every_class_of_slovo_stays_a_class(tmp_path: Path) -> None:
    published = Path(__file__).parents[2] / "shared/data/corpora/slovo_annotations.csv.gz"
    if not published.is_file():
        pytest.skip("needs Slovo's annotation file in ../shared/data")
    with gzip.open(published, "rt", encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        labels = sorted({unicodedata.normalize("NFC", row["text"]) for row in rows})
    assert len(labels) == 1001
    segments = [segment(n, label=label, signer_id="s1") for n, label in enumerate(labels)]
    dataset = make(tmp_path, *segments)
    validate(dataset, lexicon=None, rules=NO_LEXICON)
    found = glosses(dataset)
    assert len(set(found.values())) == 1001
    assert all(re.fullmatch(schema.KEY_PATTERN, str(g)) for g in found.values())


# --------------------------------------------------------------------------- tables


def test_findings_of_other_stages_stay_and_repaired_ones_go(tmp_path: Path) -> None:
    def issue(code: str) -> Issue:
        return Issue(severity="warning", code=code, table="segments", key="k", message="m")

    bad = [
        segment(2, label="су", signer_id="s1", end_ms=0),
        segment(3, label="салам", signer_id="s2"),
        segment(4),
    ]
    dataset = make(tmp_path, *bad)
    others = [issue("K115"), issue("K403")]
    dataset.write("issues", [*others, issue("K301"), issue("K114")])
    report = validate(dataset, lexicon=LEXICON, rules=Rules(min_signers=1))
    assert [i.code for i in report.issues] == ["K112", "K118", "K301", "K321", "K115", "K403"]
    assert sorted(report.issues, key=repr) == sorted(dataset.read("issues", Issue), key=repr)
    dataset.write(
        "segments",
        [segment(2, label="су", signer_id="s1"), segment(3, label="сәлем", signer_id="s2")],
    )
    report = validate(dataset, lexicon=LEXICON, rules=Rules(min_signers=1))
    assert report.issues == tuple(others)


def test_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = Path(__file__).parent / "validation" / "K304-ambiguous-label"
    dataset, first = from_folder(folder, root=tmp_path / "a")
    tables = {p.name: p.read_bytes() for p in (tmp_path / "a" / "tables").iterdir()}
    assert validate(dataset, lexicon=load(folder / "lexicon.csv"), rules=NO_LEXICON) == first
    assert {p.name: p.read_bytes() for p in (tmp_path / "a" / "tables").iterdir()} == tables
    from_folder(folder, root=tmp_path / "b")
    assert {p.name: p.read_bytes() for p in (tmp_path / "b" / "tables").iterdir()} == tables
    # The same bytes as when the table is written from records.
    rows = dataset.read("segments", Segment)
    dataset.path("segments").unlink()
    dataset.write("segments", rows)
    assert dataset.path("segments").read_bytes() == tables["segments.parquet"]


def test_nothing_to_validate(tmp_path: Path) -> None:
    dataset = make(tmp_path)
    assert validate(dataset, lexicon=LEXICON, rules=Rules()) == Report(issues=())
    assert dataset.read("signs", Sign) == []


def test_tables_that_are_missing_or_lack_a_column(tmp_path: Path) -> None:
    with pytest.raises(IncompleteDataset, match="segments"):
        validate(Dataset(tmp_path / "new", create=True), lexicon=None, rules=Rules())
    dataset = make(tmp_path / "old", segment(2, label="су", signer_id="s1"))
    cut = dataset.arrow("segments").drop_columns(["annotator"])
    write_parquet(dataset.path("segments"), cut)
    with pytest.raises(CorruptData, match="no column 'annotator'"):
        validate(dataset, lexicon=None, rules=Rules())


def test_rules_are_checked() -> None:
    with pytest.raises(UsageError, match="'warn'"):
        Rules(unknown="warn")


# --------------------------------------------------------------------------- overlaps, packs


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(1, 12), st.sampled_from(["gloss", None])),
        max_size=12,
    )
)
def test_overlaps_are_those_of_the_definition(spans: list[tuple[int, int, str | None]]) -> None:
    rows = [
        segment(n, start_ms=a * 100, end_ms=(a + d) * 100, tier=tier, label="су", signer_id="s1")
        for n, (a, d, tier) in enumerate(spans)
    ]
    ordered = sorted(rows, key=lambda s: (s.start_ms, s.end_ms, s.segment_id))
    expected = {
        later.segment_id
        for n, later in enumerate(ordered)
        if any(e.tier == later.tier and e.end_ms > later.start_ms for e in ordered[:n])
    }
    with tempfile.TemporaryDirectory() as folder:
        report = validate(make(Path(folder), *rows), lexicon=None, rules=NO_LEXICON)
    assert {i.key for i in report.issues if i.code == "K311"} == expected


def test_a_clip_in_a_damaged_pack_is_missing(tmp_path: Path) -> None:
    dataset = make(tmp_path, segment(2, label="су", signer_id="s1"))
    dataset.write("clips", [clip(clip_id="c1", segment_id="seg_02", signer_id="s1", width=224)])
    tar = tmp_path / "clips" / "h264" / "rec_1-a.tar"
    tar.parent.mkdir(parents=True)
    with pack.writing(tar) as writer:
        writer.add("c1", field="mp4", data=b"video")
    assert validate(dataset, lexicon=None, rules=NO_LEXICON).errors == 0
    with tar.open("r+b") as file:
        file.truncate(512)
    (issue,) = validate(dataset, lexicon=None, rules=NO_LEXICON).issues
    assert (issue.code, issue.key) == ("K331", "c1")
    assert issue.message.endswith("1 pack damaged, first rec_1-a.tar")
