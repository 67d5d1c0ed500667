"""One dataset out of several built ones: signs united or mapped, signers kept apart.

Clips are not rendered again: a pack that crosses whole is linked (copied where the disk cannot
link), one of which only some clips cross is written anew with those. So the datasets have to
agree in size, fit, frame rate and encodings.

Datasets are taken in the order of their names, wherever they are named: where two hold the same
recording or clip, that of the first one stays, with its annotations.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kslds import pack, schema
from kslds.engine import Progress
from kslds.errors import CorruptData, IncompleteDataset, UsageError
from kslds.licences import strictest
from kslds.manifest import (
    Dataset,
    canonical_json,
    readable_json,
    sha256_file,
    write_bytes,
)
from kslds.merge import packs, terms
from kslds.merge.names import (
    MAX_NAME,
    Corpus,
    MergeOptions,
    People,
    Signs,
    one_key_each,
    read_map,
    strange,
    who_is_who,
)
from kslds.merge.poses import common, points_of
from kslds.merge.rows import Merged
from kslds.merge.terms import stated_for_all
from kslds.schema import Clip

__all__ = ["Corpus", "MergeOptions", "merge", "stated_for_all"]


def _check(corpora: Sequence[Corpus]) -> None:
    """Can these be merged at all?"""
    for name, number in Counter(corpus.name for corpus in corpora).items():
        if number > 1 or len(name) > MAX_NAME:
            raise UsageError(
                f"{number} datasets are called {name!r}; each needs a name of its own, of up to "
                f"{MAX_NAME} characters.",
                hint="Set name at the top of a recipe, and build it again: no clip is rendered "
                "anew.",
            )
    first, *others = corpora
    for other in others:
        for key, value in first.rendering.items():
            if other.rendering[key] != value:
                raise UsageError(
                    f"{first.name} has {key} = {_shown(value)}, {other.name} has "
                    f"{_shown(other.rendering[key])}: their clips do not go together.",
                    hint=f"Set {key} in the recipe of one of them and build it again.",
                )
    for corpus in corpora:
        if not corpus.dataset.has("clips") or corpus.dataset.arrow("clips")["width"].null_count:
            raise IncompleteDataset(
                f"the clips of {corpus.dataset.root} have not been rendered.",
                hint=f"Run: kslds resize {corpus.dataset.root}",
            )


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else repr(value)


_TABLES = ("signers", "signs", "recordings", "timings", "segments", "clips")
_STAGES = ("ingest-recordings", "ingest-segments", "consensus", "merge-recordings",
           "merge-segments", "trim", "resize")  # fmt: skip


def _books(corpus: Corpus) -> dict[str, Any]:
    """The books of the stages that made the clips."""
    books = corpus.dataset.provenance.get("stages", {})
    return {stage: books[stage] for stage in _STAGES if stage in books}


def _fingerprint(
    corpora: Sequence[Corpus],
    *,
    options: MergeOptions,
    signs: Signs,
    people: People,
) -> str:
    """Hash of all that the merged dataset follows from; where the datasets lie does not matter."""
    document = {
        "format_version": schema.FORMAT_VERSION,
        "labels": [options.labels, options.unmapped, options.similar],
        "map": sorted([*key, merged] for key, merged in signs.mapped.items()),
        "meant": sorted([*key, merged] for key, merged in signs.meant.items()),
        "people": sorted([*key, merged] for key, merged in people.ids.items()),
        "corpora": [
            {
                "name": corpus.name,
                "licence": corpus.licence,
                "rendering": dict(corpus.rendering),
                "stages": _books(corpus),
                "pose_points": points_of(corpus),
                "published_signers": sorted(corpus.published_signers),
                "withdrawn": sorted(corpus.dataset.provenance.get("withdrawn", ())),
                "tables": {t: sha256_file(corpus.dataset.path(t)) for t in _TABLES},
                "packs": sorted(
                    p.relative_to(corpus.dataset.root).as_posix()
                    for p in (corpus.dataset.root / "clips").glob("*/*.tar")
                ),
            }
            for corpus in corpora
        ],
    }
    return hashlib.sha256(canonical_json(document)).hexdigest()


def _is_whole(dataset: Dataset, *, fingerprint: str) -> bool:
    try:
        known = dataset.provenance
        if known.get("merge_sha256") != fingerprint or "merge-segments" not in known["stages"]:
            return False
        dataset.verify()
    except CorruptData:
        return False
    return all(map(dataset.has, (*_TABLES, "dropped", "issues")))


def merge(
    dataset: Dataset,
    *,
    corpora: Sequence[Corpus],
    options: MergeOptions,
    progress: Progress | None = None,
) -> bool:
    """Merge built datasets into one: tables, and packs of clips.

    Nobody who has withdrawn consent crosses, and nobody is one person with somebody else unless
    the table of `options` says so.

    Args:
        dataset: Where the result goes. Finished work is found again.
        corpora: What is merged.
        options: How.
        progress: Told after each pack.

    Returns:
        False where the same datasets were merged before, so that only missing packs were made.

    Raises:
        UsageError: The datasets have the same name or were rendered differently, a sign is not
            mapped (``unmapped = "error"``), or the folder holds a dataset of its own.
        IncompleteDataset: Clips of a dataset have not been rendered, or none crosses.
        AnnotationError: A table of signs or signers is not usable.
    """
    corpora = sorted(corpora, key=lambda corpus: corpus.name)
    _check(corpora)
    stages = dataset.provenance.get("stages")
    if stages and "merge-segments" not in stages:
        raise UsageError(
            f"{dataset.root} holds a dataset that was not merged.",
            hint="Choose another folder with --out.",
        )
    mapped = read_map(options.map, corpora=corpora)
    people = who_is_who(corpora, same_signers=options.same_signers)
    signs = Signs(options=options, mapped=mapped, meant=one_key_each(corpora))
    merged = Merged(people=people, signs_of=signs, step=progress)
    for corpus in corpora:
        merged.note_withdrawn(corpus)
    for corpus in corpora:
        merged.add(corpus)
    merged.tell_unlike()
    merged.tell_alike()
    merged.leave_unused()
    for corpus in corpora:
        merged.take_issues(corpus)
    if merged.unmapped and options.unmapped == "error":
        shown = ", ".join(f"{g} of {c}" for c, g in sorted(merged.unmapped)[:5])
        raise UsageError(
            f"the table does not map {len(merged.unmapped)} sign(s): {shown}.",
            hint='Add rows for them, or set unmapped to "keep" or "drop".',
        )
    if not merged.clips:
        raise IncompleteDataset("no clip crosses: every one was dropped.")

    poses, unlike = common(corpora)
    merged.issues += unlike
    if poses is None:
        merged.recordings = {
            key: dataclasses.replace(row, pose_file=None, pose_sha256=None)
            for key, row in merged.recordings.items()
        }
    folder = dataset.root / "clips"
    made: set[Path] = set()
    for corpus in corpora:
        made |= packs.take(
            corpus, folder=folder, kept=_of(corpus, merged), poses=poses, step=progress
        )
    wanted = made | {pack.index_path(path) for path in made}
    for path in sorted(folder.glob("*/*")):
        if path not in wanted:
            path.unlink()
    fingerprint = _fingerprint(corpora, options=options, signs=signs, people=people)
    if _is_whole(dataset, fingerprint=fingerprint):
        return False
    points = poses.points if poses else ()
    dataset.update_provenance(merge_sha256=None, pose_points=points)
    _write(dataset, merged, corpora=corpora, fingerprint=fingerprint)
    return True


def _of(corpus: Corpus, merged: Merged) -> dict[str, Clip]:
    """The clips that came from a dataset."""
    return {
        key: clip
        for key, clip in merged.clips.items()
        if merged.owner[clip.recording_id] == corpus.name
    }


def _write(
    dataset: Dataset, merged: Merged, *, corpora: Sequence[Corpus], fingerprint: str
) -> None:
    stated: dict[str, Counter[str | None]] = {corpus.name: Counter() for corpus in corpora}
    of_each: dict[str, Counter[str | None]] = defaultdict(Counter)
    for row in merged.recordings.values():
        stated[merged.owner[row.recording_id]][row.licence] += 1
        of_each[row.corpus or ""][row.licence] += 1
    issues = [
        *merged.issues,
        *terms.told(of_each),
        *strange(merged.signs_of, corpora=corpora),
    ]
    dataset.open_books()
    dataset.write("signers", merged.people.signers)
    dataset.write("signs", merged.signs.values())
    dataset.write("recordings", merged.recordings.values())
    dataset.write("timings", merged.timings)
    dataset.write("segments", merged.segments)
    dataset.write("clips", merged.clips.values())
    dataset.write("issues", issues)
    write_bytes(dataset.root / "reports" / "capture.json", readable_json(_capture(corpora, merged)))
    frames = sum(clip.num_frames for clip in merged.clips.values())
    for stage, rows, facts in (
        ("merge-recordings", len(merged.recordings), {}),
        ("merge-segments", len(merged.segments), {"frames": frames}),
    ):
        dataset.close_books(
            stage,
            rows_in=merged.rows_in[stage],
            rows_out=rows,
            dropped=[d for d in merged.dropped if d.stage == stage],
            facts=facts,
        )
    dataset.update_provenance(
        merged_from=[
            {
                "name": corpus.name,
                "licences": sorted(stated[corpus.name], key=lambda text: text or ""),
                "stages": _books(corpus),
            }
            for corpus in corpora
        ],
        inputs={
            f"{corpus.name}/{name}": digest
            for corpus in corpora
            for name, digest in corpus.dataset.provenance.get("inputs", {}).items()
            if digest not in merged.gone  # a file may be named after its signer
        },
        # As hashes alone: who withdrew is nobody in this dataset.
        withdrawn={digest: [] for digest in sorted({*merged.gone, *merged.parted})},
        published_signers=sorted(
            {merged.people.find(c.name, key) for c in corpora for key in c.published_signers}
            & {signer.signer_id for signer in merged.people.signers}
        ),
        licence=strictest(text for texts in stated.values() for text in texts),
        merge_sha256=fingerprint,
    )  # fmt: skip


def _capture(corpora: Sequence[Corpus], merged: Merged) -> dict[str, Any]:
    """What the raw files say about themselves, of the recordings that crossed."""
    found: dict[str, Any] = {}
    for corpus in corpora:
        path = corpus.dataset.root / "reports" / "capture.json"
        stated = json.loads(path.read_bytes()) if path.is_file() else {}
        for key, facts in stated.items():
            if key in merged.recordings and merged.owner[key] == corpus.name:
                found[key] = facts
    return found
