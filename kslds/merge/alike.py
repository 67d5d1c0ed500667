"""Recordings that are in two datasets with other bytes: made smaller, cut, encoded anew, mirrored.

What is compared is how the picture changes, so a wall or a shirt that two recordings share says
nothing. Each clip becomes a trace: 25 times a second, the brightness of 16 × 16 fields minus
what it was 160 ms before. Two traces of one recording are nearly the same wherever they were
cut. The moments at which a clip moves most are looked for in all other clips; where one is found,
all that the clips then have in common (at least 560 ms) has to be the same, and their pictures
too. Clips in which nothing moves, and shorter ones, are not compared.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from kslds import pack
from kslds.engine import Progress, run
from kslds.frames import Frames, read_frames, read_jpegs
from kslds.manifest import Dataset
from kslds.schema import Clip
from kslds.video import ENCODINGS

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.signedinteger[Any]]

_SIDE = 16  # fields along each side of the picture
_HINT_SIDE = 8  # and where moments are looked for
_STEP_MS = 40
_LAG = 4  # steps
_SHARED = 10  # steps that two clips have in common at least, besides the lag
MIN_MS = (_LAG + _SHARED) * _STEP_MS
"""Shorter clips are not compared."""
_MOMENTS = 4  # of each clip
_NOISE = 1.5  # grey levels that are taken off every change
_MOVING = 0.5  # grey levels that a field changes by in a moment, on average
_HINT = 0.8  # likeness of two moments that is followed up
_SAME_MOTION = 0.9
_NEARLY = 0.7  # that a step more or less may make of it
_SAME_PICTURE = 0.9
_BLOCK = 4096  # moments compared with as many others at a time
_ASKED = 512  # clips looked for at a time
_ONE_GROUP = 50_000  # moments that all are compared with
_PROBES = 16  # groups that a moment is looked for in
_BEST = 8  # moments of a group that are like it
_FOLLOWED = 32  # known clips that a clip is compared with in full, the likest first


@dataclass(frozen=True, kw_only=True)
class Trace:
    """How a clip looks over time."""

    clip: Clip
    picture: npt.NDArray[np.float16]
    """(steps, fields) grey levels; in 16 bits, for there may be millions of steps."""

    @property
    def motion(self) -> Floats:
        """(steps, fields) grey levels gained since 160 ms before."""
        return _motion(self.picture.astype(np.float32))


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two clips that show the same."""

    one: Clip
    """In the dataset that comes first."""
    other: Clip
    shared_ms: int
    """How much of them is the same."""
    mirrored: bool

    @property
    def whole(self) -> bool:
        """Is at least half of the shorter one the same?"""
        lengths = (clip.end_ms - clip.start_ms for clip in (self.one, self.other))
        return 2 * self.shared_ms >= min(lengths)


def traces(
    dataset: Dataset,
    *,
    encoding: str,
    clips: Mapping[str, Clip],
    stage: str,
    progress: Progress | None,
) -> list[Trace]:
    """The traces of a dataset's clips, in the order of its packs; of those that move.

    A clip takes some 6 ms on one core.

    Raises:
        CorruptData: A clip is not what was written.
        MediaError: A clip cannot be decoded.
    """
    tars = sorted((dataset.root / "clips" / encoding).glob("*.tar"))
    job = partial(_of_pack, encoding=encoding, clips=clips)
    found = run(job, tars, stage=stage, progress=progress)
    return [trace for of_pack in found for trace in of_pack]


def _of_pack(tar: Path, *, encoding: str, clips: Mapping[str, Clip]) -> list[Trace]:
    with pack.PackReader(tar) as reader:
        wanted = [clips[key] for key in reader.keys if key in clips]
        return [t for c in wanted if (t := _trace(c, _frames(reader, c, encoding))) is not None]


def _frames(reader: pack.PackReader, clip: Clip, encoding: str) -> Frames:
    data = reader.read(clip.clip_id, field=ENCODINGS[encoding].field)
    if encoding == "h264":
        return read_frames(data, indices=range(clip.num_frames))
    sizes = json.loads(reader.read(clip.clip_id, field="json"))["frame_sizes"]
    ends = np.cumsum(sizes).tolist()
    return read_jpegs([data[end - size : end] for end, size in zip(ends, sizes, strict=True)])


def _trace(clip: Clip, frames: Frames) -> Trace | None:
    fields = _fields(frames)
    # Frames are taken as evenly apart: a recording of variable rate is close enough to that.
    every_ms = (clip.end_ms - clip.start_ms) / len(fields)
    places = np.arange(0, (len(fields) - 1) * every_ms, _STEP_MS, dtype=np.float64) / every_ms
    before = places.astype(np.intp)
    part = (places - before).astype(np.float32)[:, None]
    picture = fields[before] * (1 - part) + fields[before + 1] * part if len(places) else fields[:0]
    if len(picture) < _LAG + _SHARED:
        return None
    trace = Trace(clip=clip, picture=picture.astype(np.float16))
    return trace if _energy(trace.motion).max() >= _MOVING else None


def _motion(picture: Floats) -> Floats:
    gained = picture[_LAG:] - picture[:-_LAG]
    # Most fields do not move, and what an encoder leaves in all of them would outweigh the rest.
    return np.asarray(gained - np.clip(gained, -_NOISE, _NOISE), np.float32)


def _energy(motion: Floats) -> Floats:
    return np.asarray(np.sqrt(np.mean(motion**2, axis=1)), np.float32)


def _fields(frames: Frames) -> Floats:
    """(T, H, W, 3) → (T, fields): the mean of green, most of brightness, in each."""
    number, height, width, _ = frames.shape
    high, wide = max(1, height // _SIDE), max(1, width // _SIDE)
    top, left = (height - high * _SIDE) // 2, (width - wide * _SIDE) // 2
    green = frames[:, top : top + high * _SIDE, left : left + wide * _SIDE, 1]
    cells = green.reshape(number, _SIDE, high, _SIDE, wide)
    return np.asarray(cells.mean(axis=(2, 4)), np.float32).reshape(number, _SIDE**2)


def _moments(energy: Floats) -> list[int]:
    """The steps at which most happens, none within the lag of another."""
    chosen: list[int] = []
    inside = energy[_LAG : len(energy) - _LAG]
    for step in (np.argsort(-inside, kind="stable") + _LAG).tolist():
        if len(chosen) == _MOMENTS or energy[step] < _MOVING:
            break
        if all(abs(step - other) > _LAG for other in chosen):
            chosen.append(step)
    return chosen


def _mirrored(values: Floats, *, side: int = _SIDE) -> Floats:
    return values.reshape(-1, side, side)[:, :, ::-1].reshape(values.shape)


_Hint = tuple[int, int, int, bool]
"""A clip that is asked for, a known one that may show the same, the step of the known one at which
the other begins, and whether that is mirrored."""


@dataclass(kw_only=True)
class Known:
    """The clips that others are compared with."""

    _traces: list[Trace] = field(default_factory=list)

    def add(self, found: Sequence[Trace]) -> None:
        """Compare others with these too."""
        self._traces += found

    def find(
        self, found: Sequence[Trace], *, stage: str = "match", progress: Progress | None = None
    ) -> list[Pair]:
        """Clips among these that are also in others: for each, the one it shares most with."""
        if not self._traces:
            return []
        index = _Index(_Moments.of(self._traces, steps=_moving))

        def look(first: int) -> list[Pair]:
            asked = found[first : first + _ASKED]
            hints = _hints(index, _Moments.of(asked, steps=_moments))
            best = (self._best(asked[j], group) for j, group in groupby(hints, lambda h: h[0]))
            return [pair for pair in best if pair is not None]

        # One thread for each product, as several are made at a time.
        with threadpool_limits(limits=1):
            parts = run(look, range(0, len(found), _ASKED), stage=stage, progress=progress)
            return [pair for part in parts for pair in part]

    def _best(self, asked: Trace, hints: Iterable[_Hint]) -> Pair | None:
        """Of the known clips that a clip may be the same as, the one it shares most with."""
        tried: dict[tuple[int, bool], set[int]] = defaultdict(set)
        pairs: list[Pair] = []
        left = _FOLLOWED
        for _, number, shift, mirrored in hints:
            if shift in tried[number, mirrored]:
                continue
            if not left:
                break
            left -= 1
            tried[number, mirrored] |= {shift - 1, shift, shift + 1}
            pair = _same(self._traces[number], asked, shift=shift, mirrored=mirrored)
            pairs += [pair] if pair is not None else []
        return min(pairs, key=_rank, default=None)


def _moving(energy: Floats) -> list[int]:
    """Every other step, if anything moves then; `_same` looks at those between."""
    return [step for step in range(_LAG, len(energy) - _LAG, 2) if energy[step] >= _MOVING]


@dataclass(frozen=True, kw_only=True)
class _Moments:
    """Some steps of clips, each as a vector of length 1.

    A vector has the motion until then and after it too: hands that pass one place are many,
    those that come from one place and go to one are few.
    """

    clips: Ints
    """(moments,) place of the clip among all."""
    steps: Ints
    """(moments,)"""
    vectors: npt.NDArray[np.float16]
    """(moments, 3 * fields); in 16 bits, for there may be a million."""

    @classmethod
    def of(cls, traces: Sequence[Trace], *, steps: Callable[[Floats], Sequence[int]]) -> _Moments:
        """The moments of clips."""
        clips, chosen = [np.empty(0, np.int32)], [np.empty(0, np.int32)]
        rows = [np.empty((0, 3 * _HINT_SIDE**2), np.float16)]
        wide = _SIDE // _HINT_SIDE
        for number, trace in enumerate(traces):
            motion = trace.motion
            now = np.asarray(steps(_energy(motion)), np.int32)
            clips.append(np.full(len(now), number, np.int32))
            chosen.append(now)
            cells = motion.reshape(-1, _HINT_SIDE, wide, _HINT_SIDE, wide).mean(axis=(2, 4))
            around = np.add.outer(now, (-_LAG, 0, _LAG))
            values = cells[around].reshape(len(now), 3 * _HINT_SIDE**2)
            norm = np.linalg.norm(values, axis=1, keepdims=True)
            rows.append((values / np.maximum(norm, 1e-6)).astype(np.float16))
        return cls(
            clips=np.concatenate(clips), steps=np.concatenate(chosen), vectors=np.concatenate(rows)
        )


class _Index:
    """Moments in groups, so that one is compared with those of the groups nearest to it only.

    Some are the middles of groups; each of all goes to the middle that is nearest. Where there
    are few, one group holds all.
    """

    def __init__(self, moments: _Moments) -> None:
        vectors = moments.vectors
        many = len(vectors) > _ONE_GROUP
        number = round(2 * math.sqrt(len(vectors))) if many else min(1, len(vectors))
        chosen = np.linspace(0, len(vectors) - 1, number).astype(np.intp)
        self._middles = vectors[chosen].astype(np.float32)
        group = np.zeros(len(vectors), np.int32)
        for first in range(0, len(vectors) if many else 0, _BLOCK):
            block = vectors[first : first + _BLOCK].astype(np.float32)
            group[first : first + _BLOCK] = np.argmax(block @ self._middles.T, axis=1)
        order = np.argsort(group, kind="stable")
        self._bounds = np.searchsorted(group[order], np.arange(number + 1)).tolist()
        self._vectors = vectors[order]
        self.clips, self.steps = moments.clips[order], moments.steps[order]

    def near(self, asked: Floats) -> Iterator[tuple[Ints, Ints, Floats]]:
        """Which of the asked vectors are like which moments here, and how like."""
        nearest = self._nearest(asked)
        rows = np.repeat(np.arange(len(asked)), nearest.shape[1])
        order = np.argsort(nearest, axis=None, kind="stable")
        bounds = np.searchsorted(nearest.ravel()[order], np.arange(len(self._bounds)))
        for group in np.flatnonzero(np.diff(bounds)).tolist():
            which = rows[order[bounds[group] : bounds[group + 1]]]
            for start in range(self._bounds[group], self._bounds[group + 1], _BLOCK):
                end = min(start + _BLOCK, self._bounds[group + 1])
                likeness = asked[which] @ self._vectors[start:end].astype(np.float32).T
                some = np.flatnonzero(likeness.max(axis=1) >= _HINT)
                likeness = likeness[some]
                best = np.argpartition(-likeness, min(_BEST, likeness.shape[1]) - 1, axis=1)
                best = best[:, :_BEST]
                values = np.take_along_axis(likeness, best, axis=1)
                a, b = np.nonzero(values >= _HINT)
                yield which[some[a]], start + best[a, b], values[a, b]

    def _nearest(self, asked: Floats) -> Ints:
        """(vectors, probes) the groups in which each is looked for."""
        probes = min(_PROBES, len(self._middles))
        found = [np.empty((0, probes), np.intp)]
        for first in range(0, len(asked) if probes else 0, _BLOCK):
            likeness = asked[first : first + _BLOCK] @ self._middles.T
            found.append(np.argpartition(-likeness, probes - 1, axis=1)[:, :probes])
        return np.concatenate(found)


def _hints(known: _Index, asked: _Moments) -> Iterator[_Hint]:
    """Where clips may be in known ones: by the clip that is asked for, the likest first."""
    found: list[tuple[npt.NDArray[Any], ...]] = []
    for mirrored in (False, True):
        vectors = asked.vectors.astype(np.float32)
        if mirrored:
            vectors = _mirrored(vectors, side=_HINT_SIDE)
        for here, there, likeness in known.near(vectors):
            shift = known.steps[there] - asked.steps[here]
            same = np.full(len(here), mirrored)
            found.append((asked.clips[here], -likeness, known.clips[there], shift, same))
    if found:
        clips, less, numbers, shifts, turned = (np.concatenate(f) for f in zip(*found, strict=True))
        order = np.lexsort((turned, shifts, numbers, less, clips))
        clips = clips[order]
        # Neighbours of a moment that is like another are so too: some are passed over.
        first = np.arange(len(clips)) - np.searchsorted(clips, clips) < 4 * _FOLLOWED
        order = order[first]
        columns = (c.tolist() for c in (clips[first], numbers[order], shifts[order], turned[order]))
        yield from zip(*columns, strict=True)


def _rank(pair: Pair) -> tuple[int, bool, str]:
    return -pair.shared_ms, pair.mirrored, pair.one.clip_id


def _same(one: Trace, other: Trace, *, shift: int, mirrored: bool) -> Pair | None:
    """The pair that two clips are, if all that they share is the same.

    Args:
        one: A clip.
        other: Another.
        shift: Step of `one` that is the first of `other`; may be one off.
        mirrored: Is `other` mirrored?
    """
    rough = _shared(one, other, shift=shift, mirrored=mirrored, every=2)
    if rough is not None and rough[0] < _NEARLY:
        return None
    for near in (shift, shift - 1, shift + 1):
        likeness = _shared(one, other, shift=near, mirrored=mirrored)
        if likeness is None or likeness[0] < _SAME_MOTION:
            continue
        if likeness[1] < _SAME_PICTURE:
            return None
        begin, end = _overlap(one, other, shift=near)
        shared = (end - begin) * _STEP_MS
        return Pair(one=one.clip, other=other.clip, shared_ms=shared, mirrored=mirrored)
    return None


def _overlap(one: Trace, other: Trace, *, shift: int) -> tuple[int, int]:
    """First step of `one` that `other` has too, and the one after the last."""
    return max(0, shift), min(len(one.picture), shift + len(other.picture))


def _shared(
    one: Trace, other: Trace, *, shift: int, mirrored: bool, every: int = 1
) -> tuple[float, float] | None:
    """How alike are motion and picture of the steps that two clips share? None where few are.

    Only every second row of fields, say, tells most of it in half the time.
    """
    begin, end = _overlap(one, other, shift=shift)
    if end - begin < _LAG + _SHARED:
        return None
    mine = one.picture[begin:end].reshape(-1, _SIDE, _SIDE)[:, ::every]
    theirs = other.picture[begin - shift : end - shift].reshape(-1, _SIDE, _SIDE)[:, ::every]
    pictures = [p.astype(np.float32) for p in (mine, theirs[:, :, ::-1] if mirrored else theirs)]
    motion = _likeness(*map(_motion, pictures))
    if motion < _NEARLY:
        return motion, 0.0
    seen = [p[_LAG:].mean(axis=0) for p in pictures]
    return motion, _likeness(*(s - s.mean() for s in seen))


def _likeness(one: Floats, other: Floats) -> float:
    """The cosine of two arrays of one shape."""
    norm = math.sqrt(float(np.vdot(one, one)) * float(np.vdot(other, other)))
    return float(np.vdot(one, other)) / norm if norm else 0.0
