"""Cutting: from segments to exact frame spans (`trim`), and from spans to clips (`resize`).

`trim` is arithmetic on the timestamp tables. `resize` decodes each recording once and
encodes each clip once; a recording's clips go into one pack, named by content and
parameters, so finished work is found again and unfinished work is not taken for it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np

from kslds import inset, pack, pose, schema, video
from kslds.codes import CODES
from kslds.engine import Progress, num_cores, run, stopping
from kslds.errors import EncodeError, IncompleteDataset, MediaError, MissingFile
from kslds.manifest import Dataset, canonical_json
from kslds.probe import all_ms, sound_pts
from kslds.schema import Clip, Dropped, Issue, Recording, Segment, Timing
from kslds.spans import ClipOptions, geometry, is_coarse, plan, resampled, span_end_pts

_RENDER_VERSION = 5
"""Raised whenever the same plan renders to other bytes."""

_SEEKABLE = ("mov", "matroska")
"""Demuxers of containers with an index of keyframes."""

_SKIP_PIXELS = 8_000_000
"""To start another decoder costs less than to decode so many (four frames of 1080p)."""

_MOST_STRETCHES = 1000
"""That a decoder is told to give; a command line has an end."""

_MOST_THREADS = 4
"""Of a decoder, where fewer recordings than cores are left to it."""

_MAX_OPEN = 16
"""Encoders fed at a time; where more clips overlap, the recording is decoded again for the rest."""

_MAX_CLOSING = 1
"""Clips whose frames are all there and that are not done yet; decoding waits for them."""


# --------------------------------------------------------------------------- trim


def trim(dataset: Dataset, *, options: ClipOptions, unknown: str = "error") -> None:
    """Resolve every segment into a span of frames: writes the table `clips`; decodes nothing.

    Frame *i* belongs to a span when ``start_ms <= floor(1000 * pts_i) < end_ms``.

    Args:
        dataset: Holds `recordings`, `timings` and validated `segments`.
        options: Margins and rate.
        unknown: What to do with a label that validation did not find in the lexicon:
            ``drop`` drops its segments, anything else refuses.

    Raises:
        IncompleteDataset: Labels have not been validated.
    """
    recordings = {r.recording_id: r for r in dataset.read("recordings", Recording)}
    segments = dataset.read("segments", Segment)
    segments.sort(key=lambda segment: segment.recording_id)
    dropped: list[Dropped] = []
    clips: list[Clip] = []

    def drop(segment: Segment, code: str, reason: str) -> None:
        dropped.append(
            Dropped(stage="trim", table="clips", key=segment.segment_id, code=code,
                    reason=f"{segment.source}: {reason}")
        )  # fmt: skip

    timings = timings_of(dataset)
    timing: Timing | None = None
    for segment in segments:
        if segment.label is not None and segment.gloss_id is None:
            if unknown != "drop":
                raise IncompleteDataset(
                    f"the label {segment.label!r} ({segment.source}) has no entry in the lexicon.",
                    hint='Run: kslds validate DIR; or set [lexicon] unknown = "drop" or "keep".',
                )
            drop(segment, "K301", f"the label {segment.label!r} is not in the lexicon")
            continue
        recording = recordings[segment.recording_id]
        if timing is None or timing.recording_id != segment.recording_id:
            timing = timings(segment.recording_id)
            base = Fraction(recording.time_base_num, recording.time_base_den)
            pts_ms = all_ms(timing.pts, base)
        shape = geometry(recording, options)
        size = f"{recording.display_width} × {recording.display_height}"
        if shape is None:
            drop(segment, "K204", f"a picture of {size} with crop = {options.crop}")
            continue
        if max(shape.scaled) > video.MAX_SIDE:
            drop(segment, "K203", f"a picture of {size} with the fit {options.fit!r}")
            continue
        clip = plan(
            segment,
            recording=recording,
            timing=timing,
            pts_ms=pts_ms,
            options=options,
        )
        if clip is None:
            drop(segment, "K202", f"no frame starts in [{segment.start_ms}, {segment.end_ms}) ms")
        else:
            clips.append(clip)
    dataset.write("clips", clips)
    dataset.close_books(
        "trim",
        rows_in=len(segments),
        rows_out=len(clips),
        dropped=dropped,
        facts={"frames": sum(c.num_frames for c in clips)},
    )


def timings_of(dataset: Dataset) -> Callable[[str], Timing]:
    """recording_id → its timing, made when it is asked for, so that one at a time is held."""
    table = dataset.arrow("timings")
    rows = {key: row for row, key in enumerate(table["recording_id"].to_pylist())}

    def timing(recording_id: str) -> Timing:
        (found,) = schema.from_table(Timing, table.slice(rows[recording_id], 1))
        return found

    return timing


def find_insets(
    dataset: Dataset,
    *,
    media: Mapping[str, Path],
    workers: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Find the interpreter's inset in every recording that has none yet.

    A recording in which none stands out keeps null; its segments are dropped by `trim`. An issue
    (K204) says why none was taken.
    """
    recordings = dataset.read("recordings", Recording)
    why: list[Issue] = []

    def look(recording: Recording) -> Recording:
        try:
            found = inset.find(
                media[recording.source_file],
                stream_index=recording.stream_index,
                rotation=recording.rotation,
                size=(recording.display_width, recording.display_height),
            )
        except MediaError as error:
            message = f"{recording.source_file}: {error.what}"
            why.append(
                Issue(table="recordings", key=recording.recording_id, code="K204",
                      severity="warning", message=message, hint=error.hint)
            )  # fmt: skip
            return recording
        box = [found.left, found.top, found.width, found.height]
        return dataclasses.replace(recording, inset=box)

    unknown = [r for r in recordings if r.inset is None]
    known = [r for r in recordings if r.inset is not None]
    found = list(run(look, unknown, stage="inset", workers=workers, progress=progress))
    dataset.write("recordings", [*known, *found])
    kept = dataset.read("issues", Issue) if dataset.has("issues") else []
    dataset.write("issues", [*(i for i in kept if i.code != "K204"), *why])


# --------------------------------------------------------------------------- resize


@dataclass(frozen=True, kw_only=True)
class _Job:
    """One recording and the clips to cut from it."""

    recording: Recording
    timing: Timing
    clips: tuple[Clip, ...]
    path: Path
    folder: Path
    options: ClipOptions
    encodings: tuple[video.Encoding, ...]
    pose_shape: tuple[int, int] | None = None
    """Points and numbers for each, where the dataset has poses."""
    pose_path: Path | None = None
    """Poses of this recording, where it has them."""
    threads: int
    """Of the decoder; not of the encoder, whose bytes would differ."""

    @property
    def base(self) -> Fraction:
        return Fraction(self.recording.time_base_num, self.recording.time_base_den)

    @cached_property
    def poses(self) -> pose.Array:
        """One row of points for each frame, NaN where there are none."""
        points, numbers = self.pose_shape or (0, 0)
        if self.pose_path is None:
            return np.full((len(self.timing.pts), points, numbers), np.nan, np.float32)
        return pose.aligned(pose.read(self.pose_path), pts=self.timing.pts, time_base=self.base)

    def poses_of(self, clip: Clip) -> bytes:
        """The rows of a clip's frames, as the bytes of a `.npy` file."""
        rows = self.poses[clip.first_frame : clip.last_frame + 1]
        if self.options.rate is not None:
            pts = self.timing.pts[clip.first_frame : clip.last_frame + 1]
            end = span_end_pts(self.timing, self.recording, clip.last_frame)
            rate = self.options.rate
            rows = rows[resampled(pts, span_end=end, base=self.base, rate=rate)]
        return pose.encode(rows)

    @cached_property
    def geometry(self) -> video.Geometry:
        return cast(video.Geometry, geometry(self.recording, self.options))

    def pack_path(self, encoding: video.Encoding) -> Path:
        """Named by everything that decides the bytes inside."""
        key = {
            "content": self.recording.content_sha256,
            "spans": [[c.clip_id, c.first_frame, c.last_frame, c.num_frames] for c in self.clips],
            "size": self.options.size,
            "fit": self.options.fit,
            "box": self.geometry.box,
            "fps": str(self.options.rate),
            "poses": [self.recording.pose_sha256, self.pose_shape],
            "encoding": [encoding.name, encoding.field, dict(encoding.options)],
            "ffmpeg": video.ffmpeg_version(),
            "encoder": video.encoder_version(),
            "version": _RENDER_VERSION,
        }
        digest = hashlib.sha256(canonical_json(key)).hexdigest()
        name = f"{self.recording.recording_id}-{digest[:16]}.tar"
        return self.folder / encoding.name / name


class _Sink:
    """One clip being encoded: fed with source frames, in every encoding that is missing."""

    def __init__(self, clip: Clip, *, job: _Job, encodings: Sequence[video.Encoding]) -> None:
        self.clip = clip
        rate, base = job.options.rate, job.base
        pts = job.timing.pts[clip.first_frame : clip.last_frame + 1]
        if rate is None:
            self._times = {i: [p] for i, p in enumerate(pts)}
        else:
            end = span_end_pts(job.timing, job.recording, clip.last_frame)
            self._times = defaultdict(list)
            for k, i in enumerate(resampled(pts, span_end=end, base=base, rate=rate)):
                self._times[i].append(k)
            base = 1 / rate
        self.received = 0
        self._encoders = [
            video.ClipEncoder(size=job.geometry.size, time_base=base, encoding=e, folder=job.folder)
            for e in encodings
        ]

    def add(self, index: int, frame: bytes) -> None:
        """Take the source frame of this index."""
        self.received += 1
        for pts in self._times.get(index - self.clip.first_frame, ()):
            for encoder in self._encoders:
                encoder.add(pts, frame)

    def finish(self) -> list[video.EncodedClip] | None:
        """One encoded clip per encoding, or None where frames are missing."""
        if self.received != self.clip.last_frame - self.clip.first_frame + 1:
            self.abort()
            return None
        return [encoder.finish() for encoder in self._encoders]

    def abort(self) -> None:
        for encoder in self._encoders:
            encoder.abort()


def _abort(sinks: Iterable[_Sink]) -> None:
    for sink in sinks:
        sink.abort()


def _passes(clips: Iterable[Clip]) -> list[list[Clip]]:
    """Clips in groups in which no more than `_MAX_OPEN` overlap, so that few encoders are open."""
    groups: list[tuple[list[Clip], list[int]]] = []
    for clip in sorted(clips, key=lambda c: (c.first_frame, c.last_frame, c.clip_id)):
        for _, ends in groups:
            ends[:] = [end for end in ends if end >= clip.first_frame]
        free = next((group for group in groups if len(group[1]) < _MAX_OPEN), None)
        if free is None:
            free = ([], [])
            groups.append(free)
        free[0].append(clip)
        free[1].append(clip.last_frame)
    return [members for members, _ in groups]


def _runs(job: _Job, clips: list[Clip]) -> list[tuple[int | None, list[Clip]]]:
    """Clips (by first frame) in groups to decode one after the other: timestamp to begin at, clips.

    Where no clip needs a stretch of more than `_SKIP_PIXELS`, decoding starts anew at the last
    keyframe before the next clip, so that cost follows the covered part of a recording.
    """
    pts, keys = job.timing.pts, job.timing.keyframes
    seekable = not job.recording.damage and job.recording.container.startswith(_SEEKABLE)
    pixels = job.recording.width * job.recording.height
    runs: list[tuple[int | None, list[Clip]]] = []
    reached = 0
    for clip in clips:
        place = bisect_right(keys, clip.first_frame) - 1
        key = keys[place] if seekable and place >= 0 else 0
        if not runs or (key - reached) * pixels > _SKIP_PIXELS:
            runs.append((pts[clip.first_frame] if key else None, [clip]))
        else:
            runs[-1][1].append(clip)
        reached = max(reached, clip.last_frame)
    return runs


def _wanted(job: _Job, clips: Iterable[Clip]) -> list[tuple[int, int]]:
    """Timestamps of the frames that these clips (by first frame) need, as first and last of each
    stretch; of no more than `_MOST_STRETCHES`."""
    stretches: list[list[int]] = []
    for clip in clips:
        if stretches and clip.first_frame <= stretches[-1][1] + 1:
            stretches[-1][1] = max(stretches[-1][1], clip.last_frame)
        else:
            stretches.append([clip.first_frame, clip.last_frame])
    if len(stretches) > _MOST_STRETCHES:
        stretches = [[stretches[0][0], stretches[-1][1]]]
    pts = job.timing.pts
    return [(pts[first], pts[last]) for first, last in stretches]


def _cut(
    job: _Job,
    clips: list[Clip],
    *,
    encodings: Sequence[video.Encoding],
    unsound: Callable[[int], bool] | None,
    start_pts: int | None,
) -> Iterator[tuple[Clip, list[video.EncodedClip] | None]]:
    """Decode once, feed every clip; yields clips as they end, None where frames are missing.

    A frame at a time that the table does not know is passed over if it is `unsound`. Any other
    means that table and decoder do not count alike, so that no frame of either can be trusted.

    Raises:
        _Damaged: There is such a frame; or the decoder complains, and nobody knew (`unsound` is
            None).
    """
    waiting = list(reversed(clips))
    last_needed = max(clip.last_frame for clip in clips)
    active: list[_Sink] = []
    finishing: list[tuple[Clip, Future[list[video.EncodedClip] | None]]] = []

    with ExitStack() as stack:
        # Closing a clip waits for its encoder, and reads it back; another thread does it while
        # decoding goes on.
        closer = stack.enter_context(ThreadPoolExecutor(1))
        stack.callback(_abort, active)
        decoded = stack.enter_context(
            video.decoding(
                job.path,
                stream_index=job.recording.stream_index,
                time_base=job.base,
                origin_pts=job.recording.origin_pts,
                geometry=job.geometry,
                start_pts=start_pts,
                wanted=_wanted(job, clips) if unsound is None else (),
                # Of a damaged recording other threads could make other frames.
                threads=job.threads if unsound is None else 1,
                smooth=not is_coarse(job.recording, job.geometry),
            )
        )

        def close(sinks: list[_Sink]) -> None:
            for sink in sorted(sinks, key=lambda s: (s.clip.last_frame, s.clip.clip_id)):
                finishing.append((sink.clip, closer.submit(sink.finish)))
                active.remove(sink)

        for pts, frame in decoded.frames:
            if stopping():
                raise _Stopped
            index = bisect_left(job.timing.pts, pts)
            if index == len(job.timing.pts) or job.timing.pts[index] != pts:
                if unsound is None or not unsound(pts + job.recording.origin_pts):
                    raise _Damaged
                continue
            close([s for s in active if s.clip.last_frame < index])
            while waiting and waiting[-1].first_frame <= index:
                active.append(_Sink(waiting.pop(), job=job, encodings=encodings))
            for sink in active:
                sink.add(index, frame)
            close([s for s in active if s.clip.last_frame == index])
            while finishing and (finishing[0][1].done() or len(finishing) > _MAX_CLOSING):
                clip, future = finishing.pop(0)
                yield clip, _result(clip, future)
            if index >= last_needed:
                break
        close(list(active))
        for clip, future in finishing:
            yield clip, _result(clip, future)
        for clip in waiting:
            yield clip, None
    if decoded.errors and unsound is None:
        raise _Damaged


def _result(
    clip: Clip, future: Future[list[video.EncodedClip] | None]
) -> list[video.EncodedClip] | None:
    try:
        return future.result()
    except EncodeError as error:
        raise EncodeError(
            f"{clip.source_file}, clip {clip.clip_id}: {error.what}",
            hint="Run the same command again; if it stays, report it.",
        ) from error


def _facts(clip: video.EncodedClip, size: tuple[int, int]) -> bytes:
    facts: dict[str, Any] = {
        "width": size[0],
        "height": size[1],
        "num_frames": clip.num_frames,
        "frames_sha256": clip.frames_sha256,
        "psnr_db": clip.psnr_db,
    }
    if clip.frame_sizes:
        facts["frame_sizes"] = list(clip.frame_sizes)
    return canonical_json(facts)


class _Stopped(Exception):
    """The run is being given up; the pack is not finished."""


class _Damaged(Exception):
    """Frames are not what the table says; never leaves this module."""


def _render(job: _Job, *, sha256_of: Callable[[Path], str]) -> None:
    """Write the packs of one recording that are missing."""
    missing = [e for e in job.encodings if not pack.is_complete(job.pack_path(e))]
    if not missing:
        return
    if sha256_of(job.path) != job.recording.content_sha256:
        raise IncompleteDataset(
            f"{job.recording.source_file} changed since it was ingested.",
            hint="Run: kslds ingest … again.",
        )
    if job.pose_path is not None:
        # The pack is named by the hash that the poses had.
        try:
            same = pose.content_sha256(job.pose_path) == job.recording.pose_sha256
        except (OSError, ValueError):
            same = False
        if not same:
            raise IncompleteDataset(
                f"the poses {job.recording.pose_file} changed since they were ingested.",
                hint="Run: kslds ingest … again.",
            )
    with suppress(_Damaged):
        _write_packs(job, job.clips, encodings=missing)
        return
    # Keep only clips whose every frame is sound.
    sound, clean = sound_pts(job.path, stream_index=job.recording.stream_index)
    known = frozenset(sound)
    shifted = [pts + job.recording.origin_pts in known for pts in job.timing.pts]
    whole = [c for c in job.clips if all(shifted[c.first_frame : c.last_frame + 1])]
    with suppress(_Damaged):
        if clean and len(whole) < len(job.clips):
            raise _Damaged
        _write_packs(
            job, whole, encodings=missing, unsound=lambda pts: not clean and pts not in known
        )
        return
    _write_packs(job, (), encodings=missing, code="K125")


def _write_packs(
    job: _Job,
    clips: Sequence[Clip],
    *,
    encodings: Sequence[video.Encoding],
    unsound: Callable[[int], bool] | None = None,
    code: str = "K201",
) -> None:
    """Render `clips`; the pack states of the job's other clips that they are dropped, and why."""
    with ExitStack() as stack:
        writers = [stack.enter_context(pack.writing(job.pack_path(e))) for e in encodings]
        lost = {clip.clip_id for clip in job.clips} - {clip.clip_id for clip in clips}
        passes = _passes(clips)
        # A file that is not sound is decoded from its first frame.
        runs = [r for p in passes for r in (_runs(job, p) if unsound is None else [(None, p)])]
        for start_pts, group in runs:
            for clip, encoded in _cut(
                job, group, encodings=encodings, unsound=unsound, start_pts=start_pts
            ):
                if encoded is None:
                    if unsound is None:
                        raise _Damaged
                    lost.add(clip.clip_id)
                    continue
                for writer, encoding, data in zip(writers, encodings, encoded, strict=True):
                    writer.add(clip.clip_id, field=encoding.field, data=data.data)
                    writer.add(clip.clip_id, field="json", data=_facts(data, job.geometry.size))
                    if job.pose_shape is not None:
                        writer.add(clip.clip_id, field=pose.FIELD, data=job.poses_of(clip))
        for writer in writers:
            for clip_id in sorted(lost):
                writer.add(clip_id, field="json", data=canonical_json({"dropped": code}))


def resize(
    dataset: Dataset,
    *,
    media: Mapping[str, Path],
    options: ClipOptions,
    encodings: Sequence[str] = ("h264",),
    poses: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Render the plan: one decode per recording, one encode per clip and encoding.

    Every clip is decoded back and compared before it counts. Clips with frames that do not
    decode are dropped (K201). Packs that no plan refers to any more are deleted.

    Args:
        dataset: Holds the plan (`trim`).
        media: Name of each recording's file → path.
        options: Size and fit; the plan's rate.
        encodings: Names from `kslds.video.ENCODINGS`.
        poses: The folder of poses; a clip's pack then also holds its points (`kslds.pose`).
        workers: Recordings at a time.
        progress: Told after each recording.

    Raises:
        MissingFile: A recording's file is gone.
        EncodeError: A clip did not come back as it went in.
    """
    recordings = {r.recording_id: r for r in dataset.read("recordings", Recording)}
    clips = dataset.read("clips", Clip)
    by_recording: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        by_recording[clip.recording_id].append(clip)
    if not clips:
        dropped = dataset.read("dropped", Dropped) if dataset.has("dropped") else []
        raise IncompleteDataset(
            f"there is no clip: {_why_none(dropped)}.",
            hint=f"Correct the cause and build again; for the rows: kslds info {dataset.root}",
        )
    _check_media(by_recording, recordings=recordings, media=media)
    folder = dataset.root / "clips"
    shape = _pose_shape(recordings.values(), poses)
    at_a_time = min(workers or num_cores(), len(by_recording))
    threads = max(1, min(num_cores() // at_a_time, _MOST_THREADS))
    timings = timings_of(dataset)

    def render(recording_id: str) -> _Outcome:
        """Made here and let go of here: timestamps and poses of one recording a worker."""
        recording = recordings[recording_id]
        job = _Job(
            recording=recording,
            timing=timings(recording_id),
            clips=tuple(sorted(by_recording[recording_id], key=lambda c: c.clip_id)),
            path=media[recording.source_file],
            folder=folder,
            options=options,
            encodings=tuple(video.ENCODINGS[e] for e in encodings),
            pose_shape=shape,
            pose_path=poses / recording.pose_file if poses and recording.pose_file else None,
            threads=threads,
        )
        _render(job, sha256_of=dataset.sha256_of)
        return _outcome(job)

    made = list(
        run(render, sorted(by_recording), stage="resize", workers=workers, progress=progress)
    )
    _sweep(folder, keep={path for one in made for path in one.packs})
    rendered = [clip for one in made for clip in one.rendered]
    dataset.write("clips", rendered)
    dataset.close_books(
        "resize",
        rows_in=len(clips),
        rows_out=len(rendered),
        dropped=[row for one in made for row in one.dropped],
        facts={"frames": sum(c.num_frames for c in rendered)},
    )


def _why_none(dropped: Sequence[Dropped]) -> str:
    """Why there is nothing to render: each reason with how often, the most frequent first."""
    if not dropped:
        return "the annotations hold no row"
    first = {row.code: row.reason for row in reversed(dropped)}
    counts = Counter(row.code for row in dropped)
    told = [f"{code} {number:,} times, as {first[code]}" for code, number in counts.most_common(3)]
    return f"every segment was dropped ({'; '.join(told)})"


def _check_media(
    wanted: Iterable[str], *, recordings: Mapping[str, Recording], media: Mapping[str, Path]
) -> None:
    for recording_id in sorted(wanted):
        name = recordings[recording_id].source_file
        if name not in media:
            raise MissingFile(
                f"the recording {name} is no longer in the media folder.",
                hint="Put it back, or run: kslds ingest … again.",
            )


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    """What became of the plan of one recording."""

    packs: list[Path]
    rendered: list[Clip]
    dropped: list[Dropped]


def _outcome(job: _Job) -> _Outcome:
    """What the packs of a recording say became of the plan."""
    packs = [job.pack_path(encoding) for encoding in job.encodings]
    found: dict[str, dict[str, Any]] = {}
    for path in reversed(packs):
        with pack.PackReader(path) as reader:
            found |= {key: json.loads(reader.read(key, field="json")) for key in reader.keys}
    rendered: list[Clip] = []
    dropped: list[Dropped] = []
    for clip in job.clips:
        known = found[clip.clip_id]
        if "dropped" in known:
            code = known["dropped"]
            reason = (
                f"frames {clip.first_frame} to {clip.last_frame} of {clip.source_file}: "
                f"{CODES[code].title}"
            )
            dropped.append(
                Dropped(stage="resize", table="clips", key=clip.clip_id, code=code, reason=reason)
            )
            continue
        known.pop("frame_sizes", None)
        rendered.append(dataclasses.replace(clip, **cast(Any, known)))
    return _Outcome(packs=packs, rendered=rendered, dropped=dropped)


def _pose_shape(recordings: Iterable[Recording], folder: Path | None) -> tuple[int, int] | None:
    """Points, and numbers for each, of the first recording that has poses."""
    named = sorted((r.source_file, r.pose_file) for r in recordings if r.pose_file)
    if folder is None or not named:
        return None
    _, points, numbers = pose.read(folder / str(named[0][1])).data.shape
    return points, numbers


def _sweep(folder: Path, *, keep: set[Path]) -> None:
    """Delete packs that no plan refers to; files of other names are left alone."""
    for path in sorted(folder.glob("*/rec_*.tar")):
        if path not in keep:
            pack.index_path(path).unlink(missing_ok=True)
            path.unlink()
