"""Withdrawal: whoever takes back consent is gone from what can be loaded, however a build ends."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from kslds import pack
from kslds.corpora import signers as signers_file
from kslds.errors import ConsentError, CorruptData, IncompleteDataset
from kslds.manifest import Dataset
from kslds.schema import Recording, Segment, Signer
from kslds.shards import discard, folders_of


def heed(dataset: Dataset, file: str | None, *, signer_of: Mapping[str, str | None]) -> None:
    """Let go of whoever has withdrawn since the last build, before anything else can fail.

    Args:
        dataset: What an earlier build left, if anything.
        file: The file of signers as it is now.
        signer_of: `signers_of_clips` of the dataset.

    Raises:
        MissingFile: There is no such file.
        AnnotationError: Anything is wrong with it.
    """
    if file is None:
        return
    withdrawn = {s.signer_id for s in signers_file.read(file).values() if s.consent_withdrawn}
    try:
        rows = dataset.read("signers", Signer)
        dataset.read("segments", Segment)
    except (IncompleteDataset, CorruptData):
        return  # Nothing was built, or all of it is made anew.
    if any(row.signer_id in withdrawn and not row.consent_withdrawn for row in rows):
        dataset.write(
            "signers",
            [
                dataclasses.replace(row, consent_withdrawn=True)
                if row.signer_id in withdrawn
                else row
                for row in rows
            ],
        )
        retract(dataset, signer_of=signer_of)


def stop_if_unheeded(dataset: Dataset, *, signers: str | None, parts: Sequence[str]) -> None:
    """Refuse to go on with a dataset from which somebody has withdrawn since it was made.

    Args:
        dataset: The dataset.
        signers: The file of signers that it was built with. It may be on another machine.
        parts: Folders of the datasets that it was merged from, likewise.

    Raises:
        ConsentError: A signer has withdrawn, and clips of theirs may still be here.
        AnnotationError: Anything is wrong with the file.
    """
    if signers is not None and Path(signers).is_file():
        here = {signer for signer in signers_of_clips(dataset).values() if signer}
        listed = signers_file.read(signers).values()
        gone = sorted({s.signer_id for s in listed if s.consent_withdrawn} & here)
        if gone:
            raise ConsentError(
                f"{Path(signers).name} says that {', '.join(gone)} has withdrawn consent; clips of "
                "that signer are still in this dataset.",
                hint="Run: kslds build … again.",
            )
    if not parts or not dataset.has("recordings"):
        return
    known = dataset.provenance.get("withdrawn", {})
    held = {row.content_sha256 for row in dataset.read("recordings", Recording)} - known.keys()
    for part in parts:
        if (Path(part) / "tables").is_dir():
            number = len(held & Dataset(part).provenance.get("withdrawn", {}).keys())
            if number:
                raise ConsentError(
                    f"somebody has withdrawn consent from {number} recording(s) of {part} since it "
                    "was merged.",
                    hint="Run: kslds merge … again.",
                )


def signers_of_clips(dataset: Dataset) -> dict[str, str | None]:
    """clip_id → signer_id, as the tables say now; empty where there is no (readable) clip."""
    try:
        table = dataset.arrow("clips")
        pairs = zip(table["clip_id"].to_pylist(), table["signer_id"].to_pylist(), strict=True)
    except (IncompleteDataset, CorruptData, KeyError):
        return {}
    return dict(pairs)


def retract(dataset: Dataset, *, signer_of: Mapping[str, str | None]) -> None:
    """Delete whatever shows a signer who withdrew, or who is not in the table of signers any more.

    These are shard folders, packs of rendered clips, and of the reports the page, its pictures
    and the results of baselines. Where it cannot be told who is seen, they go as well: they can
    be made again. Meant to run as soon as the signers are known, so that nothing of them can be
    loaded even if the build stops before it has made new shards.

    Args:
        dataset: Holds segments and signers.
        signer_of: `signers_of_clips` of the dataset as it was before.
    """
    signers = dataset.read("signers", Signer)
    segments = dataset.read("segments", Segment)
    recordings = {segment.recording_id for segment in segments}
    known = {segment.clip_id: segment.signer_id for segment in segments} | dict(signer_of)
    present = {signer.signer_id for signer in signers if not signer.consent_withdrawn}
    folders = {f: _signers_in(f) for f in folders_of(dataset.root) if f.is_dir()}
    packs = {
        tar: _signers_in_pack(tar, signer_of=known)
        for tar in sorted((dataset.root / "clips").glob("*/*.tar"))
    }
    _retract_splits(dataset, present=present)
    old_folders = [folder for folder, seen in folders.items() if not seen <= present]
    # A clip that no table knows had its labels corrected, unless somebody wants to be gone.
    unnamed = {_UNNAMED} if len(present) == len(signers) else set()
    old_packs = [
        tar
        for tar, seen in packs.items()
        if not seen <= present | unnamed or tar.stem.rpartition("-")[0] not in recordings
    ]
    if not old_folders and not old_packs:
        return
    # The reports go first: if this is cut short, what is still there leads here again.
    reports = dataset.root / "reports"
    for name in ("index.html", "contact-sheet.png"):
        (reports / name).unlink(missing_ok=True)
    if set().union(*folders.values(), *packs.values()) - present - {_UNNAMED, _UNREADABLE}:
        for result in sorted(reports.glob("baselines/*/result.json")):
            shutil.rmtree(result.parent)
    for folder in old_folders:
        discard(folder)
    for tar in old_packs:
        tar.unlink()
        pack.index_path(tar).unlink(missing_ok=True)


def _retract_splits(dataset: Dataset, *, present: set[str]) -> None:
    """Delete the splits that still name somebody who is gone; `split` writes them anew."""
    for table in sorted((dataset.root / "tables" / "splits").glob("*.parquet")):
        try:
            unit, sides = dataset.sides(table.stem)
            gone = unit == "signer_id" and not set(sides) <= present
        except (IncompleteDataset, CorruptData):
            gone = True
        if gone:
            (dataset.root / "reports" / "splits" / f"{table.stem}.csv").unlink(missing_ok=True)
            table.unlink()


_UNNAMED, _UNREADABLE = "", "?"
"""Stand for signers who are not known; neither is a key."""


def _signers_in(folder: Path) -> set[str]:
    """Whom a shard folder shows."""
    try:
        document = json.loads((folder / "index.json").read_bytes())
        return {str(signer) for side in document["splits"].values() for signer in side["signers"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {_UNREADABLE}


def _signers_in_pack(tar: Path, *, signer_of: Mapping[str, str | None]) -> set[str]:
    try:
        return {signer_of.get(member.key) or _UNNAMED for member in pack.read_index(tar)[0]}
    except CorruptData:
        return {_UNREADABLE}
