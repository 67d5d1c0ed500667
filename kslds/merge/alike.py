"""Recordings that are in two datasets with other bytes: made smaller, cut, encoded anew, mirrored.

What is compared is how the picture changes, so a wall or a shirt that two recordings share says
nothing. Each clip becomes a trace: 25 times a second, the brightness of 16 × 16 fields minus
what it was 160 ms before. Where it moves most, two traces of one recording are nearly the same
wherever they were cut. Such moments of all clips are compared with each other; where two are
alike, so has to be all that the clips then have in common (at least 560 ms), and their pictures
too. Clips in which nothing moves, and shorter ones, are not compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kslds import pack
from kslds.engine import Progress, run
from kslds.frames import Frames, read_frames, read_jpegs
from kslds.manifest import Dataset
from kslds.schema import Clip
from kslds.video import ENCODINGS

Floats = npt.NDArray[np.float32]

_SIDE = 16  # fields along each side of the picture
_STEP_MS = 40
_LAG = 4  # steps
_SHARED = 10  # steps that two clips have in common at least, besides the lag
_MOMENTS = 6  # of each clip
_MOVING = 1.0  # grey levels that a field changes by in a moment, on average
_HINT = 0.8  # likeness of two moments that is followed up
_SAME_MOTION = 0.9
_SAME_PICTURE = 0.8
_BLOCK = 2048  # moments compared at a time


@dataclass(frozen=True, kw_only=True)
class Trace:
    """How a clip moves, and what it looks like."""

    clip: Clip
    motion: Floats
    """(steps, fields) grey levels gained since 160 ms before."""
    picture: Floats
    """(steps, fields) grey levels."""
    moments: tuple[int, ...]
    """Steps at which it moves most."""


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
    motion = picture[_LAG:] - picture[:-_LAG]
    moments = _moments(np.sqrt(np.mean(motion**2, axis=1)))
    return Trace(clip=clip, motion=motion, picture=picture, moments=moments) if moments else None


def _fields(frames: Frames) -> Floats:
    """(T, H, W, 3) → (T, fields): the mean of green, most of brightness, in each."""
    number, height, width, _ = frames.shape
    high, wide = max(1, height // _SIDE), max(1, width // _SIDE)
    top, left = (height - high * _SIDE) // 2, (width - wide * _SIDE) // 2
    green = frames[:, top : top + high * _SIDE, left : left + wide * _SIDE, 1]
    cells = green.reshape(number, _SIDE, high, _SIDE, wide)
    return np.asarray(cells.mean(axis=(2, 4)), np.float32).reshape(number, _SIDE**2)


def _moments(energy: Floats) -> tuple[int, ...]:
    """The steps at which most happens, none within the lag of another."""
    chosen: list[int] = []
    for step in np.argsort(-energy, kind="stable").tolist():
        if len(chosen) == _MOMENTS or energy[step] < _MOVING:
            break
        if all(abs(step - other) > _LAG for other in chosen):
            chosen.append(step)
    return tuple(chosen)


def _mirrored(values: Floats) -> Floats:
    return values.reshape(-1, _SIDE, _SIDE)[:, :, ::-1].reshape(values.shape)


def _unit(values: Floats) -> Floats:
    norm = np.linalg.norm(values, axis=-1, keepdims=True)
    return np.asarray(values / np.maximum(norm, 1e-6), dtype=np.float32)


@dataclass(kw_only=True)
class Known:
    """The clips that others are compared with."""

    _traces: list[Trace] = field(default_factory=list)

    def add(self, found: Sequence[Trace]) -> None:
        """Compare others with these too."""
        self._traces += found

    def find(self, found: Sequence[Trace]) -> list[Pair]:
        """Clips among these that are also in others: for each, the one it shares most with."""
        best: dict[str, Pair] = {}
        if self._traces and found:
            for i, step, j, other_step, mirrored in self._hints(found):
                shift = step - other_step
                pair = _same(self._traces[i], found[j], shift=shift, mirrored=mirrored)
                if pair is None:
                    continue
                before = best.get(pair.other.clip_id)
                if before is None or _rank(pair) < _rank(before):
                    best[pair.other.clip_id] = pair
        return [best[t.clip.clip_id] for t in found if t.clip.clip_id in best]

    def _hints(self, found: Sequence[Trace]) -> Iterator[tuple[int, int, int, int, bool]]:
        """Pairs of moments that are alike: trace here and its step, trace there and its step."""
        here = [(i, step) for i, trace in enumerate(self._traces) for step in trace.moments]
        there = [(j, step) for j, trace in enumerate(found) for step in trace.moments]
        known = _unit(np.stack([self._traces[i].motion[step] for i, step in here]))
        for first in range(0, len(there), _BLOCK):
            asked = there[first : first + _BLOCK]
            values = _unit(np.stack([found[j].motion[step] for j, step in asked]))
            for mirrored in (False, True):
                query = _mirrored(values) if mirrored else values
                for start in range(0, len(here), _BLOCK):
                    likeness = query @ known[start : start + _BLOCK].T
                    for a, b in np.argwhere(likeness >= _HINT).tolist():
                        yield (*here[start + b], *asked[a], mirrored)


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
    shown = (other.motion, other.picture)
    motion, picture = map(_mirrored, shown) if mirrored else shown
    for near in (shift, shift - 1, shift + 1):
        begin, end = max(0, near), min(len(one.motion), near + len(motion))
        if end - begin < _SHARED:
            continue
        mine, theirs = one.motion[begin:end], motion[begin - near : end - near]
        if _likeness(mine, theirs) < _SAME_MOTION:
            continue
        seen, other_seen = (
            values[a:b].mean(axis=0)
            for values, a, b in ((one.picture, begin, end), (picture, begin - near, end - near))
        )
        if _likeness(seen - seen.mean(), other_seen - other_seen.mean()) < _SAME_PICTURE:
            return None
        shared = (end - begin + _LAG) * _STEP_MS
        return Pair(one=one.clip, other=other.clip, shared_ms=shared, mirrored=mirrored)
    return None


def _likeness(one: Floats, other: Floats) -> float:
    """The cosine of two arrays of one shape."""
    norm = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(np.vdot(one, other)) / norm if norm else 0.0
