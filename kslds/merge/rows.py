"""The rows of a merged dataset: what crosses of each dataset, and what is said of the rest."""

from __future__ import annotations

import dataclasses
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from kslds.codes import CODES
from kslds.engine import Progress
from kslds.merge import alike
from kslds.merge.names import Corpus, People, Signs, issue, joined
from kslds.schema import Clip, Dropped, Issue, Recording, Segment, Sign, Timing


@dataclass(kw_only=True)
class Merged:
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
                           f"{name}: its signer has withdrawn consent, from this dataset or from "
                           "another that has it")  # fmt: skip
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
