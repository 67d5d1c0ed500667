"""Keypoints beside a recording: `.pose` files (pose-format) and OpenPose's JSON.

A recording may have one pose file of the same stem. It becomes one row of points for every
presented frame of the recording, so that a span of frames cuts both alike.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import re
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kslds.errors import MediaError, MissingExtra, MissingFile
from kslds.manifest import canonical_json, sha256_file
from kslds.schema import Recording, Timing

Array = npt.NDArray[np.float32]

FIELD = "pose.npy"
"""Name of the member in a pack or shard, after the key."""

_MAX_BYTES = 1 << 30
_MAX_JSON_BYTES = 4 << 20
_MAX_FRAMES = 5_000_000
_OPENPOSE_PARTS = (
    "pose_keypoints_2d",
    "face_keypoints_2d",
    "hand_left_keypoints_2d",
    "hand_right_keypoints_2d",
)
_UNREADABLE = (
    OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, ArithmeticError,
    MemoryError, RuntimeError, struct.error,
)  # fmt: skip
_OPENPOSE_NAME = re.compile(r"(?:^|\D)(\d{1,12})_keypoints\.json$", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Poses:
    """The points of the most confident person of every frame."""

    data: Array
    """float32 (T, P, D): coordinates in pixels, the confidence last; NaN where nobody is seen."""
    rate: Fraction | None
    """Frames per second, where the file states it."""
    points: tuple[str, ...]
    """Names of the P points, as ``component/point``."""
    absent: tuple[int, ...] = ()
    """Frames before the last that have no file of their own, as of OpenPose; their rows are NaN."""


def find(folder: Path, *, recordings: Iterable[str]) -> dict[str, Path]:
    """Pose files of recordings, by stem: ``a/b.mp4`` has ``b.pose``, ``a/b.pose`` or a folder.

    Args:
        folder: Holds ``<stem>.pose`` files, or folders ``<stem>`` of OpenPose JSON files, beside
            each other or laid out as the recordings are.
        recordings: Names of recordings, relative to the media folder.

    Returns:
        Name of a recording → its pose file or folder. Links out of the folder are passed over.
    """
    inside = folder.resolve()
    found = {}
    stems = {name: Path(name).with_suffix("") for name in recordings}
    alike = Counter(stem.name for stem in stems.values())
    for name, relative in stems.items():
        # By its bare name only where no other recording is called the same.
        flat = [Path(relative.name)] if alike[relative.name] == 1 else []
        for stem in dict.fromkeys([relative, *flat]):
            candidates = (folder / stem.with_name(stem.name + ".pose"), folder / stem)
            path = next((p for p in candidates if p.is_file() or p.is_dir()), None)
            if path is not None and path.resolve().is_relative_to(inside):
                found[name] = path
                break
    return found


def read(path: Path) -> Poses:
    """Read a `.pose` file, or a folder of OpenPose's ``…_000000000012_keypoints.json``.

    Raises:
        MediaError: K129 the file is not one of these, or is damaged.
        MissingExtra: `pose-format` is not installed.
    """
    try:
        return _openpose(path) if path.is_dir() else _pose_format(path)
    except _UNREADABLE as error:
        raise MediaError(
            f"{path.name} cannot be read as poses: {error}.",
            code="K129",
            hint="Make it again from the recording.",
        ) from error


def _pose_format(path: Path) -> Poses:
    if find_spec("pose_format") is None:
        raise MissingExtra("pose-format", extra="pose")
    from pose_format import Pose

    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"it is larger than {_MAX_BYTES >> 20} MiB")
    pose = Pose.read(path.read_bytes())
    data = np.ma.getdata(pose.body.data).astype(np.float32)
    confidence = np.asarray(pose.body.confidence, dtype=np.float32)
    names = tuple(f"{c.name}/{point}" for c in pose.header.components for point in c.points)
    if data.ndim != 4 or data.shape[2] != len(names) or confidence.shape != data.shape[:3]:
        raise ValueError(f"its header names {len(names)} points, its body has {data.shape}")
    return Poses(
        data=_most_confident(data, confidence),
        rate=Fraction(pose.body.fps).limit_denominator(1001) if pose.body.fps > 0 else None,
        points=names,
    )


def _most_confident(data: Array, confidence: Array) -> Array:
    """(T, people, P, D) → (T, P, D + 1) of one person; NaN where no point is seen."""
    frames, people = data.shape[:2]
    if not people:
        return np.full((frames, data.shape[2], data.shape[3] + 1), np.nan, np.float32)
    best = confidence.sum(axis=2).argmax(axis=1)
    each = np.arange(frames)
    chosen = np.concatenate([data[each, best], confidence[each, best][..., None]], axis=2)
    chosen[chosen[..., -1] <= 0] = np.nan
    return chosen


def _openpose(folder: Path) -> Poses:
    frames: dict[int, Mapping[str, Any]] = {}
    for file in sorted(folder.iterdir()):
        named = _OPENPOSE_NAME.search(file.name)
        if named is None or file.is_symlink() or not file.is_file():
            continue
        if int(named[1]) in frames:
            raise ValueError(f"two files are of frame {int(named[1])}")
        if file.stat().st_size > _MAX_JSON_BYTES:
            raise ValueError(f"{file.name} is larger than {_MAX_JSON_BYTES >> 20} MiB")
        frames[int(named[1])] = json.loads(file.read_bytes())
    if not frames:
        raise ValueError("no file in it ends in _keypoints.json")
    if max(frames) >= _MAX_FRAMES:
        raise ValueError(f"it has a frame number {max(frames)}")
    people = {number: _best_person(frame) for number, frame in frames.items()}
    first = next((p for p in people.values() if p is not None), None)
    if first is None:
        raise ValueError("no file of it shows a person")
    counts = {part: len(points) for part, points in first.items()}
    rows = np.full((max(frames) + 1, sum(counts.values()), 3), np.nan, np.float32)
    for number, parts in people.items():
        if parts is None:
            continue
        if {part: len(points) for part, points in parts.items()} != counts:
            raise ValueError(f"frame {number} has other points than the first")
        rows[number] = np.concatenate([parts[name] for name in first])
    rows[rows[..., 2] <= 0] = np.nan
    names = tuple(f"{part}/{i}" for part, points in first.items() for i in range(len(points)))
    absent = tuple(sorted(set(range(len(rows))).difference(frames)))
    return Poses(data=rows, rate=None, points=names, absent=absent)


def _best_person(frame: Mapping[str, Any]) -> dict[str, Array] | None:
    people = [
        {
            part: np.asarray(person[part], dtype=np.float32).reshape(-1, 3)
            for part in _OPENPOSE_PARTS
            if person.get(part)
        }
        for person in frame["people"]
    ]
    people = [parts for parts in people if parts]
    return max(people, key=lambda p: float(sum(v[:, 2].sum() for v in p.values())), default=None)


def aligned(poses: Poses, *, pts: Sequence[int], time_base: Fraction) -> Array:
    """One row of points for each presented frame of a recording.

    Where the file has as many frames as the recording, they belong together one by one, whatever
    rate it states. Otherwise, if it states a rate that is not the recording's and by which both
    last equally long (to a fiftieth, or a frame of either), a frame gets the row on show at its
    time: ``floor(rate * t)`` with t since the first frame. What is left is one or two frames more
    or less, as estimators do: one by one again.

    Args:
        poses: What was read.
        pts: The recording's timestamps, ascending.
        time_base: Their unit in seconds.

    Returns:
        float32 (len(pts), P, D); NaN where the file has no frame.

    Raises:
        MediaError: K129 the numbers of frames differ, and the lengths do too or are not stated.
    """
    count, own = len(poses.data), len(pts)
    out = np.full((own, *poses.data.shape[1:]), np.nan, np.float32)
    span = (pts[-1] - pts[0]) * time_base * Fraction(own, max(1, own - 1))
    rate = poses.rate
    if count != own and rate is not None and span > 0 and abs(rate * span - own) * 50 > own:
        step = max(1 / rate, span / own)
        if abs(count / rate - span) <= max(span / 50, step):
            # Timestamps may have been rounded to their unit, as in ms.
            half = min(time_base, Fraction(1, 1000)) / 2
            rows = np.array([rate * ((p - pts[0]) * time_base + half) // 1 for p in pts])
            known = rows < count
            out[known] = poses.data[rows[known]]
            return out
    if abs(count - own) > 2:
        stated = "" if rate is None else f", {float(count / rate):.2f} s at the rate it states"
        raise MediaError(
            f"the poses have {count} frames{stated}; the recording has {own}, {float(span):.2f} s.",
            code="K129",
            hint="Make them again from this recording.",
        )
    out[:count] = poses.data[:own]
    return out


@dataclass(frozen=True, kw_only=True)
class Attached:
    """Which recordings have poses."""

    recordings: tuple[Recording, ...] = ()
    """Those with `pose_file` and `pose_sha256` filled in."""
    problems: tuple[tuple[str, str], ...] = ()
    """Name of a recording and why its poses cannot be used."""
    points: tuple[str, ...] = ()
    """Names of the points, the same for all."""


def attach(
    folder: Path, *, recordings: Iterable[Recording], timings: Mapping[str, Timing]
) -> Attached:
    """Find the poses of recordings, and read each once to see that they fit.

    The first recording by name decides which points there are.

    Args:
        folder: See `find`.
        recordings: The recordings.
        timings: recording_id → its timestamps.

    Raises:
        MissingFile: There is no such folder.
        MissingExtra: `pose-format` is not installed.
    """
    if not folder.is_dir():
        raise MissingFile(f"there is no folder of poses {str(folder)!r}.", hint="[ingest] poses")
    by_name = {r.source_file: r for r in recordings}
    with_poses: list[Recording] = []
    problems: list[tuple[str, str]] = []
    points: tuple[str, ...] = ()
    for name, path in sorted(find(folder, recordings=by_name).items()):
        row = by_name[name]
        try:
            found = read(path)
            base = Fraction(row.time_base_num, row.time_base_den)
            aligned(found, pts=timings[row.recording_id].pts, time_base=base)
        except MediaError as error:
            problems.append((name, error.what))
            continue
        points = points or found.points
        if found.points != points:
            what = f"{path.name} has {len(found.points)} points, the first file {len(points)}"
            problems.append((name, f"{what}, or others by name."))
            continue
        with_poses.append(
            dataclasses.replace(
                row, pose_file=path.relative_to(folder).as_posix(), pose_sha256=_sha256(path)
            )
        )
    return Attached(recordings=tuple(with_poses), problems=tuple(problems), points=points)


def _sha256(path: Path) -> str:
    if path.is_file():
        return sha256_file(path)
    files = sorted(f for f in path.iterdir() if f.is_file())
    return hashlib.sha256(canonical_json([[f.name, sha256_file(f)] for f in files])).hexdigest()


def encode(points: Array) -> bytes:
    """The bytes of a `.npy` file."""
    out = io.BytesIO()
    np.save(out, np.ascontiguousarray(points), allow_pickle=False)
    return out.getvalue()


def decode(data: bytes) -> Array:
    """float32 (T, P, D) from `encode`.

    Raises:
        MediaError: K331 these are other bytes.
    """
    try:
        points = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise MediaError(f"the poses cannot be read: {error}.", code="K331") from error
    return np.asarray(points, dtype=np.float32)
