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
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kslds import pack, schema
from kslds.codes import CODES
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
from kslds.merge import alike, packs, terms
from kslds.merge.names import (
    MAX_NAME,
    Corpus,
    MergeOptions,
    People,
    Signs,
    issue,
    joined,
    one_key_each,
    read_map,
    strange,
    who_is_who,
)
from kslds.merge.poses import common, points_of
from kslds.merge.terms import stated_for_all
from kslds.schema import Clip, Dropped, Issue, Recording, Segment, Sign, Timing

__all__ = ["Corpus", "MergeOptions", "merge", "stated_for_all"]

# --------------------------------------------------------------------------- rows


@dataclass(kw_only=True)
class _Merged:
    """The rows of the merged dataset, as they come together."""

    people: People
    signs_of: Signs
    step: Progress | None = None
    recordings: dict[str, Recording] = field(default_factory=dict)
    timings: list[Timing] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    clips: dict[str, Clip] = field(default_factory=dict)
    signs: dict[str, Sign] = field(default_factory=dict)
    dropped: list[Dropped] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    rows_in: Counter[str] = field(default_factory=Counter)
    unmapped: set[tuple[str, str]] = field(default_factory=set)
    owner: dict[str, str] = field(default_factory=dict)
    """Recording → the dataset that it comes from here, which may have it from another."""
    gone: set[str] = field(default_factory=set)
    """Content hashes of the recordings of those who withdrew."""
    parted: dict[str, set[str]] = field(default_factory=dict)
    """Content hash of a recording from which somebody has withdrawn, and others have not → the
    datasets that know of it."""
    _content: dict[str, Recording] = field(default_factory=dict)
    _frames: dict[str, tuple[str, Clip, Segment]] = field(default_factory=dict)
    """Hash of a clip's frames → corpus, clip and its segment that have them first."""
    _signed: dict[str, list[Segment]] = field(default_factory=lambda: defaultdict(list))
    """Recording → its segments that crossed, as annotated."""
    _known: alike.Known = field(default_factory=alike.Known)
    _lost: dict[str, alike.Known] = field(default_factory=dict)
    """Dataset → its clips of those who withdrew from it or another, where it still has them."""
    _lost_frames: set[str] = field(default_factory=set)
    _alike: dict[tuple[str, str], list[alike.Pair]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """Recordings that show the same, by other bytes → the clips of both that stay."""
    _unlike: dict[tuple[str, str, str, str], list[tuple[Segment, Segment]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """Corpus and label of what stays and of what does not → the segments."""

    def _drop(self, stage: str, key: str, code: str, reason: str) -> None:
        name = "recordings" if stage == "merge-recordings" else "segments"
        self.dropped.append(Dropped(stage=stage, table=name, key=key, code=code, reason=reason))

    def add(self, corpus: Corpus) -> None:
        """Take over a dataset."""
        dataset, name = corpus.dataset, corpus.name
        segments = dataset.read("segments", Segment)
        clips = {c.segment_id: c for c in dataset.read("clips", Clip)}
        signs = {s.gloss_id: s for s in dataset.read("signs", Sign)}
        ledger = {d.key: d for d in dataset.read("dropped", Dropped)}
        refused = self._add_recordings(corpus, segments)
        self._compare(name, [s for s in segments if refused.get(s.recording_id) == "K701"])
        self.timings += [
            t for t in dataset.read("timings", Timing)
            if t.recording_id in self.recordings and t.recording_id not in refused
        ]  # fmt: skip
        self.rows_in["merge-segments"] += len(segments)
        shown = {c.clip_id: c for c in clips.values() if c.recording_id not in refused}
        found = self._trace(corpus, shown)
        self._tell_not_compared(name, len(shown) - len(found))
        lost: dict[str, alike.Pair] = {}
        for owner, known in self._lost.items():
            lost |= self._pairs(known, name, found) if owner != name else {}
        # What was merged before may hold the same twice, of two datasets.
        rows = dataset.read("recordings", Recording)
        origin = {row.recording_id: row.corpus or "" for row in rows}
        for of in sorted(set(origin.values())):
            here = [t for t in found if origin[t.clip.recording_id] == of]
            pairs = self._pairs(self._known, name, here)
            for segment in (s for s in segments if origin[s.recording_id] == of):
                clip = clips.get(segment.segment_id)
                verdict = self._verdict(name, segment, clip, refused=refused, ledger=ledger)
                if verdict is None and clip is not None:
                    gone = clip.clip_id in lost or clip.frames_sha256 in self._lost_frames
                    verdict = self._seen(name, segment, pairs.get(clip.clip_id), gone=gone)
                if verdict is not None:
                    self._drop("merge-segments", segment.segment_id, verdict[0],
                               f"{name}/{segment.source}: {verdict[1]}")  # fmt: skip
                elif clip is not None:
                    self._add_clip(name, segment, clip, signs=signs)
            self._known.add([trace for trace in here if trace.clip.clip_id in self.clips])

    def _tell_not_compared(self, corpus: str, number: int) -> None:
        if number and self.signs_of.options.similar != "ignore":
            self.issues.append(
                issue("K712", table="clips", key=corpus,
                       message=f"{corpus}: {number} clip(s) could not be compared with those of "
                       f"other datasets: shorter than {alike.MIN_MS} ms, or nothing moves")
            )  # fmt: skip

    def _trace(self, corpus: Corpus, clips: Mapping[str, Clip]) -> list[alike.Trace]:
        if self.signs_of.options.similar == "ignore":
            return []
        return alike.traces(
            corpus.dataset,
            encoding=corpus.rendering["encodings"][0],
            clips=clips,
            stage=f"compare {corpus.name}",
            progress=self.step,
        )

    def _pairs(
        self, known: alike.Known, name: str, found: Sequence[alike.Trace]
    ) -> dict[str, alike.Pair]:
        """clip_id → the known clip that shows the same."""
        pairs = known.find(found, stage=f"match {name}", progress=self.step)
        return {pair.other.clip_id: pair for pair in pairs}

    def _seen(
        self, corpus: str, segment: Segment, pair: alike.Pair | None, *, gone: bool
    ) -> tuple[str, str] | None:
        """What becomes of a clip that shows the same as another, in other bytes."""
        if gone:
            return "K324", "its clip shows what one of somebody who has withdrawn does"
        if pair is None:
            return None
        twin = self.clips[pair.one.clip_id]
        if not pair.whole or self.signs_of.options.similar == "warn":
            self._alike[twin.recording_id, segment.recording_id].append(pair)
            return None
        reason = (
            f"its clip {pair.other.clip_id} shows what {twin.clip_id} of "
            f"{self.owner[twin.recording_id]} does{', mirrored' if pair.mirrored else ''}"
        )
        signer_id = self.people.find(corpus, segment.signer_id)
        self._same_person(twin.signer_id, signer_id, reason=reason, key=twin.recording_id)
        here = [s for s in self._signed[twin.recording_id] if s.segment_id == twin.segment_id]
        self._label_twice(here, corpus, segment)
        return "K709", reason

    def tell_alike(self) -> None:
        """One issue for each two recordings that show the same."""
        for (one, other), pairs in sorted(self._alike.items()):
            first = pairs[0]
            files = [self.recordings[key].source_file for key in (one, other)]
            seconds = sum(pair.shared_ms for pair in pairs) / 1000
            how = ", mirrored" if all(pair.mirrored for pair in pairs) else ""
            people = [self.clips[c.clip_id].signer_id for c in (first.one, first.other)]
            who = "" if people[0] == people[1] else f"; the signers are {people[0]} and {people[1]}"
            self.issues.append(
                issue("K709", table="recordings", key=other,
                       message=f"{files[1]} shows what {files[0]} does{how}: {seconds:.1f} s of "
                       f"{len(pairs)} clip(s), first {first.other.clip_id} and "
                       f"{first.one.clip_id}{who}")
            )  # fmt: skip

    def note_withdrawn(self, corpus: Corpus) -> None:
        """Note what there is of those who withdrew: no copy of it may cross, whoever has it."""
        signed = self._signers(corpus.name, corpus.dataset.read("segments", Segment))
        told = set(corpus.dataset.provenance.get("withdrawn", ()))
        here = {}
        for row in corpus.dataset.read("recordings", Recording):
            own = {self.people.find(corpus.name, row.signer_id)} - {None}
            here[row.content_sha256] = signed.get(row.recording_id, set()) | own
        for digest in sorted(told | here.keys()):
            seen = here.get(digest, set())
            if (seen or digest in told) and seen <= self.people.withdrawn:
                self.gone.add(digest)
            elif digest in told or seen & self.people.withdrawn:
                self.parted.setdefault(digest, set()).add(corpus.name)
        clips = {
            clip.clip_id: clip for clip in corpus.dataset.read("clips", Clip)
            if self.people.find(corpus.name, clip.signer_id) in self.people.withdrawn
        }  # fmt: skip
        self._lost_frames |= {c.frames_sha256 for c in clips.values() if c.frames_sha256}
        if clips and (found := self._trace(corpus, clips)):
            self._lost[corpus.name] = alike.Known()
            self._lost[corpus.name].add(found)

    def _signers(self, name: str, segments: Iterable[Segment]) -> dict[str, set[str | None]]:
        """Recording → who signs on it."""
        signed: dict[str, set[str | None]] = defaultdict(set)
        for segment in segments:
            signed[segment.recording_id].add(self.people.find(name, segment.signer_id))
        return signed

    def _add_recordings(self, corpus: Corpus, segments: Iterable[Segment]) -> dict[str, str]:
        """Take over recordings; returns recording_id → code of those that are not."""
        name, refused = corpus.name, {}
        signed = self._signers(name, segments)
        rows = corpus.dataset.read("recordings", Recording)
        self.rows_in["merge-recordings"] += len(rows)
        for row in rows:
            signer_id = self.people.find(name, row.signer_id)
            twin = self._content.get(row.content_sha256)
            if row.content_sha256 in self.gone:
                refused[row.recording_id] = "K324"
                self._drop("merge-recordings", row.recording_id, "K324",
                           f"{name}: its signer has withdrawn consent from a dataset that has it"
                           )  # fmt: skip
            elif name not in self.parted.get(row.content_sha256, {name}):
                refused[row.recording_id] = "K324"
                self._drop("merge-recordings", row.recording_id, "K324",
                           f"{name}: one of its signers has withdrawn consent from "
                           f"{', '.join(sorted(self.parted[row.content_sha256]))}")  # fmt: skip
            elif row.recording_id not in signed:
                self._unused(row.recording_id, f"{name}/{row.source_file}")
            elif twin is not None:
                refused[row.recording_id] = "K701"
                reason = f"{name}/{row.source_file} holds the same bytes as {twin.source_file}"
                self._drop("merge-recordings", row.recording_id, "K701", reason)
                self._same_person(twin.signer_id, signer_id, reason=reason, key=row.recording_id)
                if row.pose_file and not twin.pose_file:
                    self.issues.append(
                        issue("K711", table="recordings", key=row.recording_id,
                               message=f"{reason}, and has poses, which that has not")
                    )  # fmt: skip
            else:
                merged = dataclasses.replace(
                    row,
                    source_file=f"{name}/{row.source_file}",
                    signer_id=signer_id,
                    session_id=joined(name, row.session_id) if row.session_id else None,
                    licence=row.licence or corpus.licence,
                    pose_file=f"{name}/{row.pose_file}" if row.pose_file else None,
                    corpus=f"{name}/{row.corpus}" if row.corpus else name,
                )
                self.owner[row.recording_id] = name
                self._content[row.content_sha256] = merged
                self.recordings[row.recording_id] = merged
        return refused

    def _unused(self, recording_id: str, file: str) -> None:
        self._drop("merge-recordings", recording_id, "K109", f"no clip of {file} crosses")

    def take_issues(self, corpus: Corpus) -> None:
        """Keep what a merge before this one said of copies that it left out."""
        if "merged_from" not in corpus.dataset.provenance:
            return
        here = {*self.recordings, *(segment.segment_id for segment in self.segments)}
        self.issues += [
            dataclasses.replace(row, message=f"in {corpus.name}: {row.message}")
            for row in corpus.dataset.read("issues", Issue)
            if row.code in ("K702", "K708") and row.key in here
        ]

    def leave_unused(self) -> None:
        """Drop the recordings of which no clip has crossed."""
        used = {clip.recording_id for clip in self.clips.values()}
        for key in sorted(self.recordings.keys() - used):
            self._unused(key, self.recordings.pop(key).source_file)
        self.timings = [t for t in self.timings if t.recording_id in used]

    def _same_person(self, one: str | None, other: str | None, *, reason: str, key: str) -> None:
        if one is not None and other is not None and one != other:
            self.issues.append(
                issue("K702", table="recordings", key=key,
                       message=f"{reason}, but the signers are {one} and {other}")
            )  # fmt: skip

    def _compare(self, corpus: str, segments: Sequence[Segment]) -> None:
        """Note segments of which the recording is here with another sign at the same time."""
        kept = {
            key: sorted(self._signed.get(key, []), key=lambda s: (s.start_ms, s.segment_id))
            for key in {segment.recording_id for segment in segments}
        }
        for segment in segments:
            rows = kept[segment.recording_id]
            # Half of the time common or more: no such one begins before this.
            first = 2 * segment.start_ms - segment.end_ms
            alike = []
            for row in rows[bisect_left(rows, first, key=lambda s: s.start_ms) :]:
                if row.start_ms >= segment.end_ms:
                    break
                shared = min(row.end_ms, segment.end_ms) - max(row.start_ms, segment.start_ms)
                whole = max(row.end_ms, segment.end_ms) - min(row.start_ms, segment.start_ms)
                if 2 * shared >= whole:
                    alike.append(row)
            self._label_twice(alike, corpus, segment)

    def _label_twice(self, kept: Sequence[Segment], corpus: str, segment: Segment) -> None:
        """Note that what stays has another sign than a segment that does not."""
        owner = self.owner[kept[0].recording_id] if kept else ""
        here = [row for row in kept if row.gloss_id is not None]
        if segment.gloss_id is None or not here:
            return
        if all(self.signs_of.differ((owner, row), (corpus, segment)) for row in here):
            labels = (row.label or row.gloss_id or "" for row in (here[0], segment))
            self._unlike[owner, next(labels), corpus, next(labels)].append((here[0], segment))

    def tell_unlike(self) -> None:
        """One issue for each two labels that one recording or clip has in two corpora."""
        for (owner, label, corpus, other), rows in sorted(self._unlike.items()):
            first, second = rows[0]
            self.issues.append(
                issue("K708", table="segments", key=first.segment_id,
                      message=f"{label!r} of {owner} is {other!r} in {corpus} ({len(rows)} "
                      f"segment(s), first {owner}/{first.source} and {corpus}/{second.source}); "
                      f"that of {owner} stays")
            )  # fmt: skip

    def _verdict(
        self,
        corpus: str,
        segment: Segment,
        clip: Clip | None,
        *,
        refused: Mapping[str, str],
        ledger: Mapping[str, Dropped],
    ) -> tuple[str, str] | None:
        """Code and reason why a segment stays behind; None where it does not."""
        signer_id = self.people.find(corpus, segment.signer_id)
        if signer_id in self.people.withdrawn:
            return "K324", "the signer has withdrawn consent"
        if segment.recording_id in refused:
            code = refused[segment.recording_id]
            return code, f"its recording: {CODES[code].title}"
        if clip is None:
            before = ledger.get(segment.segment_id) or ledger.get(segment.clip_id)
            return (before.code, before.reason) if before else ("K331", "it has no clip")
        twin = self._frames.get(clip.frames_sha256 or "")
        if twin is not None and twin[0] != corpus:
            reason = f"its clip {clip.clip_id} has the same frames as {twin[1].clip_id}"
            other = twin[1].recording_id
            self._same_person(twin[1].signer_id, signer_id, reason=reason, key=other)
            self._label_twice([twin[2]], corpus, segment)
            return "K704", f"{reason} of {twin[0]}"
        if segment.gloss_id is not None and self.signs_of.find(corpus, segment) is None:
            self.unmapped.add((corpus, segment.gloss_id))
            return "K703", f"the table does not map {segment.gloss_id!r}"
        return None

    def _add_clip(
        self, corpus: str, segment: Segment, clip: Clip, *, signs: Mapping[str, Sign]
    ) -> None:
        gloss_id = self.signs_of.find(corpus, segment) if segment.gloss_id is not None else None
        signer_id = self.people.find(corpus, segment.signer_id)
        self.segments.append(
            dataclasses.replace(
                segment,
                # The label as annotated may mean another sign in another corpus.
                label=gloss_id,
                gloss_id=gloss_id,
                signer_id=signer_id,
                source=f"{corpus}/{segment.source}",
            )
        )
        merged = dataclasses.replace(
            clip,
            gloss_id=gloss_id,
            signer_id=signer_id,
            source_file=f"{corpus}/{clip.source_file}",
        )
        self.clips[clip.clip_id] = merged
        if clip.frames_sha256 is not None:
            self._frames.setdefault(clip.frames_sha256, (corpus, merged, segment))
        self._signed[segment.recording_id].append(segment)
        if gloss_id is not None:
            sign = signs.get(segment.gloss_id or "") or Sign(gloss_id=gloss_id)
            self.signs[gloss_id] = _one_sign(gloss_id, self.signs.get(gloss_id), sign)


def _one_sign(gloss_id: str, first: Sign | None, other: Sign) -> Sign:
    """One entry for one sign: what the first corpus states, the rest from the other."""
    if first is None:
        # What it is a variant of may have another key here, or none.
        return dataclasses.replace(other, gloss_id=gloss_id, variant_of=None)
    stated = {
        f.name: getattr(other, f.name)
        for f in dataclasses.fields(Sign)
        if getattr(first, f.name) is None and f.name != "variant_of"
    }
    aliases = list(dict.fromkeys([*first.aliases, *other.aliases]))
    return dataclasses.replace(first, **stated, aliases=aliases)


# --------------------------------------------------------------------------- the stage


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
    merged = _Merged(people=people, signs_of=signs, step=progress)
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


def _of(corpus: Corpus, merged: _Merged) -> dict[str, Clip]:
    """The clips that came from a dataset."""
    return {
        key: clip
        for key, clip in merged.clips.items()
        if merged.owner[clip.recording_id] == corpus.name
    }


def _write(
    dataset: Dataset, merged: _Merged, *, corpora: Sequence[Corpus], fingerprint: str
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
        licence=strictest(text for texts in stated.values() for text in texts),
        merge_sha256=fingerprint,
    )  # fmt: skip


def _capture(corpora: Sequence[Corpus], merged: _Merged) -> dict[str, Any]:
    """What the raw files say about themselves, of the recordings that crossed."""
    found: dict[str, Any] = {}
    for corpus in corpora:
        path = corpus.dataset.root / "reports" / "capture.json"
        stated = json.loads(path.read_bytes()) if path.is_file() else {}
        for key, facts in stated.items():
            if key in merged.recordings and merged.owner[key] == corpus.name:
                found[key] = facts
    return found
