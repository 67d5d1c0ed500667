"""Validation: one folder per code with bad input and the expected messages, and the rest."""

from __future__ import annotations

import csv
import tomllib
from pathlib import Path
from typing import Any

import pytest

from kslds import pack, schema
from kslds.errors import CorruptData, IncompleteDataset, UsageError
from kslds.lexicon import load
from kslds.manifest import Dataset
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
    assert {issue.code for issue in report.issues} <= set(schema.CODES)


def test_every_code_of_validation_has_a_folder() -> None:
    codes = {code for code in schema.CODES if code.startswith("K3")} | set(RECHECKED)
    assert codes == {folder.name[:4] for folder in FOLDERS}
