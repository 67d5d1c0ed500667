"""The packs of a merged dataset: those of the datasets that it is made of, linked or in part."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from kslds import pack, pose
from kslds.engine import Progress
from kslds.manifest import canonical_json, write_atomic
from kslds.merge.names import Corpus
from kslds.merge.poses import Skeleton, points_of
from kslds.schema import Clip


def take(
    corpus: Corpus,
    *,
    folder: Path,
    kept: Mapping[str, Clip],
    poses: Skeleton | None,
    step: Progress | None,
) -> set[Path]:
    """Link or write the packs of a dataset's clips that cross; returns where they are."""
    made: set[Path] = set()
    for encoding in corpus.rendering["encodings"]:
        tars = sorted((corpus.dataset.root / "clips" / encoding).glob("*.tar"))
        for done, tar in enumerate(tars):
            if step is not None:
                step(f"merge {corpus.name}", done, len(tars))
            members, _, _ = pack.read_index(tar)
            shown = {m.key for m in members if m.field != "json"}
            chosen = shown & kept.keys()
            if not chosen:
                continue
            added = None if points_of(corpus) else poses
            if chosen == shown and added is None:
                target = folder / encoding / tar.name
                _link(tar, target)
            else:
                what = [tar.stem, sorted(chosen), *([added.shape] if added else [])]
                digest = hashlib.sha256(canonical_json(what)).hexdigest()
                recording = tar.stem.rpartition("-")[0]
                target = folder / encoding / f"{recording}-{digest[:16]}.tar"
                clips = {key: kept[key] for key in chosen}
                _write_some(tar, target, clips=clips, poses=added)
            made.add(target)
        if step is not None:
            step(f"merge {corpus.name}", len(tars), len(tars))
    return made


def _link(tar: Path, target: Path) -> None:
    """The same file under another name, its index first; a copy where that is not possible."""
    if target.is_file() and (target.samefile(tar) or pack.is_complete(target)):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    for source, path in ((pack.index_path(tar), pack.index_path(target)), (tar, target)):
        path.unlink(missing_ok=True)
        try:
            os.link(source, path)
        except OSError:  # another disk, or a file system without links
            with source.open("rb") as file, write_atomic(path) as copy:
                shutil.copyfileobj(file, copy)


def _write_some(
    tar: Path, target: Path, *, clips: Mapping[str, Clip], poses: Skeleton | None
) -> None:
    """A pack with some of the clips of another, and with the poses that it lacks, if given."""
    if pack.is_complete(target):
        return
    with pack.PackReader(tar) as reader, pack.writing(target) as writer:
        for m in reader.members:
            # A merge in which no poses crossed may have linked packs with some.
            if m.key in clips and (poses is None or m.field != pose.FIELD):
                writer.add(m.key, field=m.field, data=reader.read(m.key, field=m.field))
        if poses is not None:
            for key, clip in sorted(clips.items()):
                writer.add(key, field=pose.FIELD, data=poses.unseen(clip.num_frames))
