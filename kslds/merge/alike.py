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
from collections.abc import Callable, Iterator, Mapping, Sequence
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
_HINT_SIDE = 8  # and where moments are looked for
_STEP_MS = 40
_LAG = 4  # steps
_SHARED = 10  # steps that two clips have in common at least, besides the lag
_MOMENTS = 4  # of each clip
_MOVING = 1.0  # grey levels that a field changes by in a moment, on average
_HINT = 0.8  # likeness of two moments that is followed up
_SAME_MOTION = 0.9
_SAME_PICTURE = 0.8
_BLOCK = 4096  # moments, and steps, compared at a time


@dataclass(frozen=True, kw_only=True)
class Trace:
    """How a clip looks over time."""

    clip: Clip
    picture: npt.NDArray[np.float16]
    """(steps, fields) grey levels; in 16 bits, for there may be millions of steps."""

    @property
    def motion(self) -> Floats:
        """(steps, fields) grey levels gained since 160 ms before."""
        picture = self.picture.astype(np.float32)
        return picture[_LAG:] - picture[:-_LAG]


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
        """Where a moment of a clip may be in another: trace here, its step, trace there, its."""
        here, known = _coarse(self._traces, steps=_moving)
        there, asked = _coarse(found, steps=_moments)
        for mirrored in (False, True):
            queries = _mirrored(asked, side=_HINT_SIDE) if mirrored else asked
            for first in range(0, len(there), _BLOCK):
                for start in range(0, len(here), _BLOCK):
                    likeness = queries[first : first + _BLOCK] @ known[start : start + _BLOCK].T
                    for a, b in np.argwhere(likeness >= _HINT).tolist():
                        yield (*here[start + b], *there[first + a], mirrored)


def _moving(energy: Floats) -> list[int]:
    """Every other step, if anything moves then; `_same` looks at those between."""
    return [step for step in range(_LAG, len(energy) - _LAG, 2) if energy[step] >= _MOVING]


def _coarse(
    traces: Sequence[Trace], *, steps: Callable[[Floats], Sequence[int]]
) -> tuple[list[tuple[int, int]], Floats]:
    """Some steps of clips, each with its place, as vectors of length 1.

    A vector has the motion until then and after it too: hands that pass one place are many,
    those that come from one place and go to one are few.
    """
    places: list[tuple[int, int]] = []
    rows = []
    wide = _SIDE // _HINT_SIDE
    for number, trace in enumerate(traces):
        motion = trace.motion
        chosen = list(steps(_energy(motion)))
        places += [(number, step) for step in chosen]
        cells = motion.reshape(-1, _HINT_SIDE, wide, _HINT_SIDE, wide).mean(axis=(2, 4))
        around = np.add.outer(chosen, (-_LAG, 0, _LAG)).astype(np.intp)
        rows.append(cells[around].reshape(len(chosen), 3 * _HINT_SIDE**2))
    values = np.concatenate(rows)
    norm = np.linalg.norm(values, axis=1, keepdims=True)
    return places, np.asarray(values / np.maximum(norm, 1e-6), np.float32)


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
    mine, theirs = ((t.motion, t.picture[_LAG:].astype(np.float32)) for t in (one, other))
    if mirrored:
        theirs = (_mirrored(theirs[0]), _mirrored(theirs[1]))
    for near in (shift, shift - 1, shift + 1):
        begin, end = max(0, near), min(len(mine[0]), near + len(theirs[0]))
        if end - begin < _SHARED:
            continue
        motion, picture = (values[begin:end] for values in mine)
        other_motion, other_picture = (values[begin - near : end - near] for values in theirs)
        if _likeness(motion, other_motion) < _SAME_MOTION:
            continue
        seen, other_seen = picture.mean(axis=0), other_picture.mean(axis=0)
        if _likeness(seen - seen.mean(), other_seen - other_seen.mean()) < _SAME_PICTURE:
            return None
        shared = (end - begin + _LAG) * _STEP_MS
        return Pair(one=one.clip, other=other.clip, shared_ms=shared, mirrored=mirrored)
    return None


def _likeness(one: Floats, other: Floats) -> float:
    """The cosine of two arrays of one shape."""
    norm = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(np.vdot(one, other)) / norm if norm else 0.0
